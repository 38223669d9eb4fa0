//! The provider's events, checked against the model.

use std::{
    mem,
    time::{Duration, Instant},
};

use tower_bearer::{Clock, CredentialEvent, Error, Generation, Retirement, Session};

use super::{CHANCE, Model, Moment, Published};
use crate::script::Outcome;

impl Model {
    pub(crate) fn observe(&mut self, event: &CredentialEvent) {
        match event {
            CredentialEvent::LoggedIn { generation, .. } => self.logged_in(*generation),
            CredentialEvent::LoginFailed { error, .. } => self.login_failed(error),
            CredentialEvent::LoginDiscarded { error, .. } => self.login_discarded(error.as_ref()),
            CredentialEvent::CredentialSet { generation, .. } => self.credential_set(*generation),
            CredentialEvent::SignedOut => self.signed_out(),
            CredentialEvent::Rejected {
                generation,
                is_kept,
                ..
            } => self.rejected(*generation, *is_kept),
            CredentialEvent::RefreshFailed { .. } => {
                self.violated("a refresh failed, though no login here reports that")
            }
            _ => (),
        }
    }

    fn logged_in(&mut self, generation: Generation) {
        let Some(flight) = self.flight.take().filter(|flight| !flight.is_stale) else {
            return self.violated("published a credential from before a command, or of no login");
        };
        let Some(brought) = self.brought.take() else {
            return self.violated("published a credential of no login");
        };
        let unspent = self.keeps_newer(brought.refresh_token, flight.untaken);
        self.retires_refresh_token(unspent, Retirement::Replaced);
        (self.failures, self.permanent, self.next_attempt) = (0, 0, None);
        self.last_outcome = None;
        let (sent, answered) = (brought.sent, brought.answered.0);
        let shortest = Duration::from_secs(1);
        let is_for_rejection = brought.is_for_rejection;
        self.publish(
            brought.token,
            generation,
            self.lifetime(),
            (sent, answered),
            is_for_rejection,
            shortest,
        );
    }

    pub(super) fn publish(
        &mut self,
        token: usize,
        generation: Generation,
        lifetime: Option<Duration>,
        (sent, answered): (Moment, Instant),
        is_for_rejection: bool,
        shortest: Duration,
    ) {
        // The margin is a tenth of the lifetime, and ten seconds at most.
        let used_for = |lifetime: Duration| lifetime - (lifetime / 10).min(Duration::from_secs(10));
        let used_for = lifetime.map(used_for);
        let answered_wall = self.clock.wall();
        let after = |by: Duration| {
            (
                (sent.0 + by).max(answered + shortest),
                (sent.1 + by).max(answered_wall + shortest),
            )
        };
        if !self.published.is_empty() {
            self.lets_go(Retirement::Replaced);
        }
        if token != 0 {
            self.was_stored(token);
        }
        let ages = used_for.filter(|_| self.case.session == Session::Concurrent);
        self.published.push(Published {
            token,
            generation,
            user: self.users.current,
            logged_in_at: answered,
            ends: used_for.map(after),
            expires: lifetime.map(after),
            is_doubtful: false,
            // At 70 to 90 % of the time in use.
            ages: ages.map(|used_for| {
                (sent.0 + used_for.mul_f64(0.7 + 0.2 * CHANCE)).max(answered + shortest)
            }),
            usable_in: 0,
            is_for_rejection,
            was_accepted: false,
            was_rejected: false,
        });
        self.in_use = Some(self.published.len() - 1);
        self.note_what_is_usable();
    }

    fn login_failed(&mut self, error: &Error) {
        let flight = self.flight.take();
        if error.is_login_lost()
            && let Some(flight) = &flight
        {
            // After a jump of the wall clock, a background login is lost before its future is dropped.
            self.lost.insert(flight.number);
        }
        let Some(flight) = flight.filter(|flight| !flight.is_stale) else {
            return self.violated("reported a failure from before a command, or of no login");
        };
        self.refresh_token = flight.untaken;
        self.left(error.is_login_lost());
        self.brought = None;
        self.last_failure = Some(self.step);
        self.was_lost = error.is_login_lost();
        let outcome = self.last_outcome.take();
        if error.is_login_lost() {
            // The next request starts another login.
            self.next_attempt = None;
        } else {
            // From a second to a minute, doubled each time, half of it random. For permanent
            // failures, from a quarter of an hour to an hour.
            let doubled = |first: u64, times: u32, longest: u64| {
                Duration::from_secs((first << times.min(12)).min(longest))
            };
            let pause = match outcome {
                Some(Outcome::Permanent) => doubled(900, self.permanent, 3600),
                _ => doubled(1, self.failures, 60).mul_f64(CHANCE),
            };
            let asked_for = match outcome {
                Some(Outcome::RetryAfter(seconds)) => Duration::from_secs(seconds.min(300)),
                _ => Duration::ZERO,
            };
            self.failures += 1;
            self.permanent = match outcome {
                Some(Outcome::Permanent) => self.permanent + 1,
                _ => 0,
            };
            let (now, wall) = self.moment();
            let pause = pause.max(asked_for);
            self.next_attempt = Some((now + pause, wall + pause));
        }
        if error.next_attempt() != self.next_attempt.map(|(at, _)| at) {
            self.violated("the next attempt is not at the documented time");
        }
        // There is no newer one.
        if let Some((rejected, _)) = self.rejected.take() {
            self.in_use = Some(rejected);
            self.note_what_is_usable();
        }
    }

