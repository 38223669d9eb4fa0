//! All accounts: how they are found, created and evicted.
//!
//! # A place
//!
//! There are as many places as the capacity says.
//!
//! ```text
//!            reserve            enter
//!   free ─────────────► reserved ─────► taken
//!    ▲                   │    ▲           │
//!    └───────────────────┘    └───────────┘
//!      the key was entered      evict: the account leaves both maps
//!      by another thread
//! ```
//!
//! The thread that reserves a place owns it until it enters an account or frees the place. So there are
//! never more accounts than places.
//!
//! # A stale account
//!
//! The settings of an account may contain a stored refresh token. While a thread creates an account,
//! another one of the same key may be entered, spend that refresh token, and be evicted. So an account is
//! entered only if none of its key was evicted since its creation began. Otherwise it is created again.
//!
//! # Which account is evicted
//!
//! A *hand* goes round the places, and gives each account that was used since its last visit a second
//! chance. It visits 1,024 places at most for one new account. If all of these were used, it takes the
//! first that may be evicted.
//!
//! # Locks
//!
//! | under `Accounts::locked` | outside that lock |
//! | --- | --- |
//! | reserve or free a place, choose its number | create the login, read clocks, hash and compare keys |
//! | replace a shard and a place, unless the shard has changed meanwhile | copy the shard, drop the previous one |
//!
//! No user code runs under it. [`Account::evict`] takes the lock of one cache, never both locks.
//! Reads take neither.

use std::{
    hash::Hash,
    sync::{Arc, PoisonError},
};

use super::{
    account::Account,
    by_key::{ByKey, Shard},
    by_number::ByNumber,
};
use crate::{
    provider::CachedProvider,
    runtime::sync::{Mutex, MutexGuard},
};

/// The places that are visited at most to find an account to evict: a request waits for it.
const MAX_VISITS: usize = 1024;

pub(super) struct Accounts<K> {
    pub(super) by_key: ByKey<K>,
    pub(super) by_number: ByNumber<K>,
    pub(super) capacity: usize,
    /// No user code runs under this lock.
    locked: Mutex<Places>,
}

struct Places {
    /// The round of each place that was ever reserved.
    rounds: Vec<u32>,
    /// Places that were reserved and are not taken.
    free: Vec<usize>,
    /// The place at which the next search begins.
    hand: usize,
    /// The accounts that are being created. Few: one for each thread that creates one.
    creating: Vec<Creating>,
}

/// An account that is being created.
struct Creating {
    index: usize,
    hash: u64,
    /// Whether one of its key was evicted since its creation began.
    is_stale: bool,
}

/// A place that no other thread uses. Dropping it frees the place.
struct Reserved<'a, K> {
    accounts: &'a Accounts<K>,
    index: usize,
    number: u32,
    is_taken: bool,
}

impl<K> Accounts<K> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            by_key: ByKey::new(capacity),
            by_number: ByNumber::new(capacity),
            capacity,
            locked: Mutex::new(Places {
                rounds: Vec::new(),
                free: Vec::new(),
                hand: 0,
                creating: Vec::new(),
            }),
        }
    }

    pub(super) fn len(&self) -> usize {
        let places = self.lock();
        places.rounds.len() - places.free.len()
    }

    /// Locks, also after a panic: no change under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self) -> Option<Reserved<'_, K>> {
        let start = {
            let mut places = self.lock();
            let unused = Some(places.rounds.len()).filter(|index| *index < self.capacity);
            if let Some(index) = places.free.pop().or(unused) {
                return Some(self.reserved(places, index));
            }
            places.hand
        };
        let (index, evicted) = self.evict_one(start)?;
        self.remove(index, &evicted);
        let mut places = self.lock();
        places.hand = (index + 1) % self.capacity;
        Some(self.reserved(places, index))
    }

    fn reserved(&self, mut places: MutexGuard<'_, Places>, index: usize) -> Reserved<'_, K> {
        let round = match places.rounds.get_mut(index) {
            Some(round) => {
                *round = round.wrapping_add(1);
                *round
            }
            None => {
                places.rounds.push(0);
                0
            }
        };
        drop(places);
        self.by_number.allocate(index);
        Reserved {
            accounts: self,
            index,
            number: self.by_number.number(index, round),
            is_taken: false,
        }
    }

    /// Evicts one account. It stays in both maps until the caller removes it.
    fn evict_one(&self, start: usize) -> Option<(usize, Arc<Account<K>>)> {
        let visits = self.capacity.min(MAX_VISITS);
        let mut used = Vec::new();
        for index in (start..start + visits).map(|index| index % self.capacity) {
            let Some(account) = self.by_number.at(index) else {
                continue; // another thread has reserved the place
            };
            if account.take_used() {
                used.push((index, account));
            } else if account.evict() {
                return Some((index, account));
            }
        }
        let evicted = used.into_iter().find(|(_, account)| account.evict());
        if evicted.is_none() {
            self.lock().hand = (start + visits) % self.capacity;
        }
        evicted
    }

    /// Removes an account from both maps.
    fn remove(&self, index: usize, evicted: &Arc<Account<K>>) {
        let shard = self.by_key.shard(evicted.hash);
        loop {
            let seen = shard.load_full();
            // A new account of the same key may have replaced it.
            let has_it = seen.as_ref().is_some_and(|seen| seen.has(evicted));
            let copy = has_it.then(|| Arc::new(Shard::copy(seen.as_deref(), Some(evicted), None)));
            let mut locked = self.lock();
            if copy.is_some() && !is_same(&shard.load_full(), &seen) {
                continue;
            }
            let previous = copy.map(|copy| shard.swap(Some(copy)));
            let account = self.by_number.replace(index, None);
            let creating = locked.creating.iter_mut();
            for same_hash in creating.filter(|it| it.hash == evicted.hash) {
                same_hash.is_stale = true;
            }
            drop(locked);
            // A key and a login are user code to drop.
            drop((previous, account));
            return;
        }
    }
}

