//! The crate's interface to the runtime: clocks, locks, tasks and timers.

mod clock;
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub mod model;
#[cfg(feature = "metrics")]
pub(crate) mod measure;
mod panics;
pub(crate) mod sync;

pub(crate) use self::clock::Moment;
pub use self::clock::{Clock, SystemClock};
pub(crate) use self::panics::catch;

/// The target of every span, log line and metric: documented, and never a module, so that filters stay
/// valid.
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(crate) const TARGET: &str = "tower_bearer";
