//! After this page you know how one client serves many accounts, and how many of them it keeps.
//!
//! | the accounts | use |
//! | --- | --- |
//! | few, and known at start | one layer for each, around clones of one HTTP client |
//! | two or three, chosen by method or path | a provider of your own: an [example](crate::CredentialProvider#examples) |
//! | many, or known only by the request | [`KeyedProvider`] |
//!
//! # The key
//!
//! A [`KeyedProvider`] takes a key from each request. By default that is an extension of the request.
//! Code that knows the account puts it there, such as the handler of your own server:
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{BearerAuthLayer, Credential, KeyedProvider, Login, Origins, login_fn};
//!
//! #[derive(Clone, PartialEq, Eq, Hash)]
//! struct Tenant(u64);
//!
//! fn login_of(tenant: &Tenant) -> impl Login + use<> {
//!     let id = tenant.0;
//!     login_fn(move |_request| async move {
//!         let token = format!("token-of-{id}"); // find the password of `id`, and ask the API
//!         Ok(Credential::new(token)?)
//!     })
//! }
//!
//! # tokio_test::block_on(async {
//! # let http = tower::service_fn(|request: Request<()>| async move {
//! #     Ok::<_, std::convert::Infallible>(Response::new(request.headers()["authorization"].clone()))
//! # });
//! let accounts = KeyedProvider::new(login_of);
//! let origins = Origins::new(["https://api.example.com"])?;
//! let client = BearerAuthLayer::new(accounts.clone(), origins).layer(http);
//!
//! for id in [7, 8, 7] {
//!     let request = Request::get("https://api.example.com/").extension(Tenant(id)).body(())?;
//!     let response = client.clone().oneshot(request).await?;
//!     assert_eq!(response.body(), &format!("Bearer token-of-{id}"));
//! }
//! assert_eq!(accounts.len(), 2); // two logins, and two accounts from now on
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! Any other part of the head can be the key: see [`KeyedProviderBuilder::key`]. If a stranger can
//! choose it, check first that the stranger may use that account. Otherwise your client sends the
//! stranger's request with another customer's token.
//!
//! A request without a key fails, and its error says so. If that is normal, for example for a public
//! part of the API, [`bare_without_key`](KeyedProviderBuilder::bare_without_key) sends it bare.
//!
//! # What the accounts share
//!
//! Nothing but the memory. Each account is a [`CachedProvider`]: it has one login in flight, its own
//! pause after a failed login and its own memory of rejections. A wrong password of one customer delays
//! no other customer.
//!
//! An account has a number, and each request carries it in its [`Receipt`]. A response is reported to
//! the account of its receipt. The generation in the receipt proves that the account is still the same
//! one. A replay stays with its account, or fails.
//!
//! A request pays for two look-ups, one by its key and one by the number in its receipt. Both take no lock
//! and allocate nothing. `benches/README.md` has the price beside that of one account.
//!
//! # How many accounts are kept
//!
//! Up to 10,000, or the [`capacity`](KeyedProviderBuilder::capacity) that you set. Then a new key evicts
//! an account that was not used lately, which logs in again when it returns.
//!
//! | capacity | what happens |
//! | --- | --- |
//! | at least the keys that are used within a token's lifetime | no login is made because of the bound |
//! | at least the keys with requests at the same time | accounts that pause log in again |
//! | less | accounts evict each other between two requests, and some requests fail |
//!
//! In the last case, an exclusive session does worse: the login of a returned account revokes the token
//! of requests that are still under way. Their rejections arrive for an account that is gone. So the
//! caller gets a 401 with [`Reason::Unknown`], and no replay.
//!
//! Some accounts must stay, for minutes or hours. [`KeyedProvider`](KeyedProvider#eviction) has the
//! table. If all of them must stay, a new key fails with
//! [`is_at_capacity`](crate::Error::is_at_capacity). Four causes are common:
//!
//! | cause | what to do |
//! | --- | --- |
//! | refresh tokens without a hook | set [`on_credential`](crate::CachedProviderBuilder::on_credential), as below |
//! | many keys whose logins fail | let only keys through that you know; each failed one takes a place for 6 to 135 min |
//! | accounts that were signed out | [`forget`](KeyedProvider::forget) them: otherwise they stay until somebody signs in |
//! | handles that your code keeps | keep the keys, and call [`for_key`](KeyedProvider::for_key) when you need the handle |
//!
//! An eviction causes no failed logins. While all keys fail and ask, none is evicted, and each logs in as
//! often as without a bound. Keys that ask from time to time do not overtake a key that asks all the
//! time: `tests/keyed.rs::failing_logins_are_not_more_because_of_evictions`.
//!
//! # Refresh tokens
//!
//! An evicted account forgets its refresh token, and a credential that you have handed in. The hook
//! [`on_retired`](crate::CachedProviderBuilder::on_retired) does not get them, since the account may
//! return. So keep each refresh token where the account finds it again, and only while it is unspent:
//!
//! ```
//! use std::{collections::HashMap, sync::{Arc, Mutex}};
//! use tower_bearer::{BoxError, Credential, KeyedProvider, LoginRequest, RefreshToken, login_fn};
//!
//! async fn log_in(mut request: LoginRequest) -> Result<Credential, BoxError> {
//!     let refresh_token = request.take_refresh_token();
//!     let token = if refresh_token.is_some() { "by-refresh" } else { "by-password" };
//!     Ok(Credential::new(token)?.with_refresh_token("dff78899")) // ask the API here
//! }
//!
//! type Store = Arc<Mutex<HashMap<u64, RefreshToken>>>; // stands in for a database
//! let store = Store::default();
//! # let kept = Arc::clone(&store);
//!
//! let accounts = KeyedProvider::builder(|_: &u64| login_fn(log_in))
//!     .capacity(1)
//!     .configure(move |&key, account| {
//!         let stored = store.lock().unwrap().get(&key).cloned();
//!         let account = match stored {
//!             Some(refresh_token) => account.starting_with_refresh_token(refresh_token),
//!             None => account,
//!         };
//!         let (ahead, next, unspent) = (store.clone(), store.clone(), store.clone());
//!         account
//!             .before_refresh(move |_refresh_token| {
//!                 ahead.lock().unwrap().remove(&key); // it is about to be spent
//!                 async { Ok(()) }
//!             })
//!             .on_credential(move |credential| {
//!                 if let Some(refresh_token) = credential.refresh_token() {
//!                     next.lock().unwrap().insert(key, refresh_token.clone());
//!                 }
//!             })
//!             .on_unspent(move |refresh_token| {
//!                 unspent.lock().unwrap().insert(key, refresh_token.clone());
//!             })
//!     })
//!     .build();
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//!
//! accounts.for_key(&7)?.acquire().await?;
//! accounts.for_key(&8)?.acquire().await?; // evicts 7
//! assert!(accounts.find(&7).is_none());
//! let account = accounts.for_key(&7)?; // with the stored refresh token
//! assert_eq!(account.acquire().await?.value(), "Bearer by-refresh");
//! # assert_eq!(kept.lock().unwrap().len(), 2);
//! # Ok::<_, BoxError>(()) })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! Without `before_refresh`, the store would keep a refresh token that a lost login has spent, and the
//! account would spend it again when it returns. [The page on
//! shutdown](super::shutdown#a-store-that-survives-a-crash) has the three hooks with a file. If you also
//! store tokens, store the time of their expiry: a lifetime counts from the start of the provider.
//!
//! After [`forget`](KeyedProvider::forget), delete what is stored for the key. Otherwise its next request
//! signs in with it.
//!
//! # In production
//!
//! - After a customer has changed a password, [`forget`](KeyedProvider::forget) the key: its next request
//!   makes the login anew. If the login reads the password each time, a
//!   [`reset`](CachedProvider::reset) of [`for_key`](KeyedProvider::for_key) is enough.
//! - [`find`](KeyedProvider::find) creates no account: use it for a look at one key.
//! - For [metrics](super::metrics) and [log lines](super::logging) with the account:
//!   `.configure(|tenant, account| account.account_name(tenant.0.to_string()))`. Each account then has
//!   series of its own: do so for a few hundred accounts, not for a million.
//! - For a list of all accounts, go through [`accounts`](KeyedProvider::accounts), which has a
//!   [`snapshot`](CachedProvider::snapshot) for each key. Drop the list after use, since it keeps the
//!   accounts from being evicted.
//! - [`configure`](KeyedProviderBuilder::configure) can set an observer that knows the key:
//!   `account.on_event(move |event| …)`.
//! - Raise an alarm for [`is_at_capacity`](crate::Error::is_at_capacity): requests of customers fail.
//!
//! # What it costs
//!
//! A request with a known key takes no lock and allocates nothing. A new key copies about 64 references.
//! An account takes about 1.5 KiB, besides the login that you give it.

// For the links.
use crate::{CachedProvider, KeyedProvider, KeyedProviderBuilder, Reason, Receipt};
