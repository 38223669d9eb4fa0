//! The layer as a middleware of reqwest-middleware 0.5.
//!
//! To the service, the rest of the client is the inner service. reqwest's own request is the body of the
//! request, and its own response is the body of the response: the service passes bodies through
//! unread. The heads are moved out of them, since the service reads and changes those.

use std::{
    mem,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Extensions, Uri};
use reqwest_middleware::{
    Middleware, Next,
    reqwest::{self, Url},
};
use tower_service::Service;

use super::BearerAuthLayer;
use crate::{
    error::{BoxError, Error},
    provider::CredentialProvider,
    request::{PerService, Replay, Replayed},
    service::BearerAuth,
};

type Result<T> = std::result::Result<T, reqwest_middleware::Error>;
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A middleware for reqwest 0.13, and for the clients of openapi-generator.
/// [The guide](crate::guide::reqwest) has a page on it.
///
/// A replay policy is one for bodies of the type `reqwest::Request`: write
/// `.replay_with(reqwest::Request::try_clone)`.
impl<P, R> Middleware for BearerAuthLayer<P, R>
where
    P: CredentialProvider<Acquire: Send> + Send + Sync + 'static,
    R: Replay<reqwest::Request, Kept: Send> + Send + Sync + 'static,
{
    fn handle<'a, 'b, 'c, 'all>(
        &'a self,
        request: reqwest::Request,
        extensions: &'b mut Extensions,
        next: Next<'c>,
    ) -> BoxFuture<'all, Result<reqwest::Response>>
    where
        Self: 'all,
        'a: 'all,
        'b: 'all,
        'c: 'all,
    {
        Box::pin(self.authorize(request, extensions, next))
    }
}

impl<P, R> BearerAuthLayer<P, R>
where
    P: CredentialProvider,
    R: Replay<reqwest::Request>,
{
    async fn authorize(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        // reqwest makes the same URI of the URL, and fails if it cannot.
        let Ok(uri) = Uri::try_from(request.url().as_str()) else {
            return next.run(request, extensions).await;
        };
        let url = request.url().clone();
        // The caller's own stay as they are if the request fails or is cancelled: another attempt needs
        // them.
        let request = with_http_head(request, uri, extensions.clone());
        let extensions_after = Mutex::new(None);
        let rest = Rest {
            next,
            url: &url,
            extensions_after: &extensions_after,
        };
        let share = self.share.for_clone();
        let response = BearerAuth::new(rest, PerService::new(share)).call(request);
        let response = response.await;
        let after = extensions_after.into_inner();
        if let Some(mut after) = after.unwrap_or_else(PoisonError::into_inner) {
            // It is of our replay, and the caller may send another attempt with these.
            if extensions.get::<Replayed>().is_none() {
                after.remove::<Replayed>();
            }
            *extensions = after;
        }
        response.map(into_reqwest).map_err(into_middleware_error)
    }
}

/// The rest of the client, as a service.
#[derive(Clone)]
struct Rest<'a> {
    next: Next<'a>,
    /// Where the request goes, whatever a replay policy makes of it.
    url: &'a Url,
    /// The extensions after the last attempt. No other code runs under the lock.
    extensions_after: &'a Mutex<Option<Extensions>>,
}

impl<'a> Service<http::Request<reqwest::Request>> for Rest<'a> {
    type Response = http::Response<reqwest::Response>;
    type Error = reqwest_middleware::Error;
    type Future = BoxFuture<'a, Result<Self::Response>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<reqwest::Request>) -> Self::Future {
        let Self {
            next,
            url,
            extensions_after,
        } = self.clone();
        let (head, mut request) = request.into_parts();
        *request.method_mut() = head.method;
        *request.url_mut() = url.clone();
        *request.headers_mut() = head.headers;
        let mut extensions = head.extensions;
        Box::pin(async move {
            let response = next.run(request, &mut extensions).await;
            let mut after = extensions_after
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *after = Some(extensions);
            response.map(with_http_response_head)
        })
    }
}

fn with_http_head(
    mut request: reqwest::Request,
    uri: Uri,
    extensions: Extensions,
) -> http::Request<reqwest::Request> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = uri;
    *head.version_mut() = request.version();
    *head.headers_mut() = mem::take(request.headers_mut());
    *head.extensions_mut() = extensions;
    head.map(|()| request)
}

fn with_http_response_head(mut response: reqwest::Response) -> http::Response<reqwest::Response> {
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    *head.version_mut() = response.version();
    *head.headers_mut() = mem::take(response.headers_mut());
    *head.extensions_mut() = mem::take(response.extensions_mut());
    head.map(|()| response)
}

fn into_reqwest(response: http::Response<reqwest::Response>) -> reqwest::Response {
    let (head, mut response) = response.into_parts();
    *response.headers_mut() = head.headers;
    *response.extensions_mut() = head.extensions;
    response
}

fn into_middleware_error(error: BoxError) -> reqwest_middleware::Error {
    match error.downcast::<reqwest_middleware::Error>() {
        Ok(of_the_rest) => *of_the_rest,
        Err(error) => {
            let ours = error.downcast::<Error>();
            reqwest_middleware::Error::middleware(*ours.expect("the layer has no other error"))
        }
    }
}
