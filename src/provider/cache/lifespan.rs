//! When a credential ages and expires: pure functions of moments.

use std::time::{Duration, Instant, SystemTime};

use crate::{credential::Credential, login::Session, runtime::Moment};

/// The default margin before the expiry is the smaller of this and a tenth of the lifetime.
const MARGIN: Duration = Duration::from_secs(10);

/// The part of a credential's use after which a concurrent session refreshes in the background. It is
/// random, so that processes that start together do not log in together.
const REFRESH_AHEAD: std::ops::Range<f64> = 0.7..0.9;

/// The shortest use of a login's credential. It bounds the logins that a lifetime of zero, or one
/// shorter than the login itself, can cause.
const SHORTEST: Duration = Duration::from_secs(1);

/// The source of a credential.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// A login of this cache.
    Login { sent: Moment, answered: Moment },
    /// The user, who handed in an existing credential.
    Caller(Moment),
}

/// The times at which a credential starts to age and is no longer used.
#[derive(Clone, Debug)]
pub(super) struct Lifespan {
    aging_from: Option<Instant>,
    /// `None` without an expiry, or if the clock cannot represent it.
    until: Option<Instant>,
    wall_until: Option<SystemTime>,
    /// How long a new credential of this login is used; `None` if unknown or unlimited.
    longest: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    Aging,
    Expired,
}

impl Lifespan {
    const ENDLESS: Self = Self {
        aging_from: None,
        until: None,
        wall_until: None,
        longest: None,
    };

    /// `jitter` is a random number from 0 to 1.
    pub(super) fn new(
        credential: &Credential,
        source: Source,
        session: Session,
        margin: Option<Duration>,
        jitter: f64,
    ) -> Self {
        let (sent, answered, shortest) = match source {
            Source::Login { sent, answered } => (sent, answered, SHORTEST),
            Source::Caller(now) => (now, now, Duration::ZERO),
        };
        let lifetime = credential.lifetime().or_else(|| {
            let left = credential.expires_at()?.duration_since(sent.wall);
            match source {
                // No server issues a token that is about to expire: its clock must be behind ours.
                Source::Login { .. } => left.ok().filter(|left| *left >= MARGIN),
                Source::Caller(_) => Some(left.unwrap_or_default()),
            }
        });
        let Some(lifetime) = lifetime else {
            return Self::ENDLESS;
        };
        let margin = match margin {
            // At most half: a margin as long as the lifetime would cause a login for each request.
            Some(margin) => margin.min(lifetime / 2),
            None => MARGIN.min(lifetime / 10),
        };
        let used_for = lifetime.saturating_sub(margin);
        let earliest = answered.monotonic + shortest;
        let until = sent.monotonic.checked_add(used_for);
        let until = until.map(|until| until.max(earliest));
        let wall_until = sent.wall.checked_add(used_for);
        let share = REFRESH_AHEAD.start + jitter * (REFRESH_AHEAD.end - REFRESH_AHEAD.start);
        let aging_from = match session {
            Session::Exclusive => None,
            Session::Concurrent => sent
                .monotonic
                .checked_add(used_for.mul_f64(share))
                .map(|from| from.max(earliest)),
        };
        let longest = match source {
            Source::Login { .. } => {
                until.map(|until| until.saturating_duration_since(answered.monotonic))
            }
            Source::Caller(_) => None,
        };
        Self {
            aging_from,
            until,
            wall_until: wall_until.map(|until| until.max(answered.wall + shortest)),
            longest,
        }
    }

    /// Calls `now` only if there is an expiry to compare it with.
    pub(super) fn freshness(&self, now: impl FnOnce() -> Moment) -> Freshness {
        if self.is_endless() {
            return Freshness::Fresh;
        }
        let now = now();
        if self.is_over(now, Duration::ZERO) {
            Freshness::Expired
        } else if self.aging_from.is_some_and(|from| now.monotonic >= from) {
            Freshness::Aging
        } else {
            Freshness::Fresh
        }
    }

    /// Whether it has no expiry.
    pub(super) fn is_endless(&self) -> bool {
        (self.until, self.wall_until) == (None, None)
    }

    /// How much longer it stays fresh, by the clock that says less. `None` if it is not fresh or has no
    /// expiry.
    pub(super) fn fresh_for(&self, now: Moment) -> Option<Duration> {
        if self.freshness(|| now) != Freshness::Fresh {
            return None;
        }
        let until_aging = self
            .aging_from
            .map(|from| from.saturating_duration_since(now.monotonic));
        [until_aging, self.left(now)].into_iter().flatten().min()
    }

    /// Whether it is still used after `needed`.
    pub(super) fn outlasts(&self, now: Moment, needed: Duration) -> bool {
        !self.is_over(now, needed)
    }

    /// How much longer it is used, by the clock that says less. `None` without an expiry.
    pub(super) fn left(&self, now: Moment) -> Option<Duration> {
        let by_monotonic = self
            .until
            .map(|until| until.saturating_duration_since(now.monotonic));
        let by_wall = self
            .wall_until
            .map(|until| until.duration_since(now.wall).unwrap_or_default());
        [by_monotonic, by_wall].into_iter().flatten().min()
    }

    /// Whether a new credential may last for `needed`. If not, another login cannot help.
    pub(super) fn could_outlast(&self, needed: Duration) -> bool {
        self.longest.is_none_or(|longest| needed < longest)
    }

    /// Whether it is expired `later` than now, by either clock.
    fn is_over(&self, now: Moment, later: Duration) -> bool {
        let by_monotonic = self.until.is_some_and(|until| {
            now.monotonic
                .checked_add(later)
                .is_none_or(|then| then >= until)
        });
        let by_wall = self
            .wall_until
            .is_some_and(|until| now.wall.checked_add(later).is_none_or(|then| then >= until));
        by_monotonic || by_wall
    }
}

#[cfg(test)]
mod tests;
