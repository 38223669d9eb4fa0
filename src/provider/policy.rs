//! The settings of a [`CachedProvider`](super::CachedProvider).

use std::time::Duration;

/// How a [`CachedProvider`](crate::CachedProvider) treats logins and lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    login_timeout: Duration,
    margin: Option<Duration>,
}

impl CachePolicy {
    /// Limits the time of a login. Defaults to 10 s.
    ///
    /// A waiting request waits for at most one second longer: then the login's runtime is gone or
    /// no longer driven, and the login is declared lost.
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
        self.login_timeout
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
