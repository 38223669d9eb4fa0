//! Logins and refreshes, with answers as servers send them.

use std::{convert::Infallible, error::Error, sync::atomic::Ordering, time::Duration};

use http::{
    Method, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use serde_json::json;

use super::*;
use crate::{
    credential::{Credential, InvalidToken, RefreshToken, Scheme},
    error::LoginError,
    login::{Lifetime, Login, LoginRequest, exchange::LIMIT},
};

/// A login whose API gives this answer.
fn answered(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> HttpLogin {
    let body = body.into();
    let client = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(body.clone()));
        async { Ok::<_, Infallible>(response.unwrap()) }
    });
    HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap()
}

impl HttpLogin {
    /// A full login, whose error is always that of an exchange.
    async fn log_in(&self) -> Result<Credential, LoginError> {
        let outcome = self.login(LoginRequest::default()).await;
        outcome.map_err(|error| *error.downcast().unwrap())
    }
}

async fn credential(body: &str) -> Credential {
    let login = answered(200, "application/json", body.to_owned());
    login.log_in().await.unwrap()
}

#[tokio::test]
async fn the_request_is_a_post_of_the_document() {
    let client = tower::service_fn(|request: Request<Full<Bytes>>| async {
        use http_body_util::BodyExt;
        let (parts, body) = request.into_parts();
        assert_eq!(parts.method, Method::POST);
        assert_eq!(parts.uri, "https://api.example.com/login");
        assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
        assert_eq!(parts.headers[ACCEPT], "application/json");
        assert_eq!(parts.headers[CACHE_CONTROL], "no-store");
        println!("figure: S10 logins_with_no_store=1");
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(body, r#"{"secret":1}"#);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            r#"{"access_token":"a"}"#,
        )))
    });
    let login = HttpLogin::new(client, "https://api.example.com/login", r#"{"secret":1}"#).unwrap();
    assert_eq!(login.log_in().await.unwrap().token().expose(), "a");
}

