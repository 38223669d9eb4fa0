//! Logins: how a provider gets a credential.

mod function;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "json")]
mod refresh_failure;
#[cfg(feature = "json")]
mod reading;
#[cfg(feature = "json")]
mod status;
#[cfg(feature = "json")]
mod field;
#[cfg(feature = "json")]
mod json_text;
#[cfg(feature = "json")]
mod jwt;
#[cfg(feature = "json")]
mod exchange;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

pub use self::function::{LoginFn, login_fn};
#[cfg(feature = "json")]
pub use self::{
    field::AnswerField,
    json::JsonLogin,
    reading::{Lifetime, LoginAnswer},
    refresh_failure::RefreshFailure,
};
#[cfg(feature = "teletracker")]
pub(crate) use self::{
    json_text::{find, seconds, string},
    reading::RefreshTokenLifetime,
};
use crate::{
    credential::{Credential, RefreshToken},
    error::{BoxError, Error},
};

/// How to get a credential: by a password, by a refresh token, or from a file.
///
/// A [`CachedProvider`](crate::CachedProvider) calls it when it needs a credential, one call at a
/// time. Each call runs in a separate Tokio task that no caller can cancel.
///
/// # Examples
///
/// `?` converts any error:
///
/// ```
/// use tower_bearer::{BoxError, Credential, Login, LoginRequest};
///
/// struct TokenFile(std::path::PathBuf);
///
/// impl Login for TokenFile {
///     async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
///         let path = self.0.clone();
///         let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
///         Ok(Credential::new(read.await??.trim())?)
///     }
/// }
/// # let path = std::env::temp_dir().join(format!("tower-bearer-{}", std::process::id()));
/// # std::fs::write(&path, "abc\n")?;
/// # let provider = tower_bearer::CachedProvider::new(TokenFile(path.clone()));
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # assert_eq!(runtime.block_on(provider.acquire())?.value(), "Bearer abc");
/// # std::fs::remove_file(path)?;
/// # Ok::<_, BoxError>(())
/// ```
///
/// [`login_fn`] makes a login from a closure. An [`Arc`] of a login is a login too, which several
/// providers can share.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a login",
    note = "write `async fn login` in an `impl Login`, or make one from a closure with `login_fn`"
)]
pub trait Login: Send + Sync + 'static {
    /// Logs in.
    ///
    /// Send the login through a client *without* the layer. A login through the layer would wait for
    /// itself. It fails at once if the login's own task sends it. If another task sends it, such as
    /// the worker of a tower `Buffer`, it fails at the login's timeout.
    ///
    /// Do not block the thread. A blocked thread defeats the timeout, and a second login may then
    /// start before the first one ends.
    ///
    /// # Errors
    ///
    /// Any error. It becomes the source of the [`Error`](crate::Error) that all waiting requests
    /// get, so keep secrets out of it. [`LoginError`](crate::LoginError) says when the next attempt
    /// may be made.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped if it does not end within the provider's login timeout, and when its
    /// runtime shuts down.
    fn login(
        &self,
        request: LoginRequest,
    ) -> impl Future<Output = Result<Credential, BoxError>> + Send;

    /// The method, host and path of the login, such as `POST api.example.com/login`, for the error of a
    /// login that does not end. Defaults to `None`. No secret belongs in it.
    fn endpoint(&self) -> Option<String> {
        None
    }

    /// What a login does to the previous credential. Defaults to [`Session::Exclusive`].
    fn session(&self) -> Session {
        Session::Exclusive
    }
}

impl<L: Login> Login for Arc<L> {
    fn login(
        &self,
        request: LoginRequest,
    ) -> impl Future<Output = Result<Credential, BoxError>> + Send {
        L::login(self, request)
    }

    fn endpoint(&self) -> Option<String> {
        L::endpoint(self)
    }

    fn session(&self) -> Session {
        L::session(self)
    }
}

/// What a login does to the previous credential.
///
/// If unsure, use [`Exclusive`](Self::Exclusive): requests pause at expiry, but no valid token gets
/// revoked.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Credential, Session, login_fn};
///
/// let login = login_fn(|_| async { Ok(Credential::new("mF_9.B5f-4.1JqM")?) })
///     .with_session(Session::Concurrent);
/// # let _ = tower_bearer::CachedProvider::new(login);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Session {
    /// A login revokes the previous credential. The provider uses each credential until it expires;
    /// requests then wait for the next login.
    Exclusive,
    /// The previous credential stays valid. Before it expires, the provider logs in once in the
    /// background, and requests go on with the current credential meanwhile.
    Concurrent,
}

