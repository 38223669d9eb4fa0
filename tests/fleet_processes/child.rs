//! What the processes of a fleet run.
//!
//! The parent tells a process what to do by lines on its standard input, and the process tells the parent what it
//! does: each line has a [`MARK`], for the harness prints others.

use std::{
    env,
    error::Error,
    io::stdin,
    pin::Pin,
    process::exit,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    runtime::Builder,
    sync::{Mutex, mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::advance,
};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachePolicy, CachedProvider, CredentialEvent, HttpLogin,
    Origins, ReplayEmpty, Session,
    store::{
        CredentialStore, Lock, LockAttempt, Publication, RecordKey, Revision, SealedRecord,
        SharedAccount, StoreError, StoreFuture, Stored,
    },
};

pub(crate) const MARK: &str = "at: ";

/// The variables that make this program a process of a fleet.
pub(crate) const API: &str = "FLEET_API";
pub(crate) const ISSUER: &str = "FLEET_ISSUER";
/// Where the store is.
pub(crate) const STORE: &str = "FLEET_STORE";
/// If it is set, the process waits for a line at each step of the store.
pub(crate) const STEPS: &str = "FLEET_STEPS";
/// What a process says if a request calls the store itself.
pub(crate) const FROM_REQUEST: &str = "a request calls the store";

/// On a busy machine, no login may be overdue. The lease of a lock is a little longer.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(3600);

/// What passes before each command, so that revocations do not look like those by another program.
const BETWEEN: Duration = Duration::from_secs(600);

pub(crate) static KEY: LazyLock<RecordKey> =
    LazyLock::new(|| RecordKey::new("https://api.example", "importer", ""));

type Http = Client<HttpConnector, Full<Bytes>>;
type Stack = BearerAuth<Http, CachedProvider, ReplayEmpty>;

fn say(what: &str) {
    println!("{MARK}{what}");
}

tokio::task_local! {
    /// In the tasks of the requests.
    static REQUEST: ();
}

/// Whether the clock runs: while this process waits for the lock of another one, or for as long as the parent says.
#[derive(Clone)]
struct ClockRuns {
    always: Arc<AtomicBool>,
    now: watch::Sender<bool>,
}

impl ClockRuns {
    fn always(&self, always: bool) {
        self.always.store(always, Ordering::Relaxed);
        self.now.send_replace(always);
    }

    fn while_waiting(&self, waits: bool) {
        self.now
            .send_replace(waits || self.always.load(Ordering::Relaxed));
    }
}

/// A process's end of the conversation with the parent, and its Tokio clock.
#[derive(Clone)]
struct Told {
    store: Arc<dyn CredentialStore>,
    lines: Arc<Mutex<mpsc::UnboundedReceiver<String>>>,
    has_steps: bool,
    clock_runs: ClockRuns,
}

impl Told {
    /// The next line of the parent. Without a parent, the process ends.
    async fn line(&self) -> String {
        let line = self.lines.lock().await.recv().await;
        line.unwrap_or_else(|| exit(0))
    }

    async fn step(&self, when: &str, what: &str) {
        if self.has_steps {
            say(&format!("step {when} {what}"));
            self.line().await;
        }
    }

    async fn call<T>(&self, what: &str, call: StoreFuture<'_, T>) -> Result<T, StoreError> {
        if REQUEST.try_with(|()| ()).is_ok() {
            say(FROM_REQUEST);
        }
        self.clock_runs.while_waiting(false);
        self.step("before", what).await;
        let outcome = call.await;
        self.step("after", what).await;
        outcome
    }

    /// The clock stands still, so that no answer is late on a busy machine, unless [`ClockRuns`].
    async fn run_clock(self) {
        let mut runs = self.clock_runs.now.subscribe();
        while runs.wait_for(|runs| *runs).await.is_ok() {
            let start = Instant::now();
            spawn_blocking(|| thread::sleep(Duration::from_millis(5)))
                .await
                .unwrap();
            if *runs.borrow() {
                advance(start.elapsed()).await;
            }
        }
    }
}