// E2: the table in the docs of `lifetime_at`.
#[tokio::test]
async fn a_lifetime_is_read_as_servers_send_it_and_never_fails_the_login() {
    let seconds = |secs| Some(Duration::from_secs(secs));
    for (sent, read) in [
        ("3600", seconds(3600)),
        (r#""3600""#, seconds(3600)),
        ("3600.0", seconds(3600)),
        (r#""  60 ""#, seconds(60)),
        ("3600.9", Some(Duration::from_millis(3_600_900))),
        ("3600000", seconds(3_600_000)),
        ("18446744073709551615", Some(Duration::MAX)),
        ("1e3", seconds(1000)),
        ("1.5", Some(Duration::from_millis(1500))),
        ("0", seconds(0)),
        ("-1", seconds(0)),
        ("-9223372036854775808", seconds(0)),
        ("-9223372036854775809", seconds(0)),
        ("18446744073709551616", Some(Duration::MAX)),
        ("1e308", Some(Duration::MAX)),
        ("1e400", Some(Duration::MAX)),
        (r#""1e400""#, Some(Duration::MAX)),
        (r#""NaN""#, None),
        (r#""inf""#, None),
        (r#""-Infinity""#, None),
        (r#""e""#, None),
        (r#""abc""#, None),
        (r#""""#, None),
        (r#""1 hour""#, None),
        ("null", None),
        ("true", None),
        ("{}", None),
        ("[]", None),
    ] {
        let answer = format!(r#"{{"access_token":"a","expires_in":{sent}}}"#);
        assert_eq!(credential(&answer).await.lifetime(), read, "{sent}");
    }
    assert_eq!(credential(r#"{"access_token":"a"}"#).await.lifetime(), None);
    println!("figure: E2 S12 cases=29 panics=0");
}

#[tokio::test]
async fn a_pointer_finds_its_value_and_no_other_value_matters() {
    let answer = r#"{"a/b":{"~":[1e999,{"":"found"}]},"dup":"first","dup":"last","x":1e999}"#;
    let found = async |pointer: &str| {
        let login = answered(200, "application/json", answer).token_at(pointer);
        login
            .log_in()
            .await
            .ok()
            .map(|found| found.token().expose().to_owned())
    };
    assert_eq!(found("/a~1b/~0/1/").await.as_deref(), Some("found"));
    assert_eq!(found("/dup").await.as_deref(), Some("last"));
    let deep = format!(
        r#"{{"deep":{}{},"access_token":"a"}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    assert_eq!(
        credential(&deep).await.token().expose(),
        "a",
        "deep nesting overflows no stack"
    );
    let escaped = answered(
        200,
        "application/json",
        r#"{"access_token":"a\/b\u002Bc=="}"#,
    );
    assert_eq!(escaped.log_in().await.unwrap().token().expose(), "a/b+c==");
    for nowhere in [
        "",
        "/",
        "a",
        "/a~1b/~0/2",
        "/a~1b/~0/1",
        "/dup/0",
        "/x",
        "/a~1b/~0/01x",
        "/a~1b/~0/01/",
        "/a~1b/~0/+1/",
    ] {
        assert_eq!(found(nowhere).await, None, "{nowhere}");
    }
    let marked = answered(200, "application/json", "\u{feff}{\"access_token\":\"a\"}");
    assert!(marked.log_in().await.is_ok(), "a byte order mark");
}

#[tokio::test]
async fn the_user_chooses_the_source_of_the_lifetime() {
    let body = json!({"access_token": "a", "expires_in": 3600}).to_string();
    let hour = Duration::from_secs(3600);
    for (choice, expected) in [
        (Lifetime::Announced, Some(hour)),
        (Lifetime::Fixed(hour * 2), Some(hour * 2)),
        (Lifetime::UntilRejected, None),
    ] {
        let login = answered(200, "application/json", body.clone()).lifetime(choice);
        assert_eq!(login.log_in().await.unwrap().lifetime(), expected);
    }
}

#[tokio::test]
async fn an_answer_is_read_as_described() {
    let body = json!({"data": [{"key": "a"}], "for": "60", "access_token": "no"});
    let login = answered(201, "application/json", body.to_string())
        .token_at("/data/0/key")
        .lifetime_at("/for")
        .with_scheme(Scheme::from_static("Token"))
        .with_session(Session::Concurrent);
    assert_eq!(Login::session(&login), Session::Concurrent);
    let credential = login.log_in().await.unwrap();
    assert_eq!(credential.token().expose(), "a");
    assert_eq!(credential.scheme().as_str(), "Token");
    assert_eq!(credential.lifetime(), Some(Duration::from_secs(60)));
}

// L11, L12, L14, R20: the error names the problem, and never repeats the body.
#[tokio::test]
async fn an_unusable_answer_is_an_error_without_its_body() {
    let json = "application/json; charset=utf-8";
    let large = format!(
        r#"{{"access_token":"canary","pad":"{}"}}"#,
        "x".repeat(64 * 1024)
    );
    let deep = format!(r#"{{"access_token":"canary","pad":{}"#, "[".repeat(10_000));
    for (status, content_type, body, message) in [
        (
            401,
            json,
            "",
            "the login at {} was refused without JSON: 401 Unauthorized (application/json, 0 bytes): check the password, and whether a firewall or a proxy answers",
        ),
        (
            302,
            "text/html",
            "canary",
            "the login at {} was redirected: 302 Found (text/html, 6 bytes): redirects are not followed, so set this URL",
        ),
        (
            401,
            "text/html you sent canary",
            "{}",
            "the login at {} was refused: 401 Unauthorized (2 bytes): check the password, then `reset()`",
        ),
        (
            400,
            json,
            r#"{"error":"invalid_grant","error_description":"canary"}"#,
            "the login at {} was refused: 400 invalid_grant: check the password, assertion or token that the login sends, then `reset()`",
        ),
        (
            400,
            json,
            r#"{"error":"canary"}"#,
            "the login at {} was refused: 400 Bad Request (application/json, 18 bytes): check the document that the login sends",
        ),
        (
            404,
            "text/html",
            "canary",
            "there is no login at {}: 404 Not Found (text/html, 6 bytes): check the path of its URL",
        ),
        (
            503,
            "text/html",
            "canary",
            "the server of the login at {} failed: 503 Service Unavailable (text/html, 6 bytes)",
        ),
        (
            200,
            "text/html",
            "<p>canary</p>",
            "the answer to the login at {} is not JSON: 200 OK (text/html, 13 bytes)",
        ),
        (
            200,
            json,
            r#"{"access_token":"canary"#,
            "the answer to the login at {} is not JSON: 200 OK (application/json, 23 bytes)",
        ),
        (
            200,
            json,
            &deep,
            "the answer to the login at {} is not JSON: 200 OK (application/json, 10031 bytes)",
        ),
        (
            200,
            json,
            "[\"canary\"]",
            "the answer to the login at {} has no token at /access_token: 200 OK (application/json, 10 bytes): set `token_at`, or see whether the API asks for more",
        ),
        (
            200,
            json,
            r#"{"access_token":null}"#,
            "the answer to the login at {} has no token at /access_token: 200 OK (application/json, 21 bytes): set `token_at`, or see whether the API asks for more",
        ),
        (
            200,
            json,
            r#"{"access_token":"canary\r\n"}"#,
            "the answer to the login at {} has an unusable token: 200 OK (application/json, 29 bytes)",
        ),
        (
            200,
            json,
            &large,
            "the answer to the login at {} is longer than 64 KiB: 200 OK (application/json)",
        ),
    ] {
        let login = answered(status, content_type, Bytes::from(body.to_owned()));
        let error = login.log_in().await.unwrap_err();
        let message = message.replace("{}", "POST api.example.com/login");
        assert_eq!(error.to_string(), message);
        assert_eq!(error.status(), StatusCode::from_u16(status).ok());
        let mut printed = format!("{error:?} {error:#?}");
        let mut source = error.source();
        while let Some(cause) = source {
            printed += &format!("{cause} {cause:?}");
            source = cause.source();
        }
        assert!(!printed.contains("canary"), "{printed}");
    }
    println!("figure: L14 cases=14 canaries=0");
}

// Empty frames are always ready, and must not starve the timeout.
#[tokio::test]
async fn an_answer_of_empty_frames_ends_at_the_timeout() {
    let (login, body) = endless(0, false);
    let provider = crate::CachedProvider::builder(login)
        .policy(crate::CachePolicy::default().login_timeout(Duration::from_millis(20)))
        .build();
    let error = provider.acquire().await.unwrap_err();
    assert!(error.is_login_timed_out(), "{error}");
    let read = body.read.load(Ordering::SeqCst);
    tokio::task::yield_now().await;
    assert_eq!(
        read,
        body.read.load(Ordering::SeqCst),
        "the login has stopped reading"
    );
}

#[tokio::test]
async fn an_odd_token_is_accepted_if_configured() {
    let body = json!({"access_token": "12|{abc}"}).to_string();
    let login = || answered(200, "application/json", body.clone());
    let error = login().log_in().await.unwrap_err();
    assert!(error.source().unwrap().is::<InvalidToken>());
    let credential = login().any_visible_ascii().log_in().await.unwrap();
    assert_eq!(credential.token().expose(), "12|{abc}");
}

/// A body without end, in chunks of this size. It counts the bytes that were read, and an empty chunk
/// as one.
#[derive(Clone)]
struct Endless {
    chunk: usize,
    is_silent: bool,
    read: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.is_silent {
            return std::task::Poll::Pending;
        }
        let read = self.read.fetch_add(self.chunk.max(1), Ordering::SeqCst);
        assert!(read < 1 << 24, "the login reads without end");
        let chunk = Bytes::from(vec![b' '; self.chunk]);
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(chunk))))
    }
}

fn endless(chunk: usize, is_silent: bool) -> (HttpLogin, Endless) {
    let body = Endless {
        chunk,
        is_silent,
        read: std::sync::Arc::default(),
    };
    let sent = body.clone();
    let client = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let response = Response::new(sent.clone());
        async { Ok::<_, Infallible>(response) }
    });
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
    (login, body)
}

// L11
#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_bounded_in_size_and_time() {
    for chunk in [1, 1000, 65_536, 1 << 20] {
        let (login, body) = endless(chunk, false);
        let error = login.log_in().await.unwrap_err();
        assert!(error.to_string().contains("longer than 64 KiB"), "{error}");
        let read = body.read.load(Ordering::SeqCst);
        assert!(read <= LIMIT + chunk, "{read} bytes in chunks of {chunk}");
    }
    // The provider's timeout ends a login whose body never yields a frame.
    let (login, _) = endless(1, true);
    let start = tokio::time::Instant::now();
    let error = crate::CachedProvider::new(login)
        .acquire()
        .await
        .unwrap_err();
    assert!(error.is_login_timed_out());
    assert_eq!(start.elapsed().as_secs(), 10);
    println!("figure: L11 cases=5 bytes_read_at_most=65536 seconds_at_most=10");
}

// T1: the client is made ready before it is called.
#[tokio::test]
async fn the_login_waits_for_a_client_with_a_limit() {
    let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            r#"{"access_token":"a"}"#,
        )))
    });
    let client = tower::limit::ConcurrencyLimit::new(client, 1);
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
    for login in [login.log_in(), login.log_in()] {
        assert!(login.await.is_ok());
    }
}

#[tokio::test]
async fn the_clients_error_is_the_source() {
    let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, BoxError>("connection refused".into())
    });
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap();
    let error = login.log_in().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the login at POST api.example.com/login got no answer"
    );
    assert_eq!(error.source().unwrap().to_string(), "connection refused");
    assert_eq!(error.status(), None);
}

