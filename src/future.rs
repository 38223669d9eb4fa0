//! The way of one request.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    cold::Cold,
    error::{BoxError, Error},
    provider::CredentialProvider,
    replay::{NoReplay, Replay},
    settings::Carried,
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
    {
        #[pin]
        state: State<S::Future, P, R>,
        // The request, while it waits to be sent and as long as it may be sent again.
        cold: Option<Pin<Box<Cold<S, P, B, R>>>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, P, R> {
        // The request is with the inner service. `carried` is none for a bare one.
        Calling {
            #[pin]
            response: F,
            carried: Option<Carried<P, R>>,
        },
        // The request is not sent.
        Refused { error: Error },
        // The request waits to be sent, for the first time or again.
        Waiting,
    }
}

impl<S, P, B, R> ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    pub(crate) fn bare(response: S::Future) -> Self {
        Self::with_state(State::Calling {
            response,
            carried: None,
        })
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self::with_state(State::Refused { error })
    }

    /// `kept` is the request as it was before it was authorized, where it may be sent again.
    pub(crate) fn authorized(
        response: S::Future,
        carried: Carried<P, R>,
        kept: Option<Cold<S, P, B, R>>,
    ) -> Self {
        Self {
            state: State::Calling {
                response,
                carried: Some(carried),
            },
            cold: kept.map(Box::pin),
        }
    }

    pub(crate) fn cold(cold: Cold<S, P, B, R>) -> Self {
        Self {
            state: State::Waiting,
            cold: Some(Box::pin(cold)),
        }
    }

    fn with_state(state: State<S::Future, P, R>) -> Self {
        Self { state, cold: None }
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // Calling => (Waiting | the answer)
                StateProjection::Calling { response, carried } => {
                    let response = ready!(response.poll(cx)).map_err(Into::into)?;
                    let Some(carried) = carried else {
                        return Poll::Ready(Ok(response));
                    };
                    let kept = this.cold.as_mut().map(Pin::as_mut);
                    let Some(mut again) = judge(carried, &response, kept) else {
                        return Poll::Ready(Ok(response));
                    };
                    // Before the login: over HTTP/1 what is unread keeps its connection.
                    drop(response);
                    let refused = carried.generation;
                    this.state.set(State::Waiting);
                    again.as_mut().begin_again(refused);
                }
                // Waiting => Calling
                StateProjection::Waiting => {
                    let cold = this.cold.as_mut().expect("who waits has a request");
                    let (response, carried) = ready!(cold.as_mut().poll_call(cx))?;
                    if cold.is_done_with() {
                        *this.cold = None;
                    }
                    this.state.set(State::Calling {
                        response,
                        carried: Some(carried),
                    });
                }
                StateProjection::Refused { error } => {
                    return Poll::Ready(Err(error.clone().into()));
                }
            }
        }
    }
}

/// Tells the provider what the server thinks of the generation that the request carried. Returns
/// the request if it is to be sent again.
fn judge<'a, S, P, B, R, Body>(
    carried: &Carried<P, R>,
    response: &Response<Body>,
    kept: Option<Pin<&'a mut Cold<S, P, B, R>>>,
) -> Option<Pin<&'a mut Cold<S, P, B, R>>>
where
    P: CredentialProvider,
{
    let Carried {
        generation,
        exchange,
        settings,
    } = carried;
    let provider = &settings.provider;
    if settings.is_rejection(*exchange, response) {
        let is_worth_another_try = provider.reject(*generation);
        return kept.filter(|kept| is_worth_another_try && kept.can_be_sent());
    }
    if !response.status().is_server_error() {
        match kept.and_then(|kept| kept.refused()) {
            Some(refused) => provider.accept_replay(refused, *generation),
            None => provider.accept(*generation),
        }
    }
    None
}

impl<S, P, B, R> fmt::Debug for ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
