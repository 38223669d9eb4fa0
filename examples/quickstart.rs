//! The main job: one login serves a thousand requests at an API that allows one session.
//!
//! Starts a stand-in for Quable PIM on loopback, where each login revokes the token before it, and
//! drives it through a client with the layer. No request is lost when the token expires or is
//! revoked, since one that is refused is sent once more with the next token. Needs no network and no set-up:
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Exits with an error when a figure is not what it must be.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/quable.rs"]
mod stand_in;

use std::{
    io::{IsTerminal, Write, stderr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{sync::Barrier, task::JoinSet, time::timeout};
use tower::{
    Layer, ServiceBuilder, ServiceExt,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
};
use tower_bearer::{
    BearerAuth, BoxError, CachedProvider, CredentialProvider, Lifetime, Replay, ReplayEmpty,
    StaticProvider, presets::Quable, test_util::TestClock,
};

use self::stand_in::{PAGE, PASSWORD, PRODUCTS, READ_ACCESS, Settings, StandIn, USER};

type Http = Client<HttpConnector, Full<Bytes>>;
/// The type that a service keeps in its state.
type ApiClient = BearerAuth<ConcurrencyLimit<Http>, CachedProvider, ReplayEmpty>;

const CROWD: usize = 1_000;
const WORKERS: usize = 16;
const CONNECTIONS: usize = 64;
const LOGIN_DELAY: Duration = Duration::from_millis(200);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    // Client and server read this clock: an hour passes when it is told to.
    let clock = TestClock::new();
    let api = StandIn::start_with(Settings {
        login_delay: LOGIN_DELAY,
        expires_in: HOUR.as_secs(),
        clock: Box::new(clock.clone()),
        ..Settings::default()
    })
    .await;

    // These lines are all that a service writes, and without the clock there are fewer:
    // `quable.layer(http, user, password, lifetime)` is provider and layer in one.
    let quable = Quable::base_url(&api.base_url())?; // or Quable::instance("acme")?
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let login = quable.login(http.clone(), USER, PASSWORD, Lifetime::Announced);
    let provider = CachedProvider::builder(login).clock(clock.clone()).build();
    let client = ServiceBuilder::new()
        .layer(quable.layer_with(provider).replay(ReplayEmpty))
        // Under the layer, so that a request that waits for a login keeps no other from its turn.
        .layer(ConcurrencyLimitLayer::new(CONNECTIONS))
        .service(http.clone());

    let phases = [
        cold_start(&api, &client).await?,
        expiry_under_load(&api, &client, &clock).await?,
        revocation_under_load(&api, &client).await?,
        read_only_token(&api, &quable, http).await?,
    ];
    Ok(report(&api, &phases))
}

/// (a) A crowd of requests, released at once when there is no token yet.
async fn cold_start(api: &StandIn, client: &ApiClient) -> Result<Phase, BoxError> {
    let mut phase = Phase::begin("a", "1,000 at once, no token yet", api, 1);
    let barrier = Arc::new(Barrier::new(CROWD));
    let mut requests = JoinSet::new();
    for number in 0..CROWD {
        let (client, barrier) = (client.clone(), Arc::clone(&barrier));
        let request = page(api, number)?;
        requests.spawn(async move {
            barrier.wait().await;
            status(client, request).await
        });
    }
    while let Some(answered) = requests.join_next().await {
        phase.count(answered?, StatusCode::OK);
    }
    Ok(phase.end(api))
}

/// (b) The token expires while requests go on.
async fn expiry_under_load(
    api: &StandIn,
    client: &ApiClient,
    clock: &TestClock,
) -> Result<Phase, BoxError> {
    let phase = Phase::begin("b", "the token expires under load", api, 1);
    // Past the margin, and not past what the server honours: requests on their way are good, and
    // new ones wait for one login.
    let expire = || clock.advance(HOUR - Duration::from_secs(5));
    under_load(phase, api, client, expire).await
}

/// (c) Somebody signs in to the web interface with the same account while requests go on: those
/// on their way are refused, wait for one login and are sent once more.
async fn revocation_under_load(api: &StandIn, client: &ApiClient) -> Result<Phase, BoxError> {
    let phase = Phase::begin("c", "the token is revoked under load", api, 1);
    under_load(phase, api, client, || api.revoke()).await
}

/// Keeps some requests going: a crowd of them, then something happens, and a crowd after the
/// login that follows.
async fn under_load(
    mut phase: Phase,
    api: &StandIn,
    client: &ApiClient,
    happen: impl Fn(),
) -> Result<Phase, BoxError> {
    let logins_before = api.counts().logins;
    let (mut before, mut after) = (CROWD, CROWD); // requests to go
    let mut workers = JoinSet::new();
    let load = async {
        for _ in 0..WORKERS {
            workers.spawn(status(client.clone(), page(api, 1)?));
        }
        while let Some(answered) = workers.join_next().await {
            phase.count(answered?, StatusCode::OK);
            if before > 0 {
                before -= 1;
                if before == 0 {
                    happen();
                }
            } else if api.counts().logins > logins_before {
                if after == 0 {
                    continue;
                }
                after -= 1;
            }
            workers.spawn(status(client.clone(), page(api, 1)?));
        }
        Ok::<_, BoxError>(())
    };
    timeout(Duration::from_secs(60), load).await??;
    Ok(phase.end(api))
}

/// (d) A generic token for reading alone: it reads, and it cannot write.
async fn read_only_token(api: &StandIn, quable: &Quable, http: Http) -> Result<Phase, BoxError> {
    let mut phase = Phase::begin("d", "a read-only token", api, 0);
    let client = quable
        .layer_with(StaticProvider::new(READ_ACCESS)?)
        .layer(ConcurrencyLimit::new(http, CONNECTIONS));
    phase.count(status(client.clone(), page(api, 1)?).await, StatusCode::OK);
    let post = Request::post(format!("{}/api/products", api.base_url()))
        .header("content-type", "application/json")
        .body(Full::from(r#"{"code":"NEW"}"#))?;
    phase.count(status(client, post).await, StatusCode::FORBIDDEN);
    Ok(phase.end(api))
}

/// The status of the answer; `None` when there was none.
async fn status<P, R>(
    client: BearerAuth<ConcurrencyLimit<Http>, P, R>,
    request: Request<Full<Bytes>>,
) -> Option<StatusCode>
where
    P: CredentialProvider,
    R: Replay<Full<Bytes>>,
{
    match client.oneshot(request).await {
        Ok(response) => Some(response.status()),
        Err(error) => {
            eprintln!("\nno answer: {error}");
            None
        }
    }
}

fn page(api: &StandIn, number: usize) -> Result<Request<Full<Bytes>>, http::Error> {
    let number = number % PRODUCTS.div_ceil(PAGE) + 1;
    Request::get(api.products(number)).body(Full::default())
}

/// What one phase has counted.
struct Phase {
    name: &'static str,
    title: &'static str,
    requests: usize,
    ok: usize,
    refused_as_expected: usize,
    failed: usize,
    logins: usize,
    expected_logins: usize,
}

impl Phase {
    fn begin(name: &'static str, title: &'static str, api: &StandIn, logins: usize) -> Self {
        let phase = Self {
            name,
            title,
            requests: 0,
            ok: 0,
            refused_as_expected: 0,
            failed: 0,
            logins: api.counts().logins,
            expected_logins: logins,
        };
        phase.show_progress();
        phase
    }

    fn count(&mut self, answered: Option<StatusCode>, expected: StatusCode) {
        self.requests += 1;
        if answered != Some(expected) {
            self.failed += 1;
        } else if expected.is_success() {
            self.ok += 1;
        } else {
            self.refused_as_expected += 1;
        }
        if self.requests.is_multiple_of(100) {
            self.show_progress();
        }
    }

    fn end(mut self, api: &StandIn) -> Self {
        self.logins = api.counts().logins - self.logins;
        self.show_progress();
        if stderr().is_terminal() {
            eprintln!();
        }
        self
    }

    fn show_progress(&self) {
        let mut terminal = stderr();
        if terminal.is_terminal() {
            let answered = self.requests;
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(
                terminal,
                "\r({}) {}: {answered} answered",
                self.name, self.title
            );
            let _ = terminal.flush();
        }
    }

    fn is_as_it_must_be(&self) -> bool {
        self.failed == 0 && self.logins == self.expected_logins
    }
}

fn report(api: &StandIn, phases: &[Phase]) -> ExitCode {
    println!();
    println!("    phase                            requests       ok  refused  failed  logins");
    for phase in phases {
        println!(
            "({}) {:<31} {:>9} {:>8} {:>8} {:>7} {:>7}",
            phase.name,
            phase.title,
            phase.requests,
            phase.ok,
            phase.refused_as_expected,
            phase.failed,
            phase.logins,
        );
    }
    println!();
    let sum = |figure: fn(&Phase) -> usize| phases.iter().map(figure).sum::<usize>();
    let max_logins_in_flight = api.counts().max_logins_in_flight;
    println!(
        "quickstart: requests={} ok={} refused_as_expected={} failed={} logins={} max_logins_in_flight={max_logins_in_flight}",
        sum(|phase| phase.requests),
        sum(|phase| phase.ok),
        sum(|phase| phase.refused_as_expected),
        sum(|phase| phase.failed),
        sum(|phase| phase.logins),
    );
    if max_logins_in_flight == 1 && phases.iter().all(Phase::is_as_it_must_be) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
