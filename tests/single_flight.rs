//! Concurrent requests cause one login, whichever of them are dropped (FAILURES.md, section 3.1).

mod support;

use std::{error::Error as _, ptr, sync::Arc, time::Duration};

use http::StatusCode;
use support::{Api, Issuer, origins, request};
use tokio::{
    sync::Barrier,
    task::{JoinSet, yield_now},
    time::{self, Instant},
};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    BearerAuthLayer, CachePolicy, CachedProvider, Credential, Error, Login, LoginRequest, login_fn,
};

/// Lets the login's task run until it waits for something else.
async fn let_others_run() {
    for _ in 0..20 {
        yield_now().await;
    }
}

// F1
#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_at_once_cause_one_login() {
    const REQUESTS: usize = 10_000;
    let issuer = Issuer::new().with_delay(Duration::from_millis(50));
    let api = Api::new();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(api.service());

    let barrier = Arc::new(Barrier::new(REQUESTS));
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let (barrier, service) = (Arc::clone(&barrier), service.clone());
        requests.spawn(async move {
            barrier.wait().await;
            service.oneshot(request()).await.unwrap().status()
        });
    }
    let statuses = requests.join_all().await;

    let failed = statuses.iter().filter(|s| **s != StatusCode::OK).count();
    println!(
        "figure: F1 requests={REQUESTS} logins={} failed={failed}",
        issuer.logins()
    );
    assert_eq!((statuses.len(), failed), (REQUESTS, 0));
    assert_eq!(issuer.logins(), 1);
}

// F2, trap 3: the request that started the login is dropped after k events. An event is a poll of
// the request or one passed await of the login, in turn.
#[tokio::test]
async fn a_leader_dropped_at_any_await_does_not_stop_the_login() {
    const GATES: usize = 5;
    let mut events = 0;
    loop {
        let issuer = Issuer::gated().with_gates(GATES);
        let api = Api::new();
        let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
        let service = layer.layer(api.service());

        let mut leader = task::spawn(service.clone().oneshot(request()));
        let mut follower = task::spawn(service.clone().oneshot(request()));
        let mut is_complete = false;
        for event in 0..events {
            if event % 2 == 0 {
                is_complete = leader.poll().is_ready();
            } else {
                issuer.step();
            }
            let_others_run().await;
            if event == 0 {
                assert_pending!(follower.poll());
            }
        }
        drop(leader);
        issuer.open();

        let response = follower.await.unwrap();
        assert_eq!(
            response.into_body(),
            "answer to Bearer token-1",
            "dropped after {events}"
        );
        assert_eq!(
            (issuer.logins(), issuer.finished()),
            (1, 1),
            "dropped after {events}"
        );
        if is_complete {
            break;
        }
        events += 1;
    }
    println!("figure: F2 trap3 drop_points={events} logins=1");
    assert_eq!(
        events,
        2 * GATES + 1,
        "the leader completes once all gates are passed"
    );
}

// F3
#[tokio::test]
async fn a_login_that_lost_all_waiters_finishes_and_its_token_is_used() {
    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    let mut waiters: Vec<_> = (0..10).map(|_| task::spawn(provider.acquire())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    let_others_run().await;
    drop(waiters);
    assert!(provider.current().is_none());

    issuer.open();
    let_others_run().await;
    assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
    provider.acquire().await.unwrap();
    println!("figure: F3 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 1);
}

// F5, trap 16
#[tokio::test(start_paused = true)]
async fn callers_that_time_out_before_the_login_are_served_by_it_later() {
    let issuer = Issuer::new().with_delay(Duration::from_millis(500));
    let api = Api::new();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(api.service());

    for round in 1..=5 {
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let response = service.clone().oneshot(request());
            callers.spawn(time::timeout(Duration::from_millis(300), response));
        }
        let answered = callers
            .join_all()
            .await
            .iter()
            .filter(|r| r.is_ok())
            .count();
        assert_eq!(answered, if round == 1 { 0 } else { 20 }, "round {round}");
    }
    println!("figure: F5 trap16 rounds=5 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 1);
}

struct PanicsInDrop;

impl Future for PanicsInDrop {
    type Output = Result<Credential, tower_bearer::BoxError>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::task::Poll::Ready(Ok(Credential::new("token-lost")?))
    }
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("scripted: in drop");
    }
}

/// Panics in its first login at the named place, and then returns `token-2`.
struct Panicky {
    place: &'static str,
    has_panicked: std::sync::atomic::AtomicBool,
}

