//! After this page you can tell whether a login at your API revokes the previous token.
//!
//! It is the first choice that you make, and many APIs do not document the answer. In an
//! **exclusive** session each login revokes the previous token. In a **concurrent** one the previous
//! token stays valid until its own expiry. If you cannot find out, keep the default,
//! [`Session::Exclusive`](crate::Session::Exclusive).
//!
//! # Find out
//!
//! Use a test account: to find out may end the sessions of everybody who uses the account. In a clone
//! of the repository, `cargo run --example probe` asks this question and a dozen others, and writes
//! the Rust for your API:
//!
//! ```text
//! cargo run --example probe -- --help
//! cargo run --example probe -- --stand-in quable     # a stand-in: no network, no account
//! cargo run --example probe -- --test-account --config probe.json
//! ```
//!
//! By hand: log in twice, then call the API with the *first* token. You need a shell, `curl` and `jq`:
//!
//! ```text
//! login() {
//!     curl -s https://api.example.com/login \
//!         -H 'content-type: application/json' \
//!         -d '{"user":"test-account","password":"secret"}' | jq -r .access_token
//! }
//! call() {
//!     curl -s -o /dev/null -w '%{http_code}\n' https://api.example.com/things \
//!         -H "authorization: Bearer $1"
//! }
//! FIRST=$(login);  call "$FIRST"     # must succeed, or the rest says nothing
//! SECOND=$(login); call "$FIRST"     # this is the answer
//! sleep 60;        call "$FIRST"     # servers cache
//! call "$SECOND"                     # must succeed
//! [ "$FIRST" = "$SECOND" ] && echo 'the same token'
//! ```
//!
//! | the first token, after the second login | it means | choose |
//! | --- | --- | --- |
//! | is rejected | the login revoked it | `Exclusive` |
//! | works, and is rejected a minute later | the login revoked it, and some servers noticed late | `Exclusive` |
//! | works, also a minute later | a login leaves the previous token alone | `Concurrent` |
//! | works, and both tokens are the same | the API returns one token until it expires | `Exclusive`: an early login would bring nothing new |
//! | the second login fails | one session at a time, or a limit on logins | `Exclusive`, and ask the vendor how a session ends |
//!
//! Call an endpoint that needs the account, not a health check: some endpoints never look at the
//! token.
//!
//! # Three more questions
//!
//! **Refresh tokens.** A refresh is a login too. Repeat the recipe with a refresh as the second
//! login. If either the login or the refresh revokes the first token, choose `Exclusive`. Rotation
//! of the *refresh token* is a separate question: a refresh token that works once is spent by its first
//! use, in either kind of session. The provider makes one login at a time and never sends a refresh token
//! twice, unless the login [puts it back](crate::LoginRequest::put_back_refresh_token).
//!
//! **Limits on sessions.** Some APIs allow several sessions for each account and end the oldest one.
//! Run `login` more often than the limit, and call with each token. Around a login a provider uses
//! two tokens, so count two sessions for each process that shares the account. If the limit
//! leaves no room, choose `Exclusive` and give each process an account.
//!
//! **People.** Sign in to the web interface with the same account, then call with `$SECOND`. If it
//! is rejected, no person may use the account of a job: see [contention](crate::guide::contention).
//!
//! # What the provider does in each
//!
//! | | [`Exclusive`](crate::Session::Exclusive) | [`Concurrent`](crate::Session::Concurrent) |
//! | --- | --- | --- |
//! | late in a token's life | uses it to its end, less the [margin](crate::CachePolicy::margin) | logs in once in the background, from 70 to 90 % of that time on |
//! | at the end | requests wait for one login | usually nothing: the next token is there |
//! | a failed login within the margin | requests go on with the token until it expires | the same |
//! | no announced lifetime | uses it until it is rejected | the same |
//! | a rejection | one login; a request that can be replayed is | the same |
//!
//! With the [test kit](crate::guide::testing), one hour in four lines. `Exclusive` waits:
//!
//! ```
//! # use std::time::Duration;
//! # use tower_bearer::{CachedProvider, test_util::{ScriptedLogin, TestClock}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_bearer::Error> {
//! # let hour = Duration::from_secs(3600);
//! let login = ScriptedLogin::new().with_lifetime(hour); // exclusive, the default
//! # let clock = TestClock::new();
//! # let provider = CachedProvider::builder(login.clone()).clock(clock.clone()).build();
//! provider.acquire().await?;
//! clock.advance(hour.mul_f64(0.95));
//! assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
//! # tokio::task::yield_now().await;
//! login.assert_logins(1); // no early login: it would revoke token-1
//! clock.advance(hour.mul_f64(0.05));
//! assert!(provider.current().is_none()); // the next request waits for a login
//! # Ok(()) }
//! ```
//!
//! and `Concurrent` logs in while the previous token is still in use:
//!
//! ```
//! # use std::time::Duration;
//! # use tower_bearer::{CachedProvider, test_util::{ScriptedLogin, TestClock}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_bearer::Error> {
//! # let hour = Duration::from_secs(3600);
//! let login = ScriptedLogin::new().with_lifetime(hour).concurrent();
//! # let clock = TestClock::new();
//! # let provider = CachedProvider::builder(login.clone()).clock(clock.clone()).build();
//! provider.acquire().await?;
//! clock.advance(hour.mul_f64(0.95));
//! assert_eq!(provider.current().unwrap().value(), "Bearer token-1"); // nobody waits
//! # for _ in 0..3 { tokio::task::yield_now().await; }
//! login.assert_logins(2);
//! assert_eq!(provider.current().unwrap().value(), "Bearer token-2");
//! # Ok(()) }
//! ```
//!
//! # If you choose wrongly
//!
//! *`Exclusive` at a concurrent API* costs time and nothing else. Once in a token's life, requests
//! wait as long as a login takes.
//!
//! *`Concurrent` at an exclusive API* costs requests. Once in a token's life, the background login
//! revokes the token that is in use. Requests on their way get a 401, and those without a
//! [replay policy](crate::Replay) fail. The sign: 401s in bursts, always late in a token's life, each
//! right beside a login. No event says so: to the provider, each login has helped.
//!
//! Two processes with one account are a different fault with the same 401s:
//! [contention](crate::guide::contention).
//!
//! # Known APIs
//!
//! | API | session | why |
//! | --- | --- | --- |
//! | Quable PIM, user's token | exclusive | a login invalidates the account's previous token; so does a sign-in to the web interface |
//! | Quable PIM, generic token | none | made in the web interface, and never renewed: [`StaticProvider`](crate::StaticProvider) |
//! | Teletracker | exclusive in the preset | not documented for the token; the refresh token works once |
//! | OAuth 2.0 token endpoints (RFC 6749) | try it | the answer may bring a new refresh token, and then the old one must be discarded |
//! | Kubernetes service account token file | concurrent | reading a file revokes nothing |
//!
//! # Set it
//!
//! The login declares its kind of session: [`LoginFn::with_session`](crate::LoginFn::with_session) for a closure,
//! `HttpLogin::with_session`, or [`Login::session`](crate::Login::session) in your own:
//!
//! ```
//! use tower_bearer::{CachedProvider, Credential, Session, login_fn};
//!
//! let login = login_fn(async |_request| Ok(Credential::new("mF_9.B5f-4.1JqM")?))
//!     .with_session(Session::Concurrent);
//! let provider = CachedProvider::new(login);
//! assert!(format!("{provider:?}").contains("Concurrent"));
//! ```
