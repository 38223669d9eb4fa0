//! The rules for rejections: which of them cause a login, and when.
//!
//! A rejection may mean that the token is dead, and then a login helps. It may mean that the endpoint is
//! forbidden for this account, so that no login helps. Another client may use the account, so that each
//! login revokes the other's token. Or the API is broken. All these responses look the same. They differ
//! in what the same target answers after the next login, so the rules keep a state for each rejected
//! target.
//!
//! # The states of a target
//!
//! [`target`] draws them. `n` counts the logins in a row that did not help this target.
//!
//! | state | meaning | earliest next login for it |
//! | --- | --- | --- |
//! | unknown | not rejected in the last ten minutes | at once; see "Unknown targets" below |
//! | `Helped` | accepted after a login | at once |
//! | `Waiting(0)` | rejected, but under one generation only | at once |
//! | `Waiting(n)` | rejected again after n logins in a row | 1, 2, 4 s … 5 min after the last login; times the number of targets with n > 0, up to 5 min |
//! | `Mixed(n)` | accepted and rejected under one generation | as `Waiting(n)`; at once after more than twice its longest time without an acceptance, + 3 s |
//!
//! Three more rules:
//!
//! - Unknown targets: they have a pause in common if at least the last two logins for unknown targets did
//!   not help. It ends 1, 2, 4 s … 5 min after the last login. A target that is rejected again in it may
//!   cause a login 1 s after its first rejection.
//! - Contention: all targets have a pause in common if at least the last three logins helped for less than
//!   3 s each. It ends 1, 2, 4 s … 1 min after the last login. A longer pause from the table wins.
//! - Outage: for the first ten minutes in which nothing is accepted anywhere, 30 s replace the 5 min.
//!
//! Of more than 64 targets, the one rejected least recently is forgotten.
//!
//! # Who moves them
//!
//! | event | caller | effect |
//! | --- | --- | --- |
//! | [`Rejections::logged_in`] | `Cache::publish`, for each new generation | starts a generation; no target changes |
//! | [`Rejections::rejected`] | `Cache::reject`, for each rejection of a known generation | may move the target to `Waiting`; returns a [`Decision`] |
//! | [`Rejections::accepted`] | `Cache::accept`, for [awaited](Rejections::awaited_targets) targets | may move the target to `Helped` or `Mixed` |
//!
//! A failed login is not reported, since it proves nothing about a token. The cache puts the rejected
//! generation back in use, and keeps it during the back-off.
//!
//! A report about an older generation is late, as is one about a generation whose replacement is under
//! way. It is harmless: the cache ignores the decision about it.
//!
//! # Locks
//!
//! This file reads no clock, takes no lock and calls no user code: events and times are arguments. The
//! cache calls it under its lock.

mod target;

use std::{
    mem,
    time::{Duration, Instant},
};

use self::target::{State, Target};
use crate::{
    credential::Generation,
    provider::{policy::Pauses, receipt::Reason, snapshot::HeldBack},
};

/// A generation that is rejected sooner was revoked quickly.
const QUICK: Duration = Duration::from_secs(3);

/// The number of quick revocations in a row that raise the suspicion of another client.
const CONTENTION: u32 = 3;

/// The longest outage, in multiples of its longest pause.
const OUTAGE: u32 = 20;

const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);
const MAX_TARGETS: usize = 64;

/// The longest row of logins without a pause: one for want of a credential, and two for unknown targets.
const WITHOUT_PAUSE: u32 = 3;

/// More doublings than any two pauses need, unless the first is zero.
const MAX_DOUBLINGS: u32 = 40;

/// What the cache does with a rejected generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Takes it out of use, and logs in.
    LogIn,
    /// Keeps it in use. The caller gets the rejection.
    Keep { reason: Reason, next_login: Instant },
}

#[derive(Debug)]
pub(super) struct Rejections {
    pauses: Pauses,
    current: Option<Current>,
    targets: Vec<Target>,
    /// The time of the last reported acceptance.
    accepted_at: Option<Instant>,
    streaks: Streaks,
    /// `Some` while a login is due, so that reports about the current generation are late. True if an
    /// unknown target caused that login.
    due_for_new: Option<bool>,
}

/// What counts logins of all targets in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Streaks {
    /// Generations in a row that helped a target and were revoked quickly.
    quick_revocations: u32,
    /// Logins for unknown targets that did not help, in a row.
    unhelpful_for_new: u32,
    unhelpful_for_new_since: Option<Instant>,
}

