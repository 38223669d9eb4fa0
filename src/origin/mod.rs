//! Where the token may go.

pub(crate) mod url;

use std::{net::Ipv6Addr, sync::Arc};

use http::{
    HeaderMap, Request, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};

pub use self::url::InvalidUrl;
use self::url::{Cleartext, InvalidUrlKind};

/// The origins that may see the token.
///
/// An origin is scheme, host and port ([RFC 9110, section 4.3.1]). It is compared exactly: no
/// subdomain, no prefix, no other port. Host names are compared without regard to case, IPv6
/// addresses by their value, and a port that is left out is the scheme's default. Nothing else is
/// made equal: a host with a dot at its end, or an address spelled as a number, is another host,
/// and a URI with user information is never allowed.
///
/// A request to any other origin goes *bare*: it is sent untouched and without a token, so that
/// redirects to foreign hosts go on working and learn nothing. [`strict`](Self::strict) makes it
/// an error.
///
/// A request whose URI has no authority (`/path`, as tonic and HTTP/1 connections send it) goes
/// where its client goes, and is allowed; where it has a `Host` header, that has to name a host
/// and port of the origins. For an absolute URI the authority alone decides, since that is where
/// the client connects; see that no stranger chooses a `Host` header of its own.
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
    /// Allows exactly the origins named, each as `https://host` or `https://host:port`.
    ///
    /// Plain `http` is for loopback alone: `127.0.0.0/8`, `[::1]` and `localhost`
    /// ([RFC 6750, section 5.3] wants TLS everywhere else).
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] when the list is empty, and for anything that is not scheme, host and
    /// port: a relative URI, user information, a path, a query, another scheme.
    ///
    /// [RFC 6750, section 5.3]: https://www.rfc-editor.org/rfc/rfc6750#section-5.3
    pub fn new<I>(origins: I) -> Result<Self, InvalidUrl>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::parse(origins, Cleartext::ToLoopback)
    }

    /// As [`new`](Self::new), with plain `http` to any host: **whoever is on the way reads the
    /// token**, and can go on using it. For networks where nobody else is on the way.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), plain `http` aside.
    pub fn dangerously_in_the_clear<I>(origins: I) -> Result<Self, InvalidUrl>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::parse(origins, Cleartext::ToAnybody)
    }

    fn parse<I>(origins: I, cleartext: Cleartext) -> Result<Self, InvalidUrl>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let origins = origins
            .into_iter()
            .map(|origin| Origin::parse(origin.as_ref(), cleartext))
            .collect::<Result<Arc<[_]>, _>>()?;
        if origins.is_empty() {
            return Err(InvalidUrl(InvalidUrlKind::Empty));
        }
        Ok(Self::allowing(Allowed::Only(origins)))
    }

    /// Allows every `https` origin there is: for a client that nobody else can send elsewhere.
    ///
    /// Whoever chooses the URI of a request, a redirect included, then also chooses who sees the
    /// token. Prefer [`Origins::new`].
    #[must_use]
    pub fn any_https() -> Self {
        Self::allowing(Allowed::AnyHttps)
    }

    /// The one origin of a URL that [`url::parse`] has passed.
    #[cfg(any(feature = "quable", feature = "teletracker"))]
    pub(crate) fn of(url: &Uri) -> Result<Self, InvalidUrl> {
        Ok(Self::allowing(Allowed::Only(Arc::new([Origin::of(url)?]))))
    }

    fn allowing(allowed: Allowed) -> Self {
        Self {
            allowed,
            is_strict: false,
        }
    }

    /// Makes a request to any other origin an [`Error`](crate::Error) instead of sending it bare:
    /// for a client that has no business elsewhere.
    #[must_use]
    pub fn strict(self) -> Self {
        Self {
            is_strict: true,
            ..self
        }
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Whether a request to this URI may carry the token, as far as the URI tells: one without an
    /// authority may, and the layer then asks its `Host` header as well.
    #[must_use]
    pub fn allows(&self, uri: &Uri) -> bool {
        let Some(authority) = uri.authority() else {
            return true;
        };
        // A scheme is missing in the authority form of CONNECT: that request is for a proxy.
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

    /// Whether a request may carry the token: by its URI, and without an authority there by its
    /// `Host`.
    #[inline]
    pub(crate) fn allows_request<B>(&self, request: &Request<B>) -> bool {
        self.allows_plainly(request.uri()) || self.allows_head(request.uri(), request.headers())
    }

    #[inline(never)]
    fn allows_head(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        if uri.authority().is_some() {
            return self.allows(uri);
        }
        headers.get_all(HOST).iter().all(|host| {
            Authority::try_from(host.as_bytes()).is_ok_and(|host| self.allows_host(&host))
        })
    }

    /// One comparison of bytes for those who write an origin as most do.
    #[inline]
    fn allows_plainly(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return false;
        };
        match &self.allowed {
            Allowed::AnyHttps => false,
            Allowed::Only(origins) => origins
                .iter()
                .any(|origin| *origin.usual == *authority.as_str() && origin.scheme == *scheme),
        }
    }

    /// `Host` names no scheme: any origin at that host and port will do.
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
    /// The authority as most write it: without a port that goes without saying.
    usual: Box<str>,
    /// The authority with that port, where it goes without saying.
    with_default_port: Option<Box<str>>,
    /// The host, where it is an IPv6 address: the one kind that can be spelled in many ways.
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

    /// Whole authorities are compared, so that user information or an odd spelling of the port
    /// never matches.
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
