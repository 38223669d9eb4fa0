//! Quable PIM.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use super::base_url::BaseUrl;
use crate::{
    credential::Secret,
    error::BoxError,
    layer::BearerAuthLayer,
    login::{HttpLogin, Lifetime, Session},
    origin::{InvalidUrl, Origins, url::InvalidUrlKind},
    provider::{CachedProvider, CredentialProvider},
};

/// Quable PIM, REST API v4 and v5.
///
/// # Which token
///
/// - A **generic token** is made in Quable's interface (System > API token), with full or read-only
///   access. It never changes: pass a [`StaticProvider`](crate::StaticProvider) to
///   [`layer_with`](Self::layer_with).
/// - A **user's token** comes from a login: use [`layer`](Self::layer).
///
/// # Each login revokes the previous token
///
/// An account has one token at a time. Two processes that share an account revoke each other's
/// tokens. **A login of this layer also signs out a person who uses the web interface with the same
/// account**, and that person's next sign-in revokes the layer's token. Give each job a separate
/// account.
///
/// # Which lifetime
///
/// Quable's answer announces `expires_in: 3600`; its documentation says that a session lasts 30 days.
/// Each login revokes the token in use, so do not log in more often than needed. Choose:
///
/// | lifetime | logs in | use it if |
/// | --- | --- | --- |
/// | [`Lifetime::Announced`] | every hour | the announcement is right, or a login an hour does no harm |
/// | [`Lifetime::Fixed`] | at the interval that you set | you know how long sessions last at your instance |
/// | [`Lifetime::UntilRejected`] | after a rejection | one rejected request at the end of each session is acceptable |
///
/// # Examples
///
/// `login_client` is the function of [HTTPS for logins].
///
/// ```no_run
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/login_client.rs"));
/// use tower::ServiceBuilder;
/// use tower_bearer::{Lifetime, presets::Quable};
///
/// # fn main() -> Result<(), BoxError> {
/// # let http = login_client()?;
/// let layer = Quable::instance("acme")?.layer(
///     login_client()?,
///     "export-job",
///     std::env::var("QUABLE_PASSWORD")?,
///     Lifetime::Announced,
/// );
/// let client = ServiceBuilder::new().layer(layer).service(http); // the API's own client
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
///
/// [HTTPS for logins]: https://docs.rs/tower-bearer/latest/tower_bearer/guide/https_logins/index.html
#[derive(Clone, Debug)]
pub struct Quable {
    login_url: Uri,
    origins: Origins,
}

impl Quable {
    /// The instance at `https://{name}.quable.com`.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if the name is not letters, digits and inner hyphens.
    pub fn instance(name: &str) -> Result<Self, InvalidUrl> {
        let is_label = !name.is_empty()
            && !name.starts_with('-')
            && !name.ends_with('-')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_label {
            return Err(InvalidUrl(InvalidUrlKind::Instance));
        }
        Self::base_url(&format!("https://{name}.quable.com"))
    }

    /// An instance at another URL, such as `http://127.0.0.1:8080` in a test.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for a URL that is not absolute, has user information or a query, or is
    /// plain `http` to a host other than loopback.
    pub fn base_url(url: &str) -> Result<Self, InvalidUrl> {
        let base_url = BaseUrl::parse(url)?;
        Ok(Self {
            login_url: base_url.at("/api_1.php/sessions")?,
            origins: base_url.origins()?,
        })
    }

    /// A layer that logs in as a user, through `http`.
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
        lifetime: Lifetime,
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
        let login = self.login(http, user, password, lifetime);
        self.layer_with(CachedProvider::builder(login).name("quable").build())
    }

    /// A layer with a provider of your own: a [`StaticProvider`](crate::StaticProvider) for a generic
    /// token, or a [`CachedProvider::builder`] around [`login`](Self::login) for other settings.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::{StaticProvider, presets::Quable};
    ///
    /// let generic_token = StaticProvider::new("94fa500c0fbd1214")?;
    /// let layer = Quable::instance("acme")?.layer_with(generic_token);
    /// # let _ = layer;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    pub fn layer_with<P: CredentialProvider>(&self, provider: P) -> BearerAuthLayer<P> {
        BearerAuthLayer::new(provider, self.origins.clone())
    }

    /// The login only, for a provider of your own.
    pub fn login<S, B, R>(
        &self,
        http: S,
        user: &str,
        password: impl Into<Secret>,
        lifetime: Lifetime,
    ) -> HttpLogin
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
        let body = signin(user, &password);
        HttpLogin::at(http, self.login_url.clone(), body.into())
            .token_at("/oauth/access_token")
            .lifetime_at("/oauth/expires_in")
            .lifetime(lifetime)
            .configure(|format| format.refuses_with_empty_body = true)
            .with_session(Session::Exclusive)
    }
}

/// The login's document, in a buffer that never grows: growing would leave the password in memory.
fn signin(user: &str, password: &Secret) -> Secret {
    // An escaped character takes six bytes.
    let capacity = 64 + 6 * (user.len() + password.expose().len());
    let mut document = Vec::with_capacity(capacity);
    for (part, text) in [
        (r#"{"signin":{"username":"#, user),
        (r#","password":"#, password.expose()),
    ] {
        document.extend_from_slice(part.as_bytes());
        serde_json::to_writer(&mut document, text).expect("writing a string to memory cannot fail");
    }
    document.extend_from_slice(b"}}");
    String::from_utf8(document)
        .expect("JSON of strings is UTF-8")
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_document_is_json_and_fits_its_buffer_for_any_password() {
        for password in [
            "plain",
            "",
            "q\"\\/\u{8}\u{1f}\n",
            "ü€😀",
            &"\u{1}".repeat(100),
        ] {
            let secret = Secret::from(password);
            let document = signin("user", &secret);
            let parsed: serde_json::Value = serde_json::from_str(document.expose()).unwrap();
            let expected = json!({"signin": {"username": "user", "password": password}});
            assert_eq!(parsed, expected);
            assert!(document.expose().len() <= 64 + 6 * (4 + password.len()));
        }
    }
}
