//! Processes that rotate refresh tokens are killed, and the next ones go on with what their store has.
//!
//! The parent is the issuer. It runs this program again as the client, whose store is that of the
//! guide's page on shutdown. The client says each point that it reaches and waits there; so the parent
//! kills it at moments that events choose, never the time.

#[path = "support/extent.rs"]
mod extent;

use std::{
    collections::HashSet,
    convert::Infallible,
    env,
    error::Error,
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read, Write, stdin, stdout},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio, exit},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::sync::oneshot;
use tower_bearer::{BoxError, CachePolicy, CachedProvider, HttpLogin, RefreshToken};

const SEED: u64 = 11;

/// The variables that make this program a client.
const STORE: &str = "KILLS_STORE";
const ISSUER: &str = "KILLS_ISSUER";
const WRITES_AHEAD: &str = "KILLS_WRITES_AHEAD";

// ===== the moments =====

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The first refresh gets no connection.
    NoConnection,
    /// The first refresh gets a 503.
    Unavailable,
}

/// A moment of a kill, and whether the store then has a refresh token. `None`: as before.
struct Moment {
    name: &'static str,
    has_token: Option<bool>,
    needs: Fault,
}

const fn at_moment(name: &'static str, has_token: Option<bool>) -> Moment {
    Moment {
        name,
        has_token,
        needs: Fault::None,
    }
}

const fn after_failure(name: &'static str, has_token: bool, needs: Fault) -> Moment {
    Moment {
        name,
        has_token: Some(has_token),
        needs,
    }
}

const MOMENTS: [Moment; 21] = [
    at_moment("started", None),
    at_moment("before the write-ahead", Some(true)),
    at_moment("after the write-ahead", Some(false)),
    at_moment("before the send", Some(false)),
    at_moment("received", Some(false)),
    at_moment("processed", Some(false)),
    at_moment("half answered", Some(false)),
    at_moment("answered", Some(false)),
    at_moment("before the write", Some(false)),
    at_moment("half written", Some(false)),
    at_moment("before the rename", Some(false)),
    at_moment("after the write", Some(true)),
    at_moment("idle", Some(true)),
    after_failure("unsent: before the write", false, Fault::NoConnection),
    after_failure("unsent: half written", false, Fault::NoConnection),
    after_failure("unsent: before the rename", false, Fault::NoConnection),
    after_failure("unsent: after the write", true, Fault::NoConnection),
    after_failure("unsent: before the write", false, Fault::Unavailable),
    after_failure("unsent: half written", false, Fault::Unavailable),
    after_failure("unsent: before the rename", false, Fault::Unavailable),
    after_failure("unsent: after the write", true, Fault::Unavailable),
];

// ===== the client =====

/// Says that the client has reached a point, and waits for the parent's word.
fn at(point: &str) -> String {
    let mut out = stdout();
    writeln!(out, "at: {point}").unwrap();
    out.flush().unwrap();
    let mut word = String::new();
    if stdin().read_line(&mut word).unwrap_or(0) == 0 {
        exit(1); // the parent is gone
    }
    word.trim().to_owned()
}

type Job = Box<dyn FnOnce() + Send>;

/// The store of the guide, with points.
#[derive(Clone)]
struct Store {
    path: PathBuf,
    jobs: Sender<Job>,
}

impl Store {
    fn new(path: PathBuf) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::spawn(move || queue.into_iter().for_each(|job| job()));
        Self { path, jobs }
    }

    fn queue(
        &self,
        write: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> oneshot::Receiver<io::Result<()>> {
        let (path, (done, outcome)) = (self.path.clone(), oneshot::channel());
        let job: Job = Box::new(move || drop(done.send(write(&path))));
        self.jobs.send(job).unwrap();
        outcome
    }

    fn keep(&self, refresh_token: &RefreshToken, prefix: &'static str) {
        let refresh_token = refresh_token.clone();
        drop(self.queue(move |path| keep(path, &refresh_token, prefix)));
    }
}

