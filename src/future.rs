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
    cold::{Boxed, Cold},
    error::{BoxError, Error},
    own::Carried,
    provider::CredentialProvider,
    replay::{NoReplay, Replay},
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
        pub(crate) state: State<S::Future, S, P, B, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    pub(crate) enum State<F, S, P, B, R>
    where
        P: CredentialProvider,
    {
        // The request is with the inner service.
        Calling {
            #[pin]
            response: F,
            // None for a bare one.
            carried: Option<Carried<P, R>>,
            // As long as it may be sent again, and since it was.
            kept: Option<Boxed<S, P, B, R>>,
        },
        // It waits to be sent, for the first time or again.
        Waiting { cold: Option<Boxed<S, P, B, R>> },
        // It is not sent.
        Refused { error: Error },
    }
}

impl<S, P, B, R> ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    pub(crate) fn bare(response: S::Future) -> Self {
        Self {
            state: State::Calling {
                response,
                carried: None,
                kept: None,
            },
        }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused { error },
        }
    }

    pub(crate) fn cold(cold: Cold<S, P, B, R>) -> Self {
        let cold = Some(Box::pin(cold));
        Self {
            state: State::Waiting { cold },
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

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut state = self.as_mut().project().state;
            // Calling => (Waiting | the answer)
            if let StateProjection::Calling {
                response,
                carried,
                kept,
            } = state.as_mut().project()
            {
                let answer = ready!(response.poll(cx));
                let is_final = match (&answer, &*carried) {
                    (Ok(response), Some(carried)) => carried.judge(response, kept.as_ref()),
                    _ => true,
                };
                if is_final {
                    return Poll::Ready(answer.map_err(Into::into));
                }
                // Before the login: over HTTP/1 what is unread keeps its connection.
                drop(answer);
                state.as_mut().begin_again();
            }
            ready!(state.poll_waiting(cx))?;
        }
    }
}

/// What is off the path of a request with a fresh credential.
impl<S, P, B, R> State<S::Future, S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    /// Calling => Waiting.
    #[cold]
    fn begin_again(mut self: Pin<&mut Self>) {
        let StateProjection::Calling { carried, kept, .. } = self.as_mut().project() else {
            return;
        };
        let refused = carried.as_ref().map(|carried| carried.generation);
        let mut cold = kept.take();
        // What the inner future still holds is given back before the login, which may need it.
        self.set(State::Waiting { cold: None });
        if let (Some(refused), Some(cold)) = (refused, &mut cold) {
            cold.as_mut().begin_again(refused);
        }
        self.set(State::Waiting { cold });
    }

    /// Waiting => Calling.
    #[cold]
    fn poll_waiting(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Clone,
        S::Error: Into<BoxError>,
        R: Replay<B>,
    {
        let cold = match self.as_mut().project() {
            StateProjection::Calling { .. } => return Poll::Ready(Ok(())),
            StateProjection::Waiting { cold } => cold,
            StateProjection::Refused { error } => return Poll::Ready(Err(error.clone().into())),
        };
        let waiting = cold.as_mut().expect("who waits has a request");
        let (response, carried) = ready!(waiting.as_mut().poll_call(cx))?;
        let kept = cold.take().filter(|kept| !kept.is_done_with());
        self.set(State::Calling {
            response,
            carried: Some(carried),
            kept,
        });
        Poll::Ready(Ok(()))
    }
}

impl<P: CredentialProvider, R> Carried<P, R> {
    /// Tells the provider what the server thinks of the generation that the request carried.
    /// Returns whether the answer is the caller's; if not, the request is to be sent again.
    #[inline]
    fn judge<S, B, Body>(
        &self,
        response: &Response<Body>,
        kept: Option<&Boxed<S, P, B, R>>,
    ) -> bool {
        if self.share.is_rejection(self.exchange, response) {
            let is_worth_another_try = self.share.provider.reject(self.generation);
            let can_be_sent = kept.is_some_and(|kept| kept.can_be_sent());
            return !(is_worth_another_try && can_be_sent);
        }
        if !response.status().is_server_error() {
            match kept.and_then(|kept| kept.refused()) {
                Some(refused) => self.share.provider.accept_replay(refused, self.generation),
                None => self.share.provider.accept(self.generation),
            }
        }
        true
    }
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
