//! A request that waits to be sent, at first or for its replay.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Extensions, Request};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{kept::KeptRequest, replay::Replay, sent::Sent, settings::Settings};
use crate::{
    credential::{Authorization, Owner},
    error::{BoxError, Error},
    provider::{CredentialProvider, Receipt, RequestHead},
};

pin_project! {
    pub(crate) struct Pending<S, P, B>
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
        // The receipt of the rejected request, if this one is its replay.
        rejected: Option<Receipt>,
        // Whom the first authorization was for: the request is sent for nobody else.
        owner: Option<Owner>,
    }
}

pin_project! {
    #[project = ProgressProjection]
    enum Progress<A> {
        // Its replay is not yet started.
        Rejected,
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

/// The response to wait for, and what becomes of it.
type Called<F, S, K> = Result<(F, JustSent<S, K>), BoxError>;

pub(crate) type BoxedPending<S, P, B> = Pin<Box<Pending<S, P, B>>>;

/// An extension of the response to a replay. If an outer layer replays the request once more, that
/// replay has the extension too, and an inner layer does not replay it again: two layers send a request
/// three times at most.
#[derive(Clone, Copy)]
pub(crate) struct Replayed;

/// A request that is with the inner service, and is replayed if it is rejected.
pub(crate) struct Replayable<S, K> {
    pub(crate) sent: Sent,
    service: S,
    kept: KeptRequest<K>,
}

impl<S, K> Replayable<S, K> {
    pub(crate) fn new(sent: Sent, service: S, kept: KeptRequest<K>) -> Self {
        Self {
            sent,
            service,
            kept,
        }
    }

    /// The replay, to be [started](Pending::start_replay) once the rejected response is dropped. `None`
    /// if the policy decides against it.
    pub(crate) fn into_replay<P, B, R>(
        self,
        replay: &R,
        rejected: &Extensions,
    ) -> Option<Pending<S, P, B>>
    where
        P: CredentialProvider,
        R: Replay<B, Kept = K>,
    {
        let mut request = self.kept.into_request(replay)?;
        if rejected.get::<Replayed>().is_some() {
            request.extensions_mut().insert(Replayed);
        }
        let receipt = Some(self.sent.receipt);
        let progress = Progress::Rejected;
        Some(Pending::new(progress, self.service, Some(request), receipt))
    }
}

/// A request that has just been sent, and what becomes of its response.
pub(crate) enum JustSent<S, K> {
    Once(Sent),
    Replayable(Box<Replayable<S, K>>),
    Replay(Sent),
}

/// How often a request gives its slot back and waits for a fresher authorization. After that it is
/// sent with the one that it has. Without a limit, a service that takes longer to be ready than a
/// credential lives would cause endless logins.
const ROUNDS: u32 = 32;

/// The invariant of [`Pending::poll_call`].
const HAS_REQUEST: &str = "it is polled only while it has a request to send";

impl<S, P: CredentialProvider, B> Pending<S, P, B> {
    /// A request that waits for an authorization.
    pub(crate) fn acquiring(acquire: P::Acquire, service: S, request: Request<B>) -> Self {
        let progress = Progress::Acquiring { acquire };
        Self::new(progress, service, Some(request), None)
    }

    /// A request that is never sent.
    pub(crate) fn failed(error: Error, service: S) -> Self {
        Self::new(Progress::Failed { error }, service, None, None)
    }

    fn new(
        progress: Progress<P::Acquire>,
        service: S,
        request: Option<Request<B>>,
        rejected: Option<Receipt>,
    ) -> Self {
        Self {
            progress,
            was_current: false,
            rounds: 0,
            service,
            request,
            rejected,
            owner: None,
        }
    }

    /// Waits for a newer authorization than the rejected one.
    pub(crate) fn start_replay(self: Pin<&mut Self>, provider: &P) {
        let mut this = self.project();
        let request = this.request.as_ref().expect(HAS_REQUEST);
        let head = RequestHead {
            rejected: *this.rejected,
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
    ) -> Poll<Called<S::Future, S, R::Kept>>
    where
        S: Service<Request<B>> + Clone,
        S::Error: Into<BoxError>,
        R: Replay<B>,
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
        let mut kept = None;
        // A replay is never replayed: nothing is kept for it.
        if R::KEEPS && this.rejected.is_none() {
            let (head, mut body) = request.into_parts();
            (body, kept) = KeptRequest::of(&*settings.replay, &head, body);
            request = Request::from_parts(head, body);
        }
        let sent = settings.authorize(&mut request, authorization)?;
        provider.sent(sent.receipt);
        let response = this.service.call(request);
        let sent = match kept {
            Some(kept) => {
                let service = this.service.clone();
                JustSent::Replayable(Box::new(Replayable::new(sent, service, kept)))
            }
            None if this.rejected.is_some() => JustSent::Replay(sent),
            None => JustSent::Once(sent),
        };
        Poll::Ready(Ok((response, sent)))
    }
}
