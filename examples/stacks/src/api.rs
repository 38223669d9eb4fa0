//! A stand-in: an API whose token is the last one that its login has handed out.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    http::{HeaderMap, Method, StatusCode},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Barrier};
use tower_bearer::{BoxError, Credential, LoginError};

use crate::REQUESTS;

#[derive(Clone)]
pub struct Api {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    logins: AtomicUsize,
    received: AtomicUsize,
    is_offline: AtomicBool,
    is_revoked: AtomicBool,
    /// A rejection is answered when all requests have been sent with the old token: so each is rejected.
    rejected: Barrier,
}

impl Api {
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = Self {
            address: listener.local_addr()?,
            state: Arc::new(State {
                logins: AtomicUsize::new(0),
                received: AtomicUsize::new(0),
                is_offline: AtomicBool::new(false),
                is_revoked: AtomicBool::new(false),
                rejected: Barrier::new(REQUESTS),
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

    pub async fn log_in(self) -> Result<Credential, BoxError> {
        if self.state.is_offline.load(SeqCst) {
            return Err(LoginError::permanent("wrong password").into());
        }
        let number = self.state.logins.fetch_add(1, SeqCst) + 1;
        self.state.is_revoked.store(false, SeqCst);
        Ok(Credential::new(format!("token-{number}"))?)
    }

    pub fn logins(&self) -> usize {
        self.state.logins.load(SeqCst)
    }

    /// The number of requests that came, rejected ones included.
    pub fn received(&self) -> usize {
        self.state.received.load(SeqCst)
    }

    pub fn revoke_token(&self) {
        self.state.is_revoked.store(true, SeqCst);
    }

    pub fn fail_logins(&self, is_offline: bool) {
        self.state.is_offline.store(is_offline, SeqCst);
    }
}

impl State {
    async fn answer(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &[u8],
    ) -> (StatusCode, String) {
        self.received.fetch_add(1, SeqCst);
        let valid = format!("Bearer token-{}", self.logins.load(SeqCst));
        let is_last = headers
            .get("authorization")
            .is_some_and(|sent| *sent == *valid);
        if !is_last || self.is_revoked.load(SeqCst) {
            self.rejected.wait().await;
            return (StatusCode::UNAUTHORIZED, "{}".to_owned());
        }
        // A body that shares its stream with the first try is empty in the second.
        if *method == Method::POST && body.is_empty() {
            return (StatusCode::BAD_REQUEST, "{}".to_owned());
        }
        let id =
            serde_json::from_slice::<Value>(body).map_or(Value::Null, |call| call["id"].clone());
        let answer = match id {
            Value::Null => json!({}),
            id => json!({ "jsonrpc": "2.0", "id": id, "result": 1 }),
        };
        let answer = match headers.get("content-type") {
            Some(format) if format == "application/x-protobuf" => String::new(),
            _ => answer.to_string(),
        };
        (StatusCode::OK, answer)
    }
}
