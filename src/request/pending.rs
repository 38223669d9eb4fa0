//! A request that is not with the inner service: it waits to be sent, or is kept to be sent again.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    replay::Replay,
    report::{NotReplayed, RejectionReport},
    sent::Sent,
    settings::Settings,
};
use crate::{
    credential::Authorization,
    error::{BoxError, Error},
    provider::{CredentialProvider, PerRequest, Receipt, RequestHead},
};

pin_project! {
    pub(crate) struct Pending<S, P, B, K>
    where
        P: CredentialProvider,
    {
        #[pin]
        progress: Progress<P::Acquire>,
        // Whether what was acquired was the current one, for everybody: then none now means that it
        // is stale.
        was_current: bool,
        rounds: u32,
        service: S,
        // Without the authorization. None once it is sent.
        request: Option<Request<B>>,
        // What the request can be made of again, while it is with the inner service.
        kept: Option<KeptRequest<K>>,
        // What it was rejected with: what is sent now is a replay.
        rejected: Option<Receipt>,
    }
}

pin_project! {
    #[project = ProgressProjection]
    enum Progress<A> {
        // The request is with the inner service.
        Sent {
            sent: Sent,
        },
        Acquiring {
            #[pin]
            acquire: A,
        },
        Acquired {
            authorization: Authorization,
        },
        // The request is never sent.
        Failed {
            error: Error,
        },
    }
}

/// What becomes of a request whose response is there.
pub(crate) enum AfterResponse {
    /// It is sent again.
    Replay,
    /// The response goes to its caller, with a report where it is a rejection.
    Return(Option<RejectionReport>),
}

/// The box that it is in.
pub(crate) type BoxedPending<S, P, B, K> = Pin<Box<Pending<S, P, B, K>>>;

/// A request without its body, and what the policy has kept of that.
pub(crate) struct KeptRequest<K> {
    head: Parts,
    body: K,
}

impl<K> KeptRequest<K> {
    /// Has the policy keep the body of a request that is to be sent. No policy sees one whose caller
    /// judges the response: it is never sent again.
    pub(crate) fn of<B, R: Replay<B, Kept = K>>(
        replay: &R,
        request: Request<B>,
    ) -> (Request<B>, Option<Self>) {
        let per_request = PerRequest::of(request.extensions());
        if per_request.is_some_and(PerRequest::is_judged_by_caller) {
            return (request, None);
        }
        let (head, body) = request.into_parts();
        let (body, kept) = replay.keep(
            RequestHead {
                method: &head.method,
                uri: &head.uri,
                headers: &head.headers,
                extensions: &head.extensions,
                rejected: None,
            },
            body,
        );
        let kept = kept.map(|body| Self {
            head: head.clone(),
            body,
        });
        (Request::from_parts(head, body), kept)
    }

    fn into_request<B, R: Replay<B, Kept = K>>(self, replay: &R) -> Option<Request<B>> {
        Some(Request::from_parts(self.head, replay.again(self.body)?))
    }
}

/// How often a request gives its slot back for a fresher authorization, before it is sent with what
/// it has: a slot that always takes longer than a credential lives would be logins without end.
const ROUNDS: u32 = 32;

/// The invariant of [`Pending::poll_call`].
const HAS_REQUEST: &str = "it is polled while it has a request to send, and not after";

impl<S, P: CredentialProvider, B, K> Pending<S, P, B, K> {
    /// A request that waits.
    pub(crate) fn acquiring(acquire: P::Acquire, service: S, request: Request<B>) -> Self {
        Self::new(
            Progress::Acquiring { acquire },
            service,
            Some(request),
            None,
        )
    }

    /// A request that is with the inner service, and is sent again if it is rejected.
    pub(crate) fn replayable(sent: Sent, service: S, kept: KeptRequest<K>) -> Self {
        Self::new(Progress::Sent { sent }, service, None, Some(kept))
    }

    /// A request that is not sent.
    pub(crate) fn failed(error: Error, service: S) -> Self {
        Self::new(Progress::Failed { error }, service, None, None)
    }

    fn new(
        progress: Progress<P::Acquire>,
        service: S,
        request: Option<Request<B>>,
        kept: Option<KeptRequest<K>>,
    ) -> Self {
        Self {
            progress,
            was_current: false,
            rounds: 0,
            service,
            request,
            kept,
            rejected: None,
        }
    }

