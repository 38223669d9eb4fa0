//! Copies of an authorization whose reference count threads do not contend for.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;

use crate::credential::Authorization;

/// A copy of an authorization, with a reference count of its own. It may be out of date.
pub(super) enum Copied {
    /// For one service, for good.
    Own(Authorization),
    /// For the clones on a thread, from when they have sent it [`REPEATS`] times in a row until it is not current.
    InCommon {
        copy: ArcSwapOption<Authorization>,
        /// The number of the generation that they sent last without the copy, and how often in a row.
        last: AtomicU64,
        repeats: AtomicU32,
    },
}

/// The clones of a service for many accounts send another authorization each time, or a few times in a row. A copy
/// costs more than it saves them.
pub(super) const REPEATS: u32 = 8;

impl Copied {
    pub(super) fn none() -> Self {
        Self::InCommon {
            copy: ArcSwapOption::empty(),
            last: AtomicU64::new(0),
            repeats: AtomicU32::new(0),
        }
    }

    /// The clones' copy, if it is current.
    #[inline]
    pub(super) fn in_common(
        &self,
        is_current: impl FnOnce(&Authorization) -> bool,
    ) -> Option<Authorization> {
        let Self::InCommon { copy, repeats, .. } = self else {
            return None;
        };
        let loaded = copy.load();
        let loaded = loaded.as_deref()?;
        if is_current(loaded) {
            return Some(loaded.clone());
        }
        // The secret of a replaced or withdrawn credential does not stay.
        repeats.store(0, Ordering::Relaxed);
        copy.store(None);
        None
    }

    /// Keeps a copy for the clones, if they have sent this authorization often enough.
    pub(super) fn keep_in_common(
        &self,
        current: &Authorization,
        is_current: impl FnOnce() -> bool,
    ) {
        let Self::InCommon {
            copy,
            last,
            repeats,
        } = self
        else {
            return;
        };
        // Relaxed, and not in one step: they are a hint, and publish no other data.
        let number = current.generation().number().get();
        let sent = match last.load(Ordering::Relaxed) == number {
            true => repeats.load(Ordering::Relaxed),
            false => 0,
        };
        if sent == REPEATS {
            return; // it was asked, and did not call it current
        }
        last.store(number, Ordering::Relaxed);
        repeats.store(sent + 1, Ordering::Relaxed);
        if sent + 1 == REPEATS && is_current() {
            copy.store(Some(Arc::new(current.copied())));
        }
    }
}
