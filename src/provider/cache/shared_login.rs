//! One login for all processes that share a store.
//!
//! It runs in the task of the one login, and never in a request:
//!
//! ```text
//!          newer                                   newer
//!   read ─────────► adopt             read again ─────────► adopt, unlock
//!    │ ▲                              ▲   │ nothing newer
//!    ▼ └── held: wait                 │   ▼
//!   lock ─────────────────────────────┘  take the refresh token out of the record, log in, publish, unlock
//!                  acquired
//! ```
//!
//! If the store fails at any step, the process goes on alone. A refresh token that other processes may have is
//! not spent then.
//!
//! # Which credential is newer
//!
//! A record with another [`Revision`] and another token than this process has. If this process cannot use it
//! either, it logs in.
//!
//! # Which refresh token is spent
//!
//! | the process has | the record has | spent is |
//! | --- | --- | --- |
//! | none, or one from the store | any | that of the record, if it has one |
//! | one of its own, since it could not publish or the program has set it | any | its own |
//! | one that the program has started with | one | that of the record |
//! | one from the store | is gone, or is damaged | none: another process may have spent it |
//! | any, and does not get the lock | any | none |

use std::{sync::Arc, time::Duration};

use super::{
    Cache, Entry, Source,
    flight::Fate,
    keep_warm::Changes,
    lifespan::Freshness,
    login_task::{Adoption, LoginTask, Obtained, Origin},
    sharing::{Budget, Guarded, NotSpent, Opened, Sharing},
};
use crate::{
    credential::{Credential, RefreshToken},
    error::Error,
    login::LoginReason,
    provider::observers::CredentialEvent,
    runtime::{
        Moment, catch,
        sync::{Instant, time},
    },
    store::{Lock, LockAttempt, Publication, Record, Revision, StoreError},
};

/// The first pause before the lock is tried again. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The part of a pause that no hint of the store shortens.
const SHORTEST_PART: u32 = 8;

