//! A rejection takes only its own generation out of use.

mod support;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use support::{Api, Issuer, by_hand, origins, request};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, CachedProvider, CredentialEvent, CredentialProvider, Error,
    Generation, Reason, Receipt, Rejected, ReplayWith, RequestHead, Scheme, StaticProvider, Token,
    Verdict, rejection,
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
