//! The guide: one page for each question that the docs of a single type cannot answer.
//!
//! - [`getting_started`]: from nothing to a client, in four steps
//! - [`providers`]: which provider for whom
//! - [`exclusive_or_concurrent`]: whether a login revokes the previous token, and how to find out
//! - [`rejections`]: what happens on a 401
//! - [`contention`]: sessions that log each other out
//! - [`origins`]: where the token may go
//! - [`layer_order`]: which layers go around this one, and which inside
//! - [`runtimes`]: many runtimes, threads and the cost of clones
//! - [`testing`]: tests of your code, without a network and without waiting
//! - when it does not compile: [services and layers](does_not_compile),
//!   [logins](login_does_not_compile), [errors](errors_do_not_compile)
//! - [`catalogue`]: each event, error and log line, and what to do about it
//! - [`defaults`]: each default value, and why
//! - [`known_holes`]: the usual holes of token handling, and the tests that show them closed
//! - [`comparison`]: other crates, and when to choose them
//! - [`migrating`]: from tower-http, kube or a hand-written layer
//! - [`internals`]: how it works inside
//! - [`limits`]: what the crate does not do, and what to do instead

pub mod catalogue;
pub mod comparison;
pub mod contention;
pub mod defaults;
pub mod does_not_compile;
pub mod errors_do_not_compile;
pub mod exclusive_or_concurrent;
pub mod getting_started;
pub mod internals;
pub mod known_holes;
pub mod layer_order;
pub mod limits;
pub mod login_does_not_compile;
pub mod migrating;
pub mod origins;
pub mod providers;
pub mod rejections;
pub mod runtimes;
pub mod testing;
