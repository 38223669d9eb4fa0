//! After this page you can send a token from a file that somebody else writes, and log in with a secret
//! from one.
//!
//! `TokenFile` (feature `files`) is a login that reads the file:
//!
//! ```
//! use tower_bearer::{BearerAuthLayer, CachedProvider, Origins, TokenFile};
//!
//! # let path = std::env::temp_dir().join(format!("tower-bearer-guide-token-{}", std::process::id()));
//! # std::fs::write(&path, "abc\n")?;
//! # let file = path.clone();
//! // path: "/var/run/secrets/tokens/api-token"
//! let provider = CachedProvider::new(TokenFile::new(path));
//! let layer = BearerAuthLayer::new(provider, Origins::new("https://api.example.com")?);
//! # let http = tower::service_fn(|request: http::Request<()>| async move {
//! #     assert_eq!(request.headers()["authorization"], "Bearer abc");
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(()))
//! # });
//! # use tower::ServiceExt;
//! # let request = http::Request::get("https://api.example.com/").body(()).unwrap();
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(tower::Layer::layer(&layer, http).oneshot(request))?;
//! # std::fs::remove_file(file)?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! # When the file is read
//!
//! | when | what happens |
//! | --- | --- |
//! | the first request | It waits for the reading. |
//! | the time, the length or the inode of the file has changed | The file is read within 10 s. Requests use the previous token meanwhile. |
//! | a request is rejected | The file is read at once. All rejected requests share one reading, and are replayed if there is a policy. |
//! | the same token is in the file after a rejection | The login has not helped: callers get the rejection, by [the usual rules](super::rejections). A change of the file ends the pause. |
//! | the `exp` of a JSON Web Token comes near | The file is read before. If it still has the same token, that is used on, and the server decides. |
//! | no request is sent | A task looks at the metadata every 10 s, and reads the file after a change. |
//!
//! No request blocks on the file system: all of it happens on Tokio's threads for blocking work, one at a
//! time for each `TokenFile`. The task starts with the first login, on the runtime of that login. It ends
//! with the last handle of the provider. If its runtime ends first, the next login starts it again.
//!
//! If the file system hangs, one thread hangs, and the login fails at its timeout. A runtime waits for such a
//! thread when it is dropped: end the runtime by `shutdown_timeout`.
//!
//! # What counts as a token
//!
//! The file has one token, and at most one line break at its end. It has at most 64 KiB. Anything else
//! replaces no good token, and the event [`LoginFailed`](crate::CredentialEvent::LoginFailed) says why:
//! [the catalogue](super::catalogue#errors-of-a-file) has the texts.
//!
//! A file may be found half written. If a token begins as a JSON Web Token, all its parts must be readable.
//! No check finds a part of an opaque token, or a signature that is cut at a possible end. The server
//! rejects such a token, and then the file is read again. A writer avoids all this if it writes another file
//! beside, and renames it.
//!
//! # In Kubernetes
//!
//! Ask for a token of your API's audience, and mount it as a folder:
//!
//! ```yaml
//! volumes:
//! - name: tokens
//!   projected:
//!     sources:
//!     - serviceAccountToken: { path: api-token, audience: api, expirationSeconds: 3600 }
//! ```
//!
//! The kubelet replaces the token when 80 % of its lifetime are over, or after 24 hours. It swaps the link
//! `..data`, which counts as a change. A mount with `subPath` is never updated: do not use it here.
//!
//! # A login's secret
//!
//! `SecretFile` reads a mounted password or a client secret that rotates. Read it in the function that makes
//! the login's body: so each login reads it anew.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use tower_bearer::{CachedProvider, HttpLogin, LoginBody, SecretFile};
//!
//! # let path = std::env::temp_dir().join(format!("tower-bearer-guide-password-{}", std::process::id()));
//! # std::fs::write(&path, "hunter2\n")?;
//! # let file = path.clone();
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
//! #     let body = request.into_body().collect().await?.to_bytes();
//! #     assert_eq!(body, r#"{"password":"hunter2","user":"me"}"#);
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! let password = SecretFile::new(path); // "/etc/secrets/password"
//! let body = LoginBody::from_fn(move |_request| {
//!     let password = password.read();
//!     async move {
//!         let password = password.await?;
//!         Ok(serde_json::json!({ "user": "me", "password": password.expose() }).to_string())
//!     }
//! });
//! let login = HttpLogin::new(http, "https://api.example.com/login", body)?;
//! # let provider = CachedProvider::new(login);
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # assert_eq!(runtime.block_on(provider.acquire())?.value(), "Bearer a");
//! # std::fs::remove_file(file)?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! A client secret of OAuth 2.0:
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use tower_bearer::{CachedProvider, HttpLogin, LoginBody, OAuth2Grant, SecretFile, Session};
//!
//! # let path = std::env::temp_dir().join(format!("tower-bearer-guide-client-{}", std::process::id()));
//! # std::fs::write(&path, "7F+fp\n")?;
//! # let file = path.clone();
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async move {
//! #     assert_eq!(request.headers()["authorization"], "Basic czZCaGRSa3F0Mzo3RiUyQmZw");
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! let secret = SecretFile::new(path); // "/etc/secrets/client-secret"
//! let body = LoginBody::from_fn(move |_request| {
//!     let secret = secret.read();
//!     async {
//!         let grant = OAuth2Grant::client_credentials().scope("read");
//!         Ok(grant.client_secret_basic("s6BhdRkqt3", secret.await?)?)
//!     }
//! });
//! let login = HttpLogin::new(http, "https://login.example.com/token", body)?
//!     .with_session(Session::Concurrent); // a function's grant is the body alone
//! # let provider = CachedProvider::new(login);
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # assert_eq!(runtime.block_on(provider.acquire())?.value(), "Bearer a");
//! # std::fs::remove_file(file)?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! A projected token that is exchanged for one of the API (workload identity). A server that takes it as an
//! assertion gets it by `jwt_bearer`, with the same function:
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant, SecretFile};
//!
//! # let path = std::env::temp_dir().join(format!("tower-bearer-guide-workload-{}", std::process::id()));
//! # std::fs::write(&path, "accVkjcJyb4\n")?;
//! # let file = path.clone();
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
//! #     let body = request.into_body().collect().await?.to_bytes();
//! #     assert!(body.windows(26).any(|part| part == b"subject_token=accVkjcJyb4&"));
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a","expires_in":3600}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! let projected = SecretFile::new(path); // "/var/run/secrets/tokens/issuer-token"
//! let kind = "urn:ietf:params:oauth:token-type:jwt";
//! let grant = OAuth2Grant::token_exchange(kind, move |_request| {
//!     let projected = projected.read();
//!     async { Ok(projected.await?) }
//! });
//! let login = HttpLogin::new(http, "https://login.example.com/token", grant.audience("payroll"))?;
//! # let provider = CachedProvider::new(login);
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # assert_eq!(runtime.block_on(provider.acquire())?.value(), "Bearer a");
//! # std::fs::remove_file(file)?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! # Another source that reports a change
//!
//! [`Login::changed`](crate::Login::changed) is what `TokenFile` uses: implement it in a login of your own
//! for a vault's lease, a signal, or a watcher of the file system.
