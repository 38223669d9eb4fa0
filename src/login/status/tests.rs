//! Which answers are permanent failures, and what becomes of a refresh token.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

use crate::{
    BoxError, CachedProvider, Credential, HttpLogin, Login, LoginError, LoginRequest, Recovery,
    RefreshFailure,
    error::{Pace, RetryAfter},
};

type Headers = &'static [(&'static str, &'static str)];

fn response(status: u16, headers: Headers, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::from(body)).unwrap()
}

fn login(status: u16, headers: Headers, body: &'static str) -> HttpLogin {
    let client = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
        Ok::<_, Infallible>(response(status, headers, body))
    });
    HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap()
}

async fn failure(login: &impl Login) -> LoginError {
    let error = login.login(LoginRequest::default()).await.unwrap_err();
    *error.downcast().unwrap()
}

const NONE: Headers = &[];
const RETRY_AFTER: Headers = &[("retry-after", "20")];

#[tokio::test]
async fn each_kind_of_answer_has_its_pace() {
    let mut cases = 0;
    for (statuses, headers, bodies, pace) in [
        // A 2xx that says no.
        (
            &[200, 201][..],
            NONE,
            &[
                r#"{"error":"invalid_grant"}"#,
                r#"{"error":"nobody has registered this"}"#,
                r#"{"error":{"code":7}}"#,
                r#"{"error":true}"#,
                r#"{"success":false}"#,
                r#"{"success":false,"access_token":"a"}"#,
            ][..],
            Pace::Permanent,
        ),
        (
            &[200],
            NONE,
            &[
                r#"{"error":"server_error"}"#,
                r#"{"error":"temporarily_unavailable"}"#,
            ],
            Pace::Transient,
        ),
        (
            &[200, 400],
            NONE,
            &[
                r#"{"error":"slow_down"}"#,
                r#"{"error":"authorization_pending"}"#,
            ],
            Pace::RateLimited,
        ),
        // A 2xx with JSON, and no usable token.
        (
            &[200],
            NONE,
            &[
                "{}",
                "[]",
                r#"{"error":null}"#,
                r#"{"error":false}"#,
                r#"{"error":0}"#,
                r#"{"error":""}"#,
                r#"{"mfa_required":true}"#,
                r#"{"access_token":""}"#,
                r#"{"access_token":7}"#,
                r#"{"access_token":"two words"}"#,
                r#"{"access_token":"a","token_type":"mac"}"#,
                r#"{"access_token":"a","token_type":7}"#,
            ],
            Pace::PermanentUntilWorked,
        ),
        // A 2xx without JSON.
        (
            &[200, 204],
            NONE,
            &["", "<html>", "{", "ok"],
            Pace::Transient,
        ),
        // With `Retry-After`.
        (
            &[400, 401, 403, 422, 429, 503],
            RETRY_AFTER,
            &["", "{}", r#"{"error":"invalid_grant"}"#],
            Pace::Transient,
        ),
        (&[423], NONE, &["", "{}"], Pace::Permanent),
        (&[429], NONE, &["", "{}"], Pace::RateLimited),
        (&[401, 403], NONE, &["", "<html>", "[]", "no"], Pace::Slow),
        (
            &[404, 405, 410, 301, 302, 307],
            NONE,
            &["", "{}"],
            Pace::Slow,
        ),
        (
            &[400, 401, 403, 422],
            NONE,
            &["{}", r#"{"error":"invalid_grant"}"#, r#"{"message":"no"}"#],
            Pace::Permanent,
        ),
        (
            &[500, 502, 503, 504],
            NONE,
            &["", "{}", r#"{"error":"invalid_grant"}"#],
            Pace::Transient,
        ),
        (&[402, 406, 409, 418, 451], NONE, &[""], Pace::Transient),
    ] {
        for &status in statuses {
            for &body in bodies {
                let error = failure(&login(status, headers, body)).await;
                let advice = error.advice();
                let is_lifted = advice.is_lifted_by_pause && advice.asks_for_pause();
                let found = if is_lifted {
                    Pace::Transient
                } else {
                    advice.pace
                };
                assert_eq!(found, pace, "{status} {body}");
                let asked = (!headers.is_empty()).then(|| Duration::from_secs(20));
                assert_eq!(
                    advice.retry_after,
                    asked.map(RetryAfter::Delay),
                    "{status} {body}"
                );
                cases += 1;
            }
        }
    }
    println!("figure: answers kinds={cases} wrong=0");
}

#[tokio::test]
async fn a_usable_token_counts_whatever_else_the_answer_has() {
    for body in [
        r#"{"access_token":"a","error":"none"}"#,
        r#"{"access_token":"a","error":null,"success":null}"#,
        r#"{"access_token":"a","success":true}"#,
    ] {
        let outcome = login(200, NONE, body).login(LoginRequest::default()).await;
        assert!(outcome.is_ok(), "{body}");
    }
}

// Quable answers a wrong password with nothing.
#[tokio::test]
async fn an_empty_refusal_is_the_apis_own_where_the_api_is_known_for_it() {
    let login = login(401, NONE, "").configure(|format| format.refuses_with_empty_body = true);
    assert_eq!(failure(&login).await.advice().pace, Pace::Permanent);
}

#[tokio::test]
async fn a_login_that_has_worked_is_tried_again_sooner() {
    let calls = Arc::new(AtomicUsize::new(0));
    let client = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let body = if is_first {
                r#"{"access_token":"a"}"#
            } else {
                r#"{"mfa_required":true}"#
            };
            Ok::<_, Infallible>(response(200, NONE, body))
        }
    });
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
    let provider = CachedProvider::new(login);
    provider.acquire().await.unwrap();
    provider.reset();
    let error = provider.acquire().await.unwrap_err();
    assert!(
        error.to_string().ends_with("; next attempt in 30 s"),
        "{error}"
    );
    let never = self::login(200, NONE, r#"{"mfa_required":true}"#);
    let error = CachedProvider::new(never).acquire().await.unwrap_err();
    assert!(
        error.to_string().ends_with("; next attempt in 15 min"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failure_says_what_to_do() {
    let pause = |seconds| Recovery::TryAgain {
        after: Duration::from_secs(seconds),
    };
    for (status, headers, body, recovery) in [
        (
            400,
            NONE,
            r#"{"error":"invalid_grant"}"#,
            Recovery::ChangeCredentials,
        ),
        (423, NONE, "", Recovery::ChangeCredentials),
        (401, NONE, "<html>", pause(30)),
        (429, RETRY_AFTER, "", pause(20)),
        (404, NONE, "", Recovery::FixProgram),
        (302, NONE, "", Recovery::FixProgram),
        (200, NONE, "{}", Recovery::FixProgram),
    ] {
        let provider = CachedProvider::new(login(status, headers, body));
        let error = provider.acquire().await.unwrap_err();
        assert_eq!(error.recovery(), recovery, "{error}");
    }
}

#[tokio::test]
async fn a_failure_is_one_line_for_people() {
    let login = || login(400, NONE, r#"{"error":"invalid_grant"}"#);
    let provider = CachedProvider::new(login());
    let error = provider.acquire().await.unwrap_err();
    let line = "the login at POST api.example.com/login was refused: 400 invalid_grant: \
                check the password, assertion or token that the login sends, then `reset()`; \
                next attempt in 15 min";
    assert_eq!(error.to_string(), line);
    assert_eq!(format!("{error:?}"), line);
    assert_eq!(
        error.login_error().unwrap().error_code(),
        Some("invalid_grant")
    );
    let hidden = failure(&login().hide_path()).await.to_string();
    assert!(
        hidden.starts_with("the login at POST api.example.com was refused"),
        "{hidden}"
    );
}

#[tokio::test]
async fn a_redirect_names_where_it_leads_without_the_query() {
    for (to, named) in [
        (
            "https://sso.example.com/in?token=canary",
            " was redirected to https://sso.example.com/in: ",
        ),
        ("/v2/login?token=canary", " was redirected to /v2/login: "),
        (
            "https://me:canary@sso.example.com/",
            " was redirected to https://sso.example.com/: ",
        ),
    ] {
        let client = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            let response = Response::builder().status(302).header("location", to);
            Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
        });
        let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
        let error = failure(&login).await.to_string();
        assert!(error.contains(named), "{error}");
        assert!(!error.contains("canary"), "{error}");
        let hidden = failure(&login.hide_path()).await.to_string();
        assert!(hidden.contains(" was redirected: 302 "), "{hidden}");
    }
}

#[tokio::test]
async fn a_compressed_answer_is_named() {
    let error = failure(&login(200, &[("content-encoding", "gzip")], "\u{1f}\u{8}")).await;
    assert!(
        error.to_string().contains(" is compressed with gzip: "),
        "{error}"
    );
    // A client that decompresses may leave the header.
    let decompressed = login(
        200,
        &[("content-encoding", "gzip")],
        r#"{"access_token":"a"}"#,
    );
    assert!(decompressed.login(LoginRequest::default()).await.is_ok());
}

/// A login whose refreshes fail like this. A full login succeeds.
fn refreshing(
    refresh: impl Fn() -> Result<Response<Full<Bytes>>, BoxError> + Clone + Send + Sync + 'static,
) -> HttpLogin {
    let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let refresh = refresh.clone();
        async move {
            match request.uri().path() {
                "/refresh" => refresh(),
                _ => Ok(response(200, NONE, r#"{"access_token":"full"}"#)),
            }
        }
    });
    HttpLogin::new(client, "https://api.example.com/login", "{}")
        .unwrap()
        .refresh_by("https://api.example.com/refresh", |token| {
            token.expose().to_owned()
        })
        .unwrap()
}

/// Whether a full login followed, and whether the refresh token is left.
async fn outcome(login: &HttpLogin) -> (bool, bool) {
    let mut request = LoginRequest::with_refresh_token("old");
    let outcome: Result<Credential, _> = login.login(request.clone()).await;
    (outcome.is_ok(), request.take_refresh_token().is_some())
}

#[tokio::test]
async fn a_refresh_that_was_not_processed_keeps_its_token() {
    let io = |kind| move || Err(std::io::Error::from(kind).into());
    use RefreshFailure::{Blocked, RateLimited, ServerFailed, Unreachable};
    use std::io::ErrorKind;
    for (failure, login) in [
        (Unreachable, refreshing(io(ErrorKind::ConnectionRefused))),
        (Unreachable, refreshing(io(ErrorKind::HostUnreachable))),
        (Unreachable, refreshing(io(ErrorKind::NetworkUnreachable))),
        (RateLimited, refreshing(|| Ok(response(429, NONE, "")))),
        (
            RateLimited,
            refreshing(|| Ok(response(400, RETRY_AFTER, "{}"))),
        ),
        (
            RateLimited,
            refreshing(|| Ok(response(503, RETRY_AFTER, ""))),
        ),
        (ServerFailed, refreshing(|| Ok(response(500, NONE, "")))),
        (
            ServerFailed,
            refreshing(|| Ok(response(502, NONE, "<html>"))),
        ),
        (Blocked, refreshing(|| Ok(response(403, NONE, "<html>")))),
    ] {
        assert_eq!(outcome(&login).await, (false, true), "{failure:?}");
        let others = [Blocked, RateLimited, ServerFailed, Unreachable];
        let others = others.into_iter().filter(|other| *other != failure);
        let login = login.full_login_after(others);
        assert_eq!(outcome(&login).await, (false, true), "{failure:?}");
        let login = login.full_login_after([failure]);
        assert_eq!(outcome(&login).await, (true, true), "{failure:?}");
    }
}

// The connector refuses the scheme: the chain has no I/O error, and nothing was sent.
#[tokio::test]
async fn a_connection_that_hyper_could_not_make_was_never_made() {
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let login = HttpLogin::new(client, "https://127.0.0.1/login", "{}")
        .unwrap()
        .refresh_by("https://127.0.0.1/refresh", |token| {
            token.expose().to_owned()
        })
        .unwrap();
    assert_eq!(outcome(&login).await, (false, true));
    let error = failure(&login).await.to_string();
    assert_eq!(error, "the login at POST 127.0.0.1/login got no connection");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_times_out_names_its_server() {
    let client = tower::service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let login = HttpLogin::new(client, "https://api.example.com/login?key=canary", "{}").unwrap();
    let error = CachedProvider::new(login).acquire().await.unwrap_err();
    let text = "the login at POST api.example.com/login did not end within 10 s; next attempt in ";
    assert!(error.to_string().starts_with(text), "{error}");
}

#[tokio::test]
async fn a_refresh_that_is_refused_is_followed_by_a_login() {
    for (status, body) in [
        (400, "{}"),
        (401, ""),
        (401, "<html>"),
        (403, "{}"),
        (404, ""),
    ] {
        let login = refreshing(move || Ok(response(status, NONE, body)));
        assert_eq!(outcome(&login).await, (true, false), "{status}");
    }
}

// The OAuth `error` of a server that is overloaded or broken says nothing about the credentials.
#[tokio::test]
async fn an_error_inside_a_429_or_a_5xx_is_never_a_verdict() {
    let pause = Duration::from_secs(20);
    for body in [
        r#"{"error":"invalid_grant"}"#,
        r#"{"error":"invalid_client"}"#,
        r#"{"error":"access_denied","success":false}"#,
    ] {
        for status in [429, 500, 501, 502, 503, 504, 520, 599] {
            for headers in [NONE, RETRY_AFTER] {
                let case = format!("{status} {headers:?} {body}");
                let error = failure(&login(status, headers, body)).await;
                assert!(!error.is_permanent(), "{case}");
                assert_eq!(error.error_code(), None, "{case}");
                let provider = CachedProvider::new(login(status, headers, body));
                let recovery = provider.acquire().await.unwrap_err().recovery();
                let Recovery::TryAgain { after } = recovery else {
                    panic!("{case}: {recovery:?}");
                };
                assert!(after <= pause, "{case}: {after:?}");
                // The refresh token stays, and no full login follows.
                let login = refreshing(move || Ok(response(status, headers, body)));
                assert_eq!(outcome(&login).await, (false, true), "{case}");
            }
        }
    }
}

// Some servers answer 500 to a refresh token that they do not know: no history makes a login impossible.
#[tokio::test]
async fn a_login_follows_the_fifth_refresh_in_a_row_that_is_not_processed() {
    for (status, headers) in [(500, NONE), (403, NONE), (429, NONE), (503, RETRY_AFTER)] {
        let login = refreshing(move || Ok(response(status, headers, "")));
        for _ in 0..2 {
            for _ in 0..4 {
                assert_eq!(outcome(&login).await, (false, true), "{status}");
            }
            assert_eq!(outcome(&login).await, (true, true), "{status}");
        }
    }
    let unreachable = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
    let login = refreshing(unreachable);
    for _ in 0..20 {
        assert_eq!(outcome(&login).await, (false, true));
    }
}

#[tokio::test]
async fn an_answer_ends_the_row_of_unprocessed_refreshes() {
    let calls = Arc::new(AtomicUsize::new(0));
    let login = refreshing(move || {
        Ok(match calls.fetch_add(1, Ordering::SeqCst) {
            4 => response(200, NONE, r#"{"access_token":"a"}"#),
            _ => response(500, NONE, ""),
        })
    });
    let followed: Vec<_> = {
        let mut followed = Vec::new();
        for _ in 0..10 {
            followed.push(outcome(&login).await.0);
        }
        followed
    };
    let expected = [4, 9].map(|at| at + 1);
    let successes = (1..=10).filter(|at| followed[at - 1]);
    assert_eq!(successes.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_refused_refresh_says_so() {
    let seen = Arc::new(std::sync::Mutex::new(None));
    let observed = Arc::clone(&seen);
    let login = refreshing(|| Ok(response(400, NONE, r#"{"error":"invalid_grant"}"#)));
    let credential = Credential::new("a").unwrap().with_refresh_token("old");
    let provider = CachedProvider::builder(login)
        .starting_with(credential.with_lifetime(Duration::ZERO))
        .on_event(move |event| {
            if let crate::CredentialEvent::RefreshFailed { error, .. } = event {
                *observed.lock().unwrap() = Some(error.to_string());
            }
        })
        .build();
    provider.acquire().await.unwrap();
    assert_eq!(
        seen.lock().unwrap().as_deref(),
        Some("the refresh at POST api.example.com/refresh was refused: 400 invalid_grant")
    );
}

// No pause is asked for, so that the refusal counts.
#[tokio::test]
async fn a_refused_refresh_token_is_spent_although_the_answer_has_a_retry_after_of_zero() {
    let login = refreshing(|| {
        let error = r#"{"error":"invalid_grant"}"#;
        Ok(response(400, &[("retry-after", "0")], error))
    });
    assert_eq!(outcome(&login).await, (true, false));
}

#[tokio::test]
async fn a_refresh_that_says_no_with_200_keeps_its_token_as_with_400() {
    for body in [
        r#"{"error":"slow_down"}"#,
        r#"{"error":"temporarily_unavailable"}"#,
    ] {
        for status in [200, 400] {
            let login = refreshing(move || Ok(response(status, NONE, body)));
            assert_eq!(outcome(&login).await, (false, true), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_pause_that_is_over_makes_no_wrong_password_transient() {
    for (after, pause) in [
        ("0", "15 min"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "15 min"),
        ("20", "20 s"),
    ] {
        let client = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            let response = Response::builder().status(401).header("retry-after", after);
            let body = Full::<Bytes>::from(r#"{"error":"invalid_grant"}"#);
            Ok::<_, Infallible>(response.body(body).unwrap())
        });
        let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
        let error = CachedProvider::new(login).acquire().await.unwrap_err();
        let text = format!("; next attempt in {pause}");
        assert!(error.to_string().ends_with(&text), "{after}: {error}");
    }
}

#[tokio::test]
async fn a_relative_redirect_is_named_by_its_path() {
    for (to, named) in [
        ("login", " was redirected to login: "),
        ("/a;jsessionid=canary?b", " was redirected to /a: "),
        ("//evil.example.com/a", " was redirected: "),
    ] {
        let client = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            let response = Response::builder().status(308).header("location", to);
            Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
        });
        let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
        let error = failure(&login).await.to_string();
        assert!(
            error.contains(named) && !error.contains("canary"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_shared_login_names_its_server() {
    let login = Arc::new(login(200, NONE, ""));
    let endpoint = Login::endpoint(&login);
    assert_eq!(endpoint.as_deref(), Some("POST api.example.com/login"));
}

#[tokio::test]
async fn the_status_counts_if_the_body_is_too_long() {
    let long: &'static str = Box::leak("x".repeat(70_000).into_boxed_str());
    for (status, pace) in [
        (200, Pace::Transient),
        (400, Pace::Permanent),
        (401, Pace::Slow),
        (404, Pace::Slow),
        (423, Pace::Permanent),
        (429, Pace::RateLimited),
    ] {
        let login = login(status, NONE, long);
        let login = login.configure(|format| format.refuses_with_empty_body = true);
        assert_eq!(failure(&login).await.advice().pace, pace, "{status}");
    }
    for status in [429, 503, 403] {
        let login = refreshing(move || Ok(response(status, NONE, long)));
        assert_eq!(outcome(&login).await, (false, true), "{status}");
    }
}

#[tokio::test]
async fn the_recovery_agrees_with_the_hint() {
    for (status, body) in [
        (400, r#"{"error":"invalid_request"}"#),
        (400, r#"{"error":"unsupported_grant_type"}"#),
        (400, r#"{"error":"invalid_scope"}"#),
        (422, "{}"),
    ] {
        let provider = CachedProvider::new(login(status, NONE, body));
        let error = provider.acquire().await.unwrap_err();
        assert_eq!(error.recovery(), Recovery::FixProgram, "{error}");
    }
}

#[tokio::test]
async fn a_nested_provider_hides_no_login_error() {
    let inner = crate::Error::login_failed(LoginError::permanent("no"));
    assert!(inner.login_error().is_some());
    let outer = crate::Error::login_failed(inner);
    assert_eq!(outer.recovery(), Recovery::ChangeCredentials);
    assert!(outer.login_error().is_some());
}

#[tokio::test]
async fn a_compressed_refusal_is_named() {
    let error = failure(&login(401, &[("content-encoding", "gzip")], "\u{1f}\u{8}")).await;
    assert!(
        error.to_string().contains(" is compressed with gzip"),
        "{error}"
    );
}
