//! A request that is not with the inner service: it waits to be sent, or is kept to be sent again.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    authorization::{Authorization, Generation},
    error::{BoxError, Error},
    provider::{CredentialProvider, RequestHead},
    replay::Replay,
    sent::Sent,
    settings::Settings,
};

pin_project! {
    pub(crate) struct Cold<S, P, B>
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
        // Without the authorization. None once it is sent, unless it was copied.
        request: Option<Request<B>>,
        // The generation that it was refused with: what is sent now is a replay.
        refused: Option<Generation>,
    }
}

pin_project! {
    #[project = ProgressProjection]
    enum Progress<A> {
        // The request is with the inner service.
        OnItsWay {
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
        Refused {
            error: Error,
        },
    }
}

/// The box that it is in.
pub(crate) type Boxed<S, P, B> = Pin<Box<Cold<S, P, B>>>;

/// How often a request gives its slot back for a fresher authorization, before it is sent with what
/// it has: a slot that always takes longer than a credential lives would be logins without end.
const ROUNDS: u32 = 32;

/// The invariant of [`Cold::poll_call`].
const ASKED_TO: &str = "it is polled while it has a request to send, and not after";

impl<S, P: CredentialProvider, B> Cold<S, P, B> {
    /// A request that waits.
    pub(crate) fn waiting(acquire: P::Acquire, service: S, request: Request<B>) -> Self {
        Self::new(Progress::Acquiring { acquire }, service, Some(request))
    }

    /// A request to be sent again if the one like it, that was sent, is refused.
    pub(crate) fn kept(sent: Sent, service: S, request: Request<B>) -> Self {
        Self::new(Progress::OnItsWay { sent }, service, Some(request))
    }

    /// A request that is not sent.
    pub(crate) fn refused(error: Error, service: S) -> Self {
        Self::new(Progress::Refused { error }, service, None)
    }

    fn new(progress: Progress<P::Acquire>, service: S, request: Option<Request<B>>) -> Self {
        Self {
            progress,
            was_current: false,
            rounds: 0,
            service,
            request,
            refused: None,
        }
    }

    /// What the request was sent with, where nothing else in here will be asked for.
    pub(crate) fn as_sent_once(&self) -> Option<Sent> {
        let is_kept = self.request.is_some() || self.refused.is_some();
        (!is_kept).then(|| self.sent())
    }

    /// Tells the provider of the answer. Returns whether the request is to be sent again.
    pub(crate) fn judge<R, Body>(
        &self,
        settings: &Settings<P, R>,
        response: &Response<Body>,
    ) -> bool {
        let is_worth_another_try = settings.judge(self.sent(), self.refused, response);
        is_worth_another_try && self.request.is_some()
    }

    fn sent(&self) -> Sent {
        let Progress::OnItsWay { sent } = self.progress else {
            unreachable!("it is answered because it was sent");
        };
        sent
    }

    /// Waits for a newer authorization than the one that was refused.
    pub(crate) fn begin_again(self: Pin<&mut Self>, provider: &P) {
        let refused = Some(self.sent().generation);
        let mut this = self.project();
        let request = this.request.as_ref().expect(ASKED_TO);
        *this.refused = refused;
        *this.rounds = 0;
        let head = RequestHead {
            refused,
            ..RequestHead::of(request)
        };
        let acquire = provider.acquire(head);
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
        R: Replay<B>,
    {
        let mut this = self.project();
        if let ProgressProjection::Refused { error } = this.progress.as_mut().project() {
            return Poll::Ready(Err(error.clone().into()));
        }
        let provider = &settings.provider;
        let head = RequestHead {
            refused: *this.refused,
            ..RequestHead::of(this.request.as_ref().expect(ASKED_TO))
        };
        let authorization = loop {
            let acquired = match this.progress.as_mut().project() {
                ProgressProjection::Acquiring { acquire } => Some(ready!(acquire.poll(cx))?),
                _ => None,
            };
            let Poll::Ready(readiness) = this.service.poll_ready(cx) else {
                if let Some(authorization) = acquired {
                    *this.was_current = provider.current(head).is_some();
                    this.progress.set(Progress::Acquired { authorization });
                }
                return Poll::Pending;
            };
            readiness.map_err(Into::into)?;
            if let Some(authorization) = acquired {
                break authorization;
            }
            // The wait for the slot may have been longer than the life of what was acquired.
            let newer = provider.current(head);
            let is_stale = newer.is_none() && *this.was_current;
            if !is_stale || *this.rounds == ROUNDS {
                let acquired = match this.progress.as_mut().project() {
                    ProgressProjection::Acquired { authorization } => Some(authorization.clone()),
                    _ => None,
                };
                break newer.or(acquired).expect(ASKED_TO);
            }
            *this.rounds += 1;
            let fresh = this.service.clone();
            drop(mem::replace(this.service, fresh));
            let acquire = provider.acquire(head);
            this.progress.set(Progress::Acquiring { acquire });
        };
        if *this.refused == Some(authorization.generation()) {
            return Poll::Ready(Err(Error::not_renewed().into()));
        }
        let mut request = this.request.take().expect(ASKED_TO);
        // Sent again, it is sent for the last time.
        let copy = this
            .refused
            .is_none()
            .then(|| copy(&*settings.replay, &request));
        *this.request = copy.flatten();
        if this.refused.is_some() {
            settings.replayed();
        }
        let sent = settings.authorize(&mut request, authorization);
        this.progress.set(Progress::OnItsWay { sent });
        provider.sent(sent.generation);
        Poll::Ready(Ok(this.service.call(request)))
    }
}

/// The same request again, if its body can be had again.
pub(crate) fn copy<B, R: Replay<B>>(replay: &R, request: &Request<B>) -> Option<Request<B>> {
    let body = replay.copy(request.body())?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
