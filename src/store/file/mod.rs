//! The store in files, for the processes of one machine.

mod folder;
mod frame;
mod lease;
mod private;

use std::{
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use self::{folder::Folder, lease::Holder};
use super::{
    CredentialStore, Lock, LockAttempt, Publication, RecordKey, Revision, SealedRecord, StoreError,
    StoreFuture, Stored,
};
use crate::runtime::{
    Clock, SystemClock,
    sync::{AsyncMutex, task, time},
};

/// How long a waiter leaves the folder alone.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A store in a folder, for the processes of one machine. Only on Unix.
///
/// Each account has up to three files in the folder, named after its [`RecordKey`]:
///
/// | file | content |
/// | --- | --- |
/// | `….record` | the record |
/// | `….lock` | empty, and never removed: each step of this crate locks it, for the time of that step |
/// | `….lease` | whoever logs in: it is locked while that process lives, and has the end of its lease |
///
/// - A process that dies frees its lock at once, since the kernel frees that of the file. One that is stopped
///   keeps it until its lease is over, by the wall clock.
/// - A record is written to `….new`, synchronized, and renamed, so a crash leaves the old record or the new
///   one. The next publication removes what a crash has left.
/// - The folder is made with mode 0700 if it is missing, and each file with mode 0600, whatever the umask. A folder
///   that others may write to, or a file that others may read, is refused. So are files of another user, and
///   symbolic links, also that of the folder itself. Access control lists are not examined.
/// - A file has 64 KiB at most, a version and a checksum. A damaged one counts as no record; one of another version
///   stays as it is.
/// - Reading needs a folder that can be written: the owner of a new file tells who this process is.
/// - All of it happens on threads that may block, one step at a time. A network file system must support file
///   locks.
///
/// Without a [`Seal`](super::Seal), the secrets are in the file in plain text, as those of an SSH key are. Root and
/// backups can read them.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::{
///     Credential,
///     store::{CredentialStore, FileStore, LockAttempt, Record, RecordKey},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let folder = std::env::temp_dir().join(format!("tower-bearer-store-{}", std::process::id()));
/// # let path = folder.clone();
/// let store = FileStore::new(path); // such as "/var/lib/importer/session"
/// let key = RecordKey::new("https://acme.quable.com", "importer", "");
/// if let LockAttempt::Acquired(lock) = store.lock(key, Duration::from_secs(40)).await? {
///     let record = Record::new(&Credential::new("abc")?, SystemTime::now());
///     store.publish(&lock, None, record.seal(key, None)?).await?;
///     store.unlock(lock).await?;
/// }
/// assert!(store.read(key).await?.is_some());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// # Panics
///
/// Its futures panic outside of a Tokio runtime.
#[derive(Clone)]
pub struct FileStore {
    folder: Arc<Folder>,
    clock: Arc<dyn Clock>,
    /// Locked for each step, so that a file system that hangs blocks one thread and not more.
    turn: Arc<AsyncMutex<()>>,
}

impl FileStore {
    /// A store in this folder. Nothing is read or made yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Arc::new(Folder::new(folder.into())),
            clock: Arc::new(SystemClock),
            turn: Arc::default(),
        }
    }

    /// Sets the clock for leases. Defaults to [`SystemClock`]. Its wall clock counts, which all processes must
    /// share.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            ..self
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn step<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let (folder, turn) = (Arc::clone(&self.folder), Arc::clone(&self.turn));
        Box::pin(async move {
            let turn = turn.lock_owned().await;
            // The turn goes along: if this future is dropped, the next step waits for the end of this one.
            let step = task::spawn_blocking(move || {
                let _turn = turn;
                act(&folder)
            });
            step.await.map_err(StoreError::new)?
        })
    }
}

/// What identifies the holder of a lock of this store.
fn holder(lock: &Lock) -> Result<Arc<Holder>, StoreError> {
    let holder = lock.holder::<Arc<Holder>>().map(Arc::clone);
    holder.ok_or_else(|| StoreError::new("the lock is of another store"))
}

impl CredentialStore for FileStore {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        self.step(move |folder| folder.read(key))
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        let clock = Arc::clone(&self.clock);
        self.step(move |folder| {
            Ok(match folder.acquire(key, clock.wall(), lease)? {
                Some(holder) => LockAttempt::Acquired(Lock::new(key, Arc::new(holder))),
                None => LockAttempt::Held,
            })
        })
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        let (key, holder, previous) = (lock.key(), holder(lock), previous.cloned());
        self.step(move |folder| folder.publish(key, &*holder?, previous.as_ref(), &record))
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        let (key, holder) = (lock.key(), holder(lock));
        self.step(move |folder| folder.remove(key, &*holder?))
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        self.step(move |folder| folder.release(lock.key(), &*holder(&lock)?))
    }

    /// Ends after a while: a folder tells nobody of the death of a holder, and to look costs little.
    fn changed(&self, _key: RecordKey) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        Some(Box::pin(async { time::sleep(BETWEEN_LOOKS).await }))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("folder", &self.folder())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
