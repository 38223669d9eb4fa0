//! The layer as a middleware of reqwest-middleware 0.5, over real sockets.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, extract::Request as Incoming, http::StatusCode as Status};
use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::AUTHORIZATION,
};
use http_body_util::{BodyExt, Full};
use reqwest::{Body, Client, Request, Response, redirect};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use support::{Issuer, RawServer, patient};
use tokio::{net::TcpListener, task::JoinSet};
use tower_bearer::{
    BearerAuthLayer, Credential, Error, KeyedProvider, NotReplayed, Origins, PerRequest,
    RejectionReport, Replay, RequestHead, StaticProvider, login_fn,
};

/// What a server received: the authorization, or `-`, and the method, the path and the body.
type Received = Arc<Mutex<Vec<(String, String)>>>;

/// An API whose valid token is the last one of the issuer, unless it is revoked.
#[derive(Clone)]
struct Api {
    issuer: Issuer,
    received: Received,
    revoked: Arc<Mutex<usize>>,
    origin: String,
}

impl Api {
    async fn start(issuer: &Issuer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Self {
            issuer: issuer.clone(),
            received: Received::default(),
            revoked: Arc::default(),
            origin: format!("http://{}", listener.local_addr().unwrap()),
        };
        let answering = api.clone();
        let router = Router::new().fallback(async move |request| answering.answer(request).await);
        tokio::spawn(axum::serve(listener, router).into_future());
        api
    }

    async fn answer(&self, request: Incoming) -> Status {
        let (head, body) = request.into_parts();
        let authorization = head.headers.get(AUTHORIZATION);
        let authorization = authorization.map_or("-", |value| value.to_str().unwrap());
        let body = body.collect().await.unwrap().to_bytes();
        let body = std::str::from_utf8(&body).unwrap();
        let rest = format!("{} {} {body}", head.method, head.uri);
        let valid = format!("Bearer token-{}", self.issuer.finished());
        let is_valid =
            authorization == valid && *self.revoked.lock().unwrap() < self.issuer.finished();
        self.received
            .lock()
            .unwrap()
            .push((authorization.to_owned(), rest));
        match is_valid {
            true => Status::OK,
            false => Status::UNAUTHORIZED,
        }
    }

    /// Revokes the tokens of this login and of all before.
    fn revoke(&self, login: usize) {
        *self.revoked.lock().unwrap() = login;
    }

    fn received(&self) -> Vec<(String, String)> {
        self.received.lock().unwrap().clone()
    }

