//! The parameters that a grant sends by itself.

use std::{error, fmt};

/// Those that have a method, and that of a refresh.
const RESERVED: [&str; 5] = [
    "client_id",
    "client_secret",
    "grant_type",
    "refresh_token",
    "scope",
];

/// Checks that a parameter is neither reserved nor one of the grant's `own`.
pub(super) fn check(
    name: &str,
    own: impl Iterator<Item = &'static str>,
) -> Result<(), ReservedParameter> {
    match RESERVED.into_iter().chain(own).find(|it| *it == name) {
        Some(name) => Err(ReservedParameter(name)),
        None => Ok(()),
    }
}

/// The error for a parameter that a grant of OAuth 2.0 sends by itself.
///
/// A request has it only once, so [`OAuth2Grant::parameter`](crate::OAuth2Grant::parameter) cannot
/// replace it.
///
/// # Examples
///
/// ```
/// use tower_bearer::OAuth2Grant;
///
/// let grant = OAuth2Grant::password("me", "secret");
/// assert!(grant.parameter("username", "you").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedParameter(&'static str);

impl fmt::Display for ReservedParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the grant sends `{}` itself: set it by the constructor or the method that is for it",
            self.0
        )
    }
}

impl error::Error for ReservedParameter {}
