//! The caller's say over one request.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use http::Extensions;

use super::receipt::Receipt;

/// The caller's say over one request, and what became of it: an extension of the request.
///
/// Make one for each request. Clones share what became of it: put one into the request, and keep
/// one to ask.
///
/// # Examples
///
/// A rejection that only the caller can see, in a body or in trailers, is reported by hand. The
/// request is marked as judged by its caller, so that the layer does not count its status 200 as an
/// acceptance:
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, Service, ServiceExt};
/// use tower_bearer::{
///     BearerAuthLayer, CachedProvider, Credential, Origins, PerRequest, Rejected, login_fn,
/// };
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let client = tower::service_fn(|_: Request<()>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new("session expired"))
/// # });
///
/// let provider = CachedProvider::new(login_fn(|_| async { Ok(Credential::new("abc")?) }));
/// let layer = BearerAuthLayer::new(provider, Origins::new(["https://api.example.com"])?);
/// let mut client = layer.layer(client);
///
/// let per_request = PerRequest::new().judged_by_caller();
/// let request = Request::get("https://api.example.com/").extension(per_request.clone()).body(())?;
/// let response = client.ready().await?.call(request).await?;
/// if let Some(receipt) = per_request.receipt() {
///     if *response.body() == "session expired" {
///         let verdict = layer.provider().reject(&Rejected::by_hand(receipt));
///         assert!(verdict.is_log_in()); // sending the request again may help
///     } else {
///         layer.provider().accept(receipt);
///     }
/// }
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PerRequest {
    is_bare: bool,
    is_judged_by_caller: bool,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// A lock, since two words would tear. No code of the user's runs under it.
    receipt: Mutex<Option<Receipt>>,
    /// Relaxed: nothing else is read by it.
    wants_fresh: AtomicBool,
}

impl PerRequest {
    /// Nothing out of the ordinary: to learn what the request was sent with.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The request is sent bare: untouched, and without a token. A rejection of it is its caller's.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            is_bare: true,
            ..Self::default()
        }
    }

    /// The request is sent with a fresh credential: not with the current one, but with that of the
    /// login that is under way or, where there is none, of one that is made for it.
    ///
    /// In an [exclusive](crate::Session::Exclusive) session that login revokes the current
    /// credential. A [`CredentialProvider`](crate::CredentialProvider) of one's own sees the
    /// extension in the head that `acquire` is given.
    #[must_use]
    pub fn fresh() -> Self {
        let per_request = Self::new();
        per_request
            .shared
            .wants_fresh
            .store(true, Ordering::Relaxed);
        per_request
    }

    /// Says that the caller judges the response: the layer reports neither an acceptance nor a
    /// rejection of this request, and does not replay it. The caller calls
    /// [`accept`](crate::CredentialProvider::accept) or
    /// [`reject`](crate::CredentialProvider::reject) with the [`receipt`](Self::receipt).
    ///
    /// Without this mark a rejection by hand counts as well, but the layer has counted the status of
    /// the same response as an acceptance before. To a [`CachedProvider`](crate::CachedProvider) that
    /// target is accepted and rejected by turns: each login seems to have helped, so that the next
    /// rejection causes one more. Measured over an hour, for a target that no login helps, beside
    /// another that is accepted: rejected by hand every ten seconds, it caused 361 logins without the
    /// mark and 20 with it; every minute, 61 and 18; every second, 24 and 21, and without the mark the
    /// provider suspected another client of using the account. For a token that dies every two
    /// minutes the mark made no difference.
    #[must_use]
    pub fn judged_by_caller(self) -> Self {
        Self {
            is_judged_by_caller: true,
            ..self
        }
    }

    /// Whether the caller judges the response.
    #[must_use]
    pub fn is_judged_by_caller(&self) -> bool {
        self.is_judged_by_caller
    }

    /// Whether the request is to be sent without a token.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// Whether the request is to be sent with a fresh credential, and was not yet: what it is sent
    /// with once more, after a refusal or a redirect, is fresh enough as it is.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.shared.wants_fresh.load(Ordering::Relaxed)
    }

    /// What the request was sent with last. `None` before it was sent, and where it was sent bare
    /// last.
    #[must_use]
    pub fn receipt(&self) -> Option<Receipt> {
        *self.shared.receipt()
    }

    #[inline]
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        if extensions.is_empty() {
            return None;
        }
        Self::among(extensions)
    }

    /// Not for those who have none to pay for.
    #[inline(never)]
    fn among(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The request is sent with this, or bare.
    pub(crate) fn set_receipt(&self, receipt: Option<Receipt>) {
        *self.shared.receipt() = receipt;
        if receipt.is_some() {
            self.shared.wants_fresh.store(false, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn receipt(&self) -> MutexGuard<'_, Option<Receipt>> {
        // A receipt is stored whole: a poisoned lock holds one that is as good as any.
        self.receipt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
