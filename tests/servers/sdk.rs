//! An OAuth library with a cache around it: the shape of an SDK.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::Response;
use http_body_util::{BodyExt, Full};
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, TokenResponse, TokenUrl, basic::BasicClient,
};
use tower::ServiceExt;

use crate::client::{Client, Http};

#[derive(Clone)]
pub(crate) struct Sdk {
    http: Client,
    token_url: String,
    client_id: &'static str,
    secret: &'static str,
    cached: Arc<Mutex<Option<String>>>,
}

impl Sdk {
    pub(crate) fn new(
        http: &Http,
        token_url: String,
        client_id: &'static str,
        secret: &'static str,
    ) -> Self {
        Self {
            http: http.client(),
            token_url,
            client_id,
            secret,
            cached: Arc::default(),
        }
    }

    pub(crate) async fn token(&self) -> io::Result<String> {
        if let Some(token) = self.cached.lock().unwrap().clone() {
            return Ok(token);
        }
        let send = |request: HttpRequest| {
            let response = self.http.clone().oneshot(request.map(Full::from));
            async {
                let (parts, body) = response.await.map_err(io::Error::other)?.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>(Response::from_parts(parts, body.to_bytes().into()))
            }
        };
        let answer = BasicClient::new(ClientId::new(self.client_id.to_owned()))
            .set_client_secret(ClientSecret::new(self.secret.to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::new(self.token_url.clone()).map_err(io::Error::other)?)
            .exchange_client_credentials()
            .request_async(&send)
            .await
            .map_err(io::Error::other)?;
        let token = answer.access_token().secret().clone();
        *self.cached.lock().unwrap() = Some(token.clone());
        Ok(token)
    }

    pub(crate) fn forget_token(&self) {
        *self.cached.lock().unwrap() = None;
    }
}
