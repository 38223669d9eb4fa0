//! The middleware.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    cold::{self, Cold},
    error::BoxError,
    future::ResponseFuture,
    provider::{CachedProvider, CredentialProvider, RequestHead},
    replay::{NoReplay, Replay},
    settings::{Carried, Exchange, Settings, Way},
};

/// A service that puts an authorization on each request. [`BearerAuthLayer`] makes it.
///
/// The response is the inner service's own, body included. Its errors pass through unwrapped, as
/// [`BoxError`]; where no authorization can be had, the response future ends with an
/// [`Error`](crate::Error).
///
/// # Clone
///
/// The inner service has to be `Clone`: a request that must wait for a login gives back the
/// readiness that was reserved for it, and is sent through a clone. Around a service that is not,
/// put a tower `BufferLayer` between the two. Clones share the provider.
///
/// Where a method such as `ready` or `call` "exists, but its trait bounds were not satisfied", write
/// `tower::Service::call(&mut client, request)`: then the compiler says which bound it is.
///
/// # Readiness
///
/// `poll_ready` is the inner service's. A failed login never shows there, where it would mean that
/// the service is dead: it is an error of the one response.
///
/// [`BearerAuthLayer`]: crate::BearerAuthLayer
#[derive(Debug)]
pub struct BearerAuth<S, P = CachedProvider, R = NoReplay> {
    inner: S,
    settings: Arc<Settings<P, R>>,
}

impl<S, P, R> BearerAuth<S, P, R> {
    pub(crate) fn new(inner: S, settings: Arc<Settings<P, R>>) -> Self {
        Self { inner, settings }
    }

    /// The provider that all clones of the service share.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.settings.provider
    }

    /// The number of requests to foreign origins so far, through any service of the layer.
    #[must_use]
    pub fn foreign_requests(&self) -> u64 {
        self.settings.foreign_requests()
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

// `P` and `R` are behind the `Arc`: a clone of the service asks nothing of them.
impl<S: Clone, P, R> Clone for BearerAuth<S, P, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<S, P, R, B, Body> Service<Request<B>> for BearerAuth<S, P, R>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone,
    S::Error: Into<BoxError>,
    P: CredentialProvider,
    R: Replay<B>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ResponseFuture<S, P, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let settings = &self.settings;
        let head = RequestHead::of(&request);
        let current = match settings.way_of(&request) {
            Way::Authorized => settings.provider.current(head),
            Way::AuthorizedAfresh => None,
            Way::Bare => {
                settings.bare(&request);
                return ResponseFuture::bare(self.inner.call(request));
            }
            Way::Refused(error) => {
                // The slot that `poll_ready` reserved is for somebody else now.
                let fresh = self.inner.clone();
                drop(mem::replace(&mut self.inner, fresh));
                return ResponseFuture::refused(error);
            }
        };
        let Some(authorization) = current else {
            let acquire = settings.provider.acquire(head);
            // The login may need the slot that `poll_ready` reserved: give it back before waiting.
            let fresh = self.inner.clone();
            drop(mem::replace(&mut self.inner, fresh.clone()));
            let settings = Arc::clone(settings);
            return ResponseFuture::cold(Cold::waiting(acquire, fresh, request, settings));
        };
        let kept = cold::copy(&settings.replay, &request)
            .map(|copy| Cold::kept(self.inner.clone(), copy, Arc::clone(settings)));
        let carried = Carried {
            exchange: Exchange::of(&request),
            generation: settings.authorize(&mut request, authorization),
            settings: Arc::clone(settings),
        };
        ResponseFuture::authorized(self.inner.call(request), carried, kept)
    }
}
