//! What the user says of the refresh.

use http::Uri;

use super::HttpLogin;
use crate::{
    credential::RefreshToken,
    login::{LoginBody, RefreshFailure},
    origin::{InvalidUrl, url},
};

/// How a refresh token is spent.
pub(super) struct Refresh {
    /// By default that of the login.
    pub(super) url: Option<Uri>,
    pub(super) body: Box<dyn Fn(&RefreshToken) -> LoginBody + Send + Sync>,
    /// Whether the old refresh token stays valid if the answer brings none.
    pub(super) keeps_old: bool,
}

impl HttpLogin {
    /// Refreshes if there is a refresh token: posts the body that `body` makes from it to `url`. The
    /// answer is read like that of a login.
    ///
    /// The function returns what [`new`](Self::new) takes: JSON text, a [form](LoginBody::form), or for
    /// work that may wait or fail a [function](LoginBody::from_fn).
    ///
    /// | the refresh | the refresh token | a full login |
    /// | --- | --- | --- |
    /// | is refused by the API, has no usable token, or no answer after half of the login's timeout | is spent | follows at once |
    /// | fails as [`RefreshFailure`] lists: no connection, a rate limit, 5xx, a firewall | is kept | does not follow, unless [`full_login_after`](Self::full_login_after) names it |
    /// | fails so for the fifth time in a row, with a connection | is kept | follows at once |
    /// | brings a token that the API rejects and never accepts | is kept | is the next login; if it fails, the one after it refreshes |
    ///
    /// Give it a client that does not retry by itself: a previous attempt may have made a connection.
    /// Set the client's connect timeout below half of the login's timeout. A connection that is still
    /// being made then counts as no answer, and spends the refresh token.
    ///
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
    /// use tower_bearer::{CachedProvider, HttpLogin, LoginBody};
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
    ///         LoginBody::form([
    ///             ("grant_type", "refresh_token"),
    ///             ("refresh_token", refresh_token.expose()),
    ///         ])
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
    pub fn refresh_by<B: Into<LoginBody>>(
        self,
        url: &str,
        body: impl Fn(&RefreshToken) -> B + Send + Sync + 'static,
    ) -> Result<Self, InvalidUrl> {
        let url = url::parse(url, self.cleartext)?;
        Ok(self.refresh_at(url, body))
    }

    /// Refreshes at a URL that was already checked.
    pub(crate) fn refresh_at<B: Into<LoginBody>>(
        self,
        url: Uri,
        body: impl Fn(&RefreshToken) -> B + Send + Sync + 'static,
    ) -> Self {
        Self {
            refresh: Some(Refresh {
                url: Some(url),
                body: Box::new(move |token| body(token).into()),
                keeps_old: true,
            }),
            ..self
        }
    }

    /// Follows the body's rules for session and refresh, if it is an OAuth 2.0 grant.
    #[cfg(feature = "oauth2")]
    pub(super) fn with_rules_of_body(mut self) -> Self {
        let Some(rules) = self.body.take_rules() else {
            return self;
        };
        let refresh = Refresh {
            url: None,
            body: rules.refresh,
            keeps_old: true,
        };
        Self {
            refresh: Some(refresh),
            is_refresh_only: rules.is_refresh_only,
            ..self
        }
        .with_session(rules.session)
        .refresh_token_at("/refresh_token")
    }

    /// Makes a refresh token single-use: it is spent even if the answer brings no new one.
    #[cfg(feature = "teletracker")]
    pub(crate) fn spending_refresh_tokens(mut self) -> Self {
        if let Some(refresh) = &mut self.refresh {
            refresh.keeps_old = false;
        }
        self
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
}
