//! A rejection takes only its own generation out of use.

mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use support::{Api, HandClock, Issuer, by_hand, origins, request};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, CachedProvider, Credential, CredentialEvent,
    CredentialProvider, Error, Generation, Reason, Receipt, Rejected, ReplayWith, RequestHead,
    Scheme, StaticProvider, Token, Verdict, login_fn, rejection,
};
use tower_test::mock;

// Trap 27: a token without an expiry is used until it is rejected.
#[tokio::test]
async fn a_rejection_reaches_its_caller_and_the_next_request_succeeds() {
    let issuer = Issuer::new();
    let api = Api::new();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let mut service = layer.layer(api.service());

    let mut send = async || {
        service
            .ready()
            .await
            .unwrap()
            .call(request())
            .await
            .unwrap()
    };
    assert_eq!(send().await.status(), StatusCode::OK);
    api.accept_login(2);
    let rejected = send().await;
    assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        rejected.into_body(),
        "answer to Bearer token-1",
        "S5: its body is intact"
    );
    assert_eq!(send().await.status(), StatusCode::OK);
    println!("figure: trap27 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 2);
}

// A request that waited for its credential, and is rejected with it.
#[tokio::test]
async fn a_rejection_of_a_request_that_waited_counts_too() {
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(2);
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(api.service());
    let rejected = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        service.oneshot(request()).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(issuer.logins(), 2);
}

