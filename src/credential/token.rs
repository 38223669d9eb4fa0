//! Secrets, and what is checked before one goes into a header.

use std::{error, fmt};

use bytes::Bytes;
use zeroize::Zeroizing;

/// A string that nothing prints: a password, a refresh token.
///
/// `Debug` hides it, there is no `Display`, and the memory it owns is wiped when it is dropped. What
/// it was made of by copying (a `&str`) stays with its owner.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The string itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Secret {
    /// The bytes, to be sent, and wiped when the last clone of them is gone.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(SecretBytes(self))
    }
}

struct SecretBytes(Secret);

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        secret.to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// In bytes. Many servers allow 8 KiB for all headers, and few as much as this for one.
const LONGEST: usize = 64 * 1024;

/// A token that can stand in a header.
///
/// # Examples
///
/// ```
/// use tower_bearer::Token;
///
/// assert!(Token::new("mF_9.B5f-4.1JqM").is_ok());
/// assert!(Token::new("two words").is_err());
/// assert!(Token::visible_ascii("{odd}").is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Token(Secret);

impl Token {
    /// A token as [RFC 6750, section 2.1] spells it (`b64token`): letters, digits and `-._~+/`,
    /// then any number of `=`.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] for anything else, and for more than 64 KiB. [`Token::visible_ascii`] takes
    /// what odd APIs hand out.
    ///
    /// [RFC 6750, section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    pub fn new(token: impl Into<Secret>) -> Result<Self, InvalidToken> {
        let token = token.into();
        let unpadded = token.expose().trim_end_matches('=').len();
        Self::check(token, unpadded, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
        })
    }

    /// A token of visible ASCII characters, spaces excluded.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] for an empty one, for spaces, control characters and anything that is not
    /// ASCII, and for more than 64 KiB.
    pub fn visible_ascii(token: impl Into<Secret>) -> Result<Self, InvalidToken> {
        let token = token.into();
        let all = token.expose().len();
        Self::check(token, all, |byte| byte.is_ascii_graphic())
    }

    /// The token, if so many of its first bytes are there and allowed.
    fn check(
        token: Secret,
        first: usize,
        is_allowed: impl Fn(u8) -> bool,
    ) -> Result<Self, InvalidToken> {
        if token.expose().len() > LONGEST {
            return Err(InvalidToken(Kind::TooLong));
        }
        if first == 0 {
            return Err(InvalidToken(Kind::Empty));
        }
        let mut bytes = token.expose().bytes().take(first);
        match bytes.position(|byte| !is_allowed(byte)) {
            Some(position) => Err(InvalidToken(Kind::Byte { position })),
            None => Ok(Self(token)),
        }
    }

    /// The string itself, for the one place that sends or stores it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The word before the token in the header: `Bearer`, unless the API wants another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme(&'static str);

impl Scheme {
    /// `Bearer`, the default.
    pub const BEARER: Self = Self("Bearer");

    /// Another word, such as `Token`, written as the API wants it.
    ///
    /// # Panics
    ///
    /// When the word is empty or has a character that [RFC 9110, section 5.6.2] does not allow in
    /// a token (a space, a colon). In a constant that is a compile error.
    ///
    /// [RFC 9110, section 5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
    #[must_use]
    pub const fn from_static(word: &'static str) -> Self {
        let bytes = word.as_bytes();
        assert!(!bytes.is_empty(), "an authentication scheme has a name");
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                is_tchar(bytes[at]),
                "an authentication scheme is one word, without spaces or separators"
            );
            at += 1;
        }
        Self(word)
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Default for Scheme {
    fn default() -> Self {
        Self::BEARER
    }
}

pub(crate) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The error for a token that cannot stand in a header. It never repeats the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidToken(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    TooLong,
    Byte { position: usize },
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Empty => f.write_str("the token is empty"),
            Kind::TooLong => f.write_str(
                "the token is longer than 64 KiB, which few servers take in a header: \
                 see that it is the token and no more",
            ),
            Kind::Byte { position } => write!(
                f,
                "the token has a character that is not allowed at byte {position}"
            ),
        }
    }
}

impl error::Error for InvalidToken {}

#[cfg(test)]
mod tests;
