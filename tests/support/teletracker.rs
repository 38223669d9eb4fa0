//! A stand-in for Teletracker: a real HTTP server on loopback that behaves as the vendor documents.
//!
//! - A login returns a token and a refresh token, each with its expiry by the server's clock, which
//!   may be wrong.
//! - A refresh token works once. A second use fails and is counted.
//! - A new pair invalidates the previous token.
//! - An expired token gets 401 or 403.
//! - It reads forms and JSON; in a login as JSON, `account_id` is a number or a string.
//!
//! Tests and examples share this file.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Form, Json, Router,
    body::{Body, Bytes},
    extract::{FromRequest, Request, State},
    http::{
        HeaderName, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body::Frame;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{net::TcpListener, task::JoinHandle};
use tower_bearer::{Clock, SystemClock};

/// The user that can log in.
pub(crate) const USER: &str = "reports@example.com";
/// The user's password.
pub(crate) const PASSWORD: &str = "p&ss w%rd=ü";
/// The header that the vendor's guide shows.
pub(crate) const AUTHENTICATION: HeaderName = HeaderName::from_static("authentication");
/// How long a refresh token lives.
pub(crate) const REFRESH_LIFETIME: Duration = Duration::from_secs(29 * 24 * 60 * 60);

/// Counters of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Successful logins.
    pub(crate) logins: usize,
    /// Logins that were rejected.
    pub(crate) refused_logins: usize,
    /// Refreshes that returned a new pair, lost answers included.
    pub(crate) refreshes: usize,
    /// Refreshes with a used token.
    pub(crate) reused_refresh_tokens: usize,
    /// Refreshes with an expired or unknown token.
    pub(crate) refused_refreshes: usize,
    /// The most logins and refreshes under way at once.
    pub(crate) max_in_flight: usize,
    /// Responses with 2xx, without logins.
    pub(crate) ok: usize,
    /// Rejections, without logins.
    pub(crate) rejected: usize,
}

impl Counts {
    /// Calls of the login and the refresh endpoint.
    pub(crate) fn token_endpoint_calls(&self) -> usize {
        self.logins
            + self.refused_logins
            + self.refreshes
            + self.reused_refresh_tokens
            + self.refused_refreshes
    }
}

/// The behaviour of the server.
pub(crate) struct Settings {
    /// `tokenLifetime`, in seconds.
    pub(crate) token_lifetime: u64,
    /// The status for an expired token.
    pub(crate) rejection: StatusCode,
    /// The header that carries the token.
    pub(crate) header_name: HeaderName,
    /// How far the server's wall clock is ahead, in seconds.
    pub(crate) clock_offset: i64,
    /// The account to which a session must be bound.
    pub(crate) account: Option<u64>,
    /// The passing of time.
    pub(crate) clock: Box<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_lifetime: 3600,
            rejection: StatusCode::UNAUTHORIZED,
            header_name: AUTHENTICATION,
            clock_offset: 0,
            account: None,
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
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    pair: Option<Pair>,
    used_refresh_tokens: Vec<String>,
    pairs: usize,
    in_flight: usize,
    answers_to_lose: usize,
    counts: Counts,
}

struct Pair {
    token: String,
    token_until: Instant,
    refresh_token: String,
    refresh_token_until: Instant,
}

impl StandIn {
    /// Starts the server on a free port of loopback.
    pub(crate) async fn start_with(settings: Settings) -> Self {
        let shared = Arc::new(Shared {
            settings,
            accounts: Mutex::default(),
        });
        let reports = Router::new()
            .route("/reports", get(|| async { Json(json!({"reports": []})) }))
            .route_layer(middleware::from_fn_with_state(
                Arc::clone(&shared),
                authenticate,
            ));
        let app = Router::new()
            .route("/auth/login", post(log_in))
            .route("/auth/refresh", post(refresh))
            .merge(reports)
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

    /// The URL of a resource.
    pub(crate) fn reports(&self) -> String {
        format!("{}/reports", self.base_url())
    }

    /// The counters so far.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.accounts().counts
    }

    /// Revokes the token, but not the refresh token.
    pub(crate) fn revoke_token(&self) {
        if let Some(pair) = &mut self.shared.accounts().pair {
            pair.token.clear();
        }
    }

    /// Loses the answer to the next refresh: the connection breaks. The refresh token is spent.
    pub(crate) fn lose_next_refresh_answer(&self) {
        self.shared.accounts().answers_to_lose += 1;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().expect("no handler panics")
    }

