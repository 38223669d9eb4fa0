//! The state of a provider, at one moment.

use std::time::{Duration, Instant};

use crate::{credential::Generation, error::Error};

/// The state of a [`CachedProvider`](crate::CachedProvider) at one moment, and what it has counted
/// so far.
///
/// What the layer counts, it tells itself:
/// [`replays`](crate::BearerAuthLayer::replays), [`bare_requests`](crate::BearerAuthLayer::bare_requests).
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) state: CredentialState,
    pub(super) is_logging_in: bool,
    pub(super) generation: Option<Generation>,
    pub(super) age: Option<Duration>,
    pub(super) usable_for: Option<Duration>,
    pub(super) next_attempt: Option<Instant>,
    pub(super) last_error: Option<Error>,
    pub(super) held_back: Option<HeldBack>,
    pub(super) is_contention_suspected: bool,
    pub(super) counts: Counts,
}

/// What the next request would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialState {
    /// No credential: the request logs in.
    Empty,
    /// No credential, and a login is under way: the request waits for it.
    LoggingIn,
    /// A credential.
    Fresh,
    /// A credential, and a background login is due, under way, or has failed and is due later.
    Aging,
    /// A credential that was rejected, and stays in use: logins for such rejections have not helped,
    /// and the next one is made later. [`Snapshot::held_back`] says when.
    HeldBack,
    /// A credential that is no longer used: the request logs in.
    Expired,
    /// No credential, and the last login has failed: the request fails at once.
    BackingOff,
}

/// Rejections of the current credential that cause no login for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBack {
    /// How many there were in this pause.
    pub rejections: u64,
    /// When the first of them came, by the provider's clock.
    pub since: Instant,
    /// When the next login may be made, by the provider's clock.
    pub next_login: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) logins: u64,
    pub(super) failed_logins: u64,
    pub(super) discarded_logins: u64,
    pub(super) waits: u64,
    pub(super) rejections: u64,
    pub(super) contentions: u64,
}

impl Snapshot {
    /// What the next request would find.
    #[must_use]
    pub fn state(&self) -> CredentialState {
        self.state
    }

    /// Whether a login is under way, in the background or waited for.
    #[must_use]
    pub fn is_logging_in(&self) -> bool {
        self.is_logging_in
    }

    /// The generation of the credential in use, or of one that has expired and was not replaced.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// How long ago that credential came.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// How long it is used from now on, its margin taken off; zero once it has expired. `None`
    /// without a credential, and without an expiry.
    #[must_use]
    pub fn usable_for(&self) -> Option<Duration> {
        self.usable_for
    }

    /// What the last login failed with, unless one has succeeded since.
    #[must_use]
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// Before when no login is made, by the provider's clock; `None` where one may be made now.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        self.next_attempt
    }

    /// The rejections that cause no login for now, in the state [`HeldBack`](CredentialState::HeldBack).
    #[must_use]
    pub fn held_back(&self) -> Option<HeldBack> {
        self.held_back
    }

    /// Whether another client may be using the account:
    /// [`CredentialEvent::Contended`](crate::CredentialEvent::Contended). A suspicion, never a fact.
    #[must_use]
    pub fn is_contention_suspected(&self) -> bool {
        self.is_contention_suspected
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

    /// Logins whose outcome a [`reset`](crate::CachedProvider::reset) came before.
    #[must_use]
    pub fn discarded_logins(&self) -> u64 {
        self.counts.discarded_logins
    }

    /// How often somebody has waited for a login.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.counts.waits
    }

    /// Rejections of a credential that was the current one.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.counts.rejections
    }

    /// How often the suspicion arose that another client uses the account.
    #[must_use]
    pub fn contentions(&self) -> u64 {
        self.counts.contentions
    }
}
