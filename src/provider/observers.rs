//! Who is told what happens to a provider's credential.

#[cfg(feature = "tracing")]
use std::error::Error as _;
use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use super::receipt::Reason;
use crate::{
    credential::{Credential, Generation},
    error::Error,
};

/// What has happened to the credential of a [`CachedProvider`](crate::CachedProvider).
///
/// Observers run after all locks are released, in the task or request that caused the event: those of
/// two threads may come in another order than they happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CredentialEvent {
    /// A login has brought a credential, which is in use now.
    #[non_exhaustive]
    LoggedIn {
        /// The credential's.
        generation: Generation,
    },
    /// A login has failed, or was lost.
    #[non_exhaustive]
    LoginFailed {
        /// What all waiting requests are told.
        error: Error,
    },
    /// A login has ended that a [`reset`](crate::CachedProvider::reset) came before: what it brought
    /// is discarded.
    #[non_exhaustive]
    LoginDiscarded {
        /// What it failed with; `None` where it brought a credential.
        error: Option<Error>,
    },
    /// A refresh token was refused, or its answer was lost, and the login went on without it.
    #[non_exhaustive]
    RefreshFailed {
        /// Why.
        error: Error,
    },
    /// The current credential was rejected. News about an older one is no event.
    #[non_exhaustive]
    Rejected {
        /// The credential's.
        generation: Generation,
        /// Whether it stays in use: logins for such rejections have not helped, or the last one
        /// failed.
        is_kept: bool,
    },
    /// The current credential was rejected and stays in use: logins for such rejections have not
    /// helped, and none is made until `next_login`. Told once for each such pause.
    #[non_exhaustive]
    LoginHeldBack {
        /// The credential's.
        generation: Generation,
        /// Why.
        reason: Reason,
        /// When the next login may be made, by the provider's clock.
        next_login: Instant,
    },
    /// Tokens are revoked within seconds of each login, for the third time in a row: another client
    /// may be using this account. A suspicion, never a fact.
    #[non_exhaustive]
    Contended {
        /// That of the credential that was rejected last.
        generation: Generation,
    },
}

type Observer<T> = Box<dyn Fn(&T) + Send + Sync>;

#[derive(Default)]
pub(super) struct Observers {
    pub(super) on_event: Option<Observer<CredentialEvent>>,
    pub(super) on_credential: Option<Observer<Credential>>,
}

impl Observers {
    pub(super) fn notify(&self, event: &CredentialEvent) {
        #[cfg(feature = "tracing")]
        caught(|| trace(event));
        call(self.on_event.as_ref(), event);
    }

    pub(super) fn notify_credential(&self, credential: &Credential) {
        call(self.on_credential.as_ref(), credential);
    }
}

/// What is worth a look is a warning, the daily round is for debugging. Nothing here is secret: errors
/// of this crate hold no secrets, and what a login of the user's fails with is its own affair.
#[cfg(feature = "tracing")]
fn trace(event: &CredentialEvent) {
    match event {
        CredentialEvent::LoggedIn { generation } => tracing::debug!(?generation, "logged in"),
        CredentialEvent::LoginFailed { error } => {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "login failed");
        }
        CredentialEvent::LoginDiscarded { .. } => tracing::debug!("login discarded after a reset"),
        CredentialEvent::RefreshFailed { error } => {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "refresh failed");
        }
        CredentialEvent::Rejected {
            generation,
            is_kept,
        } => tracing::debug!(?generation, is_kept, "credential rejected"),
        CredentialEvent::LoginHeldBack {
            generation,
            reason,
            next_login: _,
        } => tracing::warn!(
            ?generation,
            ?reason,
            "rejected, and kept: logins do not help"
        ),
        CredentialEvent::Contended { generation } => tracing::warn!(
            ?generation,
            "tokens are revoked within seconds of each login; another client may be using this account"
        ),
    }
}

fn call<T>(observer: Option<&Observer<T>>, argument: &T) {
    if let Some(observer) = observer {
        caught(|| observer(argument));
    }
}

/// No panic of an observer reaches a request or a login: the panic hook has reported it.
fn caught(observe: impl FnOnce()) {
    let _ = panic::catch_unwind(AssertUnwindSafe(observe));
}
