//! The guide: one page for each question that the docs of a single type cannot answer.
//!
//! | first steps | |
//! | --- | --- |
//! | [`getting_started`] | from nothing to a client, in four steps |
//! | [`providers`] | which provider for whom |
//! | [`exclusive_or_concurrent`] | whether a login revokes the previous token, and how to find out |
//! | [`testing`] | tests of your code, without a network and without waiting |
//! | [`does_not_compile`], [`login_does_not_compile`], [`errors_do_not_compile`] | confusing compiler messages, and what to change |
//! | [`migrating`] | from tower-http, kube or a hand-written layer |
//!
//! | in production | |
//! | --- | --- |
//! | [`rejections`] | what happens on a 401 |
//! | [`contention`] | sessions that log each other out |
//! | [`origins`] | where the token may go |
//! | [`layer_order`] | which layers go around this one, and which inside |
//! | [`runtimes`] | many runtimes, threads and the cost of clones |
//! | [`defaults`] | every default, and why |
//! | [`catalogue`] | every event, error and log line, and what to do about it |
//!
//! | background | |
//! | --- | --- |
//! | [`internals`] | how it works inside |
//! | [`limits`] | what the crate does not do, and what to do instead |
//! | [`known_holes`] | how such layers fail, and this crate's answers |
//! | [`comparison`] | other crates for the job |

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
