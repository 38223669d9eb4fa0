//! After this page you can describe almost any HTTP login, and say what happens when it fails.
//!
//! `HttpLogin` (feature `json`) posts JSON or a form, and reads a credential from the JSON of the
//! answer. It needs a description and no code. [HTTPS for logins](super::https_logins) has the client,
//! which these examples call `http`.
//!
//! # Where the answer has its values
//!
//! Each place is a JSON pointer or a header. Several places may be named: the first that has a value
//! counts.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::Response;
//! # use http_body_util::Full;
//! use http::{HeaderName, Request};
//! use tower_bearer::{AnswerField, HttpLogin, Login, LoginRequest};
//!
//! # let http = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     let body = r#"{"data":{"jwt":"Bearer abc","ttl_ms":"60000"},"refresh":"r1"}"#;
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(body)))
//! # });
//! let header = HeaderName::from_static("x-auth-token");
//! let login = HttpLogin::new(http, "https://api.example.com/login", r#"{"key":"secret"}"#)?
//!     .token_at([AnswerField::from("/data/jwt"), header.into()])
//!     .lifetime_in_milliseconds_at("/data/ttl_ms")
//!     .refresh_token_at("/refresh");
//! # tokio_test::block_on(async {
//! let credential = login.login(LoginRequest::default()).await?;
//! assert_eq!(credential.token().expose(), "abc"); // without its `Bearer`
//! assert_eq!(credential.lifetime().unwrap().as_secs(), 60);
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! | the answer has | use |
//! | --- | --- |
//! | a lifetime in seconds | `lifetime_at`; `/expires_in` is the default |
//! | a lifetime in milliseconds | `lifetime_in_milliseconds_at` |
//! | a time: RFC 3339, an HTTP date, Unix time | `expiry_at` |
//! | anything else, such as minutes | `lifetime_by`, a function |
//! | nothing, and the token is a JSON Web Token | nothing: its `exp` counts |
//! | a lifetime that is wrong | `lifetime(Lifetime::Fixed(…))`, or `Lifetime::UntilRejected` |
//! | a token with characters outside RFC 6750 | `any_visible_ascii` |
//! | another word than `Bearer` before the token | `with_scheme` |
//!
//! A lifetime that cannot be read never fails the login, since the login may have revoked the previous
//! token. Feature `tracing` warns once if a place that you have set has no lifetime.
//!
//! # Forms
//!
//! For OAuth 2.0, [its own page](super::oauth2) is shorter: `OAuth2Grant` makes forms, refresh and client
//! authentication.
//!
//! `LoginBody::form` makes a form of pairs, for login and refresh. Pass names and values unencoded: it
//! encodes them by [RFC 6749, appendix B], so that a space is sent as `+` and `&` as `%26`.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use tower_bearer::{CachedProvider, HttpLogin, LoginBody};
//!
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async move {
//! #     let basic = "Basic czZCaGRSa3F0Mzo3RiUyQmZw";
//! #     assert_eq!(request.headers()["authorization"], basic);
//! #     let body = request.into_body().collect().await?.to_bytes();
//! #     let is_refresh = body == "grant_type=refresh_token&refresh_token=r1";
//! #     let is_login = body == "grant_type=password&username=me&password=a+b%26c";
//! #     assert!(is_refresh || is_login);
//! #     let answer = format!(r#"{{"access_token":"{}","refresh_token":"r1"}}"#, is_refresh);
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! # });
//! let url = "https://login.example.com/token";
//! let password_grant = LoginBody::form([
//!     ("grant_type", "password"),
//!     ("username", "me"),
//!     ("password", "a b&c"),
//! ]);
//! let login = HttpLogin::new(http, url, password_grant)?
//!     .client_secret_basic("s6BhdRkqt3", "7F+fp")?
//!     .refresh_token_at("/refresh_token")
//!     .refresh_by(url, |refresh_token| {
//!         LoginBody::form([
//!             ("grant_type", "refresh_token"),
//!             ("refresh_token", refresh_token.expose()),
//!         ])
//!     })?;
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # let provider = CachedProvider::new(login);
//! # assert_eq!(provider.acquire().await?.value(), "Bearer false");
//! # provider.reset();
//! # assert_eq!(provider.acquire().await?.value(), "Bearer true");
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! # Headers and HTTP Basic
//!
//! `header` adds a header to login and refresh. It replaces one that the login sets by itself, such as
//! `accept`. Each value is marked sensitive.
//!
//! HTTP Basic has two forms, which differ in how they send other characters than letters, digits and
//! `*-._`:
//!
//! | the server wants | use |
//! | --- | --- |
//! | user and password as they are, by [RFC 7617] | `basic_auth` |
//! | an OAuth 2.0 client's id and secret, each encoded first, by [RFC 6749, section 2.3.1] | `client_secret_basic` |
//! | the client's id and secret in the form (`client_secret_post`) | `client_id` and `client_secret` as pairs of the form |
//!
//! Some OAuth servers decode neither: use `basic_auth` there.
//!
//! `LoginBody` has the same methods. With them, a function that makes the body also makes its headers: a
//! secret that rotates, a proof, or a signature of the body.
//!
//! # A body that is made for each login
//!
//! `LoginBody::from_fn` takes a function that makes the body: for a secret that rotates in a mounted
//! file, an assertion that is signed, or a one-time code. The function may wait, and must not block.
//! Both the login and the refresh take one. [The page on files](super::files#a-logins-secret) reads secrets from
//! files.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use tower_bearer::{BoxError, HttpLogin, Login, LoginBody, LoginRequest};
//!
//! async fn sign() -> Result<String, std::io::Error> {
//!     Err(std::io::Error::other("the key is locked")) // ask the HSM here
//! }
//!
//! # let http = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
//! # });
//! let body = LoginBody::from_fn(async |_request| {
//!     let assertion = sign().await?;
//!     let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
//!     Ok(LoginBody::form([("grant_type", grant), ("assertion", &assertion)]))
//! });
//! let login = HttpLogin::new(http, "https://login.example.com/token", body)?;
//! # tokio_test::block_on(async {
//! let error = login.login(LoginRequest::default()).await.unwrap_err();
//! assert_eq!(error.to_string(), "the key is locked");
//! # });
//! # Ok::<_, BoxError>(())
//! ```
//!
//! If the function fails, panics or does not end in time, nothing is sent. The login fails, and the
//! refresh token is kept. A [`LoginError`] says when the next attempt may be made.
//!
//! # An API that asks for more
//!
//! The challenge of a rejection may say what the next token has to satisfy, such as `claims` or a
//! `scope`. The function finds it in its [`LoginRequest`]. Keep it: a login after the expiry has no
//! challenge, and would bring the weaker token again.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use std::sync::{Arc, Mutex};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{
//!     BearerAuthLayer, CachedProvider, HttpLogin, LoginBody, LoginRequest, Origins, ReplayEmpty,
//! };
//!
//! fn body(request: &LoginRequest, kept: &Mutex<Option<String>>) -> LoginBody {
//!     let mut challenges = request.challenges().iter();
//!     let mut kept = kept.lock().unwrap();
//!     if let Some(claims) = challenges.find_map(|it| it.parameter("claims")) {
//!         *kept = Some(claims.to_owned()); // some servers want it decoded from Base64
//!     }
//!     let mut pairs = vec![("grant_type", "client_credentials")];
//!     pairs.extend(kept.as_deref().map(|claims| ("claims", claims)));
//!     LoginBody::form(pairs)
//! }
//!
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async move {
//! #     let (parts, body) = request.into_parts();
//! #     let body = body.collect().await?.to_bytes();
//! #     let strong = Bytes::from("grant_type=client_credentials&claims=eyJ9");
//! #     let is_strong = body == strong;
//! #     let is_weak_api = parts.uri.path() != "/token" && parts.headers["authorization"] != "Bearer true";
//! #     let mut response = Response::builder();
//! #     if is_weak_api {
//! #         let challenge = r#"Bearer error="insufficient_claims", claims="eyJ9""#;
//! #         response = response.status(401).header("www-authenticate", challenge);
//! #     }
//! #     let answer = Full::<Bytes>::from(format!(r#"{{"access_token":"{is_strong}"}}"#));
//! #     Ok::<_, std::convert::Infallible>(response.body(answer).unwrap())
//! # });
//! let kept = Arc::new(Mutex::new(None));
//! let function = LoginBody::from_fn(move |request| {
//!     let body = body(&request, &kept);
//!     async { Ok(body) }
//! });
//! let login = HttpLogin::new(http.clone(), "https://login.example.com/token", function)?;
//! let provider = CachedProvider::new(login);
//! let origins = Origins::new(["https://api.example.com"])?;
//! let client = BearerAuthLayer::new(provider.clone(), origins).replay(ReplayEmpty).layer(http);
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let request = Request::get("https://api.example.com/payroll").body(Full::default())?;
//! let response = client.oneshot(request).await?; // rejected, logged in with the claims, replayed
//! assert_eq!(response.status(), 200);
//! # assert_eq!(provider.snapshot().logins(), 2);
//! # provider.reset();
//! # assert_eq!(provider.acquire().await?.value(), "Bearer true");
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! A refresh is tried first, if there is one. Its function can return a `LoginBody::from_fn` too, which
//! sees the same challenges.
//!
//! # Plain http
//!
//! A URL of plain `http` is an error, except for loopback. `HttpLogin::dangerously_in_the_clear` allows it
//! for login and refresh, for a network that you trust, such as a mesh that encrypts by itself.
//!
//! # When it fails
//!
//! The docs of `HttpLogin` have a table: which answer is permanent, and how long the pauses are. The
//! first pauses in short:
//!
//! - an API that says no: 15 minutes
//! - a firewall's page, or a wrong path: 30 seconds
//! - a server in trouble: up to one second
//!
//! All of them double.
//!
//! The error is one line for people, and [`Error::recovery`] is the answer for programs:
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use tower_bearer::{CachedProvider, HttpLogin, Recovery};
//!
//! # let http = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     let body = Full::<Bytes>::from(r#"{"error":"invalid_grant"}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::builder().status(400).body(body).unwrap())
//! # });
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let login = HttpLogin::new(http, "https://api.example.com/login", r#"{"password":"old"}"#)?;
//! let error = CachedProvider::new(login).acquire().await.unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "the login at POST api.example.com/login was refused: 400 invalid_grant: \
//!      check the password, assertion or token that the login sends, then `reset()`; \
//!      next attempt in 15 min"
//! );
//! assert_eq!(error.recovery(), Recovery::ChangeCredentials);
//! # Ok::<_, tower_bearer::InvalidUrl>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! | [`Recovery`] | what to do |
//! | --- | --- |
//! | [`TryAgain`](Recovery::TryAgain) | Answer your caller with 503, and try again after the pause. |
//! | [`ChangeRequest`](Recovery::ChangeRequest) | Correct the URL, the headers, or the time that the credential has to last. |
//! | [`ChangeCredentials`](Recovery::ChangeCredentials) | Set another password or unlock the account, then [`reset`](crate::CachedProvider::reset). |
//! | [`FixProgram`](Recovery::FixProgram) | Correct the configuration or the code: the error says what. |
//!
//! # Refreshing
//!
//! `refresh_by` names the URL and the document of a refresh. A refresh token is spent when the API has
//! seen it, and kept when it has not: no connection, a rate limit, a 5xx, a firewall's 403. Then no full
//! login follows, since the server is in trouble. After five such refreshes in a row one is tried all
//! the same; `full_login_after` makes it the first.
//!
//! # Closed connections
//!
//! A server may close an idle connection of the client's pool. The login never sends a request twice;
//! hyper-util's client does so where it is safe:
//!
//! | the connection closed | hyper-util's client | the login |
//! | --- | --- | --- |
//! | before the request was written | sends it on another connection, by default | does not notice |
//! | before the request was written, with `retry_canceled_requests(false)` | fails | got no connection: a refresh token is kept |
//! | after the request was written, without an answer | fails | got no answer: a refresh token is spent, and a full login follows |
//! | at once, when it was new | fails | as the previous row: hyper's error is the same |
//!
//! A request that was written may have been read, so it is never sent again. The login cannot see whether
//! a client that hangs has connected: set a connect timeout below half of the login's timeout. The client
//! of [HTTPS for logins](super::https_logins) has that timeout, and a connection for each login.
//! `tests/login_connections.rs` has all four over real sockets.
//!
//! [The catalogue](super::catalogue) has every text, and [the defaults](super::defaults) every number.
//!
//! [RFC 6749, appendix B]: https://www.rfc-editor.org/rfc/rfc6749#appendix-B
//! [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
//! [RFC 7617]: https://www.rfc-editor.org/rfc/rfc7617#section-2

// For the links.
use crate::{Error, LoginError, LoginRequest, Recovery};
