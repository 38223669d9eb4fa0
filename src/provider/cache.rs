//! The life of a credential: what is current, the one flight, and what a failed login leaves.

mod pilot;

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;

use self::pilot::{Landing, Pilot};
use super::policy::CachePolicy;
use crate::{
    authorization::{Authorization, Generation},
    clock::{Clock, Moment},
    credential::Credential,
    error::Error,
    flight::Flight,
    lifespan::{Birth, Freshness, Lifespan},
    login::{AnyLogin, RefreshTokenSlot, Session},
    token::Secret,
};

/// After a failed login requests fail at once for this long.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Cache {
    login: Box<dyn AnyLogin>,
    session: Session,
    policy: CachePolicy,
    clock: Box<dyn Clock>,
    /// Read without a lock. A new one is stored only under the lock of `course`.
    current: ArcSwapOption<Held>,
    /// No code of the user's runs under this lock: not the clock, not the login, and no future of
    /// his is dropped there.
    course: Mutex<Course>,
}

/// A credential, ready to send.
pub(super) struct Held {
    authorization: Authorization,
    lifespan: Lifespan,
}

/// What the next request that finds no credential does.
#[derive(Default)]
struct Course {
    flight: Option<Arc<Flight<Arc<Held>>>>,
    failure: Option<Error>,
    /// For the next login, while none is under way.
    refresh_token: Option<Secret>,
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
        credential: Option<Credential>,
    ) -> Self {
        let cache = Self {
            login,
            session,
            policy,
            clock,
            current: ArcSwapOption::empty(),
            course: Mutex::default(),
        };
        if let Some(credential) = credential {
            let birth = Birth::HandedIn(Moment::of(&*cache.clock));
            let held = cache.hold(&credential, birth);
            cache.course().refresh_token = credential.refresh_token().cloned();
            cache.current.store(Some(held));
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
        Some(current.as_ref()?.authorization.generation())
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

    /// `needed` is how long the authorization must go on being valid.
    pub(super) async fn acquire(self: Arc<Self>, needed: Duration) -> Result<Authorization, Error> {
        if needed.is_zero()
            && let Some(authorization) = self.current()
        {
            return Ok(authorization);
        }
        let held = self.clone().land_with(needed).await?;
        if self.is_current(&held) {
            return self.lasting(&held, needed);
        }
        // Expired or refused since it landed, or replaced: whoever polls late looks once more.
        let held = self.clone().land_with(needed).await?;
        self.lasting(&held, needed)
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
    async fn land_with(self: Arc<Self>, needed: Duration) -> Result<Arc<Held>, Error> {
        loop {
            let flight = match self.board(needed)? {
                Boarding::Current(held) => return Ok(held),
                Boarding::Waiting(flight) => flight,
            };
            if flight.is_piloted_here() {
                return Err(Error::login_through_itself(None));
            }
            // Looked at before the wait: who comes late starts afresh, who has waited is told.
            if !flight.is_overdue() {
                if let Some(outcome) = flight.landed().await {
                    return outcome;
                }
                self.land(&flight, Err(Error::login_lost()));
                return flight.outcome().await;
            }
            self.land(&flight, Err(Error::login_lost()));
        }
    }

    /// Takes a refused generation out of use, if it is the current one.
    pub(super) fn reject(&self, refused: Generation) {
        let current = self.current.load();
        let is_current = current
            .as_ref()
            .is_some_and(|held| held.authorization.generation() == refused);
        if is_current {
            // Without effect where another has taken its place since.
            self.current.compare_and_swap(&*current, None);
        }
    }

    /// Joins the flight, or starts it, unless there is no need to or no hope.
    fn board(self: &Arc<Self>, needed: Duration) -> Result<Boarding, Error> {
        let now = Moment::of(&*self.clock);
        let course = self.course();
        // Looked at again under the lock: a flight may have landed since.
        if let Some(held) = self.current.load_full()
            && held.lifespan.outlasts(now, Duration::ZERO)
        {
            if held.lifespan.outlasts(now, needed) {
                return Ok(Boarding::Current(held));
            }
            if !held.lifespan.could_outlast(needed) {
                return Err(Error::short_lived(needed));
            }
        }
        // Waiting needs one as well as logging in: each waiter has a deadline.
        let runtime = Handle::try_current().map_err(|_| Error::no_runtime())?;
        if let Some(flight) = &course.flight {
            return Ok(Boarding::Waiting(Arc::clone(flight)));
        }
        if let Some(failure) = course.pause_at(now) {
            return Err(failure.clone());
        }
        Ok(Boarding::Waiting(self.take_off(course, &runtime)))
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
            self.take_off(course, &runtime);
        }
    }

    fn take_off(
        self: &Arc<Self>,
        mut course: MutexGuard<'_, Course>,
        runtime: &Handle,
    ) -> Arc<Flight<Arc<Held>>> {
        let refresh_token = RefreshTokenSlot::new(course.refresh_token.take());
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
        let outcome = match outcome {
            Err(error) if !error.is_login_lost() => Err(error.until(self.clock.now() + PAUSE)),
            other => other,
        };
        let mut course = self.course();
        if !course.is_flown_by(flight) {
            return;
        }
        course.flight = None;
        // What was not taken is there for the next login, and no longer for this one.
        course.refresh_token = flight.refresh_token().take();
        let (outcome, failure) = match outcome {
            Ok(Landing { held, credential }) => {
                if let Some(refresh_token) = credential.refresh_token() {
                    course.refresh_token = Some(refresh_token.clone());
                }
                self.current.store(Some(Arc::clone(&held)));
                (Ok(held), None)
            }
            Err(error) => (Err(error.clone()), Some(error)),
        };
        let _dropped_unlocked = mem::replace(&mut course.failure, failure);
        drop(course);
        flight.land(outcome);
    }

    fn hold(&self, credential: &Credential, birth: Birth) -> Arc<Held> {
        Arc::new(Held {
            authorization: Authorization::new(credential.scheme(), credential.token()),
            lifespan: Lifespan::new(
                credential,
                birth,
                self.session,
                self.policy.margin_before_expiry(),
                fastrand::f64(),
            ),
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
