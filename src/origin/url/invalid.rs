//! The error for a URL that must not receive a secret.

use std::{error, fmt};

/// The error for an origin or a login URL that must not receive a secret.
///
/// It names the problem, and never repeats the text, which may hold a secret.
///
/// # Examples
///
/// ```
/// use tower_bearer::Origins;
///
/// let error = Origins::new(["http://api.example.com"]).unwrap_err();
/// assert!(error.to_string().contains("use https"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUrl(pub(crate) InvalidUrlKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvalidUrlKind {
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
    /// The same where there is no exception.
    #[cfg(any(feature = "oauth2", feature = "quable", feature = "teletracker"))]
    PlainHttpWithoutException,
    #[cfg(feature = "quable")]
    Instance,
    #[cfg(any(feature = "quable", feature = "teletracker"))]
    Query,
    #[cfg(feature = "oauth2")]
    IssuerQuery,
}

#[cfg(any(feature = "oauth2", feature = "quable", feature = "teletracker"))]
impl InvalidUrl {
    /// The same error for a URL that must not be plain `http` at all: it names no exception.
    pub(crate) fn without_exception(self) -> Self {
        match self.0 {
            InvalidUrlKind::PlainHttp => Self(InvalidUrlKind::PlainHttpWithoutException),
            kind => Self(kind),
        }
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            InvalidUrlKind::Empty => "no origin is named: name at least one, such as https://api.example.com",
            InvalidUrlKind::NotAUri => {
                "not a URL: write it as https://api.example.com, without spaces, and a name that is not ASCII in its xn-- form"
            }
            InvalidUrlKind::Wildcard => "a host cannot contain the wildcard *: name each of the hosts",
            InvalidUrlKind::Fragment => "the URL of a request has no fragment: remove everything from the # on",
            InvalidUrlKind::Relative => "scheme or host is missing: write it as https://api.example.com",
            InvalidUrlKind::UserInfo => "the URL must not have user information: remove everything up to the @",
            InvalidUrlKind::Port => "the port is not a number from 0 to 65535",
            InvalidUrlKind::Path => "an origin is scheme, host and port: remove path and query",
            InvalidUrlKind::Scheme => "the scheme is neither https nor http",
            InvalidUrlKind::PlainHttp => "plain http would send secrets in the clear to a host other than loopback: use https, or `dangerously_in_the_clear` on a network that you trust",
            #[cfg(any(feature = "oauth2", feature = "quable", feature = "teletracker"))]
            InvalidUrlKind::PlainHttpWithoutException => "plain http would send secrets in the clear to a host other than loopback: use https",
            #[cfg(feature = "quable")]
            InvalidUrlKind::Instance => "an instance is the first label of its host name: letters, digits and inner hyphens",
            #[cfg(any(feature = "quable", feature = "teletracker"))]
            InvalidUrlKind::Query => "a base URL has no query",
            #[cfg(feature = "oauth2")]
            InvalidUrlKind::IssuerQuery => "an issuer has no query: remove everything from the ? on",
        })
    }
}

impl error::Error for InvalidUrl {}
