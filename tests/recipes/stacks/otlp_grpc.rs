use std::io;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::BearerAuthLayer;

use super::to_status::to_status;

/// A channel into memory, whose other end sends each call through the layer.
pub fn channel(collector: Endpoint, layer: BearerAuthLayer) -> Channel {
    let memory = Endpoint::from_static("http://memory").origin(collector.uri().clone());
    let client = ServiceBuilder::new()
        .layer(layer.replay_with(|body: &Full<Bytes>| Some(body.clone())))
        .map_request(|request: Request<Full<Bytes>>| request.map(Body::new))
        .service(collector.connect_lazy());
    memory.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let client = client.clone();
        let send = service_fn(move |request: Request<Incoming>| {
            let client = client.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = Full::new(body.collect().await?.to_bytes());
                let answered = client.oneshot(Request::from_parts(head, body)).await;
                let failed = |error| Status::from_error(to_status(error)).into_http();
                Ok::<_, hyper::Error>(answered.unwrap_or_else(failed))
            }
        });
        let (near, far) = tokio::io::duplex(64 * 1024);
        let far =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(far), send);
        tokio::spawn(far);
        async { Ok::<_, io::Error>(TokioIo::new(near)) }
    }))
}
