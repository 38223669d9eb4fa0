//! What the user says of the requests of login and refresh, and how they are written.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE},
};

use super::HttpLogin;
use crate::{
    credential::Secret,
    login::{
        basic::{self, InvalidBasicAuth},
        body::Document,
        headers,
    },
};

impl HttpLogin {
    /// Sets the content type of login and refresh. Defaults to `application/json` for a text, and to
    /// `application/x-www-form-urlencoded` for a [form](crate::LoginBody::form).
    #[must_use]
    pub fn content_type(self, content_type: HeaderValue) -> Self {
        self.header(CONTENT_TYPE, content_type)
    }

    /// Adds a header to login and refresh. The value is marked sensitive, so that nothing prints it.
    ///
    /// | header | what happens |
    /// | --- | --- |
    /// | `accept`, `accept-encoding`, `cache-control` | Yours replaces that of the login: `application/json`, `identity`, `no-store`. |
    /// | `authorization`, `content-type`, `host` | The last call counts, since a request has one of each. |
    /// | `content-length`, `transfer-encoding` | Ignored: the client sets them. |
    /// | any other | Each call adds one. |
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use http::{HeaderName, HeaderValue, header::USER_AGENT};
    /// use tower_bearer::HttpLogin;
    ///
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
    /// #     assert_eq!(request.headers()["x-api-key"], "8f14e45f");
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// let key = HeaderValue::from_str("8f14e45f")?;
    /// let login = HttpLogin::new(client, "https://api.example.com/login", "{}")?
    ///     .header(HeaderName::from_static("x-api-key"), key)
    ///     .header(USER_AGENT, HeaderValue::from_static("reports/1.0"));
    /// # use tower_bearer::{Login, LoginRequest};
    /// # tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        headers::add(&mut self.headers, name, value);
        self
    }

    /// Authenticates login and refresh by HTTP Basic ([RFC 7617]): user and password are sent as they
    /// are, in UTF-8.
    ///
    /// An OAuth 2.0 server wants the client's id and secret encoded first:
    /// [`client_secret_basic`](Self::client_secret_basic). The two differ if a name or a secret has
    /// other characters than letters, digits and `*-._`.
    ///
    /// The header is marked sensitive, and replaces any other `authorization`. Its memory is wiped when
    /// the login and its last request are dropped.
    ///
    /// For a password that rotates, use [`LoginBody::basic_auth`](crate::LoginBody::basic_auth).
    ///
    /// # Errors
    ///
    /// [`InvalidBasicAuth`] for a colon in the user, and for control characters, such as a line break at
    /// the end of a file.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use tower_bearer::HttpLogin;
    ///
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
    /// #     assert_eq!(request.headers()["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// let login = HttpLogin::new(client, "https://api.example.com/login", "{}")?
    ///     .basic_auth("Aladdin", "open sesame")?;
    /// # use tower_bearer::{Login, LoginRequest};
    /// # tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    ///
    /// [RFC 7617]: https://www.rfc-editor.org/rfc/rfc7617#section-2
    pub fn basic_auth(
        self,
        user: &str,
        password: impl Into<Secret>,
    ) -> Result<Self, InvalidBasicAuth> {
        let value = basic::plain(user, &password.into())?;
        Ok(self.header(AUTHORIZATION, value))
    }

    /// Authenticates login and refresh by HTTP Basic with the id and the secret of an OAuth 2.0 client,
    /// as [RFC 6749, section 2.3.1] has it: each is first encoded as in a form.
    ///
    /// The name is that of the method in OAuth's metadata. For `client_secret_post`, put `client_id`
    /// and `client_secret` into the [form](crate::LoginBody::form). A server that does not decode the two
    /// needs [`basic_auth`](Self::basic_auth).
    ///
    /// For a secret that rotates, use
    /// [`LoginBody::client_secret_basic`](crate::LoginBody::client_secret_basic).
    ///
    /// # Errors
    ///
    /// [`InvalidBasicAuth`] for control characters, such as a line break at the end of a file.
    ///
    /// # Examples
    ///
    /// The client credentials grant ([RFC 6749, section 4.4]):
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// use tower_bearer::{HttpLogin, LoginBody};
    ///
    /// # let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
    /// #     assert_eq!(request.headers()["authorization"], "Basic czZCaGRSa3F0Mzo3RiUyQmZw");
    /// #     let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
    /// #     Ok::<_, std::convert::Infallible>(Response::new(answer))
    /// # });
    /// let grant = LoginBody::form([("grant_type", "client_credentials")]);
    /// let login = HttpLogin::new(client, "https://login.example.com/token", grant)?
    ///     .client_secret_basic("s6BhdRkqt3", "7F+fp")?; // sent as `7F%2Bfp`
    /// # use tower_bearer::{Login, LoginRequest};
    /// # tokio_test::block_on(login.login(LoginRequest::default()))?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    ///
    /// [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    /// [RFC 6749, section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
    pub fn client_secret_basic(
        self,
        client_id: &str,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, InvalidBasicAuth> {
        let value = basic::of_client(client_id, &client_secret.into())?;
        Ok(self.header(AUTHORIZATION, value))
    }

    pub(super) fn post(&self, url: &Uri, body: Document) -> Request<Bytes> {
        let mut headers = HeaderMap::with_capacity(4 + self.headers.len());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // RFC 6749, section 5.1 requires it of the answer: no cache in between stores the secrets.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Replaces what is there under the same name.
        headers.extend(self.headers.clone());
        headers.extend(body.headers);
        let mut request = Request::new(body.bytes);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        request
    }
}
