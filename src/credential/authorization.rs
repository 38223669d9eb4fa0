//! The header value that goes out, and the login it belongs to.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::token::{Scheme, Secret, Token};

/// The number of the login that a credential came from, within this process.
///
/// Numbers come from one counter and are never used twice. They are compared only for equality:
/// news about a generation that is no longer current is late, and harms nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(NonZeroU64);

impl Generation {
    /// A number that nothing in this process has had before.
    #[must_use]
    pub fn next() -> Self {
        static USED: AtomicU64 = AtomicU64::new(0);
        // Relaxed: each number need only be unique, it orders nothing.
        let used = USED.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::MIN.saturating_add(used))
    }

    pub(crate) fn number(self) -> NonZeroU64 {
        self.0
    }
}

/// A header value made from a token, ready to send, with the generation it belongs to.
///
/// The value is marked sensitive: `Debug` hides it, and HTTP/2 never puts it into a compression
/// table ([RFC 7541, section 7.1.3]).
///
/// Where [`Authorization::new`] made it, its bytes are wiped when the last clone of the value is
/// gone. What a client copies into its buffers and onto the wire is not ours to wipe.
///
/// [RFC 7541, section 7.1.3]: https://www.rfc-editor.org/rfc/rfc7541#section-7.1.3
#[derive(Clone, Debug)]
pub struct Authorization {
    value: HeaderValue,
    generation: Generation,
    account: u32,
}

impl Authorization {
    /// The value `{scheme} {token}`, as a generation of its own.
    ///
    /// Keep it and hand out clones for as long as the token stays the same: that is what makes a
    /// late refusal of an earlier token harmless.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "both parts were checked")]
    pub fn new(scheme: Scheme, token: &Token) -> Self {
        let (scheme, token) = (scheme.as_str(), token.expose());
        // Of the right capacity: growing would leave a copy behind.
        let mut value = String::with_capacity(scheme.len() + 1 + token.len());
        value.extend([scheme, " ", token]);
        let value = HeaderValue::from_maybe_shared(Secret::from(value).into_bytes())
            .expect("a scheme is made of tchar and a token of visible ASCII, both fit a header");
        Self::from_value(value)
    }

    /// A value that somebody else has made, as a generation of its own. It is marked sensitive.
    #[must_use]
    pub fn from_value(mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self {
            value,
            generation: Generation::next(),
            account: 0,
        }
    }

    /// The header value, marked sensitive.
    #[must_use]
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Names the account that the value belongs to, by a number of the provider's choice. Defaults
    /// to 0.
    ///
    /// A provider of many accounts gives each its own number, and another one after each sign-in as
    /// somebody else. It finds the number again in each [`Receipt`](crate::Receipt). A request that
    /// was rejected under one number is never replayed under another.
    #[must_use]
    pub fn with_account(self, account: u32) -> Self {
        Self { account, ..self }
    }

    /// The account that the value belongs to.
    #[must_use]
    pub fn account(&self) -> u32 {
        self.account
    }

    /// The login that the value came from.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The same in memory of its own, which is wiped as well.
    pub(crate) fn copied(&self) -> Self {
        let bytes = Zeroizing::new(self.value.as_bytes().to_vec());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
            .expect("the bytes are those of a header value");
        value.set_sensitive(true);
        Self {
            value,
            generation: self.generation,
            account: self.account,
        }
    }

    /// Value, generation, account.
    pub(crate) fn into_parts(self) -> (HeaderValue, Generation, u32) {
        (self.value, self.generation, self.account)
    }
}
