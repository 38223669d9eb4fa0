//! A stand-in for Quable PIM: a real HTTP server on loopback that behaves as the vendor documents.
//!
//! - A login of an account invalidates the previous token at the moment it completes.
//! - Generic tokens have full or read-only access.
//! - A token is honoured one second longer than announced.
//! - A failed login has an empty body.
//!
//! Tests, examples and benches share this file.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tower_bearer::{Clock, SystemClock};

/// The account that can log in.
pub(crate) const USER: &str = "export-job";
/// Its password.
pub(crate) const PASSWORD: &str = "correct horse \"battery\" staple";
/// A generic token for every method.
pub(crate) const FULL_ACCESS: &str = "f0112233445566778899aabbccddeeff";
/// A generic token for GET only.
pub(crate) const READ_ACCESS: &str = "0a112233445566778899aabbccddeeff";
/// The number of products at the start.
pub(crate) const PRODUCTS: usize = 240;
/// The number of products on a page.
pub(crate) const PAGE: usize = 50;

/// Counters of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Successful logins.
    pub(crate) logins: usize,
    /// Logins that were refused.
    pub(crate) refused_logins: usize,
    /// The most logins under way at once.
    pub(crate) max_logins_in_flight: usize,
    /// Responses with 2xx, without logins.
    pub(crate) ok: usize,
    /// Responses with 401, without logins.
    pub(crate) unauthorized: usize,
    /// Responses with 403.
    pub(crate) forbidden: usize,
}

/// The behaviour of the server.
pub(crate) struct Settings {
    /// The duration of a login.
    pub(crate) login_delay: Duration,
    /// `expires_in`, in seconds.
    pub(crate) expires_in: u64,
    /// Logins wait here. A test closes and opens it.
    pub(crate) login_gate: Arc<Semaphore>,
    /// Requests for products wait here before the server checks their token.
    pub(crate) request_gate: Arc<Semaphore>,
    /// The server's clock.
    pub(crate) clock: Box<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            login_delay: Duration::ZERO,
            expires_in: 3600,
            login_gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            request_gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            clock: Box::new(SystemClock),
        }
    }
}

/// The running server. Dropping it stops it.
pub(crate) struct StandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    settings: Settings,
    instance: Mutex<Instance>,
}

#[derive(Default)]
struct Instance {
    session: Option<Session>,
    logins_in_flight: usize,
    posted_products: usize,
    counts: Counts,
}

struct Session {
    token: String,
    honoured_until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Full,
    Read,
}

impl StandIn {
    /// Starts the server with its default behaviour.
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    /// Starts the server on a free port of loopback.
    pub(crate) async fn start_with(settings: Settings) -> Self {
        let shared = Arc::new(Shared {
            settings,
            instance: Mutex::default(),
        });
        let products = Router::new()
            .route("/api/products", get(list_products).post(add_product))
            .route_layer(middleware::from_fn_with_state(
                Arc::clone(&shared),
                authenticate,
            ));
        let app = Router::new()
            .route("/api_1.php/sessions", post(log_in))
            .merge(products)
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let task = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("the server runs until it is dropped");
        });
        Self {
            address,
            shared,
            task,
        }
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a page of products.
    pub(crate) fn products(&self, page: usize) -> String {
        format!("{}/api/products?page={page}", self.base_url())
    }

    /// The counters so far.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.instance().counts
    }

    /// Ends the session, like a sign-in to the web interface with the same account.
    pub(crate) fn revoke(&self) {
        self.shared.instance().session = None;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn instance(&self) -> MutexGuard<'_, Instance> {
        self.instance.lock().expect("no handler panics")
    }

    fn access_of(&self, headers: &HeaderMap) -> Option<Access> {
        let token = headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        match token {
            FULL_ACCESS => Some(Access::Full),
            READ_ACCESS => Some(Access::Read),
            _ => {
                let now = self.settings.clock.now();
                let instance = self.instance();
                let session = instance.session.as_ref()?;
                (session.token == token && now < session.honoured_until).then_some(Access::Full)
            }
        }
    }
}

/// A login under way. It is also counted down if the client disconnects.
struct LoginInFlight<'a>(&'a Shared);

impl<'a> LoginInFlight<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut instance = shared.instance();
        instance.logins_in_flight += 1;
        let most = instance.logins_in_flight;
        let counts = &mut instance.counts;
        counts.max_logins_in_flight = counts.max_logins_in_flight.max(most);
        Self(shared)
    }
}

impl Drop for LoginInFlight<'_> {
    fn drop(&mut self) {
        self.0.instance().logins_in_flight -= 1;
    }
}

async fn log_in(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Response {
    let _in_flight = LoginInFlight::new(&shared);
    if let Ok(permit) = shared.settings.login_gate.acquire().await {
        permit.forget();
    }
    tokio::time::sleep(shared.settings.login_delay).await;
    if body != json!({"signin": {"username": USER, "password": PASSWORD}}) {
        shared.instance().counts.refused_logins += 1;
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let now = shared.settings.clock.now();
    let lifetime = Duration::from_secs(shared.settings.expires_in);
    let mut instance = shared.instance();
    instance.counts.logins += 1;
    let token = made_up_token(instance.counts.logins);
    instance.session = Some(Session {
        token: token.clone(),
        honoured_until: now + lifetime + Duration::from_secs(1),
    });
    let answer = json!({
        "id": instance.counts.logins,
        "user": {"username": USER, "locale": "en_GB"},
        "oauth": {
            "access_token": token,
            "expires_in": shared.settings.expires_in,
            "refresh_token": null,
        },
    });
    (StatusCode::CREATED, Json(answer)).into_response()
}

/// 32 hexadecimal digits, like Quable's tokens, different for each login.
fn made_up_token(login: usize) -> String {
    let spread = (login as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    format!("{spread:032x}")
}

async fn authenticate(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    drop(shared.settings.request_gate.acquire().await);
    let response = match shared.access_of(request.headers()) {
        None => StatusCode::UNAUTHORIZED.into_response(),
        Some(Access::Read) if request.method() != Method::GET => {
            StatusCode::FORBIDDEN.into_response()
        }
        Some(_) => next.run(request).await,
    };
    let counts = &mut shared.instance().counts;
    match response.status() {
        StatusCode::UNAUTHORIZED => counts.unauthorized += 1,
        StatusCode::FORBIDDEN => counts.forbidden += 1,
        status if status.is_success() => counts.ok += 1,
        _ => {}
    }
    response
}

async fn list_products(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let total = PRODUCTS + shared.instance().posted_products;
    let page = query
        .get("page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(1_usize)
        .max(1);
    let first = (page - 1).saturating_mul(PAGE).min(total);
    let products: Vec<_> = (first..total.min(first.saturating_add(PAGE)))
        .map(|number| json!({"code": format!("P-{number:04}"), "label": format!("Product {number}")}))
        .collect();
    Json(json!({"page": page, "total": total, "products": products}))
}

async fn add_product(
    State(shared): State<Arc<Shared>>,
    Json(product): Json<Value>,
) -> (StatusCode, Json<Value>) {
    shared.instance().posted_products += 1;
    (StatusCode::CREATED, Json(product))
}
