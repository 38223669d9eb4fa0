//! The one login under way, and those who wait for it.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use crate::{
    error::Error,
    login::RefreshTokenSlot,
    runtime::sync::{
        AtomicBool, Handle, Instant, Notify, OnceLock, OwnedNotified, RuntimeId, Timeout, task,
        time,
    },
};

/// A login ends itself at its timeout. Where it has not done so this much later, its task is no
/// longer driven.
const OVERDUE: Duration = Duration::from_secs(1);

/// One login under way, known by its address.
///
/// Its outcome is set once: by the login's task, or by whoever finds it lost. What comes later is
/// ignored.
#[derive(Debug)]
pub(super) struct Flight<T> {
    outcome: OnceLock<Result<T, Error>>,
    completed: Arc<Notify>,
    runtime: RuntimeId,
    task: OnceLock<task::Id>,
    waits_for_itself: AtomicBool,
    overdue_at: Instant,
    /// Whether there is a timer for all who wait on the login's runtime.
    has_timer: AtomicBool,
    /// For this login alone: one that was declared lost takes nothing from the next.
    refresh_token: RefreshTokenSlot,
}

impl<T> Flight<T> {
    /// A login to be spawned on this runtime.
    pub(super) fn new(
        timeout: Duration,
        runtime: &Handle,
        refresh_token: RefreshTokenSlot,
    ) -> Self {
        Self {
            outcome: OnceLock::new(),
            completed: Arc::default(),
            runtime: runtime.id(),
            task: OnceLock::new(),
            waits_for_itself: AtomicBool::new(false),
            overdue_at: Instant::now() + timeout + OVERDUE,
            has_timer: AtomicBool::new(false),
            refresh_token,
        }
    }

    pub(super) fn refresh_token(&self) -> &RefreshTokenSlot {
        &self.refresh_token
    }

    /// Says that the task which polls this carries the login.
    pub(super) fn record_task(&self) {
        // A flight has one task, which says so once.
        let _ = self.task.set(task::id());
    }

    /// Whether the task which polls this is the one that carries the login: it would wait for
    /// itself. That is kept in mind, however the login reports it.
    pub(super) fn is_own_task(&self) -> bool {
        let pilot = self.task.get();
        let is_here = pilot.is_some_and(|pilot| task::try_id() == Some(*pilot));
        if is_here {
            // Relaxed: the same task reads it.
            self.waits_for_itself.store(true, Ordering::Relaxed);
        }
        is_here
    }

    pub(super) fn has_waited_for_itself(&self) -> bool {
        self.waits_for_itself.load(Ordering::Relaxed)
    }

    /// Whether it ought to have ended, one way or the other.
    pub(super) fn is_overdue(&self) -> bool {
        Instant::now() >= self.overdue_at
    }

    /// How long it may still take.
    pub(super) fn overdue_in(&self) -> Duration {
        self.overdue_at.saturating_duration_since(Instant::now())
    }

    /// Tells all waiters, unless they have been told already.
    pub(super) fn complete(&self, outcome: Result<T, Error>) {
        if self.outcome.set(outcome).is_ok() {
            self.completed.notify_waiters();
        }
    }

    /// The outcome, if there is one.
    pub(super) fn outcome(&self) -> Option<&Result<T, Error>> {
        self.outcome.get()
    }

    /// Ends when there is an outcome that was not there when this was called, or when it is overdue. So
    /// look for the outcome after each poll.
    ///
    /// For who waits on this runtime. On that of the login the timer is the
    /// [`watch`](Self::watch)'s, which has to be under way: one for each of a crowd would be a good
    /// part of what its wait costs.
    ///
    /// # Panics
    ///
    /// On another runtime than the login's, if that has no time driver.
    pub(super) fn wait(&self, runtime: &Handle) -> FlightWait {
        let wait = if self.runs_on(runtime) {
            WaitKind::Here {
                completed: self.completed(),
            }
        } else {
            WaitKind::Elsewhere {
                in_time: Box::pin(self.timed_wait()),
            }
        };
        FlightWait {
            wait,
            task: task::try_id(),
            runtime: runtime.id(),
        }
    }

    /// Whether this is the first to wait on the login's runtime, and has to begin the watch.
    pub(super) fn needs_timer(&self, runtime: &Handle) -> bool {
        self.runs_on(runtime)
            // Relaxed: nothing else is read by it.
            && !self.has_timer.swap(true, Ordering::Relaxed)
    }

    /// As [`wait`](Self::wait), with a timer of its own.
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

    /// Whether the login was spawned on another runtime than this one.
    pub(super) fn runs_elsewhere(&self) -> bool {
        Handle::try_current().is_ok_and(|runtime| !self.runs_on(&runtime))
    }

    fn runs_on(&self, runtime: &Handle) -> bool {
        self.runtime == runtime.id()
    }
}

pin_project! {
    /// The wait for a flight, with a timer on the runtime that it was made on.
    pub(super) struct FlightWait {
        #[pin]
        wait: WaitKind,
        task: Option<task::Id>,
        runtime: RuntimeId,
    }
}

impl FlightWait {
    /// Whether it is polled on another runtime than it was made for: its timer is elsewhere then. A
    /// task stays on its runtime, so that most waiters need not ask which one that is.
    pub(super) fn has_moved(&self) -> bool {
        (self.task.is_none() || self.task != task::try_id())
            && Handle::try_current().is_ok_and(|runtime| runtime.id() != self.runtime)
    }
}

pin_project! {
    #[project = WaitKindProjection]
    enum WaitKind {
        Here {
            #[pin]
            completed: OwnedNotified,
        },
        Elsewhere {
            in_time: Pin<Box<Timeout<OwnedNotified>>>,
        },
    }
}

impl Future for FlightWait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().wait.project() {
            WaitKindProjection::Here { completed } => completed.poll(cx),
            // Whether it was in time, the outcome says.
            WaitKindProjection::Elsewhere { in_time } => in_time.as_mut().poll(cx).map(|_| ()),
        }
    }
}
