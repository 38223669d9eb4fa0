//! A service keeps a copy of the authorization, and asks only whether it is current. The copy is
//! never used after its generation was rejected, replaced or expired.

mod support;

use std::{
    cell::Cell,
    collections::HashSet,
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response};
use support::{HandClock, Issuer, by_hand, origins, request};
use tokio::runtime;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuth, BearerAuthLayer, CachedProvider, Clock, CredentialProvider, Error,
    PerRequest, Reason, Rejected, RequestHead, Scheme, StaticProvider, Token, Verdict,
    test_util::ScriptedProvider,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Responds with the authorization of the request.
#[derive(Clone)]
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let value = &request.headers()["authorization"];
        assert!(value.is_sensitive());
        ready(Ok(Response::new(value.to_str().unwrap().to_owned())))
    }
}

async fn send<P>(service: &mut BearerAuth<Echo, P>, request: Request<()>) -> String
where
    P: CredentialProvider,
{
    let service = service.ready().await.unwrap();
    service.call(request).await.unwrap().into_body()
}

/// A service that has made its copy.
async fn settled<P: CredentialProvider>(service: &BearerAuth<Echo, P>) -> BearerAuth<Echo, P> {
    let mut service = service.clone();
    for _ in 0..3 {
        send(&mut service, request()).await;
    }
    service
}

// I8
#[tokio::test]
async fn no_copy_is_sent_after_its_generation_was_rejected_replaced_or_expired() {
    let clock = HandClock::new();
    let provider = CachedProvider::builder(Issuer::new().with_lifetime(HOUR))
        .clock(clock.clone())
        .build();
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
    let mut services = [
        service.clone(),
        settled(&service).await,
        settled(&service).await,
    ];
    services[0] = services[1].clone();
    let mut last = send(&mut services[0], request()).await;

    for change in ["rejected", "reset", "expired", "replaced"] {
        match change {
            "rejected" => assert!(
                provider
                    .reject(&by_hand(provider.current().unwrap().generation()))
                    .is_log_in()
            ),
            "reset" => provider.reset(),
            "expired" => clock.advance(HOUR),
            _ => {
                let fresh = Request::get(support::URL).extension(PerRequest::fresh());
                send(&mut services[2], fresh.body(()).unwrap()).await;
            }
        }
        let mut now = Vec::new();
        for service in &mut services {
            now.push(send(service, request()).await);
        }
        assert_ne!(now[0], last, "{change}");
        assert!(
            now.iter().all(|token| *token == now[0]),
            "{change}: {now:?}"
        );
        for service in &mut services {
            assert_eq!(send(service, request()).await, now[0], "{change}");
            assert_eq!(send(service, request()).await, now[0], "{change}");
        }
        last = now.swap_remove(0);
    }
}

#[derive(Clone)]
struct Account(usize);

/// Two accounts, chosen by the request. Counts the calls of each method.
#[derive(Clone)]
struct Accounts {
    held: Arc<[Authorization; 2]>,
    knows: bool,
    asked: Arc<Mutex<(usize, usize)>>,
}

impl Accounts {
    fn new(knows: bool) -> Self {
        let held = ["first", "second"]
            .map(|token| Authorization::new(Scheme::BEARER, &Token::new(token).unwrap()));
        Self {
            held: Arc::new(held),
            knows,
            asked: Arc::default(),
        }
    }

    fn of(&self, head: RequestHead<'_>) -> &Authorization {
        &self.held[head.extensions.get::<Account>().unwrap().0]
    }

    /// The calls of `current_for` and `is_current` since the last time.
    fn take_asked(&self) -> (usize, usize) {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl CredentialProvider for Accounts {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
        self.asked.lock().unwrap().0 += 1;
        Some(self.of(head).clone())
    }

    fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        self.asked.lock().unwrap().1 += 1;
        self.knows && held.generation() == self.of(head).generation()
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        ready(Ok(self.of(head).clone()))
    }

    fn reject(&self, _: &Rejected<'_>) -> Verdict {
        Verdict::new(Reason::Fixed)
    }
}

fn request_of(account: usize) -> Request<()> {
    let request = Request::get(support::URL).extension(Account(account));
    request.body(()).unwrap()
}

#[tokio::test]
async fn consecutive_requests_each_carry_their_own_account() {
    for knows in [true, false] {
        let accounts = Accounts::new(knows);
        let mut service = BearerAuthLayer::new(accounts, origins()).layer(Echo);
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            // In long runs, and alternating.
            let stays = random.f64();
            let mut account = 0;
            for _ in 0..20 {
                if random.f64() > stays {
                    account = 1 - account;
                }
                let token = send(&mut service, request_of(account)).await;
                assert_eq!(token, ["Bearer first", "Bearer second"][account]);
            }
        }
    }
}

