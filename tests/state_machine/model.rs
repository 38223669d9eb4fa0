//! The reference: the tokens of the server, the published credentials, and what follows from them.
//!
//! The doubles and the events of the crate feed it. It knows the documentation, not the code.

mod events;
mod requests;
mod users;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

pub(crate) use self::{
    requests::Asked,
    users::{HandedIn, Users},
};
use tower_bearer::{Clock, Generation, Session, test_util::TestClock};

use crate::{
    counts::Counts,
    script::{Case, Outcome},
};

/// The longest login, by the default policy.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The value of [`CachedProviderBuilder::random`](tower_bearer::CachedProviderBuilder::random)
/// here.
pub(crate) const CHANCE: f64 = 0.5;

type Moment = (Instant, SystemTime);

pub(crate) struct Model {
    pub(crate) case: Case,
    clock: TestClock,
    step: usize,
    /// The tokens that the server accepts, by number, and until when.
    honoured: BTreeMap<usize, Option<Instant>>,
    pub(crate) published: Vec<Published>,
    /// The index of the credential in use, expired or not.
    in_use: Option<usize>,
    /// The credential that was taken out of use, until another is published. Also whether a login
    /// was under way or due then.
    rejected: Option<(usize, bool)>,
    logins_begun: usize,
    flight: Option<Flight>,
    /// Logins that were declared lost before their futures were dropped.
    lost: BTreeSet<usize>,
    /// The credential of the last login, until it is published or discarded.
    brought: Option<Brought>,
    last_outcome: Option<Outcome>,
    failures: u32,
    permanent: u32,
    next_attempt: Option<Moment>,
    pub(crate) last_failure: Option<usize>,
    /// Whether the last login was lost: waiters on another runtime retry once.
    was_lost: bool,
    /// The steps in which a login was discarded.
    pub(crate) discards: Vec<usize>,
    /// For the next login. A login under way has taken it.
    refresh_token: Option<String>,
    pub(crate) users: Users,
    spent: BTreeSet<String>,
    /// Including late rejections: they count for their targets.
    pub(crate) rejected_since_reset: bool,
    /// The token that the last poll rejected, and the token in use before it.
    pub(crate) last_rejected: Option<usize>,
    pub(crate) was_in_use: Option<usize>,
    logins_without_effect: u32,
    /// The time of the last rejection of the current credential.
    rejected_at: Option<Instant>,
    /// Whether a login is awaited without a request.
    pub(crate) is_warming_up: bool,
    pub(crate) requests: BTreeMap<usize, Asked>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
}

/// A credential in the provider.
pub(crate) struct Published {
    pub(crate) token: usize,
    pub(crate) generation: Generation,
    pub(crate) user: u32,
    logged_in_at: Instant,
    /// The end of its use, by each clock; `None` for no expiry.
    ends: Option<Moment>,
    /// The end of its lifetime, a margin later.
    expires: Option<Moment>,
    /// Whether it was rejected. An outage within its margin then may or may not end its use.
    is_doubtful: bool,
    ages: Option<Instant>,
    /// The last step in which it could be used.
    usable_in: usize,
    is_for_rejection: bool,
    was_accepted: bool,
    was_rejected: bool,
}

impl Published {
    fn is_over(&self, now: Moment) -> bool {
        self.ends
            .is_some_and(|ends| now.0 >= ends.0 || now.1 >= ends.1)
    }

    fn has_expired(&self, now: Moment) -> bool {
        self.expires
            .is_some_and(|expires| now.0 >= expires.0 || now.1 >= expires.1)
    }
}

/// The credential within its margin that requests use while no login may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InOutage {
    Nothing,
    Certainly(usize),
    /// It was rejected before.
    Perhaps(usize),
}

struct Flight {
    number: usize,
    sent: Moment,
    /// Whether a command has discarded it.
    is_stale: bool,
    is_signed_out: bool,
    /// The refresh token that it has not taken, or has put back.
    untaken: Option<String>,
}

