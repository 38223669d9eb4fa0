//! Time, as an argument.

use std::time::{Instant, SystemTime};

/// Where a provider reads the time from.
///
/// A credential is expired as soon as either clock says so: the monotonic one stops while a
/// machine sleeps, the wall clock jumps. A clock is read for each request, or for every one that is
/// not [spared it](Self::runs_by_itself): it must not wait and must not panic.
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

    /// Whether these clocks go on by themselves, and as fast as Tokio's timers, as those of the system
    /// do. Then requests are spared them:
    ///
    /// - Where the login ran on a Tokio runtime of many threads, one of its timers says when the
    ///   credential ages or ends. When that runtime is gone, the clock is read again. As long as all
    ///   of its threads are blocked, or one that has its timers in hand, the timer is late, and a
    ///   token that has expired meanwhile is sent; the refusal of it makes the next request log in.
    /// - Elsewhere the monotonic clock is read for each request.
    /// - The wall clock, which tells of a suspend, is read every 30 seconds in both cases.
    ///
    /// Asked once, when the provider is made. Defaults to false, which is right for a clock that is
    /// moved by hand.
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
