//! The spans and events of the feature `tracing`.

mod support;

use std::time::Duration;

use support::{Capture, HandClock, Issuer, by_hand};
use tower_bearer::{CachedProvider, login_fn};

#[tokio::test]
async fn a_login_has_a_span_and_events_are_logged() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.clone());
    let issuer = Issuer::new();
    let scripted = issuer.clone();
    let login = login_fn(move |request| {
        let issuer = scripted.clone();
        async move {
            use tower_bearer::Login;
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
