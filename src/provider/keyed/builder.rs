//! The settings of a [`KeyedProvider`].

use std::{borrow::Cow, fmt, hash::Hash, sync::Arc};

use super::{BuilderFn, KeyFn, KeyedProvider, Shared, accounts::Accounts, by_number::MAX_CAPACITY};
use crate::provider::{CachedProviderBuilder, RequestHead};

/// The default capacity. An account takes about 1.5 KiB.
const CAPACITY: usize = 10_000;

/// Builds a [`KeyedProvider`].
///
/// # Examples
///
/// The key is a header that the server of this program has checked, and each account has its own margin:
///
/// ```
/// use std::time::Duration;
/// use http::HeaderValue;
/// use tower_bearer::{CachePolicy, Credential, KeyedProvider, login_fn};
///
/// let provider = KeyedProvider::builder(|_tenant: &HeaderValue| {
///     login_fn(async |_| Ok(Credential::new("abc")?)) // ask the API for this tenant's token
/// })
/// .key(|head| head.headers.get("x-tenant"))
/// .capacity(500)
/// .configure(|tenant, account| match tenant.as_bytes() {
///     b"slow" => account.policy(CachePolicy::default().login_timeout(Duration::from_secs(60))),
///     _ => account,
/// })
/// .build();
/// assert_eq!(provider.capacity(), 500);
/// ```
#[must_use]
pub struct KeyedProviderBuilder<K> {
    builder: BuilderFn<K>,
    key: KeyFn<K>,
    capacity: usize,
    is_bare_without_key: bool,
    name: Option<Cow<'static, str>>,
}

impl<K> KeyedProviderBuilder<K>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
{
    pub(super) fn new(
        builder: impl Fn(&K) -> CachedProviderBuilder + Send + Sync + 'static,
    ) -> Self {
        Self {
            builder: Box::new(builder),
            key: Box::new(|head| head.extensions.get()),
            capacity: CAPACITY,
            is_bare_without_key: false,
            name: None,
        }
    }

    /// Sets where a request has its key. Defaults to its extension of the type `K`.
    ///
    /// The function runs several times for each request, so it should only look something up. It sees
    /// the request as it reaches the layer, and for a replay as it was sent.
    ///
    /// A key must name an account that the request may use. If a stranger chooses it, that stranger
    /// chooses the token.
    pub fn key(
        self,
        key: impl for<'a> Fn(RequestHead<'a>) -> Option<&'a K> + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: Box::new(key),
            ..self
        }
    }

    /// Sets the largest number of accounts. Defaults to 10,000; the minimum is 1, and the maximum
    /// 16,777,216.
    ///
    /// Choose more than the keys that are in use at the same time. With fewer places than that, accounts
    /// evict each other and log in each time. An account takes about 1.5 KiB, besides its login.
    pub fn capacity(self, capacity: usize) -> Self {
        Self {
            capacity: capacity.clamp(1, MAX_CAPACITY),
            ..self
        }
    }

    /// Sends a request without a key bare: unchanged and without a token. By default it fails.
    pub fn bare_without_key(self) -> Self {
        Self {
            is_bare_without_key: true,
            ..self
        }
    }

    /// Configures the provider of each new key: its policy, its clock, its hooks or its first
    /// credential. Several calls add up.
    ///
    /// `configure` is called by the request that brings the new key, also when that key was evicted
    /// before. It is called again if another account of the key comes and goes meanwhile. A panic in it
    /// reaches that request. The number of the account cannot be chosen.
    ///
    /// Set [`on_credential`](CachedProviderBuilder::on_credential) if the credentials have refresh
    /// tokens, or share them by a store. Otherwise an account is not evicted until its refresh token expires,
    /// since no other copy exists.
    pub fn configure(
        self,
        configure: impl Fn(&K, CachedProviderBuilder) -> CachedProviderBuilder + Send + Sync + 'static,
    ) -> Self {
        let builder = self.builder;
        Self {
            builder: Box::new(move |key| configure(key, builder(key))),
            ..self
        }
    }

    /// Names the provider, and the providers of all its accounts, in spans, log lines and metrics.
    /// Defaults to none.
    ///
    /// The name is printed, so it must not be a secret. Name the accounts themselves in
    /// [`configure`](Self::configure), by [`account_name`](CachedProviderBuilder::account_name).
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        let of_accounts = name.clone();
        Self {
            name: Some(name),
            ..self.configure(move |_, account| account.name(of_accounts.clone()))
        }
    }

    /// Builds the provider, without an account.
    #[must_use]
    pub fn build(self) -> KeyedProvider<K> {
        KeyedProvider(Arc::new(Shared {
            accounts: Accounts::new(self.capacity),
            key: self.key,
            builder: self.builder,
            is_bare_without_key: self.is_bare_without_key,
            name: self.name,
        }))
    }
}

impl<K> fmt::Debug for KeyedProviderBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedProviderBuilder")
            .field("capacity", &self.capacity)
            .field("is_bare_without_key", &self.is_bare_without_key)
            .finish_non_exhaustive()
    }
}
