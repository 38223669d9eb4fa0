//! Requests per second of a hyper-util client over loopback: with the layer, and with the header set
//! by hand.
//!
//! ```text
//! cargo bench --bench end_to_end
//! ```
//!
//! Client and server share a runtime with two workers. The contenders take turns in rounds, and the
//! medians are compared.

#[path = "support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use support::{Body, Life, Report, Table, medians, provider, token};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use tower::{Layer, Service, ServiceExt, util::MapRequest};
use tower_bearer::{BearerAuth, BearerAuthLayer, CachedProvider, NoReplay, Origins, ReplayEmpty};

const ROUNDS: usize = 41;
const REQUESTS: usize = 1_024;
const TOKEN: usize = 1_024;
const AT_ONCE: [usize; 2] = [1, 32];

type Http = Client<HttpConnector, Body>;

#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1",
            Self::Http2 => "HTTP/2",
        }
    }

    fn client(self) -> Http {
        let is_http2 = matches!(self, Self::Http2);
        Client::builder(TokioExecutor::new())
            .http2_only(is_http2)
            .build_http()
    }
}

/// Answers each request with an empty body.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let _ = connection.set_nodelay(true);
            tokio::spawn(async move {
                let service = service_fn(async |request: Request<Incoming>| {
                    assert!(request.headers().contains_key(AUTHORIZATION));
                    Ok::<_, Infallible>(Response::new(Body::new()))
                });
                let server = auto::Builder::new(TokioExecutor::new());
                // A client that closes its connection ends it.
                let _ = server
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
            });
        }
    });
    address
}

/// Sends all requests, so many at once, and returns the time of the last response.
async fn send<S>(service: S, address: SocketAddr, at_once: usize) -> Duration
where
    S: Service<Request<Body>, Response = Response<Incoming>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + std::fmt::Debug,
{
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..at_once {
        let mut service = service.clone();
        senders.spawn(async move {
            for _ in 0..REQUESTS / at_once {
                let request = Request::get(format!("http://{address}/v1/things/42"));
                let request = request.body(Body::new()).expect("a request");
                let service = service.ready().await.expect("it is ready");
                let response = service.call(request).await.expect("it answers");
                assert!(response.status().is_success());
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.expect("no panic");
    }
    start.elapsed()
}

trait Contender {
    fn time(&self, runtime: &Runtime, address: SocketAddr, at_once: usize) -> Duration;
}

impl<S> Contender for S
where
    S: Service<Request<Body>, Response = Response<Incoming>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + std::fmt::Debug,
{
    fn time(&self, runtime: &Runtime, address: SocketAddr, at_once: usize) -> Duration {
        let sending = send(self.clone(), address, at_once);
        let sent = runtime.block_on(async { tokio::spawn(sending).await });
        sent.expect("no panic")
    }
}

fn by_hand(http: Http) -> MapRequest<Http, impl Fn(Request<Body>) -> Request<Body> + Clone> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token(TOKEN))).expect("a value");
    value.set_sensitive(true);
    MapRequest::new(http, move |mut request: Request<Body>| {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
        request
    })
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let address = runtime.block_on(server());
    let _entered = runtime.enter();
    let mut report = Report::new("end_to_end");
    for version in [Version::Http1, Version::Http2] {
        let origins = Origins::new(format!("http://{address}")).expect("an origin");
        let provider: CachedProvider = runtime.block_on(provider(TOKEN, Life::Long));
        let layer = BearerAuthLayer::<_, NoReplay>::new(provider, origins);
        let plain: BearerAuth<Http> = layer.layer(version.client());
        let replay: BearerAuth<Http, CachedProvider, ReplayEmpty> =
            layer.replay(ReplayEmpty).layer(version.client());
        let contenders: [(&str, Box<dyn Contender>); 4] = [
            (
                "the header set by hand",
                Box::new(by_hand(version.client())),
            ),
            // The same once more: what the noise makes of a difference of nothing.
            ("the same again", Box::new(by_hand(version.client()))),
            ("tower-bearer", Box::new(plain)),
            ("tower-bearer, replay", Box::new(replay)),
        ];
        let columns = AT_ONCE.map(|at_once| format!("{at_once} at once"));
        let title = format!("Requests per second, × by hand, {}", version.name());
        let mut table = Table::new(title, &columns.each_ref().map(String::as_str));
        let times = AT_ONCE.map(|at_once| {
            medians(contenders.len(), ROUNDS, |it| {
                contenders[it].1.time(&runtime, address, at_once)
            })
        });
        for (at, (name, _)) in contenders.iter().enumerate() {
            table.row(*name, times.each_ref().map(|times| times[0] / times[at]));
        }
        report.add(table);
    }
    println!("\n{ROUNDS} rounds of {REQUESTS} requests");
    report.write();
}
