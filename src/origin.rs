//! Where the token may go.

use std::{error, fmt, net::IpAddr, sync::Arc};

use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// The origins that may see the token.
///
/// An origin is scheme, host and port ([RFC 9110, section 4.3.1]). It is compared exactly: no
/// subdomain, no prefix, no other port. A request to any other origin goes *bare*: it is sent
/// untouched and without a token, so that redirects to foreign hosts go on working and learn
/// nothing.
///
/// A request whose URI has no authority (`/path`, as tonic and HTTP/1 connections send it) goes
/// where its client goes, and is always allowed.
///
/// # Examples
///
/// ```
/// use tower_bearer::Origins;
///
/// let origins = Origins::new(["https://api.example.com", "http://127.0.0.1:8080"])?;
/// assert!(origins.allow(&"https://api.example.com:443/v1/things".parse()?));
/// assert!(!origins.allow(&"https://api.example.com.evil.net/v1/things".parse()?));
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// [RFC 9110, section 4.3.1]: https://www.rfc-editor.org/rfc/rfc9110#section-4.3.1
#[derive(Clone, Debug)]
pub struct Origins(Allowed);

#[derive(Clone, Debug)]
enum Allowed {
    AnyHttps,
    Only(Arc<[Origin]>),
}

impl Origins {
    /// Allows exactly the origins named, each as `https://host` or `https://host:port`.
    ///
    /// Plain `http` is for loopback alone: `127.0.0.0/8`, `[::1]` and `localhost`
    /// ([RFC 6750, section 5.3] wants TLS everywhere else).
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] when the list is empty, and for anything that is not scheme, host and
    /// port: a relative URI, user information, a path, a query, another scheme.
    ///
    /// [RFC 6750, section 5.3]: https://www.rfc-editor.org/rfc/rfc6750#section-5.3
    pub fn new<I>(origins: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let origins = origins
            .into_iter()
            .map(|origin| Origin::parse(origin.as_ref()))
            .collect::<Result<Arc<[_]>, _>>()?;
        if origins.is_empty() {
            return Err(InvalidOrigin(Reason::Empty));
        }
        Ok(Self(Allowed::Only(origins)))
    }

    /// Allows every `https` origin there is: for a client that nobody else can send elsewhere.
    ///
    /// Whoever chooses the URI of a request, a redirect included, then also chooses who sees the
    /// token. Prefer [`Origins::new`].
    #[must_use]
    pub fn any_https() -> Self {
        Self(Allowed::AnyHttps)
    }

    /// The one origin of a URL that [`parse_url`] has passed.
    #[cfg(feature = "quable")]
    pub(crate) fn of(url: &Uri) -> Result<Self, InvalidOrigin> {
        Ok(Self(Allowed::Only(Arc::new([Origin::of(url)?]))))
    }

    /// Whether a request to this URI may carry the token.
    #[must_use]
    pub fn allow(&self, uri: &Uri) -> bool {
        let Some(authority) = uri.authority() else {
            return true;
        };
        // A scheme is missing in the authority form of CONNECT: that request is for a proxy.
        let Some(scheme) = uri.scheme() else {
            return false;
        };
        match &self.0 {
            Allowed::AnyHttps => *scheme == Scheme::HTTPS && !has_userinfo(authority),
            Allowed::Only(origins) => origins
                .iter()
                .any(|origin| origin.matches(scheme, authority)),
        }
    }
}

/// One scheme, host and port.
#[derive(Clone, Debug)]
struct Origin {
    scheme: Scheme,
    /// `host:port`.
    with_port: Box<str>,
    /// `host` alone, where the port is the scheme's default.
    without_port: Option<Box<str>>,
}

impl Origin {
    fn parse(origin: &str) -> Result<Self, InvalidOrigin> {
        let uri = parse_url(origin)?;
        if uri.path_and_query().is_some_and(|rest| rest != "/") {
            return Err(InvalidOrigin(Reason::Path));
        }
        Self::of(&uri)
    }

