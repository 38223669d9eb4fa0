use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tower::{Layer, Service, service_fn};
use tower_bearer::{BearerAuthLayer, BoxError};

/// A client of one connection, for requests at the same time.
pub(crate) fn client(
    connection: SendRequest<Full<Bytes>>,
    layer: BearerAuthLayer,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ 'static {
    let layer = layer.replay_with(|body: &Full<Bytes>| Some(body.clone()));
    layer.layer(service_fn(move |request| {
        let mut connection = connection.clone();
        async move {
            connection.ready().await?;
            connection.send_request(request).await
        }
    }))
}
