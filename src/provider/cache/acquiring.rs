//! How a request comes by an authorization: at once, or by waiting for the flight.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{Cache, Held};
use crate::{
    authorization::{Authorization, Generation},
    clock::Moment,
    error::Error,
    flight::Flight,
    lifespan::Freshness,
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

enum Boarding {
    Current(Arc<Held>),
    Waiting(Arc<Flight<Arc<Held>>>),
}

impl Cache {
    /// The hot path: one snapshot, and what it takes to see that it is fresh.
    #[inline]
    pub(in crate::provider) fn current(self: &Arc<Self>) -> Option<Authorization> {
        let current = self.current.load();
        let held = current.as_ref()?;
        let is_current = self.is_said_fresh(held.generation()) || self.is_usable(held);
        is_current.then(|| held.authorization.clone())
    }

    fn is_usable(self: &Arc<Self>, held: &Held) -> bool {
        match self.freshness(held) {
            Freshness::Fresh => true,
            Freshness::Aging => {
                self.refresh_ahead();
                true
            }
            Freshness::Expired => false,
        }
    }

    pub(in crate::provider) async fn acquire(
        self: Arc<Self>,
        wanted: Wanted,
    ) -> Result<Authorization, Error> {
        if wanted.is_any()
            && let Some(authorization) = self.current()
        {
            return Ok(authorization);
        }
        match self.clone().land_with(wanted).await {
            Ok(held) if self.is_in_use(&held) => return self.lasting(&held, wanted.valid_for),
            Ok(_) => {}
            Err(error) => return self.for_want_of_a_better(wanted).ok_or(error),
        }
        // Expired or refused since it landed, or replaced: whoever polls late looks once more.
        match self.clone().land_with(wanted).await {
            Ok(held) => self.lasting(&held, wanted.valid_for),
            Err(error) => self.for_want_of_a_better(wanted).ok_or(error),
        }
    }

    /// What is current after a failed login, where that will do: what was refused, and perhaps for
    /// lack of permission, is put back.
    fn for_want_of_a_better(self: &Arc<Self>, wanted: Wanted) -> Option<Authorization> {
        let current = self.current()?;
        let is_other = wanted.other_than != Some(current.generation());
        (wanted.valid_for.is_zero() && is_other).then_some(current)
    }

    fn lasting(&self, held: &Held, needed: Duration) -> Result<Authorization, Error> {
        if needed.is_zero() || held.lifespan.outlasts(Moment::of(&*self.clock), needed) {
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

    fn is_in_use(&self, held: &Arc<Held>) -> bool {
        let current = self.current.load();
        let is_same = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, held));
        is_same && held.lifespan.freshness(|| Moment::of(&*self.clock)) != Freshness::Expired
    }

    /// What is current, or what the flight brings.
    async fn land_with(self: Arc<Self>, wanted: Wanted) -> Result<Arc<Held>, Error> {
        let mut was_reset = false;
        loop {
            let flight = match self.board(wanted)? {
                Boarding::Current(held) => return Ok(held),
                Boarding::Waiting(flight) => flight,
            };
            if flight.is_piloted_here() {
                return Err(Error::login_through_itself(None));
            }
            // Looked at before the wait: who comes late starts afresh, who has waited is told.
            if flight.is_overdue() {
                self.land(&flight, Err(Error::login_lost()));
                continue;
            }
            let outcome = match flight.landed().await {
                Some(outcome) => outcome,
                None => {
                    self.land(&flight, Err(Error::login_lost()));
                    flight.outcome().await
                }
            };
            // Another login is due after a reset. One is enough: nobody waits for ever.
            if was_reset || !outcome.as_ref().is_err_and(Error::is_reset) {
                return outcome;
            }
            was_reset = true;
        }
    }

    /// Joins the flight, or starts it, unless there is no need to or no hope.
    fn board(self: &Arc<Self>, wanted: Wanted) -> Result<Boarding, Error> {
        let now = Moment::of(&*self.clock);
        let mut course = self.course();
        // Looked at again under the lock: a flight may have landed since.
        if let Some(held) = self.current.load_full()
            && held.lifespan.outlasts(now, Duration::ZERO)
            && wanted.other_than != Some(held.generation())
        {
            if held.lifespan.outlasts(now, wanted.valid_for) {
                return Ok(Boarding::Current(held));
            }
            if !held.lifespan.could_outlast(wanted.valid_for) {
                return Err(Error::short_lived(wanted.valid_for));
            }
        }
        // Waiting needs one as well as logging in: each waiter has a deadline.
        let runtime = Handle::try_current().map_err(|_| Error::no_runtime())?;
        if let Some(flight) = course.flight.clone() {
            course.counts.waits += 1;
            return Ok(Boarding::Waiting(flight));
        }
        if let Some(failure) = course.pause_at(now) {
            return Err(failure.clone());
        }
        course.counts.waits += 1;
        Ok(Boarding::Waiting(self.take_off(course, &runtime, now)))
    }
}
