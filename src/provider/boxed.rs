//! A type-erased provider.

use std::{fmt, pin::Pin, sync::Arc};

use super::{
    CredentialProvider, RequestHead, forward_to,
    receipt::{Receipt, Rejected, Verdict},
};
use crate::{credential::Authorization, error::Error};

/// The boxed future that a [`BoxProvider`] returns from `acquire_for`.
///
/// A provider of your own can return it too: `type Acquire = BoxAcquire`, and `Box::pin(async { … })`.
pub type BoxAcquire = Pin<Box<dyn Future<Output = Result<Authorization, Error>> + Send>>;

/// Any provider, behind one type: for a struct whose token may be static or come from a login.
///
/// Each call costs one indirect call. A request that has to wait costs one allocation; a request with
/// a current credential costs none. Clones share the provider.
///
/// # Examples
///
/// ```
/// use tower_bearer::{
///     BearerAuth, BoxProvider, CachedProvider, Credential, InvalidToken, StaticProvider, login_fn,
/// };
///
/// struct Api<S> {
///     client: BearerAuth<S, BoxProvider>,
/// }
///
/// fn provider(token: Option<&str>) -> Result<BoxProvider, InvalidToken> {
///     Ok(match token {
///         Some(token) => BoxProvider::new(StaticProvider::new(token)?),
///         None => BoxProvider::new(CachedProvider::new(login_fn(|_| async {
///             Ok(Credential::new("mF_9.B5f-4.1JqM")?) // ask the API here
///         }))),
///     })
/// }
/// # let provider = provider(Some("abc"))?;
/// # let layer = tower_bearer::BearerAuthLayer::new(provider, tower_bearer::Origins::any_https());
/// # let _ = Api { client: tower::Layer::layer(&layer, ()) }.client;
/// # Ok::<_, InvalidToken>(())
/// ```
#[derive(Clone)]
pub struct BoxProvider(Arc<dyn CredentialProvider<Acquire = BoxAcquire> + Send + Sync>);

impl BoxProvider {
    /// Boxes a provider.
    pub fn new<P>(provider: P) -> Self
    where
        P: CredentialProvider<Acquire: Send + 'static> + Send + Sync + 'static,
    {
        Self(Arc::new(Boxing(provider)))
    }
}

impl CredentialProvider for BoxProvider {
    type Acquire = BoxAcquire;

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        self.0.acquire_for(head)
    }

    forward_to!(0);
}

impl fmt::Debug for BoxProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxProvider").finish_non_exhaustive()
    }
}

/// Boxes the future of a provider.
struct Boxing<P>(P);

impl<P: CredentialProvider<Acquire: Send + 'static>> CredentialProvider for Boxing<P> {
    type Acquire = BoxAcquire;

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        Box::pin(self.0.acquire_for(head))
    }

    forward_to!(0);
}
