//! OAuth 2.0: what each grant sends, and what its answers lead to.

mod support;

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Form, Router, http::HeaderMap, response::IntoResponse, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use support::{HandClock, by_hand, http_client};
use tokio::{net::TcpListener, time::advance};
use tower::util::BoxCloneSyncService;
use tower_bearer::{
    CachedProvider, Credential, HttpLogin, Login, LoginBody, LoginRequest, OAuth2Grant, Recovery,
    Session,
};
use url::form_urlencoded;

/// What a refresh sends (RFC 6749, section 6).
const REFRESH: &str = "grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA";

const URL: &str = "https://login.example.com/token";

/// A request: its `authorization`, if any, and its body.
type Received = (Option<String>, String);

/// A server in memory, which records its requests.
#[derive(Clone, Debug, Default)]
struct Server {
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

impl Server {
    /// A server with these answers. After them, each answer has a token and nothing else.
    fn answering<const N: usize>(answers: [(u16, &str); N]) -> Self {
        let server = Self::default();
        let answers = answers.map(|(status, body)| (status, body.to_owned()));
        server.answers.lock().unwrap().extend(answers);
        server
    }

    fn client(&self) -> Client {
        let server = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                assert_eq!(
                    (parts.method.as_str(), parts.uri.to_string()),
                    ("POST", URL.into())
                );
                let form = "application/x-www-form-urlencoded";
                assert_eq!(parts.headers[CONTENT_TYPE], form);
                let authorization = parts.headers.get("authorization");
                let authorization = authorization.map(|it| it.to_str().unwrap().to_owned());
                let body = body.collect().await?.to_bytes();
                let body = String::from_utf8(body.to_vec()).unwrap();
                server.received.lock().unwrap().push((authorization, body));
                let next = server.answers.lock().unwrap().pop_front();
                let (status, body) = next.unwrap_or((200, r#"{"access_token":"a"}"#.into()));
                let response = Response::builder().status(status);
                Ok(response.body(Full::from(body)).unwrap())
            }
        }))
    }

    fn login(&self, body: impl Into<LoginBody>) -> HttpLogin {
        HttpLogin::new(self.client(), URL, body).unwrap()
    }

    /// The requests since the last call.
    fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    /// Their bodies.
    fn bodies(&self) -> Vec<String> {
        self.take().into_iter().map(|(_, body)| body).collect()
    }
}

async fn log_in(login: &HttpLogin) -> Credential {
    login.login(LoginRequest::default()).await.unwrap()
}

async fn refresh(login: &HttpLogin) -> Credential {
    let request = LoginRequest::with_refresh_token("tGzv3JOkF0XG5Qx2TlKWIA");
    login.login(request).await.unwrap()
}

/// What the login and a refresh with this grant send.
async fn sent(grant: OAuth2Grant) -> [Received; 2] {
    let server = Server::default();
    let login = server.login(grant);
    log_in(&login).await;
    refresh(&login).await;
    server.take().try_into().unwrap()
}

fn pairs(form: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    pairs.sort();
    pairs
}

const ASSERTION: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJpc3Mi.J9l-ZhwP";

fn jwt_bearer() -> OAuth2Grant {
    OAuth2Grant::jwt_bearer(async |_| Ok(ASSERTION))
}

fn token_exchange() -> OAuth2Grant {
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let subject = "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC";
    OAuth2Grant::token_exchange(kind, move |_| async move { Ok(subject) })
}

#[tokio::test]
async fn each_grant_sends_the_example_of_its_rfc() {
    for (grant, expected) in [
        // RFC 6749, sections 4.4.2 and 4.3.2.
        (
            OAuth2Grant::client_credentials(),
            "grant_type=client_credentials".to_owned(),
        ),
        (
            OAuth2Grant::password("johndoe", "A3ddj3w"),
            "grant_type=password&username=johndoe&password=A3ddj3w".to_owned(),
        ),
        // RFC 7523, section 2.1.
        (
            jwt_bearer(),
            format!(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={ASSERTION}"
            ),
        ),
        (OAuth2Grant::extension("a:b"), "grant_type=a%3Ab".to_owned()),
    ] {
        let name = format!("{grant:?}");
        let basic = grant
            .client_secret_basic("s6BhdRkqt3", "gX1fBat3bV")
            .unwrap();
        let authorization = Some("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW".to_owned());
        let [login, refreshed] = sent(basic).await;
        assert_eq!(login, (authorization.clone(), expected), "{name}");
        assert_eq!(refreshed, (authorization, REFRESH.to_owned()), "{name}");
    }

    // RFC 8693, section 2.3, where the order is another one.
    let grant = token_exchange().resource("https://backend.example.com/api");
    let [(_, login), _] = sent(grant).await;
    let example = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
        &resource=https%3A%2F%2Fbackend.example.com%2Fapi\
        &subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC\
        &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
    assert_eq!(pairs(&login), pairs(example));
    assert_eq!(login.len(), example.len());
}

