//! Which refusals are worth a login: a pure question about what has happened so far.
//!
//! A refusal may mean that the credential is dead, which a login cures; that its owner may not do
//! what was asked, which no login cures; or that somebody else logs in to the same account, where
//! each login of ours revokes theirs and the other way round. From status and headers they look
//! the same. They differ in what follows:
//!
//! - a login *cures* when a refused request is accepted under the new generation, or when the new
//!   generation is accepted and not refused soon after;
//! - a generation that goes on being accepted after it was refused is alive: the refusal was about
//!   permission;
//! - generations that work, and are dead soon after, one after the other, have a rival.

use std::time::{Duration, Instant};

use crate::authorization::Generation;

/// The least time between the last sign of life and the login that a refusal causes, once logins
/// have cured nothing. It doubles with each of them.
const MINIMUM: Duration = Duration::from_secs(1);

/// Where doubling ends.
const MAXIMUM: Duration = Duration::from_secs(5 * 60);

/// A generation that is refused at less than this age had a brief life.
const BRIEF: Duration = Duration::from_secs(5 * 60);

/// So many brief lives in a row are no accident.
const RIVALRY: u32 = 3;

/// The least time between logins while brief lives follow each other. It doubles with each.
const TRUCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Refusals {
    tenure: Option<Tenure>,
    /// Logins in a row that were made for a refusal and cured nothing. One whose generation was
    /// accepted at first counts half: the first of those costs no time.
    barren: u32,
    /// Brief lives in a row.
    brief: u32,
    /// Whether those were lives, and ended: somebody else logs in.
    has_rival: bool,
}

/// The time of one generation.
#[derive(Debug)]
struct Tenure {
    generation: Generation,
    landed_at: Instant,
    /// When it was seen to be alive last, as far as anybody looked.
    alive_at: Instant,
    trust: Trust,
    has_worked: bool,
    refused_at: Option<Instant>,
    /// Refusals since it was seen to be alive.
    refusals: u32,
    /// Whether it was accepted after a refusal.
    survives_refusals: bool,
}

/// What a login was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// There was no credential, or it was about to expire.
    Need,
    Refusal,
    /// As `Refusal`, and it brought the very token that was refused.
    RefusalInVain,
}

/// Whether the login has cured what it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It has, or there was nothing to cure.
    Vindicated,
    /// Its generation was accepted.
    Accepted,
    /// Its generation has had no answer yet, or refusals alone.
    Open,
    /// It cannot have.
    InVain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The generation goes out of use.
    LogIn,
    /// It stays in use, and its refusal is its caller's.
    Keep,
}

impl Refusals {
    pub(super) fn landed(&mut self, generation: Generation, at: Instant, cause: Cause) {
        self.tenure = Some(Tenure {
            generation,
            landed_at: at,
            alive_at: at,
            trust: match cause {
                Cause::Need => Trust::Vindicated,
                Cause::Refusal => Trust::Open,
                Cause::RefusalInVain => Trust::InVain,
            },
            has_worked: false,
            refused_at: None,
            refusals: 0,
            survives_refusals: false,
        });
    }

    pub(super) fn accepted(&mut self, used: Generation, now: Instant) {
        let Some(tenure) = self.tenure.as_mut().filter(|it| it.generation == used) else {
            return;
        };
        if tenure.trust == Trust::Open {
            tenure.trust = Trust::Accepted;
        }
        tenure.has_worked = true;
        tenure.alive_at = now;
        tenure.refusals = 0;
        // What is answered soon after a refusal may have been sent before it.
        let is_later = |refused_at| now.saturating_duration_since(refused_at) >= MINIMUM;
        if tenure.refused_at.is_some_and(is_later) {
            tenure.survives_refusals = true;
            self.brief = 0;
            self.has_rival = false;
            self.barren = self.barren.max(2);
        }
    }

    /// A request refused under an older generation was accepted under this one.
    pub(super) fn cured(&mut self, used: Generation, now: Instant) {
        self.accepted(used, now);
        if let Some(tenure) = self.tenure.as_mut().filter(|it| it.generation == used)
            && tenure.trust != Trust::InVain
        {
            tenure.trust = Trust::Vindicated;
        }
    }

    pub(super) fn refused(&mut self, refused: Generation, now: Instant) -> Verdict {
        let Some(tenure) = self.tenure.as_mut().filter(|it| it.generation == refused) else {
            return Verdict::LogIn;
        };
        tenure.refusals += 1;
        if tenure.refused_at.is_none() {
            tenure.refused_at = Some(now);
            let age = now.saturating_duration_since(tenure.landed_at);
            if age < BRIEF {
                self.brief += 1;
            } else {
                self.brief = 0;
                self.has_rival = false;
            }
            self.barren = match tenure.trust {
                Trust::Vindicated => 0,
                Trust::Accepted if age >= doubled(MINIMUM, self.barren) => 0,
                Trust::Accepted => self.barren + 1,
                Trust::Open | Trust::InVain => (self.barren + 1).max(2),
            };
        }
        // A second refusal, so that one about permission is no sign of a rival.
        if self.brief >= RIVALRY && tenure.has_worked && tenure.refusals >= 2 {
            self.has_rival = true;
        }
        let quiet = now.saturating_duration_since(tenure.alive_at);
        // One more among acceptances is about permission; two with none between need not be.
        let is_about_permission = tenure.survives_refusals && tenure.refusals < 2;
        if is_about_permission || quiet < self.interval() {
            Verdict::Keep
        } else {
            Verdict::LogIn
        }
    }

    /// Whether somebody else seems to log in to the same account. A generation that lives for
    /// long says that it is over.
    pub(super) fn are_by_a_rival(&self, now: Instant) -> bool {
        let lives = |it: &Tenure| {
            let age = now.saturating_duration_since(it.landed_at);
            it.refused_at.is_none() && age >= BRIEF
        };
        self.has_rival && !self.tenure.as_ref().is_some_and(lives)
    }

    fn interval(&self) -> Duration {
        let for_barren = match self.barren.checked_sub(2) {
            Some(more) => doubled(MINIMUM, more),
            None => Duration::ZERO,
        };
        let for_brief = match self.brief.checked_sub(RIVALRY) {
            Some(more) => doubled(TRUCE, more),
            None => Duration::ZERO,
        };
        for_barren.max(for_brief)
    }
}

fn doubled(interval: Duration, times: u32) -> Duration {
    let factor = 2_u32.checked_pow(times).unwrap_or(u32::MAX);
    interval.saturating_mul(factor).min(MAXIMUM)
}

#[cfg(test)]
mod tests;
