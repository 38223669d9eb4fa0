//! What each client stack does over a socket, as the guide's pages wire it. `examples/stacks` tries the clients
//! of other crates with the same server and the same failures.

#[path = "recipes"]
mod recipes {
    pub(crate) mod axum;
    pub(crate) mod http1;
    pub(crate) mod http2;
    #[allow(unreachable_pub, reason = "`examples/stacks` uses it too")]
    #[path = "stacks/reqwest.rs"]
    pub(crate) mod reqwest;
    pub(crate) mod to_status;
}
#[path = "support/stack/mod.rs"]
mod stack;

use std::{fmt::Write as _, sync::Mutex, time::Duration};

use axum::routing::get;
use bytes::Bytes;
use http::{
    Method, Request, Response,
    header::{HOST, RETRY_AFTER},
};
use http_body_util::Full;
use hyper::client::conn;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use stack::{Api, Call, FAILURES, Failure, REQUESTS, call, in_chain, lines, send, tells};
use tokio::{net::TcpStream, time::timeout};
use tonic::{Code, Status, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, Service, ServiceExt, util::MapErr};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachePolicy, CachedProvider, Origins, ReplayReady, login_fn,
};

/// What differs between the stacks.
struct Stack {
    name: &'static str,
    /// How many requests can be rejected at once.
    at_once: usize,
    /// What the caller's error says about a failed login.
    told: fn(&BoxError, Failure) -> bool,
    /// What the stack cannot do, so it is not tried.
    cannot: &'static [&'static str],
    /// What it fails at.
    fails: &'static [&'static str],
}

const ANY: Stack = Stack {
    name: "",
    at_once: REQUESTS,
    told: |error, failure| in_chain(error).is_some_and(|error| tells(error, failure)),
    cannot: &[],
    fails: &[],
};