impl<K: Eq + Hash + Clone> Accounts<K> {
    /// The provider of a key. It is not evicted while the caller holds it.
    pub(super) fn find(&self, key: &K) -> Option<CachedProvider> {
        self.by_key
            .read(key, self.by_key.hash(key), Account::hold_used)?
    }

    /// Signs out the account of a key, and evicts it if nobody holds it.
    pub(super) fn forget(&self, key: &K) {
        let hash = self.by_key.hash(key);
        let shard = self.by_key.shard(hash).load_full();
        let account = shard.as_ref().and_then(|shard| shard.find(key, hash));
        let Some(account) = account else {
            return;
        };
        account.provider().sign_out();
        account.provider().reset();
        if account.evict() {
            let index = self.by_number.index(account.number);
            self.remove(index, account);
            self.lock().free.push(index);
        }
    }

    /// The provider of a key, created if there is none: `create` gets its number. `None` if all places
    /// are taken, and no account may be evicted.
    pub(super) fn find_or_create(
        &self,
        key: &K,
        mut create: impl FnMut(u32) -> CachedProvider,
    ) -> Option<CachedProvider> {
        let hash = self.by_key.hash(key);
        if let Some(Some(provider)) = self.by_key.read(key, hash, Account::hold_used) {
            return Some(provider);
        }
        let mut place = self.reserve()?;
        loop {
            place.begin(hash);
            let number = |account: &Account<K>| account.hold_used().ok_or(account.number);
            let evicted = match self.by_key.read(key, hash, number) {
                Some(Ok(provider)) => return Some(provider),
                Some(Err(number)) => Some(number),
                None => None,
            };
            let provider = create(place.number);
            let account = Account::new(key.clone(), hash, place.number, provider.clone());
            let entered = self.enter(&mut place, Arc::new(account), provider, evicted);
            if let Some(provider) = entered {
                if provider.cache().account() != place.number {
                    // The one that was created here is dropped, and has measured that.
                    provider.cache().measure_expiry();
                }
                return Some(provider);
            }
        }
    }

    /// Enters a new account into both maps, unless another thread has entered its key. The provider is
    /// the caller's reference to it: without one, the account could be evicted at once.
    ///
    /// `evicted` is the number of the account of the same key that was evicted before the creation.
    /// `None` if the new account is stale.
    fn enter(
        &self,
        place: &mut Reserved<'_, K>,
        account: Arc<Account<K>>,
        provider: CachedProvider,
        evicted: Option<u32>,
    ) -> Option<CachedProvider> {
        let shard = self.by_key.shard(account.hash);
        loop {
            let seen = shard.load_full();
            let same_key = seen
                .as_ref()
                .and_then(|seen| seen.find(&account.key, account.hash));
            if let Some(provider) = same_key.and_then(|same| same.hold_used()) {
                return Some(provider);
            }
            // One of the same key is evicted: its thread removes it from its place.
            if same_key.is_some_and(|same| Some(same.number) != evicted) {
                return None;
            }
            let copy = Arc::new(Shard::copy(seen.as_deref(), same_key, Some(&account)));
            let mut locked = self.lock();
            if !is_same(&shard.load_full(), &seen) {
                continue;
            }
            if locked.is_stale(place.index) {
                return None;
            }
            // First by number: a receipt must lead to each account that a key leads to.
            let none = self.by_number.replace(place.index, Some(account));
            let previous = shard.swap(Some(copy));
            locked.creating.retain(|it| it.index != place.index);
            place.is_taken = true;
            drop(locked);
            drop((none, previous));
            return Some(provider);
        }
    }
}

impl Places {
    fn is_stale(&self, index: usize) -> bool {
        let mut creating = self.creating.iter();
        creating.any(|it| it.index == index && it.is_stale)
    }
}

impl<K> Reserved<'_, K> {
    /// Notes that the creation of its account begins, perhaps again.
    fn begin(&self, hash: u64) {
        let mut places = self.accounts.lock();
        places.creating.retain(|it| it.index != self.index);
        places.creating.push(Creating {
            index: self.index,
            hash,
            is_stale: false,
        });
    }
}

impl<K> Drop for Reserved<'_, K> {
    fn drop(&mut self) {
        if !self.is_taken {
            let mut places = self.accounts.lock();
            places.creating.retain(|it| it.index != self.index);
            places.free.push(self.index);
        }
    }
}

fn is_same<T>(current: &Option<Arc<T>>, seen: &Option<Arc<T>>) -> bool {
    match (current, seen) {
        (Some(current), Some(seen)) => Arc::ptr_eq(current, seen),
        (current, seen) => current.is_none() && seen.is_none(),
    }
}

#[cfg(test)]
mod tests;
