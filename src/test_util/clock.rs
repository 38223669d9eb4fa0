//! A clock that is moved by hand.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use crate::runtime::Clock;

/// Both clocks, standing still until they are moved. Clones share them.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<(Instant, SystemTime)>>);

impl TestClock {
    /// Both clocks at what they are.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), SystemTime::now()))))
    }

    fn clocks(&self) -> MutexGuard<'_, (Instant, SystemTime)> {
        // Each change is whole before it can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves both clocks.
    pub fn advance(&self, by: Duration) {
        let mut clocks = self.clocks();
        clocks.0 += by;
        clocks.1 += by;
    }

    /// Moves the wall clock alone: the machine was asleep, or somebody has set the time.
    pub fn jump_wall(&self, by: Duration) {
        self.clocks().1 += by;
    }

    /// Moves the wall clock back.
    pub fn jump_wall_back(&self, by: Duration) {
        self.clocks().1 -= by;
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.clocks().0
    }

    fn wall(&self) -> SystemTime {
        self.clocks().1
    }
}