// U2, trap 1
#[tokio::test]
async fn a_late_rejection_of_an_old_generation_is_harmless() {
    const LATE: usize = 50;
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(inner);
    provider.acquire().await.unwrap();

    let mut requests = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..=LATE {
        let mut response = task::spawn(service.clone().oneshot(request()));
        assert_pending!(response.poll());
        let (sent, answer) = handle.next_request().await.unwrap();
        assert_eq!(sent.headers()["authorization"], "Bearer token-1");
        requests.push(response);
        answers.push(answer);
    }
    let rejection = || {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    };
    // The first rejection causes a login.
    answers.remove(0).send_response(rejection());
    assert_ready_ok!(requests.remove(0).poll());
    assert!(provider.current().is_none());
    let renewed = provider.acquire().await.unwrap();
    // The other rejections are late.
    for (answer, mut response) in answers.into_iter().zip(requests) {
        answer.send_response(rejection());
        assert_eq!(
            assert_ready_ok!(response.poll()).status(),
            StatusCode::UNAUTHORIZED
        );
        let current = provider.current().expect("still in use");
        assert_eq!(current.generation(), renewed.generation());
    }
    println!(
        "figure: U2 trap1 late_rejections={LATE} logins={}",
        issuer.logins() - 2
    );
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_during_the_background_login_joins_it() {
    let issuer = Issuer::gated()
        .concurrent()
        .with_lifetime(Duration::from_secs(1000));
    issuer.step();
    let provider = CachedProvider::new(issuer.clone());
    let first = provider.acquire().await.unwrap();
    tokio::time::advance(Duration::from_secs(901)).await;
    assert!(provider.current().is_some(), "served while the login runs");
    tokio::task::yield_now().await;
    assert_eq!(issuer.logins(), 2);

    assert!(provider.reject(&by_hand(first.generation())).is_log_in());
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    issuer.open();
    assert_eq!(waiter.await.unwrap().value(), "Bearer token-2");
    println!("figure: U15 logins={}", issuer.logins() - 1);
    assert_eq!(issuer.logins(), 2);
}

type Rejection = fn(StatusCode, &HeaderMap) -> bool;

/// Whether a response counts as a rejection.
async fn is_rejection(
    rejected_if: Option<Rejection>,
    request: Request<()>,
    answer: impl Fn() -> Response<()> + Clone,
) -> bool {
    let provider = CachedProvider::new(Issuer::new());
    let mut layer = BearerAuthLayer::new(provider.clone(), origins());
    if let Some(rejected_if) = rejected_if {
        layer = layer.rejected_if(rejected_if);
    }
    let service = layer.layer(tower::service_fn(move |_: Request<()>| {
        let answer = answer();
        async { Ok::<_, Infallible>(answer) }
    }));
    service.oneshot(request).await.unwrap();
    provider.current().is_none()
}

// U5, U6, U9, S6, S7
#[tokio::test]
async fn what_counts_as_a_rejection_can_be_configured() {
    let forbidding: Rejection = rejection::unauthorized_or_forbidden;
    let by_challenge: Rejection = rejection::invalid_token;
    let own: Rejection = |status, headers| status.as_u16() == 498 || headers.contains_key("x-gone");
    let expired = (
        "www-authenticate",
        r#"Bearer realm="a", error="invalid_token""#,
    );
    let forbidden = ("www-authenticate", r#"Bearer error="insufficient_scope""#);
    let gone = ("x-gone", "1");
    let none = ("x-none", "1");
    let cases = [
        // status, header, by default, with 403, by challenge, by a custom function
        (200, none, [false, false, false, false]),
        (200, gone, [false, false, false, true]),
        (301, none, [false, false, false, false]),
        (400, expired, [false, false, false, false]),
        (401, none, [true, true, false, false]),
        (401, expired, [true, true, true, false]),
        (401, forbidden, [true, true, false, false]),
        (
            401,
            ("www-authenticate", "Basic"),
            [true, true, false, false],
        ),
        (
            401,
            ("www-authenticate", "%&/, =\"Bearer"),
            [true, true, false, false],
        ),
        (403, none, [false, true, false, false]),
        (403, forbidden, [false, true, false, false]),
        (404, none, [false, false, false, false]),
        (407, none, [false, false, false, false]),
        (419, none, [false, false, false, false]),
        (440, none, [false, false, false, false]),
        (498, none, [false, false, false, true]),
        (500, none, [false, false, false, false]),
        (503, none, [false, false, false, false]),
    ];
    for (status, (name, value), expected) in cases {
        let answer = || {
            let response = Response::builder().status(status).header(name, value);
            response.body(()).unwrap()
        };
        for (rejected_if, expected) in [None, Some(forbidding), Some(by_challenge), Some(own)]
            .into_iter()
            .zip(expected)
        {
            let found = is_rejection(rejected_if, request(), answer).await;
            assert_eq!(found, expected, "{status} {value}");
        }
    }
    println!("figure: U8 U9 S6 cases={} wrong=0", 4 * cases.len());
}

#[tokio::test]
async fn the_grpc_status_counts_only_if_the_exchange_can_be_grpc() {
    let grpc = |status: &'static str, version| {
        move || {
            let response = Response::builder()
                .version(version)
                .header("grpc-status", status);
            response.body(()).unwrap()
        }
    };
    let sent = |method: Method, version| {
        let request = Request::builder()
            .method(method)
            .uri(support::URL)
            .version(version);
        request.body(()).unwrap()
    };
    let (http_1, http_2) = (Version::HTTP_11, Version::HTTP_2);
    for (request, answer, expected) in [
        (sent(Method::POST, http_2), grpc("16", http_2), true),
        (sent(Method::POST, http_2), grpc("16", http_1), true), // in one process
        (sent(Method::POST, http_1), grpc("16", http_2), true), // the client chooses the version
        (sent(Method::POST, http_1), grpc("16", http_1), false),
        (sent(Method::GET, http_2), grpc("16", http_2), false),
        (sent(Method::POST, http_2), grpc("7", http_2), false), // a login does not change permissions
        (sent(Method::POST, http_2), grpc("0", http_2), false),
        (sent(Method::POST, http_2), grpc("160", http_2), false),
    ] {
        let described = format!("{request:?}");
        assert_eq!(
            is_rejection(None, request, answer).await,
            expected,
            "{described}"
        );
    }
    // If `unauthorized` is set by name, it checks every response.
    let named: Rejection = rejection::unauthorized;
    let answer = grpc("16", http_1);
    assert!(is_rejection(Some(named), sent(Method::GET, http_1), answer).await);
}

/// The suffix of a figure's label.
fn with_or_without(replay: bool) -> &'static str {
    if replay {
        "with_replay"
    } else {
        "without_replay"
    }
}

