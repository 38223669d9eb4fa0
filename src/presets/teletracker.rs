//! Teletracker.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response, Uri};
use http_body::Body;
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tower_service::Service;

use super::base_url::BaseUrl;
use crate::{
    credential::Secret,
    error::BoxError,
    layer::BearerAuthLayer,
    login::{HttpLogin, LoginBody, RefreshTokenLifetime, Session, find, seconds, string},
    origin::{InvalidUrl, Origins},
    provider::{CachedProvider, CredentialProvider},
    request::rejection,
};

/// Teletracker.
///
/// # The life of a session
///
/// The answer to a login has a token and a refresh token. Shortly before the token expires, or when
/// it is rejected, the layer spends the refresh token for a new pair. **A refresh token works once.**
/// If it is rejected, or the answer is lost, a full login follows in the same flight. The waiting
/// requests then get its token.
///
/// # Which expiry
///
/// The token's expiry is `tokenLifetime`, counted by the clock of this machine. `tokenExpiration` is
/// not used, since it is by the server's clock, which the vendor advises against.
///
/// The answer has no lifetime of the refresh token. It is computed as `tokenLifetime` plus the time
/// between the two expirations: both are by the server's clock, so its error cancels out.
///
/// # Which header
///
/// The vendor's guide has `Authentication: Bearer …`; other pages of the vendor have `Authorization`.
/// The preset follows the guide. For the other header:
///
/// ```
/// # use bytes::Bytes;
/// # use http_body_util::Full;
/// # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use http::header::AUTHORIZATION;
/// use tower_bearer::{ReplayEmpty, presets::Teletracker};
///
/// # let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
/// # let password = "secret".to_owned();
/// let layer = Teletracker::new()
///     .account(4711)
///     .layer(http, "reports@example.com", password)
///     .with_header_name(AUTHORIZATION)
///     .replay(ReplayEmpty);
/// # let _ = layer;
/// ```
///
/// # Form or JSON
///
/// The vendor's documentation does not say how a login is sent. The preset posts a form;
/// [`json`](Self::json) makes it JSON, for the login and the refresh.
///
/// # Which rejections
///
/// The API answers an expired token with 401 or 403, so both are rejections. If the cause is a lack of
/// permission, the provider logs in two or three times before the caller gets the rejection.
#[derive(Clone, Debug)]
pub struct Teletracker {
    login_url: Uri,
    refresh_url: Uri,
    origins: Origins,
    account: Option<u64>,
    encoding: Encoding,
}

/// How the bodies of login and refresh are written.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Form,
    Json,
}

impl Teletracker {
    /// The service at `https://api.teletracker.net`.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the URL is valid")]
    pub fn new() -> Self {
        Self::base_url("https://api.teletracker.net").expect("an https URL with only a host")
    }

    /// The service at another URL, such as `http://127.0.0.1:8080` in a test.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for a URL that is not absolute, has user information or a query, or is
    /// plain `http` to a host other than loopback.
    pub fn base_url(url: &str) -> Result<Self, InvalidUrl> {
        let base_url = BaseUrl::parse(url)?;
        Ok(Self {
            login_url: base_url.at("/auth/login")?,
            refresh_url: base_url.at("/auth/refresh")?,
            origins: base_url.origins()?,
            account: None,
            encoding: Encoding::Form,
        })
    }

    /// Binds the session to this account (`account_id`), for a user with several accounts. A token
    /// belongs to one account at a time.
    #[must_use]
    pub fn account(self, id: u64) -> Self {
        Self {
            account: Some(id),
            ..self
        }
    }

    /// Sends logins and refreshes as JSON, with `account_id` as a number. Defaults to a form
    /// (`application/x-www-form-urlencoded`).
    ///
    /// # Examples
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use http_body_util::Full;
    /// # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    /// use tower_bearer::presets::Teletracker;
    ///
    /// # let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    /// # let password = "secret".to_owned();
    /// let layer = Teletracker::new().json().layer(http, "reports@example.com", password);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn json(self) -> Self {
        Self {
            encoding: Encoding::Json,
            ..self
        }
    }

    /// A layer that logs in and refreshes through `http`.
    ///
    /// `http` is any tower HTTP service without the layer. Over HTTPS it should not be a clone of the
    /// client that the layer wraps: [HTTPS for logins] says why, and has one to copy.
    ///
    /// [HTTPS for logins]: https://docs.rs/tower-bearer/latest/tower_bearer/guide/https_logins/index.html
    pub fn layer<S, B, R>(
        &self,
        http: S,
        user: &str,
        password: impl Into<Secret>,
    ) -> BearerAuthLayer
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let login = self.login(http, user, password);
        self.layer_with(CachedProvider::builder(login).name("teletracker").build())
    }

    /// A layer with a provider of your own, such as a [`CachedProvider::builder`] around
    /// [`login`](Self::login) that starts with a stored refresh token.
    pub fn layer_with<P: CredentialProvider>(&self, provider: P) -> BearerAuthLayer<P> {
        BearerAuthLayer::new(provider, self.origins.clone())
            .with_header_name(HeaderName::from_static("authentication"))
            .rejected_if(rejection::unauthorized_or_forbidden)
    }

    /// The login only, for a provider of your own.
    pub fn login<S, B, R>(&self, http: S, user: &str, password: impl Into<Secret>) -> HttpLogin
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let password = password.into();
        let encoding = self.encoding;
        let fields = [("username", user), ("password", password.expose())];
        let body = encoding.body(&fields, self.account);
        HttpLogin::at(http, self.login_url.clone(), body)
            .refresh_at(self.refresh_url.clone(), move |token| {
                encoding.body(&[("refresh_token", token.expose())], None)
            })
            .spending_refresh_tokens()
            .token_at("/token")
            .lifetime_at("/tokenLifetime")
            .refresh_token_at("/refreshToken")
            .configure(|format| {
                format.refresh_token_lifetime = RefreshTokenLifetime::By(lifetime_of_refresh_token);
            })
            .with_session(Session::Exclusive)
    }
}

