use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::buffer::BufferLayer;
use tower_bearer::{BearerAuthLayer, BoxError};

pub fn client(config: Config, layer: BearerAuthLayer) -> Result<Client, BoxError> {
    let client = ClientBuilder::try_from(config)?
        .with_layer(&BufferLayer::new(1024)) // kube's own stack is not `Clone`
        .with_layer(&layer.replay_with(Body::try_clone))
        .build();
    Ok(client)
}
