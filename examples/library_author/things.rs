//! A REST client in the manner of generators. None of its public items names tower-bearer.

use std::{error::Error as StdError, fmt, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde::{Deserialize, de::DeserializeOwned};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, Credential, CredentialProvider, Origins, ReplayEmpty,
    StaticProvider, login_fn,
};

type BoxError = Box<dyn StdError + Send + Sync>;

#[derive(Deserialize)]
pub struct Thing {
    pub name: String,
}

#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no token, for example because the login failed. A text, since nobody shall downcast it.
    NoToken(String),
    /// The URL or the token cannot be used. A text, for the same reason.
    Settings(String),
    /// The API answered with this status.
    Status(StatusCode),
    Other(BoxError),
}

/// A client of the API. Clones share connections and token.
#[derive(Clone, Debug)]
pub struct Client {
    base_url: String,
    http: BoxCloneSyncService<Request<Empty<Bytes>>, Response<Incoming>, BoxError>,
}

impl Client {
    pub fn with_token(base_url: &str, token: &str) -> Result<Self, Error> {
        Self::new(
            base_url,
            StaticProvider::new(token).map_err(Error::settings)?,
        )
    }

    /// Calls `login` for a token and its lifetime: when there is none, and when the API rejects it.
    pub fn with_login<F, Fut>(base_url: &str, login: F) -> Result<Self, Error>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(String, Duration), BoxError>> + Send,
    {
        let login = login_fn(move |_| {
            let answer = login();
            async {
                let (token, lifetime) = answer.await?;
                Ok(Credential::new(token)?.with_lifetime(lifetime))
            }
        });
        Self::new(base_url, CachedProvider::new(login))
    }

    fn new<P>(base_url: &str, provider: P) -> Result<Self, Error>
    where
        P: CredentialProvider<Acquire: Send + 'static> + Send + Sync + 'static,
    {
        let origins = Origins::new(base_url).map_err(Error::settings)?;
        let layer = BearerAuthLayer::new(provider, origins).replay(ReplayEmpty);
        let http = legacy::Client::builder(TokioExecutor::new()).build_http(); // a TLS connector for HTTPS
        Ok(Self {
            base_url: base_url.to_owned(),
            http: BoxCloneSyncService::new(layer.layer(http)),
        })
    }

    pub async fn list_things(&self) -> Result<Vec<Thing>, Error> {
        self.get("/v1/things").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let request = Request::get(format!("{}{path}", self.base_url));
        let request = request.body(Empty::new()).map_err(Error::new)?;
        let response = self.http.clone().oneshot(request).await;
        let response = response.map_err(Error::new)?;
        if !response.status().is_success() {
            return Err(Error::Status(response.status()));
        }
        let body = response.into_body().collect().await.map_err(Error::new)?;
        serde_json::from_slice(&body.to_bytes()).map_err(Error::new)
    }
}

impl Error {
    fn new(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        match error.downcast_ref::<tower_bearer::Error>() {
            Some(failure) => Self::NoToken(format!("{failure:?}")), // with the cause, on one line
            None => Self::Other(error),
        }
    }

    fn settings(error: impl fmt::Display) -> Self {
        Self::Settings(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken(text) | Self::Settings(text) => f.write_str(text),
            Self::Other(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the API answered {status}"),
        }
    }
}

impl StdError for Error {}
