//! Logins made from a closure.

use std::fmt;

use super::{Login, LoginRequest, Session};
use crate::{credential::Credential, error::BoxError};

/// Makes a [`Login`] from a function that returns a future.
///
/// # Examples
///
/// The closure clones its captured client for each login:
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{BoxError, Credential, login_fn};
/// # #[derive(Clone)] struct Client;
/// # impl Client {
/// #     async fn log_in(&self) -> Result<(String, String), std::io::Error> {
/// #         Ok(("mF_9.B5f-4.1JqM".to_owned(), "3600".to_owned()))
/// #     }
/// # }
/// # let client = Client;
///
/// let login = login_fn(move |_request| {
///     let client = client.clone();
///     async move {
///         let (token, seconds) = client.log_in().await?;
///         let lifetime = Duration::from_secs(seconds.parse()?);
///         Ok(Credential::new(token)?.with_lifetime(lifetime))
///     }
/// });
/// # let provider = tower_bearer::CachedProvider::new(login);
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// assert_eq!(provider.acquire().await?.value(), "Bearer mF_9.B5f-4.1JqM");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// If your function has another error than [`BoxError`], convert it with `?`:
///
/// ```
/// # use tower_bearer::{Credential, InvalidToken, LoginRequest, login_fn};
/// async fn log_in(_request: LoginRequest) -> Result<Credential, InvalidToken> {
///     Credential::new("mF_9.B5f-4.1JqM")
/// }
///
/// let login = login_fn(|request| async { Ok(log_in(request).await?) });
/// # let _ = tower_bearer::CachedProvider::new(login);
/// ```
pub fn login_fn<F, Fut>(function: F) -> LoginFn<F>
where
    F: Fn(LoginRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Credential, BoxError>> + Send,
{
    LoginFn {
        function,
        session: Session::Exclusive,
    }
}

/// A [`Login`] made from a closure by [`login_fn`].
///
/// # Examples
///
/// With a function pointer, the type can be named:
///
/// ```
/// use std::pin::Pin;
/// use tower_bearer::{BoxError, CachedProvider, Credential, LoginFn, LoginRequest, login_fn};
///
/// type LoginFuture = Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send>>;
///
/// fn log_in(_request: LoginRequest) -> LoginFuture {
///     Box::pin(async { Ok(Credential::new("mF_9.B5f-4.1JqM")?) })
/// }
///
/// let login: LoginFn<fn(LoginRequest) -> LoginFuture> = login_fn(log_in);
/// # let _ = CachedProvider::new(login);
/// ```
#[derive(Clone, Copy)]
pub struct LoginFn<F> {
    function: F,
    session: Session,
}

impl<F> LoginFn<F> {
    /// Sets what a login does to the previous credential. Defaults to [`Session::Exclusive`].
    #[must_use]
    pub fn with_session(self, session: Session) -> Self {
        Self { session, ..self }
    }
}

impl<F, Fut> Login for LoginFn<F>
where
    F: Fn(LoginRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Credential, BoxError>> + Send,
{
    fn login(
        &self,
        request: LoginRequest,
    ) -> impl Future<Output = Result<Credential, BoxError>> + Send {
        (self.function)(request)
    }

    fn session(&self) -> Session {
        self.session
    }
}

impl<F> fmt::Debug for LoginFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFn")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
