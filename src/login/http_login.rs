//! Logins that are one POST with a JSON answer, described by data.

mod answer;
mod refresh;
mod request;
#[cfg(feature = "oauth2")]
mod discovery;
mod grants;

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU32},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use self::refresh::Refresh;
#[cfg(feature = "oauth2")]
use super::oauth2::OAuth2Issuer;
use super::{
    Session,
    body::LoginBody,
    exchange::{Client, Erased},
    reading::AnswerFormat,
    refresh_failure::RefreshFailure,
};
use crate::{
    error::BoxError,
    origin::{
        InvalidUrl,
        url::{self, Cleartext},
    },
};

/// A login that posts JSON or a form, and reads a token from the JSON that comes back.
///
/// You describe the API: the URL, the body, and where the answer has the token and its lifetime.
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
/// | 404, 405, 410; a redirect; a compressed answer; metadata that `discover` cannot use | in 30 s, doubling to 15 min |
/// | 429; the `error` `slow_down` | as 5xx, and in 5 s at the earliest |
/// | 5xx, other statuses, no answer | after a random part of a second, doubling to a minute |
///
/// `Retry-After` lengthens a pause, up to five minutes. With a status of 400, 401, 403 or 422 it also
/// makes the failure transient.
///
/// # Closed connections
///
/// The login sends each request once. hyper-util's client replaces a pooled connection that has closed
/// before the request was written, unless you turn off its `retry_canceled_requests`. No client may
/// resend a request that the server may have read: it then counts as lost.
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
    url: LoginUrl,
    /// Whether the URL of the refresh may be plain `http`.
    cleartext: Cleartext,
    body: LoginBody,
    /// Beside those that each request has.
    headers: HeaderMap,
    refresh: Option<Refresh>,
    /// Whether there is no full login, only the refresh.
    is_refresh_only: bool,
    format: AnswerFormat,
    session: Session,
    full_login_after: Vec<RefreshFailure>,
    hides_path: bool,
    /// Refreshes in a row that the server could not process.
    unprocessed: AtomicU32,
    /// Whether the last credential came from a refresh.
    is_refreshed: AtomicBool,
    #[cfg(feature = "tracing")]
    has_warned: AtomicBool,
}

/// Where a login goes, and a refresh that has no URL of its own.
enum LoginUrl {
    Known(Uri),
    /// The token endpoint in the metadata of this issuer.
    #[cfg(feature = "oauth2")]
    Discovered(OAuth2Issuer),
}

impl HttpLogin {
    /// A login that posts `body` to `url` through `client`.
    ///
    /// The body is JSON text, a [form](LoginBody::form), a grant of OAuth 2.0 (`OAuth2Grant`, feature
    /// `oauth2`), or a [function](LoginBody::from_fn) that makes one of them for each login.
    ///
    /// The client is any tower HTTP service *without* the layer. Its request body must be
    /// `From<Bytes>`, as `Full<Bytes>` is. A boxed client must be tower's `BoxCloneSyncService`. The
    /// login follows no redirects; give it a client that follows none either. [HTTPS for logins] has one
    /// to copy.
    ///
    /// [HTTPS for logins]: https://docs.rs/tower-bearer/latest/tower_bearer/guide/https_logins/index.html
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for a URL that is not absolute, has user information, or is plain `http` to a
    /// host other than loopback. [`dangerously_in_the_clear`](Self::dangerously_in_the_clear) allows the
    /// last.
    pub fn new<S, B, R>(
        client: S,
        url: &str,
        body: impl Into<LoginBody>,
    ) -> Result<Self, InvalidUrl>
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

    /// As [`new`](Self::new), and plain `http` is allowed for this URL and that of the refresh. **Anybody
    /// on the network path can read the password and the token.** Use it only on networks that you trust,
    /// such as inside a service mesh.
    ///
    /// Requests with the token go by [`Origins::dangerously_in_the_clear`] of the layer.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), except that plain `http` is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use tower_bearer::HttpLogin;
    ///
    /// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
    /// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
    /// # });
    /// let url = "http://identity.internal/login"; // the sidecar encrypts it
    /// let error = HttpLogin::new(client.clone(), url, "{}").unwrap_err();
    /// assert!(error.to_string().contains("dangerously_in_the_clear"));
    ///
    /// let login = HttpLogin::dangerously_in_the_clear(client, url, "{}")?
    ///     .refresh_by("http://identity.internal/refresh", |token| token.expose().to_owned())?;
    /// # let _ = login;
    /// # Ok::<_, tower_bearer::InvalidUrl>(())
    /// ```
    ///
    /// [`Origins::dangerously_in_the_clear`]: crate::Origins::dangerously_in_the_clear
    pub fn dangerously_in_the_clear<S, B, R>(
        client: S,
        url: &str,
        body: impl Into<LoginBody>,
    ) -> Result<Self, InvalidUrl>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let url = url::parse(url, Cleartext::ToAnybody)?;
        Ok(Self {
            cleartext: Cleartext::ToAnybody,
            ..Self::at(client, url, body.into())
        })
    }

    /// A login at a URL that was already checked.
    pub(crate) fn at<S, B, R>(client: S, url: Uri, body: LoginBody) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let client = Box::new(Erased::new(client));
        Self::with_client(client, LoginUrl::Known(url), body)
    }

    fn with_client(client: Box<dyn Client>, url: LoginUrl, body: LoginBody) -> Self {
        let login = Self {
            client,
            url,
            cleartext: Cleartext::ToLoopback,
            body,
            headers: HeaderMap::new(),
            refresh: None,
            is_refresh_only: false,
            format: AnswerFormat::default(),
            session: Session::Exclusive,
            full_login_after: Vec::new(),
            hides_path: false,
            unprocessed: AtomicU32::new(0),
            is_refreshed: AtomicBool::new(false),
            #[cfg(feature = "tracing")]
            has_warned: AtomicBool::new(false),
        };
        #[cfg(feature = "oauth2")]
        let login = login.with_rules_of_body();
        login
    }

    /// Sets what a login does to the previous credential. Defaults to [`Session::Exclusive`], except for
    /// some grants of `OAuth2Grant`.
    #[must_use]
    pub fn with_session(self, session: Session) -> Self {
        Self { session, ..self }
    }

    /// Hides the path of the login's URL in errors, for a path that holds a secret. By default errors
    /// have method, host and path, and never the query. After `discover` it hides the issuer's path too.
    #[must_use]
    pub fn hide_path(self) -> Self {
        Self {
            hides_path: true,
            ..self
        }
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
