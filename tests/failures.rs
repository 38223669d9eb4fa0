//! What happens when the login fails (FAILURES.md, sections 3.1 and 3.4).

mod support;

use std::{
    error::Error as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use support::{HandClock, Issuer, by_hand, origins, request};
use tokio::task::yield_now;
use tokio_test::{assert_pending, task};
use tower::{BoxError, Layer, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, CachedProvider, Credential, CredentialEvent,
    CredentialProvider, CredentialState, Error, HttpLogin, LoginError, Reason, Rejected,
    RequestHead, Verdict, login_fn, test_util::ScriptedProvider,
};
use tower_test::mock;

const MINUTE: Duration = Duration::from_secs(60);

/// A provider with the longest possible pauses, and its clock.
fn provider(issuer: &Issuer) -> (CachedProvider, HandClock) {
    let clock = HandClock::new();
    let builder = CachedProvider::builder(issuer.clone()).clock(clock.clone());
    (builder.random(|| 1.0).build(), clock)
}

/// The time between the failure and the next attempt.
fn pause(error: &Error, clock: &HandClock) -> Duration {
    use tower_bearer::Clock;
    error.next_attempt().unwrap() - clock.now()
}

// L5, F12: no request sleeps, and none logs in before the time.
#[tokio::test]
async fn a_transient_failure_is_retried_by_the_first_request_after_the_pause() {
    let issuer = Issuer::new();
    let (provider, clock) = provider(&issuer);
    issuer.fail("503");
    let mut waits = 0;
    for failures in 1..=3 {
        let error = provider.acquire().await.unwrap_err();
        assert_eq!(error.failures(), failures);
        let pause = pause(&error, &clock);
        assert_eq!(pause, Duration::from_secs(1 << (failures - 1)));
        clock.advance(pause - Duration::from_nanos(1));
        for _ in 0..100 {
            let mut in_the_pause = task::spawn(provider.acquire());
            let std::task::Poll::Ready(Err(same)) = in_the_pause.poll() else {
                waits += 1;
                continue;
            };
            assert_eq!(same.next_attempt(), error.next_attempt());
        }
        clock.advance(Duration::from_nanos(1));
    }
    issuer.recover();
    assert!(provider.acquire().await.is_ok());
    println!("figure: L5 attempts={} waits={waits}", issuer.logins());
    assert_eq!((issuer.logins(), waits), (4, 0));
    // A success resets the count of failures.
    let current = provider.current().unwrap();
    clock.advance(10 * MINUTE);
    issuer.fail("503");
    assert!(provider.reject(&by_hand(current.generation())).is_log_in());
    provider.acquire().await.unwrap();
    assert_eq!(provider.snapshot().last_error().unwrap().failures(), 1);
}

#[tokio::test]
async fn an_error_says_how_many_attempts_failed_and_when_the_next_is_due() {
    let issuer = Issuer::new();
    let (provider, clock) = provider(&issuer);
    issuer.fail("503");
    let first = provider.acquire().await.unwrap_err();
    assert_eq!(first.to_string(), "the login failed; next attempt in 1 s");
    clock.advance(Duration::from_secs(90));
    let second = provider.acquire().await.unwrap_err();
    assert_eq!(
        second.to_string(),
        "the login failed; 2 in a row within 90 s, next attempt in 2 s"
    );
    assert_eq!(second.failing_since(), first.failing_since());
    assert_eq!(second.source().unwrap().to_string(), "503");
}

// A suspended machine stops the monotonic clock, and a wall clock may be set back.
#[tokio::test]
async fn a_pause_ends_when_either_clock_says_so() {
    let pause = Duration::from_secs(15 * 60);
    let short = pause - Duration::from_nanos(1);
    for (monotonic, wall, is_over) in [
        (Duration::ZERO, short, false),
        (Duration::ZERO, pause, true),
        (short, short, false),
        (pause, Duration::ZERO, true),
    ] {
        let issuer = Issuer::new();
        let (provider, clock) = provider(&issuer);
        issuer.fail_with(|| LoginError::permanent("wrong password").into());
        assert!(provider.acquire().await.is_err());
        issuer.recover();
        clock.advance(monotonic);
        clock.jump_wall_back(monotonic);
        clock.jump_wall(wall);
        let state = provider.snapshot().state();
        assert_eq!(
            provider.acquire().await.is_ok(),
            is_over,
            "{monotonic:?} {wall:?}"
        );
        assert_eq!(state == CredentialState::BackingOff, !is_over);
    }
}

// L3: the layer does not lock an account that five wrong passwords would lock.
#[tokio::test]
async fn a_wrong_password_is_tried_twice_in_half_an_hour() {
    let issuer = Issuer::new();
    let (provider, clock) = provider(&issuer);
    // The server locks the account after five wrong passwords within an hour.
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let lock_outs = Arc::new(Mutex::new(0));
    let (seen, locked, server) = (Arc::clone(&wrong), Arc::clone(&lock_outs), clock.clone());
    issuer.fail_with(move || {
        use tower_bearer::Clock;
        let (mut seen, now) = (seen.lock().unwrap(), server.now());
        seen.retain(|at| now - *at < 60 * MINUTE);
        seen.push(now);
        *locked.lock().unwrap() += usize::from(seen.len() >= 5);
        LoginError::permanent("wrong password").into()
    });
    let mut attempts = Vec::new();
    for second in 0..(3 * 3600) {
        let before = issuer.logins();
        for _ in 0..2 {
            assert!(provider.acquire().await.is_err());
        }
        if issuer.logins() > before {
            attempts.push(second / 60);
        }
        clock.advance(Duration::from_secs(1));
    }
    let lock_outs = *lock_outs.lock().unwrap();
    println!(
        "figure: L3 attempts_at_min={} lock_outs={lock_outs}",
        support::list(&attempts)
    );
    assert_eq!(lock_outs, 0);
    assert_eq!(attempts, [0, 15, 45, 105, 165]);
    // It recovers by itself once the password is right again, and at once after a reset.
    issuer.recover();
    assert!(provider.acquire().await.is_err());
    provider.reset();
    assert!(provider.acquire().await.is_ok());
}

// L4
#[tokio::test]
async fn a_retry_after_is_respected() {
    let start = HandClock::new();
    let wall = {
        use tower_bearer::Clock;
        start.wall()
    };
    let in_two_minutes = httpdate::fmt_http_date(wall + 2 * MINUTE);
    let long_ago = httpdate::fmt_http_date(wall - 2 * MINUTE);
    let seconds = Duration::from_secs;
    for (status, header, at_least, at_most) in [
        (429, "120", seconds(120), seconds(120)),
        (503, "120", seconds(120), seconds(120)),
        (503, " 7 ", seconds(7), seconds(7)),
        (429, in_two_minutes.as_str(), seconds(60), seconds(120)),
        (429, long_ago.as_str(), seconds(0), seconds(1)),
        (429, "0", seconds(0), seconds(1)),
        (429, "1000000000", seconds(300), seconds(300)),
        (429, "99999999999999999999999", seconds(300), seconds(300)),
        (429, "soon", seconds(5), seconds(5)),
        (429, "-5", seconds(5), seconds(5)),
        (429, "", seconds(5), seconds(5)),
        (401, "120", seconds(120), seconds(120)),
        // No pause is asked for.
        (401, "0", seconds(30), seconds(30)),
    ] {
        let clock = HandClock::new();
        let calls = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&calls);
        let header_value = header.to_owned();
        let http = tower::service_fn(move |_: Request<Full<Bytes>>| {
            *counted.lock().unwrap() += 1;
            let response = Response::builder()
                .status(status)
                .header("retry-after", &header_value)
                .body(Full::<Bytes>::default());
            async { Ok::<_, BoxError>(response.unwrap()) }
        });
        let login = HttpLogin::new(http, "https://api.example.com/login?key=hidden", "{}").unwrap();
        let builder = CachedProvider::builder(login).clock(clock.clone());
        let provider = builder.random(|| 1.0).build();
        let error = provider.acquire().await.unwrap_err();
        let pause = pause(&error, &clock);
        assert!(at_least <= pause && pause <= at_most, "{header}: {pause:?}");
        clock.advance(pause - Duration::from_nanos(1));
        for _ in 0..100 {
            assert!(provider.acquire().await.is_err());
        }
        assert_eq!(*calls.lock().unwrap(), 1, "{header}");
        clock.advance(Duration::from_nanos(1));
        assert!(provider.acquire().await.is_err());
        assert_eq!(*calls.lock().unwrap(), 2, "{header}");
        let text = error.to_string();
        assert!(text.contains(" at POST api.example.com/login "), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }
    println!("figure: L4 cases=13 attempts_in_window=0");
}

// A full login does not bypass the pause either.
#[tokio::test]
async fn a_refresh_with_retry_after_is_not_followed_by_a_full_login() {
    for (status, retry_after, expected) in [
        (429, Some("120"), vec!["/refresh", "/refresh"]),
        (503, Some("120"), vec!["/refresh", "/refresh"]),
        (503, None, vec!["/refresh", "/refresh"]),
        (429, None, vec!["/refresh", "/refresh"]),
        (400, None, vec!["/refresh", "/login", "/login"]),
    ] {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let http = tower::service_fn(move |request: Request<Full<Bytes>>| {
            seen.lock().unwrap().push(request.uri().path().to_owned());
            let mut response = Response::builder().status(status);
            if let Some(retry_after) = retry_after {
                response = response.header("retry-after", retry_after);
            }
            let response = response.body(Full::<Bytes>::default());
            async { Ok::<_, BoxError>(response.unwrap()) }
        });
        let login = HttpLogin::new(http, "https://api.example.com/login", "{}")
            .unwrap()
            .refresh_by("https://api.example.com/refresh", |token| {
                token.expose().to_owned()
            })
            .unwrap();
        let stored = Credential::new("stored")
            .unwrap()
            .with_refresh_token("kept");
        let clock = HandClock::new();
        let provider = CachedProvider::builder(login)
            .clock(clock.clone())
            .random(|| 1.0)
            .starting_with(stored.with_lifetime(Duration::ZERO))
            .build();
        for _ in 0..2 {
            let error = provider.acquire().await.unwrap_err();
            clock.advance(pause(&error, &clock));
        }
        // After a 429 or a 503 the refresh token is tried again. After a 400 it is spent.
        assert_eq!(*calls.lock().unwrap(), expected, "{status} {retry_after:?}");
    }
}

// Which answers an HTTP login treats as permanent failures.
#[tokio::test]
async fn a_refused_login_is_permanent_unless_the_answer_says_otherwise() {
    for (status, body, expected) in [
        (400, "", true),
        (400, r#"{"error":"invalid_grant"}"#, true),
        (400, r#"{"error":"temporarily_unavailable"}"#, false),
        (400, r#"{"error":"server_error"}"#, false),
        (401, r#"{"error":"invalid_client"}"#, true),
        (401, "", false),
        (401, "{}", true),
        (403, "<html>", false),
        (403, "{}", true),
        (422, "", true),
        (404, "", false),
        (408, "", false),
        (429, "", false),
        (302, "", false),
        (500, "", false),
        (200, "<html>", false),
        (200, "{}", true),
        (200, r#"{"error":"access_denied"}"#, true),
        (423, "", true),
    ] {
        let http = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            let response = Response::builder().status(status);
            Ok::<_, BoxError>(response.body(Full::<Bytes>::from(body)).unwrap())
        });
        let login = HttpLogin::new(http, "https://api.example.com/login", "{}").unwrap();
        let error = CachedProvider::new(login).acquire().await.unwrap_err();
        let cause = error.login_error().unwrap();
        assert_eq!(cause.is_permanent(), expected, "{status} {body}");
        assert_eq!(cause.status(), StatusCode::from_u16(status).ok());
    }
}

// At any depth.
#[tokio::test]
async fn a_login_error_is_found_in_the_chain_of_causes() {
    #[derive(Debug)]
    struct Wrapped(LoginError);
    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let issuer = Issuer::new();
    let (provider, clock) = provider(&issuer);
    issuer.fail_with(|| Wrapped(LoginError::retry_after("busy", 2 * MINUTE)).into());
    assert_eq!(
        pause(&provider.acquire().await.unwrap_err(), &clock),
        2 * MINUTE
    );
    clock.advance(2 * MINUTE);
    issuer.fail_with(|| {
        let busy = LoginError::retry_after("busy", 3 * MINUTE);
        std::io::Error::other(busy).into()
    });
    assert_eq!(
        pause(&provider.acquire().await.unwrap_err(), &clock),
        3 * MINUTE
    );
}

#[tokio::test]
async fn a_custom_login_can_set_the_time_of_the_next_attempt() {
    let issuer = Issuer::new();
    let (provider, clock) = provider(&issuer);
    let date = tower_bearer::Clock::wall(&clock) + 2 * MINUTE;
    issuer.fail_with(move || LoginError::retry_at("maintenance", date).into());
    let error = provider.acquire().await.unwrap_err();
    assert_eq!(pause(&error, &clock), 2 * MINUTE);
    // The time is of the wall clock, and has no effect once it has passed.
    clock.advance(2 * MINUTE);
    let error = provider.acquire().await.unwrap_err();
    assert_eq!(pause(&error, &clock), Duration::from_secs(2));
    issuer.assert_logins(2);
}

// A custom provider that chooses by the request.
#[tokio::test]
async fn a_request_without_an_authorization_is_not_sent() {
    struct Nobody;
    impl CredentialProvider for Nobody {
        type Acquire = std::future::Ready<Result<Authorization, Error>>;
        fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
            None
        }
        fn acquire_for(&self, _: RequestHead<'_>) -> Self::Acquire {
            std::future::ready(Err(Error::no_authorization("no such account")))
        }
        fn reject(&self, _: &Rejected<'_>) -> Verdict {
            Verdict::new(Reason::Fixed)
        }
    }
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    handle.allow(1);
    let service = BearerAuthLayer::new(Nobody, origins()).layer(inner);
    let error = service.clone().oneshot(request()).await.unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(
        error
            .to_string()
            .contains("no authorization for this request")
            && !error.is_login_failed()
    );
    assert_eq!(error.to_string(), "no authorization for this request");
    assert_eq!(error.source().unwrap().to_string(), "no such account");
    assert_pending!(handle.poll_request());
}

// L18: every attempt fails at once, and requests keep coming.
#[tokio::test]
async fn attempts_in_an_outage_are_few_whatever_the_jitter() {
    for seed in 0..20 {
        let issuer = Issuer::new();
        issuer.fail("connection refused");
        let clock = HandClock::new();
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let provider = CachedProvider::builder(issuer.clone())
            .clock(clock.clone())
            .random(move || random.lock().unwrap().f64())
            .build();
        for _ in 0..600 {
            assert!(provider.acquire().await.is_err());
            clock.advance(Duration::from_millis(100));
        }
        assert!(issuer.logins() <= 20, "{seed}: {}", issuer.logins());
        if seed == 0 {
            println!("figure: L18 attempts_in_first_minute={}", issuer.logins());
        }
    }
}

// Trap 25
#[tokio::test]
async fn no_request_is_sent_without_its_authorization() {
    let issuer = Issuer::new();
    issuer.fail("down");
    let (inner, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let service = BearerAuthLayer::new(CachedProvider::new(issuer), origins()).layer(inner);
    for _ in 0..10 {
        assert!(service.clone().oneshot(request()).await.is_err());
    }
    assert_pending!(handle.poll_request());
    println!("figure: trap25 requests=10 sent=0");
}

// L17: a login from before a reset has no effect.
#[tokio::test]
async fn a_reset_discards_the_outcome_of_the_login_under_way() {
    for fails in [false, true] {
        let issuer = Issuer::gated();
        let (provider, _clock) = provider(&issuer);
        let mut waiter = task::spawn(provider.acquire());
        assert_pending!(waiter.poll());
        yield_now().await;
        provider.reset();
        provider.reset();
        // A new caller waits too: there is one login at a time.
        let mut next = task::spawn(provider.acquire());
        assert_pending!(next.poll());
        if fails {
            issuer.fail("old password");
        }
        issuer.step();
        yield_now().await;
        issuer.recover();
        assert!(
            provider.current().is_none(),
            "the stale login was published"
        );
        assert_pending!(waiter.poll());
        assert_pending!(next.poll());
        issuer.open();
        assert_eq!(waiter.await.unwrap().value(), "Bearer token-2");
        assert_eq!(next.await.unwrap().value(), "Bearer token-2");
        issuer.assert_logins(2);
        let snapshot = provider.snapshot();
        assert_eq!((snapshot.logins(), snapshot.failed_logins()), (1, 0));
        assert_eq!(snapshot.discarded_logins(), 1);
    }
    println!("figure: L17 stale_publishes=0 logins_at_once=1");
}

// Failures from before the reset do not count, and neither do those that arrive after it.
#[tokio::test]
async fn a_reset_forgets_all_failures() {
    let issuer = Issuer::gated();
    issuer.fail("down");
    let (provider, clock) = provider(&issuer);
    issuer.step();
    assert_eq!(provider.acquire().await.unwrap_err().failures(), 1);
    clock.advance(MINUTE);
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    provider.reset();
    issuer.open();
    let error = waiter.await.unwrap_err();
    assert_eq!(error.failures(), 1);
    assert_eq!(pause(&error, &clock), Duration::from_secs(1));
    issuer.assert_logins(3);
}

#[tokio::test]
async fn a_reset_forgets_the_credential_and_keeps_the_refresh_token() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&taken);
    let login = login_fn(move |mut request| {
        let token = request.take_refresh_token();
        let mut seen = seen.lock().unwrap();
        seen.push(token.map(|token| token.expose().to_owned()));
        let number = seen.len();
        async move {
            let credential = Credential::new(format!("token-{number}"))?;
            Ok(credential.with_refresh_token(format!("refresh-{number}")))
        }
    });
    let provider = CachedProvider::new(login);
    let mut service = BearerAuthLayer::new(provider.clone(), origins()).layer(tower::service_fn(
        |request: Request<()>| async move {
            Ok::<_, BoxError>(Response::new(request.headers()["authorization"].clone()))
        },
    ));
    for number in 1..=2 {
        let response = service.ready().await.unwrap();
        let response = tower::Service::call(response, request()).await.unwrap();
        assert_eq!(response.body(), &format!("Bearer token-{number}"));
        provider.reset();
        assert!(provider.current().is_none());
        assert_eq!(provider.snapshot().state(), CredentialState::Empty);
    }
    // This includes the refresh token of a login that ended too late.
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    provider.reset();
    waiter.await.unwrap();
    let some = |token: &str| Some(token.to_owned());
    let expected = [
        None,
        some("refresh-1"),
        some("refresh-2"),
        some("refresh-3"),
    ];
    assert_eq!(*taken.lock().unwrap(), expected);
}

// No waiter waits for ever: after a reset it waits for one more login, and not for a third.
#[tokio::test(start_paused = true)]
async fn endless_resets_do_not_block_a_waiter() {
    let issuer = Issuer::new().with_delay(Duration::from_secs(1));
    let provider = CachedProvider::new(issuer.clone());
    let waiter = tokio::spawn(provider.acquire());
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        provider.reset();
    }
    let error = waiter.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("was reset"), "{error}");
    issuer.assert_logins(2);
}

