//! What a login yields.

mod authorization;
mod refresh_token;
pub(crate) mod token;

use std::time::{Duration, SystemTime};

pub use self::{
    authorization::{Authorization, Generation},
    refresh_token::RefreshToken,
    token::{InvalidToken, Scheme, Secret, Token},
};

/// What a login yields: a token, how long it lives, and perhaps a refresh token.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::Credential;
///
/// let credential = Credential::new("94fa500c0fbd1214")?.with_lifetime(Duration::from_secs(3600));
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
#[derive(Clone, Debug)]
pub struct Credential {
    token: Token,
    scheme: Scheme,
    lifetime: Option<Duration>,
    expires_at: Option<SystemTime>,
    refresh_token: Option<RefreshToken>,
}

impl Credential {
    /// A bearer token without an expiry: it is used until it is rejected.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`], as [`Token::new`] has it. For what odd APIs hand out, make a
    /// [`Token::visible_ascii`] and use [`Credential::from`].
    pub fn new(token: impl Into<Secret>) -> Result<Self, InvalidToken> {
        Token::new(token).map(Self::from)
    }

    /// Says how long the token lives, counted from the moment the login was sent.
    ///
    /// A lifetime so long that no clock can hold its end is no expiry.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self {
            lifetime: Some(lifetime),
            ..self
        }
    }

    /// Says when the token expires by the wall clock. Where a lifetime is known as well, the
    /// lifetime is believed: it does not depend on the server's clock agreeing with ours. One that a
    /// login brings and that is over within 10 s says that the clocks do not agree: it is no expiry.
    #[must_use]
    pub fn with_expires_at(self, expires_at: SystemTime) -> Self {
        Self {
            expires_at: Some(expires_at),
            ..self
        }
    }

    /// Adds the refresh token that the next login may take.
    #[must_use]
    pub fn with_refresh_token(self, refresh_token: impl Into<RefreshToken>) -> Self {
        Self {
            refresh_token: Some(refresh_token.into()),
            ..self
        }
    }

    /// Puts another word than `Bearer` before the token.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The word before the token.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// How long the token lives, where the login said so.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// When the token expires by the wall clock, where the login said so.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The refresh token, where there is one.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }
}

impl From<Token> for Credential {
    fn from(token: Token) -> Self {
        Self {
            token,
            scheme: Scheme::BEARER,
            lifetime: None,
            expires_at: None,
            refresh_token: None,
        }
    }
}
