//! Errors. None of the types holds a secret.

#[cfg(feature = "json")]
mod exchange;
#[cfg(feature = "oauth2")]
mod discovery;
#[cfg(feature = "metrics")]
mod error_type;
mod login;
mod recovery;

use std::{
    error, fmt, iter,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

#[cfg(feature = "oauth2")]
pub(crate) use self::discovery::MetadataFault;
#[cfg(feature = "json")]
pub(crate) use self::exchange::{Answer, ErrorCode, Exchange, ExchangeKind, Grant};
pub(crate) use self::login::{Pace, RetryAdvice, RetryAfter};
pub use self::{login::LoginError, recovery::Recovery};
use crate::runtime::Moment;

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
/// `Error`.
///
/// - `Display` says what failed, where, and when the next attempt is made. If the login failed with a
///   [`LoginError`], its text is included.
/// - [`source`](error::Error::source) is the cause: the error of the login, or the source of its
///   `LoginError`. `Debug` prints `Display` and all sources on one line.
/// - [`recovery`](Self::recovery) says what to do.
///
/// # Examples
///
/// ```
/// use std::error::Error as _;
/// use tower_bearer::{CachedProvider, Recovery, login_fn};
///
/// let provider = CachedProvider::new(login_fn(|_| async { Err("wrong password".into()) }));
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let error = provider.acquire().await.unwrap_err();
/// assert!(matches!(error.recovery(), Recovery::TryAgain { .. }));
/// assert!(error.to_string().starts_with("the login failed; next attempt in "));
/// assert_eq!(error.source().unwrap().to_string(), "wrong password");
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Error(Arc<Failure>);

struct Failure {
    kind: Kind,
    outage: Option<Outage>,
    source: Option<BoxError>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    LoginFailed,
    LoginTimedOut {
        timeout: Duration,
        endpoint: Option<String>,
    },
    LoginPanicked,
    LoginLost,
    LoginDropped,
    LoginThroughItself,
    Reset,
    RefreshFailed,
    ShortLived {
        needed: Duration,
    },
    NotRenewed,
    OtherAccount,
    SignedOut,
    NoAuthorization,
    AtCapacity {
        capacity: usize,
    },
    ManyHeaders,
    NoRuntime,
    ForeignOrigin {
        origin: String,
        allowed: String,
        /// Whether it is plain `http` to another host than loopback.
        is_in_the_clear: bool,
    },
}

/// The least time until an account can be forgotten. Most stay longer: for minutes after a rejection or
/// a failed login.
const UNTIL_A_LOGIN_ENDS: Duration = Duration::from_secs(1);

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

    pub(crate) fn login_timed_out(timeout: Duration, endpoint: Option<String>) -> Self {
        Self::with_source(Kind::LoginTimedOut { timeout, endpoint }, None)
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

    pub(crate) fn signed_out() -> Self {
        Self::with_source(Kind::SignedOut, None)
    }

    /// A new account for which a provider for many accounts has no place.
    pub(crate) fn at_capacity(capacity: usize) -> Self {
        Self::with_source(Kind::AtCapacity { capacity }, None)
    }

    pub(crate) fn no_runtime() -> Self {
        Self::with_source(Kind::NoRuntime, None)
    }

    pub(crate) fn many_headers() -> Self {
        Self::with_source(Kind::ManyHeaders, None)
    }

    pub(crate) fn foreign_origin(origin: String, allowed: String, is_in_the_clear: bool) -> Self {
        let kind = Kind::ForeignOrigin {
            origin,
            allowed,
            is_in_the_clear,
        };
        Self::with_source(kind, None)
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

    /// Whether the login returned an error.
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

    /// Whether the provider was [signed out](crate::CachedProvider::sign_out): before this request, or
    /// while it waited.
    #[must_use]
    pub fn is_signed_out(&self) -> bool {
        self.0.kind == Kind::SignedOut
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

    /// Whether a [`KeyedProvider`](crate::KeyedProvider) has as many accounts as it may have, and can
    /// forget none of them now.
    #[must_use]
    pub fn is_at_capacity(&self) -> bool {
        matches!(self.0.kind, Kind::AtCapacity { .. })
    }

    /// What to do about the failure.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        match &self.0.kind {
            Kind::LoginFailed => match self.login_error() {
                Some(error) => error.recovery(self.pause()),
                None => self.try_again(),
            },
            Kind::LoginTimedOut { .. }
            | Kind::LoginLost
            | Kind::LoginDropped
            | Kind::RefreshFailed
            | Kind::Reset => self.try_again(),
            Kind::SignedOut => Recovery::ChangeCredentials,
            Kind::AtCapacity { .. } => Recovery::TryAgain {
                after: UNTIL_A_LOGIN_ENDS,
            },
            Kind::ShortLived { .. }
            | Kind::NoAuthorization
            | Kind::ManyHeaders
            | Kind::ForeignOrigin { .. } => Recovery::ChangeRequest,
            Kind::LoginPanicked
            | Kind::LoginThroughItself
            | Kind::NotRenewed
            | Kind::OtherAccount
            | Kind::NoRuntime => Recovery::FixProgram,
        }
    }

    /// The `LoginError` that the login failed with, without anything around it.
    fn direct_login_error(&self) -> Option<&LoginError> {
        let source = self.0.source.as_deref()?;
        let is_login = matches!(self.0.kind, Kind::LoginFailed | Kind::RefreshFailed);
        source.downcast_ref().filter(|_| is_login)
    }

    fn try_again(&self) -> Recovery {
        Recovery::TryAgain {
            after: self.pause(),
        }
    }

    /// The pause between the failure and the next attempt.
    fn pause(&self) -> Duration {
        self.0.outage.map_or(Duration::ZERO, |outage| {
            outage
                .next_attempt
                .saturating_duration_since(outage.failed_at)
        })
    }

    /// The [`LoginError`] of the login, if it failed with one: as its error, as a source of that, or in
    /// an [`io::Error`](std::io::Error).
    #[must_use]
    pub fn login_error(&self) -> Option<&LoginError> {
        LoginError::find(self.0.source.as_deref()?)
    }

    /// When the login may be tried again, as its error says.
    pub(crate) fn advice(&self) -> RetryAdvice {
        let source = self.0.source.as_deref();
        source
            .map(|source| RetryAdvice::of(source))
            .unwrap_or_default()
    }

    /// The earliest time of the next login, by the provider's clock. Until then, requests that find no
    /// usable credential fail at once with this error. `None` if the next request logs in.
    ///
    /// If the wall clock has moved on further, as after a suspend, the login is made sooner.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        self.0.outage.map(|outage| outage.next_attempt)
    }

    /// Whether the pause before the next login lasts. It ends when either clock says so: the monotonic
    /// clock stops while the machine is suspended.
    pub(crate) fn is_backing_off(&self, now: Moment) -> bool {
        self.0.outage.is_some_and(|outage| {
            now.monotonic < outage.next_attempt && now.wall < outage.wall_next_attempt
        })
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
        match self.direct_login_error() {
            Some(error) => error.fmt(f),
            None => self.0.kind.fmt(f),
        }?;
        match &self.0.outage {
            Some(outage) => write!(f, "; {outage}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoginFailed => f.write_str("the login failed"),
            Self::LoginTimedOut { timeout, endpoint } => {
                f.write_str("the login")?;
                if let Some(endpoint) = endpoint {
                    write!(f, " at {endpoint}")?;
                }
                write!(f, " did not end within {}", rounded(*timeout))
            }
            Self::LoginPanicked => f.write_str("the login panicked"),
            Self::LoginLost | Self::LoginDropped => f.write_str(
                "the login was lost: its runtime is gone or no longer driven, or the login blocks its thread",
            ),
            Self::LoginThroughItself => f.write_str(
                "the login sent its request through the layer that waits for it: give it a client without the layer",
            ),
            Self::Reset => f.write_str("the provider was reset during the login"),
            Self::RefreshFailed => f.write_str("the refresh token did not help"),
            Self::ShortLived { needed } => {
                write!(f, "even a new credential, minus its margin, lives less than {needed:?}")
            }
            Self::NotRenewed => f.write_str(
                "the provider has no newer authorization than the one that was rejected: `reject` must say so",
            ),
            Self::OtherAccount => f.write_str(
                "the newer authorization belongs to another account: the request was not sent with it",
            ),
            Self::SignedOut => f.write_str(
                "the provider was signed out: sign in by `set_credential` or `reset`, and send the request again",
            ),
            Self::NoAuthorization => f.write_str("no authorization for this request"),
            Self::AtCapacity { capacity } => {
                write!(f, "the provider keeps at most {capacity} accounts, and found none that it may evict: raise its capacity, or try again later")
            }
            Self::ManyHeaders => f.write_str(
                "the request has several headers of the authorization's name: set only one",
            ),
            Self::ForeignOrigin { origin, allowed, is_in_the_clear } => {
                write!(f, "a request to {origin} is not allowed: the origins are {allowed}")?;
                match is_in_the_clear {
                    true => f.write_str("; only `dangerously_in_the_clear` allows plain http"),
                    false => Ok(()),
                }
            }
            Self::NoRuntime => {
                f.write_str("no Tokio runtime to log in on: poll the request within one")
            }
        }
    }
}

impl fmt::Debug for Error {
    /// `Display` of the error and of its sources: `fn main` prints a returned error by `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        chain(self, f)
    }
}

