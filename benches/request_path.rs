//! The cost of a request while the credential is fresh, in time and allocations.
//!
//! Compare the overhead over the bare service as a multiple of the *floor's*. The floor is a
//! hand-written layer that inserts a ready-made header value. Where code and memory happen to lie changes the time of
//! such small functions by 10 ns, so several processes measure, and nothing is asserted here.
//! `instructions` asserts what can be counted.
//!
//! ```text
//! cargo bench --bench request_path
//! ```

#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use http::{Request, Response};
use support::{
    Bare, Body, ByHand, Floor, Life, Minimal, Report, Table, Use, X_FLOOR, medians, origins, ours,
    ours_keyed, ours_with_replay, requests, send_all, tower_http,
};
use tokio::runtime::{Builder, Runtime};
use tower::Service;
use tower_bearer::Origins;

const ROUNDS: usize = 31;
const REQUESTS: usize = 2_000;
const TOKEN: usize = 1_024;

/// A service under measurement.
trait Contender {
    fn run(&mut self, requests: Vec<Request<Body>>, used: Use);
}

impl<S> Contender for S
where
    S: Service<Request<Body>, Response = Response<()>> + Clone,
{
    fn run(&mut self, requests: Vec<Request<Body>>, used: Use) {
        send_all(self, requests, used);
    }
}

fn contenders(server: &Runtime, single: &Runtime) -> Vec<(&'static str, Box<dyn Contender>)> {
    let ours = |life, origins| server.block_on(ours(TOKEN, life, origins));
    vec![
        ("bare service", Box::new(Bare)),
        ("floor", Box::new(Floor::new(TOKEN))),
        ("tower-http, a fixed token", Box::new(tower_http(TOKEN))),
        ("by hand: minimal", Box::new(Minimal::new(TOKEN))),
        ("by hand: RwLock and format!", Box::new(ByHand::new(TOKEN))),
        ("tower-bearer", Box::new(ours(Life::Long, origins(1)))),
        (
            "tower-bearer, no expiry",
            Box::new(ours(Life::Endless, origins(1))),
        ),
        (
            "tower-bearer, five origins",
            Box::new(ours(Life::Long, origins(5))),
        ),
        (
            "tower-bearer, any https",
            Box::new(ours(Life::Long, Origins::any_https())),
        ),
        // On one thread there is no timer: the clock is read.
        (
            "tower-bearer, one thread",
            Box::new(single.block_on(support::ours(TOKEN, Life::Long, origins(1)))),
        ),
        (
            "tower-bearer, 100 accounts",
            Box::new(server.block_on(ours_keyed(TOKEN, Life::Long))),
        ),
        (
            "tower-bearer, replay",
            Box::new(server.block_on(ours_with_replay(TOKEN, Life::Long))),
        ),
    ]
}

fn time(contender: &mut dyn Contender, used: Use) -> Duration {
    contender.run(requests(REQUESTS / 10), used);
    let requests = requests(REQUESTS);
    let start = Instant::now();
    contender.run(requests, used);
    start.elapsed()
}

fn allocations(contender: &mut dyn Contender, used: Use) -> f64 {
    contender.run(requests(2), used); // one-time initialization
    let requests = requests(REQUESTS);
    let counted = allocation_counter::measure(|| contender.run(requests, used));
    counted.count_total as f64 / REQUESTS as f64
}

fn main() {
    Report::of_processes("request_path", measure);
}

fn measure(report: &mut Report) {
    let server = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    let single = Builder::new_current_thread().enable_time().build();
    let (server, single) = (server.expect("a runtime"), single.expect("a runtime"));
    let _entered = server.enter();
    let mut contenders = contenders(&server, &single);

    for used in Use::ALL {
        let count = contenders.len();
        let mut times = medians(count, ROUNDS, |it| time(&mut *contenders[it].1, used));
        times.iter_mut().for_each(|time| *time /= REQUESTS as f64);
        let (bare, floor) = (times[0], times[1]);
        let mut table = Table::new(
            format!("A request, {}", used.name()),
            &["ns", "ns over bare", X_FLOOR, "allocations"],
        );
        for ((name, contender), time) in contenders.iter_mut().zip(times) {
            let allocations = allocations(&mut **contender, used);
            let over = time - bare;
            table.row(*name, [time, over, over / (floor - bare), allocations]);
        }
        report.add(table);
    }
}
