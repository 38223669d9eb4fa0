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
    has_landed: Arc<Notify>,
    runtime: RuntimeId,
    task: OnceLock<task::Id>,
    waits_for_itself: AtomicBool,
    overdue_at: Instant,
    /// Whether there is a timer for all who wait on the login's runtime.
    is_watched: AtomicBool,
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
            has_landed: Arc::default(),
            runtime: runtime.id(),
            task: OnceLock::new(),
            waits_for_itself: AtomicBool::new(false),
            overdue_at: Instant::now() + timeout + OVERDUE,
            is_watched: AtomicBool::new(false),
            refresh_token,
        }
    }

    pub(super) fn refresh_token(&self) -> &RefreshTokenSlot {
        &self.refresh_token
    }

    /// Says that the task which polls this carries the login.
    pub(super) fn board_pilot(&self) {
        // A flight has one task, which says so once.
        let _ = self.task.set(task::id());
    }

    /// Whether the task which polls this is the one that carries the login: it would wait for
    /// itself. That is kept in mind, however the login reports it.
    pub(super) fn is_piloted_here(&self) -> bool {
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
    pub(super) fn land(&self, outcome: Result<T, Error>) {
        if self.outcome.set(outcome).is_ok() {
            self.has_landed.notify_waiters();
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
    pub(super) fn landing(&self, runtime: &Handle) -> Landing {
        let wait = if self.is_flown_on(runtime) {
            Wait::Here {
                has_landed: self.has_landed(),
            }
        } else {
            Wait::Elsewhere {
                in_time: Box::pin(self.watch()),
            }
        };
        Landing {
            wait,
            task: task::try_id(),
            runtime: runtime.id(),
        }
    }

    /// Whether this is the first to wait on the login's runtime, and has to begin the watch.
    pub(super) fn is_to_be_watched(&self, runtime: &Handle) -> bool {
        self.is_flown_on(runtime)
            // Relaxed: nothing else is read by it.
            && !self.is_watched.swap(true, Ordering::Relaxed)
    }

    /// As [`landing`](Self::landing), with a timer of its own.
    ///
    /// # Panics
    ///
    /// On a runtime without a time driver.
    pub(super) fn watch(&self) -> Timeout<OwnedNotified> {
        time::timeout_at(self.overdue_at, self.has_landed())
    }

    fn has_landed(&self) -> OwnedNotified {
        Arc::clone(&self.has_landed).notified_owned()
    }

    /// Whether the login was spawned on another runtime than this one.
    pub(super) fn is_carried_elsewhere(&self) -> bool {
        Handle::try_current().is_ok_and(|runtime| !self.is_flown_on(&runtime))
    }

    fn is_flown_on(&self, runtime: &Handle) -> bool {
        self.runtime == runtime.id()
    }
}

pin_project! {
    /// The wait for a flight, with a timer on the runtime that it was made on.
    pub(super) struct Landing {
        #[pin]
        wait: Wait,
        task: Option<task::Id>,
        runtime: RuntimeId,
    }
}

impl Landing {
    /// Whether it is polled on another runtime than it was made for: its timer is elsewhere then. A
    /// task stays on its runtime, so that most waiters need not ask which one that is.
    pub(super) fn has_moved(&self) -> bool {
        (self.task.is_none() || self.task != task::try_id())
            && Handle::try_current().is_ok_and(|runtime| runtime.id() != self.runtime)
    }
}

pin_project! {
    #[project = WaitProjection]
    enum Wait {
        Here {
            #[pin]
            has_landed: OwnedNotified,
        },
        Elsewhere {
            in_time: Pin<Box<Timeout<OwnedNotified>>>,
        },
    }
}

impl Future for Landing {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().wait.project() {
            WaitProjection::Here { has_landed } => has_landed.poll(cx),
            // Whether it was in time, the outcome says.
            WaitProjection::Elsewhere { in_time } => in_time.as_mut().poll(cx).map(|_| ()),
        }
    }
}
