//! One act of getting a credential.

mod function;
#[cfg(feature = "json")]
mod exchange;
#[cfg(feature = "json")]
mod reading;
#[cfg(feature = "json")]
mod json;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

pub use self::function::{LoginFn, login_fn};
#[cfg(feature = "teletracker")]
pub(crate) use self::reading::{RefreshTokenLifetime, find, seconds, string};
#[cfg(feature = "json")]
pub use self::{json::JsonLogin, reading::Lifetime};
use crate::{
    credential::{Credential, RefreshToken},
    error::{BoxError, Error},
};

/// How to get a credential: a password login, a refresh grant, the reading of a file.
///
/// A [`CachedProvider`](crate::CachedProvider) calls it when it must, one call at a time, in a
/// Tokio task of its own that no caller can cancel.
///
/// # Examples
///
/// Any error goes through `?`:
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
/// For a closure there is [`login_fn`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a login",
    note = "write `async fn login` in an `impl Login`, or make one of a closure with `login_fn`"
)]
pub trait Login: Send + Sync + 'static {
    /// Logs in.
    ///
    /// Send the login through a client *without* the layer: one that goes through it would wait
    /// for itself. It fails at once where it is sent from the login's own task, and at the login's
    /// timeout where another task sends it, such as the worker of a tower `Buffer`.
    ///
    /// Do not block the thread: then neither the timeout nor the rule of one login at a time can
    /// be kept.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; it becomes the source of the [`Error`](crate::Error) that all waiting
    /// requests get. Keep secrets out of it.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it does not end within the provider's login timeout, or with
    /// the runtime it runs on.
    fn login(
        &self,
        request: LoginRequest,
    ) -> impl Future<Output = Result<Credential, BoxError>> + Send;

    /// What a login does to the credential before it. Defaults to [`Session::Exclusive`].
    fn session(&self) -> Session {
        Session::Exclusive
    }
}

/// What a login does to the credential before it.
///
/// When in doubt it is [`Exclusive`](Self::Exclusive): then requests wait for a login at the
/// expiry, but none is refused for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Session {
    /// It revokes it: the credential in use is kept to its end, and requests then wait for the
    /// login.
    Exclusive,
    /// It leaves it alone: late in the credential's life one login is made in the background
    /// while the credential goes on being used.
    Concurrent,
}

/// What a login has to work with.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoginRequest {
    refresh_token: RefreshTokenSlot,
    timeout: Option<Duration>,
}

impl LoginRequest {
    /// A request with a refresh token to take, for tests of one's own [`Login`].
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

    /// The time that the login has in all: after that it is dropped. `None` for a request made for
    /// a test.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Takes the refresh token of the credential before, if it had one.
    ///
    /// Taken is spent: no later login is offered it again, also when this one panics, times out
    /// or fails. One that is not taken stays for the next login; one whose time is over is offered
    /// to none. Where the answer brings no new one, and the old one goes on being good, the login
    /// puts it into its [`Credential`](Credential::with_refresh_token) again.
    #[must_use = "a refresh token that is taken is spent"]
    pub fn take_refresh_token(&mut self) -> Option<RefreshToken> {
        self.refresh_token.take()
    }

    /// Puts a refresh token back for the next login: one that was taken and never sent, since no
    /// connection was made. One that may have reached its server is spent.
    pub fn put_back_refresh_token(&mut self, refresh_token: RefreshToken) {
        self.refresh_token.put_back(refresh_token);
    }

    /// Says that the refresh token did not help, and that the login goes on without: it is told as
    /// [`CredentialEvent::RefreshFailed`](crate::CredentialEvent::RefreshFailed) once the login has ended. The first
    /// failure of a login counts.
    pub fn refresh_has_failed(&mut self, failure: impl Into<BoxError>) {
        self.refresh_token.report_failure(failure.into());
    }
}

/// The place where a refresh token waits to be taken, by the login or back from it, and where the
/// login says that it did not help. Clones share it, so that only one of them can take it.
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
        // Only moves happen under the lock, so that a poisoned one is as good as any.
        let slot = self.0.refresh_token.lock();
        slot.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Option<RefreshToken> {
        self.lock().take()
    }

    fn report_failure(&self, failure: BoxError) {
        let _ = self.0.refresh_failure.set(Error::refresh_failed(failure));
    }

    /// Why the refresh token did not help, if the login has said so.
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

/// A [`Login`] without its type.
pub(crate) trait DynLogin: Send + Sync {
    fn login(
        &self,
        request: LoginRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send + '_>>;
}

impl<L: Login> DynLogin for L {
    fn login(
        &self,
        request: LoginRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send + '_>> {
        Box::pin(Login::login(self, request))
    }
}
