use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{BearerAuthLayer, BoxError};

pub fn client(runtime: Handle, layer: BearerAuthLayer) -> impl HttpClient {
    let http = Client::builder(TokioExecutor::new()).build_http(); // your connector, for HTTPS
    let layer = layer.replay_with(|body: &Full<Bytes>| Some(body.clone()));
    Authorized {
        client: layer.layer(http),
        runtime,
    }
}

#[derive(Debug)]
struct Authorized<S> {
    client: S,
    /// The SDK's threads are outside of the runtime, which hyper's client needs.
    runtime: Handle,
}

#[async_trait]
impl<S> HttpClient for Authorized<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let call = self.client.clone().oneshot(request.map(Full::new));
        let call = self.runtime.spawn(async {
            let (head, body) = call.await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        });
        call.await?
    }
}
