//! The pause after a failed login.

use std::time::{Duration, Instant};

use crate::{
    error::{Outage, Pace, RetryAdvice, RetryAfter},
    runtime::Moment,
};

/// The longest pause after the first transient failure, and after many.
const TRANSIENT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// The shortest pause: a small random number must not cause a hot loop.
const SHORTEST: Duration = Duration::from_millis(100);

/// The shortest pause at a server that limits the rate, and does not say for how long.
const SHORTEST_AT_LIMIT: Duration = Duration::from_secs(5);

/// The longest pause that a server can ask for.
const LONGEST_OBEYED: Duration = Duration::from_secs(5 * 60);

/// The first and the longest pause after a failure that is likely to repeat, such as a wrong path or a
/// firewall in the way.
const SLOW: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(15 * 60)];

/// The first and the longest pause after a permanent failure, such as a wrong password: servers lock
/// accounts after too many attempts.
const PERMANENT: [Duration; 2] = [Duration::from_secs(15 * 60), Duration::from_secs(60 * 60)];

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
    /// How many of the last failures had this pace.
    in_a_row: (Pace, u32),
    since: Option<Instant>,
    failed_at: Option<Instant>,
}

impl BackOff {
    /// Counts a failure and computes the next attempt. `has_worked` says whether a login has ever
    /// worked; `random` is a number from 0 to 1.
    pub(super) fn failed(
        &mut self,
        advice: RetryAdvice,
        has_worked: bool,
        now: Moment,
        random: f64,
    ) -> Outage {
        let asked_for = advice.retry_after.map(|after| requested_pause(after, now));
        let asked_for = asked_for.unwrap_or_default();
        let pace = match advice.pace {
            _ if advice.is_lifted_by_pause && !asked_for.is_zero() => Pace::Transient,
            Pace::PermanentUntilWorked if has_worked => Pace::Slow,
            Pace::PermanentUntilWorked => Pace::Permanent,
            pace => pace,
        };
        let in_a_row = match self.in_a_row {
            (last, count) if last == pace => count,
            _ => 0,
        };
        let pause = match pace {
            Pace::Slow => doubled(SLOW, in_a_row),
            Pace::Permanent | Pace::PermanentUntilWorked => doubled(PERMANENT, in_a_row),
            Pace::Transient => jittered(self.failures, random),
            Pace::RateLimited => jittered(self.failures, random).max(SHORTEST_AT_LIMIT),
        };
        let pause = pause.max(asked_for);
        self.failures = self.failures.saturating_add(1);
        self.in_a_row = (pace, in_a_row.saturating_add(1));
        self.failed_at = Some(now.monotonic);
        Outage {
            since: *self.since.get_or_insert(now.monotonic),
            failed_at: now.monotonic,
            failures: self.failures,
            next_attempt: now.monotonic + pause,
            wall_next_attempt: now.wall + pause,
        }
    }

    /// Whether more logins could follow if these failures were forgotten.
    pub(super) fn restrains_logins(&self, now: Instant) -> bool {
        let [first, longest] = match self.in_a_row.0 {
            Pace::Transient | Pace::RateLimited => TRANSIENT,
            Pace::Slow => SLOW,
            Pace::Permanent | Pace::PermanentUntilWorked => PERMANENT,
        };
        let forgotten_after =
            time_ahead(first, longest).max(time_ahead(TRANSIENT[0], TRANSIENT[1]));
        self.failed_at
            .is_some_and(|at| now.saturating_duration_since(at) < forgotten_after)
    }
}

/// How far ahead the logins come if their pauses double from `first` again, instead of lasting for
/// `longest` each. [`eviction`](super::eviction) has the formula.
fn time_ahead(first: Duration, longest: Duration) -> Duration {
    let shorter = (0..).map(|times| doubled([first, longest], times));
    let shorter = shorter.take_while(|pause| *pause < longest);
    shorter.map(|pause| longest - pause).sum::<Duration>() + longest
}

/// Full jitter: a random part of the doubled pause, so that many clients do not return at once.
fn jittered(failures: u32, random: f64) -> Duration {
    doubled(TRANSIENT, failures).mul_f64(random).max(SHORTEST)
}

