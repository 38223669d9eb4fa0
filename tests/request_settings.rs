//! Settings of one request: `PerRequest`, its receipt, and the caller's own header.

mod support;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use support::{Api, Issuer, URL, by_hand, origins, request};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, CredentialProvider, Generation, Origins, PerRequest, Receipt,
    ReplayWith, RequestHead, StaticProvider,
};
use tower_test::mock;

fn carried(per_request: &PerRequest) -> Option<Generation> {
    per_request.receipt().map(Receipt::generation)
}

fn asking(per_request: &PerRequest) -> Request<()> {
    let request = Request::get(URL).extension(per_request.clone());
    request.body(()).unwrap()
}

/// Responds with all authorization headers that arrived.
fn echo()
-> impl Service<Request<()>, Response = Response<Vec<String>>, Error = Infallible, Future: Send> + Clone
{
    service_fn(|request: Request<()>| async move {
        let sent = request.headers().get_all(AUTHORIZATION).iter();
        let sent = sent.map(|value| value.to_str().unwrap().to_owned());
        Ok(Response::new(sent.collect()))
    })
}

// K8, K9, trap 20
#[tokio::test]
async fn the_callers_own_header_is_kept_or_replaced() {
    async fn sent(
        layer: &BearerAuthLayer<StaticProvider>,
        url: &str,
        own: &[&str],
    ) -> Result<Vec<String>, BoxError> {
        let request = own.iter().fold(Request::get(url), |request, own| {
            request.header("aUTHORIZATION", *own)
        });
        let service = layer.layer(echo());
        let response = service.oneshot(request.body(()).unwrap()).await?;
        Ok(response.into_body())
    }
    let keeping = BearerAuthLayer::new(StaticProvider::new("ours").unwrap(), origins());
    let replacing = keeping.clone().replacing_callers_header();
    let foreign = "https://other.example.com/";

    assert_eq!(sent(&keeping, URL, &["own"]).await.unwrap(), ["own"]);
    assert!(sent(&keeping, URL, &["own", "two"]).await.is_err());
    assert_eq!(sent(&replacing, URL, &[]).await.unwrap(), ["Bearer ours"]);
    assert_eq!(
        sent(&replacing, URL, &["own"]).await.unwrap(),
        ["Bearer ours"]
    );
    assert_eq!(
        sent(&replacing, URL, &["own", "two"]).await.unwrap(),
        ["Bearer ours"]
    );
    assert_eq!(sent(&replacing, foreign, &["own"]).await.unwrap(), ["own"]);
    println!("figure: K8 K9 trap20 cases=6 authorizations_at_most=1");
}

#[tokio::test]
async fn a_request_can_be_sent_bare() {
    let issuer = Issuer::new();
    let api = Api::new();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer
        .replay(ReplayWith(|(): &()| Some(())))
        .layer(api.service());
    let bare = PerRequest::bare();
    assert!(bare.is_bare() && !bare.is_fresh());
    let response = service.clone().oneshot(asking(&bare)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bare.receipt(), None);
    assert_eq!(api.record().len(), 1);
    assert_eq!(api.record()[0].0, "bare");
    assert_eq!(issuer.logins(), 0);
    assert_eq!(service.foreign_requests(), 0);
}

#[tokio::test]
async fn a_request_judged_by_its_caller_can_be_bare_or_fresh() {
    let (bare, fresh) = (
        PerRequest::bare().judged_by_caller(),
        PerRequest::fresh().judged_by_caller(),
    );
    for marked in [&bare, &fresh] {
        assert!(marked.is_judged_by_caller());
    }
    assert_eq!((bare.is_bare(), bare.is_fresh()), (true, false));
    assert_eq!((fresh.is_bare(), fresh.is_fresh()), (false, true));
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    provider.acquire().await.unwrap();
    let service = BearerAuthLayer::new(provider, origins()).layer(echo());
    let mut sent = Vec::new();
    for marked in [bare, fresh] {
        let response = service.clone().oneshot(asking(&marked)).await.unwrap();
        sent.extend(response.into_body());
    }
    assert_eq!(sent, ["Bearer token-2"]);
}

