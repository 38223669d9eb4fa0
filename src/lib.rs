//! A client-side [Tower] layer that puts a bearer token on each request and makes concurrent
//! refreshes one login.
//!
//! [`BearerAuthLayer`] wraps any HTTP client that is a Tower service: hyper-util's, a tonic channel,
//! a client inside an axum handler. A [`CredentialProvider`] supplies the token. The usual one,
//! [`CachedProvider`], calls your [`Login`] when a token is missing, expired or rejected.
//!
//! Why it exists: at many APIs **each login revokes the previous token**, or a refresh token works
//! only once. Two logins at once, a late 401 or an abandoned login then cost every request its token.
//! So there is one login in flight, no request cancels it, and a 401 invalidates only the token that
//! the request carried.
//!
//! [Tower]: https://docs.rs/tower
//!
//! # Example
//!
//! ```
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_bearer::{
//!     BearerAuthLayer, BoxError, CachedProvider, Credential, LoginRequest, Origins, login_fn,
//! };
//!
//! async fn log_in(_request: LoginRequest) -> Result<Credential, BoxError> {
//!     let (token, seconds) = ("mF_9.B5f-4.1JqM", 3600); // ask the API here
//!     Ok(Credential::new(token)?.with_lifetime(Duration::from_secs(seconds)))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # let http = tower::service_fn(|request: Request<()>| async move {
//! #     Ok::<_, std::convert::Infallible>(Response::new(request.headers()["authorization"].clone()))
//! # });
//! let provider = CachedProvider::new(login_fn(log_in));
//! let origins = Origins::new(["https://api.example.com"])?; // no other host sees the token
//! let mut client = ServiceBuilder::new()
//!     .layer(BearerAuthLayer::new(provider, origins))
//!     .service(http); // your client
//!
//! let request = Request::get("https://api.example.com/things").body(())?;
//! let response = client.ready().await?.call(request).await?;
//! assert_eq!(response.body(), "Bearer mF_9.B5f-4.1JqM");
//! # Ok::<_, BoxError>(()) })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! # How the parts fit
//!
//! ```text
//!  request ──▶ BearerAuth ───────────────▶ your client ──▶ API
//!                  │  ▲
//!     current token│  │ accepted, rejected
//!                  ▼  │
//!           CredentialProvider
//!                  │  ▲
//!        one flight│  │ Credential
//!                  ▼  │
//!                Login ──▶ your client, without the layer ──▶ issuer
//! ```
//!
//! | to do this | use |
//! | --- | --- |
//! | send a token that never changes | [`StaticProvider`] |
//! | log in, cache and renew | [`CachedProvider`] with [`login_fn`] or a [`Login`] |
//! | log in by one POST with a JSON answer, without code | `HttpLogin`, feature `json` |
//! | log in by OAuth 2.0 | `HttpLogin` with `OAuth2Grant`, feature `oauth2` |
//! | send a token from a file that somebody else writes | `TokenFile`, feature `files` |
//! | choose a provider at run time, or none | [`BoxProvider`], `Option<P>` |
//! | choose the account by the request | [`KeyedProvider`] |
//! | wrap an SDK's token cache | [`SdkProvider`] |
//! | use reqwest, or a client of openapi-generator | [the layer as a middleware](guide::reqwest), feature `reqwest-middleware-05` |
//! | say which hosts may see the token | [`Origins`] |
//! | send a rejected request once more | [`BearerAuthLayer::replay`], [`Replay`] |
//! | say what counts as a rejection | [`BearerAuthLayer::rejected_if`], [`rejection`] |
//! | treat one request differently | [`PerRequest`] |
//! | learn why a rejected request was not replayed | [`RejectionReport`] |
//! | store refresh tokens, and start with one | [`RefreshToken`], [`CachedProviderBuilder`] |
//! | share one login between processes | `store::CredentialStore`, feature `store` |
//! | observe logins and rejections | [`CachedProvider::snapshot`], [`CredentialEvent`], features `metrics` and `tracing` |
//! | change timeouts, margins and pauses | [`CachePolicy`] |
//! | test your code | `test_util`, feature `test-util` |
//!
//! # Guide
//!
//! The [`guide`] explains the rest, one question per page. Begin with
//! [getting started](guide::getting_started). Answer one question before you go to production:
//! [is the session exclusive or concurrent?](guide::exclusive_or_concurrent)
//!
//! # Features
//!
//! No feature is on by default. A feature adds API and changes no behaviour.
//!
//! | feature | adds |
//! | --- | --- |
//! | `files` | `TokenFile`: a token in a file that somebody else writes; `SecretFile`: a login's secret in a file |
//! | `json` | `HttpLogin`: a login that is one POST with a JSON answer |
//! | `metrics` | counters of logins, rejections and requests, for the facade `metrics`: see [metrics](guide::metrics) |
//! | `oauth2` | `OAuth2Grant` and `OAuth2Issuer`: the grants of OAuth 2.0 and discovery, for `HttpLogin` |
//! | `quable` | `presets::Quable`: Quable PIM |
//! | `reqwest-middleware-05` | [`BearerAuthLayer`] is a middleware of reqwest-middleware 0.5, for reqwest 0.13: see [the guide](guide::reqwest) |
//! | `store` | `store`: what several processes need to share one login: a trait, stores in files, Redis and memory |
//! | `teletracker` | `presets::Teletracker`: Teletracker |
//! | `test-util` | `test_util`: a scripted login, a scripted provider, a clock moved by hand |
//! | `tracing` | a span for each login, a line for each [`CredentialEvent`]: see [logging](guide::logging) |
//!
//! # Names
//!
//! There is no prelude. Import by name rather than by glob: [`Error`], [`Token`], [`Session`] and
//! [`Scheme`] are short names that other crates use too.
//!
//! # Versions
//!
//! The minimum supported Rust version is 1.89. A release that raises it raises the minor version, and
//! names it in the changelog; the new minimum is at least six months old. Until 1.0 a breaking change
//! raises the minor version as well. Features, public types, documented defaults, the
//! [target and fields](guide::logging#what-is-stable) of log lines and the
//! [names and labels](guide::metrics#what-is-stable) of metrics are covered; the text of errors, of
//! events and of `Debug` is not.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by it"))]

#[cfg(not(target_has_atomic = "64"))]
compile_error!(
    "tower-bearer needs 64-bit atomics, which this target lacks: a generation must never be used twice"
);

// From the top down: a module uses only those below it.
mod layer;
mod service;
mod future;
mod request;
mod provider;
mod login;
#[cfg(feature = "store")]
pub mod store;
mod credential;
mod error;
mod origin;
mod runtime;

// Beside them.
#[cfg(any(feature = "quable", feature = "teletracker"))]
pub mod presets;
#[cfg(feature = "test-util")]
pub mod test_util;
// Its examples take every feature: they are tested only with all of them.
#[cfg(any(
    all(doc, not(doctest)),
    all(
        doctest,
        feature = "files",
        feature = "json",
        feature = "metrics",
        feature = "oauth2",
        feature = "quable",
        feature = "reqwest-middleware-05",
        feature = "store",
        feature = "teletracker",
        feature = "test-util",
        feature = "tracing"
    )
))]
pub mod guide;

