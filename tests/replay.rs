//! A rejected request is sent once more with a newer credential (FAILURES.md, section 3.3).

mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use http_body_util::{Empty, Full};
use support::{Api, Issuer, URL, origins};
use tokio::sync::Semaphore;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    service_fn,
};
use tower_bearer::{
    Acquire, Authorization, BearerAuthLayer, CachedProvider, CredentialProvider, Error, NoReplay,
    Reason, Receipt, Rejected, ReplayEmpty, ReplayWith, RequestHead, Scheme, Token, Verdict,
};
use tower_test::mock;

type Body = Full<Bytes>;
type CopyFn = fn(&Body) -> Option<Body>;

/// Any body is copied.
const COPIED: ReplayWith<CopyFn> = ReplayWith(|body| Some(body.clone()));

fn layer(issuer: &Issuer) -> BearerAuthLayer<CachedProvider, ReplayWith<CopyFn>> {
    BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins()).replay(COPIED)
}

fn request() -> Request<Body> {
    Request::get(URL).body(Full::default()).unwrap()
}

fn answer(status: StatusCode) -> Response<&'static str> {
    let mut response = Response::new("intact");
    *response.status_mut() = status;
    response
}

const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;

// U1, T1, T2, trap 28: the mock panics if it is called without being ready.
#[tokio::test]
async fn a_thousand_rejections_in_flight_cost_one_login_and_no_request() {
    const REQUESTS: usize = 1_000;
    let issuer = Issuer::new();
    let (inner, mut handle) = mock::pair();
    let service = layer(&issuer).layer(inner);
    service.provider().acquire().await.unwrap();

    let mut requests: Vec<_> = (0..REQUESTS)
        .map(|_| tokio::spawn(service.clone().oneshot(request())))
        .collect();
    let mut rejected = Vec::new();
    for _ in 0..REQUESTS {
        let (sent, answer): (Request<Body>, _) = handle.next_request().await.unwrap();
        assert_eq!(sent.headers()[AUTHORIZATION], "Bearer token-1");
        rejected.push(answer);
    }
    for sent in rejected {
        sent.send_response(answer(UNAUTHORIZED));
    }
    for _ in 0..REQUESTS {
        let (sent, again) = handle.next_request().await.unwrap();
        assert_eq!(sent.headers()[AUTHORIZATION], "Bearer token-2");
        again.send_response(answer(StatusCode::OK));
    }
    let mut failed = 0;
    for response in requests.drain(..) {
        failed += usize::from(response.await.unwrap().unwrap().status() != StatusCode::OK);
    }
    let logins = issuer.logins() - 1;
    println!("figure: U1 trap28 requests={REQUESTS} logins={logins} failed={failed}");
    assert_eq!((logins, failed), (1, 0));
}

