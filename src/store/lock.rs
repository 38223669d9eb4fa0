//! Locks, and what is done under them.

use std::{any::Any, fmt};

use super::{RecordKey, Revision};

/// What an attempt to lock has brought: an example is at [`CredentialStore`](super::CredentialStore).
#[derive(Debug)]
#[non_exhaustive]
pub enum LockAttempt {
    /// The lock is acquired, until its lease is over.
    Acquired(Lock),
    /// Another process, or another part of this one, has the lock.
    Held,
}

/// What an attempt to publish has brought: an example is at [`CredentialStore`](super::CredentialStore).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Publication {
    /// The record is stored, with this revision.
    Published(Revision),
    /// Nothing is changed: the record has another revision, or another process has acquired the lock.
    Refused,
}

/// A lock of one account, which a [store](super::CredentialStore) has given.
///
/// Give it back by [`unlock`](super::CredentialStore::unlock). If it is only dropped, most stores free it when its
/// lease is over.
///
/// # Examples
///
/// A store puts into it what identifies the holder:
///
/// ```
/// use tower_bearer::store::{Lock, RecordKey};
///
/// struct Holder(u64);
///
/// let key = RecordKey::new("https://issuer.example", "user-7", "");
/// let lock = Lock::new(key, Holder(17));
/// assert_eq!(lock.key(), key);
/// assert_eq!(lock.holder::<Holder>().map(|holder| holder.0), Some(17));
/// assert!(lock.holder::<u64>().is_none(), "it is the lock of another kind of store");
/// ```
pub struct Lock {
    key: RecordKey,
    holder: Box<dyn Any + Send + Sync>,
}

impl Lock {
    /// A lock of this account, for a store of your own. The holder is any type of the store.
    pub fn new(key: RecordKey, holder: impl Any + Send + Sync) -> Self {
        Self {
            key,
            holder: Box::new(holder),
        }
    }

    /// The account.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        self.key
    }

    /// What the store has put into it, if it is of this type.
    #[must_use]
    pub fn holder<H: Any>(&self) -> Option<&H> {
        self.holder.downcast_ref()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