fn keep(path: &Path, refresh_token: &RefreshToken, prefix: &str) -> io::Result<()> {
    let at = |point| at(&format!("{prefix}{point}"));
    at("before the write");
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    let (half, rest) = refresh_token.expose().as_bytes().split_at(3);
    file.write_all(half)?;
    file.sync_all()?;
    at("half written");
    file.write_all(rest)?;
    file.sync_all()?;
    at("before the rename");
    fs::rename(&temporary, path)?;
    at("after the write");
    Ok(())
}

fn forget(path: &Path) -> io::Result<()> {
    at("before the write-ahead");
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    at("after the write-ahead");
    Ok(())
}

fn provider(store: &Store, issuer: &str, writes_ahead: bool) -> Result<CachedProvider, BoxError> {
    let http: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let unconnected = Client::builder(TokioExecutor::new()).build(tower::service_fn(|_: Uri| {
        let error = io::Error::other("no route");
        std::future::ready(Err::<TokioIo<tokio::net::TcpStream>, _>(error))
    }));
    let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (http, unconnected) = (http.clone(), unconnected.clone());
        async move {
            let is_refresh = request.uri().path() == "/refresh";
            let fails = at(if is_refresh {
                "before the send"
            } else {
                "logs in"
            }) == "fail";
            let response = match fails {
                true => unconnected.request(request).await?,
                false => http.request(request).await?,
            };
            at("answered");
            Ok::<_, BoxError>(response)
        }
    });
    let login = HttpLogin::new(client, &format!("{issuer}/login"), "{}")?
        .refresh_token_at("/refresh_token")
        .refresh_by(&format!("{issuer}/refresh"), |token| {
            token.expose().to_owned()
        })?;
    // On a busy machine, nothing may be overdue.
    let policy = CachePolicy::default().login_timeout(Duration::from_secs(3600));
    let (stored, unspent) = (store.clone(), store.clone());
    let mut builder = CachedProvider::builder(login)
        .policy(policy)
        .on_credential(move |credential| {
            if let Some(refresh_token) = credential.refresh_token() {
                stored.keep(refresh_token, "");
            }
        })
        .on_unspent(move |refresh_token| unspent.keep(refresh_token, "unsent: "));
    if writes_ahead {
        let ahead = store.clone();
        builder = builder.before_refresh(move |_| {
            let removal = ahead.queue(forget);
            async move { Ok(removal.await??) }
        });
    }
    if let Ok(refresh_token) = fs::read_to_string(&store.path) {
        builder = builder.starting_with_refresh_token(refresh_token);
    }
    Ok(builder.build())
}

/// What the killed processes run. As a test of its own it does nothing.
#[test]
fn client() -> Result<(), BoxError> {
    let Ok(path) = env::var(STORE) else {
        return Ok(());
    };
    at("started");
    let store = Store::new(path.into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let writes_ahead = env::var(WRITES_AHEAD)? == "true";
        let provider = provider(&store, &env::var(ISSUER)?, writes_ahead)?;
        loop {
            let _may_fail = provider.acquire().await;
            store.queue(|_| Ok(())).await??;
            at("idle");
            provider.reset(); // the next login refreshes, and no pause delays it
        }
    })
}

// ===== the issuer and the parent =====

enum Event {
    /// Of the process with this number.
    Point(u64, String),
    Gone(u64),
    Grant(Grant),
}

/// A request at the issuer, before it is processed.
struct Grant {
    stream: TcpStream,
    /// `None` for a full login.
    refresh_token: Option<String>,
}

