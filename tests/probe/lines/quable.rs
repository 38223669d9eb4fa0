use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::Connect};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, Lifetime, ReplayEmpty, Session, presets::Quable,
};

/// A layer for https://acme.quable.com. The announced lifetime is 3,600 s.
///
/// `http` is a client without the layer, which follows no redirects.
pub(crate) fn layer<C>(
    http: Client<C, Full<Bytes>>,
) -> Result<BearerAuthLayer<CachedProvider, ReplayEmpty>, BoxError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let secret = std::env::var("QUABLE_PASSWORD")?;
    let preset = Quable::instance("acme")?;
    let login = preset
        .login(http, "export-job", secret.as_str(), Lifetime::Announced)
        // a login revokes the previous token
        .with_session(Session::Exclusive);
    let layer = preset
        .layer_with(CachedProvider::new(login))
        .replay(ReplayEmpty);
    Ok(layer)
}