#[tokio::test]
async fn the_client_authenticates_login_and_refresh_in_one_way() {
    let none = OAuth2Grant::client_credentials;
    let basic = || none().client_secret_basic("a:b", "7F+fp").unwrap();
    let in_base64 = format!("Basic {}", BASE64_STANDARD.encode("a%3Ab:7F%2Bfp"));
    let (id, post) = ("&client_id=a%3Ab", "&client_id=a%3Ab&client_secret=7F%2Bfp");
    for (grant, authorization, suffix) in [
        (none(), None, ""),
        (basic(), Some(&in_base64), ""),
        (none().client_secret_post("a:b", "7F+fp"), None, post),
        (none().client_id("a:b"), None, id),
        // The last one counts.
        (basic().client_id("a:b"), None, id),
        (basic().client_secret_post("a:b", "7F+fp"), None, post),
        (
            none()
                .client_id("c")
                .client_secret_basic("a:b", "7F+fp")
                .unwrap(),
            Some(&in_base64),
            "",
        ),
    ] {
        let [login, refreshed] = sent(grant).await;
        let expected = |form: &str| (authorization.cloned(), format!("{form}{suffix}"));
        assert_eq!(login, expected("grant_type=client_credentials"));
        assert_eq!(refreshed, expected(REFRESH));
    }
    let error = none().client_secret_basic("me", "7F\n").unwrap_err();
    assert!(error.to_string().contains("line break"));

    // The methods of the login do it for both too.
    let server = Server::default();
    let login = server
        .login(none())
        .client_secret_basic("a:b", "7F+fp")
        .unwrap();
    log_in(&login).await;
    refresh(&login).await;
    for (authorization, _) in server.take() {
        assert_eq!(authorization.as_ref(), Some(&in_base64));
    }
}

#[tokio::test]
async fn scope_resource_audience_and_parameters_are_sent() {
    let grant = || {
        OAuth2Grant::client_credentials()
            .parameter("tenant", "a&b")
            .unwrap()
            .scope("old")
            .resource("https://cal.example.com/")
            .audience("one")
            .audience("two")
            .scope("read write")
            .client_id("me")
    };
    let parameters = "&tenant=a%26b&resource=https%3A%2F%2Fcal.example.com%2F\
        &audience=one&audience=two&client_id=me";
    let [(_, login), (_, refreshed)] = sent(grant()).await;
    let expected = format!("grant_type=client_credentials&scope=read+write{parameters}");
    assert_eq!(login, expected);
    // The scope of a refresh is that of the first login.
    assert_eq!(refreshed, format!("{REFRESH}{parameters}"));
    let [(_, login), _] = sent(grant().scope("")).await;
    assert_eq!(login, format!("grant_type=client_credentials{parameters}"));

    // It is that of the grant if there is no other login. RFC 8707, section 2.2.
    let server = Server::default();
    let only = OAuth2Grant::refresh_token().resource("https://cal.example.com/");
    refresh(&server.login(only)).await;
    refresh(&server.login(OAuth2Grant::refresh_token().scope("read"))).await;
    assert_eq!(
        server.bodies(),
        [
            format!("{REFRESH}&resource=https%3A%2F%2Fcal.example.com%2F"),
            format!("{REFRESH}&scope=read"),
        ]
    );
}

#[test]
fn a_parameter_replaces_nothing_that_the_grant_sends() {
    let check = |reserved: &[&str], grant: &dyn Fn() -> OAuth2Grant| {
        for name in reserved {
            let error = grant().parameter(*name, "canary").unwrap_err().to_string();
            let expected = format!("the grant sends `{name}` itself: ");
            assert!(error.starts_with(&expected), "{error}");
            assert!(!error.contains("canary"));
        }
        for name in ["tenant", "Scope", "resource", "actor_token"] {
            assert!(grant().parameter(name, "a").is_ok(), "{name}");
        }
    };
    let always = [
        "client_id",
        "client_secret",
        "grant_type",
        "refresh_token",
        "scope",
    ];
    let password = || OAuth2Grant::password("me", "secret");
    check(&always, &OAuth2Grant::client_credentials);
    check(
        &[&always[..], &["username", "password"]].concat(),
        &password,
    );
    check(&[&always[..], &["assertion"]].concat(), &jwt_bearer);
    let own = ["subject_token", "subject_token_type"];
    check(&[&always[..], &own].concat(), &token_exchange);
    // Other grants have those names free.
    let saml = OAuth2Grant::extension("urn:ietf:params:oauth:grant-type:saml2-bearer");
    assert!(saml.parameter("assertion", "PHNhbWxw").is_ok());
}

