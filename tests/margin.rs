//! A credential is used until its margin, and until its expiry while logins fail. A frozen background
//! login fails no request.

mod support;

use std::time::Duration;

use support::{HandClock, Issuer, by_hand, origins, request};
use tokio::task::yield_now;
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuthLayer, CachePolicy, CachedProvider, Credential, CredentialState, LoginError,
    PerRequest, Session, login_fn,
};

const SECOND: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(3600);
const MARGIN: Duration = Duration::from_secs(300);

/// The distances from a boundary: one nanosecond, and one millisecond.
const TICKS: [Duration; 2] = [Duration::from_nanos(1), Duration::from_millis(1)];

async fn let_others_run() {
    for _ in 0..20 {
        yield_now().await;
    }
}

fn issuer(session: Session) -> Issuer {
    let issuer = Issuer::new().with_lifetime(LIFETIME);
    match session {
        Session::Concurrent => issuer.concurrent(),
        _ => issuer,
    }
}

fn with_margin(issuer: &Issuer, margin: Duration) -> (CachedProvider, HandClock) {
    let clock = HandClock::new();
    let provider = CachedProvider::builder(issuer.clone())
        .policy(CachePolicy::default().margin(margin))
        .clock(clock.clone())
        .random(|| 0.5)
        .build();
    (provider, clock)
}

const SESSIONS: [Session; 2] = [Session::Exclusive, Session::Concurrent];

#[tokio::test]
async fn an_outage_within_the_margin_fails_no_request_before_the_expiry() {
    for session in SESSIONS {
        let issuer = issuer(session);
        let (provider, clock) = with_margin(&issuer, MARGIN);
        let client = BearerAuthLayer::new(provider.clone(), origins()).layer(tower::service_fn(
            |request: http::Request<()>| async move {
                assert_eq!(request.headers()["authorization"], "Bearer token-1");
                Ok::<_, std::convert::Infallible>(http::Response::new(()))
            },
        ));
        client.clone().oneshot(request()).await.unwrap();
        clock.advance(LIFETIME - MARGIN);
        issuer.fail("down");
        // Four minutes of outage, with a request each second.
        for second in 0..240 {
            let served = client.clone().oneshot(request()).await;
            assert!(served.is_ok(), "{session:?}, {second} s: {served:?}");
            assert!(provider.acquire().await.is_ok(), "{session:?}, {second} s");
            clock.advance(SECOND);
        }
        assert!(issuer.logins() > 3, "logins are tried meanwhile");
        issuer.recover();
        clock.advance(MARGIN - 241 * SECOND);
        let renewed = provider.acquire().await.unwrap();
        assert_ne!(renewed.value(), "Bearer token-1", "a success replaces it");
        assert_eq!(provider.snapshot().state(), CredentialState::Fresh);
        assert_eq!(provider.acquire().await.unwrap().value(), renewed.value());
    }
}

#[tokio::test]
async fn in_an_outage_a_credential_is_used_until_either_clock_reaches_its_expiry() {
    enum By {
        Both,
        Wall,
    }
    for session in SESSIONS {
        for margin in [MARGIN, 10 * SECOND] {
            for (tick, by) in TICKS
                .into_iter()
                .flat_map(|it| [(it, By::Both), (it, By::Wall)])
            {
                let issuer = issuer(session);
                let (provider, clock) = with_margin(&issuer, margin);
                provider.acquire().await.unwrap();
                issuer.fail_with(|| LoginError::permanent("no").into());
                clock.advance(LIFETIME - margin - tick);
                assert!(provider.current().is_some(), "used without a login");
                let_others_run().await;
                clock.advance(tick);
                assert!(provider.current().is_none());
                let served = provider.acquire().await.unwrap();
                assert_eq!(served.value(), "Bearer token-1");
                let move_on = |by_how_much| match by {
                    By::Both => clock.advance(by_how_much),
                    By::Wall => clock.jump_wall(by_how_much),
                };
                move_on(margin - tick);
                let snapshot = provider.snapshot();
                assert_eq!(snapshot.state(), CredentialState::Aging);
                assert_eq!(snapshot.usable_for(), Some(tick));
                let served = provider.acquire().await.unwrap();
                assert_eq!(served.value(), "Bearer token-1", "{session:?} {margin:?}");
                move_on(tick);
                let error = provider.acquire().await.unwrap_err();
                assert!(error.is_login_failed(), "{error}");
                let snapshot = provider.snapshot();
                assert_eq!(snapshot.state(), CredentialState::BackingOff);
                assert_eq!(snapshot.usable_for(), Some(Duration::ZERO));
            }
        }
    }
}

