//! A login behind a cache.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    CachePolicy, CredentialEvent, CredentialProvider, RequestHead, Snapshot,
    cache::{Acquiring, Cache, Setup, Wanted},
    per_request::PerRequest,
    receipt::{Receipt, Rejected, Verdict},
};
use crate::{
    credential::{Authorization, Credential},
    error::Error,
    login::Login,
    runtime::Clock,
};

/// A provider that logs in when it must, and keeps what it got.
///
/// - Reads take no lock: each request sees one snapshot of the current credential.
/// - There is **one login in flight**, in a Tokio task of its own. Requests that need it wait for
///   it and share its outcome, good or bad. None of them cancels it by giving up.
/// - A credential is no longer used a [margin](CachePolicy::margin) before its expiry. A lifetime of
///   less than a second, zero included, counts as one second.
/// - In a [concurrent](crate::Session::Concurrent) session one background login is made late in the
///   credential's use (from 70 to 90 % of it on, at random), while the credential goes on being
///   used. In an [exclusive](crate::Session::Exclusive) one there is none: it would revoke the
///   credential in use.
/// - A failed login pauses the next one for a random part of a second. The limit doubles with each
///   further failure, up to a minute; no pause is shorter than 100 ms. A [`LoginError`](crate::LoginError) may ask for another
///   pause: that of a wrong password is 15 minutes, then 30, then 60.
/// - No login is made that no request asks for. [`reset`](Self::reset) ends all pauses.
///
/// # Rejections
///
/// A 401 can mean that the token is dead, which a login cures. It can also mean that the endpoint is
/// forbidden for this account, that another client revokes the token, or that the API is broken. So
/// the provider remembers which *target* was rejected, by method and path, and whether that one is
/// accepted after the next login:
///
/// | situation | when the next login may be made | what callers get |
/// | --- | --- | --- |
/// | no credential, or an expired one | at once | the request waits for the login |
/// | a target is rejected for the first time, or the last login had cured it | at once | a replay, or the 401; the next request logs in |
/// | the last login did not help this target | 1 s after that login, doubling to 5 min; with several such targets, that times their number, to 5 min | the 401; other targets are not entry back |
/// | each time another target is rejected, and the last two such logins or more did not help | 1 s after the last login, doubling to 5 min | the 401; a target that is rejected again has its own pause |
/// | a target is accepted and rejected by turns under one credential | as where logins do not help; at once when it was rejected for more than twice its longest time so far, + 3 s | the 401 |
/// | nothing at all is accepted | the pauses end at 30 s for ten minutes, then at 5 min | the 401 |
/// | the last three logins or more each helped for less than 3 s | 1 s after the last login, doubling to 1 min | the 401, and [`CredentialEvent::Contended`]: another client may be using the account |
/// | the last login failed | after its pause, above | the credential that was rejected stays in use; without one, the login's error |
///
/// While a target goes on being rejected, a login is tried after five minutes at the latest (and the
/// pause of a failed login). At most 64 targets are remembered, each for ten minutes after its last
/// rejection. In an exclusive session a login revokes what is in flight under the previous
/// credential; requests that can be replayed are.
///
/// The pauses are settings: [`CachePolicy::rejection_pauses`]. While a pause lasts, the
/// [snapshot](Self::snapshot) is in the state [`HeldBack`](crate::CredentialState::HeldBack), and each
/// rejected response carries a [`RejectionReport`](crate::RejectionReport).
///
/// # Runtimes
///
/// Where the login runs on a Tokio runtime of many threads, a task of one timer stays there as long as
/// its credential is in use, so that requests need not read the clock: see
/// [`Clock::runs_by_itself`]. While requests wait for a login on its own runtime, of any kind, another
/// such task there tells them if it is [lost](CachePolicy::login_timeout).
///
/// Clones share one cache. Nothing needs a runtime to be constructed; logging in needs a Tokio
/// runtime with its time driver.
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
    /// A provider with the default [`CachePolicy`], that logs in for the first request.
    pub fn new(login: impl Login) -> Self {
        Self::builder(login).build()
    }

    /// A provider with settings of its own.
    pub fn builder(login: impl Login) -> CachedProviderBuilder {
        CachedProviderBuilder {
            setup: Setup::new(login),
            credential: None,
        }
    }

    /// The current authorization, without waiting and without a lock: for a synchronous caller.
    ///
    /// `None` before the first login, from the margin before an expiry on, and after a rejection.
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
    /// An [`Error`] when the login fails, or has failed and is not to be tried again yet; when it is lost
    /// with its runtime; when there is no Tokio runtime; when the login itself asks.
    ///
    /// # Panics
    ///
    /// When polled on a Tokio runtime without a time driver.
    ///
    /// # Cancel safety
    ///
    /// Nothing starts before the first poll. A login that was started goes on when the future is
    /// dropped, and what it gets is kept.
    pub fn acquire(&self) -> Acquire {
        self.acquire_valid_for(Duration::ZERO)
    }

    /// Gets an authorization that stays valid for at least `needed`, for what takes long to send.
    ///
    /// Valid is what ends no sooner, its margin taken off. Logs in ahead of time where the current
    /// one does not last; in an exclusive session that revokes it, and requests that are on their
    /// way may be refused.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); also when the credentials of this login do not live that
    /// long. That is found out by one login, not by one for each call.
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

    /// Learns that a server has accepted the credential of a request: for a caller who
    /// [judges the response](PerRequest::judged_by_caller).
    pub fn accept(&self, receipt: Receipt) {
        self.0.accept(receipt);
    }

    /// Takes a rejected generation out of use, if it is the current one: for a rejection that the
    /// layer cannot see, in a body or in trailers. [`PerRequest`] has the receipt.
    ///
    /// The [verdict](Verdict::is_log_in) says whether sending the request again may help. If not,
    /// the credential stays in use: logins have not helped, the last one has failed, or the
    /// generation is not one of this provider's last 64.
    #[must_use]
    pub fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        self.0.reject(rejected)
    }

    /// Begins anew: the next request logs in, whatever has failed, was refused or is in use. For a
    /// password that was changed. The refresh token is kept, and is what that login takes first.
    ///
    /// A login that is under way goes on, so that there is one at a time, and what it brings is
    /// discarded, its refresh token aside: those who wait for it wait for the next, and for no third.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// The state of the provider, and what it has counted so far. It takes a lock that no request
    /// with a fresh credential waits for.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl CredentialProvider for CachedProvider {
    type Acquire = Acquire;

    #[inline]
    fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
        self.0.current()
    }

    #[inline]
    fn is_current(&self, entry: &Authorization, _head: RequestHead<'_>) -> bool {
        self.0.is_current(entry.generation())
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        let wants_fresh = PerRequest::of(head.extensions).is_some_and(PerRequest::is_fresh);
        let other_than = match head.rejected {
            // Asked now, and not when it is polled: those who ask together share a login.
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
            .field("session", &self.0.session())
            .field("policy", &self.0.policy())
            .field("generation", &self.0.generation())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`CachedProvider`] to be.
#[must_use]
pub struct CachedProviderBuilder {
    setup: Setup,
    credential: Option<Credential>,
}

impl CachedProviderBuilder {
    /// Sets timeout, margin and pauses.
    pub fn policy(mut self, policy: CachePolicy) -> Self {
        self.setup.policy = policy;
        self
    }

    /// Reads the time from `clock`. Defaults to [`SystemClock`](crate::SystemClock). Timeouts of logins and waits are
    /// Tokio timers, and not its business; so is the expiry, where the clock
    /// [runs by itself](Clock::runs_by_itself).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.setup.clock = Box::new(clock);
        self
    }

    /// Starts with a credential that exists already. Its lifetime counts from
    /// [`build`](Self::build); one that is expired by then is not used.
    pub fn starting_with(self, credential: Credential) -> Self {
        Self {
            credential: Some(credential),
            ..self
        }
    }

    /// Names the account: each authorization carries this number. Defaults to 0. See
    /// [`Authorization::with_account`].
    pub fn account(mut self, account: u32) -> Self {
        self.setup.account = account;
        self
    }

    /// Takes chance from `random`, which returns numbers from 0 to 1: for the pauses after failed
    /// logins, and for when a background login begins.
    #[cfg(feature = "test-util")]
    pub fn random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.setup.random = Box::new(random);
        self
    }

    /// Calls `observer` with each [`CredentialEvent`], in the task or the request that caused it, after all
    /// locks are released.
    ///
    /// The events of a login are told before those who wait for it wake up. A request that reads the
    /// new credential directly may come first. It must not block: it runs on the runtime's threads,
    /// and waiters then wait until their own deadline. A panic in it changes nothing.
    pub fn on_event(mut self, observer: impl Fn(&CredentialEvent) + Send + Sync + 'static) -> Self {
        self.setup.observers.on_event = Some(Box::new(observer));
        self
    }

    /// Calls `keep` with each new credential, before any request is sent with it: to store a
    /// refresh token that the next start [begins with](Self::starting_with).
    ///
    /// It runs in the login's task and must not block: hand what takes longer to a task of your
    /// own. A panic in it changes nothing.
    pub fn on_credential(mut self, keep: impl Fn(&Credential) + Send + Sync + 'static) -> Self {
        self.setup.observers.on_credential = Some(Box::new(keep));
        self
    }

    /// Makes the provider. Nothing is sent yet.
    #[must_use]
    pub fn build(self) -> CachedProvider {
        CachedProvider(Arc::new(Cache::new(self.setup, self.credential)))
    }
}

impl fmt::Debug for CachedProviderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedProviderBuilder")
            .field("session", &self.setup.session)
            .field("policy", &self.setup.policy)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The wait of a [`CachedProvider`] for an authorization.
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
