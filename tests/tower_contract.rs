//! The layer keeps tower's contract (FAILURES.md, section 3.7).

mod support;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode};
use support::{Api, Issuer, origins, request};
use tokio::sync::Semaphore;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};
use tower_bearer::{
    Authorization, BearerAuth, BearerAuthLayer, CachedProvider, CredentialProvider, Reason,
    Rejected, ReplayWith, RequestHead, Scheme, StaticProvider, Token, Verdict,
};
use tower_test::mock;

type Mock = mock::Mock<Request<()>, Response<()>>;

fn layered(issuer: &Issuer) -> (BearerAuth<Mock>, mock::Handle<Request<()>, Response<()>>) {
    let (inner, handle) = mock::pair();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    (layer.layer(inner), handle)
}

// T1: the mock panics if it is called without being ready.
#[tokio::test]
async fn a_request_with_a_token_uses_the_service_that_was_ready() {
    let issuer = Issuer::new();
    let (service, mut handle) = layered(&issuer);
    service.provider().acquire().await.unwrap();
    let mut service = service;
    handle.allow(1);

    let mut response = task::spawn(service.ready().await.unwrap().call(request()));
    assert_pending!(response.poll());
    let (sent, answer) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()["authorization"], "Bearer token-1");
    answer.send_response(Response::new(()));
    assert_ready_ok!(response.poll());
}

// T1, T2
#[tokio::test]
async fn a_request_that_waits_gives_its_slot_back_and_gets_another() {
    let issuer = Issuer::gated();
    let (mut service, mut handle) = layered(&issuer);
    handle.allow(1);

    let mut first = task::spawn(service.ready().await.unwrap().call(request()));
    assert_pending!(first.poll());
    // The slot is free again while the login runs: another request can have it.
    let mut bare = service.clone();
    let mut elsewhere = task::spawn(
        bare.ready()
            .await
            .unwrap()
            .call(Request::get("https://other.example.com/").body(()).unwrap()),
    );
    assert_pending!(elsewhere.poll());
    let (sent, answer) = handle.next_request().await.unwrap();
    assert_eq!(sent.uri().host(), Some("other.example.com"));
    answer.send_response(Response::new(()));
    assert_ready_ok!(elsewhere.poll());

    // After the login it waits until a service is ready for it.
    issuer.open();
    service.provider().acquire().await.unwrap();
    assert_pending!(first.poll());
    assert_pending!(handle.poll_request());
    handle.allow(1);
    assert_pending!(first.poll());
    let (sent, answer) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()["authorization"], "Bearer token-1");
    answer.send_response(Response::new(()));
    assert_ready_ok!(first.poll());
    println!(
        "figure: T1 T2 calls=2 called_unready=0 logins={}",
        issuer.logins()
    );
    assert_eq!(issuer.logins(), 1);
}

// T2, L2: if the request held its permit while it waits, the login could not get one.
#[tokio::test(start_paused = true)]
async fn a_login_through_the_same_concurrency_limit_of_one_gets_its_turn() {
    let api = Api::new();
    let limited = ConcurrencyLimit::new(api.service(), 1);
    let login_client = limited.clone();
    let login = tower_bearer::login_fn(move |_| {
        let client = login_client.clone();
        async move {
            let answer = client.oneshot(request()).await?;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
            Ok(tower_bearer::Credential::new("token-1")?)
        }
    });
    let layer = BearerAuthLayer::new(CachedProvider::new(login), origins());
    let service = layer.layer(limited);

    let requests: Vec<_> = (0..10)
        .map(|_| tokio::spawn(service.clone().oneshot(request())))
        .collect();
    for response in requests {
        let response = tokio::time::timeout(Duration::from_secs(1), response)
            .await
            .expect("no deadlock");
        assert_eq!(response.unwrap().unwrap().status(), StatusCode::OK);
    }
    println!("figure: L2 requests=10 dead_locks=0");
}

/// A hundred requests at once through a limit of one, each taking a second to answer.
async fn queue_up(issuer: &Issuer, api: &Api) -> Vec<(String, StatusCode)> {
    let slow = {
        let api = api.service::<()>();
        tower::service_fn(move |request| {
            let api = api.clone();
            async move {
                let response = api.oneshot(request).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                response
            }
        })
    };
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(ConcurrencyLimit::new(slow, 1));
    let requests: Vec<_> = (0..100)
        .map(|_| tokio::spawn(service.clone().oneshot(request())))
        .collect();
    for response in requests {
        response.await.unwrap().unwrap();
    }
    api.record()
}

