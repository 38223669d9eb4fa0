//! What the user of a provider orders. Each command takes effect at once, and none of them waits for the
//! login under way: it goes on, so that there is one login at a time, and its outcome is discarded.
//!
//! | command | credential | refresh token | waiters | the next request |
//! | --- | --- | --- | --- | --- |
//! | `reset` | dropped | kept | wait for the next login | logs in |
//! | `set_credential` | replaced | replaced by a new one, if there is one | get the credential | gets the credential |
//! | `sign_out` | dropped | dropped | fail | fails |
//!
//! What becomes of the discarded login:
//!
//! | discarded by | its credential | its refresh token |
//! | --- | --- | --- |
//! | `reset` | retired | kept |
//! | `set_credential` | retired | kept, unless the command brought one: then retired |
//! | `sign_out` | retired | retired |
//!
//! # Users
//!
//! Somebody else may sign in after a sign-out. No request that was made before is sent for the new user:
//!
//! | the request | at a sign-out |
//! | --- | --- |
//! | waits for a login | is woken, and fails |
//! | has its authorization, and waits for the inner service | fails when that is ready |
//! | is with the server, and is rejected later | its generation is no longer known: no login, no replay |
//! | was rejected, and is about to be replayed | its generation is older than the sign-out: it fails |

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Cache, Entry, Locked, backoff::BackOff, flight::Flight, keep_warm::Changes, lifespan::Source,
    login_task::Success, rejections::Rejections,
};
use crate::{
    credential::{Authorization, Credential, Generation, RefreshToken},
    error::Error,
    provider::{
        hooks::{Retired, Retirement},
        observers::CredentialEvent,
    },
    runtime::{Moment, sync::MutexGuard},
};

/// The command that has made the outcome of a login obsolete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discard {
    Reset,
    Replaced,
    SignedOut,
}

impl Cache {
    /// Makes the next request log in, whatever failed or was rejected before.
    pub(in crate::provider) fn reset(&self) {
        let mut locked = self.lock();
        locked.is_signed_out = false;
        locked.discard_flight(Discard::Reset);
        let dropped = self.forget_credential(&mut locked);
        let changes = locked.changes.clone();
        drop(locked);
        self.measure_expiry();
        self.retire(dropped.entry.as_deref(), None, Retirement::Replaced);
        Changes::notify(changes.as_deref());
    }

    /// Drops the credential and the refresh token. Until somebody signs in, requests fail.
    pub(in crate::provider) fn sign_out(&self) {
        let mut locked = self.lock();
        locked.is_signed_out = true;
        locked.signed_out_at = Some(Generation::next());
        locked.issued.clear();
        // Before the waiters are woken: they compare the number.
        let sign_outs = self.sign_outs.load(Ordering::Relaxed);
        self.sign_outs.store(sign_outs + 1, Ordering::Release);
        locked.discard_flight(Discard::SignedOut);
        let flight = locked.flight.clone();
        let dropped = self.forget_credential(&mut locked);
        let held = locked.refresh_token.take();
        drop(locked);
        #[cfg(feature = "store")]
        if let Some(sharing) = &self.setup.sharing {
            // The next user does not get it from a record that is known.
            sharing.note_refresh_token(None);
        }
        // A login under way cannot take it any more.
        let untaken = flight
            .as_ref()
            .and_then(|flight| flight.refresh_token().take())
            .filter(|untaken| !is_same(untaken, held.as_ref()));
        self.measure_expiry();
        self.setup.observers.notify(&CredentialEvent::SignedOut);
        self.retire(dropped.entry.as_deref(), held, Retirement::SignedOut);
        self.retire(None, untaken, Retirement::SignedOut);
        if let Some(flight) = flight {
            flight.wake();
        }
    }

