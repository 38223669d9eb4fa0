//! A refusal takes its own generation out of use, and nothing else.

mod support;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use support::{Api, Issuer, origins, request};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, CachedProvider, CredentialProvider, Error, Generation,
    RequestHead, Scheme, StaticProvider, Token,
};
use tower_test::mock;

#[tokio::test]
async fn a_refusal_goes_to_its_caller_and_the_next_request_is_good() {
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
    let refused = send().await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        refused.into_body(),
        "answer to Bearer token-1",
        "S5: its body is intact"
    );
    assert_eq!(send().await.status(), StatusCode::OK);
    assert_eq!(issuer.logins(), 2);
}

// A cold request, refused with the very credential it waited for.
#[tokio::test]
async fn a_refusal_of_a_request_that_waited_counts_as_well() {
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(2);
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(api.service());
    let refused = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        service.oneshot(request()).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(issuer.logins(), 2);
}

// U2, trap 1
#[tokio::test]
async fn a_late_refusal_of_an_old_generation_is_harmless() {
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
    let refusal = || {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    };
    // The first refusal is news; the credential is renewed.
    answers.remove(0).send_response(refusal());
    assert_ready_ok!(requests.remove(0).poll());
    assert!(provider.current().is_none());
    let renewed = provider.acquire().await.unwrap();
    // The others are late.
    for (answer, mut response) in answers.into_iter().zip(requests) {
        answer.send_response(refusal());
        assert_eq!(
            assert_ready_ok!(response.poll()).status(),
            StatusCode::UNAUTHORIZED
        );
        let current = provider.current().expect("still in use");
        assert_eq!(current.generation(), renewed.generation());
    }
    println!(
        "figure: U2 late_refusals={LATE} logins={}",
        issuer.logins() - 2
    );
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_during_the_background_login_joins_it() {
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

    assert!(provider.reject(first.generation()));
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    issuer.open();
    assert_eq!(waiter.await.unwrap().value(), "Bearer token-2");
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test]
async fn only_a_401_is_a_refusal() {
    for status in [200, 204, 301, 400, 403, 404, 407, 419, 498, 500, 503] {
        let issuer = Issuer::new();
        let provider = CachedProvider::new(issuer.clone());
        let service = BearerAuthLayer::new(provider.clone(), origins()).layer(tower::service_fn(
            move |_: Request<()>| async move {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok::<_, Infallible>(response)
            },
        ));
        service.oneshot(request()).await.unwrap();
        assert!(provider.current().is_some(), "{status}");
        assert_eq!(issuer.logins(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_static_token_stays_in_use_after_a_refusal() {
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

/// Writes down what it is told.
struct Recorder {
    authorization: Authorization,
    told: Arc<Mutex<Vec<(&'static str, Generation)>>>,
}

impl CredentialProvider for Recorder {
    type Acquire = std::future::Ready<Result<Authorization, Error>>;

    fn current(&self, _: RequestHead<'_>) -> Option<Authorization> {
        Some(self.authorization.clone())
    }

    fn acquire(&self, _: RequestHead<'_>) -> Self::Acquire {
        std::future::ready(Ok(self.authorization.clone()))
    }

    fn reject(&self, refused: Generation) -> bool {
        self.told.lock().unwrap().push(("reject", refused));
        false
    }

    fn accept(&self, used: Generation) {
        self.told.lock().unwrap().push(("accept", used));
    }
}

#[tokio::test]
async fn a_provider_is_told_of_what_was_accepted_and_refused_and_of_nothing_else() {
    let authorization = Authorization::new(Scheme::BEARER, &Token::new("abc").unwrap());
    let generation = authorization.generation();
    let told = Arc::default();
    let recorder = Recorder {
        authorization,
        told: Arc::clone(&told),
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
        std::mem::take(&mut *told.lock().unwrap())
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
        "a 5xx says nothing"
    );
    assert_eq!(
        send("https://other.example.com/401").await,
        [],
        "a bare one is not ours"
    );
    assert_eq!(send("https://other.example.com/200").await, []);
}
