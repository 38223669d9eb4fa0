//! The layer over hyper's own connections, without hyper-util's pool: HTTP/1, HTTP/2, and a proxy that
//! adds the token to requests that it passes on.
//!
//! Each way sends requests at once, then the token is revoked, and they are sent again. The API is a
//! stand-in on loopback:
//!
//! ```text
//! cargo run --example hyper_connections
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** `tests/recipes/http1.rs`, `tests/recipes/http2.rs` or the function `proxy`. **Do not copy** the module `api`.

#[path = "../tests/recipes/http1.rs"]
mod over_http1;
#[path = "../tests/recipes/http2.rs"]
mod over_http2;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use bytes::Bytes;
use http::{
    Request, Response, Uri,
    header::HOST,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    server,
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Credential, Origins, login_fn};

use self::api::Api;

type Body = Full<Bytes>;

/// Passes requests on to the API, each with the token. Returns the proxy's address.
async fn proxy(layer: BearerAuthLayer, api: Authority) -> io::Result<SocketAddr> {
    let client = ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            let path = request.uri().path_and_query().cloned();
            let mut uri = Parts::default();
            uri.scheme = Some(Scheme::HTTP);
            uri.authority = Some(api.clone());
            uri.path_and_query = path.or(Some(PathAndQuery::from_static("/")));
            *request.uri_mut() = Uri::from_parts(uri).expect("it has all three parts");
            request.headers_mut().remove(HOST);
            request
        })
        .layer(layer)
        .service(Client::builder(TokioExecutor::new()).build_http());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(client.clone());
            let connection = server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

const REQUESTS: usize = 100;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let api = Api::start().await?;
    let issuer = api.clone();
    let login = login_fn(move |_| {
        let token = issuer.log_in();
        async { Ok(Credential::new(token)?) }
    });
    let provider = CachedProvider::new(login);
    let layer = BearerAuthLayer::new(provider, Origins::new(format!("http://{}", api.address))?);
    let connect = || async { io::Result::Ok(TokioIo::new(TcpStream::connect(api.address).await?)) };

    let (sender, connection) = http1::handshake(connect().await?).await?;
    tokio::spawn(connection);
    let client = over_http1::client(sender, layer.clone());
    let over_http1 = twice(&api, &client).await?;

    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, connect().await?).await?;
    tokio::spawn(connection);
    let client = over_http2::client(sender, layer.clone());
    let over_http2 = twice(&api, &client).await?;

    // A body that streams through cannot be sent again. So its caller gets the rejection, once.
    let proxy = proxy(layer, api.address.to_string().parse()?).await?;
    let plain = Client::builder(TokioExecutor::new()).build_http();
    let plain = ServiceBuilder::new()
        .map_request(move |mut request: Request<Body>| {
            let uri = format!("http://{proxy}{}", request.uri().path());
            *request.uri_mut() = uri.parse::<Uri>().expect("it was part of a URI");
            request
        })
        .service(plain);
    let passed_on = twice(&api, &plain).await?;
    let again = send(&api.address.to_string(), &plain).await?;

    // `OPTIONS *` has a path that is no part of a URL.
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(TcpStream::connect(proxy).await?)).await?;
    tokio::spawn(connection);
    let options = Request::options("*").header(HOST, proxy.to_string());
    sender.send_request(options.body(Body::default())?).await?;

    println!(
        "hyper_connections: logins={} failed over HTTP/1={over_http1}",
        api.logins()
    );
    println!("  over HTTP/2={over_http2} by the proxy={passed_on}, then {again}");
    let is_good = (over_http1, over_http2, again, api.logins()) == (0, 0, 0, 4);
    Ok(match is_good && (1..=REQUESTS).contains(&passed_on) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Sends requests, revokes the token, and sends them again. Returns how many failed.
async fn twice<S>(api: &Api, client: &S) -> Result<usize, BoxError>
where
    S: Service<
            Request<Body>,
            Response = Response<Incoming>,
            Error: Into<BoxError> + Send,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let host = api.address.to_string();
    let failed = send(&host, client).await?;
    api.revoke_token();
    Ok(failed + send(&host, client).await?)
}

async fn send<S>(host: &str, client: &S) -> Result<usize, BoxError>
where
    S: Service<
            Request<Body>,
            Response = Response<Incoming>,
            Error: Into<BoxError> + Send,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        // A connection goes to one host, so the URI is a path. HTTP/1 needs the `Host`, which must be an allowed one.
        let request = Request::get("/things").header(HOST, host);
        requests.spawn(client.clone().oneshot(request.body(Body::default())?));
    }
    let mut failed = 0;
    while let Some(answered) = requests.join_next().await {
        let response = answered?.map_err(Into::into)?;
        failed += usize::from(!response.status().is_success());
    }
    Ok(failed)
}

/// A stand-in: an API whose token is the last one that the issuer has handed out.
mod api {
    use std::{
        io,
        net::{Ipv4Addr, SocketAddr},
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        },
    };

    use axum::{
        Router,
        http::{HeaderMap, StatusCode},
        routing::get,
    };
    use tokio::net::TcpListener;

    #[derive(Clone)]
    pub(crate) struct Api {
        pub(crate) address: SocketAddr,
        logins: Arc<AtomicUsize>,
        is_revoked: Arc<AtomicBool>,
    }

    impl Api {
        pub(crate) async fn start() -> io::Result<Self> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let api = Self {
                address: listener.local_addr()?,
                logins: Arc::default(),
                is_revoked: Arc::default(),
            };
            let state = api.clone();
            let things = async move |headers: HeaderMap| state.things(&headers);
            let app = Router::new().route("/things", get(things));
            tokio::spawn(async { axum::serve(listener, app).await });
            Ok(api)
        }

        pub(crate) fn log_in(&self) -> String {
            let number = self.logins.fetch_add(1, SeqCst) + 1;
            self.is_revoked.store(false, SeqCst);
            format!("token-{number}")
        }

        pub(crate) fn logins(&self) -> usize {
            self.logins.load(SeqCst)
        }

        pub(crate) fn revoke_token(&self) {
            self.is_revoked.store(true, SeqCst);
        }

        fn things(&self, headers: &HeaderMap) -> StatusCode {
            let valid = format!("Bearer token-{}", self.logins());
            let is_last = headers
                .get("authorization")
                .is_some_and(|sent| *sent == *valid);
            match is_last && !self.is_revoked.load(SeqCst) {
                true => StatusCode::OK,
                false => StatusCode::UNAUTHORIZED,
            }
        }
    }
}
