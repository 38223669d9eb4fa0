//! The layer.

use std::{fmt, sync::Arc};

use http::HeaderName;
use tower_layer::Layer;

use crate::{origin::Origins, provider::CachedProvider, service::BearerAuth, settings::Settings};

/// A layer that puts an authorization on each request to the given origins.
///
/// Put it *outside* of what bounds or delays a request (a concurrency limit, a buffer), so that a
/// request that waits for a login takes nobody's place, and *inside* of what follows redirects:
/// then each hop is a request of its own, and one to a foreign origin goes bare.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use tower_bearer::{BearerAuthLayer, CachedProvider, Credential, Origins, login_fn};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let client = tower::service_fn(|request: Request<()>| async move {
/// #     Ok::<_, std::convert::Infallible>(Response::new(request.headers()["authorization"].clone()))
/// # });
///
/// let provider = CachedProvider::new(login_fn(|_| async {
///     Ok(Credential::new("mF_9.B5f-4.1JqM")?) // ask the API here
/// }));
/// let layer = BearerAuthLayer::new(provider, Origins::new(["https://api.example.com"])?);
/// let mut client = ServiceBuilder::new().layer(layer).service(client);
///
/// let request = Request::get("https://api.example.com/things").body(())?;
/// let response = client.ready().await?.call(request).await?;
/// assert_eq!(response.body(), "Bearer mF_9.B5f-4.1JqM");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
pub struct BearerAuthLayer<P = CachedProvider> {
    settings: Arc<Settings<P>>,
}

impl<P> BearerAuthLayer<P> {
    /// A layer that asks `provider` for requests to `origins`, and leaves all others alone.
    pub fn new(provider: P, origins: Origins) -> Self {
        Self {
            settings: Arc::new(Settings::new(provider, origins)),
        }
    }

    /// The provider that all services of the layer share.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.settings.provider
    }
}

impl<P: Clone> BearerAuthLayer<P> {
    /// Sends the authorization in another header. Defaults to `authorization`.
    #[must_use]
    pub fn with_header_name(self, header_name: HeaderName) -> Self {
        let settings = Arc::unwrap_or_clone(self.settings).with_header_name(header_name);
        Self {
            settings: Arc::new(settings),
        }
    }
}

// `P` is behind the `Arc`: a clone of the layer asks nothing of it.
impl<P> Clone for BearerAuthLayer<P> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for BearerAuthLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("settings", &self.settings)
            .finish()
    }
}

impl<S, P> Layer<S> for BearerAuthLayer<P> {
    type Service = BearerAuth<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth::new(inner, Arc::clone(&self.settings))
    }
}
