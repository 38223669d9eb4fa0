//! After this page you can call an API with a token that the client gets and renews by itself.
//!
//! It takes four steps: a login, a client, a warm-up and a place to keep the client. Your
//! `Cargo.toml` needs these crates, and `axum` for the last step:
//!
//! ```toml
//! [dependencies]
//! bytes = "1"
//! http = "1"
//! http-body-util = "0.1"
//! hyper-util = { version = "0.1", features = ["client-legacy", "http1", "tokio"] }
//! serde_json = "1"
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! tower = { version = "0.5", features = ["util"] }
//! tower-bearer = "0.2"
//! ```
//!
//! # 1. Write the login
//!
//! A login is an async function that asks the API and returns a [`Credential`](crate::Credential).
//! Any error passes through `?`. Make one distinction: a wrong password is a
//! [permanent](crate::LoginError::permanent) failure, so that retries do not lock the account.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use hyper_util::client::legacy::{Client, connect::HttpConnector};
//! use std::time::Duration;
//! use tower_bearer::{BoxError, Credential, LoginError};
//!
//! type Http = Client<HttpConnector, Full<Bytes>>; // a client without the layer
//!
//! async fn log_in(http: Http, url: String) -> Result<Credential, BoxError> {
//!     let request = Request::post(url)
//!         .header("content-type", "application/json")
//!         .body(Full::from(r#"{"user":"export-job","password":"secret"}"#))?;
//!     let response = http.request(request).await?;
//!     match response.status().as_u16() {
//!         200 => {}
//!         401 | 403 => return Err(LoginError::permanent("wrong password").into()),
//!         status => return Err(format!("the login answered {status}").into()),
//!     }
//!     let body = response.into_body().collect().await?.to_bytes();
//!     let answer: serde_json::Value = serde_json::from_slice(&body)?;
//!     let token = answer["access_token"].as_str().ok_or("no token in the answer")?;
//!     let seconds = answer["expires_in"].as_u64().ok_or("no lifetime in the answer")?;
//!     Ok(Credential::new(token)?.with_lifetime(Duration::from_secs(seconds)))
//! }
//! # let _ = log_in;
//! ```
//!
//! Feature `json` has [`HttpLogin`], which does all this from a description;
//! [which provider](crate::guide::providers) lists the alternatives.
//!
//! Then find out whether a login revokes the previous token. The default,
//! [`Session::Exclusive`](crate::Session::Exclusive), is safe in both cases;
//! [exclusive or concurrent](crate::guide::exclusive_or_concurrent) has the recipe.
//!
//! # 2. Build the client
//!
//! [`CachedProvider`](crate::CachedProvider) calls the login when a request needs it, and keeps the
//! credential. [`Origins`](crate::Origins) names the hosts that may see the token; a request to any
//! other host goes out without it. [`ReplayEmpty`](crate::ReplayEmpty) sends a rejected request
//! once more with the next token, if the request has no body.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::{Client, connect::HttpConnector}, rt::TokioExecutor};
//! use tower::{Layer, Service, ServiceExt};
//! use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Origins, ReplayEmpty, login_fn};
//! # type Http = Client<HttpConnector, Full<Bytes>>;
//! # async fn log_in(_: Http, _: String) -> Result<tower_bearer::Credential, BoxError> {
//! #     Ok(tower_bearer::Credential::new("abc")?)
//! # }
//! # #[tokio::main] async fn main() -> Result<(), BoxError> {
//! # let things = async |headers: http::HeaderMap| assert_eq!(headers["authorization"], "Bearer abc");
//! # let api = axum::Router::new().route("/things", axum::routing::get(things));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let base = format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async { axum::serve(listener, api).await });
//!
//! // `base` is "http://127.0.0.1:8080", or "https://api.example.com" with an HTTPS connector.
//! let http: Http = Client::builder(TokioExecutor::new()).build_http();
//!
//! let (login_http, login_url) = (http.clone(), format!("{base}/login"));
//! let login = login_fn(move |_request| log_in(login_http.clone(), login_url.clone()));
//! let layer = BearerAuthLayer::new(CachedProvider::new(login), Origins::new([&base])?)
//!     .replay(ReplayEmpty);
//! let mut client = layer.layer(http);
//!
//! let request = Request::get(format!("{base}/things")).body(Full::default())?;
//! let response = client.ready().await?.call(request).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! ```
//!
//! Over HTTPS, give the login a [client of its own](crate::guide::https_logins): a clone of the API's client
//! may send it on a connection that is about to close.
//!
//! Clones of `client` share the provider, so a thousand of them still log in once. A request with a
//! body is replayed by another policy: [`Replay`](crate::Replay) has a table.
//!
//! # 3. Warm up
//!
//! Nothing happens until the first request. To log in at start, and to stop at a wrong password,
//! call [`acquire`](crate::CachedProvider::acquire) on the provider, or on `client.provider()`. The
//! layer's [`Error`](crate::Error) says what failed and when the next attempt may be made. Its
//! sources say why, so print the whole chain:
//!
//! ```
//! use std::{error::Error, iter};
//! use tower_bearer::{CachedProvider, LoginError, login_fn};
//!
//! fn chain(error: &(dyn Error + 'static)) -> String {
//!     let errors = iter::successors(Some(error), |error| (*error).source());
//!     errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let login = login_fn(async |_request| Err(LoginError::permanent("wrong password").into()));
//! let provider = CachedProvider::new(login);
//! if let Err(error) = provider.acquire().await {
//!     let text = chain(&error);
//!     assert!(text.starts_with("the login failed") && text.ends_with(": wrong password"));
//! }
//! # }
//! ```
//!
//! A client's error is a [`BoxError`](crate::BoxError): pass `&*error` to the same function. With
//! `anyhow`, the format `{error:#}` prints the chain.
//!
//! # 4. Keep the client in a struct
//!
//! The client's type has a name, without a closure in it: [`BearerAuth`](crate::BearerAuth) of the
//! wrapped client, the provider and the replay policy. An axum handler gets a clone of it from the
//! state:
//!
//! ```
//! # use bytes::Bytes;
//! # use http::Request;
//! # use http_body_util::Full;
//! # use hyper_util::client::legacy::{Client, connect::HttpConnector};
//! use axum::{Router, body::Body, extract::State, http::StatusCode, response::Response, routing::get};
//! use tower::ServiceExt;
//! use tower_bearer::{BearerAuth, CachedProvider, ReplayEmpty};
//!
//! # type Http = Client<HttpConnector, Full<Bytes>>;
//! #[derive(Clone)]
//! struct Api {
//!     base: String,
//!     client: BearerAuth<Http, CachedProvider, ReplayEmpty>,
//! }
//!
//! async fn things(State(api): State<Api>) -> Result<Response, StatusCode> {
//!     let request = Request::get(format!("{}/things", api.base)).body(Full::default());
//!     let request = request.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
//!     let response = api.client.oneshot(request).await.map_err(|error| {
//!         eprintln!("the API gave no answer: {error}"); // better: its chain, as above
//!         StatusCode::BAD_GATEWAY
//!     })?;
//!     Ok(response.map(Body::new))
//! }
//!
//! # let _ = |api: Api| {
//! let app: Router = Router::new().route("/things", get(things)).with_state(api);
//! # app };
//! ```
//!
//! # Where to go next
//!
//! - [Test it](crate::guide::testing) without a network.
//! - Look up [what happens on a 401](crate::guide::rejections), and what to do when 401s come
//!   [again and again](crate::guide::contention).
//! - Check [where the token may go](crate::guide::origins), and the
//!   [order of your layers](crate::guide::layer_order).
//! - End the program without losing a refresh token: [shutdown](crate::guide::shutdown).
//! - Replace the authorization of an existing client: [migrating](crate::guide::migrating).
//!
//! [`HttpLogin`]: https://docs.rs/tower-bearer/latest/tower_bearer/struct.HttpLogin.html
