//! The life of a credential: what is current, the one flight, and what a failed login leaves.

mod acquiring;
mod backoff;
mod flight;
mod judgement;
mod landing;
mod lifespan;
mod pilot;
mod rejections;
mod watch;
mod watched;

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};

pub(super) use self::acquiring::{Acquiring, Wanted};
use self::{
    backoff::BackOff,
    flight::Flight,
    lifespan::{Birth, Freshness, Lifespan},
    rejections::Rejections,
    watch::Watch,
    watched::Watched,
};
use super::{
    observers::Observers,
    policy::{CachePolicy, Pauses},
    snapshot::{Counts, CredentialState, Snapshot},
};
use crate::{
    credential::{Authorization, Credential, Generation, RefreshToken},
    error::Error,
    login::{AnyLogin, Login, Session},
    runtime::{
        Clock, Moment, SystemClock,
        sync::{ArcSwapOption, AtomicBool, AtomicU64, Mutex, MutexGuard},
    },
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
    watched: Watched,
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
}

/// What the next request that finds no credential does.
struct Course {
    flight: Option<Arc<Flight<Arc<Held>>>>,
    /// Whether what the flight brings is no news any more.
    is_flight_stale: bool,
    failure: Option<Error>,
    back_off: BackOff,
    /// For the next login, while none is under way.
    refresh_token: Option<RefreshToken>,
    rejections: Rejections,
    /// The last generations.
    issued: VecDeque<Generation>,
    /// What was rejected last and is not replaced yet.
    rejected: Option<Arc<Held>>,
    watch: Option<Watch>,
    counts: Counts,
}

impl Cache {
    pub(super) fn new(setup: Setup, credential: Option<Credential>) -> Self {
        let runs_by_itself = setup.clock.runs_by_itself();
        let course = Course::new(setup.policy.pauses());
        let cache = Self {
            setup,
            current: ArcSwapOption::empty(),
            course: Mutex::new(course),
            fresh: AtomicU64::new(0),
            is_due: AtomicBool::new(false),
            runs_by_itself,
            watched: Watched::nothing(),
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
        let mut course = self.course();
        let current = self.current.load_full();
        let freshness = current.as_ref().map(|held| held.lifespan.freshness(|| now));
        if freshness == Some(Freshness::Expired) {
            // A timer may be late: from here on no request is told that the credential is fresh.
            self.look_again(&mut course);
        }
        let pause = course.pause_at(now);
        let held_back = course.rejections.held_back(now.monotonic);
        let state = match freshness {
            Some(Freshness::Fresh | Freshness::Aging) if held_back.is_some() => {
                CredentialState::HeldBack
            }
            Some(Freshness::Fresh) => CredentialState::Fresh,
            Some(Freshness::Aging) => CredentialState::Aging,
            _ if course.flight.is_some() => CredentialState::LoggingIn,
            _ if pause.is_some() => CredentialState::BackingOff,
            Some(Freshness::Expired) => CredentialState::Expired,
            None => CredentialState::Empty,
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
            held_back: held_back.filter(|_| state == CredentialState::HeldBack),
            is_contention_suspected: course.rejections.is_rival_suspected(now.monotonic),
            counts: course.counts,
        }
    }

    /// Begins anew: the next request logs in, whatever has failed or was rejected before. A login
    /// under way goes on, so that there is one at a time, and what it brings is discarded; its
    /// refresh token aside, and one that waits here.
    pub(super) fn reset(&self) {
        let mut course = self.course();
        let current = self.set_current(&mut course, None);
        let rejected = course.rejected.take();
        let failure = course.failure.take();
        course.back_off = BackOff::default();
        course.rejections = Rejections::new(self.setup.policy.pauses());
        self.watch_targets(&course);
        course.is_flight_stale = course.flight.is_some();
        drop(course);
        // Errors are the user's: they are dropped unlocked.
        drop((current, rejected, failure));
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
    fn new(pauses: Pauses) -> Self {
        Self {
            flight: None,
            is_flight_stale: false,
            failure: None,
            back_off: BackOff::default(),
            refresh_token: None,
            rejections: Rejections::new(pauses),
            issued: VecDeque::new(),
            rejected: None,
            watch: None,
            counts: Counts::default(),
        }
    }

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
