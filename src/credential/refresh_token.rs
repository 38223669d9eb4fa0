//! Refresh tokens: for the next login, instead of a password.

use std::time::{Duration, SystemTime};

use super::token::Secret;
use crate::runtime::Moment;

/// A refresh token, and its lifetime if known.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{Credential, RefreshToken};
///
/// let month = Duration::from_secs(30 * 24 * 60 * 60);
/// let credential = Credential::new("abc")?
///     .with_refresh_token(RefreshToken::new("dff78899").with_lifetime(month));
/// # let _ = credential;
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
#[derive(Clone, Debug)]
pub struct RefreshToken {
    secret: Secret,
    lifetime: Option<Duration>,
    expires_at: Option<SystemTime>,
    /// The expiry by both clocks, once the login's start is known.
    until: Option<Moment>,
}

impl RefreshToken {
    /// A refresh token without an expiry.
    pub fn new(secret: impl Into<Secret>) -> Self {
        Self {
            secret: secret.into(),
            lifetime: None,
            expires_at: None,
            until: None,
        }
    }

    /// Sets the refresh token's lifetime, counted from the start of the login. No login gets an
    /// expired one.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self {
            lifetime: Some(lifetime),
            until: None,
            ..self
        }
    }

    /// Sets the refresh token's expiry by the wall clock. If the lifetime is known too, the lifetime
    /// counts.
    #[must_use]
    pub fn with_expires_at(self, expires_at: SystemTime) -> Self {
        Self {
            expires_at: Some(expires_at),
            until: None,
            ..self
        }
    }

    /// The string itself, for the one place that sends or stores it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// The refresh token's lifetime, if known.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// The refresh token's expiry by the wall clock, if known.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Computes the expiry from the login's start. An expiry that is already known stays.
    pub(crate) fn counted_from(mut self, sent: Moment) -> Self {
        let lifetime = self.lifetime.or_else(|| {
            let left = self.expires_at?.duration_since(sent.wall);
            Some(left.unwrap_or_default())
        });
        let end = |lifetime| {
            Some(Moment {
                monotonic: sent.monotonic.checked_add(lifetime)?,
                wall: sent.wall.checked_add(lifetime)?,
            })
        };
        self.until = self.until.or_else(|| lifetime.and_then(end));
        self
    }

    /// The expiry by the wall clock, for a login that began at `sent`.
    #[cfg(feature = "store")]
    pub(crate) fn wall_expiry(&self, sent: SystemTime) -> Option<SystemTime> {
        match (self.until, self.lifetime) {
            (Some(until), _) => Some(until.wall),
            (None, Some(lifetime)) => sent.checked_add(lifetime),
            (None, None) => self.expires_at,
        }
    }

    /// The same refresh token, for a reader who counts its lifetime from so much later.
    #[cfg(feature = "store")]
    pub(crate) fn later_by(mut self, used: Duration) -> Self {
        self.lifetime = self.lifetime.map(|lifetime| lifetime.saturating_sub(used));
        self
    }

    /// Whether the refresh token is expired by either clock.
    pub(crate) fn is_expired(&self, now: Moment) -> bool {
        self.until
            .is_some_and(|until| now.monotonic >= until.monotonic || now.wall >= until.wall)
    }
}

impl From<Secret> for RefreshToken {
    fn from(secret: Secret) -> Self {
        Self::new(secret)
    }
}

impl From<String> for RefreshToken {
    fn from(secret: String) -> Self {
        Self::new(secret)
    }
}

impl From<&str> for RefreshToken {
    fn from(secret: &str) -> Self {
        Self::new(secret)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn now() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + 1_000 * MINUTE,
        }
    }

    #[test]
    fn a_refresh_token_is_expired_if_either_clock_says_so() {
        let now = now();
        let later = |monotonic, wall| Moment {
            monotonic: now.monotonic + monotonic,
            wall: now.wall + wall,
        };
        let short = MINUTE - Duration::from_nanos(1);
        for token in [
            RefreshToken::new("a").with_lifetime(MINUTE),
            RefreshToken::new("a").with_expires_at(now.wall + MINUTE),
            // The lifetime counts.
            RefreshToken::new("a")
                .with_expires_at(now.wall)
                .with_lifetime(MINUTE),
        ] {
            assert!(
                !token.is_expired(later(2 * MINUTE, 2 * MINUTE)),
                "the login's start is not known yet"
            );
            let token = token.counted_from(now);
            assert!(!token.is_expired(later(short, short)));
            assert!(token.is_expired(later(MINUTE, short)));
            assert!(token.is_expired(later(short, MINUTE)));
        }
        let past = RefreshToken::new("a").with_expires_at(now.wall - MINUTE);
        assert!(past.counted_from(now).is_expired(now));
        let endless = RefreshToken::new("a").with_lifetime(Duration::MAX);
        assert!(!endless.counted_from(now).is_expired(later(MINUTE, MINUTE)));
    }

    // A login that keeps the old refresh token does not prolong its lifetime.
    #[test]
    fn the_lifetime_counts_from_the_first_login() {
        let now = now();
        let later = Moment {
            monotonic: now.monotonic + MINUTE,
            wall: now.wall + MINUTE,
        };
        let token = RefreshToken::new("a")
            .with_lifetime(MINUTE)
            .counted_from(now);
        assert!(token.clone().counted_from(later).is_expired(later));
        assert!(
            !token
                .with_lifetime(MINUTE)
                .counted_from(later)
                .is_expired(later)
        );
    }
}
