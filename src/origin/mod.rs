//! Origins: where the token may go.

mod equal;
mod into;
pub(crate) mod url;

use std::{net::Ipv6Addr, sync::Arc};

use http::{
    HeaderMap, Request, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};

use self::{
    equal::is_equal,
    url::{Cleartext, InvalidUrlKind},
};
pub use self::{into::IntoOrigins, url::InvalidUrl};

/// The origins that may receive the token.
///
/// An origin is scheme, host and port ([RFC 9110, section 4.3.1]). Origins are compared exactly: no
/// subdomain, no prefix, no other port. There are three exceptions:
///
/// - Host names are compared without regard to case.
/// - IPv6 addresses are compared by value.
/// - A missing port is the default port of the scheme.
///
/// There is no other normalization: a host with a dot at its end, or an address written as one
/// number, is another host. A URI with user information is never allowed.
///
/// A request to any other origin, a *foreign* one, is sent *bare*: unchanged and without a token. So
/// redirects to foreign hosts still work, and the hosts learn nothing. [`strict`](Self::strict) makes
/// such a request an error.
///
/// A URI without an authority (`/path`, as tonic and HTTP/1 connections have it) is allowed: the
/// client decides where the request goes. If such a request has a `Host` header, the header must name
/// the host and port of an allowed origin.
///
/// For an absolute URI only the authority counts, since the client connects to it. So let no stranger
/// choose a `Host` header for such a request.
///
/// # Examples
///
/// ```
/// use tower_bearer::Origins;
///
/// let origins = Origins::new(["https://api.example.com", "http://127.0.0.1:8080"])?;
/// assert!(origins.allows(&"https://api.example.com:443/v1/things".parse()?));
/// assert!(!origins.allows(&"https://api.example.com.evil.net/v1/things".parse()?));
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// [RFC 9110, section 4.3.1]: https://www.rfc-editor.org/rfc/rfc9110#section-4.3.1
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Allowed,
    is_strict: bool,
}

#[derive(Clone, Debug)]
enum Allowed {
    AnyHttps,
    Only(Arc<[Origin]>),
}

impl Origins {
    /// Allows exactly these origins, each written as `https://host` or `https://host:port`: one string,
    /// or a list of them.
    ///
    /// Plain `http` is allowed only for loopback: `127.0.0.0/8`, `[::1]` and `localhost`.
    /// [RFC 6750, section 5.3] requires TLS everywhere else.
    /// [`dangerously_in_the_clear`](Self::dangerously_in_the_clear) is the exception.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if the list is empty, or an item is not scheme, host and port only: a relative
    /// URI, user information, a path, a query, another scheme.
    ///
    /// [RFC 6750, section 5.3]: https://www.rfc-editor.org/rfc/rfc6750#section-5.3
    pub fn new<I, const IS_LIST: bool>(origins: I) -> Result<Self, InvalidUrl>
    where
        I: IntoOrigins<IS_LIST>,
    {
        Self::parse(origins, Cleartext::ToLoopback)
    }

    /// Allows exactly these origins, and plain `http` to any of them. **Anybody on the network path
    /// can read the token and use it.** Use it only on networks that you trust.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), except that plain `http` is no error.
    pub fn dangerously_in_the_clear<I, const IS_LIST: bool>(origins: I) -> Result<Self, InvalidUrl>
    where
        I: IntoOrigins<IS_LIST>,
    {
        Self::parse(origins, Cleartext::ToAnybody)
    }

    fn parse<const IS_LIST: bool>(
        origins: impl IntoOrigins<IS_LIST>,
        cleartext: Cleartext,
    ) -> Result<Self, InvalidUrl> {
        let mut parsed = Vec::new();
        origins.try_each(&mut |origin| {
            parsed.push(Origin::parse(origin, cleartext)?);
            Ok(())
        })?;
        if parsed.is_empty() {
            return Err(InvalidUrl(InvalidUrlKind::Empty));
        }
        Ok(Self::allowing(Allowed::Only(parsed.into())))
    }

    /// Allows every `https` origin. Prefer [`Origins::new`].
    ///
    /// The author of a request's URI then chooses who receives the token, and so does a server that
    /// redirects the request. Use it only if your own code chooses all URIs.
    #[must_use]
    pub fn any_https() -> Self {
        Self::allowing(Allowed::AnyHttps)
    }

    /// The origin of a URL that [`url::parse`] has checked.
    #[cfg(any(feature = "oauth2", feature = "quable", feature = "teletracker"))]
    pub(crate) fn of(url: &Uri) -> Result<Self, InvalidUrl> {
        Ok(Self::allowing(Allowed::Only(Arc::new([Origin::of(url)?]))))
    }

    fn allowing(allowed: Allowed) -> Self {
        Self {
            allowed,
            is_strict: false,
        }
    }

    /// Makes a request to any other origin an [`Error`](crate::Error) instead of sending it bare.
    /// Use it if the client should never send requests elsewhere.
    #[must_use]
    pub fn strict(self) -> Self {
        Self {
            is_strict: true,
            ..self
        }
    }