// The waiters of the failed login continue as well.
#[tokio::test]
async fn the_waiters_of_a_failed_login_use_the_credential_within_its_margin() {
    let issuer = Issuer::gated().with_lifetime(LIFETIME);
    issuer.step();
    let (provider, clock) = with_margin(&issuer, MARGIN);
    provider.acquire().await.unwrap();
    clock.advance(LIFETIME - MARGIN);
    issuer.fail("down");
    let waiters: Vec<_> = (0..50).map(|_| tokio::spawn(provider.acquire())).collect();
    let_others_run().await;
    assert_eq!(provider.snapshot().state(), CredentialState::LoggingIn);
    issuer.step();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap().value(), "Bearer token-1");
    }
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_times_out_fails_no_request_within_the_margin() {
    let issuer = Issuer::gated().with_lifetime(LIFETIME);
    issuer.step();
    let (provider, clock) = with_margin(&issuer, MARGIN);
    provider.acquire().await.unwrap();
    clock.advance(LIFETIME - MARGIN);
    let served = provider.acquire().await.unwrap();
    assert_eq!(served.value(), "Bearer token-1");
    assert!(
        provider
            .snapshot()
            .last_error()
            .unwrap()
            .is_login_timed_out()
    );
}

#[tokio::test]
async fn a_rejected_credential_is_not_used_within_its_margin() {
    for session in SESSIONS {
        let issuer = issuer(session);
        let (provider, clock) = with_margin(&issuer, MARGIN);
        let held = provider.acquire().await.unwrap();
        issuer.fail_with(|| LoginError::permanent("no").into());
        assert!(provider.reject(&by_hand(held.generation())).is_log_in());
        assert!(
            provider.acquire().await.is_ok(),
            "outside of its margin it may have lacked a permission"
        );
        clock.advance(LIFETIME - MARGIN);
        let error = provider.acquire().await.unwrap_err();
        assert!(error.is_login_failed(), "{error}");
        assert_eq!(provider.snapshot().state(), CredentialState::BackingOff);
    }
}

#[tokio::test]
async fn a_request_for_a_longer_or_fresh_credential_gets_the_error() {
    let issuer = issuer(Session::Exclusive);
    let (provider, clock) = with_margin(&issuer, MARGIN);
    provider.acquire().await.unwrap();
    clock.advance(LIFETIME - MARGIN);
    issuer.fail("down");
    for _ in 0..2 {
        let error = provider.acquire_valid_for(SECOND).await.unwrap_err();
        assert!(error.is_login_failed(), "{error}");
        let layer = BearerAuthLayer::new(provider.clone(), origins());
        let client = layer.layer(tower::service_fn(|_: http::Request<()>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(()))
        }));
        let mut fresh = request();
        fresh.extensions_mut().insert(PerRequest::fresh());
        assert!(client.clone().oneshot(fresh).await.is_err());
        client.oneshot(request()).await.unwrap();
    }
    assert_eq!(issuer.logins(), 2);
}

// Such a login is a programming error, which must be visible.
#[tokio::test]
async fn a_login_through_its_own_provider_is_reported_within_the_margin() {
    use std::sync::{Arc, OnceLock};
    let through: Arc<OnceLock<CachedProvider>> = Arc::default();
    let login = {
        let through = Arc::clone(&through);
        login_fn(move |_| {
            let provider = through.get().cloned();
            async move {
                if let Some(provider) = provider {
                    provider.acquire().await?;
                }
                Ok(Credential::new("abc")?.with_lifetime(LIFETIME))
            }
        })
    };
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login).clock(clock.clone()).build();
    provider.acquire().await.unwrap();
    through.set(provider.clone()).unwrap();
    clock.advance(LIFETIME - SECOND);
    // The request succeeds, and the snapshot has the error.
    provider.acquire().await.unwrap();
    let error = provider.snapshot().last_error().unwrap().clone();
    assert!(
        error
            .to_string()
            .contains("through the layer that waits for it"),
        "{error}"
    );
}

