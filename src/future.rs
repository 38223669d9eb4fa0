//! The response future: from the call of the inner service to the response, with one replay at most.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    error::BoxError,
    provider::CredentialProvider,
    request::{
        BoxedPending, Exchange, JustSent, NoReplay, NotReplayed, Pending, RejectionReport, Replay,
        Replayable, Replayed, Sent, Share,
    },
};

pin_project! {
    /// The response of a [`BearerAuth`](crate::BearerAuth) service.
    ///
    /// # Cancel safety
    ///
    /// Dropping it while it waits for a login does not stop the login: other requests get its
    /// credential.
    ///
    /// # Examples
    ///
    /// The type can be named, for a service around [`BearerAuth`](crate::BearerAuth) that boxes
    /// nothing:
    ///
    /// ```
    /// use std::task::{Context, Poll};
    /// use http::{Request, Response};
    /// use tower::Service;
    /// use tower_bearer::{BearerAuth, BoxError, CachedProvider, ResponseFuture};
    ///
    /// struct Api<S>(BearerAuth<S>);
    ///
    /// impl<S, B, Body> Service<Request<B>> for Api<S>
    /// where
    ///     S: Service<Request<B>, Response = Response<Body>> + Clone,
    ///     S::Error: Into<BoxError>,
    /// {
    ///     type Response = Response<Body>;
    ///     type Error = BoxError;
    ///     type Future = ResponseFuture<S, CachedProvider, B>;
    ///
    ///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
    ///         self.0.poll_ready(cx)
    ///     }
    ///
    ///     fn call(&mut self, request: Request<B>) -> Self::Future {
    ///         self.0.call(request)
    ///     }
    /// }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, B, R = NoReplay>
    where
        S: Service<Request<B>>,
        P: CredentialProvider,
        R: Replay<B>,
    {
        // `Some` while the request is with the inner service. It is no variant of `Handling`: the
        // inner future would be moved more often on its way in.
        #[pin]
        response: Option<S::Future>,
        handling: Handling<S, P, B, R>,
        share: Share<P, R>,
    }
}

/// What to do with the response when it arrives.
pub(crate) enum Handling<S, P: CredentialProvider, B, R: Replay<B>> {
    /// Nothing: the request was sent bare.
    Bare,
    /// Report a rejection to the caller, but not to the provider: the caller set the header.
    CallersHeader(Exchange),
    /// Report to the provider: the request is not replayed.
    SentOnce(Sent),
    /// Report to the provider. A rejection may cause a replay.
    Replayable(Box<Replayable<S, R::Kept>>),
    /// Report to the provider: this is the replay. Boxed, since this rare variant would make each future
    /// larger.
    Replay(Box<Sent>),
    /// The request waits to be sent, at first or for its replay.
    Pending(BoxedPending<S, P, B>),
}

impl<S, P, B, R> ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
    R: Replay<B>,
{
    /// For a request that the inner service was called with.
    #[inline]
    pub(crate) fn sent(
        response: S::Future,
        handling: Handling<S, P, B, R>,
        share: Share<P, R>,
    ) -> Self {
        Self {
            response: Some(response),
            handling,
            share,
        }
    }

    /// For a request that waits to be sent.
    pub(crate) fn pending(pending: Pending<S, P, B>, share: Share<P, R>) -> Self {
        Self {
            response: None,
            handling: Handling::Pending(Box::pin(pending)),
            share,
        }
    }
}

impl<S, P, B, R, Body> Future for ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone,
    S::Error: Into<BoxError>,
    P: CredentialProvider,
    R: Replay<B>,
{
    type Output = Result<Response<Body>, BoxError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        // Calling => (Waiting | the response)
        if let Some(response) = this.response.as_mut().as_pin_mut() {
            let mut result = response.poll(cx).map_err(Into::into);
            let is_final = match &mut result {
                Poll::Ready(Ok(response)) => !this.handling.judge(this.share, response),
                _ => true,
            };
            if is_final {
                return result;
            }
            // Before the login: over HTTP/1, an unread response occupies its connection.
            drop(result);
            self.as_mut().start_replay();
        }
        self.poll_pending(cx)
    }
}

