//! What a request pays while the credential is fresh.
//!
//! Contenders: the bare inner service; the *floor*, a hand-written layer that inserts a ready-made
//! header value; and ours with everything that is on by default. The figure to compare is the
//! overhead over the bare service as a multiple of the floor's. Contenders take turns in rounds,
//! and the median round counts, so that noise hits all alike.
//!
//! ```text
//! cargo bench
//! ```

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION};
use tower::{Layer, Service};
use tower_bearer::{BearerAuth, BearerAuthLayer, CachedProvider, Credential, Origins, login_fn};

const ROUNDS: usize = 101;
const REQUESTS: usize = 2_000;
const TOKEN_LENGTH: usize = 1_024;

/// Answers at once.
#[derive(Clone)]
struct Bare;

impl Service<Request<()>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new(())))
    }
}

/// Inserts a ready-made value, and does nothing else.
#[derive(Clone)]
struct Floor {
    inner: Bare,
    value: HeaderValue,
}

impl Service<Request<()>> for Floor {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.value.clone());
        self.inner.call(request)
    }
}

/// How a service is used.
#[derive(Clone, Copy)]
enum Use {
    /// `ready().call()` on one service.
    LongLived,
    /// `clone().oneshot()`, the habit of handlers.
    Cloned,
}

fn requests() -> Vec<Request<()>> {
    let request = || {
        let mut headers = HeaderMap::with_capacity(8);
        for name in ["accept", "user-agent", "x-request-id", "traceparent"] {
            headers.insert(name, HeaderValue::from_static("value"));
        }
        let mut request = Request::new(());
        *request.uri_mut() = "https://api.example.com/v1/things/42"
            .parse()
            .expect("a URI");
        *request.headers_mut() = headers;
        request
    };
    (0..REQUESTS).map(|_| request()).collect()
}

/// The time of one batch of requests.
fn measure<S>(service: &mut S, requests: Vec<Request<()>>, used: Use) -> Duration
where
    S: Service<Request<()>, Response = Response<()>> + Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut send = |service: &mut S, request| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut response = pin!(service.call(request));
        assert!(matches!(
            black_box(response.as_mut().poll(&mut cx)),
            Poll::Ready(Ok(_))
        ));
    };
    let start = Instant::now();
    for request in requests {
        match used {
            Use::LongLived => send(service, request),
            Use::Cloned => send(&mut service.clone(), request),
        }
    }
    start.elapsed()
}

async fn ours(lifetime: Option<Duration>) -> BearerAuth<Bare> {
    let login = login_fn(move |_| async move {
        let credential = Credential::new("x".repeat(TOKEN_LENGTH))?;
        Ok(match lifetime {
            Some(lifetime) => credential.with_lifetime(lifetime),
            None => credential,
        })
    });
    let origins = Origins::new(["https://api.example.com"]).expect("an origin");
    let service = BearerAuthLayer::new(CachedProvider::new(login), origins).layer(Bare);
    service.provider().acquire().await.expect("the login works");
    service
}

fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_secs_f64() * 1e9 / REQUESTS as f64
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut value = HeaderValue::try_from(format!("Bearer {}", "x".repeat(TOKEN_LENGTH)))
        .expect("a header value");
    value.set_sensitive(true);
    let mut bare = Bare;
    let mut floor = Floor { inner: Bare, value };
    let mut without_expiry = ours(None).await;
    let mut with_expiry = ours(Some(Duration::from_secs(1_000_000))).await;
    const NAMES: [&str; 4] = ["bare", "floor", "ours, no expiry", "ours, with an expiry"];

    for (title, used) in [
        ("one long-lived service", Use::LongLived),
        ("a clone per request", Use::Cloned),
    ] {
        let mut rounds: [Vec<Duration>; NAMES.len()] = Default::default();
        for round in 0..ROUNDS {
            for turn in 0..NAMES.len() {
                let contender = (round + turn) % NAMES.len();
                let requests = requests();
                let time = match contender {
                    0 => measure(&mut bare, requests, used),
                    1 => measure(&mut floor, requests, used),
                    2 => measure(&mut without_expiry, requests, used),
                    _ => measure(&mut with_expiry, requests, used),
                };
                rounds[contender].push(time);
            }
        }
        let nanoseconds = rounds.map(median);
        let floor_overhead = nanoseconds[1] - nanoseconds[0];
        println!("{title}, token of {TOKEN_LENGTH} bytes, {ROUNDS} rounds of {REQUESTS} requests");
        println!(
            "{:<22} {:>10} {:>10} {:>8}",
            "", "ns", "over bare", "x floor"
        );
        for (name, time) in NAMES.into_iter().zip(nanoseconds) {
            let overhead = time - nanoseconds[0];
            let multiple = overhead / floor_overhead;
            println!("{name:<22} {time:>10.1} {overhead:>10.1} {multiple:>8.2}");
        }
        println!();
    }
}
