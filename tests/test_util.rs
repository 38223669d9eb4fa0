//! The test kit works as documented.

mod support;

use std::time::Duration;

use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, Clock, CredentialProvider, Rejected,
    test_util::{ScriptedLogin, ScriptedProvider, TestClock},
};

#[tokio::test]
async fn a_gate_holds_logins_until_it_opens() {
    let login = ScriptedLogin::new();
    let provider = CachedProvider::new(login.clone());
    login.open();
    login.open();
    provider.acquire().await.unwrap();
    login.close();
    provider.reset();
    let mut held_back = task::spawn(provider.acquire());
    assert_pending!(held_back.poll());
    tokio::task::yield_now().await;
    assert_eq!((login.started(), login.finished()), (2, 1));
    login.step();
    assert_eq!(held_back.await.unwrap().value(), "Bearer token-2");
    provider.reset();
    let mut held_back = task::spawn(provider.acquire());
    assert_pending!(held_back.poll());
    login.open();
    held_back.await.unwrap();
    login.assert_logins(3);
}

#[test]
#[should_panic(expected = "logins")]
fn assert_logins_can_fail() {
    ScriptedLogin::new().assert_logins(1);
}

#[test]
fn a_clock_moves_only_by_hand() {
    let clock = TestClock::new();
    let (now, wall) = (clock.now(), clock.wall());
    let minute = Duration::from_secs(60);
    clock.clone().advance(minute);
    assert_eq!((clock.now(), clock.wall()), (now + minute, wall + minute));
    clock.jump_wall(minute);
    clock.jump_wall_back(3 * minute);
    assert_eq!((clock.now(), clock.wall()), (now + minute, wall - minute));
}

#[tokio::test]
async fn a_scripted_provider_returns_its_tokens_in_order() {
    let provider = ScriptedProvider::new(["one", "two"]).unwrap();
    assert!(ScriptedProvider::new(["a b"]).is_err());
    let layer = BearerAuthLayer::new(provider.clone(), support::origins());
    let service = layer.layer(service_fn(|request: http::Request<()>| async move {
        let sent = request.headers()["authorization"].clone();
        Ok::<_, std::convert::Infallible>(http::Response::new(sent))
    }));
    for token in ["Bearer one", "Bearer two"] {
        let response = service.clone().oneshot(support::request()).await.unwrap();
        assert_eq!(response.body(), token);
        let used = *provider.accepted().last().unwrap();
        assert_eq!(
            provider.reject(&Rejected::by_hand(used)).is_log_in(),
            token == "Bearer one"
        );
        assert_eq!(provider.rejected().last(), Some(&used));
    }
    assert!(service.oneshot(support::request()).await.is_err());
}