fn unauthorized() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// Returns 401 for `/forbidden`, and otherwise 200 for the token of the issuer's last login.
fn api_with_a_forbidden_endpoint(
    issuer: &Issuer,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send> + Clone + use<>
{
    let issuer = issuer.clone();
    tower::service_fn(move |request: Request<()>| {
        let good = format!("Bearer token-{}", issuer.finished());
        let is_good = request.headers()["authorization"] == good.as_str();
        let is_forbidden = request.uri().path() == "/forbidden";
        async move {
            Ok(match is_good && !is_forbidden {
                true => Response::new(()),
                false => unauthorized(),
            })
        }
    })
}

// U4, U4b
#[tokio::test(start_paused = true)]
async fn a_401_for_lack_of_permission_costs_few_logins_and_no_healthy_call() {
    for (pace, with_replay) in [(0, false), (0, true), (20, false), (20, true)] {
        let issuer = Issuer::new();
        let provider = CachedProvider::new(issuer.clone());
        let policy = ReplayWith(move |(): &()| with_replay.then_some(()));
        let layer = BearerAuthLayer::new(provider.clone(), origins()).replay(policy);
        let service = layer.layer(api_with_a_forbidden_endpoint(&issuer));
        let send = async |path: &str| {
            let request = Request::get(format!("https://api.example.com{path}"));
            let response = service.clone().oneshot(request.body(()).unwrap()).await;
            tokio::time::advance(Duration::from_millis(pace)).await;
            response.unwrap().status()
        };
        let mut healthy_failed = 0;
        for call in 0..11_000 {
            if call % 11 == 5 {
                assert_eq!(send("/forbidden").await, StatusCode::UNAUTHORIZED);
            } else {
                healthy_failed += usize::from(send("/healthy").await != StatusCode::OK);
            }
        }
        let logins = issuer.logins();
        println!(
            "figure: U4b-{pace}_ms_apart_{} calls=11000 logins={logins} healthy_failed={healthy_failed}",
            with_or_without(with_replay)
        );
        assert!(logins <= 12 && healthy_failed == 0, "{logins}");
        assert!(!provider.snapshot().is_contention_suspected());
    }

    let issuer = Issuer::new();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(tower::service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(unauthorized())
    }));
    for _ in 0..1_000 {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    println!("figure: U4 calls=1000 logins={}", issuer.logins());
    assert!(issuer.logins() <= 2);
}

// Trap 2, with and without replay.
#[tokio::test]
async fn two_consecutive_revocations_are_both_recovered_at_once() {
    for with_replay in [false, true] {
        let issuer = Issuer::new();
        let api = Api::new();
        let policy = ReplayWith(move |(): &()| with_replay.then_some(()));
        let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
        let service = layer.replay(policy).layer(api.service());
        let send = async || service.clone().oneshot(request()).await.unwrap().status();
        assert_eq!(send().await, StatusCode::OK);
        for login in 2..=3 {
            api.accept_login(login);
            if !with_replay {
                assert_eq!(send().await, StatusCode::UNAUTHORIZED);
            }
            assert_eq!(send().await, StatusCode::OK);
        }
        println!(
            "figure: trap2-{} revocations=2 logins={}",
            with_or_without(with_replay),
            issuer.logins() - 1
        );
        assert_eq!(issuer.logins(), 3);
    }
}

