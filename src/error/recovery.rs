//! What to do about a failure.

use std::time::Duration;

/// What to do about an [`Error`](crate::Error).
///
/// # Examples
///
/// ```
/// use tower_bearer::{BoxError, Error, Recovery};
///
/// fn advice(error: &BoxError) -> &'static str {
///     match error.downcast_ref::<Error>().map(Error::recovery) {
///         Some(Recovery::TryAgain { .. }) => "answer 503, with `Retry-After`",
///         Some(Recovery::ChangeCredentials) => "call somebody: the login needs another password",
///         Some(_) => "answer 500, and log the error",
///         None => "the client failed, not the login",
///     }
/// }
/// # assert_eq!(advice(&"refused".into()), "the client failed, not the login");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// Try again: the failure may be over soon.
    TryAgain {
        /// The pause before the next login, counted from the failure. Zero if the next request logs
        /// in. [`Error::next_attempt`](crate::Error::next_attempt) has the time itself.
        after: Duration,
    },
    /// Change the request: its URL, its headers, or how long its credential has to last.
    ChangeRequest,
    /// Change the credentials of the login, unlock the account, or sign in again. Then
    /// [`reset`](crate::CachedProvider::reset) the provider.
    ChangeCredentials,
    /// Fix the program or its configuration: the error says what.
    FixProgram,
}
