//! Logins that are one JSON exchange, described by data.

use std::fmt;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body::Body;
use tokio::time;
use tower_service::Service;

use super::{
    Login, LoginRequest, Session,
    exchange::{Client, Erased},
    reading::{AnswerFormat, Lifetime, RefreshTokenLifetime, accepted},
};
use crate::{
    credential::{Credential, RefreshToken, Scheme, Secret, Token},
    error::{BoxError, LoginError, LoginErrorKind},
    origin::{
        InvalidUrl,
        url::{self, Cleartext},
    },
};

/// A login that posts a JSON document and reads a token from the JSON that comes back.
///
/// You describe the API: the URL, the document, and where the answer has the token and its lifetime.
///
/// Any 2xx is a success. At most 64 KiB of the answer are read, and no error contains its body. A
/// `token_type` in the answer must be `Bearer`, in any case, unless you set a scheme of your own
/// ([RFC 6749, section 7.1]). It may be missing.
///
/// A failure with status 400, 401, 403 or 422 is [permanent](crate::LoginError::permanent), unless
/// the answer has an `error` of `temporarily_unavailable`, `server_error` or `slow_down`. All other
/// failures are transient. `Retry-After` is obeyed, as seconds and as a date.
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
/// use tower_bearer::{CachedProvider, JsonLogin, Lifetime};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(r#"{"data":{"key":"abc"}}"#)))
/// # });
/// let body = r#"{"user":"me","password":"secret"}"#;
/// let login = JsonLogin::new(client, "https://api.example.com/login", body)?
///     .token_at("/data/key")
///     .lifetime(Lifetime::Fixed(Duration::from_secs(600)));
///
/// let provider = CachedProvider::new(login);
/// assert_eq!(provider.acquire().await?.value(), "Bearer abc");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
pub struct JsonLogin {
    client: Box<dyn Client>,
    url: Uri,
    body: Secret,
    content_type: HeaderValue,
    refresh: Option<Refresh>,
    format: AnswerFormat,
    session: Session,
}

/// How a refresh token is spent.
struct Refresh {
    url: Uri,
    body: Box<dyn Fn(&RefreshToken) -> Secret + Send + Sync>,
    /// Whether the old refresh token stays valid if the answer brings none.
    keeps_old: bool,
}

const JSON: &str = "application/json";

