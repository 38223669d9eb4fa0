//! The settings of a [`CachedProvider`](super::CachedProvider).

use std::time::Duration;

/// No clock overflows by it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How a [`CachedProvider`](crate::CachedProvider) treats logins and lifetimes.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::CachePolicy;
///
/// let policy = CachePolicy::default()
///     .login_timeout(Duration::from_secs(30))
///     .margin(Duration::from_secs(60));
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    login_timeout: Duration,
    margin: Option<Duration>,
    pauses: Pauses,
}

impl CachePolicy {
    /// Limits the time of a login. Defaults to 10 s, and is a year at most.
    ///
    /// It is measured by Tokio's clock. (Where runtimes share a provider and one of them has its time
    /// paused, as tests do, a login may seem overdue to it.)
    ///
    /// Be generous: a login that is given up may have revoked the credential before it all the
    /// same.
    ///
    /// Waiters give up one second after it. A login that has not ended by then is declared lost: its
    /// runtime is no longer driven, or the login blocks its thread. What it may still bring is
    /// discarded, and the next request starts another. Waiters wait for a second login only where the
    /// provider was [reset](crate::CachedProvider::reset) meanwhile, or where another runtime that
    /// carried the first one is gone.
    #[must_use]
    pub fn login_timeout(self, login_timeout: Duration) -> Self {
        Self {
            login_timeout,
            ..self
        }
    }

    /// Sets how long before its expiry a credential is no longer used; at most half of the
    /// lifetime counts. Defaults to the smaller of 10 s and a tenth of the lifetime.
    #[must_use]
    pub fn margin(self, margin: Duration) -> Self {
        Self {
            margin: Some(margin),
            ..self
        }
    }

    pub(super) fn time_to_log_in(&self) -> Duration {
        self.login_timeout.min(LONGEST)
    }

    /// Sets the pause after the first login that did not help a rejected target, and the longest
    /// pause. It doubles with each further login in vain. Defaults to 1 s and 5 min; a year at most.
    ///
    /// Shorter pauses find out sooner that a target is accepted again, and make more logins until
    /// then. [`CachedProvider`](crate::CachedProvider#rejections) has the rules.
    #[must_use]
    pub fn rejection_pauses(self, first: Duration, longest: Duration) -> Self {
        let pauses = Pauses {
            first: first.min(LONGEST),
            longest: longest.min(LONGEST),
            ..self.pauses
        };
        Self { pauses, ..self }
    }

    /// Sets the longest pause while nothing at all is accepted. It holds for twenty times as long;
    /// after that the longest pause of [`rejection_pauses`](Self::rejection_pauses) does. Defaults to
    /// 30 s.
    #[must_use]
    pub fn outage_pause(self, longest: Duration) -> Self {
        let pauses = Pauses {
            longest_in_outage: longest.min(LONGEST),
            ..self.pauses
        };
        Self { pauses, ..self }
    }

    /// Sets the longest pause while tokens are revoked within seconds of each login. Defaults to
    /// 1 min.
    #[must_use]
    pub fn contention_pause(self, longest: Duration) -> Self {
        let pauses = Pauses {
            longest_in_contention: longest.min(LONGEST),
            ..self.pauses
        };
        Self { pauses, ..self }
    }

    pub(super) fn pauses(&self) -> Pauses {
        self.pauses
    }

    pub(super) fn margin_before_expiry(&self) -> Option<Duration> {
        self.margin
    }
}

/// How long to wait before the next login, after rejections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pauses {
    pub(super) first: Duration,
    pub(super) longest: Duration,
    pub(super) longest_in_outage: Duration,
    pub(super) longest_in_contention: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(5 * 60),
            longest_in_outage: Duration::from_secs(30),
            longest_in_contention: Duration::from_secs(60),
        }
    }
}

impl Pauses {
    /// Nothing after no login in vain, the first pause after one, twice as much after each further
    /// one.
    pub(super) fn after(self, unhelpful_logins: u32, longest: Duration) -> Duration {
        let Some(doublings) = unhelpful_logins.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(longest)
    }
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            login_timeout: Duration::from_secs(10),
            margin: None,
            pauses: Pauses::default(),
        }
    }
}
