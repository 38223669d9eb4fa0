use std::{io, time::Duration};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use rustls::crypto::ring;
use tokio::net::TcpStream;
use tower::{BoxError, timeout::Timeout, util::BoxCloneSyncService};

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A client for logins. Its type has a name, so that a struct can hold it.
pub type LoginClient = Client<BoxCloneSyncService<Uri, Connection, BoxError>, Full<Bytes>>;

/// Reads the platform's certificates, so call it once, at the start.
pub fn login_client() -> io::Result<LoginClient> {
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(ring::default_provider())?
        .https_only()
        .enable_http1()
        .build();
    let connector = Timeout::new(https, Duration::from_secs(3));
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(BoxCloneSyncService::new(connector)))
}
