//! The fresh mark and the expiry timer: how requests avoid reading a clock.
//!
//! Reading a clock costs as much as the rest of the hot path. While nothing is due, one atomic word, the
//! *fresh mark*, holds the number of the current generation. A request then only compares two numbers.
//! A task, the *expiry timer*, clears the mark when something is due: the credential ages or expires, or
//! the next background login may be made.
//!
//! ```text
//!                   a credential without an expiry becomes current;
//!                   an expiry timer starts
//!   ┌────────────┐ ────────────────────────────────────────────────► ┌────────────┐
//!   │  mark = 0  │                                                   │  mark = g  │
//!   └────────────┘ ◄──────────────────────────────────────────────── └────────────┘
//!                   another credential becomes current, or none;
//!                   a login fails; a snapshot finds the expiry; the timer task ends
//! ```
//!
//! What a request reads, by state:
//!
//! | mark | clock runs by itself | read for each request |
//! | --- | --- | --- |
//! | its generation | - | no clock |
//! | 0 | yes | the monotonic clock; both clocks once `fresh_until` has passed, at least every 30 s |
//! | 0 | no | both clocks, if the credential has an expiry |
//!
//! The timer runs only on a multi-threaded runtime, and only if the clock runs by itself. It wakes at
//! least every 30 s to read both clocks, since the monotonic clock stops while the machine sleeps. It
//! ends when something is due, when its credential is replaced, or with its runtime or its cache.
//!
//! # Locks
//!
//! A generation is stored in the mark only under the cache's lock, together with the current credential.
//! A 0 may be stored without the lock: requests then read the clocks, which is always correct. The timer
//! task clears only its own generation, and only while it is active. All accesses are relaxed, since the
//! mark publishes no other data. The timer reads the user's clock before it takes the lock.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Cache, Entry, Locked, lifespan::Freshness};
use crate::{
    credential::Generation,
    runtime::{
        Moment,
        sync::{AbortHandle, RuntimeFlavor, time},
    },
};

/// The longest time between two readings of both clocks. Only the wall clock shows that the machine was
/// suspended: timers and the monotonic clock stop meanwhile.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(30);

/// The handle of the timer task. Dropping it stops the task.
pub(super) struct ExpiryTimer {
    task: AbortHandle,
    /// `Some` while the task may clear the mark. An aborted task ends some time later, and by then the
    /// mark may belong to the next timer.
    active: Option<Arc<()>>,
}

impl Drop for ExpiryTimer {
    fn drop(&mut self) {
        self.active = None;
        self.task.abort();
    }
}

impl Cache {
    /// Replaces the current credential, and returns the previous one.
    pub(super) fn set_current(
        &self,
        locked: &mut Locked,
        entry: Option<Arc<Entry>>,
    ) -> Option<Arc<Entry>> {
        locked.expiry_timer = None;
        // Clear the mark first: after the swap, the previous generation must not count as fresh.
        self.fresh_mark.store(0, Ordering::Relaxed);
        let endless = entry.as_ref().filter(|entry| entry.lifespan.is_endless());
        let endless = endless.map(|entry| entry.generation());
        let previous = self.current.swap(entry);
        if let Some(generation) = endless {
            self.mark_fresh(generation);
        }
        previous
    }

