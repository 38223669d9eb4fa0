//! The settings of a [`CachedProvider`].

use std::{borrow::Cow, fmt, sync::Arc};

use super::CachedProvider;
#[cfg(feature = "store")]
use crate::provider::cache::Sharing;
use crate::{
    credential::{Credential, RefreshToken},
    error::BoxError,
    login::Login,
    provider::{
        CachePolicy, CredentialEvent, Retired,
        cache::{Cache, Setup},
    },
    runtime::{Clock, sync::Handle},
};

/// Builds a [`CachedProvider`].
///
/// # Examples
///
/// A credential that survives a restart:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use tower_bearer::{BoxError, CachedProvider, Credential, LoginRequest, login_fn};
///
/// async fn log_in(_request: LoginRequest) -> Result<Credential, BoxError> {
///     Ok(Credential::new("abc")?.with_refresh_token("dff78899"))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let stored = Arc::new(Mutex::new(None)); // stands in for a file
/// let store = Arc::clone(&stored);
/// let provider = CachedProvider::builder(login_fn(log_in))
///     .on_credential(move |credential| *store.lock().unwrap() = Some(credential.clone()))
///     .build();
/// provider.acquire().await?;
///
/// // The next process:
/// let credential = stored.lock().unwrap().take().expect("the login has stored it");
/// let provider = CachedProvider::builder(login_fn(log_in)).starting_with(credential).build();
/// assert_eq!(provider.acquire().await?.value(), "Bearer abc");
/// assert_eq!(provider.snapshot().logins(), 0);
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[must_use]
pub struct CachedProviderBuilder {
    setup: Setup,
    credential: Option<Credential>,
    refresh_token: Option<RefreshToken>,
}

impl CachedProviderBuilder {
    pub(super) fn new(login: impl Login) -> Self {
        Self {
            setup: Setup::new(login),
            credential: None,
            refresh_token: None,
        }
    }

    /// Sets timeout, margin and pauses. Defaults to [`CachePolicy::default`].
    pub fn policy(mut self, policy: CachePolicy) -> Self {
        self.setup.policy = policy;
        self
    }

