//! What can go wrong, in types that hold no secret.

mod login;

use std::{error, fmt, sync::Arc, time::Duration, time::Instant};

pub use self::login::LoginError;
#[cfg(feature = "json")]
pub(crate) use self::login::{Answer, LoginErrorKind};
pub(crate) use self::login::{RetryAdvice, RetryAfter};

/// A boxed error, the same type as tower's `BoxError`.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// The layer's own failure: there was no credential to send the request with.
///
/// It reaches the caller as the [`BoxError`] of the service; find it by `downcast_ref`. Errors of
/// the wrapped service pass through as they are. All requests that waited for one login get
/// clones of one `Error`, whose [`source`](error::Error::source) is what the login failed with:
/// its `Display` alone says little, so print the chain.
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
    /// A login that failed with `source`, for providers of one's own.
    pub fn login_failed(source: impl Into<BoxError>) -> Self {
        Self::with_source(Kind::LoginFailed, Some(source.into()))
    }

    /// There is no authorization for this request, for providers of one's own that choose by the
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

    /// The runtime has dropped the login's task.
    pub(crate) fn login_dropped() -> Self {
        Self::with_source(Kind::LoginDropped, None)
    }

    pub(crate) fn is_login_dropped(&self) -> bool {
        self.0.kind == Kind::LoginDropped
    }

    pub(crate) fn login_through_itself(source: Option<BoxError>) -> Self {
        Self::with_source(Kind::LoginThroughItself, source)
    }

    /// What became of the login is no news any more.
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

    /// The same failure as part of an outage, before anybody else has seen it.
    pub(crate) fn during(mut self, outage: Outage) -> Self {
        if let Some(failure) = Arc::get_mut(&mut self.0) {
            failure.outage = Some(outage);
        }
        self
    }

    /// Whether the login itself answered with an error, which is the [`source`](error::Error::source).
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

    /// Whether the login's runtime was dropped or no longer driven, or its thread was blocked by
    /// the login. The next request starts a login of its own.
    #[must_use]
    pub fn is_login_lost(&self) -> bool {
        matches!(self.0.kind, Kind::LoginLost | Kind::LoginDropped)
    }

    /// Whether the login sent its own request through the layer that was waiting for it.
    #[must_use]
    pub fn is_login_through_itself(&self) -> bool {
        self.0.kind == Kind::LoginThroughItself
    }

    /// Whether even a new credential would not live as long as was asked for.
    #[must_use]
    pub fn is_short_lived(&self) -> bool {
        matches!(self.0.kind, Kind::ShortLived { .. })
    }

    /// Whether the provider had no newer authorization for a request that was rejected, though it
    /// had said so. The rejected response is gone.
    #[must_use]
    pub fn is_not_renewed(&self) -> bool {
        self.0.kind == Kind::NotRenewed
    }

    /// Whether the provider's newer authorization belongs to another account than the one that was
    /// rejected: the request was not replayed. The rejected response is gone.
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

    /// Whether a refresh token did not help: that of
    /// [`CredentialEvent::RefreshFailed`](crate::CredentialEvent::RefreshFailed), and no request's.
    #[must_use]
    pub fn is_refresh_failed(&self) -> bool {
        self.0.kind == Kind::RefreshFailed
    }

    /// Whether the request was to an origin that [`Origins::strict`](crate::Origins::strict)
    /// keeps it from.
    #[must_use]
    pub fn is_foreign_origin(&self) -> bool {
        matches!(self.0.kind, Kind::ForeignOrigin { .. })
    }

    /// Whether the request came with several headers of the authorization's name, of which a
    /// server would choose one ([RFC 9110, section 5.5]). It was not sent.
    ///
    /// [RFC 9110, section 5.5]: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    #[must_use]
    pub fn is_many_headers(&self) -> bool {
        self.0.kind == Kind::ManyHeaders
    }

    /// When the next login may be made, by the provider's clock. Until then requests fail at once
    /// with this error. `None`: the next request makes one.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        self.0.outage.map(|outage| outage.next_attempt)
    }

    /// When the first of the logins failed that have failed in a row, by the provider's clock.
    #[must_use]
    pub fn failing_since(&self) -> Option<Instant> {
        self.0.outage.map(|outage| outage.since)
    }

    /// How many logins have failed in a row, this one included; 0 where it was no login that
    /// failed, or one that was lost.
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
                write!(f, "even a new credential is used for less than {needed:?}: its margin counts")
            }
            Kind::NotRenewed => f.write_str(
                "the provider has no newer authorization than the one that was rejected: `reject` must say so",
            ),
            Kind::OtherAccount => f.write_str(
                "the newer authorization belongs to another account: the request was not replayed",
            ),
            Kind::NoAuthorization => f.write_str("no authorization for this request"),
            Kind::ManyHeaders => f.write_str(
                "the request brings several headers of the authorization's name: a request has one",
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

/// Logins that have failed in a row, at the time of the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) since: Instant,
    pub(crate) failed_at: Instant,
    pub(crate) failures: u32,
    pub(crate) next_attempt: Instant,
}

impl fmt::Display for Outage {
    /// As seen when it failed: an error may be printed much later, and by another clock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures > 1 {
            let lasts = self.failed_at.saturating_duration_since(self.since);
            write!(f, "{} in a row within {lasts:.1?}, ", self.failures)?;
        }
        let pause = self.next_attempt.saturating_duration_since(self.failed_at);
        write!(f, "next attempt {pause:.1?} later")
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