    /// Starts the expiry timer on the runtime of logins, if the clock and the runtime allow it. Otherwise
    /// requests read the clock.
    ///
    /// A current-thread runtime gets no timer. It is driven only inside `block_on`, and then polls ready
    /// tasks before its timers: after an idle hour, a request would still find the mark set.
    pub(super) fn start_expiry_timer(self: &Arc<Self>, locked: &mut Locked, now: Moment) {
        if !self.runs_by_itself {
            return;
        }
        let Some(entry) = self.current.load_full() else {
            return;
        };
        let Some(check_in) = locked.next_check_in(&entry, now) else {
            return;
        };
        entry.set_fresh_until(now.monotonic + check_in.min(CHECK_EVERY));
        let Some(runtime) = self.login_runtime() else {
            return;
        };
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return;
        }
        let generation = entry.generation();
        locked.expiry_timer = None;
        self.mark_fresh(generation);
        let active = Arc::new(());
        // Spawned under the lock: dropping the task takes no lock, even if the runtime drops it at once.
        let expiry_task = ExpiryTask {
            cache: Arc::downgrade(self),
            generation,
            active: Arc::downgrade(&active),
        };
        locked.expiry_timer = Some(ExpiryTimer {
            task: runtime.spawn(expiry_task.run()).abort_handle(),
            active: Some(active),
        });
    }

    /// Clears the mark, so that the next request checks whether something is due.
    pub(super) fn clear_fresh_mark(&self, locked: &mut Locked) {
        locked.expiry_timer = None;
        self.fresh_mark.store(0, Ordering::Relaxed);
        if let Some(entry) = &*self.current.load() {
            entry.set_fresh_until(entry.received_at.monotonic);
        }
    }

    fn mark_fresh(&self, generation: Generation) {
        self.fresh_mark
            .store(generation.number().get(), Ordering::Relaxed);
    }

    /// Whether the generation is the current one, and nothing is due.
    #[inline]
    pub(in crate::provider) fn is_marked_fresh(&self, generation: Generation) -> bool {
        self.fresh_mark.load(Ordering::Relaxed) == generation.number().get()
    }

    /// Compares the mark, and reads the clocks only if it is not set.
    pub(super) fn freshness(&self, entry: &Entry) -> Freshness {
        if self.is_marked_fresh(entry.generation()) {
            return Freshness::Fresh;
        }
        if !self.runs_by_itself {
            return entry.lifespan.freshness(|| Moment::of(&*self.setup.clock));
        }
        let monotonic = self.setup.clock.now();
        if entry.is_known_fresh_at(monotonic) {
            return Freshness::Fresh;
        }
        let now = Moment {
            monotonic,
            wall: self.setup.clock.wall(),
        };
        if let Some(fresh_for) = entry.lifespan.fresh_for(now) {
            entry.set_fresh_until(monotonic + fresh_for.min(CHECK_EVERY));
        }
        entry.lifespan.freshness(|| now)
    }
}

impl Locked {
    /// The time until something is due, or `None` if something is due now.
    ///
    /// For a fresh credential, that is when it ages or expires. For an aging one, it is when the login
    /// under way is overdue or the next one may be made, or the expiry.
    fn next_check_in(&self, entry: &Entry, now: Moment) -> Option<Duration> {
        let lifespan = &entry.lifespan;
        if lifespan.freshness(|| now) != Freshness::Aging {
            return lifespan.fresh_for(now);
        }
        let until = match &self.flight {
            Some(flight) => flight.overdue_in(),
            None => {
                let next_attempt = self.pause_at(now)?.next_attempt()?;
                next_attempt.saturating_duration_since(now.monotonic)
            }
        };
        let left = lifespan.left(now).unwrap_or(Duration::MAX);
        Some(until.min(left)).filter(|check_in| !check_in.is_zero())
    }
}

/// The timer task. It holds the cache weakly, and ends with it.
struct ExpiryTask {
    cache: Weak<Cache>,
    generation: Generation,
    active: Weak<()>,
}

impl ExpiryTask {
    async fn run(self) {
        while let Some(check_in) = self.next_check_in() {
            time::sleep(check_in.min(CHECK_EVERY)).await;
        }
    }

    /// As [`Locked::next_check_in`]. `None` also if the credential was replaced.
    fn next_check_in(&self) -> Option<Duration> {
        let cache = self.cache.upgrade()?;
        let now = Moment::of(&*cache.setup.clock);
        let locked = cache.lock();
        let current = cache.current.load_full()?;
        let is_current = current.generation() == self.generation;
        is_current
            .then(|| locked.next_check_in(&current, now))
            .flatten()
    }
}

impl Drop for ExpiryTask {
    /// Clears the mark, also if the runtime drops the task: then requests read the clock.
    fn drop(&mut self) {
        if self.active.strong_count() == 0 {
            return;
        }
        if let Some(cache) = self.cache.upgrade() {
            let marked = self.generation.number().get();
            // Only this task's own mark: the current credential may have its own timer.
            let _ =
                cache
                    .fresh_mark
                    .compare_exchange(marked, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl Entry {
    /// Whether nothing is due at that time, according to the last reading of both clocks.
    fn is_known_fresh_at(&self, at: Instant) -> bool {
        self.nanos_since_received(at) < self.fresh_until.load(Ordering::Relaxed)
    }

    fn set_fresh_until(&self, until: Instant) {
        // Relaxed: a request that reads an older value reads the clocks once more.
        self.fresh_until
            .store(self.nanos_since_received(until), Ordering::Relaxed);
    }

    /// In nanoseconds.
    fn nanos_since_received(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.received_at.monotonic);
        since.as_nanos().try_into().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
