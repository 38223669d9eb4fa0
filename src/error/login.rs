//! The errors of a login, and their advice on the next attempt.

use std::{
    error, fmt, io, iter,
    time::{Duration, Instant, SystemTime},
};

use super::{BoxError, Error};

/// An error of a login that says when the next attempt may help.
///
/// A [`Login`](crate::Login) may fail with any error. Without a `LoginError` in its chain, the
/// failure is *transient*. The longest pause before the next attempt then doubles from a second to a
/// minute, and the actual pause is random, from 100 ms to the longest.
///
/// Return a `LoginError` if another pause is right. The provider finds it as the error itself, as one
/// of its [sources](error::Error::source), or in an [`io::Error`].
///
/// [`JsonLogin`](https://docs.rs/tower-bearer/latest/tower_bearer/struct.JsonLogin.html) fails with a
/// `LoginError` that has status, content type and length of the answer, and never a part of its body.
///
/// # Examples
///
/// ```
/// use tower_bearer::{BoxError, Credential, LoginError, LoginRequest};
/// # async fn ask() -> Result<String, std::io::Error> { Ok("abc".to_owned()) }
///
/// async fn log_in(_request: LoginRequest) -> Result<Credential, BoxError> {
///     match ask().await {
///         Ok(token) => Ok(Credential::new(token)?),
///         Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
///             Err(LoginError::permanent(error).into()) // no further attempt for 15 minutes
///         }
///         Err(error) => Err(error.into()),
///     }
/// }
/// # let _ = log_in;
/// ```
#[derive(Debug)]
pub struct LoginError(Box<Details>);

#[derive(Debug)]
struct Details {
    kind: LoginErrorKind,
    #[cfg(feature = "json")]
    origin: Option<String>,
    #[cfg(feature = "json")]
    answer: Option<Answer>,
    source: Option<BoxError>,
}

#[derive(Debug)]
pub(crate) enum LoginErrorKind {
    /// Made by a login of the user's own.
    Custom(RetryAdvice),
    #[cfg(feature = "json")]
    Unsent,
    #[cfg(feature = "json")]
    NoAnswer,
    #[cfg(feature = "json")]
    Unread,
    #[cfg(feature = "json")]
    TooLong,
    #[cfg(feature = "json")]
    Redirected,
    #[cfg(feature = "json")]
    ServerFailed,
    #[cfg(feature = "json")]
    Refused { for_now: bool },
    #[cfg(feature = "json")]
    NotJson,
    #[cfg(feature = "json")]
    NoToken { pointer: String },
    #[cfg(feature = "json")]
    TokenType,
    #[cfg(feature = "json")]
    Token,
}

/// When the next attempt may help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetryAdvice {
    /// Only after a change of the configuration or the account.
    pub(crate) is_permanent: bool,
    /// No earlier than this.
    pub(crate) retry_after: Option<RetryAfter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Delay(Duration),
    Date(SystemTime),
    Instant(Instant),
}

impl LoginError {
    /// A failure that may be over soon. Any other error counts as transient too.
    pub fn transient(source: impl Into<BoxError>) -> Self {
        Self::custom(false, None, source.into())
    }

    /// A failure that will repeat: a wrong password, an unknown client.
    ///
    /// The next attempt is made after 15 minutes at the earliest, then 30, then 60, and only if a
    /// request needs it. More attempts may lock the account; without any, the service would never
    /// recover by itself.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self::custom(true, None, source.into())
    }

    /// The server asks for a pause of this length. It is capped at five minutes.
    pub fn retry_after(source: impl Into<BoxError>, delay: Duration) -> Self {
        Self::custom(false, Some(RetryAfter::Delay(delay)), source.into())
    }

    /// The server asks for a pause until this date, by the wall clock. It is capped at five minutes.
    pub fn retry_at(source: impl Into<BoxError>, date: SystemTime) -> Self {
        Self::custom(false, Some(RetryAfter::Date(date)), source.into())
    }

    fn custom(is_permanent: bool, retry_after: Option<RetryAfter>, source: BoxError) -> Self {
        let advice = RetryAdvice {
            is_permanent,
            retry_after,
        };
        Self(Box::new(Details {
            kind: LoginErrorKind::Custom(advice),
            #[cfg(feature = "json")]
            origin: None,
            #[cfg(feature = "json")]
            answer: None,
            source: Some(source),
        }))
    }

    /// Whether the failure is permanent: the same login will fail again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.advice().is_permanent
    }

    pub(crate) fn advice(&self) -> RetryAdvice {
        match &self.0.kind {
            LoginErrorKind::Custom(advice) => *advice,
            #[cfg(feature = "json")]
            kind => RetryAdvice {
                is_permanent: matches!(kind, LoginErrorKind::Refused { for_now: false }),
                retry_after: self.0.answer.as_ref().and_then(|answer| answer.retry_after),
            },
        }
    }
}

