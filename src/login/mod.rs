//! Logins: how a provider gets a credential.

mod function;
mod request;
#[cfg(feature = "json")]
mod http_login;
#[cfg(feature = "oauth2")]
mod oauth2;
#[cfg(feature = "json")]
mod basic;
#[cfg(feature = "json")]
mod body;
#[cfg(feature = "json")]
mod form;
#[cfg(feature = "json")]
mod headers;
#[cfg(feature = "json")]
mod refresh_failure;
#[cfg(feature = "json")]
mod reading;
#[cfg(feature = "json")]
mod status;
#[cfg(feature = "json")]
mod field;
#[cfg(feature = "files")]
mod token_file;
#[cfg(feature = "files")]
mod secret_file;
#[cfg(feature = "files")]
mod file;
#[cfg(feature = "metrics")]
mod error_type;
#[cfg(any(feature = "files", feature = "json"))]
mod jwt;
#[cfg(any(feature = "files", feature = "json"))]
mod json_text;
#[cfg(feature = "json")]
mod exchange;
pub(crate) mod challenge;

use std::{pin::Pin, sync::Arc};

#[cfg(feature = "metrics")]
pub(crate) use self::error_type::error_type;
#[cfg(feature = "oauth2")]
pub use self::oauth2::{OAuth2Grant, OAuth2Issuer, ReservedParameter};
pub(crate) use self::request::RefreshTokenSlot;
#[cfg(feature = "json")]
pub use self::{
    basic::InvalidBasicAuth,
    body::LoginBody,
    field::AnswerField,
    http_login::HttpLogin,
    reading::{Lifetime, LoginAnswer},
    refresh_failure::RefreshFailure,
};
pub use self::{
    challenge::Challenge,
    function::{LoginFn, login_fn},
    request::{LoginReason, LoginRequest},
};
#[cfg(feature = "teletracker")]
pub(crate) use self::{
    json_text::{find, seconds, string},
    reading::RefreshTokenLifetime,
};
#[cfg(feature = "files")]
pub use self::{secret_file::SecretFile, token_file::TokenFile};
use crate::{credential::Credential, error::BoxError};

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
/// use std::time::Duration;
/// use tower_bearer::{BoxError, Credential, Login, LoginRequest, Secret};
///
/// # async fn ask(_key: &str) -> Result<(&'static str, u64), std::io::Error> { Ok(("abc", 3600)) }
/// struct ByKey(Secret);
///
/// impl Login for ByKey {
///     async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
///         let (token, seconds) = ask(self.0.expose()).await?;
///         Ok(Credential::new(token)?.with_lifetime(Duration::from_secs(seconds)))
///     }
/// }
/// # let provider = tower_bearer::CachedProvider::new(ByKey(Secret::from("key")));
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # assert_eq!(runtime.block_on(provider.acquire())?.value(), "Bearer abc");
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

    /// A future that ends when the next login would bring another credential, although the current one
    /// has not expired: somebody has replaced it in a file or a vault. Defaults to `None`: no change is reported.
    ///
    /// The provider calls this after each login, and awaits the future in a task of the login's runtime.
    /// When it ends, the provider logs in, also during a pause after a failure. Requests use the current
    /// credential meanwhile. Two of these logins are at least a second apart. If a login revokes the current
    /// credential, as in an exclusive session, requests in flight may be rejected.
    ///
    /// The future is dropped when the next login ends, or with the last handle of the provider. Its drop
    /// must lose no change: that of a `Notified` or of a `watch` channel loses none. It must not hold a
    /// handle of the provider. If it panics, no change is noticed until the next login.
    ///
    /// # Examples
    ///
    /// A login that another part of the program notifies:
    ///
    /// ```
    /// use std::{pin::Pin, sync::Arc};
    /// use tokio::sync::Notify;
    /// use tower_bearer::{BoxError, Credential, Login, LoginRequest};
    ///
    /// struct Vault(Arc<Notify>); // notified by `notify_one`
    ///
    /// impl Login for Vault {
    ///     async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
    ///         Ok(Credential::new("abc")?) // ask the vault here
    ///     }
    ///
    ///     fn changed(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    ///         let changed = Arc::clone(&self.0);
    ///         Some(Box::pin(async move { changed.notified().await }))
    ///     }
    /// }
    /// # let provider = tower_bearer::CachedProvider::new(Vault(Arc::default()));
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # assert_eq!(runtime.block_on(provider.acquire())?.value(), "Bearer abc");
    /// # Ok::<_, BoxError>(())
    /// ```
    fn changed(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
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

    fn changed(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        L::changed(self)
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

/// A [`Login`] behind a dyn compatible trait.
pub(crate) trait DynLogin: Send + Sync {
    fn login(
        &self,
        request: LoginRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Credential, BoxError>> + Send + '_>>;

    fn endpoint(&self) -> Option<String>;

    fn changed(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>;
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

    fn changed(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        Login::changed(self)
    }
}
