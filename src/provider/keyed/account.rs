//! One account of a [`KeyedProvider`](super::KeyedProvider).

use std::sync::atomic::Ordering;

use crate::{provider::CachedProvider, runtime::sync::AtomicBool};

pub(super) struct Account<K> {
    pub(super) key: K,
    pub(super) hash: u64,
    pub(super) number: u32,
    provider: CachedProvider,
    /// Whether it was used since the last search for an account to evict. Relaxed: it publishes no other
    /// memory, and a lost write costs an account its second chance at most.
    was_used: AtomicBool,
}

impl<K> Account<K> {
    pub(super) fn new(key: K, hash: u64, number: u32, provider: CachedProvider) -> Self {
        Self {
            key,
            hash,
            number,
            provider,
            was_used: AtomicBool::new(true),
        }
    }

    /// For reads. A login needs [`hold`](Self::hold).
    #[inline]
    pub(super) fn provider(&self) -> &CachedProvider {
        &self.provider
    }

    #[inline]
    pub(super) fn mark_used(&self) {
        // Read first: many threads use one account, and a write takes the line from all of them.
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since the last call.
    pub(super) fn take_used(&self) -> bool {
        let was_used = self.was_used.load(Ordering::Relaxed);
        if was_used {
            self.was_used.store(false, Ordering::Relaxed);
        }
        was_used
    }

    /// The provider, which is not evicted while the caller holds it. `None` if it is evicted already.
    pub(super) fn hold(&self) -> Option<CachedProvider> {
        // The reference comes before the check: see `cache::eviction`.
        let provider = self.provider.clone();
        (!provider.cache().is_evicted()).then_some(provider)
    }

    /// As [`hold`](Self::hold), for a request.
    pub(super) fn hold_used(&self) -> Option<CachedProvider> {
        self.mark_used();
        self.hold()
    }

    /// Takes it out of use for ever, unless something would be lost. Returns whether it did.
    pub(super) fn evict(&self) -> bool {
        self.provider.cache().evict()
    }
}
