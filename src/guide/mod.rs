//! The guide: one page for each question that the docs of a single type cannot answer.
//!
//! # First steps
//!
//! - [`getting_started`]: from nothing to a client, in four steps
//! - [`providers`]: which provider to use
//! - [`exclusive_or_concurrent`]: whether a login revokes the previous token, and how to find out
//! - [`http_logins`]: a login without code, and what happens when it fails
//! - [`https_logins`]: the client of a login over HTTPS, to copy, and what its errors mean
//! - [`oauth2`]: a login by OAuth 2.0, which grant to use, and what is sent
//! - [`files`]: a token from a file that somebody else writes, and a login's secret from one
//! - [`reqwest`]: the layer under reqwest, and under a client of openapi-generator
//! - [`library_authors`]: the layer inside a library of yours, and its versions
//! - [`testing`]: tests of your code, without a network and without waiting
//! - [`migrating`]: from tower-http, kube or a hand-written layer
//! - When it does not compile: messages about [services and layers](does_not_compile), about
//!   [logins](login_does_not_compile) and about [errors](errors_do_not_compile)
//!
//! # In production
//!
//! - [`rejections`]: what happens on a 401
//! - [`accounts`]: one client for many accounts
//! - [`contention`]: sessions that log each other out
//! - [`fleet`]: several processes with one account: stores, locks, and who can read the secrets
//! - [`signing_out`]: sign-outs, the next user, tokens that are handed in, revocation
//! - [`shutdown`]: the end of a program, and a store that survives a crash
//! - [`origins`]: where the token may go
//! - [`axum`]: handlers that call an API, and a gateway
//! - [`hyper`]: hyper-util's client, hyper's own connections, and a proxy
//! - [`grpc`]: tonic: what to type, replays, timeouts and statuses
//! - [`stacks`]: kube, octocrab, jsonrpsee, reqwest, OTLP and AWS SDKs: what to type
//! - [`layer_order`]: which layers go outside this one, and which inside
//! - [`runtimes`]: many runtimes, threads and the cost of clones
//! - [`defaults`]: every default, and why
//! - [`logging`]: spans, log lines, levels and names
//! - [`metrics`]: counters, durations and the expiry, for Prometheus or OpenTelemetry
//! - [`catalogue`]: every event, error and log line, and what to do about it
//!
//! # Background
//!
//! - [`internals`]: how it works inside
//! - [`limits`]: what the crate does not do, and what to do instead
//! - [`known_holes`]: how such layers fail, and this crate's answers
//! - [`comparison`]: other crates for the job

pub mod accounts;
pub mod axum;
pub mod catalogue;
pub mod comparison;
pub mod contention;
pub mod defaults;
pub mod does_not_compile;
pub mod errors_do_not_compile;
pub mod exclusive_or_concurrent;
pub mod files;
pub mod fleet;
pub mod getting_started;
pub mod grpc;
pub mod internals;
pub mod http_logins;
pub mod https_logins;
pub mod hyper;
pub mod known_holes;
pub mod layer_order;
pub mod library_authors;
pub mod limits;
pub mod logging;
pub mod login_does_not_compile;
pub mod metrics;
pub mod migrating;
pub mod oauth2;
pub mod origins;
pub mod providers;
pub mod rejections;
pub mod reqwest;
pub mod runtimes;
pub mod shutdown;
pub mod signing_out;
pub mod stacks;
pub mod testing;
