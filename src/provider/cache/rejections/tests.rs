//! Histories of events, written out. Times are in milliseconds since the first login.

use std::{collections::BTreeSet, sync::LazyLock};

use super::{
    Decision::{Keep, LogIn},
    Reason::{LoginDidNotHelp, LoginsDidNotHelp, RevokedQuickly},
    *,
};

const A: u32 = 1;
const B: u32 = 2;
const C: u32 = 3;

/// A target that is never rejected.
const HEALTHY: u32 = 100;

/// The start of [`History::unknown`].
const UNKNOWN: u32 = 1_000;

/// The number of unhelpful logins after which a pause is the longest.
const MANY: u32 = 10;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// The pauses in milliseconds: after no unhelpful login, after one, and so on.
const PAUSES: [u64; 12] = [
    0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000,
];

fn at(millis: u64) -> Instant {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    *BEGINNING + Duration::from_millis(millis)
}

fn keep_until(reason: Reason, next_login: u64) -> Decision {
    let next_login = at(next_login);
    Keep { reason, next_login }
}

struct History {
    rejections: Rejections,
    generation: Generation,
    logged_in_at: u64,
    now: u64,
    unknown: u32,
}

impl History {
    fn new() -> Self {
        let mut history = Self {
            rejections: Rejections::new(Pauses::default()),
            generation: Generation::next(),
            logged_in_at: 0,
            now: 0,
            unknown: UNKNOWN,
        };
        history.log_in();
        history
    }

    /// This many logins were made for `target`. After each of them it was rejected, while another target
    /// was accepted. Nothing has happened since the last login.
    fn unhelpful_logins(target: u32, logins: u32) -> Self {
        let mut history = Self::new();
        for _ in 0..logins {
            history.accept(HEALTHY);
            history.reject(target);
            history.wait(5 * MINUTE);
            history.renew(target);
        }
        history
    }

    /// This many generations helped `A` and were revoked at once. Nothing has happened since the last
    /// login.
    fn with_quick_revocations(revocations: usize) -> Self {
        let mut history = Self::new();
        history.revoke_quickly(revocations);
        history
    }

    /// As [`with_quick_revocations`](Self::with_quick_revocations).
    fn revoke_quickly(&mut self, revocations: usize) {
        self.renew(A);
        for _ in 0..revocations {
            self.accept(A);
            self.reject(A);
            self.wait(MINUTE);
            self.renew(A);
        }
    }

    /// This many logins in a row for unknown targets did not help, although another target was accepted.
    fn with_unhelpful_for_new(logins: usize) -> Self {
        let mut history = Self::new();
        for _ in 0..=logins {
            history.accept(HEALTHY);
            history.reject_unknown();
            history.wait(5 * MINUTE);
            assert_eq!(history.reject_unknown(), LogIn);
            history.log_in();
        }
        history
    }

    fn wait(&mut self, millis: u64) {
        self.now += millis;
    }

    /// Returns the previous generation.
    fn log_in(&mut self) -> Generation {
        self.logged_in_at = self.now;
        let generation = Generation::next();
        self.rejections.logged_in(generation, at(self.now));
        mem::replace(&mut self.generation, generation)
    }

    fn accept(&mut self, target: u32) {
        self.accept_under(self.generation, target);
    }

    fn accept_under(&mut self, generation: Generation, target: u32) {
        self.rejections.accepted(target, generation, at(self.now));
    }

    fn reject(&mut self, target: u32) -> Decision {
        self.reject_under(self.generation, target)
    }

    fn reject_under(&mut self, generation: Generation, target: u32) -> Decision {
        self.rejections.rejected(target, generation, at(self.now))
    }

    fn reject_unknown(&mut self) -> Decision {
        self.unknown += 1;
        self.reject(self.unknown)
    }

    /// A rejection that causes a login. Returns the rejected generation.
    #[track_caller]
    fn renew(&mut self, target: u32) -> Generation {
        assert_eq!(self.reject(target), LogIn);
        self.log_in()
    }

    /// Asserts that rejections cause no login until this long after the last login.
    #[track_caller]
    fn assert_pause(&mut self, target: u32, reason: Reason, pause: u64) {
        self.assert_pause_of(|history| history.reject(target), reason, pause);
    }

