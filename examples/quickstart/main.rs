//! One login for a thousand requests, at an API that allows one session per account.
//!
//! At such an API each login revokes the previous token. The example sends the same load through
//! two clients and counts their logins, rejected requests (401) and failed requests:
//!
//! - a naive client, which checks for a token and logs in without a lock: `naive.rs`;
//! - a client with the layer of tower-bearer.
//!
//! It needs no network and no set-up: the API is a stand-in on loopback (`stand_in.rs`).
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --svg examples/quickstart.svg
//! ```
//!
//! The second command also draws the figures. The naive client's figures depend on timing, so they
//! differ between runs. The figures of tower-bearer do not: the example exits with an error if one
//! of them is wrong.
//!
//! **Copy** the types `Http` and `ApiClient`, the limit `CONNECTIONS` and the function `client`: a
//! service needs no more. Leave out the clock, which lets an hour pass at once. **Do not copy** the
//! rest, and `naive.rs` least of all.

mod naive;
mod report;
mod stand_in;

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{join, sync::Barrier, task::JoinSet, time::timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_bearer::{
    BearerAuth, BoxError, CachedProvider, Lifetime, ReplayEmpty, StaticProvider, presets::Quable,
    test_util::TestClock,
};

use self::{
    naive::NaiveClient,
    report::{Outcome, ReadOnly, Row},
    stand_in::{LIFETIME, PASSWORD, READ_ACCESS, StandIn, USER},
};

type Http = Client<HttpConnector, Full<Bytes>>;
type Answer = <Http as Service<Request<Full<Bytes>>>>::Response;
/// The type that a service keeps in its state.
type ApiClient = BearerAuth<ConcurrencyLimit<Http>, CachedProvider, ReplayEmpty>;

/// Requests that start at once.
const CROWD: usize = 1_000;
/// The most requests on their way at once.
const CONNECTIONS: usize = 64;

/// The client with tower-bearer.
fn client(base_url: &str, clock: &TestClock) -> Result<ApiClient, BoxError> {
    let quable = Quable::base_url(base_url)?; // or Quable::instance("acme")?
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let login = quable.login(http.clone(), USER, PASSWORD, Lifetime::Announced);
    // Without the clock: `quable.layer(http, user, password, lifetime)` is provider and layer.
    let provider = CachedProvider::builder(login).clock(clock.clone()).build();
    Ok(ServiceBuilder::new()
        // A rejected request without a body is sent once more.
        .layer(quable.layer_with(provider).replay(ReplayEmpty))
        // Below the layer: a request that waits for a login then occupies no slot.
        .concurrency_limit(CONNECTIONS)
        .service(http))
}

/// A client that the example can load: one clone sends one request.
trait Loadable:
    Service<Request<Full<Bytes>>, Response = Answer, Error = BoxError, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Loadable for S where
    S: Service<Request<Full<Bytes>>, Response = Answer, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static
{
}

#[derive(Clone, Copy)]
enum Phase {
    ColdStart,
    Expiry,
    Revocation,
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let svg = svg_path()?;
    let mut rows = [
        Row::new("(a) 1,000 at once, no token yet", Phase::ColdStart),
        Row::new("(b) the token expires under load", Phase::Expiry),
        Row::new("(c) the token is revoked under load", Phase::Revocation),
    ];
    for row in &mut rows {
        let limit = Duration::from_secs(60);
        show_progress(row.title, "naive client");
        row.naive = timeout(limit, with_naive_client(row.phase)).await??;
        show_progress(row.title, "tower-bearer");
        row.ours = timeout(limit, with_tower_bearer(row.phase)).await??;
    }
    let read_only = read_only_token().await?;
    report::print(&rows, &read_only);
    if let Some(path) = svg {
        std::fs::write(path, report::svg(&rows))?;
    }
    if report::is_as_expected(&rows, &read_only) {
        Ok(ExitCode::SUCCESS)
    } else {
        eprintln!("a figure is not as expected");
        Ok(ExitCode::FAILURE)
    }
}

fn show_progress(phase: &str, client: &str) {
    if stderr().is_terminal() {
        eprintln!("{phase}: {client}");
    }
}

/// The file to draw, if the command line names one.
fn svg_path() -> Result<Option<String>, BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(None),
        [flag, path] if flag == "--svg" => Ok(Some(path.clone())),
        _ => Err("the only argument is `--svg FILE`".into()),
    }
}

