use http::Uri;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use octocrab::{
    AuthState, OctoBody, Octocrab, OctocrabBuilder, service::middleware::base_uri::BaseUriLayer,
};
use tower_bearer::{BearerAuthLayer, BoxError, ReplayEmptyOr};

pub fn client(url: Uri, layer: BearerAuthLayer) -> Result<Octocrab, BoxError> {
    let http = Client::builder(TokioExecutor::new()).build_http(); // your connector, for HTTPS
    let client = OctocrabBuilder::new_empty()
        .with_service(http)
        .with_layer(&layer.replay(ReplayEmptyOr(OctoBody::try_clone)))
        .with_layer(&BaseUriLayer::new(url))
        .with_auth(AuthState::None)
        .build()?;
    Ok(client)
}
