//! The life of a credential: what is current, the one flight, and what a failed login leaves.

mod acquire;
mod backoff;
mod flight;
mod feedback;
mod single_flight;
mod lifespan;
mod login_task;
mod rejections;
mod freshness;
mod target_filter;

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};

pub(super) use self::acquire::{Acquiring, Wanted};
use self::{
    backoff::BackOff,
    flight::Flight,
    freshness::ExpiryTimer,
    lifespan::{Freshness, Lifespan, Source},
    rejections::Rejections,
    target_filter::TargetFilter,
};
use super::{
    observers::Observers,
    policy::{CachePolicy, Pauses},
    snapshot::{Counts, CredentialState, Snapshot},
};
use crate::{
    credential::{Authorization, Credential, Generation, RefreshToken},
    error::Error,
    login::{DynLogin, Login, Session},
    runtime::{
        Clock, Moment, SystemClock,
        sync::{ArcSwapOption, AtomicBool, AtomicU64, Mutex, MutexGuard},
    },
};

/// What a cache is made of.
pub(super) struct Setup {
    pub(super) login: Box<dyn DynLogin>,
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
    /// ReadAnswer without a lock. A new one is stored only under the lock of `locked`.
    current: ArcSwapOption<Entry>,
    /// No code of the user's runs under this lock: not the clock, not the login, and no future of
    /// his is dropped there.
    locked: Mutex<Locked>,
    /// The number of the current generation while nothing is due, or 0 where the clocks have to be
    /// asked. A number is stored under the lock of `locked`, 0 by anybody.
    fresh_mark: AtomicU64,
    /// Whether somebody has seen that a background login is due. Relaxed: it is looked at again under
    /// the lock.
    is_refresh_due: AtomicBool,
    /// Whether the clocks go on by themselves. Asked once: the answer is the user's code.
    runs_by_itself: bool,
    awaited: TargetFilter,
}

/// Numbers from 0 to 1.
pub(super) type Random = Box<dyn Fn() -> f64 + Send + Sync>;

/// A credential, ready to send.
pub(super) struct Entry {
    authorization: Authorization,
    lifespan: Lifespan,
    received_at: Moment,
    /// In nanoseconds from `received_at` on, where the clocks are asked.
    fresh_until: AtomicU64,
}

impl Entry {
    fn generation(&self) -> Generation {
        self.authorization.generation()
    }
}

/// What the next request that finds no credential does.
struct Locked {
    flight: Option<Arc<Flight<Arc<Entry>>>>,
    /// Whether what the flight brings is no news any more.
    is_flight_discarded: bool,
    failure: Option<Error>,
    back_off: BackOff,
    /// For the next login, while none is under way.
    refresh_token: Option<RefreshToken>,
    rejections: Rejections,
    /// The last generations.
    issued: VecDeque<Generation>,
    /// What was rejected last and is not replaced yet.
    rejected: Option<Arc<Entry>>,
    expiry_timer: Option<ExpiryTimer>,
    counts: Counts,
}

impl Cache {
    pub(super) fn new(setup: Setup, credential: Option<Credential>) -> Self {
        let runs_by_itself = setup.clock.runs_by_itself();
        let locked = Locked::new(setup.policy.pauses());
        let cache = Self {
            setup,
            current: ArcSwapOption::empty(),
            locked: Mutex::new(locked),
            fresh_mark: AtomicU64::new(0),
            is_refresh_due: AtomicBool::new(false),
            runs_by_itself,
            awaited: TargetFilter::empty(),
        };
        if let Some(credential) = credential {
            let now = Moment::of(&*cache.setup.clock);
            let entry = cache.entry(&credential, Source::Caller(now), now);
            let refresh_token = credential.refresh_token().cloned();
            let mut locked = cache.lock();
            locked.refresh_token = refresh_token.map(|token| token.counted_from(now));
            cache.publish(&mut locked, entry, now);
            drop(locked);
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
        let mut locked = self.lock();
        let current = self.current.load_full();
        let freshness = current
            .as_ref()
            .map(|entry| entry.lifespan.freshness(|| now));
        if freshness == Some(Freshness::Expired) {
            // A timer may be late: from here on no request is told that the credential is fresh.
            self.clear_fresh_mark(&mut locked);
        }
        let pause = locked.pause_at(now);
        let held_back = locked.rejections.held_back(now.monotonic);
        let state = match freshness {
            Some(Freshness::Fresh | Freshness::Aging) if held_back.is_some() => {
                CredentialState::HeldBack
            }
            Some(Freshness::Fresh) => CredentialState::Fresh,
            Some(Freshness::Aging) => CredentialState::Aging,
            _ if locked.flight.is_some() => CredentialState::LoggingIn,
            _ if pause.is_some() => CredentialState::BackingOff,
            Some(Freshness::Expired) => CredentialState::Expired,
            None => CredentialState::Empty,
        };
        Snapshot {
            state,
            is_logging_in: locked.flight.is_some(),
            generation: current.as_ref().map(|entry| entry.generation()),
            age: current.as_ref().map(|entry| {
                now.monotonic
                    .saturating_duration_since(entry.received_at.monotonic)
            }),
            usable_for: current.and_then(|entry| entry.lifespan.left(now)),
            next_attempt: pause.and_then(Error::next_attempt),
            last_error: locked.failure.clone(),
            held_back: held_back.filter(|_| state == CredentialState::HeldBack),
            is_contention_suspected: locked.rejections.is_contention_suspected(now.monotonic),
            counts: locked.counts,
        }
    }

    /// Begins anew: the next request logs in, whatever has failed or was rejected before. A login
    /// under way goes on, so that there is one at a time, and what it brings is discarded; its
    /// refresh token aside, and one that waits here.
    pub(super) fn reset(&self) {
        let mut locked = self.lock();
        let current = self.set_current(&mut locked, None);
        let rejected = locked.rejected.take();
        let failure = locked.failure.take();
        locked.back_off = BackOff::default();
        locked.rejections = Rejections::new(self.setup.policy.pauses());
        self.update_awaited(&locked);
        locked.is_flight_discarded = locked.flight.is_some();
        drop(locked);
        // Errors are the user's: they are dropped unlocked.
        drop((current, rejected, failure));
    }

    fn entry(&self, credential: &Credential, source: Source, received_at: Moment) -> Arc<Entry> {
        Arc::new(Entry {
            authorization: Authorization::new(credential.scheme(), credential.token())
                .with_account(self.setup.account),
            lifespan: Lifespan::new(
                credential,
                source,
                self.setup.session,
                self.setup.policy.margin_before_expiry(),
                self.jitter(),
            ),
            received_at,
            fresh_until: AtomicU64::new(0),
        })
    }

    /// A number from 0 to 1, whatever the source of chance says.
    fn jitter(&self) -> f64 {
        let random = (self.setup.random)();
        if random.is_nan() {
            0.5
        } else {
            random.clamp(0.0, 1.0)
        }
    }

    /// Each change under the lock is whole before anything can panic, so that a poisoned one is
    /// as good as any.
    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locked {
    fn new(pauses: Pauses) -> Self {
        Self {
            flight: None,
            is_flight_discarded: false,
            failure: None,
            back_off: BackOff::default(),
            refresh_token: None,
            rejections: Rejections::new(pauses),
            issued: VecDeque::new(),
            rejected: None,
            expiry_timer: None,
            counts: Counts::default(),
        }
    }

    fn has_flight(&self, flight: &Arc<Flight<Arc<Entry>>>) -> bool {
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
