//! The handling of one request.

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
        AfterResponse, BoxedPending, Exchange, NoReplay, NotReplayed, Pending, RejectionReport,
        Replay, Sent, Share,
    },
};

pin_project! {
    /// The response of a [`BearerAuth`](crate::BearerAuth) service.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for a login, it leaves the login running for others.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, B, R = NoReplay>
    where
        S: Service<Request<B>>,
        P: CredentialProvider,
        R: Replay<B>,
    {
        // While the request is with the inner service. Not in a state with the rest: a response would
        // be moved more often on its handling in.
        #[pin]
        response: Option<S::Future>,
        handling: Handling<S, P, B, R>,
    }
}

/// What is there of a request beside its response.
pub(crate) enum Handling<S, P: CredentialProvider, B, R: Replay<B>> {
    /// It went bare: its answer is no news.
    Bare,
    /// It went with an authorization that the caller had set: no news for the provider.
    CallersHeader {
        exchange: Exchange,
        share: Share<P, R>,
    },
    /// It is sent once.
    SentOnce { sent: Sent, share: Share<P, R> },
    /// It waits to be sent, or may be sent again.
    Pending {
        pending: BoxedPending<S, P, B, R::Kept>,
        share: Share<P, R>,
    },
}

impl<S, P, B, R> ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
    R: Replay<B>,
{
    /// A request that is on its handling.
    #[inline]
    pub(crate) fn sent(response: S::Future, handling: Handling<S, P, B, R>) -> Self {
        Self {
            response: Some(response),
            handling,
        }
    }

    /// A request that is not.
    pub(crate) fn pending(pending: Pending<S, P, B, R::Kept>, share: Share<P, R>) -> Self {
        Self {
            response: None,
            handling: Handling::Pending {
                pending: Box::pin(pending),
                share,
            },
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
        // Calling => (Waiting | the answer)
        if let Some(response) = this.response.as_mut().as_pin_mut() {
            let mut answer = ready!(response.poll(cx));
            let is_final = match &mut answer {
                Ok(response) => !this.handling.judge(response),
                Err(_) => true,
            };
            if is_final {
                return Poll::Ready(answer.map_err(Into::into));
            }
            // Before the login: over HTTP/1 what is unread keeps its connection.
            drop(answer);
            self.as_mut().start_replay();
        }
        self.poll_pending(cx)
    }
}

impl<S, P: CredentialProvider, B, R: Replay<B>> Handling<S, P, B, R> {
    /// Tells the provider of the answer. Returns whether the request is to be sent again.
    #[inline]
    fn judge<Body>(&mut self, response: &mut Response<Body>) -> bool {
        if let Self::SentOnce { sent, share } = self
            && sent.is_accepted_by_status(response)
        {
            share.provider.accept(sent.receipt);
            return false;
        }
        self.judge_in_full(response)
    }

    #[inline(never)]
    fn judge_in_full<Body>(&mut self, response: &mut Response<Body>) -> bool {
        let report = match self {
            Self::Bare => None,
            Self::CallersHeader { exchange, share } => {
                let is_rejected = share.rejection.is_rejection(response, *exchange);
                is_rejected.then_some(RejectionReport::CALLERS_HEADER)
            }
            Self::SentOnce { sent, share } => share.judge(*sent, response).map(|verdict| {
                let no_policy = (!R::KEEPS).then_some(NotReplayed::NoPolicy);
                RejectionReport::new(sent.receipt, verdict, no_policy)
            }),
            Self::Pending { pending, share } => match pending.as_mut().judge(share, response) {
                AfterResponse::Replay => return true,
                AfterResponse::Return(report) => report,
            },
        };
        if let Some(report) = report {
            response.extensions_mut().insert(report);
        }
        false
    }
}

/// What is off the path of a request with a fresh credential.
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
        // What the inner future still holds is given back before the login, which may need it.
        this.response.set(None);
        if let Handling::Pending { pending, share } = this.handling {
            pending.as_mut().start_replay(&share.provider);
        }
    }

    /// Waiting => Calling => (Waiting | the answer)
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
        let Handling::Pending { pending, share } = this.handling else {
            unreachable!("who waits has a request");
        };
        let response = ready!(pending.as_mut().poll_call(share, cx))?;
        if let Some(sent) = pending.sent_without_replay()
            // Moved: it is counted together with the rest of a crowd.
            && let Handling::Pending { share, .. } = mem::replace(this.handling, Handling::Bare)
        {
            *this.handling = Handling::SentOnce { sent, share };
        }
        this.response.set(Some(response));
        // Once more at the most: what is refused again is not sent again.
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
