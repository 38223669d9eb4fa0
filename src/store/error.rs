//! The error of a store.

use std::{error, fmt, sync::Arc, time::Duration};

use crate::error::BoxError;

/// The error of a [`CredentialStore`](super::CredentialStore). It has no secret of a record.
///
/// # Examples
///
/// ```
/// use std::error::Error as _;
/// use tower_bearer::store::StoreError;
///
/// let error = StoreError::new(std::io::Error::other("connection refused"));
/// assert_eq!(error.to_string(), "the credential store failed");
/// assert_eq!(error.source().unwrap().to_string(), "connection refused");
/// assert!(!error.is_damaged());
/// ```
#[derive(Clone)]
pub struct StoreError {
    kind: Kind,
    source: Arc<dyn error::Error + Send + Sync>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed,
    Damaged,
    OtherVersion,
    Locked,
    Refused,
    Gone,
    #[cfg(unix)]
    NotPrivate,
}

impl StoreError {
    /// The store is down, or its answer makes no sense. Keep secrets out of the source.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self::of(Kind::Failed, source)
    }

    /// The record is damaged. The next publication replaces it.
    pub fn damaged(source: impl Into<BoxError>) -> Self {
        Self::of(Kind::Damaged, source)
    }

    /// The record was written by a version that this one cannot read. It must not be replaced.
    pub fn other_version(source: impl Into<BoxError>) -> Self {
        Self::of(Kind::OtherVersion, source)
    }

    /// Another process has published, or has acquired the lock.
    pub(crate) fn refused() -> Self {
        Self::of(
            Kind::Refused,
            "the lease was over, and another process has logged in",
        )
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// A record that was there before.
    pub(crate) fn gone() -> Self {
        Self::of(
            Kind::Gone,
            "another process may have spent the refresh token",
        )
    }

    /// Other processes have had the lock for so long.
    pub(crate) fn locked(waited: Duration) -> Self {
        Self::of(Kind::Locked, format!("waited for {waited:?}"))
    }

    #[cfg(unix)]
    pub(super) fn not_private(source: impl Into<BoxError>) -> Self {
        Self::of(Kind::NotPrivate, source)
    }

    fn of(kind: Kind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: source.into().into(),
        }
    }

    /// Whether the record is damaged, of another account, or sealed with another key. It counts as no record:
    /// a publication may replace it.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.kind == Kind::Damaged
    }

    /// Whether the record was written by a version that this one cannot read. It stays as it is.
    #[must_use]
    pub fn is_other_version(&self) -> bool {
        self.kind == Kind::OtherVersion
    }

    /// Whether other processes have had the lock of the account for all of the time that a login has waited.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.kind == Kind::Locked
    }

    /// Whether other users could read or replace the store. Nothing was read, and no secret was written.
    #[must_use]
    pub fn is_not_private(&self) -> bool {
        #[cfg(unix)]
        return self.kind == Kind::NotPrivate;
        #[cfg(not(unix))]
        false
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Failed => "the credential store failed",
            Kind::Damaged => "the stored record is damaged",
            Kind::OtherVersion => "the stored record is of another version of tower-bearer",
            Kind::Locked => "other processes kept the lock of the account",
            Kind::Refused => "the store refused a late publication",
            Kind::Gone => "the stored record is gone or damaged",
            #[cfg(unix)]
            Kind::NotPrivate => "the credential store is not private",
        })
    }
}

impl fmt::Debug for StoreError {
    /// `Display` and the source: `fn main` prints a returned error by `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}: {}", self.source)
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.source)
    }
}
