//! The cost of many requests at once: at a cold start, at an expiry, after a revocation.
//!
//! ```text
//! cargo bench --bench storm
//! ```
//!
//! A login takes 20 ms. `drain` is the time of the last response, as a multiple of that. Requests
//! go to a service in memory, so only the waiting is measured.

#[path = "support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    env,
    pin::Pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use support::{Bare, Body, Report, Table, median, medians, origins, request};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, Notify, OnceCell},
    task::{JoinSet, yield_now},
    time,
};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Credential, LoginFn, Session, login_fn,
};

const CROWD: usize = 10_000;
const LOGIN: Duration = Duration::from_millis(20);
const ROUNDS: usize = 11;
const PROCESSES: usize = 9;
/// The argument that makes a process one of [`cold_starts`].
const COLD_STARTS: &str = "cold-starts";

/// The login of all contenders: a slow API that counts.
#[derive(Clone, Default)]
struct Issuer {
    logins: Arc<AtomicUsize>,
}

impl Issuer {
    async fn token(&self) -> String {
        let number = self.logins.fetch_add(1, Relaxed) + 1;
        time::sleep(LOGIN).await;
        format!("token-{number}")
    }

    fn provider(&self, session: Session, lifetime: Option<Duration>) -> CachedProvider {
        let issuer = self.clone();
        let login = login_fn(move |_| {
            let issuer = issuer.clone();
            async move {
                let credential = Credential::new(issuer.token().await)?;
                Ok(match lifetime {
                    Some(lifetime) => credential.with_lifetime(lifetime),
                    None => credential,
                })
            }
        });
        CachedProvider::new(LoginFn::with_session(login, session))
    }

    fn logins(&self) -> f64 {
        self.logins.load(Relaxed) as f64
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>> + Send>>;

/// A single flight by hand: a request without a token takes the lock and looks again.
#[derive(Clone)]
struct ByMutex {
    issuer: Issuer,
    value: Arc<Mutex<Option<HeaderValue>>>,
}

impl ByMutex {
    fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            value: Arc::default(),
        }
    }
}

impl Service<Request<Body>> for ByMutex {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let Self { issuer, value } = self.clone();
        Box::pin(async move {
            let mut value = value.lock().await;
            if value.is_none() {
                *value = Some(header(&issuer.token().await));
            }
            let value = value.clone().expect("it was just put there");
            request.headers_mut().insert(AUTHORIZATION, value);
            Bare.call(request).await
        })
    }
}

/// The best ready-made primitive: the first caller initializes, all others wait.
#[derive(Clone)]
struct ByOnceCell {
    issuer: Issuer,
    value: Arc<OnceCell<HeaderValue>>,
}

impl ByOnceCell {
    fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            value: Arc::default(),
        }
    }
}

impl Service<Request<Body>> for ByOnceCell {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let Self { issuer, value } = self.clone();
        Box::pin(async move {
            let log_in = async || header(&issuer.token().await);
            let value = value.get_or_init(log_in).await.clone();
            request.headers_mut().insert(AUTHORIZATION, value);
            Bare.call(request).await
        })
    }
}

fn header(token: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
    value.set_sensitive(true);
    value
}

fn two_workers() -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    runtime.expect("a runtime")
}

/// Sends all requests at once and returns after the last response.
async fn crowd<S>(service: S) -> Duration
where
    S: Service<Request<Body>, Response = Response<()>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    let requests = support::requests(CROWD);
    let start = Instant::now();
    let mut crowd = JoinSet::new();
    for request in requests {
        let service = service.clone();
        crowd.spawn(async move { service.oneshot(request).await.is_ok() });
    }
    while let Some(is_answered) = crowd.join_next().await {
        assert!(is_answered.expect("no panic"));
    }
    start.elapsed()
}

/// The time of all requests on two workers.
fn drain<S>(service: S) -> Duration
where
    S: Service<Request<Body>, Response = Response<()>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    two_workers()
        .block_on(async { tokio::spawn(crowd(service)).await })
        .expect("no panic")
}

