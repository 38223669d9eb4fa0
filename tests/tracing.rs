//! The spans and events of the feature `tracing`.

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use support::{Capture, HandClock, Issuer, by_hand};
use tower::{BoxError, Layer, ServiceExt};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, HttpLogin, Lifetime, Login, LoginRequest, Origins,
    StaticProvider, login_fn,
};

#[tokio::test]
async fn a_login_has_a_span_and_events_are_logged() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.clone());
    let issuer = Issuer::new();
    let scripted = issuer.clone();
    let login = login_fn(move |request| {
        let issuer = scripted.clone();
        async move {
            tokio::task::yield_now().await;
            tracing::info!("within the login");
            issuer.login(request).await
        }
    });
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login).clock(clock.clone()).build();
    let held = provider.acquire().await.unwrap();
    issuer.fail("down for maintenance");
    clock.advance(Duration::from_secs(600));
    assert!(provider.reject(&by_hand(held.generation())).is_log_in());
    drop(provider.acquire().await);

    let said = capture.said();
    let count = |what: &str| said.iter().filter(|line| line.contains(what)).count();
    assert_eq!(
        count("tower_bearer::provider::cache::login_task login"),
        2,
        "{said:#?}"
    );
    let within: Vec<_> = said
        .iter()
        .filter(|line| line.contains("within the login"))
        .collect();
    assert!(within.len() == 2 && within.iter().all(|line| line.ends_with("in 1 spans")));
    let logged_in = said.iter().find(|line| line.contains("logged in"));
    assert!(logged_in.unwrap().ends_with("in 0 spans"));
    assert_eq!(count("logged in"), 1);
    assert_eq!(count("credential rejected"), 1);
    assert_eq!(count("login failed; next attempt"), 1);
}

#[tokio::test]
async fn a_forgotten_origin_is_logged_once() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.clone());
    let http = tower::service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
    let send = async |provider: Option<StaticProvider>, origins: Origins, url: &str| {
        let request = Request::get(url).body(()).unwrap();
        let client = BearerAuthLayer::new(provider, origins).layer(http);
        for _ in 0..2 {
            let _ = client.clone().oneshot(request.clone()).await;
        }
    };
    let provider = || Some(StaticProvider::new("abc").unwrap());
    let origins = || Origins::new("https://api.example.com").unwrap();
    let count = |what: &str| {
        let said = capture.said();
        said.iter().filter(|line| line.contains(what)).count()
    };
    let warning = "requests to this origin are sent without a token";
    send(provider(), origins(), "https://api.example.com/a").await;
    send(None, origins(), "https://other.example.com/a").await;
    send(
        provider(),
        origins().strict(),
        "https://other.example.com/a",
    )
    .await;
    assert_eq!(count(warning), 0);
    send(
        provider(),
        origins(),
        "https://other.example.com/a?b=secret",
    )
    .await;
    assert_eq!(count(warning), 1);
    assert_eq!(count("https://other.example.com"), 1);
    assert_eq!(count("secret"), 0);
}

#[tokio::test]
async fn a_lifetime_that_is_not_where_it_was_expected_is_logged_once() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.clone());
    let count = || {
        let said = capture.said();
        let warnings = said.iter().filter(|it| it.contains("has no lifetime"));
        warnings.count()
    };
    let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let body = r#"{"access_token":"a","ttl":60}"#;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body)))
    });
    let login = || HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
    for login in [
        login(),
        login().lifetime_at("/ttl"),
        login()
            .lifetime_at("/tll")
            .lifetime(Lifetime::UntilRejected),
    ] {
        login.login(LoginRequest::default()).await.unwrap();
    }
    assert_eq!(count(), 0);
    let mistyped = login().lifetime_at("/tll");
    for _ in 0..3 {
        mistyped.login(LoginRequest::default()).await.unwrap();
    }
    assert_eq!(count(), 1);
}
