//! What one provider does, held against what it may do.

use std::{
    error::Error as _,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use tower_bearer::{Clock, Credential, CredentialEvent, Error, Generation, Session};

use crate::{clock::HostClock, issuer::Ledger, published::Published, record::Record};

/// Clones share it. It lives as long as the process that it is about.
#[derive(Clone)]
pub(crate) struct Logbook {
    pub(crate) who: String,
    pub(crate) record: Record,
    pub(crate) clock: HostClock,
    ledger: Ledger,
    session: Session,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Default)]
struct Pages {
    /// In order.
    published: Vec<Published>,
    /// By a login that has not landed yet.
    handed: Option<Published>,
    sent: Option<(Instant, SystemTime)>,
    in_flight: u32,
    is_taken_out: bool,
    has_failed: bool,
    /// The end of the pause after a failure.
    not_before: Option<Instant>,
    told_to_wait_until: Option<Instant>,
    was_reset: bool,
    resets: u64,
    /// As many as there were when the last login began.
    resets_before: u64,
    wants_fresh: bool,
    /// Logins for a refusal of what the issuer would still vouch for, since one that was needed.
    unneeded: u32,
    unneeded_since: Option<Instant>,
    is_unneeded: bool,
}

/// A login under way, also one that is dropped.
pub(crate) struct InFlight(Logbook);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.pages().in_flight -= 1;
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
            pages: Arc::default(),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }

    fn violation(&self, what: impl std::fmt::Display) {
        self.record.violation(&self.who, what);
    }

    /// The provider starts with a credential that existed.
    pub(crate) fn starts_with(&self, credential: &Credential, generation: Option<Generation>) {
        let now = (self.clock.now(), self.clock.wall());
        let mut published = Published::new(credential, now, now, true);
        published.generation = generation;
        self.pages().published.push(published);
    }

    pub(crate) fn resets(&self) -> u64 {
        self.pages().resets
    }

    pub(crate) fn reset(&self) {
        let mut pages = self.pages();
        pages.resets += 1;
        pages.was_reset = true;
        pages.not_before = None;
        pages.told_to_wait_until = None;
    }

    pub(crate) fn wants_fresh(&self) {
        self.pages().wants_fresh = true;
    }

    /// The server wants to be left alone for so long.
    pub(crate) fn is_told_to_wait(&self, time: Duration) {
        let until = self.clock.now() + time;
        self.pages().told_to_wait_until = Some(until);
    }

    /// How many credentials have been published so far.
    pub(crate) fn published(&self) -> usize {
        self.pages().published.len()
    }

    /// The number of the credential that a request is sent with, from 1 on. A token that is over, or
    /// none that was ever published, must not be sent.
    pub(crate) fn sends(&self, token: &str) -> usize {
        let now = self.clock.now();
        // Clocks that run by themselves are spared: the wall clock is looked at every 30 seconds.
        let wall = (!self.clock.runs_by_itself()).then(|| self.clock.wall());
        let pages = self.pages();
        let number = pages.published.iter().rposition(|it| it.token == token);
        let Some(number) = number else {
            drop(pages);
            self.violation("I8: a token is sent that was never published");
            return 0;
        };
        let published = &pages.published[number];
        let is_over = published.is_over(now, wall);
        drop(pages);
        if is_over {
            self.violation("a token is sent that is over");
        }
        number + 1
    }

    /// A login begins: I1, and a cause for each of I4.
    pub(crate) fn takes_off(&self) -> InFlight {
        let now = (self.clock.now(), self.clock.wall());
        let mut pages = self.pages();
        pages.in_flight += 1;
        pages.sent = Some(now);
        pages.resets_before = pages.resets;
        let in_flight = pages.in_flight;
        let cause = pages.cause(now, self.session);
        let pauses = [pages.not_before, pages.told_to_wait_until];
        let is_early = pauses.into_iter().flatten().any(|until| now.0 < until);
        pages.is_unneeded &= cause == Some("refusal");
        drop(pages);
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
        let mut pages = self.pages();
        let sent = pages.sent.unwrap_or(answered);
        pages.handed = Some(Published::new(credential, sent, answered, false));
    }

    pub(crate) fn told(&self, event: &CredentialEvent) {
        self.record
            .must_hide_secrets(&self.who, &format!("{event:?} {event:#?}"));
        match event {
            CredentialEvent::LoggedIn { generation, .. } => self.logged_in(*generation),
            CredentialEvent::LoginFailed { error, .. } => {
                let mut pages = self.pages();
                pages.has_failed = true;
                // What is lost has no pause, and no clock where its runtime is gone.
                if !error.is_login_lost() {
                    let shortest = self.clock.now() + Duration::from_millis(100);
                    pages.not_before = error.next_attempt().max(Some(shortest));
                }
                drop(pages);
                self.record.count(|counts| counts.failed_logins += 1);
                let told = self.read(error);
                self.record
                    .write(&self.who, format!("login failed: {told}"));
            }
            CredentialEvent::LoginDiscarded { error, .. } => {
                let mut pages = self.pages();
                pages.handed = None;
                // Nor is its failure news.
                pages.told_to_wait_until = None;
                drop(pages);
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
                self.record.write(&self.who, "somebody else logs in");
            }
            _ => {}
        }
    }

    fn logged_in(&self, generation: Generation) {
        let now = self.clock.now();
        let mut pages = self.pages();
        let handed = pages.handed.take();
        let is_handed = handed.is_some();
        let is_stale = pages.resets_before != pages.resets;
        if let Some(handed) = handed {
            pages.published.push(Published {
                generation: Some(generation),
                ..handed
            });
        }
        if !pages.is_unneeded {
            pages.unneeded = 0;
            pages.unneeded_since = Some(now);
        }
        pages.is_unneeded = false;
        pages.is_taken_out = false;
        pages.has_failed = false;
        pages.was_reset = false;
        pages.wants_fresh = false;
        pages.not_before = None;
        let number = pages.published.len();
        drop(pages);
        self.record
            .write(&self.who, format!("has credential {number}"));
        if is_stale {
            self.violation("a login from before a reset is believed");
        }
        if !is_handed {
            self.violation("a credential is in use that was not handed to be kept");
        }
    }

    fn rejected(&self, generation: Generation, is_kept: bool) {
        let now = self.clock.now();
        let pages = self.pages();
        let current = pages.published.last();
        let is_current = current.is_some_and(|it| it.generation == Some(generation));
        let token = current.map(|current| current.token.clone());
        drop(pages);
        let fate = if is_kept { "kept" } else { "taken out" };
        self.record.write(&self.who, format!("refused: {fate}"));
        if !is_current {
            self.violation("late news about a credential is believed");
        }
        if is_kept {
            self.record.count(|counts| counts.kept_refusals += 1);
            return;
        }
        let is_alive = token.is_some_and(|token| self.ledger.is_alive(&token));
        let mut pages = self.pages();
        pages.is_taken_out = true;
        pages.is_unneeded = is_alive;
        pages.unneeded += u32::from(is_alive);
        let since = *pages.unneeded_since.get_or_insert(now);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        let unneeded = pages.unneeded;
        drop(pages);
        // Some for each target until it is known, and then one for each pause, which doubles: the bound
        // for many forbidden targets at once (REJECTIONS.md, row 9c).
        if f64::from(unneeded) > 16.0 + seconds / 60.0 {
            self.violation(format!(
                "I4: {unneeded} logins within {seconds:.1} s for refusals of what is alive"
            ));
        }
    }

    /// What an error tells, without secrets: I5.
    pub(crate) fn read(&self, error: &Error) -> String {
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            told += &format!(": {cause}");
            source = cause.source();
        }
        self.record
            .must_hide_secrets(&self.who, &format!("{told} {error:?} {error:#?}"));
        told
    }
}

impl Pages {
    /// Why a login may begin now.
    fn cause(&self, (now, wall): (Instant, SystemTime), session: Session) -> Option<&'static str> {
        let Some(current) = self.published.last() else {
            return Some(if self.has_failed { "retry" } else { "first" });
        };
        if self.is_taken_out {
            return Some("refusal");
        }
        if self.has_failed {
            return Some("retry");
        }
        if self.was_reset {
            return Some("reset");
        }
        if self.wants_fresh {
            return Some("wanted fresh");
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
