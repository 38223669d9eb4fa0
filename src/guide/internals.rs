//! After this page you can find your way in the source, and say why each unusual thing in it is there.
//!
//! # The way of a request
//!
//! `call` in `src/service.rs` chooses the way, and the future in `src/future.rs` follows it:
//!
//! ```text
//!                     ┌─ other origin, own header, or by choice ─▶ bare ─────────▶ answer
//!                     │
//! request ─▶ origin? ─┼─ the credential is fresh ────────────────▶ sent ─┬ accepted ▶ answer
//!                     │                                             ▲    │
//!                     └─ none, or not fresh ─▶ waiting ──▶ ready ───┘    └ rejected ▶ judged
//!                                                ▲                                      │
//!                                                └── replayed, once, with a newer one ──┤
//!                                                                                       ▼
//!                                                                      answer, with a report
//! ```
//!
//! - *Bare*: the request goes out untouched, and its answer is not reported to the provider.
//! - *Sent*: one header is inserted. No lock of the provider is taken. Without a replay policy nothing
//!   is boxed, and the response future is little larger than the client's own.
//! - *Waiting*: the request gives back the readiness that `poll_ready` reserved, and goes into one box.
//!   After the login it waits until a clone of the client is ready. The login may use the slot
//!   meanwhile.
//! - *Replayed*: the policy has kept what a second attempt needs, in one box. The rejected
//!   response is dropped before the login begins, since an unread answer may keep a connection busy.
//!
//! # The life of a credential
//!
//! [`CachedProvider`] holds one credential, and at most one login in flight (a *single flight*).
//! `src/provider/cache/` has a small state machine for each concern:
//!
//! ```text
//!          a request               done
//! empty ─────────────▶ logging in ──────▶ fresh ───────▶ aging ──────▶ expired ──▶ logging in
//!  ▲  ▲                    │               │   (concurrent sessions:            a request
//!  │  │ pause over         │ failed        │   a background login)
//!  │  └──── backing off ◀──┘               │
//!  │                                       ├── rejected, no login for now ──▶ held back
//!  └─────────────────── rejected ──────────┘                                  (still in use)
//! ```
//!
//! [`CredentialState`] lists the states that a caller can see.
//!
//! - **Single flight.** The login runs in a task of its own, so no request cancels it by giving up. Its
//!   outcome is set once. A login that was declared lost can no longer change anything.
//! - **Back-off.** After a failed login, requests get its error until the pause is over. Pauses are
//!   random, so that many processes do not come back together. A rejected credential is put back
//!   meanwhile.
//! - **Rejections.** Each target that was rejected has a small state machine: waiting, helped or mixed. It
//!   decides when another login is worth it. [`rejections`](crate::guide::rejections) has the rules.
//! - **Commands.** A reset, a sign-out and a credential that is handed in take effect at once. A login under
//!   way goes on, and its outcome is discarded. Each authorization has the number of sign-outs before it, so
//!   nothing is sent for another user.
//!
//! # Why each trick exists
//!
//! | trick | without it |
//! | --- | --- |
//! | one atomic word, the *fresh mark*, names the fresh generation, and a timer clears it | each request reads a clock, which costs about as much as all the rest |
//! | a service that is used again keeps a copy of the authorization | threads write one reference count, and wait for each other |
//! | clones share settings and a copy per thread | as above, for services that live for one request |
//! | each request has a [`Receipt`]: generation, target, account | a late 401 also invalidates the next token |
//! | the target is a 32-bit fingerprint | each request copies its path |
//! | a filter of rejected targets, read without a lock | each accepted answer takes the lock |
//! | the provider learns when a request is [sent](crate::CredentialProvider::sent) | a request with a header of its own starts a background login |
//! | the header goes in first, and the caller's header is put back | each request looks up the header twice |
//! | one timer for all waiters on the login's runtime | each waiter pays for a timer |
//! | user code runs outside all locks: logins, clocks, observers, drops of errors | a login or an observer that uses the provider deadlocks |
//!
//! # What always holds
//!
//! | | invariant |
//! | --- | --- |
//! | I1 | At most one login is in flight for each provider. A login that was declared lost does not count. |
//! | I2 | The crate never chooses to send a spent refresh token again. |
//! | I3 | A request is sent at most twice, and at most once where no policy kept it. |
//! | I4 | Logins stay within the rules for rejections. While rejections go on, one is tried every five minutes at the latest. |
//! | I5 | No log, `Debug`, `Display`, error chain or panic message holds a secret. |
//! | I6 | Nothing waits after the last caller has gone. The login's task ends within its timeout when the provider is dropped. |
//! | I7 | Each future resolves within its stated deadline, the client's own time aside. |
//! | I8 | A request that starts after a new credential was published never carries an older one. |
//! | I9 | A host that is not among the origins never sees the token. |
//!
//! `tests/models` checks the locking and the atomics with loom and shuttle, in the crate's own files.
//! `tests/state_machine` compares random steps with a reference, and `tests/simulation` adds networks
//! and clocks that fail.
//!
//! # Where things are
//!
//! From the top down; a room uses only the rooms below it:
//!
//! | file or room | what is there |
//! | --- | --- |
//! | `src/layer.rs`, `src/service.rs`, `src/future.rs` | the three types of every tower middleware |
//! | `src/request/` | the life of one request: settings, sharing, what is kept, rejection, replay, report |
//! | `src/provider/` | [`CredentialProvider`] and the providers, [`PerRequest`], receipts, events, snapshots |
//! | `src/provider/cache/` | the life of the cached credential: flight, lifetime, freshness, back-off, rejections |
//! | `src/login/` | [`Login`], closures, HTTP logins, the HTTP exchange with its limits, files |
//! | `src/credential/` | secrets, tokens, refresh tokens, the header value |
//! | `src/error/` | [`Error`] and [`LoginError`] |
//! | `src/origin/` | [`Origins`] and the parsing of URLs |
//! | `src/runtime/` | clocks, and the primitives that a model checker replaces |
//! | `src/presets/`, `src/test_util/` | logins of known APIs; doubles for tests |
//!
//! Inside `src/provider/cache/`:
//!
//! | file | what is there |
//! | --- | --- |
//! | `acquire.rs` | how a request gets its authorization: at once, or by waiting for the flight |
//! | `flight.rs`, `single_flight.rs`, `login_task.rs` | the one login: its waiters, its start and its end, its task |
//! | `freshness.rs`, `lifespan.rs` | the fresh mark and the expiry timer; when a credential ages and expires |
//! | `backoff.rs` | the pause after a failed login |
//! | `commands.rs` | reset, sign out, set a credential, settle |
//! | `keep_warm.rs`, `renewal.rs` | logins without a request: to keep the provider warm; when the login reports a change |
//! | `feedback.rs`, `rejections.rs`, `target_filter.rs` | reports of acceptances and rejections; the rules for rejections; which acceptances matter |
//!
//! You can watch the life of a credential from outside:
//!
//! ```
//! use tower_bearer::{BoxError, CachedProvider, Credential, CredentialState, login_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! let provider = CachedProvider::new(login_fn(|_| async { Ok(Credential::new("abc")?) }));
//! assert_eq!(provider.snapshot().state(), CredentialState::Empty);
//! let (one, other) = tokio::join!(provider.acquire(), provider.acquire());
//! assert_eq!(one?.generation(), other?.generation()); // one flight
//! assert_eq!(provider.snapshot().state(), CredentialState::Fresh);
//! provider.reset();
//! assert_eq!(provider.snapshot().state(), CredentialState::Empty);
//! # Ok(()) }
//! ```
//!
//! [`runtimes`](crate::guide::runtimes) and [`limits`](crate::guide::limits) say what this means for a
//! user.
//!
//! [`CachedProvider`]: crate::CachedProvider
//! [`CredentialState`]: crate::CredentialState
//! [`Receipt`]: crate::Receipt
//! [`CredentialProvider`]: crate::CredentialProvider
//! [`PerRequest`]: crate::PerRequest
//! [`Login`]: crate::Login
//! [`Error`]: crate::Error
//! [`LoginError`]: crate::LoginError
//! [`Origins`]: crate::Origins