// U2, U3, trap 1
#[tokio::test(start_paused = true)]
async fn late_rejections_are_replayed_with_the_current_token_without_a_login() {
    let issuer = Issuer::new();
    let (inner, mut handle) = mock::pair();
    let service = layer(&issuer).layer(inner);
    service.provider().acquire().await.unwrap();
    let mut late = Vec::new();
    for _ in 0..=60 {
        let mut response = task::spawn(service.clone().oneshot(request()));
        assert_pending!(response.poll());
        let (_, sent) = handle.next_request().await.unwrap();
        late.push((response, sent));
    }
    for (mut response, sent) in late {
        sent.send_response(answer(UNAUTHORIZED));
        assert_pending!(response.poll());
        tokio::task::yield_now().await;
        assert_pending!(response.poll());
        let (sent, again) = handle.next_request().await.unwrap();
        assert_eq!(sent.headers()[AUTHORIZATION], "Bearer token-2");
        again.send_response(answer(StatusCode::OK));
        assert_ready_ok!(response.poll());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    println!(
        "figure: U3 trap1-with_replay late_rejections=60 logins={}",
        issuer.logins() - 2
    );
    assert_eq!(issuer.logins(), 2);
}

// U12, S11, trap 21, trap 23
#[tokio::test]
async fn a_replay_differs_only_in_its_authorization() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u32);

    let sent = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&sent);
    let api = service_fn(move |request: Request<Body>| {
        let is_first = record.lock().unwrap().is_empty();
        record.lock().unwrap().push(request);
        let status = if is_first {
            UNAUTHORIZED
        } else {
            StatusCode::OK
        };
        async move { Ok::<_, Infallible>(answer(status)) }
    });
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("accept", "a"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("cookie", "c"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let mut request = Request::new(Full::from("the body"));
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = "https://api.example.com/a?b=c".parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers.clone();
    request.extensions_mut().insert(Mark(7));

    let service = layer(&Issuer::new()).layer(api);
    assert_eq!(
        service.oneshot(request).await.unwrap().status(),
        StatusCode::OK
    );

    let sent = std::mem::take(&mut *sent.lock().unwrap());
    assert_eq!(sent.len(), 2);
    for (number, request) in sent.into_iter().enumerate() {
        let (mut parts, body) = request.into_parts();
        let authorization = parts.headers.remove(AUTHORIZATION).unwrap();
        assert_eq!(
            authorization,
            format!("Bearer token-{}", number + 1).as_str()
        );
        assert!(authorization.is_sensitive());
        assert_eq!(parts.method, Method::PUT);
        assert_eq!(parts.uri, "https://api.example.com/a?b=c");
        assert_eq!(parts.version, Version::HTTP_2);
        assert_eq!(parts.headers, headers);
        assert_eq!(parts.extensions.get(), Some(&Mark(7)));
        let body = http_body_util::BodyExt::collect(body)
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(body, "the body");
    }
    println!("figure: U12 S11 K4-replayed trap21-replayed trap23 sends=2 other_differences=0");
}

// U11: how often a request is sent, by policy. The policy decides for each request, whatever its
// method.
#[tokio::test]
async fn the_policy_decides_what_is_replayed() {
    async fn sends<R>(policy: R, method: Method, body: &'static str) -> usize
    where
        R: tower_bearer::Replay<Body> + Clone,
    {
        let api = Api::new();
        api.accept_login(2);
        let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
        let service = layer.replay(policy).layer(api.service());
        let request = Request::builder().method(method).uri(URL);
        let request = request.body(Full::from(body)).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let sends = api.record().len();
        // U10: rejected or not, the next request succeeds.
        assert_eq!(response.status() == UNAUTHORIZED, sends == 1);
        let next = service.oneshot(self::request()).await.unwrap();
        assert_eq!(next.status(), StatusCode::OK);
        sends
    }
    let empty_alone = ReplayWith(
        (|body: &Body| http_body::Body::is_end_stream(body).then(Body::default)) as CopyFn,
    );
    for (method, body, with_none, with_empty, with_copy) in [
        (Method::GET, "", 1, 2, 2),
        (Method::DELETE, "", 1, 2, 2),
        (Method::POST, "", 1, 2, 2),
        (Method::POST, "body", 1, 1, 2),
        (Method::PUT, "body", 1, 1, 2),
    ] {
        assert_eq!(
            sends(NoReplay, method.clone(), body).await,
            with_none,
            "{method}"
        );
        assert_eq!(
            sends(ReplayEmpty, method.clone(), body).await,
            with_empty,
            "{method}"
        );
        assert_eq!(
            sends(empty_alone, method.clone(), body).await,
            with_empty,
            "{method}"
        );
        assert_eq!(
            sends(COPIED, method.clone(), body).await,
            with_copy,
            "{method}"
        );
    }
    println!("figure: U11 policies=4 requests=5");
}

/// A body that can be read once, and not copied.
struct Stream(Option<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

// U10, trap 23
#[tokio::test]
async fn a_stream_is_sent_once_and_the_next_request_succeeds() {
    let policy = ReplayWith(|_: &Stream| None);
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(2);
    let read = Arc::new(Mutex::new(Vec::new()));
    let (record, answers) = (Arc::clone(&read), api.service());
    let service = service_fn(move |request: Request<Stream>| {
        let (record, answers) = (Arc::clone(&record), answers.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = http_body_util::BodyExt::collect(body).await?.to_bytes();
            record.lock().unwrap().push(body);
            answers.oneshot(Request::from_parts(parts, ())).await
        }
    });
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.replay(policy).layer(service);
    let send = async || {
        let request = Request::post(URL).body(Stream(Some(Bytes::from("stream"))));
        service.clone().oneshot(request.unwrap()).await.unwrap()
    };
    let rejected = send().await;
    assert_eq!(rejected.status(), UNAUTHORIZED);
    assert_eq!(rejected.into_body(), "answer to Bearer token-1");
    let sends = api.record().len();
    assert_eq!(send().await.status(), StatusCode::OK);
    println!(
        "figure: U10 trap23-stream sends={sends} logins={}",
        issuer.logins() - 1
    );
    assert_eq!((sends, issuer.logins()), (1, 2));
    assert_eq!(*read.lock().unwrap(), ["stream", "stream"]);
}

/// Responds to each request with the next of these, and then with 200. Returns how often a request
/// was sent, the logins beyond the first, and the last status.
async fn answered_with(answers: &[(StatusCode, &'static str)]) -> (usize, usize, StatusCode) {
    let issuer = Issuer::new();
    let sends = Arc::new(Mutex::new(0));
    let (sent, answers) = (Arc::clone(&sends), answers.to_vec());
    let service = layer(&issuer).layer(service_fn(move |_: Request<Body>| {
        let mut sent = sent.lock().unwrap();
        let mut response = Response::new(());
        if let Some((status, challenge)) = answers.get(*sent) {
            *response.status_mut() = *status;
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        *sent += 1;
        async { Ok::<_, Infallible>(response) }
    }));
    let response = service.oneshot(request()).await.unwrap();
    let sends = *sends.lock().unwrap();
    (sends, issuer.logins() - 1, response.status())
}

// S6, S7, U5
#[tokio::test]
async fn an_expired_token_is_replaced_and_an_insufficient_scope_is_returned() {
    let expired = (UNAUTHORIZED, r#"Bearer error="invalid_token""#);
    let (sends, logins, status) = answered_with(&[expired]).await;
    println!("figure: S7 logins={logins} replays={}", sends - 1);
    assert_eq!((sends, logins, status), (2, 1, StatusCode::OK));

    let forbidden = (
        StatusCode::FORBIDDEN,
        r#"Bearer error="insufficient_scope""#,
    );
    let (sends, logins, status) = answered_with(&[forbidden]).await;
    println!(
        "figure: U5 S6-with_replay logins={logins} replays={}",
        sends - 1
    );
    assert_eq!((sends, logins, status), (1, 0, StatusCode::FORBIDDEN));
}

// S5, U14, I3, trap 30
#[tokio::test]
async fn a_second_rejection_reaches_its_caller_with_its_body_intact() {
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(1_000);
    let service = layer(&issuer).layer(api.service());
    let response = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), UNAUTHORIZED);
    assert_eq!(response.into_body(), "answer to Bearer token-2");
    assert_eq!(api.record().len(), 2);
    // The next request is sent once: the login did not help.
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.into_body(), "answer to Bearer token-2");
    assert_eq!(api.record().len(), 3);
    println!("figure: U14 S5 trap30 sends=2 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test]
async fn a_request_that_waited_for_its_credential_is_replayed_too() {
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(2);
    let service = layer(&issuer).layer(api.service());
    assert_eq!(
        service.oneshot(request()).await.unwrap().status(),
        StatusCode::OK
    );
    let sent: Vec<_> = api.record().into_iter().map(|(sent, _)| sent).collect();
    assert_eq!(sent, ["Bearer token-1", "Bearer token-2"]);
}

// E10, U15: the login after an expiry revokes the token of requests in flight.
#[tokio::test(start_paused = true)]
async fn requests_in_flight_at_an_expiry_join_its_login() {
    const REQUESTS: usize = 100;
    let issuer = Issuer::gated().with_lifetime(Duration::from_secs(100));
    issuer.step();
    let (inner, mut handle) = mock::pair();
    let service = layer(&issuer).layer(inner);
    service.provider().acquire().await.unwrap();
    let mut in_flight = Vec::new();
    for _ in 0..REQUESTS {
        let mut response = task::spawn(service.clone().oneshot(request()));
        assert_pending!(response.poll());
        in_flight.push((response, handle.next_request().await.unwrap().1));
    }
    tokio::time::advance(Duration::from_secs(91)).await;
    let mut new = task::spawn(service.clone().oneshot(request()));
    assert_pending!(new.poll());
    tokio::task::yield_now().await;
    assert_eq!(issuer.logins(), 2);
    let mut waiting = Vec::new();
    for (mut response, sent) in in_flight {
        sent.send_response(answer(UNAUTHORIZED));
        assert_pending!(response.poll());
        waiting.push(response);
    }
    issuer.open();
    let mut failed = 0;
    waiting.push(new);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    for mut response in waiting {
        assert_pending!(response.poll());
        let (sent, again) = handle.next_request().await.unwrap();
        assert_eq!(sent.headers()[AUTHORIZATION], "Bearer token-2");
        again.send_response(answer(StatusCode::OK));
        let response = assert_ready!(response.poll()).unwrap();
        failed += usize::from(response.status() != StatusCode::OK);
    }
    println!(
        "figure: E10 in_flight={REQUESTS} logins={} failed={failed}",
        issuer.logins() - 1
    );
    assert_eq!((issuer.logins(), failed), (2, 0));
}

/// Records when it is dropped.
struct Dropped(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// A response that is ready at once. Its future holds a slot until it is dropped, like the future
/// of a concurrency limit.
struct Answer {
    response: Option<Response<Dropped>>,
    _slot: Dropped,
}

impl Future for Answer {
    type Output = Result<Response<Dropped>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(self.response.take().unwrap()))
    }
}

/// Records each call, and returns what it holds.
#[derive(Clone)]
struct Recorder {
    calls: Arc<Mutex<Vec<&'static str>>>,
    first: Authorization,
    second: Authorization,
}

impl Recorder {
    fn new(first: Authorization, second: Authorization) -> Self {
        Self {
            calls: Arc::default(),
            first,
            second,
        }
    }
}

impl CredentialProvider for Recorder {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
        Some(self.first.clone())
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        assert!(
            !head.headers.contains_key(AUTHORIZATION),
            "the body is unchanged"
        );
        self.calls.lock().unwrap().push("acquire");
        ready(Ok(self.second.clone()))
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        self.calls.lock().unwrap().push("reject");
        assert_eq!(rejected.receipt.generation(), self.first.generation());
        Verdict::new(Reason::Current)
    }

    fn accept(&self, receipt: Receipt) {
        assert_eq!(receipt.generation(), self.second.generation());
        self.calls.lock().unwrap().push("accept");
    }
}

fn authorization(token: &str) -> Authorization {
    Authorization::new(Scheme::BEARER, &Token::new(token).unwrap())
}

#[tokio::test]
async fn the_rejection_is_reported_then_dropped_then_the_login_starts() {
    let recorder = Recorder::new(authorization("first"), authorization("second"));
    let calls = Arc::clone(&recorder.calls);
    let body = Arc::clone(&calls);
    let api = service_fn(move |request: Request<Body>| {
        let mut response = Response::new(Dropped("rejection dropped", Arc::clone(&body)));
        if request.headers()[AUTHORIZATION] == "Bearer first" {
            *response.status_mut() = UNAUTHORIZED;
        }
        Answer {
            response: Some(response),
            _slot: Dropped("slot returned", Arc::clone(&body)),
        }
    });
    let service = BearerAuthLayer::new(recorder, origins())
        .replay(COPIED)
        .layer(api);
    let _accepted = service.oneshot(request()).await.unwrap();
    assert_eq!(
        *calls.lock().unwrap(),
        [
            "reject",
            "rejection dropped",
            "slot returned",
            "acquire",
            "accept",
            "slot returned"
        ]
    );
}

// Whether the request is kept or not, has waited or not, and whether the status alone decides.
#[tokio::test]
async fn each_acceptance_is_reported_once() {
    #[derive(Clone)]
    struct Counting {
        authorization: Authorization,
        is_ready: bool,
        accepted: Arc<Mutex<Vec<Receipt>>>,
    }
    impl CredentialProvider for Counting {
        type Acquire = Ready<Result<Authorization, Error>>;
        fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
            self.is_ready.then(|| self.authorization.clone())
        }
        fn acquire_for(&self, _: RequestHead<'_>) -> Self::Acquire {
            ready(Ok(self.authorization.clone()))
        }
        fn accept(&self, receipt: Receipt) {
            self.accepted.lock().unwrap().push(receipt);
        }
        fn reject(&self, _: &Rejected<'_>) -> Verdict {
            unreachable!("nothing is rejected");
        }
    }
    let copied: CopyFn = |body| Some(body.clone());
    let not_kept: CopyFn = |_| None;
    let client = service_fn(async |_| Ok::<_, Infallible>(answer(StatusCode::OK)));
    for policy in [copied, not_kept] {
        for is_ready in [true, false] {
            for method in [Method::GET, Method::POST] {
                let provider = Counting {
                    authorization: authorization("abc"),
                    is_ready,
                    accepted: Arc::default(),
                };
                let accepted = Arc::clone(&provider.accepted);
                let layer = BearerAuthLayer::new(provider, origins()).replay(ReplayWith(policy));
                let mut request = request();
                *request.method_mut() = method;
                layer.layer(client).oneshot(request).await.unwrap();
                assert_eq!(accepted.lock().unwrap().len(), 1);
            }
        }
    }
}

// I3, whatever the provider answers.
#[tokio::test]
async fn a_request_is_sent_twice_at_most() {
    struct AlwaysAnother;
    impl CredentialProvider for AlwaysAnother {
        type Acquire = Ready<Result<Authorization, Error>>;
        fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
            Some(authorization("another"))
        }
        fn acquire_for(&self, _: RequestHead<'_>) -> Self::Acquire {
            ready(Ok(authorization("another")))
        }
        fn reject(&self, _: &Rejected<'_>) -> Verdict {
            Verdict::new(Reason::Current)
        }
    }
    let api = Api::new();
    let layer = BearerAuthLayer::new(Arc::new(AlwaysAnother), origins()).replay(COPIED);
    let response = layer.layer(api.service()).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), UNAUTHORIZED);
    assert_eq!(api.record().len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_twice_with_one_generation() {
    let same = authorization("same");
    let recorder = Recorder::new(same.clone(), same);
    let api = Api::new();
    let service = BearerAuthLayer::new(recorder, origins())
        .replay(COPIED)
        .layer(api.service());
    let error = service.oneshot(request()).await.unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(
        error.to_string().contains("no newer authorization"),
        "{error}"
    );
    assert!(
        error.to_string().contains("no newer authorization"),
        "{error}"
    );
    assert_eq!(api.record().len(), 1);
}

#[tokio::test]
async fn a_login_that_fails_after_the_rejection_was_dropped_is_an_error() {
    let issuer = Issuer::new();
    let api = Api::new();
    let service = layer(&issuer).layer(api.service());
    assert!(service.clone().oneshot(request()).await.is_ok());
    api.accept_login(9);
    issuer.fail("down for maintenance");
    let error = service.clone().oneshot(request()).await.unwrap_err();
    assert!(error.downcast_ref::<Error>().unwrap().is_login_failed());
    assert_eq!(api.record().len(), 2);
    assert_eq!(issuer.logins(), 2);
}

// While no login can be made, the caller gets the late rejection and not an error.
#[tokio::test]
async fn a_rejection_during_a_pause_reaches_its_caller() {
    let issuer = Issuer::new();
    let (inner, mut handle) = mock::pair();
    let service = layer(&issuer).layer(inner);
    service.provider().acquire().await.unwrap();
    issuer.fail("down");
    let mut send = async || {
        let mut response = task::spawn(service.clone().oneshot(request()));
        assert_pending!(response.poll());
        (response, handle.next_request().await.unwrap().1)
    };
    let (mut first, first_sent) = send().await;
    let (mut second, second_sent) = send().await;
    first_sent.send_response(answer(UNAUTHORIZED));
    assert_pending!(first.poll());
    tokio::task::yield_now().await;
    assert!(assert_ready!(first.poll()).is_err());
    second_sent.send_response(answer(UNAUTHORIZED));
    assert_eq!(assert_ready_ok!(second.poll()).status(), UNAUTHORIZED);
    assert_eq!(issuer.logins(), 2);
}

// U16, K8, and requests sent bare.
#[tokio::test]
async fn requests_that_the_layer_did_not_authorize_are_not_replayed() {
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(9);
    let service = layer(&issuer).layer(api.service());
    let own = Request::get(URL).header(AUTHORIZATION, "Bearer own");
    let foreign = Request::get("https://other.example.com/");
    for request in [own, foreign] {
        let response = service
            .clone()
            .oneshot(request.body(Body::default()).unwrap());
        assert_eq!(response.await.unwrap().status(), UNAUTHORIZED);
    }
    let sent: Vec<_> = api.record().into_iter().map(|(sent, _)| sent).collect();
    assert_eq!(sent, ["Bearer own", "bare"]);
    println!("figure: U16 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 0);
}

/// Records the rejection that each call names.
struct Asked {
    rejections: Arc<Mutex<Vec<Option<Receipt>>>>,
    held: [Authorization; 2],
}

impl CredentialProvider for Asked {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
        self.rejections.lock().unwrap().push(head.rejected);
        Some(self.held[usize::from(head.rejected.is_some())].clone())
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        ready(Ok(self.current_for(head).unwrap()))
    }

    fn reject(&self, _: &Rejected<'_>) -> Verdict {
        Verdict::new(Reason::Current)
    }
}

// A provider with several accounts would return the rejected authorization again.
#[tokio::test]
async fn a_replay_names_the_rejected_generation_while_it_waits_for_its_slot() {
    let held = [authorization("first"), authorization("second")];
    let (first, rejections) = (held[0].generation(), Arc::default());
    let provider = Asked {
        rejections: Arc::clone(&rejections),
        held,
    };
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<&'static str>>();
    let layer = BearerAuthLayer::new(provider, origins()).replay(COPIED);
    let mut service = layer.layer(inner);
    handle.allow(1);
    let mut response = task::spawn(service.ready().await.unwrap().call(request()));
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_response(self::answer(UNAUTHORIZED));
    assert_pending!(response.poll());
    handle.allow(1);
    assert_pending!(response.poll());
    let (sent, _) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()[AUTHORIZATION], "Bearer second");
    let rejections = rejections.lock().unwrap();
    let (original, replayed) = rejections.split_first().unwrap();
    assert_eq!(*original, None);
    assert!(
        replayed.len() >= 2,
        "when it acquires, and when it has its slot"
    );
    assert!(
        replayed
            .iter()
            .all(|rejected| rejected.map(Receipt::generation) == Some(first))
    );
}

// STACKS.md, lesson 3
#[tokio::test(start_paused = true)]
async fn a_replay_needs_no_second_slot() {
    let issuer = Issuer::new().with_delay(Duration::from_millis(20));
    let api = Api::new();
    api.accept_login(2);
    let limited = ServiceBuilder::new()
        .layer(layer(&issuer))
        .layer(BufferLayer::new(1))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(api.service());
    let requests: Vec<_> = (0..10)
        .map(|_| tokio::spawn(limited.clone().oneshot(request())))
        .collect();
    for response in requests {
        assert_eq!(response.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(issuer.logins(), 2);
}

/// The path of a request.
#[derive(Clone, Copy, Debug)]
enum Way {
    Warm,
    Cold,
    Replayed,
    ColdAndReplayed,
}

/// Drives one request along this path and drops it after `polls` polls. Returns whether it had
/// ended by then.
fn give_up_after(polls: usize, way: Way) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let issuer = Issuer::new().with_gates(3);
        let api = Api::new();
        let permits = Arc::new(Semaphore::new(1));
        let slow = api.service().then(|response: Result<_, Infallible>| async {
            tokio::task::yield_now().await;
            response
        });
        let limited = ConcurrencyLimit::with_semaphore(slow, Arc::clone(&permits));
        let service = layer(&issuer).layer(limited);
        if matches!(way, Way::Warm | Way::Replayed) {
            service.provider().acquire().await.unwrap();
        }
        let logins = match way {
            Way::Warm | Way::Cold => 1,
            Way::Replayed | Way::ColdAndReplayed => 2,
        };
        api.accept_login(logins);

        let mut response = task::spawn(service.clone().oneshot(request()));
        let mut has_ended = false;
        for _ in 0..polls {
            if let Poll::Ready(response) = response.poll() {
                assert_eq!(response.unwrap().status(), StatusCode::OK);
                has_ended = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(response);
        assert_eq!(
            permits.available_permits(),
            1,
            "{way:?}, dropped after {polls} polls"
        );
        let sent = api.record().len();
        assert!(sent <= logins, "I3: {way:?}, {polls} polls, {sent} sends");
        // The next request gets the outcome of everything that this one started.
        let next = service.oneshot(request()).await.unwrap();
        assert_eq!(next.status(), StatusCode::OK);
        assert_eq!(issuer.logins(), logins, "I4: {way:?}, {polls} polls");
        assert_eq!(issuer.most_in_flight(), 1, "I1");
        has_ended
    })
}

// T3, T8
#[test]
fn a_request_can_be_dropped_at_any_point() {
    let ways = [Way::Warm, Way::Cold, Way::Replayed, Way::ColdAndReplayed];
    let points = ways.map(|way| {
        let mut polls = 0..100;
        polls.find(|polls| give_up_after(*polls, way)).unwrap()
    });
    println!(
        "figure: T8 T3-given_up ways={} drop_points={} slots_lost=0",
        ways.len(),
        support::list(points)
    );
    assert!(points[2] >= 4 && points[3] > points[2], "{points:?}");
}

// The policy accepts bodies whose type cannot be named.
#[tokio::test]
async fn an_empty_body_counts_as_no_body() {
    let api = Api::new();
    api.accept_login(2);
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
    let service = layer.replay(ReplayEmpty).layer(api.service());
    let request = Request::get(URL).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(
        service.oneshot(request).await.unwrap().status(),
        StatusCode::OK
    );
}

// T7: a library can name the types that it stores, and auto traits follow from their parts.
#[tokio::test]
async fn a_service_with_replay_can_be_named_and_boxed() {
    fn assert_send<T: Send>(_: &T) {}
    type Named = tower_bearer::BearerAuth<support::HttpClient, CachedProvider, ReplayEmpty>;
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
    let mut named: Named = layer.replay(ReplayEmpty).layer(support::http_client());
    assert_send(&named.call(request()));
    let acquire: Acquire = named.provider().acquire();
    drop(acquire);
    let _ = tower::util::BoxCloneSyncService::<_, _, BoxError>::new(named);
}

#[tokio::test]
async fn rejected_if_can_follow_a_policy_that_is_not_clone() {
    let copies = Mutex::new(0); // makes the policy not `Clone`
    let policy = ReplayWith(move |body: &Body| {
        *copies.lock().unwrap() += 1;
        Some(body.clone())
    });
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let layer = BearerAuthLayer::new(provider, origins())
        .replay(policy)
        .rejected_if(|status, _| status == StatusCode::FORBIDDEN);
    let rejections = Arc::new(Mutex::new(vec![StatusCode::OK, StatusCode::FORBIDDEN]));
    let mut client = layer.layer(service_fn(move |_: Request<Body>| {
        let status = rejections.lock().unwrap().pop().unwrap();
        ready(Ok::<_, Infallible>(answer(status)))
    }));
    let response = client.ready().await.unwrap().call(request()).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(issuer.logins(), 2);
}
