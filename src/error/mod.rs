//! Errors. None of the types holds a secret.

mod login;

use std::{error, fmt, sync::Arc, time::Duration, time::Instant};

pub use self::login::LoginError;
#[cfg(feature = "json")]
pub(crate) use self::login::{Answer, LoginErrorKind};
pub(crate) use self::login::{RetryAdvice, RetryAfter};

/// A boxed error, the same type as tower's `BoxError`.
///
/// # Examples
///
/// ```
/// use tower_bearer::{BoxError, Error};
///
/// fn is_login_failed(error: &BoxError) -> bool {
///     error.downcast_ref::<Error>().is_some_and(Error::is_login_failed)
/// }
///
/// assert!(is_login_failed(&Error::login_failed("wrong password").into()));
/// ```
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// A failure of the layer or the provider: the request could not be authorized.
///
/// The caller gets it as the [`BoxError`] of the service; find it with `downcast_ref`. Errors of the
/// inner service pass through unwrapped. All requests that waited for one login get clones of one
/// `Error`. Its [`source`](error::Error::source) is the error of the login. `Display` does not
/// include the source, so print the whole chain.
///
/// # Examples
///
/// ```
/// use std::error::Error as _;
/// use tower_bearer::{CachedProvider, login_fn};
///
/// let provider = CachedProvider::new(login_fn(|_| async { Err("wrong password".into()) }));
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let error = provider.acquire().await.unwrap_err();
/// assert!(error.is_login_failed());
/// assert!(error.to_string().starts_with("login failed; next attempt "));
/// assert_eq!(error.source().unwrap().to_string(), "wrong password");
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Error(Arc<Failure>);

#[derive(Debug)]
struct Failure {
    kind: Kind,
    outage: Option<Outage>,
    source: Option<BoxError>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    LoginFailed,
    LoginTimedOut { timeout: Duration },
    LoginPanicked,
    LoginLost,
    LoginDropped,
    LoginThroughItself,
    Reset,
    RefreshFailed,
    ShortLived { needed: Duration },
    NotRenewed,
    OtherAccount,
    NoAuthorization,
    ManyHeaders,
    NoRuntime,
    ForeignOrigin { origin: String },
}

impl Error {
    /// A login that failed with `source`, for providers of your own.
    pub fn login_failed(source: impl Into<BoxError>) -> Self {
        Self::with_source(Kind::LoginFailed, Some(source.into()))
    }

    /// A request for which there is no authorization, for providers of your own that choose by the
    /// request.
    pub fn no_authorization(source: impl Into<BoxError>) -> Self {
        Self::with_source(Kind::NoAuthorization, Some(source.into()))
    }

    pub(crate) fn login_timed_out(timeout: Duration) -> Self {
        Self::with_source(Kind::LoginTimedOut { timeout }, None)
    }

    pub(crate) fn login_panicked() -> Self {
        Self::with_source(Kind::LoginPanicked, None)
    }

    pub(crate) fn login_lost() -> Self {
        Self::with_source(Kind::LoginLost, None)
    }

    /// The runtime dropped the login's task.
    pub(crate) fn login_dropped() -> Self {
        Self::with_source(Kind::LoginDropped, None)
    }

    pub(crate) fn is_login_dropped(&self) -> bool {
        self.0.kind == Kind::LoginDropped
    }

    pub(crate) fn login_through_itself(source: Option<BoxError>) -> Self {
        Self::with_source(Kind::LoginThroughItself, source)
    }

    /// The provider was reset during the login, whose outcome no longer counts.
    pub(crate) fn reset() -> Self {
        Self::with_source(Kind::Reset, None)
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.0.kind == Kind::Reset
    }

    pub(crate) fn refresh_failed(source: BoxError) -> Self {
        Self::with_source(Kind::RefreshFailed, Some(source))
    }

    pub(crate) fn short_lived(needed: Duration) -> Self {
        Self::with_source(Kind::ShortLived { needed }, None)
    }

