//! How long a credential is used (FAILURES.md, section 3.2).

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use support::{HandClock, Issuer};
use tokio::task::yield_now;
use tokio_test::{assert_pending, task};
use tower_bearer::{
    CachePolicy, CachedProvider, Clock as _, Credential, CredentialProvider, Login, LoginError,
    RequestHead, Session, login_fn,
};

const HOUR: Duration = Duration::from_secs(3600);

async fn let_others_run() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// A provider that has logged in, and its clock.
async fn logged_in(issuer: &Issuer, policy: CachePolicy) -> (CachedProvider, HandClock) {
    let clock = HandClock::new();
    let provider = CachedProvider::builder(issuer.clone())
        .policy(policy)
        .clock(clock.clone())
        .build();
    provider.acquire().await.unwrap();
    (provider, clock)
}

/// Asserts that the current credential is used until `end` after the login, and no longer.
async fn assert_used_for(lifetime: Duration, policy: CachePolicy, end: Duration) {
    let issuer = Issuer::new().with_lifetime(lifetime);
    let (provider, clock) = logged_in(&issuer, policy).await;
    clock.advance(end - Duration::from_millis(1));
    assert!(
        provider.current().is_some(),
        "{lifetime:?}: 1 ms before {end:?}"
    );
    clock.advance(Duration::from_millis(1));
    assert!(provider.current().is_none(), "{lifetime:?}: at {end:?}");
    provider.acquire().await.unwrap();
    assert_eq!(issuer.logins(), 2);
}

#[tokio::test]
async fn a_credential_is_used_until_its_margin_begins() {
    let secs = Duration::from_secs;
    let default = CachePolicy::default();
    assert_used_for(secs(3600), default, secs(3590)).await;
    assert_used_for(secs(100), default, secs(90)).await;
    assert_used_for(secs(50), default, secs(45)).await;
    assert_used_for(secs(3600), default.margin(secs(60)), secs(3540)).await;
    assert_used_for(secs(3600), default.margin(secs(0)), secs(3600)).await;
    // A margin is at most half of the lifetime.
    assert_used_for(secs(40), default.margin(secs(60)), secs(20)).await;
}

// Part of E1: the rate of logins is bounded.
#[tokio::test]
async fn a_lifetime_of_less_than_a_second_counts_as_one() {
    for lifetime in [
        Duration::ZERO,
        Duration::from_millis(1),
        Duration::from_millis(999),
    ] {
        assert_used_for(lifetime, CachePolicy::default(), Duration::from_secs(1)).await;
    }
    println!("figure: E1 lifetimes=3 logins_a_second_at_most=1");
}

// E4: an expiry in the past on arrival means that the server's clock is wrong.
#[tokio::test]
async fn a_wrong_server_clock_causes_no_login_storm() {
    let offsets = [-3600_i64, -600, -301, -299, -292, -60, 0, 60, 600];
    let mut in_an_hour = Vec::new();
    for offset in offsets {
        let clock = HandClock::new();
        let logins = Arc::new(AtomicUsize::new(0));
        let login = {
            let (clock, logins) = (clock.clone(), Arc::clone(&logins));
            login_fn(move |_| {
                logins.fetch_add(1, SeqCst);
                let now = tower_bearer::Clock::wall(&clock);
                let lifetime = Duration::from_secs(300);
                let by_server = if offset < 0 {
                    now + lifetime - Duration::from_secs(offset.unsigned_abs())
                } else {
                    now + lifetime + Duration::from_secs(offset.unsigned_abs())
                };
                async move { Ok(Credential::new("abc")?.with_expires_at(by_server)) }
            })
        };
        let provider = CachedProvider::builder(login).clock(clock.clone()).build();
        for _ in 0..3600 {
            provider.acquire().await.unwrap();
            clock.advance(Duration::from_secs(1));
        }
        let logins = logins.load(SeqCst);
        assert!((1..=17).contains(&logins), "{offset}: {logins}");
        in_an_hour.push(logins);
    }
    println!(
        "figure: E4 offsets_s={} logins={}",
        support::list(offsets),
        support::list(in_an_hour)
    );
    // A starting credential may be that old.
    let old = Credential::new("abc")
        .unwrap()
        .with_expires_at(SystemTime::UNIX_EPOCH);
    let provider = CachedProvider::builder(Issuer::new())
        .starting_with(old)
        .build();
    assert!(provider.current().is_none());
}

