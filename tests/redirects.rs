//! Where the token is sent if a server redirects the client (FAILURES.md, section 2).
//!
//! Two loopback servers record raw bytes: A is in the origins, B is not. Each case follows
//! redirects outside of the layer and inside of it.

mod support;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use support::{Issuer, RawServer, http_client, patient};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_bearer::{
    Authorization, BearerAuthLayer, Credential, Error, Origins, Scheme, StaticProvider, Token,
    login_fn,
};
use tower_http::follow_redirect::FollowRedirectLayer;

const CANARY: &str = "canary-9f3b71d2c4";

type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<()>, BoxError>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Redirects {
    /// `FollowRedirect(BearerAuth(client))`: the layer sees each hop as a request.
    Outside,
    /// `BearerAuth(FollowRedirect(client))`: the layer sees one request and one response.
    Inside,
}

/// The passed cases of a test. Prints their number when the test ends.
struct Cases {
    rows: &'static str,
    passed: usize,
}

impl Cases {
    fn of(rows: &'static str) -> Self {
        Self { rows, passed: 0 }
    }

    /// Asserts the result of one case.
    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(
        &mut self,
        shown: T,
        expected: T,
        case: impl std::fmt::Debug,
    ) {
        assert_eq!(shown, expected, "{}: {case:?}", self.rows);
        self.passed += 1;
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            println!("figure: {} passed={}", self.rows, self.passed);
        }
    }
}

const BOTH: [Redirects; 2] = [Redirects::Outside, Redirects::Inside];

fn layer(origins: Origins) -> BearerAuthLayer<StaticProvider> {
    BearerAuthLayer::new(StaticProvider::new(CANARY).unwrap(), origins)
}

fn stack(redirects: Redirects, layer: BearerAuthLayer<StaticProvider>) -> Stack {
    let client = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(drop))
        .service(http_client());
    match redirects {
        Redirects::Outside => BoxCloneSyncService::new(
            ServiceBuilder::new()
                .layer(FollowRedirectLayer::new())
                .layer(layer)
                .service(client),
        ),
        Redirects::Inside => BoxCloneSyncService::new(
            ServiceBuilder::new()
                .layer(layer)
                .layer(FollowRedirectLayer::new())
                .service(client),
        ),
    }
}

async fn get(stack: &Stack, url: &str) -> StatusCode {
    let request = Request::get(url).body(Full::default()).unwrap();
    stack.clone().oneshot(request).await.unwrap().status()
}

struct Servers {
    a: RawServer,
    b: RawServer,
}

impl Servers {
    async fn start() -> Self {
        Self {
            a: RawServer::start().await,
            b: RawServer::start().await,
        }
    }

    fn origins(&self) -> Origins {
        Origins::new([self.a.origin()]).unwrap()
    }

    /// The requests of each server, and those that carried the token.
    fn seen(&self) -> [(usize, usize); 2] {
        [&self.a, &self.b].map(|server| server.requests_and_leaks(CANARY))
    }
}

// R1, R2, R5, R8, R19: another port is another origin, for every status.
#[tokio::test]
async fn no_redirect_takes_the_token_to_another_origin() {
    let mut cases = Cases::of("R1 R2 R5 R8 R19 S9 trap22");
    for redirects in BOTH {
        for status in [300, 301, 302, 303, 304, 305, 306, 307, 308] {
            let servers = Servers::start().await;
            servers.a.redirect("/", status, &servers.b.url("/"));
            let stack = stack(redirects, layer(servers.origins()));
            let answered = get(&stack, &servers.a.url("/")).await;
            let is_followed = matches!(status, 301 | 302 | 303 | 307 | 308);
            let expected = if is_followed { 200 } else { status };
            assert_eq!(answered.as_u16(), expected, "{redirects:?} {status}");
            let at_b = usize::from(is_followed);
            cases.check(servers.seen(), [(1, 1), (at_b, 0)], (redirects, status));
        }
    }
}

// R8: a POST with a body.
#[tokio::test]
async fn a_redirected_post_takes_no_token_to_another_origin() {
    let mut cases = Cases::of("R8-with_a_body");
    for redirects in BOTH {
        for status in [301, 302, 303, 307, 308] {
            let servers = Servers::start().await;
            servers.a.redirect("/", status, &servers.b.url("/"));
            let stack = stack(redirects, layer(servers.origins()));
            let request = Request::post(servers.a.url("/"))
                .body(Full::from("body"))
                .unwrap();
            stack.oneshot(request).await.unwrap();
            assert_eq!(
                servers.a.requests_and_leaks(CANARY),
                (1, 1),
                "{redirects:?} {status}"
            );
            cases.check(
                servers.b.requests_and_leaks(CANARY).1,
                0,
                (redirects, status),
            );
        }
    }
}

