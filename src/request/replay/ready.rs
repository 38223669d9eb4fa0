//! The replay of bodies that can be read without waiting.

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

/// Replays rejected requests whose whole body can be read at once (a retry): for bodies that cannot
/// be copied, such as those of tonic, axum and reqwest.
///
/// It reads from the body before the request is sent, *without waiting*. A body that ends within the
/// limit is kept. Otherwise the request is sent with the frames already read, followed by the rest of
/// the body, and is not replayed. That happens to a body that:
///
/// - is pending,
/// - is longer than the limit,
/// - fails,
/// - has trailers, or
/// - ends at another size than its `size_hint()` allows.
///
/// So a unary gRPC call is replayed, and a stream that pauses passes unchanged.
///
/// A body that is not kept has its own size hint, so it looks the same on the wire as without this
/// policy. A body that is kept has an exact size, and so has its replay.
///
/// Each request with a body costs two boxes and the wrapping. The bytes themselves are shared if they
/// came in one frame, and copied once if they came in several.
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
/// With a function pointer, the type can be named:
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
    /// Keeps bodies of up to `limit` bytes. `wrap` turns a [`ReadyBody`] into a request body.
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
        let hint = body.size_hint();
        if body.is_end_stream() {
            return (body, allows(&hint, 0).then(Bytes::new));
        }
        if hint.lower() > self.limit as u64 {
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

/// The frames of a body that [`ReplayReady`] has read, followed by the rest of the body.
///
/// # Examples
///
/// Only [`ReplayReady`] makes one, and passes it to the function that wraps it:
///
/// ```
/// use axum::body::Body;
/// use tower_bearer::{ReadyBody, ReplayReady};
///
/// fn wrap(body: ReadyBody<Body>) -> Body {
///     Body::new(body)
/// }
///
/// let policy = ReplayReady::new(64 * 1024, wrap);
/// # let _ = policy;
/// ```
pub struct ReadyBody<B: Body> {
    /// The results of polling the body, in order: `None` for its end.
    read: VecDeque<Option<Result<Frame<Bytes>, B::Error>>>,
    /// The size hint of the whole body, from before it was polled.
    hint: SizeHint,
    /// The number of bytes of `read` that the reader has taken.
    passed_on: u64,
    rest: Option<B>,
}

enum Read<B: Body> {
    Whole(Bytes),
    Part(ReadyBody<B>),
}

impl<B: Body> ReadyBody<B> {
    fn of(bytes: Bytes) -> Self {
        let hint = SizeHint::with_exact(bytes.len() as u64);
        let mut read = VecDeque::new();
        if !bytes.is_empty() {
            read.push_back(Some(Ok(Frame::data(bytes))));
        }
        Self {
            read,
            hint,
            passed_on: 0,
            rest: None,
        }
    }

    fn remaining_hint(&self) -> SizeHint {
        let left = |bytes: u64| bytes.saturating_sub(self.passed_on);
        let mut hint = SizeHint::new();
        hint.set_lower(left(self.hint.lower()));
        if let Some(upper) = self.hint.upper() {
            hint.set_upper(left(upper));
        }
        hint
    }
}

impl<B: Body<Data = Bytes> + Unpin> ReadyBody<B> {
    /// Reads until the body ends, is pending, fails, has trailers or has more than `limit` bytes. A
    /// body that ends at another size than its hint allows is passed on as it is: the client must
    /// notice the mismatch.
    fn read(mut body: B, limit: usize) -> Read<B> {
        let hint = body.size_hint();
        let mut read = VecDeque::new();
        // A pending body is polled again by its reader, whose waker replaces this one.
        let mut cx = Context::from_waker(Waker::noop());
        let mut counted = 0;
        let has_ended = loop {
            let Poll::Ready(next) = Pin::new(&mut body).poll_frame(&mut cx) else {
                break false;
            };
            let is_end = next.is_none();
            let frame = next.as_ref().and_then(|next| next.as_ref().ok());
            let size = frame.and_then(Frame::data_ref).map(Bytes::len);
            read.push_back(next);
            let Some(size) = size else { break is_end };
            // An empty frame counts as a byte: an endless row of them must reach the limit.
            counted += size.max(1);
            if counted > limit {
                break false;
            }
            if body.is_end_stream() {
                break true;
            }
        };
        let size = chunks(&read).map(Bytes::len).sum();
        if has_ended && allows(&hint, size as u64) {
            return Read::Whole(joined(&read, size));
        }
        Read::Part(Self {
            read,
            hint,
            passed_on: 0,
            rest: Some(body),
        })
    }
}

/// The data frames among the results.
fn chunks<E>(read: &VecDeque<Option<Result<Frame<Bytes>, E>>>) -> impl Iterator<Item = &Bytes> {
    let frames = read.iter().flatten().flatten();
    frames.filter_map(Frame::data_ref)
}

/// The data frames in one buffer of `size` bytes.
fn joined<E>(read: &VecDeque<Option<Result<Frame<Bytes>, E>>>, size: usize) -> Bytes {
    let mut chunks_read = chunks(read);
    match (chunks_read.next(), chunks_read.next()) {
        (None, _) => Bytes::new(),
        (Some(only), None) => only.clone(),
        _ => {
            let mut joined = BytesMut::with_capacity(size);
            chunks(read).for_each(|chunk| joined.extend_from_slice(chunk));
            joined.freeze()
        }
    }
}

/// Whether the hint allows this size.
fn allows(hint: &SizeHint, size: u64) -> bool {
    hint.lower() <= size && hint.upper().is_none_or(|upper| size <= upper)
}

// Only the rest is ever pinned, so the error type need not be `Unpin`.
impl<B: Body + Unpin> Unpin for ReadyBody<B> {}

impl<B: Body<Data = Bytes> + Unpin> Body for ReadyBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(next) = self.read.pop_front() {
            if let Some(Ok(frame)) = &next
                && let Some(data) = frame.data_ref()
            {
                self.passed_on += data.len() as u64;
            }
            return Poll::Ready(next);
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(rest) if self.read.is_empty() => rest.size_hint(),
            _ => self.remaining_hint(),
        }
    }
}

impl<B: Body> fmt::Debug for ReadyBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyBody").finish_non_exhaustive()
    }
}
