//! The provider for many accounts, each with its own key.
//!
//! | file | task |
//! | --- | --- |
//! | `builder` | the settings |
//! | `future` | the future of a request that waits |
//! | `accounts` | creates and evicts accounts, up to the capacity |
//! | `by_key`, `by_number` | find an account without a lock: by its key, or by the number in a receipt |
//! | `account` | one account: its key, its number and its [`CachedProvider`] |
//!
//! # An account
//!
//! ```text
//!                 for_key, acquire_for              evict
//!   unknown key ───────────────────────► in use ───────────► evicted
//! ```
//!
//! An evicted account is dropped, and the next request with its key creates another one. The new one has
//! another number, so no receipt of the old one counts for it.
//!
//! Each account *is* a [`CachedProvider`]: flight, back-off and rejections are per account without any
//! code here. `cache::eviction` says when an account may be evicted, and why two caches of one key never
//! log in at the same time.
//!
//! # Locks
//!
//! | call | lock |
//! | --- | --- |
//! | `current_for`, `is_current`, `sent`, `accept` | none, besides those of one `CachedProvider` |
//! | `acquire_for`, `reject`, `for_key`, `find` of a known key | that of its cache, for a moment |
//! | `acquire_for`, `for_key` of an unknown key; `len` | `Accounts::locked` |

mod account;
mod accounts;
mod builder;
mod by_key;
mod by_number;
mod future;

use std::{borrow::Cow, fmt, hash::Hash, sync::Arc};

use self::accounts::Accounts;
pub use self::{builder::KeyedProviderBuilder, future::KeyedAcquire};
use super::{
    CachedProvider, CachedProviderBuilder, CredentialProvider, RequestHead,
    receipt::{Reason, Receipt, Rejected, Verdict},
};
use crate::{credential::Authorization, error::Error, login::Login};

/// A provider for many accounts: each key has its own login, credential and pauses.
///
/// The key comes from the request, by default from an extension of the type `K`. The first request with
/// a new key creates its account, which is a [`CachedProvider`]. So each key has its own flight, its own
/// back-off and its own memory of rejections.
///
/// - Reads take no lock and allocate nothing. They hash the key once.
/// - The number of accounts is [bounded](KeyedProviderBuilder::capacity). At the bound, a new key evicts
///   an account that was not used lately. The evicted one logs in again when it returns.
/// - An account is never evicted if that could cause two logins at once, lose a refresh token, or
///   repeat failed logins: see [below](#eviction).
/// - A request without a key fails, or is [sent bare](KeyedProviderBuilder::bare_without_key).
/// - A request that was rejected for one account is never replayed for another.
///
/// Clones share the accounts. The [guide](crate::guide::accounts) has more.
///
/// # Eviction
///
/// | the account has | it stays at least |
/// | --- | --- |
/// | a login under way, or a request that waits | until that ends |
/// | a handle that you hold, from [`for_key`](Self::for_key) | until you drop it |
/// | been [signed out](CachedProvider::sign_out) | until somebody signs in, or you [forget](Self::forget) it |
/// | a refresh token, without the hook [`on_credential`](CachedProviderBuilder::on_credential) | until the refresh token expires |
/// | a refresh token that a [discarded](CachedProvider::reset) login brought, without the hook [`on_unspent`](CachedProviderBuilder::on_unspent) | until it expires, or a login takes it |
/// | a back-off after a failed login | until it ends |
/// | a failed login | 6 min after it; 75 min if the failure is likely to repeat; 135 min if it is permanent |
/// | a rejected target | 10 min after the last rejection |
/// | logins that did not help, or tokens that were revoked quickly | 60 min after the last login |
///
/// The last three keep an eviction from causing logins: a forgotten account would begin with short
/// pauses again. If no account can be evicted, a new key fails at once with an
/// [error](Error::is_at_capacity) that names the bound.
///
/// A new key tries 1,024 accounts at most, and the next one tries those that follow. So with more
/// accounts, a new key may fail although one of the others could be evicted.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt};
/// use tower_bearer::{BearerAuthLayer, Credential, KeyedProvider, Origins, login_fn};
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Tenant(String);
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let http = tower::service_fn(|request: Request<()>| async move {
/// #     Ok::<_, std::convert::Infallible>(Response::new(request.headers()["authorization"].clone()))
/// # });
/// let provider = KeyedProvider::new(|tenant: &Tenant| {
///     let name = tenant.0.clone();
///     login_fn(move |_| {
///         let token = format!("token-of-{name}"); // ask the API here
///         async move { Ok(Credential::new(token)?) }
///     })
/// });
/// let layer = BearerAuthLayer::new(provider.clone(), Origins::any_https());
///
/// let tenant = Tenant("acme".to_owned());
/// let request = Request::get("https://api.example.com/").extension(tenant.clone()).body(())?;
/// let response = layer.layer(http).oneshot(request).await?;
/// assert_eq!(response.body(), "Bearer token-of-acme");
/// assert_eq!(provider.for_key(&tenant)?.snapshot().logins(), 1);
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
pub struct KeyedProvider<K>(Arc<Shared<K>>);

struct Shared<K> {
    accounts: Accounts<K>,
    key: KeyFn<K>,
    builder: BuilderFn<K>,
    is_bare_without_key: bool,
    name: Option<Cow<'static, str>>,
}

/// The key of a request.
type KeyFn<K> = Box<dyn for<'a> Fn(RequestHead<'a>) -> Option<&'a K> + Send + Sync>;

/// The settings of a new account.
type BuilderFn<K> = Box<dyn Fn(&K) -> CachedProviderBuilder + Send + Sync>;

impl<K> KeyedProvider<K>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
{
    /// Creates a provider with the default settings. `login` makes the login of each new key.
    ///
    /// `login` is called by the request that brings the new key. A panic in it reaches that request.
    pub fn new<L: Login>(login: impl Fn(&K) -> L + Send + Sync + 'static) -> Self {
        Self::builder(login).build()
    }

    /// Configures a provider.
    pub fn builder<L: Login>(
        login: impl Fn(&K) -> L + Send + Sync + 'static,
    ) -> KeyedProviderBuilder<K> {
        KeyedProviderBuilder::new(move |key| CachedProvider::builder(login(key)))
    }

    /// Returns the provider of a key, and creates it if there is none: for a snapshot, a reset or a
    /// warm-up.
    ///
    /// It is not evicted while you hold it. So drop it after use, unless the account must stay.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if all places are taken and no account can be evicted:
    /// [`Error::is_at_capacity`].
    pub fn for_key(&self, key: &K) -> Result<CachedProvider, Error> {
        let Shared {
            accounts, builder, ..
        } = &*self.0;
        accounts
            .find_or_create(key, |number| builder(key).account(number).build())
            .ok_or_else(|| Error::at_capacity(accounts.capacity))
    }

    /// Returns the provider of a key, if there is one. It is not evicted while you hold it.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<CachedProvider> {
        self.0.accounts.find(key)
    }

    /// Signs out the account of a key, and forgets it: the next request with this key creates another one,
    /// for example with a new password.
    ///
    /// As [`CachedProvider::sign_out`] otherwise: requests that wait fail, nothing is replayed, and
    /// [`on_retired`](CachedProviderBuilder::on_retired) gets what was dropped. To make the requests of
    /// this key fail instead, sign out the handle from [`for_key`](Self::for_key): that account keeps its
    /// place.
    ///
    /// While a login is under way, or you hold a handle, the account stays, so that there is one login at
    /// a time. The next request then logs in by the same login as before. Wait until its handle has
    /// [settled](CachedProvider::settled), and drop it, if the login must be made anew.
    ///
    /// A key that was evicted before has nothing to forget: delete what you have stored for it yourself.
    pub fn forget(&self, key: &K) {
        self.0.accounts.forget(key);
    }

    /// Returns all keys with their providers, in no particular order: for metrics and for a shutdown.
    ///
    /// They are not evicted while you hold them. A key that comes or goes meanwhile may be missing.
    #[must_use]
    pub fn accounts(&self) -> Vec<(K, CachedProvider)> {
        let all = self.0.accounts.by_key.all();
        all.filter_map(|account| Some((account.key.clone(), account.hold()?)))
            .collect()
    }

    /// The provider of the request that a receipt belongs to.
    fn for_receipt(&self, receipt: Receipt) -> Option<CachedProvider> {
        let by_number = &self.0.accounts.by_number;
        by_number.read(receipt.account(), |account| account.hold_used())?
    }

    fn provider_for(&self, head: RequestHead<'_>) -> Result<CachedProvider, Error> {
        let Some(key) = (self.0.key)(head) else {
            return Err(Error::no_authorization(
                "the request has no key that names its account",
            ));
        };
        let Some(rejected) = head.rejected else {
            return self.for_key(key);
        };
        // A replay stays with its account, and creates none.
        self.find(key)
            .filter(|provider| provider.cache().account() == rejected.account())
            .ok_or_else(Error::other_account)
    }
}