// The setting is for the origin that the next hop may lead to.
#[tokio::test]
async fn a_request_sent_bare_still_asks_for_a_fresh_credential() {
    let provider = CachedProvider::new(Issuer::new());
    provider.acquire().await.unwrap();
    let service = BearerAuthLayer::new(provider, origins()).layer(echo());
    let fresh = PerRequest::fresh();
    let mut sent = Vec::new();
    for url in ["https://other.example.com/", URL, URL] {
        assert_eq!(fresh.is_fresh(), sent.is_empty(), "{url}");
        let request = Request::get(url).extension(fresh.clone()).body(()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        sent.extend(response.into_body());
    }
    assert_eq!(sent, ["Bearer token-2"; 2]);
}

// Asking for the receipt is no reason to wait: the request uses the slot that is reserved for it.
#[tokio::test]
async fn a_request_with_default_settings_is_sent_at_once() {
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let provider = StaticProvider::new("abc").unwrap();
    let mut service = BearerAuthLayer::new(provider, origins()).layer(inner);
    handle.allow(1);
    let asking = asking(&PerRequest::new());
    let _response = service.ready().await.unwrap().call(asking);
    let sent = task::spawn(handle.next_request()).poll();
    assert!(sent.is_ready());
}

#[tokio::test]
async fn a_request_can_ask_for_a_fresh_credential() {
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_all();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(api.service());
    for _ in 0..2 {
        service.clone().oneshot(request()).await.unwrap();
    }
    assert_eq!(issuer.logins(), 1);
    let fresh = PerRequest::fresh();
    service.clone().oneshot(asking(&fresh)).await.unwrap();
    assert_eq!(api.record()[2].0, "Bearer token-2");
    let current = service.provider().current().unwrap();
    assert_eq!(carried(&fresh), Some(current.generation()));
    service.clone().oneshot(request()).await.unwrap();
    assert_eq!(api.record()[3].0, "Bearer token-2", "all requests use it");
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test]
async fn a_static_token_counts_as_fresh() {
    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins());
    let service = layer.layer(echo());
    let (fresh, usual) = (PerRequest::fresh(), PerRequest::new());
    for per_request in [&fresh, &usual] {
        let request = asking(per_request);
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.into_body(), ["Bearer abc"]);
    }
    assert!(!fresh.is_fresh(), "the setting has had its effect");
    assert_eq!(carried(&fresh), carried(&usual));
}

// Requests that ask at the same time share a login, and so does one that asks while a login is
// under way.
#[tokio::test]
async fn concurrent_fresh_requests_share_one_login() {
    let issuer = Issuer::gated();
    issuer.step();
    let provider = CachedProvider::new(issuer.clone());
    provider.acquire().await.unwrap();
    let api = Api::new();
    api.accept_all();
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(api.service());
    let mut fresh: Vec<_> = (0..10)
        .map(|_| task::spawn(service.clone().oneshot(asking(&PerRequest::fresh()))))
        .collect();
    for request in &mut fresh {
        assert_pending!(request.poll());
    }
    // All other requests use the current credential.
    service.clone().oneshot(request()).await.unwrap();
    assert_eq!(api.record()[0].0, "Bearer token-1");
    issuer.open();
    for request in fresh {
        request.await.unwrap();
    }
    assert!(
        api.record()[1..]
            .iter()
            .all(|(sent, _)| sent == "Bearer token-2")
    );
    assert_eq!(issuer.logins(), 2);
}

// After its rejection, a fresh request uses the same login as the others.
#[tokio::test]
async fn the_replay_of_a_fresh_request_needs_no_second_fresh_login() {
    let issuer = Issuer::new();
    let api = Api::new();
    api.accept_login(3);
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer
        .replay(ReplayWith(|(): &()| Some(())))
        .layer(api.service());
    service.provider().acquire().await.unwrap();
    let fresh = PerRequest::fresh();
    let response = service.clone().oneshot(asking(&fresh)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        issuer.logins(),
        3,
        "the first, the fresh one, and one after the rejection"
    );
    let current = service.provider().current().unwrap();
    assert_eq!(carried(&fresh), Some(current.generation()));
}