    fn authorizations(&self) -> Vec<String> {
        self.received()
            .into_iter()
            .map(|(value, _)| value)
            .collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn layer(&self) -> BearerAuthLayer {
        let origins = Origins::new(&self.origin).unwrap();
        BearerAuthLayer::new(patient(self.issuer.clone()).build(), origins)
    }
}

fn client(layer: impl Middleware) -> ClientWithMiddleware {
    ClientBuilder::new(Client::new()).with(layer).build()
}

fn report(response: &Response) -> NotReplayed {
    let report = response.extensions().get::<RejectionReport>();
    report.expect("a rejection has a report").not_replayed()
}

/// Our error in that of the client.
fn ours(error: &reqwest_middleware::Error) -> &Error {
    match error {
        reqwest_middleware::Error::Middleware(error) => error.downcast_ref().expect("it is ours"),
        reqwest_middleware::Error::Reqwest(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_hundred_requests_share_one_login() {
    let issuer = Issuer::gated();
    let api = Api::start(&issuer).await;
    let client = client(api.layer());
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        requests.spawn(client.get(api.url("/things")).send());
    }
    while issuer.started() == 0 {
        tokio::task::yield_now().await;
    }
    issuer.open();
    for response in requests.join_all().await {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    issuer.assert_logins(1);
    assert_eq!(api.authorizations(), vec!["Bearer token-1"; 100]);
}

#[tokio::test]
async fn the_token_goes_to_allowed_origins_only() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let foreign = RawServer::start().await;
    let layer = api.layer();
    let client = client(layer.clone());
    client.get(api.url("/")).send().await.unwrap();
    client.get(foreign.url("/")).send().await.unwrap();
    // The same server, under another name of its host.
    let by_name = api.url("/").replace("127.0.0.1", "localhost");
    let _ = client.get(by_name).send().await;
    assert_eq!(foreign.requests_and_leaks("token-"), (1, 0));
    assert_eq!(layer.foreign_requests(), 2);
    let bare = api.authorizations().split_off(1);
    assert!(bare.iter().all(|value| value == "-"), "{bare:?}");
}

#[tokio::test]
async fn strict_origins_make_a_foreign_request_an_error() {
    let origins = Origins::new("https://api.example.com").unwrap().strict();
    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins);
    let foreign = RawServer::start().await;
    let error = client(layer)
        .get(foreign.url("/"))
        .send()
        .await
        .unwrap_err();
    assert!(ours(&error).is_foreign_origin());
    assert_eq!(foreign.requests_and_leaks("abc"), (0, 0));
}

/// Follows a redirect from an allowed server to a foreign one. Returns the status that the caller gets,
/// and the requests and leaks of the foreign server.
async fn redirected(header: HeaderName, policy: redirect::Policy) -> (StatusCode, (usize, usize)) {
    let (allowed, foreign) = (RawServer::start().await, RawServer::start().await);
    allowed.redirect("/", 302, &foreign.url("/there"));
    foreign.answer("/there", "401 Unauthorized");
    let provider = StaticProvider::new("canary-5d1f").unwrap();
    let origins = Origins::new(allowed.origin()).unwrap();
    let layer = BearerAuthLayer::new(provider, origins).with_header_name(header);
    let client = Client::builder().redirect(policy).build().unwrap();
    let client = ClientBuilder::new(client).with(layer).build();
    let response = client.get(allowed.url("/")).send().await.unwrap();
    assert_eq!(allowed.requests_and_leaks("canary-5d1f"), (1, 1));
    // The layer cannot tell which server has rejected the request.
    let is_reported = response.extensions().get::<RejectionReport>().is_some();
    assert_eq!(is_reported, response.status() == StatusCode::UNAUTHORIZED);
    (response.status(), foreign.requests_and_leaks("canary-5d1f"))
}

#[tokio::test]
async fn reqwest_removes_the_header_from_a_redirect_to_another_host() {
    let followed = redirected(AUTHORIZATION, redirect::Policy::default()).await;
    assert_eq!(followed, (StatusCode::UNAUTHORIZED, (1, 0)));
}

#[tokio::test]
async fn reqwest_forwards_a_header_of_another_name_unless_it_follows_no_redirects() {
    let name = || HeaderName::from_static("x-auth-token");
    let followed = redirected(name(), redirect::Policy::default()).await;
    assert_eq!(followed.1, (1, 1), "the docs warn of it");
    let returned = redirected(name(), redirect::Policy::none()).await;
    assert_eq!(returned, (StatusCode::FOUND, (0, 0)));
}

/// Records the timeout of each attempt.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<Vec<Option<Duration>>>>);

#[async_trait::async_trait]
impl Middleware for Attempts {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        self.0.lock().unwrap().push(request.timeout().copied());
        extensions.insert(Attempt(self.0.lock().unwrap().len()));
        next.run(request, extensions).await
    }
}

/// An extension that the inner middleware sets: the number of the attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Attempt(usize);

#[tokio::test]
async fn a_rejected_request_is_replayed_once_with_its_bytes() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let layer = api.layer().replay_with(Request::try_clone);
    let attempts = Attempts::default();
    let client = ClientBuilder::new(Client::new())
        .with(layer.clone())
        .with(attempts.clone())
        .build();
    let post = || {
        let request = client.post(api.url("/things")).body("hello");
        request.timeout(Duration::from_secs(3600))
    };
    assert_eq!(post().send().await.unwrap().status(), StatusCode::OK);
    api.revoke(1);
    assert_eq!(post().send().await.unwrap().status(), StatusCode::OK);
    api.revoke(usize::MAX);
    let response = post().send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(report(&response), NotReplayed::AlreadyReplayed);
    let sent = [1, 1, 2, 2, 3].map(|login| {
        (
            format!("Bearer token-{login}"),
            "POST /things hello".to_owned(),
        )
    });
    assert_eq!(api.received(), sent);
    assert_eq!(layer.replays(), 2);
    let timeouts = attempts.0.lock().unwrap().clone();
    assert_eq!(timeouts, [Some(Duration::from_secs(3600)); 5]);
}