// The rejections from before the reset, and their consequences, are forgotten too.
#[tokio::test]
async fn a_reset_forgets_all_rejections() {
    let issuer = Issuer::new();
    let (provider, _clock) = provider(&issuer);
    let doubtful = async || {
        let first = provider.acquire().await.unwrap();
        assert!(provider.reject(&by_hand(first.generation())).is_log_in());
        let second = provider.acquire().await.unwrap();
        assert!(!provider.reject(&by_hand(second.generation())).is_log_in());
    };
    doubtful().await;
    provider.reset();
    doubtful().await;
    issuer.assert_logins(4);

    // A rejected credential is not restored after the reset.
    provider.reset();
    let held = provider.acquire().await.unwrap();
    assert!(provider.reject(&by_hand(held.generation())).is_log_in());
    provider.reset();
    issuer.fail("down");
    assert!(provider.acquire().await.is_err());
    assert!(provider.current().is_none());
}

#[tokio::test]
async fn a_refresh_token_that_a_discarded_login_did_not_take_is_kept() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&taken);
    let attempts = Mutex::new(0);
    let login = login_fn(move |mut request| {
        let is_first = {
            let mut attempts = attempts.lock().unwrap();
            *attempts += 1;
            *attempts == 1
        };
        let seen = Arc::clone(&seen);
        async move {
            yield_now().await;
            if is_first {
                return Err("down".into());
            }
            let token = request.take_refresh_token();
            seen.lock()
                .unwrap()
                .push(token.map(|token| token.expose().to_owned()));
            Ok(Credential::new("abc")?)
        }
    });
    let stored = Credential::new("stored")
        .unwrap()
        .with_refresh_token("kept");
    let provider = CachedProvider::builder(login)
        .starting_with(stored.with_lifetime(Duration::ZERO))
        .build();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    provider.reset();
    waiter.await.unwrap();
    assert_eq!(*taken.lock().unwrap(), [Some("kept".to_owned())]);
}

