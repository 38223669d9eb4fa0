//! From a key to its account.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use super::account::Account;
use crate::runtime::sync::ArcSwapOption;

/// The accounts in a shard, on average, if all places are taken. A write copies one shard. Smaller ones
/// make reads slower, since more of them are not in the processor's cache: measured with 16 and 8.
const PER_SHARD: usize = 64;

/// A sharded map that is copied on write. Reads take no lock, and hash the key once.
///
/// Writers exclude each other, except that [`find_full`](Self::find_full) and the copies of a shard
/// need no lock.
pub(super) struct ByKey<K> {
    shards: Box<[ArcSwapOption<Shard<K>>]>,
    /// Randomly keyed: an attacker may choose the keys.
    hasher: RandomState,
}

/// Sorted by hash, so that neither a search nor a copy hashes a key again.
pub(super) struct Shard<K> {
    /// Beside the accounts and not in them: a search reads a few cache lines.
    hashes: Box<[u64]>,
    accounts: Box<[Arc<Account<K>>]>,
}

impl<K> ByKey<K> {
    pub(super) fn new(capacity: usize) -> Self {
        let shards = capacity.div_ceil(PER_SHARD).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| ArcSwapOption::empty()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn shard(&self, hash: u64) -> &ArcSwapOption<Shard<K>> {
        // The highest bits choose the shard: within it, all bits do.
        let bits = self.shards.len().trailing_zeros();
        &self.shards[hash.checked_shr(u64::BITS - bits).unwrap_or(0) as usize]
    }

    /// All accounts, those of one shard after the other.
    pub(super) fn all(&self) -> impl Iterator<Item = Arc<Account<K>>> {
        let shards = self.shards.iter().filter_map(|shard| shard.load_full());
        shards.flat_map(|shard| shard.accounts.to_vec())
    }
}

impl<K: Eq + Hash> ByKey<K> {
    #[inline]
    pub(super) fn hash(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Reads the account of a key, without a lock.
    #[inline]
    pub(super) fn read<T>(
        &self,
        key: &K,
        hash: u64,
        read: impl FnOnce(&Account<K>) -> T,
    ) -> Option<T> {
        let shard = self.shard(hash).load();
        let account = shard.as_ref()?.find(key, hash)?;
        Some(read(account))
    }
}

impl<K> Shard<K> {
    /// A copy without `left_out`, and with `added`.
    pub(super) fn copy(
        shard: Option<&Self>,
        left_out: Option<&Arc<Account<K>>>,
        added: Option<&Arc<Account<K>>>,
    ) -> Self {
        let present = shard.map_or(&[][..], |shard| &shard.accounts);
        let is_left_out = |account: &&Arc<_>| left_out.is_some_and(|it| Arc::ptr_eq(it, account));
        let kept = present.iter().filter(|it| !is_left_out(it));
        let mut accounts: Vec<_> = kept.chain(added).cloned().collect();
        accounts.sort_by_key(|account| account.hash);
        Self {
            hashes: accounts.iter().map(|account| account.hash).collect(),
            accounts: accounts.into(),
        }
    }

    pub(super) fn has(&self, account: &Arc<Account<K>>) -> bool {
        self.accounts.iter().any(|it| Arc::ptr_eq(it, account))
    }
}

impl<K: Eq> Shard<K> {
    #[inline]
    pub(super) fn find(&self, key: &K, hash: u64) -> Option<&Arc<Account<K>>> {
        let start = self.hashes.partition_point(|it| *it < hash);
        let same_hash = self.hashes[start..].iter().take_while(|it| **it == hash);
        let mut candidates = self.accounts[start..].iter().zip(same_hash);
        candidates
            .find(|(account, _)| account.key == *key)
            .map(|(account, _)| account)
    }
}
