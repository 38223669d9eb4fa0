//! A lock-free filter for the acceptances that matter.

use std::sync::atomic::{AtomicU64 as StdAtomicU64, Ordering};

use crate::runtime::sync::AtomicU64;

/// A set of targets whose acceptances the rejection rules await. It may contain false positives, but no
/// false negatives.
///
/// Most of the time the set is empty, and one word shows this. The table is read only if the target's
/// bit is set in that word. 64 targets fill two thirds of the word, and 1.6 % of the table.
///
/// All accesses are relaxed. The filter is written under the cache's lock, before a new credential is
/// published. An acceptance that misses a change came too early to matter. The table uses the atomics of
/// `std` even under a model checker, since it only refines the word.
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

    /// Whether the rules may await an acceptance of this target.
    #[inline]
    pub(super) fn has(&self, target: u32) -> bool {
        let (word, place_bit) = place(target);
        self.word.load(Ordering::Relaxed) & bit(target) != 0
            && self.table[word].load(Ordering::Relaxed) & place_bit != 0
    }

    /// Replaces the set. `None` stands for all targets.
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

/// The target's bit in the word: the lowest six bits of the fingerprint.
fn bit(target: u32) -> u64 {
    1 << (target % u64::BITS)
}

/// The target's word and bit in the table: the next twelve bits of the fingerprint.
fn place(target: u32) -> (usize, u64) {
    let (word, bit) = (target >> 6, target >> 12);
    (word as usize % WORDS, 1 << (bit % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awaited_targets_are_found_and_few_others_are() {
        let filter = TargetFilter::empty();
        let mut random = fastrand::Rng::with_seed(1);
        let (targets, others): (Vec<_>, Vec<_>) = (0..64 + 10_000)
            .map(|_| random.u32(..))
            .enumerate()
            .partition(|(at, _)| *at < 64);
        assert!(!others.iter().any(|(_, other)| filter.has(*other)));
        filter.set(Some(targets.iter().map(|(_, target)| *target)));
        assert!(targets.iter().all(|(_, target)| filter.has(*target)));
        let found = others.iter().filter(|(_, other)| filter.has(*other));
        assert!(
            (50..200).contains(&found.count()),
            "about one in a hundred is a false positive"
        );
        filter.set(None::<std::iter::Empty<_>>);
        assert!(others.iter().all(|(_, other)| filter.has(*other)));
        filter.set(Some(std::iter::empty()));
        assert!(!targets.iter().any(|(_, target)| filter.has(*target)));
    }
}
