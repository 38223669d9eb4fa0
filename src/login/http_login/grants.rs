//! The two grants of an HTTP login: the refresh, and the full login.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{Request, Uri};
use tokio::time;

use super::{HttpLogin, LoginUrl, refresh::Refresh};
#[cfg(feature = "tracing")]
use crate::runtime::TARGET;
use crate::{
    credential::{Credential, RefreshToken},
    error::{BoxError, ExchangeKind, Grant, LoginError},
    login::{
        Login, LoginRequest, RefreshFailure, Session,
        body::Document,
        exchange::{Failed, IsHandedOver, ReadAnswer},
        status,
    },
    origin::url,
};

/// A server that cannot process this many refreshes in a row may never process that refresh token.
const MOST_UNPROCESSED: u32 = 5;

impl HttpLogin {
    async fn post_login(&self, url: &Uri, body: Document) -> Result<Credential, LoginError> {
        let exchange = async {
            let answer = self.exchange(self.post(url, body), None).await?;
            self.format.credential(&answer)
        };
        let credential = exchange.await;
        credential.map_err(|failed| self.error(failed, Grant::Login, url))
    }

    /// Sends a request, and checks the status of the answer.
    pub(super) async fn exchange(
        &self,
        request: Request<Bytes>,
        limit: Option<Duration>,
    ) -> Result<ReadAnswer, Failed> {
        let is_handed_over = IsHandedOver::default();
        let sent = self.client.send(request, &is_handed_over);
        let answer = match limit {
            Some(limit) => time::timeout(limit, sent).await.unwrap_or_else(|elapsed| {
                let kind = match is_handed_over.get() {
                    true => ExchangeKind::NoAnswer,
                    false => ExchangeKind::Unsent,
                };
                Err(Failed::new(kind, Some(elapsed.into())))
            }),
            None => sent.await,
        }?;
        status::check(answer, self.format.refuses_with_empty_body)
    }

    pub(super) fn error(&self, failed: Failed, grant: Grant, url: &Uri) -> LoginError {
        let failed = match self.hides_path {
            true => failed.without_path(),
            false => failed,
        };
        failed.into_error(grant, self.endpoint_of(grant, url))
    }

    fn endpoint_of(&self, grant: Grant, url: &Uri) -> String {
        let place = url::host_and_path(url, !self.hides_path);
        format!("{} {place}", grant.method())
    }

    /// The body of the refresh, if there is one to make. The token stays in the request: making the body
    /// may fail or panic, and the login may be dropped meanwhile.
    async fn refresh_body(
        &self,
        request: &LoginRequest,
    ) -> Result<Option<(&Refresh, Document)>, BoxError> {
        let refresh = self.refresh.as_ref();
        let Some(refresh) = refresh.filter(|_| !self.needs_full_login(request)) else {
            return Ok(None);
        };
        let Some(body) = request
            .refresh_token_slot()
            .peek()
            .as_ref()
            .map(&*refresh.body)
        else {
            return Ok(None);
        };
        Ok(Some((refresh, body.make(request).await?)))
    }

    /// Sends the refresh token. If it is refused or the answer is lost, the token is spent. If the
    /// server has not processed it, the token is put back for the next login.
    async fn refresh(
        &self,
        refresh: &Refresh,
        token: RefreshToken,
        sent: Request<Bytes>,
        request: &mut LoginRequest,
    ) -> Result<Credential, Failed> {
        // The other half of the time is for the full login that follows if no answer comes.
        let limit = request.timeout().map(|timeout| timeout / 2);
        let answer = match self.exchange(sent, limit).await {
            Ok(answer) => answer,
            Err(failed) => {
                if RefreshFailure::of(&failed).is_some() {
                    request.put_back_refresh_token(token);
                }
                return Err(failed);
            }
        };
        let credential = self.format.credential(&answer);
        // Relaxed: logins come one after another.
        self.is_refreshed
            .store(credential.is_ok(), Ordering::Relaxed);
        match credential {
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

    /// Whether another refresh would not help: the API has never accepted what the last one brought. Some
    /// servers refresh a session that they have ended.
    fn needs_full_login(&self, request: &LoginRequest) -> bool {
        let is_refused = request.is_never_accepted() && self.is_refreshed.load(Ordering::Relaxed);
        is_refused && !self.is_refresh_only
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

    /// Warns once of a lifetime that is not where the user has said.
    #[cfg(feature = "tracing")]
    fn warn_of_missing_lifetime(&self, credential: &Credential, url: &Uri) {
        if self.format.misses_lifetime(credential) && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            let endpoint = self.endpoint_of(Grant::Login, url);
            tracing::warn!(
                target: TARGET,
                endpoint,
                "the login's answer has no lifetime where it was expected; the token is used until it is rejected"
            );
        }
    }
}

impl Login for HttpLogin {
    async fn login(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        let url = match &self.url {
            LoginUrl::Known(url) => url.clone(),
            // Comes first, since it may fail: nothing is made or spent before.
            #[cfg(feature = "oauth2")]
            LoginUrl::Discovered(issuer) => self.fetch_endpoint(issuer, request.timeout()).await?,
        };
        if let Some((refresh, body)) = self.refresh_body(&request).await?
            && let Some(token) = request.take_refresh_token()
        {
            let refresh_url = refresh.url.as_ref().unwrap_or(&url);
            let sent = self.post(refresh_url, body);
            match self.refresh(refresh, token, sent, &mut request).await {
                Ok(credential) => {
                    self.unprocessed.store(0, Ordering::Relaxed);
                    #[cfg(feature = "tracing")]
                    self.warn_of_missing_lifetime(&credential, &url);
                    return Ok(credential);
                }
                Err(failed) => {
                    let failure = RefreshFailure::of(&failed);
                    let error = self.error(failed, Grant::Refresh, refresh_url);
                    // A full login would only say that there is none, and pause for much longer.
                    if self.is_refresh_only && request.refresh_token_slot().peek().is_some() {
                        return Err(error.into());
                    }
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
        // Also if it fails: then the refresh token that was kept has another chance.
        self.is_refreshed.store(false, Ordering::Relaxed);
        let body = self.body.make(&request).await?;
        let credential = self.post_login(&url, body).await?;
        #[cfg(feature = "tracing")]
        self.warn_of_missing_lifetime(&credential, &url);
        Ok(credential)
    }

    fn endpoint(&self) -> Option<String> {
        Some(match &self.url {
            LoginUrl::Known(url) => self.endpoint_of(Grant::Login, url),
            // The requests go to two paths, and perhaps to another host.
            #[cfg(feature = "oauth2")]
            LoginUrl::Discovered(issuer) => url::host_and_path(issuer.metadata_url(), false),
        })
    }

    fn session(&self) -> Session {
        self.session
    }
}
