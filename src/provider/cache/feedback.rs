//! What becomes of a credential that servers accept and reject.

use std::{sync::Arc, time::Duration};

use super::{
    Cache, Entry, Locked,
    rejections::{Decision, Rejections},
};
use crate::{
    error::Error,
    provider::{
        observers::CredentialEvent,
        receipt::{Reason, Receipt, Rejected, Verdict},
    },
    runtime::Moment,
};

/// So many generations are known to be ours. News about an older one is late beyond all use.
const REMEMBERED: usize = 64;

impl Cache {
    /// Takes a rejected generation out of use, if it is the current one and a login may be made.
    pub(in crate::provider) fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        let receipt = rejected.receipt;
        let generation = receipt.generation();
        let now = Moment::of(&*self.setup.clock);
        let mut locked = self.lock();
        if !locked.issued.contains(&generation) {
            return Verdict::new(Reason::Unknown); // another account's
        }
        let before = Suspicions::of(&locked.rejections, now);
        // The rules hear of late rejections too: the next login is to cure those targets as well.
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
        let is_login_due = locked.flight.is_some() || !entry.lifespan.outlasts(now, Duration::ZERO);
        // What cannot be replaced now stays: the rejection may have been about permission.
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
            locked.rejected = Some(entry);
        }
        let after = Suspicions::of(&locked.rejections, now);
        let is_contended = after.is_contention && !before.is_contention;
        locked.counts.contentions += u64::from(is_contended);
        drop(locked);
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
        verdict.with_age(age)
    }

    /// The login has failed: the credential that was rejected is put back into use, for want of a
    /// better one. The rejection may have been about permission, and if it was not, the next one
    /// says so.
    pub(super) fn restore_rejected(&self, locked: &mut Locked) {
        if self.current.load().is_none()
            && let Some(rejected) = locked.rejected.take()
        {
            self.set_current(locked, Some(rejected));
        }
    }

    /// On the way of every request: a look at one word, unless it may be news.
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

    /// Has the acceptances reported that the rules wait for.
    pub(super) fn update_awaited(&self, locked: &Locked) {
        self.awaited.set(locked.rejections.awaited_targets());
    }

    /// Makes a credential the current one.
    pub(super) fn publish(&self, locked: &mut Locked, entry: Arc<Entry>, at: Moment) {
        locked.rejected = None;
        let generation = entry.generation();
        locked.rejections.logged_in(generation, at.monotonic);
        self.update_awaited(locked);
        if locked.issued.len() == REMEMBERED {
            locked.issued.pop_front();
        }
        locked.issued.push_back(generation);
        self.set_current(locked, Some(entry));
    }
}

/// What the rules suspect.
struct Suspicions {
    is_contention: bool,
    is_held_back: bool,
}

impl Suspicions {
    fn of(rejections: &Rejections, now: Moment) -> Self {
        Self {
            is_contention: rejections.is_contention_suspected(now.monotonic),
            is_held_back: rejections.held_back(now.monotonic).is_some(),
        }
    }
}
