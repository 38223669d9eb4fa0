//! Quable PIM (APIS.md, section 1), over real sockets.

mod support;

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use support::{
    HandClock, HttpClient, http_client, patient,
    quable::{FULL_ACCESS, PAGE, PASSWORD, PRODUCTS, READ_ACCESS, Settings, StandIn, USER},
};
use tokio::{sync::Semaphore, task::JoinSet};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, CredentialProvider, Error, Lifetime, ReplayWith, StaticProvider,
    presets::Quable,
};

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

fn post_product(api: &StandIn) -> Request<Full<Bytes>> {
    Request::post(format!("{}/api/products", api.base_url()))
        .header("content-type", "application/json")
        .body(Full::from(r#"{"code":"NEW"}"#))
        .unwrap()
}

fn logged_in_client(api: &StandIn, password: &str) -> BearerAuth<HttpClient> {
    let http = http_client();
    let quable = Quable::base_url(&api.base_url()).unwrap();
    let login = quable.login(http.clone(), USER, password, Lifetime::Announced);
    quable.layer_with(patient(login).build()).layer(http)
}

async fn status<P: CredentialProvider>(
    client: &BearerAuth<HttpClient, P>,
    request: Request<Full<Bytes>>,
) -> StatusCode {
    client.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_crowd_without_a_token_causes_one_login() {
    const REQUESTS: usize = 100;
    let gate = Arc::new(Semaphore::new(0));
    let api = StandIn::start_with(Settings {
        login_gate: Arc::clone(&gate),
        ..Settings::default()
    })
    .await;
    let client = logged_in_client(&api, PASSWORD);
    let mut requests = JoinSet::new();
    for page in 0..REQUESTS {
        requests.spawn(client.clone().oneshot(get(&api.products(page))));
    }
    gate.add_permits(REQUESTS);
    for response in requests.join_all().await {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    let counts = api.counts();
    assert_eq!((counts.logins, counts.max_logins_in_flight), (1, 1));
    assert_eq!((counts.ok, counts.unauthorized), (REQUESTS, 0));
}

#[tokio::test]
async fn all_products_are_listed_page_by_page() {
    let api = StandIn::start().await;
    let client = logged_in_client(&api, PASSWORD);
    let mut codes = Vec::new();
    for page in 1..=PRODUCTS.div_ceil(PAGE) {
        let response = client
            .clone()
            .oneshot(get(&api.products(page)))
            .await
            .unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let products = body["products"].as_array().unwrap();
        codes.extend(products.iter().map(|p| p["code"].to_string()));
    }
    codes.dedup();
    assert_eq!(codes.len(), PRODUCTS);
    assert_eq!(
        status(&client, post_product(&api)).await,
        StatusCode::CREATED
    );
    assert_eq!(api.counts().logins, 1);
}

#[tokio::test]
async fn a_wrong_password_is_an_error_without_secrets() {
    let api = StandIn::start().await;
    let http = http_client();
    let quable = Quable::base_url(&api.base_url()).unwrap();
    let login = quable.login(http.clone(), USER, "canary", Lifetime::Announced);
    let provider = patient(login).clock(HandClock::new()).build();
    let client = quable.layer_with(provider).layer(http);
    let error = client
        .clone()
        .oneshot(get(&api.products(1)))
        .await
        .unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(error.is_login_failed());
    let cause = error.login_error().unwrap();
    assert_eq!(cause.status(), Some(StatusCode::UNAUTHORIZED));
    let base_url = api.base_url();
    let host = base_url.strip_prefix("http://").unwrap();
    let message = format!(
        "the login at POST {host}/api_1.php/sessions was refused: 401 Unauthorized (0 bytes): \
         check the password, then `reset()`"
    );
    assert_eq!(cause.to_string(), message);
    assert!(cause.is_permanent());
    assert!(!format!("{error:?} {error:#?} {client:?}").contains("canary"));

    // During the pause the next request fails too, without a login.
    assert!(client.oneshot(get(&api.products(1))).await.is_err());
    let counts = api.counts();
    assert_eq!(
        (counts.refused_logins, counts.ok, counts.unauthorized),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn a_session_ended_by_someone_else_costs_one_rejection_and_one_login() {
    let api = StandIn::start().await;
    let client = logged_in_client(&api, PASSWORD);
    assert_eq!(status(&client, get(&api.products(1))).await, StatusCode::OK);
    api.revoke();
    assert_eq!(
        status(&client, get(&api.products(1))).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(status(&client, get(&api.products(1))).await, StatusCode::OK);
    let counts = api.counts();
    assert_eq!((counts.logins, counts.ok, counts.unauthorized), (2, 2, 1));
}

#[tokio::test]
async fn a_second_client_with_the_same_account_revokes_the_first() {
    let api = StandIn::start().await;
    let first = logged_in_client(&api, PASSWORD);
    let second = logged_in_client(&api, PASSWORD);
    assert_eq!(status(&first, get(&api.products(1))).await, StatusCode::OK);
    assert_eq!(status(&second, get(&api.products(1))).await, StatusCode::OK);
    assert_eq!(
        status(&first, get(&api.products(1))).await,
        StatusCode::UNAUTHORIZED
    );
}

/// Requests across the end of the session, by a clock moved by hand. Returns the number of logins
/// and of rejections.
async fn across_the_expiry(lifetime: Lifetime, hours: u32) -> (usize, usize) {
    let clock = HandClock::new();
    let api = StandIn::start_with(Settings {
        clock: Box::new(clock.clone()),
        ..Settings::default()
    })
    .await;
    let http = http_client();
    let quable = Quable::base_url(&api.base_url()).unwrap();
    let login = quable.login(http.clone(), USER, PASSWORD, lifetime);
    let provider = patient(login).clock(clock.clone()).build();
    let client = quable.layer_with(provider).layer(http);
    // Each step is shorter than the margin, so no request falls between margin and expiry.
    for _ in 0..hours * 720 {
        status(&client, get(&api.products(1))).await;
        clock.advance(Duration::from_secs(5));
    }
    let counts = api.counts();
    assert_eq!(counts.max_logins_in_flight, 1);
    (counts.logins, counts.unauthorized)
}

#[tokio::test]
async fn the_configured_lifetime_decides_how_often_it_logs_in() {
    assert_eq!(across_the_expiry(Lifetime::Announced, 3).await, (4, 0));
    let ten_minutes = Duration::from_secs(600);
    assert_eq!(
        across_the_expiry(Lifetime::Fixed(ten_minutes), 1).await,
        (7, 0)
    );
    assert_eq!(across_the_expiry(Lifetime::UntilRejected, 3).await, (3, 2));
}

#[tokio::test]
async fn generic_tokens_need_no_login_and_the_read_only_one_cannot_write() {
    let api = StandIn::start().await;
    let quable = Quable::base_url(&api.base_url()).unwrap();
    let with_token = |token| {
        let layer: BearerAuthLayer<_> = quable.layer_with(StaticProvider::new(token).unwrap());
        layer.layer(http_client())
    };
    let full = with_token(FULL_ACCESS);
    assert_eq!(status(&full, get(&api.products(1))).await, StatusCode::OK);
    assert_eq!(status(&full, post_product(&api)).await, StatusCode::CREATED);
    let read = with_token(READ_ACCESS);
    assert_eq!(status(&read, get(&api.products(1))).await, StatusCode::OK);
    assert_eq!(
        status(&read, post_product(&api)).await,
        StatusCode::FORBIDDEN
    );
    let counts = api.counts();
    assert_eq!((counts.logins, counts.ok, counts.forbidden), (0, 3, 1));
}

#[tokio::test]
async fn the_token_is_sent_to_the_instance_only() {
    let (api, other) = (StandIn::start().await, StandIn::start().await);
    let client = logged_in_client(&api, PASSWORD);
    assert_eq!(status(&client, get(&api.products(1))).await, StatusCode::OK);
    assert_eq!(
        status(&client, get(&other.products(1))).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        status(&client, get(&api.products(1))).await,
        StatusCode::OK,
        "a foreign request"
    );
    assert_eq!(api.counts().logins, 1);
}

#[test]
fn an_instance_is_a_label_and_a_base_url_is_checked() {
    assert!(Quable::instance("acme-2").is_ok());
    for name in [
        "",
        "acme.evil.net/",
        "a.b",
        "a/b",
        "a@b",
        "a:1",
        "é",
        "-a",
        "a-",
    ] {
        let error = Quable::instance(name).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("letters, digits and inner hyphens"),
            "{name}"
        );
    }
    assert!(Quable::base_url("https://gateway.example.com/pim/").is_ok());
    for url in [
        "http://acme.quable.com",
        "https://a.example.com/?b",
        "https://a:b@c",
        "acme",
    ] {
        assert!(Quable::base_url(url).is_err(), "{url}");
    }
}

// U1 over sockets: all requests are in flight when the token is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_in_flight_survive_a_revocation() {
    const REQUESTS: usize = 1_000;
    for body in ["", r#"{"code":"NEW"}"#] {
        let gate = Arc::new(Semaphore::new(1));
        let api = StandIn::start_with(Settings {
            request_gate: Arc::clone(&gate),
            ..Settings::default()
        })
        .await;
        // One HTTP/2 connection carries all of them.
        let http: HttpClient = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let quable = Quable::base_url(&api.base_url()).unwrap();
        // The login waits in the queue behind the requests.
        let login = quable.login(http.clone(), USER, PASSWORD, Lifetime::Announced);
        let layer = quable.layer_with(patient(login).build());
        let copy = |body: &Full<Bytes>| Some(body.clone());
        let client = layer.replay(ReplayWith(copy)).layer(http);
        let request = move |api: &StandIn| match body {
            "" => get(&api.products(1)),
            _ => post_product(api),
        };
        let first = client.clone().oneshot(request(&api)).await.unwrap();
        assert!(first.status().is_success());

        let closed = Arc::clone(&gate).acquire_owned().await.unwrap();
        let mut requests: Vec<_> = (0..REQUESTS)
            .map(|_| Box::pin(client.clone().oneshot(request(&api))))
            .collect();
        // One poll sends a request over the connection, with the valid token.
        for request in &mut requests {
            assert!(poll_once(request).await.is_pending());
        }
        api.revoke();
        drop(closed);
        let mut in_flight = JoinSet::new();
        for request in requests {
            in_flight.spawn(request);
        }
        let mut failed = 0;
        while let Some(response) = in_flight.join_next().await {
            failed += usize::from(!response.unwrap().unwrap().status().is_success());
        }
        let counts = api.counts();
        let logins = counts.logins - 1;
        println!(
            "figure: U1-over_sockets_with_{}_bytes requests={REQUESTS} rejected={} logins={logins} failed={failed}",
            body.len(),
            counts.unauthorized
        );
        assert_eq!((logins, failed), (1, 0));
        assert_eq!(counts.unauthorized, REQUESTS);
    }
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}
