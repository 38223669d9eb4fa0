//! The events of one history, and its violations.

use std::{
    collections::hash_map::DefaultHasher,
    fmt::Display,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// Every secret contains this text.
pub(crate) const SECRET: &str = "SECRET";

/// The history of one seed. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    now: Duration,
    lines: Vec<String>,
    violations: Vec<String>,
    counts: Counts,
}

macro_rules! counts {
    ($($name:ident),* $(,)?) => {
        /// The number of events of each kind.
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
    requests, answered, rejected, failed, given_up, replays, waits,
    logins, failed_logins, background_logins, refreshes, refused_refreshes, kept_rejections,
    contentions, resets, restarts_with_a_credential,
    partitions, oneway_partitions, holds, lossy_spells, crashes, client_crashes, revocations,
    clock_jumps, outages, rate_limits, slow_spells, lost_answers, lagging_spells,
    forbidden, redirects, foreign_requests,
}

impl Record {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap()
    }

    /// The time of the network. Hosts have clocks of their own.
    pub(crate) fn now(&self) -> Duration {
        self.entries().now
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.entries().now = now;
    }

    pub(crate) fn write(&self, who: &str, what: impl Display) {
        let mut entries = self.entries();
        let line = format!("{:>9.3} {who}: {what}", entries.now.as_secs_f64());
        entries.lines.push(line);
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.entries().counts);
    }

    pub(crate) fn violation(&self, who: &str, what: impl Display) {
        self.write(who, format!("VIOLATION {what}"));
        let mut entries = self.entries();
        let line = entries.lines.last().unwrap().clone();
        entries.violations.push(line);
    }

    /// I5: searches printable text for a secret.
    pub(crate) fn must_hide_secrets(&self, who: &str, printed: &str) {
        if printed.contains(SECRET) {
            self.violation(who, format!("I5: a secret in {printed:?}"));
        }
    }

    pub(crate) fn close(&self) -> History {
        let mut entries = self.entries();
        History {
            lines: std::mem::take(&mut entries.lines),
            violations: std::mem::take(&mut entries.violations),
            counts: entries.counts,
        }
    }
}

/// The result of a run.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) lines: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
}

impl History {
    pub(crate) fn digest(&self) -> u64 {
        // Its keys are fixed, unlike those of `HashMap`.
        let mut hasher = DefaultHasher::new();
        self.lines.hash(&mut hasher);
        hasher.finish()
    }
}