#[tokio::test]
async fn a_service_asks_a_caching_provider_for_an_authorization_twice_and_clones_eight_times() {
    let accounts = Accounts::new(true);
    let service = BearerAuthLayer::new(accounts.clone(), origins()).layer(Echo);
    let mut long_lived = service.clone();
    for _ in 0..10 {
        send(&mut long_lived, request_of(0)).await;
    }
    // With the second request, the service asks whether the provider supports `is_current`.
    assert_eq!(accounts.take_asked(), (2, 9));
    for _ in 0..10 {
        send(&mut long_lived.clone(), request_of(0)).await;
    }
    for _ in 0..10 {
        send(&mut service.clone(), request_of(0)).await;
    }
    // The eighth time that the thread asks for the same one, its clones get a copy in common.
    assert_eq!(accounts.take_asked(), (6, 1 + 14));

    let accounts = Accounts::new(false);
    let mut service = BearerAuthLayer::new(accounts.clone(), origins()).layer(Echo);
    for _ in 0..10 {
        send(&mut service, request_of(0)).await;
    }
    assert_eq!(
        accounts.take_asked().0,
        10,
        "it does not support `is_current`"
    );
}

// It answers `false` for every copy, like the default method.
#[tokio::test]
async fn a_provider_without_is_current_is_asked_for_each_request() {
    let provider = ScriptedProvider::new(["one", "two"]).unwrap();
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
    let mut settled = settled(&service).await;
    assert_eq!(send(&mut settled, request()).await, "Bearer one");
    let held = provider.current_for(RequestHead::of(&request())).unwrap();
    assert!(!provider.is_current(&held, RequestHead::of(&request())));
    assert!(provider.reject(&by_hand(held.generation())).is_log_in());
    assert_eq!(send(&mut settled, request()).await, "Bearer two");
}

// A service copies an authorization for consecutive requests with one generation, not for
// alternating ones.
#[tokio::test]
async fn alternating_accounts_cause_no_copies() {
    for row in [&[0, 1][..], &[0, 0, 1], &[0, 0, 0, 1]] {
        let mut service = BearerAuthLayer::new(Accounts::new(true), origins()).layer(Silent);
        let send = |service: &mut BearerAuth<Silent, Accounts>, request| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut response = pin!(service.call(request));
            assert!(response.as_mut().poll(&mut cx).is_ready());
        };
        let batch = |rounds| -> Vec<_> {
            let accounts = row.iter().cycle().take(rounds * row.len());
            let request = |account: &usize| {
                let mut request = request_of(*account);
                request.headers_mut().reserve(1);
                request
            };
            accounts.map(request).collect()
        };
        for request in batch(2) {
            send(&mut service, request);
        }
        let requests = batch(100);
        let counted = allocation_counter::measure(|| {
            for request in requests {
                send(&mut service, request);
            }
        });
        assert_eq!(counted.count_total, 0, "{row:?}");
    }
}

/// Responds with the address of the header's bytes.
#[derive(Clone)]
struct Silent;

impl Service<Request<()>> for Silent {
    type Response = Response<usize>;
    type Error = Infallible;
    type Future = Ready<Result<Response<usize>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let bytes = request.headers()["authorization"].as_bytes();
        ready(Ok(Response::new(bytes.as_ptr() as usize)))
    }
}

// Shared bytes have a shared reference count, for which threads would contend.
#[tokio::test]
async fn reused_services_share_no_header_bytes() {
    let provider = CachedProvider::new(Issuer::new());
    let service = BearerAuthLayer::new(provider, origins()).layer(Silent);
    let mut used = service.clone();
    let send = async |service: &mut BearerAuth<Silent>| {
        let service = service.ready().await.unwrap();
        service.call(request()).await.unwrap().into_body()
    };
    for _ in 0..4 {
        send(&mut used).await;
    }
    let mut services = [service.clone(), service, used.clone(), used.clone(), used];
    for service in &mut services {
        for _ in 0..3 {
            send(service).await;
        }
    }
    let mut bytes = HashSet::new();
    for service in &mut services {
        let own = send(service).await;
        assert_eq!(send(service).await, own, "it keeps its copy");
        assert!(bytes.insert(own), "shared bytes");
    }
}

