//! After this page you can log in by OAuth 2.0 in four lines, and say what is sent.
//!
//! `OAuth2Grant` (feature `oauth2`) describes a grant. Pass it to `HttpLogin` as the body:
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant};
//!
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
//! #     assert_eq!(request.headers()["authorization"], "Basic czZCaGRSa3F0Mzo3RiUyQmZw");
//! #     let body = request.into_body().collect().await?.to_bytes();
//! #     assert_eq!(body, "grant_type=client_credentials&scope=read+write");
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a","expires_in":3600}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! let grant = OAuth2Grant::client_credentials().scope("read write");
//! let login = HttpLogin::new(http, "https://login.example.com/token", grant)?
//!     .client_secret_basic("s6BhdRkqt3", "7F+fp")?;
//! let provider = CachedProvider::new(login);
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # assert_eq!(provider.acquire().await?.value(), "Bearer a");
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! `http` is a client without the layer, which follows no redirects: [HTTPS for logins](super::https_logins)
//! has one to copy. All settings of `HttpLogin` apply: headers, plain http inside a mesh, where the answer
//! has its values.
//!
//! # By the issuer's URL
//!
//! The issuer's metadata names the token endpoint. `HttpLogin::discover` fetches it with each login:
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant, OAuth2Issuer};
//!
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async move {
//! #     let answer = match request.uri().to_string().as_str() {
//! #         "https://login.example.com/acme/.well-known/openid-configuration" => {
//! #             r#"{"issuer":"https://login.example.com/acme","token_endpoint":"https://oauth2.example.com/token"}"#
//! #         }
//! #         "https://oauth2.example.com/token" => r#"{"access_token":"a"}"#,
//! #         other => panic!("{other}"),
//! #     };
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! # });
//! let issuer = OAuth2Issuer::openid("https://login.example.com/acme")?
//!     .token_origin("https://oauth2.example.com")?; // only if the token endpoint is elsewhere
//! let grant = OAuth2Grant::client_credentials().client_secret_basic("s6BhdRkqt3", "7F+fp")?;
//! let provider = CachedProvider::new(HttpLogin::discover(http, issuer, grant));
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # assert_eq!(provider.acquire().await?.value(), "Bearer a");
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! | the issuer has | use | for `https://login.example.com/acme` |
//! | --- | --- | --- |
//! | the metadata of OpenID Connect | `OAuth2Issuer::openid` | `https://login.example.com/acme/.well-known/openid-configuration` |
//! | the metadata of RFC 8414 | `OAuth2Issuer::rfc8414` | `https://login.example.com/.well-known/oauth-authorization-server/acme` |
//!
//! The client's secret goes to the endpoint, so the metadata may not choose any host:
//!
//! | the metadata | what happens |
//! | --- | --- |
//! | names the issuer that you named, character by character | It is used. |
//! | names another issuer, such as one with a `/` more | The login fails, and the error names both. |
//! | has a `token_endpoint` at the issuer's origin, or at a `token_origin` | Login and refresh go there. |
//! | has a `token_endpoint` at any other origin | The login fails, and the error names both origins. |
//! | has `mtls_endpoint_aliases` or anything else | Nothing: it is not read. |
//!
//! Each login makes one GET more, without any of your headers. If that fails, nothing was spent: no
//! assertion was made, and the refresh token is kept. The next attempt follows
//! [the rules of a login](super::http_logins#when-it-fails). Metadata that cannot be used counts as a 404.
//!
//! If you know the endpoint, `HttpLogin::new` has one request and one cause of failure less. It also serves
//! an issuer whose metadata names another one, such as a template for its tenants.
//!
//! The audience of a client assertion is often the token endpoint, which its function does not learn. RFC
//! 7523 asks only for a value that identifies the server, such as the issuer. If yours insists on the
//! endpoint, use `HttpLogin::new`.
//!
//! `examples/client_credentials.rs` is the whole job, with a stand-in for issuer and API.
//!
//! # Which grant
//!
//! | you have | use | session |
//! | --- | --- | --- |
//! | a client id with a secret, and no user | `client_credentials` | concurrent |
//! | a private key, and a server that takes a signed assertion (RFC 7523) | `jwt_bearer` | concurrent |
//! | a token of another service or of your caller (RFC 8693) | `token_exchange` | concurrent |
//! | a refresh token of a user who has signed in elsewhere | `refresh_token` | exclusive |
//! | a user's password, and an old server | `password` | exclusive |
//! | a grant that the server has invented | `extension` | exclusive |
//!
//! RFC 9700 forbids the password grant for new designs: it shows the password to each client.
//!
//! The session is a default. Most servers keep the previous tokens of a client valid, so such a session
//! is concurrent: it renews in the background. RFC 6749 does not promise it: if your server revokes the
//! previous token, set `with_session(Session::Exclusive)`.
//! [Exclusive or concurrent](super::exclusive_or_concurrent) says how to find out.
//!
//! ## By a user's refresh token
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant};
//!
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
//! #     let body = request.into_body().collect().await?.to_bytes();
//! #     assert_eq!(body, "grant_type=refresh_token&refresh_token=tGzv3JOk&client_id=cli");
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! # let stored = "tGzv3JOk";
//! let grant = OAuth2Grant::refresh_token().client_id("cli");
//! let login = HttpLogin::new(http, "https://login.example.com/token", grant)?;
//! let provider = CachedProvider::builder(login).starting_with_refresh_token(stored).build();
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # assert_eq!(provider.acquire().await?.value(), "Bearer a");
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! Store each new refresh token: [shutdown](super::shutdown) has a store that survives a crash.
//!
//! ## By a signed assertion
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant};
//! # async fn sign() -> Result<String, std::io::Error> { Ok("eyJhbGciOi.J9l-ZhwP".to_owned()) }
//!
//! # let http = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! let grant = OAuth2Grant::jwt_bearer(async |_request| Ok(sign().await?)).scope("read");
//! let login = HttpLogin::new(http, "https://login.example.com/token", grant)?;
//! let provider = CachedProvider::new(login);
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # assert_eq!(provider.acquire().await?.value(), "Bearer a");
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! The function runs for each login. If it fails, nothing is sent, and its error is that of the login.
//! `token_exchange` takes such a function too, for the token that is exchanged.
//!
//! ## By a password, or by a grant of the server's own
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant};
//!
//! # let http = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! let grant = OAuth2Grant::password("johndoe", "A3ddj3w").client_id("cli");
//! let login = HttpLogin::new(http.clone(), "https://old.example.com/token", grant)?;
//! let provider = CachedProvider::new(login);
//!
//! let grant = OAuth2Grant::extension("account_credentials").parameter("account_id", "a1b2")?;
//! let login = HttpLogin::new(http, "https://odd.example.com/token", grant)?
//!     .client_secret_basic("s6BhdRkqt3", "7F+fp")?;
//! # let _ = (provider, login);
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! # How the client authenticates
//!
//! | the server's metadata name | use |
//! | --- | --- |
//! | `client_secret_basic`, or nothing: it is the default of OAuth 2.0 | `client_secret_basic`, of the grant or of the login |
//! | `client_secret_post` | `client_secret_post` of the grant |
//! | `none` | `client_id` of the grant |
//! | `private_key_jwt` | a function that makes the grant, below |
//! | `tls_client_auth` | `client_id`, and a client with your certificate |
//!
//! `client_secret_basic` encodes id and secret first, as RFC 6749 has it. Some servers do not decode them:
//! if the secret has other characters than letters, digits and `*-._`, try `basic_auth` of the login.
//!
//! For a client secret that rotates, or a client assertion, let a function make the whole grant. The grant
//! is then the body of the login alone: name refresh and session yourself if you need them.
//! [The page on files](super::files#a-logins-secret) reads the secret from a file.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use tower_bearer::{BoxError, CachedProvider, HttpLogin, LoginBody, OAuth2Grant, Session};
//! # async fn sign() -> Result<String, std::io::Error> { Ok("eyJhbGciOi.J9l-ZhwP".to_owned()) }
//!
//! async fn grant() -> Result<OAuth2Grant, BoxError> {
//!     let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
//!     let grant = OAuth2Grant::client_credentials().parameter("client_assertion_type", kind)?;
//!     Ok(grant.parameter("client_assertion", sign().await?)?)
//! }
//!
//! # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
//! #     let body = request.into_body().collect().await?.to_bytes();
//! #     assert!(body.ends_with(b"&client_assertion=eyJhbGciOi.J9l-ZhwP"));
//! #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
//! #     Ok::<_, std::convert::Infallible>(Response::new(answer))
//! # });
//! let body = LoginBody::from_fn(|_request| grant());
//! let login = HttpLogin::new(http, "https://login.example.com/token", body)?
//!     .with_session(Session::Concurrent);
//! let provider = CachedProvider::new(login);
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # assert_eq!(provider.acquire().await?.value(), "Bearer a");
//! # Ok::<_, BoxError>(()) })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! # What is sent
//!
//! Each request is a POST of a form, in this order:
//!
//! | parameter | login | refresh |
//! | --- | --- | --- |
//! | `grant_type` | that of the grant | `refresh_token` |
//! | `username` and `password` of `password` | yes | no |
//! | `assertion` of `jwt_bearer`; `subject_token` and `subject_token_type` of `token_exchange` | yes | no |
//! | `refresh_token` | no | yes |
//! | `scope` | if you set it | only of `OAuth2Grant::refresh_token`: otherwise the scope that was granted stays |
//! | `resource`, `audience` and any `parameter`, in the order of the calls | yes | yes |
//! | `client_id`; `client_secret` after `client_secret_post` | yes | yes |
//!
//! `authorization` has the client's id and secret after `client_secret_basic`. The other headers are those
//! of `HttpLogin`.
//!
//! `parameter` fails for a name that the grant itself sends: RFC 6749 allows each parameter once.
//!
//! # What is read
//!
//! | the answer has | what happens |
//! | --- | --- |
//! | `access_token` | It is the token. |
//! | a `token_type` other than `Bearer` or `BearerToken`, in any case | The login fails. [`with_scheme`] allows another one. |
//! | `expires_in`: a number, or a string with a number | It is the lifetime. |
//! | no `expires_in`, or an odd one | The `exp` of a JSON Web Token counts, else the token is used until it is rejected. |
//! | `refresh_token` | The next login uses it. |
//! | no `refresh_token` after a refresh | The old one is kept. |
//! | `scope` | Nothing: it is not compared with yours. |
//!
//! Some servers announce the lifetime of the refresh token: `refresh_token_lifetime_at("/refresh_expires_in")`
//! reads it.
//!
//! # When it fails
//!
//! | the server answers | login | refresh |
//! | --- | --- | --- |
//! | `invalid_client`, `unauthorized_client` | in 15 min, doubling to an hour: correct the client's id and secret | a full login follows |
//! | `invalid_grant` | in 15 min, doubling to an hour: correct the password, assertion or token | the refresh token is spent, a full login follows |
//! | `invalid_scope`, `invalid_request` and other codes | in 15 min, doubling to an hour: correct the grant | a full login follows |
//! | 429, 5xx, `temporarily_unavailable`, no connection | after a pause | the refresh token is kept, and used after a pause |
//! | nothing: the answer is lost | after a pause | the refresh token is spent, since the server may have rotated it; a full login follows |
//!
//! A server may refresh a session that it has ended. If the API never accepts the token of a refresh, the
//! login after the rejection is a full one.
//!
//! `OAuth2Grant::refresh_token` has no full login. Where one would follow, the login fails: sign in again,
//! and pass the new credential to [`set_credential`](crate::CachedProvider::set_credential). As long as the
//! refresh token is kept, the error is that of the refresh.
//!
//! [The page on HTTP logins](super::http_logins#when-it-fails) has the errors, and the docs of `HttpLogin`
//! each status.
//!
//! # Tested against
//!
//! The tests start these servers and log in there. `.ci/run servers` runs them.
//!
//! | server | version | a login leaves the previous token | a refresh leaves the previous token | a refresh token that was used before |
//! | --- | --- | --- | --- | --- |
//! | oidc-provider (Node.js) | 9.13.3 | valid | valid | ends the whole session: the user has to sign in again |
//! | django-oauth-toolkit | 3.4.1 | valid | revoked | is refused: a full login follows |
//! | simplejwt for Django, by `refresh_by` | 5.5.1 | valid | valid | is refused: a full login follows |
//!
//! If you revoke a user's token, oidc-provider and django-oauth-toolkit revoke the refresh token as well.
//! simplejwt rotates refresh tokens if `ROTATE_REFRESH_TOKENS` and `BLACKLIST_AFTER_ROTATION` say so. After a change of
//! the password it goes on refreshing, and its API rejects those tokens.
//!
//! oidc-provider and django-oauth-toolkit have the metadata of both `openid` and `rfc8414`.
//!
//! nginx 1.22.1 is tested in front of them: idle connections, rate limits, maintenance, pages of HTML, a
//! redirect to https, gzip, `auth_request` and TLS.
//!
//! # What is not built
//!
//! | missing | instead |
//! | --- | --- |
//! | sign-in of a user: authorization code, device code | A library for it; pass its tokens to `starting_with`. `examples/foreign_oauth.rs` signs in by the device code of the crate `oauth2`, and refreshes through it. |
//! | proof of possession (DPoP) | A library that has it, in two places: below. |
//! | revocation | [Your own request](super::signing_out#revoke), in `on_retired`. |
//!
//! A library may print its errors with a part of the answer, and keeps copies of the tokens that nobody
//! wipes. So the example keeps only the code of such an error.
//!
//! **DPoP** ([RFC 9449]) signs each request with a key of the client. Both places need the same key:
//!
//! - The login, in `impl Login`: a proof for the token endpoint, and one more attempt with the server's
//!   `DPoP-Nonce` if it asks for one. The answer's `token_type` is `DPoP`, so the credential needs
//!   `Credential::with_scheme`.
//! - Each request to the API, in a layer of your own inside this one: a proof of method, URL and token. A
//!   proof is valid once, so the layer has to sign a replay again. A 401 with the error `use_dpop_nonce`
//!   is no rejection of the token: repeat it there, and do not let this layer see it.
//!
//! [RFC 9449]: https://www.rfc-editor.org/rfc/rfc9449
//! [`with_scheme`]: https://docs.rs/tower-bearer/latest/tower_bearer/struct.HttpLogin.html#method.with_scheme
