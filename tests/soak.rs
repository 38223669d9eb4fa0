//! Real sockets and the real clock at full load, for `SOAK_SECONDS` seconds: three by default, ten
//! with `TESTS=full`.
//!
//! Tokens expire and are revoked, and the server fails, hangs and drops connections, all at random.
//! Only requests that hang may be lost. Errors of the server itself are counted separately: the
//! layer cannot repair them.
//!
//! Revocations of one account are spaced. Three rejected generations in a row within five minutes
//! look like another client on the account. Logins are then a minute apart by design, and callers
//! get the rejections, which would count as failures here. A generation that lives to its expiry
//! clears the suspicion.

#[path = "support/extent.rs"]
mod extent;

use std::{
    fs,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    ops::AddAssign,
    panic,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    timeout::{Timeout, TimeoutLayer, error::Elapsed},
};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Credential, Error, Login, LoginRequest,
    Origins, ReplayEmpty, Session,
};

type Http = Client<HttpConnector, Full<Bytes>>;
type Stack = Timeout<BearerAuth<Http, CachedProvider, ReplayEmpty>>;

/// Requests under way at once.
const WORKERS: usize = 48;

/// The timeout of a caller. Only a hanging server may take so long.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a login takes.
const LOGIN: Duration = Duration::from_millis(30);

/// Growth of memory from the warm-up to the end. The allocator itself varies by about a MiB. A leak
/// of 100 bytes per request exceeds this within 42,000 requests.
const TOLERANCE_KIB: i64 = 4 * 1024;

/// One request in so many gets a 500, is dropped, or hangs.
const ONE_FAILS_IN: u32 = 100;
const ONE_IS_DROPPED_IN: u32 = 500;
const ONE_HANGS_IN: u32 = 5_000;

/// Session and lifetime of each account, in seconds; 0 for no expiry.
const ACCOUNTS: [(Session, u64); 10] = [
    (Session::Exclusive, 4),
    (Session::Exclusive, 5),
    (Session::Exclusive, 6),
    (Session::Exclusive, 7),
    (Session::Exclusive, 0),
    (Session::Concurrent, 4),
    (Session::Concurrent, 5),
    (Session::Concurrent, 6),
    (Session::Concurrent, 7),
    (Session::Concurrent, 0),
];

/// An account on the server.
struct Account {
    session: Session,
    lifetime: Duration,
    honoured: Vec<(String, Option<Instant>)>,
    revoked_at: Option<Instant>,
    revocations: u64,
    logins: u64,
    in_flight: u64,
    most_in_flight: u64,
}

impl Account {
    fn new((session, lifetime): (Session, u64)) -> Self {
        Self {
            session,
            lifetime: Duration::from_secs(lifetime),
            honoured: Vec::new(),
            revoked_at: None,
            revocations: 0,
            logins: 0,
            in_flight: 0,
            most_in_flight: 0,
        }
    }

    fn honours(&mut self, token: &str) -> bool {
        let now = Instant::now();
        self.honoured
            .retain(|(_, until)| until.is_none_or(|until| now < until));
        self.honoured.iter().any(|(honoured, _)| honoured == token)
    }

    /// Whether a revocation now does not look like another client: a generation has lived to its
    /// expiry since the last one, or, without an expiry, five minutes have passed.
    fn is_to_be_revoked(&self) -> bool {
        if self.honoured.is_empty() {
            return false;
        }
        let spacing = if self.lifetime.is_zero() {
            Duration::from_secs(5 * 60)
        } else {
            self.lifetime * 4
        };
        self.revoked_at.is_none_or(|at| at.elapsed() > spacing)
    }

    /// I4: the first login, one for each revocation, and one for each expiry. The shortest life
    /// ends with the earliest background login.
    fn most_logins(&self, elapsed: Duration) -> u64 {
        let used_for = self.lifetime.mul_f64(0.9);
        let shortest = match self.session {
            Session::Concurrent => used_for.mul_f64(0.7),
            _ => used_for,
        };
        let lives = match self.lifetime {
            Duration::ZERO => 0,
            _ => (elapsed.as_secs_f64() / shortest.as_secs_f64()) as u64,
        };
        1 + self.revocations + lives
    }
}

struct Server {
    accounts: Vec<Mutex<Account>>,
    hangs: AtomicU64,
    drops: AtomicU64,
    /// Tokens that arrived for a wrong account.
    mixed_up: AtomicU64,
}

impl Server {
    fn account(&self, number: usize) -> MutexGuard<'_, Account> {
        self.accounts[number].lock().unwrap()
    }

    async fn start() -> (Arc<Self>, SocketAddr) {
        let server = Arc::new(Self {
            accounts: ACCOUNTS
                .map(|account| Mutex::new(Account::new(account)))
                .into(),
            hangs: AtomicU64::new(0),
            drops: AtomicU64::new(0),
            mixed_up: AtomicU64::new(0),
        });
        let app = Router::new()
            .route("/{account}/login", post(log_in))
            .route("/{account}/things", get(things))
            .with_state(Arc::clone(&server));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (server, address)
    }

    /// Revokes the tokens of some account now and then.
    async fn revoke_at_random(self: Arc<Self>) {
        loop {
            sleep(Duration::from_millis(fastrand::u64(50..250))).await;
            let mut account = self.account(fastrand::usize(..ACCOUNTS.len()));
            if account.is_to_be_revoked() {
                account.honoured.clear();
                account.revoked_at = Some(Instant::now());
                account.revocations += 1;
            }
        }
    }
}