    pub(crate) fn not_renewed() -> Self {
        Self::with_source(Kind::NotRenewed, None)
    }

    pub(crate) fn other_account() -> Self {
        Self::with_source(Kind::OtherAccount, None)
    }

    pub(crate) fn no_runtime() -> Self {
        Self::with_source(Kind::NoRuntime, None)
    }

    pub(crate) fn many_headers() -> Self {
        Self::with_source(Kind::ManyHeaders, None)
    }

    pub(crate) fn foreign_origin(origin: String) -> Self {
        Self::with_source(Kind::ForeignOrigin { origin }, None)
    }

    fn with_source(kind: Kind, source: Option<BoxError>) -> Self {
        Self(Arc::new(Failure {
            kind,
            outage: None,
            source,
        }))
    }

    /// Adds the outage. It has no effect on an error that is already shared.
    pub(crate) fn during(mut self, outage: Outage) -> Self {
        if let Some(failure) = Arc::get_mut(&mut self.0) {
            failure.outage = Some(outage);
        }
        self
    }

    /// Whether the login returned an error, which is the [`source`](error::Error::source).
    #[must_use]
    pub fn is_login_failed(&self) -> bool {
        self.0.kind == Kind::LoginFailed
    }

    /// Whether the login did not end within its timeout.
    #[must_use]
    pub fn is_login_timed_out(&self) -> bool {
        matches!(self.0.kind, Kind::LoginTimedOut { .. })
    }

    /// Whether the login panicked.
    #[must_use]
    pub fn is_login_panicked(&self) -> bool {
        self.0.kind == Kind::LoginPanicked
    }

    /// Whether the login was lost: its runtime was dropped or no longer driven, or the login blocked
    /// its thread. The next request starts another login.
    #[must_use]
    pub fn is_login_lost(&self) -> bool {
        matches!(self.0.kind, Kind::LoginLost | Kind::LoginDropped)
    }

    /// Whether the login sent its own request through the layer that was waiting for it.
    #[must_use]
    pub fn is_login_through_itself(&self) -> bool {
        self.0.kind == Kind::LoginThroughItself
    }

    /// Whether even a new credential would not live as long as the caller needs.
    #[must_use]
    pub fn is_short_lived(&self) -> bool {
        matches!(self.0.kind, Kind::ShortLived { .. })
    }

    /// Whether the provider had no newer authorization for a replay, though its verdict had promised
    /// one. The rejected response was dropped.
    #[must_use]
    pub fn is_not_renewed(&self) -> bool {
        self.0.kind == Kind::NotRenewed
    }

    /// Whether the provider's newer authorization belongs to another account than the rejected one.
    /// The request was not replayed, and the rejected response was dropped.
    #[must_use]
    pub fn is_other_account(&self) -> bool {
        self.0.kind == Kind::OtherAccount
    }

    /// Whether the provider has no authorization for a request like this one.
    #[must_use]
    pub fn is_no_authorization(&self) -> bool {
        self.0.kind == Kind::NoAuthorization
    }

    /// Whether there was no Tokio runtime to log in on.
    #[must_use]
    pub fn is_no_runtime(&self) -> bool {
        self.0.kind == Kind::NoRuntime
    }

    /// Whether a refresh failed. No request gets this error: it is in
    /// [`CredentialEvent::RefreshFailed`](crate::CredentialEvent::RefreshFailed).
    #[must_use]
    pub fn is_refresh_failed(&self) -> bool {
        self.0.kind == Kind::RefreshFailed
    }

    /// Whether the request was to a foreign origin, which [`Origins::strict`](crate::Origins::strict)
    /// forbids.
    #[must_use]
    pub fn is_foreign_origin(&self) -> bool {
        matches!(self.0.kind, Kind::ForeignOrigin { .. })
    }

