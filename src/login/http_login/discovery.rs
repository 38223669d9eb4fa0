//! The login at the token endpoint that an issuer's metadata names.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, Uri,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use http_body::Body;
use tower_service::Service;

use super::{HttpLogin, LoginUrl};
use crate::{
    error::{BoxError, Grant, LoginError},
    login::{LoginBody, exchange::Erased, oauth2::OAuth2Issuer},
};

impl HttpLogin {
    /// A login at the token endpoint that the metadata of `issuer` names. [`OAuth2Issuer`] has an example,
    /// and says which endpoints are used.
    ///
    /// The body is an [`OAuth2Grant`](crate::OAuth2Grant), or any other that [`new`](Self::new) takes. All
    /// settings apply. A refresh goes to the token endpoint too, unless [`refresh_by`](Self::refresh_by)
    /// names another URL.
    ///
    /// # The metadata
    ///
    /// Each login begins with one GET of the metadata, which the refresh and the login after it share. It is
    /// not cached: a new endpoint counts from the next login on.
    ///
    /// - The GET has the headers `accept: application/json` and `accept-encoding: identity`, and no other.
    ///   Those of [`header`](Self::header), such as HTTP Basic, go to the token endpoint alone.
    /// - It may take a quarter of the login's timeout.
    /// - At most 64 KiB are read, and a redirect is not followed.
    ///
    /// A failed GET fails the login, by the rows of [the table](Self#when-a-login-fails). It comes before
    /// anything else: no function has made a body, and the refresh token is kept. Only
    /// [`before_refresh`](crate::CachedProviderBuilder::before_refresh) has run;
    /// [`on_unspent`](crate::CachedProviderBuilder::on_unspent) follows.
    ///
    /// The client is the same for both requests. Plain `http` has no exception here but loopback.
    pub fn discover<S, B, R>(client: S, issuer: OAuth2Issuer, body: impl Into<LoginBody>) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let client = Box::new(Erased::new(client));
        Self::with_client(client, LoginUrl::Discovered(issuer), body.into())
    }

    pub(super) async fn fetch_endpoint(
        &self,
        issuer: &OAuth2Issuer,
        timeout: Option<Duration>,
    ) -> Result<Uri, LoginError> {
        let exchange = async {
            // The rest of the time is for a refresh, and for the full login after it.
            let limit = timeout.map(|timeout| timeout / 4);
            let metadata = self.exchange(get(issuer.metadata_url()), limit).await?;
            issuer.token_endpoint(&metadata)
        };
        let endpoint = exchange.await;
        endpoint.map_err(|failed| self.error(failed, Grant::Discovery, issuer.metadata_url()))
    }
}

/// A request for metadata. It has none of the user's headers, which may be secret.
fn get(url: &Uri) -> Request<Bytes> {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.clone();
    *request.headers_mut() = headers;
    request
}