// When the rejection arrives, the others have a newer credential, which is fresh enough.
#[tokio::test]
async fn a_late_rejection_of_a_fresh_request_causes_no_login() {
    let issuer = Issuer::new();
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.replay(ReplayWith(|(): &()| Some(()))).layer(inner);
    let provider = service.provider();
    provider.acquire().await.unwrap();
    let mut response = task::spawn(service.clone().oneshot(asking(&PerRequest::fresh())));
    assert_pending!(response.poll());
    tokio::task::yield_now().await;
    assert_pending!(response.poll());
    let (sent, answer) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()[AUTHORIZATION], "Bearer token-2");
    let second = provider.current().unwrap();
    assert!(provider.reject(&by_hand(second.generation())).is_log_in());
    provider.acquire().await.unwrap();
    let mut rejection = Response::new(());
    *rejection.status_mut() = StatusCode::UNAUTHORIZED;
    answer.send_response(rejection);
    assert_pending!(response.poll());
    let (sent, answer) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()[AUTHORIZATION], "Bearer token-3");
    answer.send_response(Response::new(()));
    assert_ready_ok!(response.poll());
    assert_eq!(issuer.logins(), 3);
}

#[tokio::test]
async fn a_failed_fresh_login_keeps_the_credential_of_other_requests() {
    let issuer = Issuer::new();
    let api = Api::new();
    let layer = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins());
    let service = layer.layer(api.service());
    service.clone().oneshot(request()).await.unwrap();
    issuer.fail("down");
    let fresh = PerRequest::fresh();
    assert!(service.clone().oneshot(asking(&fresh)).await.is_err());
    assert_eq!(fresh.receipt(), None);
    let response = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

// Requests created together share a login, also if they are polled one after the other.
#[tokio::test]
async fn fresh_requests_created_together_share_one_login() {
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let api = Api::new();
    api.accept_all();
    let mut service = BearerAuthLayer::new(provider.clone(), origins()).layer(api.service());
    provider.acquire().await.unwrap();
    let mut fresh = Vec::new();
    for _ in 0..10 {
        fresh.push(
            service
                .ready()
                .await
                .unwrap()
                .call(asking(&PerRequest::fresh())),
        );
    }
    for response in fresh {
        response.await.unwrap();
    }
    assert_eq!(issuer.logins(), 2);
}

// A redirect copies the extension. By then the setting has had its effect.
#[tokio::test]
async fn a_redirected_fresh_request_causes_one_login() {
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let layer = BearerAuthLayer::new(provider, origins());
    let api = service_fn(|request: Request<String>| async move {
        let hop: u32 = request.uri().path()[1..].parse().unwrap();
        let response = match hop {
            5 => Response::builder()
                .status(302)
                .header("location", "https://other.example.com/6"),
            6 => Response::builder(),
            _ => Response::builder()
                .status(302)
                .header("location", format!("/{}", hop + 1)),
        };
        Ok::<_, Infallible>(response.body(()).unwrap())
    });
    let service = tower::ServiceBuilder::new()
        .layer(tower_http::follow_redirect::FollowRedirectLayer::new())
        .layer(layer)
        .service(api);
    let fresh = PerRequest::fresh();
    let request = Request::get("https://api.example.com/1").extension(fresh.clone());
    service
        .oneshot(request.body(String::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(issuer.logins(), 1);
}

#[tokio::test]
async fn a_request_last_sent_bare_has_no_receipt() {
    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins());
    let service = layer.layer(echo());
    let per_request = PerRequest::new();
    service.clone().oneshot(asking(&per_request)).await.unwrap();
    assert!(per_request.receipt().is_some());
    let foreign = Request::get("https://other.example.com/").extension(per_request.clone());
    service.oneshot(foreign.body(()).unwrap()).await.unwrap();
    assert_eq!(per_request.receipt(), None);
}

// The caller's own header carries another token than the request before.
#[tokio::test]
async fn a_request_last_sent_with_the_callers_header_has_no_receipt() {
    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins());
    let service = layer.layer(echo());
    let per_request = PerRequest::new();
    service.clone().oneshot(asking(&per_request)).await.unwrap();
    assert!(per_request.receipt().is_some());
    let mut request = asking(&per_request);
    let mine = "Bearer mine".parse().unwrap();
    request.headers_mut().insert("authorization", mine);
    service.oneshot(request).await.unwrap();
    assert_eq!(per_request.receipt(), None);
}

