//! OAuth 2.0: the token endpoint from an issuer's metadata, and which endpoints are not used.

use std::{
    collections::VecDeque,
    error::Error as _,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{AUTHORIZATION, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};
use tower::{BoxError, util::BoxCloneSyncService};
use tower_bearer::{
    CachePolicy, CachedProvider, Credential, HttpLogin, Login, LoginBody, LoginError, LoginRequest,
    OAuth2Grant, OAuth2Issuer, Recovery, Session,
};

const ISSUER: &str = "https://login.example.com";
const METADATA: &str = "GET https://login.example.com/.well-known/openid-configuration";
const TOKEN: &str = "POST https://login.example.com/token";

const LOGIN: &str = "grant_type=client_credentials";
const REFRESH: &str = "grant_type=refresh_token&refresh_token=r1";

#[derive(Debug)]
struct Received {
    /// Method and URL.
    line: String,
    headers: HeaderMap,
    body: String,
}

type Answer = Response<Full<Bytes>>;

type Answers = Arc<Mutex<VecDeque<Option<Answer>>>>;

/// A server in memory, which records its requests.
#[derive(Clone, Default)]
struct Server {
    received: Arc<Mutex<Vec<Received>>>,
    metadata: Answers,
    tokens: Answers,
}

type Client = BoxCloneSyncService<Request<Full<Bytes>>, Answer, BoxError>;

fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = status.try_into().unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn json(status: u16, body: impl ToString) -> Answer {
    answer(
        status,
        &[("content-type", "application/json")],
        body.to_string(),
    )
}

/// Metadata with these values.
fn naming(issuer: impl Into<Value>, token_endpoint: impl Into<Value>) -> Answer {
    let (issuer, endpoint): (Value, Value) = (issuer.into(), token_endpoint.into());
    json(200, json!({"issuer": issuer, "token_endpoint": endpoint}))
}

impl Server {
    /// A server with these metadata. After them, it names `/token` of [`ISSUER`].
    fn with<const N: usize>(metadata: [Answer; N]) -> Self {
        let server = Self::default();
        let metadata = metadata.map(Some);
        server.metadata.lock().unwrap().extend(metadata);
        server
    }

    /// A server that never answers the first request for metadata.
    fn hanging() -> Self {
        let server = Self::default();
        server.metadata.lock().unwrap().push_back(None);
        server
    }

    /// The answers of the token endpoint. After them, each answer has a token and nothing else.
    fn with_tokens<const N: usize>(self, tokens: [Answer; N]) -> Self {
        self.tokens.lock().unwrap().extend(tokens.map(Some));
        self
    }

    fn client(&self) -> Client {
        let server = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                server.received.lock().unwrap().push(Received {
                    line: format!("{} {}", parts.method, parts.uri),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                });
                let is_metadata = parts.uri.path().contains("/.well-known/");
                let (answers, default) = match is_metadata {
                    true => (
                        &server.metadata,
                        naming(ISSUER, format!("{ISSUER}/token").as_str()),
                    ),
                    false => (&server.tokens, json(200, r#"{"access_token":"a"}"#)),
                };
                let next = answers.lock().unwrap().pop_front();
                match next.unwrap_or(Some(default)) {
                    Some(answer) => Ok(answer),
                    None => pending().await,
                }
            }
        }))
    }

    fn login(&self) -> HttpLogin {
        self.login_at(openid(), OAuth2Grant::client_credentials())
    }

    fn login_at(&self, issuer: OAuth2Issuer, body: impl Into<LoginBody>) -> HttpLogin {
        HttpLogin::discover(self.client(), issuer, body)
    }

    /// The requests since the last call.
    fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    /// Their methods and URLs.
    fn lines(&self) -> Vec<String> {
        self.take().into_iter().map(|it| it.line).collect()
    }

    /// Their bodies, and for each one the last part of its URL.
    fn bodies(&self) -> Vec<(String, String)> {
        let last = |line: &str| line.rsplit('/').next().unwrap().to_owned();
        let received = self.take().into_iter();
        received.map(|it| (last(&it.line), it.body)).collect()
    }
}

fn openid() -> OAuth2Issuer {
    OAuth2Issuer::openid(ISSUER).unwrap()
}

