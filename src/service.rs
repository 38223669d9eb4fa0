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
    request::{Bypass, KeptRequest, NoReplay, Pending, PerService, Replay, Replayable},
};

/// A service that adds an authorization header to each request. [`BearerAuthLayer`] makes it.
///
/// The response is the inner service's, with an unchanged body. Errors of the inner service pass
/// through unwrapped, as [`BoxError`]. If no authorization is available, the response future ends
/// with an [`Error`](crate::Error).
///
/// # Clone
///
/// The inner service must be `Clone`. A request that waits for a login gives its reserved readiness
/// back, and is sent through a clone. If your service is not `Clone`, put a tower `BufferLayer`
/// between the two. Clones share the provider.
///
/// The compiler may say that a method such as `ready` or `call` "exists, but its trait bounds were
/// not satisfied". Write `tower::Service::call(&mut client, request)` instead: then it names the
/// bound.
///
/// # Readiness
///
/// `poll_ready` is the inner service's. It never reports a failed login: to Tower, an error there
/// means that the service is dead. The response future of the one request reports it.
///
/// # Examples
///
/// A client with a named type, as the field of a struct has it:
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use tower::{Layer, Service, ServiceExt};
/// use tower_bearer::{BearerAuth, BearerAuthLayer, BoxError, Origins, StaticProvider};
///
/// struct Api<S> {
///     http: BearerAuth<S, StaticProvider>,
/// }
///
/// impl<S> Api<S>
/// where
///     S: Service<Request<String>, Response = Response<String>> + Clone,
///     S::Error: Into<BoxError>,
/// {
///     async fn greet(&mut self) -> Result<String, BoxError> {
///         let request = Request::post("https://api.example.com/").body("hello".to_owned())?;
///         Ok(self.http.ready().await?.call(request).await?.into_body())
///     }
/// }
///
/// # tokio_test::block_on(async {
/// let http = tower::service_fn(|request: Request<String>| async move {
///     assert_eq!(request.headers()["authorization"], "Bearer abc");
///     Ok::<_, Infallible>(Response::new(request.into_body()))
/// });
/// let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https());
/// let mut api = Api { http: layer.layer(http) };
/// assert_eq!(api.greet().await?, "hello");
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
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

    /// The number of requests sent bare so far, through all services of the layer: see
    /// [`BearerAuthLayer::bare_requests`](crate::BearerAuthLayer::bare_requests).
    #[must_use]
    pub fn bare_requests(&self) -> u64 {
        self.per_service.share.bare_requests()
    }

    /// The number of replays so far, through all services of the layer.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.per_service.share.replays()
    }

    /// The number of requests to foreign origins so far, through all services of the layer.
    #[must_use]
    pub fn foreign_requests(&self) -> u64 {
        self.per_service.share.foreign_requests()
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, by mutable reference.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Unwraps the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

// By hand, since a derive would demand `P: Clone` and `R: Clone`: both are behind an `Arc`.
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
            let (head, mut body) = request.into_parts();
            (body, kept) = KeptRequest::of(&*share.replay, &head, body);
            request = Request::from_parts(head, body);
        }
        let sent = match share.try_authorize(&mut request, authorization) {
            Ok(sent) => sent,
            Err(bypass) => return self.call_bypass(request, bypass),
        };
        share.provider.sent(sent.receipt);
        let share = share.clone();
        let handling = match kept {
            None => Handling::SentOnce(sent),
            Some(kept) => {
                let service = self.inner.clone();
                Handling::Replayable(Box::new(Replayable::new(sent, service, kept)))
            }
        };
        ResponseFuture::sent(self.inner.call(request), handling, share)
    }
}

/// The slow path: no current credential, or a request that gets none.
impl<S, P, R> BearerAuth<S, P, R>
where
    P: CredentialProvider,
{
    /// Sends the request bare, or makes it wait: for any credential, or for a fresh one if it asks.
    #[cold]
    fn call_slow<B>(&mut self, request: Request<B>) -> ResponseFuture<S, P, B, R>
    where
        S: Service<Request<B>> + Clone,
        R: Replay<B>,
    {
        let share = &self.per_service.share;
        if let Some(bypass) = share.bypass(&request) {
            #[cfg(feature = "tracing")]
            if matches!(bypass, Bypass::Foreign)
                && !share.provider.sends_bare(RequestHead::of(&request))
            {
                share.log_foreign_origin(&request);
            }
            return self.call_bypass(request, bypass);
        }
        let head = RequestHead::of(&request);
        if share.provider.sends_bare(head) {
            return self.call_bypass(request, Bypass::ByProvider);
        }
        let acquire = share.provider.acquire_for(head);
        // The login may need the slot that `poll_ready` reserved: give it back before waiting.
        self.release_slot();
        let (service, share) = (self.inner.clone(), self.per_service.share.clone());
        ResponseFuture::pending(Pending::acquiring(acquire, service, request), share)
    }

    /// Sends the request without our authorization, or fails it.
    #[cold]
    fn call_bypass<B>(&mut self, request: Request<B>, bypass: Bypass) -> ResponseFuture<S, P, B, R>
    where
        S: Service<Request<B>> + Clone,
        R: Replay<B>,
    {
        let handling = match &bypass {
            Bypass::PerRequest | Bypass::ByProvider | Bypass::Foreign => Handling::Bare,
            Bypass::CallersHeader => {
                Handling::CallersHeader(self.per_service.share.rejection.exchange(&request))
            }
            Bypass::Failed(error) => {
                // This request is never sent: another may use the slot that `poll_ready` reserved.
                self.release_slot();
                let (service, share) = (self.inner.clone(), self.per_service.share.clone());
                return ResponseFuture::pending(Pending::failed(error.clone(), service), share);
            }
        };
        let share = self.per_service.share.clone();
        share.count_bare(&request, &bypass);
        ResponseFuture::sent(self.inner.call(request), handling, share)
    }

    /// Gives back the slot that `poll_ready` reserved, by replacing the inner service with a clone.
    fn release_slot(&mut self)
    where
        S: Clone,
    {
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh));
    }
}