// T10
#[tokio::test]
async fn a_hundred_requests_survive_a_revocation() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let client = client(api.layer().replay_with(Request::try_clone));
    client.get(api.url("/")).send().await.unwrap();
    api.revoke(1);
    let mut requests = JoinSet::new();
    for number in 0..100 {
        let request = client.post(api.url("/")).body(number.to_string());
        requests.spawn(request.send());
    }
    let responses = requests.join_all().await;
    let is_failed = |response: &reqwest_middleware::Result<Response>| {
        response.as_ref().map(Response::status).ok() != Some(StatusCode::OK)
    };
    let failed = responses.iter().filter(|it| is_failed(it)).count();
    println!(
        "figure: T10 requests=100 failed={failed} logins={}",
        issuer.logins()
    );
    assert_eq!((failed, issuer.logins()), (0, 2));
}

#[tokio::test]
async fn without_a_policy_the_caller_gets_the_rejection_and_its_report() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let client = client(api.layer());
    api.revoke(1);
    let response = client.get(api.url("/")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(
        response.headers().contains_key("date"),
        "the headers are there"
    );
    assert_eq!(response.url().as_str(), api.url("/"));
    assert!(response.remote_addr().is_some(), "it is an extension");
    assert_eq!(report(&response), NotReplayed::NoPolicy);
    let response = client.get(api.url("/")).send().await.unwrap();
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "the next request has another token"
    );
}

#[tokio::test]
async fn a_streaming_body_is_sent_once_and_whole() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let client = client(api.layer().replay_with(Request::try_clone));
    let stream = || Body::wrap(Full::new(Bytes::from("streamed")));
    let post = || client.post(api.url("/")).body(stream());
    // Once after a wait for the login, and once with a revoked token.
    assert_eq!(post().send().await.unwrap().status(), StatusCode::OK);
    api.revoke(1);
    let response = post().send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(report(&response), NotReplayed::BodyNotKept);
    let sent = [1, 1].map(|login| {
        (
            format!("Bearer token-{login}"),
            "POST / streamed".to_owned(),
        )
    });
    assert_eq!(api.received(), sent);
}

#[tokio::test]
async fn a_header_that_the_caller_has_set_wins() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let layer = api.layer();
    let client = client(layer.clone());
    let response = client.get(api.url("/")).bearer_auth("mine").send().await;
    assert_eq!(report(&response.unwrap()), NotReplayed::CallersHeader);
    assert_eq!(api.authorizations(), ["Bearer mine"]);
    assert_eq!((layer.bare_requests(), issuer.started()), (1, 0));
    let client = self::client(layer.replacing_callers_header());
    let response = client.get(api.url("/")).bearer_auth("mine").send().await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(api.authorizations(), ["Bearer mine", "Bearer token-1"]);
}

// reqwest adds its default headers after the middleware, and only those that are missing.
#[tokio::test]
async fn a_default_header_of_reqwest_does_not_win() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, "Bearer default".parse().unwrap());
    let client = Client::builder().default_headers(headers).build().unwrap();
    let client = ClientBuilder::new(client).with(api.layer()).build();
    client.get(api.url("/")).send().await.unwrap();
    assert_eq!(api.authorizations(), ["Bearer token-1"]);
}

#[tokio::test]
async fn an_extension_of_the_request_says_what_to_do_with_it() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let client = client(api.layer());
    let usual = PerRequest::new();
    for per_request in [usual.clone(), PerRequest::bare(), PerRequest::fresh()] {
        let request = client.get(api.url("/")).with_extension(per_request);
        request.send().await.unwrap();
    }
    assert_eq!(
        api.authorizations(),
        ["Bearer token-1", "-", "Bearer token-2"]
    );
    assert!(usual.receipt().is_some());
}

