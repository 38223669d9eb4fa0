//! The errors of a login, and their advice on the next attempt.

use std::{
    error, fmt, io, iter,
    time::{Duration, Instant, SystemTime},
};

#[cfg(feature = "json")]
use super::Exchange;
use super::{BoxError, Error, Recovery};

/// An error of a login that says when the next attempt may help.
///
/// A [`Login`](crate::Login) may fail with any error. Without a `LoginError` in its chain, the
/// failure is *transient*. The longest pause before the next attempt then doubles from a second to a
/// minute, and the actual pause is random, from 100 ms to the longest.
///
/// Return a `LoginError` if another pause is right. The provider finds it as the error itself, as one
/// of its [sources](error::Error::source), or in an [`io::Error`].
///
/// [`HttpLogin`](https://docs.rs/tower-bearer/latest/tower_bearer/struct.HttpLogin.html) fails with a
/// `LoginError` that has method, host and path of its URL, and status, content type and length of the
/// answer. It has no part of the body, but for a registered `error` such as `invalid_grant`.
///
/// | failure | pause |
/// | --- | --- |
/// | transient | a random part of 1 s, doubling to 1 min; 100 ms at least |
/// | at a rate limit | as transient, and 5 s at least |
/// | likely to repeat, such as a wrong path | 30 s, doubling to 15 min |
/// | permanent | 15 min, doubling to 1 h |
///
/// A server's `Retry-After` lengthens a pause, up to five minutes. A pause ends when either clock says
/// so.
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
pub struct LoginError(Box<Details>);

struct Details {
    kind: LoginErrorKind,
    source: Option<BoxError>,
}

enum LoginErrorKind {
    /// Made by a login of the user's own.
    Custom(RetryAdvice),
    #[cfg(feature = "json")]
    Exchange(Exchange),
}

/// When the next attempt may help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetryAdvice {
    pub(crate) pace: Pace,
    /// No earlier than this.
    pub(crate) retry_after: Option<RetryAfter>,
    /// Whether `retry_after` makes the failure transient, if it is in the future.
    pub(crate) is_lifted_by_pause: bool,
}

/// How long the pauses of a failure are, and how fast they grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "json"),
    allow(dead_code, reason = "only HTTP logins know of them")
)]
pub(crate) enum Pace {
    /// A random part of 1 s, doubling to 1 min.
    #[default]
    Transient,
    /// As `Transient`, and 5 s at least.
    RateLimited,
    /// 30 s, doubling to 15 min.
    Slow,
    /// 15 min, doubling to 1 h: only a change of the configuration or the account helps.
    Permanent,
    /// `Permanent`, or `Slow` if the login has ever worked in this process.
    PermanentUntilWorked,
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
        Self::custom(Pace::Transient, None, source.into())
    }

    /// A failure that will repeat: a wrong password, an unknown client.
    ///
    /// The next attempt is made after 15 minutes at the earliest, then 30, then 60, and only if a
    /// request needs it. More attempts may lock the account; without any, the service would never
    /// recover by itself.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self::custom(Pace::Permanent, None, source.into())
    }

    /// The server asks for a pause of this length. It is capped at five minutes.
    pub fn retry_after(source: impl Into<BoxError>, delay: Duration) -> Self {
        let after = RetryAfter::Delay(delay);
        Self::custom(Pace::Transient, Some(after), source.into())
    }

    /// The server asks for a pause until this date, by the wall clock. It is capped at five minutes.
    pub fn retry_at(source: impl Into<BoxError>, date: SystemTime) -> Self {
        let after = RetryAfter::Date(date);
        Self::custom(Pace::Transient, Some(after), source.into())
    }

    fn custom(pace: Pace, retry_after: Option<RetryAfter>, source: BoxError) -> Self {
        Self(Box::new(Details {
            kind: LoginErrorKind::Custom(RetryAdvice {
                pace,
                retry_after,
                is_lifted_by_pause: false,
            }),
            source: Some(source),
        }))
    }

    /// Whether the failure is permanent: the same login will fail again.
    ///
    /// An answer without a usable token counts as permanent here. The provider repeats that login
    /// sooner if it has worked before.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        let advice = self.advice();
        let is_permanent = matches!(advice.pace, Pace::Permanent | Pace::PermanentUntilWorked);
        is_permanent && !(advice.is_lifted_by_pause && advice.asks_for_pause())
    }

    pub(crate) fn advice(&self) -> RetryAdvice {
        match &self.0.kind {
            LoginErrorKind::Custom(advice) => *advice,
            #[cfg(feature = "json")]
            LoginErrorKind::Exchange(exchange) => exchange.advice(),
        }
    }
}

