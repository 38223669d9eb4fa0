//! A stand-in for an API that allows one session per account, as Quable PIM documents it.
//!
//! - Each login revokes the account's previous token, at the moment the login completes.
//! - A generic token for reading gets 403 for everything else.
//!
//! There is nothing to copy here. The server listens on loopback and reads a clock that the
//! example sets.

use std::{
    mem,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{any, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Barrier, task::JoinHandle, time::sleep};
use tower_bearer::{Clock, test_util::TestClock};

pub(crate) const USER: &str = "export-job";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// A generic token for reading.
pub(crate) const READ_ACCESS: &str = "0a112233445566778899aabbccddeeff";
/// How long a token is valid.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// How long the API needs for a login.
const LOGIN_DELAY: Duration = Duration::from_millis(50);

/// What the server has seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Completed logins.
    pub(crate) logins: usize,
    /// Requests that got a 401.
    pub(crate) rejected: usize,
    /// The most logins that were running at once.
    pub(crate) max_logins_in_flight: usize,
}

/// The running server. It stops when this is dropped.
pub(crate) struct StandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    clock: TestClock,
    account: Mutex<Account>,
}

#[derive(Default)]
struct Account {
    session: Option<Session>,
    last_session: u32,
    logins_in_flight: usize,
    held: Option<Arc<Barrier>>,
    counts: Counts,
}

struct Session {
    token: String,
    expires: Instant,
}

impl StandIn {
    /// Starts the server on a free port.
    pub(crate) async fn start(clock: &TestClock) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            account: Mutex::default(),
        });
        let app = Router::new()
            .route("/api_1.php/sessions", post(log_in))
            .route("/api/products", any(products))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async {
            axum::serve(listener, app)
                .await
                .expect("the server runs until it is dropped");
        });
        Ok(Self {
            address,
            shared,
            server,
        })
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the server has seen since the previous call.
    pub(crate) fn take_counts(&self) -> Counts {
        mem::take(&mut self.shared.account().counts)
    }

    /// Ends the session, as a sign-in to the web interface with the same account does.
    pub(crate) fn revoke(&self) {
        self.shared.account().session = None;
    }

    /// Holds the next requests until `count` of them have arrived.
    pub(crate) fn hold(&self, count: usize) -> Held<'_> {
        let barrier = Arc::new(Barrier::new(count + 1));
        self.shared.account().held = Some(Arc::clone(&barrier));
        Held {
            shared: &self.shared,
            barrier,
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Requests that the server holds before it looks at their tokens.
pub(crate) struct Held<'a> {
    shared: &'a Shared,
    barrier: Arc<Barrier>,
}

impl Held<'_> {
    /// Waits until all of them have arrived, lets `event` happen and then lets them go on.
    pub(crate) async fn then(self, event: impl FnOnce()) {
        self.barrier.wait().await;
        event();
        self.shared.account().held = None;
        self.barrier.wait().await;
    }
}

impl Shared {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().expect("no handler panics")
    }

    fn status_for(&self, method: &Method, headers: &HeaderMap) -> StatusCode {
        let sent = headers.get(AUTHORIZATION);
        let token = sent.and_then(|sent| sent.to_str().ok()?.strip_prefix("Bearer "));
        if token == Some(READ_ACCESS) {
            return match *method {
                Method::GET => StatusCode::OK,
                _ => StatusCode::FORBIDDEN,
            };
        }
        let now = self.clock.now();
        let mut account = self.account();
        let session = account.session.as_ref();
        if session.is_some_and(|session| token == Some(&session.token) && now < session.expires) {
            StatusCode::OK
        } else {
            account.counts.rejected += 1;
            StatusCode::UNAUTHORIZED
        }
    }
}

async fn products(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
) -> StatusCode {
    let held = shared.account().held.clone();
    if let Some(barrier) = held {
        barrier.wait().await; // the request has arrived
        barrier.wait().await; // the event has happened
    }
    shared.status_for(&method, &headers)
}

async fn log_in(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Response {
    if body != json!({"signin": {"username": USER, "password": PASSWORD}}) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    {
        let mut account = shared.account();
        account.logins_in_flight += 1;
        let (running, counts) = (account.logins_in_flight, &mut account.counts);
        counts.max_logins_in_flight = counts.max_logins_in_flight.max(running);
    }
    sleep(LOGIN_DELAY).await;
    let mut account = shared.account();
    account.logins_in_flight -= 1;
    account.counts.logins += 1;
    account.last_session += 1;
    let token = format!("{:032x}", account.last_session);
    let answer = json!({
        "oauth": {"access_token": token, "expires_in": LIFETIME.as_secs()},
    });
    // The previous session ends here.
    account.session = Some(Session {
        token,
        expires: shared.clock.now() + LIFETIME,
    });
    (StatusCode::CREATED, Json(answer)).into_response()
}
