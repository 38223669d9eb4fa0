//! A scripted login.

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

/// A [`Login`] that returns `token-1`, `token-2`, … and counts the logins. Clones share the counts.
///
/// Each login passes one gate, or [several](Self::with_gates). A [`gated`](Self::gated) login waits
/// at a closed gate until the test opens it.
///
/// # Examples
///
/// A hundred requests that wait for one login:
///
/// ```
/// use tower_bearer::{CachedProvider, test_util::ScriptedLogin};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let login = ScriptedLogin::gated();
/// let provider = CachedProvider::new(login.clone());
/// let waiters: Vec<_> = (0..100).map(|_| tokio::spawn(provider.acquire())).collect();
///
/// tokio::task::yield_now().await; // all of them wait now
/// login.open();
/// for waiter in waiters {
///     assert_eq!(waiter.await??.value(), "Bearer token-1");
/// }
/// login.assert_logins(1);
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone)]
pub struct ScriptedLogin {
    state: Arc<State>,
    gates: usize,
    delay: Duration,
    lifetime: Option<Duration>,
    session: Session,
}

/// The permits of an open gate: more than any test uses.
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

/// Counts a login as in flight until it ends or is dropped.
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
    /// A login that returns at once.
    #[must_use]
    pub fn new() -> Self {
        let login = Self::gated();
        login.open();
        login
    }

    /// A login that waits at a closed gate.
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

    /// Sets how long each login takes after its gates, by Tokio's clock. Defaults to no time.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Sets the number of gates that each login passes, one after the other. Defaults to one.
    #[must_use]
    pub fn with_gates(self, gates: usize) -> Self {
        Self { gates, ..self }
    }

    /// Sets the lifetime of the credentials. By default they live until they are rejected.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self {
            lifetime: Some(lifetime),
            ..self
        }
    }

    /// Makes the sessions [concurrent](Session::Concurrent). By default they are exclusive.
    #[must_use]
    pub fn concurrent(self) -> Self {
        Self {
            session: Session::Concurrent,
            ..self
        }
    }

    /// Lets one login pass one gate.
    pub fn step(&self) {
        self.state.gate.add_permits(1);
    }

    /// Opens the gates: all logins pass.
    pub fn open(&self) {
        if !self.state.is_open.swap(true, SeqCst) {
            self.state.gate.add_permits(OPEN);
        }
    }

    /// Closes the gates again, for logins that have not yet passed and for later ones.
    pub fn close(&self) {
        self.state.is_open.store(false, SeqCst);
        self.state.gate.forget_permits(usize::MAX);
    }

    /// Makes all logins fail with this message from now on.
    pub fn fail(&self, message: &'static str) {
        self.fail_with(move || message.into());
    }

    /// Makes all logins fail from now on, with the errors that `failure` returns, such as a
    /// [`LoginError`](crate::LoginError).
    pub fn fail_with(&self, failure: impl Fn() -> BoxError + Send + Sync + 'static) {
        *self.failing() = Some(Arc::new(failure));
    }

    /// Makes all logins succeed from now on.
    pub fn recover(&self) {
        *self.failing() = None;
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failure>> {
        // No change is left half-done by a panic.
        self.state
            .failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of logins that were started, one at a time.
    ///
    /// # Panics
    ///
    /// If two were ever in flight at the same time.
    #[track_caller]
    #[must_use]
    pub fn logins(&self) -> usize {
        assert!(self.most_in_flight() <= 1, "two logins in flight");
        self.started()
    }

    /// Asserts that `expected` logins were started, one at a time.
    ///
    /// # Panics
    ///
    /// If the number differs, or if two were ever in flight at the same time.
    #[track_caller]
    pub fn assert_logins(&self, expected: usize) {
        assert_eq!(self.logins(), expected, "logins");
    }

    /// The number of logins that were started, even if several were in flight at the same time. After
    /// a lost login that still runs, there may be two.
    #[must_use]
    pub fn started(&self) -> usize {
        self.state.started.load(SeqCst)
    }

    /// The number of logins that succeeded or failed. A dropped login does not count.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.state.finished.load(SeqCst)
    }

    /// The largest number of logins that were in flight at the same time.
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