    /// The allowed origins, for an error.
    pub(crate) fn listed(&self) -> String {
        /// A longer list is no help.
        const MOST: usize = 8;
        let Allowed::Only(origins) = &self.allowed else {
            return "those of https".to_owned();
        };
        let first = origins.iter().take(MOST);
        let mut listed: Vec<_> = first
            .map(|origin| format!("{}://{}", origin.scheme, origin.usual))
            .collect();
        if origins.len() > MOST {
            listed.push(format!("and {} more", origins.len() - MOST));
        }
        listed.join(", ")
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Whether a request to this URI may carry the token. A URI without an authority is allowed; the
    /// layer then checks the `Host` header too.
    #[must_use]
    pub fn allows(&self, uri: &Uri) -> bool {
        let Some(authority) = uri.authority() else {
            return true;
        };
        // A URI with an authority and no scheme is that of CONNECT: the request is for a proxy.
        let Some(scheme) = uri.scheme() else {
            return false;
        };
        match &self.allowed {
            Allowed::AnyHttps => *scheme == Scheme::HTTPS && url::check(authority).is_ok(),
            Allowed::Only(origins) => origins
                .iter()
                .any(|origin| origin.scheme == *scheme && origin.is_at(authority)),
        }
    }

    /// Whether a request may carry the token: by its URI, or by its `Host` header if the URI has no
    /// authority.
    #[inline(always)]
    pub(crate) fn allows_request<B>(&self, request: &Request<B>) -> bool {
        self.lists_usual_spelling(request.uri())
            || self.allows_head(request.uri(), request.headers())
    }

    /// The fast path: one of a list of origins, in its usual spelling. Only bytes are compared.
    #[inline(always)]
    fn lists_usual_spelling(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return false;
        };
        match &self.allowed {
            Allowed::AnyHttps => {
                *scheme == Scheme::HTTPS && url::is_plain_name(authority.as_str().as_bytes())
            }
            Allowed::Only(origins) => origins.iter().any(|origin| {
                is_equal(origin.usual.as_bytes(), authority.as_str().as_bytes())
                    && origin.scheme == *scheme
            }),
        }
    }

    #[inline(never)]
    fn allows_head(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        /// Up to this many headers, reading their names costs less than a look-up.
        const FEW: usize = 7;
        if uri.authority().is_some() {
            return self.allows(uri);
        }
        let host = match headers.len() {
            0..=FEW => headers
                .iter()
                .find(|(name, _)| **name == HOST)
                .map(|(_, host)| host),
            _ => headers.get(&HOST),
        };
        let Some(host) = host else {
            return true;
        };
        // No name is there twice.
        let is_only_host = headers.keys_len() == headers.len();
        (is_only_host && self.is_usual_host(host.as_bytes())) || self.allows_hosts(headers)
    }

    /// The usual spelling needs no parser, which would allocate.
    #[inline]
    fn is_usual_host(&self, host: &[u8]) -> bool {
        match &self.allowed {
            Allowed::AnyHttps => url::is_plain_name(host),
            Allowed::Only(origins) => origins
                .iter()
                .any(|origin| is_equal(origin.usual.as_bytes(), host)),
        }
    }

    #[cold]
    fn allows_hosts(&self, headers: &HeaderMap) -> bool {
        headers.get_all(HOST).iter().all(|host| {
            Authority::try_from(host.as_bytes()).is_ok_and(|host| self.allows_host(&host))
        })
    }

    /// `Host` names no scheme: any origin with that host and port allows it.
    fn allows_host(&self, host: &Authority) -> bool {
        match &self.allowed {
            Allowed::AnyHttps => url::check(host).is_ok(),
            Allowed::Only(origins) => origins.iter().any(|origin| origin.is_at(host)),
        }
    }
}

/// One scheme, host and port.
#[derive(Clone, Debug)]
struct Origin {
    scheme: Scheme,
    /// The authority in its usual spelling: without the scheme's default port.
    usual: Box<str>,
    /// The authority with the port, if that is the default one.
    with_default_port: Option<Box<str>>,
    /// The host, if it is an IPv6 address: only those have several spellings.
    ipv6: Option<Ipv6Addr>,
    port: u16,
}

impl Origin {
    fn parse(origin: &str, cleartext: Cleartext) -> Result<Self, InvalidUrl> {
        let uri = url::parse(origin, cleartext)?;
        if uri.path_and_query().is_some_and(|rest| rest != "/") {
            return Err(InvalidUrl(InvalidUrlKind::Path));
        }
        Self::of(&uri)
    }

    fn of(url: &Uri) -> Result<Self, InvalidUrl> {
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(InvalidUrl(InvalidUrlKind::Relative));
        };
        let host = authority.host();
        let default_port = url::default_port(scheme);
        let Some(port) = url::port(authority, default_port) else {
            return Err(InvalidUrl(InvalidUrlKind::Port));
        };
        let with_port: Box<str> = format!("{host}:{port}").into();
        let (usual, with_default_port) = if port == default_port {
            (host.into(), Some(with_port))
        } else {
            (with_port, None)
        };
        Ok(Self {
            scheme: scheme.clone(),
            usual,
            with_default_port,
            ipv6: url::ipv6(host),
            port,
        })
    }

    /// Compares whole authorities, so that neither user information nor an odd spelling of the port
    /// matches.
    fn is_at(&self, authority: &Authority) -> bool {
        let spelled = authority.as_str();
        self.usual.eq_ignore_ascii_case(spelled)
            || self
                .with_default_port
                .as_deref()
                .is_some_and(|usual| usual.eq_ignore_ascii_case(spelled))
            || (self.ipv6.is_some() && self.is_at_address(authority))
    }

    fn is_at_address(&self, authority: &Authority) -> bool {
        let port = url::port(authority, url::default_port(&self.scheme));
        url::ipv6(authority.host()) == self.ipv6 && port == Some(self.port)
    }
}

#[cfg(test)]
mod tests;
