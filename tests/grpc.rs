//! gRPC, with a generated client and server over real sockets (APIS.md, section 4).

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use support::{Issuer, patient};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient},
};
use tower::Layer;
use tower_bearer::{
    BearerAuth, BearerAuthLayer, CachedProvider, CredentialEvent, Origins, PerRequest, Receipt,
    Replay, ReplayReady, RequestHead,
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

// 100 calls during a revocation: each is sent twice, and none fails.
#[tokio::test]
async fn unary_calls_are_replayed_and_streams_are_not() {
    let scene = Scene::new().await;
    let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    let channel = scene.endpoint.connect_lazy();
    let mut client = HealthClient::new(scene.layer().replay(policy).layer(channel));
    client.check(ask()).await.unwrap();
    scene.guard.good.store(2, SeqCst);
    let calls = (0..100).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.check(ask()).await })
    });
    let mut failed = 0;
    for call in calls.collect::<Vec<_>>() {
        failed += usize::from(call.await.unwrap().is_err());
    }
    println!(
        "figure: grpc-unary_replayed calls=100 failed={failed} logins={}",
        scene.issuer.logins() - 1
    );
    assert_eq!((failed, scene.issuer.logins()), (0, 2));
    let mut stream = client.watch(ask()).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, 1);
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
