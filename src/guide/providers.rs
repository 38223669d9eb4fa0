//! After this page you know which provider fits your token, and how to write one if none does.
//!
//! The layer gets the authorization of each request from a provider. Ask three questions, in this
//! order:
//!
//! 1. *Does the token ever change?* If not, use [`StaticProvider`](crate::StaticProvider).
//! 2. *Can your code get one* by a login, a refresh, a file or a call of an SDK? Then use
//!    [`CachedProvider`](crate::CachedProvider). It gets a token when a request needs one, and caches
//!    it.
//! 3. *Does the account depend on the request?* Then use [`KeyedProvider`](crate::KeyedProvider).
//! 4. *Does other code cache and renew it?* Then use [`SdkProvider`](crate::SdkProvider), or implement
//!    [`CredentialProvider`](crate::CredentialProvider).
//!
//! | the token | use |
//! | --- | --- |
//! | is made by hand in a web interface | [`StaticProvider`](crate::StaticProvider) |
//! | comes from one POST with a JSON answer | [`CachedProvider`](crate::CachedProvider) around [`HttpLogin`], feature `json` |
//! | comes from a server of OAuth 2.0 | the same with `OAuth2Grant`, feature `oauth2`: [the page on OAuth 2.0](super::oauth2) |
//! | comes from Quable PIM or Teletracker | [`presets::Quable`], [`presets::Teletracker`], features `quable` and `teletracker` |
//! | comes from any other exchange | [`CachedProvider`](crate::CachedProvider) around [`login_fn`](crate::login_fn) or your own [`Login`](crate::Login) |
//! | is in a file that is replaced from time to time | [`CachedProvider`](crate::CachedProvider) around `TokenFile`, feature `files`: [the page on files](super::files) |
//! | comes from an SDK that does not cache | [`CachedProvider`](crate::CachedProvider) around [`login_fn`](crate::login_fn): calling the SDK is the login |
//! | comes from an SDK that caches | [`SdkProvider`](crate::SdkProvider) |
//! | is pushed to you | your own, [below](#a-token-that-is-pushed-to-you) |
//! | depends on the request: many accounts | [`KeyedProvider`](crate::KeyedProvider), [below](#many-accounts) |
//! | is static here and comes from a login there | [`BoxProvider`](crate::BoxProvider) |
//! | is not always configured | `Option<P>` of any provider |
//!
//! A refresh token is no reason for a provider of your own: a [`Login`](crate::Login) takes it from
//! its [`LoginRequest`](crate::LoginRequest::take_refresh_token), and `HttpLogin` spends it with
//! [`refresh_by`].
//!
//! # An HTTP login
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use tower_bearer::{CachedProvider, HttpLogin};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_bearer::BoxError> {
//! # let http = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     let answer = r#"{"session":{"key":"abc","ttl":"600"}}"#;
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! # });
//!
//! // `http` is any client without the layer.
//! let body = r#"{"user":"export-job","password":"secret"}"#;
//! let login = HttpLogin::new(http, "https://api.example.com/login", body)?
//!     .token_at("/session/key")
//!     .lifetime_at("/session/ttl");
//! let provider = CachedProvider::new(login);
//! assert_eq!(provider.acquire().await?.value(), "Bearer abc");
//! # Ok(()) }
//! ```
//!
//! # One field for several choices
//!
//! [`BoxProvider`](crate::BoxProvider) hides the provider's type, and `Option<P>` sends requests
//! bare if it is `None`. Together they make the token a matter of configuration:
//!
//! ```
//! use tower_bearer::{BearerAuth, BoxProvider, CachedProvider, InvalidToken, StaticProvider, login_fn};
//! # use tower_bearer::{BearerAuthLayer, BoxError, Credential, Origins};
//! # async fn log_in(_: String, _: String) -> Result<Credential, BoxError> {
//! #     Ok(Credential::new("mF_9.B5f-4.1JqM")?)
//! # }
//!
//! enum Configured { Nothing, Token(String), Login { user: String, password: String } }
//!
//! fn provider(configured: Configured) -> Result<Option<BoxProvider>, InvalidToken> {
//!     Ok(match configured {
//!         Configured::Nothing => None,
//!         Configured::Token(token) => Some(BoxProvider::new(StaticProvider::new(token)?)),
//!         Configured::Login { user, password } => {
//!             let login = login_fn(move |_request| log_in(user.clone(), password.clone()));
//!             Some(BoxProvider::new(CachedProvider::new(login)))
//!         }
//!     })
//! }
//!
//! struct Api<S> {
//!     client: BearerAuth<S, Option<BoxProvider>>,
//! }
//! # let http = tower::service_fn(|request: http::Request<()>| async move {
//! #     let value = request.headers().get("authorization").cloned();
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(value))
//! # });
//! # use tower::{Layer, ServiceExt};
//! # tokio_test::block_on(async {
//! # let login = Configured::Login { user: "a".into(), password: "b".into() };
//! # let token = Configured::Token("mF_9.B5f-4.1JqM".into());
//! # for (configured, is_sent) in [(Configured::Nothing, false), (token, true), (login, true)] {
//! #     let layer = BearerAuthLayer::new(provider(configured)?, Origins::any_https());
//! #     let api = Api { client: layer.layer(http) };
//! #     let request = http::Request::get("https://api.example.com/").body(())?;
//! #     let sent = api.client.oneshot(request).await?.into_body();
//! #     assert_eq!(sent.is_some_and(|value| value == "Bearer mF_9.B5f-4.1JqM"), is_sent);
//! # }
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! The price is an indirect call for each request, and an allocation for each request that waits. Keep
//! a clone of the `CachedProvider` if you need its `snapshot`: the box has no such method.
//!
//! # A token that is pushed to you
//!
//! A sidecar, a vault or another task renews the token, and your code always holds the current one.
//! Then a provider has three short methods. Make one [`Authorization`](crate::Authorization) for each
//! token and hand out clones: each `Authorization::new` counts as a new login.
//!
//! ```
//! use std::future::{Ready, ready};
//! use tokio::sync::watch;
//! use tower_bearer::{
//!     Authorization, CredentialProvider, Error, Reason, Rejected, RequestHead, Scheme, Token, Verdict,
//! };
//!
//! struct Pushed(watch::Receiver<Authorization>);
//!
//! impl CredentialProvider for Pushed {
//!     type Acquire = Ready<Result<Authorization, Error>>;
//!
//!     fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
//!         Some(self.0.borrow().clone())
//!     }
//!
//!     fn acquire_for(&self, _head: RequestHead<'_>) -> Self::Acquire {
//!         ready(Ok(self.0.borrow().clone()))
//!     }
//!
//!     fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
//!         let is_current = self.0.borrow().generation() == rejected.receipt.generation();
//!         Verdict::new(match is_current {
//!             true => Reason::Fixed, // no newer one: the caller gets the 401
//!             false => Reason::Late, // a newer one is here: a replay may use it
//!         })
//!     }
//! }
//!
//! let authorization = |token| Ok::<_, tower_bearer::InvalidToken>(
//!     Authorization::new(Scheme::BEARER, &Token::new(token)?));
//! let (push, pushed) = watch::channel(authorization("first")?);
//! let provider = Pushed(pushed);
//! push.send_replace(authorization("second")?);
//! # let request = http::Request::new(());
//! # assert_eq!(provider.current_for(RequestHead::of(&request)).unwrap().value(), "Bearer second");
//! # Ok::<_, tower_bearer::InvalidToken>(())
//! ```
//!
//! # Many accounts
//!
//! If the accounts are few and fixed, build a client for each: the same HTTP client in several
//! layers. If only the request knows the account, use [`KeyedProvider`](crate::KeyedProvider), which
//! has a `CachedProvider` for each key: [the page on accounts](super::accounts).
//!
//! In a provider of your own, give each account a [number](crate::CachedProviderBuilder::account), so
//! that a rejection reaches its own account alone.
//!
//! [`refresh_by`]: https://docs.rs/tower-bearer/latest/tower_bearer/struct.HttpLogin.html#method.refresh_by
//! [`HttpLogin`]: https://docs.rs/tower-bearer/latest/tower_bearer/struct.HttpLogin.html
//! [`presets::Quable`]: https://docs.rs/tower-bearer/latest/tower_bearer/presets/struct.Quable.html
//! [`presets::Teletracker`]: https://docs.rs/tower-bearer/latest/tower_bearer/presets/struct.Teletracker.html
