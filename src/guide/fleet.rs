//! After this page several of your processes share one session: one of them logs in, and the others adopt
//! its token. You know who can read the secrets that they store.
//!
//! At an API with [exclusive](super::exclusive_or_concurrent) sessions, two processes with one account log
//! each other out: see [contention](super::contention). Two processes with one rotating refresh token end
//! the whole session. So the processes need one place for the credential, and one login at a time.
//!
//! ```
//! # #[cfg(unix)] fn main() -> Result<(), tower_bearer::BoxError> {
//! use tower_bearer::{
//!     CachedProvider,
//!     store::{FileStore, RecordKey, SharedAccount},
//!     test_util::ScriptedLogin,
//! };
//!
//! let key = RecordKey::new("https://acme.quable.com", "importer", "");
//! let account = SharedAccount::new(FileStore::new("/var/lib/importer"), key);
//! let provider = CachedProvider::builder(ScriptedLogin::new()) // your login
//!     .shared(account)
//!     .build();
//! # let _ = provider;
//! # Ok(()) }
//! # #[cfg(not(unix))] fn main() {}
//! ```
//!
//! The rules are at [`CachedProviderBuilder::shared`](https://docs.rs/tower-bearer/latest/tower_bearer/struct.CachedProviderBuilder.html#method.shared).
//!
//! # The parts
//!
//! They need the feature `store`, and are in the module [`store`](https://docs.rs/tower-bearer/latest/tower_bearer/store/index.html).
//!
//! | part | what it does |
//! | --- | --- |
//! | `CredentialStore` | keeps one record for each account, with a lock that has a lease |
//! | `FileStore` | does that in a folder, for the processes of one machine |
//! | `RedisStore` | does that in Redis, through a client of your own, for several machines |
//! | `MemoryStore` | does that in memory, for providers of one process, and for tests |
//! | `Record` | is the credential in the store: token, expiry, refresh token |
//! | `RecordKey` | is the name of the account in the store: a hash of issuer, account and scope |
//! | `Seal` | encrypts a record before the store sees it |
//! | `test_util::store_conformance` | checks a store of your own |
//! | `SharedAccount` | names a store, a record and a seal for a provider |
//!
//! **A job that runs each night** goes on with the session of the last one, by the same lines. With a session of
//! 30 days, 30 runs make one login: `examples/nightly_job.rs`.
//!
//! **Many accounts**: each needs a record of its own. Two accounts must never have one key.
//!
//! ```
//! use tower_bearer::{
//!     KeyedProvider,
//!     store::{MemoryStore, RecordKey, SharedAccount},
//!     test_util::ScriptedLogin,
//! };
//!
//! #[derive(Clone, PartialEq, Eq, Hash)]
//! struct Tenant(String);
//!
//! let store = MemoryStore::new(); // a `RedisStore` in a program
//! let provider = KeyedProvider::builder(|_: &Tenant| ScriptedLogin::new()) // the login of a tenant
//!     .configure(move |tenant, account| {
//!         let key = RecordKey::new("https://issuer.example", &tenant.0, "");
//!         account.shared(SharedAccount::new(store.clone(), key))
//!     })
//!     .build();
//! # let _ = provider;
//! ```
//!
//! # One login at a time
//!
//! | while one process logs in, another | does |
//! | --- | --- |
//! | has a valid token | sends its requests with it, and knows nothing of the login |
//! | has none | waits for the login, and adopts its token |
//! | gets a rejection of the previous token | adopts the new one: no login, and no suspicion of [contention](super::contention) |
//! | has a pause, since its own logins failed or did not help | looks at the store once in a second, and adopts |
//!
//! A lock has a lease, since its holder may die:
//!
//! | the holder | the lock |
//! | --- | --- |
//! | unlocks | is free |
//! | dies | of a `FileStore`: is free at once. Of most other stores: is free after the lease |
//! | is stopped, or hangs | is free after the lease |
//!
//! A holder that comes back after its lease cannot harm: once another process has acquired the lock, the
//! store refuses what the late one publishes. Its login may still have revoked a token at the server. The
//! next rejection replaces that.
//!
//! # If the store fails
//!
//! | the store | the provider |
//! | --- | --- |
//! | is down, slow or full | logs in by itself, and leaves the store alone for 30 s |
//! | has lost the record | logs in under the lock, and publishes |
//! | has a damaged record | does the same |
//! | has a record of another version of this crate | logs in by itself, and never overwrites it |
//!
//! Each time, an event says so: `StoreFailed`, then `StoreRecovered`. The [metric](super::metrics)
//! `tower_bearer.store_failures` counts them. Requests do not fail for it, with two
//! exceptions: a login that has nothing but a refresh token, and an account with `fail_without_store`. With an
//! exclusive session, choose that if a part of your instances may lose the store: the figures are below.
//!
//! # Refresh tokens
//!
//! A refresh token that works once must not be sent twice, not even by a process that starts after a crash.
//! So a provider takes it out of the record first, then refreshes, then publishes the new one. While the store cannot
//! be written, it does not refresh: it logs in by other means, or fails with an error that says so. If the store has
//! lost the record, a refresh is the last resort: the refresh token may have been sent by another process.
//!
//! # Who can read the secrets
//!
//! | who | plain records | sealed records |
//! | --- | --- | --- |
//! | another user of the machine | cannot: the folder and the files are refused if their mode or owner would let them | cannot |
//! | root, and whoever has a backup or the disk | can | cannot, without the key of the seal |
//! | the operator of a store on the network | can | cannot, without the key of the seal |
//! | whoever can read the memory of your process | can | can |
//!
//! What a seal does not do:
//!
//! - It does not hide that an account is in use, nor when its record changes.
//! - It does not protect a key that lies beside the store. Take the key from your platform's secrets.
//! - It does not tell an old record from the current one. Who can write to the store can put one back.
//!
//! What a `FileStore` does not do:
//!
//! - It does not look at access control lists, nor at the folders above its own. Put it where only your user
//!   may rename folders, such as `/var/lib/importer`.
//! - It does not wipe the disk. After a removal, the bytes may stay in free blocks and in snapshots.
//! - It is not there on Windows.
//!
//! What a `RedisStore` does not do:
//!
//! - It does not keep the secrets out of Redis's own files, replicas, `SLOWLOG` and `MONITOR`. Use a seal.
//! - It cannot keep what Redis loses. An evicted record, or an emptied Redis, costs one login. A failover may bring an
//!   older record back. A process that knows a newer one does not use it. One that has just started may.
//! - It sets no timeout: its calls take as long as the client lets them. Set those of the client.
//! - It does not remove records: an account that is no longer used keeps its key.
//!
//! # How it behaves as the fleet grows
//!
//! A simulation runs 10, 100 and 1,000 instances with one store for a day. Each sends a request per second on
//! average. A request takes 20 to 50 ms, a login 200 to 600 ms, a call of the store 2 to 4 ms. A token lasts for
//! an hour, and the API revokes it once in two hours on average.
//!
#![doc = include_str!("fleet_growth.svg")]
//!
#![doc = include_str!("fleet_growth.md")]
//!
//! A login is superfluous if it replaces a token that is neither revoked nor due to be replaced. Only
//! with `fail_without_store`, in the last two rows, did requests fail for want of a token. No publication was refused
//! while all instances reached the store.
//!
//! - **Logins**: one for each revocation and each expiry, in a fleet of any size.
//! - **The store** has as much work for each instance in a large fleet as in a small one. An instance reads the
//!   record once for each login. While another has the lock, it tries again after 25 ms, 50 ms and so on up to
//!   500 ms. The busiest second follows an expiry or a revocation: plan for seven operations per instance.
//! - **The time until all have the next session** ends when the last instance sends a request. The longest request
//!   shows the protocol's own part: a login, and the pause before the waiter reads again. A store that reports
//!   changes saves that pause.
//! - **Rejections with a concurrent session**: 2,200 of 86 million requests. Some instances refresh later than
//!   others. After a revocation, such an instance may adopt a newer token that is revoked as well. Its caller gets
//!   the rejection. Within about a second, the instance adopts the next token, or logs in.
//! - **Wrong clocks** do no harm if the store knows ages. Otherwise an instance whose clock is ahead takes a
//!   record for expired, and replaces it.
//! - **An instance that cannot reach the store** logs in by itself. With a concurrent session that is one login.
//!   With an exclusive session, it and the fleet log each other out. Both make pauses of up to a minute, as in
//!   [contention](super::contention). If many instances cannot reach the store, most requests are rejected,
//!   unless those instances fail their logins. At most 95 s after the fault, the fleet has one session again: the store is left alone for 30 s, and a
//!   pause lasts for a minute at most.
//!
//! `FLEET_PAGE=write cargo test --release --test fleet_simulation` writes the figures.
