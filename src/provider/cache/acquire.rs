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
//! | woken without an outcome: a credential was set | once for each `set_credential` |
//!
//! Each request belongs to the user at its start. Whatever it gets after a
//! [sign-out](super::commands), it fails.
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
//! A background login is also lost if the provider's clocks say so: its process was frozen.
//!
//! The first completion counts. Each flight is compared by its address, so a late outcome of a lost
//! flight does not touch the next one. [Commands](super::commands) let the flight go on and discard its
//! outcome.
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

mod future;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

pub(in crate::provider) use self::future::Acquiring;
use super::{
    Cache, Entry, Locked,
    flight::{Flight, FlightWait},
    lifespan::Freshness,
};
use crate::{
    credential::{Authorization, Generation},
    error::Error,
    login::LoginReason,
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
    /// - A failed login puts a rejected credential back in use: the rejection may have meant a missing
    ///   permission.
    /// - Within its margin, a credential is still valid: it serves until a login succeeds, or to its end.
    fn fallback(self: &Arc<Self>, wanted: Wanted, error: &Error) -> Option<Authorization> {
        // The current credential may be that of the next user.
        if !wanted.valid_for.is_zero() || error.is_signed_out() {
            return None;
        }
        let current = self.current().or_else(|| self.within_margin(error))?;
        (wanted.other_than != Some(current.generation())).then_some(current)
    }

    /// The current credential from the end of its use to the end of its lifetime, if the error is that
    /// of a failed login. An error of the request itself must reach its caller.
    #[cold]
    fn within_margin(&self, error: &Error) -> Option<Authorization> {
        if error.next_attempt().is_none() && !error.is_login_lost() {
            return None;
        }
        let now = Moment::of(&*self.setup.clock);
        let current = self.current.load();
        let entry = current.as_ref()?;
        entry
            .serves_in_outage(now)
            .then(|| entry.authorization.clone())
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
            if !flight.is_overdue(|| Moment::of(&*self.setup.clock)) {
                let wait = flight.wait(&runtime);
                if flight.needs_timer(&runtime) {
                    self.start_overdue_timer(&flight, &runtime);
                }
                // Its credential may have been set before the wait began: then no wake-up follows.
                if self.satisfies(wanted) {
                    continue;
                }
                return Ok(Joined::Waiting(flight, wait));
            }
            self.lose_login(&flight);
        }
    }

    /// Whether the current credential satisfies a request. Reads no clock if there is none.
    fn satisfies(&self, wanted: Wanted) -> bool {
        let current = self.current.load();
        let other = current
            .as_ref()
            .filter(|entry| wanted.other_than != Some(entry.generation()));
        other.is_some_and(|entry| {
            let now = Moment::of(&*self.setup.clock);
            entry.lifespan.outlasts(now, wanted.valid_for)
        })
    }

    fn find_or_start_login(self: &Arc<Self>, wanted: Wanted) -> Result<Found, Error> {
        let now = Moment::of(&*self.setup.clock);
        let mut locked = self.lock();
        let is_signed_out = |generation| locked.is_signed_out(generation);
        if locked.is_signed_out || wanted.other_than.is_some_and(is_signed_out) {
            return Err(Error::signed_out());
        }
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
            locked.count_wait();
            return Ok(Found::Flight(flight, runtime));
        }
        if let Some(failure) = locked.pause_at(now) {
            let failure = failure.clone();
            drop(locked);
            #[cfg(feature = "store")]
            self.look_at_store();
            return Err(failure);
        }
        locked.count_wait();
        let reason = self.login_reason(&locked, now);
        let login_runtime = self.setup.runtime.as_ref().unwrap_or(&runtime);
        let flight = self.start_login(locked, login_runtime, now, reason);
        Ok(Found::Flight(flight, runtime))
    }

    /// Why a request makes a login now.
    pub(super) fn login_reason(&self, locked: &Locked, now: Moment) -> LoginReason {
        if let Some(rejected) = &locked.rejected {
            return LoginReason::Rejected(rejected.entry.generation());
        }
        match self.current.load().as_deref() {
            None => LoginReason::First,
            Some(entry) if entry.lifespan.outlasts(now, Duration::ZERO) => LoginReason::Requested,
            Some(_) => LoginReason::Expired,
        }
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

#[cfg(test)]
mod tests;
