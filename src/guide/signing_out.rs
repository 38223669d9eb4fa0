//! After this page you can sign users out and in, hand in tokens without a login, and revoke those
//! that are no longer used.
//!
//! # Sign out
//!
//! [`sign_out`] drops the credential and the refresh token, and takes effect before it returns. No
//! login is made until somebody signs in. What happens to requests:
//!
//! | at the sign-out, a request | what happens |
//! | --- | --- |
//! | waits for a login | It fails at once: [`Error::is_signed_out`](crate::Error::is_signed_out). |
//! | has its token, and waits until the client is ready | It fails and is not sent, also if another user has signed in since. |
//! | is with the server | Its response goes to its caller. A 401 causes no login and no replay. |
//! | was rejected, and waits for its replay | It fails and is not sent again. |
//! | starts afterwards | It fails, until somebody signs in. |
//!
//! A login that has begun is not cancelled, so that there is one at a time. Its credential is neither
//! used nor stored.
//!
//! # Delete what is stored
//!
//! A login may be storing its credential at the very moment of the sign-out. So delete stored secrets
//! once the provider has [settled], and before the next user signs in:
//!
//! ```
//! use std::{fs, io, path::Path};
//! use tower_bearer::{CachedProvider, Credential, login_fn};
//!
//! async fn sign_out(provider: &CachedProvider, stored: &Path) -> io::Result<()> {
//!     provider.sign_out();
//!     provider.settled().await; // no hook runs any more
//!     match fs::remove_file(stored) {
//!         Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
//!         _ => Ok(()), // perhaps nobody was signed in
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # let stored = std::env::temp_dir().join(format!("tower-bearer-signing-out-{}", std::process::id()));
//! # let file = stored.clone();
//! let provider = CachedProvider::builder(login_fn(async |_| Ok(Credential::new("abc")?)))
//!     .on_credential(move |credential| {
//!         let _ = fs::write(&file, credential.token().expose()); // a real store: see below
//!     })
//!     .build();
//! provider.acquire().await?;
//! sign_out(&provider, &stored).await?;
//! # sign_out(&provider, &stored).await?;
//! assert!(provider.acquire().await.unwrap_err().is_signed_out());
//! assert!(!stored.exists());
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! [The page on shutdown](super::shutdown#a-store-that-survives-a-crash) has a store that survives a
//! crash. With a queue of writes, put the removal into the same queue.
//!
//! # Sign in as somebody else
//!
//! [`set_credential`] signs in with a credential that you have, for example from a browser. [`reset`]
//! makes the next request log in. If your login reads the account from somewhere, keep this order:
//!
//! 1. `sign_out()`: from now on, no login starts.
//! 2. `settled().await`: the login for the previous user has ended.
//! 3. Delete what is stored, and change the account.
//! 4. `reset()`, or `set_credential`.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use tower_bearer::{CachedProvider, Credential, login_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let account = Arc::new(Mutex::new("ann"));
//! let read = Arc::clone(&account);
//! let provider = CachedProvider::new(login_fn(move |_request| {
//!     let account = *read.lock().unwrap();
//!     async move { Ok(Credential::new(account)?) } // POST /login for this account
//! }));
//! assert_eq!(provider.acquire().await?.value(), "Bearer ann");
//!
//! provider.sign_out();
//! provider.settled().await;
//! *account.lock().unwrap() = "bob";
//! provider.reset();
//! assert_eq!(provider.acquire().await?.value(), "Bearer bob");
//! # Ok::<_, tower_bearer::BoxError>(()) })?;
//! # Ok::<_, tower_bearer::BoxError>(())
//! ```
//!
//! For several users at once, give each a [provider](super::providers#many-accounts).
//!
//! # Each answer brings the next token
//!
//! At some APIs each answer has the next token in a header. [`replace_credential`] hands it in, if the
//! request was sent with the credential that is still in use. Otherwise a late answer for the previous
//! user would sign that user in again. [`PerRequest::receipt`] says what a request was sent with.
//!
//! If the next token revokes the last, send the requests one by one. Two requests at once carry the same
//! token, and the answer that arrives first wins. It may be the older one.
//!
//! ```
//! use axum::{body::Body, extract::Request, response::Response};
//! use tower::{Layer, Service, ServiceExt};
//! use tower_bearer::{
//!     BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Credential, LoginError, Origins,
//!     PerRequest, login_fn,
//! };
//!
//! struct Api<S> {
//!     /// One request at a time. A limit inside the layer would be too late: it has chosen the token.
//!     client: tokio::sync::Mutex<BearerAuth<S, CachedProvider>>,
//!     provider: CachedProvider,
//! }
//!
//! impl<S> Api<S>
//! where
//!     S: Service<Request, Response = Response, Error: Into<BoxError>> + Clone,
//! {
//!     async fn send(&self, mut request: Request) -> Result<Response, BoxError> {
//!         let per_request = PerRequest::new();
//!         request.extensions_mut().insert(per_request.clone());
//!         let mut client = self.client.lock().await;
//!         let response = client.ready().await?.call(request).await?;
//!         if let Some(next) = response.headers().get("x-next-token")
//!             && let Some(receipt) = per_request.receipt()
//!         {
//!             let next = Credential::new(next.to_str()?)?;
//!             self.provider.replace_credential(receipt, next);
//!         }
//!         Ok(response)
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # let answers = async |request: Request| {
//! #     let token = request.headers()["authorization"].to_str().unwrap();
//! #     let number: u32 = token.strip_prefix("Bearer token-").unwrap().parse().unwrap();
//! #     ([("x-next-token", format!("token-{}", number + 1))], ())
//! # };
//! # let http = axum::Router::new().route("/things", axum::routing::get(answers));
//! let provider = CachedProvider::new(login_fn(async |_| {
//!     Err(LoginError::permanent("sign in first"))?
//! }));
//! let layer = BearerAuthLayer::new(provider.clone(), Origins::new(["https://api.example.com"])?);
//! let client = tokio::sync::Mutex::new(layer.layer(http));
//! let api = Api { client, provider: provider.clone() };
//!
//! provider.set_credential(Credential::new("token-1")?);
//! for _ in 0..2 {
//!     let request = Request::get("https://api.example.com/things").body(Body::empty())?;
//!     api.send(request).await?;
//! }
//! assert_eq!(provider.acquire().await?.value(), "Bearer token-3");
//!
//! provider.sign_out();
//! let request = Request::get("https://api.example.com/things").body(Body::empty())?;
//! assert!(api.send(request).await.is_err());
//! # Ok::<_, BoxError>(()) })?;
//! # Ok::<_, BoxError>(())
//! ```
//!
//! A token alone keeps the refresh token that the provider has. Each token that is handed in goes to
//! [`on_credential`] as well.
//!
//! # Revoke
//!
//! A server that limits the number of sessions counts those that nobody uses any more. [`on_retired`]
//! gets each credential that the provider no longer uses, to revoke it ([RFC 7009, section 2.1]):
//!
//! | [`Retirement`](crate::Retirement) | what comes | revoke it |
//! | --- | --- | --- |
//! | `SignedOut` | what was in use, and what a login under way still brought | yes: the refresh token if there is one, or else the token |
//! | `Replaced`, after a login by password | the previous token | yes, if each login opens a session and closes none |
//! | `Replaced`, after a refresh | the previous token; the session goes on | no: the server may revoke the new refresh token with it |
//!
//! The hook must not block, so another task sends. At the end of the program, wait for that task too:
//!
//! ```
//! use tokio::sync::mpsc;
//! use tower_bearer::{BoxError, CachedProvider, Credential, Retired, Retirement, login_fn};
//!
//! /// The form of RFC 7009, for `POST /revoke` with the client's own authentication.
//! fn form(retired: &Retired) -> Option<String> {
//!     let (token, hint) = match (retired.refresh_token(), retired.credential()) {
//!         (Some(refresh_token), _) => (refresh_token.expose(), "refresh_token"),
//!         (None, Some(credential)) => (credential.token().expose(), "access_token"),
//!         (None, None) => return None,
//!     };
//!     let encoded = url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>();
//!     Some(format!("token={encoded}&token_type_hint={hint}"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let sent = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
//! # let log = std::sync::Arc::clone(&sent);
//! # let post = async move |form: String| log.lock().unwrap().push(form);
//! let (sender, mut retired) = mpsc::unbounded_channel();
//! let revocations = tokio::spawn(async move {
//!     while let Some(retired) = retired.recv().await {
//!         if let Some(form) = form(&retired) {
//!             post(form).await; // log a failure: the session ends by itself some day
//!         }
//!     }
//! });
//! let login = login_fn(async |_| Ok(Credential::new("abc")?.with_refresh_token("r/1")));
//! let provider = CachedProvider::builder(login)
//!     .on_retired(move |retired| {
//!         if retired.reason() == Retirement::SignedOut {
//!             let _ = sender.send(retired);
//!         }
//!     })
//!     .build();
//! provider.acquire().await?;
//!
//! // At the end of the program, to leave no session behind:
//! provider.sign_out();
//! provider.settled().await; // a login under way retires its credential
//! drop(provider); // and each client that has a clone of it: this ends the task
//! revocations.await?;
//! # assert_eq!(*sent.lock().unwrap(), ["token=r%2F1&token_type_hint=refresh_token"]);
//! # Ok(()) }
//! ```
//!
//! A provider that is dropped retires nothing, since the next process may go on with its session. Sign
//! out first if there is none.
//!
//! [`sign_out`]: crate::CachedProvider::sign_out
//! [settled]: crate::CachedProvider::settled
//! [`set_credential`]: crate::CachedProvider::set_credential
//! [`replace_credential`]: crate::CachedProvider::replace_credential
//! [`reset`]: crate::CachedProvider::reset
//! [`on_credential`]: crate::CachedProviderBuilder::on_credential
//! [`on_retired`]: crate::CachedProviderBuilder::on_retired
//! [`PerRequest::receipt`]: crate::PerRequest::receipt
//! [RFC 7009, section 2.1]: https://www.rfc-editor.org/rfc/rfc7009#section-2.1
