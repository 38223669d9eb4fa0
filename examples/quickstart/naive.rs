//! The client that many services write by hand. **Do not copy it.**
//!
//! It keeps the token in an `RwLock`, logs in when there is no token or after a 401, and sends a
//! rejected request once more. It never holds the lock during a login, so that requests do not
//! wait for each other. That is the fault: every request that finds no valid token makes its own
//! login, and each login revokes the token that another request is about to send.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::{Request, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{ServiceExt, limit::ConcurrencyLimit};
use tower_bearer::BoxError;

use crate::{
    Answer, Http,
    stand_in::{PASSWORD, USER},
};

#[derive(Clone)]
pub(crate) struct NaiveClient {
    http: ConcurrencyLimit<Http>,
    base_url: String,
    token: Arc<RwLock<Option<String>>>,
}

impl NaiveClient {
    pub(crate) fn new(http: ConcurrencyLimit<Http>, base_url: String) -> Self {
        Self {
            http,
            base_url,
            token: Arc::default(),
        }
    }

    pub(crate) async fn send(self, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        let token = match self.cached_token() {
            Some(token) => token,
            None => self.log_in().await?, // another request may be logging in as well
        };
        let answer = self.send_with(&token, request.clone()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let token = self.log_in().await?; // another request may have logged in already
        self.send_with(&token, request).await
    }

    fn cached_token(&self) -> Option<String> {
        let token = self.token.read();
        token.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send_with(
        &self,
        token: &str,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Answer, BoxError> {
        let authorization = format!("Bearer {token}").parse()?;
        request.headers_mut().insert(AUTHORIZATION, authorization);
        Ok(self.http.clone().oneshot(request).await?)
    }

    async fn log_in(&self) -> Result<String, BoxError> {
        let body = json!({"signin": {"username": USER, "password": PASSWORD}});
        let request = Request::post(format!("{}/api_1.php/sessions", self.base_url))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))?;
        let answer = self.http.clone().oneshot(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body)?;
        let token = body["oauth"]["access_token"].as_str();
        let token = token.ok_or("the login's answer has no token")?.to_owned();
        let mut cached = self.token.write().unwrap_or_else(PoisonError::into_inner);
        *cached = Some(token.clone());
        Ok(token)
    }
}
