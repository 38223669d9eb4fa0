//! Gets an authorization for a request: the current one, or the outcome of the one login.
//!
//! # A request
//!
//! ```text
//!            usable credential, or an error such as a pause
//!   Start ────────────────────────────────────────────────► Done
//!    ▲ │                                                     ▲
//!    │ │ no usable credential: join the flight,              │ outcome: credential or error
//!    │ ▼ or start one                                        │
//!    │ Waiting ──────────────────────────────────────────────┤
//!    │                                                       │
//!    └───────────────────────────────────────────────────────┘ outcome not usable: retry
//! ```
//!
//! [`Acquiring`] is this state machine, and the task that polls it moves it. Its retries are bounded, so
//! that no request waits for ever:
//!
//! | reason for a retry | at most |
//! | --- | --- |
//! | the login's runtime is gone | once |
//! | the credential is no longer usable when the waiter is polled | once |
//! | a reset discarded the login | once before and once after the retry for an unusable credential |
//!
//! # A flight
//!
//! ```text
//!   none ──start_login──► under way ──complete_login──► completed
//! ```
//!
//! | transition | who causes it |
//! | --- | --- |
//! | `start_login` | the first request without a usable credential; a request whose credential is aging |
//! | `complete_login`, with the login's outcome | the login's task ([`login_task`](super::login_task)) |
//! | `complete_login`, with "dropped" | the same task, when its runtime drops it |
//! | `complete_login`, with "lost" | one second after the login's timeout: the overdue timer, a waiter on another runtime, or the next request |
//!
//! The first completion counts. Each flight is compared by its address, so a late outcome of a lost
//! flight does not touch the next one. A reset lets the flight go on and discards its outcome.
//!
//! # Locks
//!
//! | under `Cache::locked` | outside that lock |
//! | --- | --- |
//! | decide: current credential, flight, or pause | read the clocks, draw random numbers |
//! | install or remove the flight | spawn the login's task, whose drop takes the lock |
//! | publish the credential, store the failure | run observers, then wake the waiters |
//!
//! The hot path, `Cache::current`, takes no lock.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    Cache, Entry,
    flight::{Flight, FlightWait},
    lifespan::Freshness,
};
use crate::{
    credential::{Authorization, Generation},
    error::Error,
    runtime::{Moment, sync::Handle},
};

/// Which authorizations satisfy a request.
#[derive(Clone, Copy, Default)]
pub(in crate::provider) struct Wanted {
    /// The minimum time for which it must stay valid.
    pub(in crate::provider) valid_for: Duration,
    /// A generation that does not satisfy the request.
    pub(in crate::provider) other_than: Option<Generation>,
}

impl Wanted {
    fn is_any(self) -> bool {
        self.valid_for.is_zero() && self.other_than.is_none()
    }
}

impl Cache {
    /// The hot path: loads the current credential and checks that it is fresh.
    #[inline]
    pub(in crate::provider) fn current(&self) -> Option<Authorization> {
        let current = self.current.load();
        let entry = current.as_ref()?;
        let is_current = self.is_marked_fresh(entry.generation()) || self.is_usable(entry);
        is_current.then(|| entry.authorization.clone())
    }

    fn is_usable(&self, entry: &Entry) -> bool {
        let freshness = self.freshness(entry);
        if freshness == Freshness::Aging {
            self.is_refresh_due.store(true, Ordering::Relaxed);
        }
        freshness != Freshness::Expired
    }

    /// Starts a background login if one is due: called when a request is sent.
    #[inline]
    pub(in crate::provider) fn sent(self: &Arc<Self>) {
        if self.is_refresh_due.load(Ordering::Relaxed) {
            self.refresh_ahead();
        }
    }

    /// The current credential after a failed login, if it satisfies the request.
    ///
    /// A failed login puts a rejected credential back in use: the rejection may have meant a missing
    /// permission.
    fn fallback(self: &Arc<Self>, wanted: Wanted) -> Option<Authorization> {
        let current = self.current()?;
        let is_other = wanted.other_than != Some(current.generation());
        (wanted.valid_for.is_zero() && is_other).then_some(current)
    }

