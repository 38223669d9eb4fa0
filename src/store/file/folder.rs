//! The steps of the store in its folder. They block.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use super::{
    frame::{self, LONGEST},
    lease::Holder,
    private::{self, failed},
};
use crate::store::{Publication, RecordKey, Revision, SealedRecord, StoreError, Stored};

/// How often, and after which pause, the lock of a step is tried: another process has it for milliseconds.
const ATTEMPTS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The paths of an account, after a check of the folder.
    fn account(&self, key: RecordKey) -> Result<Account, StoreError> {
        let owner = private::folder(&self.0)?;
        let path = |extension| self.0.join(format!("{key}.{extension}"));
        Ok(Account {
            owner,
            lock: path("lock"),
            lease: path("lease"),
            record: path("record"),
            new: path("new"),
        })
    }

    pub(super) fn read(&self, key: RecordKey) -> Result<Option<Stored>, StoreError> {
        let stored = self.account(key)?.read()?;
        Ok(stored.map(|(revision, record)| Stored::new(revision, record)))
    }

    pub(super) fn acquire(
        &self,
        key: RecordKey,
        now: SystemTime,
        lease: Duration,
    ) -> Result<Option<Holder>, StoreError> {
        let account = self.account(key)?;
        let step = account.step()?;
        // On a slow disk, the holder's own step may outlast the attempts to begin this one.
        if Holder::is_held(&account.lease, account.owner, now)? {
            return Ok(None);
        }
        let _step = account.begin(step)?;
        Holder::acquire(&account.lease, account.owner, now, lease)
    }

    pub(super) fn publish(
        &self,
        key: RecordKey,
        holder: &Holder,
        previous: Option<&Revision>,
        record: &SealedRecord,
    ) -> Result<Publication, StoreError> {
        let account = self.account(key)?;
        let _step = account.begin_step()?;
        if !holder.is_current(&account.lease)? {
            return Ok(Publication::Refused);
        }
        let current = match account.read() {
            Ok(stored) => stored.map(|(revision, _)| revision),
            Err(error) if error.is_damaged() => None,
            Err(error) => return Err(error),
        };
        if current.as_ref() != previous {
            return Ok(Publication::Refused);
        }
        let revision = frame::next_revision(previous);
        let bytes = frame::encode(&revision, record)?;
        account.write(&bytes).inspect_err(|_| {
            let _ = fs::remove_file(&account.new);
        })?;
        self.synchronize()?;
        Ok(Publication::Published(revision))
    }

    pub(super) fn remove(&self, key: RecordKey, holder: &Holder) -> Result<bool, StoreError> {
        let account = self.account(key)?;
        let _step = account.begin_step()?;
        if !holder.is_current(&account.lease)? {
            return Ok(false);
        }
        remove(&account.new)?;
        remove(&account.record)?;
        self.synchronize()?;
        Ok(true)
    }

    pub(super) fn release(&self, key: RecordKey, holder: &Holder) -> Result<(), StoreError> {
        let account = self.account(key)?;
        let _step = account.begin_step()?;
        if holder.is_current(&account.lease)? {
            remove(&account.lease)?;
        }
        Ok(())
    }

    /// After a power cut, the folder then has the file under its new name.
    fn synchronize(&self) -> Result<(), StoreError> {
        let folder = File::open(&self.0).and_then(|folder| folder.sync_all());
        folder.map_err(|error| failed(&self.0, error))
    }
}

struct Account {
    owner: u32,
    lock: PathBuf,
    lease: PathBuf,
    record: PathBuf,
    new: PathBuf,
}

impl Account {
    /// Locks out the steps of all other processes until the handle is dropped.
    fn begin_step(&self) -> Result<File, StoreError> {
        self.begin(self.step()?)
    }

    /// The file that each step locks.
    fn step(&self) -> Result<File, StoreError> {
        let problem = |error| failed(&self.lock, error);
        if let Some(file) = private::open(&self.lock, self.owner)? {
            return Ok(file);
        }
        match private::create(&self.lock) {
            // Another process has made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = private::open(&self.lock, self.owner)?;
                file.ok_or(error).map_err(problem)
            }
            made => made.map_err(problem),
        }
    }

    fn begin(&self, file: File) -> Result<File, StoreError> {
        let problem = |error| failed(&self.lock, error);
        for _ in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                // Not `File::lock`: a process that is stopped within a step would block this thread for ever.
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(problem(error)),
            }
        }
        Err(problem(io::Error::other("another process keeps it locked")))
    }

    fn read(&self) -> Result<Option<(Revision, SealedRecord)>, StoreError> {
        let Some(file) = private::open(&self.record, self.owner)? else {
            return Ok(None);
        };
        let problem = |error| failed(&self.record, error);
        let length = file.metadata().map_err(problem)?.len();
        let length = usize::try_from(length).ok();
        let Some(length) = length.filter(|length| *length <= LONGEST) else {
            return Err(StoreError::damaged("the file is longer than 64 KiB"));
        };
        // One allocation, since a buffer that grows leaves a part of the secrets in memory.
        let mut bytes = Zeroizing::new(vec![0; length]);
        match (&file).read_exact(&mut bytes) {
            // Somebody else shortens it. The checksum then tells.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            read => read.map_err(problem)?,
        }
        frame::decode(&bytes).map(Some)
    }

    /// Replaces the record: a crash leaves the old one or the new one.
    fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        remove(&self.new)?; // what a crash has left
        let written = private::create(&self.new).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|error| failed(&self.new, error))?;
        fs::rename(&self.new, &self.record).map_err(|error| failed(&self.record, error))
    }
}

pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}
