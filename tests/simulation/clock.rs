//! The clocks of a host.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::time;
use tower_bearer::Clock;

/// The start time of all histories.
pub(crate) const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// The monotonic clock is Tokio's. The wall clock is wrong by `ahead` milliseconds.
#[derive(Clone)]
pub(crate) struct HostClock {
    started: time::Instant,
    started_at: Duration,
    ahead: Arc<AtomicI64>,
    runs_by_itself: bool,
}

impl HostClock {
    /// The clocks of a process that starts now, at `started_at`.
    pub(crate) fn new(started_at: Duration, ahead: Arc<AtomicI64>, runs_by_itself: bool) -> Self {
        Self {
            started: time::Instant::now(),
            started_at,
            ahead,
            runs_by_itself,
        }
    }
}

impl Clock for HostClock {
    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        let right = SystemTime::UNIX_EPOCH + EPOCH + self.started_at + self.started.elapsed();
        let ahead = self.ahead.load(SeqCst);
        let by = Duration::from_millis(ahead.unsigned_abs());
        if ahead < 0 { right - by } else { right + by }
    }

    fn runs_by_itself(&self) -> bool {
        self.runs_by_itself
    }
}