// L15, trap 30
#[tokio::test]
async fn a_login_that_returns_the_rejected_token_is_no_progress() {
    for with_replay in [false, true] {
        let logins = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&logins);
        let login = login_fn(move |_| {
            counted.fetch_add(1, SeqCst);
            async { Ok(Credential::new("x")?) }
        });
        let sends = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sends);
        let policy = ReplayWith(move |(): &()| with_replay.then_some(()));
        let layer = BearerAuthLayer::new(CachedProvider::new(login), origins()).replay(policy);
        let service = layer.layer(tower::service_fn(move |_: Request<()>| {
            counted.fetch_add(1, SeqCst);
            async { Ok::<_, Infallible>(unauthorized()) }
        }));
        for _ in 0..100 {
            let response = service.clone().oneshot(request()).await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        }
        let (logins, sends) = (logins.load(SeqCst), sends.load(SeqCst));
        println!(
            "figure: L15-{0} trap30-{0} requests=100 logins={logins} sends={sends}",
            with_or_without(with_replay)
        );
        assert_eq!(logins, 2);
        assert_eq!(sends, 100 + usize::from(with_replay));
    }
}

// The same at an API whose rejections come and go: each login seems to help for a moment.
#[tokio::test]
async fn logins_that_help_only_for_a_moment_are_held_back() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    let login = login_fn(move |_| {
        counted.fetch_add(1, SeqCst);
        async { Ok(Credential::new("x")?) }
    });
    let sends = Arc::new(AtomicUsize::new(0));
    let policy = ReplayWith(|(): &()| Some(()));
    let layer = BearerAuthLayer::new(CachedProvider::new(login), origins()).replay(policy);
    let service = layer.layer(tower::service_fn(move |_: Request<()>| {
        let is_good = sends.fetch_add(1, SeqCst) % 2 == 1;
        async move {
            Ok::<_, Infallible>(if is_good {
                Response::new(())
            } else {
                unauthorized()
            })
        }
    }));
    for _ in 0..100 {
        service.clone().oneshot(request()).await.unwrap();
    }
    assert_eq!(
        logins.load(SeqCst),
        4,
        "the first, and three that seemed to help"
    );
}

/// A provider whose last login followed a rejection and has not helped yet.
async fn after_a_login_without_effect(issuer: &Issuer) -> (CachedProvider, Generation) {
    let provider = CachedProvider::new(issuer.clone());
    let first = provider.acquire().await.unwrap();
    tokio::time::advance(Duration::from_secs(301)).await;
    assert!(provider.reject(&by_hand(first.generation())).is_log_in());
    let second = provider.acquire().await.unwrap();
    assert!(!provider.reject(&by_hand(second.generation())).is_log_in());
    assert!(provider.current().is_some());
    (provider, second.generation())
}

// If a login is under way or due anyway, the rejected request waits for it.
#[tokio::test(start_paused = true)]
async fn a_rejection_held_back_waits_for_a_login_that_is_due_anyway() {
    let lifetime = Duration::from_secs(1_000);
    let issuer = Issuer::gated().concurrent().with_lifetime(lifetime);
    issuer.step();
    issuer.step();
    let (provider, second) = after_a_login_without_effect(&issuer).await;
    tokio::time::advance(Duration::from_millis(999)).await;
    assert!(!provider.reject(&by_hand(second)).is_log_in());
    // `acquire_valid_for` starts a login.
    let mut waiter = task::spawn(provider.acquire_valid_for(Duration::from_millis(989_500)));
    assert_pending!(waiter.poll());
    tokio::task::yield_now().await;
    assert!(provider.reject(&by_hand(second)).is_log_in());
    assert!(provider.current().is_none());
    issuer.open();
    waiter.await.unwrap();
    assert_eq!(issuer.logins(), 3);

    // Expired by the wall clock, so soon after its login that a rejection alone would change
    // nothing.
    let issuer = Issuer::new().with_lifetime(lifetime);
    let clock = HandClock::new();
    let builder = CachedProvider::builder(issuer).clock(clock.clone());
    let provider = builder.build();
    let first = provider.acquire().await.unwrap().generation();
    clock.advance(Duration::from_secs(301));
    assert!(provider.reject(&by_hand(first)).is_log_in());
    let second = provider.acquire().await.unwrap().generation();
    assert!(!provider.reject(&by_hand(second)).is_log_in());
    clock.jump_wall(lifetime);
    assert!(
        provider.reject(&by_hand(second)).is_log_in(),
        "it has expired"
    );
}

