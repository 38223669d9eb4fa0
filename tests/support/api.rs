//! An API in memory.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};

/// Accepts one token at a time, and records each request and its response. Clones share it.
#[derive(Clone)]
pub(crate) struct Api(Arc<Mutex<State>>);

struct State {
    /// `None`: any.
    accepted: Option<String>,
    record: Vec<(String, StatusCode)>,
}

impl Api {
    /// Accepts the token of the issuer's first login.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            accepted: Some("Bearer token-1".to_owned()),
            record: Vec::new(),
        })))
    }

    /// Accepts the token of this login from now on, and no other.
    pub(crate) fn accept_login(&self, number: usize) {
        self.0.lock().unwrap().accepted = Some(format!("Bearer token-{number}"));
    }

    /// Accepts any token from now on.
    pub(crate) fn accept_all(&self) {
        self.0.lock().unwrap().accepted = None;
    }

    /// The requests in order: the authorization, or `bare`, and the status.
    pub(crate) fn record(&self) -> Vec<(String, StatusCode)> {
        self.0.lock().unwrap().record.clone()
    }

    pub(crate) fn count(&self, status: StatusCode) -> usize {
        self.record()
            .iter()
            .filter(|(_, answered)| *answered == status)
            .count()
    }

    /// The API as an HTTP service.
    pub(crate) fn service<B: Send + 'static>(
        &self,
    ) -> impl tower::Service<
        Request<B>,
        Response = Response<String>,
        Error = Infallible,
        Future = impl Future<Output = Result<Response<String>, Infallible>> + Send + use<B>,
    >
    + Clone
    + Send
    + Sync
    + 'static
    + use<B> {
        let api = self.clone();
        tower::service_fn(move |request: Request<B>| {
            let response = api.answer(&request);
            async move { Ok(response) }
        })
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<String> {
        let mut values = request.headers().get_all(AUTHORIZATION).iter();
        let authorization = values
            .next()
            .map_or("bare", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "one authorization at most");
        let mut state = self.0.lock().unwrap();
        let status = if state
            .accepted
            .as_deref()
            .is_none_or(|accepted| accepted == authorization)
        {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        state.record.push((authorization.to_owned(), status));
        let mut response = Response::new(format!("answer to {authorization}"));
        *response.status_mut() = status;
        response
    }
}
