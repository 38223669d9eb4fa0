//! The store in memory.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{
    CredentialStore, Lock, LockAttempt, Publication, RecordKey, Revision, SealedRecord,
    StoreFuture, Stored,
};
use crate::runtime::{
    Clock, SystemClock,
    sync::{Mutex, MutexGuard, Notify},
};

/// A store in the memory of this process, for providers that share an account, and for tests. Clones share the
/// records.
///
/// # Examples
///
/// A lease that runs out, by a clock that the test moves:
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{
///     store::{CredentialStore, LockAttempt, MemoryStore, RecordKey},
///     test_util::TestClock,
/// };
///
/// # tokio_test::block_on(async {
/// let clock = TestClock::new();
/// let store = MemoryStore::with_clock(clock.clone());
/// let key = RecordKey::new("https://issuer.example", "user-7", "");
/// let lease = Duration::from_secs(40);
///
/// let first = store.lock(key, lease).await?;
/// assert!(matches!(first, LockAttempt::Acquired(_)));
/// assert!(matches!(store.lock(key, lease).await?, LockAttempt::Held));
/// clock.advance(lease);
/// assert!(matches!(store.lock(key, lease).await?, LockAttempt::Acquired(_)));
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    clock: Box<dyn Clock>,
    accounts: Mutex<Accounts>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Accounts {
    by_key: HashMap<RecordKey, Account>,
    /// The last number that was given to a lock or a revision. Each is given once.
    last: u64,
}

#[derive(Default)]
struct Account {
    published: Option<Published>,
    /// The holder of the lock, and the end of its lease.
    holder: Option<(Holder, Instant)>,
}

struct Published {
    revision: Revision,
    record: SealedRecord,
    at: Instant,
}

/// The number of a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Holder(u64);

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store, with a clock for leases and for the age of records.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self(Arc::new(Shared {
            clock: Box::new(clock),
            accounts: Mutex::default(),
            changed: Arc::default(),
        }))
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        // No change is left half-done by a panic.
        let accounts = self.0.accounts.lock();
        accounts.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Accounts {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The account of a lock, if it is still the last that was acquired.
    fn held(&mut self, lock: &Lock) -> Option<&mut Account> {
        let account = self.by_key.get_mut(&lock.key())?;
        let (holder, _) = account.holder?;
        (lock.holder() == Some(&holder)).then_some(account)
    }
}

impl CredentialStore for MemoryStore {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(async move {
            let now = self.0.clock.now();
            let accounts = self.accounts();
            let account = accounts.by_key.get(&key);
            let published = account.and_then(|account| account.published.as_ref());
            Ok(published.map(|published| {
                Stored::new(published.revision.clone(), published.record.clone())
                    .with_age(now.saturating_duration_since(published.at))
            }))
        })
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        Box::pin(async move {
            let now = self.0.clock.now();
            let mut accounts = self.accounts();
            let number = accounts.next();
            let account = accounts.by_key.entry(key).or_default();
            if account.holder.is_some_and(|(_, until)| now < until) {
                return Ok(LockAttempt::Held);
            }
            let until = now.checked_add(lease);
            let until = until.ok_or_else(|| super::StoreError::new("the lease has no end"))?;
            account.holder = Some((Holder(number), until));
            Ok(LockAttempt::Acquired(Lock::new(key, Holder(number))))
        })
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        Box::pin(async move {
            let at = self.0.clock.now();
            let mut accounts = self.accounts();
            let revision = Revision::new(accounts.next().to_le_bytes());
            let Some(account) = accounts.held(lock) else {
                return Ok(Publication::Refused);
            };
            let current = account.published.as_ref().map(|it| &it.revision);
            if current != previous {
                return Ok(Publication::Refused);
            }
            account.published = Some(Published {
                revision: revision.clone(),
                record,
                at,
            });
            drop(accounts);
            self.0.changed.notify_waiters();
            Ok(Publication::Published(revision))
        })
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut accounts = self.accounts();
            let Some(account) = accounts.held(lock) else {
                return Ok(false);
            };
            account.published = None;
            drop(accounts);
            self.0.changed.notify_waiters();
            Ok(true)
        })
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut accounts = self.accounts();
            if let Some(account) = accounts.held(&lock) {
                account.holder = None;
            }
            drop(accounts);
            self.0.changed.notify_waiters();
            Ok(())
        })
    }

    fn changed(&self, _key: RecordKey) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        Some(Box::pin(Arc::clone(&self.0.changed).notified_owned()))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
