use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::Connect};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, HttpLogin, OAuth2Grant, Origins, ReplayEmpty,
    Session,
};

/// A layer for https://api.example.com. The announced lifetime is 3,600 s.
///
/// `http` is a client without the layer, which follows no redirects.
pub(crate) fn layer<C>(
    http: Client<C, Full<Bytes>>,
) -> Result<BearerAuthLayer<CachedProvider, ReplayEmpty>, BoxError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let secret = std::env::var("API_PASSWORD")?;
    let grant = OAuth2Grant::client_credentials()
        .scope("read write")
        .parameter("resource", "https://api.example.com")?
        .client_secret_post("test-client", secret.as_str());
    let url = "https://api.example.com/login";
    let login = HttpLogin::new(http, url, grant)?
        // the previous token stays valid
        .with_session(Session::Concurrent);
    let origins = Origins::new(["https://api.example.com"])?;
    let layer = BearerAuthLayer::new(CachedProvider::new(login), origins).replay(ReplayEmpty);
    Ok(layer)
}