/// Bytes and allocations of each waiting request, its task included. The request has no header, so
/// its map allocates nothing.
fn weight<S>(service: S) -> (f64, f64)
where
    S: Service<Request<Body>, Response = Response<()>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    // One thread: allocations are counted per thread.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime");
    let uri = request().uri().clone();
    let service = &service;
    let mut crowd = Vec::with_capacity(CROWD);
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..CROWD {
                let service = service.clone();
                let mut request = Request::new(Body::new());
                *request.uri_mut() = uri.clone();
                crowd.push(tokio::spawn(async move {
                    service.oneshot(request).await.is_ok()
                }));
            }
            // Let all requests start to wait.
            for _ in 0..CROWD {
                yield_now().await;
            }
        });
    });
    runtime.block_on(async {
        for waiter in crowd {
            assert!(waiter.await.expect("no panic"));
        }
    });
    let each = CROWD as f64;
    (
        counted.bytes_current as f64 / each,
        counted.count_current as f64 / each,
    )
}

const CONTENDERS: [&str; 3] = ["by hand: Mutex", "by hand: OnceCell", OURS];
const OURS: &str = "tower-bearer";

fn ours(issuer: &Issuer) -> BearerAuth<Bare, CachedProvider> {
    let provider = issuer.provider(Session::Exclusive, None);
    BearerAuthLayer::new(provider, origins(1)).layer(Bare)
}

/// Cold starts of one contender, in a process of its own: with another before it, its memory is where that one has
/// left room, and the order of contenders would decide.
fn cold_starts(contender: &str) {
    let issuer = Issuer::default();
    let times = (0..ROUNDS).map(|_| match contender {
        OURS => drain(ours(&issuer)),
        "by hand: Mutex" => drain(ByMutex::new(issuer.clone())),
        _ => drain(ByOnceCell::new(issuer.clone())),
    });
    let time = median(times.collect());
    println!("{time} {}", issuer.logins() / ROUNDS as f64);
}

fn cold_start(report: &mut Report) {
    let mut table = Table::new(
        format!("Cold start, {CROWD} requests at once"),
        &["logins", "drain", "bytes", "allocations"],
    );
    let mut logins = [0.0_f64; 3];
    let times = medians(CONTENDERS.len(), PROCESSES, |contender| {
        let process = env::current_exe().and_then(|program| {
            let process = &mut Command::new(program);
            process.args([COLD_STARTS, CONTENDERS[contender]]).output()
        });
        let output = process.expect("it starts").stdout;
        let figures = String::from_utf8(output).expect("it prints text");
        let mut figures = figures.split_whitespace().map(str::parse::<f64>);
        let mut figure = || figures.next().expect("two figures").expect("a number");
        let time = Duration::from_nanos(figure() as u64);
        logins[contender] = figure().max(logins[contender]);
        time
    });
    let login = LOGIN.as_secs_f64() * 1e9;
    let weights = [
        weight(ByMutex::new(Issuer::default())),
        weight(ByOnceCell::new(Issuer::default())),
        weight(ours(&Issuer::default())),
    ];
    for (at, (bytes, allocations)) in weights.into_iter().enumerate() {
        let drain = times[at] / login;
        table.row(CONTENDERS[at], [logins[at], drain, bytes, allocations]);
    }
    report.add(table);
}

/// Rejects the revoked token, and holds its responses while a gate is closed.
#[derive(Clone, Default)]
struct Api {
    revoked: Arc<std::sync::Mutex<Option<HeaderValue>>>,
    is_held: Arc<AtomicBool>,
    arrived: Arc<AtomicUsize>,
    gate: Arc<Notify>,
}

impl Service<Request<Body>> for Api {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let api = self.clone();
        Box::pin(async move {
            let opened = api.gate.notified();
            if api.is_held.load(Relaxed) {
                api.arrived.fetch_add(1, Relaxed);
                opened.await;
            }
            let mut response = Response::new(());
            if *api.revoked.lock().expect("no panic")
                == request.headers().get(AUTHORIZATION).cloned()
            {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            Ok(response)
        })
    }
}

