use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Error, NotReplayed, Origins, ReadyBody,
    Recovery, RejectionReport, ReplayReady,
};

type Http = Client<HttpConnector, Body>;
type Policy = ReplayReady<fn(ReadyBody<Body>) -> Body>;

/// The state of the handlers: each request gets a clone.
#[derive(Clone)]
pub(crate) struct Api {
    origin: Uri,
    client: BearerAuth<Http, CachedProvider, Policy>,
}

impl Api {
    pub(crate) fn new(origin: &str, provider: CachedProvider) -> Result<Self, BoxError> {
        let policy: Policy = ReplayReady::new(64 * 1024, Body::new);
        let layer = BearerAuthLayer::new(provider, Origins::new(origin)?.strict()).replay(policy);
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self {
            origin: origin.parse()?,
            client: layer.layer(http),
        })
    }

    /// The URL of a path at the API. The caller of a handler cannot choose the host.
    fn url(&self, path: Uri) -> Result<Uri, StatusCode> {
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = path.into_parts().path_and_query;
        Uri::from_parts(parts).map_err(|_| StatusCode::BAD_REQUEST)
    }

    async fn send(self, request: Request) -> Response {
        let response = match self.client.oneshot(request).await {
            Ok(response) => response,
            Err(error) => return failure(&error),
        };
        // The user cannot repair a rejection: it is about the token of this service.
        match response
            .extensions()
            .get()
            .map(RejectionReport::not_replayed)
        {
            None => response.map(Body::new),
            Some(NotReplayed::BodyNotKept) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Some(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    }
}

/// The answer to a user if the API gave none.
fn failure(error: &BoxError) -> Response {
    match error.downcast_ref::<Error>().map(Error::recovery) {
        Some(Recovery::TryAgain { after }) => {
            let seconds = (after.as_secs() + 1).to_string();
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, seconds)]).into_response()
        }
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        None => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// A handler that calls the API.
pub(crate) async fn create(State(api): State<Api>, name: String) -> Result<Response, StatusCode> {
    let mut request = Request::new(Body::from(name));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = api.url(Uri::from_static("/things"))?;
    Ok(api.send(request).await)
}

/// A gateway: passes each request on to the API, with the same path.
pub(crate) async fn pass_on<B: Into<Body>>(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: B,
) -> Result<Response, StatusCode> {
    let mut request = Request::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = api.url(uri)?;
    // The user's own authorization, cookies and connection stay here.
    for name in [ACCEPT, CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    Ok(api.send(request).await)
}
