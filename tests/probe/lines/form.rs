use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::Connect};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, HttpLogin, Lifetime, LoginBody, Origins,
    RefreshToken, ReplayEmpty, Session, rejection,
};

/// A layer for https://api.example.com. The announced lifetime is 60 s.
///
/// `http` is a client without the layer, which follows no redirects.
pub(crate) fn layer<C>(
    http: Client<C, Full<Bytes>>,
) -> Result<BearerAuthLayer<CachedProvider, ReplayEmpty>, BoxError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let secret = std::env::var("API_PASSWORD")?;
    let secret_2 = std::env::var("API_PASSWORD")?;
    let body = LoginBody::form([("password", secret.as_str()), ("user", "test-account")]);
    let url = "https://api.example.com/login";
    let refresh = move |token: &RefreshToken| {
        LoginBody::form([
            ("grant", "refresh"),
            ("password", secret_2.as_str()),
            ("refresh_token", token.expose()),
        ])
    };
    let login = HttpLogin::new(http, url, body)?
        .refresh_token_at("/refresh_token")
        .refresh_by("https://api.example.com/refresh", refresh)?
        .lifetime(Lifetime::Fixed(Duration::from_secs(30)))
        // not known, and the careful choice
        .with_session(Session::Exclusive);
    let origins = Origins::new(["https://api.example.com"])?;
    let layer = BearerAuthLayer::new(CachedProvider::new(login), origins)
        // a dead token gets 302
        .rejected_if(|status, headers| {
            rejection::unauthorized(status, headers) || [302].contains(&status.as_u16())
        })
        .replay(ReplayEmpty);
    Ok(layer)
}
