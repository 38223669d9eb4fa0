//! Which acceptances are news, found out without a lock.

use std::sync::atomic::{AtomicU64 as StdAtomicU64, Ordering};

use crate::runtime::sync::AtomicU64;

/// The targets whose acceptances the rules wait for: a filter, which may say yes of others too.
///
/// Most of the time it is empty, and one word says so. Only where that word has the target's bit is
/// the table looked at: 64 targets fill two thirds of the word, and 1.6 % of the table.
///
/// Relaxed, all of it: it is written under the cache's lock, before a new credential is published. An
/// acceptance that misses a change came too early to matter. The table has the atomics of `std` in
/// models too: it follows the word.
pub(super) struct TargetFilter {
    word: AtomicU64,
    table: [StdAtomicU64; WORDS],
}

const WORDS: usize = 64;

impl TargetFilter {
    pub(super) fn empty() -> Self {
        Self {
            word: AtomicU64::new(0),
            table: [const { StdAtomicU64::new(0) }; WORDS],
        }
    }

    /// Whether an acceptance of this target may be news.
    #[inline]
    pub(super) fn has(&self, target: u32) -> bool {
        let (word, place_bit) = place(target);
        self.word.load(Ordering::Relaxed) & bit(target) != 0
            && self.table[word].load(Ordering::Relaxed) & place_bit != 0
    }

    /// Watches these targets and no others; without a list, all of them.
    pub(super) fn set(&self, targets: Option<impl Iterator<Item = u32>>) {
        let (mut word, mut table) = (u64::MAX, [u64::MAX; WORDS]);
        if let Some(targets) = targets {
            (word, table) = (0, [0; WORDS]);
            for target in targets {
                word |= bit(target);
                let (at, bit) = place(target);
                table[at] |= bit;
            }
        }
        for (stored, bits) in self.table.iter().zip(table) {
            stored.store(bits, Ordering::Relaxed);
        }
        self.word.store(word, Ordering::Relaxed);
    }
}

/// By the lowest six bits.
fn bit(target: u32) -> u64 {
    1 << (target % u64::BITS)
}

/// By the next twelve.
fn place(target: u32) -> (usize, u64) {
    let (word, bit) = (target >> 6, target >> 12);
    (word as usize % WORDS, 1 << (bit % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watched_targets_are_found_and_few_others_are() {
        let watched = TargetFilter::empty();
        let mut random = fastrand::Rng::with_seed(1);
        let (targets, others): (Vec<_>, Vec<_>) = (0..64 + 10_000)
            .map(|_| random.u32(..))
            .enumerate()
            .partition(|(at, _)| *at < 64);
        assert!(!others.iter().any(|(_, other)| watched.has(*other)));
        watched.set(Some(targets.iter().map(|(_, target)| *target)));
        assert!(targets.iter().all(|(_, target)| watched.has(*target)));
        let found = others.iter().filter(|(_, other)| watched.has(*other));
        assert!((50..200).contains(&found.count()), "one of a hundred");
        watched.set(None::<std::iter::Empty<_>>);
        assert!(others.iter().all(|(_, other)| watched.has(*other)));
        watched.set(Some(std::iter::empty()));
        assert!(!targets.iter().any(|(_, target)| watched.has(*target)));
    }
}