async fn log_in(login: &HttpLogin) -> Result<Credential, LoginError> {
    let outcome = login.login(LoginRequest::default()).await;
    outcome.map_err(|error| *error.downcast().unwrap())
}

/// The error of a login that ends after its request for metadata.
#[track_caller]
fn refused(server: &Server, login: HttpLogin) -> tower_bearer::Error {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let error = runtime
        .block_on(CachedProvider::new(login).acquire())
        .unwrap_err();
    let lines = server.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("GET "), "{lines:?}");
    error
}

const LATER: &str = "; next attempt in 30 s";

// OpenID Connect Discovery, section 4.1, and RFC 8414, section 3.1.
#[tokio::test]
async fn metadata_is_fetched_where_its_specification_has_it() {
    let openid: fn(&str) -> _ = OAuth2Issuer::openid;
    let rfc8414: fn(&str) -> _ = OAuth2Issuer::rfc8414;
    for (issuer, new, url) in [
        (
            "https://example.com",
            openid,
            "https://example.com/.well-known/openid-configuration",
        ),
        (
            "https://example.com/",
            openid,
            "https://example.com/.well-known/openid-configuration",
        ),
        (
            "https://example.com/issuer1",
            openid,
            "https://example.com/issuer1/.well-known/openid-configuration",
        ),
        (
            "https://example.com/a/b/",
            openid,
            "https://example.com/a/b/.well-known/openid-configuration",
        ),
        (
            "http://127.0.0.1:8080/a",
            openid,
            "http://127.0.0.1:8080/a/.well-known/openid-configuration",
        ),
        (
            "https://example.com",
            rfc8414,
            "https://example.com/.well-known/oauth-authorization-server",
        ),
        (
            "https://example.com/",
            rfc8414,
            "https://example.com/.well-known/oauth-authorization-server",
        ),
        (
            "https://example.com/issuer1",
            rfc8414,
            "https://example.com/.well-known/oauth-authorization-server/issuer1",
        ),
        (
            "https://[2001:db8::1]:8443/a/b/",
            rfc8414,
            "https://[2001:db8::1]:8443/.well-known/oauth-authorization-server/a/b",
        ),
    ] {
        let endpoint = format!("{}/token", url.split("/.well-known").next().unwrap());
        let server = Server::with([naming(issuer, endpoint.as_str())]);
        let login = server.login_at(new(issuer).unwrap(), OAuth2Grant::client_credentials());
        log_in(&login).await.unwrap();
        let expected = [format!("GET {url}"), format!("POST {endpoint}")];
        assert_eq!(server.lines(), expected);
    }
}

#[tokio::test]
async fn the_request_for_metadata_has_no_secret() {
    let server = Server::default();
    let key = HeaderName::from_static("x-api-key");
    let grant = OAuth2Grant::client_credentials()
        .client_secret_basic("me", "secret")
        .unwrap();
    let login = server
        .login_at(openid(), grant)
        .header(key.clone(), HeaderValue::from_static("canary"))
        .header(USER_AGENT, HeaderValue::from_static("canary"))
        .basic_auth("you", "secret")
        .unwrap();
    log_in(&login).await.unwrap();
    let [metadata, token] = server.take().try_into().unwrap();
    assert_eq!(
        (metadata.line.as_str(), token.line.as_str()),
        (METADATA, TOKEN)
    );

    let headers = metadata.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    assert_eq!(
        headers,
        ["accept-encoding: identity", "accept: application/json"]
    );
    assert_eq!(metadata.body, "");

    assert_eq!(token.headers[AUTHORIZATION], "Basic bWU6c2VjcmV0");
    assert_eq!(token.headers[key], "canary");
    assert_eq!(token.body, LOGIN);
}

