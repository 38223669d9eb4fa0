//! A credential as its provider knows it.

use std::time::{Duration, Instant, SystemTime};

use tower_bearer::{Credential, Generation};

pub(crate) struct Published {
    pub(crate) token: String,
    pub(crate) generation: Option<Generation>,
    pub(crate) sent: (Instant, SystemTime),
    pub(crate) answered: (Instant, SystemTime),
    /// The lifetime that the provider knows.
    pub(crate) lifetime: Option<Duration>,
}

impl Published {
    /// `handed_in`: a starting credential of the user.
    pub(crate) fn new(
        credential: &Credential,
        sent: (Instant, SystemTime),
        answered: (Instant, SystemTime),
        handed_in: bool,
    ) -> Self {
        let by_the_wall = || {
            let left = credential.expires_at()?.duration_since(sent.1).ok();
            if handed_in {
                return Some(left.unwrap_or_default());
            }
            // An expiry in the past means that the clocks disagree.
            left.filter(|left| *left >= Duration::from_secs(10))
        };
        Self {
            token: credential.token().expose().to_owned(),
            generation: None,
            sent,
            answered,
            lifetime: credential.lifetime().or_else(by_the_wall),
        }
    }

    /// By either clock. A credential is used for at least one second, however late its answer was.
    pub(crate) fn is_over(&self, now: Instant, wall: Option<SystemTime>) -> bool {
        let Some(lifetime) = self.lifetime else {
            return false;
        };
        let second = Duration::from_secs(1);
        let end = (self.sent.0 + lifetime).max(self.answered.0 + second);
        let wall_end = (self.sent.1 + lifetime).max(self.answered.1 + second);
        now >= end || wall.is_some_and(|wall| wall >= wall_end)
    }

    /// The time in use, with the default margin.
    pub(crate) fn used_for(&self) -> Option<Duration> {
        let lifetime = self.lifetime?;
        Some(lifetime - (lifetime / 10).min(Duration::from_secs(10)))
    }
}
