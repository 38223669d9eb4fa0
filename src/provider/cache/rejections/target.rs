//! The state of one rejected target.
//!
//! ```text
//!              rejected      ┌────────────┐ accepted under a newer generation ┌────────┐
//!   unknown ────────────────►│ Waiting(0) ├──────────────────────────────────►│ Helped │
//!                            │            │◄──────────────────────────────────┤        │
//!                            └─────┬──────┘ rejected                          └───▲────┘
//!   rejected under a newer         │                                              │
//!   generation: n + 1              ▼                                              │
//!                            ┌────────────┐ accepted under a newer generation     │
//!                       ┌───►│ Waiting(n) ├───────────────────────────────────────┘
//!                       │    └─────┬──────┘
//!   rejected under a    │          │ accepted under the generation that rejected it
//!   newer generation:   │          ▼
//!   n + 1               │    ┌────────────┐
//!                       └────┤  Mixed(n)  │ accepted under a newer generation: no change
//!                            └────────────┘
//! ```
//!
//! Each rejection under a newer generation turns `Waiting(n)` into `Waiting(n + 1)`. `Waiting(0)` can
//! become `Mixed(0)` as well. Ten minutes after its last rejection, a target is unknown again.

use std::time::{Duration, Instant};

use super::QUICK;
use crate::credential::Generation;

#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) fingerprint: u32,
    pub(super) state: State,
    /// The *n* of its state: the logins in a row that did not help it.
    pub(super) unhelpful_logins: u32,
    /// The generation of its last rejection.
    generation: Generation,
    pub(super) rejected_since: Instant,
    pub(super) last_rejected: Instant,
    /// The earliest time of a login for it.
    pub(super) not_before: Instant,
    /// Whether all its rejections were late. In an exclusive session, a login causes late rejections of
    /// the requests in flight.
    pub(super) is_late: bool,
    /// The longest time without an acceptance that ended without a login.
    longest_gap: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Helped,
    Mixed { accepted_at: Instant },
}

impl Target {
    pub(super) fn new(fingerprint: u32, generation: Generation, now: Instant) -> Self {
        Self {
            fingerprint,
            state: State::Waiting,
            unhelpful_logins: 0,
            generation,
            rejected_since: now,
            last_rejected: now,
            not_before: now,
            is_late: true,
            longest_gap: Duration::ZERO,
        }
    }

    /// Handles an acceptance under the generation of this login. Returns whether the login helped.
    pub(super) fn accepted(
        &mut self,
        generation: Generation,
        logged_in_at: Instant,
        now: Instant,
    ) -> bool {
        let is_newer = self.generation != generation;
        let last_accepted = match self.state {
            // Waiting => Helped
            State::Waiting if is_newer => {
                self.state = State::Helped;
                self.unhelpful_logins = 0;
                return true;
            }
            // (Waiting | Mixed) => Mixed
            State::Waiting => self.rejected_since.max(logged_in_at),
            State::Mixed { accepted_at } if !is_newer => accepted_at,
            State::Mixed { .. } | State::Helped => return false,
        };
        self.longest_gap = self
            .longest_gap
            .max(now.saturating_duration_since(last_accepted));
        self.state = State::Mixed { accepted_at: now };
        false
    }

    /// Handles a rejection of any generation.
    pub(super) fn rejected(&mut self, generation: Generation, now: Instant) {
        // Helped => Waiting
        if self.state == State::Helped {
            *self = Self::new(self.fingerprint, generation, now);
        }
        self.last_rejected = now;
    }

    /// Handles a rejection of the current generation.
    pub(super) fn rejected_current(&mut self, generation: Generation) {
        // (Waiting | Mixed) => Waiting
        if self.generation != generation {
            self.generation = generation;
            self.unhelpful_logins += 1;
            self.state = State::Waiting;
        }
    }

    /// Whether it is mixed, and has now been rejected for much longer than ever before.
    pub(super) fn has_long_gap(&self, now: Instant) -> bool {
        let State::Mixed { accepted_at } = self.state else {
            return false;
        };
        now.saturating_duration_since(accepted_at) > self.longest_gap * 2 + QUICK
    }
}
