//! Doubles: an issuer and an API in memory, a clock moved by hand, and Quable's stand-in.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

mod api;
mod clock;
mod issuer;
pub(crate) mod quable;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower_bearer::Origins;

pub(crate) use self::{api::Api, clock::HandClock, issuer::Issuer};

/// The URL of whatever is not reached over a socket.
pub(crate) const URL: &str = "https://api.example.com/things";

pub(crate) fn origins() -> Origins {
    Origins::new(["https://api.example.com"]).unwrap()
}

pub(crate) fn request() -> Request<()> {
    Request::get(URL).body(()).unwrap()
}

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}