    fn of(url: &Uri) -> Result<Self, InvalidOrigin> {
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(InvalidOrigin(Reason::Relative));
        };
        let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = authority.host();
        let port = authority.port_u16().unwrap_or(default_port);
        Ok(Self {
            scheme: scheme.clone(),
            with_port: format!("{host}:{port}").into(),
            without_port: (port == default_port).then(|| host.into()),
        })
    }

    /// Whole authorities are compared, so that user information or an odd spelling of the port
    /// never matches.
    fn matches(&self, scheme: &Scheme, authority: &Authority) -> bool {
        let authority = authority.as_str();
        self.scheme == *scheme
            && (self.with_port.eq_ignore_ascii_case(authority)
                || self
                    .without_port
                    .as_deref()
                    .is_some_and(|host| host.eq_ignore_ascii_case(authority)))
    }
}

/// An absolute URL that a secret may be sent to: `https`, or `http` to loopback.
pub(crate) fn parse_url(url: &str) -> Result<Uri, InvalidOrigin> {
    if url.contains('#') {
        return Err(InvalidOrigin(Reason::Fragment)); // `Uri` would drop it
    }
    let uri: Uri = url.parse().map_err(|_| InvalidOrigin(Reason::NotAUri))?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(InvalidOrigin(Reason::Relative));
    };
    if has_userinfo(authority) {
        return Err(InvalidOrigin(Reason::UserInfo));
    }
    if authority.host().is_empty() {
        return Err(InvalidOrigin(Reason::NotAUri));
    }
    if authority.host().contains('*') {
        return Err(InvalidOrigin(Reason::Wildcard));
    }
    let rest = authority.as_str().strip_prefix(authority.host());
    if rest.is_none_or(|port| !port.is_empty() && authority.port_u16().is_none()) {
        return Err(InvalidOrigin(Reason::Port));
    }
    if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_loopback(authority.host())) {
        Ok(uri)
    } else if *scheme == Scheme::HTTP {
        Err(InvalidOrigin(Reason::PlainHttp))
    } else {
        Err(InvalidOrigin(Reason::Scheme))
    }
}

fn has_userinfo(authority: &Authority) -> bool {
    authority.as_str().contains('@')
}

fn is_loopback(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    address.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The error for an origin, or a URL to log in at, that the token must not be sent to.
///
/// It says what is wrong and never repeats the text, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    NotAUri,
    Relative,
    UserInfo,
    Wildcard,
    Fragment,
    Port,
    Path,
    Scheme,
    PlainHttp,
    #[cfg(feature = "quable")]
    Instance,
    #[cfg(feature = "quable")]
    Query,
}

impl InvalidOrigin {
    #[cfg(feature = "quable")]
    pub(crate) const INSTANCE: Self = Self(Reason::Instance);
    #[cfg(feature = "quable")]
    pub(crate) const QUERY: Self = Self(Reason::Query);
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Reason::Empty => "no origin is named: name at least one, such as https://api.example.com",
            Reason::NotAUri => {
                "not a URL: write it as https://api.example.com, without spaces, and a name in other letters than ASCII in its xn-- form"
            }
            Reason::Wildcard => "hosts are compared whole, and * stands for nothing: name each of them",
            Reason::Fragment => "a URL that is sent has no fragment: take out all from the # on",
            Reason::Relative => "scheme or host is missing: write it as https://api.example.com",
            Reason::UserInfo => "user information does not belong in a URL: take out all up to the @",
            Reason::Port => "the port is not a number from 0 to 65535",
            Reason::Path => "an origin is scheme, host and port: take out path and query",
            Reason::Scheme => "the scheme is neither https nor http",
            Reason::PlainHttp => "plain http would send secrets in the clear to a host other than loopback: use https",
            #[cfg(feature = "quable")]
            Reason::Instance => "an instance is the first label of its host name, made of letters, digits and hyphens",
            #[cfg(feature = "quable")]
            Reason::Query => "a base URL has no query",
        })
    }
}

impl error::Error for InvalidOrigin {}

#[cfg(test)]
mod tests;
