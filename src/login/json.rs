//! Logins that are one JSON exchange, told by a description.

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
/// What differs from one API to the next is told, not programmed: where to post what, and where
/// the answer has token and lifetime. Any 2xx is success. At most 64 KiB of the answer are read,
/// and its body is in no error. A `token_type` of the answer has to be `Bearer`, in whatever case,
/// or missing, unless there is a scheme of your own ([RFC 6749, section 7.1]).
///
/// A login that is refused with 400, 401, 403 or 422 is
/// [permanent](crate::LoginError::permanent), unless it says by its `error` that it is not
/// (`temporarily_unavailable`, `server_error`, `slow_down`). `Retry-After` is obeyed, as seconds and
/// as a date. All else is transient.
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
    /// Whether the old one is still good where the answer brings none.
    keeps_old: bool,
}

const JSON: &str = "application/json";

impl JsonLogin {
    /// A login by POST of the JSON text `body` to `url`, through `client`.
    ///
    /// The client is any tower HTTP service *without* the layer, whose request body can be made
    /// of bytes, such as `Full<Bytes>`; a boxed one is tower's `BoxCloneSyncService`. The login
    /// itself follows no redirect; give it a client that follows none either.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for a URL that is not absolute, holds user information, or is plain
    /// `http` to a host other than loopback.
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

    /// A login at a URL that was checked.
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

    /// Says where the answer has the token, as a JSON pointer ([RFC 6901]): `/data/0/token` is
    /// the `token` of the first element of `data`. Defaults to `/access_token`.
    ///
    /// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
    #[must_use]
    pub fn token_at(self, pointer: impl Into<String>) -> Self {
        self.configure(|format| format.token_at = pointer.into())
    }

    /// Takes any token of visible ASCII characters, as [`Token::visible_ascii`]. Without it, a
    /// token must be as [`Token::new`] wants it.
    #[must_use]
    pub fn any_visible_ascii(self) -> Self {
        self.configure(|format| format.check_token = Token::visible_ascii)
    }

    /// Says where the answer has the lifetime in seconds, a number or a string of one, as a JSON
    /// pointer. Defaults to `/expires_in`.
    ///
    /// | answer | lifetime |
    /// | --- | --- |
    /// | `3600`, `"3600"`, `3600.0`, `" 3600 "` | 3600 s |
    /// | `1e3`, `1.5` | 1000 s, 1.5 s |
    /// | `0`, below zero | nothing, which counts as a second |
    /// | `18446744073709551616`, `1e400` | as long as can be, which is no expiry |
    /// | missing, `null`, `true`, `{}`, `[]`, `""`, `"NaN"`, `"inf"`, `"1 hour"` | none: used until it is refused |
    ///
    /// What is no number is no lifetime: a login that may have revoked the credential before it is
    /// not thrown away for that. Milliseconds cannot be told from seconds: use [`Lifetime::Fixed`].
    #[must_use]
    pub fn lifetime_at(self, pointer: impl Into<String>) -> Self {
        self.configure(|format| format.lifetime_at = pointer.into())
    }

    /// Says which lifetime to believe. Defaults to [`Lifetime::Announced`].
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        self.configure(|format| format.lifetime = lifetime)
    }

    /// Puts another word than `Bearer` before the token.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        self.configure(|format| format.scheme = scheme)
    }

    /// Says what a login does to the credential before it. Defaults to [`Session::Exclusive`].
    #[must_use]
    pub fn with_session(self, session: Session) -> Self {
        Self { session, ..self }
    }

    /// Says what the bodies are. Defaults to `application/json`.
    #[must_use]
    pub fn content_type(self, content_type: HeaderValue) -> Self {
        Self {
            content_type,
            ..self
        }
    }

    /// Says where the answer has the refresh token, as a JSON pointer. Without it none is read.
    #[must_use]
    pub fn refresh_token_at(self, pointer: impl Into<String>) -> Self {
        self.configure(|format| format.refresh_token_at = Some(pointer.into()))
    }

    /// Says where the answer has the refresh token's lifetime in seconds, as a JSON pointer.
    /// Without it the token is tried whatever its age.
    #[must_use]
    pub fn refresh_token_lifetime_at(self, pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        self.configure(|format| format.refresh_token_lifetime = RefreshTokenLifetime::At(pointer))
    }

    /// Spends a refresh token, where there is one, by POST of the document that `body` makes of it
    /// to `url`. The answer is read as a login's.
    ///
    /// A refresh that is refused, or gets no answer in half of the login's time, is followed by a
    /// full login, unless the answer says `Retry-After`. Where no connection is made at all, the
    /// refresh token is kept and the login fails: give it a client that does not retry by itself, since
    /// an attempt before may have made one. An answer without a refresh token means that the old one
    /// goes on being good ([RFC 6749, section 6]).
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`], as [`new`](Self::new) has it.
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

    /// Refreshes at a URL that was checked.
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

    /// A refresh token is spent by its use, also where the answer brings no new one.
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

    /// A refused or lost refresh is an error, and the token is spent. One that nobody has read goes
    /// back for the next login.
    async fn refresh(
        &self,
        refresh: &Refresh,
        token: RefreshToken,
        request: &mut LoginRequest,
    ) -> Result<Credential, LoginError> {
        let post = self.post(&refresh.url, &(refresh.body)(&token));
        let sent = self.client.send(post);
        // Half of the time is for the login that must follow where no answer comes.
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
        // A 429 turns it away before anybody looks at it.
        let is_unread = |error: &LoginError| {
            error.is_unsent() || error.status() == Some(StatusCode::TOO_MANY_REQUESTS)
        };
        let answer = match sent.and_then(accepted) {
            Err(error) if is_unread(&error) => {
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
                // The rotation is a fact, whatever else the answer lacks.
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
        // RFC 6749, section 5.1 asks it of the answer: no cache on the way keeps the secrets.
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
                // A full login would be one more call of a server that is not there, or that wants
                // to be left alone.
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