impl CredentialStore for Told {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(self.call("read", self.store.read(key)))
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        Box::pin(async move {
            let attempt = self.call("lock", self.store.lock(key, lease)).await;
            if let Ok(LockAttempt::Held) = attempt {
                say("waits");
                self.clock_runs.while_waiting(true);
            }
            attempt
        })
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        Box::pin(self.call("publish", self.store.publish(lock, previous, record)))
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        Box::pin(self.call("remove", self.store.remove(lock)))
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        Box::pin(self.call("unlock", self.store.unlock(lock)))
    }

    fn changed(&self, key: RecordKey) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        self.store.changed(key).filter(|_| crate::HEARS_OF_CHANGES)
    }
}

fn provider(told: Told, http: Http) -> Result<CachedProvider, BoxError> {
    let issuer = env::var(ISSUER)?;
    let login = HttpLogin::new(http, &format!("{issuer}/login"), "{}")?
        .refresh_token_at("/refresh_token")
        .refresh_by(&format!("{issuer}/refresh"), |token| {
            token.expose().to_owned()
        })?
        .with_session(Session::Exclusive);
    Ok(CachedProvider::builder(login)
        .policy(CachePolicy::default().login_timeout(LOGIN_TIMEOUT))
        .shared(SharedAccount::new(told, *KEY))
        .on_event(|event| match event {
            CredentialEvent::StoreFailed { error, .. } => {
                say(&format!("store failed{}", all_of(error)));
            }
            CredentialEvent::StoreRecovered => say("store recovered"),
            _ => {}
        })
        .build())
}

/// The texts of an error and of all that have caused it.
fn all_of(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

async fn request(stack: Stack, url: Arc<str>) -> bool {
    let request = Request::get(&*url).body(Full::default()).unwrap();
    let status = match stack.oneshot(request).await {
        Ok(response) => {
            let (head, body) = response.into_parts();
            body.collect().await.map(|_| head.status)
        }
        Err(error) => {
            say(&format!("failed{}", all_of(&*error)));
            return false;
        }
    };
    match status {
        Ok(StatusCode::OK) => true,
        other => {
            say(&format!("failed: {other:?}"));
            false
        }
    }
}

async fn run(
    lines: mpsc::UnboundedReceiver<String>,
    clock_runs: ClockRuns,
) -> Result<(), BoxError> {
    let told = Told {
        store: crate::open_store(&env::var(STORE)?),
        lines: Arc::new(Mutex::new(lines)),
        has_steps: env::var_os(STEPS).is_some(),
        clock_runs,
    };
    tokio::spawn(told.clone().run_clock());
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let api = env::var(API)?;
    let layer = BearerAuthLayer::new(
        provider(told.clone(), http.clone())?,
        Origins::new([api.as_str()])?,
    );
    let stack = layer.replay(ReplayEmpty).layer(http);
    let url = Arc::from(format!("{api}/data"));
    say("started");
    loop {
        let line = told.line().await;
        // How many requests, and after how many seconds.
        let mut words = line.strip_prefix("call ").unwrap().split(" after ");
        let count = words.next().unwrap().parse()?;
        let pause = words.next().map(|seconds| seconds.parse()).transpose()?;
        advance(pause.map_or(BETWEEN, Duration::from_secs)).await;
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(REQUEST.scope((), request(stack.clone(), Arc::clone(&url))));
        }
        let outcomes = tasks.join_all().await;
        let failed = outcomes.iter().filter(|is_ok| !**is_ok).count();
        say(&format!("done {failed}"));
    }
}

/// What the processes run. As a test of its own it does nothing.
#[test]
fn client() -> Result<(), BoxError> {
    if env::var_os(API).is_none() {
        return Ok(());
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(2) // one for the lines, and one for the steps of the store
        .build()?;
    runtime.block_on(async {
        let (sender, lines) = mpsc::unbounded_channel();
        let clock_runs = ClockRuns {
            always: Arc::default(),
            now: watch::Sender::new(false),
        };
        let clock = clock_runs.clone();
        // While a thread blocks, a paused clock does not advance by itself.
        spawn_blocking(move || {
            for line in stdin().lines().map_while(Result::ok) {
                match &*line {
                    // Also while requests are in flight.
                    "clock runs" => clock.always(true),
                    "clock stands" => clock.always(false),
                    _ => drop(sender.send(line)),
                }
            }
            exit(0); // the parent is gone
        });
        run(lines, clock_runs).await
    })
}
