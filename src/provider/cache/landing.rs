//! How a login begins, and what becomes of its outcome.

use std::{
    error, mem,
    sync::{Arc, TryLockError, atomic::Ordering},
};

use super::{
    Cache, Course, Held,
    backoff::BackOff,
    flight::Flight,
    lifespan::Freshness,
    pilot::{Landing, Pilot},
};
use crate::{
    error::{Error, Outlook},
    login::RefreshTokenSlot,
    provider::observers::CredentialEvent,
    runtime::{
        Moment,
        sync::{Handle, MutexGuard},
    },
};

impl Cache {
    /// Starts one login in the background, unless one is under way or has just failed.
    pub(super) fn refresh_ahead(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return; // A request that is polled on a runtime will do it.
        };
        self.is_due.store(false, Ordering::Relaxed);
        let now = Moment::of(&*self.setup.clock);
        // Whoever holds the lock is about to start or to end a flight: no request waits for that.
        let mut course = match self.course.try_lock() {
            Ok(course) => course,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let overdue = course.flight.as_ref().filter(|flight| flight.is_overdue());
        if let Some(overdue) = overdue.cloned() {
            drop(course);
            self.land(&overdue, Err(Error::login_lost()));
            return;
        }
        // Looked at again under the lock: a flight may have landed since.
        let is_aging = self
            .current
            .load()
            .as_ref()
            .is_some_and(|held| held.lifespan.freshness(|| now) == Freshness::Aging);
        if is_aging && course.flight.is_none() && course.pause_at(now).is_none() {
            self.take_off(course, &runtime, now);
            course = self.course();
        }
        self.calm_down(&mut course, now);
    }

    pub(super) fn take_off(
        self: &Arc<Self>,
        mut course: MutexGuard<'_, Course>,
        runtime: &Handle,
        now: Moment,
    ) -> Arc<Flight<Arc<Held>>> {
        let refresh_token = course.refresh_token.take();
        let refresh_token = refresh_token.filter(|token| !token.is_expired(now));
        let refresh_token = RefreshTokenSlot::new(refresh_token);
        let timeout = self.setup.policy.time_to_log_in();
        let flight = Arc::new(Flight::new(timeout, runtime, refresh_token));
        course.flight = Some(Arc::clone(&flight));
        // A runtime that is shutting down drops the task at once, and that takes the lock.
        drop(course);
        runtime.spawn(Pilot::new(self, &flight).fly());
        flight
    }

    /// Declares the flight lost when it is overdue, for all who wait for it on its runtime.
    pub(super) fn watch_over(self: &Arc<Self>, flight: &Arc<Flight<Arc<Held>>>, runtime: &Handle) {
        let (cache, flight) = (Arc::clone(self), Arc::clone(flight));
        // Here, and not in the task: without a time driver it is who waits that has to hear of it.
        let watch = flight.watch();
        runtime.spawn(async move {
            if flight.outcome().is_none() && watch.await.is_err() {
                cache.land(&flight, Err(Error::login_lost()));
            }
        });
        // What a worker has spawned last waits for that worker alone, and who waits may block it: this
        // takes the watch's place there.
        runtime.spawn(async {});
    }

    pub(super) fn is_flown_by(&self, flight: &Arc<Flight<Arc<Held>>>) -> bool {
        self.course().is_flown_by(flight)
    }

    /// Publishes the outcome of the flight, unless it was declared lost: then another login may
    /// be under way already, and what this one got is discarded.
    pub(super) fn land(
        self: &Arc<Self>,
        flight: &Arc<Flight<Arc<Held>>>,
        outcome: Result<Landing, Error>,
    ) {
        // The clock is not asked for a lost one: that is told while panics unwind.
        let is_lost = outcome.as_ref().is_err_and(Error::is_login_lost);
        let now = (!is_lost).then(|| Moment::of(&*self.setup.clock));
        let failed = outcome.as_ref().err().zip(now).map(|(error, now)| {
            let outlook = error::Error::source(error).map(Outlook::of);
            (outlook.unwrap_or_default(), now, self.chance())
        });
        let mut course = self.course();
        if !course.is_flown_by(flight) {
            drop(course);
            // It has landed, or was about to when something panicked: nobody must wait for that.
            if let Err(error) = outcome {
                flight.land(Err(error));
            }
            return;
        }
        course.flight = None;
        let outcome = match (outcome, failed) {
            (Err(error), Some((outlook, now, random))) if !course.is_flight_stale => {
                Err(error.during(course.back_off.failed(outlook, now, random)))
            }
            (outcome, _) => outcome,
        };
        if mem::take(&mut course.is_flight_stale) {
            self.land_stale(course, flight, outcome);
            return;
        }
        let (outcome, failure, event) = match outcome {
            Ok(Landing {
                held,
                refresh_token,
                answered,
            }) => {
                course.refresh_token = refresh_token;
                course.counts.logins += 1;
                course.back_off = BackOff::default();
                self.publish(&mut course, Arc::clone(&held), answered);
                // Since the answer a hook has run.
                self.calm_down(&mut course, now.unwrap_or(answered));
                let generation = held.generation();
                (Ok(held), None, CredentialEvent::LoggedIn { generation })
            }
            Err(error) => {
                // What was not taken is there for the next login, and no longer for this one.
                course.refresh_token = flight.refresh_token().take();
                course.counts.failed_logins += 1;
                self.put_back(&mut course);
                self.look_again(&mut course);
                let event = CredentialEvent::LoginFailed {
                    error: error.clone(),
                };
                (Err(error.clone()), Some(error), event)
            }
        };
        let _dropped_unlocked = mem::replace(&mut course.failure, failure);
        drop(course);
        // Before waiters wake up: whoever has waited finds that its login was told. An observer that
        // blocks delays them to their deadline at most, when they look for the credential themselves.
        self.setup.observers.tell(&event);
        flight.land(outcome);
    }

    /// A reset came before it: neither its credential nor its failure is news.
    pub(super) fn land_stale(
        &self,
        mut course: MutexGuard<'_, Course>,
        flight: &Flight<Arc<Held>>,
        outcome: Result<Landing, Error>,
    ) {
        // What was rotated is rotated.
        course.refresh_token = match &outcome {
            Ok(landing) => landing.refresh_token.clone(),
            Err(_) => flight.refresh_token().take(),
        };
        course.counts.discarded_logins += 1;
        drop(course);
        self.setup.observers.tell(&CredentialEvent::LoginDiscarded {
            error: outcome.err(),
        });
        flight.land(Err(Error::reset()));
    }
}
