//! The provider that logs in and caches the credential.

mod builder;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

pub use self::builder::CachedProviderBuilder;
use super::{
    CredentialProvider, RequestHead, Snapshot,
    cache::{Acquiring, Cache, Wanted},
    per_request::PerRequest,
    receipt::{Receipt, Rejected, Verdict},
};
use crate::{
    credential::{Authorization, Credential},
    error::Error,
    login::Login,
};

/// A provider that logs in when necessary and caches the credential.
///
/// - Reads take no lock: each request sees one snapshot of the current credential.
/// - There is at most **one login in flight**, in its own Tokio task. Requests that need it wait for it
///   and share its outcome, success or failure. A cancelled request does not cancel the login.
/// - A credential is used until a [margin](crate::CachePolicy::margin) before its expiry. While logins
///   fail, it is used to the expiry itself, by either clock, unless it was rejected.
/// - A lifetime of less than one second, including zero, counts as one second.
/// - A [concurrent](crate::Session::Concurrent) session refreshes in the background, while the current
///   credential stays in use. This login starts after 70 to 90 % of the credential's use, at random.
/// - An [exclusive](crate::Session::Exclusive) session has no background login: it would revoke the
///   credential in use.
/// - After a failed login, the next one waits for a random part of a second. The limit doubles with
///   each further failure, up to a minute; no pause is shorter than 100 ms.
/// - A [`LoginError`](crate::LoginError) may ask for another pause. After a wrong password it is 15
///   minutes, then 30, then 60.
/// - Only requests cause logins, unless you [keep the provider warm](Self::keep_warm) or the login
///   [reports a change](crate::Login::changed). [`reset`](Self::reset) ends all pauses.
///
/// # Rejections
///
/// A 401 may mean that the token is dead, and then a login helps. It may also have a cause that no login
/// removes. The [guide](crate::guide::rejections) lists the causes.
///
/// The provider therefore remembers each rejected *target*, by method and path. It observes whether
/// that target is accepted after the next login.
///
#[doc = include_str!("rejection_rules.md")]
///
/// The pauses are settings: [`rejection_pauses`](crate::CachePolicy::rejection_pauses). During a pause,
/// the [snapshot](Self::snapshot) is in the state [`HeldBack`](crate::CredentialState::HeldBack). Each
/// rejected response carries a [`RejectionReport`](crate::RejectionReport).
///
/// # Runtimes
///
/// Logging in needs a Tokio runtime with its time driver. Constructing the provider needs no runtime.
/// Clones share one cache.
///
/// If the login runs on a multi-threaded Tokio runtime, a timer task stays there while its credential
/// is in use. It spares requests the reading of the clock: see
/// [`runs_by_itself`](crate::Clock::runs_by_itself).
///
/// While requests wait on the login's own runtime, of any kind, another timer task runs there. It wakes
/// them if the login is [lost](crate::CachePolicy::login_timeout).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{CachePolicy, CachedProvider, Credential, login_fn};
///
/// let provider = CachedProvider::builder(login_fn(|_| async { Ok(Credential::new("abc")?) }))
///     .policy(CachePolicy::default().login_timeout(Duration::from_secs(3)))
///     .build();
/// assert!(provider.current().is_none());
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let authorization = provider.acquire().await?; // warms up
/// assert_eq!(authorization.value(), "Bearer abc");
/// assert!(provider.current().is_some());
/// # Ok::<_, tower_bearer::Error>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone)]
pub struct CachedProvider(Arc<Cache>);

impl CachedProvider {
    /// Creates a provider with the default [`CachePolicy`](crate::CachePolicy). It logs in for the first
    /// request.
    pub fn new(login: impl Login) -> Self {
        Self::builder(login).build()
    }

    /// Configures a provider.
    pub fn builder(login: impl Login) -> CachedProviderBuilder {
        CachedProviderBuilder::new(login)
    }

    /// Returns the current authorization, without waiting and without a lock: for synchronous callers.
    ///
    /// `None` before the first login, after a rejection, and from the margin before the expiry on. Within
    /// the margin, [`acquire`](Self::acquire) still returns the credential if the login fails.
    #[must_use]
    pub fn current(&self) -> Option<Authorization> {
        let current = self.0.current();
        self.0.sent();
        current
    }

    /// Gets an authorization, and logs in if there is none: for a warm-up at start.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`]
    ///
    /// - if the login fails, or a failed login may not be tried again yet
    /// - if the login is lost with its runtime
    /// - if there is no Tokio runtime
    /// - if the login itself calls this
    ///
    /// # Panics
    ///
    /// Panics if polled on a Tokio runtime without a time driver.
    ///
    /// # Cancel safety
    ///
    /// Nothing starts before the first poll. If the future is dropped, a login under way goes on, and its
    /// credential is cached.
    pub fn acquire(&self) -> Acquire {
        self.acquire_valid_for(Duration::ZERO)
    }

