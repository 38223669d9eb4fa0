//! The caller's say over one request.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
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
    wish: Wish,
    /// The number of the generation, 0 for none. Relaxed: nothing else is read by it.
    carried: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    None,
    Bare,
    Fresh,
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
        Self::wishing(Wish::Bare)
    }

    /// The request is sent with a fresh credential: not with the current one, but with that of the
    /// login that is under way or, where there is none, of one that is made for it.
    ///
    /// In an [exclusive](crate::Session::Exclusive) session that login revokes the current
    /// credential. A [`CredentialProvider`](crate::CredentialProvider) of one's own sees the
    /// extension in the head that `acquire` is given.
    #[must_use]
    pub fn fresh() -> Self {
        Self::wishing(Wish::Fresh)
    }

    fn wishing(wish: Wish) -> Self {
        Self {
            wish,
            carried: Arc::default(),
        }
    }

    /// Whether the request is to be sent without a token.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.wish == Wish::Bare
    }

    /// Whether the request is to be sent with a fresh credential.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.wish == Wish::Fresh
    }

    /// The generation that the request was sent with last. `None` before it was sent, and where it
    /// was sent bare.
    #[must_use]
    pub fn carried(&self) -> Option<Generation> {
        NonZeroU64::new(self.carried.load(Ordering::Relaxed)).map(Generation::from_number)
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(crate) fn carry(&self, generation: Generation) {
        self.carried
            .store(generation.number().get(), Ordering::Relaxed);
    }

    /// The same, once its wish is fulfilled.
    pub(crate) fn fulfilled(&self) -> Self {
        Self {
            wish: Wish::None,
            carried: Arc::clone(&self.carried),
        }
    }
}
