//! A clock that is moved by hand.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use tower_bearer::Clock;

/// Both clocks, standing still until they are moved. Clones share them.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<Mutex<(Instant, SystemTime)>>);

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), SystemTime::now()))))
    }

    /// Moves both clocks.
    pub(crate) fn advance(&self, by: Duration) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += by;
        clocks.1 += by;
    }

    /// Moves the wall clock alone: the machine was asleep, or somebody has set the time.
    pub(crate) fn jump_wall(&self, by: Duration) {
        self.0.lock().unwrap().1 += by;
    }

    /// Moves the wall clock back.
    pub(crate) fn jump_wall_back(&self, by: Duration) {
        self.0.lock().unwrap().1 -= by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        self.0.lock().unwrap().0
    }

    fn wall(&self) -> SystemTime {
        self.0.lock().unwrap().1
    }
}