/// The input of a login: the refresh token, if there is one, and the timeout.
///
/// # Examples
///
/// A login that prefers a refresh token to the password, and its test:
///
/// ```
/// use tower_bearer::{BoxError, Credential, LoginRequest};
/// # async fn refresh(_token: &str) -> Result<String, std::io::Error> { Ok("refreshed".to_owned()) }
/// # async fn sign_in() -> Result<String, std::io::Error> { Ok("signed-in".to_owned()) }
///
/// async fn log_in(mut request: LoginRequest) -> Result<Credential, BoxError> {
///     if let Some(refresh_token) = request.take_refresh_token() {
///         match refresh(refresh_token.expose()).await {
///             Ok(token) => return Ok(Credential::new(token)?),
///             Err(error) => request.refresh_has_failed(error),
///         }
///     }
///     Ok(Credential::new(sign_in().await?)?)
/// }
///
/// # tokio_test::block_on(async {
/// let credential = log_in(LoginRequest::with_refresh_token("dff78899")).await?;
/// assert_eq!(credential.token().expose(), "refreshed");
/// let credential = log_in(LoginRequest::default()).await?;
/// assert_eq!(credential.token().expose(), "signed-in");
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoginRequest {
    refresh_token: RefreshTokenSlot,
    timeout: Option<Duration>,
}

impl LoginRequest {
    /// A request with a refresh token, for tests of your own [`Login`].
    #[must_use]
    pub fn with_refresh_token(refresh_token: impl Into<RefreshToken>) -> Self {
        Self {
            refresh_token: RefreshTokenSlot::new(Some(refresh_token.into())),
            timeout: None,
        }
    }

    pub(crate) fn new(refresh_token: RefreshTokenSlot, timeout: Duration) -> Self {
        Self {
            refresh_token,
            timeout: Some(timeout),
        }
    }

    /// The time after which the login is dropped, counted from its start. `None` for a request that
    /// a test has made.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Takes the refresh token of the previous credential, if it had one.
    ///
    /// A refresh token that is taken is spent: no later login gets it, even if this one panics, times
    /// out or fails. A refresh token that is not taken stays for the next login. An expired one is
    /// given to no login.
    ///
    /// If the response brings no new refresh token and the old one stays valid, put the old one into
    /// the new [`Credential`](Credential::with_refresh_token).
    #[must_use = "a refresh token that is taken is spent"]
    pub fn take_refresh_token(&mut self) -> Option<RefreshToken> {
        self.refresh_token.take()
    }

    /// Puts a refresh token back for the next login. Use it only if the token was never sent, since
    /// no connection was made: a token that may have reached the server is spent.
    pub fn put_back_refresh_token(&mut self, refresh_token: RefreshToken) {
        self.refresh_token.put_back(refresh_token);
    }

    /// Reports that the refresh failed, for a login that goes on without the refresh token.
    ///
    /// Observers get [`CredentialEvent::RefreshFailed`](crate::CredentialEvent::RefreshFailed) once
    /// the login has ended. Only the first failure of a login is reported.
    pub fn refresh_has_failed(&mut self, failure: impl Into<BoxError>) {
        self.refresh_token.report_failure(failure.into());
    }
}

/// Passes a refresh token to the login, and back if it was not used. It also takes the report of a
/// failed refresh. Clones share the slot, so that only one of them can take the token.
#[derive(Clone, Default)]
pub(crate) struct RefreshTokenSlot(Arc<Slot>);

#[derive(Default)]
struct Slot {
    refresh_token: Mutex<Option<RefreshToken>>,
    refresh_failure: OnceLock<Error>,
}

impl RefreshTokenSlot {
    pub(crate) fn new(refresh_token: Option<RefreshToken>) -> Self {
        Self(Arc::new(Slot {
            refresh_token: Mutex::new(refresh_token),
            refresh_failure: OnceLock::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<RefreshToken>> {
        // Only moves happen under the lock, so a poisoned lock still guards a whole value.
        let slot = self.0.refresh_token.lock();
        slot.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Option<RefreshToken> {
        self.lock().take()
    }

    fn report_failure(&self, failure: BoxError) {
        let _ = self.0.refresh_failure.set(Error::refresh_failed(failure));
    }

    /// The failure of the refresh, if the login has reported one.
    pub(crate) fn refresh_failure(&self) -> Option<&Error> {
        self.0.refresh_failure.get()
    }

    fn put_back(&self, refresh_token: RefreshToken) {
        let mut slot = self.lock();
        let _dropped_unlocked = slot.replace(refresh_token);
        drop(slot);
    }
}

impl fmt::Debug for RefreshTokenSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefreshTokenSlot").finish_non_exhaustive()
    }
}

/// A [`Login`] behind a dyn compatible trait.
pub(crate) trait DynLogin: Send + Sync {
    fn login(
        &self,
        request: LoginRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send + '_>>;

    fn endpoint(&self) -> Option<String>;
}

impl<L: Login> DynLogin for L {
    fn login(
        &self,
        request: LoginRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send + '_>> {
        Box::pin(Login::login(self, request))
    }

    fn endpoint(&self) -> Option<String> {
        Login::endpoint(self)
    }
}
