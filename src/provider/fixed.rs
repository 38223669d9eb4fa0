//! A token that never changes.

use std::future::{Ready, ready};

use super::{
    CredentialProvider, RequestHead,
    receipt::{Reason, Rejected, Verdict},
};
use crate::{
    credential::{Authorization, InvalidToken, Scheme, Secret, Token},
    error::Error,
};

/// A provider of one token that never changes, such as one made in an API's web interface.
///
/// A rejection changes nothing, since there is no other token. The caller gets the rejected response.
///
/// # Examples
///
/// ```
/// use tower_bearer::{BearerAuthLayer, Origins, StaticProvider};
///
/// let layer = BearerAuthLayer::new(
///     StaticProvider::new("94fa500c0fbd1214")?,
///     Origins::new(["https://api.example.com"])?,
/// );
/// # let _ = layer;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StaticProvider(Authorization);

impl StaticProvider {
    /// Creates a provider of a bearer token.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`], as [`Token::new`]. For another scheme or another token syntax, use
    /// [`StaticProvider::from`] with an [`Authorization`].
    pub fn new(token: impl Into<Secret>) -> Result<Self, InvalidToken> {
        let token = Token::new(token)?;
        Ok(Authorization::new(Scheme::BEARER, &token).into())
    }
}

impl From<Authorization> for StaticProvider {
    fn from(authorization: Authorization) -> Self {
        Self(authorization)
    }
}

impl CredentialProvider for StaticProvider {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
        Some(self.0.clone())
    }

    fn is_current(&self, held: &Authorization, _head: RequestHead<'_>) -> bool {
        held.generation() == self.0.generation()
    }

    fn acquire_for(&self, _head: RequestHead<'_>) -> Self::Acquire {
        ready(Ok(self.0.clone()))
    }

    fn reject(&self, _rejected: &Rejected<'_>) -> Verdict {
        Verdict::new(Reason::Fixed)
    }
}
