//! After this page you can tell when another client logs your sessions out, and stop it.
//!
//! At an API with [exclusive](crate::guide::exclusive_or_concurrent) sessions, each login revokes the
//! account's previous token. Two clients with one account then revoke each other's tokens without end:
//!
//! | | client A | client B |
//! | --- | --- | --- |
//! | 1 | logs in: token 1 | |
//! | 2 | | logs in: token 2, which revokes token 1 |
//! | 3 | gets a 401 and logs in: token 3, which revokes token 2 | |
//! | 4 | | gets a 401 and logs in: token 4, which revokes token 3 |
//!
//! The other client is seldom a stranger. It is usually one of these:
//!
//! - two providers in one process, where one was meant;
//! - a second replica, or the previous release during a rolling deployment;
//! - a cron job, a test run or a laptop with production credentials;
//! - a person who is signed in to the web interface with the job's account.
//!
//! # Recognise it
//!
//! The provider suspects another client if, three times in a row, a login helped and its token was
//! rejected less than three seconds later. It reports this in four places:
//!
//! | where | what |
//! | --- | --- |
//! | [`on_event`](crate::CachedProviderBuilder::on_event) | [`CredentialEvent::Contended`](crate::CredentialEvent::Contended), once for each suspicion |
//! | feature `tracing` | a warning: "another client may be using this account" |
//! | [`snapshot`](crate::CachedProvider::snapshot) | [`is_contention_suspected`](crate::Snapshot::is_contention_suspected), and a [count](crate::Snapshot::contentions) |
//! | the rejected response | a [`RejectionReport`](crate::RejectionReport) with [`Reason::RevokedQuickly`](crate::Reason::RevokedQuickly) |
//!
//! It stays a suspicion: an API that accepts and rejects the same token at random looks the same.
//! Below, the API acts like a second client that logs in right after each of our requests:
//!
//! ```
//! use std::{collections::HashSet, sync::{Arc, Mutex, atomic::{AtomicBool, Ordering}}, time::Duration};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{
//!     BearerAuthLayer, CachedProvider, CredentialEvent, NotReplayed, Origins, Reason,
//!     RejectionReport, ReplayWith, test_util::ScriptedLogin,
//! };
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_bearer::BoxError> {
//! # let used = Arc::new(Mutex::new(HashSet::new()));
//! # let api = tower::service_fn(move |request: Request<()>| {
//! #     let token = request.headers()["authorization"].to_str().unwrap().to_owned();
//! #     let status = if used.lock().unwrap().insert(token) { 200 } else { 401 };
//! #     async move { Response::builder().status(status).body(()) }
//! # });
//!
//! let alarm = Arc::new(AtomicBool::new(false));
//! let raise = Arc::clone(&alarm);
//! let provider = CachedProvider::builder(ScriptedLogin::new())
//!     .on_event(move |event| {
//!         if let CredentialEvent::Contended { .. } = event {
//!             raise.store(true, Ordering::Relaxed); // send an alert
//!         }
//!     })
//!     .build();
//! let layer = BearerAuthLayer::new(provider.clone(), Origins::new(["https://api.example.com"])?)
//!     .replay(ReplayWith(|(): &()| Some(())));
//! let client = layer.layer(api);
//!
//! let rejection = loop {
//!     let request = Request::get("https://api.example.com/things").body(())?;
//!     let response = client.clone().oneshot(request).await?;
//!     if response.status() == 401 {
//!         break response;
//!     }
//!     tokio::time::sleep(Duration::from_secs(1)).await;
//! };
//! assert!(alarm.load(Ordering::Relaxed));
//! assert!(provider.snapshot().is_contention_suspected());
//! let report = rejection.extensions().get::<RejectionReport>().expect("it is a 401");
//! assert_eq!(report.reason(), Some(Reason::RevokedQuickly));
//! assert_eq!(report.not_replayed(), NotReplayed::LoginHeldBack);
//! # Ok(()) }
//! ```
//!
//! A slower client, such as one that logs in every 30 seconds, raises no suspicion. The provider logs
//! in once for each revoked token, and replays hide it from the callers. Look at the
//! [age](crate::RejectionReport::age) of rejected tokens, and at how fast
//! [`rejections`](crate::Snapshot::rejections) grows:
//!
//! | rejected tokens | other requests | likely cause |
//! | --- | --- | --- |
//! | are seconds old, each time | succeed right after a login | another client that logs in whenever it is rejected |
//! | are much younger than their lifetime, at varying ages | succeed | another client with a schedule of its own, or a person |
//! | always have the same age | succeed | a shorter lifetime than announced, or another client on a timer |
//! | are of any age, always at one method and path | succeed with the same token | the account may not do this: no login helps |
//! | are of any age, everywhere | fail too | the API is broken, or the account has no permissions |
//!
//! [What happens on a 401](crate::guide::rejections) has the rest. For the third row, set a lifetime
//! that ends earlier, with [`with_lifetime`](crate::Credential::with_lifetime). If rejections go on
//! all the same, there is another client.
//!
//! # What the provider does meanwhile
//!
//! It logs in less often. After the third such login, the next one is made at least a second after
//! the last one, then two, then four, up to a minute. Until then the rejected credential stays in
//! use, callers get the 401, and the state is
//! [`HeldBack`](crate::CredentialState::HeldBack). Against a client that logs in whenever it is
//! rejected, this made 18 logins in ten minutes in our tests. The suspicion ends if a token helps for
//! three seconds before it is rejected, or for five minutes without a rejection.
//!
//! The pause is a setting. A longer one leaves more to the other client; a shorter one revokes its
//! tokens more often:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::CachePolicy;
//!
//! let policy = CachePolicy::default().contention_pause(Duration::from_secs(300));
//! # let _ = policy;
//! ```
//!
//! # What to do
//!
//! 1. **Share one provider in a process.** A clone of a [`CachedProvider`](crate::CachedProvider) is
//!    the same provider. Build it once, and give a clone to each layer:
//!
//! ```
//! use tower_bearer::{BearerAuthLayer, CachedProvider, Origins, test_util::ScriptedLogin};
//!
//! let provider = CachedProvider::new(ScriptedLogin::new());
//! let catalogue = BearerAuthLayer::new(provider.clone(), Origins::new(["https://a.example.com"])?);
//! let orders = BearerAuthLayer::new(provider.clone(), Origins::new(["https://b.example.com"])?);
//! # let _ = (catalogue, orders);
//! # Ok::<_, tower_bearer::InvalidUrl>(())
//! ```
//!
//! 2. **Give each process an account**, and each person another one. That solves it at most APIs.
//! 3. **Use a token without sessions** if the API has one, such as Quable's generic token, with a
//!    [`StaticProvider`](crate::StaticProvider).
//! 4. **Share the session** between your processes by a [store](super::fleet).
//! 5. **Let one process log in** if there can be only one account. It pushes its token to the others,
//!    which use a [provider for that](crate::guide::providers#a-token-that-is-pushed-to-you). These
//!    processes must report rejections to it, and never log in.
//! 6. **Stop the old release before the new one starts**, if a deployment must keep the account.
//!
//! Until then, a [replay policy](crate::Replay) hides the losses from most callers. But each login logs
//! the other client out.
