use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use tower::{Service, ServiceBuilder};
use tower_bearer::{BearerAuthLayer, BoxError};

/// A client of one connection, which sends one request at a time.
pub(crate) fn client(
    connection: SendRequest<Full<Bytes>>,
    layer: BearerAuthLayer,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ 'static {
    ServiceBuilder::new()
        .layer(layer.replay_with(|body: &Full<Bytes>| Some(body.clone())))
        // Requests queue for the limit, and get their token after that: in a longer buffer it may die.
        .concurrency_limit(1)
        .buffer(1)
        .service(Http1(connection))
}

/// It is not `Clone`, so it needs the buffer.
struct Http1(SendRequest<Full<Bytes>>);

impl Service<Request<Full<Bytes>>> for Http1 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
