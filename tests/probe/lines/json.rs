use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::Connect};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, HttpLogin, Origins, ReplayEmpty, Scheme, Session,
    rejection,
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
    let body = serde_json::json!({"account": 4711, "credentials": {"password": secret.as_str(), "user": "me"}}).to_string();
    let url = "https://api.example.com/login";
    let login = HttpLogin::new(http, url, body)?
        .header("x-api-key".parse()?, secret.as_str().parse()?)
        .lifetime_in_milliseconds_at("/ttl")
        .with_scheme(Scheme::from_static("Token"))
        // a login revokes the previous token
        .with_session(Session::Exclusive);
    let origins = Origins::new(["https://api.example.com"])?;
    let layer = BearerAuthLayer::new(CachedProvider::new(login), origins)
        .with_header_name("x-auth-token".parse()?)
        // a dead token gets 403
        .rejected_if(rejection::unauthorized_or_forbidden)
        .replay(ReplayEmpty);
    Ok(layer)
}
