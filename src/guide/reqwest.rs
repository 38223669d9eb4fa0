//! After this page you can put the layer under reqwest, and under a client that openapi-generator has
//! made.
//!
//! With the feature `reqwest-middleware-05`, [`BearerAuthLayer`] is a middleware of the crate
//! reqwest-middleware 0.5, which is for reqwest 0.13. It takes three lines:
//!
//! ```toml
//! reqwest-middleware = "0.5"
//! tower-bearer = { version = "0.2", features = ["reqwest-middleware-05"] }
//! ```
//!
//! ```no_run
//! use reqwest_middleware::{ClientBuilder, reqwest};
//! use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Credential, Origins, login_fn};
//!
//! # #[tokio::main] async fn main() -> Result<(), BoxError> {
//! let provider = CachedProvider::new(login_fn(async |_| Ok(Credential::new("abc")?))); // your login
//! let layer = BearerAuthLayer::new(provider, Origins::new("https://api.example.com")?)
//!     .replay_with(reqwest::Request::try_clone);
//! let client = ClientBuilder::new(reqwest::Client::new()).with(layer).build();
//!
//! let response = client.get("https://api.example.com/things").send().await?;
//! # let _ = response;
//! # Ok(()) }
//! ```
//!
//! Keep a clone of the layer for its counts, and a clone of the provider to sign out. All clones share
//! one login.
//!
//! The number in the feature's name is the version of reqwest-middleware. The next version will be one
//! more feature, and this one stays. To `with` of another version, the layer
//! [is no middleware](#when-it-does-not-compile).
//!
//! # A client of openapi-generator
//!
//! Generate it with `supportMiddleware=true`. Its configuration then takes the client from above, and
//! nothing else of it changes:
//!
//! ```
//! # use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, reqwest};
//! # use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Login, Origins};
//! # struct Configuration { base_path: String, client: ClientWithMiddleware }
//! # impl Default for Configuration {
//! #     fn default() -> Self {
//! #         let client = ClientBuilder::new(reqwest::Client::new()).build();
//! #         Self { base_path: String::new(), client }
//! #     }
//! # }
//! # fn configuration(login: impl Login) -> Result<Configuration, BoxError> {
//! let layer = BearerAuthLayer::new(
//!     CachedProvider::new(login),
//!     Origins::new("https://api.example.com")?,
//! )
//! .replay_with(reqwest::Request::try_clone);
//! let configuration = Configuration {
//!     client: ClientBuilder::new(reqwest::Client::new()).with(layer).build(),
//!     ..Configuration::default()
//! };
//! # Ok(configuration) }
//! ```
//!
//! Leave `bearer_access_token` and `oauth_access_token` empty: a header that is already there wins. The
//! example `generated_client` has such a client, as the generator has written it, and runs it.
//!
//! Generated functions drop the extensions of a request. So a [`KeyedProvider`] finds no key there: give each
//! account a configuration and a client of its own.
//!
//! # What is replayed
//!
//! | body of the rejected request | with `.replay_with(reqwest::Request::try_clone)` | costs |
//! | --- | --- | --- |
//! | none | replayed | a copy of the request |
//! | bytes: `body("…")`, `json(…)`, `form(…)` | replayed | a copy of the request; the bytes are shared |
//! | a stream: `Body::wrap`, `Body::wrap_stream`, multipart | sent once; the caller gets the 401 | nothing |
//!
//! To the layer, the body of a request has the type `reqwest::Request`. So [`ReplayEmpty`] and [`ReplayReady`]
//! do not fit, and a function on requests does. It sees neither headers nor extensions: these are in the
//! [`RequestHead`] that a [policy](crate::Replay) of your own gets. A policy cannot change method, URL or headers.
//!
//! Without a policy nothing is replayed. The next request gets a new token all the same. Each rejection that
//! reaches the caller has a [`RejectionReport`] in its extensions, which says why there was no replay:
//!
//! ```
//! use reqwest_middleware::reqwest::Response;
//! use tower_bearer::RejectionReport;
//!
//! fn report(response: &Response) -> Option<&RejectionReport> {
//!     response.extensions().get()
//! }
//! ```
//!
//! # One request
//!
//! The extensions of reqwest-middleware are those of the request. [`PerRequest`] goes there, and the key of a
//! [`KeyedProvider`]:
//!
//! ```
//! # use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
//! use tower_bearer::PerRequest;
//!
//! fn without_token(client: &ClientWithMiddleware) -> RequestBuilder {
//!     client.get("https://api.example.com/public").with_extension(PerRequest::bare())
//! }
//! ```
//!
//! Extensions that an inner middleware adds are there after the response. A failed login changes none.
//!
//! # Its place among other middlewares
//!
//! Middlewares run in the order of `with`. Attach this one last:
//!
//! - A *retry* outside of it sends each attempt with the current token. It must not act on a 401. That of
//!   reqwest-retry does not, and it does not repeat a failed login either: the provider has its own pauses.
//! - A middleware that *changes the URL* must be outside: the origins are checked here.
//! - A *cache* outside of it stores no token, and answers without a login.
//! - A *log* inside of it sees the header, but its `Debug` prints only `Sensitive`.
//!
//! # Redirects
//!
//! reqwest follows redirects itself, where no middleware sees them. The origins are checked for the first URL
//! only. On a change of host or port, reqwest removes `authorization`; since 0.13.4 also if only the scheme
//! changes. **It forwards a header of another name**, so with [`with_header_name`] any server that redirects
//! can send the token elsewhere. A 401 of the last server counts as a rejection of the token.
//!
//! **Before 0.13.4**, a redirect from `https://api.example.com:8443` to `http` on the same port takes the
//! token along, in the clear.
//!
//! Turn redirects off, unless your API needs them:
//!
//! ```
//! use reqwest_middleware::reqwest::{Client, redirect};
//!
//! let client = Client::builder().redirect(redirect::Policy::none()).build()?;
//! # let _ = client;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! # Timeouts
//!
//! | timeout | covers the login | covers the request | covers its replay |
//! | --- | --- | --- | --- |
//! | reqwest's, of the client or of the request | no | yes | yes: it starts again |
//! | [`CachePolicy::login_timeout`] | yes | no | no |
//! | `tokio::time::timeout` around `send()` | yes | yes, up to the head of the response | yes, up to the head of the response |
//!
//! A request that gives up does not stop the login: the other requests get its token.
//!
//! # Errors
//!
//! Errors of reqwest and of other middlewares pass through unchanged. If no token is available, the error is
//! `reqwest_middleware::Error::Middleware`, and our [`Error`] is inside:
//!
//! ```
//! use tower_bearer::{Error, Recovery};
//!
//! fn recovery(error: &reqwest_middleware::Error) -> Option<Recovery> {
//!     let reqwest_middleware::Error::Middleware(error) = error else { return None };
//!     error.downcast_ref::<Error>().map(Error::recovery)
//! }
//! # let error = reqwest_middleware::Error::middleware(Error::login_failed("wrong password"));
//! # assert!(recovery(&error).is_some());
//! ```
//!
//! Its text is that of our error, and its `source` is the cause of ours. `is_timeout` and `is_connect` of
//! reqwest-middleware are false for it, even if the login timed out or found no connection.
//!
//! reqwest-retry puts each error into one of its own, which is then inside. Its `source` skips ours, so match
//! it by name:
//!
//! ```
//! # mod reqwest_retry { // as in 0.9
//! #     use std::{error, fmt};
//! #     #[derive(Debug)] pub enum RetryError {
//! #         WithRetries { retries: u32, err: reqwest_middleware::Error },
//! #         Error(reqwest_middleware::Error),
//! #     }
//! #     impl error::Error for RetryError {
//! #         fn source(&self) -> Option<&(dyn error::Error + 'static)> {
//! #             match self { Self::WithRetries { err, .. } => Some(err), Self::Error(err) => err.source() }
//! #         }
//! #     }
//! #     impl fmt::Display for RetryError {
//! #         fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{self:?}") }
//! #     }
//! # }
//! use reqwest_retry::RetryError;
//! use tower_bearer::{Error, Recovery};
//!
//! fn recovery(error: &reqwest_middleware::Error) -> Option<Recovery> {
//!     let reqwest_middleware::Error::Middleware(error) = error else { return None };
//!     if let Some(ours) = error.downcast_ref::<Error>() {
//!         return Some(ours.recovery());
//!     }
//!     match error.downcast_ref()? {
//!         RetryError::Error(error) | RetryError::WithRetries { err: error, .. } => recovery(error),
//!     }
//! }
//! # let ours = || reqwest_middleware::Error::middleware(Error::login_failed("wrong password"));
//! # assert!(recovery(&ours()).is_some());
//! # for wrapped in [RetryError::Error(ours()), RetryError::WithRetries { retries: 1, err: ours() }] {
//! #     let error = reqwest_middleware::Error::middleware(wrapped);
//! #     assert!(recovery(&error).is_some());
//! #     let reqwest_middleware::Error::Middleware(error) = error else { unreachable!() };
//! #     assert!(error.chain().all(|it| it.downcast_ref::<Error>().is_none()));
//! # }
//! ```
//!
//! # When it does not compile
//!
//! ```text
//! error[E0277]: the trait bound `BearerAuthLayer: reqwest_middleware::Middleware` is not satisfied
//!    = help: the trait `for<'a> Fn(…, …, Next<'a>)` is not implemented for `BearerAuthLayer`
//! ```
//!
//! The feature is not turned on, or the client is of another version of reqwest-middleware. For 0.5,
//! `cargo tree -i reqwest-middleware` prints one version, and that begins with 0.5.
//!
//! ```text
//! error[E0277]: the trait bound `BearerAuthLayer<CachedProvider, ReplayEmpty>: reqwest_middleware::Middleware` is not satisfied
//!    = help: the trait `reqwest_middleware::Middleware` is implemented for `BearerAuthLayer<P, R>`
//! ```
//!
//! The replay policy is one for other bodies. Write one for `reqwest::Request`:
//!
//! ```compile_fail,E0277
//! # use tower_bearer::{BearerAuthLayer, ReplayEmpty};
//! # use reqwest_middleware::{ClientBuilder, reqwest::Client};
//! fn client(layer: BearerAuthLayer) -> ClientBuilder {
//!     ClientBuilder::new(Client::new()).with(layer.replay(ReplayEmpty))
//! }
//! ```
//!
//! ```
//! # use tower_bearer::BearerAuthLayer;
//! # use reqwest_middleware::{ClientBuilder, reqwest::{Client, Request}};
//! fn client(layer: BearerAuthLayer) -> ClientBuilder {
//!     ClientBuilder::new(Client::new()).with(layer.replay_with(Request::try_clone))
//! }
//! ```
//!
//! [`BearerAuthLayer`]: crate::BearerAuthLayer
//! [`CachePolicy::login_timeout`]: crate::CachePolicy::login_timeout
//! [`Error`]: crate::Error
//! [`KeyedProvider`]: crate::KeyedProvider
//! [`PerRequest`]: crate::PerRequest
//! [`RejectionReport`]: crate::RejectionReport
//! [`ReplayEmpty`]: crate::ReplayEmpty
//! [`ReplayReady`]: crate::ReplayReady
//! [`RequestHead`]: crate::RequestHead
//! [`with_header_name`]: crate::BearerAuthLayer::with_header_name
