//! Which refused requests are sent once more.

use std::fmt;

use http_body::Body;

/// Which requests are sent once more when their credential was refused: a retry, of which there is
/// one at the most, and only with a newer credential.
///
/// [`NoReplay`] is the default, [`ReplayEmpty`] is for requests without a body, and
/// [`ReplayWith`] for a body that a function can copy.
/// [`BearerAuthLayer::replay`](crate::BearerAuthLayer::replay) sets it.
///
/// A replay has the method, the URI, the headers and the body of the request, and its extensions;
/// the authorization alone is another. To be able to, each request is copied before it is sent,
/// body aside: that is what replay costs. A refused request whose body could not be copied is not
/// replayed, which is no error: its refusal goes to the caller, and the next request is good.
///
/// A server refuses a credential before it acts on a request, so that a POST may be sent twice.
/// Where yours does not, copy nothing for it.
///
/// # Bodies
///
/// That a body is `Clone` does not mean that it can be sent twice: the clones of some share one
/// stream, and the second is empty. So a copy is never taken unasked. Where a body cannot be copied
/// at all (`tonic`, `axum`), collect it first, for instance with tower's `AsyncFilterLayer`; not
/// for streaming calls.
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
    message = "`{Self}` cannot copy a request body of type `{B}`",
    label = "this policy does not fit the request body `{B}`",
    note = "`ReplayEmpty` takes a body that is `http_body::Body + Default`",
    note = "for any other, name a function: `ReplayWith(|body: &{B}| …)`, which returns `Some(copy)`, or `None` where the body cannot be sent twice",
    note = "`NoReplay`, the default, takes every body"
)]
pub trait Replay<B> {
    /// The same body again, or `None` if it cannot be had: called for each request to an allowed
    /// origin, before it is sent, also where it turns out to bring an authorization of its own.
    fn copy(&self, body: &B) -> Option<B>;
}

/// No request is sent twice. The default, for every body.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReplay;

impl<B> Replay<B> for NoReplay {
    fn copy(&self, _body: &B) -> Option<B> {
        None
    }
}

/// Requests without a body are sent once more when their credential was refused (a retry).
///
/// A body is none when it is at its end before it is sent, as that of a GET is. Whatever `Default`
/// makes is sent in its place.
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
    fn copy(&self, body: &B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }
}

/// Requests whose body this function can copy are sent once more when their credential was refused
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
    fn copy(&self, body: &B) -> Option<B> {
        (self.0)(body)
    }
}

impl<F> fmt::Debug for ReplayWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplayWith").finish_non_exhaustive()
    }
}