    #[track_caller]
    fn assert_pause_of(
        &mut self,
        mut reject: impl FnMut(&mut Self) -> Decision,
        reason: Reason,
        pause: u64,
    ) {
        let end = self.logged_in_at + pause;
        if pause > 0 {
            assert_eq!(reject(self), keep_until(reason, end));
            self.now = end - 1;
            assert_eq!(reject(self), keep_until(reason, end));
        }
        self.now = end;
        assert_eq!(reject(self), LogIn);
    }

    fn awaited_targets(&self) -> Option<BTreeSet<u32>> {
        self.rejections.awaited_targets().map(Iterator::collect)
    }

    #[track_caller]
    fn assert_awaited<const N: usize>(&self, targets: [u32; N]) {
        assert_eq!(self.awaited_targets(), Some(targets.into()));
    }

    fn is_contention_suspected(&self) -> bool {
        self.rejections.is_contention_suspected(at(self.now))
    }

    /// Count, start and end of the current pause.
    fn held_back(&self) -> Option<(u64, Instant, Instant)> {
        let it = self.rejections.held_back(at(self.now))?;
        Some((it.rejections, it.since, it.next_login))
    }
}

// The pauses.

#[test]
fn a_pause_doubles_with_each_unhelpful_login_up_to_the_longest() {
    let pauses = Pauses::default();
    for (logins, pause) in (0..).zip(PAUSES) {
        let longest = Duration::from_secs(300);
        assert_eq!(
            pauses.after(logins, longest),
            Duration::from_millis(pause),
            "{logins}"
        );
    }
    let longest = Duration::from_secs(3);
    assert_eq!(pauses.after(3, longest), longest);
    assert_eq!(pauses.after(u32::MAX, longest), longest);
}

#[test]
fn a_pause_does_not_overflow() {
    let first = Duration::from_secs(2);
    let pauses = Pauses {
        first,
        ..Pauses::default()
    };
    let longest = Duration::MAX;
    assert_eq!(pauses.after(32, longest), first * (1 << 31));
    assert_eq!(pauses.after(33, longest), first * u32::MAX);
}

// One target: each arrow of the diagram in `target`.

#[test]
fn an_unknown_target_causes_a_login_at_once() {
    let mut history = History::new();
    assert_eq!(history.reject(A), LogIn);
}

#[test]
fn a_helped_target_causes_a_login_at_once() {
    let mut history = History::new();
    history.renew(A);
    history.accept(A);
    assert_eq!(history.reject(A), LogIn);
}

#[test]
fn a_helped_target_causes_a_login_at_once_under_a_later_generation_too() {
    let mut history = History::new();
    history.renew(A);
    history.accept(A);
    history.log_in();
    history.renew(A);
    history.assert_pause(A, LoginDidNotHelp, SECOND);
}

#[test]
fn a_target_that_a_login_helps_after_all_causes_a_login_at_once() {
    let mut history = History::unhelpful_logins(A, MANY);
    history.accept(A);
    history.wait(5 * SECOND);
    history.renew(A);
    history.assert_pause(A, LoginDidNotHelp, SECOND);
}

#[test]
fn a_helped_target_that_is_rejected_again_is_awaited_after_the_next_login() {
    let mut history = History::new();
    history.renew(A);
    history.accept(A);
    history.assert_awaited([]);
    history.renew(A);
    history.accept(HEALTHY);
    history.assert_awaited([A]);
    history.accept(A);
    history.assert_awaited([]);
}

#[test]
fn a_waiting_target_causes_a_login_at_once_until_a_login_succeeds() {
    let mut history = History::new();
    assert_eq!(history.reject(A), LogIn);
    history.wait(MINUTE);
    assert_eq!(history.reject(A), LogIn, "the login may have failed");
}

#[test]
fn each_unhelpful_login_doubles_the_pause_of_its_target() {
    for (logins, pause) in (0..).zip(PAUSES) {
        History::unhelpful_logins(A, logins).assert_pause(A, LoginDidNotHelp, pause);
    }
}

#[test]
fn a_generation_counts_as_unhelpful_once_however_often_it_is_rejected() {
    let mut history = History::unhelpful_logins(A, 2);
    for _ in 0..3 {
        history.reject(A);
    }
    history.assert_pause(A, LoginDidNotHelp, 2 * SECOND);
}