/// The texts of an error and of its sources, on one line.
fn chain(error: &(dyn error::Error + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    for source in iter::successors(error.source(), |error| error.source()) {
        write!(f, ": {source}")?;
    }
    Ok(())
}

/// The logins that failed in a row, as of the last failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) since: Instant,
    pub(crate) failed_at: Instant,
    pub(crate) failures: u32,
    pub(crate) next_attempt: Instant,
    pub(crate) wall_next_attempt: SystemTime,
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
        match self.direct_login_error() {
            // `Display` includes its text.
            Some(error) => error.source(),
            None => self.0.source.as_deref().map(|source| source as _),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code::{self, Unauthenticated, Unavailable};

    use super::*;

    /// The recipe of the guide, over the types of this very build.
    mod to_status {
        use crate as tower_bearer;

        include!("../../tests/recipes/to_status.rs");
    }

    /// The code that the recipe makes of an error, and its message.
    fn status_of(error: Error) -> (Code, String) {
        let status = to_status::to_status(error.into());
        let status = status.downcast::<tonic::Status>().unwrap();
        (status.code(), status.message().to_owned())
    }

    /// A recovery without a code does not compile.
    fn code_of(recovery: Recovery) -> Code {
        match recovery {
            Recovery::TryAgain { .. } => Unavailable,
            Recovery::ChangeRequest | Recovery::ChangeCredentials | Recovery::FixProgram => {
                Unauthenticated
            }
        }
    }

    // A kind without a row does not compile.
    macro_rules! assert_codes {
        ($($kind:pat => $error:expr => $code:expr,)+) => {
            #[allow(unreachable_patterns, reason = "a kind may have several rows")]
            fn has_row(kind: &Kind) {
                match kind {
                    $($kind => {})+
                }
            }
            $(
                let error: Error = $error;
                has_row(&error.0.kind);
                assert!(matches!(error.0.kind, $kind), "{error} is in the row of another kind");
                assert_eq!(status_of(error.clone()), ($code, error.to_string()));
                assert_eq!(code_of(error.recovery()), $code, "{error}");
            )+
        };
    }

    #[test]
    fn each_kind_has_its_grpc_code() {
        let second = Duration::from_secs(1);
        let permanent = || LoginError::permanent("wrong password");
        let foreign = || Error::foreign_origin(String::new(), String::new(), true);
        assert_codes! {
            Kind::LoginFailed => Error::login_failed("offline") => Unavailable,
            Kind::LoginFailed => Error::login_failed(LoginError::transient("busy")) => Unavailable,
            Kind::LoginFailed => Error::login_failed(LoginError::retry_after("busy", second)) => Unavailable,
            Kind::LoginFailed => Error::login_failed(permanent()) => Unauthenticated,
            Kind::LoginTimedOut { .. } => Error::login_timed_out(second, None) => Unavailable,
            Kind::LoginPanicked => Error::login_panicked() => Unauthenticated,
            Kind::LoginLost => Error::login_lost() => Unavailable,
            Kind::LoginDropped => Error::login_dropped() => Unavailable,
            Kind::LoginThroughItself => Error::login_through_itself(None) => Unauthenticated,
            Kind::Reset => Error::reset() => Unavailable,
            // The next attempt is a login with the password.
            Kind::RefreshFailed => Error::refresh_failed(permanent().into()) => Unavailable,
            Kind::ShortLived { .. } => Error::short_lived(second) => Unauthenticated,
            Kind::NotRenewed => Error::not_renewed() => Unauthenticated,
            Kind::OtherAccount => Error::other_account() => Unauthenticated,
            Kind::SignedOut => Error::signed_out() => Unauthenticated,
            Kind::NoAuthorization => Error::no_authorization("none") => Unauthenticated,
            Kind::AtCapacity { .. } => Error::at_capacity(1) => Unavailable,
            Kind::ManyHeaders => Error::many_headers() => Unauthenticated,
            Kind::NoRuntime => Error::no_runtime() => Unauthenticated,
            Kind::ForeignOrigin { .. } => foreign() => Unauthenticated,
        }
    }

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
