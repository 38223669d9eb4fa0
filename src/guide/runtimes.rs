//! After this page you can share one provider between runtimes and threads, call it without a runtime,
//! and say what a clone of a service costs.
//!
//! # Where a login runs
//!
//! Nothing needs a runtime to be constructed. A login runs as a Tokio task of its own, on the runtime
//! of the request that started it, or on [the one that you name](#name-the-runtime). Requests on other
//! runtimes wait for the same login and share its outcome.
//!
//! | situation | what happens |
//! | --- | --- |
//! | a request needs no login | any executor will do, and no runtime at all |
//! | a request needs a login, outside a Tokio runtime | an error that says so: [`Recovery::FixProgram`] |
//! | the same on a runtime without `enable_time` | a panic in that request |
//! | the login's runtime is dropped | requests that wait on another runtime try once more there, and share that login; [`shutdown`](super::shutdown) has its refresh token |
//! | the login's runtime is no longer driven | the login counts as lost one second after its [timeout]; the next request starts another |
//! | the login blocks its thread | the same; no timeout can stop code that blocks |
//! | the process was frozen during a background login | that login counts as lost, without a pause; the next request starts another |
//! | a lost login ends after all | its outcome is discarded |
//! | a credential outlives the runtime of its login | it stays in use |
//!
//! A `current_thread` runtime is driven only inside `block_on`. When the last `block_on` returns during
//! a login, that login stops, and others wait until it counts as lost. Prefer a runtime that lives as
//! long as the process.
//!
//! One provider for one runtime per thread, as in actix-web or a sharded server, needs no more than a
//! clone each:
//!
//! ```
//! use std::thread;
//! use tower_bearer::{BoxError, CachedProvider, Credential, login_fn};
//!
//! let provider = CachedProvider::new(login_fn(|_| async { Ok(Credential::new("abc")?) }));
//! for _ in 0..2 {
//!     let provider = provider.clone();
//!     let shard = thread::spawn(move || {
//!         let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//!         runtime.block_on(provider.acquire())?; // the second finds the first one's credential
//!         Ok::<_, BoxError>(())
//!     });
//!     shard.join().expect("no panic")?;
//! }
//! assert_eq!(provider.snapshot().logins(), 1);
//! assert!(provider.current().is_some()); // both runtimes are gone
//! # Ok::<_, BoxError>(())
//! ```
//!
//! # Name the runtime
//!
//! [`CachedProviderBuilder::runtime`] makes all logins run on one runtime, whichever request starts them:
//!
//! ```
//! use tokio::runtime::Builder;
//! use tower_bearer::{BoxError, CachedProvider, Credential, login_fn};
//!
//! let logins = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
//! let provider = CachedProvider::builder(login_fn(|_| async { Ok(Credential::new("abc")?) }))
//!     .runtime(logins.handle().clone())
//!     .build();
//! let short_lived = Builder::new_current_thread().enable_time().build()?;
//! short_lived.block_on(provider.acquire())?; // waits here; the login runs on `logins`
//! # Ok::<_, BoxError>(())
//! ```
//!
//! | situation | what happens |
//! | --- | --- |
//! | [`current`](crate::CachedProvider::current) in a thread without a runtime, while the credential ages | a background login starts |
//! | a request waits for a login, outside a Tokio runtime | the error of the first table: its deadline needs a timer |
//! | the named runtime is shut down, or has no time driver | each login is lost; none moves to another runtime |
//!
//! # Keep the provider warm
//!
//! Only requests cause logins by default. That does not serve two kinds of program:
//!
//! - A thread that cannot wait for a login, such as a batch exporter, finds no credential after a pause.
//! - A refresh token that expires when nobody uses it is dead after a quiet night. It is used when the
//!   credential ages or ends, so it must live longer than the credential.
//!
//! [`CachedProvider::keep_warm`] is a future that renews without a request. Spawn it where it shall run:
//!
//! ```
//! use std::{sync::mpsc, thread, time::Duration};
//! use tokio::runtime::Builder;
//! use tower_bearer::{BoxError, CachedProvider, Credential, CredentialEvent, login_fn};
//!
//! let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
//! # let (ready, is_ready) = mpsc::channel();
//! let provider = CachedProvider::builder(login_fn(async |_| {
//!     Ok(Credential::new("abc")?.with_lifetime(Duration::from_secs(3600)))
//! }))
//! # .on_event(move |event| if let CredentialEvent::LoggedIn { .. } = event { ready.send(()).unwrap() })
//! .build();
//! runtime.spawn(provider.keep_warm());
//! # is_ready.recv()?;
//!
//! let exporter = thread::spawn(move || {
//!     // No runtime, no waiting.
//!     let Some(authorization) = provider.current() else {
//!         return Err("no credential now: keep the batch, and try again");
//!     };
//!     assert_eq!(authorization.value(), "Bearer abc");
//!     Ok(())
//! });
//! exporter.join().expect("no panic")?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! An [exclusive](crate::Session::Exclusive) session has no credential during each login. Any session has
//! none once its credential is no longer used and logins fail.
//!
//! It is a future and not a setting, so that it runs, and stops, where your program decides. It ends with
//! the last handle of the provider. Its docs have a table of what it does in each state.
//!
//! On a `current_thread` runtime it renews only while `block_on` drives that runtime.
//!
//! # Threads that block
//!
//! A synchronous caller takes the current authorization, or enters a runtime to wait:
//!
//! ```
//! use tokio::runtime::{Builder, Handle};
//! use tower_bearer::{Authorization, BoxError, CachedProvider, Credential, login_fn};
//!
//! /// For a thread that may block: not a worker of the runtime.
//! fn authorization(provider: &CachedProvider, runtime: &Handle) -> Result<Authorization, BoxError> {
//!     match provider.current() {
//!         Some(current) => Ok(current),
//!         None => Ok(runtime.block_on(provider.acquire())?),
//!     }
//! }
//!
//! let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
//! let provider = CachedProvider::new(login_fn(|_| async { Ok(Credential::new("abc")?) }));
//! assert_eq!(authorization(&provider, runtime.handle())?.value(), "Bearer abc");
//! # Ok::<_, BoxError>(())
//! ```
//!
//! A login that calls blocking code belongs in `tokio::task::spawn_blocking`. On a worker it may delay
//! timers too.
//!
//! While the threads of a runtime are blocked, its timers fire late. Then an expired token may still be
//! sent. Its rejection makes the next request log in.
//!
//! # Reading the time
//!
//! Reading a clock costs about as much as the rest of a request. So requests avoid it where possible:
//!
//! - On a runtime of many threads, a small task holds a timer for as long as the credential is in use.
//! - On a `current_thread` runtime there is no such task, and each request reads the monotonic clock.
//! - When the task's runtime is gone, each request reads the clock again.
//! - The wall clock is read every 30 seconds in all three cases. That detects a suspended machine.
//!
//! # Paused time in tests
//!
//! [`SystemClock`] reads Tokio's clock, so `start_paused` and `tokio::time::advance` move the expiry:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{BoxError, CachedProvider, Credential, login_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! let provider = CachedProvider::new(login_fn(|_| async {
//!     Ok(Credential::new("abc")?.with_lifetime(Duration::from_secs(3600)))
//! }));
//! provider.acquire().await?;
//! tokio::time::advance(Duration::from_secs(3600)).await;
//! assert!(provider.current().is_none());
//! # Ok(()) }
//! ```
//!
//! Timeouts of logins follow Tokio's clock as well. Do not share a provider between a paused runtime
//! and another: a login may seem overdue to the paused one. For a clock that you move by hand, see
//! [`Clock`].
//!
//! # What a clone costs
//!
//! Clones of a provider share one cache, and clones of a service share the provider.
//!
//! | how you use the service | what its requests share with other threads |
//! | --- | --- |
//! | one long-lived service per task or thread | after two requests in a row with one credential: no reference count |
//! | a clone for each request, or a clone of a clone, as axum's `State` makes | no reference count: the clones of a thread have theirs |
//! | clones of those | reference counts with the clone that they were made of |
//! | `layer.layer(client)` for each request | a reference count with all threads: make the service once, and clone it |
//!
//! A service that is used again keeps a copy of the token for itself. A clone starts without one, since
//! it may be there for a single request. The clones that a thread makes have a copy in common, once they
//! have sent a token eight times in a row. Up to 16 threads have reference counts of their
//! own; beyond that, threads share.
//!
//! Beyond the bare service and with default settings, a request through a long-lived service costs 603
//! instructions. Through a clone per request it costs 778. Neither allocates. (Measured with four
//! headers and a token of 1,024 bytes, on two cores; `cargo bench` measures it again.)
//!
//! An idle service keeps its copy of an old token until it has sent two requests with a newer one, or is
//! dropped. The clones of a thread drop theirs when one of them asks for a token.
//!
//! A clone of a service also clones the client inside, which may cost more than all of this.
//! [`internals`] explains how the sharing works.
//!
//! [`internals`]: crate::guide::internals
//! [timeout]: crate::CachePolicy::login_timeout
//! [`CachedProviderBuilder::runtime`]: crate::CachedProviderBuilder::runtime
//! [`CachedProvider::keep_warm`]: crate::CachedProvider::keep_warm
//! [`Recovery::FixProgram`]: crate::Recovery::FixProgram
//! [`SystemClock`]: crate::SystemClock
//! [`Clock`]: crate::Clock
