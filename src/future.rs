//! The way of one request.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    authorization::{Authorization, Generation},
    error::{BoxError, Error},
    provider::{CredentialProvider, RequestHead},
    settings::Settings,
};

pin_project! {
    /// The response of a [`BearerAuth`](crate::BearerAuth) service.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for a login, it leaves the login running for others.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, B>
    where
        S: Service<Request<B>>,
        P: CredentialProvider,
    {
        #[pin]
        state: State<S::Future, P, Pin<Box<Cold<S, P, B>>>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, P, C> {
        // The request is with the inner service. `carried` is none for a bare one.
        Calling {
            #[pin]
            response: F,
            carried: Option<Carried<P>>,
        },
        // The request is not sent.
        Refused { error: Error },
        // Cold => Calling, for a request that found no credential.
        Cold { cold: C },
    }
}

/// The generation that a request went out with, and who wants to hear of its fate.
struct Carried<P> {
    generation: Generation,
    settings: Arc<Settings<P>>,
}

impl<S, P, B> ResponseFuture<S, P, B>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    pub(crate) fn bare(response: S::Future) -> Self {
        Self {
            state: State::Calling {
                response,
                carried: None,
            },
        }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused { error },
        }
    }

    pub(crate) fn authorized(
        response: S::Future,
        generation: Generation,
        settings: Arc<Settings<P>>,
    ) -> Self {
        Self {
            state: State::calling(response, generation, settings),
        }
    }

    pub(crate) fn cold(cold: Cold<S, P, B>) -> Self {
        Self {
            state: State::Cold {
                cold: Box::pin(cold),
            },
        }
    }
}

impl<F, P, C> State<F, P, C> {
    fn calling(response: F, generation: Generation, settings: Arc<Settings<P>>) -> Self {
        Self::Calling {
            response,
            carried: Some(Carried {
                generation,
                settings,
            }),
        }
    }
}

impl<S, P, B, Body> Future for ResponseFuture<S, P, B>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone,
    S::Error: Into<BoxError>,
    P: CredentialProvider,
{
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Calling { response, carried } => {
                    let response = ready!(response.poll(cx)).map_err(Into::into)?;
                    if let Some(carried) = carried {
                        carried
                            .settings
                            .judge(carried.generation, response.status());
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Refused { error } => {
                    return Poll::Ready(Err(error.clone().into()));
                }
                StateProjection::Cold { cold } => {
                    let (response, generation) = ready!(cold.as_mut().poll_call(cx))?;
                    let settings = Arc::clone(&cold.settings);
                    state.set(State::calling(response, generation, settings));
                }
            }
        }
    }
}

impl<S, P, B> fmt::Debug for ResponseFuture<S, P, B>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// A request that waits for an authorization, and then for a service that is ready.
    pub(crate) struct Cold<S, P, B>
    where
        P: CredentialProvider,
    {
        // None once there is an authorization.
        #[pin]
        acquire: Option<P::Acquire>,
        acquired: Option<Authorization>,
        // Whether the provider had it for everybody: then none now means that it is stale.
        is_shared: bool,
        rounds: u32,
        service: S,
        // None once it is sent, which is the last that is asked of this.
        request: Option<Request<B>>,
        settings: Arc<Settings<P>>,
    }
}

/// How often a request gives its slot back for a fresher authorization, before it is sent with what
/// it has: a slot that always takes longer than a credential lives would be logins without end.
const ROUNDS: u32 = 32;

/// The invariant of [`Cold`].
const SENT_ONCE: &str = "a future is not polled after its end";

impl<S, P: CredentialProvider, B> Cold<S, P, B> {
    pub(crate) fn new(
        acquire: P::Acquire,
        service: S,
        request: Request<B>,
        settings: Arc<Settings<P>>,
    ) -> Self {
        Self {
            acquire: Some(acquire),
            acquired: None,
            is_shared: false,
            rounds: 0,
            service,
            request: Some(request),
            settings,
        }
    }

    /// Acquiring => Readying => (Acquiring | the response to wait for).
    fn poll_call(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(S::Future, Generation), BoxError>>
    where
        S: Service<Request<B>> + Clone,
        S::Error: Into<BoxError>,
    {
        let mut this = self.project();
        let provider = &this.settings.provider;
        let request = this.request.as_ref().expect(SENT_ONCE);
        let head = RequestHead::of(request);
        let authorization = loop {
            let mut is_new = false;
            if let Some(acquire) = this.acquire.as_mut().as_pin_mut() {
                *this.acquired = Some(ready!(acquire.poll(cx))?);
                this.acquire.set(None);
                is_new = true;
            }
            let Poll::Ready(readiness) = this.service.poll_ready(cx) else {
                if is_new {
                    *this.is_shared = provider.current(head).is_some();
                }
                return Poll::Pending;
            };
            readiness.map_err(Into::into)?;
            // The wait for the slot may have been longer than the life of what was acquired.
            let newer = if is_new { None } else { provider.current(head) };
            let is_stale = !is_new && newer.is_none() && *this.is_shared;
            if !is_stale || *this.rounds == ROUNDS {
                break newer.or(this.acquired.take()).expect(SENT_ONCE);
            }
            *this.rounds += 1;
            let fresh = this.service.clone();
            drop(mem::replace(this.service, fresh));
            this.acquire.set(Some(provider.acquire(head)));
        };
        let mut request = this.request.take().expect(SENT_ONCE);
        let generation = this.settings.authorize(&mut request, authorization);
        Poll::Ready(Ok((this.service.call(request), generation)))
    }
}