// For issuers that refuse a refresh that comes early.
#[tokio::test]
async fn with_a_margin_of_zero_no_login_is_made_before_the_expiry() {
    let issuer = issuer(Session::Exclusive);
    let (provider, clock) = with_margin(&issuer, Duration::ZERO);
    provider.acquire().await.unwrap();
    for tick in TICKS {
        clock.advance(LIFETIME - tick);
        for _ in 0..100 {
            provider.acquire().await.unwrap();
            assert!(provider.current().is_some());
            let_others_run().await;
        }
        let logins = issuer.logins();
        clock.advance(tick);
        provider.acquire().await.unwrap();
        assert_eq!(issuer.logins(), logins + 1, "and at the expiry it is");
    }
    assert_eq!(issuer.logins(), 3);
}

// The process was frozen during a background login, until the credential had expired.
#[tokio::test(start_paused = true)]
async fn a_frozen_background_login_does_not_fail_the_next_request() {
    // The length of the freeze, and whether only the wall clock shows it.
    for (frozen, wall_only) in [
        (12 * SECOND, false),
        (12 * SECOND, true),
        (8 * LIFETIME, false),
        (8 * LIFETIME, true),
    ] {
        for login_notices_first in [false, true] {
            let issuer = Issuer::gated().concurrent().with_lifetime(LIFETIME);
            issuer.step();
            let (provider, clock) = with_margin(&issuer, 10 * SECOND);
            provider.acquire().await.unwrap();
            clock.advance(LIFETIME - 15 * SECOND);
            assert!(provider.current().is_some());
            let_others_run().await;
            assert!(provider.snapshot().is_logging_in());
            match wall_only {
                true => clock.jump_wall(frozen),
                false => clock.advance(frozen),
            }
            if login_notices_first {
                issuer.fail("connection reset");
                issuer.step();
                let_others_run().await;
                assert!(!provider.snapshot().is_logging_in());
                assert_eq!(provider.snapshot().next_attempt(), None, "no pause");
            }
            issuer.recover();
            issuer.open();
            let first = provider.acquire().await;
            assert_ne!(first.unwrap().value(), "Bearer token-1", "{frozen:?}");
        }
    }
}

// The credential is still in use: the next login is a background login too.
#[tokio::test(start_paused = true)]
async fn after_a_short_freeze_the_background_login_is_made_again() {
    let issuer = Issuer::gated().concurrent().with_lifetime(LIFETIME);
    issuer.step();
    let (provider, clock) = with_margin(&issuer, 10 * SECOND);
    provider.acquire().await.unwrap();
    clock.advance(LIFETIME - 300 * SECOND);
    assert!(provider.current().is_some());
    let_others_run().await;
    assert_eq!(issuer.logins(), 2);
    clock.jump_wall(60 * SECOND);
    assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
    let_others_run().await;
    assert_eq!(issuer.logins(), 3);
    let error = provider.snapshot().last_error().unwrap().clone();
    assert!(error.is_login_lost(), "{error}");
}

// In an exclusive session another login revokes the token: only Tokio's clock makes a login overdue.
#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_starts_no_second_login_in_an_exclusive_session() {
    let issuer = Issuer::gated().with_lifetime(LIFETIME);
    let (provider, clock) = with_margin(&issuer, 10 * SECOND);
    let first = tokio::spawn(provider.acquire());
    let_others_run().await;
    clock.jump_wall(60 * SECOND);
    let second = tokio::spawn(provider.acquire());
    let_others_run().await;
    assert_eq!(issuer.logins(), 1);
    issuer.open();
    assert_eq!(first.await.unwrap().unwrap().value(), "Bearer token-1");
    assert_eq!(second.await.unwrap().unwrap().value(), "Bearer token-1");
}