impl Stack {
    /// Tries each behaviour, and prints how many passed.
    async fn run(self, client: impl AsyncFn(&str, BearerAuthLayer) -> Result<Call, BoxError>) {
        let api = Api::start(self.at_once).await.unwrap();
        let issuer = api.clone();
        let provider = CachedProvider::builder(login_fn(move |_| issuer.clone().log_in()))
            .policy(CachePolicy::default().login_timeout(MINUTE))
            .build();
        let url = format!("http://{}", api.address);
        let layer = BearerAuthLayer::new(provider.clone(), Origins::new(&url).unwrap());
        let call = client(&url, layer).await.unwrap();
        let can = |behaviour| !self.cannot.contains(&behaviour);
        let mut tried = Vec::new();

        let first = match can(GETS) {
            true => Method::GET,
            false => Method::POST,
        };
        let figures = send(self.name, &api, &call, first).await.unwrap();
        tried.push(("100 requests, one login", figures == (0, 1, 0)));
        for (behaviour, method) in [(GETS, Method::GET), (POSTS, Method::POST)] {
            if can(behaviour) {
                api.revoke_token();
                let figures = send(self.name, &api, &call, method).await.unwrap();
                tried.push((behaviour, figures == (0, 1, self.at_once)));
            }
        }

        let mut works_again = true;
        for failure in FAILURES {
            api.fail_logins(Some(failure));
            provider.reset();
            let error = match failure {
                // No socket is waited for: the time that is paused ends the login at once.
                Failure::TimesOut => paused(call(Method::POST)).await,
                _ => call(Method::POST).await,
            };
            let error = error.unwrap_err();
            tried.push((TOLD, (self.told)(&error, failure)));
            api.fail_logins(None);
            provider.reset();
            works_again &= call(Method::POST).await.is_ok();
        }
        tried.push(("works after failed logins", works_again));

        provider.reset();
        let logins = api.logins();
        api.hold_logins(true);
        let gave_up = paused(timeout(MINUTE / 2, call(Method::POST))).await;
        api.hold_logins(false);
        let next = call(Method::POST).await;
        let is_one = api.logins() == logins + 1;
        tried.push((
            "a caller gives up, the login goes on",
            gave_up.is_err() && next.is_ok() && is_one,
        ));

        if can(FOREIGN) {
            let origins = Origins::new("https://api.example.com").unwrap();
            let layer = BearerAuthLayer::new(provider.clone(), origins);
            let call = client(&url, layer).await.unwrap();
            let (bare, received) = (api.bare(), api.received());
            let rejected = call(Method::POST).await.is_err();
            let came = (api.bare() - bare, api.received() - received);
            tried.push((FOREIGN, rejected && came == (1, 1)));
        }

        // The last one: it may end the connection.
        api.hold_answers(true);
        let gave_up = paused(timeout(MINUTE / 2, call(Method::POST))).await;
        api.hold_answers(false);
        let next = call(Method::POST).await;
        tried.push((HELD_ANSWER, gave_up.is_err() && next.is_ok()));

        let failed = tried.iter().filter(|(_, passed)| !passed);
        let failed: Vec<_> = failed.map(|(behaviour, _)| *behaviour).collect();
        println!(
            "figure: stacks-{} passed={} tried={}",
            self.name,
            tried.len() - failed.len(),
            tried.len()
        );
        assert_eq!(failed, self.fails);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const GETS: &str = "GETs are replayed";
const POSTS: &str = "POSTs are replayed";
const TOLD: &str = "the caller is told of a failed login";
const FOREIGN: &str = "a request to another origin goes without a token";
const HELD_ANSWER: &str = "a caller gives up an exchange, the next request is good";

/// Time goes on only while this waits.
async fn paused<T>(act: impl Future<Output = T>) -> T {
    tokio::time::pause();
    let done = act.await;
    tokio::time::resume();
    done
}

fn good<B>(response: &Response<B>) -> Result<(), BoxError> {
    match response.status().is_success() {
        true => Ok(()),
        false => Err(response.status().to_string().into()),
    }
}

fn body(method: &Method) -> Full<Bytes> {
    match *method {
        Method::POST => Full::from("a thing"),
        _ => Full::default(),
    }
}

/// Calls with a client whose URIs have this start.
fn calls<S, B>(client: S, start: String, host: String) -> Call
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Send,
{
    // A `Service` need not be `Sync`.
    let client = Mutex::new(client);
    call(move |method| {
        let client = client.lock().unwrap().clone();
        let body = body(&method);
        let request = Request::builder().method(method).header(HOST, &host);
        let request = request.uri(format!("{start}/things")).body(body).unwrap();
        async move { good(&client.oneshot(request).await?) }
    })
}

fn host(url: &str) -> String {
    url.strip_prefix("http://").unwrap().to_owned()
}

async fn connect(url: &str) -> TokioIo<TcpStream> {
    TokioIo::new(TcpStream::connect(host(url)).await.unwrap())
}

#[tokio::test]
async fn hyper_util() {
    let stack = Stack {
        name: "hyper_util",
        ..ANY
    };
    let client = async |url: &str, layer: BearerAuthLayer| {
        let http = Client::builder(TokioExecutor::new()).build_http();
        let layer = layer.replay_with(|body: &Full<Bytes>| Some(body.clone()));
        Ok(calls(layer.layer(http), url.to_owned(), host(url)))
    };
    stack.run(client).await;
}

#[tokio::test]
async fn hyper_http1() {
    let stack = Stack {
        name: "hyper_http1",
        at_once: 1,
        // HTTP/1 cannot end an exchange otherwise.
        fails: &[HELD_ANSWER],
        ..ANY
    };
    let client = async |url: &str, layer: BearerAuthLayer| {
        let (sender, connection) = conn::http1::handshake(connect(url).await).await?;
        tokio::spawn(connection);
        let client = recipes::http1::client(sender, layer);
        Ok(calls(client, String::new(), host(url)))
    };
    stack.run(client).await;
}

#[tokio::test]
async fn hyper_http2() {
    let stack = Stack {
        name: "hyper_http2",
        ..ANY
    };
    let client = async |url: &str, layer: BearerAuthLayer| {
        let executor = TokioExecutor::new();
        let (sender, connection) = conn::http2::handshake(executor, connect(url).await).await?;
        tokio::spawn(connection);
        let client = recipes::http2::client(sender, layer);
        Ok(calls(client, String::new(), host(url)))
    };
    stack.run(client).await;
}

// The caller is the user of the service, who sees a status.
#[tokio::test]
async fn axum_service() {
    let told = |error: &BoxError, failure| {
        let expected = match failure {
            Failure::Refused | Failure::Panics => "500 Internal Server Error",
            Failure::Locked => "503 Service Unavailable, retry after 121",
            Failure::Unreachable | Failure::TimesOut => "503 Service Unavailable, retry after ",
        };
        error.to_string().starts_with(expected)
    };
    let stack = Stack {
        name: "axum_service",
        told,
        // Its origin is its only one.
        cannot: &[FOREIGN],
        ..ANY
    };
    let client = async |url: &str, layer: BearerAuthLayer| {
        let api = recipes::axum::Api::new(url, layer.provider().clone())?;
        let app = axum::Router::new()
            .route(
                "/things",
                get(recipes::axum::pass_on::<Bytes>).post(recipes::axum::create),
            )
            .with_state(api);
        Ok(call(move |method| {
            let body = axum::body::Body::new(body(&method));
            let request = Request::builder().method(method).uri("/things").body(body);
            let answered = app.clone().oneshot(request.unwrap());
            async move {
                let response = answered.await?;
                let mut error = match good(&response) {
                    Ok(()) => return Ok(()),
                    Err(error) => error.to_string(),
                };
                if let Some(after) = response.headers().get(RETRY_AFTER) {
                    write!(error, ", retry after {}", after.to_str()?)?;
                }
                Err(error.into())
            }
        }))
    };
    stack.run(client).await;
}

#[tokio::test]
async fn tonic() {
    let told = |error: &BoxError, failure| {
        let expected = match failure {
            Failure::Refused | Failure::Panics => Code::Unauthenticated,
            _ => Code::Unavailable,
        };
        let status = error.downcast_ref::<Status>();
        status.is_some_and(|status| status.code() == expected) && (ANY.told)(error, failure)
    };
    let stack = Stack {
        name: "tonic",
        told,
        // All calls are POSTs.
        cannot: &[GETS],
        ..ANY
    };
    let client = async |url: &str, layer: BearerAuthLayer| {
        let channel = Endpoint::from_shared(url.to_owned())?.connect_lazy();
        let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
        let authorized = MapErr::new(
            layer.replay(policy).layer(channel),
            recipes::to_status::to_status,
        );
        // Without an origin, the layer sees paths, which are authorized always.
        let client = HealthClient::with_origin(authorized, url.parse()?);
        Ok(call(move |_| {
            let mut client = client.clone();
            async move {
                let ask = HealthCheckRequest {
                    service: "a thing".to_owned(),
                };
                client.check(ask).await?;
                Ok(())
            }
        }))
    };
    stack.run(client).await;
}

#[tokio::test]
async fn reqwest_as_a_tower_service() {
    let stack = Stack {
        name: "reqwest",
        ..ANY
    };
    let client = async |url: &str, layer: BearerAuthLayer| {
        let client = recipes::reqwest::client(reqwest::Client::new(), layer);
        let url = format!("{url}/things");
        Ok(call(move |method| {
            let client = client.clone();
            let body = reqwest::Body::wrap(body(&method));
            let request = Request::builder().method(method).uri(&url).body(body);
            async move { good(&client.oneshot(request?).await?) }
        }))
    };
    stack.run(client).await;
}

#[tokio::test]
async fn reqwest_middleware() {
    let told = |error: &BoxError, failure| match error.downcast_ref() {
        Some(reqwest_middleware::Error::Middleware(error)) => error
            .downcast_ref()
            .is_some_and(|error| tells(error, failure)),
        _ => false,
    };
    let stack = Stack {
        name: "reqwest_middleware",
        told,
        ..ANY
    };
    let client = async |url: &str, layer: BearerAuthLayer| {
        let layer = layer.replay_with(reqwest::Request::try_clone);
        let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
            .with(layer)
            .build();
        let url = format!("{url}/things");
        Ok(call(move |method| {
            let request = client.request(method.clone(), &url);
            let request = match method {
                Method::POST => request.body("a thing"),
                _ => request,
            };
            async move {
                let response = request.send().await?;
                response.error_for_status()?;
                Ok(())
            }
        }))
    };
    stack.run(client).await;
}

/// The lines between two lines of a page.
fn between<'a>(page: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

#[test]
fn the_pages_count_the_lines_of_their_recipes() {
    let axum = include_str!("../src/guide/axum.rs");
    let hyper = include_str!("../src/guide/hyper.rs");
    let of_axum = lines(include_str!("recipes/axum.rs"));
    assert!(
        axum.contains(&format!("These {of_axum} lines ")),
        "{of_axum}"
    );
    let recipes = [
        ("http1", include_str!("recipes/http1.rs")),
        ("http2", include_str!("recipes/http2.rs")),
    ];
    for (name, recipe) in recipes {
        let row = format!("| `{name}::SendRequest` | {} |", lines(recipe));
        assert!(hyper.contains(&row), "{row}");
    }
    let reqwest = include_str!("../src/guide/reqwest.rs");
    let added = between(reqwest, "// your login\n", "//!\n");
    assert_eq!(added.map(|added| added.lines().count()), Some(3));
    assert!(reqwest.contains("three lines"));
    let grpc = include_str!("../src/guide/grpc.rs").replace("//!", "");
    let added = between(&grpc, ".connect_lazy();\n", "let mut client");
    assert_eq!(added.map(lines), Some(3));
    assert!(grpc.contains("Three lines between the channel"));
    let to_status = lines(include_str!("recipes/to_status.rs"));
    assert!(
        grpc.contains(&format!("these {to_status} lines")),
        "{to_status}"
    );
}
