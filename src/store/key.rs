//! What a record is stored under.

use std::fmt;

use sha2::{Digest, Sha256};

/// The account of a record, as a SHA-256 hash of issuer, account and scope. Two accounts never share a record.
///
/// It is printed as 64 hexadecimal digits, which are the name of a file or a key of Redis. The hash does not
/// hide a name that can be guessed.
///
/// # Examples
///
/// ```
/// use tower_bearer::store::RecordKey;
///
/// let key = RecordKey::new("https://issuer.example", "user-7", "read write");
/// assert_ne!(key, RecordKey::new("https://issuer.example", "user-7", "read"));
/// assert_ne!(key, RecordKey::new("https://staging.example", "user-7", "read write"));
/// assert_eq!(key.to_string().len(), 64);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// The key of an account: the URL of its issuer or login, its user or client, and the scope or audience of its
    /// token.
    ///
    /// Include in one of them whatever tells two sessions apart: they share a record if all three are equal.
    #[must_use]
    pub fn new(issuer: &str, account: &str, scope: &str) -> Self {
        let mut hash = Sha256::new_with_prefix(b"tower-bearer record key 1");
        for part in [issuer, account, scope] {
            // With the lengths, no two triples have the same bytes.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Another version of the crate must find the same record.
    #[test]
    fn the_hash_is_that_of_the_first_version() {
        let key = RecordKey::new("https://issuer.example", "user-7", "read");
        let expected = "aba1060a8ff62f077c924998d74625952c8ef6437ddfe73de254dc0d7278e2a6";
        assert_eq!(key.to_string(), expected);
    }

    #[test]
    fn characters_that_move_from_one_part_to_the_next_make_another_key() {
        let key = RecordKey::new("ab", "c", "");
        for other in [
            ("a", "bc", ""),
            ("ab", "", "c"),
            ("", "ab", "c"),
            ("abc", "", ""),
        ] {
            assert_ne!(key, RecordKey::new(other.0, other.1, other.2), "{other:?}");
        }
    }
}
