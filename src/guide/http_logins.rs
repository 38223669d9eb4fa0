//! After this page you can describe almost any HTTP login, and say what happens when it fails.
//!
//! `HttpLogin` (feature `json`) posts a document and reads a credential from the answer. It needs a
//! description and no code.
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
//!      check the password, then `reset()`; next attempt in 15 min"
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
//! [The catalogue](super::catalogue) has every text, and [the defaults](super::defaults) every number.

// For the links.
use crate::{Error, Recovery};
