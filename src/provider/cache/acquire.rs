//! How a request comes by an authorization: at once, or by waiting for the flight.

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

/// Which authorization will do.
#[derive(Clone, Copy, Default)]
pub(in crate::provider) struct Wanted {
    /// How long it must go on being valid.
    pub(in crate::provider) valid_for: Duration,
    pub(in crate::provider) other_than: Option<Generation>,
}

impl Wanted {
    fn is_any(self) -> bool {
        self.valid_for.is_zero() && self.other_than.is_none()
    }
}

impl Cache {
    /// The hot path: one snapshot, and what it takes to see that it is fresh. Changes nothing.
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

    /// A request goes out with what was current: where a background login is due, it begins.
    #[inline]
    pub(in crate::provider) fn sent(self: &Arc<Self>) {
        if self.is_refresh_due.load(Ordering::Relaxed) {
            self.refresh_ahead();
        }
    }

    /// What is current after a failed login, where that will do: what was rejected, and perhaps for
    /// lack of permission, is put back.
    fn fallback(self: &Arc<Self>, wanted: Wanted) -> Option<Authorization> {
        let current = self.current()?;
        let is_other = wanted.other_than != Some(current.generation());
        (wanted.valid_for.is_zero() && is_other).then_some(current)
    }

    fn lasting(&self, entry: &Entry, needed: Duration) -> Result<Authorization, Error> {
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

    /// Whether this is what [`current`](Self::current) would say, and nothing is due.
    #[inline]
    pub(in crate::provider) fn is_current(&self, generation: Generation) -> bool {
        self.is_marked_fresh(generation) || self.is_current_by_the_clocks(generation)
    }

    fn is_current_by_the_clocks(&self, generation: Generation) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|entry| {
            entry.generation() == generation && self.freshness(entry) == Freshness::Fresh
        })
    }

    /// Whether it is what is current, and lasts.
    fn is_good(&self, entry: &Arc<Entry>, needed: Duration) -> bool {
        let current = self.current.load();
        let is_same = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, entry));
        let lifespan = &entry.lifespan;
        is_same
            && (lifespan.is_endless() || lifespan.outlasts(Moment::of(&*self.setup.clock), needed))
    }

    /// What is current, or a flight to wait for, unless there is no need to or no hope.
    fn join(self: &Arc<Self>, wanted: Wanted) -> Result<Joined, Error> {
        loop {
            let (flight, runtime) = match self.find_or_start_login(wanted)? {
                Found::Current(entry) => return Ok(Joined::Current(entry)),
                Found::Flight(flight, runtime) => (flight, runtime),
            };
            if flight.is_own_task() {
                return Err(Error::login_through_itself(None));
            }
            // Looked at before the wait: who comes late starts afresh, who has waited is told.
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
        // Looked at again under the lock: a flight may have landed since.
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
        // Waiting needs one as well as logging in: each waiter has a deadline.
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

/// What is there for who wants an authorization.
enum Found {
    Current(Arc<Entry>),
    /// And the runtime of who is to wait for it.
    Flight(Arc<Flight<Arc<Entry>>>, Handle),
}

enum Joined {
    Current(Arc<Entry>),
    Waiting(Arc<Flight<Arc<Entry>>>, FlightWait),
}

pin_project! {
    /// Gets an authorization, waiting if need be.
    ///
    /// By hand, since one of these is all that a request that waits has beside its task.
    pub(in crate::provider) struct Acquiring {
        cache: Arc<Cache>,
        attempt: Attempt,
        flight: Option<Arc<Flight<Arc<Entry>>>>,
        // Some as long as there is a flight.
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
                was_reset: false,
                was_dropped: false,
                was_late: false,
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
                && wait.has_moved()
                && let Ok(runtime) = Handle::try_current()
            {
                // The flight may have its timer on a runtime that is no longer driven.
                let wait = flight.wait(&runtime);
                this.wait.set(Some(wait));
            }
            if let Some(flight) = this.flight
                && let Some(wait) = this.wait.as_mut().as_pin_mut()
            {
                // Polled also where there is an outcome: who has heard the news leaves without a lock.
                let is_over = wait.poll(cx).is_ready();
                if flight.outcome().is_none() {
                    if !is_over {
                        return Poll::Pending;
                    }
                    cache.complete_login(flight, Err(Error::login_lost()));
                }
            }
            let step = match this.flight.take() {
                // Begun anew from the first poll on: nothing happens before.
                None => this.attempt.begin(cache),
                Some(flight) => {
                    this.wait.set(None);
                    let outcome = flight.outcome();
                    let outcome = outcome.expect("it has landed, or was declared lost here");
                    this.attempt.end(cache, &flight, outcome.as_ref())
                }
            };
            match step {
                Step::Wait(flight, wait) => {
                    this.wait.set(Some(wait));
                    *this.flight = Some(flight);
                }
                Step::Again => {}
                Step::Done(outcome) => return Poll::Ready(outcome),
            }
        }
    }
}

/// What is wanted, and how often it was found and was not good enough.
struct Attempt {
    wanted: Wanted,
    was_reset: bool,
    was_dropped: bool,
    was_late: bool,
}

enum Step {
    Wait(Arc<Flight<Arc<Entry>>>, FlightWait),
    Again,
    Done(Result<Authorization, Error>),
}

impl Attempt {
    fn begin(&mut self, cache: &Arc<Cache>) -> Step {
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

    fn end(
        &mut self,
        cache: &Arc<Cache>,
        flight: &Flight<Arc<Entry>>,
        outcome: Result<&Arc<Entry>, &Error>,
    ) -> Step {
        let is_dropped = outcome.is_err_and(Error::is_login_dropped);
        if is_dropped && !self.was_dropped && flight.runs_elsewhere() {
            // The runtime that carried the login is gone. This one can carry another.
            self.was_dropped = true;
            return Step::Again;
        }
        self.resolve(cache, outcome)
    }

    /// By reference: a crowd that counts what it has in common waits for each other.
    fn resolve(&mut self, cache: &Arc<Cache>, outcome: Result<&Arc<Entry>, &Error>) -> Step {
        match outcome {
            // Another login is due after a reset. One is enough: nobody waits for ever.
            Err(error) if error.is_reset() && !self.was_reset => {
                self.was_reset = true;
                Step::Again
            }
            Err(error) => {
                let other = cache.fallback(self.wanted);
                Step::Done(other.ok_or_else(|| error.clone()))
            }
            // Expired or rejected since it landed, or replaced, or not good for long enough any more:
            // whoever polls late looks once more.
            Ok(entry) if !self.was_late && !cache.is_good(entry, self.wanted.valid_for) => {
                self.was_late = true;
                self.was_reset = false;
                Step::Again
            }
            Ok(entry) => Step::Done(cache.lasting(entry, self.wanted.valid_for)),
        }
    }
}

#[cfg(test)]
mod tests;
