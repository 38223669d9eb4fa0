//! The state of a provider, at one moment.

use std::time::{Duration, Instant};

use crate::{credential::Generation, error::Error};

/// The state of a [`CachedProvider`](crate::CachedProvider) at one moment, and its counters.
///
/// The layer has counters of its own: [`replays`](crate::BearerAuthLayer::replays) and
/// [`bare_requests`](crate::BearerAuthLayer::bare_requests).
///
/// # Examples
///
/// A health check:
///
/// ```
/// use tower_bearer::{CachedProvider, CredentialState, LoginError, login_fn};
///
/// fn health(provider: &CachedProvider) -> Result<(), String> {
///     let snapshot = provider.snapshot();
///     match snapshot.state() {
///         CredentialState::BackingOff => Err(snapshot.last_error().expect("it failed").to_string()),
///         CredentialState::HeldBack => Err("logins do not help".to_owned()),
///         _ => Ok(()),
///     }
/// }
///
/// let login = login_fn(async |_| Err(LoginError::permanent("wrong password"))?);
/// let provider = CachedProvider::new(login);
/// assert_eq!(health(&provider), Ok(())); // no request, no login
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// assert!(provider.acquire().await.is_err());
/// assert!(health(&provider).unwrap_err().ends_with("; next attempt in 15 min"));
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) state: CredentialState,
    pub(super) is_logging_in: bool,
    pub(super) generation: Option<Generation>,
    pub(super) age: Option<Duration>,
    pub(super) usable_for: Option<Duration>,
    pub(super) next_attempt: Option<Instant>,
    pub(super) last_error: Option<Error>,
    pub(super) held_back: Option<HeldBack>,
    pub(super) is_contention_suspected: bool,
    pub(super) counts: Counts,
}

/// The state that the next request would find: an example is at [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialState {
    /// No credential: the request logs in.
    Empty,
    /// No credential, and a login is under way: the request waits for it.
    LoggingIn,
    /// A usable credential.
    Fresh,
    /// A usable credential. A login is due or under way in the background, or has failed and is due
    /// later. In that pause, requests also use a credential within its
    /// [margin](crate::CachePolicy::margin).
    Aging,
    /// A rejected credential that stays in use, since logins for such rejections have not helped.
    /// [`Snapshot::held_back`] has the time of the next login.
    HeldBack,
    /// A credential that has expired or is within its margin: the request logs in.
    Expired,
    /// No usable credential, and the last login has failed: the request fails at once.
    BackingOff,
    /// [Signed out](crate::CachedProvider::sign_out): the request fails until somebody signs in.
    SignedOut,
}

/// Rejections of the current credential that cause no login for now.
///
/// # Examples
///
/// ```
/// use http::Method;
/// use tower_bearer::{CachedProvider, Credential, Receipt, Rejected, login_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let provider = CachedProvider::new(login_fn(async |_| Ok(Credential::new("abc")?)));
/// for _ in 0..2 {
///     let generation = provider.acquire().await?.generation();
///     let receipt = Receipt::new(generation, 0, &Method::GET, "/admin");
///     let _ = provider.reject(&Rejected::by_hand(receipt));
/// }
/// let held_back = provider.snapshot().held_back().expect("the second login did not help");
/// assert_eq!(held_back.rejections, 1);
/// assert!(held_back.next_login > held_back.since);
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBack {
    /// The number of rejections in this pause.
    pub rejections: u64,
    /// The time of the first of them, by the provider's clock.
    pub since: Instant,
    /// The earliest time of the next login, by the provider's clock.
    pub next_login: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) logins: u64,
    pub(super) failed_logins: u64,
    pub(super) discarded_logins: u64,
    pub(super) adoptions: u64,
    pub(super) waits: u64,
    pub(super) rejections: u64,
    pub(super) contentions: u64,
}

impl Snapshot {
    /// The state that the next request would find.
    #[must_use]
    pub fn state(&self) -> CredentialState {
        self.state
    }

    /// Whether a login is under way, with waiters or in the background.
    #[must_use]
    pub fn is_logging_in(&self) -> bool {
        self.is_logging_in
    }

    /// The generation of the credential in use, or of an expired one that was not yet replaced.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// The time since that credential was received.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// How much longer that credential is used. The margin is subtracted first, unless requests use
    /// the credential because the login has failed. Zero if it is not used, `None` without a
    /// credential or without an expiry.
    #[must_use]
    pub fn usable_for(&self) -> Option<Duration> {
        self.usable_for
    }

    /// The error of the last login, if it failed.
    #[must_use]
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// The earliest time of the next login after a failure, by the provider's clock. `None` if a
    /// login may be made now.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        self.next_attempt
    }

    /// The rejections that cause no login for now, in the state
    /// [`HeldBack`](CredentialState::HeldBack).
    #[must_use]
    pub fn held_back(&self) -> Option<HeldBack> {
        self.held_back
    }

    /// Whether another client may be using the account. A suspicion, never a fact: see
    /// [`CredentialEvent::Contended`](crate::CredentialEvent::Contended).
    #[must_use]
    pub fn is_contention_suspected(&self) -> bool {
        self.is_contention_suspected
    }

    /// The number of logins that returned a credential.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.counts.logins
    }

    /// The number of logins that failed or were lost.
    #[must_use]
    pub fn failed_logins(&self) -> u64 {
        self.counts.failed_logins
    }

    /// The number of logins whose outcome was discarded, because a command came during the login:
    /// [`reset`](crate::CachedProvider::reset),
    /// [`set_credential`](crate::CachedProvider::set_credential) or
    /// [`sign_out`](crate::CachedProvider::sign_out).
    #[must_use]
    pub fn discarded_logins(&self) -> u64 {
        self.counts.discarded_logins
    }

    /// The number of credentials of other processes that came from the store. They are no logins. Zero without
    /// `CachedProviderBuilder::shared`.
    #[must_use]
    pub fn adoptions(&self) -> u64 {
        self.counts.adoptions
    }

    /// How often a request had to wait for a login.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.counts.waits
    }

    /// The number of rejections of the current credential.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.counts.rejections
    }

    /// How often the provider began to suspect that another client uses the account.
    #[must_use]
    pub fn contentions(&self) -> u64 {
        self.counts.contentions
    }
}
