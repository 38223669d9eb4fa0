//! What the record had before.

use std::{
    collections::{VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
};

const REMEMBERED: usize = 16;

/// Tokens and refresh tokens that are no longer in the record, as hashes: no secret stays in memory for that.
#[derive(Default)]
pub(super) struct Former {
    hasher: RandomState,
    hashes: VecDeque<u64>,
}

impl Former {
    pub(super) fn add(&mut self, secret: &str) {
        if self.hashes.len() == REMEMBERED {
            self.hashes.pop_front();
        }
        self.hashes.push_back(self.hasher.hash_one(secret));
    }

    pub(super) fn remove(&mut self, secret: &str) {
        let hash = self.hasher.hash_one(secret);
        self.hashes.retain(|it| *it != hash);
    }

    pub(super) fn has(&self, secret: &str) -> bool {
        self.hashes.contains(&self.hasher.hash_one(secret))
    }
}
