//! The bytes of a record, and who may read them.

use std::fmt;

use zeroize::Zeroizing;

use super::RecordKey;
use crate::error::BoxError;

/// The bytes of a record, as a store keeps them. Without a [`Seal`], they hold the secrets in plain text.
///
/// `Debug` hides them, and their memory is wiped when they are dropped.
///
/// # Examples
///
/// ```
/// use tower_bearer::store::SealedRecord;
///
/// let record = SealedRecord::from_bytes(vec![1, 2, 3]); // what the store has returned
/// assert_eq!(record.expose(), [1, 2, 3]);
/// assert_eq!(format!("{record:?}"), "SealedRecord(..)");
/// ```
#[derive(Clone)]
pub struct SealedRecord(Zeroizing<Vec<u8>>);

impl SealedRecord {
    /// A record that a store has kept.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that stores them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedRecord(..)")
    }
}

/// Encrypts the bytes of a record before a store sees them, and decrypts them.
///
/// Use authenticated encryption, with a new nonce each time and the [`RecordKey`] as associated data. A record
/// of one account then cannot be taken for that of another.
///
/// # Examples
///
/// AES-256-GCM of the crate `ring`, with the nonce before the text:
///
/// ```
/// use ring::{aead, rand::{SecureRandom, SystemRandom}};
/// use tower_bearer::{BoxError, Credential, store::{Record, RecordKey, Seal, Stored, Revision}};
///
/// struct AesGcm(aead::LessSafeKey);
///
/// impl AesGcm {
///     fn new(key: &[u8; 32]) -> Result<Self, BoxError> {
///         let key = aead::UnboundKey::new(&aead::AES_256_GCM, key);
///         Ok(Self(aead::LessSafeKey::new(key.map_err(|_| "not a key")?)))
///     }
/// }
///
/// impl Seal for AesGcm {
///     fn seal(&self, key: RecordKey, plain: &[u8]) -> Result<Vec<u8>, BoxError> {
///         let mut nonce = [0; aead::NONCE_LEN];
///         SystemRandom::new().fill(&mut nonce).map_err(|_| "no random numbers")?;
///         let room = nonce.len() + plain.len() + aead::MAX_TAG_LEN;
///         let mut sealed = Vec::with_capacity(room); // a vector that grows leaves copies behind
///         sealed.extend(nonce);
///         sealed.extend(plain);
///         let nonce = aead::Nonce::assume_unique_for_key(nonce);
///         let account = aead::Aad::from(key.as_bytes());
///         let text = &mut sealed[aead::NONCE_LEN..];
///         let tag = self.0.seal_in_place_separate_tag(nonce, account, text);
///         sealed.extend(tag.map_err(|_| "too long")?.as_ref());
///         Ok(sealed)
///     }
///
///     fn open(&self, key: RecordKey, sealed: &[u8]) -> Result<Vec<u8>, BoxError> {
///         let (nonce, text) = sealed.split_first_chunk().ok_or("too short")?;
///         let nonce = aead::Nonce::assume_unique_for_key(*nonce);
///         let account = aead::Aad::from(key.as_bytes());
///         let mut text = text.to_vec();
///         let plain = self.0.open_in_place(nonce, account, &mut text);
///         let length = plain.map_err(|_| "sealed with another key")?.len();
///         text.truncate(length);
///         Ok(text)
///     }
/// }
///
/// let seal = AesGcm::new(&[7; 32])?; // from a secret of your platform, not from the store
/// let account = RecordKey::new("https://issuer.example", "user-7", "");
/// let record = Record::new(&Credential::new("mF_9.B5f-4.1JqM")?, std::time::SystemTime::now());
/// let sealed = record.seal(account, Some(&seal))?;
/// assert!(!sealed.expose().windows(4).any(|bytes| bytes == b"mF_9"));
///
/// let stored = Stored::new(Revision::new(*b"1"), sealed); // what a store returns
/// assert!(stored.open(account, Some(&seal)).is_ok());
/// assert!(stored.open(account, Some(&AesGcm::new(&[8; 32])?)).unwrap_err().is_damaged());
/// # Ok::<_, BoxError>(())
/// ```
pub trait Seal: Send + Sync + 'static {
    /// Encrypts the bytes of an account's record.
    ///
    /// # Errors
    ///
    /// Any error. The record is then not stored.
    fn seal(&self, key: RecordKey, plain: &[u8]) -> Result<Vec<u8>, BoxError>;

    /// Decrypts what [`seal`](Self::seal) has returned for the same account. The crate wipes the result.
    ///
    /// # Errors
    ///
    /// Any error. The record then counts as [damaged](super::StoreError::is_damaged).
    fn open(&self, key: RecordKey, sealed: &[u8]) -> Result<Vec<u8>, BoxError>;
}
