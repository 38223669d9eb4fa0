//! The settings of a [`CachedProvider`](super::CachedProvider).

use std::time::Duration;

/// The maximum of each setting, so that no clock overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Timeout, margin and pauses of a [`CachedProvider`](crate::CachedProvider).
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
    /// Sets the timeout of a login. Defaults to 10 s; the maximum is a year.
    ///
    /// Choose a generous timeout: a login that times out may still have revoked the previous
    /// credential.
    ///
    /// Waiters give up one second after the login's timeout. A login that has not ended by then is
    /// declared lost: its runtime is no longer driven, or the login blocks its thread. A late result
    /// is discarded, and the next request starts another login.
    ///
    /// With a store, a login may wait for that of another process, and the limits are longer:
    /// `CachedProviderBuilder::shared` has them.
    ///
    /// Waiters wait for a second login in two cases only: the provider was
    /// [reset](crate::CachedProvider::reset), or the login ran on another runtime that is gone.
    ///
    /// Tokio's clock measures the timeout. If runtimes share a provider and one of them has paused
    /// time, as in tests, a login may seem overdue on that runtime.
    #[must_use]
    pub fn login_timeout(self, login_timeout: Duration) -> Self {
        Self {
            login_timeout,
            ..self
        }
    }

    /// Sets how long before its expiry a credential is replaced. Defaults to the smaller of 10 s and
    /// a tenth of the lifetime. The margin never exceeds half of the lifetime.
    ///
    /// Within its margin, a credential causes a login. If that login fails, requests go on with the
    /// credential until a login succeeds, or until its expiry. This does not hold for a rejected
    /// credential, nor for [`acquire_valid_for`](crate::CachedProvider::acquire_valid_for).
    ///
    /// Some issuers refuse a refresh before the expiry, and the refresh token may be lost with it. For
    /// those, set a margin of zero: in an exclusive session, the refresh then happens at the expiry. A
    /// request that arrives at the server after the expiry is rejected, so configure a
    /// [replay](crate::BearerAuthLayer::replay).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_bearer::CachePolicy;
    ///
    /// // Refreshes at the expiry, not before.
    /// let policy = CachePolicy::default().margin(Duration::ZERO);
    /// # let _ = policy;
    /// ```
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

    /// Sets the first and the longest pause between logins that do not help a rejected target.
    /// Defaults to 1 s and 5 min; the maximum is a year.
    ///
    /// The pause doubles with each further login that does not help. Shorter pauses discover sooner
    /// that a target is accepted again, and cause more logins until then. For the rules, see
    /// [`CachedProvider`](crate::CachedProvider#rejections).
    #[must_use]
    pub fn rejection_pauses(self, first: Duration, longest: Duration) -> Self {
        let pauses = Pauses {
            first: first.min(LONGEST),
            longest: longest.min(LONGEST),
            ..self.pauses
        };
        Self { pauses, ..self }
    }

    /// Sets the longest pause while no target at all is accepted. Defaults to 30 s.
    ///
    /// It applies for twenty times its length. After that, the longest pause of
    /// [`rejection_pauses`](Self::rejection_pauses) applies.
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

/// The pauses between logins after rejections.
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
    pub(super) fn longest_of_all(self) -> Duration {
        self.longest
            .max(self.longest_in_outage)
            .max(self.longest_in_contention)
    }

    /// Zero if no login was unhelpful, the first pause after one such login, then doubling up to
    /// `longest`.
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
