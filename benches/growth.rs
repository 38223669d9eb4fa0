//! How the cost grows with the number of accounts, origins, headers, services and waiting requests.
//!
//! ```text
//! cargo bench --bench growth && cargo bench --bench readme
//! ```
//!
//! Times are those beyond the bare service, as a multiple of the floor's for a usual request. Bytes are
//! counted.

#[path = "support/mod.rs"]
mod support;

use std::{
    iter,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use support::{
    Bare, Body, Floor, Life, Report, Table, Use, medians, origins, ours, ours_keyed_by,
    ours_with_replay, request, send_all,
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{BearerAuth, BearerAuthLayer, CachedProvider, login_fn};

const ROUNDS: usize = 101;
const REQUESTS: usize = 2_000;
const TOKEN: usize = 1_024;

trait Contender {
    fn run(&mut self, requests: Vec<Request<Body>>);
}

impl<S> Contender for S
where
    S: Service<Request<Body>, Response = Response<()>> + Clone,
{
    fn run(&mut self, requests: Vec<Request<Body>>) {
        send_all(self, requests, Use::LongLived);
    }
}

/// What the floor adds to the bare service for a usual request, in nanoseconds. Medians of one run.
fn floor() -> f64 {
    let requests = || support::requests(REQUESTS);
    let [bare, floor] = times([&mut Bare, &mut Floor::new(TOKEN)], requests);
    floor - bare
}

fn times<const COUNT: usize>(
    mut contenders: [&mut dyn Contender; COUNT],
    requests: impl Fn() -> Vec<Request<Body>>,
) -> [f64; COUNT] {
    let times = medians(COUNT, ROUNDS, |it| {
        contenders[it].run(requests().split_off(REQUESTS / 2)); // warm
        let batch = requests();
        let start = Instant::now();
        contenders[it].run(batch);
        start.elapsed()
    });
    times.try_into().expect("one for each contender")
}

/// The time beyond the bare service, × the floor's for a usual request.
fn times_the_floors(
    floor: f64,
    mut ours: impl Contender,
    requests: impl Fn() -> Vec<Request<Body>>,
) -> f64 {
    let [bare, ours] = times([&mut Bare, &mut ours], requests);
    (ours - bare) / floor
}

fn accounts(runtime: &Runtime, floor: f64, report: &mut Report) {
    let mut table = Table::new("accounts", &["× the floor's time"]);
    for count in [1, 10, 100, 1_000, 10_000] {
        let service = runtime.block_on(ours_keyed_by(TOKEN, Life::Long, count));
        let mut random = fastrand::Rng::with_seed(count as u64);
        // Each request is for one of all accounts.
        let keys: Vec<_> = iter::repeat_with(|| random.usize(..count))
            .take(REQUESTS)
            .collect();
        let requests = || {
            let of_key = |key: &usize| {
                let mut request = request();
                let key = HeaderValue::from(*key);
                request.headers_mut().insert("x-request-id", key);
                request
            };
            keys.iter().map(of_key).collect()
        };
        table.row(
            count.to_string(),
            [times_the_floors(floor, service, requests)],
        );
    }
    report.add(table);
}

fn many_origins(runtime: &Runtime, floor: f64, report: &mut Report) {
    let mut table = Table::new("origins", &["× the floor's time"]);
    for count in [1, 2, 4, 8, 16] {
        let service = runtime.block_on(ours(TOKEN, Life::Long, origins(count)));
        let requests = || support::requests(REQUESTS);
        table.row(
            count.to_string(),
            [times_the_floors(floor, service, requests)],
        );
    }
    report.add(table);
}

fn headers(runtime: &Runtime, floor: f64, report: &mut Report) {
    let mut table = Table::new("headers", &["× the floor's time"]);
    let mut with_replay = Table::new("headers, replay", &["× the floor's time"]);
    for count in [0, 1, 4, 16, 32] {
        let names: Vec<_> = (0..count)
            .map(|at| HeaderName::try_from(format!("x-header-{at}")).expect("a name"))
            .collect();
        let requests = || {
            let with_headers = || {
                let mut request = request();
                // Room for ours too: the map does not grow.
                *request.headers_mut() = HeaderMap::with_capacity(count + 8);
                for name in &names {
                    let value = HeaderValue::from_static("value");
                    request.headers_mut().insert(name, value);
                }
                request
            };
            iter::repeat_with(with_headers).take(REQUESTS).collect()
        };
        let service = runtime.block_on(ours(TOKEN, Life::Long, origins(1)));
        table.row(
            count.to_string(),
            [times_the_floors(floor, service, requests)],
        );
        let service = runtime.block_on(ours_with_replay(TOKEN, Life::Long));
        with_replay.row(
            count.to_string(),
            [times_the_floors(floor, service, requests)],
        );
    }
    report.add(table);
    report.add(with_replay);
}

/// The bytes that a value holds on the heap.
fn bytes_of<T>(make: impl FnOnce() -> T) -> f64 {
    let mut made = None;
    let counted = allocation_counter::measure(|| made = Some(make()));
    drop(made);
    counted.bytes_current as f64
}

/// The bytes of a service that has sent requests, beyond those of the inner one.
fn services(runtime: &Runtime, report: &mut Report) {
    let mut table = Table::new("services", &["bytes each"]);
    let first = runtime.block_on(ours(TOKEN, Life::Long, origins(1)));
    send_all(&mut first.clone(), support::requests(2), Use::LongLived);
    for count in [1, 100, 10_000, 100_000] {
        let mut batch = support::requests(2 * count);
        let mut services = Vec::with_capacity(count);
        let counted = allocation_counter::measure(|| {
            for _ in 0..count {
                let mut service = first.clone();
                let requests = batch.split_off(batch.len() - 2);
                send_all(&mut service, requests, Use::LongLived);
                services.push(service);
            }
        });
        // The requests were allocated before, and are freed meanwhile.
        let own = size_of::<BearerAuth<Bare>>() - size_of::<Bare>();
        let freed = bytes_of(|| support::requests(2));
        let each = counted.bytes_current as f64 / count as f64 + freed + own as f64;
        table.row(count.to_string(), [each]);
    }
    report.add(table);
}

/// The bytes of a request that waits for the login: of its future, without a task.
fn waiters(report: &mut Report) {
    let mut table = Table::new("waiters", &["bytes each"]);
    for count in [1, 100, 10_000, 100_000] {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let login = login_fn(async |_| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(tower_bearer::Credential::new("abc")?)
        });
        let layer: BearerAuthLayer = BearerAuthLayer::new(CachedProvider::new(login), origins(1));
        let service = layer.layer(Bare);
        let requests = support::requests(count);
        let mut waiting = Vec::with_capacity(count);
        let counted = allocation_counter::measure(|| {
            runtime.block_on(async {
                for request in requests {
                    let mut response = Box::pin(service.clone().oneshot(request));
                    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                    assert!(response.as_mut().poll(&mut cx).is_pending());
                    waiting.push(response);
                }
            });
        });
        table.row(
            count.to_string(),
            [counted.bytes_current as f64 / count as f64],
        );
        runtime.block_on(async {
            for response in waiting {
                assert!(response.await.is_ok());
            }
        });
    }
    report.add(table);
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let floor = floor();
    let mut report = Report::new("growth");
    accounts(&runtime, floor, &mut report);
    many_origins(&runtime, floor, &mut report);
    headers(&runtime, floor, &mut report);
    services(&runtime, &mut report);
    waiters(&mut report);
    report.write();
}
