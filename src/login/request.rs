//! The input of a login.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use super::challenge::Challenge;
use crate::{
    credential::{Generation, RefreshToken},
    error::{BoxError, Error},
};

/// Why a login is made.
///
/// # Examples
///
/// A login that asks for a second factor only at the first sign-in:
///
/// ```
/// use tower_bearer::{BoxError, Credential, LoginReason, LoginRequest};
///
/// async fn log_in(request: LoginRequest) -> Result<Credential, BoxError> {
///     let token = match request.reason() {
///         LoginReason::First => "with-second-factor",
///         _ => "by-trusted-device",
///     };
///     Ok(Credential::new(token)?)
/// }
///
/// # tokio_test::block_on(async {
/// let request = LoginRequest::default().with_reason(LoginReason::Expired);
/// assert_eq!(log_in(request).await?.token().expose(), "by-trusted-device");
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoginReason {
    /// There is no credential: this is the first login, or the first after a
    /// [`reset`](crate::CachedProvider::reset).
    #[default]
    First,
    /// The credential has expired, or is within its margin.
    Expired,
    /// A background login, while the credential is in use: it ages, or the login has
    /// [reported a change](crate::Login::changed).
    RefreshAhead,
    /// The server rejected the credential of this generation.
    Rejected(Generation),
    /// A request asked for a new credential, or for one that lives longer:
    /// [`PerRequest::fresh`](crate::PerRequest::fresh) or
    /// [`acquire_valid_for`](crate::CachedProvider::acquire_valid_for).
    Requested,
}

/// The input of a login: its reason, the refresh token, if there is one, and the timeout.
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
    reason: LoginReason,
    challenges: Arc<[Challenge]>,
    refresh_token: RefreshTokenSlot,
    timeout: Option<Duration>,
    is_never_accepted: bool,
}

impl LoginRequest {
    /// A request with a refresh token, for tests of your own [`Login`](crate::Login).
    #[must_use]
    pub fn with_refresh_token(refresh_token: impl Into<RefreshToken>) -> Self {
        Self {
            refresh_token: RefreshTokenSlot::new(Some(refresh_token.into())),
            ..Self::default()
        }
    }

    /// A request with a reason, for tests of your own [`Login`](crate::Login). Defaults to
    /// [`LoginReason::First`].
    #[must_use]
    pub fn with_reason(self, reason: LoginReason) -> Self {
        Self { reason, ..self }
    }

    /// A request with the challenges of a rejection, for tests of your own [`Login`](crate::Login).
    /// Defaults to none.
    #[must_use]
    pub fn with_challenges(self, challenges: impl IntoIterator<Item = Challenge>) -> Self {
        Self {
            challenges: challenges.into_iter().collect(),
            ..self
        }
    }

    pub(crate) fn new(
        reason: LoginReason,
        challenges: Arc<[Challenge]>,
        refresh_token: Option<RefreshToken>,
        timeout: Duration,
    ) -> Self {
        Self {
            reason,
            challenges,
            refresh_token: RefreshTokenSlot::new(refresh_token),
            timeout: Some(timeout),
            is_never_accepted: false,
        }
    }

    /// Says whether the API has rejected what the previous login brought, and never accepted it.
    pub(crate) fn after_no_acceptance(self, is_never_accepted: bool) -> Self {
        Self {
            is_never_accepted,
            ..self
        }
    }

    #[cfg_attr(
        not(feature = "json"),
        allow(dead_code, reason = "only HTTP logins ask")
    )]
    pub(crate) fn is_never_accepted(&self) -> bool {
        self.is_never_accepted
    }

    /// The same request for a login that must not get the refresh token.
    pub(crate) fn without_refresh_token(&self) -> Self {
        Self {
            refresh_token: RefreshTokenSlot::default(),
            ..self.clone()
        }
    }

    pub(crate) fn refresh_token_slot(&self) -> &RefreshTokenSlot {
        &self.refresh_token
    }

    /// Why this login is made.
    #[must_use]
    pub fn reason(&self) -> LoginReason {
        self.reason
    }

    /// The `WWW-Authenticate` challenges of the rejection that this login is made for. Empty for any
    /// other [reason](Self::reason), and after a manual rejection.
    ///
    /// They say what the next token has to satisfy, such as a `scope` or `claims`. A challenge must
    /// never choose where to log in: [`Challenge`] says why.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{HeaderMap, header::WWW_AUTHENTICATE};
    /// use tower_bearer::{Challenge, LoginRequest};
    ///
    /// /// The claims that the API demands, for the login's own `claims` parameter.
    /// fn claims(request: &LoginRequest) -> Option<&str> {
    ///     request.challenges().iter().find_map(|challenge| challenge.parameter("claims"))
    /// }
    ///
    /// let mut headers = HeaderMap::new();
    /// let challenge = r#"Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
    /// headers.insert(WWW_AUTHENTICATE, challenge.parse()?);
    /// let request = LoginRequest::default().with_challenges(Challenge::parse(&headers));
    /// assert_eq!(claims(&request), Some("eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="));
    /// # Ok::<_, http::header::InvalidHeaderValue>(())
    /// ```
    #[must_use]
    pub fn challenges(&self) -> &[Challenge] {
        &self.challenges
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
    /// the new [`Credential`](crate::Credential::with_refresh_token).
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
    refresh_token: Mutex<Held>,
    refresh_failure: OnceLock<Error>,
}

#[derive(Default)]
struct Held {
    refresh_token: Option<RefreshToken>,
    /// Whether the login has ended: nothing is put back any more.
    is_closed: bool,
}

impl RefreshTokenSlot {
    pub(crate) fn new(refresh_token: Option<RefreshToken>) -> Self {
        Self(Arc::new(Slot {
            refresh_token: Mutex::new(Held {
                refresh_token,
                is_closed: false,
            }),
            refresh_failure: OnceLock::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Only moves happen under the lock, so a poisoned lock still guards a whole value.
        let slot = self.0.refresh_token.lock();
        slot.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Option<RefreshToken> {
        self.lock().refresh_token.take()
    }

    /// Takes what is left at the end of the login. Later nothing can be taken or put back.
    pub(crate) fn close(&self) -> Option<RefreshToken> {
        let mut held = self.lock();
        held.is_closed = true;
        held.refresh_token.take()
    }

    /// A copy of the refresh token, which stays there.
    pub(crate) fn peek(&self) -> Option<RefreshToken> {
        self.lock().refresh_token.clone()
    }

    pub(crate) fn report_failure(&self, failure: BoxError) {
        let _ = self.0.refresh_failure.set(Error::refresh_failed(failure));
    }

    /// The failure of the refresh, if the login has reported one.
    pub(crate) fn refresh_failure(&self) -> Option<&Error> {
        self.0.refresh_failure.get()
    }

    pub(crate) fn put_back(&self, refresh_token: RefreshToken) {
        let mut held = self.lock();
        if held.is_closed {
            return;
        }
        let _dropped_unlocked = held.refresh_token.replace(refresh_token);
        drop(held);
    }
}

impl fmt::Debug for RefreshTokenSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefreshTokenSlot").finish_non_exhaustive()
    }
}
