//! The life of a credential: what is current, the one flight, and what a failed login leaves.

mod backoff;
mod judgement;
mod pilot;
mod refusals;

use std::{
    collections::VecDeque,
    error, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;

use self::{
    backoff::BackOff,
    judgement::Refused,
    pilot::{Landing, Pilot},
    refusals::Refusals,
};
use super::{
    observers::{Event, Observers},
    policy::CachePolicy,
    snapshot::{Counts, Snapshot, State},
};
use crate::{
    authorization::{Authorization, Generation},
    clock::{Clock, Moment},
    credential::Credential,
    error::Error,
    flight::Flight,
    lifespan::{Birth, Freshness, Lifespan},
    login::{AnyLogin, RefreshTokenSlot, Session},
    login_error::Outlook,
    refresh_token::RefreshToken,
};

pub(super) struct Cache {
    login: Box<dyn AnyLogin>,
    session: Session,
    policy: CachePolicy,
    clock: Box<dyn Clock>,
    random: Random,
    observers: Observers,
    /// Read without a lock. A new one is stored only under the lock of `course`.
    current: ArcSwapOption<Held>,
    /// No code of the user's runs under this lock: not the clock, not the login, and no future of
    /// his is dropped there.
    course: Mutex<Course>,
    /// The number of the generation whose next acceptance is news, or 0. It spares all other
    /// acceptances the lock. Relaxed: what is done upon it is done under the lock.
    awaited: AtomicU64,
}

/// Numbers from 0 to 1.
pub(super) type Random = Box<dyn Fn() -> f64 + Send + Sync>;

/// A credential, ready to send.
pub(super) struct Held {
    authorization: Authorization,
    lifespan: Lifespan,
    landed_at: Moment,
}

impl Held {
    fn generation(&self) -> Generation {
        self.authorization.generation()
    }

    fn has_the_token_of(&self, other: &Self) -> bool {
        self.authorization.value() == other.authorization.value()
    }
}

/// Which authorization will do.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// How long it must go on being valid.
    pub(super) valid_for: Duration,
    pub(super) other_than: Option<Generation>,
}

impl Wanted {
    fn is_any(self) -> bool {
        self.valid_for.is_zero() && self.other_than.is_none()
    }
}

/// What the next request that finds no credential does.
#[derive(Default)]
struct Course {
    flight: Option<Arc<Flight<Arc<Held>>>>,
    /// Whether what the flight brings is no news any more.
    is_flight_stale: bool,
    failure: Option<Error>,
    back_off: BackOff,
    /// For the next login, while none is under way.
    refresh_token: Option<RefreshToken>,
    refusals: Refusals,
    /// The last generations.
    issued: VecDeque<Generation>,
    /// What was refused last and is not replaced yet.
    refused: Option<Refused>,
    counts: Counts,
}

enum Boarding {
    Current(Arc<Held>),
    Waiting(Arc<Flight<Arc<Held>>>),
}

impl Cache {
    pub(super) fn new(
        login: Box<dyn AnyLogin>,
        session: Session,
        policy: CachePolicy,
        clock: Box<dyn Clock>,
        random: Random,
        observers: Observers,
        credential: Option<Credential>,
    ) -> Self {
        let cache = Self {
            login,
            session,
            policy,
            clock,
            random,
            observers,
            current: ArcSwapOption::empty(),
            course: Mutex::default(),
            awaited: AtomicU64::new(0),
        };
        if let Some(credential) = credential {
            let now = Moment::of(&*cache.clock);
            let held = cache.hold(&credential, Birth::HandedIn(now), now);
            let refresh_token = credential.refresh_token().cloned();
            let mut course = cache.course();
            course.refresh_token = refresh_token.map(|token| token.counted_from(now));
            cache.publish(&mut course, held, now);
            drop(course);
        }
        cache
    }

    pub(super) fn session(&self) -> Session {
        self.session
    }

    pub(super) fn policy(&self) -> CachePolicy {
        self.policy
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        let current = self.current.load();
        Some(current.as_ref()?.generation())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let now = Moment::of(&*self.clock);
        let course = self.course();
        let current = self.current.load_full();
        let freshness = current.as_ref().map(|held| held.lifespan.freshness(|| now));
        let pause = course.pause_at(now);
        let state = match freshness {
            Some(Freshness::Fresh) => State::Fresh,
            Some(Freshness::Aging) => State::Aging,
            _ if course.flight.is_some() => State::LoggingIn,
            _ if pause.is_some() => State::BackingOff,
            Some(Freshness::Expired) => State::Expired,
            None => State::Empty,
        };
        Snapshot {
            state,
            is_logging_in: course.flight.is_some(),
            generation: current.as_ref().map(|held| held.generation()),
            age: current.as_ref().map(|held| {
                now.monotonic
                    .saturating_duration_since(held.landed_at.monotonic)
            }),
            usable_for: current.and_then(|held| held.lifespan.left(now)),
            next_attempt: pause.and_then(Error::next_attempt),
            last_error: course.failure.clone(),
            is_contended: course.refusals.are_by_a_rival(now.monotonic),
            counts: course.counts,
        }
    }

    /// Begins anew: the next request logs in, whatever has failed or was refused before. A login
    /// under way goes on, so that there is one at a time, and what it brings is discarded; its
    /// refresh token aside, and one that waits here.
    pub(super) fn reset(&self) {
        let mut course = self.course();
        self.awaited.store(0, Ordering::Relaxed);
        let current = self.current.swap(None);
        let refused = course.refused.take();
        let failure = course.failure.take();
        course.back_off = BackOff::default();
        course.refusals = Refusals::default();
        course.is_flight_stale = course.flight.is_some();
        drop(course);
        // Errors are the user's: they are dropped unlocked.
        drop((current, refused, failure));
    }

