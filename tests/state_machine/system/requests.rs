//! Requests, from their start to their end.

use std::{mem, task::Poll};

use http::{Request, StatusCode, header::AUTHORIZATION};
use tokio_test::task;
use tower::Service;
use tower_bearer::PerRequest;

use super::{Caller, System};
use crate::{
    doubles::{Ask, HOST, OWN_HEADER},
    model::Model,
    script::{Answer, Kind},
};

impl System {
    pub(super) fn start(
        &mut self,
        kind: Kind,
        is_kept: bool,
        service: usize,
        runtime: usize,
    ) -> bool {
        let service = service % self.services.len();
        // If a request cannot be sent at once, tower's contract is to wait.
        if self.server.are_slots_closed() {
            return false;
        }
        self.requests += 1;
        let number = self.requests;
        let host = if kind == Kind::Foreign {
            "example.org"
        } else {
            HOST
        };
        let mut request = Request::get(format!("https://{host}/{number}"));
        if kind == Kind::OwnHeader {
            request = request.header(AUTHORIZATION, OWN_HEADER);
        }
        match kind {
            Kind::Fresh => request = request.extension(PerRequest::fresh()),
            Kind::Bare => request = request.extension(PerRequest::bare()),
            _ => (),
        }
        let request = request.body(Ask { number, is_kept }).unwrap();
        let (usable, is_due) = self.server.with_model(|model| {
            model.counts.requests += 1;
            model.starts(number, kind, is_kept);
            let is_due = kind == Kind::Plain && model.ages() && !model.is_pausing();
            (model.usable_token(), is_due)
        });
        let client = &mut self.services[service];
        let entered = self.runtimes[runtime].enter();
        let ready = task::spawn(()).enter(|cx, _| Service::<Request<Ask>>::poll_ready(client, cx));
        assert!(ready.is_ready(), "the slots are open");
        let response = client.call(request);
        drop(entered);
        self.callers.push(Caller {
            number,
            runtime,
            response: task::spawn(response),
            was_polled: false,
            answered: None,
        });
        self.server.with_model(|model| {
            let sent = model.requests[&number].sent.clone();
            let expected = match (kind, usable) {
                (Kind::Plain, Some(usable)) => vec![Some(usable)],
                (Kind::Plain, None) | (Kind::Fresh, _) => Vec::new(),
                (Kind::Bare | Kind::OwnHeader | Kind::Foreign, _) => vec![None],
            };
            if sent != expected {
                model.violated(format!(
                    "request {number} is sent at once with {sent:?}, but expected {expected:?}"
                ));
            }
        });
        self.settle();
        if is_due && !self.server.with_model(|model| model.is_logging_in()) {
            self.violated("a background login is due and does not start");
        }
        true
    }

    pub(super) fn those_to_poll(&self) -> Vec<usize> {
        let those = self.callers.iter().filter(|it| it.is_to_be_polled());
        those.map(|it| it.number).collect()
    }

    pub(super) fn poll_all(&mut self) -> bool {
        let those = self.those_to_poll();
        for number in &those {
            self.poll(*number);
        }
        !those.is_empty()
    }

    pub(super) fn poll(&mut self, number: usize) {
        let Some(at) = self.callers.iter().position(|it| it.number == number) else {
            return;
        };
        let usable = self.server.with_model(Model::is_polled);
        let caller = &mut self.callers[at];
        // Otherwise it is polled without a reason, and does not look.
        let looks = !mem::replace(&mut caller.was_polled, true) || caller.response.is_woken();
        let answered = caller.answered.take();
        let polled = self.runtimes[caller.runtime].block_on(async { caller.response.poll() });
        self.rejected_by(number, answered);
        if let Some(token) = answered
            .filter(|it| it.status == Some(StatusCode::UNAUTHORIZED))
            .and_then(|it| it.token)
        {
            self.server.with_model(|model| {
                model.rejected_since_reset |= model.knows_token(token);
            });
        }
        if looks && polled.is_pending() {
            self.waits_for_good_reason(number, usable);
        }
        if polled.is_pending() && self.server.are_slots_closed() {
            self.server.with_model(|model| {
                let asked = model.requests.get_mut(&number).unwrap();
                asked.has_waited_for_slot = true;
            });
        }
        if let Poll::Ready(result) = polled {
            self.callers.remove(at);
            match result {
                Ok(response) => self.answered(number, answered, response.status(), usable),
                Err(error) => self.failed(number, answered, error),
            }
            self.server.with_model(|model| {
                let asked = model.requests.get_mut(&number).unwrap();
                asked.is_over = true;
            });
        }
        // A login that was started runs now, before anything else.
        self.settle();
    }

    pub(super) fn give_up(&self, caller: Caller) {
        self.server.with_model(|model| {
            model.counts.cancelled += 1;
            let asked = model.requests.get_mut(&caller.number).unwrap();
            asked.is_over = true;
        });
    }

    pub(super) fn answer(&mut self, which: usize, answer: Answer) -> bool {
        let Some(answered) = self.server.answer(which, answer) else {
            return false;
        };
        let mut callers = self.callers.iter_mut();
        if let Some(caller) = callers.find(|it| it.number == answered.number) {
            caller.answered = Some(answered);
        }
        true
    }
}
