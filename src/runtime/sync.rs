//! The primitives that threads share and wait for: those of `std` and Tokio, or those of a model
//! checker in `tests/models`, which compiles these files too.

#[cfg(any(feature = "loom", feature = "shuttle"))]
mod model;

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod usual {
    pub(crate) use std::sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64},
    };

    pub(crate) use arc_swap::ArcSwapOption;
    #[cfg(any(feature = "files", all(feature = "store", unix)))]
    pub(crate) use tokio::sync::Mutex as AsyncMutex;
    pub(crate) use tokio::{
        runtime::{Handle, Id as RuntimeId, RuntimeFlavor},
        sync::{Notify, futures::OwnedNotified},
        task::{self, AbortHandle},
        time::{self, Instant, Timeout},
    };
}

#[cfg(any(feature = "loom", feature = "shuttle"))]
pub(crate) use self::model::*;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub(crate) use self::usual::*;
