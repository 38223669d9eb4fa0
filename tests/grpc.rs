//! gRPC, with a generated client and server over real sockets (APIS.md, section 4).

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use bytes::Buf;
use support::{Issuer, patient};
use tokio::{
    net::TcpListener,
    sync::{Barrier, mpsc},
    task::JoinHandle,
};
use tonic::{
    Code, Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{
        BoxStream,
        http::uri::PathAndQuery,
        tokio_stream::{self, wrappers::UnboundedReceiverStream},
    },
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_client::HealthClient,
        health_server::{Health, HealthServer},
    },
};
use tower::Layer;
use tower_bearer::{
    BearerAuth, BearerAuthLayer, CachedProvider, CredentialEvent, NoReplay, Origins, PerRequest,
    Receipt, Replay, ReplayReady, RequestHead,
};

/// A health service that requires the token of this login, or of any login if the number is 0.
#[derive(Clone)]
struct Guard {
    good: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Guard {
    fn check(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let sent = request.metadata().get("authorization");
        let sent = sent
            .map_or("bare", |sent| sent.to_str().unwrap())
            .to_owned();
        let good = format!("Bearer token-{}", self.good.load(SeqCst));
        let is_good = sent == good;
        self.seen.lock().unwrap().push(sent);
        match is_good {
            true => Ok(request),
            false => Err(Status::unauthenticated("who are you?")),
        }
    }
}

struct Scene {
    guard: Guard,
    issuer: Issuer,
    provider: CachedProvider,
    rejections: Arc<AtomicUsize>,
    endpoint: Endpoint,
    origins: Origins,
    reporter: tonic_health::server::HealthReporter,
    server: JoinHandle<()>,
}

impl Scene {
    async fn new() -> Self {
        let guard = Guard {
            good: Arc::new(AtomicUsize::new(1)),
            seen: Arc::default(),
        };
        let (reporter, health) = tonic_health::server::health_reporter();
        let checking = guard.clone();
        let guarded =
            tonic::service::interceptor::InterceptedService::new(health, move |request| {
                checking.check(request)
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let server = Server::builder().add_service(guarded);
            server
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .unwrap();
        });
        let issuer = Issuer::new();
        let rejections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rejections);
        let provider = patient(issuer.clone())
            .on_event(move |event| {
                counted.fetch_add(
                    usize::from(matches!(event, CredentialEvent::Rejected { .. })),
                    SeqCst,
                );
            })
            .build();
        Self {
            guard,
            issuer,
            provider,
            rejections,
            endpoint: Endpoint::from_shared(url.clone()).unwrap(),
            origins: Origins::new([url]).unwrap(),
            reporter,
            server,
        }
    }

    fn layer(&self) -> BearerAuthLayer {
        BearerAuthLayer::new(self.provider.clone(), self.origins.clone())
    }

    fn client(&self) -> HealthClient<BearerAuth<Channel>> {
        HealthClient::new(self.layer().layer(self.endpoint.connect_lazy()))
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.guard.seen.lock().unwrap())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn ask() -> HealthCheckRequest {
    HealthCheckRequest::default()
}

#[tokio::test]
async fn status_16_in_the_headers_is_a_rejection_and_the_next_call_succeeds() {
    let scene = Scene::new().await;
    let mut client = scene.client();
    client.check(ask()).await.unwrap();
    assert_eq!(scene.seen(), ["Bearer token-1"]);

    scene.guard.good.store(2, SeqCst);
    let rejected = client.check(ask()).await.unwrap_err();
    assert_eq!(rejected.code(), Code::Unauthenticated);
    assert_eq!(rejected.message(), "who are you?");
    client.check(ask()).await.unwrap();
    assert_eq!(scene.seen(), ["Bearer token-1", "Bearer token-2"]);
    println!("figure: grpc logins={}", scene.issuer.logins());
    assert_eq!(
        (scene.issuer.logins(), scene.rejections.load(SeqCst)),
        (2, 1)
    );
}

// Another status is no rejection: here 5, NOT_FOUND, for an unknown service.
#[tokio::test]
async fn other_statuses_are_no_rejection() {
    let scene = Scene::new().await;
    let unknown = HealthCheckRequest {
        service: "unknown".to_owned(),
    };
    let failed = scene.client().check(unknown).await.unwrap_err();
    assert_eq!(failed.code(), Code::NotFound);
    assert_eq!(scene.rejections.load(SeqCst), 0);
    assert!(scene.provider.current().is_some());
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> i32 {
    stream.message().await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_streaming_call_is_not_interrupted() {
    let scene = Scene::new().await;
    let mut client = scene.client();
    let mut stream = client.watch(ask()).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, 1);
    // The token is revoked and replaced while the stream continues.
    scene.guard.good.store(2, SeqCst);
    assert!(client.check(ask()).await.is_err());
    client.check(ask()).await.unwrap();
    for (status, expected) in [(ServingStatus::NotServing, 2), (ServingStatus::Serving, 1)] {
        scene.reporter.set_service_status("", status).await;
        assert_eq!(next(&mut stream).await, expected);
    }
    assert_eq!(scene.issuer.logins(), 2);
}

// A tonic body cannot be copied. A collected one can.
#[tokio::test]
async fn a_replay_policy_without_copies_leaves_calls_working() {
    use tonic::body::Body;
    struct Nothing;
    impl Replay<Body> for Nothing {
        type Kept = ();
        fn keep(&self, _: RequestHead<'_>, body: Body) -> (Body, Option<()>) {
            (body, None)
        }
        fn again(&self, (): ()) -> Option<Body> {
            None
        }
    }
    let scene = Scene::new().await;
    let channel = scene.endpoint.connect_lazy();
    let mut client = HealthClient::new(scene.layer().replay(Nothing).layer(channel));
    scene.guard.good.store(2, SeqCst);
    assert_eq!(
        client.check(ask()).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    client.check(ask()).await.unwrap();
}

/// A health service that rejects the first login's token as soon as 100 calls have come with it.
struct Revokes {
    rejected: Barrier,
    sends: AtomicUsize,
}

#[tonic::async_trait]
impl Health for Revokes {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.sends.fetch_add(1, SeqCst);
        if request.metadata().get("authorization").unwrap() == "Bearer token-1" {
            self.rejected.wait().await;
            return Err(Status::unauthenticated("revoked"));
        }
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only `check`"))
    }
}

/// Makes 100 calls at a revocation. Returns how often they were sent, and how many failed.
async fn at_a_revocation<R>(policy: R, name: &str) -> (usize, usize)
where
    R: Replay<tonic::body::Body, Kept: Send> + Send + Sync + 'static,
{
    let service = Arc::new(Revokes {
        rejected: Barrier::new(100),
        sends: AtomicUsize::new(0),
    });
    let server = Server::builder().add_service(HealthServer::from_arc(Arc::clone(&service)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let issuer = Issuer::new();
    let layer = BearerAuthLayer::new(patient(issuer.clone()).build(), Origins::new(&url).unwrap());
    let channel = Endpoint::from_shared(url).unwrap().connect_lazy();
    let client = HealthClient::new(layer.replay(policy).layer(channel));
    let calls = (0..100).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.check(ask()).await })
    });
    let mut failed = 0;
    for call in calls.collect::<Vec<_>>() {
        failed += usize::from(call.await.unwrap().is_err());
    }
    server.abort();
    let (sends, logins) = (service.sends.load(SeqCst), issuer.logins() - 1);
    println!("figure: grpc-{name} calls=100 sends={sends} failed={failed} logins={logins}");
    (sends, failed)
}