// A request does not keep its acquired authorization while it waits for its slot.
#[tokio::test(start_paused = true)]
async fn a_request_queued_for_its_slot_is_sent_with_the_token_current_then() {
    // Each token is used for 9 s.
    let issuer = Issuer::new().with_lifetime(Duration::from_secs(10));
    let api = Api::new();
    api.accept_all();
    let record = queue_up(&issuer, &api).await;
    assert_eq!(record.len(), 100);
    for (position, (sent, _)) in record.iter().enumerate() {
        let number = position / 9 + 1;
        assert_eq!(*sent, format!("Bearer token-{number}"), "{position}");
    }

    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(2);
    queue_up(&issuer, &api).await;
    assert_eq!(
        api.count(StatusCode::UNAUTHORIZED),
        1,
        "the next request succeeds"
    );
    assert_eq!(issuer.logins(), 2);
}

// L2 again: a request has its slot and finds that its credential has expired meanwhile.
#[tokio::test(start_paused = true)]
async fn a_slot_is_given_back_before_a_second_wait_for_a_login() {
    let api = tower::service_fn(|request: Request<()>| async move {
        if request.uri().path() != "/login" {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        Ok::<_, std::convert::Infallible>(Response::new(()))
    });
    let limited = ConcurrencyLimit::new(api, 1);
    let login_client = limited.clone();
    let login = tower_bearer::login_fn(move |_| {
        let client = login_client.clone();
        async move {
            client.oneshot(Request::get("/login").body(())?).await?;
            let credential = tower_bearer::Credential::new("abc")?;
            Ok(credential.with_lifetime(Duration::from_secs(5)))
        }
    });
    let service = BearerAuthLayer::new(CachedProvider::new(login), origins()).layer(limited);
    let requests: Vec<_> = (0..3)
        .map(|_| tokio::spawn(service.clone().oneshot(request())))
        .collect();
    for response in requests {
        response.await.unwrap().expect("the login has its turn");
    }
}

// Each clone of the service takes longer to get ready than a credential lives.
#[tokio::test(start_paused = true)]
async fn a_slot_slower_than_the_lifetime_causes_no_endless_logins() {
    struct Slow(Pin<Box<tokio::time::Sleep>>);
    impl Slow {
        fn new() -> Self {
            Self(Box::pin(tokio::time::sleep(Duration::from_secs(3))))
        }
    }
    impl Clone for Slow {
        fn clone(&self) -> Self {
            Self::new()
        }
    }
    impl Service<Request<()>> for Slow {
        type Response = Response<()>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Response<()>, Self::Error>>;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            self.0.as_mut().poll(cx).map(Ok)
        }
        fn call(&mut self, _: Request<()>) -> Self::Future {
            std::future::ready(Ok(Response::new(())))
        }
    }
    let issuer = Issuer::new().with_lifetime(Duration::from_secs(2));
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let response = layer.layer(Slow::new()).oneshot(request());
    let response = tokio::time::timeout(Duration::from_secs(3600), response);
    assert!(response.await.expect("it is sent").is_ok());
    assert!(issuer.logins() <= 33, "{}", issuer.logins());
}

// The request has used up its rounds before it is sent. Its replay has rounds of its own.
#[tokio::test(start_paused = true)]
async fn a_replay_waits_for_a_slot_as_patiently_as_its_request() {
    /// Each clone takes longer to get ready than a credential lives, until a request was sent.
    struct SlowAtFirst(Pin<Box<tokio::time::Sleep>>, Arc<Mutex<Vec<HeaderValue>>>);
    impl SlowAtFirst {
        fn new(sent: Arc<Mutex<Vec<HeaderValue>>>) -> Self {
            let seconds = if sent.lock().unwrap().is_empty() {
                3
            } else {
                0
            };
            let sleep = tokio::time::sleep(Duration::from_secs(seconds));
            Self(Box::pin(sleep), sent)
        }
    }
    impl Clone for SlowAtFirst {
        fn clone(&self) -> Self {
            Self::new(Arc::clone(&self.1))
        }
    }
    impl Service<Request<()>> for SlowAtFirst {
        type Response = Response<()>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Response<()>, Self::Error>>;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            self.0.as_mut().poll(cx).map(Ok)
        }
        fn call(&mut self, request: Request<()>) -> Self::Future {
            // The clone that sent the request is slow once more.
            self.0 = Box::pin(tokio::time::sleep(Duration::from_secs(3)));
            let mut sent = self.1.lock().unwrap();
            let status = if sent.is_empty() { 401 } else { 200 };
            sent.push(request.headers()["authorization"].clone());
            let response = Response::builder().status(status).body(());
            std::future::ready(Ok(response.unwrap()))
        }
    }
    let issuer = Issuer::new().with_lifetime(Duration::from_secs(2));
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins())
        .replay(ReplayWith(|(): &()| Some(())));
    let sent = Arc::default();
    let service = layer.layer(SlowAtFirst::new(Arc::clone(&sent)));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let current = layer.provider().current().expect("it was sent at once");
    let sent = sent.lock().unwrap();
    assert_eq!((sent.len(), &sent[1]), (2, current.value()));
}

