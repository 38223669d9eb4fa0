//! The store in Redis, over a client of the user.

mod script;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

pub use self::script::RedisScript;
use self::script::{LOCK, PUBLISH, READ, REMOVE, UNLOCK};
use super::{
    CredentialStore, Lock, LockAttempt, Publication, RecordKey, Revision, SealedRecord, StoreError,
    StoreFuture, Stored,
};
use crate::error::BoxError;

/// The longest record, in bytes. `current.lua` has it too.
const LONGEST: usize = 64 * 1024;

/// A store in Redis, for processes of several machines. It runs Lua scripts through a client of your own.
///
/// Each account has up to three keys, named after its [`RecordKey`]. They are in one hash slot:
///
/// | key | content |
/// | --- | --- |
/// | `tower-bearer:{…}:record` | a hash: the record, its revision, its version, and when it was published |
/// | `tower-bearer:{…}:lock` | whoever logs in, until the lease is over |
/// | `tower-bearer:{…}:last` | who has acquired the lock last, until that one unlocks it |
///
/// - Each step is one script: it checks the owner and the revision, and writes. The tests use Redis 7.0; the scripts
///   use nothing newer than Redis 5.
/// - If a process dies, its lock is free when the lease is over.
/// - A client that has lost a reply may run the script again: nothing is done twice.
/// - The age of a record counts by the clock of Redis.
/// - A record has 64 KiB at most. A damaged one counts as no record; one of another version stays as it is. A key of
///   another type counts as damaged.
/// - Records have no expiry in Redis. One that is evicted, or lost by a restart, is as no record: the next login makes
///   a new one.
/// - If Redis loses its last writes, as a failover may, an older record can be back, and two processes can log in at
///   once. A refresh token that works once may then be sent twice.
///
/// Without a [`Seal`](super::Seal), Redis has the secrets in plain text. They are also in its files, its replicas, its
/// `SLOWLOG`, and what `MONITOR` shows.
///
/// # The client
///
/// TLS, Sentinel, Cluster and the password are those of the client. Use a connection to the primary: a replica may
/// have an older record. What to know of redis-rs:
///
/// - `Script` sends the text of a script again after a restart of Redis.
/// - Since version 1.0, a reply may take 500 ms, and a connection 1 s. Earlier versions wait for ever by default.
/// - If the connection is lost, `ConnectionManager` tries six more times, and a call may wait for seconds. Two settings
///   change that: `set_number_of_retries` and `set_max_delay`.
/// - If a new connection is rejected for its password, `ConnectionManager` does not try again. Build a new one.
/// - After a failure to connect, the next call gets that failure once more. So a provider may need two pauses of 30 s
///   until it uses Redis again.
///
/// A user of Redis with these permissions suffices, with redis-rs:
///
/// ```text
/// ACL SETUSER bearer on >PASSWORD resetkeys resetchannels -@all ~tower-bearer:* &tower-bearer:*
///     +evalsha +script|load +type +hmget +time +get +set +del +hset +publish
/// ```
///
/// `+publish` may be missing: then [`changed`](CredentialStore::changed) reports nothing. Subscribers need
/// `+subscribe` too.
///
/// # Examples
///
/// With redis-rs and its connection manager, which connects again by itself:
///
/// ```no_run
/// use redis::{Client, Script, aio::ConnectionManagerConfig};
/// use tower_bearer::{
///     BoxError,
///     store::{CredentialStore, RecordKey, RedisScript, RedisStore},
/// };
///
/// fn store(url: &str) -> Result<RedisStore, BoxError> {
///     let config = ConnectionManagerConfig::new().set_number_of_retries(1);
///     let connection = Client::open(url)?.get_connection_manager_lazy(config)?;
///     Ok(RedisStore::new(move |script: RedisScript| {
///         let mut connection = connection.clone();
///         async move {
///             let text = Script::new(script.text());
///             let mut run = text.prepare_invoke();
///             for key in script.keys() {
///                 run.key(key);
///             }
///             for argument in script.arguments() {
///                 run.arg(argument);
///             }
///             Ok(run.invoke_async(&mut connection).await?)
///         }
///     }))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let store = store("redis://127.0.0.1/")?;
/// let key = RecordKey::new("https://issuer.example", "user-7", "");
/// if let Some(stored) = store.read(key).await? {
///     println!("published {:?} ago", stored.age());
/// }
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
///
/// A connection of Cluster has the same methods. `examples/redis.rs` has the whole program.
#[derive(Clone)]
pub struct RedisStore {
    run: Arc<Run>,
    prefix: Arc<str>,
    subscribe: Option<Arc<Subscribe>>,
}

type Run = dyn Fn(RedisScript) -> BoxFuture<Result<Vec<Vec<u8>>, BoxError>> + Send + Sync;
type Subscribe = dyn Fn(String) -> BoxFuture<()> + Send + Sync;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The owner of a lock: a word that no other attempt to lock has.
struct Owner(String);

impl RedisStore {
    /// A store over a function that runs a script and returns the reply: each is an array of bulk strings.
    ///
    /// After a lost reply it may run the script again. Keep secrets out of its errors.
    pub fn new<F, R>(run: F) -> Self
    where
        F: Fn(RedisScript) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<Vec<u8>>, BoxError>> + Send + 'static,
    {
        Self {
            run: Arc::new(move |script| Box::pin(run(script))),
            prefix: "tower-bearer:".into(),
            subscribe: None,
        }
    }