#[test]
fn a_login_for_another_reason_counts_as_unhelpful_too() {
    let mut history = History::unhelpful_logins(A, 2);
    history.reject(A);
    history.log_in();
    history.assert_pause(A, LoginDidNotHelp, 4 * SECOND);
}

#[test]
fn the_pause_of_a_target_is_multiplied_by_the_number_of_targets_that_logins_do_not_help() {
    let mut history = History::new();
    history.reject(A);
    history.reject(B);
    history.reject(C);
    history.log_in();
    assert_eq!(history.reject(A), keep_until(LoginDidNotHelp, SECOND));
    assert_eq!(history.reject(B), keep_until(LoginDidNotHelp, 2 * SECOND));
    history.accept(C);
    history.assert_pause(A, LoginDidNotHelp, 2 * SECOND);
}

#[test]
fn a_helped_target_does_not_multiply_the_pause_of_others() {
    let mut history = History::unhelpful_logins(A, 2);
    history.reject(A);
    history.log_in();
    history.accept(A);
    history.renew(B);
    history.assert_pause(B, LoginDidNotHelp, SECOND);
}

#[test]
fn a_multiplied_pause_is_five_minutes_at_most() {
    let mut history = History::unhelpful_logins(A, 8);
    history.reject(A);
    history.renew(B);
    history.accept(HEALTHY);
    history.reject(B);
    history.assert_pause(A, LoginDidNotHelp, 5 * MINUTE);
}

#[test]
fn a_target_is_unknown_again_ten_minutes_after_its_last_rejection() {
    for (passed, is_known) in [(10 * MINUTE - 1, true), (10 * MINUTE, false)] {
        let mut history = History::unhelpful_logins(A, MANY);
        history.reject(A);
        history.wait(MINUTE);
        history.reject(A);
        history.wait(passed);
        history.log_in();
        assert_eq!(history.reject(A) != LogIn, is_known);
    }
}

#[test]
fn a_target_is_not_awaited_ten_minutes_after_its_last_rejection() {
    let mut history = History::new();
    history.reject(A);
    history.wait(10 * MINUTE - 1);
    history.accept(HEALTHY);
    history.assert_awaited([A]);
    history.wait(1);
    history.accept(HEALTHY);
    history.assert_awaited([]);
}

// Mixed targets.

#[test]
fn a_target_accepted_and_rejected_under_one_generation_keeps_its_pause() {
    let mut history = History::unhelpful_logins(A, 2);
    history.reject(A);
    history.accept(A);
    history.assert_awaited([A]);
    history.assert_pause(A, LoginDidNotHelp, 2 * SECOND);
}

#[test]
fn the_next_login_does_not_help_a_mixed_target() {
    let mut history = History::unhelpful_logins(A, 2);
    history.reject(A);
    history.accept(A);
    history.log_in();
    history.accept(A);
    history.assert_awaited([A]);
    history.assert_pause(A, LoginDidNotHelp, 4 * SECOND);
}

#[test]
fn a_target_can_be_mixed_before_any_login_for_it() {
    let mut history = History::new();
    assert_eq!(history.reject(A), LogIn);
    history.accept(A);
    history.log_in();
    history.accept(A);
    history.assert_pause(A, LoginDidNotHelp, SECOND);
}

#[test]
fn a_mixed_target_rejected_under_the_next_generation_can_be_helped_by_the_following_login() {
    let mut history = History::unhelpful_logins(A, 2);
    history.reject(A);
    history.accept(A);
    history.log_in();
    history.reject(A);
    history.log_in();
    history.accept(A);
    history.assert_awaited([]);
}

#[test]
fn a_mixed_target_causes_a_login_after_twice_its_longest_time_without_an_acceptance() {
    let mut history = History::unhelpful_logins(A, MANY);
    history.reject(A);
    history.wait(5 * SECOND);
    history.reject(A);
    history.wait(5 * SECOND);
    history.accept(A);
    history.wait(4 * SECOND);
    history.accept(A);
    history.wait(23 * SECOND);
    let end = history.logged_in_at + 5 * MINUTE;
    assert_eq!(history.reject(A), keep_until(LoginDidNotHelp, end));
    history.wait(1);
    assert_eq!(history.reject(A), LogIn);
}

