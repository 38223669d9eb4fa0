//! The one login under way, and the waits for its outcome.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use crate::{
    error::Error,
    login::{LoginRequest, RefreshTokenSlot},
    provider::observers::LoginSpan,
    runtime::{
        Moment,
        sync::{
            AbortHandle, AtomicBool, Handle, Instant, Notify, OnceLock, OwnedNotified, RuntimeId,
            Timeout, task, time,
        },
    },
};

/// The grace after the login's timeout. A login that has not ended by then is lost: its task is no
/// longer driven.
const OVERDUE: Duration = Duration::from_secs(1);

/// One login under way. Its identity is its address.
///
/// Its outcome is set once: by the login's task, or by the waiter or timer that finds it lost. Later
/// outcomes are ignored.
#[derive(Debug)]
pub(super) struct Flight<T> {
    outcome: OnceLock<Result<T, Error>>,
    completed: Arc<Notify>,
    runtime: RuntimeId,
    task: OnceLock<task::Id>,
    abort_handle: OnceLock<AbortHandle>,
    waits_for_itself: AtomicBool,
    started_at: Instant,
    overdue_at: Instant,
    /// The same by the provider's clock, for a background login only. Tokio's clock may stop while the
    /// machine sleeps.
    overdue_by_clocks: Option<Moment>,
    /// Whether the overdue timer runs. It serves all waiters on the login's runtime.
    has_timer: AtomicBool,
    /// Its refresh token is for this login only: a lost login cannot take that of the next one.
    request: LoginRequest,
    span: LoginSpan,
}

/// What becomes of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Published,
    /// Only its refresh token is kept.
    Discarded,
    /// Nothing of it is kept.
    Dropped,
}

impl<T> Flight<T> {
    /// Creates the flight of a login that will be spawned on `runtime`.
    pub(super) fn new(timeout: Duration, runtime: &Handle, request: LoginRequest) -> Self {
        let started_at = Instant::now();
        Self {
            outcome: OnceLock::new(),
            completed: Arc::default(),
            runtime: runtime.id(),
            task: OnceLock::new(),
            abort_handle: OnceLock::new(),
            waits_for_itself: AtomicBool::new(false),
            started_at,
            overdue_at: started_at + timeout + OVERDUE,
            overdue_by_clocks: None,
            has_timer: AtomicBool::new(false),
            request,
            span: LoginSpan::default(),
        }
    }

    /// Makes it the flight of a background login that starts `now`: it is also overdue by the provider's
    /// clock. A jump of that clock may start another login, which revokes nothing in a concurrent
    /// session.
    pub(super) fn in_background(self, now: Moment, timeout: Duration) -> Self {
        let limit = timeout + OVERDUE;
        Self {
            overdue_by_clocks: Some(Moment {
                monotonic: now.monotonic + limit,
                wall: now.wall + limit,
            }),
            ..self
        }
    }

    pub(super) fn request(&self) -> &LoginRequest {
        &self.request
    }

    pub(super) fn span(&self) -> &LoginSpan {
        &self.span
    }

    /// The time since its start, by Tokio's clock.
    pub(super) fn duration(&self) -> Duration {
        Instant::now().saturating_duration_since(self.started_at)
    }

    pub(super) fn refresh_token(&self) -> &RefreshTokenSlot {
        self.request.refresh_token_slot()
    }

    /// Records that the current task runs the login.
    pub(super) fn record_task(&self) {
        // Called once, since a flight has one task.
        let _ = self.task.set(task::id());
    }

    /// Keeps the handle of the login's task, which a lost flight aborts.
    pub(super) fn set_abort_handle(&self, abort_handle: AbortHandle) {
        // Called once, since a flight has one task.
        let _ = self.abort_handle.set(abort_handle);
    }

    /// Ends the login's task, so that a lost login sends nothing more beside the next one.
    pub(super) fn abort(&self) {
        if let Some(abort_handle) = self.abort_handle.get() {
            abort_handle.abort();
        }
    }

    /// Whether the current task runs the login, so that waiting here would be a deadlock. The flight
    /// remembers this, so that the login's error can report it.
    pub(super) fn is_own_task(&self) -> bool {
        let own = self.task.get();
        let is_own_task = own.is_some_and(|own| task::try_id() == Some(*own));
        if is_own_task {
            // Relaxed: only the same task reads it.
            self.waits_for_itself.store(true, Ordering::Relaxed);
        }
        is_own_task
    }

    pub(super) fn has_waited_for_itself(&self) -> bool {
        self.waits_for_itself.load(Ordering::Relaxed)
    }

    /// Whether the login should have ended by now. Reads the provider's clock for a background login.
    pub(super) fn is_overdue(&self, now: impl FnOnce() -> Moment) -> bool {
        Instant::now() >= self.overdue_at || self.is_overdue_by_clocks(now)
    }

