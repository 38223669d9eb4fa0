//! The client of the probe: it keeps what the crate's own login hides, and sends no more than allowed.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use tower_bearer::BoxError;

use super::Time;

/// How long the probe waits for one answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

const LONGEST_BODY: usize = 64 * 1024;

/// An answer, and when it came. It is printed by nothing: its body may have a token.
pub(crate) struct Exchange {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Empty for an answer of the API.
    pub(crate) body: Bytes,
    pub(crate) sent: Instant,
    /// The local time half-way between request and answer.
    pub(crate) wall: SystemTime,
    pub(crate) round_trip: Duration,
}

type Client =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<UnsyncBoxBody<Bytes, io::Error>>, BoxError>;

#[derive(Clone)]
pub(crate) struct Tap {
    client: Client,
    time: Arc<dyn Time>,
    login: Arc<Mutex<OfLogin>>,
}

/// What the login has sent.
#[derive(Default)]
struct OfLogin {
    may_send: bool,
    exchange: Option<Exchange>,
    /// Whether it wanted to send more than one request.
    was_denied: bool,
}

/// What one request of a login has come to.
pub(crate) struct Outcome<T> {
    pub(crate) result: Result<T, BoxError>,
    pub(crate) exchange: Option<Exchange>,
    /// Whether the login wanted to go on: its refresh was refused, or got no answer.
    pub(crate) was_denied: bool,
}

impl Tap {
    pub(crate) fn new<S, B>(client: S, time: Arc<dyn Time>) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let client = client
            .map_response(|response: Response<B>| {
                response.map(|body| body.map_err(io::Error::other).boxed_unsync())
            })
            .map_err(Into::into);
        Self {
            client: BoxCloneSyncService::new(client),
            time,
            login: Arc::default(),
        }
    }

    /// Sends a request to the API. Its body is not read.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Exchange, BoxError> {
        self.exchange(request, false).await
    }

    /// Lets a login send one request, and denies any that would follow.
    pub(crate) async fn one_request<T>(
        &self,
        login: impl Future<Output = Result<T, BoxError>>,
    ) -> Outcome<T> {
        *self.of_login() = OfLogin {
            may_send: true,
            ..OfLogin::default()
        };
        let result = login.await;
        let sent = std::mem::take(&mut *self.of_login());
        Outcome {
            result,
            exchange: sent.exchange,
            was_denied: sent.was_denied,
        }
    }

    fn of_login(&self) -> MutexGuard<'_, OfLogin> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        reads_body: bool,
    ) -> Result<Exchange, BoxError> {
        let (sent, wall) = (self.time.now(), self.time.wall());
        let exchange = async {
            let (parts, body) = self.client.clone().oneshot(request).await?.into_parts();
            let round_trip = self.time.now().saturating_duration_since(sent);
            let body = match reads_body {
                true => Limited::new(body, LONGEST_BODY).collect().await?.to_bytes(),
                false => Bytes::new(),
            };
            Ok(Exchange {
                status: parts.status,
                headers: parts.headers,
                body,
                sent,
                wall: wall + round_trip / 2,
                round_trip,
            })
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(exchange) => exchange,
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs()).into()),
        }
    }
}

impl Service<Request<Full<Bytes>>> for Tap {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let tap = self.clone();
        Box::pin(async move {
            {
                let mut login = tap.of_login();
                if !std::mem::take(&mut login.may_send) {
                    login.was_denied = true;
                    return Err("the probe does not send it".into());
                }
            }
            let exchange = tap.exchange(request, true).await?;
            let mut response = Response::new(Full::from(exchange.body.clone()));
            *response.status_mut() = exchange.status;
            *response.headers_mut() = exchange.headers.clone();
            tap.of_login().exchange = Some(exchange);
            Ok(response)
        })
    }
}