async fn log_in(State(server): State<Arc<Server>>, Path(number): Path<usize>) -> String {
    {
        let mut account = server.account(number);
        account.in_flight += 1;
        account.most_in_flight = account.most_in_flight.max(account.in_flight);
    }
    sleep(LOGIN).await;
    let mut account = server.account(number);
    account.in_flight -= 1;
    account.logins += 1;
    if account.session == Session::Exclusive {
        account.honoured.clear();
    }
    let token = format!("{number}-{}", account.logins);
    let lifetime = account.lifetime;
    let until = (!lifetime.is_zero()).then(|| Instant::now() + lifetime);
    account.honoured.push((token.clone(), until));
    token
}

async fn things(
    State(server): State<Arc<Server>>,
    Path(number): Path<usize>,
    headers: HeaderMap,
) -> StatusCode {
    let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let token = token.and_then(|it| it.strip_prefix("Bearer "));
    let token = token.unwrap_or_default();
    if !token.starts_with(&format!("{number}-")) {
        server.mixed_up.fetch_add(1, Relaxed);
    }
    let is_honoured = server.account(number).honours(token);
    if !is_honoured {
        // Half of the rejections arrive after the login that they cause.
        if fastrand::bool() {
            sleep(LOGIN * 4).await;
        }
        return StatusCode::UNAUTHORIZED;
    }
    if fastrand::u32(..ONE_HANGS_IN) == 0 {
        server.hangs.fetch_add(1, Relaxed);
        pending::<()>().await;
    }
    if fastrand::u32(..ONE_IS_DROPPED_IN) == 0 {
        server.drops.fetch_add(1, Relaxed);
        // Ends the task of the connection, without the message of the panic hook.
        panic::resume_unwind(Box::new("dropped"));
    }
    if fastrand::u32(..ONE_FAILS_IN) == 0 {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    StatusCode::OK
}

/// The login of one account.
struct AccountLogin {
    http: Http,
    url: String,
    session: Session,
    lifetime: u64,
}

impl Login for AccountLogin {
    async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
        let request = Request::post(&self.url).body(Full::default())?;
        let token = self.http.request(request).await?.collect().await?;
        let token = String::from_utf8(token.to_bytes().into())?;
        let credential = Credential::new(token)?;
        Ok(match self.lifetime {
            0 => credential,
            lifetime => credential.with_lifetime(Duration::from_secs(lifetime)),
        })
    }

    fn session(&self) -> Session {
        self.session
    }
}

/// The outcomes of requests.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    requests: u64,
    ok: u64,
    server_errors: u64,
    /// The server never answered, and the caller gave up.
    given_up: u64,
    /// The server dropped the connection.
    dropped: u64,
    /// Responses with 401, though the request could be replayed.
    rejected: u64,
    /// Errors of the layer.
    errors: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.ok += other.ok;
        self.server_errors += other.server_errors;
        self.given_up += other.given_up;
        self.dropped += other.dropped;
        self.rejected += other.rejected;
        self.errors += other.errors;
    }
}

impl Tally {
    fn count(&mut self, answer: Result<StatusCode, BoxError>) {
        self.requests += 1;
        match answer {
            Ok(StatusCode::OK) => self.ok += 1,
            Ok(StatusCode::UNAUTHORIZED) => self.rejected += 1,
            Ok(_) => self.server_errors += 1,
            Err(error) if error.is::<Elapsed>() => self.given_up += 1,
            Err(error) if error.is::<Error>() => {
                println!("an error of the layer: {error}");
                self.errors += 1;
            }
            Err(_) => self.dropped += 1,
        }
    }
}

/// Sends requests one by one, to random accounts.
async fn work(mut stacks: Vec<Stack>, urls: Arc<Vec<String>>, is_over: Arc<AtomicBool>) -> Tally {
    let mut tally = Tally::default();
    while !is_over.load(Relaxed) {
        let account = fastrand::usize(..stacks.len());
        let request = Request::get(&urls[account]).body(Full::default()).unwrap();
        // Through a long-lived service, or a clone for one request.
        let answer = if fastrand::bool() {
            ask(&mut stacks[account], request).await
        } else {
            ask(&mut stacks[account].clone(), request).await
        };
        tally.count(answer);
    }
    tally
}

async fn ask(stack: &mut Stack, request: Request<Full<Bytes>>) -> Result<StatusCode, BoxError> {
    let response = stack.ready().await?.call(request).await?;
    let (head, body) = response.into_parts();
    body.collect().await?;
    Ok(head.status)
}