/// The generation of the last login.
#[derive(Clone, Copy, Debug)]
struct Current {
    generation: Generation,
    logged_in_at: Instant,
    /// The streaks at its start.
    streaks: Streaks,
    is_accepted: bool,
    /// Whether it was made for an unknown target, and it is not known yet whether it helped.
    is_for_new: bool,
    has_helped: bool,
    /// Whether it has helped a target, and was then rejected by a target that a login may help.
    has_ended: bool,
    held_back: Option<HeldBack>,
}

impl Rejections {
    pub(super) fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            current: None,
            targets: Vec::new(),
            accepted_at: None,
            streaks: Streaks::default(),
            due_for_new: None,
        }
    }

    pub(super) fn logged_in(&mut self, generation: Generation, at: Instant) {
        self.current = Some(Current {
            generation,
            logged_in_at: at,
            streaks: self.streaks,
            is_accepted: false,
            is_for_new: self.due_for_new.take() == Some(true),
            has_helped: false,
            has_ended: false,
            held_back: None,
        });
    }

    /// Another process of the fleet has replaced the current generation, and so revoked it: its end says nothing
    /// about other clients, nor whether its login helped.
    pub(super) fn replaced_by_fleet(&mut self) {
        if let Some(current) = &self.current {
            self.streaks = current.streaks;
        }
    }

    pub(super) fn accepted(&mut self, target: u32, generation: Generation, now: Instant) {
        self.forget_old(now);
        let Some(current) = self
            .current
            .as_mut()
            .filter(|it| it.generation == generation)
        else {
            return;
        };
        current.is_accepted = true;
        self.accepted_at = Some(now);
        if let Some(known) = self.targets.iter_mut().find(|it| it.fingerprint == target) {
            let is_helped = known.accepted(generation, current.logged_in_at, now);
            current.has_helped |= is_helped && !known.is_late;
        }
    }

    pub(super) fn rejected(
        &mut self,
        target: u32,
        generation: Generation,
        now: Instant,
    ) -> Decision {
        self.forget_old(now);
        let position = self.targets.iter().position(|it| it.fingerprint == target);
        let is_new = position.is_none();
        let index = position.unwrap_or_else(|| self.remember(Target::new(target, generation, now)));
        self.targets[index].rejected(generation, now);
        let Some(mut current) = self.current.filter(|it| it.generation == generation) else {
            return Decision::LogIn;
        };
        self.assess_login(index, &mut current, now);
        let (reason, next_login) = self.next_login(index, is_new, &current, now);
        let decision = if next_login <= now {
            self.due_for_new.get_or_insert(is_new);
            Decision::LogIn
        } else {
            if is_new {
                self.targets[index].not_before = now + self.pauses.first;
            }
            current.hold_back(next_login, now);
            Decision::Keep { reason, next_login }
        };
        self.current = Some(current);
        decision
    }

    /// Counts whether the last login helped, as a rejection of its generation shows.
    fn assess_login(&mut self, index: usize, current: &mut Current, now: Instant) {
        let known = &mut self.targets[index];
        known.is_late &= self.due_for_new.is_some();
        let is_quick = now.saturating_duration_since(current.logged_in_at) < QUICK;
        // A target that no login helps does not show that a token was revoked.
        if known.unhelpful_logins == 0 {
            if current.has_helped && !mem::replace(&mut current.has_ended, true) {
                self.streaks.quick_revocations = if is_quick {
                    self.streaks.quick_revocations + 1
                } else {
                    0
                };
            }
            if mem::take(&mut current.is_for_new) {
                let has_helped = current.is_accepted && !is_quick;
                self.streaks.unhelpful_for_new = if has_helped {
                    0
                } else {
                    self.streaks.unhelpful_for_new + 1
                };
                let since = self.streaks.unhelpful_for_new_since.unwrap_or(now);
                self.streaks.unhelpful_for_new_since = (!has_helped).then_some(since);
            }
        }
        known.rejected_current(current.generation);
    }

    fn next_login(
        &self,
        index: usize,
        is_new: bool,
        current: &Current,
        now: Instant,
    ) -> (Reason, Instant) {
        let known = &self.targets[index];
        let after_login = |pause| current.logged_in_at + pause;
        let (reason, next_login) = if is_new {
            let longest =
                self.longest_pause(self.streaks.unhelpful_for_new_since.unwrap_or(now), current);
            let pause = self
                .pauses
                .after(self.streaks.unhelpful_for_new.saturating_sub(1), longest);
            (Reason::LoginsDidNotHelp, after_login(pause))
        } else if known.has_long_gap(now) {
            (Reason::LoginDidNotHelp, now)
        } else {
            let longest = self.longest_pause(known.rejected_since, current);
            let unhelpful_logins = self
                .targets
                .iter()
                .filter(|it| it.unhelpful_logins > 0)
                .count() as u32;
            let pause = (self.pauses.after(known.unhelpful_logins, longest) * unhelpful_logins)
                .min(longest);
            (
                Reason::LoginDidNotHelp,
                after_login(pause).max(known.not_before),
            )
        };
        let quick_revocations = (self.streaks.quick_revocations + 1).saturating_sub(CONTENTION);
        let pause = self
            .pauses
            .after(quick_revocations, self.pauses.longest_in_contention);
        if next_login >= after_login(pause) {
            (reason, next_login)
        } else {
            (Reason::RevokedQuickly, after_login(pause))
        }
    }

    /// The longest pause for rejections that began at `since`.
    fn longest_pause(&self, since: Instant, current: &Current) -> Duration {
        let in_outage = self.pauses.longest_in_outage;
        let is_accepted = self.accepted_at.is_some_and(|at| at >= since);
        // Measured up to the login and not up to now, so that a pause does not change while it lasts.
        let lasts = current.logged_in_at.saturating_duration_since(since);
        if is_accepted || lasts >= in_outage * OUTAGE {
            self.pauses.longest
        } else {
            in_outage
        }
    }

    /// Whether the current generation has been accepted, by any target.
    pub(super) fn is_accepted(&self) -> bool {
        self.current.is_some_and(|it| it.is_accepted)
    }

    /// The targets whose acceptances matter. `None` means all of them: until the current generation is
    /// accepted for the first time.
    pub(super) fn awaited_targets(&self) -> Option<impl Iterator<Item = u32>> {
        let is_awaited = self.current.is_some_and(|it| !it.is_accepted);
        let not_helped = self.targets.iter().filter(|it| it.state != State::Helped);
        (!is_awaited).then(|| not_helped.map(|it| it.fingerprint))
    }

    /// The current pause, in which rejections of the current generation cause no login.
    pub(super) fn held_back(&self, now: Instant) -> Option<HeldBack> {
        self.current?.held_back.filter(|it| now < it.next_login)
    }

    /// Whether more logins could follow if these rules were forgotten.
    pub(super) fn restrain_logins(&self, now: Instant) -> bool {
        let is_rejected =
            |it: &Target| now.saturating_duration_since(it.last_rejected) < REMEMBERED_FOR;
        let has_recent_login = self
            .current
            .is_some_and(|it| now.saturating_duration_since(it.logged_in_at) < self.time_ahead());
        let is_counting = self.streaks.unhelpful_for_new > 0 || self.streaks.quick_revocations > 0;
        self.targets.iter().any(is_rejected) || (is_counting && has_recent_login)
    }

    /// How far ahead the logins come at most if their pauses begin again, instead of lasting for the
    /// longest pause each. [`eviction`](super::eviction) has the formula.
    fn time_ahead(&self) -> Duration {
        let longest = self.pauses.longest_of_all();
        let is_shorter = |logins: &u32| self.pauses.after(*logins, longest) < longest;
        let shorter = (1..=MAX_DOUBLINGS).take_while(is_shorter).count() as u32;
        longest.saturating_mul(WITHOUT_PAUSE + shorter)
    }

    /// Whether tokens were revoked within seconds of each login. A generation that lasts for the longest
    /// pause ends the suspicion.
    pub(super) fn is_contention_suspected(&self, now: Instant) -> bool {
        let has_lasted = |it: Current| {
            !it.has_ended && now.saturating_duration_since(it.logged_in_at) >= self.pauses.longest
        };
        self.streaks.quick_revocations >= CONTENTION && !self.current.is_some_and(has_lasted)
    }

    fn remember(&mut self, new: Target) -> usize {
        if self.targets.len() == MAX_TARGETS {
            let oldest = self
                .targets
                .iter()
                .enumerate()
                .min_by_key(|(_, it)| it.last_rejected);
            let oldest = oldest.map_or(0, |(index, _)| index);
            self.targets.swap_remove(oldest);
        }
        self.targets.push(new);
        self.targets.len() - 1
    }

    fn forget_old(&mut self, now: Instant) {
        self.targets
            .retain(|it| now.saturating_duration_since(it.last_rejected) < REMEMBERED_FOR);
    }
}

impl Current {
    /// Counts a rejection in the current pause, or starts a pause with it.
    fn hold_back(&mut self, next_login: Instant, now: Instant) {
        let lasting = self.held_back.filter(|it| now < it.next_login);
        self.held_back = Some(HeldBack {
            rejections: lasting.map_or(0, |it| it.rejections) + 1,
            since: lasting.map_or(now, |it| it.since),
            next_login: lasting.map_or(next_login, |it| it.next_login.min(next_login)),
        });
    }
}

#[cfg(test)]
mod tests;
