//! Discovery: the token endpoint, from the issuer's metadata.

use std::fmt;

use http::Uri;

use crate::{
    error::{ExchangeKind, MetadataFault},
    login::{
        exchange::{Failed, ReadAnswer},
        json_text::{find, string},
        status,
    },
    origin::{
        InvalidUrl, Origins,
        url::{self, Cleartext, InvalidUrlKind},
    },
};

/// The issuer of tokens, by its URL: its metadata names the token endpoint.
///
/// Pass it to [`HttpLogin::discover`](crate::HttpLogin::discover), which says how the metadata is fetched.
///
/// | the issuer documents | use | for the issuer `https://login.example.com/acme` |
/// | --- | --- | --- |
/// | [OpenID Connect Discovery 1.0] | [`openid`](Self::openid) | `https://login.example.com/acme/.well-known/openid-configuration` |
/// | [RFC 8414] | [`rfc8414`](Self::rfc8414) | `https://login.example.com/.well-known/oauth-authorization-server/acme` |
///
/// A `/` at the end of the issuer is left out of these URLs. It counts when the issuer is compared.
///
/// # What is checked
///
/// - The metadata must name the same `issuer`, character by character ([RFC 8414, section 3.3]).
/// - Its `token_endpoint` must be at the issuer's own origin, or at one that you list by
///   [`token_origin`](Self::token_origin). So the metadata chooses the path, and among those origins the
///   host. It never chooses another host for your secrets.
///
/// # Examples
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// use tower_bearer::{CachedProvider, HttpLogin, OAuth2Grant, OAuth2Issuer};
///
/// # let http = tower::service_fn(|request: Request<Full<Bytes>>| async move {
/// #     let answer = match request.uri().to_string().as_str() {
/// #         "https://login.example.com/.well-known/openid-configuration" => {
/// #             assert!(!request.headers().contains_key("authorization"));
/// #             r#"{"issuer":"https://login.example.com","token_endpoint":"https://oauth2.example.com/token"}"#
/// #         }
/// #         "https://oauth2.example.com/token" => r#"{"access_token":"a"}"#,
/// #         other => panic!("{other}"),
/// #     };
/// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
/// # });
/// let issuer = OAuth2Issuer::openid("https://login.example.com")?
///     .token_origin("https://oauth2.example.com")?; // only if the token endpoint is elsewhere
/// let grant = OAuth2Grant::client_credentials().client_secret_basic("s6BhdRkqt3", "7F+fp")?;
/// let provider = CachedProvider::new(HttpLogin::discover(http, issuer, grant));
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # assert_eq!(provider.acquire().await?.value(), "Bearer a");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// [OpenID Connect Discovery 1.0]: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
/// [RFC 8414]: https://www.rfc-editor.org/rfc/rfc8414#section-3.1
/// [RFC 8414, section 3.3]: https://www.rfc-editor.org/rfc/rfc8414#section-3.3
#[derive(Clone)]
pub struct OAuth2Issuer {
    /// As the user has written it.
    name: String,
    metadata_url: Uri,
    /// Where the token endpoint may be: the issuer's own origin comes first.
    token_origins: Vec<Origins>,
}

impl OAuth2Issuer {
    /// An issuer with the metadata of OpenID Connect: at `/.well-known/openid-configuration` after its path.
    /// An issuer that has it uses it for logins without a user too.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for a URL that is not absolute, has user information, a query or a fragment, or is
    /// plain `http` to a host other than loopback.
    pub fn openid(issuer: &str) -> Result<Self, InvalidUrl> {
        Self::new(issuer, |origin, path| {
            format!("{origin}{path}/.well-known/openid-configuration")
        })
    }

    /// An issuer with the metadata of RFC 8414: at `/.well-known/oauth-authorization-server` before its path.
    ///
    /// # Errors
    ///
    /// As [`openid`](Self::openid).
    pub fn rfc8414(issuer: &str) -> Result<Self, InvalidUrl> {
        Self::new(issuer, |origin, path| {
            format!("{origin}/.well-known/oauth-authorization-server{path}")
        })
    }

    fn new(issuer: &str, place: fn(&str, &str) -> String) -> Result<Self, InvalidUrl> {
        let checked = |url: &str| {
            url::parse(url, Cleartext::ToLoopback).map_err(InvalidUrl::without_exception)
        };
        let url = checked(issuer)?;
        if url.query().is_some() {
            return Err(InvalidUrl(InvalidUrlKind::IssuerQuery));
        }
        // RFC 8414, section 3.1, and OpenID Connect Discovery, section 4.1.
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        Ok(Self {
            name: issuer.to_owned(),
            metadata_url: checked(&place(&url::origin_of(&url), path))?,
            token_origins: vec![Origins::of(&url)?],
        })
    }

    /// Allows a token endpoint at this origin, besides the issuer's own. Each call adds one.
    ///
    /// The client's secret goes there, so take the origin from the issuer's documentation and not from its
    /// metadata.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if it is not scheme, host and port only, or plain `http` to a host other than loopback.
    pub fn token_origin(mut self, origin: &str) -> Result<Self, InvalidUrl> {
        let origin = Origins::new(origin).map_err(InvalidUrl::without_exception)?;
        self.token_origins.push(origin);
        Ok(self)
    }

    pub(in crate::login) fn metadata_url(&self) -> &Uri {
        &self.metadata_url
    }

    /// The token endpoint that the metadata names, if the login may use it.
    pub(in crate::login) fn token_endpoint(&self, metadata: &ReadAnswer) -> Result<Uri, Failed> {
        let failed = |fault| metadata.failed(ExchangeKind::Metadata(Box::new(fault)));
        let Some(json) = status::parse(metadata) else {
            return Err(metadata.not_json());
        };
        let text = |pointer| string(find(json, pointer)?);
        let Some(issuer) = text("/issuer") else {
            return Err(match status::has_error(json) {
                true => metadata.refused(),
                false => failed(MetadataFault::NoIssuer),
            });
        };
        if issuer.expose() != self.name {
            let names = [issuer.expose(), &self.name].map(printable);
            return Err(failed(MetadataFault::OtherIssuer(Some(names))));
        }
        let Some(endpoint) = text("/token_endpoint") else {
            return Err(failed(MetadataFault::NoEndpoint));
        };
        let endpoint = url::parse(endpoint.expose(), Cleartext::ToLoopback).map_err(|error| {
            failed(MetadataFault::InvalidEndpoint).with_source(error.without_exception())
        })?;
        if !self.token_origins.iter().any(|it| it.allows(&endpoint)) {
            let allowed: Vec<_> = self.token_origins.iter().map(Origins::listed).collect();
            return Err(failed(MetadataFault::ForeignEndpoint {
                origin: url::origin_of(&endpoint),
                allowed: allowed.join(" or "),
            }));
        }
        Ok(endpoint)
    }
}

/// An issuer as it is written, for an error: without user information and query, which may be secret.
fn printable(issuer: &str) -> String {
    match url::parse(issuer, Cleartext::ToAnybody) {
        Ok(url) if url.query().is_none() => url::shortened(issuer).to_owned(),
        _ => "(no valid one)".to_owned(),
    }
}

impl fmt::Debug for OAuth2Issuer {
    /// Without the path, which [`HttpLogin::hide_path`](crate::HttpLogin::hide_path) may hide.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2Issuer")
            .field("origin", &url::origin_of(&self.metadata_url))
            .finish_non_exhaustive()
    }
}
