//! The overhead of two threads that send at the same time. If both write the same reference count
//! or lock, each waits for the other's cache.
//!
//! ```text
//! cargo bench --bench contention
//! ```
//!
//! The overhead over the bare service is given as a multiple of the floor's, with the same number
//! of threads. All threads share the reference count of the floor's header bytes.

#[path = "support/mod.rs"]
mod support;

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use http::{Request, Response};
use support::{
    Bare, Body, ByHand, Floor, Life, Minimal, Report, Table, Use, X_FLOOR, medians, origins,
    provider, request, requests, send_all, tower_http,
};
use tokio::runtime::Builder;
use tower::{Layer, Service};
use tower_bearer::{BearerAuthLayer, CachedProvider, CredentialProvider, Receipt, RequestHead};

const ROUNDS: usize = 31;
const REQUESTS: usize = 2_000;
const TOKEN: usize = 1_024;

/// The pause between two logins of the refresher: far shorter than in practice.
const PAUSE: Duration = Duration::from_millis(1);

trait Contender {
    fn time(&self, threads: usize, used: Use) -> Duration;
}

impl<S> Contender for S
where
    S: Service<Request<Body>, Response = Response<()>> + Clone + Send + Sync,
{
    /// The mean time of one batch per thread. All batches start together.
    fn time(&self, threads: usize, used: Use) -> Duration {
        let barrier = Barrier::new(threads);
        let batch = || {
            let requests = requests(REQUESTS);
            let mut service = self.clone();
            send_all(&mut service, support::requests(2), used);
            barrier.wait();
            let start = Instant::now();
            match used {
                Use::LongLived => send_all(&mut service, requests, used),
                // All threads clone the same service, as handlers do with their state.
                Use::Cloned => requests
                    .into_iter()
                    .for_each(|request| send_all(&mut self.clone(), vec![request], Use::LongLived)),
            }
            start.elapsed()
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(batch)).collect();
            let first = batch();
            let times = others.into_iter().map(|it| it.join().expect("no panic"));
            times.chain([first]).sum::<Duration>() / threads as u32
        })
    }
}

/// Logs in repeatedly while `act` runs. There is a credential at every moment.
fn refreshing<T>(provider: &CachedProvider, act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    let logins = provider.snapshot().logins();
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime");
            let request = request();
            while !is_over.load(Relaxed) {
                let mut head = RequestHead::of(&request);
                head.rejected = provider.current().map(|current| {
                    Receipt::new(
                        current.generation(),
                        0,
                        request.method(),
                        request.uri().path(),
                    )
                });
                let login = provider.acquire_for(head);
                runtime.block_on(login).expect("the login works");
                thread::sleep(PAUSE);
            }
        });
        let outcome = act();
        is_over.store(true, Relaxed);
        outcome
    });
    assert!(provider.snapshot().logins() > logins);
    outcome
}

fn main() {
    Report::of_processes("contention", measure);
}

fn measure(report: &mut Report) {
    let server = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    let server = server.expect("a runtime");
    let provider = server.block_on(provider(TOKEN, Life::Long));
    let ours = BearerAuthLayer::new(provider.clone(), origins(1)).layer(Bare);
    let remembering = server.block_on(support::ours_remembering(TOKEN, Life::Long));
    let contenders: [(&str, Box<dyn Contender>); 8] = [
        ("bare service", Box::new(Bare)),
        ("floor", Box::new(Floor::new(TOKEN))),
        ("tower-http, a fixed token", Box::new(tower_http(TOKEN))),
        ("by hand: minimal", Box::new(Minimal::new(TOKEN))),
        ("by hand: RwLock and format!", Box::new(ByHand::new(TOKEN))),
        // Its clones are clones of a clone, as axum's `State` makes them.
        ("tower-bearer, a clone", Box::new(ours.clone())),
        ("tower-bearer", Box::new(ours)),
        ("tower-bearer, 64 targets remembered", Box::new(remembering)),
    ];

    let of = |threads: usize, used| {
        let mut times = medians(contenders.len(), ROUNDS, |it| {
            contenders[it].1.time(threads, used)
        });
        times.iter_mut().for_each(|time| *time /= REQUESTS as f64);
        times
    };
    let mut add = |title: String, times: Vec<f64>| {
        let mut table = Table::new(title, &["ns over bare", X_FLOOR]);
        let (bare, floor) = (times[0], times[1]);
        for ((name, _), time) in contenders.iter().zip(times) {
            table.row(*name, [time - bare, (time - bare) / (floor - bare)]);
        }
        report.add(table);
    };
    for used in Use::ALL {
        for threads in [1, 2] {
            let title = format!("{threads} threads, {}", used.name());
            add(title, of(threads, used));
        }
    }
    let times = refreshing(&provider, || of(2, Use::LongLived));
    add("2 threads, long-lived, with a refresher".to_owned(), times);
}
