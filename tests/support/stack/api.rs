//! A stand-in: an API whose token is the last one that its login has handed out.

use std::{
    future::{pending, ready},
    io,
    net::{Ipv4Addr, SocketAddr},
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Barrier, watch},
};
use tower_bearer::{BoxError, Credential, LoginError};

pub(crate) const LOCKED_FOR: Duration = Duration::from_secs(120);

/// How a login fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    Locked,
    Unreachable,
    TimesOut,
    Panics,
}

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    logins: AtomicUsize,
    received: AtomicUsize,
    bare: AtomicUsize,
    failure: Mutex<Option<Failure>>,
    is_revoked: AtomicBool,
    holds_logins: watch::Sender<bool>,
    holds_answers: watch::Sender<bool>,
    /// A rejection is answered when all requests have been sent with the old token: so each is rejected.
    rejected: Barrier,
}

impl Api {
    /// Rejects as many requests at once.
    pub(crate) async fn start(rejected: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = Self {
            address: listener.local_addr()?,
            state: Arc::new(State {
                logins: AtomicUsize::new(0),
                received: AtomicUsize::new(0),
                bare: AtomicUsize::new(0),
                failure: Mutex::new(None),
                is_revoked: AtomicBool::new(false),
                holds_logins: watch::Sender::new(false),
                holds_answers: watch::Sender::new(false),
                rejected: Barrier::new(rejected),
            }),
        };
        let state = api.state.clone();
        let app = Router::new().fallback(
            async move |method: Method, headers: HeaderMap, body: Bytes| {
                state.answer(&method, &headers, &body).await
            },
        );
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok(api)
    }

    pub(crate) async fn log_in(self) -> Result<Credential, BoxError> {
        match self.failure() {
            None => {}
            Some(Failure::Refused) => return Err(LoginError::permanent("wrong password").into()),
            Some(Failure::Locked) => {
                return Err(LoginError::retry_after("account locked", LOCKED_FOR).into());
            }
            Some(Failure::Unreachable) => {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
            }
            Some(Failure::TimesOut) => pending().await,
            Some(Failure::Panics) => {
                // Without a report of the panic.
                resume_unwind(Box::new("a login that panics"))
            }
        }
        release(&self.state.holds_logins).await;
        let number = self.state.logins.fetch_add(1, SeqCst) + 1;
        self.state.is_revoked.store(false, SeqCst);
        Ok(Credential::new(format!("token-{number}"))?)
    }

    pub(crate) fn logins(&self) -> usize {
        self.state.logins.load(SeqCst)
    }

    /// The number of requests that came, rejected ones included.
    pub(crate) fn received(&self) -> usize {
        self.state.received.load(SeqCst)
    }

    /// The number of requests that came without a token.
    pub(crate) fn bare(&self) -> usize {
        self.state.bare.load(SeqCst)
    }

    pub(crate) fn revoke_token(&self) {
        self.state.is_revoked.store(true, SeqCst);
    }

    pub(crate) fn fail_logins(&self, failure: Option<Failure>) {
        let last = self.state.failure.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn failure(&self) -> Option<Failure> {
        let failure = self.state.failure.lock();
        *failure.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hold_logins(&self, holds: bool) {
        self.state.holds_logins.send_replace(holds);
    }

    pub(crate) fn hold_answers(&self, holds: bool) {
        self.state.holds_answers.send_replace(holds);
    }
}

/// Waits while `holds` is true.
async fn release(holds: &watch::Sender<bool>) {
    let _ = holds.subscribe().wait_for(|holds| !holds).await;
}

impl State {
    async fn answer(&self, method: &Method, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        self.received.fetch_add(1, SeqCst);
        let kind = headers.get("content-type").map(HeaderValue::as_bytes);
        let is_grpc = kind == Some(b"application/grpc");
        let valid = format!("Bearer token-{}", self.logins.load(SeqCst));
        let Some(sent) = headers.get("authorization") else {
            self.bare.fetch_add(1, SeqCst);
            return rejection(is_grpc);
        };
        if *sent != *valid || self.is_revoked.load(SeqCst) {
            self.rejected.wait().await;
            return rejection(is_grpc);
        }
        release(&self.holds_answers).await;
        // A body that shares its stream with the first try is empty in the second.
        if *method == Method::POST && body.is_empty() {
            return respond(StatusCode::BAD_REQUEST, Body::from("{}"));
        }
        if is_grpc {
            // One empty message.
            let ok = HeaderMap::from_iter([("grpc-status", "0")].map(header));
            let message = Full::new(Bytes::from_static(&[0; 5]));
            let body = message.with_trailers(ready(Some(Ok(ok))));
            let mut response = respond(StatusCode::OK, Body::new(body));
            let (name, value) = header(("content-type", "application/grpc"));
            response.headers_mut().insert(name, value);
            return response;
        }
        let id =
            serde_json::from_slice::<Value>(body).map_or(Value::Null, |call| call["id"].clone());
        let answer = match id {
            Value::Null => json!({}),
            id => json!({ "jsonrpc": "2.0", "id": id, "result": 1 }),
        };
        let answer = match kind {
            Some(b"application/x-protobuf") => String::new(),
            _ => answer.to_string(),
        };
        respond(StatusCode::OK, Body::from(answer))
    }
}

fn rejection(is_grpc: bool) -> Response<Body> {
    if !is_grpc {
        return respond(StatusCode::UNAUTHORIZED, Body::from("{}"));
    }
    let mut response = respond(StatusCode::OK, Body::empty());
    let headers = [("content-type", "application/grpc"), ("grpc-status", "16")];
    response.headers_mut().extend(headers.map(header));
    response
}

fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn header((name, value): (&'static str, &'static str)) -> (HeaderName, HeaderValue) {
    (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}
