use http::{Request, Response};
use reqwest::Body;
use tower::{Service, ServiceBuilder};
use tower_bearer::{BearerAuthLayer, BoxError, ReplayReady};

pub fn client(
    http: reqwest::Client,
    layer: BearerAuthLayer,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    ServiceBuilder::new()
        .layer(layer.replay(ReplayReady::new(64 * 1024, Body::wrap)))
        .filter(|request: Request<Body>| reqwest::Request::try_from(request))
        .map_response(Response::<Body>::from)
        .service(http)
}
