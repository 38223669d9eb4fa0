//! What becomes of a credential that servers accept and refuse.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Cache, Course, Held,
    refusals::{self, Cause},
};
use crate::{
    authorization::Generation,
    clock::Moment,
    error::Error,
    provider::observers::Event,
    receipt::{Reason, Receipt, Rejected, Verdict},
};

/// So many generations are known to be ours. News about an older one is late beyond all use.
const REMEMBERED: usize = 64;

/// What was refused, and is not replaced yet.
pub(super) struct Refused {
    held: Arc<Held>,
    receipt: Receipt,
    /// Whether a login was under way already.
    during_login: bool,
}

impl Cache {
    /// Takes a rejected generation out of use, if it is the current one and a login is due.
    pub(in crate::provider) fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        let receipt = rejected.receipt;
        let generation = receipt.generation();
        let now = Moment::of(&*self.setup.clock);
        let mut course = self.course();
        if !course.issued.contains(&generation) {
            return Verdict::new(Reason::Unknown); // another account's
        }
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
        let during_login = course.flight.is_some();
        let is_over = !held.lifespan.outlasts(now, Duration::ZERO);
        let was_contended = course.refusals.are_by_a_rival(now.monotonic);
        let is_due = during_login
            || is_over
            || course.refusals.refused(generation, now.monotonic) == refusals::Verdict::LogIn;
        let age = now
            .monotonic
            .saturating_duration_since(held.landed_at.monotonic);
        // What cannot be replaced now stays: the rejection may have been about permission.
        let verdict = match backing_off {
            Some(backing_off) => backing_off,
            None if is_due => Verdict::new(Reason::Current),
            None => Verdict::new(Reason::Paused),
        };
        let is_kept = !verdict.is_log_in();
        if is_kept {
            self.await_acceptance(generation);
        } else {
            self.awaited.store(0, Ordering::Relaxed);
            self.set_current(&mut course, None);
            course.refusals.taken_out();
            course.refused = Some(Refused {
                held,
                receipt,
                during_login,
            });
        }
        let is_contended = course.refusals.are_by_a_rival(now.monotonic) && !was_contended;
        course.counts.contentions += u64::from(is_contended);
        drop(course);
        self.setup.observers.tell(&Event::Rejected {
            generation,
            is_kept,
        });
        if is_contended {
            self.setup.observers.tell(&Event::Contended { generation });
        }
        verdict.with_age(age)
    }

    /// The login has failed: what was refused is put back into use, for want of a better one. The
    /// refusal may have been about permission, and if it was not, the next one says so.
    pub(super) fn put_back(&self, course: &mut Course) {
        if self.current.load().is_none()
            && let Some(refused) = course.refused.take()
        {
            course.refusals.put_back();
            self.await_acceptance(refused.held.generation());
            self.set_current(course, Some(refused.held));
        }
    }

    fn await_acceptance(&self, of: Generation) {
        self.awaited.store(of.number().get(), Ordering::Relaxed);
    }

    /// On the way of every request: a look at one word, unless it is news.
    #[inline]
    pub(in crate::provider) fn accept(&self, receipt: Receipt) {
        if self.awaited.load(Ordering::Relaxed) == receipt.generation().number().get() {
            self.accept_first(receipt);
        }
    }

    #[cold]
    fn accept_first(&self, receipt: Receipt) {
        let used = receipt.generation();
        let number = used.number().get();
        let taken = self
            .awaited
            .compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_ok() {
            let now = self.setup.clock.now();
            let mut course = self.course();
            // The target that the login was made for: it has cured that.
            if course.to_be_cured == Some(receipt.target()) {
                course.refusals.cured(used, now);
            } else {
                course.refusals.accepted(used, now);
            }
        }
    }

    /// Makes a credential the current one.
    pub(super) fn publish(&self, course: &mut Course, held: Arc<Held>, at: Moment) {
        course.to_be_cured = course
            .refused
            .as_ref()
            .map(|refused| refused.receipt.target());
        let cause = match course.refused.take() {
            Some(refused) if refused.held.has_the_token_of(&held) => Cause::RefusalInVain,
            Some(refused) if !refused.during_login => Cause::Refusal,
            _ => Cause::Need,
        };
        let generation = held.generation();
        course.refusals.landed(generation, at.monotonic, cause);
        if course.issued.len() == REMEMBERED {
            course.issued.pop_front();
        }
        course.issued.push_back(generation);
        self.await_acceptance(generation);
        self.set_current(course, Some(held));
    }
}
