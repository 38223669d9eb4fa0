//! Whether the current credential is still fresh, at the price of a comparison.
//!
//! A clock costs as much as all else that a request pays. So one word says what is fresh, and a
//! timer takes it back when something is due. Where there is no such timer, the monotonic clock is
//! read for each request, and both clocks as often as the timer would.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Cache, Course, Held, lifespan::Freshness};
use crate::{
    credential::Generation,
    runtime::{
        Moment,
        sync::{AbortHandle, Handle, RuntimeFlavor, time},
    },
};

/// How often both clocks are looked at. The wall clock tells of a suspend, which timers and the
/// monotonic clock sleep through.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The task that takes back what the word says. It ends with what it watches.
pub(super) struct Watch {
    task: AbortHandle,
    /// There as long as the word is the task's to take back: it ends a while after it is told to,
    /// and the word may be another's by then.
    on_duty: Option<Arc<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.on_duty = None;
        self.task.abort();
    }
}

impl Cache {
    /// Makes a credential the current one, or none.
    pub(super) fn set_current(
        &self,
        course: &mut Course,
        held: Option<Arc<Held>>,
    ) -> Option<Arc<Held>> {
        course.watch = None;
        // First: who has seen a newer one must not be told that an older one is fresh.
        self.fresh.store(0, Ordering::Relaxed);
        let endless = held.as_ref().filter(|held| held.lifespan.is_endless());
        let endless = endless.map(|held| held.generation());
        let before = self.current.swap(held);
        if let Some(generation) = endless {
            self.say_fresh(generation);
        }
        before
    }

    /// Lets requests be until something is due: on this runtime a timer says when, if it can.
    ///
    /// A runtime of one thread is driven only while somebody waits on it, and then runs what waits
    /// before its timers: a request that comes after an hour would be told that all is fresh.
    pub(super) fn calm_down(self: &Arc<Self>, course: &mut Course, now: Moment) {
        if !self.runs_by_itself {
            return;
        }
        let Some(held) = self.current.load_full() else {
            return;
        };
        let Some(calm) = course.calm(&held, now) else {
            return;
        };
        held.keep_calm_until(now.monotonic + calm.min(LOOK_EVERY));
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return;
        }
        let generation = held.generation();
        course.watch = None;
        self.say_fresh(generation);
        let on_duty = Arc::new(());
        // Nothing of it takes the lock when it is dropped at once.
        let watchman = Watchman {
            cache: Arc::downgrade(self),
            generation,
            on_duty: Arc::downgrade(&on_duty),
        };
        course.watch = Some(Watch {
            task: runtime.spawn(watchman.watch()).abort_handle(),
            on_duty: Some(on_duty),
        });
    }

    /// Has the next request look whether something is due.
    pub(super) fn look_again(&self, course: &mut Course) {
        course.watch = None;
        self.fresh.store(0, Ordering::Relaxed);
        if let Some(held) = &*self.current.load() {
            held.keep_calm_until(held.landed_at.monotonic);
        }
    }

    /// Relaxed, here and below: nothing else is read by the word.
    fn say_fresh(&self, generation: Generation) {
        self.fresh
            .store(generation.number().get(), Ordering::Relaxed);
    }

    /// Whether the generation is known to be the current one, with nothing due.
    #[inline]
    pub(in crate::provider) fn is_said_fresh(&self, generation: Generation) -> bool {
        self.fresh.load(Ordering::Relaxed) == generation.number().get()
    }

    /// By the word, and where that says nothing by the clocks.
    pub(super) fn freshness(&self, held: &Held) -> Freshness {
        if self.is_said_fresh(held.generation()) {
            return Freshness::Fresh;
        }
        if !self.runs_by_itself {
            return held.lifespan.freshness(|| Moment::of(&*self.setup.clock));
        }
        let monotonic = self.setup.clock.now();
        if held.is_calm_at(monotonic) {
            return Freshness::Fresh;
        }
        let now = Moment {
            monotonic,
            wall: self.setup.clock.wall(),
        };
        if let Some(calm) = held.lifespan.calm(now) {
            held.keep_calm_until(monotonic + calm.min(LOOK_EVERY));
        }
        held.lifespan.freshness(|| now)
    }
}

impl Course {
    /// How long no request need look at anything: until the credential ages or ends; once it ages,
    /// until the login under way is overdue, or the next one may be made. `None` when something is
    /// due.
    fn calm(&self, held: &Held, now: Moment) -> Option<Duration> {
        let lifespan = &held.lifespan;
        if lifespan.freshness(|| now) != Freshness::Aging {
            return lifespan.calm(now);
        }
        let until = match &self.flight {
            Some(flight) => flight.overdue_in(),
            None => {
                let next_attempt = self.pause_at(now)?.next_attempt()?;
                next_attempt.saturating_duration_since(now.monotonic)
            }
        };
        let left = lifespan.left(now).unwrap_or(Duration::MAX);
        Some(until.min(left)).filter(|calm| !calm.is_zero())
    }
}

/// What the task does.
struct Watchman {
    cache: Weak<Cache>,
    generation: Generation,
    on_duty: Weak<()>,
}

impl Watchman {
    async fn watch(self) {
        while let Some(calm) = self.look() {
            time::sleep(calm.min(LOOK_EVERY)).await;
        }
    }

    /// How long nothing is due; `None` when something is.
    fn look(&self) -> Option<Duration> {
        let cache = self.cache.upgrade()?;
        let now = Moment::of(&*cache.setup.clock);
        let course = cache.course();
        let current = cache.current.load_full()?;
        let is_there = current.generation() == self.generation;
        is_there.then(|| course.calm(&current, now)).flatten()
    }
}

impl Drop for Watchman {
    /// Also where its runtime drops it: then the clock is read.
    fn drop(&mut self) {
        if self.on_duty.strong_count() == 0 {
            return;
        }
        if let Some(cache) = self.cache.upgrade() {
            let said = self.generation.number().get();
            // Only what it has said itself; what is current now may have a watch of its own.
            let _ = cache
                .fresh
                .compare_exchange(said, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl Held {
    /// Whether nothing is due at that time, as far as the last look at both clocks could tell.
    fn is_calm_at(&self, at: Instant) -> bool {
        self.since_it_landed(at) < self.calm_until.load(Ordering::Relaxed)
    }

    fn keep_calm_until(&self, until: Instant) {
        // Relaxed: whoever sees an older one looks once more.
        self.calm_until
            .store(self.since_it_landed(until), Ordering::Relaxed);
    }

    /// In nanoseconds.
    fn since_it_landed(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.landed_at.monotonic);
        since.as_nanos().try_into().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