impl Grant {
    fn read(mut stream: TcpStream) -> io::Result<Self> {
        let mut text = String::new();
        let mut reader = BufReader::new(&mut stream);
        while !text.ends_with("\r\n\r\n") {
            if reader.read_line(&mut text)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        reader.read_exact(&mut body)?;
        let refresh_token = text
            .starts_with("POST /refresh ")
            .then(|| String::from_utf8(body).unwrap());
        Ok(Self {
            stream,
            refresh_token,
        })
    }

    fn answer(mut self, status: &str, body: &str, length: usize) {
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
        let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
        self.stream.write_all(answer.as_bytes()).unwrap();
    }
}

/// Rotates refresh tokens: each is good for one use.
#[derive(Default)]
struct Issuer {
    issued: u64,
    used: HashSet<String>,
    second_uses: u64,
    refreshes: u64,
    full_logins: u64,
}

impl Issuer {
    /// The answer to a grant.
    fn process(&mut self, refresh_token: Option<&str>) -> Result<String, &'static str> {
        match refresh_token {
            None => self.full_logins += 1,
            Some(token) if self.used.insert(token.to_owned()) => self.refreshes += 1,
            Some(_) => {
                self.second_uses += 1;
                return Err(r#"{"error":"invalid_grant"}"#);
            }
        }
        self.issued += 1;
        let number = self.issued;
        Ok(format!(
            r#"{{"access_token":"a{number}","refresh_token":"refresh-{number}"}}"#
        ))
    }
}

struct Parent {
    issuer: Issuer,
    address: String,
    store: PathBuf,
    writes_ahead: bool,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// Processes whose first grant was a refresh, with a token of a killed process.
    goes_on: u64,
}

/// Deletes the folder at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Parent {
    fn new(folder: &Folder, writes_ahead: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, events) = mpsc::channel();
        let grants = sender.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A killed client may leave half a request.
                if let Ok(grant) = Grant::read(stream.unwrap())
                    && grants.send(Event::Grant(grant)).is_err()
                {
                    break;
                }
            }
        });
        Self {
            issuer: Issuer::default(),
            address,
            store: folder.0.join(format!("store-{writes_ahead}")),
            writes_ahead,
            events,
            sender,
            goes_on: 0,
        }
    }

    fn start(&self, life: u64) -> (Child, ChildStdin) {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["client", "--exact", "--nocapture", "--test-threads=1"])
            .env(STORE, &self.store)
            .env(ISSUER, &self.address)
            .env(WRITES_AHEAD, self.writes_ahead.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, sender) = (child.stdout.take().unwrap(), self.sender.clone());
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // The harness prints before the first point.
                if let Some((_, point)) = line.split_once("at: ") {
                    let _ = sender.send(Event::Point(life, point.to_owned()));
                }
            }
            let _ = sender.send(Event::Gone(life));
        });
        let words = child.stdin.take().unwrap();
        (child, words)
    }

    fn stored(&self) -> Option<String> {
        fs::read_to_string(&self.store).ok()
    }

    /// Runs one process up to this occurrence of the moment, and kills it there.
    fn live(&mut self, life: u64, moment: &Moment, fault: Fault, mut occurrence: usize) {
        let begins_with = self.stored();
        let mut first_grant = None;
        let mut fault = fault;
        let (mut child, mut words) = self.start(life);
        let mut is_moment = |point: &str| {
            occurrence -= usize::from(point == moment.name);
            occurrence == 0
        };
        loop {
            // Long enough for the busiest machine: it ends a test that would hang.
            match self.events.recv_timeout(Duration::from_secs(300)).unwrap() {
                Event::Point(of, point) if of == life => {
                    if is_moment(&point) {
                        break;
                    }
                    let fails = fault == Fault::NoConnection && point == "before the send";
                    if fails {
                        fault = Fault::None;
                    }
                    writeln!(words, "{}", if fails { "fail" } else { "go" }).unwrap();
                }
                Event::Gone(of) if of == life => panic!("the client has failed"),
                Event::Point(..) | Event::Gone(_) => {} // of a process that was killed
                Event::Grant(grant) => {
                    let refresh_token = grant.refresh_token.clone();
                    first_grant.get_or_insert_with(|| refresh_token.clone());
                    if is_moment("received") {
                        break;
                    }
                    if fault == Fault::Unavailable && refresh_token.is_some() {
                        fault = Fault::None;
                        grant.answer("503 Service Unavailable", "", 0);
                        continue;
                    }
                    let answer = self.issuer.process(refresh_token.as_deref());
                    if is_moment("processed") {
                        break;
                    }
                    match answer {
                        Ok(answer) if is_moment("half answered") => {
                            grant.answer("200 OK", &answer[..answer.len() / 2], answer.len());
                            break;
                        }
                        Ok(answer) => grant.answer("200 OK", &answer, answer.len()),
                        Err(answer) => grant.answer("400 Bad Request", answer, answer.len()),
                    }
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if let Some(first_grant) = first_grant {
            assert_eq!(first_grant, begins_with, "it goes on with what it finds");
            self.goes_on += u64::from(first_grant.is_some());
        }
        if self.writes_ahead {
            let stored = self.stored();
            let has_token = moment.has_token.unwrap_or(begins_with.is_some());
            assert_eq!(stored.is_some(), has_token, "{}", moment.name);
            assert!(stored.is_none_or(|token| !self.issuer.used.contains(&token)));
        }
    }

    /// Kills so many processes, spread over the moments that there are.
    fn kill(&mut self, kills: u64) -> usize {
        let mut random = fastrand::Rng::with_seed(SEED);
        let moments = MOMENTS.iter();
        let moments = moments.filter(|it| self.writes_ahead || !it.name.contains("write-ahead"));
        let mut order: Vec<_> = moments.collect();
        let count = order.len();
        order = order.into_iter().cycle().take(kills as usize).collect();
        random.shuffle(&mut order);
        for (life, moment) in (0..).zip(order) {
            let (fault, occurrence) = match moment.needs {
                Fault::None => {
                    let faults = [Fault::None, Fault::NoConnection, Fault::Unavailable];
                    (random.choice(faults).unwrap(), random.usize(1..=2))
                }
                fault => (fault, 1),
            };
            let occurrence = if moment.name == "started" {
                1
            } else {
                occurrence
            };
            self.live(life, moment, fault, occurrence);
        }
        count
    }
}

// L6, S13, I2
#[test]
fn no_refresh_token_is_used_twice_across_kills() {
    let folder = env::temp_dir().join(format!("tower-bearer-kills-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let folder = Folder(folder);
    let kills = extent::amount("KILLS", "kills", 84, 1000);
    let mut parent = Parent::new(&folder, true);
    let moments = parent.kill(kills);
    let Issuer {
        second_uses,
        refreshes,
        full_logins,
        ..
    } = parent.issuer;
    assert_eq!(second_uses, 0);
    assert!(
        parent.goes_on > kills / 8,
        "not by logging in each time: {}",
        parent.goes_on
    );

    // Without the write-ahead, the same kills do harm.
    let without = kills / 10;
    let mut careless = Parent::new(&folder, false);
    careless.kill(without);
    let without_second_uses = careless.issuer.second_uses;
    assert!(without_second_uses > 0);
    println!(
        "figure: kills L6-across_kills kills={kills} moments={moments} second_uses={second_uses} \
         processes_that_went_on={} refreshes={refreshes} full_logins={full_logins} \
         kills_without_write_ahead={without} second_uses_then={without_second_uses}",
        parent.goes_on
    );
}

/// What the guide says of a runtime that is dropped.
#[test]
fn a_dropped_runtime_leaves_a_refresh_token_that_was_not_taken() -> Result<(), Box<dyn Error>> {
    for is_taken in [false, true] {
        let (sender, unspent) = mpsc::channel();
        let login = tower_bearer::login_fn(move |mut request| async move {
            let _taken = is_taken.then(|| request.take_refresh_token());
            std::future::pending::<Result<_, BoxError>>().await
        });
        let provider = CachedProvider::builder(login)
            .on_unspent(move |token| sender.send(token.expose().to_owned()).unwrap())
            .starting_with_refresh_token("r1")
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        runtime.block_on(async {
            let mut waiter = tokio_test::task::spawn(provider.acquire());
            assert!(waiter.poll().is_pending());
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(())
        })?;
        assert!(unspent.try_recv().is_err());
        drop(runtime);
        assert_eq!(
            unspent.try_recv().ok(),
            (!is_taken).then(|| "r1".to_owned())
        );
    }
    Ok(())
}
