//! The state of a provider, at one moment.

use crate::authorization::Generation;

/// The state of a [`CachedProvider`](crate::CachedProvider) at one moment, and what it has counted
/// so far.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) generation: Option<Generation>,
    pub(super) is_contended: bool,
    pub(super) counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) logins: u64,
    pub(super) failed_logins: u64,
    pub(super) rejections: u64,
    pub(super) contentions: u64,
}

impl Snapshot {
    /// The generation of the credential in use, or of one that has expired and was not replaced.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// Whether somebody else seems to log in to the same account:
    /// [`Event::Contended`](crate::Event::Contended).
    #[must_use]
    pub fn is_contended(&self) -> bool {
        self.is_contended
    }

    /// Logins that brought a credential.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.counts.logins
    }

    /// Logins that failed or were lost.
    #[must_use]
    pub fn failed_logins(&self) -> u64 {
        self.counts.failed_logins
    }

    /// Rejections of a credential that was the current one.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.counts.rejections
    }

    /// How often somebody else has seemed to log in to the same account.
    #[must_use]
    pub fn contentions(&self) -> u64 {
        self.counts.contentions
    }
}