// R6
#[tokio::test]
async fn a_chain_never_restores_the_token_at_a_foreign_origin() {
    let mut cases = Cases::of("R6-away");
    for redirects in BOTH {
        let servers = Servers::start().await;
        servers.a.redirect("/", 302, &servers.b.url("/1"));
        servers.b.redirect("/1", 302, &servers.b.url("/2"));
        servers.b.redirect("/2", 302, "/3");
        let stack = stack(redirects, layer(servers.origins()));
        assert_eq!(get(&stack, &servers.a.url("/")).await, 200);
        cases.check(servers.seen(), [(1, 1), (3, 0)], redirects);
    }
}

// R6: each hop is judged separately, also back at an allowed origin. A header that was stripped
// once stays away.
#[tokio::test]
async fn a_redirect_back_has_the_token_if_the_layer_sees_each_hop() {
    let mut cases = Cases::of("R6-back");
    for (redirects, at_home) in [(Redirects::Outside, 2), (Redirects::Inside, 1)] {
        let servers = Servers::start().await;
        servers.a.redirect("/", 302, &servers.b.url("/"));
        servers.b.redirect("/", 302, &servers.a.url("/end"));
        let stack = stack(redirects, layer(servers.origins()));
        assert_eq!(get(&stack, &servers.a.url("/")).await, 200);
        cases.check(servers.seen(), [(2, at_home), (1, 0)], redirects);
    }
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_the_token() {
    let mut cases = Cases::of("R1-stays");
    for redirects in BOTH {
        let servers = Servers::start().await;
        servers.a.redirect("/", 307, "/next");
        let stack = stack(redirects, layer(servers.origins()));
        assert_eq!(get(&stack, &servers.a.url("/")).await, 200);
        cases.check(servers.seen(), [(2, 2), (0, 0)], redirects);
    }
}

// R3, in memory: there is no TLS on loopback.
#[tokio::test]
async fn a_redirect_from_https_to_http_loses_the_token() {
    let mut cases = Cases::of("R3");
    for redirects in BOTH {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let client = {
            let seen = Arc::clone(&seen);
            tower::service_fn(move |request: Request<Full<Bytes>>| {
                let is_first = request.uri().scheme_str() == Some("https");
                let has_token = request.headers().contains_key(AUTHORIZATION);
                seen.lock()
                    .unwrap()
                    .push((request.uri().to_string(), has_token));
                let mut response = Response::new(());
                if is_first {
                    *response.status_mut() = StatusCode::FOUND;
                    let location = "http://api.example.com/".parse().unwrap();
                    response.headers_mut().insert("location", location);
                }
                async { Ok::<_, Infallible>(response) }
            })
        };
        let layer = layer(support::origins());
        let request = Request::get("https://api.example.com/")
            .body(Full::default())
            .unwrap();
        let follow = FollowRedirectLayer::new();
        match redirects {
            Redirects::Outside => {
                let stack = ServiceBuilder::new().layer(follow).layer(layer);
                stack.service(client).oneshot(request).await.unwrap();
            }
            Redirects::Inside => {
                let stack = ServiceBuilder::new().layer(layer).layer(follow);
                stack.service(client).oneshot(request).await.unwrap();
            }
        }
        let expected = [
            ("https://api.example.com/".to_owned(), true),
            ("http://api.example.com/".to_owned(), false),
        ];
        cases.check(seen.lock().unwrap().as_slice(), &expected[..], redirects);
    }
}

// R9, R13
#[tokio::test]
async fn an_absolute_uri_to_a_foreign_host_is_sent_bare_and_counted() {
    let mut cases = Cases::of("R9-bare R13-bare");
    let servers = Servers::start().await;
    let layer = layer(servers.origins());
    let stack = stack(Redirects::Outside, layer.clone());
    assert_eq!(get(&stack, &servers.b.url("/")).await, 200);
    assert_eq!(layer.foreign_requests(), 1);
    servers.a.redirect("/", 302, &servers.b.url("/"));
    assert_eq!(get(&stack, &servers.a.url("/")).await, 200);
    assert_eq!(layer.foreign_requests(), 2);
    cases.check(servers.seen(), [(1, 1), (2, 0)], "bare");
}

#[tokio::test]
async fn strict_origins_turn_a_foreign_request_into_an_error_that_names_it() {
    let mut cases = Cases::of("R9-strict R13-strict");
    let servers = Servers::start().await;
    servers.a.redirect("/", 302, &servers.b.url("/"));
    let layer = layer(servers.origins().strict());
    let service = layer.layer(http_client());
    let url = format!(
        "http://user:password@{}",
        &servers.b.url("/")["http://".len()..]
    );
    let request = Request::get(url).body(Full::default()).unwrap();
    let error = service.clone().oneshot(request).await.unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(error.is_foreign_origin());
    let message = format!(
        "a request to {} is not allowed: the origins are {}",
        servers.b.origin(),
        servers.a.origin()
    );
    assert_eq!(error.to_string(), message);
    assert!(!format!("{error:?}").contains("password"));

    let following = stack(Redirects::Outside, layer.clone());
    let request = Request::get(servers.a.url("/"))
        .body(Full::default())
        .unwrap();
    assert!(following.oneshot(request).await.unwrap_err().is::<Error>());
    cases.check(servers.seen(), [(1, 1), (0, 0)], "strict");
    assert_eq!(layer.foreign_requests(), 2);

    // A request with its own authorization may go anywhere.
    let request = Request::get(servers.b.url("/"))
        .header(AUTHORIZATION, "Basic mine")
        .body(Full::default())
        .unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}

// The host in the header may come from an attacker, so the error does not repeat it.
#[tokio::test]
async fn strict_origins_use_the_host_header_where_it_decides() {
    let layer = layer(support::origins().strict());
    let service = layer.layer(tower::service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(()))
    }));
    let to = |host| Request::get("/").header("host", host).body(()).unwrap();
    assert!(service.clone().oneshot(to("api.example.com")).await.is_ok());
    let error = service.oneshot(to("x@other.example.com")).await;
    let error = error.unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(error.is_foreign_origin(), "{error}");
    assert_eq!(
        error.to_string(),
        "a request to the host that its header names is not allowed: the origins are https://api.example.com"
    );
    assert_eq!(layer.foreign_requests(), 1);
}

