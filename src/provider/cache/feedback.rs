//! Reports of acceptances and rejections: they decide whether the current credential stays in use.
//!
//! The rules are in [`rejections`](super::rejections). This file calls them under the cache's lock, and
//! notifies observers after it is released.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Cache, Entry, Locked, RejectedEntry,
    keep_warm::Changes,
    rejections::{Decision, Rejections},
};
use crate::{
    error::Error,
    login::Challenge,
    provider::{
        observers::CredentialEvent,
        receipt::{Reason, Receipt, Rejected, Verdict},
    },
    runtime::Moment,
};

/// The number of generations that are known as this cache's. Reports about older ones are ignored.
const REMEMBERED: usize = 64;

impl Cache {
    /// Handles a rejection: takes the generation out of use if it is the current one and a login may be
    /// made.
    pub(in crate::provider) fn reject(self: &Arc<Self>, rejected: &Rejected<'_>) -> Verdict {
        let verdict = self.judge(rejected);
        #[cfg(feature = "store")]
        if verdict.next_login().is_some() {
            self.look_at_store();
        }
        self.setup.observers.measure_rejection(verdict);
        verdict
    }

    fn judge(&self, rejected: &Rejected<'_>) -> Verdict {
        let receipt = rejected.receipt;
        let generation = receipt.generation();
        let now = Moment::of(&*self.setup.clock);
        // Read without the lock: it is only needed if this generation is the current one.
        let challenges = match rejected.headers {
            Some(headers) if self.generation() == Some(generation) => Challenge::parse(headers),
            _ => Vec::new(),
        };
        let mut locked = self.lock();
        if !locked.issued.contains(&generation) {
            return Verdict::new(Reason::Unknown); // another provider's
        }
        let before = Standing::of(&locked.rejections, now);
        // Late rejections are reported too, to learn whether a newer generation helps those targets.
        let decision = locked
            .rejections
            .rejected(receipt.target(), generation, now.monotonic);
        self.update_awaited(&locked);
        let next_attempt = locked.pause_at(now).and_then(Error::next_attempt);
        let backing_off =
            next_attempt.map(|at| Verdict::new(Reason::BackingOff).with_next_login(at));
        let entry = match self.current.load_full() {
            Some(entry) if entry.generation() == generation => entry,
            Some(entry) if entry.lifespan.outlasts(now, Duration::ZERO) => {
                return Verdict::new(Reason::Late);
            }
            _ => return backing_off.unwrap_or(Verdict::new(Reason::Late)),
        };
        locked.counts.rejections += 1;
        if matches!(decision, Decision::LogIn) {
            entry.is_distrusted.store(true, Ordering::Relaxed);
        }
        let is_login_due = locked.flight.is_some() || !entry.lifespan.outlasts(now, Duration::ZERO);
        // Without a login, the credential stays in use: the rejection may mean a missing permission.
        let verdict = match (backing_off, decision) {
            (Some(backing_off), _) => backing_off,
            (None, Decision::Keep { reason, next_login }) if !is_login_due => {
                Verdict::new(reason).with_next_login(next_login)
            }
            (None, _) => Verdict::new(Reason::Current),
        };
        let age = now
            .monotonic
            .saturating_duration_since(entry.received_at.monotonic);
        if verdict.is_log_in() {
            self.set_current(&mut locked, None);
            locked.rejected = Some(RejectedEntry {
                entry,
                challenges: challenges.into(),
            });
        }
        let after = Standing::of(&locked.rejections, now);
        let is_contended = after.is_contention && !before.is_contention;
        locked.counts.contentions += u64::from(is_contended);
        let changes = locked.changes.clone();
        drop(locked);
        if verdict.is_log_in() {
            self.measure_expiry();
        }
        let observers = &self.setup.observers;
        observers.notify(&CredentialEvent::Rejected {
            generation,
            is_kept: !verdict.is_log_in(),
        });
        if let Decision::Keep { reason, next_login } = decision
            && !verdict.is_log_in()
            && !before.is_held_back
        {
            observers.notify(&CredentialEvent::LoginHeldBack {
                generation,
                reason,
                next_login,
            });
        }
        if is_contended {
            observers.notify(&CredentialEvent::Contended { generation });
        }
        if verdict.is_log_in() {
            Changes::notify(changes.as_deref());
        }
        verdict.with_age(age)
    }

    /// Puts the rejected credential back in use after a failed login, since there is no better one. The
    /// rejection may have meant a missing permission. If the token is dead, it is rejected again.
    pub(super) fn restore_rejected(&self, locked: &mut Locked) {
        if self.current.load().is_none()
            && let Some(rejected) = locked.rejected.take()
        {
            self.set_current(locked, Some(rejected.entry));
        }
    }

    /// Handles an acceptance. For most targets this reads one word, since every response calls it.
    #[inline]
    pub(in crate::provider) fn accept(&self, receipt: Receipt) {
        if self.awaited.has(receipt.target()) {
            self.accept_awaited(receipt);
        }
    }

    #[cold]
    fn accept_awaited(&self, receipt: Receipt) {
        let now = self.setup.clock.now();
        let mut locked = self.lock();
        let (target, generation) = (receipt.target(), receipt.generation());
        locked.rejections.accepted(target, generation, now);
        self.update_awaited(&locked);
    }

    /// Updates the filter to the targets whose acceptances the rules await.
    pub(super) fn update_awaited(&self, locked: &Locked) {
        self.awaited.set(locked.rejections.awaited_targets());
    }

    /// Makes a new credential the current one, and reports its generation to the rules. Returns the
    /// replaced one.
    pub(super) fn publish(
        &self,
        locked: &mut Locked,
        entry: Arc<Entry>,
        at: Moment,
    ) -> Option<Arc<Entry>> {
        let rejected = locked.rejected.take();
        let generation = entry.generation();
        locked.rejections.logged_in(generation, at.monotonic);
        self.update_awaited(locked);
        if locked.issued.len() == REMEMBERED {
            locked.issued.pop_front();
        }
        locked.issued.push_back(generation);
        self.set_current(locked, Some(entry))
            .or(rejected.map(|rejected| rejected.entry))
    }
}

/// What the rules report before and after a rejection, to see what it has changed.
struct Standing {
    is_contention: bool,
    is_held_back: bool,
}

impl Standing {
    fn of(rejections: &Rejections, now: Moment) -> Self {
        Self {
            is_contention: rejections.is_contention_suspected(now.monotonic),
            is_held_back: rejections.held_back(now.monotonic).is_some(),
        }
    }
}
