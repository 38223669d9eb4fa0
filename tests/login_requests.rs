//! The requests of logins and refreshes: bodies, headers, plain http and closed connections.

mod support;

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request as Incoming};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use support::{http_client, patient};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::limit::ConcurrencyLimit;
use tower_bearer::{
    BoxError, CachedProvider, Credential, HttpLogin, Login, LoginBody, LoginError, LoginRequest,
    Recovery, Secret,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// A request as the server got it.
#[derive(Clone, Debug)]
struct Received {
    path: String,
    headers: HeaderMap,
    body: String,
}

/// A server on loopback that records its requests. Each answer has a token and a refresh token.
#[derive(Clone, Debug)]
struct Api {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Api {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            received: Arc::default(),
        };
        let received = Arc::clone(&api.received);
        let app = Router::new().fallback(async move |request: Incoming| {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            received.lock().unwrap().push(Received {
                path: parts.uri.path().to_owned(),
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            });
            r#"{"access_token":"a","refresh_token":"r&1"}"#
        });
        tokio::spawn(async { axum::serve(listener, app).await });
        api
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn login(&self, body: impl Into<LoginBody>) -> HttpLogin {
        HttpLogin::new(http_client(), &self.at("/login"), body).unwrap()
    }

    /// The requests since the last call.
    fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }
}

async fn log_in(login: &HttpLogin) -> Credential {
    login.login(LoginRequest::default()).await.unwrap()
}

async fn refresh(login: &HttpLogin) -> Credential {
    let request = LoginRequest::with_refresh_token("r&1");
    login.login(request).await.unwrap()
}

/// Path, content type and body of each request.
fn bodies(received: &[Received]) -> Vec<(&str, &str, &str)> {
    let parts = received.iter().map(|it| {
        let content_type = it.headers[CONTENT_TYPE].to_str().unwrap();
        (it.path.as_str(), content_type, it.body.as_str())
    });
    parts.collect()
}

