//! After this page you can put the layer under a tonic client. You can say what is replayed, what a
//! timeout bounds, and which status a caller sees.
//!
//! # What to type
//!
//! Three lines between the channel and the generated client:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recipes/to_status.rs"));
//! # use tonic::{Code, service::interceptor::InterceptedService, transport::{Channel, Endpoint, Server, server::TcpIncoming}};
//! # use tonic_health::pb::health_client::HealthClient as GreeterClient;
//! # use tower::{Layer, util::MapErr};
//! # use tower_bearer::{BearerAuth, BearerAuthLayer, CachedProvider, Origins, ReadyBody, ReplayReady, test_util::ScriptedLogin};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let (_, service) = tonic_health::server::health_reporter();
//! # let guarded = InterceptedService::new(service, |request: tonic::Request<()>| {
//! #     match request.metadata().get("authorization").is_some_and(|sent| sent == "Bearer token-2") {
//! #         true => Ok(request),
//! #         false => Err(Status::unauthenticated("")),
//! #     }
//! # });
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(Server::builder().add_service(guarded).serve_with_incoming(TcpIncoming::from(listener)));
//! # let login = ScriptedLogin::new();
//! # let provider = CachedProvider::new(login.clone());
//! let channel = Endpoint::from_shared(url.to_owned())?.connect_lazy();
//!
//! let policy = ReplayReady::new(64 * 1024, tonic::body::Body::new);
//! let layer = BearerAuthLayer::new(provider, Origins::new(url)?).replay(policy);
//! let authorized = MapErr::new(layer.layer(channel), to_status);
//!
//! let mut client = GreeterClient::new(authorized);
//! # let request = tonic_health::pb::HealthCheckRequest::default;
//! # client.check(request()).await?; // the first token is rejected
//! # login.fail("offline");
//! # layer.provider().reset();
//! # assert_eq!(client.check(request()).await.unwrap_err().code(), Code::Unavailable);
//! # Ok(()) }
//! ```
//!
//! tonic turns each error into a status, and does not know those of this crate. Nor does the crate
//! depend on tonic, so copy these 18 lines:
//!
//! ```
#![doc = include_str!("../../tests/recipes/to_status.rs")]
//! ```
//!
//! A struct that holds the client needs a name for its type. Box it, with a `Status` as its error: with a
//! [`BoxError`](crate::BoxError) there, its calls [cannot be spawned](super::does_not_compile#a-grpc-call-cannot-be-spawned).
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recipes/to_status.rs"));
//! # use tonic_health::pb::health_client::HealthClient as GreeterClient;
//! use http::{Request, Response};
//! use tonic::{body::Body, transport::Channel};
//! use tower::util::{BoxCloneSyncService, MapErr};
//!
//! type Authorized = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;
//!
//! struct Greeter(GreeterClient<Authorized>);
//! # use tower::Layer;
//! # use tower_bearer::{BearerAuthLayer, ReplayReady};
//!
//! # fn greeter(channel: Channel, layer: BearerAuthLayer) -> Greeter {
//! # let layer = layer.replay(ReplayReady::new(64 * 1024, Body::new));
//! let to_status = |error: BoxError| Status::from_error(to_status(error));
//! let authorized = BoxCloneSyncService::new(MapErr::new(layer.layer(channel), to_status));
//! let greeter = Greeter(GreeterClient::new(authorized));
//! # greeter }
//! # async fn spawn(greeter: Greeter) {
//! #     let request = tonic_health::pb::HealthCheckRequest::default();
//! #     tokio::spawn(async move { greeter.0.clone().check(request).await.map(drop) });
//! # }
//! # fn main() { let _ = (greeter, spawn); }
//! ```
//!
//! # What is replayed
//!
//! | call | with `ReplayReady` | without a policy |
//! | --- | --- | --- |
//! | one message, one answer | replayed: of 100 calls at a revocation, none failed | all 100 failed |
//! | one message, a stream of answers | replayed, if the rejection comes before the first answer | not |
//! | a stream of messages | replayed, if all are there at once and within the limit; else passed on unchanged | not |
//!
//! It costs each call two boxes and a copy of its headers. A call is replayed at most once.
//!
//! # Where timeouts go
//!
//! | timeout | what it bounds | status |
//! | --- | --- | --- |
//! | `Endpoint::timeout`, `Request::set_timeout` | each exchange, and a replay anew; no wait for a login | `Cancelled` |
//! | tower's `Timeout` around the layer, under `to_status` | the whole call up to the headers of its answer, waits and a replay included | `DeadlineExceeded`; without `to_status`, `Unknown` |
//! | [`login_timeout`](crate::CachePolicy::login_timeout) | the login | `Unavailable` |
//!
//! # What errors look like
//!
//! | what happened | status by `to_status` | without it |
//! | --- | --- | --- |
//! | The login failed, and [may succeed later](crate::Recovery::TryAgain). | `Unavailable` | `Unknown` |
//! | The password is wrong, or the user signed out. | `Unauthenticated` | `Unknown` |
//! | A [`KeyedProvider`](crate::KeyedProvider) is [at its capacity](crate::Error::is_at_capacity). | `Unavailable` | `Unknown` |
//! | Any other error of this crate, such as a login that panicked. | `Unauthenticated` | `Unknown` |
//! | The login itself is a gRPC call, and failed. | as above | that of the login: `NotFound` looks like the answer to the call |
//! | [`strict`](crate::Origins::strict) origins forbid the request. | `Unauthenticated` | `Unknown` |
//! | The server rejected the token, on the replay too. | that of the server | the same |
//! | The channel has no connection. | `Unavailable` | the same |
//!
//! `status.source()` is the [`Error`](crate::Error), with the time of the next attempt. A rejection has
//! no [`RejectionReport`](crate::RejectionReport) for a tonic caller, since tonic keeps only its
//! headers.
//!
//! # Origins
//!
//! tonic sends paths alone. They go where the channel goes, and the layer does not see where: create
//! the channel and the origins from one URL. `with_origin` makes absolute URIs, and then the origins
//! decide. Add [`strict`](crate::Origins::strict) there: otherwise a call to another origin is sent
//! without a token.
//!
//! Within a cluster, an `http://` URL is an error that names its exception:
//!
//! ```
//! use tower_bearer::Origins;
//!
//! let url = "http://greeter.default.svc:50051";
//! let error = Origins::new(url).unwrap_err().to_string();
//! assert!(error.contains("dangerously_in_the_clear"));
//! let origins = Origins::dangerously_in_the_clear(url)?.strict();
//! # let _ = origins;
//! # Ok::<_, tower_bearer::InvalidUrl>(())
//! ```
//!
//! # gRPC-Web
//!
//! Put the layer outside of tonic-web's `GrpcWebClientLayer`:
//!
//! ```
//! # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! # use tonic::body::Body;
//! # use tonic_health::pb::health_client::HealthClient as GreeterClient;
//! # use tonic_web::GrpcWebClientLayer;
//! # use tower::Layer;
//! # use tower_bearer::{BearerAuthLayer, Origins, ReplayReady, StaticProvider};
//! # let provider = StaticProvider::new("abc")?;
//! # let url = "https://api.example.com";
//! let http = Client::builder(TokioExecutor::new()).build_http();
//! let web = GrpcWebClientLayer::new().layer(http);
//!
//! let policy = ReplayReady::new(64 * 1024, Body::new);
//! let layer = BearerAuthLayer::new(provider, Origins::new(url)?).replay(policy);
//! let client = GreeterClient::with_origin(layer.layer(web), url.parse()?);
//! # let _ = client;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! | the layer is | it sees status 16 in the headers | calls are replayed |
//! | --- | --- | --- |
//! | outside | yes | yes: of 100 calls at a revocation, none failed |
//! | inside | with [`rejected_if`]`(`[`rejection::unauthorized`]`)` | by one more line |
//!
//! That line is a `MapRequest` around the layer: `request.map(Body::new)`. Without it, no policy can wrap a
//! kept body in tonic-web's `GrpcWebCall`.
//!
//! tonic marks its requests as HTTP/2, and `GrpcWebClientLayer` removes the mark. Without the mark, the
//! layer does not know that an exchange over HTTP/1 is gRPC.
//!
//! # Where a server says `UNAUTHENTICATED`
//!
//! Servers say it, as status 16, in different places:
//!
//! | place | the layer |
//! | --- | --- |
//! | the headers, with or without a body: the usual place | sees it |
//! | HTTP status 401, as proxies answer | sees it; a page in the body makes it `Internal` to a tonic caller |
//! | gRPC-Web over HTTP/1, in the headers | sees it outside of `GrpcWebClientLayer`; elsewhere with [`rejected_if`]`(`[`rejection::unauthorized`]`)` |
//! | the trailers, as at the end of a stream | does not see it |
//! | gRPC-Web, in the last frame of the body | does not see it |
//!
//! Where the layer does not see it, report it by hand. Mark the call as
//! [judged by its caller](crate::PerRequest::judged_by_caller), for otherwise its HTTP status 200 counts
//! as an acceptance. `report` then covers every place but the page of a proxy:
//!
//! ```
#![doc = include_str!("../../tests/recipes/judge_call.rs")]
//!
//! # use tonic_health::pb::{HealthCheckRequest as HelloRequest, HealthCheckResponse as HelloReply, health_client::HealthClient as GreeterClient};
//! # use tonic::{Response, transport::Channel};
//! # use tower_bearer::BearerAuth;
//! async fn say_hello(
//!     client: &mut GreeterClient<BearerAuth<Channel>>,
//!     provider: &CachedProvider,
//!     message: HelloRequest,
//! ) -> Result<Response<HelloReply>, Status> {
//!     let (request, per_request) = judged(message.clone());
//!     let outcome = client.check(request).await;
//!     if !report(provider, &per_request, &outcome) {
//!         return outcome;
//!     }
//!     let (request, per_request) = judged(message);
//!     let outcome = client.check(request).await;
//!     report(provider, &per_request, &outcome);
//!     outcome
//! }
//! # let _ = say_hello;
//! ```
//!
//! For a stream, report its end. `Ok(())` stands for a stream that ended well.
//!
//! A body of gRPC-Web has its status in a frame of its own. tonic-web's client reads it, and `report`
//! covers it. If your client does not read it, this function does, except for the base64 of `grpc-web-text`:
//!
//! ```
#![doc = include_str!("../../tests/recipes/grpc_web_status.rs")]
//!
//! let body = b"\x00\x00\x00\x00\x02\x08\x01\x80\x00\x00\x00\x10grpc-status: 16\n";
//! assert_eq!(grpc_web_status(body), Some("16"));
//! ```
//!
//! All of this runs in `tests/grpc.rs`, `tests/grpc_status.rs` and `tests/grpc_errors.rs`.
//!
//! [`rejected_if`]: crate::BearerAuthLayer::rejected_if
//! [`rejection::unauthorized`]: crate::rejection::unauthorized
