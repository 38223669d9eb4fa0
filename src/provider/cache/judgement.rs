//! What becomes of a credential that servers accept and reject.

use std::{sync::Arc, time::Duration};

use super::{
    Cache, Course, Held,
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
        let mut course = self.course();
        if !course.issued.contains(&generation) {
            return Verdict::new(Reason::Unknown); // another account's
        }
        let before = Suspicions::of(&course.rejections, now);
        // The rules hear of late rejections too: the next login is to cure those targets as well.
        let decision = course
            .rejections
            .rejected(receipt.target(), generation, now.monotonic);
        self.watch_targets(&course);
        let next_attempt = course.pause_at(now).and_then(Error::next_attempt);
        let backing_off =
            next_attempt.map(|at| Verdict::new(Reason::BackingOff).with_next_login(at));
        let held = match self.current.load_full() {
            Some(held) if held.generation() == generation => held,
            Some(held) if held.lifespan.outlasts(now, Duration::ZERO) => {
                return Verdict::new(Reason::Late);
            }
            _ => return backing_off.unwrap_or(Verdict::new(Reason::Late)),
        };
        course.counts.rejections += 1;
        let is_login_due = course.flight.is_some() || !held.lifespan.outlasts(now, Duration::ZERO);
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
            .saturating_duration_since(held.landed_at.monotonic);
        if verdict.is_log_in() {
            self.set_current(&mut course, None);
            course.rejected = Some(held);
        }
        let after = Suspicions::of(&course.rejections, now);
        let is_contended = after.of_a_rival && !before.of_a_rival;
        course.counts.contentions += u64::from(is_contended);
        drop(course);
        let observers = &self.setup.observers;
        observers.tell(&CredentialEvent::Rejected {
            generation,
            is_kept: !verdict.is_log_in(),
        });
        if let Decision::Keep { reason, next_login } = decision
            && !verdict.is_log_in()
            && !before.are_held_back
        {
            observers.tell(&CredentialEvent::LoginHeldBack {
                generation,
                reason,
                next_login,
            });
        }
        if is_contended {
            observers.tell(&CredentialEvent::Contended { generation });
        }
        verdict.with_age(age)
    }

    /// The login has failed: the credential that was rejected is put back into use, for want of a
    /// better one. The rejection may have been about permission, and if it was not, the next one
    /// says so.
    pub(super) fn put_back(&self, course: &mut Course) {
        if self.current.load().is_none()
            && let Some(rejected) = course.rejected.take()
        {
            self.set_current(course, Some(rejected));
        }
    }

    /// On the way of every request: a look at one word, unless it may be news.
    #[inline]
    pub(in crate::provider) fn accept(&self, receipt: Receipt) {
        if self.watched.has(receipt.target()) {
            self.accept_watched(receipt);
        }
    }

    #[cold]
    fn accept_watched(&self, receipt: Receipt) {
        let now = self.setup.clock.now();
        let mut course = self.course();
        let (target, generation) = (receipt.target(), receipt.generation());
        course.rejections.accepted(target, generation, now);
        self.watch_targets(&course);
    }

    /// Has the acceptances reported that the rules wait for.
    pub(super) fn watch_targets(&self, course: &Course) {
        self.watched.set(course.rejections.watched());
    }

    /// Makes a credential the current one.
    pub(super) fn publish(&self, course: &mut Course, held: Arc<Held>, at: Moment) {
        course.rejected = None;
        let generation = held.generation();
        course.rejections.logged_in(generation, at.monotonic);
        self.watch_targets(course);
        if course.issued.len() == REMEMBERED {
            course.issued.pop_front();
        }
        course.issued.push_back(generation);
        self.set_current(course, Some(held));
    }
}

/// What the rules suspect.
struct Suspicions {
    of_a_rival: bool,
    are_held_back: bool,
}

impl Suspicions {
    fn of(rejections: &Rejections, now: Moment) -> Self {
        Self {
            of_a_rival: rejections.is_rival_suspected(now.monotonic),
            are_held_back: rejections.held_back(now.monotonic).is_some(),
        }
    }
}
