//! Test doubles: an API in memory and stand-ins for real ones, besides those of `test_util`.
#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

mod api;
mod capture;
pub(crate) mod quable;
pub(crate) mod teletracker;
mod raw;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
pub(crate) use tower_bearer::test_util::{ScriptedLogin as Issuer, TestClock as HandClock};
use tower_bearer::{
    CachePolicy, CachedProvider, CachedProviderBuilder, Generation, Login, Origins, Receipt,
    Rejected,
};

pub(crate) use self::{
    api::Api,
    capture::{Capture, Traced},
    raw::RawServer,
};

/// The URL of services in memory.
pub(crate) const URL: &str = "https://api.example.com/things";

pub(crate) fn origins() -> Origins {
    Origins::new(["https://api.example.com"]).unwrap()
}

pub(crate) fn request() -> Request<()> {
    Request::get(URL).body(()).unwrap()
}

/// The receipt of [`request`], sent with this generation.
pub(crate) fn receipt(generation: Generation) -> Receipt {
    Receipt::new(generation, 0, &Method::GET, "/things")
}

/// A rejection of [`request`] that the layer has not seen.
pub(crate) fn by_hand(generation: Generation) -> Rejected<'static> {
    Rejected::by_hand(receipt(generation))
}

/// Numbers in the format of a figure.
pub(crate) fn list(numbers: impl IntoIterator<Item: std::fmt::Display>) -> String {
    let numbers = numbers.into_iter().map(|number| number.to_string());
    numbers.collect::<Vec<_>>().join(",")
}

/// Runs a test that could deadlock, and fails if it does. The timeout allows for a busy machine.
pub(crate) fn without_dead_lock(act: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        act();
        let _ = done.send(());
    });
    match is_done.recv_timeout(std::time::Duration::from_secs(300)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("dead-locked"),
        // The thread has ended. Its panic, if any, continues here.
        _ => thread.join().unwrap(),
    }
}

/// A provider whose login may take an hour. Sockets need real time, and on a busy machine a slow
/// login must not count as lost.
pub(crate) fn patient(login: impl Login) -> CachedProviderBuilder {
    let an_hour = std::time::Duration::from_secs(3600);
    CachedProvider::builder(login).policy(CachePolicy::default().login_timeout(an_hour))
}

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}
