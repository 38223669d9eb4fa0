//! The network between the instances and the store, with its dice.

use std::{
    future::pending,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_bearer::store::{
    CredentialStore, Lock, LockAttempt, MemoryStore, Publication, RecordKey, Revision,
    SealedRecord, StoreFuture, Stored,
};

/// Random numbers of one instance, from the seed of the scenario.
#[derive(Clone)]
pub(crate) struct Dice(Arc<Mutex<fastrand::Rng>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// A number from 0 to 1.
    pub(crate) fn part(&self) -> f64 {
        self.0.lock().unwrap().f64()
    }

    pub(crate) fn milliseconds(&self, range: Range<u64>) -> Duration {
        let micros = range.start * 1000..range.end * 1000;
        Duration::from_micros(self.0.lock().unwrap().u64(micros))
    }

    /// The time until the next event of a kind that comes at random, by its mean.
    pub(crate) fn next(&self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.part()).ln())
    }
}

/// What a store can do beyond the minimum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abilities {
    pub(crate) knows_ages: bool,
    pub(crate) reports_changes: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StoreTally {
    pub(crate) operations: u64,
    pub(crate) refused: u64,
    /// The most operations in a second, and the second that counts now with its operations.
    pub(crate) most_in_a_second: u64,
    second: (u64, u64),
}

impl StoreTally {
    fn count(&mut self, second: u64) {
        self.operations += 1;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.most_in_a_second = self.most_in_a_second.max(self.second.1);
    }
}

/// What all instances share of the network.
#[derive(Clone)]
pub(crate) struct Network(Arc<Shared>);

struct Shared {
    store: MemoryStore,
    abilities: Abilities,
    instances: usize,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Instances that cannot reach the store.
    cut_off: Range<usize>,
    tally: StoreTally,
}

impl Network {
    pub(crate) fn new(instances: usize, abilities: Abilities) -> Self {
        Self(Arc::new(Shared {
            store: MemoryStore::new(),
            abilities,
            instances,
            started: Instant::now(),
            state: Mutex::default(),
        }))
    }

    pub(crate) fn instances(&self) -> usize {
        self.0.instances
    }

    pub(crate) fn cut_off(&self, instances: Range<usize>) {
        self.0.state.lock().unwrap().cut_off = instances;
    }

    pub(crate) fn is_cut_off(&self, instance: usize) -> bool {
        self.0.state.lock().unwrap().cut_off.contains(&instance)
    }

    pub(crate) fn tally(&self) -> StoreTally {
        self.0.state.lock().unwrap().tally.clone()
    }

    /// The store, as one instance reaches it.
    pub(crate) fn store(&self, instance: usize, dice: Dice) -> RemoteStore {
        RemoteStore {
            network: self.clone(),
            instance,
            dice,
        }
    }
}

#[derive(Clone)]
pub(crate) struct RemoteStore {
    network: Network,
    instance: usize,
    dice: Dice,
}

impl RemoteStore {
    /// One way over the network. A message to or from an instance that is cut off is lost.
    async fn travel(&self) {
        sleep(self.dice.milliseconds(0..2)).await;
        if self.network.is_cut_off(self.instance) {
            pending::<()>().await;
        }
    }

    /// Counts the operation. It may be done although its answer is lost.
    async fn ask<T>(&self, call: StoreFuture<'_, T>) -> Result<T, tower_bearer::store::StoreError> {
        let second = self.network.0.started.elapsed().as_secs();
        self.network.0.state.lock().unwrap().tally.count(second);
        self.travel().await;
        let answer = call.await;
        self.travel().await;
        answer
    }

    fn store(&self) -> &MemoryStore {
        &self.network.0.store
    }
}

impl CredentialStore for RemoteStore {
    fn read(&self, key: RecordKey) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(async move {
            let stored = self.ask(self.store().read(key)).await?;
            if self.network.0.abilities.knows_ages {
                return Ok(stored);
            }
            Ok(stored.map(|it| Stored::new(it.revision().clone(), it.record().clone())))
        })
    }

    fn lock(&self, key: RecordKey, lease: Duration) -> StoreFuture<'_, LockAttempt> {
        Box::pin(self.ask(self.store().lock(key, lease)))
    }

    fn publish<'a>(
        &'a self,
        lock: &'a Lock,
        previous: Option<&'a Revision>,
        record: SealedRecord,
    ) -> StoreFuture<'a, Publication> {
        Box::pin(async move {
            let publication = self.ask(self.store().publish(lock, previous, record)).await;
            if matches!(publication, Ok(Publication::Refused)) {
                self.network.0.state.lock().unwrap().tally.refused += 1;
            }
            publication
        })
    }

    fn remove<'a>(&'a self, lock: &'a Lock) -> StoreFuture<'a, bool> {
        Box::pin(self.ask(self.store().remove(lock)))
    }

    fn unlock(&self, lock: Lock) -> StoreFuture<'_, ()> {
        Box::pin(self.ask(self.store().unlock(lock)))
    }

    fn changed(&self, key: RecordKey) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if !self.network.0.abilities.reports_changes {
            return None;
        }
        let changed = self.store().changed(key)?;
        let remote = self.clone();
        Some(Box::pin(async move {
            changed.await;
            remote.travel().await;
        }))
    }
}
