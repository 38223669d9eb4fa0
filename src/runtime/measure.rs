//! The metrics of the crate: feature `metrics`. The guide has a page with their names and labels.
//!
//! A recorder is user code: it is called without a lock, and its panic stays away from requests and
//! logins. No handle of a metric is kept, since a recorder may be installed at any time.

use std::sync::atomic::Ordering;

use metrics::{Label, Unit};

use super::{TARGET, catch, sync::AtomicBool};

pub(crate) const LOGINS: &str = "tower_bearer.logins";
pub(crate) const LOGIN_DURATION: &str = "tower_bearer.login.duration";
pub(crate) const WAITS: &str = "tower_bearer.waits";
pub(crate) const REFRESH_FAILURES: &str = "tower_bearer.refresh_failures";
pub(crate) const REJECTIONS: &str = "tower_bearer.rejections";
pub(crate) const CONTENTIONS: &str = "tower_bearer.contentions";
pub(crate) const ADOPTIONS: &str = "tower_bearer.adoptions";
#[cfg(feature = "store")]
pub(crate) const STORE_FAILURES: &str = "tower_bearer.store_failures";
pub(crate) const EXPIRY: &str = "tower_bearer.credential.expiry";
pub(crate) const REPLAYS: &str = "tower_bearer.replays";
pub(crate) const BARE_REQUESTS: &str = "tower_bearer.bare_requests";
pub(crate) const FAILED_REQUESTS: &str = "tower_bearer.failed_requests";

const COUNTERS: &[(&str, &str)] = &[
    (LOGINS, "Logins that have ended."),
    (WAITS, "How often a request has waited for a login."),
    (
        REFRESH_FAILURES,
        "Refresh tokens that were rejected, or whose answer was lost.",
    ),
    (REJECTIONS, "Rejections of a token by a server."),
    (
        CONTENTIONS,
        "How often the provider began to suspect another client of the account.",
    ),
    (
        ADOPTIONS,
        "Credentials of other processes that came into use.",
    ),
    #[cfg(feature = "store")]
    (
        STORE_FAILURES,
        "Failures of the store that processes share.",
    ),
    (REPLAYS, "Requests that were sent again after a rejection."),
    (BARE_REQUESTS, "Requests sent without an authorization."),
    (
        FAILED_REQUESTS,
        "Requests that failed because they got no authorization.",
    ),
];

/// Whether its owner, a provider or a layer, has described the metrics to the recorder. Each owner does so
/// once: when another one did, there may have been no recorder yet.
#[derive(Debug, Default)]
pub(crate) struct Descriptions(AtomicBool);

impl Descriptions {
    pub(crate) fn ensure(&self) {
        // Relaxed: no other memory depends on it.
        if self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        let _ = catch(|| {
            for &(name, text) in COUNTERS {
                metrics::describe_counter!(name, Unit::Count, text);
            }
            let text = "The time from the start of a login to its end.";
            metrics::describe_histogram!(LOGIN_DURATION, Unit::Seconds, text);
            let text = "When the current token expires, as a Unix time; 0 without a token.";
            metrics::describe_gauge!(EXPIRY, Unit::Seconds, text);
        });
    }
}

pub(crate) fn count(name: &'static str, number: u64, labels: Vec<Label>) {
    let _ = catch(|| metrics::counter!(target: TARGET, name, labels).increment(number));
}

pub(crate) fn record(name: &'static str, value: f64, labels: Vec<Label>) {
    let _ = catch(|| metrics::histogram!(target: TARGET, name, labels).record(value));
}

pub(crate) fn set(name: &'static str, value: f64, labels: Vec<Label>) {
    let _ = catch(|| metrics::gauge!(target: TARGET, name, labels).set(value));
}

/// A label whose values are few: each is a word of the code.
pub(crate) fn word(key: &'static str, word: &'static str) -> Label {
    Label::from_static_parts(key, word)
}
