//! Each form in which a gRPC server says `UNAUTHENTICATED`: the next call succeeds.

#[path = "recipes/grpc_web_status.rs"]
mod grpc_web_status;
#[path = "recipes/judge_call.rs"]
mod judge_call;
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::body::Body;
use bytes::Bytes;
use grpc_web_status::grpc_web_status;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use judge_call::{judged, report};
use support::{HandClock, Issuer, http_client, list, patient};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tonic::{
    Code, Status,
    client::GrpcService,
    codegen::{BoxStream, tokio_stream},
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
use tonic_web::{GrpcWebCall, GrpcWebClientLayer, GrpcWebLayer};
use tower::{
    Layer, ServiceExt,
    util::{MapRequest, MapResponse},
};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Origins, PerRequest, Rejected,
    ReplayReady, rejection,
};

/// Where a rejection has its status.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// In none of its own: a proxy answers 401.
    Http,
    /// The same, with a page.
    HttpPage,
    /// In the headers, before a message.
    Headers,
    /// In the headers, without a body.
    TrailersOnly,
    /// In the trailers, without a message.
    Trailers,
    /// In the trailers, after a message.
    MessageAndTrailers,
    /// gRPC-Web: in the headers.
    WebHeaders,
    /// gRPC-Web: in the last frame of the body.
    WebBody,
}

const SERVING: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]);

fn status(number: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static(number))])
}

/// A gRPC answer with this status in the trailers.
fn with_trailers(messages: Bytes, number: &'static str) -> Response<Body> {
    let trailers = async move { Some(Ok(status(number))) };
    let body = Body::new(Full::new(messages).with_trailers(trailers));
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

/// A gRPC-Web answer with a message, and with this status in the last frame.
fn with_trailer_frame(number: &str) -> Response<Body> {
    let trailers = format!("grpc-message: text\r\ngrpc-status: {number}\r\n");
    let length = u32::try_from(trailers.len()).unwrap().to_be_bytes();
    let body = [&SERVING[..], &[0x80], &length, trailers.as_bytes()].concat();
    let response = Response::builder().header(CONTENT_TYPE, "application/grpc-web+proto");
    response.body(Body::from(body)).unwrap()
}

impl Form {
    fn acceptance(self) -> Response<Body> {
        match self {
            Self::WebHeaders | Self::WebBody => with_trailer_frame("0"),
            _ => with_trailers(SERVING, "0"),
        }
    }

    fn rejection(self) -> Response<Body> {
        let mut response = match self {
            Self::Trailers => return with_trailers(Bytes::new(), "16"),
            Self::MessageAndTrailers => return with_trailers(SERVING, "16"),
            Self::WebBody => return with_trailer_frame("16"),
            Self::Http | Self::HttpPage => {
                let page = if let Self::HttpPage = self {
                    "<html>"
                } else {
                    ""
                };
                let response = Response::builder().status(StatusCode::UNAUTHORIZED);
                return response.body(Body::from(page)).unwrap();
            }
            Self::Headers => Response::new(Body::from(SERVING)),
            Self::TrailersOnly | Self::WebHeaders => Response::new(Body::empty()),
        };
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, grpc);
        response.headers_mut().extend(status("16"));
        response
    }
}

/// A server that accepts the token of one login, and a provider.
struct Scene {
    good: Arc<AtomicUsize>,
    issuer: Issuer,
    provider: CachedProvider,
    url: String,
    server: JoinHandle<()>,
}

