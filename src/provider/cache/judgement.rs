//! What becomes of a credential that servers accept and refuse.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Cache, Course, Held,
    refusals::{Cause, Verdict},
};
use crate::{authorization::Generation, clock::Moment, provider::observers::Event};

/// So many generations are known to be ours. News about an older one is late beyond all use.
const REMEMBERED: usize = 64;

/// What was refused, and is not replaced yet.
pub(super) struct Refused {
    held: Arc<Held>,
    /// Whether a login was under way already.
    during_login: bool,
}

impl Cache {
    /// Takes a refused generation out of use, if it is the current one and a login is due. Returns
    /// whether another can be had.
    pub(in crate::provider) fn reject(&self, refused: Generation) -> bool {
        let now = Moment::of(&*self.clock);
        let mut course = self.course();
        if !course.issued.contains(&refused) {
            return false; // another account's
        }
        let held = match self.current.load_full() {
            Some(held) if held.generation() == refused => held,
            Some(held) if held.lifespan.outlasts(now, Duration::ZERO) => return true,
            _ => return course.pause_at(now).is_none(),
        };
        course.counts.rejections += 1;
        let during_login = course.flight.is_some();
        let is_over = !held.lifespan.outlasts(now, Duration::ZERO);
        let was_contended = course.refusals.are_by_a_rival(now.monotonic);
        let verdict = if during_login || is_over {
            Verdict::LogIn
        } else {
            course.refusals.refused(refused, now.monotonic)
        };
        // What cannot be replaced now stays: the refusal may have been about permission.
        let is_kept = verdict == Verdict::Keep || course.pause_at(now).is_some();
        if is_kept {
            self.await_acceptance(refused);
        } else {
            self.awaited.store(0, Ordering::Relaxed);
            self.set_current(&mut course, None);
            course.refusals.taken_out();
            course.refused = Some(Refused { held, during_login });
        }
        let is_contended = course.refusals.are_by_a_rival(now.monotonic) && !was_contended;
        course.counts.contentions += u64::from(is_contended);
        drop(course);
        self.observers.tell(&Event::Rejected {
            generation: refused,
            is_kept,
        });
        if is_contended {
            self.observers.tell(&Event::Contended {
                generation: refused,
            });
        }
        !is_kept
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
    pub(in crate::provider) fn accept(&self, used: Generation) {
        if self.awaited.load(Ordering::Relaxed) == used.number().get() {
            self.accept_first(used);
        }
    }

    #[cold]
    fn accept_first(&self, used: Generation) {
        let number = used.number().get();
        let taken = self
            .awaited
            .compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_ok() {
            let now = self.clock.now();
            self.course().refusals.accepted(used, now);
        }
    }

    pub(in crate::provider) fn accept_replay(&self, used: Generation) {
        let now = self.clock.now();
        self.course().refusals.cured(used, now);
    }

    /// Makes a credential the current one.
    pub(super) fn publish(&self, course: &mut Course, held: Arc<Held>, at: Moment) {
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
