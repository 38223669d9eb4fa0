//! A clock that a test moves.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use crate::runtime::Clock;

/// A monotonic clock and a wall clock that stand still until a test moves them. Clones share the
/// time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{CachedProvider, test_util::{ScriptedLogin, TestClock}};
///
/// # tokio_test::block_on(async {
/// let clock = TestClock::new();
/// let login = ScriptedLogin::new().with_lifetime(Duration::from_secs(3600));
/// let provider = CachedProvider::builder(login).clock(clock.clone()).build();
///
/// provider.acquire().await?;
/// assert!(provider.current().is_some());
/// clock.advance(Duration::from_secs(3600));
/// assert!(provider.current().is_none());
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<(Instant, SystemTime)>>);

impl TestClock {
    /// A clock that starts at the current time.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), SystemTime::now()))))
    }

    fn clocks(&self) -> MutexGuard<'_, (Instant, SystemTime)> {
        // No change is left half-done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut clocks = self.clocks();
        clocks.0 += by;
        clocks.1 += by;
    }

    /// Moves only the wall clock forward, as after a suspend or a change of the time.
    pub fn jump_wall(&self, by: Duration) {
        self.clocks().1 += by;
    }

    /// Moves only the wall clock back.
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