impl LoginTask {
    pub(super) async fn log_in_shared(&self, sharing: &Sharing) -> Result<Obtained, Error> {
        if let Some(error) = sharing.failure() {
            return self.log_in_alone(sharing, error).await;
        }
        let store = &sharing.account.store;
        let key = sharing.account.key;
        let lease = Sharing::lease(self.cache.setup.policy.time_to_log_in());
        let waits_until = Instant::now() + lease;
        let mut budget = Budget::new();
        let mut pause = FIRST_PAUSE;
        let mut has_waited = false;
        loop {
            // The wait may have been long.
            if let Some(error) = self.cache.obstacle(&self.flight) {
                return Err(error);
            }
            // Before the record is read: a change after that ends the pause.
            let changed = catch(|| store.changed(key)).flatten();
            let changed = changed.map(|it| Guarded(Some(it)));
            let opened = match sharing.read(&mut budget).await {
                Ok((opened, _)) => opened,
                Err(error) => return self.go_on_alone(sharing, error).await,
            };
            if let Some(adopted) = self.adopt(sharing, opened.as_ref(), has_waited) {
                self.cache.store_works(sharing);
                return Ok(adopted);
            }
            match sharing.call(&mut budget, || store.lock(key, lease)).await {
                Ok(LockAttempt::Acquired(lock)) => {
                    let obtained = self.log_in_locked(sharing, &lock, &mut budget, has_waited);
                    let obtained = obtained.await;
                    self.unlock(sharing, lock, &mut budget).await;
                    if let Some(obtained) = obtained {
                        return obtained;
                    }
                }
                Ok(LockAttempt::Held) => self.cache.store_works(sharing),
                Err(error) => return self.go_on_alone(sharing, error).await,
            }
            if Instant::now() >= waits_until {
                return self.log_in_without_lock(sharing, opened, lease).await;
            }
            let pause_now = pause.mul_f64(0.5 + self.cache.jitter() / 2.0);
            let paused_at = Instant::now();
            match changed {
                Some(changed) => drop(time::timeout(pause_now, changed).await),
                None => time::sleep(pause_now).await,
            }
            // A hint may come at once each time.
            let shortest = (pause_now / SHORTEST_PART).saturating_sub(paused_at.elapsed());
            if !shortest.is_zero() {
                time::sleep(shortest).await;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            budget = Budget::new(); // it has answered
            has_waited = true;
        }
    }

    /// The record's credential, if it is newer and usable.
    fn adopt(
        &self,
        sharing: &Sharing,
        opened: Option<&Opened>,
        has_waited: bool,
    ) -> Option<Obtained> {
        let wants_fresh = self.flight.request().reason() == LoginReason::RefreshAhead;
        let opened = opened?;
        let (mut credential, entry) = self.cache.adoptable(sharing, opened, wants_fresh)?;
        let stored = credential.refresh_token().cloned();
        if let Some(own) = self.flight.refresh_token().take()
            && !gives_way(sharing, &own, stored.as_ref())
        {
            // No other process has it, so the next login spends it.
            credential = credential.with_refresh_token(own);
        }
        let revision = opened.revision.clone();
        sharing.note(revision, credential.token(), stored);
        Some(Obtained {
            credential,
            origin: Origin::Store(Adoption {
                entry,
                explains_rejection: !has_waited,
            }),
        })
    }

    /// `None` if another process has the lock by now, so that it may be logging in.
    async fn log_in_locked(
        &self,
        sharing: &Sharing,
        lock: &Lock,
        budget: &mut Budget,
        has_waited: bool,
    ) -> Option<Result<Obtained, Error>> {
        let opened = match sharing.read(budget).await {
            Ok((opened, damage)) => {
                if let Some(error) = damage {
                    self.cache.report_store(Arc::new(error));
                }
                opened
            }
            Err(error) => return Some(self.go_on_alone(sharing, error).await),
        };
        self.cache.store_works(sharing);
        if let Some(adopted) = self.adopt(sharing, opened.as_ref(), has_waited) {
            return Some(Ok(adopted));
        }
        let mut previous = opened.as_ref().map(|it| it.revision.clone());
        let slot = self.flight.refresh_token();
        let record = match opened {
            Some(Opened {
                revision,
                record: Some(record),
            }) => Some(self.take_over(sharing, revision, record)),
            _ => {
                // Gone or damaged: another process may have spent the refresh token before.
                let is_shared = |own| sharing.is_shared(&own);
                if !sharing.is_untouched() && slot.peek().is_some_and(is_shared) {
                    drop(slot.take());
                }
                None
            }
        };
        let spends_shared = slot.peek().is_some_and(|it| sharing.is_shared(&it));
        let (mut barrier, mut taken_out) = (None, None);
        if let Some(record) = record.filter(|_| spends_shared) {
            // Before it is spent: after a crash, no other process may spend it again.
            let without = record.clone().without_refresh_token();
            let publication = self.publish(sharing, lock, previous.as_ref(), &without, budget);
            match publication.await {
                Ok(revision) => {
                    sharing.note_revision(revision.clone());
                    (previous, taken_out) = (Some(revision), Some(record));
                }
                Err(unpublished) if unpublished.is_refused => return None,
                Err(unpublished) => barrier = Some(unpublished.error),
            }
        }
        let obtained = self.log_in_barred(barrier).await;
        *budget = Budget::new();
        match &obtained {
            Ok(obtained) if self.cache.fate(&self.flight) == Fate::Published => {
                self.share(sharing, lock, previous.as_ref(), obtained, budget)
                    .await;
            }
            Ok(_) => {}
            Err(_) => {
                if let (Some(record), Some(_unspent)) = (taken_out, slot.peek()) {
                    let publication =
                        self.publish(sharing, lock, previous.as_ref(), &record, budget);
                    if let Ok(revision) = publication.await {
                        sharing.note_revision(revision);
                    }
                }
            }
        }
        Some(obtained)
    }

    /// Gives the login the refresh token of a record that is new to this process, unless it has one of its own.
    fn take_over(&self, sharing: &Sharing, revision: Revision, record: Record) -> Record {
        let now = Moment::of(&*self.cache.setup.clock);
        let credential = record.credential(now.wall);
        let refresh_token = credential.refresh_token().cloned();
        let refresh_token = refresh_token.map(|token| token.counted_from(now));
        let is_new = sharing.is_new(&revision);
        let slot = self.flight.refresh_token();
        let gives_way = match slot.peek() {
            Some(own) => is_new && gives_way(sharing, &own, refresh_token.as_ref()),
            // One that is known: unless the program has signed out, its own was spent instead of it.
            None => {
                is_new
                    || refresh_token
                        .as_ref()
                        .is_some_and(|it| sharing.is_shared(it))
            }
        };
        if gives_way {
            drop(slot.take());
            if let Some(token) = refresh_token.clone().filter(|token| !token.is_expired(now)) {
                slot.put_back(token);
            }
        }
        if !is_new {
            return record;
        }
        sharing.note(revision, credential.token(), refresh_token);
        record
    }

    /// Publishes what a login has brought.
    async fn share(
        &self,
        sharing: &Sharing,
        lock: &Lock,
        previous: Option<&Revision>,
        obtained: &Obtained,
        budget: &mut Budget,
    ) {
        let Origin::Login { sent } = obtained.origin else {
            return;
        };
        let now = Moment::of(&*self.cache.setup.clock);
        let mut credential = obtained.credential.clone();
        // The next login gets the new one, or the unspent one.
        if credential.refresh_token().is_none()
            && let Some(unspent) = self.flight.refresh_token().peek()
        {
            credential = credential.with_refresh_token(unspent);
        }
        let used = now.monotonic.saturating_duration_since(sent.monotonic);
        let record = Record::new(&credential.clone().later_by(used), now.wall);
        let refresh_token = credential.refresh_token().cloned();
        match self.publish(sharing, lock, previous, &record, budget).await {
            Ok(revision) => sharing.note(revision, credential.token(), refresh_token),
            Err(unpublished) if unpublished.is_refused => sharing.note_refresh_token(None),
            // The store may have it.
            Err(_) => {
                sharing.note_token(credential.token());
                sharing.note_refresh_token(refresh_token);
            }
        }
    }

    async fn publish(
        &self,
        sharing: &Sharing,
        lock: &Lock,
        previous: Option<&Revision>,
        record: &Record,
        budget: &mut Budget,
    ) -> Result<Revision, Unpublished> {
        let published = match sharing.seal(record) {
            Ok(sealed) => {
                let store = &sharing.account.store;
                let call = || store.publish(lock, previous, sealed);
                sharing.call(budget, call).await
            }
            Err(error) => Err(error),
        };
        match published {
            Ok(Publication::Published(revision)) => Ok(revision),
            Ok(Publication::Refused) => {
                let error = Arc::new(StoreError::refused());
                self.cache.report_store(Arc::clone(&error));
                Err(Unpublished {
                    error,
                    is_refused: true,
                })
            }
            Err(error) => Err(Unpublished {
                error: self.cache.store_failed(sharing, error),
                is_refused: false,
            }),
        }
    }

    /// If it fails, the lock is free when its lease is over.
    async fn unlock(&self, sharing: &Sharing, lock: Lock, budget: &mut Budget) {
        if sharing.failure().is_some() {
            let _ = catch(|| drop(lock));
            return;
        }
        let call = || sharing.account.store.unlock(lock);
        if let Err(error) = sharing.call(budget, call).await {
            self.cache.store_failed(sharing, error);
        }
    }

    async fn go_on_alone(&self, sharing: &Sharing, error: StoreError) -> Result<Obtained, Error> {
        let error = self.cache.store_failed(sharing, error);
        self.log_in_alone(sharing, error).await
    }

    /// Logs in, and spends no refresh token that other processes may have.
    async fn log_in_alone(
        &self,
        sharing: &Sharing,
        error: Arc<StoreError>,
    ) -> Result<Obtained, Error> {
        let own = self.flight.refresh_token().peek();
        let spends_shared = own.is_some_and(|it| sharing.is_shared(&it));
        self.log_in_barred(spends_shared.then_some(error)).await
    }

    /// Logs in without the refresh token if the store has this error.
    async fn log_in_barred(&self, barrier: Option<Arc<StoreError>>) -> Result<Obtained, Error> {
        let Some(barrier) = barrier else {
            return self.log_in(None).await;
        };
        let not_spent = || NotSpent::new(Arc::clone(&barrier));
        let obtained = self.log_in(Some(not_spent().into())).await;
        // The refresh token may be the only way: then the login's own error misleads.
        obtained.map_err(|error| match error.is_login_failed() {
            true => Error::login_failed(not_spent().and(error)),
            false => error,
        })
    }

    async fn log_in_without_lock(
        &self,
        sharing: &Sharing,
        opened: Option<Opened>,
        waited: Duration,
    ) -> Result<Obtained, Error> {
        let error = StoreError::locked(waited);
        if !sharing.account.logs_in_without_lock {
            return Err(Error::login_failed(error));
        }
        let error = Arc::new(error);
        self.cache.report_store(Arc::clone(&error));
        let has_own = self.flight.refresh_token().peek().is_some();
        let obtained = self.log_in_barred(has_own.then_some(error)).await?;
        if self.cache.fate(&self.flight) != Fate::Published {
            return Ok(obtained);
        }
        let mut budget = Budget::new();
        let store = &sharing.account.store;
        let lease = Sharing::lease(Duration::ZERO);
        let attempt = sharing.call(&mut budget, || store.lock(sharing.account.key, lease));
        match attempt.await {
            Ok(LockAttempt::Acquired(lock)) => {
                let previous = opened.map(|it| it.revision);
                let share = self.share(sharing, &lock, previous.as_ref(), &obtained, &mut budget);
                share.await;
                self.unlock(sharing, lock, &mut budget).await;
            }
            Ok(LockAttempt::Held) => {}
            Err(error) => drop(self.cache.store_failed(sharing, error)),
        }
        Ok(obtained)
    }
}

/// Why a record was not published.
struct Unpublished {
    error: Arc<StoreError>,
    /// Then the store surely does not have it.
    is_refused: bool,
}

/// Whether the refresh token of this process gives way to that of a newer record.
fn gives_way(sharing: &Sharing, own: &RefreshToken, stored: Option<&RefreshToken>) -> bool {
    sharing.is_shared(own) || (sharing.is_untouched() && stored.is_some())
}

impl Cache {
    /// The credential of the record, if it is newer than that of this process and usable.
    fn adoptable(
        &self,
        sharing: &Sharing,
        opened: &Opened,
        wants_fresh: bool,
    ) -> Option<(Credential, Arc<Entry>)> {
        let record = opened.record.as_ref()?;
        let now = Moment::of(&*self.setup.clock);
        let credential = record.credential(now.wall);
        if !sharing.is_new(&opened.revision) || sharing.is_known(credential.token()) {
            return None;
        }
        let entry = self.entry(&credential, Source::Caller(now), now);
        let is_usable = match entry.lifespan.freshness(|| now) {
            Freshness::Fresh => true,
            Freshness::Aging => !wants_fresh,
            Freshness::Expired => false,
        };
        (is_usable && !self.has_token_of(&entry)).then_some((credential, entry))
    }

