//! After this page you can tell from the compiler's message which error type goes where.
//!
//! Each entry quotes the first lines of a message of Rust 1.95, shortened with `…`. Then come the
//! cause, the code that does not compile, and the same code corrected. Two other pages
//! have the messages about [services and layers](super::does_not_compile) and about
//! [logins](super::login_does_not_compile).
//!
//! # A login ends with another error
//!
//! ```text
//! error[E0271]: expected `{async block@…}` to be a future that resolves to
//! `Result<Credential, Box<dyn Error + Send + Sync>>`, but it resolves to `Result<Credential, InvalidToken>`
//! ```
//!
//! A login fails with a [`BoxError`](crate::BoxError). `?` converts any error into it, those of anyhow
//! and eyre included. So end with `Ok(…?)`.
//!
//! ```compile_fail,E0271
//! # use tower_bearer::{Credential, login_fn};
//! login_fn(|_| async { Credential::new("abc") });
//! ```
//!
//! ```
//! # use tower_bearer::{Credential, login_fn};
//! login_fn(|_| async { Ok(Credential::new("abc")?) });
//! ```
//!
//! One thing compiles and goes wrong: a [`LoginError`](crate::LoginError) inside an `anyhow::Error`
//! or `eyre::Report` is not found. Then a wrong password is tried again within a second. Return the
//! `LoginError` itself, or wrap the other way round: `LoginError::permanent(error)`.
//!
//! # An inner block has no error type
//!
//! ```text
//! error[E0283]: type annotations needed
//!    | … cannot infer type of the type parameter `E` declared on the enum `Result`
//! ```
//!
//! With a `?` inside and another outside a block, the compiler cannot infer the block's error type.
//! Name it:
//!
//! ```compile_fail,E0283
//! # use tower_bearer::{Credential, login_fn};
//! login_fn(async |_| {
//!     let ask = async { Ok(Credential::new("abc")?) };
//!     Ok(tokio::time::timeout(std::time::Duration::from_secs(3), ask).await??)
//! });
//! ```
//!
//! ```
//! # use tower_bearer::{BoxError, Credential, login_fn};
//! login_fn(async |_| {
//!     let ask = async { Ok::<_, BoxError>(Credential::new("abc")?) };
//!     Ok(tokio::time::timeout(std::time::Duration::from_secs(3), ask).await??)
//! });
//! ```
//!
//! # A spawned task with an SDK's provider
//!
//! ```text
//! error[E0308]: mismatched types
//!    | … one type is more general than the other
//!    = note: expected enum `Result<_, Box<dyn Error + Send + Sync>>`
//!               found enum `Result<_, Box<(dyn Error + Send + Sync + 'static)>>`
//! ```
//!
//! The closure of an [`SdkProvider`](crate::SdkProvider) is made inside of a task that must be `Send`. A limit of
//! the compiler. Make the provider in a function, outside of the task. With a client whose error is a
//! `BoxError`, the message is "implementation of `From` is not general enough": do the same with the client.
//!
//! ```compile_fail,E0308
//! # use http::{Request, Response};
//! # use tower::{Layer, ServiceExt, service_fn};
//! # use tower_bearer::{BearerAuthLayer, Origins, SdkProvider, Token};
//! # let http = service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(())));
//! tokio::spawn(async move {
//!     let provider = SdkProvider::new(|| async { Ok(Token::new("abc")?) });
//!     let client = BearerAuthLayer::new(provider, Origins::any_https()).layer(http);
//!     client.oneshot(Request::new(())).await
//! });
//! ```
//!
//! ```no_run
//! # use http::{Request, Response};
//! # use tower::{Layer, ServiceExt, service_fn};
//! # use tower_bearer::{BearerAuthLayer, CredentialProvider, Origins, SdkProvider, Token};
//! # let http = service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(())));
//! fn provider() -> impl CredentialProvider<Acquire: Send> + Clone + Send {
//!     SdkProvider::new(|| async { Ok(Token::new("abc")?) })
//! }
//!
//! tokio::spawn(async move {
//!     let client = BearerAuthLayer::new(provider(), Origins::any_https()).layer(http);
//!     client.oneshot(Request::new(())).await
//! });
//! ```
//!
//! # `option_layer` and errors
//!
//! ```text
//! error[E0271]: expected `{async block@…}` to be a future that resolves to
//! `Result<_, Box<dyn Error + Send + Sync>>`, but it resolves to `Result<Response<()>, Error>`
//! ```
//!
//! With the layer the error is a [`BoxError`](crate::BoxError), and without it the client's own.
//! Both must be one type: add `map_err(BoxError::from)` beneath. Or keep the layer, and make the
//! provider an `Option`.
//!
//! ```compile_fail,E0271
//! # use http::{Request, Response};
//! # use tower::{Service, ServiceBuilder};
//! # fn send(layer: tower_bearer::BearerAuthLayer) {
//! # let http = tower::service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(())));
//! let mut client = ServiceBuilder::new().option_layer(Some(layer)).service(http);
//! let response = Service::call(&mut client, Request::new(()));
//! # }
//! ```
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{Service, ServiceBuilder};
//! # use tower_bearer::BoxError;
//! # fn send(layer: tower_bearer::BearerAuthLayer) {
//! # let http = tower::service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(())));
//! let builder = ServiceBuilder::new().option_layer(Some(layer)).map_err(BoxError::from);
//! let mut client = builder.service(http);
//! let response = Service::call(&mut client, Request::new(()));
//! # }
//! ```
//!
//! # The client's error is boxed now
//!
//! ```text
//! error[E0599]: no method named `kind` found for struct `Box<dyn std::error::Error + Send + Sync>` …
//! error[E0308]: mismatched types … expected `std::io::Error`, found `Box<dyn Error + Send + Sync>`
//! error[E0277]: the trait bound `Twice: Policy<…, …, Box<dyn Error + Send + Sync>>` is not satisfied
//! ```
//!
//! As with tower's `Timeout` and `Buffer`, code above this layer sees a
//! [`BoxError`](crate::BoxError). The client's error is inside: find it with `downcast_ref`. Move a
//! type or a retry policy that names the client's error beneath the layer, or change it.
//!
//! ```compile_fail,E0599
//! # use tower_bearer::BoxError;
//! fn is_timeout(error: BoxError) -> bool {
//!     error.kind() == std::io::ErrorKind::TimedOut
//! }
//! ```
//!
//! ```
//! # use tower_bearer::BoxError;
//! fn is_timeout(error: BoxError) -> bool {
//!     let error = error.downcast_ref::<std::io::Error>();
//!     error.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
//! }
//! ```
//!
//! # The client's error does not implement `Error`
//!
//! ```text
//! error[E0277]: the trait bound `Failed: std::error::Error` is not satisfied
//!    = note: required for `Failed` to implement `Into<Box<(dyn std::error::Error + Send + Sync + 'static)>>`
//! ```
//!
//! Implement `std::error::Error` for it, or add `map_err` beneath the layer. Clients whose error is
//! `anyhow::Error` or `eyre::Report` need neither.
//!
//! ```compile_fail,E0277
//! # use tower_bearer::BoxError;
//! enum Failed { Network }
//!
//! let error: BoxError = Failed::Network.into();
//! ```
//!
//! ```
//! # use tower_bearer::BoxError;
//! # use std::fmt;
//! #[derive(Debug)]
//! enum Failed { Network }
//!
//! impl std::error::Error for Failed {}
//! # impl fmt::Display for Failed {
//! #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("no network") }
//! # }
//!
//! let error: BoxError = Failed::Network.into();
//! ```
//!
//! # `?` into anyhow or eyre
//!
//! ```text
//! error[E0277]: `?` couldn't convert the error: `dyn std::error::Error + Send + Sync: Sized` is not satisfied
//! ```
//!
//! A boxed error is no `std::error::Error` itself, so `?` does not convert it. Write
//! `map_err(|error| anyhow::anyhow!(error))`, with eyre `eyre::eyre!(error)`. Look for
//! [`Error`](crate::Error) with `downcast_ref` *before* that: afterwards it is not found.
//!
//! ```compile_fail,E0277
//! # use tower_bearer::BoxError;
//! # struct Report;
//! // As anyhow and eyre have it.
//! impl<E: std::error::Error + Send + Sync + 'static> From<E> for Report {
//!     fn from(_: E) -> Self { Report }
//! }
//! fn report(result: Result<(), BoxError>) -> Result<(), Report> {
//!     Ok(result?)
//! }
//! ```
//!
//! ```
//! # use tower_bearer::BoxError;
//! # struct Report;
//! impl<E: std::error::Error + Send + Sync + 'static> From<E> for Report {
//!     fn from(_: E) -> Self { Report }
//! }
//! fn report(result: Result<(), BoxError>) -> Result<(), Report> {
//!     Ok(result.map_err(std::io::Error::other)?) // without anyhow's macro
//! }
//! ```
