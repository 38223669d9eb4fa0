//! The middleware.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    error::BoxError,
    future::{ResponseFuture, Way},
    provider::{CachedProvider, CredentialProvider, RequestHead},
    request::{Bare, Cold, Kept, NoReplay, Own, Replay},
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
    own: Own<P, R>,
}

impl<S, P, R> BearerAuth<S, P, R> {
    pub(crate) fn new(inner: S, own: Own<P, R>) -> Self {
        Self { inner, own }
    }

    /// The provider that all clones of the service share.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.own.share.provider
    }

    /// The number of requests to foreign origins so far, through any service of the layer.
    #[must_use]
    pub fn foreign_requests(&self) -> u64 {
        self.own.share.foreign_requests()
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
            own: self.own.clone(),
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
        if !self.own.share.takes_current(&request) {
            return self.call_otherwise(request);
        }
        let Some(authorization) = self.own.current(&request) else {
            return self.call_otherwise(request);
        };
        let share = &self.own.share;
        let mut kept = None;
        if R::KEEPS {
            (request, kept) = Kept::of(&*share.replay, request);
        }
        let sent = match share.try_authorize(&mut request, authorization) {
            Ok(sent) => sent,
            Err(bare) => return self.call_bare(request, bare),
        };
        share.provider.sent(sent.receipt);
        let share = share.clone();
        let way = match kept {
            None => Way::Once { sent, share },
            Some(kept) => Way::Cold {
                cold: Box::pin(Cold::kept(sent, self.inner.clone(), kept)),
                share,
            },
        };
        ResponseFuture::sent(self.inner.call(request), way)
    }
}

/// What is off the path of a request with a fresh credential.
impl<S, P, R> BearerAuth<S, P, R>
where
    P: CredentialProvider,
{
    /// The request goes bare or, where nothing is current or it wants what is fresh, waits.
    #[cold]
    fn call_otherwise<B>(&mut self, request: Request<B>) -> ResponseFuture<S, P, B, R>
    where
        S: Service<Request<B>> + Clone,
        R: Replay<B>,
    {
        let share = &self.own.share;
        if let Some(bare) = share.bare_way(&request) {
            return self.call_bare(request, bare);
        }
        let head = RequestHead::of(&request);
        if share.provider.sends_bare(head) {
            return self.call_bare(request, Bare::Untouched);
        }
        let acquire = share.provider.acquire_for(head);
        // The login may need the slot that `poll_ready` reserved: give it back before waiting.
        self.give_slot_back();
        let (service, share) = (self.inner.clone(), self.own.share.clone());
        ResponseFuture::cold(Cold::waiting(acquire, service, request), share)
    }

    /// Without an authorization of ours, or not at all.
    #[cold]
    fn call_bare<B>(&mut self, request: Request<B>, bare: Bare) -> ResponseFuture<S, P, B, R>
    where
        S: Service<Request<B>> + Clone,
        R: Replay<B>,
    {
        let way = match bare {
            Bare::Untouched => Way::Bare,
            Bare::CallersOwn => Way::CallersOwn {
                exchange: self.own.share.rejection.exchange(&request),
                share: self.own.share.clone(),
            },
            Bare::Refused(error) => {
                // The slot that `poll_ready` reserved is for another request now.
                self.give_slot_back();
                let (service, share) = (self.inner.clone(), self.own.share.clone());
                return ResponseFuture::cold(Cold::refused(error, service), share);
            }
        };
        self.own.share.bare(&request);
        ResponseFuture::sent(self.inner.call(request), way)
    }

    /// Drops the inner service with its reserved slot, for a clone.
    fn give_slot_back(&mut self)
    where
        S: Clone,
    {
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh));
    }
}