#[test]
fn each_grant_has_the_session_of_its_docs() {
    let server = Server::default();
    for (grant, session) in [
        (OAuth2Grant::client_credentials(), Session::Concurrent),
        (jwt_bearer(), Session::Concurrent),
        (token_exchange(), Session::Concurrent),
        (OAuth2Grant::refresh_token(), Session::Exclusive),
        (OAuth2Grant::password("me", "secret"), Session::Exclusive),
        (OAuth2Grant::extension("other"), Session::Exclusive),
    ] {
        let name = format!("{grant:?}");
        let login = server.login(grant);
        assert_eq!(login.session(), session, "{name}");
        let login = login.with_session(Session::Exclusive);
        assert_eq!(login.session(), Session::Exclusive, "{name}");
    }
}

// There is no full login.
#[tokio::test]
async fn a_grant_by_refresh_token_refreshes_though_no_token_was_accepted() {
    let server = Server::default();
    let clock = HandClock::new();
    let provider = CachedProvider::builder(server.login(OAuth2Grant::refresh_token()))
        .starting_with_refresh_token("tGzv3JOkF0XG5Qx2TlKWIA")
        .clock(clock.clone())
        .build();
    for _ in 0..3 {
        let generation = provider.acquire().await.unwrap().generation();
        clock.advance(Duration::from_secs(301));
        assert!(provider.reject(&by_hand(generation)).is_log_in());
    }
    assert_eq!(server.bodies(), [REFRESH; 3]);
}