#[tokio::test]
async fn an_extension_of_the_request_chooses_the_account() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Account(&'static str);
    let provider = KeyedProvider::new(|account: &Account| {
        let name = account.0;
        login_fn(move |_| async move { Ok(Credential::new(name)?) })
    });
    let server = RawServer::start().await;
    let layer = BearerAuthLayer::new(provider, Origins::new(server.origin()).unwrap());
    let client = client(layer);
    for account in ["anne", "bert"] {
        let request = client.get(server.url("/")).with_extension(Account(account));
        request.send().await.unwrap();
    }
    let received = server.received();
    assert!(received[0].contains("bearer anne") && received[1].contains("bearer bert"));
}

/// Tries once more after an error, with the same extensions.
struct Retry(Arc<AtomicBool>);

#[async_trait::async_trait]
impl Middleware for Retry {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let again = request.try_clone().unwrap();
        let first = next.clone().run(request, extensions).await;
        assert!(ours(&first.unwrap_err()).is_foreign_origin());
        self.0.store(extensions.get::<Attempt>().is_some(), SeqCst);
        let allowed = extensions.get::<Allowed>().unwrap().0.clone();
        let mut again = again;
        *again.url_mut() = allowed.parse().unwrap();
        let response = next.run(again, extensions).await;
        assert_eq!(
            extensions.get(),
            Some(&Attempt(1)),
            "set by the inner middleware"
        );
        response
    }
}

#[derive(Clone)]
struct Allowed(String);

#[tokio::test]
async fn the_extensions_survive_an_error_and_come_back_from_the_rest_of_the_client() {
    let api = Api::start(&Issuer::new()).await;
    let origins = Origins::new(&api.origin).unwrap().strict();
    let layer = BearerAuthLayer::new(patient(api.issuer.clone()).build(), origins);
    let was_set = Arc::new(AtomicBool::new(true));
    let client = ClientBuilder::new(Client::new())
        .with(Retry(Arc::clone(&was_set)))
        .with(layer)
        .with(Attempts::default())
        .build();
    let request = client.get("https://foreign.example.com/");
    let response = request.with_extension(Allowed(api.url("/"))).send().await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert!(!was_set.load(SeqCst), "the first attempt was not sent");
}

/// A caller who gets back the extensions that the request was sent with, and no other.
struct Caller;

#[async_trait::async_trait]
impl Middleware for Caller {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let before = extensions.len();
        let response = next.run(request, extensions).await;
        assert_eq!(
            extensions.len(),
            before,
            "it decides who replays another attempt"
        );
        response
    }
}

// An outer layer's replay of what an inner layer has replayed is marked. The mark does not come back.
#[tokio::test]
async fn the_mark_of_a_replay_does_not_reach_the_extensions_of_the_caller() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    api.revoke(2);
    let inner = api.layer().replay_with(Request::try_clone);
    let origins = Origins::new(&api.origin).unwrap();
    let outer = BearerAuthLayer::new(patient(Issuer::new()).build(), origins)
        .with_header_name(HeaderName::from_static("x-session"))
        .replay_with(Request::try_clone);
    let client = ClientBuilder::new(Client::new())
        .with(Caller)
        .with(outer.clone())
        .with(Caller)
        .with(inner.clone())
        .build();
    let response = client.get(api.url("/")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((outer.replays(), inner.replays()), (1, 1));
}

#[tokio::test]
async fn a_failed_login_is_the_error_of_a_middleware() {
    let issuer = Issuer::new();
    issuer.fail("wrong password");
    let api = Api::start(&issuer).await;
    let error = client(api.layer())
        .get(api.url("/"))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_middleware() && ours(&error).is_login_failed());
    assert!(
        error
            .to_string()
            .starts_with("the login failed; next attempt in "),
        "{error}"
    );
    let cause = std::error::Error::source(&error).expect("the login's error");
    assert_eq!(cause.to_string(), "wrong password");
    assert_eq!(api.received(), []);
}

#[tokio::test]
async fn an_error_of_reqwest_stays_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let provider = StaticProvider::new("abc").unwrap();
    let layer = BearerAuthLayer::new(provider, Origins::new(&origin).unwrap());
    let error = client(layer).get(&origin).send().await.unwrap_err();
    assert!(error.is_connect(), "{error}");
}

