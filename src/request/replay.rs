//! Which rejected requests are sent once more.

mod ready;

use std::fmt;

use http_body::Body;

pub use self::ready::{ReadyBody, ReplayReady};
use crate::provider::RequestHead;

/// Which requests are sent once more when their credential was rejected: a retry, of which there is
/// one at the most, and only with a newer credential.
///
/// [`BearerAuthLayer::replay`](crate::BearerAuthLayer::replay) sets the policy:
///
/// | policy | replays | asks of the body |
/// | --- | --- | --- |
/// | [`NoReplay`], the default | nothing | nothing |
/// | [`ReplayEmpty`] | requests without a body | `Body + Default` |
/// | [`ReplayWith`] | those whose body this function copies | nothing |
/// | [`ReplayEmptyOr`] | those without a body, else those whose body this function copies | `Body + Default` |
/// | [`ReplayReady`] | those whose body is there at once, up to a size | `Body<Data = Bytes> + Unpin` |
///
/// A replay has the method, the URI, the headers and the body of the request, and its extensions;
/// only the authorization differs. Each request whose body is kept pays for a copy of its head. A
/// rejected request whose body was not kept is not replayed, which is no error: its rejection goes
/// to the caller, and the next request is good.
///
/// A server rejects a credential before it acts on a request, so that a POST may be sent twice.
/// Where yours does not, keep nothing for it: a policy of your own sees method and path.
///
/// The trait is not dyn compatible, because of its constant. A policy that is chosen at run time is
/// an enum of your own, with a variant for each choice.
///
/// # Bodies
///
/// That a body is `Clone` does not mean that it can be sent twice: the clones of some share one
/// stream, and the second is empty. So no body is kept unless a policy says how.
///
/// # Examples
///
/// A policy of one's own, which replays what is safe to repeat:
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
/// and one that does is not:
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
/// let policy = ReplayWith(|_: &Upload| None); // it cannot be had again
/// let mut client = layer.replay(policy).layer(client);
/// let response = Service::call(&mut client, Request::new(Upload));
/// ```
///
/// Written as a method call, `client.ready()` or `client.call(request)`, the compiler says only
/// that bounds are not satisfied; written as above it says which, and what to do.
#[doc(alias = "retry")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot keep a request body of type `{B}`",
    label = "this policy does not fit the request body `{B}`",
    note = "`ReplayEmpty` takes a body that is `http_body::Body + Default`",
    note = "`ReplayReady` takes a body that is `http_body::Body<Data = Bytes> + Unpin`, and a function that wraps one: `ReplayReady::new(64 * 1024, axum::body::Body::new)`",
    note = "for any other, name a function: `ReplayWith(|body: &{B}| …)`, which returns `Some(copy)`, or `None` where the body cannot be sent twice",
    note = "`NoReplay`, the default, takes every body"
)]
pub trait Replay<B> {
    /// What is kept of a body until the response is there.
    type Kept;

    /// Whether anything is ever kept. Where this is false, [`keep`](Self::keep) is not called, and a
    /// request pays nothing. True by default.
    const KEEPS: bool = true;

    /// The body to send, and what to keep of it: `None` if it cannot be sent again.
    ///
    /// Called for each request to an allowed origin before its authorization is put on, also where
    /// it turns out to bring an authorization of its own. Not called for a request that is never
    /// replayed: one that is sent bare, one that is a replay, and one whose
    /// [caller judges the response](crate::PerRequest::judged_by_caller).
    fn keep(&self, head: RequestHead<'_>, body: B) -> (B, Option<Self::Kept>);

    /// The same body again, or `None` if it cannot be had after all. Called when the request was
    /// rejected and a login may help.
    fn again(&self, kept: Self::Kept) -> Option<B>;
}

/// No request is sent twice. The default, for every body.
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

/// Requests without a body are sent once more when their credential was rejected (a retry).
///
/// A body counts as empty if `is_end_stream()` is true before it is sent, as that of a GET is, boxed
/// or not. Its replay is sent with `Default::default()`.
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

/// Requests whose body this function can copy are sent once more when their credential was rejected
/// (a retry).
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
/// A type that can be named takes a function pointer:
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

/// Requests without a body are sent once more when their credential was rejected (a retry), and so
/// are those whose body this function can copy.
///
/// For bodies whose own copy leaves out the empty ones, or is costly for them.
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
/// /// What else the request says of its body would go here.
/// fn copy(_: &Body) -> Option<Body> {
///     None
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
