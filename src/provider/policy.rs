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
    /// Nobody waits for a login for more than one second longer, nor for a second one unless the
    /// provider is [reset](crate::CachedProvider::reset) meanwhile. Where it has not ended by then, its
    /// runtime is no longer driven or the login blocks its thread: it is declared lost, what it may
    /// still bring is discarded, and the next request starts another.
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

    pub(super) fn margin_before_expiry(&self) -> Option<Duration> {
        self.margin
    }
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            login_timeout: Duration::from_secs(10),
            margin: None,
        }
    }
}
