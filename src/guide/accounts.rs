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
//! return. So keep each credential where the account finds it again:
//!
//! ```
//! use std::{collections::HashMap, sync::{Arc, Mutex}};
//! use tower_bearer::{BoxError, Credential, KeyedProvider, LoginRequest, RequestHead, login_fn};
//! # use tower_bearer::CredentialProvider;
//!
//! async fn log_in(mut request: LoginRequest) -> Result<Credential, BoxError> {
//!     let refresh_token = request.take_refresh_token();
//!     let token = if refresh_token.is_some() { "by-refresh" } else { "by-password" };
//!     Ok(Credential::new(token)?.with_refresh_token("dff78899")) // ask the API here
//! }
//!
//! let stored: Arc<Mutex<HashMap<u64, Credential>>> = Arc::default(); // stands in for a database
//! let accounts = KeyedProvider::builder(|_: &u64| login_fn(log_in))
//!     .capacity(1)
//!     .configure(move |key, account| {
//!         let account = match stored.lock().unwrap().get(key) {
//!             Some(credential) => account.starting_with(credential.clone()),
//!             None => account,
//!         };
//!         let (stored, key) = (Arc::clone(&stored), *key);
//!         account.on_credential(move |credential| {
//!             stored.lock().unwrap().insert(key, credential.clone());
//!         })
//!     })
//!     .build();
//! # tokio_test::block_on(async {
//!
//! accounts.for_key(&7)?.acquire().await?;
//! accounts.for_key(&8)?.acquire().await?; // evicts 7
//! assert!(accounts.find(&7).is_none());
//! let account = accounts.for_key(&7)?; // with the stored credential
//! assert_eq!(account.acquire().await?.value(), "Bearer by-password");
//! assert_eq!(account.snapshot().logins(), 0);
//! account.reset(); // the token alone is dropped
//! assert_eq!(account.acquire().await?.value(), "Bearer by-refresh");
//! # Ok::<_, BoxError>(()) })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! # In production
//!
//! - After a customer has changed a password, call [`reset`](CachedProvider::reset) of
//!   [`for_key`](KeyedProvider::for_key).
//! - [`find`](KeyedProvider::find) creates no account: use it for a look at one key.
//! - For metrics, go through [`accounts`](KeyedProvider::accounts), which has a
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
