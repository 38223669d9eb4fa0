//! Adopts what another process has published: in a login, or by a look in the background.

use std::{sync::Arc, time::Duration};

use crate::{
    credential::{Credential, RefreshToken},
    login::LoginReason,
    provider::{
        cache::{
            Cache, Entry, Source,
            backoff::BackOff,
            keep_warm::Changes,
            login_task::{Adoption, LoginTask, Obtained, Origin},
            sharing::{Budget, Opened, Sharing},
        },
        observers::CredentialEvent,
    },
    runtime::Moment,
};

impl LoginTask {
    /// The record's credential, if it is newer and usable.
    pub(super) fn adopt(
        &self,
        sharing: &Sharing,
        opened: Option<&Opened>,
        has_waited: bool,
    ) -> Option<Obtained> {
        let is_in_use = self.flight.request().reason() == LoginReason::RefreshAhead;
        let opened = opened?;
        let (mut credential, entry) = self.cache.adoptable(sharing, opened, is_in_use)?;
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
}

/// Whether the refresh token of this process gives way to that of a newer record.
pub(super) fn gives_way(
    sharing: &Sharing,
    own: &RefreshToken,
    stored: Option<&RefreshToken>,
) -> bool {
    sharing.is_shared(own) || (sharing.is_untouched() && stored.is_some())
}

impl Cache {
    /// The credential of the record, if it is newer than that of this process and usable. If that of this process
    /// is in use, the other one must last longer.
    fn adoptable(
        &self,
        sharing: &Sharing,
        opened: &Opened,
        is_in_use: bool,
    ) -> Option<(Credential, Arc<Entry>)> {
        let record = opened.record.as_ref()?;
        let now = Moment::of(&*self.setup.clock);
        let credential = record.credential(now.wall);
        if !sharing.is_new(&opened.revision) || sharing.is_known(credential.token()) {
            return None;
        }
        let entry = self.entry(&credential, Source::Caller(now), now);
        let is_usable = entry.lifespan.outlasts(now, Duration::ZERO)
            && !self.has_token_of(&entry)
            && (!is_in_use || self.is_outlasted_by(&entry, now));
        is_usable.then_some((credential, entry))
    }

    /// Whether the current credential ends before this one.
    fn is_outlasted_by(&self, entry: &Entry, now: Moment) -> bool {
        let current = self.current.load_full();
        let left = current.and_then(|current| current.lifespan.left(now));
        left.is_none_or(|left| entry.lifespan.outlasts(now, left))
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
    pub(in crate::provider::cache) fn look_at_store(self: &Arc<Self>) {
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
            Err(error) => return self.store_failed(sharing, error),
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
        locked.back_off = BackOff::default();
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
