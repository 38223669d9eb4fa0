//! Providers made of others: boxed, and left out.

mod support;

use http::StatusCode;
use support::{Api, Issuer, origins, request};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxProvider, CachedProvider, CredentialProvider, PerRequest,
    Reason, Rejected, ReplayWith, RequestHead, StaticProvider,
};

type CopyFn = fn(&()) -> Option<()>;

/// One field for whatever the configuration says.
struct Client<S> {
    service: BearerAuth<S, BoxProvider, ReplayWith<CopyFn>>,
}

#[tokio::test]
async fn a_static_token_and_a_login_fit_one_field() {
    let issuer = Issuer::new();
    let providers = [
        (BoxProvider::new(StaticProvider::new("fixed").unwrap()), 401),
        (BoxProvider::new(CachedProvider::new(issuer.clone())), 200),
    ];
    for (provider, expected) in providers {
        let api = Api::new();
        api.accept_login(2);
        let layer = BearerAuthLayer::new(provider, origins());
        let layer = layer.replay(ReplayWith((|(): &()| Some(())) as CopyFn));
        let client = Client {
            service: layer.layer(api.service()),
        };
        let response = client.service.oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    assert_eq!(issuer.logins(), 2, "all news reaches the provider inside");
}

#[tokio::test]
async fn a_boxed_provider_says_what_the_one_inside_says() {
    let cached = CachedProvider::new(Issuer::new());
    let boxed = BoxProvider::new(cached.clone());
    let request = request();
    let head = RequestHead::of(&request);
    assert!(boxed.current_for(head).is_none());
    let held = boxed.acquire_for(head).await.unwrap();
    assert!(boxed.is_current(&held, head));
    assert_eq!(
        boxed.current_for(head).unwrap().generation(),
        cached.current().unwrap().generation()
    );
    assert!(!boxed.sends_bare(head));
    assert!(BoxProvider::new(None::<StaticProvider>).sends_bare(head));
    let verdict = boxed.reject(&support::by_hand(held.generation()));
    assert_eq!(verdict.reason(), Reason::Current);
    assert!(cached.current().is_none());
    assert_eq!(format!("{boxed:?}"), "BoxProvider { .. }");
}

#[tokio::test]
async fn without_a_provider_requests_go_bare() {
    let api = Api::new();
    let layer = BearerAuthLayer::new(None::<CachedProvider>, origins());
    let service = layer.layer(api.service());
    for per_request in [PerRequest::new(), PerRequest::fresh()] {
        let mut request = request();
        request.extensions_mut().insert(per_request.clone());
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(per_request.receipt(), None);
    }
    let sent: Vec<_> = api.record().into_iter().map(|(sent, _)| sent).collect();
    assert_eq!(sent, ["bare", "bare"]);
    assert_eq!(layer.bare_requests(), 2);

    let issuer = Issuer::new();
    let layer = BearerAuthLayer::new(Some(CachedProvider::new(issuer.clone())), origins());
    let service = layer.layer(api.service());
    for expected in [200, 200] {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    assert_eq!(issuer.logins(), 1);
    api.accept_login(2);
    for expected in [401, 200] {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    assert_eq!(issuer.logins(), 2, "a rejection reaches it");
}

#[tokio::test]
async fn no_provider_has_no_authorization_and_no_say() {
    let none = None::<CachedProvider>;
    let request = request();
    let error = none.acquire_for(RequestHead::of(&request)).await;
    assert!(error.unwrap_err().is_no_authorization());
    let held = CachedProvider::new(Issuer::new()).acquire().await.unwrap();
    assert!(!none.is_current(&held, RequestHead::of(&request)));
    let receipt = support::receipt(held.generation());
    let verdict = none.reject(&Rejected::by_hand(receipt));
    assert_eq!(verdict.reason(), Reason::Unknown);
}
