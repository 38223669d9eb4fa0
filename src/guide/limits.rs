//! After this page you know what the crate does not do or promise, and what to do instead.
//!
//! # Not built
//!
//! | what | instead |
//! | --- | --- |
//! | device codes and other sign-ins of OAuth 2.0 | a [`Login`] of your own, or [`login_fn`] around an OAuth client. The other grants are [built in](super::oauth2). |
//! | a credential that survives a restart | [`on_credential`] to store it, [`starting_with`] to begin with it; [`shutdown`](crate::guide::shutdown) has a store |
//! | logins without a request | call [`CachedProvider::acquire`] at start; no timer renews an unused credential |
//! | cookies, request signing, mutual TLS | another layer, or the client |
//! | other executors than Tokio for logins | enter a Tokio runtime; [`runtimes`](crate::guide::runtimes) shows how |
//!
//! # Not seen
//!
//! - **gRPC status in trailers.** The layer reads `grpc-status` in headers only, since it passes bodies
//!   on untouched. A server that sends headers or a message first says `UNAUTHENTICATED` in its
//!   trailers. Mark the request with [`PerRequest::judged_by_caller`] and reject by hand, as
//!   [`grpc`](crate::guide::grpc#where-a-server-says-unauthenticated) shows.
//! - **Rejections in a body**, as with GraphQL or an HTML login page at status 200. The same remedy:
//!   [`rejections`](crate::guide::rejections#judging-by-hand) has the code.
//! - **Redirects inside the layer.** The layer sees only their last answer: see
//!   [`layer_order`](crate::guide::layer_order).
//! - **Other clients of the account.** [`CredentialEvent::Contended`] is a suspicion, never a fact. A
//!   client that logs in less often than every three seconds looks like a short session.
//!
//! # Replay
//!
//! - A body is replayed only if a policy kept it. [`ReplayReady`] keeps what is there at once, up to a
//!   size. A streaming body passes untouched, and a rejection of it goes to the caller.
//! - A body that is `Clone` cannot always be sent twice: clones may share one stream. So no policy
//!   replays a body only because it is `Clone`.
//! - A server should reject a credential before it acts. If yours acts first, keep nothing for requests
//!   that change something: a [`Replay`] of your own sees method and path.
//! - A request is replayed at most once, and never replayed under another account.
//!
//! # Rejections
//!
//! - A target is method and path. If the query or the body decides, the provider sees one target that
//!   is both accepted and rejected. [`rejections`](crate::guide::rejections) has a rule for it.
//! - Two targets may share a 32-bit fingerprint, by chance or by intent. Then they count as one target.
//!   Of a path longer than 64 bytes, the length and both ends count. No fingerprint decides who sees a
//!   token.
//! - At most 64 targets are remembered, each for ten minutes after its last rejection. If there are
//!   more, the provider forgets the one rejected least recently.
//! - A provider knows its last 64 generations. A rejection of an older one changes nothing.
//! - Logins that did not help are tried again, after pauses. Where an endpoint is forbidden for good,
//!   each of them costs an exclusive session its token. Do not call that endpoint, or use
//!   [`rejection::invalid_token`] if the API names its errors.
//!
//! # Time
//!
//! - A suspended machine may stop the monotonic clock, and timers with it. The wall clock is read every
//!   30 seconds, so an expired token may be sent for that long after a wake-up. Its rejection makes the
//!   next request log in.
//! - Timers fire late while a runtime's threads are blocked, with the same effect.
//! - A server clock that is wrong matters where a login announces an absolute expiry. Announce a
//!   lifetime where you can.
//! - A login that blocks its thread cannot be stopped. It counts as lost one second after its
//!   [timeout](crate::CachePolicy::login_timeout).
//! - The margin before an expiry is 10 s at most by default. For uploads that take longer, use
//!   [`CachedProvider::acquire_valid_for`] first.
//! - While logins fail, requests use a credential within its margin. A request that then waits for its
//!   client to be ready may be sent after the expiry.
//!
//! # Secrets
//!
//! The crate wipes its own copies of its secrets. It cannot wipe the buffers of hyper and of TLS, the
//! kernel's, swap or core dumps. Nor can it wipe a `&str` that a secret was made from. A replay policy
//! keeps a copy of a request's URI and headers, which is not wiped; values that are marked sensitive
//! are shared instead. A resting service keeps its copy of an old token, as the clones of a thread do,
//! and a rejected token stays in memory until a login has replaced it. Your own login, provider and errors
//! can print what they hold. SECURITY.md has the whole list.
//!
//! # Types
//!
//! - The client must be `Clone`. A Buffer makes that of any other.
//! - The target needs 64-bit atomics. 32-bit MIPS and PowerPC have none, and the crate says so in a
//!   compile error. Generations are 64-bit numbers, so that none is ever used twice.
//! - Requests are `http::Request`. reqwest has a request type of its own: there the layer is a
//!   [middleware](super::reqwest), or the crate tower-reqwest goes beneath it.
//! - A layer has one provider. Choose among accounts with a [`CredentialProvider`], by the request's
//!   head but not its body.
//! - A closure cannot be named. A struct that holds a client takes [`CachedProvider`] or
//!   [`BoxProvider`] as its type, and a function pointer in its replay policy.
//!
//! [`Login`]: crate::Login
//! [`login_fn`]: crate::login_fn
//! [`CredentialEvent`]: crate::CredentialEvent
//! [`CredentialEvent::Contended`]: crate::CredentialEvent::Contended
//! [`CredentialProvider`]: crate::CredentialProvider
//! [`BoxProvider`]: crate::BoxProvider
//! [`CachedProvider`]: crate::CachedProvider
//! [`CachedProvider::acquire`]: crate::CachedProvider::acquire
//! [`CachedProvider::acquire_valid_for`]: crate::CachedProvider::acquire_valid_for
//! [`on_credential`]: crate::CachedProviderBuilder::on_credential
//! [`starting_with`]: crate::CachedProviderBuilder::starting_with
//! [`PerRequest::judged_by_caller`]: crate::PerRequest::judged_by_caller
//! [`Replay`]: crate::Replay
//! [`ReplayReady`]: crate::ReplayReady
//! [`rejection::invalid_token`]: crate::rejection::invalid_token
