//! The outcome of a step, compared with the model.

use std::{error::Error as _, time::Duration};

use http::StatusCode;
use tokio::{task::yield_now, time};
use tokio_test::task;
use tower_bearer::{BoxError, CredentialState, Error};

use super::{System, TIMED_OUT};
use crate::{
    counts::Counts,
    doubles::{Answered, Broken, SECRET},
    model::{InOutage, Model},
    script::{Answer, Kind, Outcome},
};

impl System {
    /// A rejection of the credential in use is reported, and no other.
    pub(super) fn rejected_by(&self, number: usize, answered: Option<Answered>) {
        let rejected = answered.filter(|it| it.status == Some(StatusCode::UNAUTHORIZED));
        let rejected = rejected.and_then(|it| it.token);
        self.server.with_model(|model| {
            let expected = rejected.filter(|_| model.was_in_use == rejected);
            if model.last_rejected != expected {
                model.violated(format!(
                    "request {number}: {:?} rejected, but expected {expected:?}",
                    model.last_rejected
                ));
            }
        });
    }

    /// A request that is polled for the first time, or was woken, waits for a slot, a response or a
    /// login. It does not wait for a login if there is a token, or after a sign-out.
    pub(super) fn waits_for_good_reason(&self, number: usize, usable: Option<usize>) {
        let waits_for_other = self.server.are_slots_closed() || self.server.holds(number);
        self.server.with_model(|model| {
            let asked = &model.requests[&number];
            let is_current = model.is_for_current_user(asked.user);
            if !waits_for_other && !is_current {
                model.violated(format!("request {number} waits, though signed out"));
            }
            let asked = &model.requests[&number];
            let waits = asked.kind == Kind::Plain && asked.sent.is_empty();
            if waits && usable.is_some() && !waits_for_other {
                model.violated(format!("request {number} waits, though there is a token"));
            }
        });
    }

    /// A request ends with a response. `usable` is the token that was in use just before.
    pub(super) fn answered(
        &self,
        number: usize,
        answered: Option<Answered>,
        status: StatusCode,
        usable: Option<usize>,
    ) {
        let Some(answered) = answered.filter(|it| it.status == Some(status)) else {
            return self.violated(format!(
                "request {number}: a response that the server did not send"
            ));
        };
        self.server.with_model(|model| {
            let asked = &model.requests[&number];
            let (is_kept, attempts) = (asked.is_kept, asked.sent.len());
            let Some(token) = answered.token else {
                return;
            };
            if status == StatusCode::UNAUTHORIZED {
                model.counts.rejected += 1;
                let is_newer_there = usable.is_some_and(|usable| usable != token);
                let is_taken_out = usable == Some(token) && model.usable_token() != Some(token);
                let is_known = model.knows_token(token);
                if is_known && is_kept && attempts == 1 && (is_newer_there || is_taken_out) {
                    model.violated(format!(
                        "request {number} is not replayed, though it could be"
                    ));
                }
            } else if !status.is_server_error() {
                model.accepted(token);
            }
        });
    }

    pub(super) fn failed(&self, number: usize, answered: Option<Answered>, error: BoxError) {
        if error.is::<Broken>() {
            if answered.is_none_or(|it| it.status.is_some()) {
                self.violated(format!("request {number}: an error without a cause"));
            }
            return;
        }
        let Some(error) = error.downcast_ref::<Error>() else {
            return self.violated(format!("request {number}: an error of unknown origin"));
        };
        let mut text = format!("{error} {error:?}");
        if let Some(source) = error.source() {
            text += &format!("{source} {source:?}");
        }
        self.server.with_model(|model| {
            model.counts.failed += 1;
            let asked = &model.requests[&number];
            let is_current = model.is_for_current_user(asked.user);
            let is_first = asked.kind == Kind::Plain && asked.sent.is_empty() && is_current;
            if is_first && let InOutage::Certainly(_) = model.in_outage() {
                model.violated(format!(
                    "request {number}: {error}, and the credential has not ended"
                ));
            }
            let started_in = model.requests[&number].started_in;
            // After a reset it waits for the next login, and not for a third.
            let discards = model.discards.iter().filter(|step| **step >= started_in);
            let has_failed = model.last_failure.is_some_and(|step| step >= started_in);
            let is_explained = has_failed || model.is_pausing() || discards.count() >= 2;
            let is_expected = error.is_login_failed()
                || error.is_login_timed_out()
                || error.is_login_panicked()
                || error.is_login_lost()
                || error.to_string().contains("reset");
            // No failure explains these.
            let (is_explained, is_expected) = if error.is_signed_out() {
                (!is_current, true)
            } else {
                (is_explained, is_expected)
            };
            if !is_explained || !is_expected {
                model.violated(format!("request {number}: {error}, without a cause"));
            }
            if text.contains(SECRET) {
                model.violated("I5: a secret in an error");
            }
        });
    }