impl Scene {
    async fn new(form: Form) -> Self {
        let good = Arc::new(AtomicUsize::new(1));
        let accepted = Arc::clone(&good);
        let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let good = format!("Bearer token-{}", accepted.load(SeqCst));
            async move {
                let is_good = request.headers()["authorization"] == *good;
                request.into_body().collect().await.unwrap();
                if is_good {
                    form.acceptance()
                } else {
                    form.rejection()
                }
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self::of(good, url, server)
    }

    fn of(good: Arc<AtomicUsize>, url: String, server: JoinHandle<()>) -> Self {
        let issuer = Issuer::new();
        // Its time stands still: no pause ends during a test.
        let provider = patient(issuer.clone()).clock(HandClock::new()).build();
        Self {
            good,
            issuer,
            provider,
            url,
            server,
        }
    }

    fn layer(&self) -> BearerAuthLayer {
        BearerAuthLayer::new(self.provider.clone(), Origins::new(&self.url).unwrap())
    }

    fn client(&self) -> HealthClient<BearerAuth<Channel>> {
        let endpoint = Endpoint::from_shared(self.url.clone()).unwrap();
        HealthClient::new(self.layer().layer(endpoint.connect_lazy()))
    }

    /// Revokes the current token. The next login's is good.
    fn revoke(&self) {
        self.good.fetch_add(1, SeqCst);
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
async fn the_layer_sees_a_401_and_a_status_in_the_headers() {
    for (form, code) in [
        (Form::Http, Code::Unauthenticated),
        (Form::HttpPage, Code::Internal), // tonic reads the page as a message
        (Form::Headers, Code::Unauthenticated),
        (Form::TrailersOnly, Code::Unauthenticated),
    ] {
        let scene = Scene::new(form).await;
        let mut client = scene.client();
        client.check(ask()).await.unwrap();
        scene.revoke();
        let rejected = client.check(ask()).await.unwrap_err();
        assert_eq!(rejected.code(), code, "{form:?}");
        client.check(ask()).await.unwrap();
        assert_eq!(scene.issuer.logins(), 2, "{form:?}");
    }
}

// Without the recipe, the token stays in use.
#[tokio::test]
async fn the_layer_does_not_see_a_status_in_the_trailers() {
    for form in [Form::Trailers, Form::MessageAndTrailers] {
        let scene = Scene::new(form).await;
        let mut client = scene.client();
        client.check(ask()).await.unwrap();
        scene.revoke();
        for _ in 0..3 {
            let rejected = client.check(ask()).await.unwrap_err();
            assert_eq!(rejected.code(), Code::Unauthenticated, "{form:?}");
        }
        assert_eq!(scene.issuer.logins(), 1, "{form:?}");
    }
}

#[tokio::test]
async fn the_caller_reports_a_status_in_any_form() {
    for form in [
        Form::Http,
        Form::Headers,
        Form::TrailersOnly,
        Form::Trailers,
        Form::MessageAndTrailers,
    ] {
        let scene = Scene::new(form).await;
        let mut client = scene.client();
        let mut call = async || {
            let (request, per_request) = judged(ask());
            let outcome = client.check(request).await;
            let is_again = report(&scene.provider, &per_request, &outcome);
            (
                outcome.map_err(|status| status.code()).map(|_| ()),
                is_again,
            )
        };
        assert_eq!(call().await, (Ok(()), false), "{form:?}");
        scene.revoke();
        let rejected = (Err(Code::Unauthenticated), true);
        assert_eq!(call().await, rejected, "{form:?}");
        assert_eq!(call().await, (Ok(()), false), "{form:?}");
        assert_eq!(scene.issuer.logins(), 2, "{form:?}");

        // No login helps any more. The caller is told so, and the provider makes no further login.
        scene.good.store(0, SeqCst);
        assert_eq!(call().await, rejected, "{form:?}");
        for _ in 0..3 {
            assert_eq!(
                call().await,
                (Err(Code::Unauthenticated), false),
                "{form:?}"
            );
        }
        assert_eq!(scene.issuer.logins(), 3, "{form:?}");
    }
}

// It may be an error of the network, and it is no acceptance either.
#[tokio::test]
async fn another_error_is_not_reported() {
    let scene = Scene::new(Form::Trailers).await;
    let (request, per_request) = judged(ask());
    scene.client().check(request).await.unwrap();
    for code in 1..=16 {
        let outcome = Err::<(), _>(Status::new(Code::from(code), "text"));
        let is_rejection = report(&scene.provider, &per_request, &outcome);
        assert_eq!(is_rejection, code == 16, "{code}");
        assert_eq!(scene.provider.current().is_none(), code == 16, "{code}");
    }
}

// 100 calls at a revocation. Each is rejected in its trailers, and made once more.
#[tokio::test]
async fn calls_that_are_judged_by_their_callers_share_one_login() {
    let scene = Scene::new(Form::Trailers).await;
    let client = scene.client();
    client.clone().check(ask()).await.unwrap();
    scene.revoke();
    let calls = (0..100).map(|_| {
        let (mut client, provider) = (client.clone(), scene.provider.clone());
        tokio::spawn(async move {
            let (request, per_request) = judged(ask());
            let mut outcome = client.check(request).await;
            if report(&provider, &per_request, &outcome) {
                let (request, per_request) = judged(ask());
                outcome = client.check(request).await;
                report(&provider, &per_request, &outcome);
            }
            outcome.is_err()
        })
    });
    let mut failed = 0;
    for call in calls.collect::<Vec<_>>() {
        failed += usize::from(call.await.unwrap());
    }
    let logins = scene.issuer.logins() - 1;
    println!("figure: grpc-judged_by_caller calls=100 failed={failed} logins={logins}");
    assert_eq!((failed, logins), (0, 1));
}

/// A health service of tonic whose stream says `UNAUTHENTICATED` after a message.
struct EndsRejected(Arc<AtomicUsize>);

impl EndsRejected {
    fn accepts<M>(&self, request: &tonic::Request<M>) -> bool {
        let good = format!("Bearer token-{}", self.0.load(SeqCst));
        request.metadata().get("authorization").unwrap() == good.as_str()
    }
}

#[tonic::async_trait]
impl Health for EndsRejected {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        match self.accepts(&request) {
            true => Ok(tonic::Response::new(HealthCheckResponse::default())),
            false => Err(Status::unauthenticated("the token expired")),
        }
    }

    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let is_good = self.accepts(&request);
        let status = ServingStatus::Serving as i32;
        let mut items = vec![Ok(HealthCheckResponse { status })];
        if !is_good {
            items.push(Err(Status::unauthenticated("the token expired")));
        }
        Ok(tonic::Response::new(Box::pin(tokio_stream::iter(items))))
    }
}

#[tokio::test]
async fn the_caller_reports_the_end_of_a_stream() {
    let good = Arc::new(AtomicUsize::new(1));
    let service = HealthServer::new(EndsRejected(Arc::clone(&good)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let server = Server::builder().add_service(service);
        let incoming = TcpIncoming::from(listener);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    let scene = Scene::of(good, url, server);
    assert_ends_are_reported(&scene, scene.client()).await;
}

/// Reports the ends of three streams. The second is rejected.
async fn assert_ends_are_reported<S>(scene: &Scene, mut client: HealthClient<S>)
where
    S: GrpcService<
            tonic::body::Body,
            Error: Into<BoxError>,
            ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send>
                              + Send
                              + 'static,
        >,
{
    let mut watch = async || {
        let (request, per_request) = judged(ask());
        let mut stream = client.watch(request).await.unwrap().into_inner();
        let end = loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        report(&scene.provider, &per_request, &end)
    };
    assert!(!watch().await);
    scene.revoke();
    assert!(watch().await);
    assert!(!watch().await);
    assert_eq!(scene.issuer.logins(), 2);
}

/// tonic's own server of gRPC-Web.
async fn tonic_web() -> Scene {
    let good = Arc::new(AtomicUsize::new(1));
    let service = HealthServer::new(EndsRejected(Arc::clone(&good)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let server = Server::builder().accept_http1(true);
        let mut server = server.layer(GrpcWebLayer::new());
        let incoming = TcpIncoming::from(listener);
        let serving = server.add_service(service).serve_with_incoming(incoming);
        serving.await.unwrap();
    });
    Scene::of(good, url, server)
}

/// tonic's own client of gRPC-Web, over HTTP/1.
fn web_client() -> impl tower::Service<
    Request<tonic::body::Body>,
    Response = Response<GrpcWebCall<Incoming>>,
    Error = hyper_util::client::legacy::Error,
    Future: Send,
> + Clone {
    fn assert_http1<B>(response: Response<B>) -> Response<B> {
        assert_eq!(response.version(), http::Version::HTTP_11);
        response
    }
    let http = Client::builder(TokioExecutor::new()).build_http();
    GrpcWebClientLayer::new().layer(MapResponse::new(http, assert_http1))
}

/// The codes of two calls after a revocation.
async fn after_a_revocation<S>(scene: &Scene, client: S) -> [Code; 2]
where
    S: GrpcService<
            tonic::body::Body,
            Error: Into<BoxError>,
            ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send>
                              + Send
                              + 'static,
        >,
{
    let mut client = HealthClient::with_origin(client, scene.url.parse().unwrap());
    let mut call = async || match client.check(ask()).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    };
    assert_eq!(call().await, Code::Ok);
    scene.revoke();
    [call().await, call().await]
}

// tonic marks its requests as HTTP/2, and its client of gRPC-Web removes the mark. So only outside of that client
// does the layer know by itself that they are gRPC.
#[tokio::test]
async fn outside_of_tonics_web_client_the_layer_sees_the_status_and_replays() {
    const REJECTED: Code = Code::Unauthenticated;
    let scene = tonic_web().await;
    let outside = scene.layer().layer(web_client());
    assert_eq!(
        after_a_revocation(&scene, outside).await,
        [REJECTED, Code::Ok]
    );

    let scene = tonic_web().await;
    let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    let replaying = scene.layer().replay(policy).layer(web_client());
    assert_eq!(after_a_revocation(&scene, replaying).await, [Code::Ok; 2]);
    assert_eq!(scene.issuer.logins(), 2);

    for (by_line, next) in [(false, REJECTED), (true, Code::Ok)] {
        let scene = tonic_web().await;
        let http = Client::builder(TokioExecutor::new()).build_http();
        let layer = match by_line {
            true => scene.layer().rejected_if(rejection::unauthorized),
            false => scene.layer(),
        };
        let inside = GrpcWebClientLayer::new().layer(layer.layer(http));
        assert_eq!(after_a_revocation(&scene, inside).await, [REJECTED, next]);
    }

    let scene = tonic_web().await;
    let http = Client::builder(TokioExecutor::new()).build_http();
    let layer = scene.layer().rejected_if(rejection::unauthorized);
    // A kept body cannot become a `GrpcWebCall` again, but each of them can become a `Body`.
    let inside = GrpcWebClientLayer::new().layer(MapRequest::new(
        layer.replay(policy).layer(http),
        |request: Request<GrpcWebCall<_>>| request.map(tonic::body::Body::new),
    ));
    assert_eq!(after_a_revocation(&scene, inside).await, [Code::Ok; 2]);
    assert_eq!(scene.issuer.logins(), 2);
}

#[tokio::test]
async fn the_caller_reports_the_end_of_a_stream_of_tonics_web_client() {
    let scene = tonic_web().await;
    let client = scene.layer().layer(web_client());
    let client = HealthClient::with_origin(client, scene.url.parse().unwrap());
    assert_ends_are_reported(&scene, client).await;
}

#[tokio::test]
async fn a_hundred_calls_of_tonics_web_client_at_a_revocation_are_replayed() {
    let scene = tonic_web().await;
    let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
    let client = scene.layer().replay(policy).layer(web_client());
    let client = HealthClient::with_origin(client, scene.url.parse().unwrap());
    client.clone().check(ask()).await.unwrap();
    scene.revoke();
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let mut client = client.clone();
        calls.spawn(async move { client.check(ask()).await });
    }
    let calls = calls.join_all().await;
    let failed = calls.iter().filter(|outcome| outcome.is_err()).count();
    let logins = scene.issuer.logins() - 1;
    println!("figure: grpc-web calls=100 failed={failed} logins={logins}");
    assert_eq!((failed, logins), (0, 1));
}

/// Sends a call by gRPC-Web over HTTP/1. Returns the status in the headers or in the last frame.
async fn call_by_web(
    client: &BearerAuth<support::HttpClient>,
    url: &str,
    per_request: PerRequest,
) -> String {
    let request = Request::post(format!("{url}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc-web+proto")
        .extension(per_request)
        .body(Full::from(vec![0; 5]))
        .unwrap();
    let response = client.clone().oneshot(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
    let in_headers = response.headers().get(Status::GRPC_STATUS).cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    match in_headers {
        Some(status) => status.to_str().unwrap().to_owned(),
        None => grpc_web_status(&body).unwrap().to_owned(),
    }
}

#[tokio::test]
async fn the_layer_sees_a_status_in_the_headers_of_grpc_web_by_one_line() {
    let scene = Scene::new(Form::WebHeaders).await;
    let by_default = scene.layer();
    let by_line = scene.layer().rejected_if(rejection::unauthorized);
    let mut statuses = Vec::new();
    for layer in [by_default, by_line] {
        let client = layer.layer(http_client());
        let call = async || call_by_web(&client, &scene.url, PerRequest::new()).await;
        assert_eq!(call().await, "0");
        scene.revoke();
        statuses.push((call().await, call().await));
        scene.provider.reset();
        scene.good.store(scene.issuer.logins() + 1, SeqCst);
    }
    let pair = |first: &str, second: &str| (first.to_owned(), second.to_owned());
    assert_eq!(statuses, [pair("16", "16"), pair("16", "0")]);
}

#[tokio::test]
async fn the_caller_reports_a_status_in_the_body_of_grpc_web() {
    let scene = Scene::new(Form::WebBody).await;
    let client = scene.layer().layer(http_client());
    let mut statuses = Vec::new();
    for number in 0..3 {
        let per_request = PerRequest::new().judged_by_caller();
        let status = call_by_web(&client, &scene.url, per_request.clone()).await;
        let receipt = per_request.receipt().unwrap();
        match status.as_str() {
            "0" => scene.provider.accept(receipt),
            "16" => {
                let verdict = scene.provider.reject(&Rejected::by_hand(receipt));
                assert!(verdict.is_log_in());
            }
            _ => {}
        }
        statuses.push(status);
        if number == 0 {
            scene.revoke();
        }
    }
    assert_eq!(list(statuses), "0,16,0");
    assert_eq!(scene.issuer.logins(), 2);
}

#[test]
fn the_status_of_grpc_web_is_in_the_last_frame() {
    let frame = |flags: u8, text: &str| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[flags][..], &length, text.as_bytes()].concat()
    };
    let message = frame(0, "grpc-status: 0");
    for (trailers, expected) in [
        ("grpc-status: 16\r\n", Some("16")),
        ("grpc-status:16", Some("16")),
        ("Grpc-Status: 16\r\n", Some("16")),
        ("grpc-message: a:b\r\ngrpc-status: 5\r\n", Some("5")),
        ("grpc-message: grpc-status\r\n", None),
        ("", None),
    ] {
        let body = [&message[..], &message, &frame(0x80, trailers)].concat();
        assert_eq!(grpc_web_status(&body), expected, "{trailers}");
        assert_eq!(grpc_web_status(&frame(0x81, trailers)), expected);
        if !trailers.is_empty() {
            assert_eq!(grpc_web_status(&body[..body.len() - 1]), None);
        }
    }
    assert_eq!(grpc_web_status(&message), None);
    assert_eq!(grpc_web_status(&[]), None);
}