fn revoked(report: &mut Report) {
    let mut times = Vec::new();
    let (mut logins, mut failed) = (0.0_f64, 0.0);
    for _ in 0..ROUNDS {
        let (issuer, api) = (Issuer::default(), Api::default());
        let provider = issuer.provider(Session::Exclusive, None);
        let layer = BearerAuthLayer::new(provider.clone(), origins(1));
        let service = layer.replay(tower_bearer::ReplayEmpty).layer(api.clone());
        let runtime = two_workers();
        let scene = async move {
            let value = provider
                .acquire()
                .await
                .expect("the login works")
                .value()
                .clone();
            api.is_held.store(true, Relaxed);
            let mut crowd = JoinSet::new();
            for request in support::requests(CROWD) {
                let service = service.clone();
                crowd.spawn(async move { service.oneshot(request).await });
            }
            while api.arrived.load(Relaxed) < CROWD {
                yield_now().await;
            }
            *api.revoked.lock().expect("no panic") = Some(value);
            api.is_held.store(false, Relaxed);
            let start = Instant::now();
            api.gate.notify_waiters();
            let mut failed = 0.0;
            while let Some(answer) = crowd.join_next().await {
                let answer = answer.expect("no panic");
                failed += f64::from(!answer.is_ok_and(|answer| answer.status().is_success()));
            }
            (start.elapsed(), failed)
        };
        let (time, lost) = runtime
            .block_on(async { tokio::spawn(scene).await })
            .expect("no panic");
        times.push(time);
        failed += lost;
        logins = logins.max(issuer.logins() - 1.0);
    }
    let mut table = Table::new(
        format!("Revoked, {CROWD} requests in flight, replay"),
        &["logins", "failed", "drain"],
    );
    let login = LOGIN.as_secs_f64() * 1e9;
    table.row("tower-bearer", [logins, failed, median(times) / login]);
    report.add(table);
}

/// Latencies of two tasks that send continuously, with a background login and without.
fn expiry(report: &mut Report) {
    const SENT: usize = 200_000;
    let issuer = Issuer::default();
    let provider = issuer.provider(Session::Concurrent, Some(Duration::from_secs(2)));
    let service = BearerAuthLayer::new(provider.clone(), origins(1)).layer(Bare);
    let runtime = two_workers();
    runtime
        .block_on(provider.acquire())
        .expect("the login works");
    let waits = provider.snapshot().waits();
    let sender = || {
        let (provider, mut service) = (provider.clone(), service.clone());
        async move {
            let (mut quiet, mut during) = (Vec::new(), Vec::new());
            let mut failed = 0.0;
            // From before the background login is due until it has ended.
            while provider.snapshot().logins() < 2 {
                let is_logging_in = provider.snapshot().is_logging_in();
                for request in support::requests(100) {
                    let start = Instant::now();
                    let ready = ServiceExt::<Request<Body>>::ready(&mut service).await;
                    let answer = ready?.call(request).await;
                    let time = start.elapsed();
                    failed += f64::from(answer.is_err());
                    if is_logging_in {
                        during.push(time);
                    } else if quiet.len() < SENT {
                        quiet.push(time);
                    }
                }
                yield_now().await;
            }
            Ok::<_, BoxError>((quiet, during, failed))
        }
    };
    let senders = [sender(), sender()].map(|sender| runtime.spawn(sender));
    let (mut quiet, mut during, mut failed) = (Vec::new(), Vec::new(), 0.0);
    for sender in senders {
        let (more, others, lost) = runtime
            .block_on(sender)
            .expect("no panic")
            .expect("no error");
        quiet.extend(more);
        during.extend(others);
        failed += lost;
    }
    let mut table = Table::new(
        "Expiry under load, concurrent session, 2 workers",
        &["requests", "p50 ns", "p99 ns"],
    );
    for (name, mut times) in [("quiet", quiet), ("during the background login", during)] {
        times.sort_unstable();
        let at = |part: f64| times[(times.len() as f64 * part) as usize].as_nanos() as f64;
        table.row(name, [times.len() as f64, at(0.5), at(0.99)]);
    }
    report.add(table);
    let mut table = Table::new(
        "Expiry under load, counted",
        &["logins", "failed", "waited"],
    );
    let waited = (provider.snapshot().waits() - waits) as f64;
    table.row("tower-bearer", [issuer.logins() - 1.0, failed, waited]);
    report.add(table);
}

fn main() {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() == Some(COLD_STARTS) {
        return cold_starts(&arguments.next().expect("the contender"));
    }
    let mut report = Report::new("storm");
    cold_start(&mut report);
    expiry(&mut report);
    revoked(&mut report);
    println!(
        "\na login of {} ms; medians of {ROUNDS} rounds, for a cold start of {PROCESSES} processes with {ROUNDS} each",
        LOGIN.as_millis()
    );
    report.write();
}