#[tokio::test]
async fn a_url_that_is_no_uri_is_left_to_reqwest() {
    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), Origins::any_https());
    let url = format!("https://api.example.com/{}", "a".repeat(70_000));
    let error = client(layer).get(url).send().await.unwrap_err();
    assert!(!error.is_middleware(), "{error}");
}

/// Sends the replay elsewhere, with another method and another token, or tries to.
struct Elsewhere(reqwest::Url);

impl Replay<Request> for Elsewhere {
    type Kept = Request;

    fn keep(&self, _head: RequestHead<'_>, request: Request) -> (Request, Option<Request>) {
        let mut kept = request.try_clone().unwrap();
        *kept.url_mut() = self.0.clone();
        *kept.method_mut() = Method::DELETE;
        let token = HeaderValue::from_static("Bearer foreign");
        kept.headers_mut().insert(AUTHORIZATION, token);
        (request, Some(kept))
    }

    fn again(&self, kept: Request) -> Option<Request> {
        Some(kept)
    }
}

#[tokio::test]
async fn a_replay_policy_cannot_send_the_token_elsewhere() {
    let issuer = Issuer::new();
    let api = Api::start(&issuer).await;
    let foreign = RawServer::start().await;
    let policy = Elsewhere(foreign.url("/").parse().unwrap());
    let client = client(api.layer().replay(policy));
    client.get(api.url("/")).send().await.unwrap();
    api.revoke(1);
    let response = client.get(api.url("/")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(foreign.requests_and_leaks("token-"), (0, 0));
    let sent = [1, 1, 2].map(|login| (format!("Bearer token-{login}"), "GET / ".to_owned()));
    assert_eq!(api.received(), sent);
}

/// Answers a gRPC call with the status 16, in this version of HTTP.
struct Unauthenticated(Version);

#[async_trait::async_trait]
impl Middleware for Unauthenticated {
    async fn handle(
        &self,
        _request: Request,
        _extensions: &mut Extensions,
        _next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let response = http::Response::builder()
            .version(self.0)
            .header("content-type", "application/grpc")
            .header("grpc-status", "16");
        Ok(Response::from(response.body("").unwrap()))
    }
}

#[tokio::test]
async fn a_grpc_status_is_a_rejection_if_request_or_response_say_that_they_are_http_2() {
    for (sent, received, is_rejection) in [
        (Version::HTTP_11, Version::HTTP_11, false),
        (Version::HTTP_2, Version::HTTP_11, true),
        (Version::HTTP_11, Version::HTTP_2, true),
    ] {
        let provider = StaticProvider::new("abc").unwrap();
        let layer = BearerAuthLayer::new(provider, Origins::any_https());
        let client = ClientBuilder::new(Client::new())
            .with(layer)
            .with(Unauthenticated(received))
            .build();
        let request = client.post("https://api.example.com/").version(sent);
        let response = request.send().await.unwrap();
        let report = response.extensions().get::<RejectionReport>();
        assert_eq!(report.is_some(), is_rejection, "{sent:?} {received:?}");
    }
}

/// Answers by itself, so that no socket is needed.
struct Answer;

#[async_trait::async_trait]
impl Middleware for Answer {
    async fn handle(
        &self,
        request: Request,
        _extensions: &mut Extensions,
        _next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer token-1");
        Ok(Response::from(http::Response::new("")))
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_reqwest_does_not_cover_the_login_and_one_around_does() {
    let issuer = Issuer::new().with_delay(Duration::from_secs(60));
    let provider = patient(issuer.clone()).build();
    let layer = BearerAuthLayer::new(provider, Origins::any_https());
    let client = ClientBuilder::new(Client::new())
        .with(layer)
        .with(Answer)
        .build();
    let get = || {
        let request = client.get("https://api.example.com/");
        request.timeout(Duration::from_secs(1))
    };
    let limit = Duration::from_secs(2);
    assert!(tokio::time::timeout(limit, get().send()).await.is_err());
    assert_eq!(get().send().await.unwrap().status(), StatusCode::OK);
    issuer.assert_logins(1); // the abandoned request did not end it
}