// E3
#[tokio::test]
async fn a_lifetime_beyond_the_clock_means_no_expiry() {
    let mut cases = 0;
    for shift in 0..64 {
        for lifetime in [
            Duration::from_secs(1 << shift),
            Duration::from_secs(u64::MAX >> shift),
            Duration::MAX / (1 << (shift % 32)),
        ] {
            for session in [Issuer::new(), Issuer::new().concurrent()] {
                let issuer = session.with_lifetime(lifetime);
                let (provider, _) = logged_in(&issuer, CachePolicy::default()).await;
                assert!(provider.current().is_some(), "{lifetime:?}");
                cases += 1;
            }
        }
    }
    for expires_at in [
        SystemTime::UNIX_EPOCH,
        SystemTime::now() + HOUR * 10_000_000,
    ] {
        let credential = Credential::new("abc").unwrap().with_expires_at(expires_at);
        let provider = CachedProvider::builder(Issuer::new())
            .starting_with(credential)
            .build();
        let is_past = expires_at == SystemTime::UNIX_EPOCH;
        assert_eq!(provider.current().is_none(), is_past, "{expires_at:?}");
        cases += 1;
    }
    println!("figure: E3 lifetimes={cases} panics=0");
}

#[tokio::test]
async fn a_credential_without_expiry_is_used_until_rejected() {
    let issuer = Issuer::new();
    let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
    clock.advance(HOUR * 24 * 365 * 100);
    assert!(provider.current().is_some());
}

#[tokio::test]
async fn a_lifetime_takes_precedence_over_a_wall_clock_expiry() {
    let clock = HandClock::new();
    let expires_at = tower_bearer::Clock::wall(&clock) + Duration::from_secs(100);
    let login = move |lifetime: Option<Duration>| {
        login_fn(move |_| async move {
            let credential = Credential::new("abc")?.with_expires_at(expires_at);
            Ok(match lifetime {
                Some(lifetime) => credential.with_lifetime(lifetime),
                None => credential,
            })
        })
    };
    let alone = CachedProvider::builder(login(None))
        .clock(clock.clone())
        .build();
    let both = CachedProvider::builder(login(Some(HOUR)))
        .clock(clock.clone())
        .build();
    alone.acquire().await.unwrap();
    both.acquire().await.unwrap();
    clock.advance(Duration::from_secs(89));
    assert!(alone.current().is_some());
    clock.advance(Duration::from_secs(1));
    assert!(alone.current().is_none());
    assert!(both.current().is_some());
}

// L16
#[tokio::test]
async fn a_lifetime_counts_from_the_start_of_the_login() {
    let clock = HandClock::new();
    let slow = {
        let clock = clock.clone();
        login_fn(move |_| {
            clock.advance(Duration::from_secs(30));
            async { Ok(Credential::new("abc")?.with_lifetime(Duration::from_secs(100))) }
        })
    };
    let provider = CachedProvider::builder(slow).clock(clock.clone()).build();
    provider.acquire().await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert!(provider.current().is_some());
    clock.advance(Duration::from_secs(1));
    assert!(provider.current().is_none());
    println!("figure: L16 login_s=30 lifetime_s=100 used_s=60");
}

// E5, E6, trap 26
#[tokio::test]
async fn a_credential_expires_by_whichever_clock_is_first() {
    let issuer = Issuer::new().with_lifetime(HOUR);
    let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
    clock.jump_wall_back(24 * HOUR);
    assert!(provider.current().is_some());
    clock.advance(Duration::from_secs(3590));
    assert!(
        provider.current().is_none(),
        "a wall clock that is set back extends no lifetime"
    );

    for hours in [8, 24] {
        let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
        clock.jump_wall(hours * HOUR);
        assert!(provider.current().is_none(), "the machine was asleep");
        provider.acquire().await.unwrap();
        assert!(provider.current().is_some(), "one login is enough");
    }
    println!(
        "figure: E5 E6-jump trap26 jumps_ahead=2 jumps_back=1 logins_after_them={}",
        issuer.logins() - 3
    );
    assert_eq!(
        issuer.logins(),
        5,
        "one for each provider and for each jump ahead"
    );
}

