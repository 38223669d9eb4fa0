//! An axum service that calls another API with a bearer token.
//!
//! The client with the layer lives in the state of the handlers. The example starts an API and the
//! service on loopback, and sends the service a hundred requests at once. One login serves them
//! all, and each request gets the API's answer:
//!
//! ```text
//! cargo run --example axum_gateway
//! ```
//!
//! **Copy** the types `Http` and `Gateway`, the handler `products` and the first lines of `main`. Over
//! HTTPS the login needs a client of its own: the guide's page on HTTPS for logins has it.
//! **Do not copy** the module `api`: it is a stand-in for the API.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{Layer, ServiceExt};
use tower_bearer::{BearerAuth, BoxError, Lifetime, presets::Quable};

use self::api::{PASSWORD, USER};

const REQUESTS: usize = 100;

type Http = Client<HttpConnector, Full<Bytes>>;

/// The state: each handler gets a clone. The client's type has a name, so that it needs no box.
#[derive(Clone)]
struct Gateway {
    api: String,
    client: BearerAuth<Http>,
}

/// Forwards a page of products from the API.
async fn products(
    State(gateway): State<Gateway>,
    Path(page): Path<usize>,
) -> Result<Response, StatusCode> {
    let uri: Uri = format!("{}/api/products?page={page}", gateway.api)
        .parse()
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    match gateway.client.oneshot(request).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(error) => {
            // The text of an error leaves out its causes: log them as well.
            let mut message = format!("the API gave no answer: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                message += &format!(": {error}");
                cause = error.source();
            }
            eprintln!("{message}");
            Err(StatusCode::BAD_GATEWAY)
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let logins = Arc::new(AtomicUsize::new(0));
    let api = serve(api::router(Arc::clone(&logins))).await?;

    let base_url = format!("http://{api}");
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let layer =
        Quable::base_url(&base_url)?.layer(http.clone(), USER, PASSWORD, Lifetime::Announced);
    let gateway = Gateway {
        api: base_url,
        client: layer.layer(http.clone()),
    };
    let app = Router::new()
        .route("/products/{page}", get(products))
        .with_state(gateway);

    let address = serve(app).await?;

    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let (http, page) = (http.clone(), number % 5 + 1);
        requests.spawn(async move {
            let uri = format!("http://{address}/products/{page}").parse()?;
            let response = http.get(uri).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, BoxError>((status, body.len()))
        });
    }
    let (mut ok, mut length) = (0, 0);
    while let Some(answer) = requests.join_next().await {
        let (status, body) = answer??;
        ok += usize::from(status == StatusCode::OK);
        length += body;
    }

    let logins = logins.load(Ordering::Relaxed);
    println!("axum_gateway: requests={REQUESTS} ok={ok} bytes={length} logins={logins}");
    if (ok, logins) == (REQUESTS, 1) {
        Ok(())
    } else {
        Err("a request failed, or there was more than one login".into())
    }
}

/// Serves on a free port of loopback until the process ends.
async fn serve(app: Router) -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(address)
}

/// A stand-in for Quable PIM: a login, and pages of products for its token.
mod api {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{
        Json, Router,
        extract::{Query, State},
        http::{HeaderMap, StatusCode, header::AUTHORIZATION},
        response::{IntoResponse, Response},
        routing::{get, post},
    };
    use serde_json::{Value, json};

    pub(crate) const USER: &str = "export-job";
    pub(crate) const PASSWORD: &str = "correct horse battery staple";

    pub(crate) fn router(logins: Arc<AtomicUsize>) -> Router {
        Router::new()
            .route("/api_1.php/sessions", post(log_in))
            .route("/api/products", get(products))
            .with_state(logins)
    }

    /// The number of the login is the token. Only the last one is valid.
    async fn log_in(State(logins): State<Arc<AtomicUsize>>, Json(body): Json<Value>) -> Response {
        if body != json!({"signin": {"username": USER, "password": PASSWORD}}) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let login = logins.fetch_add(1, Ordering::Relaxed) + 1;
        let token = format!("token-{login}");
        let answer = json!({"oauth": {"access_token": token, "expires_in": 3600}});
        (StatusCode::CREATED, Json(answer)).into_response()
    }

    async fn products(
        State(logins): State<Arc<AtomicUsize>>,
        headers: HeaderMap,
        Query(query): Query<Vec<(String, usize)>>,
    ) -> Response {
        let valid = format!("Bearer token-{}", logins.load(Ordering::Relaxed));
        if headers
            .get(AUTHORIZATION)
            .is_none_or(|sent| *sent != *valid)
        {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let page = query.first().map_or(1, |(_, page)| *page);
        Json(json!({"page": page, "products": [{"code": format!("P-{page}")}]})).into_response()
    }
}