    /// Whether the current or the rejected credential has the same token.
    fn has_token_of(&self, entry: &Entry) -> bool {
        let locked = self.lock();
        let current = self.current.load_full();
        let rejected = locked.rejected.as_ref().map(|it| &it.entry);
        let value = entry.authorization.value();
        [current.as_ref(), rejected]
            .into_iter()
            .flatten()
            .any(|own| own.authorization.value() == value)
    }

    /// Looks at the store in the background, at most once in a second: another process may have a newer
    /// credential, although this one may not log in now.
    #[cold]
    pub(super) fn look_at_store(self: &Arc<Self>) {
        let sharing = self.setup.sharing.as_deref();
        let runtime = self.login_runtime();
        if sharing.is_some_and(Sharing::is_look_due)
            && let Some(runtime) = runtime
        {
            let cache = Arc::clone(self);
            runtime.spawn(async move { cache.adopt_newer().await });
        }
    }

    async fn adopt_newer(self: &Arc<Self>) {
        let Some(sharing) = &self.setup.sharing else {
            return;
        };
        let before = self.generation();
        let opened = match sharing.read(&mut Budget::new()).await {
            Ok((opened, _)) => opened,
            Err(error) => return drop(self.store_failed(sharing, error)),
        };
        self.store_works(sharing);
        let Some(opened) = opened else { return };
        let Some((credential, entry)) = self.adoptable(sharing, &opened, false) else {
            return;
        };
        let now = Moment::of(&*self.setup.clock);
        let refresh_token = credential.refresh_token().cloned();
        let mut locked = self.lock();
        // A flight reads the store itself. The record may be of a user who has signed out since, or older than
        // what this process has got since.
        if locked.flight.is_some()
            || self.generation() != before
            || locked.is_signed_out
            || locked.is_evicted
            || entry.authorization.owner().sign_outs != self.sign_outs()
        {
            return;
        }
        let own = locked.refresh_token.as_ref();
        if own.is_none_or(|own| gives_way(sharing, own, refresh_token.as_ref())) {
            let taken = refresh_token.clone().map(|token| token.counted_from(now));
            locked.refresh_token = taken;
            locked.is_refresh_token_unstored = false;
        }
        sharing.note(opened.revision, credential.token(), refresh_token);
        locked.back_off = super::BackOff::default();
        let _dropped_unlocked = locked.failure.take();
        locked.rejections.replaced_by_fleet();
        locked.counts.adoptions += 1;
        let generation = entry.generation();
        self.publish(&mut locked, entry, now);
        self.start_expiry_timer(&mut locked, now);
        let changes = locked.changes.clone();
        drop(locked);
        self.measure_expiry();
        let event = CredentialEvent::Adopted { generation };
        self.setup.observers.notify(&event);
        Changes::notify(changes.as_deref());
    }
}
