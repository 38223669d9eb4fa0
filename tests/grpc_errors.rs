//! What a tonic caller sees of a failed login, of a timeout and of an origin that is not allowed.

mod support;
#[path = "recipes/to_status.rs"]
mod to_status;

use std::{
    error::Error as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use support::Issuer;
use to_status::to_status;
use tokio::{io::DuplexStream, sync::mpsc, time::Instant};
use tonic::{
    Code, Request, Status,
    codegen::tokio_stream::wrappers::UnboundedReceiverStream,
    transport::{Channel, Endpoint, Server, Uri},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, ServiceBuilder, service_fn, util::MapErr};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Error, LoginError, Origins,
    StaticProvider,
};

const IN_CLUSTER: &str = "http://greeter.default.svc:50051";

/// A health service in memory, and what it saw of each call: the authority and the authorization.
#[derive(Clone)]
struct Network {
    connections: mpsc::UnboundedSender<Result<DuplexStream, std::io::Error>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Network {
    /// The server takes this long for each call.
    fn start(delay: Duration) -> Self {
        let (_, health) = tonic_health::server::health_reporter();
        let (connections, accepted) = mpsc::unbounded_channel();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&seen);
        let slow = tower::layer::layer_fn(move |service| {
            let noted = Arc::clone(&noted);
            ServiceBuilder::new()
                .map_request(move |request: http::Request<tonic::body::Body>| {
                    let sent = request.headers().get("authorization");
                    let sent = sent.map_or("bare", |sent| sent.to_str().unwrap());
                    let authority = request.uri().authority().unwrap();
                    noted.lock().unwrap().push(format!("{authority} {sent}"));
                    request
                })
                .map_future(move |answer| async move {
                    tokio::time::sleep(delay).await;
                    answer.await
                })
                .service(service)
        });
        let server = Server::builder().layer(slow).add_service(health);
        tokio::spawn(async move {
            let incoming = UnboundedReceiverStream::new(accepted);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self { connections, seen }
    }

    fn channel(&self, endpoint: &Endpoint) -> Channel {
        let connections = self.connections.clone();
        endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
            let (client, server) = tokio::io::duplex(64 * 1024);
            let sent = connections.send(Ok(server)).map_err(std::io::Error::other);
            async { sent.map(|()| TokioIo::new(client)) }
        }))
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

type Client = HealthClient<MapErr<BearerAuth<Channel>, fn(BoxError) -> BoxError>>;

/// A client by the recipe.
fn with_statuses(bearer: BearerAuth<Channel>) -> Client {
    HealthClient::new(MapErr::new(bearer, to_status))
}

fn layer(login: Issuer) -> BearerAuthLayer {
    let origins = Origins::dangerously_in_the_clear(IN_CLUSTER).unwrap();
    BearerAuthLayer::new(CachedProvider::new(login), origins)
}

fn failing(failure: impl Fn() -> BoxError + Send + Sync + 'static) -> BearerAuthLayer {
    let login = Issuer::new();
    login.fail_with(failure);
    layer(login)
}

fn endpoint() -> Endpoint {
    Endpoint::from_static(IN_CLUSTER)
}

fn ask() -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest::default())
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_failed_login_is_unauthenticated_or_unavailable_and_not_unknown() {
    let network = Network::start(Duration::ZERO);
    let signed_out = layer(Issuer::new());
    signed_out.provider().sign_out();
    let cases = [
        (
            failing(|| "offline".into()),
            Code::Unavailable,
            Code::Unknown,
        ),
        (
            failing(|| LoginError::permanent("wrong password").into()),
            Code::Unauthenticated,
            Code::Unknown,
        ),
        // tonic takes the status of a login by gRPC for that of the call.
        (
            failing(|| Status::not_found("login").into()),
            Code::Unavailable,
            Code::NotFound,
        ),
        // It hangs for longer than its timeout.
        (layer(Issuer::gated()), Code::Unavailable, Code::Unknown),
        (signed_out, Code::Unauthenticated, Code::Unknown),
        // Only a change of the program helps.
        (
            failing(|| panic!("a fault of the login")),
            Code::Unauthenticated,
            Code::Unknown,
        ),
    ];
    for (layer, expected, expected_without) in cases {
        let bearer = layer.layer(network.channel(&endpoint()));
        let status = with_statuses(bearer.clone())
            .check(ask())
            .await
            .unwrap_err();
        let failure = status.source().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!(status.code(), expected, "{failure}");
        assert_eq!(status.message(), failure.to_string());

        let without = HealthClient::new(bearer).check(ask()).await.unwrap_err();
        assert_eq!(without.code(), expected_without, "{failure}");
    }
    assert!(network.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_channel_keep_their_status() {
    let unreachable = endpoint().connect_with_connector_lazy(service_fn(|_: Uri| async {
        Err::<TokioIo<DuplexStream>, _>(std::io::Error::other("unreachable"))
    }));
    let bearer = layer(Issuer::new()).layer(unreachable);
    let status = with_statuses(bearer).check(ask()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("unreachable"), "{status}");
}

/// The outcome of a call, and after how many seconds it came.
async fn timed<T>(call: impl Future<Output = Result<T, Status>>) -> (Result<(), Code>, u64) {
    let start = Instant::now();
    let outcome = call.await.map(|_| ()).map_err(|status| status.code());
    (outcome, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_tonic_bounds_the_exchange_and_one_outside_the_whole_call() {
    let network = Network::start(2 * SECOND);
    let slow_login = || layer(Issuer::new().with_delay(10 * SECOND));
    let with_deadline = |seconds| {
        let mut request = ask();
        request.set_timeout(seconds * SECOND);
        request
    };

    // Inside, twice: the wait for the login does not count.
    for (seconds, expected) in [(3, (Ok(()), 12)), (1, (Err(Code::Cancelled), 11))] {
        let channel = network.channel(&endpoint().timeout(seconds * SECOND));
        let mut client = with_statuses(slow_login().layer(channel));
        assert_eq!(timed(client.check(ask())).await, expected);
    }
    for (seconds, expected) in [(3, (Ok(()), 12)), (1, (Err(Code::Cancelled), 11))] {
        let channel = network.channel(&endpoint());
        let mut client = with_statuses(slow_login().layer(channel));
        let call = client.check(with_deadline(seconds));
        assert_eq!(timed(call).await, expected);
    }

    // Outside: it does. The login goes on, and the next call finds its token.
    let bearer = slow_login().layer(network.channel(&endpoint()));
    let timeout = ServiceBuilder::new().timeout(5 * SECOND).service(bearer);
    let mut without = HealthClient::new(timeout.clone());
    assert_eq!(timed(without.check(ask())).await, (Err(Code::Unknown), 5));
    let mut client = HealthClient::new(MapErr::new(timeout, to_status));
    let late = (Err(Code::DeadlineExceeded), 5);
    assert_eq!(timed(client.check(ask())).await, late);
    assert_eq!(timed(client.check(ask())).await, (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn the_error_for_an_origin_in_a_cluster_names_the_exception() {
    let network = Network::start(Duration::ZERO);
    let endpoint = endpoint();
    let url = endpoint.uri().to_string();
    let text = Origins::new(&url).unwrap_err().to_string();
    assert!(
        text.contains("use https, or `dangerously_in_the_clear`"),
        "{text}"
    );

    let call = async |origins: Origins, has_origin: bool| {
        let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins);
        let layer = layer.layer(network.channel(&endpoint));
        let layer = MapErr::new(layer, to_status);
        let mut client = match has_origin {
            true => HealthClient::with_origin(layer, endpoint.uri().clone()),
            false => HealthClient::new(layer),
        };
        client.check(ask()).await.map(|_| network.seen().concat())
    };
    let in_the_clear = Origins::dangerously_in_the_clear(&url).unwrap();
    let of_https = Origins::new("https://greeter.default.svc:50051").unwrap();
    let authorized = "greeter.default.svc:50051 Bearer abc";
    let bare = "greeter.default.svc:50051 bare";

    assert_eq!(call(in_the_clear, true).await.unwrap(), authorized);
    // Another scheme is another origin.
    assert_eq!(call(of_https.clone(), true).await.unwrap(), bare);
    let status = call(of_https.clone().strict(), true).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(
        status.message(),
        "a request to http://greeter.default.svc:50051 is not allowed: the origins are \
         https://greeter.default.svc:50051; only `dangerously_in_the_clear` allows plain http"
    );
    // Without an origin the URI is a path alone: the request goes where the channel goes.
    assert_eq!(call(of_https.strict(), false).await.unwrap(), authorized);
}
