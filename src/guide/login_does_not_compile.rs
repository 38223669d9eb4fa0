//! After this page you can tell from the compiler's message how to change your login.
//!
//! Each entry quotes the first lines of a message of Rust 1.95, shortened with `…`. Then come the
//! cause, the code that does not compile, and the same code corrected. Two other pages
//! have the messages about [services and layers](super::does_not_compile) and about
//! [errors](super::errors_do_not_compile).
//!
//! # A closure is not a login
//!
//! ```text
//! error[E0277]: `{closure@…}` is not a login
//!     = note: write `async fn login` in an `impl Login`, or make one from a closure with `login_fn`
//! ```
//!
//! [`CachedProvider::new`](crate::CachedProvider::new) takes a [`Login`](crate::Login);
//! [`login_fn`](crate::login_fn) makes one from a closure.
//!
//! ```compile_fail,E0277
//! # use tower_bearer::{BoxError, CachedProvider, Credential, LoginRequest};
//! CachedProvider::new(async |_: LoginRequest| Ok::<_, BoxError>(Credential::new("abc")?));
//! ```
//!
//! ```
//! # use tower_bearer::{CachedProvider, Credential, login_fn};
//! CachedProvider::new(login_fn(async |_| Ok(Credential::new("abc")?)));
//! ```
//!
//! # The closure moves a captured value out
//!
//! ```text
//! error[E0507]: cannot move out of `token`, a captured variable in an `Fn` closure
//! ```
//!
//! A provider logs in many times, so the closure must be `Fn`. This one moves `token` into its
//! first future and has none for the second. Clone it for each login:
//!
//! ```compile_fail,E0507
//! # use tower_bearer::{Credential, login_fn};
//! # let token = String::new();
//! login_fn(move |_| async move { Ok(Credential::new(token)?) });
//! ```
//!
//! ```
//! # use tower_bearer::{Credential, login_fn};
//! # let token = String::new();
//! login_fn(move |_| {
//!     let token = token.clone();
//!     async move { Ok(Credential::new(token)?) }
//! });
//! ```
//!
//! # The future borrows from the closure
//!
//! ```text
//! error: lifetime may not live long enough
//!    | … returning this value requires that `'1` must outlive `'2`
//!    = note: closure implements `Fn`, so references to captured variables can't escape the closure
//! ```
//!
//! The future of `login_fn` must own what it uses. An `async` block without `move` borrows it.
//!
//! ```compile_fail
//! # use tower_bearer::{Credential, login_fn};
//! # let token = String::new();
//! login_fn(move |_| async { Ok(Credential::new(token.as_str())?) });
//! ```
//!
//! ```
//! # use tower_bearer::{Credential, login_fn};
//! # let token = String::new();
//! login_fn(move |_| {
//!     let token = token.clone();
//!     async move { Ok(Credential::new(token.as_str())?) }
//! });
//! ```
//!
//! # An async closure captures something
//!
//! ```text
//! error: async closure does not implement `Fn` because it captures state from its environment
//! ```
//!
//! The future of an async closure also borrows from the closure. An async closure that captures
//! nothing compiles, as in the first entry. To borrow a client without a clone, write an
//! `impl Login`: its future may borrow from `&self`.
//!
//! ```compile_fail
//! # use tower_bearer::{Credential, login_fn};
//! # let token = String::new();
//! login_fn(async move |_| Ok(Credential::new(token.as_str())?));
//! ```
//!
//! ```
//! # use tower_bearer::{BoxError, Credential, Login, LoginRequest};
//! # async fn ask(password: &str) -> Result<String, std::io::Error> { Ok(password.to_owned()) }
//! struct Password { password: String }
//!
//! impl Login for Password {
//!     async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
//!         Ok(Credential::new(ask(&self.password).await?)?)
//!     }
//! }
//! ```
//!
//! # The closure borrows a local variable
//!
//! ```text
//! error[E0373]: closure may outlive the current function, but it borrows `token`, …
//! error[E0521]: borrowed data escapes outside of function
//! ```
//!
//! The login lives as long as the provider, so it is `'static`. Write `move` before the closure's
//! `|`; where `token` is itself a reference, clone it before the closure.
//!
//! ```compile_fail,E0373
//! # use tower_bearer::{Credential, login_fn};
//! let token = "abc".to_owned();
//! login_fn(|_| {
//!     let token = token.clone();
//!     async move { Ok(Credential::new(token)?) }
//! });
//! ```
//!
//! ```
//! # use tower_bearer::{Credential, login_fn};
//! let token = "abc".to_owned();
//! login_fn(move |_| {
//!     let token = token.clone();
//!     async move { Ok(Credential::new(token)?) }
//! });
//! ```
//!
//! # The closure changes a variable
//!
//! ```text
//! error[E0594]: cannot assign to `logins`, as it is a captured variable in a `Fn` closure
//! ```
//!
//! Use an atomic or a lock, or count [events](crate::CachedProviderBuilder::on_event) instead.
//!
//! ```compile_fail,E0594
//! # use tower_bearer::{Credential, login_fn};
//! let mut logins = 0;
//! login_fn(move |_| { logins += 1; async { Ok(Credential::new("abc")?) } });
//! ```
//!
//! ```
//! # use tower_bearer::{Credential, login_fn};
//! # use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! let logins = AtomicU32::new(0);
//! login_fn(move |_| { logins.fetch_add(1, Relaxed); async { Ok(Credential::new("abc")?) } });
//! ```
//!
//! # The login's future is not `Send`
//!
//! ```text
//! error: future cannot be sent between threads safely
//!   … future returned by `login` is not `Send`
//!   … note: future is not `Send` as this value is used across an await
//! ```
//!
//! A login runs in a task of its own, which may move between threads. The note names the value:
//! often a guard of `std::sync::Mutex`, or an `Rc`. Drop it before the `await`, or use `Arc` for
//! `Rc`.
//!
//! ```compile_fail
//! # use tower_bearer::{BoxError, Credential, Login, LoginRequest};
//! # async fn ask(user: &str) -> Result<String, std::io::Error> { Ok(user.to_owned()) }
//! # struct Password { user: std::sync::Mutex<String> }
//! # impl Login for Password {
//! async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
//!     let user = self.user.lock().unwrap();
//!     Ok(Credential::new(ask(&user).await?)?)
//! }
//! # }
//! ```
//!
//! ```
//! # use tower_bearer::{BoxError, Credential, Login, LoginRequest};
//! # async fn ask(user: &str) -> Result<String, std::io::Error> { Ok(user.to_owned()) }
//! # struct Password { user: std::sync::Mutex<String> }
//! # impl Login for Password {
//! async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
//!     let user = self.user.lock().unwrap().clone(); // the guard ends here
//!     Ok(Credential::new(ask(&user).await?)?)
//! }
//! # }
//! ```
