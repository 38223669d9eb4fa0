//! The grants of OAuth 2.0, as bodies of an HTTP login.

mod parameters;
mod body;
mod issuer;
mod reserved;

use std::{fmt, pin::Pin};

use http::HeaderValue;

pub use self::{issuer::OAuth2Issuer, reserved::ReservedParameter};
use super::{LoginRequest, Session};
use crate::{credential::Secret, error::BoxError};

/// How to get a token by OAuth 2.0 ([RFC 6749]): a grant, the client's authentication and what the token
/// is for.
///
/// Pass it to [`HttpLogin::new`](crate::HttpLogin::new) or [`discover`](crate::HttpLogin::discover) as the
/// body. All settings of `HttpLogin` apply.
///
/// | grant | for | session |
/// | --- | --- | --- |
/// | [`client_credentials`](Self::client_credentials) | a service that acts for itself: the usual one | [`Concurrent`] |
/// | [`jwt_bearer`](Self::jwt_bearer) | a service that proves itself by a signed assertion | [`Concurrent`] |
/// | [`token_exchange`](Self::token_exchange) | a token in return for another token | [`Concurrent`] |
/// | [`refresh_token`](Self::refresh_token) | a user who has signed in elsewhere, such as in a browser | [`Exclusive`] |
/// | [`password`](Self::password) | old servers that offer nothing else | [`Exclusive`] |
/// | [`extension`](Self::extension) | any other | [`Exclusive`] |
///
/// The session is a default: [`HttpLogin::with_session`](crate::HttpLogin::with_session) changes it. Most
/// servers keep the previous tokens of a client valid, but RFC 6749 does not say so.
///
/// If an answer brings a refresh token, the next login uses it first. The request goes to the same URL with
/// the same client authentication. The `HttpLogin` handles rotation and failures as
/// [`refresh_by`](crate::HttpLogin::refresh_by) has them.
///
/// # Examples
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::{BodyExt, Full};
/// use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant};
///
/// # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
/// #     assert_eq!(request.headers()["authorization"], "Basic czZCaGRSa3F0Mzo3RiUyQmZw");
/// #     let body = request.into_body().collect().await?.to_bytes();
/// #     assert_eq!(body, "grant_type=client_credentials&scope=read+write");
/// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a","expires_in":3600}"#);
/// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
/// # });
/// let grant = OAuth2Grant::client_credentials().scope("read write");
/// let login = HttpLogin::new(http, "https://login.example.com/token", grant)?
///     .client_secret_basic("s6BhdRkqt3", "7F+fp")?;
/// let provider = CachedProvider::new(login);
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # assert_eq!(provider.acquire().await?.value(), "Bearer a");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// [RFC 6749]: https://www.rfc-editor.org/rfc/rfc6749
/// [`Concurrent`]: crate::Session::Concurrent
/// [`Exclusive`]: crate::Session::Exclusive
pub struct OAuth2Grant {
    grant_type: String,
    /// Sent with the login, and not with a refresh.
    own: Vec<(&'static str, Secret)>,
    /// The last of them, if its value is made anew for each login.
    made: Option<(&'static str, Function)>,
    scope: String,
    /// Sent with login and refresh.
    parameters: Vec<(String, Secret)>,
    client: ClientAuthentication,
    session: Session,
}

type Made = Pin<Box<dyn Future<Output = Result<Secret, BoxError>> + Send>>;

type Function = Box<dyn Fn(LoginRequest) -> Made + Send + Sync>;

enum ClientAuthentication {
    /// None, or by the settings of the login.
    Elsewhere,
    Id(String),
    Post(String, Secret),
    Basic(HeaderValue),
}

impl OAuth2Grant {
    /// The client logs in for itself ([RFC 6749, section 4.4]). Set how the client authenticates as well.
    ///
    /// [RFC 6749, section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
    #[must_use]
    pub fn client_credentials() -> Self {
        Self::extension("client_credentials").with_session(Session::Concurrent)
    }

    /// The client logs in with a user's password ([RFC 6749, section 4.3]). Do not design anything new with
    /// it: [RFC 9700, section 2.4] forbids it, and it admits no second factor.
    ///
    /// [RFC 6749, section 4.3]: https://www.rfc-editor.org/rfc/rfc6749#section-4.3
    /// [RFC 9700, section 2.4]: https://www.rfc-editor.org/rfc/rfc9700#section-2.4
    #[must_use]
    pub fn password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        let user: String = user.into();
        Self {
            own: vec![("username", user.into()), ("password", password.into())],
            ..Self::extension("password")
        }
    }

    /// The only way to a token is a refresh token ([RFC 6749, section 6]), such as one from a sign-in in a
    /// browser.
    ///
    /// Pass the first one to
    /// [`starting_with_refresh_token`](crate::CachedProviderBuilder::starting_with_refresh_token), and keep
    /// each new one by [`on_credential`](crate::CachedProviderBuilder::on_credential). Without a refresh
    /// token the login fails at once, with a permanent error: sign in again, and pass the new credential to
    /// [`set_credential`](crate::CachedProvider::set_credential).
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::{BodyExt, Full};
    /// use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant};
    ///
    /// # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
    /// #     let body = request.into_body().collect().await?.to_bytes();
    /// #     assert_eq!(body, "grant_type=refresh_token&refresh_token=tGzv3JOk&client_id=cli");
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// let grant = OAuth2Grant::refresh_token().client_id("cli");
    /// let login = HttpLogin::new(http, "https://login.example.com/token", grant)?;
    /// let provider = CachedProvider::builder(login).starting_with_refresh_token("tGzv3JOk").build();
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// # assert_eq!(provider.acquire().await?.value(), "Bearer a");
    /// # Ok::<_, tower_bearer::BoxError>(()) })?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    ///
    /// [RFC 6749, section 6]: https://www.rfc-editor.org/rfc/rfc6749#section-6
    #[must_use]
    pub fn refresh_token() -> Self {
        Self::extension(body::REFRESH_TOKEN)
    }

    /// The client logs in with a signed JSON Web Token ([RFC 7523, section 2.1]), which `assertion` makes
    /// anew for each login.
    ///
    /// The function may wait and fail, and must not block, as in
    /// [`LoginBody::from_fn`](crate::LoginBody::from_fn).
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::{BodyExt, Full};
    /// use tower_bearer::{HttpLogin, OAuth2Grant};
    /// # async fn sign() -> Result<String, std::io::Error> { Ok("eyJhbGciOi.J9l-ZhwP".to_owned()) }
    ///
    /// # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
    /// #     let body = request.into_body().collect().await?.to_bytes();
    /// #     let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    /// #     assert_eq!(body, format!("{grant}&assertion=eyJhbGciOi.J9l-ZhwP&scope=read"));
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// let grant = OAuth2Grant::jwt_bearer(async |_request| Ok(sign().await?)).scope("read");
    /// let login = HttpLogin::new(http, "https://login.example.com/token", grant)?;
    /// # use tower_bearer::{Login, LoginRequest};
    /// # tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    ///
    /// [RFC 7523, section 2.1]: https://www.rfc-editor.org/rfc/rfc7523#section-2.1
    #[must_use]
    pub fn jwt_bearer<F, Fut, S>(assertion: F) -> Self
    where
        F: Fn(LoginRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, BoxError>> + Send + 'static,
        S: Into<Secret>,
    {
        Self {
            made: Some(("assertion", boxed(assertion))),
            ..Self::extension("urn:ietf:params:oauth:grant-type:jwt-bearer")
        }
        .with_session(Session::Concurrent)
    }

    /// The client exchanges a token for another one ([RFC 8693]). `subject_token` gets it for each login, and
    /// `subject_token_type` is its type, such as `urn:ietf:params:oauth:token-type:access_token`.
    ///
    /// The function may wait and fail, and must not block, as in
    /// [`LoginBody::from_fn`](crate::LoginBody::from_fn). Set what the token is for by
    /// [`resource`](Self::resource) or [`audience`](Self::audience), and the rest of the RFC's parameters by
    /// [`parameter`](Self::parameter).
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::{BodyExt, Full};
    /// use tower_bearer::{HttpLogin, OAuth2Grant};
    /// # async fn projected() -> Result<String, std::io::Error> { Ok("accVkjcJyb4".to_owned()) }
    ///
    /// # let http = tower::service_fn(|request: Request<Full<Bytes>>| async {
    /// #     let body = request.into_body().collect().await?.to_bytes();
    /// #     assert!(body.ends_with(b"token-type%3Ajwt&audience=payroll"));
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// let kind = "urn:ietf:params:oauth:token-type:jwt";
    /// let grant = OAuth2Grant::token_exchange(kind, async |_request| Ok(projected().await?))
    ///     .audience("payroll");
    /// let login = HttpLogin::new(http, "https://login.example.com/token", grant)?;
    /// # use tower_bearer::{Login, LoginRequest};
    /// # tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    ///
    /// [RFC 8693]: https://www.rfc-editor.org/rfc/rfc8693
    #[must_use]
    pub fn token_exchange<F, Fut, S>(
        subject_token_type: impl Into<String>,
        subject_token: F,
    ) -> Self
    where
        F: Fn(LoginRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, BoxError>> + Send + 'static,
        S: Into<Secret>,
    {
        let subject_token_type: String = subject_token_type.into();
        Self {
            own: vec![("subject_token_type", subject_token_type.into())],
            made: Some(("subject_token", boxed(subject_token))),
            ..Self::extension("urn:ietf:params:oauth:grant-type:token-exchange")
        }
        .with_session(Session::Concurrent)
    }

    /// Any other grant, by its name ([RFC 6749, section 4.5]). [`parameter`](Self::parameter) sets what it
    /// asks for.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::OAuth2Grant;
    ///
    /// let grant = OAuth2Grant::extension("account_credentials").parameter("account_id", "a1b2")?;
    /// # let _ = grant;
    /// # Ok::<_, tower_bearer::ReservedParameter>(())
    /// ```
    ///
    /// [RFC 6749, section 4.5]: https://www.rfc-editor.org/rfc/rfc6749#section-4.5
    #[must_use]
    pub fn extension(grant_type: impl Into<String>) -> Self {
        Self {
            grant_type: grant_type.into(),
            own: Vec::new(),
            made: None,
            scope: String::new(),
            parameters: Vec::new(),
            client: ClientAuthentication::Elsewhere,
            session: Session::Exclusive,
        }
    }

    fn with_session(self, session: Session) -> Self {
        Self { session, ..self }
    }
}

fn boxed<F, Fut, S>(function: F) -> Function
where
    F: Fn(LoginRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, BoxError>> + Send + 'static,
    S: Into<Secret>,
{
    Box::new(move |request| {
        let made = function(request);
        Box::pin(async { Ok(made.await?.into()) })
    })
}

impl fmt::Debug for OAuth2Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2Grant")
            .field("grant_type", &self.grant_type)
            .finish_non_exhaustive()
    }
}
