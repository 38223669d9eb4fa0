//! The crate, driven step by step, and compared with the model after each step.

mod checks;
mod requests;

use std::{mem, time::Duration};

use http::{Method, Request};
use tokio::{runtime::Runtime, task::yield_now, time};
use tokio_test::task::Spawn;
use tower::{Layer, Service};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, CachedProvider, Credential, Generation, Origins, Receipt,
    Rejected, ReplayWith, test_util::TestClock,
};

use crate::{
    doubles::{Answered, Ask, HOST, Server, refresh_token, token},
    model::{CHANCE, HandedIn, LOGIN_TIMEOUT, Model},
    script::{Answer, Case, Refresh, Transition},
};

type Copy = ReplayWith<fn(&Ask) -> Option<Ask>>;
type Client = BearerAuth<Server, CachedProvider, Copy>;
type Response = <Client as Service<Request<Ask>>>::Future;

/// After this time a login has timed out, also by a timer with a resolution of milliseconds.
const TIMED_OUT: Duration = LOGIN_TIMEOUT.saturating_add(Duration::from_millis(2));

/// The number of the first token that is handed in. Those of logins are smaller.
const HANDED_IN: usize = 1_000_000;

/// The maximum number of service clones.
const SERVICES: usize = 4;

pub(crate) struct System {
    clock: TestClock,
    server: Server,
    provider: CachedProvider,
    layer: BearerAuthLayer<CachedProvider, Copy>,
    services: Vec<Client>,
    runtimes: [Runtime; 2],
    callers: Vec<Caller>,
    requests: usize,
    /// The number of credentials that were handed in.
    handed_in: usize,
}

struct Caller {
    number: usize,
    /// The runtime that polls it.
    runtime: usize,
    response: Spawn<Response>,
    was_polled: bool,
    answered: Option<Answered>,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

impl System {
    pub(crate) fn new(case: Case) -> Self {
        let clock = TestClock::new();
        let server = Server::new(Model::new(case, clock.clone()));
        let [events, stored, unspent, retired] = [(); 4].map(|()| server.clone());
        let mut builder = CachedProvider::builder(server.clone())
            .clock(clock.clone())
            .random(|| CHANCE)
            .on_event(move |event| events.with_model(|model| model.observe(event)))
            .on_credential(move |it| stored.with_model(|model| model.is_stored(it)))
            .on_unspent(move |it| unspent.with_model(|model| model.is_left(it)))
            .on_retired(move |it| retired.with_model(|model| model.is_retired(&it)));
        let refresh_token = case.is_rotating.then(|| refresh_token(0));
        if case.starts_with_a_token {
            let mut credential = Credential::new(token(0)).unwrap();
            if let Some(lifetime) = server.with_model(|model| model.lifetime()) {
                credential = credential.with_lifetime(lifetime);
            }
            if let Some(refresh_token) = refresh_token.clone() {
                credential = credential.with_refresh_token(refresh_token);
            }
            builder = builder.starting_with(credential);
        }
        let provider = builder.build();
        if let Some(generation) = provider.snapshot().generation() {
            server.with_model(|model| model.handed_in(generation, refresh_token));
        }
        let copy: fn(&Ask) -> Option<Ask> = |ask| ask.is_kept.then_some(*ask);
        let origins = Origins::new([format!("https://{HOST}")]).unwrap();
        let layer = BearerAuthLayer::new(provider.clone(), origins).replay(ReplayWith(copy));
        let system = Self {
            services: vec![layer.layer(server.clone())],
            clock,
            server,
            provider,
            layer,
            runtimes: [runtime(), runtime()],
            callers: Vec::new(),
            requests: 0,
            handed_in: 0,
        };
        system.set_clocks();
        system
    }

    /// Returns the violations after it, if any.
    pub(crate) fn take(&mut self, transition: Transition) -> Result<(), String> {
        self.server.with_model(|model| {
            model.next_step();
            model.note_what_is_usable();
        });
        let was_anything = self.act(transition);
        self.settle();
        self.compare();
        self.server.with_model(|model| {
            model.note_what_is_usable();
            let counts = &mut model.counts;
            match was_anything {
                true => *counts.transitions.entry(transition.name()).or_default() += 1,
                false => counts.idle += 1,
            }
        });
        self.verdict()
    }

    fn verdict(&self) -> Result<(), String> {
        let violations = self.server.with_model(|model| model.violations.join("; "));
        if violations.is_empty() {
            Ok(())
        } else {
            Err(violations)
        }
    }

    fn violated(&self, what: impl Into<String>) {
        self.server.with_model(|model| model.violated(what));
    }

