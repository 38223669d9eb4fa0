//! Secrets, and the checks on a token before it goes into a header.

use std::{
    collections::BTreeSet,
    error, fmt,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use zeroize::Zeroizing;

/// A string that is never printed: a password, a refresh token.
///
/// `Debug` hides it, there is no `Display`, and its memory is wiped when it is dropped. A `String`
/// is moved into it; a `&str` is copied, and the original is not wiped.
///
/// # Examples
///
/// ```
/// use tower_bearer::Secret;
///
/// let password = Secret::from("hunter2".to_owned());
/// assert_eq!(format!("{password:?}"), "Secret(..)");
/// assert_eq!(password.expose(), "hunter2");
/// ```
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
    /// The bytes, to be sent. They are wiped when their last clone is dropped.
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

/// The longest token, in bytes. Many servers allow 8 KiB for all headers together, and few allow this
/// much for one.
const LONGEST: usize = 64 * 1024;

/// A token that is valid in a header.
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
    /// A token with the syntax of [RFC 6750, section 2.1] (`b64token`): letters, digits and
    /// `-._~+/`, then any number of `=`.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] for any other syntax, and for more than 64 KiB. If your API has such tokens,
    /// use [`Token::visible_ascii`].
    ///
    /// [RFC 6750, section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    pub fn new(token: impl Into<Secret>) -> Result<Self, InvalidToken> {
        let token = token.into();
        let unpadded = token.expose().trim_end_matches('=').len();
        Self::check(token, unpadded, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
        })
    }

    /// A token of visible ASCII characters, without spaces.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] for an empty token, for spaces, control characters and characters that are
    /// not ASCII, and for more than 64 KiB.
    pub fn visible_ascii(token: impl Into<Secret>) -> Result<Self, InvalidToken> {
        let token = token.into();
        let length = token.expose().len();
        Self::check(token, length, |byte| byte.is_ascii_graphic())
    }

    /// The token, if its first `checked` bytes are allowed. `checked` must not be zero.
    fn check(
        token: Secret,
        checked: usize,
        is_allowed: impl Fn(u8) -> bool,
    ) -> Result<Self, InvalidToken> {
        if token.expose().len() > LONGEST {
            return Err(InvalidToken(Kind::TooLong));
        }
        if checked == 0 {
            return Err(InvalidToken(Kind::Empty));
        }
        let mut bytes = token.expose().bytes().take(checked);
        match bytes.position(|byte| !is_allowed(byte)) {
            Some(position) => Err(InvalidToken(Kind::Byte {
                position,
                is_visible: token.expose().as_bytes()[position].is_ascii_graphic(),
            })),
            None => Ok(Self(token)),
        }
    }

    /// The string itself, for the one place that sends or stores it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The word before the token in the header. Defaults to `Bearer`.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Credential, Scheme};
///
/// const TOKEN: Scheme = Scheme::from_static("Token");
///
/// let credential = Credential::new("94fa500c0fbd1214")?.with_scheme(TOKEN);
/// assert_eq!(credential.scheme().as_str(), "Token");
/// assert_eq!(Scheme::default(), Scheme::BEARER);
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme(&'static str);

impl Scheme {
    /// `Bearer`, the default.
    pub const BEARER: Self = Self("Bearer");

    /// Another word from configuration, such as `Token`, in the spelling of the API.
    ///
    /// The crate keeps each different word in memory until the process ends, so that a scheme is cheap
    /// to copy. Do not make schemes from the content of requests.
    ///
    /// # Errors
    ///
    /// [`InvalidScheme`] for a word that [`from_static`](Self::from_static) does not accept.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::{Credential, Scheme};
    ///
    /// let configured = String::from("Token"); // from a file
    /// let scheme = Scheme::new(&configured)?;
    /// let credential = Credential::new("94fa500c0fbd1214")?.with_scheme(scheme);
    /// assert_eq!(credential.scheme().as_str(), "Token");
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    pub fn new(word: impl AsRef<str>) -> Result<Self, InvalidScheme> {
        let word = word.as_ref();
        match Self::problem(word) {
            Some(problem) => Err(InvalidScheme(problem)),
            None => Ok(Self(kept(word))),
        }
    }

    /// Another word, such as `Token`, in the spelling of the API.
    ///
    /// # Panics
    ///
    /// If the word is empty or has a character that [RFC 9110, section 5.6.2] does not allow in a
    /// token, such as a space or a colon. In a constant, that is a compile error.
    ///
    /// [RFC 9110, section 5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
    #[must_use]
    pub const fn from_static(word: &'static str) -> Self {
        match Self::problem(word) {
            Some(SchemeProblem::Empty) => panic!("an authentication scheme has a name"),
            Some(SchemeProblem::Separator) => {
                panic!("an authentication scheme is one word, without spaces or separators")
            }
            None => Self(word),
        }
    }

    const fn problem(word: &str) -> Option<SchemeProblem> {
        let bytes = word.as_bytes();
        if bytes.is_empty() {
            return Some(SchemeProblem::Empty);
        }
        let mut at = 0;
        while at < bytes.len() {
            if !is_tchar(bytes[at]) {
                return Some(SchemeProblem::Separator);
            }
            at += 1;
        }
        None
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

/// The same word, in memory that is never freed. Each different word is there once.
fn kept(word: &str) -> &'static str {
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = words.get(word) {
        return known;
    }
    let word: &'static str = String::from(word).leak();
    words.insert(word);
    word
}

/// The error for a word that is no authentication scheme. It does not repeat the word.
///
/// # Examples
///
/// ```
/// use tower_bearer::Scheme;
///
/// let error = Scheme::new("Bearer ").unwrap_err();
/// assert!(error.to_string().contains("one word"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidScheme(SchemeProblem);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SchemeProblem {
    Empty,
    Separator,
}

impl fmt::Display for InvalidScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            SchemeProblem::Empty => "an authentication scheme has a name",
            SchemeProblem::Separator => {
                "an authentication scheme is one word, without spaces or separators"
            }
        })
    }
}

impl error::Error for InvalidScheme {}

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

/// The error for a token that is not valid in a header. It never repeats the token.
///
/// # Examples
///
/// ```
/// use tower_bearer::Token;
///
/// let error = Token::new("two words").unwrap_err();
/// assert_eq!(error.to_string(), "the token has a character that is not allowed at byte 3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidToken(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    TooLong,
    Byte { position: usize, is_visible: bool },
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Empty => f.write_str("the token is empty"),
            Kind::TooLong => f.write_str(
                "the token is longer than 64 KiB, which few servers accept in a header: \
                 check that it is only the token",
            ),
            Kind::Byte {
                position,
                is_visible,
            } => {
                write!(
                    f,
                    "the token has a character that is not allowed at byte {position}"
                )?;
                if is_visible {
                    f.write_str(
                        ": `Token::visible_ascii` allows it, and `any_visible_ascii` of an HTTP login",
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl error::Error for InvalidToken {}

#[cfg(test)]
mod tests;
