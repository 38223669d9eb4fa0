//! Time, as an argument.

use std::time::{Instant, SystemTime};

/// Where a provider reads the time from.
///
/// A credential is expired as soon as either clock says so: the monotonic one stops while a
/// machine sleeps, the wall clock jumps. A clock is read for each request: it must not wait and
/// must not panic.
///
/// # Examples
///
/// A clock that a test moves by hand:
///
/// ```
/// use std::{sync::{Arc, Mutex}, time::{Duration, Instant}};
/// use tower_bearer::{CachedProvider, Clock, Credential, login_fn};
///
/// #[derive(Clone)]
/// struct HandClock(Arc<Mutex<Instant>>);
///
/// impl Clock for HandClock {
///     fn now(&self) -> Instant {
///         *self.0.lock().unwrap()
///     }
/// }
///
/// let clock = HandClock(Arc::new(Mutex::new(Instant::now())));
/// let provider = CachedProvider::builder(login_fn(|_| async { Err("offline".into()) }))
///     .starting_with(Credential::new("abc")?.with_lifetime(Duration::from_secs(60)))
///     .clock(clock.clone())
///     .build();
/// assert!(provider.current().is_some());
/// *clock.0.lock().unwrap() += Duration::from_secs(60);
/// assert!(provider.current().is_none());
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The monotonic clock.
    fn now(&self) -> Instant;

    /// The wall clock. Defaults to [`SystemTime::now`].
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Whether these clocks go on by themselves, as those of the system do. Then they are not read
    /// for each request: a timer stands in for them where there can be one, and the wall clock is
    /// looked at no less than every 30 seconds. Defaults to false, which is right for a clock that
    /// is moved by hand.
    fn runs_by_itself(&self) -> bool {
        false
    }
}

/// The clocks of the system, the default. The monotonic one is Tokio's, so that it stands still
/// where a test has paused Tokio's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn runs_by_itself(&self) -> bool {
        true
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) monotonic: Instant,
    pub(crate) wall: SystemTime,
}

impl Moment {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self {
            monotonic: clock.now(),
            wall: clock.wall(),
        }
    }
}
