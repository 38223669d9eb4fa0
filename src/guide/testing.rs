//! After this page you can test code that uses this crate, without a network and without waiting.
//!
//! The doubles are in [`test_util`], behind a feature that only your tests need:
//!
//! ```toml
//! [dev-dependencies]
//! tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }
//! tower = { version = "0.5", features = ["util"] }
//! tower-bearer = { version = "0.2", features = ["test-util"] }
//! ```
//!
//! | to test | use |
//! | --- | --- |
//! | whether your requests carry a token | [`ScriptedProvider`], or a [`StaticProvider`](crate::StaticProvider) |
//! | a replay | [`ScriptedProvider`] with two tokens |
//! | expiry, logins and their failures | [`CachedProvider`](crate::CachedProvider) with a [`ScriptedLogin`] and a clock |
//! | your own [`Login`](crate::Login) | call it, with a [`LoginRequest`](crate::LoginRequest::with_refresh_token) |
//!
//! Each example below is the body of a test. Tower's `service_fn` stands in for the API.
//!
//! # A rejected token and its replay
//!
//! A [`ScriptedProvider`] goes through a list of tokens: each rejection makes the next one current.
//! It records the receipts of accepted and rejected requests.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{BearerAuthLayer, Origins, ReplayWith, test_util::ScriptedProvider};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_bearer::BoxError> {
//!
//! let api = tower::service_fn(async |request: Request<()>| {
//!     let is_good = request.headers()["authorization"] == "Bearer second";
//!     Response::builder().status(if is_good { 200 } else { 401 }).body(())
//! });
//! let provider = ScriptedProvider::new(["first", "second"])?;
//! let layer = BearerAuthLayer::new(provider.clone(), Origins::new(["https://api.example.com"])?)
//!     .replay(ReplayWith(|(): &()| Some(())));
//!
//! let request = Request::get("https://api.example.com/things").body(())?;
//! let response = layer.layer(api).oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!((provider.rejected().len(), provider.accepted().len()), (1, 1));
//! assert_eq!(layer.replays(), 1);
//! # Ok(()) }
//! ```
//!
//! # Expiry and refresh
//!
//! A [`ScriptedLogin`] hands out `token-1`, `token-2` and so on. A [`TestClock`] stands still until
//! you move it:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{CachedProvider, test_util::{ScriptedLogin, TestClock}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_bearer::BoxError> {
//!
//! let login = ScriptedLogin::new().with_lifetime(Duration::from_secs(3600));
//! let clock = TestClock::new();
//! let provider = CachedProvider::builder(login.clone()).clock(clock.clone()).build();
//! assert_eq!(provider.acquire().await?.value(), "Bearer token-1");
//! clock.advance(Duration::from_secs(3500));
//! assert_eq!(provider.acquire().await?.value(), "Bearer token-1");
//! clock.advance(Duration::from_secs(100));
//! assert_eq!(provider.acquire().await?.value(), "Bearer token-2");
//! login.assert_logins(2); // panics also if two ever ran at once
//! # Ok(()) }
//! ```
//!
//! # A failing login
//!
//! Fix the [random numbers], so that each pause has its full length. Then the test knows when the
//! next attempt is made:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{CachedProvider, LoginError, test_util::{ScriptedLogin, TestClock}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_bearer::BoxError> {
//!
//! let (login, clock) = (ScriptedLogin::new(), TestClock::new());
//! let provider =
//!     CachedProvider::builder(login.clone()).clock(clock.clone()).random(|| 1.0).build();
//!
//! login.fail_with(|| LoginError::permanent("wrong password").into());
//! let error = provider.acquire().await.unwrap_err();
//! assert!(error.is_login_failed());
//!
//! login.recover(); // the password is right again, but the pause lasts
//! clock.advance(Duration::from_secs(14 * 60));
//! assert!(provider.acquire().await.is_err());
//! login.assert_logins(1);
//! clock.advance(Duration::from_secs(60));
//! assert_eq!(provider.acquire().await?.value(), "Bearer token-2"); // failed logins count
//! # Ok(()) }
//! ```
//!
//! # A crowd at one login
//!
//! With Tokio's time paused, a slow login costs no time, and its order is the same in each run. In
//! your tests write `#[tokio::test(start_paused = true)]`:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{CachedProvider, test_util::ScriptedLogin};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_bearer::BoxError> {
//!
//! let login = ScriptedLogin::new().with_delay(Duration::from_secs(5));
//! let provider = CachedProvider::new(login.clone()); // the default clock follows Tokio's
//! let crowd: Vec<_> = (0..100).map(|_| tokio::spawn(provider.acquire())).collect();
//! for request in crowd {
//!     assert_eq!(request.await??.value(), "Bearer token-1");
//! }
//! login.assert_logins(1);
//! # Ok(()) }
//! ```
//!
//! # Which clock
//!
//! | in the test | clock |
//! | --- | --- |
//! | no time passes | none: leave the default |
//! | tokens expire, pauses end | [`TestClock`] |
//! | a login takes long, hangs or times out | Tokio's paused time, and the default clock |
//! | both | Tokio's paused time, and the default clock; move it by `tokio::time::advance` |
//! | the machine sleeps, or its wall clock is set | [`TestClock::jump_wall`] |
//!
//! # Common traps
//!
//! - *The two clocks do not know each other.* A `TestClock` moves no Tokio timer, such as the login's
//!   timeout. Paused time moves no `TestClock`. Use only one of them in each test.
//! - *Paused time runs ahead.* If every task waits, Tokio jumps to the next timer. A [gated] login
//!   then times out at once if its gate stays closed. Open the gate, or do not pause time.
//! - *A login is a task of its own.* A background login starts with a request and ends later: call
//!   `tokio::task::yield_now().await` before you look at the count.
//! - *The wall clock is not paused.* The default clock reads the system's wall clock even if Tokio's
//!   time is paused. Paused hours therefore pass for the monotonic clock alone.
//!   [Runtimes](crate::guide::runtimes) says more about paused time.
//! - *Generations are numbers of the process.* Compare them with each other, never with a constant:
//!   tests run side by side.
//! - *A foreign origin gets no token.* If `headers()["authorization"]` panics in your stand-in, the
//!   request's URI is not among the [`Origins`](crate::Origins).
//! - *A 401 without a replay policy* reaches the caller, and only the next request logs in.
//!
//! Two other pages have tests of this kind: [exclusive or
//! concurrent](crate::guide::exclusive_or_concurrent), and [contention](crate::guide::contention), which
//! plays a second client.
//!
//! [`test_util`]: https://docs.rs/tower-bearer/latest/tower_bearer/test_util/index.html
//! [`ScriptedLogin`]: https://docs.rs/tower-bearer/latest/tower_bearer/test_util/struct.ScriptedLogin.html
//! [`ScriptedProvider`]: https://docs.rs/tower-bearer/latest/tower_bearer/test_util/struct.ScriptedProvider.html
//! [`TestClock`]: https://docs.rs/tower-bearer/latest/tower_bearer/test_util/struct.TestClock.html
//! [`TestClock::jump_wall`]: https://docs.rs/tower-bearer/latest/tower_bearer/test_util/struct.TestClock.html#method.jump_wall
//! [gated]: https://docs.rs/tower-bearer/latest/tower_bearer/test_util/struct.ScriptedLogin.html#method.gated
//! [random numbers]: https://docs.rs/tower-bearer/latest/tower_bearer/struct.CachedProviderBuilder.html#method.random
