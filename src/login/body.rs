//! The body of a login's request.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

#[cfg(feature = "oauth2")]
use super::Session;
use super::{
    LoginRequest,
    basic::{self, InvalidBasicAuth},
    form, headers,
};
#[cfg(feature = "oauth2")]
use crate::credential::RefreshToken;
use crate::{credential::Secret, error::BoxError};

const JSON: &str = "application/json";

/// The body of a login or a refresh: JSON, a form, a grant of OAuth 2.0 (`OAuth2Grant`, feature `oauth2`),
/// or a function that makes one of them. It may bring [headers](Self::header).
///
/// A text, a `&str`, a `String` or a [`Secret`], is sent as it is. Its content type is
/// `application/json` unless [`HttpLogin::content_type`](crate::HttpLogin::content_type) sets
/// another.
///
/// `Debug` hides the body, and its memory is wiped when the last request with it is dropped. Copies
/// in the buffers of a client are not wiped.
///
/// # Examples
///
/// ```
/// use tower_bearer::{LoginBody, Secret};
///
/// let password = Secret::from("a&b");
///
/// // {"user":"me","password":"a&b"}
/// let json = serde_json::json!({ "user": "me", "password": password.expose() });
/// let json = LoginBody::from(json.to_string());
///
/// // user=me&password=a%26b
/// let form = LoginBody::form([("user", "me"), ("password", password.expose())]);
/// assert_eq!(format!("{json:?} {form:?}"), "LoginBody(..) LoginBody(..)");
/// ```
pub struct LoginBody {
    source: Source,
    headers: HeaderMap,
    #[cfg(feature = "oauth2")]
    rules: Option<GrantRules>,
}

/// What an OAuth 2.0 grant says beside the body of its login.
#[cfg(feature = "oauth2")]
pub(super) struct GrantRules {
    pub(super) refresh: Box<dyn Fn(&RefreshToken) -> LoginBody + Send + Sync>,
    /// Whether there is no login but the refresh.
    pub(super) is_refresh_only: bool,
    pub(super) session: Session,
}

enum Source {
    Ready(Ready),
    Function(Function),
}

type Made = Pin<Box<dyn Future<Output = Result<LoginBody, BoxError>> + Send>>;

type Function = Box<dyn Fn(LoginRequest) -> Made + Send + Sync>;

/// A body that is ready to be sent. Clones share the bytes, so that the secret is not copied.
#[derive(Clone)]
struct Ready {
    bytes: Bytes,
    content_type: &'static str,
}

/// The body of one request.
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) content_type: &'static str,
    /// They replace those of the login.
    pub(super) headers: HeaderMap,
}

impl LoginBody {
    /// A form of these pairs, in this order: `application/x-www-form-urlencoded`, as OAuth 2.0 has it.
    ///
    /// Names and values are encoded by [RFC 6749, appendix B]: in UTF-8, a space as `+`, and all bytes
    /// but letters, digits and `*-._` as `%` and two digits. Pass them unencoded.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::{BodyExt, Full};
    /// use tower_bearer::{HttpLogin, LoginBody};
    ///
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async {
    /// #     assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    /// #     let body = request.into_body().collect().await?.to_bytes();
    /// #     assert_eq!(body, "grant_type=password&username=me&password=a+b%26c");
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// // grant_type=password&username=me&password=a+b%26c
    /// let form = LoginBody::form([
    ///     ("grant_type", "password"),
    ///     ("username", "me"),
    ///     ("password", "a b&c"),
    /// ]);
    /// let login = HttpLogin::new(client, "https://login.example.com/token", form)?;
    /// # use tower_bearer::{Login, LoginRequest};
    /// # tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    ///
    /// [RFC 6749, appendix B]: https://www.rfc-editor.org/rfc/rfc6749#appendix-B
    #[must_use]
    pub fn form<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        Self::ready(form::encode(pairs), form::FORM)
    }

