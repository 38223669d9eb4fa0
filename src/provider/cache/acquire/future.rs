//! The future of a request that waits: [`acquire`](super) draws its states.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{Joined, Wanted};
use crate::{
    credential::Authorization,
    error::Error,
    provider::cache::{
        Cache, Entry,
        flight::{Flight, FlightWait},
    },
    runtime::{Moment, sync::Handle},
};

pin_project! {
    /// Gets an authorization, and waits for it if necessary.
    ///
    /// Written by hand instead of as an `async fn`, to keep a waiting request small.
    pub(in crate::provider) struct Acquiring {
        cache: Arc<Cache>,
        attempt: Attempt,
        flight: Option<Arc<Flight<Arc<Entry>>>>,
        // `Some` while there is a flight.
        #[pin]
        wait: Option<FlightWait>,
    }
}

impl Acquiring {
    pub(in crate::provider) fn new(cache: &Arc<Cache>, wanted: Wanted) -> Self {
        Self {
            cache: Arc::clone(cache),
            attempt: Attempt {
                wanted,
                sign_outs: cache.sign_outs(),
                retried_after_reset: false,
                retried_after_drop: false,
                retried_unusable: false,
            },
            flight: None,
            wait: None,
        }
    }
}

impl Future for Acquiring {
    type Output = Result<Authorization, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let cache = &*this.cache;
        loop {
            if let Some(flight) = this.flight
                && let Some(wait) = this.wait.as_ref().as_pin_ref()
                && wait.has_changed_runtime()
                && let Ok(runtime) = Handle::try_current()
            {
                // The timer of the previous wait may be on a runtime that is no longer driven.
                let wait = flight.wait(&runtime);
                this.wait.set(Some(wait));
            }
            if let Some(flight) = this.flight
                && let Some(wait) = this.wait.as_mut().as_pin_mut()
            {
                // Poll even when the outcome is set: dropping a notified `Notified` takes no lock.
                let is_over = wait.poll(cx).is_ready();
                if flight.outcome().is_none() {
                    if cache.is_signed_out_since(this.attempt.sign_outs) {
                        return Poll::Ready(Err(Error::signed_out()));
                    }
                    if !is_over {
                        return Poll::Pending;
                    }
                    if flight.is_overdue(|| Moment::of(&*cache.setup.clock)) {
                        cache.lose_login(flight);
                    } else {
                        // Woken without an outcome: there may be a credential now.
                        this.wait.set(None);
                        *this.flight = None;
                        continue;
                    }
                }
            }
            let step = match this.flight.take() {
                None => this.attempt.start(cache),
                Some(flight) => {
                    this.wait.set(None);
                    let outcome = flight.outcome();
                    let outcome =
                        outcome.expect("a flight that is not awaited any more has an outcome");
                    this.attempt.finish(cache, &flight, outcome.as_ref())
                }
            };
            match step {
                Step::Wait(flight, wait) => {
                    this.wait.set(Some(wait));
                    *this.flight = Some(flight);
                }
                Step::Retry => {}
                Step::Done(outcome) => return Poll::Ready(this.attempt.check_user(cache, outcome)),
            }
        }
    }
}

/// The requirements of a request, and the retries that it has used up.
struct Attempt {
    wanted: Wanted,
    /// The number of sign-outs at its start.
    sign_outs: u32,
    retried_after_reset: bool,
    retried_after_drop: bool,
    retried_unusable: bool,
}

enum Step {
    Wait(Arc<Flight<Arc<Entry>>>, FlightWait),
    Retry,
    Done(Result<Authorization, Error>),
}

impl Attempt {
    /// Nothing is sent for another user than the one at the request's start, or after that user's
    /// sign-out: the outcome of a flight may be older than the sign-out.
    fn check_user(
        &self,
        cache: &Cache,
        outcome: Result<Authorization, Error>,
    ) -> Result<Authorization, Error> {
        match outcome {
            Ok(authorization)
                if authorization.owner().sign_outs != self.sign_outs
                    || cache.is_signed_out_since(self.sign_outs) =>
            {
                Err(Error::signed_out())
            }
            outcome => outcome,
        }
    }

    /// Start => (Waiting | Done | Start)
    fn start(&mut self, cache: &Arc<Cache>) -> Step {
        if cache.is_signed_out_since(self.sign_outs) {
            return Step::Done(Err(Error::signed_out()));
        }
        if self.wanted.is_any()
            && let Some(authorization) = cache.current()
        {
            cache.sent();
            return Step::Done(Ok(authorization));
        }
        match cache.join(self.wanted) {
            Ok(Joined::Waiting(flight, wait)) => Step::Wait(flight, wait),
            Ok(Joined::Current(entry)) => self.resolve(cache, Ok(&entry)),
            Err(error) => self.resolve(cache, Err(&error)),
        }
    }

    /// Waiting => (Start | Done)
    fn finish(
        &mut self,
        cache: &Arc<Cache>,
        flight: &Flight<Arc<Entry>>,
        outcome: Result<&Arc<Entry>, &Error>,
    ) -> Step {
        let is_dropped = outcome.is_err_and(Error::is_login_dropped);
        let may_move = !self.retried_after_drop && cache.setup.runtime.is_none();
        if is_dropped && may_move && flight.runs_on_other_runtime() {
            // The login's runtime is gone. The current one can run another login.
            self.retried_after_drop = true;
            return Step::Retry;
        }
        self.resolve(cache, outcome)
    }

    /// Takes the outcome by reference: cloning its `Arc` would contend with the other waiters.
    fn resolve(&mut self, cache: &Arc<Cache>, outcome: Result<&Arc<Entry>, &Error>) -> Step {
        match outcome {
            Err(error) if error.is_reset() && !self.retried_after_reset => {
                self.retried_after_reset = true;
                Step::Retry
            }
            Err(error) => {
                let fallback = cache.fallback(self.wanted, error);
                Step::Done(fallback.ok_or_else(|| error.clone()))
            }
            // Expired, rejected or replaced between the login's end and this poll.
            Ok(entry)
                if !self.retried_unusable
                    && !cache.is_current_and_valid_for(entry, self.wanted.valid_for) =>
            {
                self.retried_unusable = true;
                self.retried_after_reset = false;
                Step::Retry
            }
            Ok(entry) => Step::Done(cache.authorization_valid_for(entry, self.wanted.valid_for)),
        }
    }
}