#[tokio::test]
async fn each_login_and_each_refresh_fetches_the_metadata_once() {
    let moved = "https://login.example.com/v2/token?tenant=a";
    let server = Server::with([
        naming(ISSUER, "https://login.example.com/token"),
        naming(ISSUER, moved),
    ])
    .with_tokens([
        json(200, r#"{"access_token":"a1","refresh_token":"r1"}"#),
        json(200, r#"{"access_token":"a2","refresh_token":"r2"}"#),
        json(400, r#"{"error":"invalid_grant"}"#),
    ]);
    let login = server.login();
    assert_eq!(login.session(), Session::Concurrent, "that of the grant");
    let provider = CachedProvider::new(login);
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a1");
    assert_eq!(server.lines(), [METADATA, TOKEN]);
    // A refresh, at the endpoint that is new.
    provider.reset();
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a2");
    let moved = format!("POST {moved}");
    assert_eq!(server.lines(), [METADATA, &moved]);
    // A refresh that is refused, and the full login after it.
    provider.reset();
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a");
    assert_eq!(server.lines(), [METADATA, TOKEN, TOKEN]);
}

#[tokio::test]
async fn a_refresh_by_another_url_goes_there() {
    let server = Server::default();
    let refresh = "https://refresh.example.com/refresh";
    let login = server
        .login()
        .refresh_by(refresh, |token| token.expose().to_owned())
        .unwrap();
    let request = LoginRequest::with_refresh_token("r1");
    login.login(request).await.unwrap();
    assert_eq!(server.lines(), [METADATA, &format!("POST {refresh}")]);
}

// RFC 8414, section 3.3.
#[test]
fn metadata_of_another_issuer_is_not_used() {
    for other in [
        "https://login.example.com/",
        "https://login.example.com:443",
        "https://LOGIN.example.com",
        "https://login.example.com/other",
        "https://login.example.com.evil.net",
        "http://login.example.com",
    ] {
        let server = Server::with([naming(other, "https://login.example.com/token")]);
        let error = refused(&server, server.login());
        let text = format!(
            "the answer to the discovery at GET login.example.com/.well-known/openid-configuration \
             is of the issuer {other}, not of {ISSUER}: 200 OK (application/json, "
        );
        assert!(error.to_string().starts_with(&text), "{error}");
        let hint = ": write the issuer as its metadata has it, if that is the one you mean";
        assert!(
            error.to_string().ends_with(&format!("{hint}{LATER}")),
            "{error}"
        );
        assert_eq!(error.recovery(), Recovery::FixProgram);
    }

    // The `/` at the end counts on the other side too.
    let slash = || OAuth2Issuer::openid("https://login.example.com/").unwrap();
    let server = Server::default();
    let error = refused(&server, server.login_at(slash(), "{}"));
    let text = format!("is of the issuer {ISSUER}, not of {ISSUER}/: ");
    assert!(error.to_string().contains(&text), "{error}");
}

#[test]
fn metadata_without_an_issuer_or_an_endpoint_is_not_used() {
    let here = "https://login.example.com/token";
    for (body, fault) in [
        (json!({"token_endpoint": here}), "has no issuer"),
        (
            json!({"issuer": [ISSUER], "token_endpoint": here}),
            "has no issuer",
        ),
        (json!([ISSUER]), "has no issuer"),
        (json!({"issuer": ISSUER}), "has no token endpoint"),
        (
            json!({"issuer": ISSUER, "token_endpoint": null}),
            "has no token endpoint",
        ),
        (
            json!({"issuer": ISSUER, "token_endpoint": [here]}),
            "has no token endpoint",
        ),
    ] {
        let server = Server::with([json(200, body)]);
        let error = refused(&server, server.login());
        let text = format!(
            "the answer to the discovery at GET login.example.com/.well-known/openid-configuration \
             {fault}: 200 OK (application/json, "
        );
        assert!(error.to_string().starts_with(&text), "{error}");
        let hint = ": pass the URL of the token endpoint to `HttpLogin::new`";
        assert!(
            error.to_string().ends_with(&format!("{hint}{LATER}")),
            "{error}"
        );
        assert_eq!(error.recovery(), Recovery::FixProgram);
    }
}

#[test]
fn an_endpoint_that_is_no_good_url_is_not_used() {
    for (endpoint, reason) in [
        ("", "not a URL"),
        ("/token", "scheme or host is missing"),
        ("token", "scheme or host is missing"),
        ("//login.example.com/token", "scheme or host is missing"),
        ("http://login.example.com/token", "plain http would send"),
        ("ftp://login.example.com/token", "the scheme is neither"),
        ("https://login.example.com/token#a", "no fragment"),
        (
            "https://me:canary@login.example.com/token",
            "user information",
        ),
        (
            "https://login.example.com@evil.net/token",
            "user information",
        ),
        ("https://login.example.com:a/token", "the port is not"),
    ] {
        let server = Server::with([naming(ISSUER, endpoint)]);
        let error = refused(&server, server.login());
        let fault = "has an unusable token endpoint: 200 OK";
        assert!(error.to_string().contains(fault), "{endpoint}: {error}");
        assert!(error.to_string().ends_with(LATER), "{error}");
        assert_eq!(error.recovery(), Recovery::FixProgram);
        let source = error.source().unwrap().to_string();
        assert!(source.contains(reason), "{endpoint}: {source}");
        assert!(!source.contains("dangerously"), "{source}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[test]
fn an_endpoint_of_a_foreign_origin_is_not_used() {
    let issuer = || {
        openid()
            .token_origin("https://oauth2.example.com:8443")
            .unwrap()
    };
    for (issuer, allowed) in [
        (openid(), ISSUER.to_owned()),
        (
            issuer(),
            format!("{ISSUER} or https://oauth2.example.com:8443"),
        ),
    ] {
        for foreign in [
            "https://evil.net",
            "https://login.example.com.evil.net",
            "https://sub.login.example.com",
            "https://example.com",
            "https://login.example.com:8443",
            "https://oauth2.example.com",
            "http://127.0.0.1:8080",
        ] {
            let endpoint = format!("{foreign}/secret/token?canary");
            let server = Server::with([naming(ISSUER, endpoint)]);
            let grant = OAuth2Grant::client_credentials();
            let error = refused(&server, server.login_at(issuer.clone(), grant));
            let text = format!(
                "the answer to the discovery at GET login.example.com/.well-known/openid-configuration \
                 has a token endpoint at {foreign}, not at {allowed}: 200 OK (application/json, "
            );
            assert!(error.to_string().starts_with(&text), "{error}");
            let hint = ": allow that origin by `token_origin`, if you trust it";
            assert!(
                error.to_string().ends_with(&format!("{hint}{LATER}")),
                "{error}"
            );
            assert_eq!(error.recovery(), Recovery::FixProgram);
        }
    }
}

#[tokio::test]
async fn an_endpoint_of_a_listed_origin_is_used() {
    for endpoint in [
        "https://login.example.com/any/path?a=b",
        "https://login.example.com:443/token",
        "https://LOGIN.example.com/token",
        "https://oauth2.example.com/token",
        "https://eu.example.com:8443/token",
        "http://127.0.0.1:8080/token",
    ] {
        let server = Server::with([naming(ISSUER, endpoint)]);
        let issuer = openid()
            .token_origin("https://oauth2.example.com")
            .and_then(|it| it.token_origin("https://eu.example.com:8443"))
            .and_then(|it| it.token_origin("http://127.0.0.1:8080"))
            .unwrap();
        let login = server.login_at(issuer, OAuth2Grant::client_credentials());
        log_in(&login).await.unwrap();
        let lines = server.lines();
        assert_eq!(lines[0], METADATA);
        let posted = lines[1].to_lowercase();
        assert_eq!(posted, format!("post {}", endpoint.to_lowercase()));
    }
}

/// The pause and the recovery after the login's only answer.
async fn outcome(login: HttpLogin) -> (Duration, Recovery, bool, Option<u16>) {
    let provider = CachedProvider::builder(login).random(|| 1.0).build();
    let error = provider.acquire().await.unwrap_err();
    let pause = error.next_attempt().unwrap() - error.failing_since().unwrap();
    let login = error.login_error().unwrap();
    let status = login.status().map(|status| status.as_u16());
    (pause, error.recovery(), login.is_permanent(), status)
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_for_metadata_counts_as_the_same_failure_of_a_login() {
    let json = ("content-type", "application/json");
    let gzip = ("content-encoding", "gzip");
    let later = ("retry-after", "20");
    for (status, headers, body) in [
        (200, &[json][..], "<html>"),
        (200, &[json, gzip], "\u{1f}"),
        (200, &[json], r#"{"error":"temporarily_unavailable"}"#),
        (200, &[json], r#"{"error":"invalid_request"}"#),
        (301, &[("location", "https://evil.net/")], ""),
        (400, &[json], "{}"),
        (400, &[json, later], "{}"),
        (403, &[], "<html>"),
        (404, &[], "<html>"),
        (404, &[json], "{}"),
        (405, &[], ""),
        (418, &[], ""),
        (429, &[], ""),
        (429, &[later], ""),
        (500, &[], ""),
        (503, &[later], ""),
    ] {
        let server = Server::with([answer(status, headers, body)]);
        let discovered = outcome(server.login()).await;
        assert_eq!(server.lines(), [METADATA], "no redirect, no login");

        let server = Server::default().with_tokens([answer(status, headers, body)]);
        let url = "https://login.example.com/token";
        let known = HttpLogin::new(server.client(), url, OAuth2Grant::client_credentials());
        assert_eq!(discovered, outcome(known.unwrap()).await, "{status} {body}");
    }

    // Here the pauses are the same, but no password and no client was refused.
    for (status, body) in [
        (401, "{}"),
        (403, "{}"),
        (400, r#"{"error":"invalid_client"}"#),
        (423, ""),
    ] {
        let server = Server::with([answer(status, &[], body)]);
        let (pause, recovery, is_permanent, _) = outcome(server.login()).await;
        assert_eq!(pause, Duration::from_secs(15 * 60), "{status}");
        assert_eq!(recovery, Recovery::FixProgram);
        assert!(is_permanent);
    }
}

#[test]
fn a_failed_request_for_metadata_says_what_to_do() {
    let place = "GET login.example.com/.well-known/openid-configuration";
    let check = "check the issuer's URL, and try the other of `openid` and `rfc8414`";
    for (given, text) in [
        (
            answer(404, &[], ""),
            format!("there is no discovery at {place}: 404 Not Found (0 bytes): {check}"),
        ),
        (
            json(400, r#"{"error":"invalid_request"}"#),
            format!("the discovery at {place} was refused: 400 invalid_request: {check}"),
        ),
        (
            answer(403, &[], ""),
            format!(
                "the discovery at {place} was refused without JSON: 403 Forbidden (0 bytes): \
                 check the issuer's URL, and whether a firewall or a proxy answers"
            ),
        ),
        (
            answer(423, &[], ""),
            format!(
                "the account of the discovery at {place} is locked: 423 Locked (0 bytes): {check}"
            ),
        ),
        (
            answer(302, &[("location", "https://a.example.com/b?canary")], ""),
            format!(
                "the discovery at {place} was redirected to https://a.example.com/b: \
                 302 Found (0 bytes): redirects are not followed, so check the issuer's URL"
            ),
        ),
        (
            answer(200, &[("content-encoding", "gzip")], "\u{1f}"),
            format!(
                "the answer to the discovery at {place} is compressed with gzip: 200 OK (1 bytes): \
                 give the login a client that decompresses"
            ),
        ),
        (
            answer(200, &[], "<html>"),
            format!("the answer to the discovery at {place} is not JSON: 200 OK (6 bytes)"),
        ),
        (
            answer(200, &[], vec![b' '; 64 * 1024 + 1]),
            format!("the answer to the discovery at {place} is longer than 64 KiB: 200 OK"),
        ),
        (
            answer(500, &[], ""),
            format!(
                "the server of the discovery at {place} failed: 500 Internal Server Error (0 bytes)"
            ),
        ),
    ] {
        let server = Server::with([given]);
        let error = refused(&server, server.login());
        let (text_of_login, _) = error
            .to_string()
            .split_once("; next attempt in ")
            .map_or_else(
                || panic!("{error}"),
                |(text, pause)| (text.to_owned(), pause.to_owned()),
            );
        assert_eq!(text_of_login, text);
    }
}

#[tokio::test]
async fn a_failed_request_for_metadata_spends_nothing() {
    for bad in [
        answer(503, &[], ""),
        answer(404, &[], ""),
        naming(
            "https://other.example.com",
            "https://login.example.com/token",
        ),
        naming(ISSUER, "https://evil.net/token"),
    ] {
        let server = Server::with([bad]);
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let grant = OAuth2Grant::jwt_bearer(move |_| {
            count.fetch_add(1, SeqCst);
            async { Ok("jwt") }
        });
        let journal = Arc::new(Mutex::new(Vec::new()));
        let (ahead, unspent) = (Arc::clone(&journal), Arc::clone(&journal));
        let refreshes = Arc::new(AtomicUsize::new(0));
        let failed = Arc::clone(&refreshes);
        let provider = CachedProvider::builder(server.login_at(openid(), grant))
            .starting_with_refresh_token("r1")
            .before_refresh(move |token| {
                let line = format!("may be spent: {}", token.expose());
                ahead.lock().unwrap().push(line);
                async { Ok(()) }
            })
            .on_unspent(move |token| {
                let line = format!("unspent: {}", token.expose());
                unspent.lock().unwrap().push(line);
            })
            .on_event(move |event| {
                let is_failure =
                    matches!(event, tower_bearer::CredentialEvent::RefreshFailed { .. });
                failed.fetch_add(usize::from(is_failure), SeqCst);
            })
            .build();
        provider.acquire().await.unwrap_err();
        assert_eq!(server.lines(), [METADATA], "no full login follows");
        assert_eq!(made.load(SeqCst), 0, "no assertion was made");
        let expected = ["may be spent: r1", "unspent: r1"];
        assert_eq!(*journal.lock().unwrap(), expected);
        assert_eq!(refreshes.load(SeqCst), 0);

        provider.reset();
        provider.acquire().await.unwrap();
        let expected = [
            ("openid-configuration".to_owned(), String::new()),
            ("token".to_owned(), REFRESH.to_owned()),
        ];
        assert_eq!(server.bodies(), expected);
    }
}

// A refresh that fails so often is followed by a full login.
#[tokio::test(start_paused = true)]
async fn a_refresh_token_outlives_a_long_outage_of_the_metadata() {
    let outage = || answer(503, &[], "");
    let server = Server::with([(); 7].map(|()| outage()));
    let login = server.login_at(openid(), OAuth2Grant::refresh_token());
    let provider = CachedProvider::builder(login)
        .starting_with_refresh_token("r1")
        .build();
    for _ in 0..7 {
        let error = provider.acquire().await.unwrap_err();
        let text = "the server of the discovery at GET login.example.com/.well-known/";
        assert!(error.to_string().starts_with(text), "{error}");
        advance(Duration::from_secs(60)).await;
    }
    provider.acquire().await.unwrap();
    let bodies: Vec<_> = server.take().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies.iter().filter(|body| body.is_empty()).count(), 8);
    assert_eq!(bodies[8], REFRESH);
    assert_eq!(bodies.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn metadata_may_take_a_quarter_of_the_timeout() {
    let policy = CachePolicy::default().login_timeout(Duration::from_secs(40));
    let server = Server::hanging();
    let provider = CachedProvider::builder(server.login())
        .policy(policy)
        .starting_with_refresh_token("r1")
        .build();
    let start = Instant::now();
    let error = provider.acquire().await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 10);
    let text = "the discovery at GET login.example.com/.well-known/openid-configuration \
                got no answer; next attempt in ";
    assert!(error.to_string().starts_with(text), "{error}");
    provider.reset();
    provider.acquire().await.unwrap();
    assert_eq!(server.take().pop().unwrap().body, REFRESH);

    // The login itself has the rest.
    let server = Server::default();
    server.tokens.lock().unwrap().push_back(None);
    let provider = CachedProvider::builder(server.login())
        .policy(policy)
        .build();
    let error = provider.acquire().await.unwrap_err();
    let text = "the login at login.example.com did not end within 40 s";
    assert!(error.to_string().starts_with(text), "{error}");
}

#[tokio::test]
async fn a_function_may_make_the_body_of_a_discovered_login() {
    let server = Server::default();
    let body = LoginBody::from_fn(async |_| {
        let grant = OAuth2Grant::client_credentials();
        Ok(grant.parameter("client_assertion", "jwt")?)
    });
    log_in(&server.login_at(openid(), body)).await.unwrap();
    let body = server.take().pop().unwrap().body;
    assert_eq!(body, format!("{LOGIN}&client_assertion=jwt"));
}

#[test]
fn an_issuer_is_a_url_of_https() {
    let new: [fn(&str) -> _; 2] = [OAuth2Issuer::openid, OAuth2Issuer::rfc8414];
    for new in new {
        for (issuer, reason) in [
            ("http://login.example.com", "plain http would send"),
            ("https://login.example.com/?a=b", "an issuer has no query"),
            ("https://login.example.com/?", "an issuer has no query"),
            ("https://login.example.com/#a", "no fragment"),
            ("https://me:canary@login.example.com", "user information"),
            ("login.example.com", "scheme or host is missing"),
            ("https://*.example.com", "wildcard"),
            ("ftp://login.example.com", "neither https nor http"),
            ("", "not a URL"),
        ] {
            let error = new(issuer).unwrap_err().to_string();
            assert!(error.contains(reason), "{issuer}: {error}");
            assert!(!error.contains("dangerously"), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
        for loopback in [
            "http://127.0.0.1",
            "http://localhost:80/a",
            "http://[::1]:8080",
        ] {
            assert!(new(loopback).is_ok(), "{loopback}");
        }
    }
    for (origin, reason) in [
        ("http://oauth2.example.com", "plain http would send"),
        (
            "https://oauth2.example.com/token",
            "an origin is scheme, host and port",
        ),
        ("https://me@oauth2.example.com", "user information"),
        ("oauth2.example.com", "scheme or host is missing"),
    ] {
        let error = openid().token_origin(origin).unwrap_err().to_string();
        assert!(error.contains(reason), "{origin}: {error}");
        assert!(!error.contains("dangerously"), "{error}");
    }
}

// A URL's path may have any UTF-8: bytes that a terminal obeys, marks that turn the text around, and a
// character across the place where a long path is cut.
#[test]
fn metadata_cannot_write_more_than_a_line_of_ascii_into_an_error() {
    let long = "é".repeat(20_000);
    let paths = [
        "a\u{9b}31m",
        "a\u{202e}b",
        "a\u{85}b",
        &long,
        &format!("a{long}"),
    ];
    for path in paths {
        let url = format!("{ISSUER}/{path}");
        let server = Server::with([naming(url.as_str(), "")]);
        let found = refused(&server, server.login()).to_string();
        let server = Server::with([naming(ISSUER, url)]).with_tokens([answer(404, &[], "")]);
        let posted = tokio_test::block_on(log_in(&server.login())).unwrap_err();
        assert!(
            found.contains(&format!("is of the issuer {ISSUER}/")),
            "{found:?}"
        );
        for text in [found, posted.to_string()] {
            assert!(text.len() < 400, "{} bytes", text.len());
            assert!(
                text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
                "{text:?}"
            );
        }
    }
}

#[test]
fn no_error_has_a_part_of_a_url_that_may_be_secret() {
    for bad in [
        naming("https://me:canary@login.example.com", ""),
        naming("https://login.example.com?canary", ""),
        naming("https://login.example.com/#canary", ""),
        naming("https://login.example.com/;canary", ""),
        naming("canary", ""),
        naming(ISSUER, "https://evil.net/canary?canary"),
        naming(
            ISSUER,
            "https://canary:canary@login.example.com/canary?canary",
        ),
        answer(302, &[("location", "https://a.example.com/b?canary")], ""),
    ] {
        let server = Server::with([bad]);
        let error = refused(&server, server.login());
        let text = format!("{error} {error:?} {:?}", error.login_error());
        assert!(!text.contains("canary"), "{text}");
    }

    // The path too, if it is to be hidden.
    let metadata = || naming("https://login.example.com/canary/", "");
    let location = &[("location", "https://a.example.com/canary")];
    for bad in [metadata(), answer(302, location, ""), answer(404, &[], "")] {
        let issuer = OAuth2Issuer::openid("https://login.example.com/canary").unwrap();
        assert!(!format!("{issuer:?}").contains("canary"));
        let server = Server::with([bad]);
        let login = server.login_at(issuer, OAuth2Grant::client_credentials());
        let login = login.hide_path();
        assert_eq!(login.endpoint().unwrap(), "login.example.com");
        let error = refused(&server, login);
        let text = format!("{error} {error:?}");
        assert!(!text.contains("canary"), "{text}");
        let place = "discovery at GET login.example.com";
        let has_path = text.contains(&format!("{place}/"));
        assert!(text.contains(place) && !has_path, "{text}");
    }

    // A query in the endpoint is used, and not printed.
    let endpoint = "https://login.example.com/token?canary";
    let server = Server::with([naming(ISSUER, endpoint)]).with_tokens([answer(404, &[], "")]);
    let error = tokio_test::block_on(log_in(&server.login())).unwrap_err();
    assert_eq!(server.lines(), [METADATA, &format!("POST {endpoint}")]);
    let text = "there is no login at POST login.example.com/token: 404";
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}
