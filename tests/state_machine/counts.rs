//! The number of events over all cases.

use std::{collections::BTreeMap, ops::AddAssign};

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Transitions that had an effect, by name.
    pub(crate) transitions: BTreeMap<&'static str, u64>,
    /// Transitions without an effect.
    pub(crate) idle: u64,
    pub(crate) requests: u64,
    pub(crate) logins: u64,
    pub(crate) rejections: u64,
    /// Responses with 401.
    pub(crate) rejected: u64,
    pub(crate) replays: u64,
    pub(crate) cancelled: u64,
    /// Requests that ended with an error of the crate.
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) fn total(&self) -> u64 {
        self.transitions.values().sum()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (name, count) in other.transitions {
            *self.transitions.entry(name).or_default() += count;
        }
        self.idle += other.idle;
        self.requests += other.requests;
        self.logins += other.logins;
        self.rejections += other.rejections;
        self.rejected += other.rejected;
        self.replays += other.replays;
        self.cancelled += other.cancelled;
        self.failed += other.failed;
    }
}