impl<K> KeyedProvider<K> {
    /// The number of accounts. It takes a lock, for which no request with a known key waits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.accounts.len()
    }

    /// Whether there is no account yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest number of accounts.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.accounts.capacity
    }
}

impl<K> CredentialProvider for KeyedProvider<K>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
{
    type Acquire = KeyedAcquire;

    #[inline]
    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
        let by_key = &self.0.accounts.by_key;
        let key = (self.0.key)(head)?;
        by_key.read(key, by_key.hash(key), |account| {
            account.mark_used();
            account.provider().cache().current()
        })?
    }

    #[inline]
    fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        let Some(key) = (self.0.key)(head) else {
            return false;
        };
        // By number: comparing the key costs less than hashing it.
        let is_current = self.0.accounts.by_number.read(held.account(), |account| {
            let is_same = account.key == *key;
            if is_same {
                account.mark_used();
            }
            is_same && account.provider().cache().is_current(held.generation())
        });
        is_current.unwrap_or(false)
    }

    fn is_withdrawn(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        // An evicted account has signed nobody out.
        let is_withdrawn = self.0.accounts.by_number.read(held.account(), |account| {
            account.provider().is_withdrawn(held, head)
        });
        is_withdrawn.unwrap_or(false)
    }

    fn sends_bare(&self, head: RequestHead<'_>) -> bool {
        self.0.is_bare_without_key && (self.0.key)(head).is_none()
    }

    fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        match self.provider_for(head) {
            Ok(provider) => KeyedAcquire::of(provider.acquire_for(head)),
            Err(error) => KeyedAcquire::failed(error),
        }
    }

    #[inline]
    fn sent(&self, receipt: Receipt) {
        let by_number = &self.0.accounts.by_number;
        by_number.read(receipt.account(), |account| {
            account.provider().sent(receipt)
        });
    }

    #[inline]
    fn accept(&self, receipt: Receipt) {
        let by_number = &self.0.accounts.by_number;
        by_number.read(receipt.account(), |account| {
            account.provider().accept(receipt);
        });
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        // The account is held until its rules remember the rejection, so that it stays for the replay.
        match self.for_receipt(rejected.receipt) {
            Some(provider) => provider.reject(rejected),
            None => Verdict::new(Reason::Unknown),
        }
    }
}

impl<K> Clone for KeyedProvider<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for KeyedProvider<K> {
    /// Without the keys, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedProvider")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
