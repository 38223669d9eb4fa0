//! Renews the credential although no request asks for one.
//!
//! What the task does, by the state that it finds. The first row that fits counts:
//!
//! | state | what the task does |
//! | --- | --- |
//! | the cache is gone, or evicted | ends |
//! | a login is under way | waits for its end; declares it lost when it is overdue |
//! | signed out | waits until somebody signs in |
//! | fresh, also while rejections are held back | waits until the credential ages or ends |
//! | a pause after a failed login | waits for the end of the pause |
//! | aging, in a concurrent session | logs in |
//! | within the margin or expired | logs in |
//! | without a credential: new, reset or rejected | logs in |
//!
//! It logs in where a request would, by the same checks under the same lock. So it causes no login that a
//! request at that time would not cause. Its own logins start at least a second apart: a lost login
//! causes no pause, and must not be repeated in a loop.
//!
//! It waits until something changes or becomes due, and for 30 seconds at most: only the wall clock shows
//! that the machine was suspended. Commands, rejections and the ends of logins report a change.
//!
//! The task holds the cache only while it looks. The drop of the cache is a change too.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    Cache,
    freshness::CHECK_EVERY,
    lifespan::{Freshness, Lifespan},
};
use crate::{
    error::Error,
    login::LoginReason,
    runtime::{
        Moment,
        sync::{Instant, Notify, time},
    },
};

/// The shortest time between the starts of two logins of one task.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the tasks that keep a cache warm that something has changed. Its drop is a change.
#[derive(Default)]
pub(super) struct Changes(Arc<Notify>);

impl Changes {
    /// To be called without a lock: it wakes tasks.
    pub(super) fn notify(changes: Option<&Self>) {
        if let Some(changes) = changes {
            changes.0.notify_waiters();
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Cache {
    /// Renews the credential until the cache is dropped.
    pub(in crate::provider) fn keep_warm(
        self: &Arc<Self>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let mut locked = self.lock();
        let changes = locked.changes.get_or_insert_default();
        let keeper = Keeper {
            cache: Arc::downgrade(self),
            changed: Arc::clone(&changes.0),
            logged_in_at: None,
        };
        drop(locked);
        keeper.run()
    }
}

struct Keeper {
    cache: Weak<Cache>,
    changed: Arc<Notify>,
    /// When its last login started.
    logged_in_at: Option<Instant>,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            // Before the state is read: then no change is missed.
            let changed = Arc::clone(&self.changed).notified_owned();
            let Some(check_in) = self.log_in_if_due() else {
                break;
            };
            // Whether it ends by a change or by the time makes no difference.
            let _ = time::timeout(check_in.min(CHECK_EVERY), changed).await;
        }
    }

    /// Starts a login if one is due, and returns the time until the next look. `None` ends the task.
    fn log_in_if_due(&mut self) -> Option<Duration> {
        let cache = self.cache.upgrade()?;
        let now = Moment::of(&*cache.setup.clock);
        let locked = cache.lock();
        if locked.is_evicted {
            return None;
        }
        if let Some(flight) = locked.flight.clone() {
            drop(locked);
            if flight.is_overdue(|| now) {
                cache.lose_login(&flight);
                return Some(Duration::ZERO);
            }
            return Some(flight.overdue_in());
        }
        if locked.is_signed_out {
            return Some(CHECK_EVERY);
        }
        let current = cache.current.load_full();
        let freshness = |lifespan: &Lifespan| lifespan.freshness(|| now);
        let freshness = current.as_ref().map(|entry| freshness(&entry.lifespan));
        if freshness == Some(Freshness::Fresh) {
            let fresh_for = current.and_then(|entry| entry.lifespan.fresh_for(now));
            return Some(fresh_for.unwrap_or(CHECK_EVERY));
        }
        if let Some(next_attempt) = locked.pause_at(now).and_then(Error::next_attempt) {
            return Some(next_attempt.saturating_duration_since(now.monotonic));
        }
        let next_login = self.logged_in_at.map(|at| at + PAUSE);
        let pause = next_login.map(|at| at.saturating_duration_since(Instant::now()));
        if let Some(pause) = pause.filter(|pause| !pause.is_zero()) {
            return Some(pause);
        }
        let reason = match freshness {
            Some(Freshness::Aging) => LoginReason::RefreshAhead,
            _ => cache.login_reason(&locked, now),
        };
        let Some(runtime) = cache.login_runtime() else {
            return Some(CHECK_EVERY); // the timer panics, and says why
        };
        self.logged_in_at = Some(Instant::now());
        let flight = cache.start_login(locked, &runtime, now, reason);
        // A runtime that is shut down drops the task in `spawn`, and will run no other login either.
        let is_dropped =
            |outcome: &Result<_, Error>| outcome.as_ref().is_err_and(Error::is_login_dropped);
        match flight.outcome() {
            Some(outcome) if is_dropped(outcome) => None,
            _ => Some(flight.overdue_in()),
        }
    }
}
