//! Bodies that are ready at once are kept and replayed. All others pass through unchanged.

mod support;

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
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
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use support::{Issuer, URL, origins, patient};
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, NoReplay, Origins, ReadyBody, Replay, ReplayEmpty,
    ReplayEmptyOr, ReplayReady, RequestHead, StaticProvider,
};

/// What a body returns when it is polled.
enum Act {
    Data(&'static str),
    Trailers,
    Fail,
    Wait,
}
use Act::{Data, Fail, Trailers, Wait};

/// Returns these one after the other.
struct Scripted {
    acts: VecDeque<Act>,
    /// Its size hint, which does not shrink while the body is read.
    size: (u64, Option<u64>),
    /// Whether the body reports its end together with the last frame.
    knows_its_end: bool,
    polls: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            acts: acts.into_iter().collect(),
            size: (0, None),
            knows_its_end: false,
            polls: Arc::default(),
        }
    }

    fn of_size(self, lower: u64, upper: Option<u64>) -> Self {
        Self {
            size: (lower, upper),
            ..self
        }
    }

    fn knowing_its_end(self) -> Self {
        Self {
            knows_its_end: true,
            ..self
        }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.polls.fetch_add(1, SeqCst);
        match self.acts.pop_front() {
            None => Poll::Ready(None),
            Some(Data(data)) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
            }
            Some(Trailers) => Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))),
            Some(Fail) => Poll::Ready(Some(Err(io::Error::other("scripted")))),
            Some(Wait) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.acts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.size.0);
        if let Some(upper) = self.size.1 {
            hint.set_upper(upper);
        }
        hint
    }
}

type Boxed = UnsyncBoxBody<Bytes, io::Error>;

const LIMIT: usize = 8;

fn policy() -> ReplayReady<fn(ReadyBody<Boxed>) -> Boxed> {
    ReplayReady::new(LIMIT, ReadyBody::boxed_unsync)
}

/// The remaining frames of a body, one word for each. A pending body is polled again.
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

/// The frames that are sent, and those of the replay.
fn kept(body: Scripted) -> (Vec<String>, Option<Vec<String>>) {
    let (sent, kept) = keep(body);
    let again = kept.and_then(|kept| policy().again(kept));
    (frames(sent), again.map(frames))
}

