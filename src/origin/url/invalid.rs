//! What is no origin, and why.

use std::{error, fmt};

/// The error for an origin, or a URL to log in at, that no secret must be sent to.
///
/// It says what is wrong and never repeats the text, which may hold a secret.
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
    #[cfg(feature = "quable")]
    Instance,
    #[cfg(any(feature = "quable", feature = "teletracker"))]
    Query,
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            InvalidUrlKind::Empty => "no origin is named: name at least one, such as https://api.example.com",
            InvalidUrlKind::NotAUri => {
                "not a URL: write it as https://api.example.com, without spaces, and a name in other letters than ASCII in its xn-- form"
            }
            InvalidUrlKind::Wildcard => "hosts are compared whole, and * stands for nothing: name each of them",
            InvalidUrlKind::Fragment => "a URL that is sent has no fragment: take out all from the # on",
            InvalidUrlKind::Relative => "scheme or host is missing: write it as https://api.example.com",
            InvalidUrlKind::UserInfo => "user information does not belong in a URL: take out all up to the @",
            InvalidUrlKind::Port => "the port is not a number from 0 to 65535",
            InvalidUrlKind::Path => "an origin is scheme, host and port: take out path and query",
            InvalidUrlKind::Scheme => "the scheme is neither https nor http",
            InvalidUrlKind::PlainHttp => "plain http would send secrets in the clear to a host other than loopback: use https",
            #[cfg(feature = "quable")]
            InvalidUrlKind::Instance => "an instance is the first label of its host name, made of letters, digits and hyphens",
            #[cfg(any(feature = "quable", feature = "teletracker"))]
            InvalidUrlKind::Query => "a base URL has no query",
        })
    }
}

impl error::Error for InvalidUrl {}
