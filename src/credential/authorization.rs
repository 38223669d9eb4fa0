//! Header values, each with the generation of its credential.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::token::{Scheme, Secret, Token};

/// Identifies the login that a credential came from, within this process.
///
/// The numbers come from one counter and are never used twice. Compare them for equality only: a
/// rejection of a generation that is no longer current is late, and changes nothing.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Authorization, Generation, Scheme, Token};
///
/// assert_ne!(Generation::next(), Generation::next());
///
/// let authorization = Authorization::new(Scheme::BEARER, &Token::new("abc")?);
/// assert_eq!(authorization.generation(), authorization.clone().generation());
/// # Ok::<_, tower_bearer::InvalidToken>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(NonZeroU64);

impl Generation {
    /// A generation that was never used in this process.
    #[must_use]
    pub fn next() -> Self {
        static USED: AtomicU64 = AtomicU64::new(0);
        // Relaxed: the numbers must be unique, and order no other memory.
        let used = USED.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::MIN.saturating_add(used))
    }

    pub(crate) fn number(self) -> NonZeroU64 {
        self.0
    }

    /// Whether this number was drawn before the other one.
    pub(crate) fn is_older_than(self, other: Self) -> bool {
        self.0 < other.0
    }
}

/// A header value made from a token, with the generation that it belongs to.
///
/// The value is marked sensitive: `Debug` hides it, and HTTP/2 never puts it into a compression
/// table ([RFC 7541, section 7.1.3]).
///
/// If [`Authorization::new`] made it, its bytes are wiped when the last clone is dropped. Copies in
/// the buffers of a client are not wiped.
///
/// # Examples
///
/// A request that does not go through the layer, authorized by hand:
///
/// ```
/// use http::{Request, header::AUTHORIZATION};
/// use tower_bearer::{CachedProvider, Credential, login_fn};
///
/// # tokio_test::block_on(async {
/// let provider = CachedProvider::new(login_fn(|_| async {
///     Ok(Credential::new("mF_9.B5f-4.1JqM")?)
/// }));
///
/// let authorization = provider.acquire().await?;
/// let mut request = Request::get("https://api.example.com/").body(())?;
/// request.headers_mut().insert(AUTHORIZATION, authorization.value().clone());
/// assert_eq!(request.headers()[AUTHORIZATION], "Bearer mF_9.B5f-4.1JqM");
/// assert!(!format!("{request:?}").contains("mF_9"));
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// [RFC 7541, section 7.1.3]: https://www.rfc-editor.org/rfc/rfc7541#section-7.1.3
#[derive(Clone, Debug)]
pub struct Authorization {
    value: HeaderValue,
    generation: Generation,
    owner: Owner,
}

/// Whom a value identifies: no request that was made for one owner is sent for another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    account: u32,
    /// The number of sign-outs before: another user may have signed in since.
    pub(crate) sign_outs: u32,
}

impl Authorization {
    /// The value `{scheme} {token}`, with a new generation.
    ///
    /// Keep it, and return clones of it while the token stays the same. A late rejection of a
    /// previous token is then harmless.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "both parts were checked")]
    pub fn new(scheme: Scheme, token: &Token) -> Self {
        let (scheme, token) = (scheme.as_str(), token.expose());
        // With the right capacity: growing would leave a copy of the token in memory.
        let mut value = String::with_capacity(scheme.len() + 1 + token.len());
        value.extend([scheme, " ", token]);
        let value = HeaderValue::from_maybe_shared(Secret::from(value).into_bytes())
            .expect("a scheme is made of tchar and a token of visible ASCII, both fit a header");
        Self::from_value(value)
    }

    /// An existing header value, with a new generation. It is marked sensitive.
    #[must_use]
    pub fn from_value(mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self {
            value,
            generation: Generation::next(),
            owner: Owner::default(),
        }
    }

    /// The header value, marked sensitive.
    #[must_use]
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Sets the account that the value belongs to: a number that the provider chooses. Defaults to
    /// 0.
    ///
    /// A provider for many accounts gives each of them a number, and a new number after a sign-in as
    /// another user. Each [`Receipt`](crate::Receipt) has the number. A request that was rejected
    /// for one account is never replayed for another.
    ///
    /// A [`CachedProvider`](crate::CachedProvider) keeps its number after a
    /// [sign-out](crate::CachedProvider::sign_out). It tells users apart by itself.
    #[must_use]
    pub fn with_account(mut self, account: u32) -> Self {
        self.owner.account = account;
        self
    }

    pub(crate) fn with_sign_outs(mut self, sign_outs: u32) -> Self {
        self.owner.sign_outs = sign_outs;
        self
    }

    /// The account that the value belongs to.
    #[must_use]
    pub fn account(&self) -> u32 {
        self.owner.account
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// The generation: the login that the value came from.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// A copy in separate memory, which is wiped too. Its reference count is not shared.
    pub(crate) fn copied(&self) -> Self {
        let bytes = Zeroizing::new(self.value.as_bytes().to_vec());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
            .expect("the bytes are those of a header value");
        value.set_sensitive(true);
        Self {
            value,
            generation: self.generation,
            owner: self.owner,
        }
    }

    pub(crate) fn into_parts(self) -> (HeaderValue, Generation, u32) {
        (self.value, self.generation, self.owner.account)
    }
}