    /// A body that `function` makes anew for each login: for a secret that rotates, a signed assertion,
    /// or a one-time code.
    ///
    /// The function gets the [`LoginRequest`] without its refresh token. Its time counts toward the
    /// login's timeout. It must not block the thread.
    ///
    /// If it fails, nothing is sent: the login fails with that error, and keeps the refresh token. A
    /// [`LoginError`](crate::LoginError) says when the next attempt may be made. The same holds if the
    /// function panics, or does not end in time.
    ///
    /// # Examples
    ///
    /// A secret in a mounted file, which somebody else rotates. `SecretFile` (feature `files`) also checks
    /// what it reads:
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::{BodyExt, Full};
    /// use tower_bearer::{CachedProvider, HttpLogin, LoginBody};
    ///
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async {
    /// #     let body = request.into_body().collect().await?.to_bytes();
    /// #     let token = String::from_utf8(body.to_vec()).unwrap().rsplit('=').next().unwrap().to_owned();
    /// #     let answer = Full::<Bytes>::from(format!(r#"{{"access_token":"{token}"}}"#));
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// # let path = std::env::temp_dir().join(format!("tower-bearer-secret-{}", std::process::id()));
    /// # std::fs::write(&path, "first")?;
    /// # let mounted = path.clone();
    /// let body = LoginBody::from_fn(move |_request| {
    ///     let path = path.clone();
    ///     async move {
    ///         let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
    ///         let secret = read.await??;
    ///         let grant = ("grant_type", "client_credentials");
    ///         Ok(LoginBody::form([grant, ("client_secret", secret.trim())]))
    ///     }
    /// });
    /// let login = HttpLogin::new(client, "https://login.example.com/token", body)?;
    /// # let provider = CachedProvider::new(login);
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// # assert_eq!(provider.acquire().await?.value(), "Bearer first");
    /// # std::fs::write(&mounted, "second")?;
    /// # provider.reset();
    /// # assert_eq!(provider.acquire().await?.value(), "Bearer second");
    /// # std::fs::remove_file(mounted)?;
    /// # Ok::<_, tower_bearer::BoxError>(()) })?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    #[must_use]
    pub fn from_fn<F, Fut, B>(function: F) -> Self
    where
        F: Fn(LoginRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<B, BoxError>> + Send + 'static,
        B: Into<LoginBody>,
    {
        Self::new(Source::Function(Box::new(move |request| {
            let made = function(request);
            Box::pin(async { Ok(made.await?.into()) })
        })))
    }

    fn ready(text: Secret, content_type: &'static str) -> Self {
        Self::new(Source::Ready(Ready {
            bytes: text.into_bytes(),
            content_type,
        }))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            headers: HeaderMap::new(),
            #[cfg(feature = "oauth2")]
            rules: None,
        }
    }

    #[cfg(feature = "oauth2")]
    pub(super) fn with_rules(self, rules: GrantRules) -> Self {
        Self {
            rules: Some(rules),
            ..self
        }
    }

    #[cfg(feature = "oauth2")]
    pub(super) fn take_rules(&mut self) -> Option<GrantRules> {
        self.rules.take()
    }

    /// Adds a header to the requests with this body, as [`HttpLogin::header`](crate::HttpLogin::header)
    /// does to all. It replaces one of the login with the same name.
    ///
    /// With [`from_fn`](Self::from_fn) the header is made anew for each login: a secret that rotates, a
    /// proof, or a signature of the body.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        headers::add(&mut self.headers, name, value);
        self
    }

    /// Authenticates the requests with this body by HTTP Basic, as
    /// [`HttpLogin::basic_auth`](crate::HttpLogin::basic_auth) does for all.
    ///
    /// # Errors
    ///
    /// [`InvalidBasicAuth`] for a colon in the user, and for control characters.
    pub fn basic_auth(
        self,
        user: &str,
        password: impl Into<Secret>,
    ) -> Result<Self, InvalidBasicAuth> {
        let value = basic::plain(user, &password.into())?;
        Ok(self.header(AUTHORIZATION, value))
    }

    /// Authenticates an OAuth 2.0 client with this body, as
    /// [`HttpLogin::client_secret_basic`](crate::HttpLogin::client_secret_basic) does with all.
    ///
    /// # Errors
    ///
    /// [`InvalidBasicAuth`] for control characters.
    ///
    /// # Examples
    ///
    /// A client secret that rotates:
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use tower_bearer::{HttpLogin, LoginBody};
    /// # async fn current_secret() -> Result<String, std::io::Error> { Ok("7F+fp".to_owned()) }
    ///
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
    /// #     assert_eq!(request.headers()["authorization"], "Basic czZCaGRSa3F0Mzo3RiUyQmZw");
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// let body = LoginBody::from_fn(async |_request| {
    ///     let secret = current_secret().await?;
    ///     let grant = LoginBody::form([("grant_type", "client_credentials")]);
    ///     Ok(grant.client_secret_basic("s6BhdRkqt3", secret)?)
    /// });
    /// let login = HttpLogin::new(client, "https://login.example.com/token", body)?;
    /// # use tower_bearer::{Login, LoginRequest};
    /// # tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    pub fn client_secret_basic(
        self,
        client_id: &str,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, InvalidBasicAuth> {
        let value = basic::of_client(client_id, &client_secret.into())?;
        Ok(self.header(AUTHORIZATION, value))
    }

    /// The body to send. The error is that of the function.
    pub(super) async fn make(&self, request: &LoginRequest) -> Result<Document, BoxError> {
        let mut headers = self.headers.clone();
        let mut made;
        let mut source = &self.source;
        // A function may return a function.
        loop {
            match source {
                Source::Ready(ready) => {
                    let Ready {
                        bytes,
                        content_type,
                    } = ready.clone();
                    return Ok(Document {
                        bytes,
                        content_type,
                        headers,
                    });
                }
                Source::Function(function) => {
                    made = function(request.without_refresh_token()).await?;
                    headers.extend(made.headers);
                    source = &made.source;
                }
            }
        }
    }
}

impl From<Secret> for LoginBody {
    fn from(text: Secret) -> Self {
        Self::ready(text, JSON)
    }
}

impl From<String> for LoginBody {
    fn from(text: String) -> Self {
        Secret::from(text).into()
    }
}

impl From<&str> for LoginBody {
    fn from(text: &str) -> Self {
        Secret::from(text).into()
    }
}

impl fmt::Debug for LoginBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginBody(..)")
    }
}
