//! Starts the one login, and publishes its outcome.
//!
//! [`acquire`](super::acquire) draws the states of a flight.

use std::{
    mem,
    sync::{Arc, TryLockError, atomic::Ordering},
};

use super::{
    Cache, Entry, Locked,
    backoff::BackOff,
    commands::is_same,
    flight::{Fate, Flight},
    keep_warm::Changes,
    lifespan::Freshness,
    login_task::{LoginTask, Success},
};
use crate::{
    credential::RefreshToken,
    error::Error,
    login::{LoginReason, LoginRequest, Session},
    provider::{hooks::Retirement, observers::CredentialEvent},
    runtime::{
        Moment,
        sync::{Handle, MutexGuard},
    },
};

impl Cache {
    /// Starts one login in the background, unless one is under way or has just failed.
    pub(super) fn refresh_ahead(self: &Arc<Self>) {
        let Some(runtime) = self.login_runtime() else {
            return; // a later request that is polled on a runtime will start the login
        };
        self.is_refresh_due.store(false, Ordering::Relaxed);
        let now = Moment::of(&*self.setup.clock);
        let mut locked = loop {
            // The holder of the lock may be starting or ending a flight. No request waits for that here.
            let locked = match self.locked.try_lock() {
                Ok(locked) => locked,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let is_overdue = |flight: &&Arc<Flight<_>>| flight.is_overdue(|| now);
            let Some(overdue) = locked.flight.as_ref().filter(is_overdue).cloned() else {
                break locked;
            };
            drop(locked);
            self.lose_login(&overdue);
        };
        // Check again under the lock: a flight may have been completed since.
        let is_aging = self
            .current
            .load()
            .as_ref()
            .is_some_and(|entry| entry.lifespan.freshness(|| now) == Freshness::Aging);
        let may_log_in = locked.flight.is_none() && !locked.is_evicted;
        if is_aging && may_log_in && locked.pause_at(now).is_none() {
            self.start_login(locked, &runtime, now, LoginReason::RefreshAhead);
            locked = self.lock();
        }
        self.start_expiry_timer(&mut locked, now);
    }

    /// The runtime for a login that starts now: the one that the user has named, or the current one.
    pub(super) fn login_runtime(&self) -> Option<Handle> {
        let named = self.setup.runtime.clone();
        named.or_else(|| Handle::try_current().ok())
    }

    /// Starts a login on `runtime`. The caller has checked that there is no flight.
    pub(super) fn start_login(
        self: &Arc<Self>,
        mut locked: MutexGuard<'_, Locked>,
        runtime: &Handle,
        now: Moment,
        reason: LoginReason,
    ) -> Arc<Flight<Arc<Entry>>> {
        debug_assert!(
            !locked.is_evicted,
            "another cache of the account may log in"
        );
        let refresh_token = locked.refresh_token.take();
        let refresh_token = refresh_token.filter(|token| !token.is_expired(now));
        let timeout = self.setup.policy.time_to_log_in();
        let rejected = locked.rejected.as_ref();
        let challenges = rejected.map(|rejected| Arc::clone(&rejected.challenges));
        let challenges = challenges.unwrap_or_default();
        let is_never_accepted = rejected.is_some_and(|rejected| rejected.entry.is_from_login)
            && !locked.rejections.is_accepted();
        let request = LoginRequest::new(reason, challenges, refresh_token, timeout)
            .after_no_acceptance(is_never_accepted);
        let longest = self.setup.longest_flight();
        let flight = Flight::new(longest, runtime, request);
        let flight = Arc::new(match (reason, self.setup.session) {
            (LoginReason::RefreshAhead, Session::Concurrent) => flight.in_background(now, longest),
            _ => flight,
        });
        locked.watch.has_changed = false;
        locked.flight = Some(Arc::clone(&flight));
        locked.last_flight = Arc::downgrade(&flight);
        // Unlock first: a runtime that is shutting down drops the task at once, which takes the lock.
        drop(locked);
        let task = runtime.spawn(LoginTask::new(self, &flight).run());
        flight.set_abort_handle(task.abort_handle());
        flight
    }

    /// Starts the timer that declares the flight lost when it is overdue. It serves all waiters on the
    /// login's runtime.
    pub(super) fn start_overdue_timer(
        self: &Arc<Self>,
        flight: &Arc<Flight<Arc<Entry>>>,
        runtime: &Handle,
    ) {
        let (cache, flight) = (Arc::clone(self), Arc::clone(flight));
        // Created here and not in the task: without a time driver, the panic must reach the waiter.
        let wait = flight.timed_wait();
        runtime.spawn(async move {
            let mut wait = wait;
            while flight.outcome().is_none() {
                if wait.await.is_err() {
                    cache.lose_login(&flight);
                    break;
                }
                // Woken without an outcome: later waiters rely on this timer as well.
                wait = flight.timed_wait();
            }
        });
        // Tokio's LIFO slot is not stolen from, and a waiter may block its worker: an empty task moves
        // the timer out of that slot.
        runtime.spawn(async {});
    }

    /// What will become of a login that ends now.
    pub(super) fn fate(&self, flight: &Arc<Flight<Arc<Entry>>>) -> Fate {
        let locked = self.lock();
        match locked.discarded_by {
            _ if !locked.has_flight(flight) => Fate::Dropped,
            None => Fate::Published,
            Some(discard) if locked.keeps_refresh_token_after(discard) => Fate::Discarded,
            Some(_) => Fate::Dropped,
        }
    }

    /// Completes a flight whose task no longer runs.
    pub(super) fn lose_login(self: &Arc<Self>, flight: &Arc<Flight<Arc<Entry>>>) {
        self.complete_login(flight, Err(Error::login_lost()), None);
        self.watch_for_change(); // its task is aborted, and cannot
    }

    /// Publishes the outcome of the flight and wakes its waiters. `left` is the refresh token that a
    /// failed login leaves.
    ///
    /// If the flight was declared lost, another login may be under way: the outcome is discarded.
    pub(super) fn complete_login(
        self: &Arc<Self>,
        flight: &Arc<Flight<Arc<Entry>>>,
        outcome: Result<Success, Error>,
        left: Option<RefreshToken>,
    ) {
        // No clock is read for a lost login: it may be reported while a panic unwinds.
        let is_lost = outcome.as_ref().is_err_and(Error::is_login_lost);
        let now = (!is_lost).then(|| Moment::of(&*self.setup.clock));
        let failed = outcome
            .as_ref()
            .err()
            .zip(now)
            .map(|(error, now)| (error.advice(), now, self.jitter()));
        let mut locked = self.lock();
        if !locked.has_flight(flight) {
            drop(locked);
            match outcome {
                // Declared lost before. Nobody uses it, but it is valid at the server.
                Ok(late) if late.adoption.is_some() => {} // other processes use it
                Ok(late) => {
                    let reason = Retirement::Replaced;
                    self.retire(Some(&late.entry), late.refresh_token, reason);
                }
                // Another call has completed it, or panicked before it could: no waiter may be left.
                Err(error) => flight.complete(Err(error)),
            }
            return;
        }
        locked.flight = None;
        // It may have been for a change, or may have read one.
        locked.watch.has_changed |= is_lost;
        let outcome = match (outcome, failed) {
            (Err(error), Some((advice, now, random))) if locked.discarded_by.is_none() => {
                let has_worked = locked.counts.logins > 0;
                let outage = locked.back_off.failed(advice, has_worked, now, random);
                Err(error.during(outage))
            }
            (outcome, _) => outcome,
        };
        if let Some(discard) = locked.discarded_by.take() {
            self.discard_login(locked, flight, outcome, left, discard);
            if is_lost {
                flight.abort();
            }
            return;
        }
        let (reason, duration) = (flight.request().reason(), flight.duration());
        let (mut replaced, mut unspent) = (None, None);
        let (outcome, failure, event) = match outcome {
            Ok(Success {
                entry,
                refresh_token,
                answered,
                adoption,
            }) => {
                // The login did without the previous one, and brought another, or the same one again.
                unspent = left.filter(|left| !is_same(left, refresh_token.as_ref()));
                locked.refresh_token = refresh_token;
                locked.is_refresh_token_unstored = false;
                locked.back_off = BackOff::default();
                if adoption.as_ref().is_some_and(|it| it.explains_rejection) {
                    locked.rejections.replaced_by_fleet();
                }
                replaced = self.publish(&mut locked, Arc::clone(&entry), answered);
                // Not `answered`: the credential hook has run since then.
                self.start_expiry_timer(&mut locked, now.unwrap_or(answered));
                let generation = entry.generation();
                let event = if adoption.is_some() {
                    locked.counts.adoptions += 1;
                    replaced = None; // retired by the process that has replaced it
                    CredentialEvent::Adopted { generation }
                } else {
                    locked.counts.logins += 1;
                    CredentialEvent::LoggedIn {
                        generation,
                        reason,
                        duration,
                    }
                };
                (Ok(entry), None, event)
            }
            Err(error) => {
                // An unused refresh token is kept for the next login.
                locked.refresh_token = left.or_else(|| flight.refresh_token().close());
                locked.counts.failed_logins += 1;
                self.restore_rejected(&mut locked);
                self.clear_fresh_mark(&mut locked);
                let event = CredentialEvent::LoginFailed {
                    error: error.clone(),
                    reason,
                    duration,
                };
                (Err(error.clone()), Some(error), event)
            }
        };
        let _dropped_unlocked = mem::replace(&mut locked.failure, failure);
        let waits = mem::take(&mut locked.waits);
        let changes = locked.changes.clone();
        drop(locked);
        // Observers run before waiters wake up. An observer that blocks delays waiters up to their
        // deadline; then they read the credential themselves.
        self.measure_expiry();
        let observers = &self.setup.observers;
        observers.login_ended(flight.span(), &event, waits);
        self.retire(replaced.as_deref(), unspent, Retirement::Replaced);
        flight.complete(outcome);
        Changes::notify(changes.as_deref());
        if is_lost {
            flight.abort();
        }
    }
}