#[test]
fn a_body_that_is_ready_at_once_is_kept_up_to_the_limit() {
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
fn all_other_bodies_pass_frame_by_frame_and_are_not_kept() {
    let untouched = |frames: &[&str]| {
        let frames = frames.iter().map(|&frame| frame.to_owned());
        (frames.collect::<Vec<_>>(), None)
    };
    for (acts, expected) in [
        // The policy does not wait: the first `Pending` ends its reading.
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
fn a_body_whose_size_hint_is_too_large_is_not_read() {
    for (size, polls) in [(9, 0), (8, 1)] {
        let body = Scripted::new([Wait]).of_size(size, Some(size));
        let polled = Arc::clone(&body.polls);
        let (sent, kept) = keep(body);
        assert!(kept.is_none());
        assert_eq!(polled.load(SeqCst), polls);
        assert_eq!(sent.size_hint().exact(), Some(size));
    }
}

#[test]
fn endless_empty_frames_are_not_read_for_ever() {
    let body = Scripted::new((0..100).map(|_| Data("")));
    let polls = Arc::clone(&body.polls);
    let (_, kept) = keep(body);
    assert!(kept.is_none());
    assert_eq!(polls.load(SeqCst), LIMIT + 1);
}

// A body of exactly the limit may announce its size, and so may a longer one.
#[test]
fn a_body_that_ends_beyond_the_limit_is_not_kept() {
    let whole = |text: &str| (vec![text.to_owned()], Some(vec![text.to_owned()]));
    let body = |text| Scripted::new([Data(text)]).knowing_its_end();
    assert_eq!(kept(body("12345678")), whole("12345678"));
    assert_eq!(
        kept(body("123456789")),
        (vec!["123456789".to_owned()], None)
    );
}

#[test]
fn a_body_that_contradicts_its_size_hint_is_not_kept() {
    for (lower, upper, is_kept) in [
        (0, None, true),
        (4, None, true),
        (5, None, false),
        (0, Some(4), true),
        (0, Some(3), false),
        (4, Some(4), true),
        (3, Some(3), false),
        (5, Some(5), false),
    ] {
        for knows_its_end in [false, true] {
            let mut body = Scripted::new([Data("12"), Data("34")]).of_size(lower, upper);
            body.knows_its_end = knows_its_end;
            let (sent, again) = kept(body);
            let (expected, expected_again) = match is_kept {
                true => (vec!["1234"], Some(vec!["1234".to_owned()])),
                false => (vec!["12", "34"], None),
            };
            assert_eq!(sent, expected, "{lower} {upper:?}");
            assert_eq!(again, expected_again, "{lower} {upper:?}");
        }
    }
    let empty = |size| Scripted::new([]).of_size(size, None).knowing_its_end();
    assert!(keep(empty(0)).1.is_some());
    assert!(keep(empty(1)).1.is_none());
}

/// The size hint and the end flag of a body before each poll, up to the third.
fn sizes(body: Scripted) -> Vec<(u64, Option<u64>, bool)> {
    let (sent, _) = keep(body);
    let mut sent = pin!(sent);
    let mut cx = Context::from_waker(Waker::noop());
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let hint = sent.size_hint();
        sizes.push((hint.lower(), hint.upper(), sent.is_end_stream()));
        let _ = sent.as_mut().poll_frame(&mut cx);
    }
    sizes
}

#[test]
fn a_whole_body_has_an_exact_size() {
    let (four, none) = ((4, Some(4), false), (0, Some(0), true));
    let body = || Scripted::new([Data("12"), Data("34")]);
    assert_eq!(sizes(body()), [four, none, none]);
    assert_eq!(sizes(body().of_size(1, Some(9))), [four, none, none]);
    assert_eq!(sizes(Scripted::new([])), [none, none, none]);
}

#[test]
fn the_size_hint_shrinks_by_what_was_passed_on() {
    let body = |acts: Vec<Act>| Scripted::new(acts).of_size(5, Some(9));
    let of = |lower, upper| (lower, Some(upper), false);
    // The rest reports its own size, which does not shrink.
    let (all, rest) = (of(5, 9), of(5, 9));
    let waits = body(vec![Data("12"), Data("3"), Wait, Data("45")]);
    assert_eq!(sizes(waits), [all, of(3, 7), rest]);
    let fails = body(vec![Data("12"), Fail]);
    assert_eq!(sizes(fails), [all, of(3, 7), rest]);
    let ends = body(vec![Data("12")]);
    assert_eq!(sizes(ends), [all, of(3, 7), rest]);
    let too_long = body(vec![Data("1234567"), Data("89"), Data("")]);
    assert_eq!(sizes(too_long), [all, of(0, 2), rest]);
    let unknown = Scripted::new([Data("1"), Wait]);
    assert_eq!(sizes(unknown), [(0, None, false); 3]);
}

// The body has not ended while an error or a premature end is still to come.
#[test]
fn a_body_ends_after_its_last_frame_was_read() {
    let ends = |acts| {
        let body = Scripted::new(acts).of_size(5, None).knowing_its_end();
        sizes(body).iter().map(|size| size.2).collect::<Vec<_>>()
    };
    assert_eq!(ends(vec![Data("1"), Fail]), [false, false, true]);
    assert_eq!(ends(vec![Fail]), [false, true, true]);
    assert_eq!(ends(vec![Data("1")]), [false, true, true]);
}

#[test]
fn a_single_frame_is_shared_and_not_copied() {
    let bytes = Bytes::from(vec![7; LIMIT]);
    let body = Full::new(bytes.clone()).map_err(|never| match never {});
    let request = Request::new(());
    let (mut sent, kept) = policy().keep(RequestHead::of(&request), body.boxed_unsync());
    let kept = kept.unwrap();
    let first = |body: &mut Boxed| {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap().as_ptr(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(kept.as_ptr(), bytes.as_ptr());
    assert_eq!(first(&mut sent), bytes.as_ptr());
    let mut again = policy().again(kept).unwrap();
    assert_eq!(first(&mut again), bytes.as_ptr());
}

/// The content-length and the body of a request that reached a server completely.
type Seen = (Option<String>, Bytes);

/// Sends a body over a connection. Returns the status of the response, if any, and what the server
/// received.
async fn on_the_wire<R>(policy: R, is_http2: bool, body: Scripted) -> (Option<u16>, Vec<Seen>)
where
    R: Replay<Boxed> + 'static,
{
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let noted = Arc::clone(&seen);
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| async move {
        let length = request.headers().get("content-length");
        let length = length.map(|length| length.to_str().unwrap().to_owned());
        if let Ok(body) = request.into_body().collect().await {
            noted.lock().unwrap().push((length, body.to_bytes()));
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let client = Client::builder(TokioExecutor::new())
        .http2_only(is_http2)
        .build_http::<Boxed>();
    let provider = StaticProvider::new("abc").unwrap();
    let layer = BearerAuthLayer::new(provider, Origins::new([&url]).unwrap()).replay(policy);
    let request = Request::post(&url).body(body.boxed_unsync()).unwrap();
    let response = layer.layer(client).oneshot(request).await;
    let status = response.ok().map(|response| response.status().as_u16());
    server.abort();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (status, seen)
}

// If the policy hid an error, a truncated upload would look complete.
#[tokio::test]
async fn a_body_with_a_wrong_size_fails_as_it_does_without_the_policy() {
    type Body = fn() -> Scripted;
    let whole = (Some("4".to_owned()), Bytes::from("1234"));
    let ends_short: Body = || Scripted::new([Data("12")]).of_size(4, Some(4));
    let ends_short_later: Body = || Scripted::new([Data("12"), Wait]).of_size(4, Some(4));
    let does_not_shrink: Body =
        || Scripted::new([Data("12"), Wait, Data("34")]).of_size(4, Some(4));
    for is_http2 in [false, true] {
        for (body, status, expected) in [
            (ends_short, None, vec![]),
            (ends_short_later, None, vec![]),
            (does_not_shrink, Some(200), vec![whole.clone()]),
        ] {
            let without = on_the_wire(NoReplay, is_http2, body()).await;
            assert_eq!(without, (status, expected), "http2: {is_http2}");
            let with = on_the_wire(policy(), is_http2, body()).await;
            assert_eq!(with, without, "http2: {is_http2}");
        }
    }
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
    let bodies = Arc::new(Mutex::new(Vec::new()));
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
async fn bodies_of_axum_and_tonic_are_replayed() {
    let twice = (StatusCode::OK, vec![Bytes::from_static(b"hello"); 2]);
    let policy = ReplayReady::new(64 * 1024, axum::body::Body::new);
    assert_eq!(sends(policy, axum::body::Body::from("hello")).await, twice);
    let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    let body = tonic::body::Body::new(Full::from("hello"));
    assert_eq!(sends(policy, body).await, twice);
}

/// Sends 100 POSTs at a revocation: the server rejects the first login's token as soon as all have come.
/// Returns how often they were sent, and how many failed.
async fn at_a_revocation<B, R>(policy: R, body: fn() -> B, name: &str) -> (usize, usize)
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
    R: Replay<B, Kept: Send> + Send + Sync + 'static,
{
    let (sends, rejected) = (Arc::<AtomicUsize>::default(), Arc::new(Barrier::new(100)));
    let counted = Arc::clone(&sends);
    let answer = async move |headers: HeaderMap, body: Bytes| {
        counted.fetch_add(1, SeqCst);
        if headers["authorization"] == "Bearer token-1" {
            rejected.wait().await;
            return StatusCode::UNAUTHORIZED;
        }
        match &*body {
            b"hello" => StatusCode::OK,
            _ => StatusCode::BAD_REQUEST,
        }
    };
    let app = axum::Router::new().fallback(answer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let http = Client::builder(TokioExecutor::new()).build_http::<B>();
    let issuer = Issuer::new();
    let provider = patient(issuer.clone()).build();
    let layer = BearerAuthLayer::new(provider, Origins::new(&url).unwrap()).replay(policy);
    let client = layer.layer(http);
    let posts = (0..100).map(|_| {
        let request = Request::post(&url).body(body()).unwrap();
        tokio::spawn(client.clone().oneshot(request))
    });
    let mut failed = 0;
    for post in posts.collect::<Vec<_>>() {
        failed += usize::from(post.await.unwrap().unwrap().status() != StatusCode::OK);
    }
    server.abort();
    let (sends, logins) = (sends.load(SeqCst), issuer.logins() - 1);
    println!("figure: ready-{name} requests=100 sends={sends} failed={failed} logins={logins}");
    (sends, failed)
}

#[tokio::test]
async fn a_hundred_posts_at_a_revocation_are_replayed_by_one_line_and_none_fails() {
    const LIMIT: usize = 64 * 1024;
    fn full() -> Full<Bytes> {
        Full::from("hello")
    }
    let all = (200, 0);
    let axum = ReplayReady::new(LIMIT, axum::body::Body::new);
    let body = || axum::body::Body::from("hello");
    assert_eq!(at_a_revocation(axum, body, "axum").await, all);
    let boxed = ReplayReady::new(LIMIT, ReadyBody::boxed);
    assert_eq!(
        at_a_revocation(boxed, || full().boxed(), "boxed").await,
        all
    );
    let boxed = ReplayReady::new(LIMIT, ReadyBody::boxed_unsync);
    let body = || full().boxed_unsync();
    assert_eq!(at_a_revocation(boxed, body, "boxed_unsync").await, all);
    let none = at_a_revocation(NoReplay, || full().boxed(), "without_replay").await;
    assert_eq!(none, (100, 100));
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
async fn the_function_copies_a_body_that_is_not_empty() {
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
