#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by it"))]

// Flat strata: a module uses only names from those above it.
mod sync;
mod url;
mod origin;
mod clock;
mod token;
mod refresh_token;
mod authorization;
mod receipt;
mod report;
mod per_request;
mod credential;
mod error;
mod login_error;
mod challenge;
pub mod rejection;
mod login;
mod lifespan;
mod flight;
mod provider;
mod replay;
mod sent;
mod settings;
mod own;
mod cold;
mod future;
mod service;
mod layer;
#[cfg(any(feature = "quable", feature = "teletracker"))]
pub mod presets;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub mod model;

#[cfg(feature = "json")]
pub use crate::login::{JsonLogin, Lifetime};
pub use crate::{
    authorization::{Authorization, Generation},
    clock::{Clock, SystemClock},
    credential::Credential,
    error::{BoxError, Error},
    future::ResponseFuture,
    layer::BearerAuthLayer,
    login::{Login, LoginFn, LoginRequest, Session, login_fn},
    login_error::LoginError,
    origin::Origins,
    per_request::PerRequest,
    provider::{
        Acquire, AcquireIfSome, BoxAcquire, BoxProvider, CachePolicy, CachedProvider,
        CachedProviderBuilder, CredentialProvider, Event, HeldBack, RequestHead, Snapshot, State,
        StaticProvider,
    },
    receipt::{Reason, Receipt, Rejected, Verdict},
    refresh_token::RefreshToken,
    replay::{NoReplay, ReadyBody, Replay, ReplayEmpty, ReplayEmptyOr, ReplayReady, ReplayWith},
    report::{NotReplayed, RejectionReport},
    service::BearerAuth,
    token::{InvalidToken, Scheme, Secret, Token},
    url::InvalidUrl,
};
