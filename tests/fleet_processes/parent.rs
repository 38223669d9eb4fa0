//! The parent of the processes: it is the server, and orders what happens by events alone.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, SystemTime},
};

use crate::{
    child::{API, ISSUER, KEY, MARK, STORE},
    issuer::{Grant, Issuer, Rules},
    stopped::wait_until_stopped,
};
use axum::{Router, extract::State, routing::get};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use tokio::runtime::{Builder, Runtime};

pub(crate) enum Event {
    /// Of the process with this number.
    Said(usize, String),
    Gone(usize),
    Login(Grant),
}

pub(crate) struct Parent {
    runtime: Runtime,
    issuer: Arc<Mutex<Issuer>>,
    addresses: [String; 2],
    folder: PathBuf,
    /// Where the store is: a folder, unless the test says otherwise.
    pub(crate) store: String,
    events: Receiver<Event>,
    sender: Sender<Event>,
    started: usize,
}

/// A process of the fleet. It is killed when it is dropped, also while it is stopped.
pub(crate) struct Process {
    pub(crate) number: usize,
    child: Child,
    lines: ChildStdin,
}

async fn data(State(issuer): State<Arc<Mutex<Issuer>>>, headers: HeaderMap) -> StatusCode {
    let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let token = token.and_then(|it| it.strip_prefix("Bearer "));
    match token.is_some_and(|token| issuer.lock().unwrap().accepts(token)) {
        true => StatusCode::OK,
        false => StatusCode::UNAUTHORIZED,
    }
}

impl Parent {
    pub(crate) fn new(rules: Rules) -> Self {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-bearer-fleet-{}-{number}", std::process::id());
        // In memory, if there is such a folder: a disk that needs seconds to synchronize counts as a store that fails.
        let memory = PathBuf::from("/dev/shm");
        let above = memory.is_dir().then_some(memory);
        let folder = above.unwrap_or_else(env::temp_dir).join(name);
        fs::create_dir(&folder).unwrap();

        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let issuer = Arc::new(Mutex::new(Issuer::new(rules)));
        let api = runtime
            .block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let logins = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addresses = [api.local_addr().unwrap(), logins.local_addr().unwrap()];
        let router = Router::new()
            .route("/data", get(data))
            .with_state(Arc::clone(&issuer));
        runtime.spawn(async move { axum::serve(api, router).await });
        let (sender, events) = mpsc::channel();
        let grants = sender.clone();
        thread::spawn(move || {
            for stream in logins.incoming() {
                // A killed process may leave half a request.
                if let Ok(grant) = Grant::read(stream.unwrap())
                    && grants.send(Event::Login(grant)).is_err()
                {
                    break;
                }
            }
        });
        Self {
            runtime,
            issuer,
            addresses: addresses.map(|address| format!("http://{address}")),
            store: folder.join("store").display().to_string(),
            folder,
            events,
            sender,
            started: 0,
        }
    }

    pub(crate) fn issuer(&self) -> MutexGuard<'_, Issuer> {
        self.issuer.lock().unwrap()
    }

    /// The token and the refresh token in the store.
    pub(crate) fn stored(&self) -> Option<(String, Option<String>)> {
        let _context = self.runtime.enter();
        let store = crate::open_store(&self.store);
        let stored = self.runtime.block_on(store.read(*KEY)).unwrap()?;
        let record = stored.open(*KEY, None).unwrap();
        let credential = record.credential(SystemTime::now());
        let refresh_token = credential.refresh_token();
        let refresh_token = refresh_token.map(|it| it.expose().to_owned());
        Some((credential.token().expose().to_owned(), refresh_token))
    }

    pub(crate) fn stored_refresh_token(&self) -> Option<String> {
        self.stored()?.1
    }

    pub(crate) fn start(&mut self) -> Process {
        self.start_with(&[], |_| {})
    }

    /// Starts a process by way of this program, which runs what follows its arguments. Waits until it is ready.
    pub(crate) fn start_with(
        &mut self,
        through: &[&str],
        settings: impl FnOnce(&mut Command),
    ) -> Process {
        let process = self.spawn(through, settings);
        self.until(|event| matches!(event, Event::Said(_, said) if said == "started"));
        process
    }

    pub(crate) fn spawn(
        &mut self,
        through: &[&str],
        settings: impl FnOnce(&mut Command),
    ) -> Process {
        let program = env::current_exe().unwrap();
        let mut command = match through.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        let [api, issuer] = &self.addresses;
        command
            .args([
                "child::client",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(API, api)
            .env(ISSUER, issuer)
            .env(STORE, &self.store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        settings(&mut command);
        let mut child = command.spawn().unwrap();
        let (out, sender) = (child.stdout.take().unwrap(), self.sender.clone());
        self.started += 1;
        let number = self.started;
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // The harness prints before the first of them.
                if let Some((_, said)) = line.split_once(MARK) {
                    let _ = sender.send(Event::Said(number, said.to_owned()));
                }
            }
            let _ = sender.send(Event::Gone(number));
        });
        let lines = child.stdin.take().unwrap();
        Process {
            number,
            child,
            lines,
        }
    }

    pub(crate) fn event(&self) -> Event {
        // Long enough for the busiest machine: it ends a test that would hang.
        self.events.recv_timeout(Duration::from_secs(300)).unwrap()
    }

    /// The next event of this kind. Others are passed over.
    pub(crate) fn until(&self, mut is_it: impl FnMut(&Event) -> bool) -> Event {
        loop {
            let event = self.event();
            if is_it(&event) {
                return event;
            }
        }
    }

    pub(crate) fn until_login(&self) -> Grant {
        match self.until(|event| matches!(event, Event::Login(_))) {
            Event::Login(grant) => grant,
            _ => unreachable!(),
        }
    }

    /// Waits until this process says something that begins so, and returns the rest.
    pub(crate) fn until_said(&self, process: &Process, beginning: &str) -> String {
        let event = self.until(|event| {
            matches!(event, Event::Said(number, said)
                if *number == process.number && said.starts_with(beginning))
        });
        match event {
            Event::Said(_, said) => said[beginning.len()..].to_owned(),
            _ => unreachable!(),
        }
    }

    /// Processes a login, and answers it.
    pub(crate) fn answer(&self, grant: Grant) {
        let answer = self.issuer().process(grant.refresh_token.as_deref());
        grant.answer(&answer);
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Process {
    pub(crate) fn tell(&mut self, line: &str) {
        // It may be dead.
        let _ = writeln!(self.lines, "{line}");
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn stop(&self) {
        self.signal("-STOP");
        wait_until_stopped(&self.child.id().to_string());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