#[tokio::test]
async fn login_and_refresh_post_json_or_a_form() {
    let api = Api::start().await;
    let pairs = [("username", "me"), ("password", " %&+£€")];
    let form = "username=me&password=+%25%26%2B%C2%A3%E2%82%AC";
    let json = "application/json";
    for (body, content_type, text) in [
        (LoginBody::from("{}"), json, "{}"),
        (LoginBody::from("{}".to_owned()), json, "{}"),
        (LoginBody::from(Secret::from("{}")), json, "{}"),
        (LoginBody::form(pairs), FORM, form),
        (LoginBody::from_fn(async |_| Ok("{}")), json, "{}"),
        (
            LoginBody::from_fn(move |_| async move { Ok(LoginBody::form(pairs)) }),
            FORM,
            form,
        ),
        (
            LoginBody::from_fn(async |_| Ok(LoginBody::from_fn(async |_| Ok("{}")))),
            json,
            "{}",
        ),
    ] {
        log_in(&api.login(body)).await;
        assert_eq!(bodies(&api.take()), [("/login", content_type, text)]);
    }

    let login = api.login("{}");
    let as_form = login
        .refresh_by(&api.at("/refresh"), |token| {
            LoginBody::form([("refresh_token", token.expose())])
        })
        .unwrap();
    let credential = refresh(&as_form).await;
    assert_eq!(
        bodies(&api.take()),
        [("/refresh", FORM, "refresh_token=r%261")]
    );
    assert!(credential.refresh_token().is_some(), "the old one is kept");
    let as_json = as_form
        .refresh_by(&api.at("/refresh"), |token| {
            format!("[{:?}]", token.expose())
        })
        .unwrap();
    refresh(&as_json).await;
    assert_eq!(bodies(&api.take()), [("/refresh", json, r#"["r&1"]"#)]);

    // A content type of the user's own wins.
    let xml = as_json.content_type(HeaderValue::from_static("text/xml"));
    refresh(&xml).await;
    log_in(&xml).await;
    let received = api.take();
    assert!(
        received
            .iter()
            .all(|it| it.headers[CONTENT_TYPE] == "text/xml")
    );
    assert_eq!(received.len(), 2);
}

#[tokio::test]
async fn a_function_makes_the_body_anew_for_each_login_and_refresh() {
    let api = Api::start().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = move |what: &'static str| {
        let count = Arc::clone(&count);
        move |_| {
            let count = Arc::clone(&count);
            async move {
                // A function may wait.
                tokio::task::yield_now().await;
                let number = count.fetch_add(1, Ordering::Relaxed);
                Ok(format!("{what} {number}"))
            }
        }
    };
    let refresh_body = counted("refresh");
    let login = api
        .login(LoginBody::from_fn(counted("login")))
        .refresh_by(&api.at("/refresh"), move |_| {
            LoginBody::from_fn(refresh_body.clone())
        })
        .unwrap();
    for _ in 0..2 {
        log_in(&login).await;
        refresh(&login).await;
    }
    let received = api.take();
    let bodies: Vec<_> = received.iter().map(|it| it.body.as_str()).collect();
    assert_eq!(bodies, ["login 0", "refresh 1", "login 2", "refresh 3"]);
}

#[tokio::test]
async fn a_function_sees_the_request_and_cannot_spend_its_refresh_token() {
    let api = Api::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let login = api.login(LoginBody::from_fn(move |mut request| {
        let refresh_token = request.take_refresh_token();
        let timeout = request.timeout();
        record
            .lock()
            .unwrap()
            .push((timeout, refresh_token.is_some()));
        async { Ok("{}") }
    }));
    let mut request = LoginRequest::with_refresh_token("r1");
    login.login(request.clone()).await.unwrap();
    assert!(request.take_refresh_token().is_some());
    patient(login).build().acquire().await.unwrap();
    let timeout = Some(Duration::from_secs(3600));
    assert_eq!(*seen.lock().unwrap(), [(None, false), (timeout, false)]);
}

/// What the function of a refresh's body does instead of returning one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Fails,
    FailsForGood,
    Panics,
    PanicsAtOnce,
    Hangs,
}

/// A login in memory whose refresh body has this trouble the first time. It counts its requests.
fn troubled(trouble: Trouble, requests: &Arc<AtomicUsize>) -> HttpLogin {
    let requests = Arc::clone(requests);
    let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
        requests.fetch_add(1, Ordering::Relaxed);
        let name = request.uri().path().trim_start_matches('/');
        let answer = format!(r#"{{"access_token":"{name}"}}"#);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer))) }
    });
    let made = AtomicUsize::new(0);
    HttpLogin::new(client, "https://api.example.com/login", "{}")
        .unwrap()
        .refresh_by("https://api.example.com/refresh", move |token| {
            if made.fetch_add(1, Ordering::Relaxed) > 0 {
                return LoginBody::from(token.expose());
            }
            assert_ne!(trouble, Trouble::PanicsAtOnce, "scripted");
            LoginBody::from_fn(move |_| async move {
                match trouble {
                    Trouble::Fails => Err(io::Error::other("no such file"))?,
                    Trouble::FailsForGood => Err(LoginError::permanent("no such key"))?,
                    Trouble::Panics | Trouble::PanicsAtOnce => panic!("scripted"),
                    Trouble::Hangs => std::future::pending::<()>().await,
                }
                Ok("unreachable")
            })
        })
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_made_spends_no_refresh_token() {
    use Trouble::*;
    for trouble in [Fails, FailsForGood, Panics, PanicsAtOnce, Hangs] {
        let requests = Arc::default();
        let login = troubled(trouble, &requests);
        let stored = Credential::new("stored").unwrap().with_refresh_token("r1");
        let provider = CachedProvider::builder(login)
            .starting_with(stored.with_lifetime(Duration::ZERO))
            .build();
        let error = provider.acquire().await.unwrap_err();
        assert_eq!(requests.load(Ordering::Relaxed), 0, "{trouble:?}");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        match trouble {
            Fails => assert_eq!(source.unwrap(), "no such file"),
            FailsForGood => {
                assert_eq!(source.unwrap(), "no such key");
                assert_eq!(error.recovery(), Recovery::ChangeCredentials);
            }
            Panics | PanicsAtOnce => assert!(error.is_login_panicked()),
            Hangs => assert!(error.is_login_timed_out()),
        }
        // The next login refreshes with the same token.
        tokio::time::advance(Duration::from_secs(15 * 60)).await;
        let authorization = provider.acquire().await.unwrap();
        assert_eq!(authorization.value(), "Bearer refresh", "{trouble:?}");
    }
}

#[tokio::test]
async fn the_error_of_a_function_is_that_of_the_login() {
    let api = Api::start().await;
    let failing = || async { Err::<String, BoxError>(io::Error::other("no such file").into()) };
    let login = api.login(LoginBody::from_fn(move |_| failing()));
    let error = login.login(LoginRequest::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "no such file");
    assert!(error.is::<io::Error>());
    let error = patient(login).build().acquire().await.unwrap_err();
    assert!(matches!(error.recovery(), Recovery::TryAgain { .. }));
    assert!(api.take().is_empty(), "nothing was sent");
}

// A client behind a limit is not ready while others use it: nothing was handed to it yet.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_ready_in_time_spends_no_refresh_token() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let client = tower::service_fn(move |_: Request<Full<Bytes>>| {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
        async { Ok::<_, Infallible>(Response::new(answer)) }
    });
    let places = Arc::new(Semaphore::new(1));
    let client = ConcurrencyLimit::with_semaphore(client, Arc::clone(&places));
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}")
        .unwrap()
        .refresh_by("https://api.example.com/refresh", |_| "{}")
        .unwrap();
    let stored = Credential::new("stored").unwrap().with_refresh_token("r1");
    let provider = CachedProvider::builder(login)
        .starting_with(stored.with_lifetime(Duration::ZERO))
        .build();
    let place = places.acquire().await.unwrap();
    let error = provider.acquire().await.unwrap_err().to_string();
    let text = "the refresh at POST api.example.com/refresh got no connection";
    assert!(error.starts_with(text), "{error}");
    drop(place);
    tokio::time::advance(Duration::from_secs(60)).await;
    provider.acquire().await.unwrap();
    assert_eq!(requests.load(Ordering::Relaxed), 1, "the refresh alone");
}