    /// The public state, compared with the model.
    pub(super) fn compare(&self) {
        let snapshot = self.provider.snapshot();
        let (is_logging_in, are_slots_closed) = (
            self.server.with_model(|model| model.is_logging_in()),
            self.server.are_slots_closed(),
        );
        self.server.with_model(|model| {
            let generation = |at: usize| model.published[at].generation;
            let in_outage = match model.in_outage() {
                _ if model.is_logging_in() => None,
                InOutage::Nothing => None,
                InOutage::Certainly(at) => Some(at),
                InOutage::Perhaps(at) => {
                    Some(at).filter(|_| snapshot.state() == CredentialState::Aging)
                }
            };
            let usable = model.usable().or(in_outage).map(generation);
            let seen = snapshot
                .generation()
                .filter(|_| snapshot.usable_for() != Some(Duration::ZERO));
            if seen != usable {
                model.violated("the generation in use is not the published one");
            }
            let expected = match (usable, model.is_logging_in(), model.is_pausing()) {
                (Some(_), _, _) if in_outage.is_some() => &[CredentialState::Aging][..],
                (Some(_), _, _) => &[
                    CredentialState::Fresh,
                    CredentialState::Aging,
                    CredentialState::HeldBack,
                ][..],
                (None, true, _) => &[CredentialState::LoggingIn],
                (None, false, true) => &[CredentialState::BackingOff],
                (None, false, false) => &[CredentialState::Expired, CredentialState::Empty],
            };
            let expected = match model.users.is_signed_out {
                true => &[CredentialState::SignedOut],
                false => expected,
            };
            if !expected.contains(&snapshot.state()) {
                model.violated(format!("{:?}, but expected {expected:?}", snapshot.state()));
            }
            if snapshot.held_back().is_some() != (snapshot.state() == CredentialState::HeldBack) {
                model.violated("the state is wrong about rejections held back");
            }
            if snapshot.is_logging_in() != model.is_logging_in() {
                model.violated("the provider is wrong about a login under way");
            }
        });
        self.server.with_model(|model| {
            model.hooks_have_run();
            if snapshot.discarded_logins() != model.discards.len() as u64 {
                model.violated("the number of discarded logins is wrong");
            }
            if snapshot.next_attempt().is_some() != model.is_pausing() {
                model.violated("the pause is wrong");
            }
            if model.users.is_signed_out && snapshot.last_error().is_some() {
                model.violated("the error of a user who has signed out");
            }
        });
        // I7: every waiting request waits for something that exists.
        for caller in &self.callers {
            let waits = caller.was_polled && !caller.response.is_woken();
            let for_something =
                is_logging_in || are_slots_closed || self.server.holds(caller.number);
            if waits && !for_something {
                self.violated(format!("I7: request {} waits for nothing", caller.number));
            }
        }
    }

    /// Ends everything.
    pub(crate) fn end(mut self) -> Result<Counts, String> {
        self.server.with_model(Model::next_step);
        self.server.close_slots(false);
        let ends_well = self.server.with_model(|model| model.case.ends_well);
        let mut rounds = 0;
        while !self.callers.is_empty() {
            rounds += 1;
            if rounds > 20 {
                self.violated(format!("I7: {} requests never end", self.callers.len()));
                break;
            }
            while self.poll_all() {}
            if ends_well {
                self.server.end_login(Outcome::Success);
            } else {
                self.advance(TIMED_OUT);
            }
            self.settle();
            while self.answer(0, Answer::Honest) {}
            self.compare();
        }
        self.verdict()?;
        self.let_go()
    }

    /// I6: nothing is leaked, not even by a login under way.
    fn let_go(self) -> Result<Counts, String> {
        let text = format!(
            "{:?} {:?} {:?}",
            self.services[0],
            self.provider,
            self.provider.snapshot()
        );
        if text.contains(SECRET) {
            self.violated("I5: a secret in printed text");
        }
        let replays = self.layer.replays();
        // A login is left under way if possible.
        self.server.with_model(|model| model.is_warming_up = true);
        let acquire = self.provider.acquire();
        self.runtimes[0].block_on(async {
            let mut acquire = task::spawn(acquire);
            let _ = acquire.poll();
        });
        let Self {
            server,
            runtimes,
            callers,
            services,
            layer,
            provider,
            clock,
            ..
        } = self;
        drop((callers, services, layer, provider));
        for runtime in &runtimes {
            clock.advance(TIMED_OUT);
            runtime.block_on(async {
                yield_now().await;
                time::advance(TIMED_OUT).await;
                yield_now().await;
            });
            let tasks = runtime.metrics().num_alive_tasks();
            if tasks > 0 {
                server.with_model(|model| model.violated(format!("I6: {tasks} tasks are left")));
            }
        }
        let holders = server.holders();
        if holders > 1 {
            server.with_model(|model| model.violated(format!("I6: {holders} hold the login")));
        }
        let counts = server.with_model(|model| model.counts.clone());
        if counts.replays != replays {
            server.with_model(|model| model.violated("the count of replays is wrong"));
        }
        let violations = server.with_model(|model| model.violations.join("; "));
        if violations.is_empty() {
            Ok(counts)
        } else {
            Err(violations)
        }
    }
}
