//! From an account's number to the account: a receipt has only the number.
//!
//! A number is the index of a place, with the round of that place in the bits above it. Each place
//! counts its rounds: a new account gets a number that its place had least recently. With 10,000 places,
//! each gives 262,144 numbers until one is used again. And then the generation of a receipt still
//! proves which account it belongs to: no other cache knows that generation.

use std::sync::Arc;

use super::account::Account;
use crate::runtime::sync::{ArcSwapOption, OnceLock};

/// The places of a page. Pages are allocated when their first place is used.
const PER_PAGE: usize = 256;

/// One number is left for at least 256 rounds.
pub(super) const MAX_CAPACITY: usize = 1 << 24;

/// A table of all places. Reads take no lock.
pub(super) struct ByNumber<K> {
    pages: Box<[OnceLock<Page<K>>]>,
    index_bits: u32,
}

type Page<K> = Box<[ArcSwapOption<Account<K>>]>;

impl<K> ByNumber<K> {
    pub(super) fn new(capacity: usize) -> Self {
        let pages = capacity.div_ceil(PER_PAGE);
        Self {
            pages: (0..pages).map(|_| OnceLock::new()).collect(),
            index_bits: capacity.next_power_of_two().trailing_zeros(),
        }
    }

    pub(super) fn number(&self, index: usize, round: u32) -> u32 {
        index as u32 | round.checked_shl(self.index_bits).unwrap_or(0)
    }

    pub(super) fn index(&self, number: u32) -> usize {
        (number & ((1 << self.index_bits) - 1)) as usize
    }

    /// Allocates the place, so that [`replace`](Self::replace) allocates nothing.
    pub(super) fn allocate(&self, index: usize) {
        let page = &self.pages[index / PER_PAGE];
        if page.get().is_none() {
            let places = (0..PER_PAGE).map(|_| ArcSwapOption::empty());
            // Another thread may have allocated the same page: its places are as empty.
            let _ = page.set(places.collect());
        }
    }

    /// Replaces the account of an allocated place, and returns the previous one.
    pub(super) fn replace(
        &self,
        index: usize,
        account: Option<Arc<Account<K>>>,
    ) -> Option<Arc<Account<K>>> {
        self.place(index)?.swap(account)
    }

    pub(super) fn at(&self, index: usize) -> Option<Arc<Account<K>>> {
        self.place(index)?.load_full()
    }

    /// Reads the account with this number, without a lock.
    #[inline]
    pub(super) fn read<T>(&self, number: u32, read: impl FnOnce(&Account<K>) -> T) -> Option<T> {
        let account = self.place(self.index(number))?.load();
        let account = account.as_ref().filter(|it| it.number == number)?;
        Some(read(account))
    }

    #[inline]
    fn place(&self, index: usize) -> Option<&ArcSwapOption<Account<K>>> {
        self.pages
            .get(index / PER_PAGE)?
            .get()?
            .get(index % PER_PAGE)
    }
}