#[test]
fn a_longer_time_without_an_acceptance_replaces_the_longest() {
    let mut history = History::unhelpful_logins(A, MANY);
    history.reject(A);
    history.accept(A);
    history.wait(3 * SECOND);
    history.accept(A);
    history.wait(9 * SECOND);
    assert_ne!(history.reject(A), LogIn);
    history.wait(1);
    assert_eq!(history.reject(A), LogIn);
}

#[test]
fn a_time_without_an_acceptance_that_a_login_ended_does_not_count() {
    let mut history = History::unhelpful_logins(A, MANY);
    history.reject(A);
    history.accept(A);
    history.log_in();
    history.wait(MINUTE);
    history.accept(A);
    history.log_in();
    history.reject(A);
    history.accept(A);
    history.wait(3 * SECOND);
    assert_ne!(history.reject(A), LogIn);
    history.wait(1);
    assert_eq!(history.reject(A), LogIn);
}

#[test]
fn a_waiting_target_keeps_its_pause_however_long_it_is_rejected() {
    let mut history = History::unhelpful_logins(A, MANY);
    history.wait(4 * MINUTE);
    assert_ne!(history.reject(A), LogIn);
}

// Outages.

/// `A` was rejected for this long, under many logins, and nothing was accepted.
fn outage(lasts: u64) -> History {
    let mut history = History::new();
    for _ in 0..MANY {
        history.reject(A);
        history.log_in();
    }
    history.reject(A);
    history.now = lasts;
    history.log_in();
    history
}

#[test]
fn while_nothing_is_accepted_a_pause_is_thirty_seconds_at_most() {
    outage(10 * MINUTE - 1).assert_pause(A, LoginDidNotHelp, 30 * SECOND);
}

#[test]
fn outage_rules_end_after_ten_minutes() {
    let mut history = outage(10 * MINUTE - SECOND);
    history.reject(A);
    history.wait(SECOND);
    history.log_in();
    history.assert_pause(A, LoginDidNotHelp, 5 * MINUTE);
}

#[test]
fn an_acceptance_ends_an_outage() {
    let mut history = outage(MINUTE);
    assert_eq!(history.reject(A), keep_until(LoginDidNotHelp, 90 * SECOND));
    history.accept(HEALTHY);
    history.assert_pause(A, LoginDidNotHelp, 5 * MINUTE);
}

#[test]
fn an_acceptance_before_the_rejections_does_not_end_an_outage() {
    for (before, pause) in [(1, 30 * SECOND), (0, 5 * MINUTE)] {
        let mut history = History::new();
        history.accept(HEALTHY);
        history.wait(before);
        for _ in 0..MANY {
            history.reject(A);
            history.log_in();
        }
        history.assert_pause(A, LoginDidNotHelp, pause);
    }
}

#[test]
fn while_nothing_is_accepted_the_pause_of_unknown_targets_is_thirty_seconds_at_most() {
    for (lasts, pause) in [(10 * MINUTE - 1, 30 * SECOND), (10 * MINUTE, 5 * MINUTE)] {
        let mut history = History::new();
        for _ in 0..=MANY {
            history.reject_unknown();
            history.wait(30 * SECOND);
            assert_eq!(history.reject_unknown(), LogIn);
            history.log_in();
        }
        history.reject_unknown();
        // The first login was made after 30 s, and did not help.
        history.now = 30 * SECOND + lasts;
        history.log_in();
        history.assert_pause_of(History::reject_unknown, LoginsDidNotHelp, pause);
    }
}

// Unknown targets.

#[test]
fn unknown_targets_pause_from_the_second_unhelpful_login_for_unknown_targets_on() {
    for (logins, pause) in (0..).zip(PAUSES) {
        let mut history = History::with_unhelpful_for_new(logins);
        history.accept(HEALTHY);
        history.assert_pause_of(History::reject_unknown, LoginsDidNotHelp, pause);
    }
}

#[test]
fn an_unknown_target_in_a_pause_causes_a_login_if_it_is_rejected_again_a_second_later() {
    let mut history = History::with_unhelpful_for_new(10);
    history.accept(HEALTHY);
    history.wait(SECOND);
    let end = history.logged_in_at + 5 * MINUTE;
    assert_eq!(history.reject(A), keep_until(LoginsDidNotHelp, end));
    history.assert_pause(A, LoginDidNotHelp, 2 * SECOND);
}