    fn is_overdue_by_clocks(&self, now: impl FnOnce() -> Moment) -> bool {
        self.overdue_by_clocks.is_some_and(|limit| {
            let now = now();
            now.monotonic >= limit.monotonic || now.wall >= limit.wall
        })
    }

    /// Whether this is a background login that ends too late: the process was frozen meanwhile, so its
    /// failure says nothing about the server.
    pub(super) fn was_frozen(&self, now: impl FnOnce() -> Moment) -> bool {
        self.overdue_by_clocks.is_some() && self.is_overdue(now)
    }

    /// The time until the flight is overdue.
    pub(super) fn overdue_in(&self) -> Duration {
        self.overdue_at.saturating_duration_since(Instant::now())
    }

    /// Sets the outcome and wakes all waiters, unless there is an outcome already.
    pub(super) fn complete(&self, outcome: Result<T, Error>) {
        if self.outcome.set(outcome).is_ok() {
            self.completed.notify_waiters();
        }
    }

    /// Wakes all waiters without an outcome: another credential is there, or the user has signed out.
    pub(super) fn wake(&self) {
        self.completed.notify_waiters();
    }

    /// The outcome, if there is one.
    pub(super) fn outcome(&self) -> Option<&Result<T, Error>> {
        self.outcome.get()
    }

    /// Waits on `runtime` for a new outcome, for a [wake](Self::wake), or until the flight is overdue.
    ///
    /// It does not end for an outcome that existed before this call, so the caller must check
    /// [`outcome`](Self::outcome) after each poll.
    ///
    /// On the login's own runtime, the wait has no timer and relies on the overdue timer, which the
    /// caller must [start](Self::needs_timer). A timer for each waiter would be a large part of the
    /// cost of a wait.
    ///
    /// # Panics
    ///
    /// If `runtime` is not the login's and has no time driver.
    pub(super) fn wait(&self, runtime: &Handle) -> FlightWait {
        let wait = if self.runs_on(runtime) {
            WaitKind::SameRuntime {
                completed: self.completed(),
            }
        } else {
            WaitKind::OtherRuntime {
                completed: Box::pin(self.timed_wait()),
            }
        };
        FlightWait {
            wait,
            task: task::try_id(),
            runtime: runtime.id(),
        }
    }

    /// Whether this is the first wait on the login's runtime, whose caller must start the overdue timer.
    pub(super) fn needs_timer(&self, runtime: &Handle) -> bool {
        self.runs_on(runtime)
            // Relaxed: it publishes no other data.
            && !self.has_timer.swap(true, Ordering::Relaxed)
    }

    /// As [`wait`](Self::wait), with its own timer.
    ///
    /// # Panics
    ///
    /// On a runtime without a time driver.
    pub(super) fn timed_wait(&self) -> Timeout<OwnedNotified> {
        time::timeout_at(self.overdue_at, self.completed())
    }

    fn completed(&self) -> OwnedNotified {
        Arc::clone(&self.completed).notified_owned()
    }

    /// Whether the login was spawned on another runtime than the current one.
    pub(super) fn runs_on_other_runtime(&self) -> bool {
        Handle::try_current().is_ok_and(|runtime| !self.runs_on(&runtime))
    }

    fn runs_on(&self, runtime: &Handle) -> bool {
        self.runtime == runtime.id()
    }
}

pin_project! {
    /// The wait for a flight. Its timer belongs to the runtime that it was created on.
    pub(super) struct FlightWait {
        #[pin]
        wait: WaitKind,
        task: Option<task::Id>,
        runtime: RuntimeId,
    }
}

impl FlightWait {
    /// Whether it is polled on another runtime than it was created for, where its timer may not run.
    ///
    /// A task never changes its runtime, so comparing the task's id avoids most runtime look-ups.
    pub(super) fn has_changed_runtime(&self) -> bool {
        (self.task.is_none() || self.task != task::try_id())
            && Handle::try_current().is_ok_and(|runtime| runtime.id() != self.runtime)
    }
}

pin_project! {
    #[project = WaitKindProjection]
    enum WaitKind {
        SameRuntime {
            #[pin]
            completed: OwnedNotified,
        },
        OtherRuntime {
            completed: Pin<Box<Timeout<OwnedNotified>>>,
        },
    }
}

impl Future for FlightWait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().wait.project() {
            WaitKindProjection::SameRuntime { completed } => completed.poll(cx),
            // The caller checks the outcome, so the timeout needs no error of its own.
            WaitKindProjection::OtherRuntime { completed } => {
                completed.as_mut().poll(cx).map(|_| ())
            }
        }
    }
}
