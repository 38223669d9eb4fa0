//! After this page you can call an API from an axum handler, or put an axum gateway in front of it.
//!
//! # What to type
//!
//! Keep the client in the state. axum clones it for each request, and the clones share the token:
//!
//! ```
//! use axum::{Router, body::Body, extract::State, http::StatusCode, response::Response, routing::get};
//! use http::Request;
//! use hyper_util::client::legacy::{Client, connect::HttpConnector};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{BearerAuth, BearerAuthLayer, CachedProvider};
//!
//! type Api = BearerAuth<Client<HttpConnector, Body>>;
//!
//! async fn things(State(api): State<Api>) -> Result<Response, StatusCode> {
//!     let request = Request::get("https://api.example.com/things").body(Body::empty());
//!     let request = request.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
//!     let response = api.oneshot(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
//!     Ok(response.map(Body::new))
//! }
//!
//! # fn app(layer: BearerAuthLayer<CachedProvider>, http: Client<HttpConnector, Body>) -> Router {
//! let app = Router::new().route("/", get(things)).with_state(layer.layer(http));
//! # app }
//! # let _ = app;
//! ```
//!
//! `examples/axum_gateway.rs` is a whole program of this kind. A real API needs an HTTPS connector:
//! [HTTPS for logins](super::https_logins) has one.
//!
//! # A service to copy
//!
//! These 89 lines add replays, statuses for failures, and a gateway. `tests/stacks.rs` runs them over
//! sockets:
//!
//! ```
#![doc = include_str!("../../tests/recipes/axum.rs")]
//!
//! # use axum::{Router, body::Bytes, routing::post};
//! # fn app(provider: CachedProvider) -> Result<Router, BoxError> {
//! let app = Router::new()
//!     .route("/create", post(create))
//!     .route("/upload", post(pass_on::<Body>)) // streams
//!     .fallback(pass_on::<Bytes>) // replayed
//!     .with_state(Api::new("https://api.example.com", provider)?);
//! # Ok(app) }
//! # let _ = app;
//! ```
//!
//! - **The user's own authorization** is for this service. The gateway passes on only the headers that it
//!   names, so neither this header nor a cookie reaches the API. If you pass on all headers, add
//!   [`replacing_callers_header`]: otherwise the user's header wins, and the API gets it.
//! - **The host** comes from the configuration, and only the path from the user. The origins are
//!   [`strict`](crate::Origins::strict): no request leaves without a token.
//!
//! # What is replayed
//!
//! | body | after a revocation |
//! | --- | --- |
//! | none, or made from bytes or text, up to 64 KiB | replayed: of 100 requests at once, none failed, and they cost one login |
//! | `pass_on::<Bytes>`: axum reads the whole body first, up to its limit of 2 MB | the same, up to 64 KiB |
//! | longer than the limit of the policy | sent once: rejected once |
//! | `pass_on::<Body>`: a stream | sent once, unless all of it is there at once |
//!
//! # What a handler answers
//!
//! | what happened | the handler sees | the service above answers |
//! | --- | --- | --- |
//! | The login failed, and may succeed later. | an [`Error`](crate::Error) with [`TryAgain`](crate::Recovery::TryAgain) | 503, with `Retry-After` |
//! | The password is wrong, or the program is. | an [`Error`](crate::Error) with another recovery | 500: log it |
//! | The API cannot be reached. | the client's error | 502 |
//! | A request was rejected that could not be replayed. | a [`RejectionReport`](crate::RejectionReport) with [`BodyNotKept`](crate::NotReplayed::BodyNotKept) | 503: the user may send it again |
//! | Every token is rejected. | a [`RejectionReport`](crate::RejectionReport) | 502 |
//!
//! Never pass the API's 401 on: the user would believe that their own login has ended. When you log an
//! error, log its [sources](std::error::Error::source) too, for its text leaves them out.
//!
//! # Where timeouts go
//!
//! | timeout | what it bounds |
//! | --- | --- |
//! | tower-http's `TimeoutLayer` around the router | the whole handler, with its wait for a login. It drops the request, but the login continues: the next request finds its token. |
//! | tower's `Timeout` around the client, inside of this layer | each exchange, and a replay anew; no wait for a login |
//! | [`login_timeout`](crate::CachePolicy::login_timeout) | the login |
//!
//! [`replacing_callers_header`]: crate::BearerAuthLayer::replacing_callers_header