impl<S, P: CredentialProvider, B, R: Replay<B>> Handling<S, P, B, R> {
    /// Reports the response to the provider. Returns whether to replay the request.
    #[inline]
    fn judge<Body>(&mut self, share: &Share<P, R>, response: &mut Response<Body>) -> bool {
        let sent = match self {
            Self::SentOnce(sent) => Some(*sent),
            Self::Replayable(replayable) if R::KEEPS => Some(replayable.sent),
            _ => None,
        };
        if let Some(sent) = sent
            && sent.is_accepted_by_status(response)
        {
            share.provider.accept(sent.receipt);
            return false;
        }
        self.judge_in_full(share, response)
    }

    #[inline(never)]
    fn judge_in_full<Body>(&mut self, share: &Share<P, R>, response: &mut Response<Body>) -> bool {
        let report = match self {
            Self::Bare | Self::Pending(_) => None,
            Self::CallersHeader(exchange) => {
                let is_rejected = share.rejection.is_rejection(response, *exchange);
                is_rejected.then_some(RejectionReport::CALLERS_HEADER)
            }
            Self::SentOnce(sent) => share.judge(*sent, response).map(|verdict| {
                let no_policy = (!R::KEEPS).then_some(NotReplayed::NoPolicy);
                RejectionReport::new(sent.receipt, verdict, no_policy)
            }),
            Self::Replayable(replayable) => {
                let receipt = replayable.sent.receipt;
                match share.judge(replayable.sent, response) {
                    Some(verdict) if verdict.is_log_in() && self.replay(share, response) => {
                        return true;
                    }
                    verdict => verdict.map(|verdict| RejectionReport::new(receipt, verdict, None)),
                }
            }
            Self::Replay(sent) => {
                response.extensions_mut().insert(Replayed);
                share.judge(**sent, response).map(|verdict| {
                    let replayed = Some(NotReplayed::AlreadyReplayed);
                    RejectionReport::new(sent.receipt, verdict, replayed)
                })
            }
        };
        if let Some(report) = report {
            response.extensions_mut().insert(report);
        }
        false
    }

    /// Makes the replay of a rejected request, unless its policy decides against it.
    fn replay<Body>(&mut self, share: &Share<P, R>, response: &Response<Body>) -> bool {
        let Self::Replayable(replayable) = mem::replace(self, Self::Bare) else {
            return false;
        };
        let Some(pending) = replayable.into_replay(&*share.replay, response.extensions()) else {
            return false;
        };
        *self = Self::Pending(Box::pin(pending));
        true
    }
}

/// The slow path: a request that waits, at first or for its replay.
impl<S, P, B, R> ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
    R: Replay<B>,
{
    /// Calling => Waiting.
    #[cold]
    fn start_replay(self: Pin<&mut Self>) {
        let mut this = self.project();
        // The login may need a resource that the inner future still holds: drop it before waiting.
        this.response.set(None);
        if let Handling::Pending(pending) = this.handling {
            pending.as_mut().start_replay(&this.share.provider);
        }
    }

    /// Waiting => Calling => (Waiting | the response)
    #[cold]
    fn poll_pending<Body>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Body>, BoxError>>
    where
        S: Service<Request<B>, Response = Response<Body>> + Clone,
        S::Error: Into<BoxError>,
    {
        let mut this = self.as_mut().project();
        let Handling::Pending(pending) = this.handling else {
            unreachable!("only a pending request has no response to wait for");
        };
        let called = ready!(pending.as_mut().poll_call(this.share, cx));
        let (response, sent) = called.inspect_err(|error| this.share.count_failed(error))?;
        *this.handling = match sent {
            JustSent::Once(sent) => Handling::SentOnce(sent),
            JustSent::Replayable(replayable) => Handling::Replayable(replayable),
            JustSent::Replay(sent) => Handling::Replay(Box::new(sent)),
        };
        this.response.set(Some(response));
        // This recursion ends: a replay is never replayed.
        self.poll(cx)
    }
}

impl<S, P, B, R> fmt::Debug for ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
    R: Replay<B>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
