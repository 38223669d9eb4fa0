//! Bodies that are there at once are kept and replayed; all others pass untouched.

mod support;

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{
    BodyExt, Empty, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};
use support::{Issuer, URL, origins};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, ReadyBody, Replay, ReplayEmpty, ReplayEmptyOr, ReplayReady,
    RequestHead,
};

/// What a body does when it is polled.
enum Act {
    Data(&'static str),
    Trailers,
    Fail,
    Wait,
}
use Act::{Data, Fail, Trailers, Wait};

/// Does one thing after the other.
struct Scripted {
    acts: VecDeque<Act>,
    /// Its size hint, where it has one.
    told: Option<u64>,
    polls: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            acts: acts.into_iter().collect(),
            told: None,
            polls: Arc::default(),
        }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.polls.fetch_add(1, SeqCst);
        match self.acts.pop_front() {
            None => Poll::Ready(None),
            Some(Data(data)) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
            }
            Some(Trailers) => Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))),
            Some(Fail) => Poll::Ready(Some(Err(io::Error::other("scripted")))),
            Some(Wait) => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.told {
            Some(told) => SizeHint::with_exact(told),
            None => SizeHint::default(),
        }
    }
}

type Boxed = UnsyncBoxBody<Bytes, io::Error>;

const LIMIT: usize = 8;

fn policy() -> ReplayReady<fn(ReadyBody<Boxed>) -> Boxed> {
    ReplayReady::new(LIMIT, ReadyBody::boxed_unsync)
}

/// All that is left of a body, a word for each frame: a body that is pending is polled again.
fn frames(body: impl Body<Data = Bytes, Error = io::Error>) -> Vec<String> {
    let mut body = pin!(body);
    let mut frames = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        frames.push(match body.as_mut().poll_frame(&mut cx) {
            Poll::Pending => "pending".to_owned(),
            Poll::Ready(None) => return frames,
            Poll::Ready(Some(Err(error))) => error.to_string(),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => String::from_utf8(data.to_vec()).unwrap(),
                Err(_) => "trailers".to_owned(),
            },
        });
    }
}

/// The body to send, and what the policy keeps of it.
fn keep(body: Scripted) -> (Boxed, Option<Bytes>) {
    let request = Request::new(());
    policy().keep(RequestHead::of(&request), body.boxed_unsync())
}

/// What is sent of a body, and what of its replay.
fn kept(body: Scripted) -> (Vec<String>, Option<Vec<String>>) {
    let (sent, kept) = keep(body);
    let again = kept.and_then(|kept| policy().again(kept));
    (frames(sent), again.map(frames))
}

#[test]
fn what_is_there_at_once_is_kept_up_to_the_limit() {
    let whole = |text: &str| (vec![text.to_owned()], Some(vec![text.to_owned()]));
    assert_eq!(kept(Scripted::new([Data("1234")])), whole("1234"));
    assert_eq!(kept(Scripted::new([Data("12345678")])), whole("12345678"));
    assert_eq!(
        kept(Scripted::new([Data("12"), Data("34"), Data("5678")])),
        whole("12345678")
    );
    assert_eq!(kept(Scripted::new([])), (vec![], Some(vec![])));
}

#[test]
fn all_other_bodies_go_on_frame_for_frame_and_are_not_kept() {
    let untouched = |frames: &[&str]| {
        let frames = frames.iter().map(|&frame| frame.to_owned());
        (frames.collect::<Vec<_>>(), None)
    };
    for (acts, expected) in [
        // The first wait is the policy's: it does not wait.
        (vec![Wait, Data("1")], untouched(&["1"])),
        (vec![Data("1"), Wait, Data("2")], untouched(&["1", "2"])),
        (
            vec![Data("1"), Wait, Wait, Data("2")],
            untouched(&["1", "pending", "2"]),
        ),
        (vec![Data("123456789")], untouched(&["123456789"])),
        (
            vec![Data("12345678"), Data("9")],
            untouched(&["12345678", "9"]),
        ),
        (
            vec![Data("1"), Fail, Data("2")],
            untouched(&["1", "scripted", "2"]),
        ),
        (vec![Data("1"), Trailers], untouched(&["1", "trailers"])),
        (vec![Trailers], untouched(&["trailers"])),
    ] {
        assert_eq!(kept(Scripted::new(acts)), expected);
    }
}