impl JsonLogin {
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
        }
    }

    /// Sets where the answer has the token, as a JSON pointer ([RFC 6901]): `/data/0/token` is the
    /// `token` of the first element of `data`. Defaults to `/access_token`.
    ///
    /// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
    #[must_use]
    pub fn token_at(self, pointer: impl Into<String>) -> Self {
        self.configure(|format| format.token_at = pointer.into())
    }

    /// Accepts any token of visible ASCII characters, as [`Token::visible_ascii`] does. By default,
    /// a token must have the syntax of [`Token::new`].
    #[must_use]
    pub fn any_visible_ascii(self) -> Self {
        self.configure(|format| format.check_token = Token::visible_ascii)
    }

    /// Sets where the answer has the lifetime in seconds, as a JSON pointer. The value is a number,
    /// or a string with a number. Defaults to `/expires_in`.
    ///
    /// | answer | lifetime |
    /// | --- | --- |
    /// | `3600`, `"3600"`, `3600.0`, `" 3600 "` | 3600 s |
    /// | `1e3`, `1.5` | 1000 s, 1.5 s |
    /// | `0`, below zero | zero, which counts as one second |
    /// | `18446744073709551616`, `1e400` | the longest possible, which means no expiry |
    /// | missing, `null`, `true`, `{}`, `[]`, `""`, `"NaN"`, `"inf"`, `"1 hour"` | none: used until it is rejected |
    ///
    /// A value that is no number does not fail the login, since the login may have revoked the
    /// previous credential. If your API sends milliseconds, use [`Lifetime::Fixed`]: they look like
    /// seconds.
    #[must_use]
    pub fn lifetime_at(self, pointer: impl Into<String>) -> Self {
        self.configure(|format| format.lifetime_at = pointer.into())
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

    /// Sets where the answer has the refresh token, as a JSON pointer. By default none is read.
    #[must_use]
    pub fn refresh_token_at(self, pointer: impl Into<String>) -> Self {
        self.configure(|format| format.refresh_token_at = Some(pointer.into()))
    }

    /// Sets where the answer has the refresh token's lifetime in seconds, as a JSON pointer. By
    /// default a refresh token is used at any age.
    #[must_use]
    pub fn refresh_token_lifetime_at(self, pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        self.configure(|format| format.refresh_token_lifetime = RefreshTokenLifetime::At(pointer))
    }

    /// Refreshes if there is a refresh token: posts the document that `body` makes from it to `url`.
    /// The answer is read like that of a login.
    ///
    /// - If the refresh is rejected, or has no answer after half of the login's timeout, a full login
    ///   follows. If the answer has `Retry-After`, the login fails instead.
    /// - If no connection is made, the refresh token is kept and the login fails. So give it a client
    ///   that does not retry by itself: a previous attempt may have made a connection.
    /// - If the answer has no refresh token, the old one stays valid ([RFC 6749, section 6]).
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
    /// use tower_bearer::{CachedProvider, JsonLogin};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
    /// #     let name = request.uri().path().trim_start_matches('/');
    /// #     let answer = format!(r#"{{"access_token":"{name}","refresh_token":"r"}}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
    /// # });
    /// let body = r#"{"user":"me","password":"secret"}"#;
    /// let login = JsonLogin::new(client, "https://api.example.com/login", body)?
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

    async fn log_in(&self) -> Result<Credential, LoginError> {
        let answer = self.client.send(self.post(&self.url, &self.body)).await?;
        self.format.credential(&accepted(answer)?)
    }

    /// Sends the refresh token. If it is rejected or the answer is lost, the token is spent. If the
    /// server has not processed it, the token is put back for the next login.
    async fn refresh(
        &self,
        refresh: &Refresh,
        token: RefreshToken,
        request: &mut LoginRequest,
    ) -> Result<Credential, LoginError> {
        let post = self.post(&refresh.url, &(refresh.body)(&token));
        let sent = self.client.send(post);
        // The other half of the time is for the full login that follows if no answer comes.
        let sent = match request.timeout() {
            Some(timeout) => match time::timeout(timeout / 2, sent).await {
                Ok(sent) => sent,
                Err(elapsed) => Err(LoginError::new(
                    LoginErrorKind::NoAnswer,
                    None,
                    Some(elapsed.into()),
                )),
            },
            None => sent.await,
        };
        // A rate limit (429) answers before the server looks at the token.
        let is_unprocessed = |error: &LoginError| {
            error.is_unsent() || error.status() == Some(StatusCode::TOO_MANY_REQUESTS)
        };
        let answer = match sent.and_then(accepted) {
            Err(error) if is_unprocessed(&error) => {
                request.put_back_refresh_token(token);
                return Err(error);
            }
            answer => answer?,
        };
        match self.format.credential(&answer) {
            Ok(credential) if credential.refresh_token().is_none() && refresh.keeps_old => {
                Ok(credential.with_refresh_token(token))
            }
            Ok(credential) => Ok(credential),
            Err(error) => {
                // The server has rotated the refresh token, even if the answer has no usable token.
                if let Some(new) = self.format.refresh_token(&answer) {
                    request.put_back_refresh_token(new);
                }
                Err(error)
            }
        }
    }

    fn post(&self, url: &Uri, body: &Secret) -> Request<Bytes> {
        let mut request = Request::new(body.clone().into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        // RFC 6749, section 5.1 requires it of the answer: no cache in between stores the secrets.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        request
    }
}

impl Login for JsonLogin {
    async fn login(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        if let Some(refresh) = &self.refresh
            && let Some(token) = request.take_refresh_token()
        {
            let refreshed = self.refresh(refresh, token, &mut request).await;
            match refreshed.map_err(|error| error.at(url::origin_of(&refresh.url))) {
                Ok(credential) => return Ok(credential),
                // No full login follows: the server is unreachable, or has asked for a pause.
                Err(error) if error.is_unsent() || error.advice().retry_after.is_some() => {
                    return Err(error.into());
                }
                Err(error) => request.refresh_has_failed(error),
            }
        }
        let credential = self.log_in().await;
        credential.map_err(|error| error.at(url::origin_of(&self.url)).into())
    }

    fn session(&self) -> Session {
        self.session
    }
}

impl fmt::Debug for JsonLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLogin")
            .field("session", &self.session)
            .field("lifetime", &self.format.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
