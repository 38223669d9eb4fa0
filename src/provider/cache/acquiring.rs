//! How a request comes by an authorization: at once, or by waiting for the flight.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    Cache, Held,
    flight::{Flight, Landing},
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
        let held = current.as_ref()?;
        let is_current = self.is_said_fresh(held.generation()) || self.is_usable(held);
        is_current.then(|| held.authorization.clone())
    }

    fn is_usable(&self, held: &Held) -> bool {
        let freshness = self.freshness(held);
        if freshness == Freshness::Aging {
            self.is_due.store(true, Ordering::Relaxed);
        }
        freshness != Freshness::Expired
    }

    /// A request goes out with what was current: where a background login is due, it begins.
    #[inline]
    pub(in crate::provider) fn sent(self: &Arc<Self>) {
        if self.is_due.load(Ordering::Relaxed) {
            self.refresh_ahead();
        }
    }

    /// What is current after a failed login, where that will do: what was rejected, and perhaps for
    /// lack of permission, is put back.
    fn for_want_of_a_better(self: &Arc<Self>, wanted: Wanted) -> Option<Authorization> {
        let current = self.current()?;
        let is_other = wanted.other_than != Some(current.generation());
        (wanted.valid_for.is_zero() && is_other).then_some(current)
    }

    fn lasting(&self, held: &Held, needed: Duration) -> Result<Authorization, Error> {
        if needed.is_zero()
            || held
                .lifespan
                .outlasts(Moment::of(&*self.setup.clock), needed)
        {
            Ok(held.authorization.clone())
        } else {
            Err(Error::short_lived(needed))
        }
    }

    /// Whether this is what [`current`](Self::current) would say, and nothing is due.
    #[inline]
    pub(in crate::provider) fn is_current(&self, generation: Generation) -> bool {
        self.is_said_fresh(generation) || self.is_current_by_the_clocks(generation)
    }

    fn is_current_by_the_clocks(&self, generation: Generation) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|held| {
            held.generation() == generation && self.freshness(held) == Freshness::Fresh
        })
    }

    /// Whether it is what is current, and lasts.
    fn is_good(&self, held: &Arc<Held>, needed: Duration) -> bool {
        let current = self.current.load();
        let is_same = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, held));
        let lifespan = &held.lifespan;
        is_same
            && (lifespan.is_endless() || lifespan.outlasts(Moment::of(&*self.setup.clock), needed))
    }

    /// What is current, or a flight to wait for, unless there is no need to or no hope.
    fn board(self: &Arc<Self>, wanted: Wanted) -> Result<Boarded, Error> {
        loop {
            let (flight, runtime) = match self.look_or_take_off(wanted)? {
                Found::Current(held) => return Ok(Boarded::Current(held)),
                Found::Flight(flight, runtime) => (flight, runtime),
            };
            if flight.is_piloted_here() {
                return Err(Error::login_through_itself(None));
            }
            // Looked at before the wait: who comes late starts afresh, who has waited is told.
            if !flight.is_overdue() {
                let landing = flight.landing(&runtime);
                if flight.is_to_be_watched(&runtime) {
                    self.watch_over(&flight, &runtime);
                }
                return Ok(Boarded::Waiting(flight, landing));
            }
            self.land(&flight, Err(Error::login_lost()));
        }
    }

    fn look_or_take_off(self: &Arc<Self>, wanted: Wanted) -> Result<Found, Error> {
        let now = Moment::of(&*self.setup.clock);
        let mut course = self.course();
        // Looked at again under the lock: a flight may have landed since.
        if let Some(held) = self.current.load_full()
            && held.lifespan.outlasts(now, Duration::ZERO)
            && wanted.other_than != Some(held.generation())
        {
            if held.lifespan.outlasts(now, wanted.valid_for) {
                return Ok(Found::Current(held));
            }
            if !held.lifespan.could_outlast(wanted.valid_for) {
                return Err(Error::short_lived(wanted.valid_for));
            }
        }
        // Waiting needs one as well as logging in: each waiter has a deadline.
        let runtime = Handle::try_current().map_err(|_| Error::no_runtime())?;
        if let Some(flight) = course.flight.clone() {
            course.counts.waits += 1;
            return Ok(Found::Flight(flight, runtime));
        }
        if let Some(failure) = course.pause_at(now) {
            return Err(failure.clone());
        }
        course.counts.waits += 1;
        let flight = self.take_off(course, &runtime, now);
        Ok(Found::Flight(flight, runtime))
    }
}