// R11: clients protect only `authorization` here. The docs of `with_header_name` say so.
#[tokio::test]
async fn a_custom_header_leaks_where_redirects_are_followed_inside_the_layer() {
    let mut cases = Cases::of("R11");
    for (redirects, leaks) in [(Redirects::Outside, 0), (Redirects::Inside, 1)] {
        let servers = Servers::start().await;
        servers.a.redirect("/", 302, &servers.b.url("/"));
        let authorization = Authorization::new(Scheme::BEARER, &Token::new(CANARY).unwrap());
        let layer = BearerAuthLayer::new(StaticProvider::from(authorization), servers.origins())
            .with_header_name(HeaderName::from_static("x-api-token"));
        let stack = stack(redirects, layer);
        assert_eq!(get(&stack, &servers.a.url("/")).await, 200);
        cases.check(servers.seen(), [(1, 1), (1, leaks)], redirects);
    }
}

// R12, R18
#[tokio::test]
async fn no_other_header_and_no_uri_ever_holds_the_token() {
    let mut cases = Cases::of("R12 R18");
    for redirects in BOTH {
        let servers = Servers::start().await;
        servers.a.redirect("/", 302, "/next");
        let stack = stack(redirects, layer(servers.origins()));
        assert_eq!(get(&stack, &servers.a.url("/")).await, 200);
        for request in servers.a.received() {
            let lines: Vec<_> = request
                .lines()
                .filter(|line| line.contains(CANARY))
                .collect();
            let expected = format!("authorization: bearer {CANARY}");
            cases.check(lines.as_slice(), &[expected.as_str()], redirects);
            for header in ["referer", "cookie", "proxy-authorization"] {
                assert!(!request.contains(header), "{request}");
            }
        }
    }
}

// R15: a challenge never says where to log in.
#[tokio::test]
async fn a_challenge_causes_no_request_to_another_host() {
    let mut cases = Cases::of("R15");
    let servers = Servers::start().await;
    let b = servers.b.origin();
    servers.a.answer(
        "/",
        &format!(
            "401 Unauthorized\r\nwww-authenticate: Bearer realm=\"{b}/token\", authorization_uri=\"{b}/authorize\"\r\nlink: <{b}>; rel=\"authorization\"\r\nlocation: {b}"
        ),
    );
    let logins = Issuer::new();
    let provider = patient(logins.clone()).build();
    let service = BearerAuthLayer::new(provider, servers.origins()).layer(http_client());
    for _ in 0..2 {
        let request = Request::get(servers.a.url("/"))
            .body(Full::default())
            .unwrap();
        let answer = service.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 401);
    }
    assert_eq!(logins.logins(), 2);
    cases.check(servers.b.received().len(), 0, "challenge");
}