    /// Whether the caller had set the authorization header several times. A server may choose any of
    /// them ([RFC 9110, section 5.5]), so the request was not sent.
    ///
    /// [RFC 9110, section 5.5]: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    #[must_use]
    pub fn is_many_headers(&self) -> bool {
        self.0.kind == Kind::ManyHeaders
    }

    /// The earliest time of the next login, by the provider's clock. Until then, requests fail at
    /// once with this error. `None` if the next request logs in.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        self.0.outage.map(|outage| outage.next_attempt)
    }

    /// The time of the first failure in a row, by the provider's clock.
    #[must_use]
    pub fn failing_since(&self) -> Option<Instant> {
        self.0.outage.map(|outage| outage.since)
    }

    /// The number of logins that failed in a row, including this one. 0 if no login failed, or if it
    /// was lost.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.0.outage.map_or(0, |outage| outage.failures)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::LoginFailed => f.write_str("login failed"),
            Kind::LoginTimedOut { timeout } => {
                write!(f, "login did not end within {timeout:?}")
            }
            Kind::LoginPanicked => f.write_str("login panicked"),
            Kind::LoginLost | Kind::LoginDropped => f.write_str(
                "login was lost: its runtime is gone or no longer driven, or the login blocks its thread",
            ),
            Kind::LoginThroughItself => f.write_str(
                "login sent its request through the layer that waits for it: give it a client without the layer",
            ),
            Kind::Reset => f.write_str("the provider was reset during the login"),
            Kind::RefreshFailed => f.write_str("the refresh token did not help"),
            Kind::ShortLived { needed } => {
                write!(f, "even a new credential, minus its margin, lives less than {needed:?}")
            }
            Kind::NotRenewed => f.write_str(
                "the provider has no newer authorization than the one that was rejected: `reject` must say so",
            ),
            Kind::OtherAccount => f.write_str(
                "the newer authorization belongs to another account: the request was not replayed",
            ),
            Kind::NoAuthorization => f.write_str("no authorization for this request"),
            Kind::ManyHeaders => f.write_str(
                "the request has several headers of the authorization's name: set only one",
            ),
            Kind::ForeignOrigin { origin } => {
                write!(f, "a request to {origin} is not allowed: it is none of the origins")
            }
            Kind::NoRuntime => {
                f.write_str("no Tokio runtime to log in on: poll the request within one")
            }
        }?;
        match &self.0.outage {
            Some(outage) => write!(f, "; {outage}"),
            None => Ok(()),
        }
    }
}

/// The logins that failed in a row, as of the last failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) since: Instant,
    pub(crate) failed_at: Instant,
    pub(crate) failures: u32,
    pub(crate) next_attempt: Instant,
}

impl fmt::Display for Outage {
    /// The times are relative to the last failure: only the provider knows the current time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures > 1 {
            let lasted = self.failed_at.saturating_duration_since(self.since);
            write!(f, "{} in a row within {}, ", self.failures, rounded(lasted))?;
        }
        let pause = self.next_attempt.saturating_duration_since(self.failed_at);
        write!(f, "next attempt in {}", rounded(pause))
    }
}

/// A duration for a reader: `250 ms`, `1.5 s`, `15 min`.
fn rounded(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let tenths = |number: f64| (number * 10.0).round() / 10.0;
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..120.0 => format!("{} s", tenths(seconds)),
        ..7200.0 => format!("{} min", tenths(seconds / 60.0)),
        _ => format!("{} h", tenths(seconds / 3600.0)),
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_printed_in_the_unit_that_fits() {
        for (milliseconds, printed) in [
            (0, "0 ms"),
            (943, "943 ms"),
            (1_000, "1 s"),
            (1_250, "1.3 s"),
            (90_000, "90 s"),
            (900_000, "15 min"),
            (3_600_000, "60 min"),
            (9_000_000, "2.5 h"),
        ] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(rounded(duration), printed);
        }
    }
}
