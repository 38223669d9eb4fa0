//! The report that a rejection carries to the caller.

use std::time::{Duration, Instant};

use crate::{
    credential::Generation,
    provider::{Reason, Receipt, Verdict},
};

/// Why the caller gets a rejection: an extension of the response.
///
/// The layer adds it to each rejection that reaches the caller. Status, headers and body of the
/// response are unchanged.
///
/// # Examples
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use tower::{Layer, ServiceExt};
/// use tower_bearer::{BearerAuthLayer, NotReplayed, Origins, RejectionReport, StaticProvider};
/// # tokio_test::block_on(async {
/// # let client = tower::service_fn(|_: Request<()>| async {
/// #     let response = Response::builder().status(StatusCode::UNAUTHORIZED);
/// #     Ok::<_, std::convert::Infallible>(response.body(()).unwrap())
/// # });
///
/// let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https());
/// let request = Request::get("https://api.example.com/").body(())?;
/// let response = layer.layer(client).oneshot(request).await?;
///
/// let report = response.extensions().get::<RejectionReport>().expect("it is a 401");
/// assert_eq!(report.not_replayed(), NotReplayed::NoPolicy);
/// assert!(!report.is_acted_upon()); // there is no other token
/// assert_eq!(report.next_login(), None); // otherwise an `Instant`: wait until then
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectionReport {
    receipt: Option<Receipt>,
    verdict: Option<Verdict>,
    not_replayed: NotReplayed,
}

/// Why a rejected request was not replayed: a part of the [`RejectionReport`].
///
/// # Examples
///
/// ```
/// use http::Response;
/// use tower_bearer::{NotReplayed, RejectionReport};
///
/// /// Whether sending the rejected request again may help.
/// fn may_help<B>(response: &Response<B>) -> bool {
///     let report = response.extensions().get::<RejectionReport>();
///     report.is_some_and(|report| match report.not_replayed() {
///         NotReplayed::NoPolicy | NotReplayed::BodyNotKept => report.is_acted_upon(),
///         _ => false,
///     })
/// }
/// # assert!(!may_help(&Response::new(())));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReplayed {
    /// The layer has no replay policy: [`BearerAuthLayer::replay`](crate::BearerAuthLayer::replay).
    NoPolicy,
    /// The policy did not keep the body of this request, or could not make it again. Or this is an
    /// outer layer's replay of a request that this layer had already replayed.
    BodyNotKept,
    /// The request was replayed, and the replay was rejected too.
    AlreadyReplayed,
    /// Logins for such rejections did not help. The next login is made no earlier than
    /// [`next_login`](RejectionReport::next_login).
    LoginHeldBack,
    /// The last login failed. The next login is made no earlier than
    /// [`next_login`](RejectionReport::next_login).
    LoginFailed,
    /// The provider has no other credential for the request.
    NoOtherCredential,
    /// The caller had set the authorization header.
    CallersHeader,
}

impl RejectionReport {
    /// The report of a request that the layer authorized. `replay` takes precedence over the verdict
    /// as the reason why it was not replayed.
    pub(crate) fn new(receipt: Receipt, verdict: Verdict, replay: Option<NotReplayed>) -> Self {
        let by_verdict = || match verdict.reason() {
            Reason::Current | Reason::Late => NotReplayed::BodyNotKept,
            Reason::LoginDidNotHelp | Reason::LoginsDidNotHelp | Reason::RevokedQuickly => {
                NotReplayed::LoginHeldBack
            }
            Reason::BackingOff => NotReplayed::LoginFailed,
            Reason::Fixed | Reason::Unknown => NotReplayed::NoOtherCredential,
        };
        Self {
            receipt: Some(receipt),
            verdict: Some(verdict),
            not_replayed: replay.unwrap_or_else(by_verdict),
        }
    }

    /// The report of a request whose authorization the caller had set.
    pub(crate) const CALLERS_HEADER: Self = Self {
        receipt: None,
        verdict: None,
        not_replayed: NotReplayed::CallersHeader,
    };

    /// Why the request was not replayed.
    #[must_use]
    pub fn not_replayed(&self) -> NotReplayed {
        self.not_replayed
    }

    /// The login that the rejected credential came from. `None` where the caller had set the
    /// authorization header.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.receipt.map(Receipt::generation)
    }

    /// The age of the rejected credential. `None` if the provider does not know it, since it had
    /// already replaced the credential.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.verdict?.age()
    }

    /// Whether the provider replaces the rejected credential, or had already replaced it.
    #[must_use]
    pub fn is_acted_upon(&self) -> bool {
        self.verdict.is_some_and(Verdict::is_log_in)
    }

    /// Why the provider replaces the credential, or keeps it.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.verdict.map(Verdict::reason)
    }

    /// The earliest time of the next login, by the provider's clock. `None` if a login may be made
    /// now, or if the provider does not know.
    #[must_use]
    pub fn next_login(&self) -> Option<Instant> {
        self.verdict?.next_login()
    }
}
