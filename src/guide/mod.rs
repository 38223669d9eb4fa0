//! The guide: one page for each question that the docs of a single type cannot answer.
//!
//! - [`rejections`]: what happens on a 401
//! - [`origins`]: where the token may go
//! - [`layer_order`]: which layers go around this one, and which inside
//! - [`runtimes`]: many runtimes, threads and the cost of clones
//! - [`internals`]: how it works inside
//! - [`limits`]: what the crate does not do, and what to do instead

pub mod internals;
pub mod layer_order;
pub mod limits;
pub mod origins;
pub mod rejections;
pub mod runtimes;
