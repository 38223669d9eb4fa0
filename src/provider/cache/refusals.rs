//! Which refusals are worth a login: a pure question about what has happened so far.
//!
//! A refusal may mean that the credential is dead, which a login cures; that its owner may not do
//! what was asked, which no login cures; or that somebody else logs in to the same account, where
//! each login of ours revokes theirs and the other way round. From status and headers they look
//! the same. They differ in what follows:
//!
//! - a login *cures* when a refused request is accepted under the new generation, or when the new
//!   generation is accepted and not refused soon after;
//! - a generation that goes on being accepted long after it was refused is alive: the refusal was
//!   about permission, and so are others like it;
//! - generations that work, and are dead soon after, one after the other, have a rival.

use std::time::{Duration, Instant};

use crate::authorization::Generation;

/// How long refusals go on, with no acceptance among them, before they cause another login, once
/// logins have cured nothing. It doubles with each of those.
const MINIMUM: Duration = Duration::from_secs(1);

/// Where doubling ends. What was learnt about permission is as old as this when it is forgotten.
const MAXIMUM: Duration = Duration::from_secs(5 * 60);

/// A generation that is refused at less than this age had a brief life.
const BRIEF: Duration = Duration::from_secs(5 * 60);

/// So many brief lives in a row are no accident.
const RIVALRY: u32 = 3;

/// As [`MINIMUM`], while brief lives follow each other.
const TRUCE: Duration = Duration::from_secs(60);

/// A generation is dead when refusals go on for so long, with no acceptance among them.
const DEAD: Duration = Duration::from_secs(10);

/// So many refusals may come between acceptances by chance.
const AMONG_OTHERS: u32 = 2;

/// What is accepted so much later than a refusal was sent after it.
const SLOWEST_ANSWER: Duration = Duration::from_secs(30);

/// The first login that may have cured nothing costs no time: its generation was accepted, before
/// it was refused as well.
const FREE: u32 = 1;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    tenure: Option<Tenure>,
    /// Logins in a row that were made for a refusal and cured nothing.
    barren: u32,
    /// Brief lives in a row.
    brief: u32,
    /// Whether those were lives, and ended: somebody else logs in.
    has_rival: bool,
    /// When a generation was last seen to be accepted after it was refused.
    survived_at: Option<Instant>,
}

/// The time of one generation.
#[derive(Debug)]
struct Tenure {
    generation: Generation,
    landed_at: Instant,
    trust: Trust,
    /// Whether it was taken out of use: what is told of it now is late.
    is_over: bool,
    has_worked: bool,
    refused_at: Option<Instant>,
    /// The refusals since it was accepted last, as far as anybody looked.
    streak: Option<Streak>,
}

#[derive(Clone, Copy, Debug)]
struct Streak {
    began_at: Instant,
    refusals: u32,
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
        // Whoever lived until it was replaced had no rival.
        if self
            .tenure
            .as_ref()
            .is_some_and(|it| it.refused_at.is_none())
        {
            self.brief = 0;
            self.has_rival = false;
        }
        self.tenure = Some(Tenure {
            generation,
            landed_at: at,
            trust: match cause {
                Cause::Need => Trust::Vindicated,
                Cause::Refusal => Trust::Open,
                Cause::RefusalInVain => Trust::InVain,
            },
            is_over: false,
            has_worked: false,
            refused_at: None,
            streak: None,
        });
    }

    fn current(&mut self, generation: Generation) -> Option<&mut Tenure> {
        let tenure = self.tenure.as_mut()?;
        (tenure.generation == generation && !tenure.is_over).then_some(tenure)
    }

    pub(super) fn accepted(&mut self, used: Generation, now: Instant) {
        let Some(tenure) = self.current(used) else {
            return;
        };
        if tenure.trust == Trust::Open {
            tenure.trust = Trust::Accepted;
        }
        tenure.has_worked = true;
        tenure.streak = None;
        let is_later = |refused_at| now.saturating_duration_since(refused_at) >= SLOWEST_ANSWER;
        if tenure.refused_at.is_some_and(is_later) {
            // That is what the barren logins and the brief lives were about.
            self.survived_at = Some(now);
            self.barren = FREE + 1;
            self.brief = self.brief.min(RIVALRY - 1);
            self.has_rival = false;
        }
    }

    /// A request refused under an older generation was accepted under this one.
    pub(super) fn cured(&mut self, used: Generation, now: Instant) {
        self.accepted(used, now);
        if let Some(tenure) = self.current(used)
            && tenure.trust != Trust::InVain
        {
            tenure.trust = Trust::Vindicated;
        }
    }

    pub(super) fn refused(&mut self, refused: Generation, now: Instant) -> Verdict {
        let Some(tenure) = self.current(refused) else {
            return Verdict::LogIn;
        };
        // What was never accepted may have been dead from its landing on.
        let began_at = if tenure.has_worked {
            now
        } else {
            tenure.landed_at
        };
        let streak = tenure.streak.get_or_insert(Streak {
            began_at,
            refusals: 0,
        });
        streak.refusals += 1;
        let (lasts, refusals) = (
            now.saturating_duration_since(streak.began_at),
            streak.refusals,
        );
        let has_worked = tenure.has_worked;
        if tenure.refused_at.is_none() {
            tenure.refused_at = Some(now);
            let age = now.saturating_duration_since(tenure.landed_at);
            let trust = tenure.trust;
            if age < BRIEF {
                self.brief += 1;
            } else {
                self.brief = 0;
                self.has_rival = false;
            }
            self.barren = match trust {
                Trust::Vindicated => 0,
                Trust::Accepted if age >= doubled(MINIMUM, self.barren) => 0,
                Trust::Accepted => self.barren + 1,
                Trust::Open | Trust::InVain => self.barren.max(FREE) + 1,
            };
        }
        let is_dead = refusals > AMONG_OTHERS && lasts >= DEAD;
        if self.brief >= RIVALRY && has_worked && is_dead {
            self.has_rival = true;
        }
        // Where some were about permission, one or two among acceptances are no news.
        let is_about_permission = self.permission_is_known(now) && !is_dead;
        if is_about_permission || lasts < self.interval() {
            Verdict::Keep
        } else {
            Verdict::LogIn
        }
    }

    /// The current generation is out of use.
    pub(super) fn taken_out(&mut self) {
        if let Some(tenure) = &mut self.tenure {
            tenure.is_over = true;
        }
    }

    /// It is in use again, since the login has failed: that cured nothing either.
    pub(super) fn put_back(&mut self) {
        self.barren = self.barren.max(FREE) + 1;
        if let Some(tenure) = &mut self.tenure {
            tenure.is_over = false;
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

    fn permission_is_known(&self, now: Instant) -> bool {
        let is_recent = |at| now.saturating_duration_since(at) < MAXIMUM;
        self.survived_at.is_some_and(is_recent)
    }

    fn interval(&self) -> Duration {
        let doubled_from = |first, count: u32, free| match count.checked_sub(free) {
            Some(times) => doubled(first, times),
            None => Duration::ZERO,
        };
        let for_barren = doubled_from(MINIMUM, self.barren, FREE + 1);
        let for_brief = doubled_from(TRUCE, self.brief, RIVALRY);
        for_barren.max(for_brief)
    }
}

fn doubled(interval: Duration, times: u32) -> Duration {
    let factor = 2_u32.checked_pow(times).unwrap_or(u32::MAX);
    interval.saturating_mul(factor).min(MAXIMUM)
}

#[cfg(test)]
mod tests;