#[tokio::test]
async fn in_a_concurrent_session_one_background_login_renews_the_credential() {
    fastrand::seed(13);
    for _ in 0..50 {
        let issuer = Issuer::gated().concurrent().with_lifetime(1000 * HOUR);
        issuer.step();
        let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;

        clock.advance(699 * HOUR);
        assert!(provider.current().is_some());
        let_others_run().await;
        assert_eq!(issuer.logins(), 1, "not before 70 % of the lifetime");

        clock.advance(202 * HOUR);
        // Trap 13: a thousand readers of an aging credential at the same instant.
        for _ in 0..1000 {
            assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
        }
        let_others_run().await;
        assert_eq!(issuer.logins(), 2, "at 90 % at the latest");
        assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
        issuer.open();
        let_others_run().await;
        assert_eq!(provider.current().unwrap().value(), "Bearer token-2");
        assert_eq!(issuer.logins(), 2);
    }
    println!("figure: trap13 rounds=50 stale_readers=1000 logins_a_round=1");
}

#[tokio::test]
async fn acquire_starts_the_background_login_too() {
    fastrand::seed(17);
    let issuer = Issuer::new().concurrent().with_lifetime(HOUR);
    let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
    clock.advance(Duration::from_secs(3300));
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-1");
    let_others_run().await;
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-2");
}

// A request that found the credential aging can be dropped before it is sent.
#[tokio::test]
async fn no_background_login_starts_after_a_reset() {
    let issuer = Issuer::new().concurrent().with_lifetime(HOUR);
    let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
    clock.advance(Duration::from_secs(3300));
    let request = support::request();
    let head = RequestHead::of(&request);
    assert!(CredentialProvider::current_for(&provider, head).is_some());
    provider.reset();
    assert!(provider.current().is_none());
    let_others_run().await;
    assert_eq!(issuer.logins(), 1);
}

// E11
#[tokio::test]
async fn refresh_ahead_is_spread_over_a_fleet() {
    fastrand::seed(11);
    const FLEET: usize = 200;
    const STEPS: u32 = 100;
    let mut shares = Vec::new();
    for _ in 0..FLEET {
        let issuer = Issuer::new().concurrent().with_lifetime(STEPS * HOUR);
        let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
        let mut steps = 0;
        while issuer.logins() == 1 {
            clock.advance(HOUR);
            steps += 1;
            assert!(provider.current().is_some());
            let_others_run().await;
        }
        shares.push(f64::from(steps) / f64::from(STEPS));
    }
    let mean = shares.iter().sum::<f64>() / FLEET as f64;
    let variance = shares
        .iter()
        .map(|share| (share - mean).powi(2))
        .sum::<f64>()
        / FLEET as f64;
    println!("figure: E11 mean={mean:.3} stddev={:.3}", variance.sqrt());
    assert!(variance.sqrt() >= 0.05, "{}", variance.sqrt());
}

#[tokio::test]
async fn a_closure_login_can_declare_a_concurrent_session() {
    let login = || login_fn(|_| async { Ok(Credential::new("abc")?) });
    assert_eq!(login().session(), Session::Exclusive);
    assert_eq!(
        login().with_session(Session::Concurrent).session(),
        Session::Concurrent
    );
}

// Two providers share one login, and one clock.
#[tokio::test]
async fn a_shared_login_and_a_shared_clock_are_a_login_and_a_clock() {
    let issuer = Arc::new(Issuer::new().concurrent().with_lifetime(HOUR));
    assert_eq!(Arc::clone(&issuer).session(), Session::Concurrent);
    let clock = Arc::new(HandClock::new());
    let boxed: Box<dyn tower_bearer::Clock> = Box::new(Arc::clone(&clock));
    let dynamic: Arc<dyn tower_bearer::Clock> = clock.clone();
    assert!(Arc::new(tower_bearer::SystemClock).runs_by_itself());
    assert!(Box::new(tower_bearer::SystemClock).runs_by_itself());
    let builder = || CachedProvider::builder(Arc::clone(&issuer));
    let providers = [
        builder().clock(Arc::clone(&clock)).build(),
        builder().clock(boxed).build(),
        builder().clock(dynamic).build(),
    ];
    for provider in &providers {
        provider.acquire().await.unwrap();
        assert!(provider.current().is_some());
    }
    assert_eq!(issuer.logins(), 3);
    clock.jump_wall(HOUR);
    for provider in providers {
        assert!(provider.current().is_none());
    }
}