#[cfg(feature = "json")]
impl LoginError {
    pub(crate) fn exchange(exchange: Exchange, source: Option<BoxError>) -> Self {
        Self(Box::new(Details {
            kind: LoginErrorKind::Exchange(exchange),
            source,
        }))
    }

    pub(crate) fn as_exchange(&self) -> Option<&Exchange> {
        match &self.0.kind {
            LoginErrorKind::Custom(_) => None,
            LoginErrorKind::Exchange(exchange) => Some(exchange),
        }
    }

    /// The status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<http::StatusCode> {
        let answer = self.as_exchange()?.answer.as_ref()?;
        Some(answer.status)
    }

    /// The `error` of the answer, if it is a registered word of OAuth 2.0, such as `invalid_grant`
    /// ([RFC 6749, sections 4.1.2.1 and 5.2], RFC 8628, section 3.5).
    ///
    /// [RFC 6749, sections 4.1.2.1 and 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
    #[must_use]
    pub fn error_code(&self) -> Option<&'static str> {
        self.as_exchange()?.code()
    }
}

impl LoginError {
    /// The first `LoginError` in the chain.
    pub(crate) fn find<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a Self> {
        iter::successors(Some(error), |error| (*error).source()).find_map(Self::in_one)
    }

    fn in_one<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a Self> {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // Its `source` skips the `LoginError` whose text it includes.
        if let Some(error) = error.downcast_ref::<Error>() {
            return error.login_error();
        }
        // The `source` of an `io::Error` skips the error that it wraps.
        error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// What to do about the failure, if the next attempt is made after this pause.
    pub(super) fn recovery(&self, pause: Duration) -> Recovery {
        #[cfg(feature = "json")]
        if let Some(exchange) = self.as_exchange() {
            return exchange.recovery(pause);
        }
        match self.advice().pace {
            Pace::Permanent => Recovery::ChangeCredentials,
            _ => Recovery::TryAgain { after: pause },
        }
    }
}

impl RetryAdvice {
    /// Whether the server asks for a pause. Only a clock tells whether a date is in the past.
    pub(crate) fn asks_for_pause(self) -> bool {
        self.retry_after
            .is_some_and(|after| after != RetryAfter::Delay(Duration::ZERO))
    }

    /// The advice of the first `LoginError` or [`Error`] in the chain, or the default.
    pub(crate) fn of(error: &(dyn error::Error + 'static)) -> Self {
        iter::successors(Some(error), |error| (*error).source())
            .find_map(Self::in_one)
            .unwrap_or_default()
    }

    fn in_one(error: &(dyn error::Error + 'static)) -> Option<Self> {
        let next_attempt = error.downcast_ref().and_then(Error::next_attempt);
        let Some(next_attempt) = next_attempt else {
            return LoginError::in_one(error).map(LoginError::advice);
        };
        // The error of another provider, which is already backing off.
        Some(Self {
            pace: Pace::Transient,
            retry_after: Some(RetryAfter::Instant(next_attempt)),
            is_lifted_by_pause: false,
        })
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            LoginErrorKind::Custom(advice) if advice.pace == Pace::Permanent => {
                f.write_str("the login failed, and will until something is changed")
            }
            LoginErrorKind::Custom(advice) if advice.retry_after.is_some() => {
                f.write_str("the login failed: its server asks for a pause")
            }
            LoginErrorKind::Custom(_) => f.write_str("the login failed"),
            #[cfg(feature = "json")]
            LoginErrorKind::Exchange(exchange) => exchange.fmt(f),
        }
    }
}

impl fmt::Debug for LoginError {
    /// `Display` of the error and of its sources: `fn main` prints a returned error by `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::chain(self, f)
    }
}

impl error::Error for LoginError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
