//! After this page you know what a provider logs, at which level, and how to filter and name it.
//!
//! The feature `tracing` emits spans and log lines for the [`tracing`] crate. Without the feature
//! there are none, and they cost nothing. Without a subscriber each one costs a comparison.
//!
//! # A healthy day
//!
//! At `INFO` there is one line for each login, with its reason, and one for each sign-out. Here
//! [`tracing_subscriber`](https://docs.rs/tracing-subscriber) prints them:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{CachedProvider, test_util::ScriptedLogin};
//! use tracing_subscriber::{filter::Targets, fmt, prelude::*};
//!
//! # use std::{io::{Result, Write}, sync::{Arc, Mutex}};
//! # #[derive(Clone, Default)]
//! # struct Printed(Arc<Mutex<Vec<u8>>>);
//! # impl Write for Printed {
//! #     fn write(&mut self, bytes: &[u8]) -> Result<usize> { self.0.lock().unwrap().write(bytes) }
//! #     fn flush(&mut self) -> Result<()> { Ok(()) }
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> std::result::Result<(), tower_bearer::BoxError> {
//! # let printed = Printed::default();
//! # let stdout = { let printed = printed.clone(); move || printed.clone() };
//! let lines = fmt::layer().without_time().with_writer(stdout);
//! let filter: Targets = "tower_bearer=info".parse()?;
//! tracing_subscriber::registry().with(lines.with_filter(filter)).init();
//!
//! let hour = Duration::from_secs(3600);
//! let login = ScriptedLogin::new().with_lifetime(hour).with_delay(Duration::from_millis(213));
//! let provider = CachedProvider::builder(login).name("orders").build();
//! provider.acquire().await?;
//! tokio::time::sleep(hour).await;
//! provider.acquire().await?;
//! provider.sign_out();
//! # let printed = String::from_utf8(printed.0.lock().unwrap().clone())?;
//! # let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/logging.rs"));
//! # let expected: Vec<_> = page.lines().filter_map(|it| it.strip_prefix("//!  INFO")).collect();
//! # let printed: Vec<_> = printed.lines().map(|it| it.strip_prefix(" INFO").unwrap()).collect();
//! # assert_eq!(printed, expected);
//! # Ok(()) }
//! ```
//!
//! It prints:
//!
//! ```text
//!  INFO login{provider="orders" session="exclusive" reason="first"}: tower_bearer: logged in provider="orders" reason="first" generation=1 duration_ms=213
//!  INFO login{provider="orders" session="exclusive" reason="expired"}: tower_bearer: logged in provider="orders" reason="expired" generation=2 duration_ms=213
//!  INFO tower_bearer: signed out provider="orders"
//! ```
//!
//! This formatter prints the span before each line. A line has the fields of its own as well, so that
//! you can leave spans out, for example by `filter_fn(|metadata| metadata.is_event())`.
//!
//! # Levels
//!
//! | level | what it has |
//! | --- | --- |
//! | `WARN` | What may need you: failed logins and refreshes, rejections that no login ends, another client with the same account, a forgotten origin. |
//! | `INFO` | What explains the requests that follow: each login and each sign-out. |
//! | `DEBUG` | The rest: rejections, discarded logins, and credentials that your program has set. |
//!
//! A healthy provider logs no warning. A single `login failed` or `refresh failed` heals itself, but
//! look at it if it repeats. A credential is set at `DEBUG`, since at some APIs each answer
//! brings the next token. The [catalogue](super::catalogue#log-lines) lists each line, its fields, and
//! what to do.
//!
//! # Filters
//!
//! The target of every span and line is `tower_bearer`, never a module.
//!
//! | filter | shows |
//! | --- | --- |
//! | `tower_bearer=warn` | only what may need you |
//! | `tower_bearer=info` | also each login |
//! | `tower_bearer=debug` | everything |
//! | `tower_bearer=off` | nothing |
//!
//! # Names
//!
//! Two settings tell providers and accounts apart. Both are printed with each line of the provider, and
//! by its `Debug`. The presets name their providers `quable` and `teletracker`.
//!
//! - [`name`](crate::CachedProviderBuilder::name) is the field `provider`.
//! - [`account_name`](crate::CachedProviderBuilder::account_name) is the field `account`.
//!
//! The layer and `HttpLogin` have a line each, without these fields: a layer knows no name. The line of
//! an `HttpLogin` is inside the span of its login, which has them.
//!
//! # The span of a login
//!
//! Each login has one span, `login`, at level `INFO`. It is entered at each poll, so the lines of your
//! HTTP client are inside it. The hooks of the login and the observers of its end run inside it too:
//! `before_refresh`, `on_credential`, `on_unspent` and `on_event`.
//!
//! The span has no parent. Many requests may wait for one login, and it goes on if the request that
//! started it is cancelled. It *follows from* the span of that request: OpenTelemetry shows a link.
//!
//! It closes when the login ends, even if requests still wait. If the runtime of a lost login
//! is no longer driven, it closes with that runtime.
//!
//! # Fields
//!
//! A field without a value is left out.
//!
//! | field | value |
//! | --- | --- |
//! | `provider`, `account` | The names that you have set. |
//! | `session` | `exclusive` or `concurrent`: see [`Session`](crate::Session). |
//! | `reason` | Why the login was made: `first`, `expired`, `refresh_ahead`, `rejected` or `requested`, as in [`LoginReason`](crate::LoginReason). In the line of a rejection it is a [`Reason`](crate::Reason). |
//! | `rejected` | The generation whose rejection caused the login. |
//! | `outcome` | How the login ended, in the next table. |
//! | `generation` | The number of the new credential; in the line of a rejection, of the rejected one. |
//! | `duration_ms` | From the start of the login to its end, hooks included: whole milliseconds, by Tokio's clock. |
//! | `error`, `cause` | The [`Error`](crate::Error), and its source. |
//!
//! | outcome | the login |
//! | --- | --- |
//! | `logged_in` | returned a credential, which is now in use |
//! | `failed` | returned an error |
//! | `timed_out` | did not end within its [timeout](crate::CachePolicy::login_timeout) |
//! | `panicked` | panicked |
//! | `lost` | was dropped with its runtime, or is no longer driven |
//! | `adopted` | was not made: the [credential of another process](super::fleet) is in use |
//! | `discarded` | ended after a [`reset`](crate::CachedProvider::reset), a [`set_credential`](crate::CachedProvider::set_credential) or a [`sign_out`](crate::CachedProvider::sign_out) |
//!
//! # Count with metrics or events, not with lines
//!
//! The feature `metrics` has [metrics](super::metrics) ready. For your own, use
//! [`on_event`](crate::CachedProviderBuilder::on_event). It needs no feature and no filter, and its types
//! are checked by the compiler:
//!
//! ```
//! use std::{sync::{Arc, Mutex}, time::Duration};
//! use tower_bearer::{CachedProvider, CredentialEvent, test_util::ScriptedLogin};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_bearer::BoxError> {
//! let durations = Arc::new(Mutex::new(Vec::new())); // stands in for a histogram
//! let histogram = Arc::clone(&durations);
//! let login = ScriptedLogin::new().with_delay(Duration::from_millis(213));
//! let provider = CachedProvider::builder(login)
//!     .on_event(move |event| {
//!         if let CredentialEvent::LoggedIn { duration, .. } = event {
//!             histogram.lock().unwrap().push(*duration);
//!         }
//!     })
//!     .build();
//! provider.acquire().await?;
//! assert_eq!(*durations.lock().unwrap(), [Duration::from_millis(213)]);
//! # Ok(()) }
//! ```
//!
//! [`snapshot`](crate::CachedProvider::snapshot) has the counters of a provider.
//!
//! # Secrets
//!
//! No field holds a token, a refresh token, a password or the body of an answer. `cause` is
//! the text of your own error if your login returns one: keep secrets out of it. The names are printed
//! as you set them.
//!
//! # What is stable
//!
//! A release that changes one of these counts as breaking: the target, the name and the fields of
//! the span, the fields and levels of lines, and the words of `session`, `reason` and `outcome`.
//! New lines, fields and words may come at any time. Messages and the texts of errors may change.
//!
//! [`tracing`]: https://docs.rs/tracing