    /// Makes a credential from the caller the current one, or only if it replaces this generation.
    /// Returns whether it did.
    pub(in crate::provider) fn set_credential(
        self: &Arc<Self>,
        credential: &Credential,
        replaced: Option<Generation>,
    ) -> bool {
        let is_wanted = || replaced.is_none() || self.generation() == replaced;
        let sign_outs = self.sign_outs();
        if !is_wanted() {
            return false;
        }
        self.setup.hooks.credential(credential);
        let (mut locked, entry, now) = loop {
            let now = Moment::of(&*self.setup.clock);
            let entry = self.entry(credential, Source::Caller(now), now);
            let locked = self.lock();
            // A sign-out may have come since: the credential belongs to the user after it.
            if entry.authorization.owner().sign_outs == self.sign_outs() {
                break (locked, entry, now);
            }
        };
        if !is_wanted() {
            // The hook may have stored it.
            let held = locked.refresh_token.as_ref();
            let refresh_token = credential.refresh_token().filter(|it| !is_same(it, held));
            let refresh_token = refresh_token.cloned();
            drop(locked);
            let reason = match self.is_signed_out_since(sign_outs) {
                true => Retirement::SignedOut,
                false => Retirement::Replaced,
            };
            self.retire(Some(&entry), refresh_token, reason);
            return false;
        }
        locked.is_signed_out = false;
        locked.discard_flight(Discard::Replaced);
        let refresh_token = credential.refresh_token().cloned();
        let refresh_token = refresh_token.map(|token| token.counted_from(now));
        locked.is_refresh_token_unstored &= refresh_token.is_none();
        let unspent = refresh_token.and_then(|new| locked.refresh_token.replace(new));
        let unspent = unspent.filter(|it| !is_same(it, locked.refresh_token.as_ref()));
        // The state of the rules stays: at some APIs, each answer brings the next token.
        locked.back_off = BackOff::default();
        let _dropped_unlocked = locked.failure.take();
        let generation = entry.generation();
        let replaced = self.publish(&mut locked, entry, now);
        self.start_expiry_timer(&mut locked, now);
        let flight = locked.flight.clone();
        let changes = locked.changes.clone();
        drop(locked);
        self.measure_expiry();
        let event = CredentialEvent::CredentialSet { generation };
        self.setup.observers.notify(&event);
        self.retire(replaced.as_deref(), unspent, Retirement::Replaced);
        if let Some(flight) = flight {
            flight.wake();
        }
        Changes::notify(changes.as_deref());
        true
    }

    /// Waits until no login is under way, and the observers of the last one have run.
    pub(in crate::provider) async fn settled(self: &Arc<Self>) {
        while let Some(flight) = self.login_under_way() {
            let wait = flight.timed_wait();
            // It may have been completed before the wait began.
            if flight.outcome().is_none() && wait.await.is_err() {
                self.lose_login(&flight);
            }
        }
    }

    fn login_under_way(&self) -> Option<Arc<Flight<Arc<Entry>>>> {
        let last = self.lock().last_flight.upgrade();
        last.filter(|flight| flight.outcome().is_none())
    }

    /// The number of sign-outs so far, modulo 2^32.
    pub(super) fn sign_outs(&self) -> u32 {
        self.sign_outs.load(Ordering::Acquire) as u32
    }

    /// Why a login that has not begun yet must not begin any more.
    pub(super) fn obstacle(&self, flight: &Arc<Flight<Arc<Entry>>>) -> Option<Error> {
        let locked = self.lock();
        if !locked.has_flight(flight) {
            return Some(Error::login_lost());
        }
        let is_signed_out = locked.discarded_by == Some(Discard::SignedOut);
        is_signed_out.then(Error::signed_out)
    }

    /// Whether its user has signed out.
    pub(in crate::provider) fn is_withdrawn(&self, held: &Authorization) -> bool {
        self.is_signed_out_since(held.owner().sign_outs)
    }

    /// Whether a request that began after so many sign-outs belongs to a previous user.
    pub(super) fn is_signed_out_since(&self, sign_outs: u32) -> bool {
        self.sign_outs() != sign_outs
    }

    /// Drops the credential, the failure and the state of the rules. The caller drops the result without
    /// the lock: an error contains a user's error, whose drop is user code.
    #[must_use]
    fn forget_credential(&self, locked: &mut Locked) -> Dropped {
        let current = self.set_current(locked, None);
        let rejected = locked.rejected.take().map(|rejected| rejected.entry);
        locked.back_off = BackOff::default();
        locked.rejections = Rejections::new(self.setup.policy.pauses());
        self.update_awaited(locked);
        Dropped {
            entry: current.or(rejected),
            _failure: locked.failure.take(),
        }
    }