    /// Gets an authorization that stays valid for at least `needed`: for a request that takes long to
    /// send.
    ///
    /// The margin is subtracted first. If the current credential does not last, the provider logs in
    /// early. In an exclusive session that login revokes the current credential, so requests in flight
    /// may be rejected.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and also if the credentials of this login do not live that long.
    /// The provider discovers this with one login, and not with one for each call.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_valid_for(&self, needed: Duration) -> Acquire {
        self.acquire_wanted(Wanted {
            valid_for: needed,
            ..Wanted::default()
        })
    }

    fn acquire_wanted(&self, wanted: Wanted) -> Acquire {
        Acquire {
            acquiring: Acquiring::new(&self.0, wanted),
        }
    }

    /// Reports an acceptance: for a caller who
    /// [judges the response](PerRequest::judged_by_caller).
    pub fn accept(&self, receipt: Receipt) {
        self.0.accept(receipt);
    }

    /// Reports a rejection that the layer cannot see, in a body or in trailers. [`PerRequest`] has the
    /// receipt.
    ///
    /// The provider stops using the rejected generation, if it is the current one. The
    /// [verdict](Verdict::is_log_in) says whether sending the request again may help.
    ///
    /// Otherwise the credential stays in use: logins have not helped, the last login has failed, or the
    /// generation is not one of this provider's last 64.
    #[must_use]
    pub fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        self.0.reject(rejected)
    }

    /// Makes the next request log in, whatever was rejected, failed or is in use: after a password
    /// change. It also ends a [sign-out](Self::sign_out).
    ///
    /// The refresh token is kept for the next login.
    ///
    /// A login under way is not cancelled, so that there is still one at a time. Its credential is
    /// discarded; a new refresh token from it is kept. Its waiters wait for the next login, but not for
    /// a third.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Makes `credential` the current one: after an interactive sign-in, or if each answer of the API
    /// brings the next token.
    ///
    /// - Requests that wait get it at once.
    /// - The outcome of a login under way is discarded.
    /// - Its lifetime counts from this call. An expired one makes the next request log in.
    /// - Without a refresh token of its own, the provider keeps the one that it has.
    /// - [`on_credential`](CachedProviderBuilder::on_credential) gets it too, as you pass it. If it has no
    ///   refresh token, a store must keep the one that it has.
    ///
    /// For another user, [sign out](Self::sign_out) first: then no request of the previous user is
    /// replayed with it. If you store credentials, wait until the provider has
    /// [settled](Self::settled) in between: a login under way may be storing its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::{CachedProvider, Credential, LoginError, login_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let provider = CachedProvider::new(login_fn(async |_| {
    ///     Err(LoginError::permanent("sign in by the browser"))?
    /// }));
    /// // ... the browser returns a token ...
    /// provider.set_credential(Credential::new("abc")?);
    /// assert_eq!(provider.acquire().await?.value(), "Bearer abc");
    /// # Ok::<_, tower_bearer::BoxError>(()) })?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    pub fn set_credential(&self, credential: Credential) {
        self.0.set_credential(&credential, None);
    }

    /// Makes `credential` the current one, if the request of `receipt` was sent with the credential that
    /// it replaces: for APIs where each answer brings the next token. Otherwise as
    /// [`set_credential`](Self::set_credential).
    ///
    /// Returns false, and changes nothing, if that credential is no longer the current one. So a late
    /// answer signs no previous user in again, and replaces no newer token.
    ///
    /// [The guide](crate::guide::signing_out) has an example.
    #[expect(clippy::must_use_candidate, reason = "most callers ignore it")]
    pub fn replace_credential(&self, receipt: Receipt, credential: Credential) -> bool {
        self.0
            .set_credential(&credential, Some(receipt.generation()))
    }

    /// Drops the credential and the refresh token, and makes no login until somebody signs in: by
    /// [`set_credential`](Self::set_credential) or [`reset`](Self::reset).
    ///
    /// - Requests that wait end with an [error](Error::is_signed_out), as do new ones.
    /// - Requests that the server has already are not cancelled. None of them is replayed for the next
    ///   user.
    /// - A login under way goes on, so that there is one at a time. Its credential is never used or
    ///   stored, but retired.
    /// - [`on_retired`](CachedProviderBuilder::on_retired) gets what was dropped, to revoke it.
    ///
    /// Delete stored credentials once the provider has [settled](Self::settled). The guide has a
    /// [page on signing out](crate::guide::signing_out).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::{CachedProvider, Credential, CredentialState, login_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let provider = CachedProvider::new(login_fn(async |_| Ok(Credential::new("abc")?)));
    /// provider.acquire().await?;
    ///
    /// provider.sign_out();
    /// provider.settled().await;
    /// assert_eq!(provider.snapshot().state(), CredentialState::SignedOut);
    /// assert!(provider.acquire().await.unwrap_err().is_signed_out());
    /// # Ok::<_, tower_bearer::BoxError>(()) })?;
    /// # Ok::<_, tower_bearer::BoxError>(())
    /// ```
    pub fn sign_out(&self) {
        self.0.sign_out();
    }

    /// Waits until no login is under way, also one whose outcome is discarded: before a program ends, or
    /// before stored credentials are deleted.
    ///
    /// It ends within the login's timeout and one second. A login that starts meanwhile makes it wait
    /// longer, so stop sending requests first. The hooks and observers of the last login have run then,
    /// unless it was [lost](Error::is_login_lost) because one of them blocks.
    /// The guide has a [page on shutdown](crate::guide::shutdown).
    ///
    /// # Panics
    ///
    /// Panics if polled without a Tokio runtime with a time driver, if a login is under way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn settled(&self) {
        self.0.settled().await;
    }

    /// Renews the credential without a request, until the last handle of the provider is dropped: for
    /// threads that cannot log in, and for refresh tokens that expire when they are not used.
    ///
    /// Spawn the future on a runtime with a time driver. Its logins run there, or on the
    /// [named runtime](CachedProviderBuilder::runtime). Abort its task to stop it earlier.
    ///
    /// | state | what it does |
    /// | --- | --- |
    /// | no credential: at the start, after a [`reset`](Self::reset) or a rejection | logs in at once |
    /// | fresh | waits until the credential ages or ends |
    /// | aging, in a [concurrent](crate::Session::Concurrent) session | logs in, while requests use the credential |
    /// | within the margin or expired | logs in, while requests wait |
    /// | a login is under way | waits for it |
    /// | a pause after a failed login | waits until the pause ends |
    /// | [held back](crate::CredentialState::HeldBack) | waits as if fresh: only a rejection can cause a login |
    /// | [signed out](Self::sign_out) | waits until somebody signs in |
    /// | the machine was suspended | reads both clocks within 30 s of its return |
    ///
    /// It causes no login that a request at the same time would not cause, and at most one in a second.
    /// It ends early if the named runtime is shut down, or if a
    /// [`KeyedProvider`](crate::KeyedProvider) evicts the account.
    ///
    /// An [exclusive](crate::Session::Exclusive) session gets its login at the end of a credential's use,
    /// and not before: it revokes the previous credential. During that login [`current`](Self::current)
    /// returns `None`.
    ///
    /// A refresh token is used when the credential ages or ends, so it must live longer than that.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_bearer::{CachedProvider, Credential, login_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), tower_bearer::BoxError> {
    /// let provider = CachedProvider::new(login_fn(async |_| {
    ///     Ok(Credential::new("abc")?.with_lifetime(Duration::from_secs(3600)))
    /// }));
    /// let keeper = tokio::spawn(provider.keep_warm());
    ///
    /// tokio::time::sleep(Duration::from_secs(24 * 3600)).await; // no request
    /// assert!(provider.current().is_some());
    /// assert_eq!(provider.snapshot().logins(), 25);
    ///
    /// drop(provider);
    /// keeper.await?; // it has ended
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if polled without a Tokio runtime with a time driver.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, a login under way goes on, and its credential is cached.
    pub fn keep_warm(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.keep_warm()
    }

    /// Returns the state and the counters of the provider. It takes a lock, for which no request with a
    /// fresh credential waits.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl CachedProvider {
    pub(super) fn cache(&self) -> &Arc<Cache> {
        &self.0
    }
}

