//! The layer.

use std::fmt;

use http::{HeaderMap, HeaderName, StatusCode};
use tower_layer::Layer;

use crate::{
    origin::Origins,
    provider::{CachedProvider, CredentialProvider},
    request::{NoReplay, PerService, ReplayWith, Settings, Share},
    service::BearerAuth,
};

/// A layer that puts an authorization on each request to the given origins.
///
/// A request that brings the header already is sent as it is, and what becomes of it is not the
/// layer's business (one that brings it twice is an error). A request to a foreign origin is sent
/// as it is as well: where a 401 comes back and no login happens, see whether the origins name the
/// URI's scheme, host and port, and what [`foreign_requests`](Self::foreign_requests) counts.
///
/// # Where to put it
///
/// ```text
/// right                          wrong
///
/// request                        request
///   │                              │
/// follow redirects ◀──┐          BearerAuth          asks once, for the first hop
///   │                 │ 302        │
/// BearerAuth          │          follow redirects ◀──┐
///   │  asks for each hop           │                 │ 302
/// client ─────────────┘          client ─────────────┘ record_sent on what it was given
/// ```
///
/// - *Outside* of what bounds or delays a request (a concurrency limit, a buffer), so that a
///   request that waits for a login takes nobody's place.
/// - *Inside* of what follows redirects: then each hop is a request of its own, and one to a
///   foreign origin goes bare. Outside of it the layer sees one request and one answer: whether
///   the token travels on is up to the policy of the redirects (tower-http's default takes away
///   `authorization` and no header of another name), and a 401 of the foreign host counts as a
///   refusal.
/// - Around a service that is `Clone`; a tower `BufferLayer` between makes one of any other.
/// - Over a client whose error differs from [`BoxError`](crate::BoxError), tower's `option_layer`
///   needs a `map_err(BoxError::from)` beneath.
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
pub struct BearerAuthLayer<P = CachedProvider, R = NoReplay> {
    share: Share<P, R>,
}

impl<P: CredentialProvider> BearerAuthLayer<P> {
    /// A layer that asks `provider` for requests to `origins`, and leaves all others alone.
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

    /// The number of requests that were sent bare so far: to foreign origins, with an authorization
    /// of their own, or by choice.
    #[must_use]
    pub fn bare_requests(&self) -> u64 {
        self.share.bare_requests()
    }

    /// The number of requests that were sent once more so far.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.share.replays()
    }

    /// The number of requests to foreign origins so far, which went bare or, where the origins are
    /// [strict](Origins::strict), nowhere.
    #[must_use]
    pub fn foreign_requests(&self) -> u64 {
        self.share.foreign_requests()
    }
}

impl<P, R> BearerAuthLayer<P, R> {
    /// Sends rejected requests once more with a newer credential (a retry), as far as the policy
    /// keeps them. Defaults to [`NoReplay`]; [`Replay`](crate::Replay) has a table of the others.
    ///
    /// Where the login for it fails, the response future ends with its [`Error`](crate::Error),
    /// since the rejected response is gone by then.
    #[doc(alias = "retry")]
    #[must_use]
    pub fn replay<R2>(self, policy: R2) -> BearerAuthLayer<P, R2> {
        BearerAuthLayer {
            share: Share::new(Settings::clone(&self.share).with_replay(policy)),
        }
    }

    /// As [`replay`](Self::replay), for requests whose body this function copies:
    /// [`ReplayWith`], with a closure that need not name the lifetime of its argument.
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

    /// Says what a rejection is: see [`rejection`](crate::rejection). Defaults to a 401, or
    /// `grpc-status: 16` in the headers.
    #[must_use]
    pub fn rejected_if(
        self,
        rejection: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.map(|settings| settings.with_rejection(rejection))
    }

    /// Replaces an authorization header that the caller has set, on requests to the origins.
    /// Without it, such a request is left alone.
    #[must_use]
    pub fn replacing_callers_header(self) -> Self {
        self.map(Settings::replacing_callers_header)
    }

    /// Sends the authorization in another header. Defaults to `authorization`.
    ///
    /// What follows redirects inside of the layer knows nothing of such a header, and takes it
    /// along to other hosts: put the layer inside.
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

// `P` and `R` are behind the `Arc`: a clone of the layer asks nothing of them.
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
