//! What has happened in one history, and what must not have.

use std::{
    collections::hash_map::DefaultHasher,
    fmt::Display,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// Whatever must not be seen has this in it.
pub(crate) const SECRET: &str = "SECRET";

/// The history of one seed. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    now: Duration,
    lines: Vec<String>,
    violations: Vec<String>,
    counts: Counts,
}

macro_rules! counts {
    ($($name:ident),* $(,)?) => {
        /// What has happened how often.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct Counts { $(pub(crate) $name: u64),* }

        impl Counts {
            pub(crate) fn add(&mut self, other: Self) { $(self.$name += other.$name;)* }

            pub(crate) fn named(self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counts! {
    requests, answered, refused, failed, given_up, replays, waits,
    logins, failed_logins, background_logins, refreshes, refused_refreshes, kept_refusals,
    contentions, resets, restarts_with_a_credential,
    partitions, oneway_partitions, holds, lossy_spells, crashes, client_crashes, revocations,
    clock_jumps, outages, rate_limits, slow_spells, lost_answers, lagging_spells,
    forbidden, redirects, foreign_requests,
}

impl Record {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap()
    }

    /// The time of the network. Hosts have clocks of their own.
    pub(crate) fn now(&self) -> Duration {
        self.pages().now
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.pages().now = now;
    }

    pub(crate) fn write(&self, who: &str, what: impl Display) {
        let mut pages = self.pages();
        let line = format!("{:>9.3} {who}: {what}", pages.now.as_secs_f64());
        pages.lines.push(line);
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.pages().counts);
    }

    pub(crate) fn violation(&self, who: &str, what: impl Display) {
        self.write(who, format!("VIOLATION {what}"));
        let mut pages = self.pages();
        let line = pages.lines.last().unwrap().clone();
        pages.violations.push(line);
    }

    /// I5: looks for a secret in what anybody may print.
    pub(crate) fn must_hide_secrets(&self, who: &str, printed: &str) {
        if printed.contains(SECRET) {
            self.violation(who, format!("I5: a secret in {printed:?}"));
        }
    }

    pub(crate) fn close(&self) -> History {
        let mut pages = self.pages();
        History {
            lines: std::mem::take(&mut pages.lines),
            violations: std::mem::take(&mut pages.violations),
            counts: pages.counts,
        }
    }
}

/// What is left of a run.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) lines: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
}

impl History {
    pub(crate) fn digest(&self) -> u64 {
        // Its keys are fixed, unlike those of a `HashMap`.
        let mut hasher = DefaultHasher::new();
        self.lines.hash(&mut hasher);
        hasher.finish()
    }
}
