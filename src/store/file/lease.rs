//! The file of a lock's holder. It is locked while the holder lives.

use std::{
    fs::{File, TryLockError},
    io::{Read, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use super::{folder::remove, private};
use crate::store::StoreError;

/// The handle of the holder's file. The kernel frees its lock when it is dropped, or when the process dies.
pub(super) struct Holder(File);

impl Holder {
    /// Acquires the lock of an account at `now`: `None` if another holder has it. The caller has locked the account's
    /// step.
    pub(super) fn acquire(
        path: &Path,
        owner: u32,
        now: SystemTime,
        lease: Duration,
    ) -> Result<Option<Self>, StoreError> {
        if Self::is_held(path, owner, now)? {
            return Ok(None);
        }
        // A new file, since a holder that is stopped still has the lock of the old one.
        remove(path)?;
        let mut file = private::create(path).map_err(|error| private::failed(path, error))?;
        let mut content = [0; 16];
        content[..8].copy_from_slice(&milliseconds(since_1970(now)).to_le_bytes());
        content[8..].copy_from_slice(&milliseconds(lease).to_le_bytes());
        let written = file.lock().and_then(|()| file.write_all(&content));
        written.map_err(|error| private::failed(path, error))?;
        Ok(Some(Self(file)))
    }

    /// Whether the lock of an account is held at `now`. It may change at once, unless the caller has locked the
    /// account's step.
    pub(super) fn is_held(path: &Path, owner: u32, now: SystemTime) -> Result<bool, StoreError> {
        let Some(mut file) = private::open(path, owner)? else {
            return Ok(false);
        };
        // First the lease: a new file is empty, and its holder must not find it locked.
        if !is_leased(&mut file, now) {
            return Ok(false);
        }
        match file.try_lock_shared() {
            Ok(()) => Ok(false), // the holder is dead
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(private::failed(path, error)),
        }
    }

    /// Whether this is still the last holder.
    pub(super) fn is_current(&self, path: &Path) -> Result<bool, StoreError> {
        let own = self.0.metadata();
        let own = own.map_err(|error| private::failed(path, error))?;
        let current = private::metadata(path)?;
        Ok(current.is_some_and(|current| private::is_same(&own, &current)))
    }
}

/// Whether the lease is not over yet.
fn is_leased(file: &mut File, now: SystemTime) -> bool {
    let mut content = [0; 16];
    if file.read_exact(&mut content).is_err() {
        return false; // the disk was full when it was written, so its holder did not get the lock
    }
    let (start, lease) = content.split_at(8);
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let (start, lease) = (number(start), number(lease));
    // A start that is far in the future is that of a clock that was set back since.
    milliseconds(since_1970(now)).abs_diff(start) < lease
}

fn since_1970(time: SystemTime) -> Duration {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