    fn act(&mut self, transition: Transition) -> bool {
        match transition {
            Transition::Start {
                kind,
                is_kept,
                service,
                runtime,
            } => return self.start(kind, is_kept, service, runtime),
            Transition::Poll(which) => {
                let ready = self.those_to_poll();
                if ready.is_empty() {
                    return false;
                }
                self.poll(ready[which % ready.len()]);
            }
            Transition::PollAll => return self.poll_all(),
            Transition::PollIdly(which) => {
                let idle: Vec<_> = self
                    .callers
                    .iter()
                    .filter(|it| !it.is_to_be_polled())
                    .collect();
                if idle.is_empty() {
                    return false;
                }
                self.poll(idle[which % idle.len()].number);
            }
            Transition::Drop(which) => {
                if self.callers.is_empty() {
                    return false;
                }
                let caller = self.callers.remove(which % self.callers.len());
                self.give_up(caller);
            }
            Transition::Answer(which, answer) => return self.answer(which, answer),
            Transition::AnswerAll => {
                let mut any = false;
                while self.answer(0, Answer::Honest) {
                    any = true;
                }
                return any;
            }
            Transition::EndLogin(outcome) => return self.server.end_login(outcome),
            Transition::Revoke => return self.server.with_model(Model::revoke_all),
            Transition::Advance(by) => self.advance(by),
            Transition::JumpWall(seconds) => self.clock.jump_wall(Duration::from_secs(seconds)),
            Transition::JumpWallBack(seconds) => {
                self.clock.jump_wall_back(Duration::from_secs(seconds));
            }
            Transition::RejectCurrent => {
                let Some(generation) = self.provider.snapshot().generation() else {
                    return false;
                };
                self.reject(generation);
            }
            Transition::RejectOlder(which) => {
                let older = self.server.with_model(|model| {
                    let older = model.published.len().checked_sub(1).filter(|it| *it > 0)?;
                    Some(model.published[which % older].generation)
                });
                let Some(older) = older else {
                    return false;
                };
                self.reject(older);
            }
            Transition::RejectStranger => {
                if self
                    .provider
                    .reject(&by_hand(Generation::next()))
                    .is_log_in()
                {
                    self.violated("a generation of another provider may be replayed");
                }
            }
            Transition::Reset => {
                self.server.with_model(Model::will_reset);
                self.provider.reset();
            }
            Transition::SignOut => {
                self.server.with_model(Model::will_sign_out);
                self.provider.sign_out();
                self.all_are_woken("the user has signed out");
            }
            Transition::SetCredential { refresh, lifetime } => {
                self.set_credential(refresh, lifetime.map(Duration::from_millis));
            }
            Transition::CloneService(which) => {
                if self.services.len() == SERVICES {
                    return false;
                }
                let clone = self.services[which % self.services.len()].clone();
                self.services.push(clone);
            }
            Transition::DropService(which) => {
                if self.services.len() == 1 {
                    return false;
                }
                self.services.remove(which % self.services.len());
            }
            Transition::CloseSlots => return self.server.close_slots(true),
            Transition::OpenSlots => return self.server.close_slots(false),
            Transition::LoseRuntime(which) => self.lose_runtime(which),
        }
        true
    }

    fn set_credential(&mut self, refresh: Refresh, lifetime: Option<Duration>) {
        self.handed_in += 1;
        let number = HANDED_IN + self.handed_in;
        let refresh_token = match refresh {
            Refresh::None => None,
            Refresh::New => Some(refresh_token(number)),
            Refresh::Same => self.server.with_model(|model| model.held_refresh_token()),
        };
        let mut credential = Credential::new(token(number)).unwrap();
        if let Some(lifetime) = lifetime {
            credential = credential.with_lifetime(lifetime);
        }
        if let Some(refresh_token) = refresh_token.clone() {
            credential = credential.with_refresh_token(refresh_token);
        }
        let handed_in = HandedIn {
            token: number,
            refresh_token,
            lifetime,
        };
        self.server.with_model(|model| model.will_set(handed_in));
        self.provider.set_credential(credential);
        self.all_are_woken("a credential was set");
    }

    /// All requests that wait for a login are woken.
    fn all_are_woken(&self, why: &str) {
        if self.server.are_slots_closed() {
            return; // some wait for a slot
        }
        for caller in &self.callers {
            let number = caller.number;
            let waits = caller.was_polled && !caller.response.is_woken();
            if waits && !self.server.holds(number) {
                self.violated(format!("request {number} is not woken, though {why}"));
            }
        }
    }

    fn reject(&self, generation: Generation) {
        let (usable, is_pausing, before) = self.server.with_model(|model| {
            let usable = model.usable().map(|at| model.published[at].generation);
            (usable, model.is_pausing(), model.counts.rejections)
        });
        let is_worth_it = self.provider.reject(&by_hand(generation)).is_log_in();
        self.server.with_model(|model| {
            let is_known = model.knows(generation);
            model.rejected_since_reset |= is_known;
            let is_event = model.counts.rejections > before;
            let is_out = model.usable().is_none();
            let expected = match usable {
                _ if !is_known => false,
                Some(usable) if usable != generation => true,
                Some(_) => is_out,
                None => !is_pausing,
            };
            if is_worth_it != expected {
                model.violated("the verdict of a rejection by hand is wrong");
            }
            if usable == Some(generation) && !is_event {
                model.violated("a rejection of the current credential is not reported");
            }
        });
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        for runtime in &self.runtimes {
            runtime.block_on(time::advance(by));
        }
    }

    fn lose_runtime(&mut self, which: usize) {
        let (lost, others) = mem::take(&mut self.callers)
            .into_iter()
            .partition::<Vec<_>, _>(|it| it.runtime == which);
        self.callers = others;
        lost.into_iter().for_each(|caller| self.give_up(caller));
        self.runtimes[which] = runtime();
        self.set_clocks();
    }

    /// Sets the clocks of both runtimes to the same time, as in one process. Each was paused at the
    /// time of its creation.
    fn set_clocks(&self) {
        let now = |runtime: &Runtime| runtime.block_on(async { time::Instant::now() });
        let latest = self.runtimes.iter().map(now).max();
        for (runtime, latest) in self.runtimes.iter().zip(latest.into_iter().cycle()) {
            runtime.block_on(time::advance(latest - now(runtime)));
        }
    }

    /// Lets all tasks run until they wait for something.
    fn settle(&self) {
        for runtime in &self.runtimes {
            runtime.block_on(async {
                for _ in 0..3 {
                    yield_now().await;
                }
            });
        }
    }
}

impl Caller {
    fn is_to_be_polled(&self) -> bool {
        !self.was_polled || self.response.is_woken()
    }
}

/// A rejection that the layer has not seen.
fn by_hand(generation: Generation) -> Rejected<'static> {
    Rejected::by_hand(Receipt::new(generation, 0, &Method::GET, "/"))
}