/// The resident memory of the process, if the system reports it.
fn resident_kib() -> Option<i64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn under_full_load_no_request_is_lost_and_nothing_leaks() {
    let seconds = extent::amount("SOAK_SECONDS", "seconds", 3, 10);
    let length = Duration::from_secs(seconds);
    // Only the client's tasks are counted. The server has others.
    let (serving, asking) = (runtime(), runtime());
    let (server, address) = serving.block_on(Server::start());
    serving.spawn(Arc::clone(&server).revoke_at_random());
    let tasks_before = asking.metrics().num_alive_tasks();

    let began_at = Instant::now();
    let (tally, growth_kib, providers) = asking.block_on(load(address, length));
    let elapsed = began_at.elapsed();
    let (mut logins, mut bound, mut revocations, mut most_in_flight) = (0, 0, 0, 0);
    for account in &server.accounts {
        let account = account.lock().unwrap();
        let most = account.most_logins(elapsed);
        assert!(
            account.logins <= most,
            "I4: {} logins, {most} at most allowed, {:?} of {:?}",
            account.logins,
            account.session,
            account.lifetime,
        );
        logins += account.logins;
        bound += most;
        revocations += account.revocations;
        most_in_flight = most_in_flight.max(account.most_in_flight);
    }
    drop(providers);
    let tasks_left = tasks_left(&asking, tasks_before);

    let failed = tally.rejected + tally.errors;
    let (hangs, drops) = (server.hangs.load(Relaxed), server.drops.load(Relaxed));
    println!(
        "figure: soak seconds={seconds} requests~={} ok~={} logins~={logins} bound~={bound} failed={failed} rss_growth_kib~={} revocations~={revocations} server_errors~={} given_up~={} hangs~={hangs} dropped~={} drops~={drops} tasks_left={tasks_left}",
        tally.requests,
        tally.ok,
        growth_kib.map_or("unknown".to_owned(), |growth| growth.to_string()),
        tally.server_errors,
        tally.given_up,
        tally.dropped,
    );
    assert_eq!(failed, 0, "{tally:?}");
    assert_eq!(most_in_flight, 1, "I1: logins in flight");
    assert_eq!(server.mixed_up.load(Relaxed), 0, "tokens of other accounts");
    assert!(tally.given_up <= hangs, "I7: {tally:?}, {hangs} hangs");
    assert!(tally.dropped <= drops, "{tally:?}, {drops} drops");
    assert_eq!(tasks_left, 0, "I6: leaked tasks");
    if let Some(growth) = growth_kib {
        assert!(growth <= TOLERANCE_KIB, "memory grows: {growth} KiB");
    }
    assert!(
        logins > ACCOUNTS.len() as u64 && revocations > 0,
        "{tally:?}"
    );
    assert!(
        tally.ok > 0 && tally.server_errors > 0 && drops > 0,
        "{tally:?}"
    );
}

/// Full load. Returns the outcomes, the growth of memory after the first third, and the values that
/// must not be dropped yet.
async fn load(address: SocketAddr, length: Duration) -> (Tally, Option<i64>, Vec<Stack>) {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let origin = format!("http://{address}");
    let stack = |(number, (session, lifetime))| {
        let provider = CachedProvider::new(AccountLogin {
            http: http.clone(),
            url: format!("{origin}/{number}/login"),
            session,
            lifetime,
        });
        let origins = Origins::new([origin.as_str()]).unwrap();
        let layer = BearerAuthLayer::new(provider, origins).replay(ReplayEmpty);
        let authorized = layer.layer(http.clone());
        ServiceBuilder::new()
            .layer(TimeoutLayer::new(PATIENCE))
            .service(authorized)
    };
    let stacks: Vec<Stack> = ACCOUNTS.into_iter().enumerate().map(stack).collect();
    let urls = Arc::new(
        (0..ACCOUNTS.len())
            .map(|it| format!("{origin}/{it}/things"))
            .collect::<Vec<_>>(),
    );
    let is_over = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(work(
            stacks.clone(),
            Arc::clone(&urls),
            Arc::clone(&is_over),
        ));
    }
    let warm_up = length / 3;
    sleep(warm_up).await;
    let before = resident_kib();
    sleep(length - warm_up).await;
    let after = resident_kib();
    is_over.store(true, Relaxed);
    let mut tally = Tally::default();
    let ended = timeout(PATIENCE * 4, async {
        while let Some(one) = workers.join_next().await {
            tally += one.unwrap();
        }
    });
    ended.await.expect("I7: a request never ends");
    let growth = before.zip(after).map(|(before, after)| after - before);
    (tally, growth, stacks)
}

/// The tasks left on the runtime after everything was dropped and a login could have ended.
fn tasks_left(runtime: &Runtime, before: usize) -> usize {
    let began_at = Instant::now();
    loop {
        let left = runtime.metrics().num_alive_tasks().saturating_sub(before);
        if left == 0 || began_at.elapsed() > Duration::from_secs(11) {
            return left;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
