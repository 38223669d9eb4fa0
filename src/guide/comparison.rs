//! After this page you can choose between this crate and the others that put tokens on requests.
//!
//! The authors of this crate wrote it, so it is not neutral. Each statement about another crate was
//! read in its source, at the version that the first table names. Later versions may differ: please
//! report mistakes.
//!
//! # Which crate for whom
//!
//! | you have | take |
//! | --- | --- |
//! | one token that never changes, and one host | tower-http's `AddAuthorizationLayer` |
//! | Kubernetes, AWS, Google Cloud or Azure, with the vendor's client | that client: it brings its own |
//! | OAuth 2.0 client credentials under reqwest or tonic, tokens that are never revoked early | `middle` |
//! | OAuth 2.0 with discovery of the issuer, and `toolkit_http` as client | `cf-gears-toolkit-auth` |
//! | an OAuth 2.0 exchange to write | `oauth2`, called from a [`Login`](crate::Login) of this crate if you like |
//! | a reqwest client with middleware of another version than 0.5 | `aliri_reqwest` or `reqwest-auth` |
//! | a login that revokes the previous token, tokens revoked early, redirects, or any Tower client | this crate |
//!
//! # At a glance
//!
//! | crate, version | goes into | when many need a token | a caller gives up | a 401 | where the token goes |
//! | --- | --- | --- | --- | --- | --- |
//! | this crate | Tower | one login | the login goes on | counts for the token that was sent; one replay, by choice | named origins |
//! | tower-http 0.7.1 | Tower | no login | - | ignored | each request |
//! | kube-client 5.0.0 | its own client | one, under a lock | its result is lost | ignored | each request of the client |
//! | aws-smithy-runtime 1.16.2 | its own client | one; after a failure the next waiter tries | the next waiter starts again | ignored | each request of the client |
//! | google-cloud-auth 1.19.0 | headers for any client | a background task | the task goes on | ignored | wherever you send it |
//! | azure_core 1.1.0 | its own pipeline | one, under a lock | the login is dropped | drops the cached token, whichever was sent | each `https` request |
//! | middle 0.5.0 | reqwest, tonic | a background task | the task goes on | ignored | each request |
//! | cf-gears-toolkit-auth 0.8.3 | Tower, with its client's error | one worker | the login goes on | one replay; one invalidation in 15 minutes | each request |
//! | aliri_tokens 0.3.2 | `aliri_reqwest` 0.5.1 | a background task | the task goes on | ignored | each `https` request, or by a predicate of yours |
//! | reqwest-auth 1.0.0 | reqwest-middleware | up to your token source | up to it | ignored | each request |
//!
//! # One by one
//!
//! **tower-http**, `auth::AddAuthorizationLayer`. It inserts one value into each request, and costs
//! the least of all. It panics on a token that is no header value, and hides it from `Debug` only
//! after `as_sensitive(true)`. It is the better choice for a fixed token or HTTP Basic at one host.
//! For a fixed token at named hosts there is [`StaticProvider`](crate::StaticProvider).
//!
//! **kube-client**, `client::auth`. It knows what Kubernetes needs: exec plugins, token files,
//! OIDC, Google. That is the better choice for a cluster, and its layer cannot be used elsewhere. A
//! renewal holds a lock in the request that found the token old. Plugins and files go by the wall
//! clock alone.
//!
//! **aws-smithy-runtime**, the identity cache. It keeps an identity for each resolver, takes its
//! time from outside, and spreads expiries at random. It is the better choice in any Smithy client,
//! where it comes built in. Nothing tells the cache that a server has rejected an identity.
//!
//! **google-cloud-auth**, `token_cache`. A task renews the token four minutes ahead, so that no
//! request waits. It brings Google's metadata server, service accounts and impersonation: the
//! better choice for Google's APIs. It renews without any request, needs a runtime when it is made,
//! and ends at a permanent error.
//!
//! **azure_core**, `BearerTokenAuthorizationPolicy`. It refuses any URL but `https`, renews five
//! minutes ahead, and lets you answer a challenge by a callback: the better choice for Azure. A
//! 401 clears the cache, also if the request carried an older token than the one in it.
//!
//! **middle**. A task renews the token, and a request reads it without waiting, also from a
//! synchronous tonic interceptor. OAuth 2.0 client credentials come built in. It goes by the monotonic
//! clock alone, and a revoked token stays in use until the next renewal.
//!
//! **cf-gears-toolkit-auth**, `BearerAuthAutoRefreshLayer`. It is the closest relative: a Tower
//! layer with one worker, a back-off and one replay. It brings client credentials and discovery. It
//! asks for `B: Clone` and for its own client's error, and boxes each response future. By default
//! it invalidates a token once in 15 minutes; a second revocation within that time goes to the
//! callers. A late 401 counts for the token that is current then.
//!
//! **aliri_tokens**. A task renews the token with jitter and back-off, and wakes every 30 s to
//! notice a suspended machine. The middleware leaves a header of the caller alone, as this crate
//! does.
//!
//! **reqwest-auth**. It asks a `TokenSource` for each request and writes the header. Caching,
//! renewal and concurrency are up to that source.
//!
//! **oauth2**, 5.0.0. It implements the protocol and caches nothing. Call it in a login.
//!
//! # What each adds to a build
//!
//! | an empty project with | crates | CPU seconds |
//! | --- | --- | --- |
//! | tower-http, feature `auth` | 12 | 2.8 |
//! | this crate 0.2.0 | 14 | 10.5 |
//! | reqwest-auth | 81 | 49.8 |
//! | middle | 119 | 78.2 |
//! | aliri_reqwest 0.5.1 | 107 | 85.2 |
//! | cf-gears-toolkit-auth | 156 | 157.6 |
//!
//! The four below bring an HTTP client, hyper or reqwest. This crate and tower-http leave that to you, and what
//! your project has already costs nothing more. By default this crate has no JSON logins: the
//! [features](crate#features) `json`, `oauth2` and presets add hyper and others.
//!
//! Crates are the lines of `cargo tree -e normal --prefix none`, each once, the project included. Seconds are
//! user and system time of `cargo build` without a target directory, the lower of two runs. They were taken on
//! 2026-11-29 with Rust 1.95.0, on two cores of an AMD EPYC that had other work too. The versions are
//! those above, with default features otherwise.
//!
//! # What this crate lacks
//!
//! [Migrating](super::migrating) shows how to come here from other code.
//!
//! - Device codes of OAuth 2.0, and vendors' credentials: you write the login.
//! - Clients that are no Tower services. Around those use [`CachedProvider`](crate::CachedProvider)
//!   alone: [`acquire`](crate::CachedProvider::acquire), [`accept`](crate::CachedProvider::accept)
//!   and [`reject`](crate::CachedProvider::reject) need no layer.
//! - Services that are not `Clone`, unless you put a `Buffer` around them.
//! - Years of use: it is new.
//!
//! A provider alone, under a client that is no Tower service:
//!
//! ```
//! use http::Method;
//! use tower_bearer::{
//!     BoxError, CachedProvider, Credential, Receipt, Rejected, login_fn,
//! };
//!
//! /// Sends a request with any client, here a stand-in: the status of the answer.
//! async fn send(authorization: &http::HeaderValue) -> u16 {
//!     if authorization == "Bearer token-1" { 401 } else { 200 }
//! }
//!
//! async fn get(provider: &CachedProvider, path: &str) -> Result<u16, BoxError> {
//!     let mut status = 401;
//!     for _ in 0..2 {
//!         let authorization = provider.acquire().await?;
//!         status = send(authorization.value()).await;
//!         let receipt = Receipt::new(authorization.generation(), 0, &Method::GET, path);
//!         if status != 401 {
//!             provider.accept(receipt);
//!             break;
//!         }
//!         if !provider.reject(&Rejected::by_hand(receipt)).is_log_in() {
//!             break;
//!         }
//!     }
//!     Ok(status)
//! }
//!
//! # let logins = std::sync::atomic::AtomicU32::new(1);
//! # let provider = CachedProvider::new(login_fn(move |_| {
//! #     let number = logins.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//! #     async move { Ok(Credential::new(format!("token-{number}"))?) }
//! # }));
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! assert_eq!(get(&provider, "/things").await?, 200);
//! assert_eq!(provider.snapshot().logins(), 2);
//! # Ok::<_, BoxError>(()) })?;
//! # Ok::<_, BoxError>(())
//! ```
