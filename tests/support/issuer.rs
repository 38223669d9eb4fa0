//! An issuer of tokens in memory.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::Semaphore;
use tower_bearer::{BoxError, Credential, Login, LoginRequest, Session};

/// Hands out `token-1`, `token-2`, … and counts. Clones share the counts.
///
/// Each login passes a number of gates; a gated issuer lets none through until it is told to.
#[derive(Clone)]
pub(crate) struct Issuer {
    state: Arc<State>,
    gates: usize,
    delay: Duration,
    lifetime: Option<Duration>,
    session: Session,
}

struct State {
    gate: Semaphore,
    failing: Mutex<Option<&'static str>>,
    started: AtomicUsize,
    finished: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

/// A login under way, as the issuer counts it: also one that is dropped.
struct InFlight<'a>(&'a State);

impl<'a> InFlight<'a> {
    fn new(state: &'a State) -> Self {
        let in_flight = state.in_flight.fetch_add(1, SeqCst) + 1;
        state.most_in_flight.fetch_max(in_flight, SeqCst);
        Self(state)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

impl Issuer {
    /// Answers at once.
    pub(crate) fn new() -> Self {
        let issuer = Self::gated();
        issuer.open();
        issuer
    }

    /// Answers once its gate is open.
    pub(crate) fn gated() -> Self {
        Self {
            state: Arc::new(State {
                gate: Semaphore::new(0),
                failing: Mutex::default(),
                started: AtomicUsize::default(),
                finished: AtomicUsize::default(),
                in_flight: AtomicUsize::default(),
                most_in_flight: AtomicUsize::default(),
            }),
            gates: 1,
            delay: Duration::ZERO,
            lifetime: None,
            session: Session::Exclusive,
        }
    }

    /// Answers after some time, which has to be Tokio's paused one.
    pub(crate) fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Waits at this many gates, one after the other.
    pub(crate) fn with_gates(self, gates: usize) -> Self {
        Self { gates, ..self }
    }

    pub(crate) fn with_lifetime(self, lifetime: Duration) -> Self {
        Self {
            lifetime: Some(lifetime),
            ..self
        }
    }

    pub(crate) fn concurrent(self) -> Self {
        Self {
            session: Session::Concurrent,
            ..self
        }
    }

    /// Lets one login through one gate.
    pub(crate) fn step(&self) {
        self.state.gate.add_permits(1);
    }

    /// Lets all logins through all gates.
    pub(crate) fn open(&self) {
        self.state.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Logins fail with this message from now on.
    pub(crate) fn fail(&self, message: &'static str) {
        *self.state.failing.lock().unwrap() = Some(message);
    }

    /// Logins work again from now on.
    pub(crate) fn recover(&self) {
        *self.state.failing.lock().unwrap() = None;
    }

    /// The number of logins started, after a look at invariant I1.
    #[track_caller]
    pub(crate) fn logins(&self) -> usize {
        assert!(self.most_in_flight() <= 1, "I1: two logins in flight");
        self.started()
    }

    /// The number of logins started, where one of them was lost.
    pub(crate) fn started(&self) -> usize {
        self.state.started.load(SeqCst)
    }

    pub(crate) fn finished(&self) -> usize {
        self.state.finished.load(SeqCst)
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.state.most_in_flight.load(SeqCst)
    }
}

impl Login for Issuer {
    async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
        let number = self.state.started.fetch_add(1, SeqCst) + 1;
        let _in_flight = InFlight::new(&self.state);
        for _ in 0..self.gates {
            self.state.gate.acquire().await?.forget();
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.state.finished.fetch_add(1, SeqCst);
        let failing = *self.state.failing.lock().unwrap();
        if let Some(message) = failing {
            return Err(message.into());
        }
        let credential = Credential::new(format!("token-{number}"))?;
        Ok(match self.lifetime {
            Some(lifetime) => credential.with_lifetime(lifetime),
            None => credential,
        })
    }

    fn session(&self) -> Session {
        self.session
    }
}
