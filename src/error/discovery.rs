//! The metadata of an issuer, if a login cannot use it.

use std::fmt;

/// Why the metadata names no token endpoint that may be used. It holds URLs without user information and
/// query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MetadataFault {
    NoIssuer,
    /// The issuer of the metadata and that of the login, unless their paths are hidden.
    OtherIssuer(Option<[String; 2]>),
    NoEndpoint,
    InvalidEndpoint,
    ForeignEndpoint {
        origin: String,
        allowed: String,
    },
}

impl MetadataFault {
    pub(crate) fn hide_paths(&mut self) {
        if let Self::OtherIssuer(names) = self {
            *names = None;
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::OtherIssuer(_) => {
                "write the issuer as its metadata has it, if that is the one you mean"
            }
            Self::ForeignEndpoint { .. } => "allow that origin by `token_origin`, if you trust it",
            Self::NoIssuer | Self::NoEndpoint | Self::InvalidEndpoint => {
                "pass the URL of the token endpoint to `HttpLogin::new`"
            }
        }
    }
}

impl fmt::Display for MetadataFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIssuer => f.write_str("has no issuer"),
            Self::OtherIssuer(Some([found, expected])) => {
                write!(f, "is of the issuer {found}, not of {expected}")
            }
            Self::OtherIssuer(None) => f.write_str("is of another issuer"),
            Self::NoEndpoint => f.write_str("has no token endpoint"),
            Self::InvalidEndpoint => f.write_str("has an unusable token endpoint"),
            Self::ForeignEndpoint { origin, allowed } => {
                write!(f, "has a token endpoint at {origin}, not at {allowed}")
            }
        }
    }
}