#[test]
fn a_provider_exposes_its_policy() {
    let policy = CachePolicy::default().margin(Duration::from_secs(7));
    let builder = CachedProvider::builder(Issuer::new()).policy(policy);
    let policy = format!("{policy:?}");
    assert!(format!("{builder:?}").contains(&policy));
    assert!(format!("{:?}", builder.build()).contains(&policy));
}

// A starting credential that ends soon says nothing about the lifetime that a login brings.
#[tokio::test]
async fn a_short_starting_credential_is_replaced_by_a_login() {
    let issuer = Issuer::new().with_lifetime(24 * HOUR);
    let provider = CachedProvider::builder(issuer.clone())
        .starting_with(Credential::new("stored").unwrap().with_lifetime(HOUR))
        .build();
    let authorization = provider.acquire_valid_for(2 * HOUR).await.unwrap();
    assert_eq!(authorization.value(), "Bearer token-1");
}

#[tokio::test]
async fn an_exclusive_session_has_no_background_login() {
    let issuer = Issuer::new().with_lifetime(HOUR);
    let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
    clock.advance(Duration::from_millis(3_589_999));
    for _ in 0..100 {
        assert!(provider.current().is_some());
    }
    let_others_run().await;
    assert_eq!(issuer.logins(), 1);
}

// Traps 8 and 9
#[tokio::test]
async fn a_failed_background_login_keeps_the_credential_and_is_not_retried_per_request() {
    let issuer = Issuer::new().concurrent().with_lifetime(HOUR);
    let clock = HandClock::new();
    let builder = CachedProvider::builder(issuer.clone()).clock(clock.clone());
    let provider = builder.random(|| 1.0).build();
    provider.acquire().await.unwrap();
    issuer.fail("down");
    clock.advance(Duration::from_secs(3250));
    let mut attempts = Vec::new();
    for second in 0..240 {
        if issuer.logins() > 1 + attempts.len() {
            attempts.push(second);
        }
        for _ in 0..10 {
            assert!(provider.current().is_some());
            assert!(provider.acquire().await.is_ok());
            let_others_run().await;
        }
        clock.advance(Duration::from_secs(1));
    }
    println!(
        "figure: E7 trap8 trap9 failed=0 attempts_at_s={}",
        support::list(&attempts)
    );
    assert_eq!(attempts, [1, 2, 4, 8, 16, 32, 64, 124, 184]);
    issuer.recover();
    clock.advance(Duration::from_secs(60));
    assert!(provider.current().is_some());
    let_others_run().await;
    assert_eq!(provider.current().unwrap().value(), "Bearer token-11");
}

// E8: an error about the password says nothing about the token.
#[tokio::test]
async fn a_permanently_failed_background_login_keeps_the_credential_until_it_expires() {
    let issuer = Issuer::new().concurrent().with_lifetime(HOUR);
    let clock = HandClock::new();
    // The pause after a permanent failure is longer than the rest of the hour.
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .random(|| 0.5)
        .build();
    provider.acquire().await.unwrap();
    issuer.fail_with(|| LoginError::permanent("invalid_grant").into());
    let mut served = 0;
    for _ in 0..3600 {
        served += usize::from(provider.acquire().await.is_ok());
        let_others_run().await;
        clock.advance(Duration::from_secs(1));
    }
    let error = provider.acquire().await.unwrap_err();
    assert!(error.is_login_failed(), "{error}");
    println!(
        "figure: E8-for_good requests=3600 failed_before_expiry={} attempts={}",
        3600 - served,
        issuer.logins() - 1
    );
    assert_eq!(served, 3600);
    assert_eq!(issuer.logins(), 2);
}