#[test]
fn a_generation_that_many_unknown_targets_reject_counts_as_unhelpful_once() {
    let mut history = History::with_unhelpful_for_new(1);
    for _ in 0..3 {
        history.reject_unknown();
    }
    history.assert_pause_of(History::reject_unknown, LoginsDidNotHelp, SECOND);
}

#[test]
fn a_generation_that_was_accepted_and_lasted_three_seconds_has_helped_unknown_targets() {
    for (is_accepted, lasts, has_helped) in [
        (true, 3 * SECOND, true),
        (true, 3 * SECOND - 1, false),
        (false, 3 * SECOND, false),
    ] {
        let mut history = History::with_unhelpful_for_new(10);
        if is_accepted {
            history.accept(HEALTHY);
        }
        history.wait(lasts);
        let decision = history.reject_unknown();
        assert_eq!(decision == LogIn, has_helped);
        if has_helped {
            // The count starts again at one, and the outage at the next unhelpful login.
            history.log_in();
            assert_eq!(history.reject_unknown(), LogIn);
            history.log_in();
            history.assert_pause_of(History::reject_unknown, LoginsDidNotHelp, SECOND);
        }
    }
}

#[test]
fn a_target_that_no_login_helps_does_not_count_for_unknown_targets() {
    let mut history = History::unhelpful_logins(A, 2);
    for _ in 0..3 {
        history.wait(5 * MINUTE);
        assert_eq!(history.reject_unknown(), LogIn);
        history.log_in();
        history.accept(HEALTHY);
        history.reject(A);
        history.wait(3 * SECOND);
    }
    assert_eq!(history.reject_unknown(), LogIn);
}

#[test]
fn a_login_counts_for_unknown_targets_if_an_unknown_target_was_rejected_first() {
    for is_first in [true, false] {
        let mut history = History::with_unhelpful_for_new(1);
        history.reject(A);
        history.log_in();
        history.reject(A);
        history.wait(5 * MINUTE);
        if is_first {
            assert_eq!(history.reject_unknown(), LogIn);
        }
        assert_eq!(history.reject(A), LogIn);
        assert_eq!(history.reject_unknown(), LogIn);
        history.log_in();
        let pause = if is_first { 2 * SECOND } else { SECOND };
        history.assert_pause_of(History::reject_unknown, LoginsDidNotHelp, pause);
    }
}

#[test]
fn a_login_that_no_rejection_caused_does_not_count_for_unknown_targets() {
    let mut history = History::with_unhelpful_for_new(1);
    history.log_in();
    history.assert_pause_of(History::reject_unknown, LoginsDidNotHelp, 0);
}

// Quick revocations.

#[test]
fn two_quick_revocations_cause_logins_at_once_and_the_third_a_pause() {
    for (revocations, pause) in [0, 0, 1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        let mut history = History::with_quick_revocations(revocations);
        history.accept(A);
        history.assert_pause(A, RevokedQuickly, pause * SECOND);
    }
}

#[test]
fn a_revocation_after_three_seconds_is_not_quick() {
    for (lasts, is_quick) in [(3 * SECOND - 1, true), (3 * SECOND, false)] {
        let mut history = History::with_quick_revocations(3);
        history.accept(A);
        history.wait(lasts);
        history.reject(A);
        assert_eq!(history.is_contention_suspected(), is_quick);
    }
}

#[test]
fn a_generation_counts_as_revoked_once() {
    let mut history = History::with_quick_revocations(2);
    history.accept(A);
    for _ in 0..3 {
        assert_eq!(
            history.reject(A),
            keep_until(RevokedQuickly, history.logged_in_at + SECOND)
        );
    }
}

#[test]
fn a_generation_that_lasts_resets_the_count_of_quick_revocations() {
    let mut history = History::with_quick_revocations(2);
    history.accept(A);
    history.wait(3 * SECOND);
    history.renew(A);
    for _ in 0..2 {
        history.accept(A);
        history.renew(A);
    }
    history.accept(A);
    history.assert_pause(A, RevokedQuickly, SECOND);
}

