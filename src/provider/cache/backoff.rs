//! When the next login may be made, after some have failed.

use std::time::{Duration, Instant, SystemTime};

use crate::{
    clock::Moment,
    error::Outage,
    login_error::{Outlook, RetryAfter},
};

/// What the pause after the first failure is at most.
const FIRST: Duration = Duration::from_secs(1);

/// Where doubling ends.
const LONGEST: Duration = Duration::from_secs(60);

/// No pause is shorter: chance alone must not make a hot loop.
const SHORTEST: Duration = Duration::from_millis(100);

/// A server is not obeyed for longer.
const LONGEST_OBEYED: Duration = Duration::from_secs(5 * 60);

/// The pause after something that will fail again: accounts get locked.
const FIRST_PERMANENT: Duration = Duration::from_secs(15 * 60);
const LONGEST_PERMANENT: Duration = Duration::from_secs(60 * 60);

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
    permanent: u32,
    since: Option<Instant>,
}

impl BackOff {
    /// One more. `random` is a number from 0 to 1.
    pub(super) fn failed(&mut self, outlook: Outlook, now: Moment, random: f64) -> Outage {
        let pause = match outlook {
            Outlook::Transient => jittered(self.failures, random),
            Outlook::After(after) => obeyed(after, now.wall),
            Outlook::Permanent => doubled(FIRST_PERMANENT, self.permanent, LONGEST_PERMANENT),
        };
        self.failures = self.failures.saturating_add(1);
        self.permanent = match outlook {
            Outlook::Permanent => self.permanent.saturating_add(1),
            _ => 0,
        };
        Outage {
            since: *self.since.get_or_insert(now.monotonic),
            failed_at: now.monotonic,
            failures: self.failures,
            next_attempt: now.monotonic + pause,
        }
    }
}

/// Full jitter: anything up to the doubled pause, so that a fleet does not come back as one.
fn jittered(failures: u32, random: f64) -> Duration {
    doubled(FIRST, failures, LONGEST)
        .mul_f64(random.clamp(0.0, 1.0))
        .max(SHORTEST)
}

fn obeyed(after: RetryAfter, now: SystemTime) -> Duration {
    let delay = match after {
        RetryAfter::Delay(delay) => delay,
        RetryAfter::Date(date) => date.duration_since(now).unwrap_or_default(),
    };
    delay.clamp(SHORTEST, LONGEST_OBEYED)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 2_u32.checked_pow(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn pauses(outlook: Outlook, random: f64) -> [u64; 9] {
        let (mut back_off, now) = (BackOff::default(), now());
        [(); 9].map(|()| {
            let outage = back_off.failed(outlook, now, random);
            assert_eq!(outage.since, now.monotonic);
            (outage.next_attempt - now.monotonic).as_millis() as u64
        })
    }

    // L5
    #[test]
    fn a_transient_failure_is_tried_again_after_a_random_part_of_a_doubled_pause() {
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60];
        assert_eq!(pauses(Outlook::Transient, 1.0), seconds.map(|s| s * 1000));
        assert_eq!(pauses(Outlook::Transient, 0.5), seconds.map(|s| s * 500));
        assert_eq!(pauses(Outlook::Transient, 0.0), [100; 9]);
        for odd in [-1.0, f64::NEG_INFINITY] {
            assert_eq!(pauses(Outlook::Transient, odd), [100; 9]);
        }
        assert_eq!(
            pauses(Outlook::Transient, f64::INFINITY),
            seconds.map(|s| s * 1000)
        );
        assert!(jittered(u32::MAX, 1.0) == LONGEST);
    }

    // L3
    #[test]
    fn a_permanent_failure_is_tried_again_after_a_quarter_of_an_hour() {
        let minutes = [15, 30, 60, 60, 60, 60, 60, 60, 60];
        assert_eq!(pauses(Outlook::Permanent, 0.5), minutes.map(|m| m * 60_000));
    }

    // L4
    #[test]
    fn a_server_is_obeyed_for_five_minutes_at_most() {
        let now = now();
        let delay = |seconds| RetryAfter::Delay(Duration::from_secs(seconds));
        let date = |seconds| RetryAfter::Date(now.wall + Duration::from_secs(seconds));
        for (seconds, obeyed_for) in [(120, 120), (300, 300), (1_000_000, 300)] {
            assert_eq!(obeyed(delay(seconds), now.wall).as_secs(), obeyed_for);
            assert_eq!(obeyed(date(seconds), now.wall).as_secs(), obeyed_for);
        }
        assert_eq!(obeyed(delay(0), now.wall), SHORTEST);
        let past = RetryAfter::Date(now.wall - Duration::from_secs(9));
        assert_eq!(obeyed(past, now.wall), SHORTEST);
        assert_eq!(
            obeyed(RetryAfter::Delay(Duration::MAX), now.wall).as_secs(),
            300
        );
    }

    #[test]
    fn what_is_not_permanent_ends_a_row_of_what_is() {
        let (mut back_off, now) = (BackOff::default(), now());
        let mut pause = |outlook| {
            let outage = back_off.failed(outlook, now, 1.0);
            (
                outage.failures,
                (outage.next_attempt - now.monotonic).as_secs(),
            )
        };
        assert_eq!(pause(Outlook::Permanent), (1, 900));
        assert_eq!(pause(Outlook::Permanent), (2, 1800));
        assert_eq!(pause(Outlook::Transient), (3, 4));
        assert_eq!(pause(Outlook::Permanent), (4, 900));
    }
}
