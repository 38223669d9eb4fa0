//! The events of a provider's credential, and the observers of them.

#[cfg(feature = "tracing")]
use std::error::Error as _;
use std::time::Instant;

use super::receipt::Reason;
use crate::{credential::Generation, error::Error, login::LoginReason, runtime::catch};

/// An event in the life of a [`CachedProvider`](crate::CachedProvider)'s credential.
///
/// Observers run after all locks are released, in the task or request that caused the event. Events of
/// two threads may therefore arrive in another order than they happened.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use tower_bearer::{CachedProvider, Credential, CredentialEvent, login_fn};
///
/// let (sender, receiver) = mpsc::channel();
/// let provider = CachedProvider::builder(login_fn(async |_| Ok(Credential::new("abc")?)))
///     .on_event(move |event| {
///         let line = match event {
///             CredentialEvent::LoggedIn { generation, .. } => format!("logged in: {generation:?}"),
///             CredentialEvent::LoginFailed { error, .. } => format!("login failed: {error}"),
///             CredentialEvent::Contended { .. } => "another client uses the account".to_owned(),
///             _ => return,
///         };
///         let _ = sender.send(line); // does not block
///     })
///     .build();
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let generation = provider.acquire().await?.generation();
/// assert_eq!(receiver.try_recv()?, format!("logged in: {generation:?}"));
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CredentialEvent {
    /// A login has returned a credential, which is now in use.
    #[non_exhaustive]
    LoggedIn {
        /// The generation of the new credential.
        generation: Generation,
        /// Why the login was made.
        reason: LoginReason,
    },
    /// A login has failed, or was lost.
    #[non_exhaustive]
    LoginFailed {
        /// The error that all waiters get.
        error: Error,
        /// Why the login was made.
        reason: LoginReason,
    },
    /// A login has ended after a [`reset`](crate::CachedProvider::reset), a
    /// [`set_credential`](crate::CachedProvider::set_credential) or a
    /// [`sign_out`](crate::CachedProvider::sign_out), so its outcome was discarded.
    #[non_exhaustive]
    LoginDiscarded {
        /// The error of the login; `None` if it returned a credential.
        error: Option<Error>,
    },
    /// The server rejected a refresh token, or its response was lost. The login went on without it.
    #[non_exhaustive]
    RefreshFailed {
        /// The cause.
        error: Error,
    },
    /// A credential was [handed in](crate::CachedProvider::set_credential), and is now in use.
    #[non_exhaustive]
    CredentialSet {
        /// The generation of the new credential.
        generation: Generation,
    },
    /// The provider was [signed out](crate::CachedProvider::sign_out).
    SignedOut,
    /// The current credential was rejected. The rejection of an older one causes no event.
    #[non_exhaustive]
    Rejected {
        /// The generation of the rejected credential.
        generation: Generation,
        /// Whether it stays in use, because logins for such rejections have not helped or the last login
        /// failed.
        is_kept: bool,
    },
    /// The current credential was rejected and stays in use, since logins for such rejections have not
    /// helped. No login is made before `next_login`. There is one such event for each pause.
    #[non_exhaustive]
    LoginHeldBack {
        /// The generation of the rejected credential.
        generation: Generation,
        /// The reason for the pause.
        reason: Reason,
        /// The earliest time of the next login, by the provider's clock.
        next_login: Instant,
    },
    /// For the third time in a row, a token was revoked within seconds of its login. Another client may
    /// be using this account: a suspicion, never a fact.
    #[non_exhaustive]
    Contended {
        /// The generation that was rejected last.
        generation: Generation,
    },
}

type Observer = Box<dyn Fn(&CredentialEvent) + Send + Sync>;

#[derive(Default)]
pub(super) struct Observers {
    pub(super) on_event: Option<Observer>,
}

impl Observers {
    pub(super) fn notify(&self, event: &CredentialEvent) {
        #[cfg(feature = "tracing")]
        let _ = catch(|| trace(event));
        if let Some(observer) = &self.on_event {
            // An observer's panic stays away from requests and logins.
            let _ = catch(|| observer(event));
        }
    }
}

/// Events that need attention are warnings, all others are for debugging. Errors of this crate contain
/// no secrets; the user's login is responsible for the text of its own errors.
#[cfg(feature = "tracing")]
fn trace(event: &CredentialEvent) {
    match event {
        CredentialEvent::LoggedIn {
            generation,
            reason: _,
        } => tracing::debug!(?generation, "logged in"),
        CredentialEvent::LoginFailed { error, reason: _ } => {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "login failed");
        }
        CredentialEvent::LoginDiscarded { .. } => tracing::debug!("login discarded"),
        CredentialEvent::RefreshFailed { error } => {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "refresh failed");
        }
        CredentialEvent::CredentialSet { generation } => {
            tracing::debug!(?generation, "credential set");
        }
        CredentialEvent::SignedOut => tracing::debug!("signed out"),
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