    /// Sets what the keys begin with. Defaults to `tower-bearer:`.
    ///
    /// It must have no braces: Redis Cluster takes them for the hash tag.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            ..self
        }
    }

    /// Reports [changes](CredentialStore::changed) by publish/subscribe. Defaults to none.
    ///
    /// The function gets the name of a channel. Its future ends when a message has arrived there, and never ends if the
    /// channel cannot be subscribed. All processes send these messages, also without this setting. `examples/redis.rs`
    /// has such a function.
    #[must_use]
    pub fn with_changes<F, R>(self, subscribe: F) -> Self
    where
        F: Fn(String) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self {
            subscribe: Some(Arc::new(move |channel| Box::pin(subscribe(channel)))),
            ..self
        }
    }

    /// A key, or the channel, of an account. The braces make the account the hash tag.
    fn key(&self, key: RecordKey, what: &str) -> String {
        format!("{}{{{key}}}:{what}", self.prefix)
    }

    async fn run<const N: usize>(
        &self,
        text: &'static str,
        key: RecordKey,
        keys: [&str; N],
        arguments: Vec<Zeroizing<Vec<u8>>>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys = keys.map(|what| self.key(key, what)).into();
        let script = RedisScript {
            text,
            keys,
            arguments,
        };
        (self.run)(script).await.map_err(StoreError::new)
    }

    /// The arguments with which each script begins that a lock is needed for.
    fn held(&self, lock: &Lock) -> Result<Vec<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(Owner(owner)) = lock.holder() else {
            return Err(StoreError::new("the lock is of another store"));
        };
        let channel = self.key(lock.key(), "changed");
        Ok(vec![argument(owner.as_str()), argument(channel)])
    }
}

fn argument(bytes: impl Into<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.into())
}

/// A word that does not come back, also not from a copy of this process's memory: 32 hexadecimal digits.
fn unique() -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let time = time.unwrap_or_default().as_nanos() as u64;
    format!("{time:016x}{:016x}", fastrand::u64(..))
}

/// The first word of a reply.
fn word(reply: &[Vec<u8>]) -> &[u8] {
    reply.first().map_or(&[], Vec::as_slice)
}

fn stored(reply: Vec<Vec<u8>>) -> Option<Stored> {
    let [_, revision, age, record] = <[_; 4]>::try_from(reply).ok()?;
    let age = String::from_utf8(age).ok()?.parse().ok()?;
    let record = SealedRecord::from_bytes(record);
    Some(Stored::new(Revision::new(revision), record).with_age(Duration::from_millis(age)))
}

fn other_version() -> StoreError {
    StoreError::other_version("this version reads records of version 1")
}

fn unexpected() -> StoreError {
    StoreError::new("the reply of the script makes no sense")
}

impl CredentialStore for RedisStore {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(async move {
            let reply = self.run(READ, key, ["record"], Vec::new()).await?;
            match word(&reply) {
                b"none" => Ok(None),
                b"stored" => stored(reply).map(Some).ok_or_else(unexpected),
                b"damaged" => Err(StoreError::damaged("the key has something else")),
                b"other version" => Err(other_version()),
                _ => Err(unexpected()),
            }
        })
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        Box::pin(async move {
            let owner = unique();
            let lease = lease.as_millis().max(1).to_string(); // Redis refuses zero
            let arguments = vec![argument(owner.as_str()), argument(lease)];
            let reply = self.run(LOCK, key, ["lock", "last"], arguments).await?;
            match word(&reply) {
                b"acquired" => Ok(LockAttempt::Acquired(Lock::new(key, Owner(owner)))),
                b"held" => Ok(LockAttempt::Held),
                _ => Err(unexpected()),
            }
        })
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        Box::pin(async move {
            if record.expose().len() > LONGEST {
                return Err(StoreError::new("the record is longer than 64 KiB"));
            }
            let revision = unique();
            let mut arguments = self.held(lock)?;
            arguments.extend([argument(revision.as_str()), argument(record.expose())]);
            arguments.extend(previous.map(|previous| argument(previous.as_bytes())));
            let keys = ["record", "last"];
            let reply = self.run(PUBLISH, lock.key(), keys, arguments).await?;
            match word(&reply) {
                b"published" => Ok(Publication::Published(Revision::new(revision.into_bytes()))),
                b"refused" => Ok(Publication::Refused),
                b"other version" => Err(other_version()),
                _ => Err(unexpected()),
            }
        })
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let (keys, arguments) = (["record", "last"], self.held(lock)?);
            let reply = self.run(REMOVE, lock.key(), keys, arguments).await?;
            match word(&reply) {
                b"removed" => Ok(true),
                b"refused" => Ok(false),
                _ => Err(unexpected()),
            }
        })
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let (keys, arguments) = (["lock", "last"], self.held(&lock)?);
            let reply = self.run(UNLOCK, lock.key(), keys, arguments).await?;
            match word(&reply) {
                b"unlocked" => Ok(()),
                _ => Err(unexpected()),
            }
        })
    }

    fn changed(&self, key: RecordKey) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let subscribe = self.subscribe.as_ref()?;
        Some(subscribe(self.key(key, "changed")))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