// DESIGN.md, section 4: such a request is sent unchanged, and starts no login.
#[tokio::test]
async fn a_request_with_its_own_authorization_starts_no_background_login() {
    let clock = HandClock::new();
    let issuer = Issuer::new().concurrent().with_lifetime(HOUR);
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .build();
    let mut service = BearerAuthLayer::new(provider, origins()).layer(Echo);
    send(&mut service, request()).await;
    clock.advance(HOUR - Duration::from_secs(20));
    let mut own = request();
    let mut value = HeaderValue::from_static("Basic abc");
    value.set_sensitive(true);
    own.headers_mut().insert("authorization", value);
    for _ in 0..3 {
        let echo = send(&mut service, own.clone()).await;
        assert_eq!(echo, "Basic abc");
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.logins(), 1);
    send(&mut service, request()).await;
    tokio::task::yield_now().await;
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test]
async fn a_provider_behind_a_pointer_forwards_is_current() {
    let fixed = StaticProvider::new("abc").unwrap();
    let request = request();
    let head = RequestHead::of(&request);
    let held = fixed.current_for(head).unwrap();
    let other = StaticProvider::new("abc").unwrap();
    let other = other.current_for(head).unwrap();
    assert!(fixed.is_current(&held, head));
    assert!(!fixed.is_current(&other, head));
    assert!(Arc::new(&fixed).is_current(&held, head));
    assert!(!Box::new(fixed).is_current(&other, head));
}

/// A clock that claims to run by itself.
#[derive(Clone)]
struct Going(HandClock);

thread_local! {
    /// The number of readings on this thread. A timer reads the clock on another one.
    static READS: Cell<usize> = const { Cell::new(0) };
}

impl Clock for Going {
    fn now(&self) -> Instant {
        READS.set(READS.get() + 1);
        self.0.now()
    }

    fn wall(&self) -> std::time::SystemTime {
        self.0.wall()
    }

    fn runs_by_itself(&self) -> bool {
        true
    }
}

#[test]
fn a_timer_replaces_clock_reads_while_its_runtime_lives() {
    let going = Going(HandClock::new());
    let provider = CachedProvider::builder(Issuer::new().with_lifetime(HOUR))
        .clock(going.clone())
        .build();
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
    let here = runtime::Builder::new_current_thread().build().unwrap();
    let reads_of_100 = |service: &mut BearerAuth<Echo>| {
        READS.set(0);
        here.block_on(async {
            for _ in 0..100 {
                send(service, request()).await;
            }
        });
        READS.get()
    };

    let many = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    many.block_on(provider.acquire()).unwrap();
    let mut settled = here.block_on(settled(&service));
    assert_eq!(reads_of_100(&mut settled), 0);
    drop(many);
    assert_eq!(reads_of_100(&mut settled), 100);
    assert_eq!(
        reads_of_100(&mut service.clone()),
        101,
        "it makes its copy first"
    );
    going.0.advance(HOUR);
    assert!(provider.current().is_none(), "it has expired");
}

// Such a runtime polls waiting tasks before its timers. After an idle hour, a request would find an
// expired credential fresh.
#[test]
fn a_single_threaded_runtime_gets_no_timer() {
    let going = Going(HandClock::new());
    let provider = CachedProvider::builder(Issuer::new().with_lifetime(HOUR))
        .clock(going.clone())
        .build();
    let here = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    here.block_on(provider.acquire()).unwrap();
    assert!(provider.current().is_some());
    going.0.advance(HOUR);
    assert!(provider.current().is_none());
}

// The `on_credential` hook runs before the credential is used, and may take longer than its
// lifetime.
#[test]
fn the_timer_counts_from_its_start() {
    support::without_dead_lock(|| {
        let going = Going(HandClock::new());
        let clock = going.0.clone();
        let provider = CachedProvider::builder(Issuer::new().with_lifetime(HOUR))
            .clock(going)
            .on_credential(move |_| clock.advance(HOUR))
            .build();
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(provider.acquire()).unwrap();
        assert!(provider.current().is_none());
    });
}

// I6
#[test]
fn the_timer_ends_with_the_credential() {
    support::without_dead_lock(|| {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let wait_for_tasks = |count| {
            while runtime.metrics().num_alive_tasks() != count {
                runtime.block_on(tokio::task::yield_now());
            }
        };
        let provider = CachedProvider::new(Issuer::new().with_lifetime(HOUR));
        let log_in = || runtime.block_on(provider.acquire()).unwrap().generation();
        let first = log_in();
        wait_for_tasks(1);
        assert!(provider.reject(&by_hand(first)).is_log_in());
        wait_for_tasks(0);
        log_in();
        wait_for_tasks(1);
        provider.reset();
        wait_for_tasks(0);
        log_in();
        wait_for_tasks(1);
        drop(provider);
        wait_for_tasks(0);
    });
}
