//! What a cache knows of the store that it shares with other processes.
//!
//! [`shared_login`](super::shared_login) has the protocol.

mod former;
mod guarded;

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub(super) use self::guarded::{Guarded, guarded};
use self::{former::Former, guarded::panicked};
use super::{Cache, commands::is_same};
use crate::{
    credential::{Credential, RefreshToken, Token},
    provider::observers::CredentialEvent,
    runtime::{
        catch,
        sync::{Instant, time},
    },
    store::{Record, Revision, SealedRecord, SharedAccount, StoreError, StoreFuture},
};

/// The time for the store in one login. While another process has the lock, it begins again with each answer.
const BUDGET: Duration = Duration::from_millis(250);

/// How long a store that has failed is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// The shortest time from one look at the store to the next.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The part of a lease that is not for the login. It is more than the store's two budgets.
const SPARE: Duration = Duration::from_secs(5);

pub(in crate::provider) struct Sharing {
    pub(super) account: SharedAccount,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Known,
    former: Former,
    left_alone: Option<LeftAlone>,
    has_failed: bool,
    last_look: Option<Instant>,
}

/// What the cache has taken from the store last, or has published.
#[derive(Default)]
struct Known {
    revision: Option<Revision>,
    token: Option<Token>,
    /// Another process may have it too, and may spend it.
    refresh_token: Option<RefreshToken>,
}

impl Known {
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let token = self.token.as_ref().map(Token::expose);
        let refresh_token = self.refresh_token.as_ref().map(RefreshToken::expose);
        token.into_iter().chain(refresh_token)
    }
}

struct LeftAlone {
    until: Instant,
    error: StoreError,
}

impl Sharing {
    pub(in crate::provider) fn new(account: SharedAccount) -> Self {
        Self {
            account,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Only moves happen under the lock, so a poisoned lock still guards a whole value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease for a login with this timeout. Also the longest wait for the lock: it outlasts the lease of
    /// a holder that has died.
    pub(super) fn lease(login_timeout: Duration) -> Duration {
        login_timeout + SPARE
    }

    /// The longest time from the start of a flight to its end, without its login.
    pub(super) fn longest_wait(login_timeout: Duration) -> Duration {
        Self::lease(login_timeout) + SPARE
    }

    /// Why the store is left alone for now.
    pub(super) fn failure(&self) -> Option<StoreError> {
        let state = self.lock();
        let left_alone = state.left_alone.as_ref()?;
        (Instant::now() < left_alone.until).then(|| left_alone.error.clone())
    }

    /// Whether to look at the store now. If so, it notes the look.
    pub(super) fn is_look_due(&self) -> bool {
        let now = Instant::now();
        if self.failure().is_some() {
            return false;
        }
        let last = &mut self.lock().last_look;
        let is_due = last.is_none_or(|last| now >= last + BETWEEN_LOOKS);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    /// Whether the cache has neither taken nor published this revision.
    pub(super) fn is_new(&self, revision: &Revision) -> bool {
        self.lock().known.revision.as_ref() != Some(revision)
    }

    /// Whether the record has this token, as far as the cache knows.
    pub(super) fn is_current(&self, token: &Token) -> bool {
        let known = &self.lock().known.token;
        known
            .as_ref()
            .is_some_and(|known| known.expose() == token.expose())
    }

    /// Whether the record has this token, or had it.
    pub(super) fn is_known(&self, token: &Token) -> bool {
        self.is_current(token) || self.lock().former.has(token.expose())
    }

    /// Whether this is an older record than the last one that is known: a failover may bring one back.
    pub(super) fn is_outdated(&self, credential: &Credential) -> bool {
        let former = &self.lock().former;
        let refresh_token = credential.refresh_token();
        former.has(credential.token().expose())
            || refresh_token.is_some_and(|it| former.has(it.expose()))
    }

    /// Whether nothing was taken from the store or published yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.lock().known.revision.is_none()
    }

    /// Whether other processes may have this refresh token.
    pub(super) fn is_shared(&self, refresh_token: &RefreshToken) -> bool {
        is_same(refresh_token, self.lock().known.refresh_token.as_ref())
    }

    /// Notes what the record has: this process has taken or published it.
    pub(super) fn note(
        &self,
        revision: Revision,
        token: &Token,
        refresh_token: Option<RefreshToken>,
    ) {
        let known = Known {
            revision: Some(revision),
            token: Some(token.clone()),
            refresh_token,
        };
        let mut state = self.lock();
        let last = mem::replace(&mut state.known, known);
        let State { known, former, .. } = &mut *state;
        for secret in last.secrets() {
            former.add(secret);
        }
        for secret in known.secrets() {
            former.remove(secret);
        }
    }

    /// Notes the revision of a record whose token is known.
    pub(super) fn note_revision(&self, revision: Revision) {
        self.lock().known.revision = Some(revision);
    }

    /// Notes a token that the store may have.
    pub(super) fn note_token(&self, token: &Token) {
        self.lock().known.token = Some(token.clone());
    }

    /// Notes the refresh token that other processes may have.
    pub(super) fn note_refresh_token(&self, refresh_token: Option<RefreshToken>) {
        let known = &mut self.lock().known.refresh_token;
        let _dropped_late = mem::replace(known, refresh_token);
    }

    /// Awaits a call of the store, within the budget.
    pub(super) async fn call<'a, T>(
        &self,
        budget: &mut Budget,
        call: impl FnOnce() -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let outcome = time::timeout(budget.left, guarded(call)).await;
        budget.left = budget.left.saturating_sub(started.elapsed());
        outcome.unwrap_or_else(|_| Err(StoreError::new(format!("no answer within {BUDGET:?}"))))
    }
}

/// The time that is left for the store.
pub(super) struct Budget {
    left: Duration,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: BUDGET }
    }
}

