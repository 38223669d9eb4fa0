//! Logins that do not help are held back: forbidden endpoints, other clients, outages.

mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use support::{Api, HandClock, Issuer, by_hand, origins, request};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, Credential, CredentialEvent, Generation, Reason, Receipt,
    Rejected, ReplayWith, login_fn,
};

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
