//! The pause after a failed login.

use std::time::{Duration, Instant};

use crate::{
    error::{Outage, RetryAdvice, RetryAfter},
    runtime::Moment,
};

/// The longest pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause after many failures.
const LONGEST: Duration = Duration::from_secs(60);

/// The shortest pause: a small random number must not cause a hot loop.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest pause that a server can ask for.
const LONGEST_OBEYED: Duration = Duration::from_secs(5 * 60);

/// The first pause after a permanent failure, such as a wrong password: servers lock accounts after too
/// many attempts.
const FIRST_PERMANENT: Duration = Duration::from_secs(15 * 60);
/// The longest pause after a permanent failure.
const LONGEST_PERMANENT: Duration = Duration::from_secs(60 * 60);

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
    permanent: u32,
    since: Option<Instant>,
}

impl BackOff {
    /// Counts a failure and computes the next attempt. `random` is a number from 0 to 1.
    pub(super) fn failed(&mut self, advice: RetryAdvice, now: Moment, random: f64) -> Outage {
        let pause = if advice.is_permanent {
            doubled(FIRST_PERMANENT, self.permanent, LONGEST_PERMANENT)
        } else {
            jittered(self.failures, random)
        };
        let asked_for = advice.retry_after.map(|after| requested_pause(after, now));
        let pause = pause.max(asked_for.unwrap_or_default());
        self.failures = self.failures.saturating_add(1);
        self.permanent = match advice.is_permanent {
            true => self.permanent.saturating_add(1),
            false => 0,
        };
        Outage {
            since: *self.since.get_or_insert(now.monotonic),
            failed_at: now.monotonic,
            failures: self.failures,
            next_attempt: now.monotonic + pause,
        }
    }
}

/// Full jitter: a random part of the doubled pause, so that many clients do not return at once.
fn jittered(failures: u32, random: f64) -> Duration {
    doubled(FIRST, failures, LONGEST)
        .mul_f64(random)
        .max(SHORTEST)
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

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 2_u32.checked_pow(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const TRANSIENT: RetryAdvice = RetryAdvice {
        is_permanent: false,
        retry_after: None,
    };
    const PERMANENT: RetryAdvice = RetryAdvice {
        is_permanent: true,
        retry_after: None,
    };

    fn now() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn pauses(advice: RetryAdvice, random: f64) -> [u64; 9] {
        let (mut back_off, now) = (BackOff::default(), now());
        [(); 9].map(|()| {
            let outage = back_off.failed(advice, now, random);
            assert_eq!(outage.since, now.monotonic);
            u64::try_from((outage.next_attempt - now.monotonic).as_millis()).unwrap()
        })
    }

    // L5
    #[test]
    fn a_transient_failure_is_tried_again_after_a_random_part_of_a_doubled_pause() {
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60];
        assert_eq!(pauses(TRANSIENT, 1.0), seconds.map(|s| s * 1000));
        assert_eq!(pauses(TRANSIENT, 0.5), seconds.map(|s| s * 500));
        assert_eq!(pauses(TRANSIENT, 0.0), [100; 9]);
        assert_eq!(jittered(u32::MAX, 1.0), LONGEST);
    }

    // L3
    #[test]
    fn a_permanent_failure_is_tried_again_after_fifteen_minutes() {
        let minutes = [15, 30, 60, 60, 60, 60, 60, 60, 60].map(|m| m * 60_000);
        assert_eq!(pauses(PERMANENT, 0.5), minutes);
        // The server's shorter `Retry-After` does not matter.
        let retry_after = Some(RetryAfter::Delay(Duration::from_secs(60)));
        let advice = RetryAdvice {
            retry_after,
            ..PERMANENT
        };
        assert_eq!(pauses(advice, 0.5), minutes);
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
                ..TRANSIENT
            };
            let pauses = [(); 9].map(|()| {
                let outage = back_off.failed(advice, now, 1.0);
                (outage.next_attempt - now.monotonic).as_secs()
            });
            assert_eq!(pauses, in_seconds.map(|s| s.max(at_least)), "{after:?}");
        }
    }

    #[test]
    fn a_transient_failure_resets_the_count_of_permanent_ones() {
        let (mut back_off, now) = (BackOff::default(), now());
        let mut pause = |advice| {
            let outage = back_off.failed(advice, now, 1.0);
            let pause = outage.next_attempt - now.monotonic;
            (outage.failures, pause.as_secs())
        };
        assert_eq!(pause(PERMANENT), (1, 900));
        assert_eq!(pause(PERMANENT), (2, 1800));
        assert_eq!(pause(TRANSIENT), (3, 4));
        assert_eq!(pause(PERMANENT), (4, 900));
    }
}