// Whatever the random source returns, nothing panics or hangs, and no successful login is lost.
#[tokio::test]
async fn any_random_source_works() {
    for chance in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -5.0, 1e300, 0.5] {
        let issuer = Issuer::new().concurrent().with_lifetime(MINUTE);
        let clock = HandClock::new();
        let builder = CachedProvider::builder(issuer.clone()).clock(clock.clone());
        let provider = builder.random(move || chance).build();
        assert!(provider.acquire().await.is_ok(), "{chance}");
        clock.advance(MINUTE);
        issuer.fail("down");
        let error = provider.acquire().await.unwrap_err();
        assert!(error.is_login_failed(), "{chance}: {error}");
        let pause = pause(&error, &clock);
        assert!(pause >= Duration::from_millis(100) && pause <= Duration::from_secs(1));
    }
}

// A provider inside a provider: the pause of the inner one does not add to that of the outer one.
#[tokio::test]
async fn a_nested_provider_passes_on_the_pause_of_the_inner_one() {
    let issuer = Issuer::new();
    let (inner, clock) = provider(&issuer);
    issuer.fail_with(|| LoginError::permanent("wrong password").into());
    let first = inner.acquire().await.unwrap_err();
    clock.advance(14 * MINUTE);
    let login = {
        let inner = inner.clone();
        login_fn(move |_| {
            let acquire = inner.acquire();
            async move {
                acquire.await?;
                Ok(Credential::new("abc")?)
            }
        })
    };
    let outer = CachedProvider::builder(login).clock(clock.clone()).build();
    let error = outer.acquire().await.unwrap_err();
    assert_eq!(error.next_attempt(), first.next_attempt());
}

