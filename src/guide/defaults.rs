//! After this page you know every default value, why it is what it is, and how to change it.
//!
//! # Logins
//!
//! | what | default | why | change it with |
//! | --- | --- | --- | --- |
//! | session | [`Session::Exclusive`](crate::Session::Exclusive) | If it is wrong, requests pause at expiry. If `Concurrent` is wrong, valid tokens get revoked. [How to find out](super::exclusive_or_concurrent) | [`Login::session`](crate::Login::session), [`with_session`](crate::LoginFn::with_session) |
//! | timeout of a login | 10 s | A login that is given up may have revoked the previous token: be generous. | [`login_timeout`](crate::CachePolicy::login_timeout) |
//! | deadline of a waiter | 1 s after the timeout | If the login's runtime no longer runs, its own timer does not fire. | with the timeout |
//! | start of the first login | with the first request | No request, no login. | [`acquire`](crate::CachedProvider::acquire) at start |
//! | logins without a request | none, unless the login [reports a change](crate::Login::changed) | An unused program should leave no trace at the issuer. | [`keep_warm`](crate::CachedProvider::keep_warm) |
//! | runtime of a login | that of the request that starts it | It is there already. | [`runtime`](crate::CachedProviderBuilder::runtime) |
//! | looks at a token file, feature `files` | every 10 s | A stat is cheap, and a token is replaced minutes before its end. | fixed |
//! | store of credentials | none | Where secrets may be kept is your decision. [A store](super::shutdown#a-store-that-survives-a-crash) | [`on_credential`](crate::CachedProviderBuilder::on_credential), [`before_refresh`](crate::CachedProviderBuilder::before_refresh) |
//! | revocation of unused credentials | none | It may end a session that goes on. [When to revoke](super::signing_out#revoke) | [`on_retired`](crate::CachedProviderBuilder::on_retired) |
//! | account number | 0 | It matters only to a provider of many accounts. | [`account`](crate::CachedProviderBuilder::account) |
//! | accounts of a [`KeyedProvider`](crate::KeyedProvider) | 10,000 | It bounds memory, to about 15 MB. | [`capacity`](crate::KeyedProviderBuilder::capacity) |
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{CachePolicy, Credential, Login, Session, login_fn};
//!
//! let login = login_fn(async |_| Ok(Credential::new("abc")?));
//! assert_eq!(Login::session(&login), Session::Exclusive);
//!
//! let seconds = Duration::from_secs;
//! let same = CachePolicy::default()
//!     .login_timeout(seconds(10))
//!     .rejection_pauses(seconds(1), seconds(5 * 60))
//!     .outage_pause(seconds(30))
//!     .contention_pause(seconds(60));
//! assert_eq!(CachePolicy::default(), same);
//! ```
//!
//! # Lifetimes
//!
//! | what | default | why | change it with |
//! | --- | --- | --- | --- |
//! | lifetime, if the login names none | until a rejection | An invented lifetime would cause needless logins. | [`with_lifetime`](crate::Credential::with_lifetime) |
//! | margin before the expiry | the smaller of 10 s and a tenth of the lifetime | A request needs time to arrive; a short token must stay usable. | [`margin`](crate::CachePolicy::margin) |
//! | use within the margin | only while logins fail, and not after a rejection | A short outage of the issuer should fail no request. | [`margin`](crate::CachePolicy::margin) of zero: there is no such time |
//! | longest margin | half of the lifetime | A margin that is all of it would be a login per request. | fixed |
//! | shortest use of a token | 1 s | A lifetime of zero must not cause a login per request. | fixed |
//! | background login of a concurrent session | at random from 70 to 90 % of the use | Late enough to be worth it, and spread over a fleet. | in tests: `random`, feature `test-util` |
//! | background login of an exclusive session | none | It would revoke the token in use. | [`Session`](crate::Session) |
//! | clock | [`SystemClock`](crate::SystemClock) | Both clocks count: expired is what either says. | [`clock`](crate::CachedProviderBuilder::clock) |
//! | reading of the wall clock | every 30 s, where a timer replaces the clock | It finds a suspended machine at a low price. | [`runs_by_itself`](crate::Clock::runs_by_itself) |
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{
//!     CachedProvider, Credential, CredentialState, Session, login_fn, test_util::TestClock,
//! };
//!
//! let seconds = Duration::from_secs;
//! let usable_for = |lifetime| {
//!     let credential = Credential::new("abc")?.with_lifetime(lifetime);
//!     let login = login_fn(async |_| Err("offline".into()));
//!     let builder = CachedProvider::builder(login).clock(TestClock::new());
//!     let provider = builder.starting_with(credential).build();
//!     Ok::<_, tower_bearer::InvalidToken>(provider.snapshot().usable_for().unwrap())
//! };
//! assert_eq!(usable_for(seconds(3600))?, seconds(3590));
//! assert_eq!(usable_for(seconds(50))?, seconds(45));
//!
//! for (chance, aging_from) in [(0.0, 693), (1.0, 891)] {
//!     let clock = TestClock::new();
//!     let login = login_fn(async |_| Err("offline".into())).with_session(Session::Concurrent);
//!     let provider = CachedProvider::builder(login)
//!         .clock(clock.clone())
//!         .random(move || chance)
//!         .starting_with(Credential::new("abc")?.with_lifetime(seconds(1000))) // used for 990 s
//!         .build();
//!     clock.advance(seconds(aging_from - 1));
//!     assert_eq!(provider.snapshot().state(), CredentialState::Fresh);
//!     clock.advance(seconds(2));
//!     assert_eq!(provider.snapshot().state(), CredentialState::Aging);
//! }
//! # Ok::<_, tower_bearer::InvalidToken>(())
//! ```
//!
//! # Failed logins
//!
//! | what | default | why | change it with |
//! | --- | --- | --- | --- |
//! | pause after a failure | a random part of 1 s, doubling to 1 min, never under 100 ms | Outages end soon, and clients must not come back together. | [`LoginError`](crate::LoginError) |
//! | pause at a rate limit without `Retry-After` | as after a failure, never under 5 s | Whoever limits the rate means more than a moment. | [`LoginError`](crate::LoginError) |
//! | pause after a failure that is likely to repeat | 30 s, doubling to 15 min | A wrong path or a firewall needs somebody to act. | [`LoginError`](crate::LoginError) |
//! | pause after a permanent failure | 15 min, 30 min, then 60 min | Servers lock accounts, and yet a service must heal itself. | [`reset`](crate::CachedProvider::reset) ends it |
//! | longest `Retry-After` that is obeyed | 5 min | A server's typo must not stop a service for days. | fixed |
//! | requests in a pause | fail at once with the last error | Waiting would fill memory and hide the failure. | fixed |
//!
//! ```
//! use std::time::{Duration, Instant};
//! use tower_bearer::{CachedProvider, LoginError, login_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let pause = async |failure: fn() -> LoginError| {
//!     let provider = CachedProvider::new(login_fn(move |_| async move { Err(failure())? }));
//!     let error = provider.acquire().await.unwrap_err();
//!     (error.next_attempt().unwrap() - Instant::now()).as_secs_f64().round()
//! };
//! assert_eq!(pause(|| LoginError::permanent("wrong password")).await, 900.0);
//! assert_eq!(pause(|| LoginError::retry_after("busy", Duration::MAX)).await, 300.0);
//! assert!(pause(|| LoginError::transient("no network")).await <= 1.0);
//! # });
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # Rejections
//!
//! [The page on rejections](super::rejections) has the rules.
//!
//! | what | default | why | change it with |
//! | --- | --- | --- | --- |
//! | rejection | a 401, or `grpc-status: 16` in the headers | A 403 is about permission, which no login changes. | [`rejected_if`](crate::BearerAuthLayer::rejected_if) |
//! | pause after a login that did not help | 1 s, doubling to 5 min | A forbidden endpoint must not cause a login per call. | [`rejection_pauses`](crate::CachePolicy::rejection_pauses) |
//! | longest pause while nothing is accepted | 30 s, for ten minutes | A broken API may be repaired at any moment. | [`outage_pause`](crate::CachePolicy::outage_pause) |
//! | longest pause while tokens are revoked within 3 s | 1 min, from the third time in a row on | Two clients must not log each other out without end. | [`contention_pause`](crate::CachePolicy::contention_pause) |
//! | pause after an [`SdkProvider`](crate::SdkProvider) told its SDK to forget a token | 30 s, doubling to 15 min | A forbidden endpoint rejects every token. | fixed |
//! | rejected targets that are remembered | 64, each for ten minutes | It bounds memory; few accounts have more forbidden endpoints. | fixed |
//! | generations that are remembered | 64 | A rejection of an older token says nothing about the current one. | fixed |
//!
//! # Requests
//!
//! | what | default | why | change it with |
//! | --- | --- | --- | --- |
//! | replay | [`NoReplay`](crate::NoReplay) | It costs a copy of the head, and no body is safe to copy unasked. | [`replay`](crate::BearerAuthLayer::replay) |
//! | times that a request is sent | twice at most | If a fresh token is rejected too, the token is not the cause. | fixed |
//! | header | `authorization` | [RFC 6750, section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1) | [`with_header_name`](crate::BearerAuthLayer::with_header_name) |
//! | scheme | [`Scheme::BEARER`](crate::Scheme::BEARER) | the same | [`with_scheme`](crate::Credential::with_scheme), [`Scheme::new`](crate::Scheme::new) from configuration |
//! | characters of a token | those of RFC 6750 | Other characters are often a line break or a whole answer. | [`Token::visible_ascii`](crate::Token::visible_ascii) |
//! | longest token | 64 KiB | Few servers take as much in one header. | fixed |
//! | origins | none: you name them | No host gets the token by accident. | [`Origins`](crate::Origins) |
//! | request to another origin | sent bare, and counted | Redirects to other hosts go on working. | [`strict`](crate::Origins::strict) |
//! | header that the caller has set | kept | The caller knows better; its rejection is not the provider's. | [`replacing_callers_header`](crate::BearerAuthLayer::replacing_callers_header) |
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::{
//!     BearerAuthLayer, NotReplayed, Origins, RejectionReport, StaticProvider, Token,
//! };
//!
//! # tokio_test::block_on(async {
//! let http = tower::service_fn(async |request: Request<()>| {
//!     assert_eq!(request.headers()["authorization"], "Bearer abc");
//!     let response = Response::builder().status(StatusCode::UNAUTHORIZED);
//!     Ok::<_, http::Error>(response.body(())?)
//! });
//! let origins = Origins::new(["https://api.example.com"])?;
//! let client = BearerAuthLayer::new(StaticProvider::new("abc")?, origins).layer(http);
//! let request = Request::get("https://api.example.com/").body(())?;
//! let response = client.oneshot(request).await?;
//! let report = response.extensions().get::<RejectionReport>().expect("a 401 is a rejection");
//! assert_eq!(report.not_replayed(), NotReplayed::NoPolicy);
//!
//! assert!(Token::new("a".repeat(64 * 1024)).is_ok());
//! assert!(Token::new("a".repeat(64 * 1024 + 1)).is_err());
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! # `HttpLogin`, and features
//!
//! | what | default | why |
//! | --- | --- | --- |
//! | request | POST, `application/json` or that of a form, `cache-control: no-store` | Most APIs want it; no cache on the way may keep secrets. |
//! | URL of plain `http` | an error, except for loopback | Anybody on the way could read the password: `dangerously_in_the_clear`. |
//! | place of the token | `/access_token` | RFC 6749 |
//! | place of the lifetime | `/expires_in`, in seconds | RFC 6749 |
//! | place of a refresh token | none is read | A refresh token needs a URL to spend it at. |
//! | time of a refresh | half of the login's | The other half is for the full login that follows. |
//! | longest answer that is read | 64 KiB | A page or an endless answer must not fill memory. |
//! | permanent failures | 400, 422, 423; 401 and 403 with a JSON object; 2xx with an `error` | They mean a wrong password or document; an `error` in the answer may say otherwise. |
//! | full login after an unprocessed refresh | none | It would be one more request to a server in trouble: `full_login_after`. |
//! | lifetime of a JWT | its `exp` minus its `iat`, if nothing else has a lifetime | The token says it anyway; the crate does not verify it. |
//! | redirects | not followed | They would take the password to another host. |
//! | features | none | A feature adds API; `tracing` adds log lines, and `metrics` metrics. |
