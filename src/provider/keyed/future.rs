//! The future of a request that waits for the authorization of its account.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{credential::Authorization, error::Error, provider::Acquire};

pin_project! {
    /// The future that a [`KeyedProvider`](crate::KeyedProvider) returns from `acquire_for`.
    ///
    /// The account is not evicted while the future exists.
    ///
    /// # Examples
    ///
    /// A provider around a `KeyedProvider` names this type:
    ///
    /// ```
    /// use tower_bearer::{
    ///     Authorization, CredentialProvider, KeyedAcquire, KeyedProvider, Receipt, Rejected,
    ///     RequestHead, Verdict,
    /// };
    ///
    /// struct Accounts(KeyedProvider<u32>);
    ///
    /// /// Each method is forwarded: some of them have a default that does nothing.
    /// impl CredentialProvider for Accounts {
    ///     type Acquire = KeyedAcquire;
    ///
    ///     fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
    ///         self.0.current_for(head)
    ///     }
    ///
    ///     fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
    ///         self.0.is_current(held, head)
    ///     }
    ///
    ///     fn is_withdrawn(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
    ///         self.0.is_withdrawn(held, head)
    ///     }
    ///
    ///     fn sends_bare(&self, head: RequestHead<'_>) -> bool {
    ///         self.0.sends_bare(head)
    ///     }
    ///
    ///     fn acquire_for(&self, head: RequestHead<'_>) -> KeyedAcquire {
    ///         self.0.acquire_for(head)
    ///     }
    ///
    ///     fn sent(&self, receipt: Receipt) {
    ///         self.0.sent(receipt);
    ///     }
    ///
    ///     fn accept(&self, receipt: Receipt) {
    ///         self.0.accept(receipt);
    ///     }
    ///
    ///     fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
    ///         self.0.reject(rejected)
    ///     }
    /// }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct KeyedAcquire {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        Acquiring {
            #[pin]
            acquire: Acquire,
        },
        // The request has no account.
        Failed {
            error: Error,
        },
    }
}

impl KeyedAcquire {
    pub(super) fn of(acquire: Acquire) -> Self {
        Self {
            state: State::Acquiring { acquire },
        }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: State::Failed { error },
        }
    }
}

impl Future for KeyedAcquire {
    type Output = Result<Authorization, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Acquiring { acquire } => acquire.poll(cx),
            StateProjection::Failed { error } => Poll::Ready(Err(error.clone())),
        }
    }
}

impl fmt::Debug for KeyedAcquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedAcquire").finish_non_exhaustive()
    }
}