// E9, trap 10
#[tokio::test]
async fn a_short_lifetime_causes_no_login_loop() {
    const SECONDS: usize = 60;
    fastrand::seed(9);
    let mut found = Vec::new();
    for (lifetime, most) in [
        (0, SECONDS),
        (1, SECONDS),
        (2, SECONDS),
        (5, SECONDS * 2 / 5),
    ] {
        for session in [Issuer::new(), Issuer::new().concurrent()] {
            let issuer = session.with_lifetime(Duration::from_secs(lifetime));
            let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
            for _ in 0..SECONDS * 100 {
                clock.advance(Duration::from_millis(10));
                if provider.current().is_none() {
                    provider.acquire().await.unwrap();
                }
                let_others_run().await;
            }
            let logins = issuer.logins() - 1;
            assert!(logins <= most, "{lifetime} s: {logins} logins");
            found.push(logins);

            clock.advance(HOUR);
            let_others_run().await;
            assert_eq!(issuer.logins() - 1, logins, "no login without a request");
        }
    }
    let of_kind = |kind| found.iter().skip(kind).step_by(2);
    println!(
        "figure: E9 trap10 exclusive={} concurrent={}",
        support::list(of_kind(0)),
        support::list(of_kind(1))
    );
}

#[tokio::test]
async fn acquire_valid_for_logs_in_once() {
    let issuer = Issuer::new().with_lifetime(HOUR);
    let (provider, clock) = logged_in(&issuer, CachePolicy::default()).await;
    let half = HOUR / 2;
    assert_eq!(
        provider.acquire_valid_for(half).await.unwrap().value(),
        "Bearer token-1"
    );
    clock.advance(half);
    assert_eq!(
        provider.acquire_valid_for(half).await.unwrap().value(),
        "Bearer token-2"
    );
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-2");
    assert_eq!(issuer.logins(), 2);

    // A lifetime that no login can provide causes no login.
    for _ in 0..10 {
        let error = provider.acquire_valid_for(HOUR).await.unwrap_err();
        assert!(
            error.to_string().contains("even a new credential"),
            "{error}"
        );
    }
    assert_eq!(issuer.logins(), 2);
    assert!(
        provider.current().is_some(),
        "and the credential stays in use"
    );

    // Not even before the first login.
    let issuer = Issuer::new().with_lifetime(HOUR);
    let provider = CachedProvider::new(issuer.clone());
    for _ in 0..10 {
        assert!(
            provider
                .acquire_valid_for(HOUR)
                .await
                .unwrap_err()
                .to_string()
                .contains("even a new credential")
        );
    }
    assert_eq!(issuer.logins(), 1);

    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    assert!(
        provider.acquire_valid_for(Duration::MAX).await.is_ok(),
        "no expiry means unlimited"
    );
}

#[tokio::test]
async fn a_starting_credential_saves_the_first_login() {
    let clock = HandClock::new();
    let issuer = Issuer::new();
    let provider = CachedProvider::builder(issuer.clone())
        .starting_with(Credential::new("stored").unwrap().with_lifetime(HOUR))
        .clock(clock.clone())
        .build();
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer stored");
    assert_eq!(issuer.logins(), 0);
    clock.advance(HOUR);
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-1");

    // A starting credential that has expired is never sent.
    let last_week = tower_bearer::Clock::wall(&clock) - 24 * 7 * HOUR;
    let stale = || Credential::new("stale").unwrap();
    for stale in [
        stale().with_lifetime(Duration::ZERO),
        stale().with_expires_at(last_week),
    ] {
        let provider = CachedProvider::builder(Issuer::new())
            .clock(clock.clone())
            .starting_with(stale)
            .build();
        assert!(provider.current().is_none());
    }
}

// The credential was valid for long enough when the login ended, and is still valid for other
// requests.
#[tokio::test]
async fn a_waiter_polled_late_gets_another_login_and_no_error() {
    let issuer = Issuer::gated().with_lifetime(HOUR);
    let clock = HandClock::new();
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .build();
    let mut waiter = task::spawn(provider.acquire_valid_for(55 * HOUR / 60));
    assert_pending!(waiter.poll());
    issuer.open();
    yield_now().await;
    assert!(waiter.is_woken());
    clock.advance(HOUR / 6);
    assert_eq!(waiter.await.unwrap().value(), "Bearer token-2");
    assert_eq!(issuer.logins(), 2);
}