    /// Sets the clock. Defaults to [`SystemClock`](crate::SystemClock).
    ///
    /// The timeouts of logins and waits are Tokio timers, independent of this clock. The expiry is a
    /// Tokio timer too if the clock [runs by itself](Clock::runs_by_itself).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.setup.clock = Box::new(clock);
        self
    }

    /// Sets the runtime that logins run on. Defaults to that of the request that starts the login.
    ///
    /// - A thread without a runtime can then start a background login: by
    ///   [`current`](CachedProvider::current), while the credential ages.
    /// - To wait for a login, a request still needs a runtime of its own, since its deadline is a timer.
    /// - The runtime must have a time driver, and must outlive the provider. Otherwise each login is
    ///   [lost](crate::Error::is_login_lost).
    ///
    /// The guide's page on [runtimes](crate::guide::runtimes#name-the-runtime) has an example.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.setup.runtime = Some(runtime);
        self
    }

    /// Sets the first credential, for example one from a previous process. Defaults to none.
    ///
    /// Its lifetime counts from [`build`](Self::build). A credential that has expired by then is not
    /// used.
    pub fn starting_with(self, credential: Credential) -> Self {
        Self {
            credential: Some(credential),
            ..self
        }
    }

    /// Sets a refresh token for the first login, for example one from a previous process. Defaults to
    /// none. That of [`starting_with`](Self::starting_with) comes first.
    pub fn starting_with_refresh_token(self, refresh_token: impl Into<RefreshToken>) -> Self {
        Self {
            refresh_token: Some(refresh_token.into()),
            ..self
        }
    }

    /// Sets the number of the account, which each authorization carries. Defaults to 0. See
    /// [`Authorization::with_account`](crate::Authorization::with_account).
    pub fn account(mut self, account: u32) -> Self {
        self.setup.account = account;
        self
    }

    /// Names the provider in spans, log lines and metrics, and in `Debug`. Defaults to none.
    ///
    /// The name is printed, so it must not be a secret. Examples are in the guide:
    /// [logging](crate::guide::logging), [metrics](crate::guide::metrics).
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.setup.observers.names.provider = Some(name.into());
        self
    }

    /// Names the account in spans, log lines and metrics, and in `Debug`. Defaults to none.
    ///
    /// The name is printed, and each name has metrics of its own. If an account's key is confidential,
    /// such as an e-mail address, pass a number or a hash instead.
    pub fn account_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.setup.observers.names.account = Some(name.into());
        self
    }

    /// Sets the source of randomness, which returns numbers from 0 to 1. Defaults to `fastrand`.
    ///
    /// It decides the pauses after failed logins and the start of a background login.
    #[cfg(feature = "test-util")]
    pub fn random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.setup.random = Box::new(random);
        self
    }

    /// Calls `observer` with each [`CredentialEvent`].
    ///
    /// Observers run after all locks are released, in the task or the request that caused the event. The
    /// observer sees the events of a login before its waiters wake up. A request that reads the new
    /// credential directly may come first.
    ///
    /// The observer must not block: it runs on the runtime's threads, and delays waiters up to their
    /// deadline. A panic in it changes nothing.
    pub fn on_event(mut self, observer: impl Fn(&CredentialEvent) + Send + Sync + 'static) -> Self {
        self.setup.observers.on_event = Some(Box::new(observer));
        self
    }

    /// Calls `keep` with each new credential, before any request is sent with it: to store a refresh
    /// token for the [next process](Self::starting_with).
    ///
    /// It runs in the login's task, or in [`set_credential`](CachedProvider::set_credential), and must
    /// not block. Spawn your own task for slow work. A panic in it changes nothing.
    ///
    /// A login that brings no refresh token keeps the previous one if that is unspent: then the credential
    /// has it. A token that you [hand in](CachedProvider::set_credential) alone comes alone: leave the
    /// stored refresh token as it is.
    ///
    /// A sign-out may come while it runs. So delete what you have stored in
    /// [`on_retired`](Self::on_retired), or once the provider has [settled](CachedProvider::settled).
    pub fn on_credential(mut self, keep: impl Fn(&Credential) + Send + Sync + 'static) -> Self {
        self.setup.hooks.on_credential = Some(Box::new(keep));
        self
    }

    /// Awaits `write` before a refresh token is handed to a login: to note in your store that it may be
    /// spent. After a crash, a refresh token with such a note must not be used again. The guide has a
    /// [store](crate::guide::shutdown#a-store-that-survives-a-crash) with such notes.
    ///
    /// - If the login succeeds, [`on_credential`](Self::on_credential) gets the new refresh token.
    /// - If it fails without spending the refresh token, [`on_unspent`](Self::on_unspent) gets it.
    /// - If it has spent the refresh token, neither is called, and the note stays.
    ///
    /// If `write` fails, the login does not get the refresh token, and
    /// [`RefreshFailed`](CredentialEvent::RefreshFailed) has the error. The time counts towards the
    /// login's timeout.
    pub fn before_refresh<F, Fut>(mut self, write: F) -> Self
    where
        F: Fn(RefreshToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.setup.hooks.before_refresh = Some(Box::new(move |token| Box::pin(write(token))));
        self
    }

    /// Calls `keep` with the refresh token that a failed or discarded login leaves: the unspent one, or
    /// a new one from the answer.
    ///
    /// It runs in the login's task, before another login can get the refresh token, and must not block.
    /// A panic in it changes nothing. A login that was [lost](crate::Error::is_login_lost) reports
    /// nothing.
    pub fn on_unspent(mut self, keep: impl Fn(&RefreshToken) + Send + Sync + 'static) -> Self {
        self.setup.hooks.on_unspent = Some(Box::new(keep));
        self
    }

    /// Calls `revoke` with each credential that the provider no longer uses: an example is at
    /// [`Retired`].
    ///
    /// The credential may still be valid at the server. Revoke it there if the number of sessions is
    /// limited, unless a login does that by itself. An expired or rejected credential comes too. The
    /// guide says [which of them to revoke](crate::guide::signing_out#revoke).
    ///
    /// It runs in the task or the caller that retires the credential, and must not block. A panic in it
    /// changes nothing. It is not called when the provider is dropped: sign out before.
    pub fn on_retired(mut self, revoke: impl Fn(Retired) + Send + Sync + 'static) -> Self {
        self.setup.hooks.on_retired = Some(Box::new(revoke));
        self
    }

    /// Shares the session with all processes that have the same [`SharedAccount`](crate::store::SharedAccount):
    /// one of them logs in, and the others adopt its credential. Defaults to none.
    ///
    #[doc = include_str!("../sharing_rules.md")]
    #[cfg(feature = "store")]
    pub fn shared(mut self, account: crate::store::SharedAccount) -> Self {
        self.setup.sharing = Some(Box::new(Sharing::new(account)));
        self
    }

    /// Builds the provider. No login is made yet.
    #[must_use]
    pub fn build(self) -> CachedProvider {
        CachedProvider(Arc::new(Cache::new(
            self.setup,
            self.credential,
            self.refresh_token,
        )))
    }
}

impl fmt::Debug for CachedProviderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = &self.setup.observers.names;
        f.debug_struct("CachedProviderBuilder")
            .field("name", &names.provider)
            .field("account_name", &names.account)
            .field("session", &self.setup.session)
            .field("policy", &self.setup.policy)
            .field("credential", &self.credential)
            .field("refresh_token", &self.refresh_token)
            .finish_non_exhaustive()
    }
}
