//! The one login under way, and those who wait for it.

use std::sync::OnceLock;

use tokio::{sync::SetOnce, task};

use crate::error::Error;

/// One login under way, known by its address.
///
/// Its outcome is set once: by the login's task, or by whoever finds it lost. What comes later is
/// ignored.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    outcome: SetOnce<Result<T, Error>>,
    task: OnceLock<task::Id>,
}

impl<T: Clone> Flight<T> {
    pub(crate) fn new() -> Self {
        Self {
            outcome: SetOnce::new(),
            task: OnceLock::new(),
        }
    }

    /// Says that the task which polls this carries the login.
    pub(crate) fn board_pilot(&self) {
        // A flight has one task, which says so once.
        let _ = self.task.set(task::id());
    }

    /// Whether the task which polls this is the one that carries the login: it would wait for
    /// itself.
    pub(crate) fn is_piloted_here(&self) -> bool {
        self.task
            .get()
            .is_some_and(|pilot| task::try_id() == Some(*pilot))
    }

    /// Tells all waiters, unless they have been told already.
    pub(crate) fn land(&self, outcome: Result<T, Error>) {
        let _ = self.outcome.set(outcome);
    }

    /// The outcome, once there is one.
    pub(crate) async fn landed(&self) -> Result<T, Error> {
        self.outcome.wait().await.clone()
    }
}
