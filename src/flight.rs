//! The one login under way, and those who wait for it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    error::Error,
    login::RefreshTokenSlot,
    sync::{AtomicBool, Instant, Notify, OnceLock, OwnedNotified, Timeout, task, time},
};

/// A login ends itself at its timeout. Where it has not done so this much later, its task is no
/// longer driven.
const OVERDUE: Duration = Duration::from_secs(1);

/// One login under way, known by its address.
///
/// Its outcome is set once: by the login's task, or by whoever finds it lost. What comes later is
/// ignored.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    outcome: OnceLock<Result<T, Error>>,
    has_landed: Arc<Notify>,
    task: OnceLock<task::Id>,
    waits_for_itself: AtomicBool,
    overdue_at: Instant,
    /// For this login alone: one that was declared lost takes nothing from the next.
    refresh_token: RefreshTokenSlot,
}

impl<T> Flight<T> {
    pub(crate) fn new(timeout: Duration, refresh_token: RefreshTokenSlot) -> Self {
        Self {
            outcome: OnceLock::new(),
            has_landed: Arc::default(),
            task: OnceLock::new(),
            waits_for_itself: AtomicBool::new(false),
            overdue_at: Instant::now() + timeout + OVERDUE,
            refresh_token,
        }
    }

    pub(crate) fn refresh_token(&self) -> &RefreshTokenSlot {
        &self.refresh_token
    }

    /// Says that the task which polls this carries the login.
    pub(crate) fn board_pilot(&self) {
        // A flight has one task, which says so once.
        let _ = self.task.set(task::id());
    }

    /// Whether the task which polls this is the one that carries the login: it would wait for
    /// itself. That is kept in mind, however the login reports it.
    pub(crate) fn is_piloted_here(&self) -> bool {
        let pilot = self.task.get();
        let is_here = pilot.is_some_and(|pilot| task::try_id() == Some(*pilot));
        if is_here {
            // Relaxed: the same task reads it.
            self.waits_for_itself.store(true, Ordering::Relaxed);
        }
        is_here
    }

    pub(crate) fn has_waited_for_itself(&self) -> bool {
        self.waits_for_itself.load(Ordering::Relaxed)
    }

    /// Whether it ought to have ended, one way or the other.
    pub(crate) fn is_overdue(&self) -> bool {
        Instant::now() >= self.overdue_at
    }

    /// How long it may still take.
    pub(crate) fn overdue_in(&self) -> Duration {
        self.overdue_at.saturating_duration_since(Instant::now())
    }

    /// Tells all waiters, unless they have been told already.
    pub(crate) fn land(&self, outcome: Result<T, Error>) {
        if self.outcome.set(outcome).is_ok() {
            self.has_landed.notify_waiters();
        }
    }

    /// The outcome, if there is one.
    pub(crate) fn outcome(&self) -> Option<&Result<T, Error>> {
        self.outcome.get()
    }

    /// Ends when there is an outcome that was not there when this was called, and with an error when
    /// it is overdue. So look for the outcome before each poll.
    ///
    /// # Panics
    ///
    /// On a runtime without a time driver.
    pub(crate) fn landing(&self) -> Landing {
        time::timeout_at(
            self.overdue_at,
            Arc::clone(&self.has_landed).notified_owned(),
        )
    }
}

/// The wait for a flight.
pub(crate) type Landing = Timeout<OwnedNotified>;
