//! The life of a credential: what is current, the one flight, and what a failed login leaves.

mod acquiring;
mod backoff;
mod judgement;
mod landing;
mod pilot;
mod refusals;
mod watch;

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};

pub(super) use self::acquiring::{Acquiring, Wanted};
use self::{backoff::BackOff, judgement::Refused, refusals::Refusals, watch::Watch};
use super::{
    observers::Observers,
    policy::CachePolicy,
    snapshot::{Counts, Snapshot, State},
};
use crate::{
    authorization::{Authorization, Generation},
    clock::{Clock, Moment, SystemClock},
    credential::Credential,
    error::Error,
    flight::Flight,
    lifespan::{Birth, Freshness, Lifespan},
    login::{AnyLogin, Login, Session},
    refresh_token::RefreshToken,
    sync::{ArcSwapOption, AtomicBool, AtomicU64, Mutex, MutexGuard},
};

/// What a cache is made of.
pub(super) struct Setup {
    pub(super) login: Box<dyn AnyLogin>,
    pub(super) session: Session,
    pub(super) policy: CachePolicy,
    pub(super) clock: Box<dyn Clock>,
    pub(super) random: Random,
    pub(super) observers: Observers,
    /// The number in each authorization.
    pub(super) account: u32,
}

impl Setup {
    pub(super) fn new(login: impl Login) -> Self {
        Self {
            session: login.session(),
            login: Box::new(login),
            policy: CachePolicy::default(),
            clock: Box::new(SystemClock),
            random: Box::new(fastrand::f64),
            observers: Observers::default(),
            account: 0,
        }
    }
}

pub(super) struct Cache {
    setup: Setup,
    /// Read without a lock. A new one is stored only under the lock of `course`.
    current: ArcSwapOption<Held>,
    /// No code of the user's runs under this lock: not the clock, not the login, and no future of
    /// his is dropped there.
    course: Mutex<Course>,
    /// The number of the current generation while nothing is due, or 0 where the clocks have to be
    /// asked. A number is stored under the lock of `course`, 0 by anybody.
    fresh: AtomicU64,
    /// Whether somebody has seen that a background login is due. Relaxed: it is looked at again under
    /// the lock.
    is_due: AtomicBool,
    /// Whether the clocks go on by themselves. Asked once: the answer is the user's code.
    runs_by_itself: bool,
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
    /// In nanoseconds from `landed_at` on, where the clocks are asked.
    calm_until: AtomicU64,
}

impl Held {
    fn generation(&self) -> Generation {
        self.authorization.generation()
    }

    fn has_the_token_of(&self, other: &Self) -> bool {
        self.authorization.value() == other.authorization.value()
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
    /// The target of the rejection that the last login was made for.
    to_be_cured: Option<u32>,
    watch: Option<Watch>,
    counts: Counts,
}

impl Cache {
    pub(super) fn new(setup: Setup, credential: Option<Credential>) -> Self {
        let runs_by_itself = setup.clock.runs_by_itself();
        let cache = Self {
            setup,
            current: ArcSwapOption::empty(),
            course: Mutex::default(),
            fresh: AtomicU64::new(0),
            is_due: AtomicBool::new(false),
            runs_by_itself,
            awaited: AtomicU64::new(0),
        };
        if let Some(credential) = credential {
            let now = Moment::of(&*cache.setup.clock);
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
        self.setup.session
    }

    pub(super) fn policy(&self) -> CachePolicy {
        self.setup.policy
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        let current = self.current.load();
        Some(current.as_ref()?.generation())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let now = Moment::of(&*self.setup.clock);
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
        let current = self.set_current(&mut course, None);
        let refused = course.refused.take();
        let failure = course.failure.take();
        course.back_off = BackOff::default();
        course.refusals = Refusals::default();
        course.is_flight_stale = course.flight.is_some();
        drop(course);
        // Errors are the user's: they are dropped unlocked.
        drop((current, refused, failure));
    }

    fn hold(&self, credential: &Credential, birth: Birth, landed_at: Moment) -> Arc<Held> {
        Arc::new(Held {
            authorization: Authorization::new(credential.scheme(), credential.token())
                .with_account(self.setup.account),
            lifespan: Lifespan::new(
                credential,
                birth,
                self.setup.session,
                self.setup.policy.margin_before_expiry(),
                self.chance(),
            ),
            landed_at,
            calm_until: AtomicU64::new(0),
        })
    }

    /// A number from 0 to 1, whatever the source of chance says.
    fn chance(&self) -> f64 {
        let random = (self.setup.random)();
        if random.is_nan() {
            0.5
        } else {
            random.clamp(0.0, 1.0)
        }
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
