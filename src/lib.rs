#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by it"))]

// From the top down: a module uses only those below it.
mod layer;
mod service;
mod future;
mod request;
mod provider;
mod login;
mod credential;
mod error;
mod origin;
mod runtime;

// Beside them.
#[cfg(any(feature = "quable", feature = "teletracker"))]
pub mod presets;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(any(doc, doctest))]
pub mod guide;

#[cfg(feature = "json")]
pub use crate::login::{JsonLogin, Lifetime};
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub use crate::runtime::model;
pub use crate::{
    credential::{
        Authorization, Credential, Generation, InvalidToken, RefreshToken, Scheme, Secret, Token,
    },
    error::{BoxError, Error, LoginError},
    future::ResponseFuture,
    layer::BearerAuthLayer,
    login::{Login, LoginFn, LoginRequest, Session, login_fn},
    origin::{InvalidUrl, Origins},
    provider::{
        Acquire, AcquireIfSome, BoxAcquire, BoxProvider, CachePolicy, CachedProvider,
        CachedProviderBuilder, CredentialEvent, CredentialProvider, CredentialState, HeldBack,
        PerRequest, Reason, Receipt, Rejected, RequestHead, Snapshot, StaticProvider, Verdict,
    },
    request::{
        NoReplay, NotReplayed, ReadyBody, RejectionReport, Replay, ReplayEmpty, ReplayEmptyOr,
        ReplayReady, ReplayWith, rejection,
    },
    runtime::{Clock, SystemClock},
    service::BearerAuth,
};