// A late rejection cannot be replayed: there is no other token, and no login can be made now.
#[tokio::test]
async fn a_late_rejection_in_an_outage_reaches_its_caller() {
    let lifetime = Duration::from_secs(1_000);
    let issuer = Issuer::new().with_lifetime(lifetime);
    let clock = HandClock::new();
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .build();
    let first = provider.acquire().await.unwrap().generation();
    clock.advance(lifetime);
    provider.acquire().await.unwrap();
    assert!(
        provider.reject(&by_hand(first)).is_log_in(),
        "late: there is a newer one"
    );
    clock.advance(lifetime);
    assert!(
        provider.reject(&by_hand(first)).is_log_in(),
        "a login is due"
    );
    issuer.fail("down");
    assert!(provider.acquire().await.is_err());
    assert!(!provider.reject(&by_hand(first)).is_log_in());
}

// E7: while no login can be made, a rejected credential stays in use. The rejection may be about
// permission.
#[tokio::test(start_paused = true)]
async fn a_rejection_after_a_failed_background_login_changes_nothing() {
    let issuer = Issuer::new()
        .concurrent()
        .with_lifetime(Duration::from_secs(1000));
    let provider = CachedProvider::new(issuer.clone());
    let first = provider.acquire().await.unwrap();
    issuer.fail("down");
    tokio::time::advance(Duration::from_secs(901)).await;
    assert!(provider.current().is_some());
    tokio::task::yield_now().await;
    assert_eq!(issuer.logins(), 2);
    assert!(!provider.reject(&by_hand(first.generation())).is_log_in());
    assert_eq!(provider.current().unwrap().generation(), first.generation());
}