#[test]
fn an_acceptance_of_a_target_that_was_helped_before_is_no_help() {
    let mut history = History::with_quick_revocations(2);
    history.accept(A);
    history.log_in();
    history.accept(A);
    history.reject_unknown();
    assert!(!history.is_contention_suspected());
}

// In an exclusive session, each login causes late rejections of the requests in flight. Their later
// acceptance does not show that the login helped.
#[test]
fn a_generation_that_helped_only_late_rejected_targets_is_not_counted_as_revoked() {
    let mut history = History::with_quick_revocations(2);
    let earlier = history.log_in();
    history.reject_under(earlier, B);
    history.reject_unknown();
    history.reject(C);
    history.log_in();
    history.accept(B);
    history.accept(C);
    history.reject_unknown();
    assert!(!history.is_contention_suspected());
}

#[test]
fn a_generation_that_helped_a_target_rejected_late_and_in_time_is_counted_as_revoked() {
    let mut history = History::with_quick_revocations(2);
    let earlier = history.log_in();
    history.reject_under(earlier, B);
    history.reject(B);
    history.log_in();
    history.accept(B);
    history.reject_unknown();
    assert!(history.is_contention_suspected());
}

#[test]
fn a_generation_that_made_a_target_mixed_is_not_counted_as_revoked() {
    let mut history = History::with_quick_revocations(2);
    history.reject(A);
    history.accept(A);
    history.reject_unknown();
    assert!(!history.is_contention_suspected());
}

#[test]
fn a_generation_that_helped_is_counted_as_revoked_whatever_is_accepted_afterwards() {
    let mut history = History::with_quick_revocations(1);
    history.accept(A);
    assert_eq!(history.reject(A), LogIn);
    history.reject(B);
    history.log_in();
    history.accept(A);
    history.accept(B);
    history.reject(A);
    assert!(history.is_contention_suspected());
}

#[test]
fn a_generation_that_helped_no_target_is_not_counted_as_revoked() {
    let mut history = History::with_quick_revocations(2);
    assert_eq!(
        history.reject(A),
        keep_until(LoginDidNotHelp, history.logged_in_at + SECOND)
    );
    assert!(!history.is_contention_suspected());
}

#[test]
fn a_rejected_unknown_target_shows_a_revocation() {
    let mut history = History::with_quick_revocations(2);
    history.accept(A);
    let end = history.logged_in_at + SECOND;
    assert_eq!(history.reject(B), keep_until(RevokedQuickly, end));
}

#[test]
fn a_target_that_no_login_helps_shows_no_revocation() {
    let mut history = History::unhelpful_logins(B, 1);
    history.reject(B);
    history.revoke_quickly(2);
    history.accept(A);
    history.reject(B);
    assert!(!history.is_contention_suspected());
}

#[test]
fn after_quick_revocations_every_target_pauses() {
    let mut history = History::with_quick_revocations(5);
    history.accept(A);
    history.reject(A);
    history.assert_pause(B, RevokedQuickly, 8 * SECOND);
}

#[test]
fn the_longer_pause_applies_and_determines_the_reason() {
    for (logins, pause) in [(1, SECOND), (2, 2 * SECOND)] {
        let mut history = History::unhelpful_logins(B, logins);
        history.revoke_quickly(2);
        history.accept(A);
        let end = history.logged_in_at + SECOND;
        assert_eq!(history.reject(A), keep_until(RevokedQuickly, end));
        history.assert_pause(B, LoginDidNotHelp, pause);
    }
}

// The suspicion that another client uses the account.

#[test]
fn contention_is_suspected_from_the_third_quick_revocation_on() {
    for (revocations, is_suspected) in [(2, false), (3, true)] {
        let history = History::with_quick_revocations(revocations);
        assert_eq!(history.is_contention_suspected(), is_suspected);
    }
}

#[test]
fn contention_is_suspected_until_a_generation_lasts_five_minutes() {
    let mut history = History::with_quick_revocations(3);
    history.wait(5 * MINUTE - 1);
    assert!(history.is_contention_suspected());
    history.wait(1);
    assert!(!history.is_contention_suspected());
}

#[test]
fn contention_is_suspected_while_a_rejected_generation_stays_in_use() {
    let mut history = History::with_quick_revocations(3);
    history.accept(A);
    history.reject(A);
    history.wait(5 * MINUTE);
    assert!(history.is_contention_suspected());
}

// The current pause.