impl Default for Teletracker {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoding {
    /// The fields, and `account_id` if there is one.
    fn body(self, fields: &[(&str, &str)], account: Option<u64>) -> LoginBody {
        let account = account.map(|id| id.to_string());
        let account = account.as_deref();
        match self {
            Self::Form => {
                let account = account.map(|account| ("account_id", account));
                LoginBody::form(fields.iter().copied().chain(account))
            }
            Self::Json => json(fields, account).into(),
        }
    }
}

/// The length of the longest `account_id` with its name and separators.
const ACCOUNT: usize = 40;

/// JSON, in a buffer that never grows: growing would leave the password in memory.
fn json(fields: &[(&str, &str)], account: Option<&str>) -> Secret {
    // An escaped character takes six bytes.
    let capacity = |(name, value): &(&str, &str)| 6 + 6 * (name.len() + value.len());
    let capacity = fields.iter().map(capacity).sum::<usize>() + ACCOUNT + 2;
    let mut document = Vec::with_capacity(capacity);
    let mut write = |text: &str, before: &str| {
        document.extend_from_slice(before.as_bytes());
        serde_json::to_writer(&mut document, text).expect("writing a string to memory cannot fail");
    };
    for (at, (name, value)) in fields.iter().enumerate() {
        write(name, if at == 0 { "{" } else { "," });
        write(value, ":");
    }
    if let Some(account) = account {
        document.extend_from_slice(b",\"account_id\":");
        document.extend_from_slice(account.as_bytes());
    }
    document.push(b'}');
    String::from_utf8(document)
        .expect("JSON of strings is UTF-8")
        .into()
}

/// The refresh token's lifetime. Both expirations are by the server's clock, whose error cancels out
/// in their difference.
fn lifetime_of_refresh_token(answer: &RawValue) -> Option<Duration> {
    let instant = |pointer| {
        let text = string(find(answer, pointer)?)?;
        OffsetDateTime::parse(text.expose(), &Rfc3339).ok()
    };
    let longer = instant("/refreshTokenExpiration")? - instant("/tokenExpiration")?;
    let lifetime = find(answer, "/tokenLifetime").and_then(seconds)?;
    let lifetime = time::Duration::try_from(lifetime)
        .ok()?
        .checked_add(longer)?;
    Some(lifetime.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_json_and_fits_its_buffer_for_any_password() {
        for password in [
            "plain",
            "",
            "q\"\\/\u{8}\u{1f}\n",
            "ü€😀",
            &"\u{1}".repeat(100),
        ] {
            let fields = [("username", "me"), ("password", password)];
            let longest = u64::MAX.to_string();
            for account in [None, Some(longest.as_str())] {
                let document = json(&fields, account);
                let parsed: serde_json::Value = serde_json::from_str(document.expose()).unwrap();
                let mut expected = serde_json::json!({"username": "me", "password": password});
                if account.is_some() {
                    expected["account_id"] = u64::MAX.into();
                }
                assert_eq!(parsed, expected);
                let capacity = 2 * 6 + 6 * (16 + 2 + password.len()) + ACCOUNT + 2;
                assert!(document.expose().len() <= capacity);
            }
        }
        let refresh = json(&[("refresh_token", "old")], None);
        assert_eq!(refresh.expose(), r#"{"refresh_token":"old"}"#);
    }

    #[test]
    fn the_error_of_the_servers_clock_cancels_out() {
        for (token, refresh_token, lifetime) in [
            (
                "2018-04-01T21:39:12+00:00",
                "2018-04-30T21:39:12+00:00",
                Some(29 * 86_400 + 3600),
            ),
            ("1970-01-01T01:00:00Z", "1970-01-01T02:00:00Z", Some(7200)),
            (
                "2018-04-01T23:39:12+02:00",
                "2018-04-01T21:39:13Z",
                Some(3601),
            ),
            ("2018-04-01T21:39:12Z", "2018-04-01T21:39:11Z", Some(3599)),
            ("2018-04-01T21:39:12Z", "2018-03-01T21:39:12Z", Some(0)),
            ("2018-04-01", "2018-04-30T21:39:12+00:00", None),
            ("2018-04-01T21:39:12Z", "soon", None),
        ] {
            let answer = serde_json::json!({
                "tokenLifetime": 3600,
                "tokenExpiration": token,
                "refreshTokenExpiration": refresh_token,
            });
            let answer = RawValue::from_string(answer.to_string()).unwrap();
            let expected = lifetime.map(Duration::from_secs);
            assert_eq!(lifetime_of_refresh_token(&answer), expected, "{token}");
        }
    }
}
