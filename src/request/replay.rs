//! Replay policies: which rejected requests are sent once more.

mod ready;

use std::fmt;

use http_body::Body;

pub use self::ready::{ReadyBody, ReplayReady};
use crate::provider::RequestHead;

/// Which rejected requests are replayed: sent once more (a retry).
///
/// A request is replayed once at most, and only with a newer credential.
///
/// [`BearerAuthLayer::replay`](crate::BearerAuthLayer::replay) sets the policy:
///
/// | policy | replays | needs of the body type |
/// | --- | --- | --- |
/// | [`NoReplay`], the default | nothing | nothing |
/// | [`ReplayEmpty`] | requests without a body | `Body + Default` |
/// | [`ReplayWith`] | requests whose body your function copies | nothing |
/// | [`ReplayEmptyOr`] | requests without a body, and those whose body your function copies | `Body + Default` |
/// | [`ReplayReady`] | requests whose whole body can be read at once, up to a size | `Body<Data = Bytes> + Unpin` |
///
/// A replay has the method, the URI, the headers, the extensions and the body of the request. Only
/// the authorization differs. Each request whose body is kept costs a copy of its head. A rejected
/// request whose body was not kept is not replayed. That is no error: the caller gets the rejection,
/// and the next request gets a new credential.
///
/// A server usually checks the credential before it acts on a request, so even a POST may be sent
/// twice. If yours does not, keep no such request: a policy of your own sees method and path.
///
/// The trait is not dyn compatible, because of its constant. To choose a policy at run time, write
/// an enum with a variant for each choice.
///
/// # Bodies
///
/// A body that is `Clone` cannot always be sent twice: the clones of some share one stream, and the
/// second is empty. So no body is kept unless a policy says how.
///
/// # Examples
///
/// A policy of your own, for requests whose method is safe to repeat:
///
/// ```
/// use tower_bearer::{Replay, RequestHead};
///
/// struct ReplaySafe;
///
/// impl<B: Clone> Replay<B> for ReplaySafe {
///     type Kept = B;
///
///     fn keep(&self, head: RequestHead<'_>, body: B) -> (B, Option<B>) {
///         let kept = head.method.is_safe().then(|| body.clone());
///         (body, kept)
///     }
///
///     fn again(&self, kept: B) -> Option<B> {
///         Some(kept)
///     }
/// }
/// ```
///
/// A policy that does not fit the body is a compile error:
///
/// ```compile_fail,E0277
/// # use http::{Request, Response};
/// # use tower::{Layer, Service};
/// # use tower_bearer::{BearerAuthLayer, Origins, ReplayEmpty, StaticProvider};
/// struct Upload; // no body to `http_body`, and no `Default`
///
/// # let client = tower::service_fn(|_: Request<Upload>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(()))
/// # });
/// # let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), Origins::any_https());
/// let mut client = layer.replay(ReplayEmpty).layer(client);
/// let response = Service::call(&mut client, Request::new(Upload));
/// ```
///
/// A policy that fits compiles:
///
/// ```
/// # use http::{Request, Response};
/// # use tower::{Layer, Service};
/// # use tower_bearer::{BearerAuthLayer, Origins, ReplayWith, StaticProvider};
/// struct Upload;
///
/// # let client = tower::service_fn(|_: Request<Upload>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(()))
/// # });
/// # let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), Origins::any_https());
/// let policy = ReplayWith(|_: &Upload| None); // an upload cannot be copied
/// let mut client = layer.replay(policy).layer(client);
/// let response = Service::call(&mut client, Request::new(Upload));
/// ```
///
/// For a method call, `client.ready()` or `client.call(request)`, the compiler only says that bounds
/// are not satisfied. For the call above, it names the bound and the remedy.
#[doc(alias = "retry")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot keep a request body of type `{B}`",
    label = "this policy does not fit the request body `{B}`",
    note = "`ReplayEmpty` takes a body that is `http_body::Body + Default`",
    note = "`ReplayReady` takes a body that is `http_body::Body<Data = Bytes> + Unpin`, and a function that wraps one: `ReplayReady::new(64 * 1024, axum::body::Body::new)`",
    note = "for any other body, pass a function: `ReplayWith(|body: &{B}| …)` returns `Some(copy)`, or `None` if the body cannot be sent twice",
    note = "`NoReplay`, the default, takes every body"
)]
pub trait Replay<B> {
    /// The copy of a body that is kept until the response arrives.
    type Kept;

    /// Whether the policy ever keeps a body. If false, [`keep`](Self::keep) is not called, and the
    /// policy costs nothing. Defaults to true.
    const KEEPS: bool = true;

