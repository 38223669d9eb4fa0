//! Settings for one request.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use http::Extensions;

use super::receipt::Receipt;

/// Settings for one request, and its receipt: an extension of the request.
///
/// Create one for each request. Clones share the receipt: put one clone into the request's
/// extensions, and keep the other to read the receipt.
///
/// # Examples
///
/// If a rejection is visible only in a body or in trailers, the caller reports it. The request is
/// marked as judged by the caller, so that the layer does not count its status 200 as an acceptance:
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

/// Tells the layers of one stack apart: an address.
pub(crate) type LayerId = usize;

#[derive(Debug, Default)]
struct Shared {
    /// The receipt, and the layer that sent the request. Behind a lock, since several words cannot be
    /// stored in one atomic. No user code runs under it.
    receipt: Mutex<Option<(Receipt, LayerId)>>,
    /// Relaxed: it publishes no other data.
    wants_fresh: AtomicBool,
}

impl PerRequest {
    /// Creates the default settings: the request is sent as usual, and its receipt can be read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the request bare: unchanged and without a token. A rejection goes to the caller.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            is_bare: true,
            ..Self::default()
        }
    }

    /// Sends the request with a new credential instead of the current one. If a login is under way,
    /// the request waits for it; otherwise it starts one.
    ///
    /// In an [exclusive](crate::Session::Exclusive) session that login revokes the current
    /// credential. Your own [`CredentialProvider`](crate::CredentialProvider) finds this extension in
    /// the head that `acquire_for` gets.
    #[must_use]
    pub fn fresh() -> Self {
        let per_request = Self::new();
        per_request
            .shared
            .wants_fresh
            .store(true, Ordering::Relaxed);
        per_request
    }

    /// Marks the request as judged by its caller: the layer reports neither an acceptance nor a
    /// rejection of it, and does not replay it.
    ///
    /// The caller then calls [`accept`](crate::CredentialProvider::accept) or
    /// [`reject`](crate::CredentialProvider::reject) with the [`receipt`](Self::receipt). A rejection has
    /// no [`RejectionReport`](crate::RejectionReport), unless the caller had set the header.
    ///
    /// A manual rejection counts without this mark too. But then the layer has already counted the
    /// status of the same response as an acceptance. A [`CachedProvider`](crate::CachedProvider) sees
    /// the target accepted and rejected in turn. Each login seems to have helped, so the next
    /// rejection causes another one.
    ///
    /// Logins measured in an hour, for a target that no login helps, while another target is
    /// accepted:
    ///
    /// | rejected manually | without the mark | with the mark |
    /// | --- | --- | --- |
    /// | every second | 24, and the provider suspected another client of using the account | 21 |
    /// | every ten seconds | 361 | 20 |
    /// | every minute | 61 | 18 |
    ///
    /// For a token that dies every two minutes, the mark made no difference.
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

    /// Whether the request is sent without a token.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// Whether the request still needs a new credential. False once it was sent with one: a replay
    /// and a redirect need no further login.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.shared.wants_fresh.load(Ordering::Relaxed)
    }

    /// The receipt of the last time the request was sent. `None` before it is sent, and if it was last
    /// sent bare or with the caller's own header.
    ///
    /// Copies of a request share the receipt. If tower's Hedge sends two copies, it is that of the copy
    /// sent last, even if the first one is answered.
    #[must_use]
    pub fn receipt(&self) -> Option<Receipt> {
        self.shared.receipt().map(|(receipt, _)| receipt)
    }

    #[inline]
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        if extensions.is_empty() {
            return None;
        }
        Self::lookup(extensions)
    }

    /// Out of line, since most requests have no extensions.
    #[inline(never)]
    fn lookup(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Records the receipt of a request that this layer sends.
    pub(crate) fn set_receipt(&self, receipt: Receipt, layer: LayerId) {
        *self.shared.receipt() = Some((receipt, layer));
        self.shared.wants_fresh.store(false, Ordering::Relaxed);
    }

    /// Removes the receipt of an earlier hop, since this layer sends the request bare. A receipt of
    /// another layer stays: it may be of an outer layer, for this same request.
    pub(crate) fn clear_receipt(&self, layer: LayerId) {
        self.shared.receipt().take_if(|(_, by)| *by == layer);
    }
}

impl Shared {
    fn receipt(&self) -> MutexGuard<'_, Option<(Receipt, LayerId)>> {
        // One assignment stores a receipt, so a poisoned lock holds a valid one.
        self.receipt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