// Two APIs, each with a layer of its own in one stack: the other API's layer leaves the receipt alone.
#[tokio::test]
async fn a_layer_that_adds_nothing_leaves_the_receipt_of_another_layer() {
    let layer = |host: &str, header: &'static str| {
        let origins = Origins::new(format!("https://{host}")).unwrap();
        BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins)
            .with_header_name(http::HeaderName::from_static(header))
    };
    let authorization = "authorization";
    for [outer, inner] in [
        [
            ("a.example.com", authorization),
            ("b.example.com", authorization),
        ],
        [
            ("a.example.com", authorization),
            ("b.example.com", "x-session"),
        ],
        [
            ("a.example.com", authorization),
            ("a.example.com", authorization),
        ],
    ] {
        let service = tower::ServiceBuilder::new()
            .layer(layer(outer.0, outer.1))
            .layer(layer(inner.0, inner.1))
            .service(echo());
        let per_request = PerRequest::new().judged_by_caller();
        let send = async |host: &str| {
            let request = Request::get(format!("https://{host}/"));
            let request = request.extension(per_request.clone()).body(()).unwrap();
            service.clone().oneshot(request).await.unwrap();
            per_request.receipt().is_some()
        };
        assert!(send(outer.0).await, "{outer:?} {inner:?}");
        assert!(send(inner.0).await, "{outer:?} {inner:?}");
        // A redirect to a host of neither: the receipt is that of the last hop.
        assert!(!send("c.example.com").await, "{outer:?} {inner:?}");
        assert!(send(outer.0).await, "{outer:?} {inner:?}");
        assert!(!send("c.example.com").await, "{outer:?} {inner:?}");
    }
}

// For a rejection in a body or in trailers.
#[tokio::test(start_paused = true)]
async fn a_rejection_can_be_reported_by_hand_with_the_generation_sent() {
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(echo());
    let send = async || {
        let per_request = PerRequest::new();
        assert_eq!(per_request.receipt(), None);
        service.clone().oneshot(asking(&per_request)).await.unwrap();
        carried(&per_request).unwrap()
    };
    let (first, same) = (send().await, send().await);
    assert_eq!(first, same);
    assert!(provider.reject(&by_hand(first)).is_log_in());
    assert!(provider.current().is_none());
    let second = send().await;
    assert_ne!(first, second);
    assert!(
        provider.reject(&by_hand(first)).is_log_in(),
        "late: there is a newer one"
    );
    assert!(provider.current().is_some());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test]
async fn a_custom_provider_sees_that_a_request_is_fresh() {
    let provider = CachedProvider::new(Issuer::new());
    provider.acquire().await.unwrap();
    let plain = request();
    let plain = CredentialProvider::acquire_for(&provider, RequestHead::of(&plain));
    assert_eq!(plain.await.unwrap().value(), "Bearer token-1");
    let fresh = asking(&PerRequest::fresh());
    let head = RequestHead::of(&fresh);
    assert!(head.extensions.get::<PerRequest>().unwrap().is_fresh());
    let acquired = CredentialProvider::acquire_for(&provider, head)
        .await
        .unwrap();
    assert_eq!(acquired.value(), "Bearer token-2");
}