// Trap 8: a credential that may be valid is not discarded without a replacement.
#[tokio::test(start_paused = true)]
async fn a_forbidden_endpoint_and_a_failing_login_cause_no_outage() {
    for concurrent in [false, true] {
        let issuer = match concurrent {
            false => Issuer::new(),
            true => Issuer::new().concurrent(),
        };
        let issuer = issuer.with_lifetime(Duration::from_secs(3600));
        let provider = CachedProvider::new(issuer.clone());
        let layer = BearerAuthLayer::new(provider, origins());
        let good = Arc::new(AtomicUsize::new(0));
        let healthy = Arc::clone(&good);
        let service = layer.layer(tower::service_fn(move |request: Request<()>| {
            let is_good = request.headers()["authorization"] == "Bearer token-1";
            let is_forbidden = request.uri().path() == "/forbidden";
            healthy.fetch_add(usize::from(is_good && !is_forbidden), SeqCst);
            async move {
                Ok::<_, Infallible>(match is_good && !is_forbidden {
                    true => Response::new(()),
                    false => unauthorized(),
                })
            }
        }));
        let send = async |path: &str| {
            let request = Request::get(format!("https://api.example.com{path}"));
            service.clone().oneshot(request.body(()).unwrap()).await
        };
        assert!(send("/healthy").await.is_ok());
        issuer.fail("down");
        let mut failed = 0;
        for call in 0..600 {
            if call % 10 == 0 {
                assert_eq!(
                    send("/forbidden").await.unwrap().status(),
                    StatusCode::UNAUTHORIZED
                );
            }
            let healthy = send("/healthy").await;
            failed +=
                usize::from(!healthy.is_ok_and(|response| response.status() == StatusCode::OK));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        println!(
            "figure: E8-{0} trap8-forbidden_{0} healthy={1} logins~={2} failed={failed}",
            if concurrent {
                "concurrent"
            } else {
                "exclusive"
            },
            good.load(SeqCst),
            issuer.logins()
        );
        assert_eq!(failed, 0);
        // As often as the back-off allows: a failed login proves nothing.
        assert!(issuer.logins() <= 16, "{}", issuer.logins());
    }
}

// Trap 15, I8: a generation belongs to one account only.
#[tokio::test]
async fn a_provider_ignores_the_generations_of_another() {
    let (one, other) = (Issuer::new(), Issuer::new());
    let (one, other) = (CachedProvider::new(one), CachedProvider::new(other));
    let held = one.acquire().await.unwrap();
    assert!(
        !other.reject(&by_hand(held.generation())).is_log_in(),
        "it has no credential yet"
    );
    other.acquire().await.unwrap();
    assert!(!other.reject(&by_hand(held.generation())).is_log_in());
    assert!(other.current().is_some());
    assert!(one.reject(&by_hand(held.generation())).is_log_in());
    assert_eq!(other.snapshot().rejections(), 0);
}

// Reports about an older generation are ignored.
#[tokio::test]
async fn a_provider_knows_its_last_64_generations() {
    let provider = CachedProvider::new(Issuer::new());
    let mut generations = Vec::new();
    for _ in 0..65 {
        provider.reset();
        generations.push(provider.acquire().await.unwrap().generation());
    }
    let reason = |generation| provider.reject(&by_hand(generation)).reason();
    assert_eq!(reason(generations[0]), Reason::Unknown);
    assert_eq!(reason(generations[1]), Reason::Late);
}

// Acceptances of a target that was rejected just before are reported to the rules.
#[tokio::test]
async fn a_target_that_one_generation_rejects_and_accepts_is_not_helped_by_the_next() {
    let provider = CachedProvider::new(Issuer::new());
    let accept =
        |generation, path| provider.accept(Receipt::new(generation, 0, &Method::GET, path));
    let path = "/mixed";
    let reject = |generation| {
        let receipt = Receipt::new(generation, 0, &Method::GET, path);
        provider.reject(&Rejected::by_hand(receipt)).reason()
    };
    let first = provider.acquire().await.unwrap().generation();
    accept(first, "/healthy");
    assert_eq!(reject(first), Reason::Current);
    accept(first, path);
    let second = provider.acquire().await.unwrap().generation();
    accept(second, path);
    assert_eq!(reject(second), Reason::LoginDidNotHelp);
}

// U4b in bursts: two forbidden calls at once, repeatedly.
#[tokio::test(start_paused = true)]
async fn bursts_of_forbidden_calls_cost_no_more_logins() {
    let mut most = 0;
    for with_replay in [false, true] {
        for pace in [0, 100, 500, 1_000] {
            let issuer = Issuer::new();
            let provider = CachedProvider::new(issuer.clone());
            let policy = ReplayWith(move |(): &()| with_replay.then_some(()));
            let layer = BearerAuthLayer::new(provider.clone(), origins()).replay(policy);
            let service = layer.layer(api_with_a_forbidden_endpoint(&issuer));
            let send = async |path: &str| {
                let request = Request::get(format!("https://api.example.com{path}"));
                let response = service.clone().oneshot(request.body(()).unwrap()).await;
                response.unwrap().status()
            };
            for _ in 0..500 {
                for _ in 0..20 {
                    assert_eq!(send("/healthy").await, StatusCode::OK);
                    tokio::time::advance(Duration::from_millis(pace)).await;
                }
                for _ in 0..2 {
                    assert_eq!(send("/forbidden").await, StatusCode::UNAUTHORIZED);
                }
            }
            // Row 9 of the table: twelve in ten minutes, then one every five minutes.
            let minutes = 500 * 20 * pace / 60_000;
            let bound = 12 + minutes as usize / 5;
            assert!(issuer.logins() <= bound, "{} > {bound}", issuer.logins());
            assert_eq!(provider.snapshot().contentions(), 0);
            most = most.max(issuer.logins());
        }
    }
    println!("figure: U4b-in_bursts histories=8 logins_at_most={most}");
}

// P5: another client uses the account. Each of its logins revokes our token, and each of ours
// revokes the other.
#[tokio::test(start_paused = true)]
async fn another_client_on_the_account_is_reported_and_no_longer_logged_out() {
    for with_replay in [false, true] {
        let issuer = Issuer::new();
        let ours = Arc::new(AtomicUsize::new(0)); // above 0 while our token is valid
        let events = Arc::new(Mutex::new(Vec::new()));
        let (recorded, good) = (Arc::clone(&events), Arc::clone(&ours));
        let provider = CachedProvider::builder(issuer.clone())
            .on_event(move |event| {
                if matches!(event, CredentialEvent::LoggedIn { .. }) {
                    good.fetch_add(1_000_000, SeqCst);
                }
                recorded.lock().unwrap().push(event.clone());
            })
            .build();
        let policy = ReplayWith(move |(): &()| with_replay.then_some(()));
        let good = Arc::clone(&ours);
        let layer = BearerAuthLayer::new(provider.clone(), origins()).replay(policy);
        let service = layer.layer(tower::service_fn(move |_: Request<()>| {
            let is_good = good.load(SeqCst) > 0;
            async move {
                Ok::<_, Infallible>(if is_good {
                    Response::new(())
                } else {
                    unauthorized()
                })
            }
        }));
        let mut rejections = 0;
        for second in 0..600 {
            let response = service.clone().oneshot(request()).await.unwrap();
            rejections += usize::from(response.status() == StatusCode::UNAUTHORIZED);
            if second % 2 == 1 {
                ours.store(0, SeqCst);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let events = events.lock().unwrap();
        let contentions = events
            .iter()
            .filter(|event| matches!(event, CredentialEvent::Contended { .. }))
            .count();
        let snapshot = provider.snapshot();
        println!(
            "figure: P5-{} logins={} rejections={rejections} contentions={contentions}",
            with_or_without(with_replay),
            issuer.logins()
        );
        assert!(issuer.logins() <= 25, "{}", issuer.logins());
        assert!(contentions == 1 && snapshot.contentions() == contentions as u64);
        assert_eq!(snapshot.logins(), issuer.logins() as u64);
        assert!(snapshot.is_contention_suspected());
        let kept = events
            .iter()
            .filter(|event| matches!(event, CredentialEvent::Rejected { is_kept: true, .. }));
        assert!(kept.count() > 0);
    }
}

// Failures are reported too, and late rejections are not.
#[tokio::test]
async fn events_and_counts_show_what_happened() {
    let issuer = Issuer::new();
    let events = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&events);
    let provider = CachedProvider::builder(issuer.clone())
        .on_event(move |event| {
            let event = match event {
                CredentialEvent::LoggedIn { .. } => "logged in",
                CredentialEvent::LoginFailed { error, .. } if error.is_login_failed() => {
                    "login failed"
                }
                CredentialEvent::Rejected { is_kept: false, .. } => "rejected",
                CredentialEvent::Rejected { is_kept: true, .. } => "kept",
                _ => "another",
            };
            recorded.lock().unwrap().push(event);
            panic!("scripted: an observer panics");
        })
        .build();
    let first = provider.acquire().await.unwrap();
    issuer.fail("down");
    assert!(provider.reject(&by_hand(first.generation())).is_log_in());
    let put_back = provider.acquire().await.unwrap();
    assert_eq!(
        put_back.generation(),
        first.generation(),
        "restored: there is no newer one"
    );
    assert!(
        !provider.reject(&by_hand(first.generation())).is_log_in(),
        "no login now"
    );
    assert_eq!(
        *events.lock().unwrap(),
        ["logged in", "rejected", "login failed", "kept"]
    );
    let snapshot = provider.snapshot();
    assert_eq!(snapshot.generation(), Some(first.generation()));
    assert_eq!(
        (
            snapshot.logins(),
            snapshot.failed_logins(),
            snapshot.rejections()
        ),
        (1, 1, 2)
    );
    assert!(!snapshot.is_contention_suspected());
}

#[tokio::test]
async fn a_static_token_stays_in_use_after_a_rejection() {
    let api = Api::new();
    let provider = StaticProvider::new("revoked").unwrap();
    let mut service = BearerAuthLayer::new(provider, origins()).layer(api.service());
    for _ in 0..2 {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(request())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let sent: Vec<_> = api.record().into_iter().map(|(sent, _)| sent).collect();
    assert_eq!(sent, ["Bearer revoked", "Bearer revoked"]);
}

#[test]
fn debug_output_shows_what_counts_as_a_rejection() {
    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins());
    let own = layer
        .clone()
        .rejected_if(rejection::unauthorized_or_forbidden);
    for (layer, shown) in [(layer, "rejection: Default"), (own, "rejection: If(..)")] {
        assert!(format!("{layer:?}").contains(shown));
        assert!(format!("{:?}", layer.layer(())).contains(shown));
    }
}

// There is no other token, so the caller gets the rejection and not an error.
#[tokio::test]
async fn a_request_with_a_static_token_is_not_replayed() {
    let api = Api::new();
    let provider = StaticProvider::new("revoked").unwrap();
    let layer = BearerAuthLayer::new(provider, origins()).replay(ReplayWith(|(): &()| Some(())));
    let response = layer.layer(api.service()).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(api.record().len(), 1);
}

/// Records each call.
struct Recorder {
    authorization: Authorization,
    calls: Arc<Mutex<Vec<(&'static str, Generation)>>>,
}

impl CredentialProvider for Recorder {
    type Acquire = std::future::Ready<Result<Authorization, Error>>;

    fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
        Some(self.authorization.clone())
    }

    fn acquire_for(&self, _: RequestHead<'_>) -> Self::Acquire {
        std::future::ready(Ok(self.authorization.clone()))
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        let generation = rejected.receipt.generation();
        self.calls.lock().unwrap().push(("reject", generation));
        Verdict::new(Reason::Fixed)
    }

    fn accept(&self, receipt: Receipt) {
        let generation = receipt.generation();
        self.calls.lock().unwrap().push(("accept", generation));
    }
}

#[tokio::test]
async fn a_provider_gets_acceptances_and_rejections_and_nothing_else() {
    let authorization = Authorization::new(Scheme::BEARER, &Token::new("abc").unwrap());
    let generation = authorization.generation();
    let calls = Arc::default();
    let recorder = Recorder {
        authorization,
        calls: Arc::clone(&calls),
    };
    let service = BearerAuthLayer::new(Arc::new(recorder), origins()).layer(tower::service_fn(
        |request: Request<()>| async move {
            let mut response = Response::new(());
            *response.status_mut() = request.uri().path()[1..].parse().unwrap();
            Ok::<_, Infallible>(response)
        },
    ));
    let send = async |url: &str| {
        let request = Request::get(url).body(()).unwrap();
        service.clone().oneshot(request).await.unwrap();
        std::mem::take(&mut *calls.lock().unwrap())
    };
    assert_eq!(
        send("https://api.example.com/200").await,
        [("accept", generation)]
    );
    assert_eq!(
        send("https://api.example.com/404").await,
        [("accept", generation)]
    );
    assert_eq!(
        send("https://api.example.com/401").await,
        [("reject", generation)]
    );
    assert_eq!(
        send("https://api.example.com/503").await,
        [],
        "a 5xx is not reported"
    );
    assert_eq!(
        send("https://other.example.com/401").await,
        [],
        "a bare request is not reported"
    );
    assert_eq!(send("https://other.example.com/200").await, []);
}
