//! After this page you can hide the layer in a library of your own. You can say what a new version of
//! tower-bearer changes for your users.
//!
//! A library has a struct with a client in it. The struct names the client's type, and its constructors
//! take what the user has: a token, a login or a provider. There are two ways. In both, the field is
//! private.
//!
//! | | nothing of tower-bearer is public | you re-export tower-bearer |
//! | --- | --- | --- |
//! | the user hands in | a token, or a closure that returns one | a token, any [`Login`](crate::Login), any [`CredentialProvider`](crate::CredentialProvider) |
//! | presets, `HttpLogin`, `KeyedProvider` | only if you wrap them | all of them |
//! | sign-out, snapshot, events | only if you wrap them | the user keeps a clone of the provider |
//! | a new minor version of tower-bearer | your affair | a breaking release of yours |
//!
//! If unsure, choose the first way. You can add a constructor of the second way later, and cannot take
//! one back.
//!
//! # Nothing of tower-bearer is public
//!
//! [`BoxCloneSyncService`] hides the layer, the provider and the replay policy behind one type. It costs
//! an allocation for each request, and one for each clone. The closure returns plain types:
//!
//! ```
//! # use std::time::Duration;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use hyper::body::Incoming;
//! # use hyper_util::{client::legacy, rt::TokioExecutor};
//! # use tower::{Layer, util::BoxCloneSyncService};
//! # use tower_bearer::{BearerAuthLayer, CachedProvider, Credential, CredentialProvider, Origins, StaticProvider, login_fn};
//! type BoxError = Box<dyn std::error::Error + Send + Sync>;
//!
//! #[derive(Clone, Debug)]
//! pub struct Client {
//!     http: BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, BoxError>,
//! }
//!
//! impl Client {
//!     pub fn with_token(base_url: &str, token: &str) -> Result<Self, BoxError> {
//!         Self::new(base_url, StaticProvider::new(token)?)
//!     }
//!
//!     pub fn with_login<F, Fut>(base_url: &str, login: F) -> Result<Self, BoxError>
//!     where
//!         F: Fn() -> Fut + Send + Sync + 'static,
//!         Fut: Future<Output = Result<(String, Duration), BoxError>> + Send,
//!     {
//!         let login = login_fn(move |_request| {
//!             let answer = login();
//!             async {
//!                 let (token, lifetime) = answer.await?;
//!                 Ok(Credential::new(token)?.with_lifetime(lifetime))
//!             }
//!         });
//!         Self::new(base_url, CachedProvider::new(login))
//!     }
//!
//!     fn new<P>(base_url: &str, provider: P) -> Result<Self, BoxError>
//!     where
//!         P: CredentialProvider<Acquire: Send + 'static> + Send + Sync + 'static,
//!     {
//!         let layer = BearerAuthLayer::new(provider, Origins::new(base_url)?)
//!             .replay_with(|body: &Full<Bytes>| Some(body.clone()));
//!         let http = legacy::Client::builder(TokioExecutor::new()).build_http();
//!         Ok(Self { http: BoxCloneSyncService::new(layer.layer(http)) })
//!     }
//! }
//! # Client::with_token("http://127.0.0.1:1", "abc")?;
//! # Client::with_login("http://127.0.0.1:1", || async { Ok((String::new(), Duration::ZERO)) })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! Over HTTPS, use the [client of the page on logins](super::https_logins).
//!
//! Errors leak as well. Make one of your own, and translate [`Error`](crate::Error) into its words:
//!
//! ```
//! use tower_bearer::{BoxError, Recovery};
//!
//! #[derive(Debug)]
//! #[non_exhaustive]
//! pub enum Error {
//!     /// The login failed, and may succeed later.
//!     Unavailable(String),
//!     /// Only another token or login helps.
//!     NoToken(String),
//!     Other(BoxError), // an alias of `Box<dyn std::error::Error + Send + Sync>`
//! }
//!
//! impl Error {
//!     fn new(error: BoxError) -> Self {
//!         match error.downcast_ref::<tower_bearer::Error>() {
//!             None => Self::Other(error),
//!             Some(failure) => match failure.recovery() {
//!                 Recovery::TryAgain { .. } => Self::Unavailable(format!("{failure:?}")),
//!                 _ => Self::NoToken(format!("{failure:?}")), // with the cause, on one line
//!             },
//!         }
//!     }
//! }
//! # let failed = tower_bearer::Error::login_failed("offline");
//! # assert!(matches!(Error::new(failed.into()), Error::Unavailable(_)));
//! # assert!(matches!(Error::new("closed".into()), Error::Other(_)));
//! ```
//!
//! Translate [`InvalidToken`](crate::InvalidToken) and [`InvalidUrl`](crate::InvalidUrl) too: constructors
//! return them.
//!
//! If your error hands out ours, by `source()` or in a box, users can downcast it. Then such a downcast
//! finds nothing after a new minor version, and no compiler says so.
//!
//! # You re-export tower-bearer
//!
//! The user names our types through your crate, so both have the same version. A user who depends on
//! tower-bearer as well must choose the version that you have.
//!
//! ```
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # use hyper_util::{client::legacy::{self, connect::HttpConnector}, rt::TokioExecutor};
//! # use tower::Layer;
//! // In the root of your crate: `pub use tower_bearer;`
//! use tower_bearer::{
//!     BearerAuth, BearerAuthLayer, BoxError, BoxProvider, CachedProvider, CredentialProvider, Login,
//!     Origins, StaticProvider,
//! };
//!
//! pub struct Client {
//!     http: BearerAuth<legacy::Client<HttpConnector, Full<Bytes>>, BoxProvider>,
//! }
//!
//! impl Client {
//!     pub fn with_token(base_url: &str, token: &str) -> Result<Self, BoxError> {
//!         Self::with_provider(base_url, StaticProvider::new(token)?)
//!     }
//!
//!     pub fn with_login(base_url: &str, login: impl Login) -> Result<Self, BoxError> {
//!         Self::with_provider(base_url, CachedProvider::new(login))
//!     }
//!
//!     pub fn with_provider<P>(base_url: &str, provider: P) -> Result<Self, BoxError>
//!     where
//!         P: CredentialProvider<Acquire: Send + 'static> + Send + Sync + 'static,
//!     {
//!         let layer = BearerAuthLayer::new(BoxProvider::new(provider), Origins::new(base_url)?);
//!         let http = legacy::Client::builder(TokioExecutor::new()).build_http();
//!         Ok(Self { http: layer.layer(http) })
//!     }
//! }
//! # let client = Client::with_token("http://127.0.0.1:1", "abc")?;
//! # let _ = client.http.clone();
//! # let login = tower_bearer::login_fn(async |_| Ok(tower_bearer::Credential::new("abc")?));
//! # Client::with_login("http://127.0.0.1:1", login)?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! [`BoxProvider`](crate::BoxProvider) keeps the provider out of your type. So `Client` needs no type
//! parameter, and the user's token may come from a file today and from a login tomorrow.
//!
//! # A gRPC client
//!
//! Box the client of a tonic service as well, with a `Status` as its error. A
//! [`MapErr`](super::grpc#what-to-type) around the layer makes it:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recipes/to_status.rs"));
//! # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient as GreeterClient};
//! use http::{Request, Response};
//! use tonic::{body::Body, transport::Channel};
//! use tower::{Layer, util::{BoxCloneSyncService, MapErr}};
//! use tower_bearer::{BearerAuthLayer, BoxProvider, ReplayReady};
//!
//! type Authorized = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;
//!
//! #[derive(Clone)]
//! pub struct Greeter(GreeterClient<Authorized>);
//!
//! impl Greeter {
//!     fn new(channel: Channel, layer: BearerAuthLayer<BoxProvider>) -> Self {
//!         let layer = layer.replay(ReplayReady::new(64 * 1024, Body::new));
//!         let authorized = MapErr::new(layer.layer(channel), |error: BoxError| {
//!             Status::from_error(to_status(error)) // the function of the page on gRPC
//!         });
//!         Self(GreeterClient::new(BoxCloneSyncService::new(authorized)))
//!     }
//! #     async fn check(&self) -> Result<(), Status> {
//! #         self.0.clone().check(HealthCheckRequest::default()).await.map(drop)
//! #     }
//! }
//! # fn assert_send<T: Send>(_: T) {}
//! # fn spawned(greeter: Greeter) { assert_send(async move { greeter.check().await }) }
//! # fn main() { let _ = (Greeter::new, spawned); }
//! ```
//!
//! Do not name a `MapErr<…, fn(BoxError) -> BoxError>` instead. Its calls cannot be spawned:
//!
//! ```text
//! error: implementation of `FnOnce` is not general enough
//! ```
//!
//! # What breaks for your users
//!
//! Until 1.0, our breaking releases raise the minor version: 0.2 to 0.3. You update to it, and release:
//!
//! | in your public API | your release | your users |
//! | --- | --- | --- |
//! | nothing of ours | a patch | change nothing |
//! | a re-export, and `impl Login` or `impl CredentialProvider` | a breaking one | With a token they raise your version. With a login or a provider they also change what our changelog names. |
//! | the same without a re-export | a breaking one | Also raise their own tower-bearer, or see `error[E0277]`: "is not a credential provider". |
//! | a type of ours, as a field, a result or an argument | a breaking one | The same, with `error[E0308]`: mismatched types. |
//! | `source()` with an error of ours | a patch, to the compiler | A downcast to the old type finds nothing. |
//!
//! Both errors have a note of the compiler that names the cause:
//!
//! ```text
//! note: there are multiple different versions of crate `tower_bearer` in the dependency graph
//! ```
//!
//! Two versions of tower-bearer in one program compile side by side. Each has its own providers, so an
//! account that both use has two sessions. If [each login revokes the previous
//! token](super::exclusive_or_concurrent), give each its own account.
//!
//! A patch of ours breaks nothing, and needs no release of yours. A new minimum of Rust raises our minor
//! version, so your users get it when you update.
//!
//! # What is public
//!
//! [cargo-public-api] lists the public API of your crate. For the first way it prints no line with our
//! name:
//!
//! ```text
//! cargo public-api --simplified | grep tower_bearer
//! ```
//!
//! The features that you turn on are on for everybody in the program. They only add API.
//!
//! # Two libraries to copy
//!
//! `examples/library_author/` has both ways, with users: `things.rs` is a REST client without a public
//! word of ours. `health.rs` is a client of a tonic service that takes tokens, logins and providers.
//!
//! [cargo-public-api]: https://crates.io/crates/cargo-public-api
//! [`BoxCloneSyncService`]: https://docs.rs/tower/0.5/tower/util/struct.BoxCloneSyncService.html
