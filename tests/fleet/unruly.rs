//! A store in memory that can be made to fail.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_bearer::store::{
    CredentialStore, Lock, LockAttempt, MemoryStore, Publication, RecordKey, Revision,
    SealedRecord, StoreError, StoreFuture, Stored,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Works,
    Fails,
    Hangs,
    Panics,
    /// Another process has the lock at each attempt.
    Locked,
    /// The record is of a newer version of the crate.
    OtherVersion,
}

#[derive(Clone, Default)]
pub(crate) struct Unruly {
    store: MemoryStore,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: usize,
    mode: Mode,
    /// The mode after so many calls.
    next: Option<(usize, Mode)>,
}

impl Unruly {
    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    pub(crate) fn set_after(&self, calls: usize, mode: Mode) {
        self.state.lock().unwrap().next = Some((calls, mode));
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    fn mode(&self) -> Mode {
        let mut state = self.state.lock().unwrap();
        if let Some((calls, mode)) = state.next
            && state.calls == calls
        {
            state.mode = mode;
        }
        state.calls += 1;
        state.mode
    }

    fn guard<'a, T: Send + 'a>(&self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match self.mode() {
            Mode::Works | Mode::Locked => call,
            Mode::Fails => Box::pin(async { Err(StoreError::new("connection refused")) }),
            Mode::Hangs => Box::pin(pending()),
            Mode::Panics => Box::pin(async { panic!("expected") }),
            Mode::OtherVersion => Box::pin(async { Err(StoreError::other_version("newer")) }),
        }
    }
}

impl CredentialStore for Unruly {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        self.guard(self.store.read(key))
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        if self.state.lock().unwrap().mode == Mode::Locked {
            return Box::pin(async { Ok(LockAttempt::Held) });
        }
        self.guard(self.store.lock(key, lease))
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        self.guard(self.store.publish(lock, previous, record))
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        self.guard(self.store.remove(lock))
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        self.guard(self.store.unlock(lock))
    }
}
