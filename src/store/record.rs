//! What a store keeps of a credential, and its bytes.

use std::{
    str,
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use super::{RecordKey, Seal, SealedRecord, StoreError, Stored};
use crate::credential::{Credential, RefreshToken, Scheme, Secret, Token};

/// The version of the bytes. They begin with it.
const VERSION: u32 = 1;

/// Stands for no expiry, and its length for no refresh token.
const NONE: u64 = u64::MAX;

/// An expiry by the wall clock that is nearer than this says that the clocks disagree.
const NEAREST_EXPIRY: Duration = Duration::from_secs(10);

/// A credential as a store keeps it: the token, its scheme, its expiry, when it was issued, and the refresh
/// token.
///
/// The module's page has [an example](super).
///
/// Times are those of the wall clock, in milliseconds. A reader whose clock is behind does not use a token for
/// longer than its lifetime.
#[derive(Clone, Debug)]
pub struct Record {
    token: Token,
    scheme: Scheme,
    issued_at: SystemTime,
    expires_at: Option<SystemTime>,
    refresh_token: Option<StoredRefreshToken>,
    /// Since the publication, by the store's clock.
    age: Option<Duration>,
}

#[derive(Clone, Debug)]
struct StoredRefreshToken {
    secret: Secret,
    expires_at: Option<SystemTime>,
}

impl Record {
    /// The record of a credential. Its lifetime counts from `issued_at`: the start of the login, by the wall
    /// clock.
    #[must_use]
    pub fn new(credential: &Credential, issued_at: SystemTime) -> Self {
        let expires_at = match credential.lifetime() {
            Some(lifetime) => issued_at.checked_add(lifetime),
            None => credential.expires_at().filter(|expires_at| {
                let lifetime = expires_at.duration_since(issued_at);
                lifetime.is_ok_and(|lifetime| lifetime >= NEAREST_EXPIRY)
            }),
        };
        let refresh_token = credential.refresh_token();
        let refresh_token = refresh_token.map(|token| StoredRefreshToken {
            secret: token.expose().into(),
            expires_at: token.wall_expiry(issued_at),
        });
        Self {
            token: credential.token().clone(),
            scheme: credential.scheme(),
            issued_at,
            expires_at,
            refresh_token,
            age: None,
        }
    }

    /// The same record without the refresh token: publish it before you spend the refresh token. After a crash,
    /// no process then spends it again.
    #[must_use]
    pub fn without_refresh_token(self) -> Self {
        Self {
            refresh_token: None,
            ..self
        }
    }

    /// The credential, with the lifetime that is left at `now`, by the wall clock. For
    /// [`starting_with`](crate::CachedProviderBuilder::starting_with).
    ///
    /// If the store knows the [age](Stored::with_age) of the record, that counts and not the wall clock.
    #[must_use]
    pub fn credential(&self, now: SystemTime) -> Credential {
        let used = match self.age {
            Some(age) => age,
            // The writer's clock is ahead of this one: as if the record were new.
            None => now.duration_since(self.issued_at).unwrap_or_default(),
        };
        let left = |expires_at: SystemTime| {
            let lifetime = expires_at.duration_since(self.issued_at);
            lifetime.unwrap_or_default().saturating_sub(used)
        };
        let mut credential = Credential::from(self.token.clone()).with_scheme(self.scheme);
        if let Some(expires_at) = self.expires_at {
            credential = credential.with_lifetime(left(expires_at));
        }
        if let Some(stored) = &self.refresh_token {
            let token = RefreshToken::new(stored.secret.clone());
            credential = credential.with_refresh_token(match stored.expires_at {
                Some(expires_at) => token.with_lifetime(left(expires_at)),
                None => token,
            });
        }
        credential
    }

    /// When the token was issued, by the wall clock of the process that has logged in.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// When the token expires, by the same clock.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The bytes for a store: encrypted by the seal, or in plain text without one.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the seal fails.
    pub fn seal(
        &self,
        key: RecordKey,
        seal: Option<&dyn Seal>,
    ) -> Result<SealedRecord, StoreError> {
        let plain = self.encode(key);
        let Some(seal) = seal else {
            return Ok(SealedRecord::from_bytes(plain));
        };
        let plain = Zeroizing::new(plain);
        let sealed = seal.seal(key, &plain).map_err(StoreError::new)?;
        Ok(SealedRecord::from_bytes(sealed))
    }

    fn open(key: RecordKey, seal: Option<&dyn Seal>, stored: &Stored) -> Result<Self, StoreError> {
        let sealed = stored.record().expose();
        let record = match seal {
            None => Self::decode(key, sealed),
            Some(seal) => {
                let plain = seal.open(key, sealed).map_err(StoreError::damaged)?;
                Self::decode(key, &Zeroizing::new(plain))
            }
        };
        Ok(Self {
            age: stored.age(),
            ..record?
        })
    }

    fn encode(&self, key: RecordKey) -> Vec<u8> {
        // Its age will begin again: count its lifetime from now on.
        let age = self.age.unwrap_or_default();
        let issued_at = self.issued_at.checked_add(age).unwrap_or(self.issued_at);
        let refresh_token = self.refresh_token.as_ref();
        let secret = refresh_token.map(|token| token.secret.expose());
        let refresh_expiry = refresh_token.and_then(|token| token.expires_at);
        let (scheme, token) = (self.scheme.as_str(), self.token.expose());
        let texts = scheme.len() + token.len() + secret.map_or(0, str::len);
        // With the right capacity: growing would leave a copy of the secrets in memory.
        let capacity = 4 + 32 + 6 * 8 + texts;
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(key.as_bytes());
        for number in [
            milliseconds(issued_at),
            self.expires_at.map_or(NONE, milliseconds),
            refresh_expiry.map_or(NONE, milliseconds),
            scheme.len() as u64,
            token.len() as u64,
            secret.map_or(NONE, |secret| secret.len() as u64),
        ] {
            bytes.extend(number.to_le_bytes());
        }
        for text in [scheme, token, secret.unwrap_or_default()] {
            bytes.extend(text.as_bytes());
        }
        debug_assert_eq!(bytes.len(), capacity);
        bytes
    }

    fn decode(key: RecordKey, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let version = reader.array().map(u32::from_le_bytes);
        if let Some(version) = version
            && version != VERSION
        {
            let problem = format!("its version is {version}, and this one reads {VERSION}");
            return Err(StoreError::other_version(problem));
        }
        let account = reader.array::<32>();
        if account.is_some_and(|account| account != *key.as_bytes()) {
            return Err(StoreError::damaged("it is of another account"));
        }
        let record = reader.record();
        record.ok_or_else(|| StoreError::damaged("its bytes are not those of a record"))
    }
}

impl Stored {
    /// Opens the record of this account with the seal that it was [sealed](Record::seal) with.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the record is [damaged](StoreError::is_damaged), which includes a record of another
    /// account or another seal, or is of [another version](StoreError::is_other_version).
    pub fn open(&self, key: RecordKey, seal: Option<&dyn Seal>) -> Result<Record, StoreError> {
        Record::open(key, seal, self)
    }
}

/// Takes the parts of a record from its bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, length: u64) -> Option<&'a str> {
        let length = usize::try_from(length).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    /// What follows version and account, to the last byte.
    fn record(&mut self) -> Option<Record> {
        let issued_at = time(self.number()?)?;
        let expires_at = optional_time(self.number()?)?;
        let refresh_expiry = optional_time(self.number()?)?;
        let lengths = [self.number()?, self.number()?, self.number()?];
        let scheme = self.text(lengths[0])?;
        let token = Token::visible_ascii(self.text(lengths[1])?).ok()?;
        let refresh_token = match lengths[2] {
            NONE => None,
            length => Some(StoredRefreshToken {
                secret: self.text(length)?.into(),
                expires_at: refresh_expiry,
            }),
        };
        if !self.0.is_empty() {
            return None;
        }
        Some(Record {
            token,
            // The last part, since a new word stays in memory.
            scheme: Scheme::new(scheme).ok()?,
            issued_at,
            expires_at,
            refresh_token,
            age: None,
        })
    }
}

/// Since 1970. Later than any clock is never.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let milliseconds = since.unwrap_or_default().as_millis();
    u64::try_from(milliseconds).unwrap_or(NONE)
}

fn time(milliseconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}

fn optional_time(milliseconds: u64) -> Option<Option<SystemTime>> {
    match milliseconds {
        NONE => Some(None),
        milliseconds => time(milliseconds).map(Some),
    }
}

#[cfg(test)]
mod tests;
