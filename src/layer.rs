//! The layer.

#[cfg(feature = "reqwest-middleware-05")]
mod reqwest_middleware_05;

use std::fmt;

use http::{HeaderMap, HeaderName, StatusCode};
use tower_layer::Layer;

use crate::{
    origin::Origins,
    provider::{CachedProvider, CredentialProvider},
    request::{NoReplay, PerService, ReplayWith, Settings, Share},
    service::BearerAuth,
};

/// A layer that adds an authorization header to each request to the allowed origins.
///
/// Two kinds of request are sent unchanged, and the provider learns nothing of their responses:
///
/// - A request to a foreign origin. [`foreign_requests`](Self::foreign_requests) counts these. If a
///   401 comes back and no login happens, check that the origins name the URI's scheme, host and
///   port.
/// - A request that already has the header. (A request that has it twice is an error.)
///
/// # Where to put it
///
/// ```text
/// right                          wrong
///
/// request                        request
///   │                              │
/// follow redirects ◀──┐          BearerAuth          authorizes the first hop only
///   │                 │ 302        │
/// BearerAuth          │          follow redirects ◀──┐
///   │  authorizes each hop         │                 │ 302
/// client ─────────────┘          client ─────────────┘ forwards the header, or removes it
/// ```
///
/// - *Outside* a concurrency limit. A request that waits for a login then occupies no slot.
/// - *Inside* the queue of a buffer or a rate limit. A token that queues there may
///   [die before it is sent](crate::guide::layer_order#buffer).
/// - *Inside* the layer that follows redirects. Each hop is then a request of its own, and a hop to a
///   foreign origin is sent bare. Outside that layer, this one sees one request and one response.
///   The redirect policy then decides whether the token travels on: tower-http's default removes
///   `authorization`, but no header of another name. A 401 from the foreign host counts as a
///   rejection. [The guide](crate::guide::layer_order) has the other layers.
/// - Around a service that is `Clone`. If yours is not, put a tower `BufferLayer` between the two.
/// - Over a client whose error differs from [`BoxError`](crate::BoxError), tower's `option_layer`
///   needs a `map_err(BoxError::from)` beneath this layer.
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
///     Ok(Credential::new("mF_9.B5f-4.1JqM")?) // call the API's login here
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
pub struct BearerAuthLayer<P = CachedProvider, R = NoReplay> {
    share: Share<P, R>,
}

impl<P: CredentialProvider> BearerAuthLayer<P> {
    /// A layer that authorizes requests to `origins` with credentials from `provider`. All other
    /// requests are sent unchanged.
    pub fn new(provider: P, origins: Origins) -> Self {
        Self {
            share: Share::new(Settings::new(provider, NoReplay, origins)),
        }
    }
}

impl<P, R> BearerAuthLayer<P, R> {
    /// The provider that all services of the layer share.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.share.provider
    }

    /// The number of requests sent bare so far: to foreign origins, with the caller's own header, or
    /// as [`PerRequest::bare`](crate::PerRequest::bare).
    #[must_use]
    pub fn bare_requests(&self) -> u64 {
        self.share.bare_requests()
    }

    /// The number of replays so far.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.share.replays()
    }

    /// The number of requests to foreign origins so far. They were sent bare, or failed if the
    /// origins are [strict](Origins::strict).
    #[must_use]
    pub fn foreign_requests(&self) -> u64 {
        self.share.foreign_requests()
    }
}

impl<P, R> BearerAuthLayer<P, R> {
    /// Sets the replay policy: which rejected requests are sent once more with a newer credential (a
    /// retry). Defaults to [`NoReplay`]; [`Replay`](crate::Replay) has a table of the others.
    ///
    /// If the login for a replay fails, the response future ends with the login's
    /// [`Error`](crate::Error): the rejected response was dropped before the login.
    #[doc(alias = "retry")]
    #[must_use]
    pub fn replay<R2>(self, policy: R2) -> BearerAuthLayer<P, R2> {
        BearerAuthLayer {
            share: Share::new(Settings::clone(&self.share).with_replay(policy)),
        }
    }

    /// Sets the replay policy [`ReplayWith`]: `copy` copies the request body, or returns `None`.
    ///
    /// Unlike `replay(ReplayWith(copy))`, it takes a closure without a type on its argument.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use tower_bearer::{BearerAuthLayer, Origins, StaticProvider};
    ///
    /// let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https())
    ///     .replay_with::<Full<Bytes>, _>(|body| Some(body.clone()));
    /// # let _ = layer;
    /// # Ok::<_, tower_bearer::InvalidToken>(())
    /// ```
    #[doc(alias = "retry")]
    #[must_use]
    pub fn replay_with<B, F: Fn(&B) -> Option<B>>(
        self,
        copy: F,
    ) -> BearerAuthLayer<P, ReplayWith<F>> {
        self.replay(ReplayWith(copy))
    }

    /// Sets which responses are rejections: see [`rejection`](crate::rejection). Defaults to a 401,
    /// or `grpc-status: 16` in the headers.
    #[must_use]
    pub fn rejected_if(
        self,
        rejection: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.map(|settings| settings.with_rejection(rejection))
    }

    /// Replaces an authorization header that the caller has set, on requests to the allowed
    /// origins. By default such a request is sent unchanged.
    #[must_use]
    pub fn replacing_callers_header(self) -> Self {
        self.map(Settings::replacing_callers_header)
    }

    /// Sends the authorization in another header. Defaults to `authorization`.
    ///
    /// A redirect policy inside this layer does not know such a header, and forwards it to other
    /// hosts. Put this layer inside the layer that follows redirects.
    #[must_use]
    pub fn with_header_name(self, header_name: HeaderName) -> Self {
        self.map(|settings| settings.with_header_name(header_name))
    }

    fn map(self, change: impl FnOnce(Settings<P, R>) -> Settings<P, R>) -> Self {
        Self {
            share: Share::new(change(Settings::clone(&self.share))),
        }
    }
}

// By hand, since a derive would demand `P: Clone` and `R: Clone`: both are behind an `Arc`.
impl<P, R> Clone for BearerAuthLayer<P, R> {
    fn clone(&self) -> Self {
        Self {
            share: self.share.clone(),
        }
    }
}

impl<P: fmt::Debug, R: fmt::Debug> fmt::Debug for BearerAuthLayer<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("settings", &*self.share)
            .finish()
    }
}

impl<S, P, R> Layer<S> for BearerAuthLayer<P, R> {
    type Service = BearerAuth<S, P, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth::new(inner, PerService::new(self.share.clone()))
    }
}
