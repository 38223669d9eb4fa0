use bytes::Bytes;
use futures_util::stream;
use http::Response;
use progenitor::generate_api;
use reqwest::{Body, Request};
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::{BearerAuthLayer, BoxError, ReplayReady};

generate_api!(
    spec = "src/things.json", // your document
    inner_type = BearerAuthLayer,
    hooks = Expected,
);

impl ClientHooks<BearerAuthLayer> for Client {
    async fn exec(
        &self,
        request: Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        let layer = self.inner().clone();
        let client = ServiceBuilder::new()
            .layer(layer.replay(ReplayReady::new(64 * 1024, Body::wrap)))
            .filter(|request: http::Request<Body>| Request::try_from(request))
            .map_response(Response::<Body>::from)
            .service(self.client().clone());
        match client.oneshot(request.try_into()?).await {
            Ok(response) => Ok(response.into()),
            Err(error) => fail(error).await,
        }
    }
}

/// reqwest alone makes its errors: reading a body that fails gives one with `error` as a source.
async fn fail(error: BoxError) -> reqwest::Result<reqwest::Response> {
    let ours = match error.downcast() {
        Ok(error) => return Err(*error),
        Err(ours) => ours,
    };
    let body = Body::wrap_stream(stream::once(async { Err::<Bytes, _>(ours) }));
    let read = reqwest::Response::from(Response::new(body)).bytes().await;
    read.map(|read| Response::new(read).into())
}