fn requested_pause(after: RetryAfter, now: Moment) -> Duration {
    let delay = match after {
        RetryAfter::Delay(delay) => delay,
        RetryAfter::Date(date) => date.duration_since(now.wall).unwrap_or_default(),
        RetryAfter::Instant(instant) => {
            // Set by another provider of this crate, which has applied its own limits.
            return instant.saturating_duration_since(now.monotonic);
        }
    };
    delay.min(LONGEST_OBEYED)
}

fn doubled([first, longest]: [Duration; 2], times: u32) -> Duration {
    let factor = 2_u32.checked_pow(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn at(pace: Pace) -> RetryAdvice {
        RetryAdvice {
            pace,
            ..RetryAdvice::default()
        }
    }

    #[test]
    fn failures_are_remembered_until_they_restrain_nothing() {
        let seconds = [
            (Pace::Transient, 357),
            (Pace::RateLimited, 357),
            (Pace::Slow, 4470),
            (Pace::Permanent, 8100),
        ];
        for (pace, remembered) in seconds {
            let now = now();
            let mut back_off = BackOff::default();
            assert!(!back_off.restrains_logins(now.monotonic));
            back_off.failed(at(pace), false, now, 1.0);
            let after = |seconds| now.monotonic + Duration::from_secs(seconds);
            assert!(back_off.restrains_logins(after(remembered - 1)), "{pace:?}");
            assert!(!back_off.restrains_logins(after(remembered)), "{pace:?}");
        }
    }

    /// Logins that fail, one as soon as the previous one allows it.
    fn attempts(advice: RetryAdvice, start: Instant, count: usize) -> Vec<Instant> {
        let mut back_off = BackOff::default();
        let mut at = start;
        let attempts = (0..count).map(|_| {
            let now = Moment {
                monotonic: at,
                wall: SystemTime::now(),
            };
            let next = back_off.failed(advice, false, now, 1.0).next_attempt;
            std::mem::replace(&mut at, next)
        });
        attempts.collect()
    }

    // `eviction` has the formula.
    #[test]
    fn forgotten_failures_never_bring_a_login_forward() {
        for pace in [
            Pace::Transient,
            Pace::RateLimited,
            Pace::Slow,
            Pace::Permanent,
        ] {
            let start = Instant::now();
            let mut back_off = BackOff::default();
            let remembered = attempts(at(pace), start, 100);
            for forgotten_after in 1..50 {
                let last = remembered[forgotten_after - 1];
                let now = Moment {
                    monotonic: last,
                    wall: SystemTime::now(),
                };
                back_off.failed(at(pace), false, now, 1.0);
                let forgotten = (0..).map(|second| last + Duration::from_secs(second));
                let forgotten = forgotten.skip_while(|at| back_off.restrains_logins(*at));
                let forgotten = forgotten.take(1).next().expect("it ends");
                let again = attempts(at(pace), forgotten, 50);
                let is_earlier = |(again, remembered)| again < remembered;
                let mut pairs = again.iter().zip(&remembered[forgotten_after..]);
                assert!(!pairs.any(is_earlier), "{pace:?}, {forgotten_after}");
            }
        }
    }

    fn now() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn pauses(advice: RetryAdvice, has_worked: bool, random: f64) -> [u64; 9] {
        let (mut back_off, now) = (BackOff::default(), now());
        [(); 9].map(|()| {
            let outage = back_off.failed(advice, has_worked, now, random);
            assert_eq!(outage.since, now.monotonic);
            u64::try_from((outage.next_attempt - now.monotonic).as_millis()).unwrap()
        })
    }

    // L5
    #[test]
    fn a_transient_failure_is_tried_again_after_a_random_part_of_a_doubled_pause() {
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60];
        assert_eq!(
            pauses(at(Pace::Transient), false, 1.0),
            seconds.map(|s| s * 1000)
        );
        assert_eq!(
            pauses(at(Pace::Transient), false, 0.5),
            seconds.map(|s| s * 500)
        );
        assert_eq!(pauses(at(Pace::Transient), false, 0.0), [100; 9]);
        assert_eq!(jittered(u32::MAX, 1.0), TRANSIENT[1]);
    }

    // L3
    #[test]
    fn a_permanent_failure_is_tried_again_after_fifteen_minutes() {
        let minutes = [15, 30, 60, 60, 60, 60, 60, 60, 60].map(|m| m * 60_000);
        assert_eq!(pauses(at(Pace::Permanent), false, 0.5), minutes);
        // The server's shorter `Retry-After` does not matter.
        let retry_after = Some(RetryAfter::Delay(Duration::from_secs(60)));
        let advice = RetryAdvice {
            retry_after,
            ..at(Pace::Permanent)
        };
        assert_eq!(pauses(advice, false, 0.5), minutes);
    }

    #[test]
    fn a_failure_that_is_likely_to_repeat_is_tried_again_after_half_a_minute() {
        let seconds = [30, 60, 120, 240, 480, 900, 900, 900, 900].map(|s| s * 1000);
        assert_eq!(pauses(at(Pace::Slow), false, 0.5), seconds);
        let until_worked = at(Pace::PermanentUntilWorked);
        assert_eq!(pauses(until_worked, true, 0.5), seconds);
        let permanent = pauses(at(Pace::Permanent), false, 0.5);
        assert_eq!(pauses(until_worked, false, 0.5), permanent);
    }

    #[test]
    fn a_rate_limit_lasts_for_five_seconds_at_least() {
        let seconds = [5, 5, 5, 8, 16, 32, 60, 60, 60].map(|s| s * 1000);
        assert_eq!(pauses(at(Pace::RateLimited), false, 1.0), seconds);
        assert_eq!(pauses(at(Pace::RateLimited), false, 0.0), [5000; 9]);
    }

    #[test]
    fn the_wall_clock_has_the_same_pause() {
        let now = now();
        let outage = BackOff::default().failed(at(Pace::Permanent), false, now, 0.0);
        let pause = outage.next_attempt - now.monotonic;
        assert_eq!(outage.wall_next_attempt, now.wall + pause);
    }

    // L4
    #[test]
    fn a_server_can_lengthen_a_pause_up_to_five_minutes_and_cannot_shorten_it() {
        let now = now();
        let seconds = Duration::from_secs;
        let in_seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60];
        let date = |delay| RetryAfter::Date(now.wall + delay);
        for (after, at_least) in [
            (RetryAfter::Delay(seconds(0)), 0),
            (RetryAfter::Delay(seconds(20)), 20),
            (RetryAfter::Delay(seconds(300)), 300),
            (RetryAfter::Delay(Duration::MAX), 300),
            (RetryAfter::Date(now.wall - seconds(3600)), 0),
            (date(seconds(120)), 120),
            (date(seconds(1_000_000)), 300),
            (RetryAfter::Instant(now.monotonic + seconds(900)), 900),
            (RetryAfter::Instant(now.monotonic), 0),
        ] {
            let mut back_off = BackOff::default();
            let advice = RetryAdvice {
                retry_after: Some(after),
                ..at(Pace::Transient)
            };
            let pauses = [(); 9].map(|()| {
                let outage = back_off.failed(advice, false, now, 1.0);
                (outage.next_attempt - now.monotonic).as_secs()
            });
            assert_eq!(pauses, in_seconds.map(|s| s.max(at_least)), "{after:?}");
        }
    }

    #[test]
    fn a_transient_failure_resets_the_count_of_permanent_ones() {
        let (mut back_off, now) = (BackOff::default(), now());
        let mut pause = |advice| {
            let outage = back_off.failed(advice, false, now, 1.0);
            let pause = outage.next_attempt - now.monotonic;
            (outage.failures, pause.as_secs())
        };
        assert_eq!(pause(at(Pace::Permanent)), (1, 900));
        assert_eq!(pause(at(Pace::Permanent)), (2, 1800));
        assert_eq!(pause(at(Pace::Transient)), (3, 4));
        assert_eq!(pause(at(Pace::Permanent)), (4, 900));
    }
}