impl Login for Panicky {
    fn login(
        &self,
        _: LoginRequest,
    ) -> impl Future<Output = Result<Credential, tower_bearer::BoxError>> + Send {
        let place = if self
            .has_panicked
            .swap(true, std::sync::atomic::Ordering::SeqCst)
        {
            "nowhere"
        } else {
            self.place
        };
        assert_ne!(place, "in the call", "scripted");
        let in_drop = (place == "in drop").then(|| PanicsInDrop);
        async move {
            assert_ne!(place, "before the first await", "scripted");
            yield_now().await;
            assert_ne!(place, "after it", "scripted");
            if let Some(in_drop) = in_drop {
                return in_drop.await;
            }
            Ok(Credential::new("token-2")?)
        }
    }
}

// F6, trap 6
#[tokio::test(start_paused = true)]
async fn a_panicking_login_is_an_error_for_its_waiters_and_the_next_one_runs() {
    for place in [
        "in the call",
        "before the first await",
        "after it",
        "in drop",
    ] {
        let provider = CachedProvider::new(Panicky {
            place,
            has_panicked: false.into(),
        });
        let waiters: Vec<_> = (0..10).map(|_| tokio::spawn(provider.acquire())).collect();
        for waiter in waiters {
            let error = waiter.await.unwrap().unwrap_err();
            assert!(error.is_login_panicked(), "{place}: {error}");
        }
        time::advance(Duration::from_secs(1)).await;
        let authorization = provider.acquire().await.unwrap();
        assert_eq!(authorization.value(), "Bearer token-2", "{place}");
    }
    println!("figure: F6 trap6 places=4 logins_each=2 hangs=0");
}