#[tokio::test]
async fn unary_calls_at_a_revocation_are_replayed_and_none_fails() {
    let ready = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    assert_eq!(at_a_revocation(ready, "unary_replayed").await, (200, 0));
    let none = at_a_revocation(NoReplay, "unary_without_replay").await;
    assert_eq!(none, (100, 100));
}

#[tokio::test]
async fn a_stream_of_answers_passes_a_replay_policy() {
    let scene = Scene::new().await;
    let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    let channel = scene.endpoint.connect_lazy();
    let mut client = HealthClient::new(scene.layer().replay(policy).layer(channel));
    client.check(ask()).await.unwrap();
    scene.guard.good.store(2, SeqCst);
    // The request of a stream of answers is a single message: it is replayed too.
    let mut stream = client.watch(ask()).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, 1);
    scene
        .reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    assert_eq!(next(&mut stream).await, 2);
    assert_eq!(scene.issuer.logins(), 2);
}

/// Empty messages, for calls that no generated client makes.
struct Empty;

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Empty {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Empty {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        message.advance(message.remaining());
        Ok(Some(()))
    }
}

#[tokio::test]
async fn a_stream_of_messages_is_replayed_if_all_are_there_at_once() {
    let scene = Scene::new().await;
    let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    let channel = scene.endpoint.connect_lazy();
    let mut client = Grpc::new(scene.layer().replay(policy).layer(channel));
    let path = || PathAndQuery::from_static("/grpc.health.v1.Health/Check");

    scene.guard.good.store(2, SeqCst);
    client.ready().await.unwrap();
    let at_once = tokio_stream::iter([(), ()]);
    let answer = client.client_streaming(Request::new(at_once), path(), Empty);
    answer.await.unwrap();
    assert_eq!(scene.seen(), ["Bearer token-1", "Bearer token-2"]);

    // A stream that is still open is passed on: the policy does not wait for its end.
    scene.guard.good.store(3, SeqCst);
    for (expected, token) in [
        (Some(Code::Unauthenticated), "Bearer token-2"),
        (None, "Bearer token-3"),
    ] {
        let (messages, waiting) = mpsc::unbounded_channel();
        messages.send(()).unwrap();
        client.ready().await.unwrap();
        let waiting = Request::new(UnboundedReceiverStream::new(waiting));
        let answer = client.client_streaming(waiting, path(), Empty);
        let sends_later = async {
            while scene.guard.seen.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            drop(messages);
        };
        let (answer, ()) = tokio::join!(answer, sends_later);
        assert_eq!(answer.err().map(|status| status.code()), expected);
        assert_eq!(scene.seen(), [token]);
    }
}

// For a status in the trailers: the caller gets the generation from its request.
#[tokio::test]
async fn an_extension_reaches_the_layer_through_a_generated_client() {
    let scene = Scene::new().await;
    let mut client = scene.client();
    let per_request = PerRequest::new();
    let mut request = Request::new(ask());
    request.extensions_mut().insert(per_request.clone());
    client.check(request).await.unwrap();
    let current = scene.provider.current().unwrap();
    assert_eq!(
        per_request.receipt().map(Receipt::generation),
        Some(current.generation())
    );

    let mut request = Request::new(ask());
    request.extensions_mut().insert(PerRequest::bare());
    assert_eq!(
        client.check(request).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(scene.seen(), ["Bearer token-1", "bare"]);
    assert_eq!(scene.rejections.load(SeqCst), 0);
}
