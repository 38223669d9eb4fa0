//! The replay of bodies that are there at once.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::Replay;
use crate::provider::RequestHead;

/// Requests whose body is there at once are sent once more when their credential was rejected (a
/// retry): for bodies that cannot be copied, as those of tonic, axum and reqwest.
///
/// It reads from the body before the request is sent, *without waiting*. Where the body ends within
/// the limit, it is kept. Otherwise the request goes on with what was read in front, frame for
/// frame, and is not replayed: a body that is pending, longer, fails or has trailers. So a unary
/// gRPC call is replayed, and a stream with a pause passes untouched.
///
/// Each request with a body pays for two boxes and the wrapping. The bytes themselves are shared
/// where they came in one frame, and copied once where they came in several.
///
/// # Examples
///
/// Under a tonic client, messages up to 64 KiB:
///
/// ```
/// use tower_bearer::{BearerAuthLayer, Origins, ReplayReady, StaticProvider};
///
/// let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, Origins::any_https())
///     .replay(ReplayReady::new(64 * 1024, tonic::body::Body::new));
/// # let _ = layer;
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
///
/// A type that can be named takes a function pointer:
///
/// ```
/// use axum::body::Body;
/// use tower_bearer::{BearerAuthLayer, CachedProvider, ReadyBody, ReplayReady};
///
/// type Policy = ReplayReady<fn(ReadyBody<Body>) -> Body>;
/// type Layer = BearerAuthLayer<CachedProvider, Policy>;
///
/// let policy: Policy = ReplayReady::new(64 * 1024, Body::new);
/// # let _ = (policy, std::mem::size_of::<Layer>());
/// ```
#[doc(alias = "retry")]
#[derive(Clone, Copy)]
pub struct ReplayReady<F> {
    limit: usize,
    wrap: F,
}

impl<F> ReplayReady<F> {
    /// Keeps bodies of up to `limit` bytes, and makes a body of what was read with `wrap`.
    #[must_use]
    pub fn new<B: Body>(limit: usize, wrap: F) -> Self
    where
        F: Fn(ReadyBody<B>) -> B,
    {
        Self { limit, wrap }
    }
}

#[diagnostic::do_not_recommend]
impl<B, F> Replay<B> for ReplayReady<F>
where
    B: Body<Data = Bytes> + Unpin,
    F: Fn(ReadyBody<B>) -> B,
{
    type Kept = Bytes;

    fn keep(&self, _head: RequestHead<'_>, body: B) -> (B, Option<Bytes>) {
        if body.is_end_stream() {
            return (body, Some(Bytes::new()));
        }
        if body.size_hint().lower() > self.limit as u64 {
            return (body, None);
        }
        let (body, kept) = match ReadyBody::read(body, self.limit) {
            Read::Whole(bytes) => (ReadyBody::of(bytes.clone()), Some(bytes)),
            Read::Part(body) => (body, None),
        };
        ((self.wrap)(body), kept)
    }

    fn again(&self, kept: Bytes) -> Option<B> {
        Some((self.wrap)(ReadyBody::of(kept)))
    }
}

impl<F> fmt::Debug for ReplayReady<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayReady")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What [`ReplayReady`] has read of a body, followed by the rest of it.
pub struct ReadyBody<B: Body> {
    frames: VecDeque<Frame<Bytes>>,
    error: Option<B::Error>,
    rest: Option<B>,
}

enum Read<B: Body> {
    Whole(Bytes),
    Part(ReadyBody<B>),
}

impl<B: Body> ReadyBody<B> {
    fn of(bytes: Bytes) -> Self {
        let mut frames = VecDeque::new();
        if !bytes.is_empty() {
            frames.push_back(Frame::data(bytes));
        }
        Self {
            frames,
            error: None,
            rest: None,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> ReadyBody<B> {
    /// Reads until the body ends, is pending, fails, has trailers or has more than `limit` bytes.
    fn read(mut body: B, limit: usize) -> Read<B> {
        let mut frames = VecDeque::new();
        // The body is polled again by its reader, which brings a waker of its own.
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = 0;
        let mut error = None;
        while read <= limit {
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(None) => return Read::Whole(joined(&frames)),
                Poll::Ready(Some(Ok(frame))) => {
                    let data = frame.data_ref().map(Bytes::len);
                    frames.push_back(frame);
                    let Some(data) = data else { break };
                    // An empty frame counts too: an endless row of them must end.
                    read += data.max(1);
                    if read <= limit && body.is_end_stream() {
                        return Read::Whole(joined(&frames));
                    }
                }
                Poll::Ready(Some(Err(failure))) => {
                    error = Some(failure);
                    break;
                }
                Poll::Pending => break,
            }
        }
        Read::Part(Self {
            frames,
            error,
            rest: Some(body),
        })
    }
}

/// The bytes of data frames.
fn joined(frames: &VecDeque<Frame<Bytes>>) -> Bytes {
    let mut data = frames.iter().filter_map(Frame::data_ref);
    match (data.next(), data.next()) {
        (None, _) => Bytes::new(),
        (Some(only), None) => only.clone(),
        _ => {
            let data = || frames.iter().filter_map(Frame::data_ref);
            let mut joined = BytesMut::with_capacity(data().map(Bytes::len).sum());
            data().for_each(|data| joined.extend_from_slice(data));
            joined.freeze()
        }
    }
}

// Nothing but the rest is ever pinned, whatever the error is.
impl<B: Body + Unpin> Unpin for ReadyBody<B> {}

impl<B: Body<Data = Bytes> + Unpin> Body for ReadyBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
            && self.error.is_none()
            && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.frames.iter().filter_map(Frame::data_ref);
        let read: u64 = data.map(|data| data.len() as u64).sum();
        let rest = match &self.rest {
            Some(rest) => rest.size_hint(),
            None => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B: Body> fmt::Debug for ReadyBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyBody").finish_non_exhaustive()
    }
}
