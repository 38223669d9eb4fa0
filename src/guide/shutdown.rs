//! After this page you can end a program at any moment, and the next one spends no refresh token a
//! second time.
//!
//! # Wait for the login
//!
//! A login runs in a task of its own, which ends with the runtime. A background login may be under way
//! although no request waits for it. So wait until the provider has [settled], at the end of a short
//! command as well as of a server. Stop sending requests first: each of them may start a login. For the
//! same reason, abort the task of [`keep_warm`](crate::CachedProvider::keep_warm).
//!
//! An axum server stops accepting, finishes its requests, and then waits for the login. With hyper
//! alone, `GracefulShutdown` of hyper-util does the first two:
//!
//! ```
//! use axum::{Router, routing::get};
//! use tokio::net::TcpListener;
//! use tower_bearer::{BoxError, CachedProvider, Credential, login_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! # let interrupted = std::future::ready(());
//! let provider = CachedProvider::new(login_fn(async |_| {
//! #   tokio::time::sleep(std::time::Duration::from_secs(1)).await;
//!     Ok(Credential::new("abc")?)
//! }));
//! # // A login that nobody waits for.
//! # assert!(tokio_test::task::spawn(provider.acquire()).poll().is_pending());
//! let app: Router = Router::new().route("/", get("hello")); // its handlers use the provider
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! axum::serve(listener, app)
//!     .with_graceful_shutdown(interrupted) // such as the end of `tokio::signal::ctrl_c()`
//!     .await?;
//! provider.settled().await;
//! assert!(!provider.snapshot().is_logging_in());
//! # assert_eq!(provider.snapshot().logins(), 1);
//! # Ok(()) }
//! ```
//!
//! `settled` ends within the login's [timeout](crate::CachePolicy::login_timeout) and one second. For
//! less, put it into `tokio::time::timeout`. Then a drop of the runtime drops the login where it is:
//!
//! | the login | its refresh token | your hooks |
//! | --- | --- | --- |
//! | waits for `before_refresh`, or has not taken the refresh token | is unspent | [`on_unspent`] gets it |
//! | has taken the refresh token | counts as spent, whether it was sent or not | none is called |
//! | has ended | was replaced | [`on_credential`] has run, or runs to its end |
//!
//! At an API with [exclusive](crate::Session::Exclusive) sessions, a dropped login may have revoked the
//! previous token. A credential that you have stored may therefore be rejected by then. That costs the
//! next process one login.
//!
//! # A store that survives a crash
//!
//! Servers that rotate refresh tokens take a second use for theft and revoke the whole session
//! ([RFC 9700, section 4.14.2]). A process may crash after a refresh token was sent and before the next
//! one is stored. So the store must know of a refresh before it is sent:
//!
//! | hook | is called | the store |
//! | --- | --- | --- |
//! | [`before_refresh`] | before a login gets the refresh token, and awaited | forgets the refresh token |
//! | [`on_credential`] | after a login, or in [`set_credential`](crate::CachedProvider::set_credential) | keeps the new refresh token, if there is one |
//! | [`on_unspent`] | after a login that failed or was discarded, before the next one | keeps what that login has left |
//!
//! A credential without a refresh token changes nothing in the store. If the login has spent the
//! refresh token, the store has forgotten it already. If `set_credential` brought a token alone, the
//! refresh token in the store is still unspent. A [lost](crate::Error::is_login_lost) login reports
//! nothing, so the store stays without one until the next login.
//!
//! The store below is one file, which has the refresh token only while it is unspent. Hooks must not
//! block, so a thread writes. It takes all writes in their order. Two threads could swap the write
//! after one login with the removal before the next.
//!
//! ```
//! use std::{
//!     fs::{self, File}, io::{self, ErrorKind, Write}, path::{Path, PathBuf},
//!     sync::mpsc, thread,
//! };
//! use tokio::sync::oneshot;
//! use tower_bearer::{BoxError, CachedProvider, Login, RefreshToken};
//! # use tower_bearer::{Credential, LoginRequest, login_fn};
//!
//! type Job = Box<dyn FnOnce() + Send>;
//!
//! #[derive(Clone)]
//! struct Store { path: PathBuf, jobs: mpsc::Sender<Job> }
//!
//! impl Store {
//!     fn new(path: PathBuf) -> Self {
//!         let (jobs, queue) = mpsc::channel::<Job>();
//!         thread::spawn(move || queue.into_iter().for_each(|job| job()));
//!         Self { path, jobs }
//!     }
//!
//!     /// Queues a write. The receiver gets its outcome, or an error if the thread has panicked.
//!     fn queue(
//!         &self,
//!         write: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
//!     ) -> oneshot::Receiver<io::Result<()>> {
//!         let (path, (done, outcome)) = (self.path.clone(), oneshot::channel());
//!         let _ = self.jobs.send(Box::new(move || drop(done.send(write(&path)))));
//!         outcome
//!     }
//! }
//!
//! fn keep(path: &Path, refresh_token: &RefreshToken) -> io::Result<()> {
//!     let temporary = path.with_extension("new"); // never read: a crash may leave half of it
//!     let mut options = File::options();
//!     options.write(true).create(true).truncate(true);
//!     #[cfg(unix)]
//!     std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
//!     let mut file = options.open(&temporary)?;
//!     file.write_all(refresh_token.expose().as_bytes())?;
//!     file.sync_all()?;
//!     fs::rename(&temporary, path)?; // the old file or the new one, never half of it
//!     sync_folder(path)
//! }
//!
//! fn forget(path: &Path) -> io::Result<()> {
//!     match fs::remove_file(path) {
//!         Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
//!         _ => sync_folder(path), // or the file could come back after a power failure
//!     }
//! }
//!
//! fn sync_folder(path: &Path) -> io::Result<()> {
//!     let folder = path.parent().unwrap_or(Path::new("."));
//!     if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
//! }
//!
//! /// The next process begins with what the file has.
//! fn provider(store: &Store, login: impl Login) -> Result<CachedProvider, BoxError> {
//!     let (ahead, stored, unspent) = (store.clone(), store.clone(), store.clone());
//!     let mut builder = CachedProvider::builder(login)
//!         .before_refresh(move |_refresh_token| {
//!             let removal = ahead.queue(forget);
//!             async move { Ok(removal.await??) }
//!         })
//!         .on_credential(move |credential| {
//!             if let Some(refresh_token) = credential.refresh_token().cloned() {
//!                 drop(stored.queue(move |path| keep(path, &refresh_token)));
//!             }
//!         })
//!         .on_unspent(move |refresh_token| {
//!             let refresh_token = refresh_token.clone();
//!             drop(unspent.queue(move |path| keep(path, &refresh_token)));
//!         });
//!     match fs::read_to_string(&store.path) {
//!         Ok(refresh_token) => builder = builder.starting_with_refresh_token(refresh_token),
//!         Err(error) if error.kind() == ErrorKind::NotFound => {}
//!         Err(error) => return Err(error.into()),
//!     }
//!     Ok(builder.build())
//! }
//!
//! # let login = || login_fn(async |mut request: LoginRequest| {
//! #     Ok(match request.take_refresh_token().as_ref().map(RefreshToken::expose) {
//! #         None => Credential::new("login")?.with_refresh_token("r1"),
//! #         Some("r1") => Credential::new("refreshed")?.with_refresh_token("r2"),
//! #         Some("r2") => Err("no answer")?,
//! #         Some(other) => unreachable!("{other}"),
//! #     })
//! # });
//! # let path = std::env::temp_dir().join(format!("tower-bearer-shutdown-{}", std::process::id()));
//! # let file = || fs::read_to_string(&path).ok();
//! # for (is_sent_with, left) in [("login", "r1"), ("refreshed", "r2")] {
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let store = Store::new(path.clone());
//! let provider = provider(&store, login())?;
//! provider.acquire().await?; // requests are sent
//! # assert_eq!(provider.current().unwrap().value(), &*format!("Bearer {is_sent_with}"));
//!
//! // At the end of the program:
//! provider.settled().await;
//! store.queue(|_| Ok(())).await??; // all earlier writes are done
//! # assert_eq!(file().as_deref(), Some(left));
//! # Ok::<_, BoxError>(()) })?;
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! #     let store = Store::new(path.clone());
//! #     assert!(provider(&store, login())?.acquire().await.is_err());
//! #     store.queue(|_| Ok(())).await??;
//! #     assert_eq!(file(), None); // r2 may be spent
//! #     Ok::<_, BoxError>(())
//! # })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! If the removal fails, the login does not get the refresh token. If a later write fails, the file is
//! missing, and the next process logs in in full.
//!
//! The file belongs to one process at a time: hold `File::try_lock` on another file beside it.
//!
//! # What the next process finds
//!
//! | the process is killed | the file has | the next process |
//! | --- | --- | --- |
//! | between logins, or before the removal | the refresh token, never sent | refreshes with it |
//! | after the removal, before the refresh is sent | nothing | logs in in full: an unspent refresh token is lost |
//! | after the refresh is sent | nothing: the server may have spent it | logs in in full |
//! | after the answer, before the rename | nothing, and perhaps half a temporary file | logs in in full |
//! | after the rename | the next refresh token | refreshes with it |
//! | after a refresh without a connection, before the rename | nothing | logs in in full: an unspent refresh token is lost |
//! | the same, after the rename | the same refresh token | refreshes with it |
//!
//! When in doubt, the refresh token is lost and never sent twice. `tests/kills.rs` kills a process a
//! thousand times at these moments, and no refresh token is used twice.
//!
//! To sign a user out and to delete what is stored, see [signing out](super::signing_out).
//!
//! [settled]: crate::CachedProvider::settled
//! [`before_refresh`]: crate::CachedProviderBuilder::before_refresh
//! [`on_credential`]: crate::CachedProviderBuilder::on_credential
//! [`on_unspent`]: crate::CachedProviderBuilder::on_unspent
//! [RFC 9700, section 4.14.2]: https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2
