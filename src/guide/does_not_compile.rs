//! After this page you can tell from the compiler's message how to change your service or layers.
//!
//! Each entry quotes the first lines of a message of Rust 1.95, shortened with `…`. Then come the
//! cause, the code that does not compile, and the same code corrected. Other pages
//! have the messages about [logins](super::login_does_not_compile), about
//! [errors](super::errors_do_not_compile) and about
//! [reqwest](super::reqwest#when-it-does-not-compile).
//!
//! # A method exists, but "its trait bounds were not satisfied"
//!
//! ```text
//! error[E0599]: the method `ready` exists for struct `BearerAuth<BoxService<…>, …>`, but its trait bounds were not satisfied
//! ```
//!
//! `ready`, `oneshot` and `call` need a `Service`, and the message hides what is missing. Write
//! `tower::Service::call(&mut client, request)` once: that message names the bound. It is one of
//! the following.
//!
//! # The inner service is not `Clone`
//!
//! ```text
//! error[E0277]: the trait bound `BoxService<Request<()>, Response<()>, Box<...>>: Clone` is not satisfied
//! ```
//!
//! A request that waits for a login is sent through a clone. Box with `BoxCloneSyncService`. Move a
//! `RateLimit` outside of this layer. Between this layer and any other service that cannot be cloned,
//! put a `BufferLayer`: see [layer order](super::layer_order#buffer).
//!
//! ```compile_fail,E0277
//! # use http::{Request, Response};
//! # use tower::{Service, util::BoxService};
//! # use tower_bearer::{BearerAuth, BoxError};
//! fn send(mut client: BearerAuth<BoxService<Request<()>, Response<()>, BoxError>>) {
//!     let _ = Service::call(&mut client, Request::new(()));
//! }
//! ```
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{Service, util::BoxCloneSyncService};
//! # use tower_bearer::{BearerAuth, BoxError};
//! fn send(mut client: BearerAuth<BoxCloneSyncService<Request<()>, Response<()>, BoxError>>) {
//!     let _ = Service::call(&mut client, Request::new(()));
//! }
//! ```
//!
//! # `&mut` and moved clients
//!
//! ```text
//! error[E0596]: cannot borrow `self.client` as mutable, as it is behind a `&` reference
//! error[E0382]: use of moved value: `client`
//! error[E0277]: the trait bound `&mut BoxCloneSyncService<…>: Clone` is not satisfied
//! ```
//!
//! `ready` and `call` take `&mut self`, and `oneshot` takes the client itself. Clone the client for
//! each request: clones share the provider. Give the layer a client, or `&Client`, but no `&mut`.
//!
//! ```compile_fail,E0382
//! # use http::{Request, Response};
//! # use tower::{ServiceExt, util::BoxCloneSyncService};
//! # use tower_bearer::{BearerAuth, BoxError};
//! # type Http = BoxCloneSyncService<Request<()>, Response<()>, BoxError>;
//! async fn send_two(client: BearerAuth<Http>) -> Result<(), BoxError> {
//!     client.oneshot(Request::new(())).await?;
//!     client.oneshot(Request::new(())).await?;
//!     Ok(())
//! }
//! ```
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{ServiceExt, util::BoxCloneSyncService};
//! # use tower_bearer::{BearerAuth, BoxError};
//! # type Http = BoxCloneSyncService<Request<()>, Response<()>, BoxError>;
//! async fn send_two(client: &BearerAuth<Http>) -> Result<(), BoxError> {
//!     client.clone().oneshot(Request::new(())).await?;
//!     client.clone().oneshot(Request::new(())).await?;
//!     Ok(())
//! }
//! ```
//!
//! # A login is not a provider
//!
//! ```text
//! error[E0277]: `LoginFn<{closure@…}>` is not a credential provider
//!    = note: wrap a login with `CachedProvider::new`, or a token with `StaticProvider::new`
//! ```
//!
//! ```compile_fail,E0277
//! # use tower_bearer::{BearerAuthLayer, Credential, Origins, login_fn};
//! let login = login_fn(async |_| Ok(Credential::new("abc")?));
//! BearerAuthLayer::new(login, Origins::any_https());
//! ```
//!
//! ```
//! # use tower_bearer::{BearerAuthLayer, CachedProvider, Credential, Origins, login_fn};
//! let login = login_fn(async |_| Ok(Credential::new("abc")?));
//! BearerAuthLayer::new(CachedProvider::new(login), Origins::any_https());
//! ```
//!
//! # The type of a copied body is not known
//!
//! ```text
//! error[E0282]: type annotations needed for `&_`
//! error: implementation of `FnOnce` is not general enough
//! ```
//!
//! [`replay_with`](crate::BearerAuthLayer::replay_with) is called before there is a request, so
//! name the body's type. The second message comes from a closure in
//! [`ReplayWith`](crate::ReplayWith): write `|body: &Full<Bytes>|` there.
//!
//! ```compile_fail,E0282
//! # use tower_bearer::{BearerAuthLayer, CachedProvider};
//! fn replaying(layer: BearerAuthLayer) {
//!     layer.replay_with(|body| Some(body.clone()));
//! }
//! ```
//!
//! ```
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # use tower_bearer::BearerAuthLayer;
//! fn replaying(layer: BearerAuthLayer) {
//!     layer.replay_with::<Full<Bytes>, _>(|body| Some(body.clone()));
//! }
//! ```
//!
//! # A policy "cannot keep a request body"
//!
//! ```text
//! error[E0277]: `tower_bearer::ReplayEmpty` cannot keep a request body of type `Upload`
//!     = note: `ReplayEmpty` takes a body that is `http_body::Body + Default`
//! ```
//!
//! Choose by the notes: [`Replay`](crate::Replay) has a table, and this pair of examples.
//!
//! # A struct names the client
//!
//! ```text
//! error[E0308]: `match` arms have incompatible types … expected `StaticProvider`, found `CachedProvider`
//! error[E0121]: the placeholder `_` is not allowed within types on item signatures for structs
//! error[E0308]: mismatched types … expected fn pointer, found closure
//! ```
//!
//! [`BoxProvider`](crate::BoxProvider) is one type for all providers. A closure has no name: write
//! the field as `ReplayWith<fn(&B) -> Option<B>>`, and pass `ReplayWith(copy as fn(&B) -> _)`.
//!
//! ```compile_fail,E0308
//! # use tower_bearer::{CachedProvider, InvalidToken, StaticProvider};
//! fn provider(token: Option<&str>, cached: CachedProvider) -> Result<StaticProvider, InvalidToken> {
//!     Ok(match token {
//!         Some(token) => StaticProvider::new(token)?,
//!         None => cached,
//!     })
//! }
//! ```
//!
//! ```
//! # use tower_bearer::{BoxProvider, CachedProvider, InvalidToken, StaticProvider};
//! fn provider(token: Option<&str>, cached: CachedProvider) -> Result<BoxProvider, InvalidToken> {
//!     Ok(match token {
//!         Some(token) => BoxProvider::new(StaticProvider::new(token)?),
//!         None => BoxProvider::new(cached),
//!     })
//! }
//! ```
//!
//! # A request cannot be spawned
//!
//! ```text
//! error[E0277]: `(dyn Future<Output = Result<…, tower_bearer::Error>> + 'static)` cannot be sent between threads safely
//! error[E0277]: `RefCell<u32>` cannot be shared between threads safely
//! ```
//!
//! The response future is `Send` if the client's future, the body and your provider allow it. So
//! your provider must be `Send + Sync`, and its `Acquire` must be `Send`. A type of your own shows
//! it early:
//!
//! ```compile_fail,E0277
//! # use std::pin::Pin;
//! # use tower_bearer::{Authorization, Error};
//! type Acquire = Pin<Box<dyn Future<Output = Result<Authorization, Error>>>>;
//!
//! fn assert_send<T: Send>() {}
//! assert_send::<Acquire>();
//! ```
//!
//! ```
//! # use std::pin::Pin;
//! # use tower_bearer::{Authorization, Error};
//! type Acquire = Pin<Box<dyn Future<Output = Result<Authorization, Error>> + Send>>;
//!
//! fn assert_send<T: Send>() {}
//! assert_send::<Acquire>();
//! ```
//!
//! # A gRPC call cannot be spawned
//!
//! ```text
//! error: implementation of `From` is not general enough
//!   = note: `Box<(dyn std::error::Error + Send + Sync + 'static)>` must implement `From<Box<(dyn … + '0)>>`, for any lifetime `'0`...
//! ```
//!
//! A tonic client that names a box with a `BoxError` has calls that are not `Send`, by a limit of the
//! compiler. Turn the error into a `Status` before you box: [gRPC](super::grpc#what-to-type) has the code.
//!
//! ```compile_fail
//! # use http::{Request, Response};
//! # use tonic::body::Body;
//! # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! # use tower::util::BoxCloneSyncService;
//! # use tower_bearer::BoxError;
//! type Authorized = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;
//!
//! fn spawn(mut client: HealthClient<Authorized>) {
//!     tokio::spawn(async move { client.check(HealthCheckRequest::default()).await });
//! }
//! ```
//!
//! ```
//! # use http::{Request, Response};
//! # use tonic::{Status, body::Body};
//! # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! # use tower::util::BoxCloneSyncService;
//! type Authorized = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;
//!
//! fn spawn(mut client: HealthClient<Authorized>) {
//!     tokio::spawn(async move { client.check(HealthCheckRequest::default()).await });
//! }
//! ```
