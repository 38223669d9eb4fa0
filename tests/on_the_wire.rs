//! The bytes on a connection (FAILURES.md, K5; RFC 7541, section 7.1.3).

mod support;

use std::sync::{Arc, Mutex};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use support::{Issuer, patient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{BearerAuthLayer, Origins};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
/// A literal that is never indexed, with the name at index 23 of the static table.
const NEVER_INDEXED_AUTHORIZATION: [u8; 2] = [0x1f, 0x08];

/// An HTTP server behind a proxy that records the client's bytes.
async fn recorded() -> (String, Arc<Mutex<Vec<u8>>>) {
    let app = Router::new().route("/", get(|| async { "hello" }));
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server_address = server.local_addr().unwrap();
    tokio::spawn(async { axum::serve(server, app).await });

    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = relay.local_addr().unwrap();
    let sent = Arc::<Mutex<Vec<u8>>>::default();
    let record = Arc::clone(&sent);
    tokio::spawn(async move {
        let (client, _) = relay.accept().await.unwrap();
        let server = TcpStream::connect(server_address).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut chunk).await {
            record.lock().unwrap().extend_from_slice(&chunk[..read]);
            if to_server.write_all(&chunk[..read]).await.is_err() {
                break;
            }
        }
    });
    (format!("http://{address}"), sent)
}

/// The payloads of the frames of one type.
fn frames(mut bytes: &[u8], wanted: u8) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, _flags, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (payload, rest) = rest.split_at(length);
        if *kind == wanted {
            frames.push(payload);
        }
        bytes = rest;
    }
    frames
}

#[tokio::test]
async fn http2_never_indexes_the_authorization() {
    const REQUESTS: usize = 5;
    let (url, sent) = recorded().await;
    let http = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let provider = patient(Issuer::new()).build();
    let mut service = BearerAuthLayer::new(provider, Origins::new([&url]).unwrap()).layer(http);
    for _ in 0..REQUESTS {
        let request = Request::get(&url).body(Full::default()).unwrap();
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let sent = sent.lock().unwrap();
    let headers = frames(sent.strip_prefix(PREFACE).unwrap(), HEADERS);
    println!("figure: K5 frames={}", headers.len());
    assert_eq!(headers.len(), REQUESTS);
    for block in headers {
        let found = block
            .windows(2)
            .filter(|pair| *pair == NEVER_INDEXED_AUTHORIZATION);
        assert_eq!(found.count(), 1, "{block:02x?}");
    }
}

#[tokio::test]
async fn http1_has_one_authorization_line() {
    let (url, sent) = recorded().await;
    let provider = patient(Issuer::new()).build();
    let layer = BearerAuthLayer::new(provider, Origins::new([&url]).unwrap());
    let mut service = layer.layer(support::http_client());
    for _ in 0..2 {
        let request = Request::get(&url).body(Full::default()).unwrap();
        service.ready().await.unwrap().call(request).await.unwrap();
    }
    let sent = String::from_utf8(sent.lock().unwrap().clone())
        .unwrap()
        .to_lowercase();
    let lines: Vec<_> = sent
        .lines()
        .filter(|line| line.contains("authorization"))
        .collect();
    assert_eq!(lines, ["authorization: bearer token-1"; 2]);
}
