//! Controls for a model: its start, and the passing of time.

use std::time::{Duration, Instant, SystemTime};

use super::{
    clock::Clock,
    sync::{self, time},
};

/// Begins a run of a model, with the clock at zero.
pub fn begin() {
    time::begin();
}

/// Moves the clock forward, and wakes the timers.
pub fn pass(by: Duration) {
    time::pass(by);
}

/// The clocks of the model.
#[derive(Clone, Copy, Debug)]
pub struct ModelClock;

impl Clock for ModelClock {
    fn now(&self) -> Instant {
        sync::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + sync::Instant::now().since_the_start()
    }

    fn runs_by_itself(&self) -> bool {
        true
    }
}