#[tokio::test]
async fn a_refresh_token_rotates_and_is_kept_if_the_answer_brings_none() {
    let server = Server::answering([
        (200, r#"{"access_token":"a1","refresh_token":"r1"}"#),
        (200, r#"{"access_token":"a2","refresh_token":"r2"}"#),
        (200, r#"{"access_token":"a3"}"#),
        (200, r#"{"access_token":"a4"}"#),
    ]);
    let grant = OAuth2Grant::password("me", "secret").client_id("cli");
    let provider = CachedProvider::new(server.login(grant));
    for number in 1..=4 {
        let authorization = provider.acquire().await.unwrap();
        assert_eq!(authorization.value(), format!("Bearer a{number}").as_str());
        provider.reset();
    }
    assert_eq!(
        server.bodies(),
        [
            "grant_type=password&username=me&password=secret&client_id=cli",
            "grant_type=refresh_token&refresh_token=r1&client_id=cli",
            "grant_type=refresh_token&refresh_token=r2&client_id=cli",
            "grant_type=refresh_token&refresh_token=r2&client_id=cli",
        ]
    );
}

#[tokio::test]
async fn a_refused_refresh_token_is_followed_by_a_full_login() {
    let server = Server::answering([(400, r#"{"error":"invalid_grant"}"#)]);
    let login = server.login(OAuth2Grant::client_credentials());
    let credential = refresh(&login).await;
    assert_eq!(credential.token().expose(), "a");
    assert!(credential.refresh_token().is_none());
    assert_eq!(server.bodies(), [REFRESH, "grant_type=client_credentials",]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_client_secret_is_permanent() {
    for status in [400, 401] {
        let server = Server::answering([(status, r#"{"error":"invalid_client"}"#)]);
        let login = server.login(OAuth2Grant::client_credentials().client_id("me"));
        let error = CachedProvider::new(login).acquire().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the login at POST login.example.com/token was refused: {status} invalid_client: \
                 check the client's id and secret, then `reset()`; next attempt in 15 min"
            )
        );
        assert_eq!(error.recovery(), Recovery::ChangeCredentials);
    }
}

const SIGN_IN_AGAIN: &str =
    "there is no refresh token: sign in again, and pass the new credential to `set_credential`";

fn source(error: &tower_bearer::Error) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_login_by_refresh_token_alone_asks_for_a_sign_in_when_it_has_none() {
    let server = Server::answering([
        (200, r#"{"access_token":"a1","refresh_token":"r2"}"#),
        (400, r#"{"error":"invalid_grant"}"#),
        (200, r#"{"access_token":"a3"}"#),
    ]);
    let login = || server.login(OAuth2Grant::refresh_token().client_id("cli"));
    let error = CachedProvider::new(login()).acquire().await.unwrap_err();
    assert_eq!(source(&error), SIGN_IN_AGAIN);
    assert_eq!(error.recovery(), Recovery::ChangeCredentials);
    assert!(server.take().is_empty(), "nothing was sent");

    let builder = CachedProvider::builder(login()).starting_with_refresh_token("r1");
    let provider = builder.build();
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a1");
    provider.reset();
    let error = provider.acquire().await.unwrap_err();
    assert_eq!(source(&error), SIGN_IN_AGAIN);
    assert_eq!(error.recovery(), Recovery::ChangeCredentials);
    assert!(
        error.to_string().ends_with("; next attempt in 15 min"),
        "{error}"
    );

    // The user has signed in again.
    let signed_in = Credential::new("a2").unwrap().with_refresh_token("r3");
    provider.set_credential(signed_in);
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a2");
    provider.reset();
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a3");
    let bodies = server.bodies();
    let tokens = bodies
        .iter()
        .map(|body| body.split(['=', '&']).nth(3).unwrap());
    assert_eq!(tokens.collect::<Vec<_>>(), ["r1", "r2", "r3"]);
}

// A login that can do more tries a full login from the fifth failure on.
#[tokio::test(start_paused = true)]
async fn a_login_by_refresh_token_alone_outlives_an_outage() {
    let server = Server::answering([(503, ""); 7]);
    let login = server.login(OAuth2Grant::refresh_token());
    let builder = CachedProvider::builder(login).starting_with_refresh_token("r1");
    let provider = builder.build();
    for _ in 0..7 {
        let error = provider.acquire().await.unwrap_err();
        let text = "the server of the refresh at POST login.example.com/token failed: 503";
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(matches!(error.recovery(), Recovery::TryAgain { .. }));
        advance(Duration::from_secs(60)).await;
    }
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a");
    assert_eq!(
        server.bodies(),
        ["grant_type=refresh_token&refresh_token=r1"; 8]
    );
}

#[tokio::test(start_paused = true)]
async fn a_rotated_refresh_token_beside_an_unusable_token_is_used_next() {
    let server = Server::answering([(200, r#"{"token":"elsewhere","refresh_token":"r2"}"#)]);
    let login = server.login(OAuth2Grant::refresh_token());
    let builder = CachedProvider::builder(login).starting_with_refresh_token("r1");
    let provider = builder.build();
    let error = provider.acquire().await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::FixProgram);
    advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a");
    let expected = ["r1", "r2"].map(|it| format!("grant_type=refresh_token&refresh_token={it}"));
    assert_eq!(server.bodies(), expected);
}

#[tokio::test]
async fn an_odd_or_missing_lifetime_fails_no_login() {
    for (field, seconds) in [
        (r#","expires_in":3600"#, Some(3600.0)),
        (r#","expires_in":"3600""#, Some(3600.0)),
        (r#","expires_in":1.5"#, Some(1.5)),
        (r#","expires_in":0"#, Some(0.0)),
        (r#","expires_in":-1"#, Some(0.0)),
        (r#","expires_in":null"#, None),
        (r#","expires_in":"soon""#, None),
        (r#","expires_in":{}"#, None),
        ("", None),
    ] {
        let answer = format!(r#"{{"access_token":"a"{field}}}"#);
        let server = Server::answering([(200, &answer)]);
        let credential = log_in(&server.login(OAuth2Grant::client_credentials())).await;
        let lifetime = credential.lifetime().map(|it| it.as_secs_f64());
        assert_eq!(lifetime, seconds, "{field}");
    }
}

// RFC 6749, section 7.1.
#[tokio::test]
async fn a_token_of_an_unknown_type_is_not_used() {
    for (kind, is_usable) in [
        ("Bearer", true),
        ("bearer", true),
        ("mac", false),
        ("DPoP", false),
        ("N_A", false),
    ] {
        let answer = format!(r#"{{"access_token":"a","token_type":"{kind}"}}"#);
        let server = Server::answering([(200, &answer)]);
        let login = server.login(OAuth2Grant::client_credentials());
        let outcome = login.login(LoginRequest::default()).await;
        assert_eq!(outcome.is_ok(), is_usable, "{kind}");
        if let Err(error) = outcome {
            let text = "has a token of another type than bearer";
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}

#[tokio::test]
async fn an_assertion_is_made_for_each_login_and_its_failure_sends_nothing() {
    let server = Server::default();
    let count = Arc::new(Mutex::new(0));
    let grant = OAuth2Grant::jwt_bearer(move |request| {
        assert!(request.timeout().is_none());
        let count = Arc::clone(&count);
        async move {
            tokio::task::yield_now().await;
            let mut count = count.lock().unwrap();
            *count += 1;
            match *count {
                2 => Err(io::Error::other("the key is locked"))?,
                number => Ok(format!("jwt-{number}")),
            }
        }
    });
    let login = server.login(grant);
    log_in(&login).await;
    let error = login.login(LoginRequest::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "the key is locked");
    refresh(&login).await; // without an assertion
    log_in(&login).await;
    let ends = ["jwt-1", "tGzv3JOkF0XG5Qx2TlKWIA", "jwt-3"];
    let bodies = server.bodies();
    let is_end = |(body, end): (&String, &str)| body.ends_with(&format!("={end}"));
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().zip(ends).all(is_end), "{bodies:?}");
}

/// A secret that rotates: the function makes the whole grant for each login.
#[tokio::test]
async fn a_function_may_return_a_grant() {
    let server = Server::answering([(200, r#"{"access_token":"a","refresh_token":"r"}"#)]);
    let body = LoginBody::from_fn(async |_| {
        Ok(OAuth2Grant::client_credentials().client_secret_post("me", "today's"))
    });
    let login = server.login(body);
    let credential = log_in(&login).await;
    assert!(
        credential.refresh_token().is_none(),
        "only the login is described"
    );
    assert_eq!(login.session(), Session::Exclusive);
    let expected = "grant_type=client_credentials&client_id=me&client_secret=today%27s";
    assert_eq!(server.bodies(), [expected]);
}

#[test]
fn plain_http_takes_the_dangerous_constructor() {
    let server = Server::default();
    let url = "http://identity.internal/token";
    let grant = OAuth2Grant::client_credentials;
    assert!(HttpLogin::new(server.client(), url, grant()).is_err());
    assert!(HttpLogin::dangerously_in_the_clear(server.client(), url, grant()).is_ok());
}

/// A server on loopback that decodes by itself what it gets.
async fn token_endpoint() -> String {
    async fn token(
        headers: HeaderMap,
        Form(form): Form<Vec<(String, String)>>,
    ) -> impl IntoResponse {
        let field = |name: &str| {
            let mut values = form.iter().filter(|(it, _)| it == name);
            let value = values.next().map(|(_, value)| value.clone());
            assert!(values.next().is_none(), "{name} is sent twice");
            value
        };
        let client = match headers.get("authorization") {
            Some(value) => {
                let value = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
                let pair = String::from_utf8(BASE64_STANDARD.decode(value).unwrap()).unwrap();
                let (id, secret) = pair.split_once(':').unwrap();
                let decoded = |text: &str| pairs(&format!("a={text}")).remove(0).1;
                (decoded(id), decoded(secret))
            }
            None => (field("client_id").unwrap(), field("client_secret").unwrap()),
        };
        assert_eq!(client, ("me: 1".to_owned(), "a+b&c=%ü".to_owned()));
        let grant_type = field("grant_type").unwrap();
        match grant_type.as_str() {
            "client_credentials" => assert_eq!(field("scope").unwrap(), "read write"),
            _ => assert_eq!(field("refresh_token").unwrap(), "r/1+"),
        }
        let token = json!({
            "access_token": grant_type,
            "token_type": "Bearer",
            "expires_in": 60,
            "refresh_token": "r/1+",
        });
        axum::Json(token)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let app = Router::new().route("/token", post(token));
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_server_on_a_socket_understands_login_and_refresh() {
    let url = token_endpoint().await;
    let grant = || OAuth2Grant::client_credentials().scope("read write");
    let (id, secret) = ("me: 1", "a+b&c=%ü");
    let basic = grant().client_secret_basic(id, secret).unwrap();
    for grant in [basic, grant().client_secret_post(id, secret)] {
        let login = HttpLogin::new(http_client(), &url, grant).unwrap();
        let provider = support::patient(login).build();
        let authorization = provider.acquire().await.unwrap();
        assert_eq!(authorization.value(), "Bearer client_credentials");
        provider.reset();
        let authorization = provider.acquire().await.unwrap();
        assert_eq!(authorization.value(), "Bearer refresh_token");
    }
}