    /// Tells the hook that neither the entry nor the refresh token is used any more.
    pub(super) fn retire(
        &self,
        entry: Option<&Entry>,
        refresh_token: Option<RefreshToken>,
        reason: Retirement,
    ) {
        let hooks = &self.setup.hooks;
        if hooks.wants_retired() {
            // Some servers return the same token again: it must not be revoked.
            let current = self.current.load();
            let in_use = current.as_ref().map(|it| it.authorization.value());
            let entry = entry.filter(|entry| Some(entry.authorization.value()) != in_use);
            let credential = entry.and_then(|entry| entry.credential.clone());
            // Other processes may use what the record has. After a sign-out, the program decides.
            #[cfg(feature = "store")]
            let (credential, refresh_token) = match &self.setup.sharing {
                Some(sharing) if reason == Retirement::Replaced => (
                    credential.filter(|it| !sharing.is_current(it.token())),
                    refresh_token.filter(|it| !sharing.is_shared(it)),
                ),
                _ => (credential, refresh_token),
            };
            hooks.retired(Retired::new(credential, refresh_token, reason));
        }
    }

    /// Completes a flight whose outcome is obsolete.
    pub(super) fn discard_login(
        &self,
        mut locked: MutexGuard<'_, Locked>,
        flight: &Flight<Arc<Entry>>,
        outcome: Result<Success, Error>,
        left: Option<RefreshToken>,
        discard: Discard,
    ) {
        let (entry, mut newest, unspent, error) = match outcome {
            // The login did without the one that is left, and may have brought another.
            Ok(success) if success.adoption.is_none() => {
                (Some(success.entry), success.refresh_token, left, None)
            }
            // Other processes use it.
            Ok(_) => (None, left, None, None),
            Err(error) => {
                let left = left.or_else(|| flight.refresh_token().close());
                (None, left, None, Some(error))
            }
        };
        if locked.keeps_refresh_token_after(discard) {
            locked.refresh_token = newest.take();
            let is_new = entry.is_some();
            locked.is_refresh_token_unstored |= is_new && self.setup.hooks.on_unspent.is_none();
        }
        let held = locked.refresh_token.clone();
        locked.counts.discarded_logins += 1;
        let waits = mem::take(&mut locked.waits);
        let changes = locked.changes.clone();
        drop(locked);
        let event = CredentialEvent::LoginDiscarded {
            error,
            reason: flight.request().reason(),
            duration: flight.duration(),
        };
        let observers = &self.setup.observers;
        observers.login_ended(flight.span(), &event, waits);
        let reason = match discard {
            Discard::SignedOut => Retirement::SignedOut,
            Discard::Reset | Discard::Replaced => Retirement::Replaced,
        };
        let is_held = |token: &RefreshToken| is_same(token, held.as_ref());
        self.retire(entry.as_deref(), newest.filter(|it| !is_held(it)), reason);
        self.retire(None, unspent.filter(|it| !is_held(it)), reason);
        flight.complete(Err(Error::reset()));
        Changes::notify(changes.as_deref());
    }
}

/// Whether the provider goes on with the same refresh token: then it must not be revoked.
pub(super) fn is_same(token: &RefreshToken, held: Option<&RefreshToken>) -> bool {
    held.is_some_and(|held| held.expose() == token.expose())
}

/// What a command has dropped.
struct Dropped {
    entry: Option<Arc<Entry>>,
    _failure: Option<Error>,
}

impl Locked {
    /// Whether a discarded login's refresh token is for the next login. One that was handed in
    /// meanwhile is newer, also if a reset came after it.
    pub(super) fn keeps_refresh_token_after(&self, discard: Discard) -> bool {
        discard != Discard::SignedOut && self.refresh_token.is_none()
    }

    /// Marks the outcome of the login under way as obsolete. A sign-out outweighs later commands.
    fn discard_flight(&mut self, discard: Discard) {
        if self.flight.is_some() && self.discarded_by != Some(Discard::SignedOut) {
            self.discarded_by = Some(discard);
        }
    }
}