#[cfg(feature = "json")]
pub use crate::login::{
    AnswerField, HttpLogin, InvalidBasicAuth, Lifetime, LoginAnswer, LoginBody, RefreshFailure,
};
#[cfg(feature = "oauth2")]
pub use crate::login::{OAuth2Grant, OAuth2Issuer, ReservedParameter};
#[cfg(feature = "files")]
pub use crate::login::{SecretFile, TokenFile};
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub use crate::runtime::model;
pub use crate::{
    credential::{
        Authorization, Credential, Generation, InvalidScheme, InvalidToken, RefreshToken, Scheme,
        Secret, Token,
    },
    error::{BoxError, Error, LoginError, Recovery},
    future::ResponseFuture,
    layer::BearerAuthLayer,
    login::{Challenge, Login, LoginFn, LoginReason, LoginRequest, Session, login_fn},
    origin::{IntoOrigins, InvalidUrl, Origins},
    provider::{
        Acquire, AcquireIfSome, BoxAcquire, BoxProvider, CachePolicy, CachedProvider,
        CachedProviderBuilder, CredentialEvent, CredentialProvider, CredentialState, HeldBack,
        KeyedAcquire, KeyedProvider, KeyedProviderBuilder, PerRequest, Reason, Receipt, Rejected,
        RequestHead, Retired, Retirement, SdkAcquire, SdkProvider, Snapshot, StaticProvider,
        Verdict,
    },
    request::{
        NoReplay, NotReplayed, ReadyBody, RejectionReport, Replay, ReplayEmpty, ReplayEmptyOr,
        ReplayReady, ReplayWith, rejection,
    },
    runtime::{Clock, SystemClock},
    service::BearerAuth,
};

/// The README's examples compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