    fn login_discarded(&mut self, error: Option<&Error>) {
        let Some(flight) = self.flight.take().filter(|flight| flight.is_stale) else {
            return self.violated("discarded a login without a command");
        };
        if error.is_some_and(Error::is_login_lost) {
            self.lost.insert(flight.number);
        }
        self.discards.push(self.step);
        self.last_outcome = None;
        let brought = self.brought.take();
        if brought.is_some() == error.is_some() {
            self.violated("the discarded login is reported with another outcome");
        }
        let why = match flight.is_signed_out {
            true => Retirement::SignedOut,
            false => Retirement::Replaced,
        };
        let newer = self.refresh_token.take();
        let mut brings = None;
        if let Some(brought) = brought {
            self.retires(brought.token, why);
            brings = brought.refresh_token;
        }
        let unspent = self.keeps_newer(brings, flight.untaken);
        // What it leaves is kept, unless the user has signed out or handed in a newer one.
        if flight.is_signed_out || newer.is_some() {
            let left = mem::replace(&mut self.refresh_token, newer);
            self.retires_refresh_token(left, why);
        } else {
            self.left(error.is_some_and(Error::is_login_lost));
        }
        self.retires_refresh_token(unspent, why);
    }

    /// Holds what a login brings, or else what it has not taken. Returns what is left over.
    fn keeps_newer(&mut self, brings: Option<String>, untaken: Option<String>) -> Option<String> {
        let left_over = brings.is_some().then(|| untaken.clone()).flatten();
        self.refresh_token = brings.or(untaken);
        left_over
    }

    fn rejected(&mut self, generation: Generation, is_kept: bool) {
        let now = self.now();
        let Some(at) = self.in_use else {
            return self.violated("a rejection without a credential");
        };
        if self.published[at].generation != generation {
            return self.violated("a late rejection has an effect");
        }
        self.last_rejected = Some(self.published[at].token);
        self.published[at].is_doubtful = true;
        // A rejection is forgotten after ten minutes.
        let before = self.rejected_at.replace(now);
        if before.is_none_or(|before| now - before >= Duration::from_secs(600)) {
            self.logins_without_effect = 0;
        }
        let is_cheap = self.flight.is_some() || self.usable().is_none();
        if !is_cheap && !self.published[at].was_rejected {
            let it = &mut self.published[at];
            it.was_rejected = true;
            let had_no_effect = it.is_for_rejection && !it.was_accepted;
            self.logins_without_effect = if had_no_effect {
                self.logins_without_effect + 1
            } else {
                0
            };
        }
        let is_pausing = self.is_pausing();
        let age = now - self.published[at].logged_in_at;
        if is_kept {
            // However many logins did not help, the pause is five minutes at most. One second is
            // added for rounding.
            if !is_pausing && age > Duration::from_secs(301) {
                self.violated(format!("I4: no login for {age:?}, and a rejection is kept"));
            }
            if !is_pausing && !self.rejected_since_reset {
                self.violated("the first rejection has no effect");
            }
            if is_cheap && !is_pausing {
                self.violated(
                    "a rejected credential stays in use, though it is expired or being replaced",
                );
            }
        } else {
            if is_pausing {
                self.violated("taken out of use during a pause");
            }
            // Consecutive generations without an acceptance: the first two logins are not held
            // back.
            if !is_cheap && self.logins_without_effect > 2 && age < Duration::from_secs(1) {
                self.violated(format!(
                    "I4: {} logins in a row did not help, and another after {age:?}",
                    self.logins_without_effect
                ));
            }
            self.in_use = None;
            self.rejected = Some((at, is_cheap));
        }
        self.rejected_since_reset = true;
        self.counts.rejections += 1;
    }
}
