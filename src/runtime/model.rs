//! What a model needs to say: when it begins, and how time goes by.

use std::time::{Duration, Instant, SystemTime};

use super::{
    clock::Clock,
    sync::{self, time},
};

/// Begins a run of a model, at no time.
pub fn begin() {
    time::begin();
}

/// Lets time pass, and wakes who waits for it.
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
