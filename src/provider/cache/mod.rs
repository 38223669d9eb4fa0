//! The cache: the current credential, the one flight, and the pauses after failures and rejections.
//!
//! | file | task |
//! | --- | --- |
//! | `acquire` | finds the current authorization, or waits for the flight |
//! | `single_flight`, `flight`, `login_task` | start, represent and run the one login |
//! | `lifespan`, `freshness` | compute when a credential ages and expires; avoid clock reads until then |
//! | `feedback`, `rejections`, `target_filter` | decide which rejections cause a login |
//! | `backoff` | computes the pause after a failed login |
//! | `commands` | what the user of the provider orders: reset, sign out, set a credential, settle |
//! | `keep_warm` | renews the credential although no request asks for one |
//! | `renewal` | logs in when the login reports a change |
//! | `sharing`, `shared_login` | share the session with other processes, by a store |
//! | `eviction` | decides whether a provider for many accounts may forget the cache |
//!
//! Reads use two atomics: the current entry and the fresh mark. All other state is behind one lock,
//! `Cache::locked`. No user code runs under that lock: no login, clock, observer or random source.
//! No waiter is woken and no user error is dropped there either.

mod acquire;
mod backoff;
mod commands;
mod eviction;
mod flight;
mod feedback;
mod keep_warm;
mod single_flight;
mod lifespan;
mod login_task;
mod rejections;
mod renewal;
#[cfg(feature = "store")]
mod shared_login;
#[cfg(feature = "store")]
mod sharing;
mod freshness;
mod target_filter;

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

pub(super) use self::acquire::{Acquiring, Wanted};
#[cfg(feature = "store")]
pub(super) use self::sharing::Sharing;
use self::{
    backoff::BackOff,
    commands::Discard,
    flight::Flight,
    freshness::ExpiryTimer,
    keep_warm::Changes,
    lifespan::{Freshness, Lifespan, Source},
    rejections::Rejections,
    renewal::Watch,
    target_filter::TargetFilter,
};
use super::{
    hooks::Hooks,
    observers::{Names, Observers},
    policy::{CachePolicy, Pauses},
    snapshot::{Counts, CredentialState, Snapshot},
};
use crate::{
    credential::{Authorization, Credential, Generation, RefreshToken},
    error::Error,
    login::{Challenge, DynLogin, Login, Session},
    runtime::{
        Clock, Moment, SystemClock,
        sync::{ArcSwapOption, AtomicBool, AtomicU64, Handle, Mutex, MutexGuard},
    },
};

/// The settings of a cache.
pub(super) struct Setup {
    pub(super) login: Box<dyn DynLogin>,
    pub(super) session: Session,
    pub(super) policy: CachePolicy,
    pub(super) clock: Box<dyn Clock>,
    pub(super) random: Random,
    pub(super) observers: Observers,
    pub(super) hooks: Hooks,
    /// The runtime that logins run on. `None`: that of the request that starts one.
    pub(super) runtime: Option<Handle>,
    /// The number that each authorization carries.
    pub(super) account: u32,
    #[cfg(feature = "store")]
    /// Boxed: of many accounts, few are shared.
    pub(super) sharing: Option<Box<Sharing>>,
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
            hooks: Hooks::default(),
            runtime: None,
            account: 0,
            #[cfg(feature = "store")]
            sharing: None,
        }
    }

    /// The longest time from the start of a flight to its end.
    fn longest_flight(&self) -> Duration {
        let login = self.policy.time_to_log_in();
        #[cfg(feature = "store")]
        if self.sharing.is_some() {
            return login + Sharing::longest_wait(login);
        }
        login
    }
}

pub(super) struct Cache {
    setup: Setup,
    /// Read without a lock, and stored only under the lock of `locked`.
    current: ArcSwapOption<Entry>,
    /// No user code runs under this lock: no [`Clock`] is read, no login is polled, and no user future is
    /// dropped.
    locked: Mutex<Locked>,
    /// The number of the current generation while nothing is due, or 0 if the clocks must be read. A
    /// number is stored only under the lock of `locked`; 0 may be stored without it.
    fresh_mark: AtomicU64,
    /// Whether a request has found the credential aging. Relaxed: the decision is made again under the
    /// lock.
    is_refresh_due: AtomicBool,
    /// Whether the clocks run by themselves. Read once, since the clock is user code.
    runs_by_itself: bool,
    /// The targets whose acceptances matter.
    awaited: TargetFilter,
    /// The number of sign-outs. Stored only under the lock of `locked`.
    sign_outs: AtomicU64,
}

