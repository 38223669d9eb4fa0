//! A store in memory that calls a function around each step.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tower_bearer::store::{
    CredentialStore, Lock, LockAttempt, MemoryStore, Publication, RecordKey, Revision,
    SealedRecord, StoreFuture, Stored,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Read,
    Lock,
    Publish,
    Unlock,
}

/// When the function is called: before the step has its effect, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

pub(crate) type Hint = Pin<Box<dyn Future<Output = ()> + Send>>;
type Act = dyn Fn(Step, When) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Watched {
    store: MemoryStore,
    act: Arc<Act>,
    hint: Arc<dyn Fn() -> Option<Hint> + Send + Sync>,
}

impl Watched {
    pub(crate) fn new<F>(
        store: &MemoryStore,
        act: impl Fn(Step, When) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            store: store.clone(),
            act: Arc::new(move |step, when| Box::pin(act(step, when))),
            hint: Arc::new(|| None),
        }
    }

    /// With these futures for changes.
    pub(crate) fn with_hint(self, hint: impl Fn() -> Option<Hint> + Send + Sync + 'static) -> Self {
        Self {
            hint: Arc::new(hint),
            ..self
        }
    }

    fn around<'a, T: Send + 'a>(
        &'a self,
        step: Step,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            (self.act)(step, When::Before).await;
            let outcome = call.await;
            (self.act)(step, When::After).await;
            outcome
        })
    }
}

impl CredentialStore for Watched {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        self.around(Step::Read, self.store.read(key))
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        self.around(Step::Lock, self.store.lock(key, lease))
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        self.around(Step::Publish, self.store.publish(lock, previous, record))
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        self.store.remove(lock)
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        self.around(Step::Unlock, self.store.unlock(lock))
    }

    fn changed(&self, _key: RecordKey) -> Option<Hint> {
        (self.hint)()
    }
}
