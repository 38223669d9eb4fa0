//! After this page you can replace another authorization layer with this one, and know what changes.
//!
//! | you have | you need | see |
//! | --- | --- | --- |
//! | tower-http's `AddAuthorizationLayer::bearer` | [`StaticProvider`](crate::StaticProvider), or a [`CachedProvider`](crate::CachedProvider) if the token expires | [below](#from-tower-http) |
//! | tower-http's `AddAuthorizationLayer::basic` | keep it: Basic has no token to renew | |
//! | tower-http's `AsyncRequireAuthorizationLayer` or `ValidateRequestHeaderLayer` | keep it: it checks requests that a *server* receives | |
//! | tower-http's `SetRequestHeaderLayer` with a closure | [`CachedProvider`](crate::CachedProvider): the closure cannot wait for a login | [below](#from-tower-http) |
//! | tower's `AsyncFilterLayer` that awaits a token | [`CachedProvider`](crate::CachedProvider) | [below](#from-a-hand-written-layer) |
//! | tower's `RetryLayer` for 401 | a [replay policy](crate::Replay) | [below](#from-a-hand-written-layer) |
//! | a tonic interceptor | the layer around the channel, with [`ReplayReady`](crate::ReplayReady) | |
//! | kube's own authentication | keep it, unless the token comes from elsewhere | [below](#from-kube) |
//!
//! # From tower-http
//!
//! ```
//! use tower_bearer::{BearerAuthLayer, Origins, StaticProvider};
//! use tower_http::auth::AddAuthorizationLayer;
//!
//! let token = "94fa500c0fbd1214";
//! // before
//! let layer = AddAuthorizationLayer::bearer(token).as_sensitive(true);
//! # let _ = layer;
//! // after
//! let origins = Origins::new(["https://api.example.com"])?;
//! let layer = BearerAuthLayer::new(StaticProvider::new(token)?, origins)
//!     .replacing_callers_header();
//! # let _ = layer;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! | | `AddAuthorizationLayer` | this layer |
//! | --- | --- | --- |
//! | goes to | every host; under a `FollowRedirectLayer`, also the target of a redirect | the [`Origins`](crate::Origins) alone; other requests go without a token |
//! | an unusable token | panics | an [`InvalidToken`](crate::InvalidToken) |
//! | `Debug` and HTTP/2 compression | show and index the token, unless `as_sensitive(true)` | never |
//! | a header that the caller has set | replaced | kept, unless [`replacing_callers_header`](crate::BearerAuthLayer::replacing_callers_header) |
//! | the service's error | the wrapped service's own type | [`BoxError`](crate::BoxError), with the wrapped service's error inside, unchanged |
//! | the wrapped service | any | `Clone`; put a tower `BufferLayer` around any other |
//! | a 401 | passes | passes with a [`RejectionReport`](crate::RejectionReport) |
//!
//! The error's type breaks the build most often. Code that matched on the client's error now calls
//! `error.downcast_ref::<hyper_util::client::legacy::Error>()`.
//!
//! # From kube
//!
//! kube's client authenticates by itself: it reads token files again, runs exec plugins and renews
//! OIDC tokens, each by the expiry it knows. If that is your case, keep it. Use this layer if the
//! token comes from elsewhere, such as a gateway's login. Use it also if a 401 must lead to a replay.
//!
//! - Leave token, token file and exec plugin out of kube's `Config`. kube's layer sits closer to the
//!   wire and replaces the header, so its token would win.
//! - In a stack of your own, put this layer where `config.auth_layer()` was, under
//!   `config.base_uri_layer()`. There the URI names the host, and the origins apply. Around kube's
//!   default stack the URI is a path, which all [`Origins`](crate::Origins) allow.
//! - kube's default stack is a `BoxService`, which is not `Clone`. Put a `BufferLayer` under this layer.
//! - kube's `Body` has no `Default`. Replay with `.replay_with(Body::try_clone)`.
//!
//! The stack below has the same shape, with stand-ins for kube's types. `TokenFile` (feature `files`) reads a
//! projected token file as kube does, and keeps the last good token if a read fails:
//! [the page on files](super::files).
//!
//! ```
//! use http::{Request, Response};
//! use tower::{BoxError, ServiceBuilder, ServiceExt, buffer::BufferLayer, util::BoxService};
//! use tower_bearer::{BearerAuthLayer, CachedProvider, Origins, TokenFile};
//!
//! struct Body(&'static str); // as kube's, neither `Clone` nor `Default`
//! # impl Body { fn try_clone(&self) -> Option<Self> { Some(Self(self.0)) } }
//!
//! # #[tokio::main] async fn main() -> Result<(), BoxError> {
//! # let path = std::env::temp_dir().join(format!("tower-bearer-guide-{}", std::process::id()));
//! # std::fs::write(&path, "abc\n")?;
//! # let stack = BoxService::new(tower::service_fn(async |request: Request<Body>| {
//! #     assert_eq!(request.headers()["authorization"], "Bearer abc");
//! #     Ok::<_, BoxError>(Response::new(request.into_body().0))
//! # }));
//! # let file = path.clone();
//! let provider = CachedProvider::new(TokenFile::new(path));
//! let layer = BearerAuthLayer::new(provider, Origins::new(["https://cluster.example.com"])?)
//!     .replay_with(Body::try_clone);
//! let client = ServiceBuilder::new().layer(layer).layer(BufferLayer::new(1024)).service(stack);
//! # let request = Request::get("https://cluster.example.com/api").body(Body("pods"))?;
//! # assert_eq!(client.oneshot(request).await?.into_body(), "pods");
//! # std::fs::remove_file(file)?;
//! # Ok(()) }
//! ```
//!
//! # From a hand-written layer
//!
//! Most of them look like this, in a method or in a service's `call`:
//!
//! ```
//! # use http::{Request, Response, header::AUTHORIZATION};
//! # use tower::{BoxError, Service, ServiceExt};
//! # async fn log_in() -> Result<String, BoxError> { Ok("abc".to_owned()) }
//! # struct Api<S> { http: S, token: tokio::sync::RwLock<Option<String>> }
//! # impl<S: Service<Request<()>, Response = Response<()>, Error = BoxError> + Clone> Api<S> {
//! async fn send(&self, mut request: Request<()>) -> Result<Response<()>, BoxError> {
//!     let known = self.token.read().await.clone();
//!     let token = match known {
//!         Some(token) => token,
//!         None => self.token.write().await.insert(log_in().await?).clone(),
//!     };
//!     request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
//!     let response = self.http.clone().oneshot(request).await?;
//!     if response.status() == 401 {
//!         *self.token.write().await = None;
//!     }
//!     Ok(response)
//! }
//! # }
//! # let http = tower::service_fn(async |_: Request<()>| Ok::<_, BoxError>(Response::new(())));
//! # let api = Api { http, token: tokio::sync::RwLock::default() };
//! # tokio_test::block_on(api.send(Request::new(())))?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! | in that code | here |
//! | --- | --- |
//! | requests that find no token at once all log in; at an [exclusive](crate::guide::exclusive_or_concurrent) API only the last token is good | one login, and the others share its outcome |
//! | a late 401 for an old token throws the new token away | a 401 invalidates only the token that the request carried |
//! | a caller that gives up cancels the login, which may have revoked the token already | the login is a task that no caller cancels |
//! | an endpoint that always answers 401 causes a login for each call | logins that do not help are [rate-limited](crate::guide::rejections) |
//! | a failing login is tried again by each request | a pause, with the last error for all callers |
//! | a 401 is the first sign of an expired token | the login comes before the expiry, or the request waits for it |
//! | each request formats a header, and nothing marks it as sensitive | a ready-made, sensitive value |
//!
//! Keep your `log_in`, and throw away the rest:
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{BoxError, Layer, ServiceExt};
//! # async fn log_in() -> Result<String, BoxError> { Ok("abc".to_owned()) }
//! use tower_bearer::{
//!     BearerAuth, BearerAuthLayer, CachedProvider, Credential, InvalidUrl, Origins, login_fn,
//! };
//!
//! fn api<S>(http: S) -> Result<BearerAuth<S>, InvalidUrl> {
//!     let login = login_fn(async |_request| Ok(Credential::new(log_in().await?)?));
//!     let origins = Origins::new(["https://api.example.com"])?;
//!     Ok(BearerAuthLayer::new(CachedProvider::new(login), origins).layer(http))
//! }
//! # let http = tower::service_fn(async |request: Request<()>| {
//! #     assert_eq!(request.headers()["authorization"], "Bearer abc");
//! #     Ok::<_, BoxError>(Response::new(()))
//! # });
//! # let request = Request::get("https://api.example.com/").body(())?;
//! # tokio_test::block_on(api(http)?.oneshot(request))?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! Three things to look at afterwards:
//!
//! - *Your own retry on 401.* Remove it, and choose a [replay policy](crate::Replay). A
//!   `RetryLayer` that stays must not act on 401: each of its attempts may be replayed too.
//! - *The login's client.* It must be one without the layer, or the login waits for itself.
//! - *Other statuses.* If your code treated 403 as a rejection, say so:
//!   [`rejected_if`](crate::BearerAuthLayer::rejected_if) with a function of
//!   [`rejection`](crate::rejection).
//!
//! Check the [order of your layers](crate::guide::layer_order), and run your tests with the
//! [test kit](crate::guide::testing). [Getting started](crate::guide::getting_started) has the whole
//! program.