/// Numbers from 0 to 1.
pub(super) type Random = Box<dyn Fn() -> f64 + Send + Sync>;

/// A credential, ready to send.
pub(super) struct Entry {
    authorization: Authorization,
    /// For the hook that retires it; without its refresh token. `None` without such a hook.
    credential: Option<Credential>,
    lifespan: Lifespan,
    received_at: Moment,
    /// In nanoseconds from `received_at` on; used while the fresh mark is 0.
    fresh_until: AtomicU64,
    /// Whether a login of this cache has brought it. Otherwise it was handed in.
    is_from_login: bool,
    /// Whether a rejection of it has called for a login. Relaxed: it publishes no other memory.
    is_distrusted: AtomicBool,
}

impl Entry {
    fn generation(&self) -> Generation {
        self.authorization.generation()
    }

    /// Whether requests go on with it while no login succeeds, also within its margin.
    fn serves_in_outage(&self, now: Moment) -> bool {
        !self.is_distrusted.load(Ordering::Relaxed) && !self.lifespan.has_ended(now)
    }
}

/// The state behind the lock: it decides what a request without a credential does.
struct Locked {
    flight: Option<Arc<Flight<Arc<Entry>>>>,
    /// The command that has made the flight's outcome obsolete.
    discarded_by: Option<Discard>,
    /// The last flight, also while its observers run.
    last_flight: Weak<Flight<Arc<Entry>>>,
    /// Whether no login may be made until somebody signs in.
    is_signed_out: bool,
    /// Older generations are of a user who has signed out.
    signed_out_at: Option<Generation>,
    /// The error of the last login, if that failed.
    failure: Option<Error>,
    back_off: BackOff,
    /// For the next login. A login under way has taken it.
    refresh_token: Option<RefreshToken>,
    /// Whether the refresh token came from a discarded login, and no hook got it.
    is_refresh_token_unstored: bool,
    rejections: Rejections,
    /// The last generations, oldest first.
    issued: VecDeque<Generation>,
    /// The rejected credential, until a login succeeds or fails.
    rejected: Option<RejectedEntry>,
    expiry_timer: Option<ExpiryTimer>,
    /// `Some` from the first call of `keep_warm` on.
    changes: Option<Arc<Changes>>,
    watch: Watch,
    /// Whether a provider for many accounts has forgotten the cache: no login may start.
    is_evicted: bool,
    counts: Counts,
    /// How often a request has begun to wait since the last login ended.
    waits: u64,
}

struct RejectedEntry {
    entry: Arc<Entry>,
    /// For the login that replaces it.
    challenges: Arc<[Challenge]>,
}

