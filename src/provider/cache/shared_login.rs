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
//! | one from the store | is gone, damaged, or older than what the process knows | that one, if the login has no other way: another process may have spent it |
//! | any, and does not get the lock | any | none |

mod adopt;
mod alone;

use std::{sync::Arc, time::Duration};

use self::adopt::gives_way;
use super::{
    flight::Fate,
    login_task::{LoginTask, Obtained, Origin},
    sharing::{Budget, Guarded, Opened, Sharing, guarded},
};
use crate::{
    error::Error,
    runtime::{
        Moment, catch,
        sync::{Handle, Instant, time},
    },
    store::{Lock, LockAttempt, Publication, Record, Revision, StoreError},
};

/// The first pause before the lock is tried again. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long a lock is given back in the background, after the store has failed.
const UNLOCK_WITHIN: Duration = Duration::from_secs(5);

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
                    self.cache.report_store(error);
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
        let record = opened.and_then(|it| self.take_over(sharing, it));
        let spends_shared = slot.peek().is_some_and(|it| sharing.is_shared(&it));
        let is_record_lost = spends_shared && record.is_none();
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
                Err(error) if error.is_refused() => return None,
                Err(error) => barrier = Some(error),
            }
        }
        let obtained = match is_record_lost {
            true => self.log_in_without_record().await,
            false => self.log_in_barred(barrier).await,
        };
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
    /// `None` if the record is damaged or outdated.
    fn take_over(&self, sharing: &Sharing, opened: Opened) -> Option<Record> {
        let record = opened.record?;
        let now = Moment::of(&*self.cache.setup.clock);
        let credential = record.credential(now.wall);
        if sharing.is_outdated(&credential) {
            return None;
        }
        let stored = credential.refresh_token().cloned();
        let stored = stored.map(|token| token.counted_from(now));
        let is_new = sharing.is_new(&opened.revision);
        let slot = self.flight.refresh_token();
        let gives_way = match slot.peek() {
            Some(own) => is_new && gives_way(sharing, &own, stored.as_ref()),
            // Of a record that is known: one of its own was spent instead, unless a sign-out has dropped it.
            None => is_new || stored.as_ref().is_some_and(|it| sharing.is_shared(it)),
        };
        if gives_way {
            drop(slot.take());
            if let Some(token) = stored.clone().filter(|token| !token.is_expired(now)) {
                slot.put_back(token);
            }
        }
        if is_new {
            sharing.note(opened.revision, credential.token(), stored);
        }
        Some(record)
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
            // The store surely does not have it.
            Err(error) if error.is_refused() => sharing.note_refresh_token(None),
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
    ) -> Result<Revision, StoreError> {
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
                let error = StoreError::refused();
                self.cache.report_store(error.clone());
                Err(error)
            }
            Err(error) => {
                self.cache.store_failed(sharing, error.clone());
                Err(error)
            }
        }
    }

    /// If it fails, the lock is free when its lease is over.
    async fn unlock(&self, sharing: &Sharing, lock: Lock, budget: &mut Budget) {
        if sharing.failure().is_some() {
            // The login does not wait for it, and other processes need not wait for the end of the lease.
            let store = Arc::clone(&sharing.account.store);
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(async move {
                    let call = guarded(|| store.unlock(lock));
                    let _ = time::timeout(UNLOCK_WITHIN, call).await;
                });
            }
            return;
        }
        let call = || sharing.account.store.unlock(lock);
        if let Err(error) = sharing.call(budget, call).await {
            self.cache.store_failed(sharing, error);
        }
    }
}
