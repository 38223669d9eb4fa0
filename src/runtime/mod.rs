//! The crate's interface to the runtime: clocks, locks, tasks and timers.

mod clock;
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub mod model;
mod panics;
pub(crate) mod sync;

pub(crate) use self::clock::Moment;
pub use self::clock::{Clock, SystemClock};
pub(crate) use self::panics::catch;
