//! The caller's say over one request.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use http::Extensions;

use crate::authorization::Generation;

/// The caller's say over one request, and what became of it: an extension of the request.
///
/// Make one for each request. Clones share what became of it: put one into the request, and keep
/// one to ask.
///
/// # Examples
///
/// A refusal that only the caller can see, in a body or in trailers, is told to the provider by
/// hand:
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, Service, ServiceExt};
/// use tower_bearer::{BearerAuthLayer, CachedProvider, Credential, Origins, PerRequest, login_fn};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let client = tower::service_fn(|_: Request<()>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new("session expired"))
/// # });
///
/// let provider = CachedProvider::new(login_fn(|_| async { Ok(Credential::new("abc")?) }));
/// let layer = BearerAuthLayer::new(provider, Origins::new(["https://api.example.com"])?);
/// let mut client = layer.layer(client);
///
/// let per_request = PerRequest::new();
/// let request = Request::get("https://api.example.com/").extension(per_request.clone()).body(())?;
/// let response = client.ready().await?.call(request).await?;
/// if *response.body() == "session expired" && let Some(carried) = per_request.carried() {
///     let is_worth_another_try = layer.provider().reject(carried);
///     assert!(is_worth_another_try);
/// }
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PerRequest {
    is_bare: bool,
    shared: Arc<Shared>,
}

/// Relaxed, both: nothing else is read by them.
#[derive(Debug, Default)]
struct Shared {
    /// The number of the generation, 0 for none.
    carried: AtomicU64,
    wants_fresh: AtomicBool,
}

impl PerRequest {
    /// Nothing out of the ordinary: to learn which generation the request carries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The request is sent bare: untouched, and without a token. A refusal of it is its caller's.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            is_bare: true,
            shared: Arc::default(),
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

    /// The generation that the request was sent with last. `None` before it was sent, and where it
    /// was sent bare last.
    #[must_use]
    pub fn carried(&self) -> Option<Generation> {
        NonZeroU64::new(self.shared.carried.load(Ordering::Relaxed)).map(Generation::from_number)
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

    /// The request is sent with this generation, or bare.
    pub(crate) fn carry(&self, generation: Option<Generation>) {
        let number = generation.map_or(0, |generation| generation.number().get());
        self.shared.carried.store(number, Ordering::Relaxed);
        if generation.is_some() {
            self.shared.wants_fresh.store(false, Ordering::Relaxed);
        }
    }
}