// L10
#[test]
fn a_login_over_plain_http_is_an_error() {
    let client = || {
        tower::service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        })
    };
    assert!(HttpLogin::new(client(), "http://api.example.com/login", "{}").is_err());
    assert!(HttpLogin::new(client(), "https://me:secret@api.example.com/", "{}").is_err());
    assert!(HttpLogin::new(client(), "/login", "{}").is_err());
    assert!(HttpLogin::new(client(), "http://127.0.0.1:1/login?a=b", "{}").is_ok());
    println!("figure: L10 urls=4 refused=3");
}

#[test]
fn plain_http_is_allowed_by_a_loud_name_only() {
    let client = || {
        tower::service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        })
    };
    let (login, refresh) = (
        "http://identity.internal/login",
        "http://identity.internal/",
    );
    let error = HttpLogin::new(client(), login, "{}").unwrap_err();
    assert!(
        error.to_string().contains("`dangerously_in_the_clear`"),
        "{error}"
    );
    let in_the_clear = HttpLogin::dangerously_in_the_clear(client(), login, "{}").unwrap();
    assert!(in_the_clear.refresh_by(refresh, |_| "{}").is_ok());
    // Not by the refresh alone.
    let encrypted = HttpLogin::new(client(), "https://identity.internal/login", "{}").unwrap();
    assert!(encrypted.refresh_by(refresh, |_| "{}").is_err());
    // All other checks remain.
    for url in [
        "/login",
        "ftp://identity.internal/",
        "http://me@identity.internal/",
    ] {
        let login = HttpLogin::dangerously_in_the_clear(client(), url, "{}");
        assert!(login.is_err(), "{url}");
    }
}

