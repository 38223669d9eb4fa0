//! What can go wrong, in types that hold no secret.

use std::{error, fmt, sync::Arc, time::Duration, time::Instant};

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
/// assert_eq!(error.to_string(), "login failed");
/// assert_eq!(error.source().unwrap().to_string(), "wrong password");
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Error(Arc<Failure>);

#[derive(Debug)]
struct Failure {
    kind: Kind,
    next_attempt: Option<Instant>,
    source: Option<BoxError>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    LoginFailed,
    LoginTimedOut { timeout: Duration },
    LoginPanicked,
    LoginLost,
    LoginThroughItself,
    RefreshFailed,
    ShortLived { needed: Duration },
    NotRenewed,
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

    pub(crate) fn login_through_itself(source: Option<BoxError>) -> Self {
        Self::with_source(Kind::LoginThroughItself, source)
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
            next_attempt: None,
            source,
        }))
    }

    /// The same failure with the time of the next attempt, before anybody else has seen it.
    pub(crate) fn until(mut self, next_attempt: Instant) -> Self {
        if let Some(failure) = Arc::get_mut(&mut self.0) {
            failure.next_attempt = Some(next_attempt);
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
        self.0.kind == Kind::LoginLost
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

    /// Whether the provider had no newer authorization for a request that was refused, though it had
    /// said so. The refusal is gone.
    #[must_use]
    pub fn is_not_renewed(&self) -> bool {
        self.0.kind == Kind::NotRenewed
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
    /// [`Event::RefreshFailed`](crate::Event::RefreshFailed), and no request's.
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
        self.0.next_attempt
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
            Kind::LoginLost => f.write_str(
                "login was lost: its runtime is gone or no longer driven, or the login blocks its thread",
            ),
            Kind::LoginThroughItself => f.write_str(
                "login sent its request through the layer that waits for it: give it a client without the layer",
            ),
            Kind::RefreshFailed => f.write_str("the refresh token did not help"),
            Kind::ShortLived { needed } => {
                write!(f, "even a new credential is used for less than {needed:?}: its margin counts")
            }
            Kind::NotRenewed => f.write_str(
                "the provider has no newer authorization than the one that was refused: `reject` must say so",
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
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// What a login over HTTP failed with.
///
/// It holds status, content type and length of the answer and never a part of its body.
#[cfg(feature = "json")]
#[derive(Debug)]
pub struct LoginError {
    flaw: Flaw,
    answer: Option<Answer>,
    source: Option<BoxError>,
}

#[cfg(feature = "json")]
#[derive(Debug)]
pub(crate) enum Flaw {
    Unsent,
    NoAnswer,
    Unread,
    TooLong,
    Redirected,
    ServerFailed,
    Refused,
    NotJson,
    NoToken { pointer: String },
    Token,
}

/// What may be said of an answer without repeating it.
#[cfg(feature = "json")]
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: http::StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) length: Option<usize>,
}

#[cfg(feature = "json")]
impl LoginError {
    pub(crate) fn new(flaw: Flaw, answer: Option<Answer>, source: Option<BoxError>) -> Self {
        Self {
            flaw,
            answer,
            source,
        }
    }

    pub(crate) fn with_source(self, source: BoxError) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    /// Whether nothing can have reached the server.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.flaw, Flaw::Unsent)
    }

    /// The status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<http::StatusCode> {
        self.answer.as_ref().map(|answer| answer.status)
    }
}

#[cfg(feature = "json")]
impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flaw {
            Flaw::Unsent => f.write_str("no connection was made for the login request"),
            Flaw::NoAnswer => f.write_str("the login request got no answer"),
            Flaw::Unread => f.write_str("the login's answer broke off"),
            Flaw::TooLong => f.write_str("the login's answer is longer than 64 KiB"),
            Flaw::Redirected => {
                f.write_str("the login was redirected, and redirects are not followed")
            }
            Flaw::ServerFailed => f.write_str("the login's server failed"),
            Flaw::Refused => f.write_str("the login was refused"),
            Flaw::NotJson => f.write_str("the login's answer is not JSON"),
            Flaw::NoToken { pointer } => {
                write!(f, "the login's answer has no string at {pointer}")
            }
            Flaw::Token => f.write_str("the login's answer has an unusable token"),
        }?;
        match &self.answer {
            Some(answer) => write!(f, " ({answer})"),
            None => Ok(()),
        }
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

#[cfg(feature = "json")]
impl error::Error for LoginError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