/// What is there for who wants an authorization.
enum Found {
    Current(Arc<Held>),
    /// And the runtime of who is to wait for it.
    Flight(Arc<Flight<Arc<Held>>>, Handle),
}

enum Boarded {
    Current(Arc<Held>),
    Waiting(Arc<Flight<Arc<Held>>>, Landing),
}

pin_project! {
    /// Gets an authorization, waiting if need be.
    ///
    /// By hand, since one of these is all that a request that waits has beside its task.
    pub(in crate::provider) struct Acquiring {
        cache: Arc<Cache>,
        attempt: Attempt,
        flight: Option<Arc<Flight<Arc<Held>>>>,
        // Some as long as there is a flight.
        #[pin]
        landing: Option<Landing>,
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
            landing: None,
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
                && let Some(landing) = this.landing.as_ref().as_pin_ref()
                && landing.has_moved()
                && let Ok(runtime) = Handle::try_current()
            {
                // The flight may have its timer on a runtime that is no longer driven.
                let landing = flight.landing(&runtime);
                this.landing.set(Some(landing));
            }
            if let Some(flight) = this.flight
                && let Some(landing) = this.landing.as_mut().as_pin_mut()
            {
                // Polled also where there is an outcome: who has heard the news leaves without a lock.
                let is_over = landing.poll(cx).is_ready();
                if flight.outcome().is_none() {
                    if !is_over {
                        return Poll::Pending;
                    }
                    cache.land(flight, Err(Error::login_lost()));
                }
            }
            let step = match this.flight.take() {
                // Begun anew from the first poll on: nothing happens before.
                None => this.attempt.begin(cache),
                Some(flight) => {
                    this.landing.set(None);
                    let outcome = flight.outcome();
                    let outcome = outcome.expect("it has landed, or was declared lost here");
                    this.attempt.end(cache, &flight, outcome.as_ref())
                }
            };
            match step {
                Step::Wait(flight, landing) => {
                    this.landing.set(Some(landing));
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
    Wait(Arc<Flight<Arc<Held>>>, Landing),
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
        match cache.board(self.wanted) {
            Ok(Boarded::Waiting(flight, landing)) => Step::Wait(flight, landing),
            Ok(Boarded::Current(held)) => self.settle(cache, Ok(&held)),
            Err(error) => self.settle(cache, Err(&error)),
        }
    }

    fn end(
        &mut self,
        cache: &Arc<Cache>,
        flight: &Flight<Arc<Held>>,
        outcome: Result<&Arc<Held>, &Error>,
    ) -> Step {
        let is_dropped = outcome.is_err_and(Error::is_login_dropped);
        if is_dropped && !self.was_dropped && flight.is_carried_elsewhere() {
            // The runtime that carried the login is gone. This one can carry another.
            self.was_dropped = true;
            return Step::Again;
        }
        self.settle(cache, outcome)
    }

    /// By reference: a crowd that counts what it has in common waits for each other.
    fn settle(&mut self, cache: &Arc<Cache>, outcome: Result<&Arc<Held>, &Error>) -> Step {
        match outcome {
            // Another login is due after a reset. One is enough: nobody waits for ever.
            Err(error) if error.is_reset() && !self.was_reset => {
                self.was_reset = true;
                Step::Again
            }
            Err(error) => {
                let other = cache.for_want_of_a_better(self.wanted);
                Step::Done(other.ok_or_else(|| error.clone()))
            }
            // Expired or rejected since it landed, or replaced, or not good for long enough any more:
            // whoever polls late looks once more.
            Ok(held) if !self.was_late && !cache.is_good(held, self.wanted.valid_for) => {
                self.was_late = true;
                self.was_reset = false;
                Step::Again
            }
            Ok(held) => Step::Done(cache.lasting(held, self.wanted.valid_for)),
        }
    }
}

#[cfg(test)]
mod tests;