#[test]
fn a_body_that_says_it_is_too_long_is_not_read() {
    for (told, polls) in [(9, 0), (8, 1)] {
        let mut body = Scripted::new([Wait]);
        body.told = Some(told);
        let polled = Arc::clone(&body.polls);
        let (sent, kept) = keep(body);
        assert!(kept.is_none());
        assert_eq!(polled.load(SeqCst), polls);
        assert_eq!(sent.size_hint().exact(), Some(told));
    }
}

#[test]
fn a_row_of_empty_frames_is_not_read_for_ever() {
    let body = Scripted::new((0..100).map(|_| Data("")));
    let polls = Arc::clone(&body.polls);
    let (_, kept) = keep(body);
    assert!(kept.is_none());
    assert_eq!(polls.load(SeqCst), LIMIT + 1);
}

#[test]
fn what_was_read_counts_in_the_size_and_the_end() {
    let hint = |acts: Vec<Act>, told| {
        let mut body = Scripted::new(acts);
        body.told = told;
        let (sent, _) = keep(body);
        let hint = sent.size_hint();
        (hint.lower(), hint.upper(), sent.is_end_stream())
    };
    assert_eq!(hint(vec![Data("1234")], None), (4, Some(4), false));
    assert_eq!(hint(vec![Data("1"), Wait], None), (1, None, false));
    // As if one byte of five had been read.
    assert_eq!(hint(vec![Data("1"), Wait], Some(4)), (5, Some(5), false));
    assert_eq!(hint(vec![], None), (0, Some(0), true));
}

/// Sends a body to an API that rejects the first login's token. Returns how often it was sent.
async fn sends<B, R>(policy: R, body: B) -> (StatusCode, Vec<Bytes>)
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
    R: Replay<B>,
{
    let api = service_fn(|request: Request<B>| async {
        let status = match request.headers()["authorization"].to_str().unwrap() {
            "Bearer token-1" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::OK,
        };
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut response = Response::new(body.clone());
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    let bodies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let api = api.map_response(move |response: Response<Bytes>| {
        seen.lock().unwrap().push(response.body().clone());
        response
    });
    let provider = CachedProvider::new(Issuer::new());
    let layer = BearerAuthLayer::new(provider, origins()).replay(policy);
    let request = Request::post(URL).body(body).unwrap();
    let response = layer.layer(api).oneshot(request).await.unwrap();
    let bodies = std::mem::take(&mut *bodies.lock().unwrap());
    (response.status(), bodies)
}

#[tokio::test]
async fn bodies_of_axum_and_tonic_are_replayed_in_one_line() {
    let twice = (StatusCode::OK, vec![Bytes::from_static(b"hello"); 2]);
    let policy = ReplayReady::new(64 * 1024, axum::body::Body::new);
    assert_eq!(sends(policy, axum::body::Body::from("hello")).await, twice);
    let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    let body = tonic::body::Body::new(Full::from("hello"));
    assert_eq!(sends(policy, body).await, twice);
}

#[tokio::test]
async fn an_empty_body_is_replayed_boxed_or_not() {
    let twice = (StatusCode::OK, vec![Bytes::new(); 2]);
    let empty = Empty::<Bytes>::new;
    assert_eq!(sends(ReplayEmpty, empty()).await, twice);
    assert_eq!(sends(ReplayEmpty, empty().boxed()).await, twice);
    assert_eq!(sends(ReplayEmpty, empty().boxed_unsync()).await, twice);
    assert_eq!(sends(ReplayEmpty, axum::body::Body::empty()).await, twice);
    assert_eq!(sends(ReplayEmpty, tonic::body::Body::empty()).await, twice);
    let once = (StatusCode::UNAUTHORIZED, vec![Bytes::from_static(b"hello")]);
    let full = Full::<Bytes>::from("hello");
    assert_eq!(sends(ReplayEmpty, full.boxed()).await, once);
}

#[tokio::test]
async fn what_is_not_empty_is_copied_by_the_function() {
    type Body = BoxBody<Bytes, Infallible>;
    fn short(body: &Body) -> Option<Body> {
        (body.size_hint().exact()? < 3).then(|| Full::from("hi").boxed())
    }
    let policy = || ReplayEmptyOr(short);
    let boxed = |text: &'static str| Full::<Bytes>::from(text).boxed();
    assert_eq!(sends(policy(), boxed("")).await.1.len(), 2);
    assert_eq!(sends(policy(), boxed("hi")).await.1, ["hi", "hi"]);
    assert_eq!(sends(policy(), boxed("hello")).await.1.len(), 1);
}