// A provider without a synchronous answer is asked once for each request.
#[tokio::test]
async fn an_authorization_that_cannot_be_asked_for_again_is_kept_until_a_slot_is_free() {
    struct Unshared(AtomicUsize);
    impl CredentialProvider for Unshared {
        type Acquire = std::future::Ready<Result<Authorization, tower_bearer::Error>>;
        fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
            None
        }
        fn acquire_for(&self, _: RequestHead<'_>) -> Self::Acquire {
            self.0.fetch_add(1, SeqCst);
            let token = Token::new("abc").unwrap();
            std::future::ready(Ok(Authorization::new(Scheme::BEARER, &token)))
        }
        fn reject(&self, _: &Rejected<'_>) -> Verdict {
            Verdict::new(Reason::Fixed)
        }
    }
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    handle.allow(1);
    let mut service = BearerAuthLayer::new(Unshared(0.into()), origins()).layer(inner);
    let mut response = task::spawn(service.ready().await.unwrap().call(request()));
    handle.allow(0);
    for _ in 0..3 {
        assert_pending!(response.poll());
    }
    handle.allow(1);
    assert_pending!(response.poll());
    let (sent, answer) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()["authorization"], "Bearer abc");
    answer.send_response(Response::new(()));
    assert_ready_ok!(response.poll());
    assert_eq!(service.provider().0.load(SeqCst), 1);
}

// The response may take long, and the service that the request waited with is not needed any more.
#[tokio::test]
async fn a_request_that_waited_drops_its_service_once_it_is_sent() {
    let issuer = Issuer::gated();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let api = tower::service_fn(move |_: Request<()>| {
        let _ = &held;
        std::future::pending::<Result<Response<()>, std::convert::Infallible>>()
    });
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let mut service = layer.layer(api);
    let mut response = task::spawn(service.ready().await.unwrap().call(request()));
    assert_pending!(response.poll());
    assert_eq!(
        Arc::strong_count(&alive),
        3,
        "the waiting request has its own service"
    );
    issuer.open();
    layer.provider().acquire().await.unwrap();
    assert_pending!(response.poll());
    assert_eq!(Arc::strong_count(&alive), 2);
}

// T3
#[tokio::test]
async fn a_request_dropped_at_any_point_returns_its_permit() {
    let issuer = Issuer::gated();
    let permits = Arc::new(Semaphore::new(1));
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let limited = ConcurrencyLimit::with_semaphore(inner, Arc::clone(&permits));
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(limited);

    handle.allow(0);
    let mut unready = mock::Spawn::new(service.clone());
    assert_pending!(unready.poll_ready::<Request<()>>());
    drop(unready);
    assert_eq!(
        permits.available_permits(),
        1,
        "dropped before it was ready"
    );

    handle.allow(5);
    let mut ready = service.clone();
    ready.ready().await.unwrap();
    assert_eq!(permits.available_permits(), 0);
    drop(ready);
    assert_eq!(permits.available_permits(), 1, "dropped when ready");

    let mut second = service.clone();
    let unpolled = second.ready().await.unwrap().call(request());
    assert_eq!(
        permits.available_permits(),
        1,
        "a waiting request holds no permit"
    );
    drop(unpolled);
    let mut waiting = task::spawn(second.ready().await.unwrap().call(request()));
    assert_pending!(waiting.poll());
    assert_eq!(permits.available_permits(), 1);
    drop(waiting);

    issuer.open();
    service.provider().acquire().await.unwrap();
    let mut warm = service.clone();
    let unpolled = warm.ready().await.unwrap().call(request());
    assert_eq!(permits.available_permits(), 0);
    drop(unpolled);
    assert_eq!(permits.available_permits(), 1, "dropped while it is sent");
    println!(
        "figure: T3 places=5 slots_lost={}",
        1 - permits.available_permits()
    );
}

