//! The middleware.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    error::BoxError,
    future::{Handling, ResponseFuture},
    provider::{CachedProvider, CredentialProvider, RequestHead},
    request::{Bypass, KeptRequest, NoReplay, Pending, PerService, Replay},
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
    per_service: PerService<P, R>,
}

impl<S, P, R> BearerAuth<S, P, R> {
    pub(crate) fn new(inner: S, per_service: PerService<P, R>) -> Self {
        Self { inner, per_service }
    }

    /// The provider that all clones of the service share.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.per_service.share.provider
    }

    /// The number of requests to foreign origins so far, through any service of the layer.
    #[must_use]
    pub fn foreign_requests(&self) -> u64 {
        self.per_service.share.foreign_requests()
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
            per_service: self.per_service.clone(),
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
        if !self.per_service.share.wants_authorization(&request) {
            return self.call_slow(request);
        }
        let Some(authorization) = self.per_service.current(&request) else {
            return self.call_slow(request);
        };
        let share = &self.per_service.share;
        let mut kept = None;
        if R::KEEPS {
            (request, kept) = KeptRequest::of(&*share.replay, request);
        }
        let sent = match share.try_authorize(&mut request, authorization) {
            Ok(sent) => sent,
            Err(bare) => return self.call_bypass(request, bare),
        };
        share.provider.sent(sent.receipt);
        let share = share.clone();
        let handling = match kept {
            None => Handling::SentOnce { sent, share },
            Some(kept) => Handling::Pending {
                pending: Box::pin(Pending::replayable(sent, self.inner.clone(), kept)),
                share,
            },
        };
        ResponseFuture::sent(self.inner.call(request), handling)
    }
}

/// What is off the path of a request with a fresh credential.
impl<S, P, R> BearerAuth<S, P, R>
where
    P: CredentialProvider,
{
    /// The request goes bare or, where nothing is current or it wants what is fresh, waits.
    #[cold]
    fn call_slow<B>(&mut self, request: Request<B>) -> ResponseFuture<S, P, B, R>
    where
        S: Service<Request<B>> + Clone,
        R: Replay<B>,
    {
        let share = &self.per_service.share;
        if let Some(bare) = share.bypass(&request) {
            return self.call_bypass(request, bare);
        }
        let head = RequestHead::of(&request);
        if share.provider.sends_bare(head) {
            return self.call_bypass(request, Bypass::Untouched);
        }
        let acquire = share.provider.acquire_for(head);
        // The login may need the slot that `poll_ready` reserved: give it back before waiting.
        self.release_slot();
        let (service, share) = (self.inner.clone(), self.per_service.share.clone());
        ResponseFuture::pending(Pending::acquiring(acquire, service, request), share)
    }

    /// Without an authorization of ours, or not at all.
    #[cold]
    fn call_bypass<B>(&mut self, request: Request<B>, bare: Bypass) -> ResponseFuture<S, P, B, R>
    where
        S: Service<Request<B>> + Clone,
        R: Replay<B>,
    {
        let handling = match bare {
            Bypass::Untouched => Handling::Bare,
            Bypass::CallersHeader => Handling::CallersHeader {
                exchange: self.per_service.share.rejection.exchange(&request),
                share: self.per_service.share.clone(),
            },
            Bypass::Failed(error) => {
                // The slot that `poll_ready` reserved is for another request now.
                self.release_slot();
                let (service, share) = (self.inner.clone(), self.per_service.share.clone());
                return ResponseFuture::pending(Pending::failed(error, service), share);
            }
        };
        self.per_service.share.count_bare(&request);
        ResponseFuture::sent(self.inner.call(request), handling)
    }

    /// Drops the inner service with its reserved slot, for a clone.
    fn release_slot(&mut self)
    where
        S: Clone,
    {
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh));
    }
}
