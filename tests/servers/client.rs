//! The client of the logins and of the tests, which records the logins.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION, request::Builder};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use url::form_urlencoded;

use crate::support::http_client;

pub(crate) type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, Error>;

#[derive(Clone)]
pub(crate) struct Http {
    plain: Client,
    posts: Arc<Mutex<Vec<StatusCode>>>,
}

impl Http {
    pub(crate) fn new() -> Self {
        Self::over(http_client())
    }

    pub(crate) fn over<S>(client: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = Error>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Self {
            plain: Client::new(client),
            posts: Arc::default(),
        }
    }

    /// A client that records each POST.
    pub(crate) fn client(&self) -> Client {
        let Self { plain, posts } = self.clone();
        Client::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let (plain, posts) = (plain.clone(), Arc::clone(&posts));
            async move {
                let is_post = request.method() == Method::POST;
                let response = plain.oneshot(request).await?;
                if is_post {
                    posts.lock().unwrap().push(response.status());
                }
                Ok(response)
            }
        }))
    }

    /// The statuses of the logins and refreshes so far.
    pub(crate) fn logins(&self) -> Vec<u16> {
        let posts = self.posts.lock().unwrap();
        posts.iter().map(StatusCode::as_u16).collect()
    }

    /// The body of a page.
    pub(crate) async fn read(&self, url: String) -> String {
        let (status, body) = self.get(Request::get(url)).await;
        assert_eq!(status, 200);
        body
    }

    /// The status and the body of an API's answer for a token.
    pub(crate) async fn answer(&self, api: &str, token: &str) -> (u16, String) {
        let request = Request::get(api).header(AUTHORIZATION, format!("Bearer {token}"));
        self.get(request).await
    }

    /// The status of an API for a token.
    pub(crate) async fn status(&self, api: &str, token: &str) -> u16 {
        self.answer(api, token).await.0
    }

    async fn get(&self, request: Builder) -> (u16, String) {
        let request = request.body(Full::default()).unwrap();
        let response = self.plain.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// Posts a form, such as one that revokes a token (RFC 7009).
    pub(crate) async fn post(&self, url: String, form: Vec<(&'static str, String)>) {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.into())
            .unwrap();
        let response = self.plain.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}
