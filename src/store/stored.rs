//! What a reader gets from a store.

use std::{fmt, time::Duration};

use super::SealedRecord;

/// What a store calls a version of a record: bytes that are compared only for equality.
///
/// # Examples
///
/// ```
/// use tower_bearer::store::Revision;
///
/// assert_eq!(Revision::new(*b"17"), Revision::new(vec![b'1', b'7']));
/// assert_eq!(Revision::new(*b"17").as_bytes(), b"17");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revision(Box<[u8]>);

impl Revision {
    /// A revision of these bytes.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({})", self.0.escape_ascii())
    }
}

/// A record that was read from a store. [`CredentialStore`](super::CredentialStore) has an example.
#[derive(Clone, Debug)]
pub struct Stored {
    revision: Revision,
    record: SealedRecord,
    age: Option<Duration>,
}

impl Stored {
    /// A record with its revision.
    #[must_use]
    pub fn new(revision: Revision, record: SealedRecord) -> Self {
        Self {
            revision,
            record,
            age: None,
        }
    }

    /// Sets how long ago the record was published, by the clock of the store. Defaults to unknown.
    ///
    /// With it, processes whose wall clocks differ agree on the expiry.
    #[must_use]
    pub fn with_age(self, age: Duration) -> Self {
        Self {
            age: Some(age),
            ..self
        }
    }

    /// The revision of the record.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The bytes of the record.
    #[must_use]
    pub fn record(&self) -> &SealedRecord {
        &self.record
    }

    /// How long ago the record was published, if the store knows.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }
}
