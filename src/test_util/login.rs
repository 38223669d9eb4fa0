//! A login that follows a script.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    credential::Credential,
    error::BoxError,
    login::{Login, LoginRequest, Session},
};

/// A [`Login`] that hands out `token-1`, `token-2`, … and counts. Clones share the counts.
///
/// Each login passes a number of gates; a gated login waits there until it is told to.
#[derive(Clone)]
pub struct ScriptedLogin {
    state: Arc<State>,
    gates: usize,
    delay: Duration,
    lifetime: Option<Duration>,
    session: Session,
}

/// So many gates are passed by no test.
const OPEN: usize = Semaphore::MAX_PERMITS / 2;

type Failure = Arc<dyn Fn() -> BoxError + Send + Sync>;

struct State {
    gate: Semaphore,
    is_open: AtomicBool,
    failing: Mutex<Option<Failure>>,
    started: AtomicUsize,
    finished: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

/// A login under way, as the login counts it: also one that is dropped.
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

impl ScriptedLogin {
    /// Answers at once.
    #[must_use]
    pub fn new() -> Self {
        let login = Self::gated();
        login.open();
        login
    }

    /// Answers once its gate is open.
    #[must_use]
    pub fn gated() -> Self {
        Self {
            state: Arc::new(State {
                gate: Semaphore::new(0),
                is_open: AtomicBool::new(false),
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

    /// Answers after some time, by Tokio's clock.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Waits at this many gates, one after the other.
    #[must_use]
    pub fn with_gates(self, gates: usize) -> Self {
        Self { gates, ..self }
    }

    /// Answers with credentials that live this long. Without it they live until they are rejected.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self {
            lifetime: Some(lifetime),
            ..self
        }
    }

    /// Says that its sessions are concurrent. Without it they are exclusive.
    #[must_use]
    pub fn concurrent(self) -> Self {
        Self {
            session: Session::Concurrent,
            ..self
        }
    }

    /// Lets one login through one gate.
    pub fn step(&self) {
        self.state.gate.add_permits(1);
    }

    /// Lets all logins through all gates.
    pub fn open(&self) {
        if !self.state.is_open.swap(true, SeqCst) {
            self.state.gate.add_permits(OPEN);
        }
    }

    /// Holds logins back again: those that are not through, and all that come.
    pub fn close(&self) {
        self.state.is_open.store(false, SeqCst);
        self.state.gate.forget_permits(usize::MAX);
    }

    /// Logins fail with this message from now on.
    pub fn fail(&self, message: &'static str) {
        self.fail_with(move || message.into());
    }

    /// Logins fail with what this makes from now on, such as a [`LoginError`](crate::LoginError).
    pub fn fail_with(&self, failure: impl Fn() -> BoxError + Send + Sync + 'static) {
        *self.failing() = Some(Arc::new(failure));
    }

    /// Logins work again from now on.
    pub fn recover(&self) {
        *self.failing() = None;
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failure>> {
        // Each change is whole before it can panic.
        self.state
            .failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of logins started.
    ///
    /// # Panics
    ///
    /// When two were in flight at the same time.
    #[track_caller]
    #[must_use]
    pub fn logins(&self) -> usize {
        assert!(self.most_in_flight() <= 1, "two logins in flight");
        self.started()
    }

    /// Asserts that so many logins were started, one at a time.
    ///
    /// # Panics
    ///
    /// When it is another number, or two were in flight at the same time.
    #[track_caller]
    pub fn assert_logins(&self, expected: usize) {
        assert_eq!(self.logins(), expected, "logins");
    }

    /// The number of logins started, where one of them was lost and another took its place.
    #[must_use]
    pub fn started(&self) -> usize {
        self.state.started.load(SeqCst)
    }

    /// The number of logins that came to their end, good or bad.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.state.finished.load(SeqCst)
    }

    /// The most logins in flight at one moment.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.state.most_in_flight.load(SeqCst)
    }
}

impl Login for ScriptedLogin {
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
        let failing = self.failing().clone();
        if let Some(failure) = failing {
            return Err(failure());
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

impl Default for ScriptedLogin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ScriptedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedLogin")
            .field("started", &self.started())
            .field("finished", &self.finished())
            .finish_non_exhaustive()
    }
}