    /// Creates a new pair, which invalidates the previous one, and returns it.
    fn new_pair(&self, accounts: &mut Accounts) -> serde_json::Value {
        let Settings {
            token_lifetime,
            clock_offset,
            clock,
            ..
        } = &self.settings;
        let now = clock.now();
        let lifetime = Duration::from_secs(*token_lifetime);
        accounts.pairs += 1;
        let number = accounts.pairs;
        let pair = Pair {
            token: format!("c04c7ff7-{number:04}"),
            token_until: now + lifetime,
            refresh_token: format!("dff78899-{number:04}"),
            refresh_token_until: now + REFRESH_LIFETIME,
        };
        let expires_at = |lifetime: Duration| {
            let server = OffsetDateTime::from(clock.wall() + lifetime);
            rfc_3339(server + time::Duration::seconds(*clock_offset))
        };
        let answer = json!({
            "success": true,
            "guid": "71067212-0000",
            "token": pair.token,
            "tokenExpiration": expires_at(lifetime),
            "tokenLifetime": token_lifetime,
            "refreshToken": pair.refresh_token,
            "refreshTokenExpiration": expires_at(REFRESH_LIFETIME),
        });
        accounts.pair = Some(pair);
        answer
    }
}

/// In the vendor's format: `2018-04-01T21:39:12+00:00`.
fn rfc_3339(instant: OffsetDateTime) -> String {
    let second = instant.replace_nanosecond(0).expect("a second begins");
    let text = second.format(&Rfc3339).expect("a year of four digits");
    text.replace('Z', "+00:00")
}

/// A login or refresh under way. It is also counted down if the client disconnects.
struct InFlight<'a>(&'a Shared);

impl<'a> InFlight<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut accounts = shared.accounts();
        accounts.in_flight += 1;
        let most = accounts.in_flight;
        let counts = &mut accounts.counts;
        counts.max_in_flight = counts.max_in_flight.max(most);
        Self(shared)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.accounts().in_flight -= 1;
    }
}

/// The fields of a form, or of a JSON document: the vendor's documentation names neither.
struct Fields(HashMap<String, String>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let is_json = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|it| it == "application/json");
        if !is_json {
            let form = Form::from_request(request, state).await;
            return form
                .map(|Form(fields)| Self(fields))
                .map_err(IntoResponse::into_response);
        }
        let document = Json::<HashMap<String, serde_json::Value>>::from_request(request, state);
        let Json(document) = document.await.map_err(IntoResponse::into_response)?;
        let as_text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let fields = document
            .into_iter()
            .map(|(name, value)| (name, as_text(value)));
        Ok(Self(fields.collect()))
    }
}

async fn log_in(State(shared): State<Arc<Shared>>, Fields(fields): Fields) -> Response {
    let _in_flight = InFlight::new(&shared);
    tokio::task::yield_now().await;
    let mut accounts = shared.accounts();
    let field = |name: &str| fields.get(name).map(String::as_str);
    let account = shared.settings.account.map(|id| id.to_string());
    if (field("username"), field("password")) != (Some(USER), Some(PASSWORD))
        || field("account_id") != account.as_deref()
    {
        accounts.counts.refused_logins += 1;
        return Json(json!({"success": false})).into_response();
    }
    accounts.counts.logins += 1;
    Json(shared.new_pair(&mut accounts)).into_response()
}

async fn refresh(State(shared): State<Arc<Shared>>, Fields(fields): Fields) -> Response {
    let _in_flight = InFlight::new(&shared);
    tokio::task::yield_now().await;
    let now = shared.settings.clock.now();
    let mut accounts = shared.accounts();
    let sent = fields.get("refresh_token").cloned().unwrap_or_default();
    if accounts.used_refresh_tokens.contains(&sent) {
        accounts.counts.reused_refresh_tokens += 1;
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let is_good = accounts
        .pair
        .as_ref()
        .is_some_and(|pair| pair.refresh_token == sent && now < pair.refresh_token_until);
    if !is_good {
        accounts.counts.refused_refreshes += 1;
        return StatusCode::UNAUTHORIZED.into_response();
    }
    accounts.used_refresh_tokens.push(sent);
    accounts.counts.refreshes += 1;
    let answer = shared.new_pair(&mut accounts);
    if accounts.answers_to_lose > 0 {
        accounts.answers_to_lose -= 1;
        return Response::new(Body::new(Broken));
    }
    Json(answer).into_response()
}

/// A body that breaks off.
struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

async fn authenticate(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let settings = &shared.settings;
    let now = settings.clock.now();
    let other = match settings.header_name == AUTHORIZATION {
        true => AUTHENTICATION,
        false => AUTHORIZATION,
    };
    assert!(
        !request.headers().contains_key(other),
        "only one of the headers is sent"
    );
    let sent = request.headers().get(&settings.header_name);
    let token = sent
        .and_then(|sent| sent.to_str().ok()?.strip_prefix("Bearer "))
        .filter(|token| !token.is_empty());
    let is_good = {
        let accounts = shared.accounts();
        let pair = accounts.pair.as_ref();
        pair.is_some_and(|pair| token == Some(&pair.token) && now < pair.token_until)
    };
    if !is_good {
        shared.accounts().counts.rejected += 1;
        return shared.settings.rejection.into_response();
    }
    let response = next.run(request).await;
    shared.accounts().counts.ok += 1;
    response
}