/// A login with a refresh, whose API gives this answer to the refresh. A full login always succeeds.
fn refreshed(
    answer: impl Fn() -> Result<(u16, &'static str), BoxError> + Clone + Send + Sync + 'static,
) -> HttpLogin {
    let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let answer = answer.clone();
        async move {
            let (status, body) = match request.uri().path() {
                "/refresh" => answer()?,
                _ => (200, r#"{"access_token":"full"}"#),
            };
            let response = Response::builder().status(status);
            Ok::<_, BoxError>(response.body(Full::<Bytes>::from(body)).unwrap())
        }
    });
    HttpLogin::new(client, "https://api.example.com/login", "{}")
        .unwrap()
        .refresh_token_at("/refresh_token")
        .refresh_token_lifetime_at("/refresh_expires_in")
        .refresh_by("https://api.example.com/refresh", |token| {
            json!({"refresh_token": token.expose()}).to_string()
        })
        .unwrap()
}

/// The token of a login, its refresh token, and the refresh token that is left for the next login.
async fn outcome(login: &HttpLogin) -> (Option<String>, Option<String>, Option<String>) {
    let mut request = LoginRequest::with_refresh_token("old");
    let outcome = login.login(request.clone()).await.ok();
    let text = |token: &RefreshToken| token.expose().to_owned();
    let refresh_token = outcome.as_ref().and_then(Credential::refresh_token);
    (
        outcome.as_ref().map(|it| it.token().expose().to_owned()),
        refresh_token.map(text),
        request.take_refresh_token().as_ref().map(text),
    )
}

