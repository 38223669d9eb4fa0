use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{BearerAuthLayer, BoxError};

pub fn connector(layer: BearerAuthLayer) -> SharedHttpConnector {
    let http = Client::builder(TokioExecutor::new()).build_http(); // your connector, for HTTPS
    let layer = layer.replay_with(SdkBody::try_clone);
    SharedHttpConnector::new(Authorized(layer.layer(http)))
}

#[derive(Debug)]
struct Authorized<S>(S);

impl<S> HttpConnector for Authorized<S>
where
    S: Service<Request<SdkBody>, Response = Response<Incoming>, Error = BoxError>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async {
            let request = request.try_into_http1x().map_err(user)?;
            let answered = client.oneshot(request).await;
            let response = answered.map_err(|error| ConnectorError::other(error, None))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x)).map_err(user)
        })
    }
}

fn user(error: impl Into<BoxError>) -> ConnectorError {
    ConnectorError::user(error.into())
}