    /// What the request was sent with, where nothing else in here will be asked for.
    pub(crate) fn sent_without_replay(&self) -> Option<Sent> {
        let is_needed = self.kept.is_some() || self.rejected.is_some();
        (!is_needed).then(|| self.sent())
    }

    /// Tells the provider of the response.
    pub(crate) fn judge<R, Body>(
        self: Pin<&mut Self>,
        settings: &Settings<P, R>,
        response: &Response<Body>,
    ) -> AfterResponse
    where
        R: Replay<B, Kept = K>,
    {
        let sent = self.sent();
        let this = self.project();
        let Some(verdict) = settings.judge(sent, response) else {
            return AfterResponse::Return(None);
        };
        if verdict.is_log_in()
            && let Some(kept) = this.kept.take()
        {
            *this.request = kept.into_request(&*settings.replay);
        }
        if this.request.is_some() {
            return AfterResponse::Replay;
        }
        let replayed = this.rejected.map(|_| NotReplayed::AlreadyReplayed);
        AfterResponse::Return(Some(RejectionReport::new(sent.receipt, verdict, replayed)))
    }

    fn sent(&self) -> Sent {
        let Progress::Sent { sent } = self.progress else {
            unreachable!("it is answered because it was sent");
        };
        sent
    }

    /// Waits for a newer authorization than the one that was rejected.
    pub(crate) fn start_replay(self: Pin<&mut Self>, provider: &P) {
        let rejected = Some(self.sent().receipt);
        let mut this = self.project();
        let request = this.request.as_ref().expect(HAS_REQUEST);
        *this.rejected = rejected;
        *this.rounds = 0;
        let head = RequestHead {
            rejected,
            ..RequestHead::of(request)
        };
        let acquire = provider.acquire_for(head);
        this.progress.set(Progress::Acquiring { acquire });
    }

    /// Acquiring => Readying => (Acquiring | the response to wait for).
    pub(crate) fn poll_call<R>(
        self: Pin<&mut Self>,
        settings: &Settings<P, R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Future, BoxError>>
    where
        S: Service<Request<B>> + Clone,
        S::Error: Into<BoxError>,
        R: Replay<B, Kept = K>,
    {
        let mut this = self.project();
        if let ProgressProjection::Failed { error } = this.progress.as_mut().project() {
            return Poll::Ready(Err(error.clone().into()));
        }
        let provider = &settings.provider;
        let head = RequestHead {
            rejected: *this.rejected,
            ..RequestHead::of(this.request.as_ref().expect(HAS_REQUEST))
        };
        let authorization = loop {
            let acquired = match this.progress.as_mut().project() {
                ProgressProjection::Acquiring { acquire } => Some(ready!(acquire.poll(cx))?),
                _ => None,
            };
            let Poll::Ready(readiness) = this.service.poll_ready(cx) else {
                if let Some(authorization) = acquired {
                    *this.was_current = provider.current_for(head).is_some();
                    this.progress.set(Progress::Acquired { authorization });
                }
                return Poll::Pending;
            };
            readiness.map_err(Into::into)?;
            if let Some(authorization) = acquired {
                break authorization;
            }
            // The wait for the slot may have been longer than the life of what was acquired.
            let newer = provider.current_for(head);
            let is_stale = newer.is_none() && *this.was_current;
            if !is_stale || *this.rounds == ROUNDS {
                let acquired = match this.progress.as_mut().project() {
                    ProgressProjection::Acquired { authorization } => Some(authorization.clone()),
                    _ => None,
                };
                break newer.or(acquired).expect(HAS_REQUEST);
            }
            *this.rounds += 1;
            let fresh = this.service.clone();
            drop(mem::replace(this.service, fresh));
            let acquire = provider.acquire_for(head);
            this.progress.set(Progress::Acquiring { acquire });
        };
        if let Some(rejected) = *this.rejected {
            if rejected.generation() == authorization.generation() {
                return Poll::Ready(Err(Error::not_renewed().into()));
            }
            if rejected.account() != authorization.account() {
                return Poll::Ready(Err(Error::other_account().into()));
            }
            settings.count_replay();
        }
        let mut request = this.request.take().expect(HAS_REQUEST);
        // A replay is sent for the last time.
        if R::KEEPS && this.rejected.is_none() {
            (request, *this.kept) = KeptRequest::of(&*settings.replay, request);
        }
        let sent = settings.authorize(&mut request, authorization);
        this.progress.set(Progress::Sent { sent });
        provider.sent(sent.receipt);
        Poll::Ready(Ok(this.service.call(request)))
    }
}