// L6 to L8, trap 24
#[tokio::test]
async fn each_answer_to_a_refresh_leaves_the_right_refresh_token() {
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        // Rotated.
        (
            200,
            r#"{"access_token":"a","refresh_token":"new"}"#,
            (some("a"), some("new"), None),
        ),
        // L8: the old one is kept if the answer brings none.
        (
            200,
            r#"{"access_token":"a"}"#,
            (some("a"), some("old"), None),
        ),
        (
            200,
            r#"{"access_token":"a","refresh_token":null}"#,
            (some("a"), some("old"), None),
        ),
        (
            200,
            r#"{"access_token":"a","refresh_token":""}"#,
            (some("a"), some("old"), None),
        ),
        // An unusable value elsewhere does not matter.
        (
            200,
            r#"{"access_token":"a","refresh_token":"new","expires_in":"soon","refresh_expires_in":{}}"#,
            (some("a"), some("new"), None),
        ),
        // Without a usable token, a full login follows, and the rotated refresh token is kept.
        (
            200,
            r#"{"access_token":"a b","refresh_token":"new"}"#,
            (some("full"), None, some("new")),
        ),
        (
            200,
            r#"{"refresh_token":"new"}"#,
            (some("full"), None, some("new")),
        ),
        // L7: rejected.
        (
            400,
            r#"{"error":"invalid_grant"}"#,
            (some("full"), None, None),
        ),
        (401, "", (some("full"), None, None)),
        // The server did not process it, and a login would only add to its load.
        (429, "", (None, None, some("old"))),
        (503, "", (None, None, some("old"))),
        (403, "<html>", (None, None, some("old"))),
        (
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            (None, None, some("old")),
        ),
        (400, r#"{"error":"slow_down"}"#, (None, None, some("old"))),
        // Refused, whatever the status.
        (403, "{}", (some("full"), None, None)),
        (
            200,
            r#"{"error":"invalid_grant"}"#,
            (some("full"), None, None),
        ),
        (
            500,
            r#"{"error":"invalid_grant"}"#,
            (None, None, some("old")),
        ),
        (200, "<html>", (some("full"), None, None)),
        (302, "", (some("full"), None, None)),
    ];
    for (status, body, expected) in cases {
        let login = refreshed(move || Ok((status, body)));
        assert_eq!(outcome(&login).await, expected, "{status} {body}");
    }
    let lost = refreshed(|| Err("connection reset".into()));
    assert_eq!(outcome(&lost).await, (some("full"), None, None));
    println!("figure: L8 S13 trap24 cases=20");
}

#[tokio::test]
async fn a_refresh_that_was_never_sent_keeps_its_token() {
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let login = refreshed(move || Err(refused().into()));
    assert_eq!(outcome(&login).await, (None, None, Some("old".to_owned())));
    let error = login
        .login(LoginRequest::with_refresh_token("old"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the refresh at POST api.example.com/refresh got no connection"
    );
    // After a connection was made, it may be spent.
    let reset = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let login = refreshed(move || Err(reset().into()));
    assert_eq!(outcome(&login).await, (Some("full".to_owned()), None, None));
}

#[tokio::test]
async fn a_refresh_token_has_the_lifetime_of_the_answer() {
    for (sent, read) in [("86400", Some(86_400)), (r#""60""#, Some(60)), ("{}", None)] {
        let body =
            format!(r#"{{"access_token":"a","refresh_token":"new","refresh_expires_in":{sent}}}"#);
        let login = || {
            let login = answered(200, "application/json", body.clone());
            login.refresh_token_at("/refresh_token")
        };
        let lifetime = async |login: HttpLogin| {
            let credential = login.log_in().await.unwrap();
            credential.refresh_token().unwrap().lifetime()
        };
        assert_eq!(lifetime(login()).await, None, "no pointer is set");
        let configured = login().refresh_token_lifetime_at("/refresh_expires_in");
        assert_eq!(
            lifetime(configured).await,
            read.map(Duration::from_secs),
            "{sent}"
        );
    }
}

// Without `refresh_by`.
#[tokio::test]
async fn a_login_that_cannot_refresh_takes_no_token() {
    let login = answered(200, "application/json", r#"{"access_token":"a"}"#);
    let mut request = LoginRequest::with_refresh_token("old");
    login.login(request.clone()).await.unwrap();
    assert_eq!(request.take_refresh_token().unwrap().expose(), "old");
}

#[cfg(feature = "teletracker")]
#[tokio::test]
async fn a_single_use_refresh_token_is_not_kept() {
    let login = refreshed(|| Ok((200, r#"{"access_token":"a"}"#))).spending_refresh_tokens();
    assert_eq!(outcome(&login).await, (Some("a".to_owned()), None, None));
}

// L13
#[tokio::test]
async fn a_token_of_another_type_is_not_sent_as_a_bearer_token() {
    for (kind, is_usable) in [
        (r#""Bearer""#, true),
        (r#""bearer""#, true),
        (r#""beareR""#, true),
        ("null", true),
        (r#""BearerToken""#, true),
        ("7", false),
        (r#""mac""#, false),
        (r#""DPoP""#, false),
        (r#""""#, false),
    ] {
        let body = format!(r#"{{"access_token":"a","token_type":{kind}}}"#);
        let login = answered(200, "application/json", body.clone());
        assert_eq!(login.log_in().await.is_ok(), is_usable, "{kind}");
        // A scheme of the user's own accepts any type.
        let login = answered(200, "application/json", body);
        let login = login.with_scheme(Scheme::from_static("DPoP"));
        assert!(login.log_in().await.is_ok(), "{kind}");
    }
    println!("figure: L13 cases=18 wrong=0");
}
