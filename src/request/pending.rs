//! A request that waits to be sent, or is kept for a replay.

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
    credential::{Authorization, Owner},
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
        // Whether the provider had a current authorization when this request acquired its own. If it
        // has none later, the acquired one is stale.
        was_current: bool,
        rounds: u32,
        service: S,
        // The request without the authorization. `None` once it is sent.
        request: Option<Request<B>>,
        // The copy for a replay, while the request is with the inner service.
        kept: Option<KeptRequest<K>>,
        // The receipt of the rejected request, if this one is its replay.
        rejected: Option<Receipt>,
        // Whom the first authorization was for: the request is sent for nobody else.
        owner: Option<Owner>,
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

/// What to do after a response.
pub(crate) enum AfterResponse {
    /// Replay the request.
    Replay,
    /// Return the response to the caller. A rejection comes with a report.
    Return(Option<RejectionReport>),
}

pub(crate) type BoxedPending<S, P, B, K> = Pin<Box<Pending<S, P, B, K>>>;

/// An extension of the response to a replay. If an outer layer replays the request once more, that
/// replay has the extension too, and an inner layer does not replay it again: two layers send a request
/// three times at most.
#[derive(Clone, Copy)]
pub(crate) struct Replayed;

/// The head of a request, and its body as the replay policy keeps it.
pub(crate) struct KeptRequest<K> {
    head: Parts,
    body: K,
}

impl<K> KeptRequest<K> {
    /// Lets the policy keep the body of a request before it is sent. A request whose caller judges
    /// the response is never replayed, so the policy does not see it. Nor does it see the replay of an
    /// outer layer, after a replay of an inner one.
    pub(crate) fn of<B, R: Replay<B, Kept = K>>(
        replay: &R,
        request: Request<B>,
    ) -> (Request<B>, Option<Self>) {
        let extensions = request.extensions();
        let is_judged = PerRequest::of(extensions).is_some_and(PerRequest::is_judged_by_caller);
        if is_judged || extensions.get::<Replayed>().is_some() {
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

/// How often a request gives its slot back and waits for a fresher authorization. After that it is
/// sent with the one that it has. Without a limit, a service that takes longer to be ready than a
/// credential lives would cause endless logins.
const ROUNDS: u32 = 32;

/// The invariant of [`Pending::poll_call`].
const HAS_REQUEST: &str = "it is polled only while it has a request to send";

impl<S, P: CredentialProvider, B, K> Pending<S, P, B, K> {
    /// A request that waits for an authorization.
    pub(crate) fn acquiring(acquire: P::Acquire, service: S, request: Request<B>) -> Self {
        Self::new(
            Progress::Acquiring { acquire },
            service,
            Some(request),
            None,
        )
    }

    /// A request that is with the inner service, and is replayed if it is rejected.
    pub(crate) fn replayable(sent: Sent, service: S, kept: KeptRequest<K>) -> Self {
        Self::new(Progress::Sent { sent }, service, None, Some(kept))
    }

    /// A request that is never sent.
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
            owner: None,
        }
    }

    /// The receipt of the sent request, if it is not replayable and is no replay. Nothing else of
    /// `self` is then needed.
    pub(crate) fn sent_without_replay(&self) -> Option<Sent> {
        let is_needed = self.kept.is_some() || self.rejected.is_some();
        (!is_needed).then(|| self.sent())
    }

    /// Reports the response to the provider, and decides about a replay.
    pub(crate) fn judge<R, Body>(
        self: Pin<&mut Self>,
        settings: &Settings<P, R>,
        response: &mut Response<Body>,
    ) -> AfterResponse
    where
        R: Replay<B, Kept = K>,
    {
        let sent = self.sent();
        let this = self.project();
        if this.rejected.is_some() {
            response.extensions_mut().insert(Replayed);
        }
        let Some(verdict) = settings.judge(sent, response) else {
            return AfterResponse::Return(None);
        };
        if verdict.is_log_in()
            && let Some(kept) = this.kept.take()
        {
            *this.request = kept.into_request(&*settings.replay);
        }
        if let Some(request) = this.request {
            if response.extensions().get::<Replayed>().is_some() {
                request.extensions_mut().insert(Replayed);
            }
            return AfterResponse::Replay;
        }
        let replayed = this.rejected.map(|_| NotReplayed::AlreadyReplayed);
        AfterResponse::Return(Some(RejectionReport::new(sent.receipt, verdict, replayed)))
    }

    fn sent(&self) -> Sent {
        let Progress::Sent { sent } = self.progress else {
            unreachable!("a request that has a response was sent");
        };
        sent
    }

    /// Waits for a newer authorization than the rejected one.
    pub(crate) fn start_replay(self: Pin<&mut Self>, provider: &P) {
        let rejected = Some(self.sent().receipt);
        let mut this = self.project();
        let request = this.request.as_ref().expect(HAS_REQUEST);
        *this.rejected = rejected;
        *this.owner = None;
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
            if let Some(acquired) = &acquired {
                this.owner.get_or_insert(acquired.owner());
            }
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
            if let ProgressProjection::Acquired { authorization } = this.progress.as_mut().project()
                && provider.is_withdrawn(authorization, head)
            {
                return Poll::Ready(Err(Error::signed_out().into()));
            }
            // The acquired authorization may have expired while the service was not ready.
            let newer = provider.current_for(head);
            let is_stale = newer.is_none() && *this.was_current;
            if !is_stale || *this.rounds == ROUNDS {
                let acquired = match this.progress.as_mut().project() {
                    ProgressProjection::Acquired { authorization } => Some(authorization.clone()),
                    _ => None,
                };
                // One of another account is not newer: an account may be evicted and created again.
                let is_same = |it: &Authorization| *this.owner == Some(it.owner());
                break newer.filter(is_same).or(acquired).expect(HAS_REQUEST);
            }
            *this.rounds += 1;
            let fresh = this.service.clone();
            drop(mem::replace(this.service, fresh));
            let acquire = provider.acquire_for(head);
            this.progress.set(Progress::Acquiring { acquire });
        };
        if *this.owner != Some(authorization.owner()) {
            return Poll::Ready(Err(Error::other_account().into()));
        }
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
        // A replay is never replayed: nothing is kept for it.
        if R::KEEPS && this.rejected.is_none() {
            (request, *this.kept) = KeptRequest::of(&*settings.replay, request);
        }
        let sent = settings.authorize(&mut request, authorization)?;
        this.progress.set(Progress::Sent { sent });
        provider.sent(sent.receipt);
        Poll::Ready(Ok(this.service.call(request)))
    }
}
