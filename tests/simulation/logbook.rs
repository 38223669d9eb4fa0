//! The actions of one provider, checked against the rules.

use std::{
    error::Error as _,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use tower_bearer::{Clock, Credential, CredentialEvent, Error, Generation, Session};

use crate::{clock::HostClock, issuer::Ledger, published::Published, record::Record};

/// Clones share it. It lives as long as its process.
#[derive(Clone)]
pub(crate) struct Logbook {
    pub(crate) who: String,
    pub(crate) record: Record,
    pub(crate) clock: HostClock,
    ledger: Ledger,
    session: Session,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// In the order of publication.
    published: Vec<Published>,
    /// From a login that has not ended yet.
    handed: Option<Published>,
    sent: Option<(Instant, SystemTime)>,
    in_flight: u32,
    is_taken_out: bool,
    has_failed: bool,
    /// The end of the pause after a failure.
    not_before: Option<(Instant, SystemTime)>,
    must_wait_until: Option<(Instant, SystemTime)>,
    was_reset: bool,
    resets: u64,
    /// The number of resets when the last login began.
    resets_before: u64,
    asks_for_fresh: bool,
    /// Logins after a rejection of a token that is still valid for the issuer, since the last
    /// necessary login.
    unneeded: u32,
    unneeded_since: Option<Instant>,
    is_unneeded: bool,
}

/// A login under way, also one that is dropped.
pub(crate) struct InFlight(Logbook);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}

