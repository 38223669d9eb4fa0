//! After this page you can put each layer of your stack on the right side of this one, and say what
//! changes on the other side.
//!
//! ```text
//! request
//!   │
//! Trace              one span for each call, its wait for a login included
//! Timeout            bounds the whole call, waits and retries included
//! Retry              each attempt gets the token that is current then
//! LoadShed           sheds requests that the next layer cannot take now
//! ConcurrencyLimit   bounds all calls, waiting ones included
//! FollowRedirect     each hop is a request of its own for the layer below
//!   │
//! BearerAuth         outside: no layer sees the token
//!   │                inside: every layer sees it, marked as sensitive
//! ConcurrencyLimit   bounds the requests at the API; a waiting request holds no slot
//! RateLimit          the same; a Buffer around it makes it `Clone`
//! Timeout            bounds each exchange with the API, and no login
//! Trace              one span for each exchange, a replay included
//!   │
//! client
//! ```
//!
//! A stack needs few of these. All 720 orders of this layer with Buffer, ConcurrencyLimit, Timeout,
//! Retry and RateLimit work (`tests/stacks.rs`). The order decides what each layer counts, bounds and
//! sees:
//!
//! | layer | outside `BearerAuth` | inside |
//! | --- | --- | --- |
//! | FollowRedirect | **right**: each hop is checked against the [origins](crate::guide::origins) | its policy decides whether the token travels on; a 401 of the other host counts as a rejection |
//! | Retry | **right**: a retry gets the current token | a retry carries the first attempt's token |
//! | Timeout | covers the wait for a login; the login itself goes on for others | covers each exchange only; [`login_timeout`](crate::CachePolicy::login_timeout) bounds the wait |
//! | ConcurrencyLimit, RateLimit | counts waiting requests, and a replay as part of its request | counts what is sent: a replay counts as another request |
//! | LoadShed | **right**: sheds requests beyond the limit beneath it | sheds requests that have just waited for a login |
//! | Buffer | its worker never waits for a login, and a failed login never closes it | **right** where a service is not `Clone` |
//! | Trace | one span; no token in sight | a span for each exchange; the token prints as `Sensitive` |
//! | a cache of responses | sees no `authorization`, so it may mix accounts | **right**: it sees the header |
//!
//! # Retry
//!
//! A retry inside copies a request that already has its header. If the token is replaced between two
//! attempts, the second attempt carries the old token. A retry outside copies the caller's request, and
//! each attempt gets the current token. In this example each answer replaces the token:
//!
//! ```
//! # use std::future::{Ready, ready}; use http::{Request, Response}; use tower::{Layer, ServiceExt, retry::{Policy, Retry}};
//! # use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Origins, test_util::ScriptedLogin};
//! # #[derive(Clone)] struct Once(bool);
//! # impl<B, E> Policy<Request<()>, Response<B>, E> for Once {
//! #     type Future = Ready<()>;
//! #     fn retry(&mut self, _: &mut Request<()>, _: &mut Result<Response<B>, E>) -> Option<Ready<()>> { std::mem::take(&mut self.0).then(|| ready(())) }
//! #     fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> { Some(request.clone()) }
//! # }
//! # let stack = || {
//! #     let provider = CachedProvider::new(ScriptedLogin::new());
//! #     let of_api = provider.clone();
//! #     let api = tower::service_fn(move |request: Request<()>| { of_api.reset(); ready(Ok::<_, BoxError>(Response::new(request.headers()["authorization"].clone()))) });
//! #     (BearerAuthLayer::new(provider, Origins::any_https()), api)
//! # };
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let (bearer, api) = stack();
//! let outside = Retry::new(Once(true), bearer.layer(api));
//! assert_eq!(outside.oneshot(Request::new(())).await?.body(), "Bearer token-2");
//!
//! let (bearer, api) = stack();
//! let inside = bearer.layer(Retry::new(Once(true), api));
//! assert_eq!(inside.oneshot(Request::new(())).await?.body(), "Bearer token-1");
//! # Ok::<_, BoxError>(()) })?; Ok::<_, BoxError>(())
//! ```
//!
//! Leave rejections to a [replay policy](crate::guide::rejections). A Retry outside also sees failed
//! logins. Let it give up on them until [`next_attempt`](crate::Error::next_attempt).
//!
//! # LoadShed and limits
//!
//! Twenty requests come at once, before there is a token. The limit is five. The login takes a second,
//! and so does each answer. The results are the number of answers, and the seconds after which the
//! other requests failed:
//!
//! ```
//! # use http::{Request, Response}; use tower::{Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer};
//! # use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Origins, test_util::ScriptedLogin};
//! # async fn send_20<S: Service<Request<()>, Error = BoxError, Response: Send, Future: Send> + Clone + Send + 'static>(stack: S) -> (usize, Option<u64>) {
//! #     let start = tokio::time::Instant::now();
//! #     let calls = [(); 20].map(|()| stack.clone().oneshot(Request::new(())));
//! #     let calls = calls.map(|call| tokio::spawn(async move { (call.await.is_ok(), start.elapsed().as_secs()) }));
//! #     let (mut answered, mut failed_after) = (0, None);
//! #     for call in calls {
//! #         match call.await.unwrap() { (true, _) => answered += 1, (false, after) => failed_after = Some(after) }
//! #     }
//! #     (answered, failed_after)
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! # use tokio::time::{Duration, sleep}; const SECOND: Duration = Duration::from_secs(1);
//! # let bearer = || BearerAuthLayer::new(CachedProvider::new(ScriptedLogin::new().with_delay(SECOND)), Origins::any_https());
//! # let client = tower::service_fn(|_: Request<()>| async { sleep(SECOND).await; Ok::<_, BoxError>(Response::new(())) });
//! # let (shed, limit) = (LoadShedLayer::new(), ConcurrencyLimitLayer::new(5));
//! // Waiting requests hold no slot: all are admitted, and queue for the API after the login.
//! let queues = ServiceBuilder::new().layer(shed.clone()).layer(bearer()).layer(limit.clone());
//! assert_eq!(send_20(queues.service(client)).await, (20, None));
//!
//! // Waiting requests hold a slot: fifteen fail at once.
//! let bounded = ServiceBuilder::new().layer(shed.clone()).layer(limit.clone()).layer(bearer());
//! assert_eq!(send_20(bounded.service(client)).await, (5, Some(0)));
//!
//! // Wrong: all twenty wait for the login, and then fifteen fail.
//! let sheds_late = ServiceBuilder::new().layer(bearer()).layer(shed).layer(limit);
//! assert_eq!(send_20(sheds_late.service(client)).await, (5, Some(1)));
//! # Ok::<_, BoxError>(()) })?; Ok::<_, BoxError>(())
//! ```
//!
//! A request that must wait gives back the slot that `poll_ready` reserved. So a login may go through
//! the same limit, even one with a single slot, without a deadlock. It must not go through `BearerAuth`
//! itself: that is an error.
//!
//! # Timeout
//!
//! A Timeout outside drops a request that waits too long. The login goes on, and a later request finds
//! its token.
//!
//! # Buffer
//!
//! The inner service of `BearerAuth` must be `Clone`. Put tower's Buffer around any other service:
//! RateLimit, `BoxService`, an HTTP/1 sender. Over a client whose error is not
//! [`BoxError`](crate::BoxError), `option_layer` needs a `map_err(BoxError::from)` beneath.
//!
//! ```
//! # use http::{Request, Response}; use tower::{Layer, ServiceExt, buffer::Buffer};
//! # use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Origins, PerRequest, test_util::ScriptedLogin};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let client = tower::service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
//! # let login = ScriptedLogin::gated();
//! # let bearer = BearerAuthLayer::new(CachedProvider::new(login.clone()), Origins::any_https());
//! let outside = Buffer::new(bearer.layer(client), 1);
//! let waits = tokio::spawn(outside.clone().oneshot(Request::new(()))); // its login hangs
//! # while login.started() == 0 { tokio::task::yield_now().await; }
//! let mut bare = Request::new(());
//! bare.extensions_mut().insert(PerRequest::bare());
//! outside.oneshot(bare).await?; // and delays no other request
//! assert!(!waits.is_finished());
//! # Ok(()) }
//! ```
//!
//! # Trace
//!
//! A layer outside sees neither token nor replay:
//!
//! ```
//! # use std::sync::{Arc, atomic::{AtomicUsize, Ordering::SeqCst}};
//! # use http::{Request, Response, StatusCode}; use tower::{ServiceBuilder, ServiceExt};
//! # use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Origins, ReplayWith, test_util::ScriptedLogin};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let bearer = BearerAuthLayer::new(CachedProvider::new(ScriptedLogin::new()), Origins::any_https());
//! # let bearer = bearer.replay(ReplayWith(|(): &()| Some(())));
//! # let api = tower::service_fn(|request: Request<()>| async move {
//! #     let is_good = request.headers()["authorization"] == "Bearer token-2";
//! #     Response::builder().status(if is_good { 200 } else { 401 }).body(()).map_err(BoxError::from)
//! # });
//! # let (seen, [outside, inside]) = { let seen = [(); 2].map(|()| Arc::new(AtomicUsize::new(0))); (seen.clone(), seen) };
//! let stack = ServiceBuilder::new()
//!     .map_request(move |request: Request<()>| {
//!         outside.fetch_add(1, SeqCst);
//!         assert!(request.headers().is_empty());
//!         request
//!     })
//!     .layer(bearer)
//!     .map_request(move |request: Request<()>| {
//!         inside.fetch_add(1, SeqCst);
//!         assert_eq!(format!("{:?}", request.headers()), r#"{"authorization": Sensitive}"#);
//!         request
//!     })
//!     .service(api); // rejects the first token
//! assert_eq!(stack.oneshot(Request::new(())).await?.status(), StatusCode::OK);
//! assert_eq!(seen.map(|it| it.load(SeqCst)), [1, 2]);
//! # Ok(()) }
//! ```