// A provider is dropped while its login runs. The login ends, and nothing is leaked.
#[tokio::test(start_paused = true)]
async fn a_login_outlives_its_dropped_provider_and_ends() {
    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    drop((waiter, provider));
    assert_eq!(issuer.logins(), 1);
    tokio::time::sleep(Duration::from_millis(9_999)).await;
    issuer.open();
    yield_now().await;
    assert_eq!(issuer.finished(), 1);

    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    drop(task::spawn(provider.acquire()).poll());
    drop(provider);
    tokio::time::sleep(Duration::from_secs(11)).await;
    issuer.open();
    yield_now().await;
    assert_eq!(issuer.finished(), 0, "I6: it has ended at its timeout");
}

#[tokio::test]
async fn a_snapshot_shows_what_the_next_request_would_find() {
    let lifetime = Duration::from_secs(1_000);
    let issuer = Issuer::gated().concurrent().with_lifetime(lifetime);
    let (provider, clock) = provider(&issuer);
    let state = || provider.snapshot().state();
    assert_eq!(state(), CredentialState::Empty);
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    assert_eq!(state(), CredentialState::LoggingIn);
    assert_eq!(provider.snapshot().waits(), 1);
    let mut joining = task::spawn(provider.acquire());
    assert_pending!(joining.poll());
    issuer.step();
    let held = waiter.await.unwrap();
    assert_eq!(state(), CredentialState::Fresh);
    let seconds = Duration::from_secs;
    clock.advance(seconds(100));
    let snapshot = provider.snapshot();
    assert_eq!(snapshot.generation(), Some(held.generation()));
    assert_eq!(snapshot.age(), Some(seconds(100)));
    assert_eq!(snapshot.usable_for(), Some(seconds(890)));
    assert!(!snapshot.is_logging_in());
    // The clock that leaves less time counts.
    clock.jump_wall(seconds(60));
    assert_eq!(provider.snapshot().usable_for(), Some(seconds(830)));
    clock.jump_wall_back(seconds(120));
    assert_eq!(provider.snapshot().usable_for(), Some(seconds(890)));
    clock.jump_wall(seconds(60));
    clock.advance(seconds(800));
    assert_eq!(state(), CredentialState::Aging);
    assert!(provider.current().is_some());
    assert!(provider.snapshot().is_logging_in());
    assert_eq!(state(), CredentialState::Aging, "it is used meanwhile");
    issuer.fail("down");
    issuer.step();
    yield_now().await;
    yield_now().await;
    assert_eq!(state(), CredentialState::Aging);
    assert!(provider.snapshot().next_attempt().is_some());
    clock.advance(seconds(90));
    assert_eq!(state(), CredentialState::Expired);
    assert_eq!(provider.snapshot().usable_for(), Some(seconds(0)));
    issuer.step();
    assert_eq!(
        provider.acquire().await.unwrap().generation(),
        held.generation(),
        "it is within its margin, and has not ended"
    );
    assert_eq!(state(), CredentialState::Aging);
    assert_eq!(provider.snapshot().usable_for(), Some(seconds(10)));
    clock.advance(seconds(10));
    assert_eq!(state(), CredentialState::Expired);
    assert_eq!(provider.snapshot().usable_for(), Some(seconds(0)));
    issuer.step();
    assert!(provider.acquire().await.is_err());
    assert_eq!(state(), CredentialState::BackingOff);
    let snapshot = provider.snapshot();
    assert!(snapshot.last_error().unwrap().is_login_failed());
    assert_eq!(
        snapshot.next_attempt(),
        snapshot.last_error().unwrap().next_attempt()
    );
    assert_eq!(
        (
            snapshot.logins(),
            snapshot.failed_logins(),
            snapshot.waits()
        ),
        (1, 3, 4)
    );
    assert_eq!(snapshot.discarded_logins(), 0);
}

