//! Whether the current credential is still fresh, at the price of a comparison.
//!
//! A clock costs as much as all else that a request pays. So one word says what is fresh, and a
//! timer takes it back when something is due. Where there is no such timer, the monotonic clock is
//! read for each request, and both clocks as often as the timer would.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Cache, Entry, Locked, lifespan::Freshness};
use crate::{
    credential::Generation,
    runtime::{
        Moment,
        sync::{AbortHandle, Handle, RuntimeFlavor, time},
    },
};

/// How often both clocks are looked at. The wall clock tells of a suspend, which timers and the
/// monotonic clock sleep through.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// The task that takes back what the word says. It ends with what it watches.
pub(super) struct ExpiryTimer {
    task: AbortHandle,
    /// There as long as the word is the task's to take back: it ends a while after it is told to,
    /// and the word may be another's by then.
    active: Option<Arc<()>>,
}

impl Drop for ExpiryTimer {
    fn drop(&mut self) {
        self.active = None;
        self.task.abort();
    }
}

impl Cache {
    /// Makes a credential the current one, or none.
    pub(super) fn set_current(
        &self,
        locked: &mut Locked,
        entry: Option<Arc<Entry>>,
    ) -> Option<Arc<Entry>> {
        locked.expiry_timer = None;
        // First: who has seen a newer one must not be told that an older one is fresh.
        self.fresh_mark.store(0, Ordering::Relaxed);
        let endless = entry.as_ref().filter(|entry| entry.lifespan.is_endless());
        let endless = endless.map(|entry| entry.generation());
        let before = self.current.swap(entry);
        if let Some(generation) = endless {
            self.mark_fresh(generation);
        }
        before
    }

    /// Lets requests be until something is due: on this runtime a timer says when, if it can.
    ///
    /// A runtime of one thread is driven only while somebody waits on it, and then runs what waits
    /// before its timers: a request that comes after an hour would be told that all is fresh.
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
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return;
        }
        let generation = entry.generation();
        locked.expiry_timer = None;
        self.mark_fresh(generation);
        let active = Arc::new(());
        // Nothing of it takes the lock when it is dropped at once.
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

    /// Has the next request look whether something is due.
    pub(super) fn clear_fresh_mark(&self, locked: &mut Locked) {
        locked.expiry_timer = None;
        self.fresh_mark.store(0, Ordering::Relaxed);
        if let Some(entry) = &*self.current.load() {
            entry.set_fresh_until(entry.received_at.monotonic);
        }
    }

    /// Relaxed, here and below: nothing else is read by the word.
    fn mark_fresh(&self, generation: Generation) {
        self.fresh_mark
            .store(generation.number().get(), Ordering::Relaxed);
    }

    /// Whether the generation is known to be the current one, with nothing due.
    #[inline]
    pub(in crate::provider) fn is_marked_fresh(&self, generation: Generation) -> bool {
        self.fresh_mark.load(Ordering::Relaxed) == generation.number().get()
    }

    /// By the word, and where that says nothing by the clocks.
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
    /// How long no request need look at anything: until the credential ages or ends; once it ages,
    /// until the login under way is overdue, or the next one may be made. `None` when something is
    /// due.
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

/// What the task does.
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

    /// How long nothing is due; `None` when something is.
    fn next_check_in(&self) -> Option<Duration> {
        let cache = self.cache.upgrade()?;
        let now = Moment::of(&*cache.setup.clock);
        let locked = cache.lock();
        let current = cache.current.load_full()?;
        let is_there = current.generation() == self.generation;
        is_there
            .then(|| locked.next_check_in(&current, now))
            .flatten()
    }
}

impl Drop for ExpiryTask {
    /// Also where its runtime drops it: then the clock is read.
    fn drop(&mut self) {
        if self.active.strong_count() == 0 {
            return;
        }
        if let Some(cache) = self.cache.upgrade() {
            let said = self.generation.number().get();
            // Only what it has said itself; what is current now may have a watch of its own.
            let _ =
                cache
                    .fresh_mark
                    .compare_exchange(said, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl Entry {
    /// Whether nothing is due at that time, as far as the last look at both clocks could tell.
    fn is_known_fresh_at(&self, at: Instant) -> bool {
        self.nanos_since_received(at) < self.fresh_until.load(Ordering::Relaxed)
    }

    fn set_fresh_until(&self, until: Instant) {
        // Relaxed: whoever sees an older one looks once more.
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