/// The values of a header.
fn values<'a>(received: &'a Received, name: &str) -> Vec<&'a str> {
    let values = received.headers.get_all(name).into_iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn login_and_refresh_carry_the_headers_of_the_user() {
    let api = Api::start().await;
    let text = HeaderValue::from_static;
    let name = HeaderName::from_static;
    let login = api
        .login("{}")
        .refresh_by(&api.at("/refresh"), |_| "{}")
        .unwrap();
    log_in(&login).await;
    let received = api.take().remove(0);
    for (name, expected) in [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("cache-control", "no-store"),
        ("content-length", "2"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(values(&received, name), [expected], "{name}");
    }
    let login = login
        .header(name("x-tenant"), text("one"))
        .header(name("x-tenant"), text("two"))
        .header(name("accept"), text("application/vnd.api+json"))
        .header(name("accept"), text("text/json"))
        .header(name("accept-encoding"), text("gzip"))
        .header(name("cache-control"), text("no-cache"))
        .header(name("content-type"), text("text/xml"))
        .header(name("content-type"), text("application/vnd.api+json"))
        .header(name("content-length"), text("7"))
        .header(name("transfer-encoding"), text("chunked"))
        .header(name("host"), text("other.example.com"))
        .header(name("host"), text("api.example.com"))
        .header(name("authorization"), text("Basic b25l"))
        .header(name("authorization"), text("Basic dHdv"));
    log_in(&login).await;
    refresh(&login).await;
    let received = api.take();
    assert_eq!(received.len(), 2);
    for received in &received {
        for (name, expected) in [
            ("x-tenant", &["one", "two"][..]),
            ("accept", &["application/vnd.api+json", "text/json"]),
            ("accept-encoding", &["gzip"]),
            ("cache-control", &["no-cache"]),
            ("content-type", &["application/vnd.api+json"]),
            ("content-length", &["2"]),
            ("transfer-encoding", &[]),
            ("host", &["api.example.com"]),
            ("authorization", &["Basic dHdv"]),
        ] {
            assert_eq!(values(received, name), expected, "{name}");
        }
    }
}

#[tokio::test]
async fn login_and_refresh_are_authenticated_by_basic() {
    let api = Api::start().await;
    let login = || {
        let login = api.login("{}").refresh_by(&api.at("/refresh"), |_| "{}");
        login.unwrap()
    };
    let plain = login().basic_auth("me", "a b:£").unwrap();
    let of_client = login().client_secret_basic("me:1", "a b:£").unwrap();
    // The last one counts.
    let both = login().basic_auth("me", "old").unwrap();
    let both = both.client_secret_basic("me:1", "a b:£").unwrap();
    for (login, pair) in [
        (plain, "me:a b:£"),
        (of_client, "me%3A1:a+b%3A%C2%A3"),
        (both, "me%3A1:a+b%3A%C2%A3"),
    ] {
        log_in(&login).await;
        refresh(&login).await;
        let expected = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let received = api.take();
        assert_eq!(received.len(), 2);
        for received in received {
            assert_eq!(values(&received, "authorization"), [expected.as_str()]);
        }
    }
}

#[tokio::test]
async fn a_body_brings_headers_that_replace_those_of_the_login() {
    let api = Api::start().await;
    let name = HeaderName::from_static;
    let text = HeaderValue::from_static;
    let count = Arc::new(AtomicUsize::new(0));
    let rotated = LoginBody::from_fn(move |_| {
        let secret = format!("secret {}", count.fetch_add(1, Ordering::Relaxed));
        async move {
            let form = LoginBody::form([("a", "b")]).header(name("x-proof"), text("made"));
            Ok(form.client_secret_basic("me", secret)?)
        }
    });
    let login = api
        .login(rotated.header(name("x-proof"), text("outer")))
        .basic_auth("me", "old")
        .unwrap()
        .header(name("x-tenant"), text("one"))
        .header(name("x-proof"), text("of the login"))
        .refresh_by(&api.at("/refresh"), |_| {
            LoginBody::from("{}")
                .basic_auth("me", "of the refresh")
                .unwrap()
        })
        .unwrap();
    let basic = |pair| format!("Basic {}", BASE64_STANDARD.encode(pair));
    for (number, proof) in [(0, "made"), (1, "made")] {
        log_in(&login).await;
        let received = api.take().remove(0);
        let expected = basic(format!("me:secret+{number}"));
        assert_eq!(values(&received, "authorization"), [expected]);
        assert_eq!(values(&received, "x-proof"), [proof]);
        assert_eq!(values(&received, "x-tenant"), ["one"]);
        assert_eq!(values(&received, "content-type"), [FORM]);
    }
    refresh(&login).await;
    let received = api.take().remove(0);
    let expected = basic("me:of the refresh".to_owned());
    assert_eq!(values(&received, "authorization"), [expected]);
    assert_eq!(values(&received, "x-proof"), ["of the login"]);
}

// HTTP/2 must not index it, and no log prints it.
#[tokio::test]
async fn each_header_of_the_user_is_sensitive() {
    let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        assert!(!format!("{request:?}").contains("canary"));
        for name in ["authorization", "x-api-key", "x-proof"] {
            assert!(request.headers()[name].is_sensitive(), "{name}");
        }
        let answer = Full::<Bytes>::from(r#"{"access_token":"a"}"#);
        Ok::<_, Infallible>(Response::new(answer))
    });
    let key = HeaderName::from_static("x-api-key");
    let proof = HeaderName::from_static("x-proof");
    let body = LoginBody::from("{}").header(proof, HeaderValue::from_static("canary"));
    assert!(!format!("{body:?}").contains("canary"));
    let login = HttpLogin::new(client, "https://api.example.com/login", body)
        .unwrap()
        .header(key, HeaderValue::from_static("canary"))
        .basic_auth("canary", "canary")
        .unwrap();
    assert!(!format!("{login:?}").contains("canary"));
    log_in(&login).await;
}
