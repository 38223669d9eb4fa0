//! A gRPC client. It re-exports tower-bearer, and takes any of its logins and providers.

pub use tower_bearer;

use http::{Request, Response};
use tonic::{Status, body::Body, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::{
    Layer,
    util::{BoxCloneSyncService, MapErr},
};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, CredentialProvider, Login, Origins, ReplayReady,
    StaticProvider,
};

use crate::recipe::to_status;

/// Its error is a `Status`: with a `BoxError` in the type, no call could be spawned.
type Authorized = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// A client of the service. Clones share connection and token.
#[derive(Clone)]
pub struct Health(HealthClient<Authorized>);

impl Health {
    pub fn with_token(url: &str, token: &str) -> Result<Self, BoxError> {
        Self::with_provider(url, StaticProvider::new(token)?)
    }

    pub fn with_login(url: &str, login: impl Login) -> Result<Self, BoxError> {
        Self::with_provider(url, CachedProvider::new(login))
    }

    pub fn with_provider<P>(url: &str, provider: P) -> Result<Self, BoxError>
    where
        P: CredentialProvider<Acquire: Send + 'static> + Send + Sync + 'static,
    {
        let channel = Endpoint::from_shared(url.to_owned())?.connect_lazy();
        let layer = BearerAuthLayer::new(provider, Origins::new(url)?)
            .replay(ReplayReady::new(64 * 1024, Body::new));
        let authorized = MapErr::new(layer.layer(channel), |error: BoxError| {
            Status::from_error(to_status(error))
        });
        let boxed = BoxCloneSyncService::new(authorized);
        Ok(Self(HealthClient::new(boxed)))
    }

    /// Whether the server says that it serves.
    pub async fn is_serving(&self) -> Result<bool, Status> {
        let answer = self.0.clone().check(HealthCheckRequest::default()).await?;
        Ok(answer.into_inner().status() == ServingStatus::Serving)
    }
}