// T3: a request that the layer does not send keeps no slot.
#[tokio::test]
async fn a_request_that_is_not_sent_returns_its_slot() {
    let permits = Arc::new(Semaphore::new(1));
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    handle.allow(2);
    let limited = ConcurrencyLimit::with_semaphore(inner, Arc::clone(&permits));
    let provider = StaticProvider::new("abc").unwrap();
    let mut service = BearerAuthLayer::new(provider, origins().strict()).layer(limited);
    let foreign = Request::get("https://other.example.com/").body(()).unwrap();
    let error = service.ready().await.unwrap().call(foreign).await;
    assert!(error.is_err());
    assert_eq!(permits.available_permits(), 1);
}

// T4
#[tokio::test]
async fn an_unready_service_is_an_error_without_a_login() {
    let issuer = Issuer::new();
    let (service, mut handle) = layered(&issuer);
    handle.send_error("closed");
    let error = assert_ready_err!(mock::Spawn::new(service).poll_ready::<Request<()>>());
    assert_eq!(error.to_string(), "closed");
    println!("figure: T4 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 0);
}

// T4 again: the service was ready when it was called, and fails before the request's turn.
#[tokio::test]
async fn a_service_that_fails_while_a_request_waits_fails_that_request() {
    let issuer = Issuer::gated();
    let (mut service, mut handle) = layered(&issuer);
    handle.allow(1);
    let mut response = task::spawn(service.ready().await.unwrap().call(request()));
    assert_pending!(response.poll());
    handle.send_error("closed");
    issuer.open();
    service.provider().acquire().await.unwrap();
    let error = assert_ready_err!(response.poll());
    assert_eq!(error.to_string(), "closed", "unwrapped");
    assert!(
        service.provider().current().is_some(),
        "the credential of the login is kept"
    );
    assert_eq!(issuer.logins(), 1);
}

/// Counts its wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls a pending future with changing wakers and without a reason. Returns the last waker.
fn poll_repeatedly<F: Future + Unpin>(future: &mut F) -> Arc<Woken> {
    let mut last = Arc::default();
    for _ in 0..3 {
        last = Arc::<Woken>::default();
        for _ in 0..3 {
            let waker = Waker::from(Arc::clone(&last));
            assert!(
                Pin::new(&mut *future)
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
    }
    assert_eq!(last.0.load(SeqCst), 0, "nothing has happened yet");
    last
}

// T9: of all wakers that polled a request, the last one is woken, in each kind of wait.
#[tokio::test]
async fn the_waker_of_the_last_poll_is_woken() {
    let issuer = Issuer::gated();
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let mut service = layer.replay(ReplayWith(|(): &()| Some(()))).layer(inner);
    handle.allow(1);
    let mut response = Box::pin(service.ready().await.unwrap().call(request()));
    handle.allow(0);
    let mut waits = 0;
    for status in [StatusCode::UNAUTHORIZED, StatusCode::OK] {
        // For the login.
        let last = poll_repeatedly(&mut response);
        issuer.step();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(last.0.load(SeqCst) > 0, "{status}: by the login");
        // For the service to be ready.
        let last = poll_repeatedly(&mut response);
        handle.allow(1);
        assert!(last.0.load(SeqCst) > 0, "{status}: by the service");
        // For the answer.
        let last = poll_repeatedly(&mut response);
        let (_, answer) = handle.next_request().await.unwrap();
        let mut answered = Response::new(());
        *answered.status_mut() = status;
        answer.send_response(answered);
        assert!(last.0.load(SeqCst) > 0, "{status}: by the answer");
        waits += 3;
    }
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
    println!(
        "figure: T9 waits={waits} lost_wakes=0 logins={}",
        issuer.logins()
    );
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through_unwrapped() {
    #[derive(Debug)]
    struct Broken;
    impl std::fmt::Display for Broken {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("broken")
        }
    }
    impl std::error::Error for Broken {}

    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins());
    let service = layer.layer(tower::service_fn(|_: Request<()>| async {
        Err::<Response<()>, _>(Broken)
    }));
    let error = service.oneshot(request()).await.unwrap_err();
    assert!(error.is::<Broken>());
}

#[tokio::test]
async fn a_failed_login_is_an_error_of_the_response_and_nothing_is_sent() {
    let issuer = Issuer::new();
    issuer.fail("wrong password");
    let (mut service, mut handle) = layered(&issuer);
    handle.allow(2);
    let mut response = task::spawn(service.ready().await.unwrap().call(request()));
    assert_pending!(response.poll());
    tokio::task::yield_now().await;
    let error = assert_ready_err!(response.poll());
    let error = error.downcast_ref::<tower_bearer::Error>().unwrap();
    assert!(error.is_login_failed());
    assert_pending!(handle.poll_request());
    assert!(service.ready().await.is_ok(), "the service still works");
}
