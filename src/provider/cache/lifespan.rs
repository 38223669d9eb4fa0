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

/// The times at which a credential starts to age, is no longer used, and ends.
#[derive(Clone, Debug)]
pub(super) struct Lifespan {
    aging_from: Option<Instant>,
    /// The end of its use: a margin before `end`.
    until: Limit,
    /// The end of its lifetime. Used only while no login succeeds.
    end: Limit,
    /// How long a new credential of this login is used; `None` if unknown or unlimited.
    longest: Option<Duration>,
}

/// A point in time by both clocks. `None` without an expiry, or if the clock cannot represent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    monotonic: Option<Instant>,
    wall: Option<SystemTime>,
}

impl Limit {
    const NEVER: Self = Self {
        monotonic: None,
        wall: None,
    };

    /// This long after `start`, and not before `earliest`.
    fn after(start: Moment, by: Duration, earliest: Moment) -> Self {
        let monotonic = start.monotonic.checked_add(by);
        let wall = start.wall.checked_add(by);
        Self {
            monotonic: monotonic.map(|at| at.max(earliest.monotonic)),
            wall: wall.map(|at| at.max(earliest.wall)),
        }
    }

    /// The time until it, by the clock that says less.
    fn left(self, now: Moment) -> Option<Duration> {
        let by_monotonic = self
            .monotonic
            .map(|at| at.saturating_duration_since(now.monotonic));
        let by_wall = self
            .wall
            .map(|at| at.duration_since(now.wall).unwrap_or_default());
        [by_monotonic, by_wall].into_iter().flatten().min()
    }

    /// Whether it is reached `later` than now, by either clock.
    fn is_reached(self, now: Moment, later: Duration) -> bool {
        let by_monotonic = self.monotonic.is_some_and(|at| {
            now.monotonic
                .checked_add(later)
                .is_none_or(|then| then >= at)
        });
        let by_wall = self
            .wall
            .is_some_and(|at| now.wall.checked_add(later).is_none_or(|then| then >= at));
        by_monotonic || by_wall
    }
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
        until: Limit::NEVER,
        end: Limit::NEVER,
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
        let earliest = Moment {
            monotonic: answered.monotonic + shortest,
            wall: answered.wall + shortest,
        };
        let until = Limit::after(sent, used_for, earliest);
        let share = REFRESH_AHEAD.start + jitter * (REFRESH_AHEAD.end - REFRESH_AHEAD.start);
        let aging_from = match session {
            Session::Exclusive => None,
            Session::Concurrent => sent
                .monotonic
                .checked_add(used_for.mul_f64(share))
                .map(|from| from.max(earliest.monotonic)),
        };
        let longest = match source {
            Source::Login { .. } => until
                .monotonic
                .map(|until| until.saturating_duration_since(answered.monotonic)),
            Source::Caller(_) => None,
        };
        Self {
            aging_from,
            until,
            end: Limit::after(sent, lifetime, earliest),
            longest,
        }
    }

    /// Calls `now` only if there is an expiry to compare it with.
    pub(super) fn freshness(&self, now: impl FnOnce() -> Moment) -> Freshness {
        if self.is_endless() {
            return Freshness::Fresh;
        }
        let now = now();
        if self.until.is_reached(now, Duration::ZERO) {
            Freshness::Expired
        } else if self.aging_from.is_some_and(|from| now.monotonic >= from) {
            Freshness::Aging
        } else {
            Freshness::Fresh
        }
    }

    /// Whether it has no expiry.
    pub(super) fn is_endless(&self) -> bool {
        self.until == Limit::NEVER
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
        !self.until.is_reached(now, needed)
    }

    /// How much longer it is used, by the clock that says less. `None` without an expiry.
    pub(super) fn left(&self, now: Moment) -> Option<Duration> {
        self.until.left(now)
    }

    /// Whether its lifetime has ended. From the end of its use to this, it is within its margin.
    pub(super) fn has_ended(&self, now: Moment) -> bool {
        self.end.is_reached(now, Duration::ZERO)
    }

    /// The rest of its lifetime, by the clock that says less. `None` without an expiry.
    pub(super) fn left_to_end(&self, now: Moment) -> Option<Duration> {
        self.end.left(now)
    }

    /// The end of its lifetime by the wall clock. `None` without an expiry.
    pub(super) fn ends_at(&self) -> Option<SystemTime> {
        self.end.wall
    }

    /// Whether a new credential may last for `needed`. If not, another login cannot help.
    pub(super) fn could_outlast(&self, needed: Duration) -> bool {
        self.longest.is_none_or(|longest| needed < longest)
    }
}

#[cfg(test)]
mod tests;