    /// Returns the body to send, and its copy: `None` if it cannot be sent again.
    ///
    /// Called for each request to an allowed origin before its authorization is added, even if the
    /// caller has set the header. Not called for a request that is never replayed: one that is sent
    /// bare, one that is a replay, and one whose
    /// [caller judges the response](crate::PerRequest::judged_by_caller).
    fn keep(&self, head: RequestHead<'_>, body: B) -> (B, Option<Self::Kept>);

    /// Makes the body again, or returns `None` if that is impossible after all. Called when the
    /// request was rejected and a login may help.
    fn again(&self, kept: Self::Kept) -> Option<B>;
}

/// Replays nothing. The default, for every body.
///
/// # Examples
///
/// The types of a layer and a service without a replay policy:
///
/// ```
/// use tower_bearer::{BearerAuth, BearerAuthLayer, CachedProvider, NoReplay};
///
/// fn same<S>(service: BearerAuth<S>) -> BearerAuth<S, CachedProvider, NoReplay> {
///     service
/// }
///
/// /// Switches the replays of a layer off.
/// fn off<R>(layer: BearerAuthLayer<CachedProvider, R>) -> BearerAuthLayer {
///     layer.replay(NoReplay)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReplay;

impl<B> Replay<B> for NoReplay {
    type Kept = std::convert::Infallible;

    const KEEPS: bool = false;

    fn keep(&self, _head: RequestHead<'_>, body: B) -> (B, Option<Self::Kept>) {
        (body, None)
    }

    fn again(&self, kept: Self::Kept) -> Option<B> {
        match kept {}
    }
}

/// Replays rejected requests without a body (a retry).
///
/// A body counts as empty if `is_end_stream()` is true before it is sent. That of a GET usually is,
/// boxed or not. The body of the replay is `Default::default()`.
///
/// # Examples
///
/// ```
/// use tower_bearer::{BearerAuthLayer, Origins, ReplayEmpty};
/// # let provider = tower_bearer::StaticProvider::new("abc")?;
///
/// let layer = BearerAuthLayer::new(provider, Origins::any_https()).replay(ReplayEmpty);
/// # let _ = layer;
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
#[doc(alias = "retry")]
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayEmpty;

#[diagnostic::do_not_recommend]
impl<B: Body + Default> Replay<B> for ReplayEmpty {
    type Kept = ();

    fn keep(&self, _head: RequestHead<'_>, body: B) -> (B, Option<()>) {
        let kept = body.is_end_stream().then_some(());
        (body, kept)
    }

    fn again(&self, (): ()) -> Option<B> {
        Some(B::default())
    }
}

/// Replays rejected requests whose body this function copies (a retry).
///
/// [`BearerAuthLayer::replay_with`](crate::BearerAuthLayer::replay_with) is shorter.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tower_bearer::{BearerAuthLayer, Origins, ReplayWith};
/// # let provider = tower_bearer::StaticProvider::new("abc")?;
///
/// let layer = BearerAuthLayer::new(provider, Origins::any_https())
///     .replay(ReplayWith(|body: &Full<Bytes>| Some(body.clone())));
/// # let _ = layer;
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
///
/// With a function pointer, the type can be named:
///
/// ```
/// # use bytes::Bytes;
/// # use http_body_util::Full;
/// use tower_bearer::{BearerAuthLayer, CachedProvider, ReplayWith};
///
/// type Layer = BearerAuthLayer<CachedProvider, ReplayWith<fn(&Full<Bytes>) -> Option<Full<Bytes>>>>;
/// # let _ = std::mem::size_of::<Layer>();
/// ```
#[doc(alias = "retry")]
#[derive(Clone, Copy)]
pub struct ReplayWith<F>(pub F);

#[diagnostic::do_not_recommend]
impl<B, F: Fn(&B) -> Option<B>> Replay<B> for ReplayWith<F> {
    type Kept = B;

    fn keep(&self, _head: RequestHead<'_>, body: B) -> (B, Option<B>) {
        let kept = (self.0)(&body);
        (body, kept)
    }

    fn again(&self, kept: B) -> Option<B> {
        Some(kept)
    }
}

impl<F> fmt::Debug for ReplayWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplayWith").finish_non_exhaustive()
    }
}

/// Replays rejected requests without a body, and those whose body this function copies (a retry).
///
/// For body types whose own copy does not work for empty bodies, or is costly for them.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::{Full, combinators::BoxBody};
/// use tower_bearer::{BearerAuthLayer, Origins, ReplayEmptyOr};
/// # let provider = tower_bearer::StaticProvider::new("abc")?;
///
/// type Body = BoxBody<Bytes, std::io::Error>;
///
/// fn copy(_: &Body) -> Option<Body> {
///     None // copy the bodies that your client can send twice here
/// }
///
/// let layer = BearerAuthLayer::new(provider, Origins::any_https()).replay(ReplayEmptyOr(copy));
/// # let _ = layer;
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
#[doc(alias = "retry")]
#[derive(Clone, Copy)]
pub struct ReplayEmptyOr<F>(pub F);

#[diagnostic::do_not_recommend]
impl<B: Body + Default, F: Fn(&B) -> Option<B>> Replay<B> for ReplayEmptyOr<F> {
    /// `None` for an empty body.
    type Kept = Option<B>;

    fn keep(&self, _head: RequestHead<'_>, body: B) -> (B, Option<Self::Kept>) {
        let kept = match body.is_end_stream() {
            true => Some(None),
            false => (self.0)(&body).map(Some),
        };
        (body, kept)
    }

    fn again(&self, kept: Self::Kept) -> Option<B> {
        Some(kept.unwrap_or_default())
    }
}

impl<F> fmt::Debug for ReplayEmptyOr<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplayEmptyOr").finish_non_exhaustive()
    }
}
