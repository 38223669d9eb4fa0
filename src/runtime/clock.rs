//! The source of time.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

/// The source of time for a provider: a monotonic clock and a wall clock.
///
/// A credential is expired if either clock says so: the monotonic clock may stop while the machine
/// sleeps, and the wall clock may jump.
///
/// A [`Box`] or an [`Arc`] of a clock is a clock too.
///
/// The clocks are read for each request, or less often if they
/// [run by themselves](Self::runs_by_itself). So the methods must not block and must not panic.
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
/// struct ManualClock(Arc<Mutex<Instant>>);
///
/// impl Clock for ManualClock {
///     fn now(&self) -> Instant {
///         *self.0.lock().unwrap()
///     }
/// }
///
/// let clock = ManualClock(Arc::new(Mutex::new(Instant::now())));
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

    /// Whether the clocks run by themselves, at the speed of Tokio's timers, as the system's clocks
    /// do. Requests then read them less often:
    ///
    /// - After a login on a multi-threaded Tokio runtime, a timer of that runtime replaces the
    ///   monotonic clock. It fires when the credential ages or expires. When that runtime is gone, the
    ///   clock is read again.
    /// - After any other login, the monotonic clock is read for each request.
    /// - The wall clock reveals that the machine was suspended. It is read every 30 seconds in both
    ///   cases.
    ///
    /// If the runtime's threads are blocked, the timer fires late. It is enough that the thread that
    /// drives the timers is blocked. A token that has expired meanwhile is sent; its rejection makes
    /// the next request log in.
    ///
    /// Called once, when the provider is built. Defaults to false, which is right for a clock that a
    /// test moves.
    fn runs_by_itself(&self) -> bool {
        false
    }
}

/// The system's clocks, the default. The monotonic clock is Tokio's, so it stands still while a test
/// pauses Tokio's time.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Clock, SystemClock};
///
/// let earlier = SystemClock.now();
/// assert!(SystemClock.now() >= earlier);
/// ```
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

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        C::now(self)
    }

    fn wall(&self) -> SystemTime {
        C::wall(self)
    }

    fn runs_by_itself(&self) -> bool {
        C::runs_by_itself(self)
    }
}

impl<C: Clock + ?Sized> Clock for Box<C> {
    fn now(&self) -> Instant {
        C::now(self)
    }

    fn wall(&self) -> SystemTime {
        C::wall(self)
    }

    fn runs_by_itself(&self) -> bool {
        C::runs_by_itself(self)
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