    fn authorization_valid_for(
        &self,
        entry: &Entry,
        needed: Duration,
    ) -> Result<Authorization, Error> {
        if needed.is_zero()
            || entry
                .lifespan
                .outlasts(Moment::of(&*self.setup.clock), needed)
        {
            Ok(entry.authorization.clone())
        } else {
            Err(Error::short_lived(needed))
        }
    }

    /// Whether [`current`](Self::current) would return this generation, and no refresh is due.
    #[inline]
    pub(in crate::provider) fn is_current(&self, generation: Generation) -> bool {
        self.is_marked_fresh(generation) || self.is_fresh_by_clocks(generation)
    }

    fn is_fresh_by_clocks(&self, generation: Generation) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|entry| {
            entry.generation() == generation && self.freshness(entry) == Freshness::Fresh
        })
    }

    /// Whether the entry is still the current one, and stays valid for `needed`.
    fn is_current_and_valid_for(&self, entry: &Arc<Entry>, needed: Duration) -> bool {
        let current = self.current.load();
        let is_same = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, entry));
        let lifespan = &entry.lifespan;
        is_same
            && (lifespan.is_endless() || lifespan.outlasts(Moment::of(&*self.setup.clock), needed))
    }

    /// The current credential or a flight to wait for; an error if no login may be made now.
    fn join(self: &Arc<Self>, wanted: Wanted) -> Result<Joined, Error> {
        loop {
            let (flight, runtime) = match self.find_or_start_login(wanted)? {
                Found::Current(entry) => return Ok(Joined::Current(entry)),
                Found::Flight(flight, runtime) => (flight, runtime),
            };
            if flight.is_own_task() {
                return Err(Error::login_through_itself(None));
            }
            // A new request does not wait for an overdue flight, but starts another login.
            if !flight.is_overdue() {
                let wait = flight.wait(&runtime);
                if flight.needs_timer(&runtime) {
                    self.start_overdue_timer(&flight, &runtime);
                }
                return Ok(Joined::Waiting(flight, wait));
            }
            self.complete_login(&flight, Err(Error::login_lost()));
        }
    }

    fn find_or_start_login(self: &Arc<Self>, wanted: Wanted) -> Result<Found, Error> {
        let now = Moment::of(&*self.setup.clock);
        let mut locked = self.lock();
        // Check again under the lock: a flight may have been completed since.
        if let Some(entry) = self.current.load_full()
            && entry.lifespan.outlasts(now, Duration::ZERO)
            && wanted.other_than != Some(entry.generation())
        {
            if entry.lifespan.outlasts(now, wanted.valid_for) {
                return Ok(Found::Current(entry));
            }
            if !entry.lifespan.could_outlast(wanted.valid_for) {
                return Err(Error::short_lived(wanted.valid_for));
            }
        }
        // Waiting needs a runtime as well, since each waiter has a deadline.
        let runtime = Handle::try_current().map_err(|_| Error::no_runtime())?;
        if let Some(flight) = locked.flight.clone() {
            locked.counts.waits += 1;
            return Ok(Found::Flight(flight, runtime));
        }
        if let Some(failure) = locked.pause_at(now) {
            return Err(failure.clone());
        }
        locked.counts.waits += 1;
        let flight = self.start_login(locked, &runtime, now);
        Ok(Found::Flight(flight, runtime))
    }
}

/// The result of [`Cache::find_or_start_login`].
enum Found {
    Current(Arc<Entry>),
    /// With the runtime of the request that will wait for it.
    Flight(Arc<Flight<Arc<Entry>>>, Handle),
}

enum Joined {
    Current(Arc<Entry>),
    Waiting(Arc<Flight<Arc<Entry>>>, FlightWait),
}

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
                    if !is_over {
                        return Poll::Pending;
                    }
                    cache.complete_login(flight, Err(Error::login_lost()));
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
                Step::Done(outcome) => return Poll::Ready(outcome),
            }
        }
    }
}

/// The requirements of a request, and the retries that it has used up.
struct Attempt {
    wanted: Wanted,
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
    /// Start => (Waiting | Done | Start)
    fn start(&mut self, cache: &Arc<Cache>) -> Step {
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
        if is_dropped && !self.retried_after_drop && flight.runs_on_other_runtime() {
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
                let fallback = cache.fallback(self.wanted);
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

#[cfg(test)]
mod tests;
