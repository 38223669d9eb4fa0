//! APIs that are known by name.

mod quable;

pub use self::quable::Quable;
