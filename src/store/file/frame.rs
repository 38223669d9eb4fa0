//! The bytes of a record's file: a mark, a version, the revision, the record, and a checksum of all that.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::store::{Revision, SealedRecord, StoreError};

/// The longest file, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;

const MARK: &[u8; 8] = b"tbearer\n";
const VERSION: u32 = 1;
const CHECKSUM: usize = 32;
const REVISION: usize = 16;
const BEFORE_RECORD: usize = MARK.len() + 4 + REVISION;

/// A count in the file, so that no revision comes back, and a random number, so that a file that was removed
/// by hand does not bring one back.
pub(super) fn next_revision(previous: Option<&Revision>) -> Revision {
    let count = previous.and_then(|it| it.as_bytes().first_chunk());
    let count = count.map_or(0, |count| u64::from_le_bytes(*count));
    let mut bytes = [0; REVISION];
    bytes[..8].copy_from_slice(&count.wrapping_add(1).to_le_bytes());
    bytes[8..].copy_from_slice(&fastrand::u64(..).to_le_bytes());
    Revision::new(bytes)
}

pub(super) fn encode(
    revision: &Revision,
    record: &SealedRecord,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let record = record.expose();
    let length = BEFORE_RECORD + record.len() + CHECKSUM;
    if length > LONGEST {
        return Err(StoreError::new("the record is longer than 64 KiB"));
    }
    // With the right capacity: growing would leave a copy of the secrets in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend(MARK);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(revision.as_bytes());
    bytes.extend(record);
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Revision, SealedRecord), StoreError> {
    let damaged = || StoreError::damaged("the file is incomplete, or was changed");
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or_else(damaged)?;
    // First the checksum: a flipped bit must not look like another version, which nobody replaces.
    if Sha256::digest(content)[..] != checksum[..] {
        return Err(damaged());
    }
    let content = content.strip_prefix(MARK).ok_or_else(damaged)?;
    let (version, content) = content.split_first_chunk().ok_or_else(damaged)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        let problem = format!("the version of the file is {version}, and this one reads {VERSION}");
        return Err(StoreError::other_version(problem));
    }
    let (revision, record) = content
        .split_first_chunk::<REVISION>()
        .ok_or_else(damaged)?;
    let record = SealedRecord::from_bytes(record.to_vec());
    Ok((Revision::new(*revision), record))
}
