//! Logins that are one POST with a JSON answer, described by data.

mod grants;

#[cfg(feature = "tracing")]
use std::sync::atomic::AtomicBool;
use std::{fmt, sync::atomic::AtomicU32, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use super::{
    Session,
    exchange::{Client, Erased},
    field::AnswerField,
    reading::{AnswerFormat, Lifetime, LifetimeField, LoginAnswer, RefreshTokenLifetime},
    refresh_failure::RefreshFailure,
};
use crate::{
    credential::{RefreshToken, Scheme, Secret, Token},
    error::BoxError,
    origin::{
        InvalidUrl,
        url::{self, Cleartext},
    },
};

/// A login that posts a JSON document and reads a token from the JSON that comes back.
///
/// You describe the API: the URL, the document, and where the answer has the token and its lifetime.
///
/// At most 64 KiB of the answer are read, and no error contains its body.
///
/// # When a login fails
///
/// | the answer | the next attempt |
/// | --- | --- |
/// | 2xx with a token | none: this is a success |
/// | 2xx with JSON and an `error`, or with `"success": false` | as the same `error` with status 400 |
/// | 2xx with JSON and no usable token | if this login has worked before: in 30 s, doubling to 15 min; else as 400 |
/// | 2xx without JSON | after a random part of a second, doubling to a minute |
/// | 400, 422; 401 or 403 with a JSON object; 423 | in 15 min, then 30, then 60: a wrong password may lock the account |
/// | 400 to 422 with the `error` `server_error` or `temporarily_unavailable` | as 5xx |
/// | 401 or 403 without a JSON object, as a firewall sends | in 30 s, doubling to 15 min |
/// | 404, 405, 410; a redirect; a compressed answer | in 30 s, doubling to 15 min |
/// | 429; the `error` `slow_down` | as 5xx, and in 5 s at the earliest |
/// | 5xx, other statuses, no answer | after a random part of a second, doubling to a minute |
///
/// `Retry-After` lengthens a pause, up to five minutes. With a status of 400, 401, 403 or 422 it also
/// makes the failure transient.
///
/// # The type of the token
///
/// A `token_type` beside the token must be `Bearer` or `BearerToken`, in any case, unless you set a
/// scheme of your own ([RFC 6749, section 7.1]). It may be missing.
///
/// [RFC 6749, section 7.1]: https://www.rfc-editor.org/rfc/rfc6749#section-7.1
///
/// # Examples
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// use std::time::Duration;
/// use tower_bearer::{CachedProvider, HttpLogin, Lifetime};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(r#"{"data":{"key":"abc"}}"#)))
/// # });
/// let body = r#"{"user":"me","password":"secret"}"#;
/// let login = HttpLogin::new(client, "https://api.example.com/login", body)?
///     .token_at("/data/key")
///     .lifetime(Lifetime::Fixed(Duration::from_secs(600)));
///
/// let provider = CachedProvider::new(login);
/// assert_eq!(provider.acquire().await?.value(), "Bearer abc");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
pub struct HttpLogin {
    client: Box<dyn Client>,
    url: Uri,
    body: Secret,
    content_type: HeaderValue,
    refresh: Option<Refresh>,
    format: AnswerFormat,
    session: Session,
    full_login_after: Vec<RefreshFailure>,
    hides_path: bool,
    /// Refreshes in a row that the server could not process.
    unprocessed: AtomicU32,
    #[cfg(feature = "tracing")]
    has_warned: AtomicBool,
}

/// How a refresh token is spent.
struct Refresh {
    url: Uri,
    body: Box<dyn Fn(&RefreshToken) -> Secret + Send + Sync>,
    /// Whether the old refresh token stays valid if the answer brings none.
    keeps_old: bool,
}

const JSON: &str = "application/json";

impl HttpLogin {
    /// A login that posts the JSON text `body` to `url` through `client`.
    ///
    /// The client is any tower HTTP service *without* the layer. Its request body must be
    /// `From<Bytes>`, as `Full<Bytes>` is. A boxed client must be tower's `BoxCloneSyncService`. The
    /// login follows no redirects; give it a client that follows none either.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for a URL that is not absolute, has user information, or is plain `http` to a
    /// host other than loopback.
    pub fn new<S, B, R>(client: S, url: &str, body: impl Into<Secret>) -> Result<Self, InvalidUrl>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let url = url::parse(url, Cleartext::ToLoopback)?;
        Ok(Self::at(client, url, body.into()))
    }

    /// A login at a URL that was already checked.
    pub(crate) fn at<S, B, R>(client: S, url: Uri, body: Secret) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        Self {
            client: Box::new(Erased::new(client)),
            url,
            body,
            content_type: HeaderValue::from_static(JSON),
            refresh: None,
            format: AnswerFormat::default(),
            session: Session::Exclusive,
            full_login_after: Vec::new(),
            hides_path: false,
            unprocessed: AtomicU32::new(0),
            #[cfg(feature = "tracing")]
            has_warned: AtomicBool::new(false),
        }
    }

    /// Sets where the answer has the token. Defaults to `/access_token`.
    ///
    /// A token that begins with its scheme, such as `Bearer abc`, is read without it.
    #[must_use]
    pub fn token_at(self, field: impl Into<AnswerField>) -> Self {
        self.configure(|format| format.token_at = field.into())
    }

    /// Accepts any token of visible ASCII characters, as [`Token::visible_ascii`] does. By default,
    /// a token must have the syntax of [`Token::new`].
    #[must_use]
    pub fn any_visible_ascii(self) -> Self {
        self.configure(|format| format.check_token = Token::visible_ascii)
    }

    /// Sets where the answer has the lifetime in seconds: a number, or a string with a number.
    /// Defaults to `/expires_in`.
    ///
    /// | answer | lifetime |
    /// | --- | --- |
    /// | `3600`, `"3600"`, `3600.0`, `" 3600 "` | 3600 s |
    /// | `1e3`, `1.5` | 1000 s, 1.5 s |
    /// | `0`, below zero | zero, which counts as one second |
    /// | `18446744073709551616`, `1e400` | the longest possible, which means no expiry |
    /// | missing, `null`, `true`, `{}`, `[]`, `""`, `"NaN"`, `"inf"`, `"1 hour"` | that of a JSON Web Token, else none: used until it is rejected |
    ///
    /// A value that is no number does not fail the login, since the login may have revoked the
    /// previous credential. Feature `tracing` warns once if there is no lifetime at a place that you
    /// have set.
    ///
    /// The last of this method, [`lifetime_in_milliseconds_at`](Self::lifetime_in_milliseconds_at),
    /// [`expiry_at`](Self::expiry_at) and [`lifetime_by`](Self::lifetime_by) counts.
    #[must_use]
    pub fn lifetime_at(self, field: impl Into<AnswerField>) -> Self {
        self.lifetime_in(field.into(), Duration::from_secs(1))
    }

    /// Sets where the answer has the lifetime in milliseconds. Otherwise as
    /// [`lifetime_at`](Self::lifetime_at).
    #[must_use]
    pub fn lifetime_in_milliseconds_at(self, field: impl Into<AnswerField>) -> Self {
        self.lifetime_in(field.into(), Duration::from_millis(1))
    }

    fn lifetime_in(self, field: AnswerField, unit: Duration) -> Self {
        self.configure(|format| format.lifetime_at = LifetimeField::In { field, unit })
    }

    /// Sets where the answer has the time of the expiry.
    ///
    /// It may be RFC 3339 (`2026-11-28T18:00:00Z`), an HTTP date, or Unix time. A number from 10^11 on
    /// counts as milliseconds. A lifetime is better: it does not depend on the server's clock.
    #[must_use]
    pub fn expiry_at(self, field: impl Into<AnswerField>) -> Self {
        self.configure(|format| format.lifetime_at = LifetimeField::Expiry(field.into()))
    }

    /// Reads the lifetime by a function, for anything that no other setting reads.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use std::time::Duration;
    /// use tower_bearer::HttpLogin;
    ///
    /// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
    /// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(r#"{"access_token":"a","minutes":5}"#)))
    /// # });
    /// let login = HttpLogin::new(client, "https://api.example.com/login", "{}")?
    ///     .lifetime_by(|answer| {
    ///         let minutes = answer.number_at("/minutes")?;
    ///         Duration::try_from_secs_f64(minutes * 60.0).ok()
    ///     });
    /// # use tower_bearer::{Login, LoginRequest};
    /// # let credential = tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # assert_eq!(credential.lifetime(), Some(Duration::from_secs(300)));
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    #[must_use]
    pub fn lifetime_by(
        self,
        read: impl Fn(LoginAnswer<'_>) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.configure(|format| format.lifetime_at = LifetimeField::Function(Box::new(read)))
    }

    /// Sets the source of the lifetime. Defaults to [`Lifetime::Announced`].
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        self.configure(|format| format.lifetime = lifetime)
    }

    /// Sets the word before the token. Defaults to `Bearer`.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        self.configure(|format| format.scheme = scheme)
    }

    /// Sets what a login does to the previous credential. Defaults to [`Session::Exclusive`].
    #[must_use]
    pub fn with_session(self, session: Session) -> Self {
        Self { session, ..self }
    }

    /// Sets the content type of the request bodies. Defaults to `application/json`.
    #[must_use]
    pub fn content_type(self, content_type: HeaderValue) -> Self {
        Self {
            content_type,
            ..self
        }
    }

    /// Sets where the answer has the refresh token. By default none is read.
    #[must_use]
    pub fn refresh_token_at(self, field: impl Into<AnswerField>) -> Self {
        self.configure(|format| format.refresh_token_at = Some(field.into()))
    }

    /// Sets where the answer has the refresh token's lifetime in seconds. By default a refresh token
    /// is used at any age, as is one with a lifetime of 0.
    #[must_use]
    pub fn refresh_token_lifetime_at(self, field: impl Into<AnswerField>) -> Self {
        let field = field.into();
        self.configure(|format| format.refresh_token_lifetime = RefreshTokenLifetime::At(field))
    }

    /// Hides the path of the login's URL in errors, for a path that holds a secret. By default errors
    /// have method, host and path, and never the query.
    #[must_use]
    pub fn hide_path(self) -> Self {
        Self {
            hides_path: true,
            ..self
        }
    }

    /// Lets a full login follow such failures of a refresh. Defaults to none: the login fails, and the
    /// next one tries the refresh token again.
    ///
    /// A full login is one more request to a server that is in trouble. It is worth that if only the
    /// path of the refresh is affected.
    #[must_use]
    pub fn full_login_after(self, failures: impl IntoIterator<Item = RefreshFailure>) -> Self {
        Self {
            full_login_after: failures.into_iter().collect(),
            ..self
        }
    }

    /// Refreshes if there is a refresh token: posts the document that `body` makes from it to `url`.
    /// The answer is read like that of a login.
    ///
    /// | the refresh | the refresh token | a full login |
    /// | --- | --- | --- |
    /// | is refused by the API, has no usable token, or no answer after half of the login's timeout | is spent | follows at once |
    /// | fails as [`RefreshFailure`] lists: no connection, a rate limit, 5xx, a firewall | is kept | does not follow, unless [`full_login_after`](Self::full_login_after) names it |
    /// | fails so for the fifth time in a row, with a connection | is kept | follows at once |
    ///
    /// Give it a client that does not retry by itself: a previous attempt may have made a connection.
    /// If the answer has no refresh token, the old one stays valid ([RFC 6749, section 6]).
    ///
    /// Set [`refresh_token_at`](Self::refresh_token_at) as well: otherwise there is no refresh token.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for the URLs that [`new`](Self::new) does not accept.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use tower_bearer::{CachedProvider, HttpLogin};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
    /// #     let name = request.uri().path().trim_start_matches('/');
    /// #     let answer = format!(r#"{{"access_token":"{name}","refresh_token":"r"}}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
    /// # });
    /// let body = r#"{"user":"me","password":"secret"}"#;
    /// let login = HttpLogin::new(client, "https://api.example.com/login", body)?
    ///     .refresh_token_at("/refresh_token")
    ///     .refresh_by("https://api.example.com/refresh", |refresh_token| {
    ///         let body = serde_json::json!({ "refresh_token": refresh_token.expose() });
    ///         body.to_string().into() // a `Secret`
    ///     })?;
    ///
    /// let provider = CachedProvider::new(login);
    /// assert_eq!(provider.acquire().await?.value(), "Bearer login");
    /// provider.reset();
    /// assert_eq!(provider.acquire().await?.value(), "Bearer refresh");
    /// # Ok::<_, tower_bearer::BoxError>(()) })?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    ///
    /// [RFC 6749, section 6]: https://www.rfc-editor.org/rfc/rfc6749#section-6
    pub fn refresh_by(
        self,
        url: &str,
        body: impl Fn(&RefreshToken) -> Secret + Send + Sync + 'static,
    ) -> Result<Self, InvalidUrl> {
        let url = url::parse(url, Cleartext::ToLoopback)?;
        Ok(self.refresh_at(url, body))
    }

    /// Refreshes at a URL that was already checked.
    pub(crate) fn refresh_at(
        self,
        url: Uri,
        body: impl Fn(&RefreshToken) -> Secret + Send + Sync + 'static,
    ) -> Self {
        Self {
            refresh: Some(Refresh {
                url,
                body: Box::new(body),
                keeps_old: true,
            }),
            ..self
        }
    }

    /// Makes a refresh token single-use: it is spent even if the answer brings no new one.
    #[cfg(feature = "teletracker")]
    pub(crate) fn spending_refresh_tokens(mut self) -> Self {
        if let Some(refresh) = &mut self.refresh {
            refresh.keeps_old = false;
        }
        self
    }

    pub(crate) fn configure(mut self, change: impl FnOnce(&mut AnswerFormat)) -> Self {
        change(&mut self.format);
        self
    }
}

impl fmt::Debug for HttpLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLogin")
            .field("session", &self.session)
            .field("lifetime", &self.format.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
