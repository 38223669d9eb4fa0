//! Logins that are one JSON exchange, told by a description.

use std::{collections::HashMap, fmt, mem, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Uri,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body::Body;
use serde_json::value::RawValue;
use tower_service::Service;
use zeroize::Zeroizing;

use super::{
    Login, LoginRequest, Session,
    exchange::{Client, Erased},
};
use crate::{
    credential::Credential,
    error::{BoxError, Flaw, LoginError},
    token::{InvalidToken, Scheme, Secret, Token},
    url::{self, Cleartext, InvalidUrl},
};

/// A login that posts a JSON document and reads a token from the JSON that comes back.
///
/// What differs from one API to the next is told, not programmed: where to post what, and where
/// the answer has token and lifetime. Any 2xx is success. At most 64 KiB of the answer are read,
/// and its body is in no error.
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
    token_at: String,
    check_token: fn(Secret) -> Result<Token, InvalidToken>,
    lifetime_at: String,
    lifetime: Lifetime,
    scheme: Scheme,
    session: Session,
}

/// Which lifetime of a credential to believe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// What the login's answer says; without that, as `UntilRejected`. The default.
    #[default]
    Announced,
    /// This long, whatever the answer says.
    Fixed(Duration),
    /// No expiry: the credential is used until a server refuses it.
    UntilRejected,
}

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
            token_at: "/access_token".to_owned(),
            check_token: Token::new,
            lifetime_at: "/expires_in".to_owned(),
            lifetime: Lifetime::Announced,
            scheme: Scheme::BEARER,
            session: Session::Exclusive,
        }
    }

    /// Says where the answer has the token, as a JSON pointer ([RFC 6901]): `/data/0/token` is
    /// the `token` of the first element of `data`. Defaults to `/access_token`.
    ///
    /// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
    #[must_use]
    pub fn token_at(self, pointer: impl Into<String>) -> Self {
        Self {
            token_at: pointer.into(),
            ..self
        }
    }

    /// Takes any token of visible ASCII characters, as [`Token::visible_ascii`]. Without it, a
    /// token must be as [`Token::new`] wants it.
    #[must_use]
    pub fn any_visible_ascii(self) -> Self {
        Self {
            check_token: Token::visible_ascii,
            ..self
        }
    }

    /// Says where the answer has the lifetime in seconds, a number or a string of one, as a JSON
    /// pointer. Defaults to `/expires_in`.
    ///
    /// What is no such number is no lifetime: a login that may have revoked the credential before
    /// it is not thrown away for that.
    #[must_use]
    pub fn lifetime_at(self, pointer: impl Into<String>) -> Self {
        Self {
            lifetime_at: pointer.into(),
            ..self
        }
    }

    /// Says which lifetime to believe. Defaults to [`Lifetime::Announced`].
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        Self { lifetime, ..self }
    }

    /// Puts another word than `Bearer` before the token.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// Says what a login does to the credential before it. Defaults to [`Session::Exclusive`].
    #[must_use]
    pub fn with_session(self, session: Session) -> Self {
        Self { session, ..self }
    }

    async fn exchange(&self) -> Result<Credential, LoginError> {
        let answer = self.client.send(self.request()).await?;
        let error = |flaw| LoginError::new(flaw, Some(answer.described()), None);
        match answer.status() {
            status if status.is_success() => {}
            status if status.is_redirection() => return Err(error(Flaw::Redirected)),
            status if status.is_server_error() => return Err(error(Flaw::ServerFailed)),
            _ => return Err(error(Flaw::Refused)),
        }
        let json: &RawValue =
            serde_json::from_slice(answer.json()).map_err(|_| error(Flaw::NotJson))?;
        let token = find(json, &self.token_at).and_then(string).ok_or_else(|| {
            let pointer = self.token_at.clone();
            error(Flaw::NoToken { pointer })
        })?;
        let token = (self.check_token)(token).map_err(|source| {
            LoginError::new(Flaw::Token, Some(answer.described()), Some(source.into()))
        })?;
        let credential = Credential::from(token).with_scheme(self.scheme);
        let lifetime = match self.lifetime {
            Lifetime::Announced => find(json, &self.lifetime_at).and_then(seconds),
            Lifetime::Fixed(lifetime) => Some(lifetime),
            Lifetime::UntilRejected => None,
        };
        Ok(match lifetime {
            Some(lifetime) => credential.with_lifetime(lifetime),
            None => credential,
        })
    }

    fn request(&self) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone().into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json.clone());
        headers.insert(ACCEPT, json);
        // RFC 6749, section 5.1 asks it of the answer: no cache on the way keeps the secrets.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        request
    }
}

impl Login for JsonLogin {
    async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
        Ok(self.exchange().await?)
    }

    fn session(&self) -> Session {
        self.session
    }
}

impl fmt::Debug for JsonLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLogin")
            .field("session", &self.session)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// What a JSON pointer points at. No other value of the document is read: none can be wrong with it,
/// and no secret is copied that is not used.
fn find<'a>(json: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut steps = pointer.split('/');
    if !steps.next()?.is_empty() {
        return None;
    }
    steps.try_fold(json, |value, step| {
        let name = step.replace("~1", "/").replace("~0", "~");
        if let Ok(mut object) = serde_json::from_str::<HashMap<String, _>>(value.get()) {
            object.remove(&name)
        } else {
            let array: Vec<_> = serde_json::from_str(value.get()).ok()?;
            let position: usize = name.parse().ok()?;
            // RFC 6901, section 4: no sign and no leading zero.
            let is_canonical = position.to_string() == name;
            array.get(position).copied().filter(|_| is_canonical)
        }
    })
}

/// A JSON string, in a buffer that never grows: growing would leave a part of it behind. `None` for
/// anything else, and for characters beyond those that an escape of its own can name.
fn string(value: &RawValue) -> Option<Secret> {
    let mut rest = value.get().strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let length = if rest[at + 1..].starts_with('u') {
            6
        } else {
            2
        };
        let escape = rest.get(at..at + length)?;
        text.push(serde_json::from_str(&format!("\"{escape}\"")).ok()?);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    Some(mem::take(&mut *text).into())
}

/// A lifetime as servers send it: 3600, 3600.0, "3600". Below zero is zero, too long is the
/// longest.
fn seconds(value: &RawValue) -> Option<Duration> {
    let text = match value.get().as_bytes() {
        [b'"', ..] => serde_json::from_str(value.get()).ok()?,
        _ => value.get().to_owned(),
    };
    let text = text.trim();
    // A word such as `inf` is a number to Rust, and to nobody else.
    if text.contains(|c: char| c.is_ascii_alphabetic() && !c.eq_ignore_ascii_case(&'e')) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests;