// R16: two accounts over one pooled client are never mixed up.
#[tokio::test]
async fn two_accounts_over_one_client_are_never_mixed_up() {
    const REQUESTS: usize = 10_000;
    const WORKERS: usize = 20;
    let app = axum::Router::new().route(
        "/",
        axum::routing::get(|headers: http::HeaderMap| async move {
            headers[AUTHORIZATION].to_str().unwrap().to_owned()
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });

    let (http, origins) = (http_client(), Origins::new([&url]).unwrap());
    let account = |name: &'static str| {
        let login = login_fn(move |_| async move { Ok(Credential::new(name)?) });
        let provider = patient(login).build();
        (
            BearerAuthLayer::new(provider, origins.clone()).layer(http.clone()),
            name,
        )
    };
    let accounts = [account("account-1"), account("account-2")];
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let (accounts, url) = (accounts.clone(), url.clone());
        workers.spawn(async move {
            let mut mix_ups = 0;
            for number in 0..REQUESTS / WORKERS {
                let (service, name) = &accounts[(worker + number) % 2];
                let request = Request::get(&url).body(Full::default()).unwrap();
                let response = service.clone().oneshot(request).await.unwrap();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                mix_ups += usize::from(body != format!("Bearer {name}"));
            }
            mix_ups
        });
    }
    let mix_ups: usize = workers.join_all().await.iter().sum();
    println!("figure: R16 requests={REQUESTS} mix_ups={mix_ups}");
    assert_eq!(mix_ups, 0);
}

// Each origin works as if it were the only one.
#[tokio::test]
async fn a_relative_uri_is_allowed_at_each_of_several_origins() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&seen);
    let client = tower::service_fn(move |request: Request<()>| {
        let is_authorized = request.headers().contains_key(AUTHORIZATION);
        recorded.lock().unwrap().push(is_authorized);
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let origins = Origins::new(["https://api.example.com", "https://www.example.com"]).unwrap();
    let service = layer(origins).layer(client);
    for host in ["api.example.com", "www.example.com", "other.example.com"] {
        let request = Request::get("/").header("host", host).body(()).unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [true, true, false]);
}

// For a URI without an authority, the `Host` header decides, if there is one.
#[tokio::test]
async fn a_relative_uri_is_judged_by_its_host_header() {
    let mut cases = Cases::of("R13-by_host_header");
    let seen = Arc::new(Mutex::new(None));
    let client = {
        let seen = Arc::clone(&seen);
        tower::service_fn(move |request: Request<()>| {
            *seen.lock().unwrap() = Some(request.headers().contains_key(AUTHORIZATION));
            async { Ok::<_, Infallible>(Response::new(())) }
        })
    };
    let is_authorized = async |uri: &str, hosts: &[&str]| {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let service = layer(support::origins()).layer(client.clone());
        service.oneshot(request.body(()).unwrap()).await.unwrap();
        seen.lock().unwrap().take().unwrap()
    };
    cases.check(is_authorized("/", &[]).await, true, line!());
    cases.check(
        is_authorized("/", &["api.example.com"]).await,
        true,
        line!(),
    );
    cases.check(
        is_authorized("/", &["API.example.com:443"]).await,
        true,
        line!(),
    );
    cases.check(
        is_authorized("/", &["other.example.com"]).await,
        false,
        line!(),
    );
    cases.check(
        is_authorized("/", &["api.example.com:8443"]).await,
        false,
        line!(),
    );
    cases.check(
        is_authorized("/", &["api.example.com", "other.example.com"]).await,
        false,
        line!(),
    );
    cases.check(
        is_authorized("/", &["x@api.example.com"]).await,
        false,
        line!(),
    );
    cases.check(is_authorized("/", &["not a host"]).await, false, line!());
    cases.check(is_authorized("/", &[""]).await, false, line!());
    // `any_https` allows any host, and no user information.
    let any = async |host: &str| {
        let request = Request::get("/").header("host", host).body(()).unwrap();
        let service = layer(Origins::any_https()).layer(client.clone());
        service.oneshot(request).await.unwrap();
        seen.lock().unwrap().take().unwrap()
    };
    cases.check(any("other.example.com").await, true, line!());
    cases.check(any("x@other.example.com").await, false, line!());
    // The authority of an absolute URI decides, and nothing else.
    cases.check(
        is_authorized("https://api.example.com/", &["other.example.com"]).await,
        true,
        line!(),
    );
    cases.check(
        is_authorized("https://other.example.com/", &["api.example.com"]).await,
        false,
        line!(),
    );
}