    /// The hot path: one snapshot, and a look at the clock where there is an expiry.
    pub(super) fn current(self: &Arc<Self>) -> Option<Authorization> {
        let current = self.current.load();
        let held = current.as_ref()?;
        match held.lifespan.freshness(|| Moment::of(&*self.clock)) {
            Freshness::Fresh => {}
            Freshness::Aging => self.refresh_ahead(),
            Freshness::Expired => return None,
        }
        Some(held.authorization.clone())
    }

    pub(super) async fn acquire(self: Arc<Self>, wanted: Wanted) -> Result<Authorization, Error> {
        if wanted.is_any()
            && let Some(authorization) = self.current()
        {
            return Ok(authorization);
        }
        match self.clone().land_with(wanted).await {
            Ok(held) if self.is_current(&held) => return self.lasting(&held, wanted.valid_for),
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

    fn is_current(&self, held: &Arc<Held>) -> bool {
        let current = self.current.load();
        let is_same = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, held));
        is_same && held.lifespan.freshness(|| Moment::of(&*self.clock)) != Freshness::Expired
    }

    /// What is current, or what the flight brings.
    async fn land_with(self: Arc<Self>, wanted: Wanted) -> Result<Arc<Held>, Error> {
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
            // Another login is due after a reset.
            if !outcome.as_ref().is_err_and(Error::is_reset) {
                return outcome;
            }
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

    /// Starts one login in the background, unless one is under way or has just failed.
    fn refresh_ahead(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return; // A request that is polled on a runtime will do it.
        };
        let now = Moment::of(&*self.clock);
        // Whoever holds the lock is about to start or to end a flight: no request waits for that.
        let course = match self.course.try_lock() {
            Ok(course) => course,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Some(flight) = &course.flight {
            let overdue = flight.is_overdue().then(|| Arc::clone(flight));
            drop(course);
            if let Some(flight) = overdue {
                self.land(&flight, Err(Error::login_lost()));
            }
            return;
        }
        // Looked at again under the lock: a flight may have landed since.
        let is_aging = self
            .current
            .load()
            .as_ref()
            .is_some_and(|held| held.lifespan.freshness(|| now) == Freshness::Aging);
        if is_aging && course.pause_at(now).is_none() {
            self.take_off(course, &runtime, now);
        }
    }

    fn take_off(
        self: &Arc<Self>,
        mut course: MutexGuard<'_, Course>,
        runtime: &Handle,
        now: Moment,
    ) -> Arc<Flight<Arc<Held>>> {
        let refresh_token = course.refresh_token.take();
        let refresh_token = refresh_token.filter(|token| !token.is_expired(now));
        let refresh_token = RefreshTokenSlot::new(refresh_token);
        let flight = Arc::new(Flight::new(self.policy.time_to_log_in(), refresh_token));
        course.flight = Some(Arc::clone(&flight));
        // A runtime that is shutting down drops the task at once, and that takes the lock.
        drop(course);
        runtime.spawn(Pilot::new(self, &flight).fly());
        flight
    }

    fn is_flown_by(&self, flight: &Arc<Flight<Arc<Held>>>) -> bool {
        self.course().is_flown_by(flight)
    }

    /// Publishes the outcome of the flight, unless it was declared lost: then another login may
    /// be under way already, and what this one got is discarded.
    fn land(&self, flight: &Arc<Flight<Arc<Held>>>, outcome: Result<Landing, Error>) {
        // The clock is not asked for a lost one: that is told while panics unwind.
        let failed = match &outcome {
            Err(error) if !error.is_login_lost() => {
                let outlook = error::Error::source(error)
                    .map(Outlook::of)
                    .unwrap_or_default();
                Some((outlook, Moment::of(&*self.clock), (self.random)()))
            }
            _ => None,
        };
        let mut course = self.course();
        if !course.is_flown_by(flight) {
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
                let generation = held.generation();
                (Ok(held), None, Event::LoggedIn { generation })
            }
            Err(error) => {
                // What was not taken is there for the next login, and no longer for this one.
                course.refresh_token = flight.refresh_token().take();
                course.counts.failed_logins += 1;
                self.put_back(&mut course);
                let event = Event::LoginFailed {
                    error: error.clone(),
                };
                (Err(error.clone()), Some(error), event)
            }
        };
        let _dropped_unlocked = mem::replace(&mut course.failure, failure);
        drop(course);
        flight.land(outcome);
        self.observers.tell(&event);
    }

    /// A reset came before it: neither its credential nor its failure is news.
    fn land_stale(
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
        drop(outcome);
        flight.land(Err(Error::reset()));
    }

    fn hold(&self, credential: &Credential, birth: Birth, landed_at: Moment) -> Arc<Held> {
        Arc::new(Held {
            authorization: Authorization::new(credential.scheme(), credential.token()),
            lifespan: Lifespan::new(
                credential,
                birth,
                self.session,
                self.policy.margin_before_expiry(),
                (self.random)(),
            ),
            landed_at,
        })
    }

    /// Each change under the lock is whole before anything can panic, so that a poisoned one is
    /// as good as any.
    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Course {
    fn is_flown_by(&self, flight: &Arc<Flight<Arc<Held>>>) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, flight))
    }

    /// The failure that requests are answered with for now.
    fn pause_at(&self, now: Moment) -> Option<&Error> {
        self.failure
            .as_ref()
            .filter(|failure| failure.next_attempt().is_some_and(|at| now.monotonic < at))
    }
}