#[test]
fn only_rejections_in_a_pause_are_counted() {
    let mut history = History::unhelpful_logins(A, 2);
    assert_eq!(history.held_back(), None);
    history.wait(500);
    let (since, end) = (at(history.now), at(history.logged_in_at + 2 * SECOND));
    history.reject(A);
    assert_eq!(history.held_back(), Some((1, since, end)));
    history.wait(1_499);
    history.reject(A);
    assert_eq!(history.held_back(), Some((2, since, end)));
    history.wait(1);
    assert_eq!(history.held_back(), None, "it is over");
    history.renew(A);
    assert_eq!(history.held_back(), None);
    let (since, end) = (at(history.now), at(history.now + 4 * SECOND));
    history.reject(A);
    assert_eq!(history.held_back(), Some((1, since, end)), "a new pause");
}

#[test]
fn a_pause_ends_when_the_first_target_may_cause_a_login() {
    let mut history = History::with_unhelpful_for_new(10);
    let since = at(history.now);
    let long = at(history.logged_in_at + 5 * MINUTE);
    history.reject(A);
    assert_eq!(history.held_back(), Some((1, since, long)));
    history.reject(A);
    let short = at(history.now + SECOND);
    assert_eq!(history.held_back(), Some((2, since, short)));
    history.reject(B);
    assert_eq!(history.held_back(), Some((3, since, short)));
    history.wait(SECOND);
    history.reject(C);
    assert_eq!(
        history.held_back(),
        Some((1, at(history.now), long)),
        "a new one"
    );
}

// The targets whose acceptances matter.

#[test]
fn every_acceptance_matters_until_a_generation_is_accepted() {
    let mut history = History::new();
    assert_eq!(history.awaited_targets(), None);
    history.accept(HEALTHY);
    history.assert_awaited([]);
    history.renew(A);
    assert_eq!(history.awaited_targets(), None);
    history.accept(HEALTHY);
    history.assert_awaited([A]);
}

#[test]
fn no_acceptance_matters_before_the_first_login() {
    let rejections = Rejections::new(Pauses::default());
    assert!(
        rejections
            .awaited_targets()
            .is_some_and(|mut it| it.next().is_none())
    );
}

#[test]
fn of_more_than_64_targets_the_one_rejected_least_recently_is_forgotten() {
    let mut history = History::new();
    history.accept(HEALTHY);
    let reject = |history: &mut History, target| {
        history.wait(1);
        history.reject(target);
    };
    for target in (0..64).chain([0]) {
        reject(&mut history, target);
    }
    assert_eq!(history.awaited_targets(), Some((0..64).collect()));
    reject(&mut history, 64);
    let kept = [0].into_iter().chain(2..=64);
    assert_eq!(history.awaited_targets(), Some(kept.collect()));
}

// Late reports.

#[test]
fn a_late_acceptance_is_ignored() {
    let mut history = History::new();
    let earlier = history.renew(A);
    history.accept_under(earlier, A);
    assert_eq!(history.awaited_targets(), None);
    history.accept(HEALTHY);
    history.assert_awaited([A]);
    history.assert_pause(A, LoginDidNotHelp, SECOND);
}

#[test]
fn the_current_generation_can_help_a_target_that_was_rejected_late() {
    let mut history = History::new();
    let earlier = history.log_in();
    history.accept(HEALTHY);
    assert_eq!(history.reject_under(earlier, A), LogIn);
    history.assert_awaited([A]);
    history.accept(A);
    history.assert_awaited([]);
}

#[test]
fn a_late_rejection_is_not_held_back_and_shows_no_revocation() {
    let mut history = History::with_quick_revocations(2);
    history.accept(A);
    let earlier = history.log_in();
    history.accept(A);
    assert_eq!(history.reject_under(earlier, A), LogIn);
    assert_eq!(history.held_back(), None);
    assert!(!history.is_contention_suspected());
}

#[test]
fn a_late_rejection_prolongs_the_memory_of_a_target() {
    let mut history = History::unhelpful_logins(A, MANY);
    history.reject(A);
    let earlier = history.log_in();
    history.wait(9 * MINUTE);
    history.reject_under(earlier, A);
    history.wait(9 * MINUTE);
    history.log_in();
    assert_ne!(history.reject(A), LogIn);
}
