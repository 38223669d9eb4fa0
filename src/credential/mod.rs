//! Credentials: the result of a login.

mod authorization;
mod refresh_token;
pub(crate) mod token;

use std::time::{Duration, SystemTime};

pub(crate) use self::authorization::Owner;
pub use self::{
    authorization::{Authorization, Generation},
    refresh_token::RefreshToken,
    token::{InvalidScheme, InvalidToken, Scheme, Secret, Token},
};

/// The result of a login: a token, its lifetime if known, and perhaps a refresh token.
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
    /// [`InvalidToken`] for a token that [`Token::new`] does not accept. If your API has such tokens,
    /// use [`Token::visible_ascii`] and [`Credential::from`].
    pub fn new(token: impl Into<Secret>) -> Result<Self, InvalidToken> {
        Token::new(token).map(Self::from)
    }

    /// Sets the token's lifetime, counted from the start of the login.
    ///
    /// If the lifetime is so long that no clock can represent its end, the token has no expiry.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self {
            lifetime: Some(lifetime),
            ..self
        }
    }

    /// Sets the token's expiry by the wall clock.
    ///
    /// If the lifetime is known too, the lifetime counts: it does not depend on the server's clock.
    /// If an expiry from a login is less than 10 s away or already over, the clocks disagree: the
    /// token then has no expiry.
    #[must_use]
    pub fn with_expires_at(self, expires_at: SystemTime) -> Self {
        Self {
            expires_at: Some(expires_at),
            ..self
        }
    }

    /// Adds a refresh token for the next login.
    #[must_use]
    pub fn with_refresh_token(self, refresh_token: impl Into<RefreshToken>) -> Self {
        Self {
            refresh_token: Some(refresh_token.into()),
            ..self
        }
    }

    /// The same credential, for a reader who counts its lifetimes from so much later.
    #[cfg(feature = "store")]
    pub(crate) fn later_by(mut self, used: Duration) -> Self {
        self.lifetime = self.lifetime.map(|lifetime| lifetime.saturating_sub(used));
        self.refresh_token = self.refresh_token.map(|token| token.later_by(used));
        self
    }

    pub(crate) fn without_refresh_token(self) -> Self {
        Self {
            refresh_token: None,
            ..self
        }
    }

    /// Sets the word before the token. Defaults to `Bearer`.
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

    /// The token's lifetime, if known.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// The token's expiry by the wall clock, if known.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The refresh token, if there is one.
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