async fn with_naive_client(phase: Phase) -> Result<Outcome, BoxError> {
    let clock = TestClock::new();
    let api = StandIn::start(&clock).await?;
    let http = Client::builder(TokioExecutor::new()).build_http();
    let naive = NaiveClient::new(ConcurrencyLimit::new(http, CONNECTIONS), api.base_url());
    let client = service_fn(move |request| naive.clone().send(request));
    load(phase, &api, &clock, client).await
}

async fn with_tower_bearer(phase: Phase) -> Result<Outcome, BoxError> {
    let clock = TestClock::new();
    let api = StandIn::start(&clock).await?;
    let client = client(&api.base_url(), &clock)?;
    load(phase, &api, &clock, client).await
}

/// Sends the requests of a phase and counts what becomes of them.
async fn load(
    phase: Phase,
    api: &StandIn,
    clock: &TestClock,
    client: impl Loadable,
) -> Result<Outcome, BoxError> {
    let mut outcome = Outcome::default();
    if let Phase::Expiry | Phase::Revocation = phase {
        client.clone().oneshot(get(api)?).await?; // this request logs in
        api.take_counts();
    }
    if let Phase::Expiry = phase {
        // Five seconds before the expiry: the token is still valid, but a careful client renews it.
        clock.advance(LIFETIME - Duration::from_secs(5));
    }
    outcome.add(send(CROWD, api, &client).await?);
    if let Phase::Expiry | Phase::Revocation = phase {
        let on_their_way = api.hold(CONNECTIONS).then(|| match phase {
            Phase::Revocation => api.revoke(),
            _ => clock.advance(Duration::from_secs(10)),
        });
        let (sent, ()) = join!(send(CONNECTIONS, api, &client), on_their_way);
        outcome.add(sent?);
        outcome.add(send(CROWD, api, &client).await?);
    }
    outcome.counts = api.take_counts();
    Ok(outcome)
}

/// Sends a number of requests at once. Returns how many there were and how many failed.
async fn send(
    count: usize,
    api: &StandIn,
    client: &impl Loadable,
) -> Result<(usize, usize), BoxError> {
    let barrier = Arc::new(Barrier::new(count));
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (client, barrier, request) = (client.clone(), Arc::clone(&barrier), get(api)?);
        requests.spawn(async move {
            barrier.wait().await;
            client.oneshot(request).await
        });
    }
    let mut failed = 0;
    while let Some(answered) = requests.join_next().await {
        let is_ok = answered?.is_ok_and(|answer| answer.status() == StatusCode::OK);
        failed += usize::from(!is_ok);
    }
    Ok((count, failed))
}

fn get(api: &StandIn) -> Result<Request<Full<Bytes>>, http::Error> {
    Request::get(format!("{}/api/products", api.base_url())).body(Full::default())
}

/// Tries a token that never changes and may only read. A 403 is not a rejection: the caller gets
/// it, and no login follows.
async fn read_only_token() -> Result<ReadOnly, BoxError> {
    let api = StandIn::start(&TestClock::new()).await?;
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let client = Quable::base_url(&api.base_url())?
        .layer_with(StaticProvider::new(READ_ACCESS)?)
        .layer(http);
    let mut post = get(&api)?;
    *post.method_mut() = Method::POST;
    Ok(ReadOnly {
        get: client.clone().oneshot(get(&api)?).await?.status(),
        post: client.oneshot(post).await?.status(),
        logins: api.take_counts().logins,
    })
}