impl Logbook {
    pub(crate) fn new(
        who: String,
        record: Record,
        clock: HostClock,
        ledger: Ledger,
        session: Session,
    ) -> Self {
        Self {
            who,
            record,
            clock,
            ledger,
            session,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn violation(&self, what: impl std::fmt::Display) {
        self.record.violation(&self.who, what);
    }

    /// The provider starts with a credential that existed.
    pub(crate) fn starts_with(&self, credential: &Credential, generation: Option<Generation>) {
        let now = (self.clock.now(), self.clock.wall());
        let mut published = Published::new(credential, now, now, true);
        published.generation = generation;
        self.state().published.push(published);
    }

    pub(crate) fn resets(&self) -> u64 {
        self.state().resets
    }

    pub(crate) fn reset(&self) {
        let mut state = self.state();
        state.resets += 1;
        state.was_reset = true;
        state.not_before = None;
        state.must_wait_until = None;
    }

    pub(crate) fn asks_for_fresh(&self) {
        self.state().asks_for_fresh = true;
    }

    /// The server asks the client to wait for this long.
    pub(crate) fn must_wait(&self, time: Duration) {
        let until = (self.clock.now() + time, self.clock.wall() + time);
        self.state().must_wait_until = Some(until);
    }

    /// The number of credentials published so far.
    pub(crate) fn published(&self) -> usize {
        self.state().published.len()
    }

    /// The number of the credential of a request, from 1 on. The token must have been published,
    /// and must not be over.
    pub(crate) fn sends(&self, token: &str) -> usize {
        let now = self.clock.now();
        // Clocks that run by themselves are exempt: the wall clock is checked every 30 seconds.
        let wall = (!self.clock.runs_by_itself()).then(|| self.clock.wall());
        let state = self.state();
        let number = state.published.iter().rposition(|it| it.token == token);
        let Some(number) = number else {
            drop(state);
            self.violation("I8: a token is sent that was never published");
            return 0;
        };
        let published = &state.published[number];
        let is_over = published.is_over(now, wall);
        drop(state);
        if is_over {
            self.violation("a token is sent after its end");
        }
        number + 1
    }

    /// A login begins. Checks I1, and that it has a cause (I4).
    pub(crate) fn takes_off(&self) -> InFlight {
        let now = (self.clock.now(), self.clock.wall());
        let mut state = self.state();
        state.in_flight += 1;
        state.sent = Some(now);
        state.resets_before = state.resets;
        let in_flight = state.in_flight;
        let cause = state.cause(now, self.session);
        let pauses = [state.not_before, state.must_wait_until];
        // A pause ends when either clock says so.
        let is_early = pauses
            .into_iter()
            .flatten()
            .any(|(until, wall)| now.0 < until && now.1 < wall);
        state.is_unneeded &= cause == Some("rejection");
        drop(state);
        self.record.count(|counts| counts.logins += 1);
        self.record.write(
            &self.who,
            format!("logs in: {}", cause.unwrap_or("no cause")),
        );
        if in_flight > 1 {
            self.violation(format!("I1: {in_flight} logins in flight"));
        }
        if cause.is_none() {
            self.violation("I4: a login without a cause");
        }
        if cause == Some("age") {
            self.record.count(|counts| counts.background_logins += 1);
        }
        if is_early {
            self.violation("I4: a login within the pause after a failure");
        }
        InFlight(self.clone())
    }

    pub(crate) fn handed(&self, credential: &Credential) {
        let answered = (self.clock.now(), self.clock.wall());
        self.record
            .must_hide_secrets(&self.who, &format!("{credential:?} {credential:#?}"));
        let mut state = self.state();
        let sent = state.sent.unwrap_or(answered);
        state.handed = Some(Published::new(credential, sent, answered, false));
    }

    pub(crate) fn observe(&self, event: &CredentialEvent) {
        self.record
            .must_hide_secrets(&self.who, &format!("{event:?} {event:#?}"));
        match event {
            CredentialEvent::LoggedIn { generation, .. } => self.logged_in(*generation),
            CredentialEvent::LoginFailed { error, .. } => {
                let mut state = self.state();
                state.has_failed = true;
                // A lost login causes no pause, and its clock is gone with its runtime.
                if !error.is_login_lost() {
                    let (now, wall) = (self.clock.now(), self.clock.wall());
                    let shortest = now + Duration::from_millis(100);
                    let until = error.next_attempt().map_or(shortest, |at| at.max(shortest));
                    state.not_before = Some((until, wall + (until - now)));
                }
                drop(state);
                self.record.count(|counts| counts.failed_logins += 1);
                let text = self.read(error);
                self.record
                    .write(&self.who, format!("login failed: {text}"));
            }
            CredentialEvent::LoginDiscarded { error, .. } => {
                let mut state = self.state();
                state.handed = None;
                // Its failure is ignored too.
                state.must_wait_until = None;
                drop(state);
                if let Some(error) = error {
                    self.read(error);
                }
                self.record.write(&self.who, "login discarded");
            }
            CredentialEvent::RefreshFailed { error, .. } => {
                self.read(error);
                self.record.count(|counts| counts.refused_refreshes += 1);
            }
            CredentialEvent::Rejected {
                generation,
                is_kept,
                ..
            } => self.rejected(*generation, *is_kept),
            CredentialEvent::Contended { .. } => {
                self.record.count(|counts| counts.contentions += 1);
                self.record.write(&self.who, "another client logs in");
            }
            _ => {}
        }
    }

    fn logged_in(&self, generation: Generation) {
        let now = self.clock.now();
        let mut state = self.state();
        let handed = state.handed.take();
        let is_handed = handed.is_some();
        let is_stale = state.resets_before != state.resets;
        if let Some(handed) = handed {
            state.published.push(Published {
                generation: Some(generation),
                ..handed
            });
        }
        if !state.is_unneeded {
            state.unneeded = 0;
            state.unneeded_since = Some(now);
        }
        state.is_unneeded = false;
        state.is_taken_out = false;
        state.has_failed = false;
        state.was_reset = false;
        state.asks_for_fresh = false;
        state.not_before = None;
        let number = state.published.len();
        drop(state);
        self.record
            .write(&self.who, format!("has credential {number}"));
        if is_stale {
            self.violation("a login from before a reset is used");
        }
        if !is_handed {
            self.violation("a credential is in use that `on_credential` did not get");
        }
    }

    fn rejected(&self, generation: Generation, is_kept: bool) {
        let now = self.clock.now();
        let state = self.state();
        let current = state.published.last();
        let is_current = current.is_some_and(|it| it.generation == Some(generation));
        let token = current.map(|current| current.token.clone());
        drop(state);
        let outcome = if is_kept { "kept" } else { "taken out" };
        self.record.write(&self.who, format!("rejected: {outcome}"));
        if !is_current {
            self.violation("a late rejection has an effect");
        }
        if is_kept {
            self.record.count(|counts| counts.kept_rejections += 1);
            return;
        }
        let is_alive = token.is_some_and(|token| self.ledger.is_alive(&token));
        let mut state = self.state();
        state.is_taken_out = true;
        state.is_unneeded = is_alive;
        state.unneeded += u32::from(is_alive);
        let since = *state.unneeded_since.get_or_insert(now);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        let unneeded = state.unneeded;
        drop(state);
        // A few for each target until it is known, and then one for each pause. Pauses double: this
        // is the bound for many forbidden targets at once (REJECTIONS.md, row 9c).
        if f64::from(unneeded) > 16.0 + seconds / 60.0 {
            self.violation(format!(
                "I4: {unneeded} logins within {seconds:.1} s after rejections of valid tokens"
            ));
        }
    }

    /// The text of an error with its causes. I5: it has no secrets.
    pub(crate) fn read(&self, error: &Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        self.record
            .must_hide_secrets(&self.who, &format!("{text} {error:?} {error:#?}"));
        text
    }
}

impl State {
    /// Why a login may begin now.
    fn cause(&self, (now, wall): (Instant, SystemTime), session: Session) -> Option<&'static str> {
        let Some(current) = self.published.last() else {
            return Some(if self.has_failed { "retry" } else { "first" });
        };
        if self.is_taken_out {
            return Some("rejection");
        }
        if self.has_failed {
            return Some("retry");
        }
        if self.was_reset {
            return Some("reset");
        }
        if self.asks_for_fresh {
            return Some("asked for a fresh one");
        }
        let used_for = current.used_for()?;
        let age = now.saturating_duration_since(current.sent.0);
        let wall_age = wall.duration_since(current.sent.1).unwrap_or_default();
        if age >= used_for || wall_age >= used_for {
            return Some("expiry");
        }
        let is_aging = age >= used_for.mul_f64(0.7);
        (is_aging && session == Session::Concurrent).then_some("age")
    }
}