impl CredentialProvider for CachedProvider {
    type Acquire = Acquire;

    #[inline]
    fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
        self.0.current()
    }

    #[inline]
    fn is_current(&self, held: &Authorization, _head: RequestHead<'_>) -> bool {
        self.0.is_current(held.generation())
    }

    fn is_withdrawn(&self, held: &Authorization, _head: RequestHead<'_>) -> bool {
        self.0.is_withdrawn(held)
    }

    fn name(&self) -> Option<&str> {
        self.cache().names().provider.as_deref()
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        let wants_fresh = PerRequest::of(head.extensions).is_some_and(PerRequest::is_fresh);
        let other_than = match head.rejected {
            // Read now and not at the first poll, so that concurrent callers share one login.
            None if wants_fresh => self.0.generation(),
            rejected => rejected.map(Receipt::generation),
        };
        self.acquire_wanted(Wanted {
            other_than,
            ..Wanted::default()
        })
    }

    #[inline]
    fn sent(&self, _receipt: Receipt) {
        self.0.sent();
    }

    #[inline]
    fn accept(&self, receipt: Receipt) {
        self.0.accept(receipt);
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        self.0.reject(rejected)
    }
}

impl fmt::Debug for CachedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedProvider")
            .field("name", &self.0.names().provider)
            .field("account_name", &self.0.names().account)
            .field("session", &self.0.session())
            .field("policy", &self.0.policy())
            .field("generation", &self.0.generation())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future that [`CachedProvider::acquire`] returns: it waits for an authorization.
    ///
    /// The second example of [`CredentialProvider`](crate::CredentialProvider#examples) names this type.
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire {
        #[pin]
        acquiring: Acquiring,
    }
}

impl Future for Acquire {
    type Output = Result<Authorization, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().acquiring.poll(cx)
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").finish_non_exhaustive()
    }
}
