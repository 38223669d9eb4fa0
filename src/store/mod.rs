//! Stores that several processes share, so that one login serves all of them.
//!
//! A [`CredentialStore`] keeps one record for each account: its token and its refresh token. A lock with a
//! lease lets one process log in at a time. This module has the trait, three stores and the record. It needs
//! the feature `store`.
//!
//! A provider with a [`SharedAccount`] uses the store by itself:
//! [`CachedProviderBuilder::shared`](crate::CachedProviderBuilder::shared) has the rules. The example is a job that
//! runs each night and goes on with the session of the last one:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{
//!     BoxError, CachedProvider, Credential, login_fn,
//!     store::{CredentialStore, MemoryStore, RecordKey, SharedAccount},
//! };
//!
//! /// Returns how many logins the job has made.
//! async fn job(store: impl CredentialStore) -> Result<u64, BoxError> {
//!     let key = RecordKey::new("https://acme.quable.com", "importer", "");
//!     let provider = CachedProvider::builder(login_fn(async |_| {
//!         Ok(Credential::new("abc")?.with_lifetime(Duration::from_secs(30 * 24 * 3600)))
//!     }))
//!     .shared(SharedAccount::new(store, key))
//!     .build();
//!
//!     provider.acquire().await?; // the work of the job
//!     provider.settled().await;
//!     Ok(provider.snapshot().logins())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let store = MemoryStore::new(); // or a `FileStore`, or a `RedisStore`
//! let logins = [job(store.clone()).await?, job(store.clone()).await?, job(store).await?];
//! assert_eq!(logins, [1, 0, 0]);
//! # Ok::<_, BoxError>(()) })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! # What is protected
//!
//! - Without a [`Seal`], a store has the secrets in plain text. Who can read the store can use the account.
//! - A seal hides them from whoever has the store and not the key of the seal. It does not hide that an
//!   account is in use, nor when its records change.
//! - A seal does not tell an old record from the current one. Who can write to the store can put an old one
//!   back. A refresh token is then sent twice, and many servers revoke the session.
//! - The crate wipes its own copies from memory. Copies in the buffers of a file system, a client or a
//!   server are not wiped.

mod memory;
#[cfg(unix)]
mod file;
mod redis;
mod record;
mod stored;
mod lock;
mod sealed;
mod key;
mod shared_account;
mod error;

use std::{pin::Pin, sync::Arc, time::Duration};

#[cfg(unix)]
pub use self::file::FileStore;
pub use self::{
    error::StoreError,
    key::RecordKey,
    lock::{Lock, LockAttempt, Publication},
    memory::MemoryStore,
    record::Record,
    redis::{RedisScript, RedisStore},
    sealed::{Seal, SealedRecord},
    shared_account::SharedAccount,
    stored::{Revision, Stored},
};

/// The boxed future that a [`CredentialStore`] returns: `Box::pin(async { … })`.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place for one record per account, which several processes share.
///
/// [`MemoryStore`] is for the providers of one process and for tests, `FileStore` for the processes of one
/// machine, [`RedisStore`] for several machines. `test_util::store_conformance` checks a store of your own
/// against the rules below.
///
/// An [`Arc`] of a store is a store too, also an `Arc<dyn CredentialStore>`.
///
/// The rules, for each [`RecordKey`] by itself:
///
/// - A lock excludes all others until it is [unlocked](Self::unlock), or its lease is over. No call waits for
///   it. A store may free the lock early if it knows that its holder has died.
/// - A [publication](Self::publish) is refused unless its lock is still the last that was acquired, and the
///   record still has the revision that the caller read. Both are checked in the same step that writes.
/// - After a lease is over, its holder may still publish, until another process has acquired the lock.
/// - Each publication has another revision. A revision does not come back, not even after a removal.
/// - A reader sees a record as a whole or not at all.
///
/// # Cancel safety
///
/// A future may be dropped at any point, and its effect may still come later. So a lock may be acquired that
/// nobody has: it is free again when its lease is over.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::{
///     Credential,
///     store::{CredentialStore, LockAttempt, MemoryStore, Publication, Record, RecordKey},
/// };
///
/// # tokio_test::block_on(async {
/// let store = MemoryStore::new();
/// let key = RecordKey::new("https://issuer.example", "user-7", "");
/// let lease = Duration::from_secs(40); // longer than a login may take
///
/// let LockAttempt::Acquired(lock) = store.lock(key, lease).await? else {
///     panic!("nobody else has the lock")
/// };
/// assert!(matches!(store.lock(key, lease).await?, LockAttempt::Held));
///
/// let record = Record::new(&Credential::new("abc")?, SystemTime::now());
/// let outcome = store.publish(&lock, None, record.seal(key, None)?).await?;
/// assert!(matches!(outcome, Publication::Published(_)));
/// store.unlock(lock).await?;
///
/// let stored = store.read(key).await?.expect("it was published");
/// let credential = stored.open(key, None)?.credential(SystemTime::now());
/// assert_eq!(credential.token().expose(), "abc");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
pub trait CredentialStore: Send + Sync + 'static {
    /// Reads the record of an account: `None` if there is none.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store is down, or the record is damaged or of another version.
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>>;

    /// Tries to acquire the lock of an account for the time of the lease. It does not wait for another holder.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store is down.
    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt>;

    /// Replaces the record of the lock's account, if it still has the revision `previous`. `None` stands for
    /// no record, or for one that is [damaged](StoreError::is_damaged).
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store is down, or has a record of [another
    /// version](StoreError::is_other_version). The record may be published all the same: read again.
    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication>;

    /// Removes the record of the lock's account, for a sign-out. Returns false if another process has acquired
    /// the lock meanwhile; the record then stays.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store is down.
    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool>;

    /// Gives the lock back. Does nothing if another process has acquired it meanwhile.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store is down. The lock is then free when its lease is over.
    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()>;

    /// A future that ends when the record or the lock of an account may have changed since this call. It is
    /// only a hint: it may end too often, and may miss a change. Defaults to `None`: no change is reported.
    fn changed(&self, key: RecordKey) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let _ = key;
        None
    }
}

impl<S: CredentialStore + ?Sized> CredentialStore for Arc<S> {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        S::read(self, key)
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        S::lock(self, key, lease)
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        S::publish(self, lock, previous, record)
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        S::remove(self, lock)
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        S::unlock(self, lock)
    }

    fn changed(&self, key: RecordKey) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        S::changed(self, key)
    }
}