impl RetryAdvice {
    /// The advice of the first `LoginError` in the chain, or the default.
    pub(crate) fn of(error: &(dyn error::Error + 'static)) -> Self {
        iter::successors(Some(error), |error| (*error).source())
            .find_map(Self::found_in)
            .unwrap_or_default()
    }

    fn found_in(error: &(dyn error::Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<LoginError>() {
            return Some(error.advice());
        }
        // The error of another provider, which is already backing off.
        if let Some(next_attempt) = error.downcast_ref::<Error>().and_then(Error::next_attempt) {
            return Some(Self {
                is_permanent: false,
                retry_after: Some(RetryAfter::Instant(next_attempt)),
            });
        }
        // The `source` of an `io::Error` skips the error that it wraps.
        let held = error.downcast_ref::<io::Error>()?.get_ref()?;
        Some(held.downcast_ref::<LoginError>()?.advice())
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            LoginErrorKind::Custom(advice) if advice.is_permanent => {
                f.write_str("the login will fail until something is changed")
            }
            LoginErrorKind::Custom(advice) if advice.retry_after.is_some() => {
                f.write_str("the login's server asks for a pause")
            }
            LoginErrorKind::Custom(_) => f.write_str("the login failed"),
            #[cfg(feature = "json")]
            LoginErrorKind::Unsent => f.write_str("no connection was made for the login request"),
            #[cfg(feature = "json")]
            LoginErrorKind::NoAnswer => f.write_str("the login request got no answer"),
            #[cfg(feature = "json")]
            LoginErrorKind::Unread => f.write_str("the login's answer broke off"),
            #[cfg(feature = "json")]
            LoginErrorKind::TooLong => f.write_str("the login's answer is longer than 64 KiB"),
            #[cfg(feature = "json")]
            LoginErrorKind::Redirected => {
                f.write_str("the login was redirected, and redirects are not followed")
            }
            #[cfg(feature = "json")]
            LoginErrorKind::ServerFailed => f.write_str("the login's server failed"),
            #[cfg(feature = "json")]
            LoginErrorKind::Refused { .. } => f.write_str("the login was refused"),
            #[cfg(feature = "json")]
            LoginErrorKind::NotJson => f.write_str("the login's answer is not JSON"),
            #[cfg(feature = "json")]
            LoginErrorKind::NoToken { pointer } => {
                write!(f, "the login's answer has no string at {pointer}")
            }
            #[cfg(feature = "json")]
            LoginErrorKind::TokenType => f.write_str(
                "the login's answer has a token of another type than bearer: use `with_scheme` to set its scheme",
            ),
            #[cfg(feature = "json")]
            LoginErrorKind::Token => f.write_str("the login's answer has an unusable token"),
        }?;
        #[cfg(feature = "json")]
        match (&self.0.origin, &self.0.answer) {
            (Some(origin), Some(answer)) => write!(f, " ({origin}: {answer})")?,
            (Some(origin), None) => write!(f, " ({origin})")?,
            (None, Some(answer)) => write!(f, " ({answer})")?,
            (None, None) => {}
        }
        Ok(())
    }
}

impl error::Error for LoginError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The description of an answer, without any of its body.
#[cfg(feature = "json")]
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: http::StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) length: Option<usize>,
    pub(crate) retry_after: Option<RetryAfter>,
}

#[cfg(feature = "json")]
impl LoginError {
    pub(crate) fn new(
        kind: LoginErrorKind,
        answer: Option<Answer>,
        source: Option<BoxError>,
    ) -> Self {
        Self(Box::new(Details {
            kind,
            origin: None,
            answer,
            source,
        }))
    }

    pub(crate) fn with_source(mut self, source: BoxError) -> Self {
        self.0.source = Some(source);
        self
    }

    /// Adds the origin of the login.
    pub(crate) fn at(mut self, origin: String) -> Self {
        self.0.origin = Some(origin);
        self
    }

    /// Whether the request cannot have reached the server.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.0.kind, LoginErrorKind::Unsent)
    }

    /// The status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<http::StatusCode> {
        self.0.answer.as_ref().map(|answer| answer.status)
    }
}

#[cfg(feature = "json")]
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(content_type) = &self.content_type {
            write!(f, ", {content_type}")?;
        }
        if let Some(length) = self.length {
            write!(f, ", {length} bytes")?;
        }
        Ok(())
    }
}
