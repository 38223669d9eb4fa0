//! Written by `UPDATE_PROBE=1 cargo test --test probe`.

pub(crate) mod client_credentials;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod password;
pub(crate) mod quable;
pub(crate) mod teletracker;
