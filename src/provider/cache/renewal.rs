//! Logs in when the login reports a change: [`Login::changed`](crate::Login::changed).
//!
//! After each login, a task awaits the login's future, and follows the task of the previous login. When the
//! future ends, the task logs in, whatever the age of the credential:
//!
//! | state | what the task does |
//! | --- | --- |
//! | a login is under way | leaves the change to the task that follows that login, which may have begun too early |
//! | a login has begun since the change | nothing |
//! | signed out, or evicted | nothing; it starts again with the next login |
//! | the cache is gone | nothing |
//! | a pause after a failed login | logs in: what failed may just have been repaired |
//! | any other | logs in |
//!
//! A lost login counts as a change: the change that it was for may be lost with it.
//!
//! The task holds the cache only while it looks at it.

use std::{sync::Arc, time::Duration};

use super::{Cache, Freshness};
use crate::{
    login::LoginReason,
    runtime::{
        Moment, catch,
        sync::{AbortHandle, Instant, time},
    },
};

/// The shortest time from the end of a login to the start of the next one that a change causes. A future
/// that ends at once must not make logins in a loop.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Watch {
    task: Option<AbortHandle>,
    /// The number of tasks so far.
    number: u64,
    /// Whether a change has been reported, or a login was lost, and no login has begun since.
    pub(super) has_changed: bool,
}

impl Drop for Watch {
    /// Stops the task.
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Cache {
    /// Starts the task, and stops the previous one. Does nothing for a login that reports no changes. To be
    /// called when the login's outcome is out: otherwise a change may find the login still under way.
    pub(super) fn watch_for_change(self: &Arc<Self>) {
        let Some(changed) = catch(|| self.setup.login.changed()).flatten() else {
            return;
        };
        let Some(runtime) = self.login_runtime() else {
            return;
        };
        let earliest = Instant::now() + PAUSE;
        let mut locked = self.lock();
        locked.watch.number += 1;
        let number = locked.watch.number;
        // The change stays until a login begins: another task may follow before this one has run.
        let has_changed = locked.watch.has_changed;
        drop(locked);
        let cache = Arc::downgrade(self);
        let task = runtime.spawn(async move {
            if !has_changed {
                changed.await;
            }
            // No `await` since the future has ended: the next task cannot stop this one in between.
            let is_last = cache.upgrade().map(|cache| cache.report_change(number));
            if is_last == Some(true) {
                time::sleep(earliest.saturating_duration_since(Instant::now())).await;
            }
            if let Some(cache) = cache.upgrade() {
                cache.log_in_for_change();
            }
        });
        let task = task.abort_handle();
        let mut locked = self.lock();
        // The next login may have ended since, and its task is the last one.
        let obsolete = match locked.watch.number == number {
            true => locked.watch.task.replace(task),
            false => Some(task),
        };
        drop(locked);
        if let Some(obsolete) = obsolete {
            obsolete.abort();
        }
    }

    /// Returns whether the task of this number is the last one. The next one does not know of the change.
    fn report_change(&self, number: u64) -> bool {
        let mut locked = self.lock();
        locked.watch.has_changed = true;
        locked.watch.number == number
    }

    fn log_in_for_change(self: &Arc<Self>) {
        let Some(runtime) = self.login_runtime() else {
            return;
        };
        let now = Moment::of(&*self.setup.clock);
        let mut locked = self.lock();
        if locked.flight.is_some() || !locked.watch.has_changed {
            return;
        }
        if locked.is_signed_out || locked.is_evicted {
            locked.watch.has_changed = false;
            return;
        }
        let current = self.current.load_full();
        let freshness = current.map(|entry| entry.lifespan.freshness(|| now));
        let reason = match freshness {
            Some(Freshness::Fresh | Freshness::Aging) => LoginReason::RefreshAhead,
            Some(Freshness::Expired) | None => self.login_reason(&locked, now),
        };
        self.start_login(locked, &runtime, now, reason);
    }
}