#[tokio::test]
async fn a_layer_counts_replays_and_bare_requests() {
    let provider = ScriptedProvider::new(["first", "second"]).unwrap();
    let layer = BearerAuthLayer::new(provider.clone(), origins())
        .replay(tower_bearer::ReplayWith(|(): &()| Some(())));
    let service = layer.layer(tower::service_fn(|request: Request<()>| async move {
        let is_good = request
            .headers()
            .get("authorization")
            .is_none_or(|it| it != "Bearer first");
        let status = if is_good { 200 } else { 401 };
        Ok::<_, BoxError>(Response::builder().status(status).body(()).unwrap())
    }));
    let foreign = Request::get("https://other.example.com/").body(()).unwrap();
    let own = Request::get(support::URL)
        .header("authorization", "own")
        .body(())
        .unwrap();
    for request in [request(), request(), foreign, own] {
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!((layer.replays(), layer.bare_requests()), (1, 2));
    assert_eq!(
        (layer.foreign_requests(), service.foreign_requests()),
        (1, 1)
    );
    assert_eq!((service.replays(), service.bare_requests()), (1, 2));
    assert_eq!(
        (provider.rejected().len(), provider.accepted().len()),
        (1, 2)
    );
    let last = provider.accepted()[0];
    assert!(provider.rejected() != [last]);
    let error = {
        use tower_bearer::CredentialProvider;
        assert!(
            !provider.reject(&Rejected::by_hand(last)).is_log_in(),
            "no scripted login is left"
        );
        service.clone().oneshot(request()).await.unwrap_err()
    };
    assert!(error.downcast_ref::<Error>().unwrap().is_login_failed());
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("the payload is dropped"));
    }
}

