//! The account of a provider that shares its session with other processes.

use std::{fmt, sync::Arc};

use super::{CredentialStore, RecordKey, Seal};

/// An account whose session several processes share: a store, the key of the account's record, and a seal.
///
/// It is for [`CachedProviderBuilder::shared`](crate::CachedProviderBuilder::shared), which has the rules. The
/// guide has a [page for fleets](crate::guide::fleet).
///
/// # Examples
///
/// Two providers, as in two processes, and one login:
///
/// ```
/// use tower_bearer::{
///     CachedProvider, Credential, login_fn,
///     store::{MemoryStore, RecordKey, SharedAccount},
/// };
///
/// let store = MemoryStore::new(); // a `FileStore` or `RedisStore` in a program
/// let process = || {
///     let key = RecordKey::new("https://acme.quable.com", "importer", "");
///     CachedProvider::builder(login_fn(async |_| Ok(Credential::new("abc")?)))
///         .shared(SharedAccount::new(store.clone(), key))
///         .build()
/// };
/// # tokio_test::block_on(async {
/// let (one, other) = (process(), process());
/// assert_eq!(one.acquire().await?.value(), "Bearer abc");
/// assert_eq!(other.acquire().await?.value(), "Bearer abc");
/// assert_eq!((one.snapshot().logins(), one.snapshot().adoptions()), (1, 0));
/// assert_eq!((other.snapshot().logins(), other.snapshot().adoptions()), (0, 1));
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone)]
pub struct SharedAccount {
    pub(crate) store: Arc<dyn CredentialStore>,
    pub(crate) key: RecordKey,
    pub(crate) seal: Option<Arc<dyn Seal>>,
    pub(crate) logs_in_without_lock: bool,
    pub(crate) fails_without_store: bool,
}

impl SharedAccount {
    /// The account of this key, in this store.
    pub fn new(store: impl CredentialStore, key: RecordKey) -> Self {
        Self {
            store: Arc::new(store),
            key,
            seal: None,
            logs_in_without_lock: false,
            fails_without_store: false,
        }
    }

    /// Encrypts the record. Defaults to plain text. All processes need the same seal.
    #[must_use]
    pub fn seal(self, seal: impl Seal) -> Self {
        Self {
            seal: Some(Arc::new(seal)),
            ..self
        }
    }

    /// Logs in although other processes have had the lock for all of the time that this one has waited.
    /// Defaults to a login that [fails](super::StoreError::is_locked): a login beside another revokes its
    /// session at many APIs.
    ///
    /// No refresh token is spent without the lock.
    #[must_use]
    pub fn log_in_without_lock(self) -> Self {
        Self {
            logs_in_without_lock: true,
            ..self
        }
    }

    /// Fails a login while the store fails. Defaults to a login that goes on without the store.
    ///
    /// For exclusive sessions: the instances that still reach the store are then not logged out by those that do not.
    /// The guide has [figures](crate::guide::fleet).
    #[must_use]
    pub fn fail_without_store(self) -> Self {
        Self {
            fails_without_store: true,
            ..self
        }
    }
}

impl fmt::Debug for SharedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAccount")
            .field("key", &self.key)
            .field("is_sealed", &self.seal.is_some())
            .field("logs_in_without_lock", &self.logs_in_without_lock)
            .field("fails_without_store", &self.fails_without_store)
            .finish_non_exhaustive()
    }
}
