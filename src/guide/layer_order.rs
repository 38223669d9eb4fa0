//! After this page you can put each layer of your stack on the right side of this one, and say what
//! changes on the other side.
//!
//! ```text
//! request
//!   │
//! Trace              one span for each call, its wait for a login included
//! Timeout            bounds the whole call, waits and retries included
//! Retry              each attempt gets the token that is current then
//! Buffer, RateLimit  requests queue here, and get their token afterwards
//! LoadShed           sheds requests that the next layer cannot take now
//! ConcurrencyLimit   bounds all calls, waiting ones included
//! FollowRedirect     each hop is a request of its own for the layer below
//!   │
//! BearerAuth         outside: no layer sees the token
//!   │                inside: every layer sees it, marked as sensitive
//! ConcurrencyLimit   bounds the requests at the API; a waiting request holds no slot
//! Timeout            bounds each exchange with the API, and no login
//! Buffer             around what is not `Clone`: Hedge, Balance, a single connection
//! Hedge, Balance     see exchanges only: a wait for a login is no slow answer
//! Trace              one span for each exchange, a replay included
//!   │
//! client
//! ```
//!
//! A stack needs few of these. All 720 orders of this layer with Buffer, ConcurrencyLimit, Timeout,
//! Retry and RateLimit work (`tests/stacks.rs`). The order decides what each layer counts, bounds and
//! sees. Each row is a test with these figures (`tests/layer_order.rs`):
//!
//! | layer | outside `BearerAuth` | inside |
//! | --- | --- | --- |
//! | FollowRedirect, to another host that answers 401 | **right**: the other host gets no token, and its 401 costs no login | tower-http removes `authorization` but no other header; the 401 costs a login |
//! | Retry, while the token is replaced | **right**: the attempts carry tokens 1 and 2; failed logins are retried too | both attempts carry token 1; failed logins are not retried |
//! | Timeout of 1 s, login of 3 s | fails after 1 s; the login goes on, and later requests find its token | passes: each exchange has its own second, and [`login_timeout`](crate::CachePolicy::login_timeout) bounds the wait |
//! | ConcurrencyLimit of 1, login of 3 s, answers of 1 s | the request behind a waiting one is answered after 5 s, even if it needs no token | after 1 s: a waiting request holds no slot |
//! | RateLimit of 1 per second | [no token dies](#buffer) while its request is queued; a replay is not counted, and five requests that wait for a login are sent in the same second | a replay counts as another request, and five waiting requests are sent in five seconds; [tokens die](#buffer) in a longer queue |
//! | LoadShed over a limit of 5, with 20 requests | **right**: either [20 answers, or 5 and 15 errors at once](#loadshed-and-limits) | 15 errors after the wait for a login |
//! | Buffer | its worker waits for no login, and a failed login does not close it | around a service that is not `Clone`; [a queue in it](#buffer) sends dead tokens |
//! | Hedge after 100 ms, login of 1 s, answer of 50 ms | sends the request twice | **right**: sends it once; a slow answer causes two requests with the same token |
//! | Balance over two endpoints | a replay waits for the endpoint that rejected it | **right**: a replay may go to the other endpoint. Both ways, one login serves both endpoints |
//! | Trace, with one replay | one span; no token in sight | two spans; the token prints as `Sensitive` |
//! | a cache of responses, with two accounts | gives the answer for one account to the other | **right**: it sees the header |
//!
//! # Retry
//!
//! A retry inside copies a request that already has its header. If the token is replaced between two
//! attempts, the second attempt carries the old token. A retry outside copies the caller's request, and
//! each attempt gets the current token. In this example each exchange replaces the token:
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
//! `BoxService`, an HTTP/1 sender, Hedge, Balance.
//!
//! A request gets its token before it enters that Buffer. If it queues there for longer than the token
//! lives, it carries a dead token. Here a token lives for 3 s, the client takes one request per second,
//! and six requests come at once:
//!
//! | layers, outermost first | requests with a dead token |
//! | --- | --- |
//! | BearerAuth, Buffer of 6, RateLimit | 3 of 6 |
//! | BearerAuth, Buffer of 1, RateLimit | 2 of 6 |
//! | BearerAuth, ConcurrencyLimit of 1, Buffer of 1, RateLimit | 1 of 6 |
//! | **Buffer, RateLimit, BearerAuth** | 0 of 6 |
//! | BearerAuth, Buffer of 6, one connection | 3 of 6 |
//! | **BearerAuth, ConcurrencyLimit of 1, Buffer of 1, one connection** | 0 of 6 |
//! | Buffer of 6, BearerAuth, ConcurrencyLimit of 1 | 0 of 6 |
//!
//! So let requests queue before they get their token. Put a RateLimit outside, and the Buffer around
//! it. The rate then holds on average only: the table above shows what is not counted.
//!
//! ```
//! # use http::{Request, Response}; use tower::{ServiceBuilder, ServiceExt};
//! # use tower_bearer::{BearerAuthLayer, BoxError, Origins, StaticProvider};
//! # use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let client = tower::service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
//! # let bearer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https());
//! let client = ServiceBuilder::new()
//!     .buffer(64)
//!     .rate_limit(10, Duration::from_secs(1))
//!     .layer(bearer)
//!     .service(client);
//! # client.oneshot(Request::new(())).await?;
//! # Ok(()) }
//! ```
//!
//! Over a client that takes few requests at once, put a ConcurrencyLimit of that many on the Buffer.
//! Requests then queue for the limit:
//!
//! ```
//! # use http::{Request, Response}; use tower::{ServiceBuilder, ServiceExt, util::BoxService};
//! # use tower_bearer::{BearerAuthLayer, BoxError, Origins, StaticProvider};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let connection = tower::service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
//! # let bearer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https());
//! let client = ServiceBuilder::new()
//!     .layer(bearer)
//!     .concurrency_limit(1)
//!     .buffer(1)
//!     .service(BoxService::new(connection));
//! # client.oneshot(Request::new(())).await?;
//! # Ok(()) }
//! ```
//!
//! If a RateLimit must count each exchange, leave it inside, and set a
//! [`margin`](crate::CachePolicy::margin) longer than its queue. Say that tokens live for 12 s, and
//! that six requests come just before the margin. With the default margin of 1.2 s, 4 of 6 carry a
//! dead token. With a margin of 6 s, none does. A margin cannot exceed half of the lifetime.
//!
//! # Two layers
//!
//! Some APIs want two tokens, such as `authorization` and `x-session`. Use two layers, and name the
//! second header with [`with_header_name`](crate::BearerAuthLayer::with_header_name). Each has its own
//! provider and replays:
//!
//! ```
//! # use http::{HeaderName, Request, Response}; use tower::{ServiceBuilder, ServiceExt};
//! # use tower_bearer::{BearerAuthLayer, BoxError, Origins, StaticProvider};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let client = tower::service_fn(|request: Request<()>| async move {
//! #     assert_eq!(format!("{:?}", request.headers()), r#"{"x-session": Sensitive, "authorization": Sensitive}"#);
//! #     Ok::<_, BoxError>(Response::new(()))
//! # });
//! # let session = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https());
//! # let bearer = session.clone();
//! let client = ServiceBuilder::new()
//!     .layer(session.with_header_name(HeaderName::from_static("x-session")))
//!     .layer(bearer)
//!     .service(client);
//! # client.oneshot(Request::new(())).await?;
//! # Ok(()) }
//! ```
//!
//! A request is sent three times at most, even if everything is rejected:
//!
//! | dead tokens | sends | logins, if the API says which token is dead | if it does not |
//! | --- | --- | --- | --- |
//! | none | 1 | none | none |
//! | the inner one | 2 | 1 | 1 |
//! | the outer one | 2, or 3 if the API does not say | 1 | 2, one of them useless |
//! | both | 3 | 2 | 2; for ten requests at once 3 |
//!
//! If a status or header says which token is dead, give each layer its own
//! [`rejected_if`](crate::BearerAuthLayer::rejected_if). If nothing says it, put the layer whose tokens
//! die more often inside: the inner layer logs in first.
//!
//! Both layers read the request's [`PerRequest`](crate::PerRequest). The receipt in it is the inner
//! layer's. So a caller cannot report the outer token by hand.
//!
//! If both layers have the same header, the outer one's token is sent. The inner one takes it for the
//! caller's: it never logs in, and counts a bare request. The receipt is the outer layer's. So two APIs
//! may have a layer each in one stack. Clones of one layer leave no receipt there. A caller that judges
//! the response itself gets the inner layer's report of a rejection:
//! [`NotReplayed::CallersHeader`](crate::NotReplayed::CallersHeader).
//!
//! A request has one more send at most for each layer. With three layers, one that an outer layer
//! replays after an inner replay is not replayed by any inner layer: the caller may get a rejection
//! that one more attempt would avoid.
//!
//! # A layer that may be absent
//!
//! With the layer, the error of a stack is a [`BoxError`](crate::BoxError). Without it, the error is
//! the client's own. So put `map_err(BoxError::from)` beneath tower's `option_layer`:
//!
//! ```
//! # use http::{Request, Response}; use tower::{ServiceBuilder, ServiceExt};
//! # use tower_bearer::{BearerAuthLayer, BoxError, Origins, StaticProvider};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let client = tower::service_fn(|request: Request<()>| async move {
//! #     Ok::<_, std::io::Error>(Response::new(request.headers().get("authorization").cloned()))
//! # });
//! let bearer = |token: Option<&str>| -> Result<Option<BearerAuthLayer<StaticProvider>>, BoxError> {
//!     let Some(token) = token else { return Ok(None) };
//!     Ok(Some(BearerAuthLayer::new(StaticProvider::new(token)?, Origins::any_https())))
//! };
//! for (token, sent) in [(Some("abc"), Some("Bearer abc")), (None, None)] {
//!     let client = ServiceBuilder::new()
//!         .option_layer(bearer(token)?)
//!         .map_err(BoxError::from)
//!         .service(client);
//!     let response = client.oneshot(Request::new(())).await?;
//!     assert_eq!(response.body().as_ref().map(|it| it.to_str()).transpose()?, sent);
//! }
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
