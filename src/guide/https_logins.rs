//! After this page you can send a login over HTTPS, through a client that suits logins.
//!
//! A login and an API need different clients. An API is called all the time, so its client keeps
//! connections open. A login is sent once an hour, and by then its server has closed the last connection.
//! A login that is written to a dying connection is lost, and **every waiting request fails with it**.
//!
//! # The client
//!
//! Copy this function. It is hyper-util's client with TLS by rustls and the platform's roots:
//!
//! ```
#![doc = include_str!("login_client.rs")]
//! # fn main() {}
//! ```
//!
//! It needs these lines in `Cargo.toml`:
//!
//! ```toml
//! [dependencies]
//! bytes = "1"
//! http = "1"
//! http-body-util = "0.1"
//! hyper-rustls = { version = "0.27.7", default-features = false, features = ["http1", "native-tokio", "ring", "tls12"] }
//! hyper-util = { version = "0.1", features = ["client-legacy", "http1", "tokio"] }
//! rustls = { version = "0.23.15", default-features = false, features = ["ring", "std", "tls12"] }
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
//! tower = { version = "0.5", features = ["timeout", "util"] }
//! tower-bearer = { version = "0.2", features = ["json"] }
//! ```
//!
//! Pass the client to a login or to a preset:
//!
//! ```no_run
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/login_client.rs"));
//! use tower_bearer::{CachedProvider, HttpLogin};
//!
//! # fn main() -> Result<(), BoxError> {
//! let body = r#"{"user":"me","password":"secret"}"#;
//! let login = HttpLogin::new(login_client()?, "https://api.example.com/login", body)?;
//! let provider = CachedProvider::new(login);
//! # let _ = provider;
//! # Ok(()) }
//! ```
//!
//! `tests/https.rs` compiles the same file, and sends logins to a real TLS server through it.
//!
//! # What each setting is for
//!
//! | setting | without it |
//! | --- | --- |
//! | `pool_max_idle_per_host(0)`: a connection for each request | A pooled connection may be closed while the login is written to it. In the test, 100 of 100 waiting requests failed. |
//! | `Timeout` of 3 s around the connector: name, TCP and TLS together | A server that accepts and then hangs takes the whole login timeout, 10 s by default. A refresh token then counts as sent, and is lost. |
//! | `https_only` | A hand-written login to an `http` URL sends its password in the clear. `HttpLogin` refuses such a URL anyway, except for loopback. |
//! | `with_provider_and_native_roots` | With `with_native_roots`, the program panics if it contains two crypto providers of rustls, and has installed neither. |
//! | `enable_http1` | It does not compile: there is no protocol. A login gains nothing from HTTP/2. |
//!
//! `tests/https.rs::a_connection_that_died_in_the_hour_between_two_logins_fails_nobody` measures the first
//! row, `tests/https.rs::a_connection_that_hangs_ends_in_time_and_keeps_the_refresh_token` the second.
//!
//! Some settings are not needed:
//!
//! - **Redirects**: hyper-util's client follows none. Of another client, turn them off: a redirect could
//!   send the password to another host.
//! - **A time limit for the answer**: the provider drops a login after
//!   [`login_timeout`](crate::CachePolicy::login_timeout).
//! - **A short idle time** (`pool_idle_timeout`): it makes the loss rarer, and no pool rules it out.
//!   hyper-util's default is 90 s, and many servers close sooner.
//! - **`HttpConnector::set_connect_timeout`**: it covers TCP alone, and not a TLS handshake that hangs. Its
//!   time is divided among the addresses of a host. So it helps if the first of two addresses hangs, which
//!   takes all 3 s otherwise. Of ten addresses, each gets only a tenth.
//!
//! Keep the connect timeout well below half of the login's timeout. A refresh has only that half, and an
//! error after it counts as a lost answer. The request for the metadata of an
//! [issuer](super::oauth2#by-the-issuers-url) has a quarter, and an error after it spends nothing.
//!
//! # The client of the API
//!
//! Build a second client for the API, with its pool, and put the layer around that one. The connector is
//! the same; `enable_http2` and longer timeouts are up to you.
//!
//! A clone of the API's client works as a login's client, too, with the two losses that the table begins
//! with. A stand-in on loopback has neither problem, so tests and examples may share a client.
//!
//! # When TLS fails
//!
//! The login and the refresh fail with `… got no TLS connection: check the server's certificate, and the
//! client's roots`. Nothing was sent, so the refresh token is kept. The next attempt is made after up to
//! a second, doubling to a minute. The last [source](std::error::Error::source) says why:
//!
//! | the source contains | check |
//! | --- | --- |
//! | `invalid peer certificate: UnknownIssuer` | Is the server's issuer among the platform's roots? A private one is not; a proxy that inspects TLS has its own. |
//! | `certificate not valid for name` | Is the host of the URL right? The source lists the names of the certificate. |
//! | `certificate expired` | Renew the server's certificate, or correct this machine's clock. |
//! | `received corrupt message` | The port speaks no TLS: is it that of plain http? |
//!
//! `login_client` itself fails if the platform has no roots, as in an empty container image: install
//! `ca-certificates`.
//!
//! # Other certificates
//!
//! - **A private authority**: add it to the platform's roots, or name a file by the variable
//!   `SSL_CERT_FILE`. The file then replaces the platform's roots. In code, `with_tls_config` of the
//!   builder takes a `rustls::ClientConfig` with any roots.
//! - **A client certificate** (`tls_client_auth` of OAuth 2.0): the same `ClientConfig`, with
//!   `with_client_auth_cert`.
