//! Layers for known APIs, preconfigured with login, origins and header.

mod base_url;
#[cfg(feature = "quable")]
mod quable;
#[cfg(feature = "teletracker")]
mod teletracker;

#[cfg(feature = "quable")]
pub use self::quable::Quable;
#[cfg(feature = "teletracker")]
pub use self::teletracker::Teletracker;
