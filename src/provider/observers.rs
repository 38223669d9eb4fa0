//! The events of a provider's credential, and the observers of them.

#[cfg(feature = "tracing")]
mod log;
mod measure;
mod span;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod words;

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

pub(super) use self::span::LoginSpan;
use super::receipt::Reason;
#[cfg(feature = "metrics")]
use crate::runtime::measure::Descriptions;
#[cfg(feature = "store")]
use crate::store::StoreError;
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
        /// From the start of the login to its end, hooks included, by Tokio's clock.
        duration: Duration,
    },
    /// A login has failed, or was lost.
    #[non_exhaustive]
    LoginFailed {
        /// The error that all waiters get.
        error: Error,
        /// Why the login was made.
        reason: LoginReason,
        /// From the start of the login to its end, hooks included, by Tokio's clock.
        duration: Duration,
    },
    /// A login has ended after a [`reset`](crate::CachedProvider::reset), a
    /// [`set_credential`](crate::CachedProvider::set_credential) or a
    /// [`sign_out`](crate::CachedProvider::sign_out), so its outcome was discarded.
    #[non_exhaustive]
    LoginDiscarded {
        /// The error of the login; `None` if it returned a credential.
        error: Option<Error>,
        /// Why the login was made.
        reason: LoginReason,
        /// From the start of the login to its end, hooks included, by Tokio's clock.
        duration: Duration,
    },
    /// The credential of another process came from the store, and is now in use: no login was made. Only with
    /// `CachedProviderBuilder::shared`.
    #[non_exhaustive]
    Adopted {
        /// The generation of the credential, in this process.
        generation: Generation,
    },
    /// The [store](crate::CachedProviderBuilder::shared) failed, had a damaged record, or refused what the provider
    /// wanted to publish. The login goes on without it, unless the account
    /// [must not](crate::store::SharedAccount::fail_without_store).
    #[cfg(feature = "store")]
    #[non_exhaustive]
    StoreFailed {
        /// The cause.
        error: StoreError,
    },
    /// The store works again, for the first time since it failed.
    #[cfg(feature = "store")]
    StoreRecovered,
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

/// How a provider is called where it is printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) provider: Option<Cow<'static, str>>,
    pub(super) account: Option<Cow<'static, str>>,
}

#[derive(Default)]
pub(super) struct Observers {
    pub(super) names: Names,
    pub(super) on_event: Option<Observer>,
    #[cfg(feature = "metrics")]
    descriptions: Descriptions,
}

impl Observers {
    pub(super) fn notify(&self, event: &CredentialEvent) {
        // An error of the user's login may panic when it is printed, or asked for its source.
        #[cfg(feature = "tracing")]
        let _ = catch(|| log::log(&self.names, event));
        let _ = catch(|| self.measure(event));
        if let Some(observer) = &self.on_event {
            // An observer's panic stays away from requests and logins.
            let _ = catch(|| observer(event));
        }
    }

    /// Reports the end of a login, within its span, and closes the span. So many requests have waited
    /// since the end of the previous login.
    pub(super) fn login_ended(&self, span: &LoginSpan, event: &CredentialEvent, waits: u64) {
        self.measure_waits(waits);
        span.within(|| self.notify(event));
        // Afterwards: a formatter would print these fields before the line, which has them too.
        span.record_end(event);
        span.close();
    }
}
