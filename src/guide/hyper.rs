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
//! `examples/hyper_connections.rs` has each way to copy, and runs it: a hundred requests at once, then the
//! token is revoked, then a hundred more.
//!
//! | what you have | what you write | after a revocation |
//! | --- | --- | --- |
//! | `http1::SendRequest` | `impl Service` for it in 12 lines, around it a `Buffer` of 1, since it is not `Clone`, and a [ConcurrencyLimit of 1](super::layer_order#buffer) | no request fails: one login, and replays |
//! | `http2::SendRequest` | a `service_fn` around a clone of it, in 8 lines | the same |
//! | a hyper server that passes requests on | `TowerToHyperService::new(client)` for each connection | each rejected request fails once, and the next one is good |
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
//! | `Full<Bytes>`, `Empty` and others that are ready in memory | `ReplayReady`, or `ReplayEmpty` for requests without a body |
//! | `Incoming`, which streams through a proxy | none: it cannot be read twice |
//!
//! [Rejections](super::rejections) has the rest.
//!
//! # Timeouts and errors
//!
//! A `Timeout` outside of the layer covers the wait for a login; one inside bounds each exchange. See
//! [layer order](super::layer_order).
//!
//! An error of hyper arrives as it is: `error.downcast_ref::<hyper::Error>()`, or hyper-util's
//! `client::legacy::Error`. After a `Buffer`, it is in the chain of [sources](std::error::Error::source). A
//! failed login is an [`Error`](crate::Error).
//!
//! [replacing]: crate::BearerAuthLayer::replacing_callers_header
