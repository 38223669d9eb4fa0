//! After this page you can put the layer over hyper-util's client, over hyper's own connections, and
//! behind a hyper server.
//!
//! # hyper-util's client
//!
//! ```
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # use hyper_util::{client::legacy::{Client, connect::HttpConnector}, rt::TokioExecutor};
//! # use tower::Layer;
//! # use tower_bearer::{BearerAuth, BearerAuthLayer, InvalidToken, InvalidUrl, Origins, ReplayEmpty, StaticProvider};
//! # let provider = StaticProvider::new("abc").unwrap();
//! # let origins = Origins::new("https://api.example.com").unwrap();
//! let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let client = BearerAuthLayer::new(provider, origins).replay(ReplayEmpty).layer(http);
//! ```
//!
//! A real API needs an HTTPS connector: [HTTPS for logins](super::https_logins) has one.
//!
//! # Without a pool
//!
//! | what you have | lines | what you write | after a revocation |
//! | --- | --- | --- | --- |
//! | `http1::SendRequest` | 35 | the code below | no request fails: one login, and replays |
//! | `http2::SendRequest` | 22 | the code below | the same |
//! | a hyper server that passes requests on | 1 | `TowerToHyperService::new(client)` for each connection | each rejected request fails once, and the next one is good |
//!
//! **HTTP/1** sends one request at a time. Its [ConcurrencyLimit](super::layer_order#buffer) keeps tokens from
//! dying in the queue:
//!
//! ```
#![doc = include_str!("../../tests/recipes/http1.rs")]
//! # let _ = client;
//! ```
//!
//! **HTTP/2** sends requests at the same time:
//!
//! ```
#![doc = include_str!("../../tests/recipes/http2.rs")]
//! # let _ = client;
//! ```
//!
//! `examples/hyper_connections.rs` runs all three: a hundred requests at once, then the token is revoked, then
//! a hundred more. Its proxy is there to copy. For a proxy with axum, see [its page](super::axum).
//!
//! - **The URI** is a path on such a connection. HTTP/1 needs a `Host` header besides, which must be an
//!   [allowed host](super::origins#uris-without-a-host-and-host-headers): otherwise the request goes bare.
//! - **The end of the connection** ends the client: a `Buffer` over it fails for good. Make a new one, with
//!   the same layer: the provider keeps its token. hyper-util's client does that by itself.
//! - **A proxy** sets the API's scheme and host outside of the layer, and removes the caller's `Host`. A
//!   caller's `authorization` stays, unless the layer [replaces it][replacing].
//! - **A failed login** in a proxy is an error to its hyper server, which closes the connection. Make an
//!   answer of it, such as a 502.
//!
//! # What is replayed
//!
//! | body | policy |
//! | --- | --- |
//! | `Full<Bytes>`, whose clones share the bytes | `replay_with(\|body: &Full<Bytes>\| Some(body.clone()))` |
//! | none, such as `Empty` | [`ReplayEmpty`](crate::ReplayEmpty) |
//! | boxed bodies that are ready in memory | [`ReplayReady`](crate::ReplayReady) |
//! | `Incoming`, which streams through a proxy | none: it cannot be read twice |
//!
//! # Timeouts
//!
//! | timeout | what it bounds |
//! | --- | --- |
//! | tower's `Timeout` outside of the layer | the wait for a login, and each exchange |
//! | tower's `Timeout` inside of the layer | each exchange, and a replay anew; no wait for a login |
//! | [`login_timeout`](crate::CachePolicy::login_timeout) | the login |
//!
//! A timeout that ends an exchange ends an HTTP/1 connection, and so the client over it. HTTP/2 and hyper-util's
//! client send the next request. [Layer order](super::layer_order) has the rest.
//!
//! # Errors
//!
//! An error of hyper arrives as it is: `error.downcast_ref::<hyper::Error>()`, or hyper-util's
//! `client::legacy::Error`. After a `Buffer`, it is in the chain of [sources](std::error::Error::source). A
//! failed login is an [`Error`](crate::Error).
//!
//! [replacing]: crate::BearerAuthLayer::replacing_callers_header
