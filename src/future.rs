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
    error::BoxError,
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
        // While the request is with the inner service. Not in a state with the rest: a response would
        // be moved more often on its way in.
        #[pin]
        pub(crate) response: Option<S::Future>,
        // None for a bare request.
        pub(crate) carried: Option<Carried<P, R>>,
        // The request, while it waits to be sent and as long as it may be sent again.
        pub(crate) cold: Option<Boxed<S, P, B, R>>,
    }
}

impl<S, P, B, R> ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    pub(crate) fn bare(response: S::Future) -> Self {
        Self {
            response: Some(response),
            carried: None,
            cold: None,
        }
    }

    pub(crate) fn cold(cold: Cold<S, P, B, R>) -> Self {
        Self {
            response: None,
            carried: None,
            cold: Some(Box::pin(cold)),
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
            let mut this = self.as_mut().project();
            // Calling => (Waiting | the answer)
            if let Some(response) = this.response.as_mut().as_pin_mut() {
                let answer = ready!(response.poll(cx));
                let is_final = match (&answer, &*this.carried) {
                    (Ok(response), Some(carried)) => carried.judge(response, this.cold.as_ref()),
                    _ => true,
                };
                if is_final {
                    return Poll::Ready(answer.map_err(Into::into));
                }
                // Before the login: over HTTP/1 what is unread keeps its connection.
                drop(answer);
                self.as_mut().begin_again();
            }
            ready!(self.as_mut().poll_waiting(cx))?;
        }
    }
}

/// What is off the path of a request with a fresh credential.
impl<S, P, B, R> ResponseFuture<S, P, B, R>
where
    S: Service<Request<B>>,
    P: CredentialProvider,
{
    /// Calling => Waiting.
    #[cold]
    fn begin_again(self: Pin<&mut Self>) {
        let mut this = self.project();
        // What the inner future still holds is given back before the login, which may need it.
        this.response.set(None);
        if let (Some(carried), Some(cold)) = (this.carried.take(), this.cold) {
            cold.as_mut().begin_again(carried.generation());
        }
    }

    /// Waiting => Calling.
    #[cold]
    fn poll_waiting(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Clone,
        S::Error: Into<BoxError>,
        R: Replay<B>,
    {
        let mut this = self.project();
        let cold = this.cold.as_mut().expect("who waits has a request");
        let (response, carried) = ready!(cold.as_mut().poll_call(cx))?;
        if cold.is_done_with() {
            *this.cold = None;
        }
        *this.carried = Some(carried);
        this.response.set(Some(response));
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
        if self.share.is_rejection(self.exchange(), response) {
            let is_worth_another_try = self.share.provider.reject(self.generation());
            let can_be_sent = kept.is_some_and(|kept| kept.can_be_sent());
            return !(is_worth_another_try && can_be_sent);
        }
        if !response.status().is_server_error() {
            match kept.and_then(|kept| kept.was_refused()) {
                Some(refused) => self
                    .share
                    .provider
                    .accept_replay(refused, self.generation()),
                None => self.share.provider.accept(self.generation()),
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