#[tokio::test]
async fn a_panic_with_a_panicking_payload_fails_only_the_login() {
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let login = login_fn(move |_| {
        let mut calls = counted.lock().unwrap();
        *calls += 1;
        let is_first = *calls == 1;
        drop(calls);
        async move {
            if is_first {
                std::panic::resume_unwind(Box::new(Bomb));
            }
            Ok(Credential::new("abc")?)
        }
    });
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login)
        .clock(clock.clone())
        .random(|| 1.0)
        .on_event(|_| std::panic::resume_unwind(Box::new(Bomb)))
        .on_credential(|_| std::panic::resume_unwind(Box::new(Bomb)))
        .build();
    let waiters: Vec<_> = (0..10).map(|_| tokio::spawn(provider.acquire())).collect();
    for waiter in waiters {
        let error = waiter.await.unwrap().unwrap_err();
        assert!(error.is_login_panicked(), "{error}");
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer abc");
    // The observer panics for each rejection too.
    let generation = provider.current().unwrap().generation();
    assert!(provider.reject(&by_hand(generation)).is_log_in());
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer abc");
    assert_eq!(*calls.lock().unwrap(), 3);
}

// Trap 29: a failure that no request waits for is reported.
#[tokio::test]
async fn a_failed_background_login_reaches_the_observer() {
    let issuer = Issuer::new()
        .concurrent()
        .with_lifetime(Duration::from_secs(1_000));
    let errors = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&errors);
    let clock = HandClock::new();
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .on_event(move |event| {
            if let CredentialEvent::LoginFailed { error, .. } = event {
                events
                    .lock()
                    .unwrap()
                    .push(error.source().unwrap().to_string());
            }
        })
        .build();
    provider.acquire().await.unwrap();
    issuer.fail("down");
    clock.advance(Duration::from_secs(950));
    assert!(provider.current().is_some());
    yield_now().await;
    yield_now().await;
    println!("figure: trap29 reported={}", errors.lock().unwrap().len());
    assert_eq!(*errors.lock().unwrap(), ["down"]);
}