struct Brought {
    token: usize,
    sent: Moment,
    answered: Moment,
    refresh_token: Option<String>,
    is_for_rejection: bool,
}

impl Model {
    pub(crate) fn new(case: Case, clock: TestClock) -> Self {
        Self {
            case,
            clock,
            step: 0,
            honoured: BTreeMap::new(),
            published: Vec::new(),
            in_use: None,
            rejected: None,
            logins_begun: 0,
            flight: None,
            lost: BTreeSet::new(),
            brought: None,
            last_outcome: None,
            failures: 0,
            permanent: 0,
            next_attempt: None,
            last_failure: None,
            was_lost: false,
            discards: Vec::new(),
            refresh_token: None,
            users: Users::default(),
            spent: BTreeSet::new(),
            rejected_since_reset: false,
            last_rejected: None,
            was_in_use: None,
            logins_without_effect: 0,
            rejected_at: None,
            is_warming_up: false,
            requests: BTreeMap::new(),
            violations: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn violated(&mut self, what: impl Into<String>) {
        self.violations
            .push(format!("step {}: {}", self.step, what.into()));
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn moment(&self) -> Moment {
        (self.clock.now(), self.clock.wall())
    }

    // The server.

    pub(crate) fn lifetime(&self) -> Option<Duration> {
        (self.case.lifetime > 0).then(|| Duration::from_millis(self.case.lifetime))
    }

    fn honours_from_now_on(&mut self, token: usize, lifetime: Option<Duration>) {
        if self.case.session == Session::Exclusive {
            self.honoured.clear();
        }
        let until = lifetime.map(|lifetime| self.now() + lifetime);
        self.honoured.insert(token, until);
    }

    pub(crate) fn honours(&self, token: usize) -> bool {
        let until = self.honoured.get(&token);
        until.is_some_and(|until| until.is_none_or(|until| self.now() < until))
    }

    /// Returns whether there was anything to revoke.
    pub(crate) fn revoke_all(&mut self) -> bool {
        let any = !self.honoured.is_empty();
        self.honoured.clear();
        any
    }

    // Logins.

    /// The provider starts with this credential.
    pub(crate) fn handed_in(&mut self, generation: Generation, refresh_token: Option<String>) {
        let (now, lifetime) = (self.moment(), self.lifetime());
        self.honours_from_now_on(0, lifetime);
        self.knows_refresh_token(refresh_token.as_ref());
        self.refresh_token = refresh_token;
        self.publish(0, generation, lifetime, (now, now.0), false, Duration::ZERO);
    }

    /// A login begins. Returns its number.
    pub(crate) fn login_begins(&mut self, offered: Option<&str>, takes: bool) -> usize {
        self.logins_begun += 1;
        self.counts.logins += 1;
        let number = self.logins_begun;
        if self.flight.is_some() {
            self.violated("I1: a second login in flight");
        }
        self.flight = Some(Flight {
            number,
            sent: self.moment(),
            is_stale: false,
            is_signed_out: false,
            untaken: None,
        });
        if self.users.is_signed_out {
            self.violated("a login begins while signed out");
        }
        // I4: the causes one by one.
        if self.is_pausing() {
            self.violated("I4: a login during the pause after a failure");
        }
        let mut requests = self.requests.values();
        let user = self.users.current;
        let is_called_for = match self.usable() {
            None => self.is_warming_up || requests.any(|it| it.asks_for_login(user)),
            Some(_) => {
                self.ages()
                    || requests.clone().any(|it| it.asks_for_fresh(user))
                    || (self.was_lost && requests.any(|it| it.asks_for_login(user)))
            }
        };
        self.was_lost = false;
        if !is_called_for {
            self.violated("I4: a login without a cause");
        }
        let held = self.refresh_token.take();
        if takes {
            if offered != held.as_deref() {
                self.violated("the login was not offered the current refresh token");
            }
            if let Some(offered) = offered {
                self.offers(offered);
                if !self.spent.insert(offered.to_owned()) {
                    self.violated("I2: a spent refresh token is offered again");
                }
            }
        } else if let Some(flight) = &mut self.flight {
            flight.untaken = held;
        }
        number
    }

    pub(crate) fn puts_back(&mut self, refresh_token: &str) {
        self.spent.remove(refresh_token);
        if let Some(flight) = &mut self.flight {
            flight.untaken = Some(refresh_token.to_owned());
        }
    }

    /// The server has logged in.
    pub(crate) fn login_succeeds(&mut self, number: usize) {
        self.honours_from_now_on(number, self.lifetime());
    }

    /// Its answer arrives.
    pub(crate) fn login_brings(&mut self, number: usize, refresh_token: Option<String>) {
        let Some(sent) = self.flight.as_ref().map(|flight| flight.sent) else {
            return self.violated("a login ends that is not under way");
        };
        self.knows_refresh_token(refresh_token.as_ref());
        self.brought = Some(Brought {
            token: number,
            sent,
            answered: self.moment(),
            refresh_token,
            is_for_rejection: self.rejected.is_some_and(|(_, is_cheap)| !is_cheap),
        });
    }

    pub(crate) fn login_ended_with(&mut self, outcome: Outcome) {
        self.last_outcome = Some(outcome).filter(|_| self.flight.is_some());
    }

    /// Its future is done, or dropped.
    pub(crate) fn login_ends(&mut self, number: usize) {
        let is_under_way = self.flight.as_ref().map(|it| it.number) == Some(number);
        if !self.lost.remove(&number) && !is_under_way {
            self.violated("I1: the login that ends is not the one in flight");
        }
    }

    pub(crate) fn is_logging_in(&self) -> bool {
        self.flight.is_some()
    }

    pub(crate) fn accepted(&mut self, token: usize) {
        if let Some(it) = self.published.iter_mut().find(|it| it.token == token) {
            it.was_accepted = true;
        }
    }

    // The credential in use.

    /// The credential in use if it has not expired, by its index among the published ones.
    pub(crate) fn usable(&self) -> Option<usize> {
        let now = self.moment();
        self.in_use.filter(|at| !self.published[*at].is_over(now))
    }

    /// The credential in use if it is within its margin.
    pub(crate) fn in_margin(&self) -> Option<usize> {
        let now = self.moment();
        let is_within = |it: &Published| it.is_over(now) && !it.has_expired(now);
        self.in_use.filter(|at| is_within(&self.published[*at]))
    }

    /// The credential that requests use in the pause of a failed login.
    pub(crate) fn in_outage(&self) -> InOutage {
        match self.in_margin() {
            Some(at) if self.is_pausing() => match self.published[at].is_doubtful {
                true => InOutage::Perhaps(at),
                false => InOutage::Certainly(at),
            },
            _ => InOutage::Nothing,
        }
    }

    /// Whether a background login is due.
    pub(crate) fn ages(&self) -> bool {
        let from = self.usable().and_then(|at| self.published[at].ages);
        from.is_some_and(|from| self.now() >= from)
    }

    pub(crate) fn usable_token(&self) -> Option<usize> {
        Some(self.published[self.usable()?].token)
    }

    /// A request is about to be polled. Returns the token that is in use.
    pub(crate) fn is_polled(&mut self) -> Option<usize> {
        self.last_rejected = None;
        self.was_in_use = self.in_use.map(|at| self.published[at].token);
        self.usable_token()
    }

    pub(crate) fn is_pausing(&self) -> bool {
        let now = self.moment();
        self.next_attempt
            .is_some_and(|(at, wall)| now.0 < at && now.1 < wall)
    }

    pub(crate) fn note_what_is_usable(&mut self) {
        if let Some(usable) = self.usable().or(self.in_margin()) {
            self.published[usable].usable_in = self.step;
        }
    }

    pub(crate) fn next_step(&mut self) {
        self.step += 1;
    }
}
