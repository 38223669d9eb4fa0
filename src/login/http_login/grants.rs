//! The two grants of an HTTP login: the refresh, and the full login.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE},
};
use tokio::time;

use super::{HttpLogin, JSON, refresh::Refresh};
#[cfg(feature = "tracing")]
use crate::runtime::TARGET;
use crate::{
    credential::{Credential, RefreshToken, Secret},
    error::{BoxError, ExchangeKind, Grant, LoginError},
    login::{
        Login, LoginRequest, RefreshFailure, Session,
        exchange::{Failed, ReadAnswer},
        status,
    },
    origin::url,
};

/// A server that cannot process this many refreshes in a row may never process that refresh token.
const MOST_UNPROCESSED: u32 = 5;

impl HttpLogin {
    pub(super) async fn log_in(&self) -> Result<Credential, LoginError> {
        let exchange = async {
            let answer = self.client.send(self.post(&self.url, &self.body)).await?;
            self.format.credential(&self.check(answer)?)
        };
        exchange.await.map_err(|failed: Failed| {
            let endpoint = self.endpoint_of(&self.url);
            failed.into_error(Grant::Login, endpoint)
        })
    }

    fn check(&self, answer: ReadAnswer) -> Result<ReadAnswer, Failed> {
        let checked = status::check(answer, self.format.refuses_with_empty_body);
        checked.map_err(|failed| match self.hides_path {
            true => failed.without_path(),
            false => failed,
        })
    }

    /// Sends the refresh token. If it is refused or the answer is lost, the token is spent. If the
    /// server has not processed it, the token is put back for the next login.
    async fn refresh(
        &self,
        refresh: &Refresh,
        token: RefreshToken,
        request: &mut LoginRequest,
    ) -> Result<Credential, Failed> {
        let post = self.post(&refresh.url, &(refresh.body)(&token));
        let sent = self.client.send(post);
        // The other half of the time is for the full login that follows if no answer comes.
        let sent = match request.timeout() {
            Some(timeout) => match time::timeout(timeout / 2, sent).await {
                Ok(sent) => sent,
                Err(elapsed) => Err(Failed::new(ExchangeKind::NoAnswer, Some(elapsed.into()))),
            },
            None => sent.await,
        };
        let answer = match sent.and_then(|answer| self.check(answer)) {
            Ok(answer) => answer,
            Err(failed) => {
                if RefreshFailure::of(&failed).is_some() {
                    request.put_back_refresh_token(token);
                }
                return Err(failed);
            }
        };
        match self.format.credential(&answer) {
            Ok(credential) if credential.refresh_token().is_none() && refresh.keeps_old => {
                Ok(credential.with_refresh_token(token))
            }
            Ok(credential) => Ok(credential),
            Err(failed) => {
                // The server has rotated the refresh token, even if the answer has no usable token.
                if let Some(new) = self.format.refresh_token(&answer) {
                    request.put_back_refresh_token(new);
                } else if RefreshFailure::of(&failed).is_some() {
                    request.put_back_refresh_token(token);
                }
                Err(failed)
            }
        }
    }

    /// Whether a full login follows a refresh that the server has not processed.
    fn is_followed_by_login(&self, failure: RefreshFailure) -> bool {
        // A server that cannot be reached has not even seen the refresh token.
        let is_too_often = failure != RefreshFailure::Unreachable
            && self.unprocessed.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_UNPROCESSED;
        let is_followed = is_too_often || self.full_login_after.contains(&failure);
        if is_followed {
            self.unprocessed.store(0, Ordering::Relaxed);
        }
        is_followed
    }

    fn endpoint_of(&self, url: &Uri) -> String {
        format!("POST {}", url::host_and_path(url, !self.hides_path))
    }

    /// Warns once of a lifetime that is not where the user has said.
    #[cfg(feature = "tracing")]
    fn warn_of_missing_lifetime(&self, credential: &Credential) {
        if self.format.misses_lifetime(credential) && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                target: TARGET,
                endpoint = self.endpoint_of(&self.url),
                "the login's answer has no lifetime where it was expected; the token is used until it is rejected"
            );
        }
    }

    fn post(&self, url: &Uri, body: &Secret) -> Request<Bytes> {
        let mut request = Request::new(body.clone().into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // RFC 6749, section 5.1 requires it of the answer: no cache in between stores the secrets.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        request
    }
}

impl Login for HttpLogin {
    async fn login(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        if let Some(refresh) = &self.refresh
            && let Some(token) = request.take_refresh_token()
        {
            match self.refresh(refresh, token, &mut request).await {
                Ok(credential) => {
                    self.unprocessed.store(0, Ordering::Relaxed);
                    #[cfg(feature = "tracing")]
                    self.warn_of_missing_lifetime(&credential);
                    return Ok(credential);
                }
                Err(failed) => {
                    let failure = RefreshFailure::of(&failed);
                    let endpoint = self.endpoint_of(&refresh.url);
                    let error = failed.into_error(Grant::Refresh, endpoint);
                    match failure {
                        Some(failure) if !self.is_followed_by_login(failure) => {
                            return Err(error.into());
                        }
                        Some(_) => {}
                        None => self.unprocessed.store(0, Ordering::Relaxed),
                    }
                    request.refresh_has_failed(error);
                }
            }
        }
        let credential = self.log_in().await?;
        #[cfg(feature = "tracing")]
        self.warn_of_missing_lifetime(&credential);
        Ok(credential)
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.endpoint_of(&self.url))
    }

    fn session(&self) -> Session {
        self.session
    }
}
