//! An axum service that calls another API: the layered client lives in the handlers' state.
//!
//! Starts a stand-in for Quable PIM and a gateway in front of it, both on loopback, and sends the
//! gateway a hundred requests at once:
//!
//! ```text
//! cargo run --example axum_gateway
//! ```

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/quable.rs"]
mod stand_in;

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

use self::stand_in::{PASSWORD, StandIn, USER};

const REQUESTS: usize = 100;

type Http = Client<HttpConnector, Full<Bytes>>;

/// What each handler gets a clone of. The client's type has a name, and needs no box.
#[derive(Clone)]
struct Gateway {
    api: String,
    client: BearerAuth<Http>,
}

/// Passes a page of products on, as the API answers it.
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
            // An error says little by itself: its causes say why.
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
    let api = StandIn::start().await;
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let layer =
        Quable::base_url(&api.base_url())?.layer(http.clone(), USER, PASSWORD, Lifetime::Announced);
    let gateway = Gateway {
        api: api.base_url(),
        client: layer.layer(http.clone()),
    };
    let app = Router::new()
        .route("/products/{page}", get(products))
        .with_state(gateway);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async { axum::serve(listener, app).await });

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
    server.abort();

    let logins = api.counts().logins;
    println!("axum_gateway: requests={REQUESTS} ok={ok} bytes={length} logins={logins}");
    if (ok, logins) == (REQUESTS, 1) {
        Ok(())
    } else {
        Err("every request is answered, with one login".into())
    }
}