// F7
#[tokio::test(start_paused = true)]
async fn a_login_that_never_ends_is_dropped_at_its_timeout() {
    let issuer = Issuer::gated();
    let timeout = Duration::from_secs(3);
    let provider = CachedProvider::builder(issuer.clone())
        .policy(CachePolicy::default().login_timeout(timeout))
        .build();
    let start = Instant::now();
    let waiters: Vec<_> = (0..10).map(|_| tokio::spawn(provider.acquire())).collect();
    for waiter in waiters {
        let error = waiter.await.unwrap().unwrap_err();
        assert!(error.is_login_timed_out());
        let message = error.to_string();
        assert!(message.starts_with("the login did not end within 3 s; next attempt "));
    }
    let late = start.elapsed() - timeout;
    println!("figure: F7 late_ms={}", late.as_millis());
    assert!(late <= Duration::from_millis(1));

    issuer.open();
    issuer.open();
    time::advance(Duration::from_secs(1)).await;
    // The first login was dropped: there are never two at a time.
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-2");
    assert_eq!(issuer.logins(), 2);
    assert_eq!(issuer.finished(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_may_take_ten_seconds_by_default() {
    let issuer = Issuer::new().with_delay(Duration::from_millis(9_999));
    assert!(CachedProvider::new(issuer).acquire().await.is_ok());
    let issuer = Issuer::new().with_delay(Duration::from_millis(10_001));
    let error = CachedProvider::new(issuer).acquire().await.unwrap_err();
    assert!(error.is_login_timed_out());
}

// A longer timeout is cut, so it fits every clock.
#[tokio::test(start_paused = true)]
async fn a_login_may_take_a_year_at_most() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let taking = |time| {
        CachedProvider::builder(Issuer::new().with_delay(time))
            .policy(CachePolicy::default().login_timeout(Duration::MAX))
            .build()
    };
    assert!(taking(364 * DAY).acquire().await.is_ok());
    let error = taking(366 * DAY).acquire().await.unwrap_err();
    assert!(error.is_login_timed_out(), "{error}");
}

// F11, trap 5
#[tokio::test(start_paused = true)]
async fn waiters_share_one_failure() {
    let issuer = Issuer::new().with_delay(Duration::from_millis(500));
    issuer.fail("wrong password");
    let provider = CachedProvider::new(issuer.clone());
    let start = Instant::now();
    let waiters: Vec<_> = (0..100).map(|_| tokio::spawn(provider.acquire())).collect();
    let mut errors = Vec::new();
    for waiter in waiters {
        errors.push(waiter.await.unwrap().unwrap_err());
    }
    let drained = start.elapsed();
    println!(
        "figure: F11 trap5 waiters=100 logins={} drain_ms={}",
        issuer.logins(),
        drained.as_millis()
    );

    let source = |error: &Error| ptr::from_ref(error.source().unwrap()).addr();
    assert!(
        errors
            .iter()
            .all(|error| source(error) == source(&errors[0]))
    );
    assert!(errors[0].is_login_failed());
    assert_eq!(errors[0].source().unwrap().to_string(), "wrong password");
    assert_eq!(issuer.logins(), 1);
    assert!(drained <= Duration::from_millis(501));
}

// F12, trap 11
#[tokio::test(start_paused = true)]
async fn after_a_failure_requests_fail_at_once_with_the_same_error() {
    let issuer = Issuer::new();
    issuer.fail("down");
    let provider = CachedProvider::builder(issuer.clone())
        .random(|| 1.0)
        .build();
    let first = provider.acquire().await.unwrap_err();
    let next_attempt = first.next_attempt().unwrap();
    assert_eq!(
        next_attempt,
        Instant::now().into_std() + Duration::from_secs(1)
    );

    time::advance(Duration::from_millis(999)).await;
    let second = task::spawn(provider.acquire()).poll();
    let std::task::Poll::Ready(Err(second)) = second else {
        panic!("it must not wait");
    };
    assert!(ptr::addr_eq(
        first.source().unwrap(),
        second.source().unwrap()
    ));
    assert_eq!(issuer.logins(), 1);

    println!("figure: F12 trap11 logins={} waited=0", issuer.logins());
    issuer.recover();
    time::advance(Duration::from_millis(1)).await;
    assert!(
        provider.acquire().await.is_ok(),
        "the failure is not sticky"
    );
    assert_eq!(issuer.logins(), 2);
}

// Trap 14: a waiter of an old flight does not affect a new one.
#[tokio::test(start_paused = true)]
async fn a_waiter_of_a_failed_flight_does_not_affect_the_next() {
    let issuer = Issuer::gated();
    issuer.fail("down");
    let provider = CachedProvider::new(issuer.clone());
    let mut left_over = task::spawn(provider.acquire());
    assert_pending!(left_over.poll());
    issuer.step();
    let_others_run().await;
    issuer.recover();
    time::advance(Duration::from_secs(1)).await;

    let mut second = task::spawn(provider.acquire());
    assert_pending!(second.poll());
    assert!(left_over.await.is_err());
    let mut third = task::spawn(provider.acquire());
    assert_pending!(third.poll());
    issuer.open();
    assert_eq!(second.await.unwrap().value(), "Bearer token-2");
    assert_eq!(third.await.unwrap().value(), "Bearer token-2");
    println!("figure: trap14 flights=2 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 2);
}

// F19, trap 17
#[tokio::test]
async fn clones_and_layers_of_one_provider_share_one_flight() {
    let issuer = Issuer::gated();
    let api = Api::new();
    let provider = CachedProvider::new(issuer.clone());
    let first = BearerAuthLayer::new(provider.clone(), origins()).layer(api.service());
    let second = BearerAuthLayer::new(provider.clone(), origins()).layer(api.service());

    let requests: Vec<_> = (0..10)
        .flat_map(|_| [first.clone(), second.clone()])
        .map(|service| tokio::spawn(service.oneshot(request())))
        .collect();
    let_others_run().await;
    issuer.open();
    for response in requests {
        assert_eq!(response.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    println!("figure: F19 trap17 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 1);
}

// L1, trap 18
#[tokio::test]
async fn a_login_through_its_own_layer_fails_at_once_and_says_why() {
    let (give_client, client) = std::sync::mpsc::channel();
    let client = std::sync::Mutex::new(client);
    let login = login_fn(move |_| {
        let service = client.lock().unwrap().recv().unwrap();
        async move {
            let service: tower::util::BoxCloneSyncService<_, _, _> = service;
            let _: http::Response<String> = service.oneshot(request()).await?;
            Ok(Credential::new("abc")?)
        }
    });
    let layer = BearerAuthLayer::new(CachedProvider::new(login), origins());
    let mut service = layer.layer(Api::new().service());
    give_client
        .send(tower::util::BoxCloneSyncService::new(service.clone()))
        .unwrap();

    let error = service
        .ready()
        .await
        .unwrap()
        .call(request())
        .await
        .unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    println!("figure: L1 trap18 hangs=0");
    assert!(
        error
            .to_string()
            .contains("through the layer that waits for it"),
        "{error}"
    );
}