impl Cache {
    pub(super) fn new(
        setup: Setup,
        credential: Option<Credential>,
        refresh_token: Option<RefreshToken>,
    ) -> Self {
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
            sign_outs: AtomicU64::new(0),
        };
        let now = Moment::of(&*cache.setup.clock);
        let refresh_token = match &credential {
            Some(credential) => credential.refresh_token().cloned().or(refresh_token),
            None => refresh_token,
        };
        let entry = credential.map(|it| cache.entry(&it, Source::Caller(now), now));
        let mut locked = cache.lock();
        locked.refresh_token = refresh_token.map(|token| token.counted_from(now));
        let has_credential = entry.is_some();
        if let Some(entry) = entry {
            cache.publish(&mut locked, entry, now);
        }
        drop(locked);
        if has_credential {
            cache.measure_expiry();
        }
        cache
    }

    pub(super) fn session(&self) -> Session {
        self.setup.session
    }

    pub(super) fn policy(&self) -> CachePolicy {
        self.setup.policy
    }

    pub(super) fn names(&self) -> &Names {
        &self.setup.observers.names
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
            // The expiry timer may be late: from here on each request reads the clocks.
            self.clear_fresh_mark(&mut locked);
        }
        let pause = locked.pause_at(now);
        let held_back = locked.rejections.held_back(now.monotonic);
        // Within its margin, while no login may be made.
        let in_outage = current.as_ref().filter(|entry| {
            let waits_for_nothing = pause.is_some() && locked.flight.is_none();
            freshness == Some(Freshness::Expired)
                && waits_for_nothing
                && entry.serves_in_outage(now)
        });
        let usable_for = current.as_ref().and_then(|entry| match in_outage {
            Some(_) => entry.lifespan.left_to_end(now),
            None => entry.lifespan.left(now),
        });
        let state = match freshness {
            _ if locked.is_signed_out => CredentialState::SignedOut,
            Some(Freshness::Fresh | Freshness::Aging) if held_back.is_some() => {
                CredentialState::HeldBack
            }
            Some(Freshness::Fresh) => CredentialState::Fresh,
            Some(Freshness::Aging) => CredentialState::Aging,
            _ if in_outage.is_some() => CredentialState::Aging,
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
            usable_for,
            next_attempt: pause.and_then(Error::next_attempt),
            last_error: locked.failure.clone(),
            held_back: held_back.filter(|_| state == CredentialState::HeldBack),
            is_contention_suspected: locked.rejections.is_contention_suspected(now.monotonic),
            counts: locked.counts,
        }
    }

    fn entry(&self, credential: &Credential, source: Source, received_at: Moment) -> Arc<Entry> {
        // Before the generation is drawn. Otherwise the generation could be older than a sign-out that
        // its entry counts.
        let sign_outs = self.sign_outs();
        Arc::new(Entry {
            authorization: Authorization::new(credential.scheme(), credential.token())
                .with_account(self.setup.account)
                .with_sign_outs(sign_outs),
            credential: self
                .setup
                .hooks
                .wants_retired()
                .then(|| credential.clone().without_refresh_token()),
            lifespan: Lifespan::new(
                credential,
                source,
                self.setup.session,
                self.setup.policy.margin_before_expiry(),
                self.jitter(),
            ),
            received_at,
            fresh_until: AtomicU64::new(0),
            is_from_login: matches!(source, Source::Login { .. }),
            is_distrusted: AtomicBool::new(false),
        })
    }

    /// To be called without a lock, after each change of the current credential.
    pub(in crate::provider) fn measure_expiry(&self) {
        self.setup.observers.measure_expiry(|| {
            let current = self.current.load();
            Some(current.as_ref()?.lifespan.ends_at())
        });
    }

    /// A number from 0 to 1, whatever the user's source of randomness returns.
    fn jitter(&self) -> f64 {
        let random = (self.setup.random)();
        if random.is_nan() {
            0.5
        } else {
            random.clamp(0.0, 1.0)
        }
    }

    /// Locks, also after a panic: each change under the lock is complete before anything can panic.
    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "metrics")]
impl Drop for Cache {
    /// Otherwise the gauge of a provider that is gone would show an expiry for ever.
    fn drop(&mut self) {
        if self.current.swap(None).is_some() {
            self.measure_expiry();
        }
    }
}

impl Locked {
    fn new(pauses: Pauses) -> Self {
        Self {
            flight: None,
            discarded_by: None,
            last_flight: Weak::new(),
            is_signed_out: false,
            signed_out_at: None,
            failure: None,
            back_off: BackOff::default(),
            refresh_token: None,
            is_refresh_token_unstored: false,
            rejections: Rejections::new(pauses),
            issued: VecDeque::new(),
            rejected: None,
            expiry_timer: None,
            changes: None,
            watch: Watch::default(),
            is_evicted: false,
            counts: Counts::default(),
            waits: 0,
        }
    }

    fn count_wait(&mut self) {
        self.counts.waits += 1;
        self.waits += 1;
    }

    fn has_flight(&self, flight: &Arc<Flight<Arc<Entry>>>) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, flight))
    }

    /// Whether the generation was issued before the last sign-out.
    fn is_signed_out(&self, generation: Generation) -> bool {
        self.signed_out_at
            .is_some_and(|at| generation.is_older_than(at))
    }

    /// The failure that requests get while its pause lasts.
    fn pause_at(&self, now: Moment) -> Option<&Error> {
        self.failure
            .as_ref()
            .filter(|failure| failure.is_backing_off(now))
    }
}
