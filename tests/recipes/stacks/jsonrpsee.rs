use jsonrpsee::{
    core::{client::ClientT, client::Error, http_helpers::HttpError},
    http_client::{HttpBody, HttpClientBuilder, transport::Error as TransportError},
};
use tower::ServiceBuilder;
use tower_bearer::{BearerAuthLayer, BoxError, ReplayReady};

pub fn client(
    builder: HttpClientBuilder,
    url: String,
    layer: BearerAuthLayer,
) -> Result<impl ClientT + Clone, BoxError> {
    let middleware = ServiceBuilder::new()
        .map_err(to_transport)
        .layer(layer.replay(ReplayReady::new(64 * 1024, HttpBody::new)));
    Ok(builder.set_http_middleware(middleware).build(url)?)
}

fn to_transport(error: BoxError) -> TransportError {
    match error.downcast() {
        Ok(error) => *error,
        Err(ours) => TransportError::Http(HttpError::Stream(ours)),
    }
}

/// The error of a failed login. It is not in the chain of `source()`.
pub fn login_error(error: &Error) -> Option<&tower_bearer::Error> {
    let Error::Transport(error) = error else {
        return None;
    };
    match error.downcast_ref()? {
        TransportError::Http(HttpError::Stream(error)) => error.downcast_ref(),
        _ => None,
    }
}
