//! Histories, by hand.

use std::mem;

use super::*;

/// One account, its time, and how many logins it took.
struct History {
    refusals: Refusals,
    now: Instant,
    current: Generation,
    logins: usize,
    /// Whether the next acceptance is told: the first after a login, and after a refusal.
    is_awaited: bool,
}

impl History {
    /// After a first login that nobody refused.
    fn new() -> Self {
        let mut history = Self {
            refusals: Refusals::default(),
            now: Instant::now(),
            current: Generation::next(),
            logins: 0,
            is_awaited: true,
        };
        history.log_in(Cause::Need);
        history
    }

    fn log_in(&mut self, cause: Cause) {
        self.current = Generation::next();
        self.logins += 1;
        self.is_awaited = true;
        self.refusals.landed(self.current, self.now, cause);
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn accept(&mut self) {
        if mem::take(&mut self.is_awaited) {
            self.refusals.accepted(self.current, self.now);
        }
    }

    /// A refusal, and the login where one is due. Returns whether it was.
    fn refuse(&mut self) -> bool {
        let verdict = self.refusals.refused(self.current, self.now);
        self.is_awaited = true;
        if verdict == Verdict::LogIn {
            self.refusals.taken_out();
            self.log_in(Cause::Refusal);
        }
        verdict == Verdict::LogIn
    }

    /// A refusal of a request that is sent again if a login is due, and accepted then.
    fn refuse_and_replay(&mut self) -> bool {
        let is_due = self.refuse();
        if is_due {
            self.refusals.cured(self.current, self.now);
        }
        is_due
    }
}

#[test]
fn a_revocation_is_cured_at_once_and_so_is_the_next() {
    for replays in [false, true] {
        let mut history = History::new();
        history.accept();
        for _ in 0..2 {
            if replays {
                assert!(history.refuse_and_replay());
            } else {
                assert!(history.refuse());
                history.accept();
            }
        }
        assert_eq!(history.logins, 3);
    }
}

#[test]
fn revocations_that_are_minutes_apart_are_cured_at_once_for_ever() {
    let mut history = History::new();
    for _ in 0..50 {
        history.accept();
        history.wait(301);
        assert!(history.refuse());
    }
}

// U4
#[test]
fn an_api_that_refuses_everything_is_asked_less_and_less() {
    let mut history = History::new();
    assert!(history.refuse());
    assert!(!history.refuse(), "the login cured nothing");
    let mut due = Vec::new();
    for second in 1..=3600 {
        history.wait(1);
        if history.refuse() {
            due.push(second);
        }
    }
    let gaps: Vec<_> = due.windows(2).map(|due| due[1] - due[0]).collect();
    assert!(gaps.is_sorted(), "{gaps:?}");
    assert!(gaps.last() >= Some(&300), "{gaps:?}");
    assert!(history.logins <= 20, "{}", history.logins);
}

// U4b, at every pace of the calls.
#[test]
fn one_forbidden_endpoint_costs_two_logins_at_most_as_long_as_the_others_answer() {
    for millis in [0, 1, 10, 100, 500, 999, 1_000, 1_001, 3_000, 5_000] {
        for is_replayed in [false, true] {
            let mut history = History::new();
            for call in 0..11_000 {
                history.now += Duration::from_millis(millis);
                if call % 11 == 5 {
                    if history.refuse() && is_replayed {
                        history.refuse();
                    }
                } else {
                    history.accept();
                }
            }
            assert!(history.logins <= 3, "{millis} ms: {}", history.logins);
        }
    }
}

#[test]
fn a_revocation_after_that_is_cured_within_seconds() {
    let mut history = History::new();
    for call in 0..1_100 {
        history.now += Duration::from_millis(100);
        if call % 11 == 5 {
            history.refuse();
        } else {
            history.accept();
        }
    }
    let before = history.logins;
    history.wait(2);
    assert!(!history.refuse(), "it may be one more about permission");
    history.wait(10);
    assert!(!history.refuse(), "and so may this");
    assert!(history.refuse());
    assert_eq!(history.logins, before + 1);
}

// P5
#[test]
fn a_rival_is_noticed_and_slows_us_down() {
    for is_replayed in [false, true] {
        let mut history = History::new();
        let mut noticed_at = None;
        for second in 0..600 {
            // The rival logs in a second after we did.
            let landed_at = history.refusals.tenure.as_ref().unwrap().landed_at;
            let is_dead = history.now > landed_at + Duration::from_secs(1);
            if !is_dead {
                history.accept();
            } else if is_replayed {
                history.refuse_and_replay();
            } else {
                history.refuse();
            }
            if history.refusals.are_by_a_rival(history.now) {
                noticed_at.get_or_insert(second);
            }
            history.wait(1);
        }
        assert!(
            noticed_at.is_some_and(|second| second < 20),
            "{noticed_at:?}"
        );
        assert!(history.logins <= 6, "{}", history.logins);
        // He has gone.
        while !history.refuse() {
            history.wait(1);
        }
        history.accept();
        assert!(history.refusals.are_by_a_rival(history.now));
        history.wait(300);
        assert!(!history.refusals.are_by_a_rival(history.now));
        assert!(history.refuse());
    }
}

// What was on its way before the token died is answered after the first refusal.
#[test]
fn an_acceptance_soon_after_a_refusal_is_no_sign_of_life() {
    let mut history = History::new();
    for _ in 0..2 {
        history.accept();
        history.wait(1);
        assert!(history.refuse_and_replay());
    }
    history.wait(1);
    assert!(!history.refuse(), "the third brief life");
    history.now += Duration::from_millis(29_999);
    history.accept();
    assert!(!history.refuse());
    history.wait(10);
    assert!(!history.refuse());
    assert!(!history.refuse());
    assert!(history.refusals.are_by_a_rival(history.now));
    history.accept();
    assert!(
        !history.refusals.are_by_a_rival(history.now),
        "by now it is"
    );
}

#[test]
fn a_sign_of_life_puts_off_the_login() {
    let mut history = History::new();
    assert!(history.refuse());
    assert!(!history.refuse());
    history.now += Duration::from_millis(900);
    history.accept();
    for _ in 0..2 {
        assert!(
            !history.refuse(),
            "less than a second without a sign of life"
        );
        history.now += Duration::from_millis(999);
    }
    history.now += Duration::from_millis(1);
    assert!(history.refuse());
}

// Two about permission at the same time are no reason either.
#[test]
fn a_generation_that_survives_refusals_is_left_in_peace_for_seconds() {
    let mut history = History::new();
    // Brief lives that were accepted: nothing is barren yet.
    for _ in 0..3 {
        history.accept();
        history.wait(100);
        history.refuse();
    }
    history.accept();
    history.wait(100);
    assert!(!history.refuse());
    history.wait(30);
    history.accept();
    for _ in 0..3 {
        assert!(!history.refuse());
    }
    history.wait(10);
    assert!(history.refuse());
}

#[test]
fn a_long_life_makes_up_for_all_doubt() {
    let mut history = History::new();
    for _ in 0..3 {
        assert!(history.refuse());
        history.accept();
        assert!(history.refuse(), "the first doubtful one is free");
        history.accept();
        history.wait(301);
    }
}

#[test]
fn neither_a_forbidden_endpoint_nor_a_dead_api_is_a_rival() {
    let mut history = History::new();
    for call in 0..1_100 {
        history.now += Duration::from_millis(100);
        if call % 3 == 1 {
            history.refuse();
        } else {
            history.accept();
        }
        assert!(!history.refusals.are_by_a_rival(history.now), "{call}");
    }
    let mut history = History::new();
    for call in 0..1_000 {
        history.wait(1);
        history.refuse();
        assert!(!history.refusals.are_by_a_rival(history.now), "{call}");
    }
}

// L15, trap 30
#[test]
fn a_login_that_brings_the_refused_token_is_no_progress_whatever_follows() {
    let mut history = History::new();
    assert_eq!(
        history.refusals.refused(history.current, history.now),
        Verdict::LogIn
    );
    history.log_in(Cause::RefusalInVain);
    history.refusals.cured(history.current, history.now);
    assert!(!history.refuse());
    history.wait(1);
    assert!(history.refuse(), "later it may be another");
}

// The login that a refusal has caused takes its time: what is told of the old generation is late.
#[test]
fn a_generation_that_was_taken_out_is_judged_no_more() {
    let mut history = History::new();
    history.accept();
    assert_eq!(
        history.refusals.refused(history.current, history.now),
        Verdict::LogIn
    );
    history.refusals.taken_out();
    history.wait(40);
    history.refusals.accepted(history.current, history.now);
    history.refusals.cured(history.current, history.now);
    history.log_in(Cause::Refusal);
    history.accept();
    assert!(history.refuse(), "nothing was learnt about permission");
}

// The login for it has failed: the refusal is judged again, and no sooner than if it had cured
// nothing.
#[test]
fn a_generation_that_was_put_back_is_judged_again() {
    let mut history = History::new();
    history.accept();
    let refuse = |history: &mut History| history.refusals.refused(history.current, history.now);
    assert_eq!(refuse(&mut history), Verdict::LogIn);
    history.refusals.taken_out();
    history.refusals.put_back();
    assert_eq!(refuse(&mut history), Verdict::Keep);
    history.wait(1);
    assert_eq!(refuse(&mut history), Verdict::LogIn);
    history.refusals.taken_out();
    history.refusals.put_back();
    history.refusals.accepted(history.current, history.now);
    assert_eq!(refuse(&mut history), Verdict::Keep, "it was heard");
}

#[test]
fn what_was_learnt_about_permission_is_forgotten_in_five_minutes() {
    for (later, is_known) in [(299, true), (300, false)] {
        let mut history = History::new();
        for _ in 0..2 {
            history.accept();
            assert!(history.refuse());
        }
        for _ in 0..2 {
            history.accept();
            assert!(!history.refuse());
            history.wait(30);
        }
        history.accept(); // half a minute after it was refused
        history.log_in(Cause::Need);
        history.accept();
        history.wait(later);
        assert_eq!(!history.refuse(), is_known, "{later}");
    }
}

// A refusal after the expiry is none of a brief life, and cures no doubt either.
#[test]
fn doubt_outlives_the_refusal_of_what_had_expired() {
    let mut history = History::new();
    for _ in 0..2 {
        history.accept();
        assert!(history.refuse());
    }
    history.log_in(Cause::Refusal);
    history.accept();
    assert!(!history.refuse(), "two in a row have cured nothing");
    history.wait(1);
    assert!(history.refuse());
}

// What follows then is a second of refusals, as after any two logins that cured nothing.
#[test]
fn a_generation_that_has_survived_is_doubted_for_a_second_when_that_is_forgotten() {
    let mut history = History::new();
    history.accept();
    assert!(history.refuse());
    history.accept();
    assert!(history.refuse());
    for _ in 0..2 {
        history.accept();
        assert!(!history.refuse());
        history.wait(30);
    }
    history.accept();
    history.wait(300);
    assert!(!history.refuse());
    history.wait(1);
    assert!(history.refuse());
}

// What was never used may have been dead from the beginning.
#[test]
fn a_generation_that_was_never_accepted_is_given_a_second() {
    let mut history = History::new();
    assert!(history.refuse());
    history.now += Duration::from_millis(999);
    assert!(!history.refuse());
    let mut history = History::new();
    assert!(history.refuse());
    history.wait(1);
    assert!(history.refuse());
}

#[test]
fn news_of_another_generation_changes_nothing() {
    let mut history = History::new();
    history.refuse();
    let other = Generation::next();
    history.refusals.accepted(other, history.now);
    history.refusals.cured(other, history.now);
    assert!(!history.refuse(), "nothing has vindicated the login");
    assert_eq!(history.refusals.refused(other, history.now), Verdict::LogIn);
}

/// Calls of a forbidden endpoint among others, as `is_forbidden` has it. Returns the logins.
fn forbidden(
    calls: usize,
    pace: Duration,
    is_replayed: bool,
    mut is_forbidden: impl FnMut(usize) -> bool,
) -> usize {
    let mut history = History::new();
    for call in 0..calls {
        history.now += pace;
        if !is_forbidden(call) {
            history.accept();
        } else if history.refuse() && is_replayed {
            history.refuse();
        }
        assert!(!history.refusals.are_by_a_rival(history.now), "{call}");
    }
    history.logins
}

// U4b, in any order.
#[test]
fn forbidden_calls_in_pairs_and_at_random_cost_no_more() {
    let mut most = 0;
    for millis in [0, 1, 10, 50, 100, 200, 500, 1_000, 3_000] {
        let pace = Duration::from_millis(millis);
        for is_replayed in [false, true] {
            // Two at once, after twenty others.
            let pairs = forbidden(11_000, pace, is_replayed, |call| call % 22 < 2);
            most = most.max(pairs);
            for seed in 0..20 {
                let mut random = fastrand::Rng::with_seed(seed);
                let at_random = forbidden(11_000, pace, is_replayed, |_| random.usize(..11) == 0);
                most = most.max(at_random);
            }
        }
    }
    println!("figure: U4b-in_any_order logins_at_most={most}");
    assert!(most <= 5, "{most}");
}

// P5, where answers take their time: what is accepted was sent before the rival logged in.
#[test]
fn slow_answers_do_not_hide_a_rival() {
    let mut most = 0;
    for latency in [0, 2, 5, 20] {
        let mut history = History::new();
        let mut noticed = 0;
        let mut answers = std::collections::VecDeque::new();
        let mut killed_at = None;
        for second in 0..600 {
            if second % 5 == 4 {
                killed_at = Some(history.current);
            }
            let sent = history.current;
            let is_good = killed_at != Some(sent);
            // Refusals are quick, acceptances are not.
            if is_good {
                answers.push_back((second + latency, sent));
            } else {
                history.refuse();
            }
            while let Some(&(due, sent)) = answers.front().filter(|(due, _)| *due <= second) {
                let _ = due;
                answers.pop_front();
                if sent == history.current {
                    history.accept();
                }
            }
            noticed += usize::from(history.refusals.are_by_a_rival(history.now));
            history.wait(1);
        }
        assert!(history.logins <= 8, "{latency}: {}", history.logins);
        assert!(latency > 5 || noticed > 300, "{latency}: {noticed}");
        most = most.max(history.logins);
    }
    println!("figure: P5-slow_answers histories=4 logins_at_most={most}");
}

// Trap 2, where tokens live for minutes: revocations that are days apart are no row.
#[test]
fn lives_that_end_by_expiry_are_not_brief() {
    let mut history = History::new();
    for _day in 0..8 {
        for _ in 0..300 {
            history.accept();
            history.wait(290);
            history.log_in(Cause::Need);
        }
        history.accept();
        history.wait(100);
        assert!(history.refuse());
        assert!(!history.refusals.are_by_a_rival(history.now));
    }
}

#[test]
fn an_outage_of_refusals_is_forgotten_when_it_is_over() {
    for healthy in [60, 200, 1_000] {
        let mut history = History::new();
        for _ in 0..3600 {
            history.wait(1);
            history.refuse();
        }
        for _ in 0..healthy {
            history.wait(1);
            history.accept();
        }
        // Revoked.
        let mut waited = 0;
        while !history.refuse() {
            history.wait(1);
            waited += 1;
        }
        assert!(waited <= 61, "{healthy}: {waited}");
    }
}

#[test]
fn intervals_double_up_to_five_minutes() {
    let second = Duration::from_secs(1);
    let intervals: Vec<_> = (0..12)
        .map(|times| doubled(second, times).as_secs())
        .collect();
    assert_eq!(intervals, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(doubled(second, u32::MAX), MAXIMUM);
}
