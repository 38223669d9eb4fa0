//! Many requests, threads and accounts at once (FAILURES.md, section 3.1).

mod support;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use support::{Issuer, URL, origins, request, without_dead_lock};
use tokio::{runtime::Builder, task::yield_now};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{
    Authorization, BearerAuthLayer, CachedProvider, Credential, CredentialProvider, Error,
    Generation, PerRequest, Reason, Rejected, RequestHead, Session, Verdict, login_fn,
};

/// The number of the login that an authorization came from.
fn number(value: &HeaderValue) -> usize {
    let token = value.to_str().unwrap().strip_prefix("Bearer token-");
    token.unwrap().parse().unwrap()
}

// F17, I8
#[test]
fn no_reader_sees_a_torn_or_stale_authorization() {
    const THREADS: usize = 8;
    const READS: usize = 125_000;
    without_dead_lock(|| {
        let issuer = Issuer::new();
        let provider = CachedProvider::new(issuer.clone());
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(provider.acquire()).unwrap();
        // A reader must see at least this login. It is raised after a login was published.
        let published = Arc::new(AtomicUsize::new(1));
        let is_over = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..THREADS)
            .map(|_| {
                let (provider, published) = (provider.clone(), Arc::clone(&published));
                thread::spawn(move || {
                    let mut seen: HashMap<Generation, usize> = HashMap::new();
                    let mut stale = 0;
                    for _ in 0..READS {
                        let at_least = published.load(SeqCst);
                        let read = provider.current().unwrap();
                        let number = number(read.value());
                        stale += usize::from(number < at_least);
                        let known = *seen.entry(read.generation()).or_insert(number);
                        assert_eq!(known, number, "torn");
                    }
                    (seen, stale)
                })
            })
            .collect();
        let renewer = {
            let (published, is_over) = (Arc::clone(&published), Arc::clone(&is_over));
            thread::spawn(move || {
                runtime.block_on(async {
                    while !is_over.load(SeqCst) {
                        let fresh = Request::new(()).map(|()| ());
                        let (mut parts, ()) = fresh.into_parts();
                        parts.extensions.insert(PerRequest::fresh());
                        let request = Request::from_parts(parts, ());
                        let head = RequestHead::of(&request);
                        let renewed = CredentialProvider::acquire_for(&provider, head);
                        published.store(number(renewed.await.unwrap().value()), SeqCst);
                    }
                });
            })
        };
        let mut all = HashMap::new();
        let mut stale = 0;
        for reader in readers {
            let (seen, was_stale) = reader.join().unwrap();
            stale += was_stale;
            for (generation, number) in seen {
                assert_eq!(*all.entry(generation).or_insert(number), number, "torn");
            }
        }
        is_over.store(true, SeqCst);
        renewer.join().unwrap();
        println!(
            "figure: F17 reads={} threads={THREADS} logins~={} torn=0 stale={stale}",
            THREADS * READS,
            issuer.logins()
        );
        assert_eq!(stale, 0);
        assert!(issuer.logins() > 1);
    });
}

// F15
#[tokio::test]
async fn a_waiter_that_is_never_polled_again_blocks_no_other() {
    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    let mut never = task::spawn(provider.acquire());
    assert_pending!(never.poll());
    let waiters: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(provider.acquire()))
        .collect();
    yield_now().await;
    issuer.open();
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    println!("figure: F15 waiters=1000 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 1);
}

// F16
#[test]
fn ten_thousand_waiters_leak_nothing() {
    const WAITERS: usize = 10_000;
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let storm = || {
        runtime.block_on(async {
            provider.reset();
            let waiters: Vec<_> = (0..WAITERS)
                .map(|_| tokio::spawn(provider.acquire()))
                .collect();
            for waiter in waiters {
                waiter.await.unwrap().unwrap();
            }
        });
    };
    storm();
    let second = allocation_counter::measure(storm);
    let per_waiter = second.bytes_max / WAITERS as u64;
    println!(
        "figure: F16 waiters={WAITERS} bytes_per_waiter~={per_waiter} allocations_per_waiter={:.1} left_bytes~={}",
        second.count_total as f64 / WAITERS as f64,
        second.bytes_current
    );
    assert!(second.bytes_current < 4_096, "I6: {}", second.bytes_current);
    assert!(per_waiter < 4_096, "{per_waiter}");
    assert_eq!(issuer.logins(), 2);
}