/// A record, and the revision that the next publication replaces.
pub(super) struct Opened {
    pub(super) revision: Revision,
    /// `None` if it is damaged.
    pub(super) record: Option<Record>,
}

impl Sharing {
    /// Reads and opens the record. One that is damaged counts as none: the second part is its error.
    pub(super) async fn read(
        &self,
        budget: &mut Budget,
    ) -> Result<(Option<Opened>, Option<StoreError>), StoreError> {
        let SharedAccount {
            store, key, seal, ..
        } = &self.account;
        let stored = match self.call(budget, || store.read(*key)).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok((None, None)),
            Err(error) if error.is_damaged() => return Ok((None, Some(error))),
            Err(error) => return Err(error),
        };
        let revision = stored.revision().clone();
        // The seal is user code.
        let opened = catch(|| stored.open(*key, seal.as_deref()));
        let (record, damage) = match opened.unwrap_or_else(|| Err(panicked())) {
            Ok(record) => (Some(record), None),
            Err(error) if error.is_damaged() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        Ok((Some(Opened { revision, record }), damage))
    }

    /// The bytes of a record. The seal is user code.
    pub(super) fn seal(&self, record: &Record) -> Result<SealedRecord, StoreError> {
        let SharedAccount { key, seal, .. } = &self.account;
        catch(|| record.seal(*key, seal.as_deref())).unwrap_or_else(|| Err(panicked()))
    }
}

impl Cache {
    /// Reports that the store has failed, and leaves it alone for a while.
    pub(super) fn store_failed(&self, sharing: &Sharing, error: StoreError) {
        let left_alone = LeftAlone {
            until: Instant::now() + LEFT_ALONE,
            error: error.clone(),
        };
        let mut state = sharing.lock();
        state.has_failed = true;
        let _dropped_unlocked = state.left_alone.replace(left_alone);
        drop(state);
        self.report_store(error);
    }

    /// Reports an error that is no reason to leave the store alone.
    pub(super) fn report_store(&self, error: StoreError) {
        let event = CredentialEvent::StoreFailed { error };
        self.setup.observers.notify(&event);
    }

    /// Reports that the store works again, if it had failed.
    pub(super) fn store_works(&self, sharing: &Sharing) {
        if mem::take(&mut sharing.lock().has_failed) {
            self.setup
                .observers
                .notify(&CredentialEvent::StoreRecovered);
        }
    }
}