/// One account per tenant.
#[derive(Clone)]
struct Tenants(Arc<HashMap<&'static str, CachedProvider>>);

/// The tenant that a request is for.
#[derive(Clone)]
struct Tenant(&'static str);

impl CredentialProvider for Tenants {
    type Acquire = Pin<Box<dyn Future<Output = Result<Authorization, Error>> + Send>>;

    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
        self.0[head.extensions.get::<Tenant>().unwrap().0].current()
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        Box::pin(self.0[head.extensions.get::<Tenant>().unwrap().0].acquire_for(head))
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        let verdicts = self.0.values().map(|provider| provider.reject(rejected));
        let of_its_own = verdicts.filter(|verdict| verdict.reason() != Reason::Unknown);
        of_its_own.last().unwrap_or(Verdict::new(Reason::Unknown))
    }
}

// F20, trap 15
#[tokio::test]
async fn accounts_in_one_process_are_isolated() {
    let names = ["one", "two", "three"];
    let issuers = names.map(|name| (name, Issuer::new()));
    let provider = |name| {
        let issuer: Issuer = issuers
            .iter()
            .find(|(it, _)| *it == name)
            .unwrap()
            .1
            .clone();
        CachedProvider::new(login_fn(move |request| {
            let issuer = issuer.clone();
            async move {
                use tower_bearer::Login;
                let token = issuer.login(request).await?.token().expose().to_owned();
                Ok(Credential::new(format!("{name}-{token}"))?)
            }
        }))
    };
    let tenants = Tenants(Arc::new(names.map(|name| (name, provider(name))).into()));
    let service = BearerAuthLayer::new(tenants, origins()).layer(service_fn(
        |request: Request<()>| async move {
            let sent = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .to_owned();
            let tenant = request.extensions().get::<Tenant>().unwrap().0;
            let is_mixed_up = !sent.starts_with(&format!("Bearer {tenant}-"));
            Ok::<_, std::convert::Infallible>(Response::new(is_mixed_up))
        },
    ));
    let requests: Vec<_> = (0..3_000)
        .map(|number| {
            let request = Request::get(URL).extension(Tenant(names[number % 3]));
            tokio::spawn(service.clone().oneshot(request.body(()).unwrap()))
        })
        .collect();
    let mut mix_ups = 0;
    for response in requests {
        mix_ups += usize::from(response.await.unwrap().unwrap().into_body());
    }
    let logins = issuers.map(|(_, issuer)| issuer.logins());
    println!(
        "figure: F20 trap15 accounts=3 requests=3000 logins={} mix_ups={mix_ups}",
        logins.iter().sum::<usize>()
    );
    assert_eq!((logins, mix_ups), ([1; 3], 0));
}

// F8: a background login that blocks its thread. The other thread continues with the valid token.
#[test]
fn a_login_that_blocks_its_thread_delays_no_request_with_a_valid_token() {
    without_dead_lock(|| {
        let (release, blocked) = mpsc::channel::<()>();
        let (start, has_started) = mpsc::channel();
        let script = Mutex::new((0, Some((start, blocked))));
        let login = login_fn(move |_| {
            let (number, blocking) = {
                let mut script = script.lock().unwrap();
                script.0 += 1;
                (script.0, (script.0 == 2).then(|| script.1.take().unwrap()))
            };
            async move {
                if let Some((start, blocked)) = blocking {
                    start.send(())?;
                    blocked.recv()?;
                }
                let credential = Credential::new(format!("token-{number}"))?;
                Ok(credential.with_lifetime(Duration::from_secs(1_000)))
            }
        })
        .with_session(Session::Concurrent);
        let clock = support::HandClock::new();
        let provider = CachedProvider::builder(login).clock(clock.clone()).build();
        let service = BearerAuthLayer::new(provider.clone(), origins()).layer(service_fn(
            |_: Request<()>| async { Ok::<_, std::convert::Infallible>(Response::new(())) },
        ));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            provider.acquire().await.unwrap();
            clock.advance(Duration::from_secs(950));
            service.clone().oneshot(request()).await.unwrap();
        });
        has_started.recv().unwrap();
        let (mut served, mut times) = (0, Vec::new());
        runtime.block_on(async {
            for _ in 0..1_000 {
                let start = std::time::Instant::now();
                // In a task, so it needs the free worker.
                let response = tokio::spawn(service.clone().oneshot(request()));
                served += usize::from(response.await.unwrap().is_ok());
                times.push(start.elapsed());
            }
        });
        times.sort_unstable();
        let p99 = times[990].as_micros();
        println!("figure: F8 served_meanwhile={served} p99_us~={p99}");
        assert_eq!(served, 1_000);
        release.send(()).unwrap();
    });
}
