//! Whether a provider for many accounts may forget this cache, and how it does so.
//!
//! The next request of an evicted account gets a new cache, which has to log in. Besides that login, an
//! eviction must cost nothing. So it waits for whatever a new cache would not know:
//!
//! | the cache has | it stays |
//! | --- | --- |
//! | a login under way | until the login ends |
//! | another owner: a handle of the user, a waiter, the login's task | until that is dropped |
//! | been signed out | until somebody signs in: a new cache would log in |
//! | a refresh token that no hook was given, and no store has | until the refresh token expires, or a login takes it |
//! | a back-off | until it ends, and until the failure is old enough |
//! | a failed login | 6 min after a transient failure, 75 min after one that is likely to repeat, 135 min after a permanent one |
//! | a rejected target | 10 min after its last rejection |
//! | logins that did not help, or tokens that were revoked quickly | twelve times the longest pause after the last login: 60 min by default |
//!
//! # Logins per hour
//!
//! A new cache begins with short pauses again. Say that the pauses are `p1 < p2 < … < pm`, and that all
//! later ones last for `pm` too. Without eviction, requests that never stop cause a login every `pm`.
//! After an eviction, the pauses are `p1`, `p2` and so on again. The new logins must never be ahead of
//! those. So the first of them comes no sooner than `m * pm - (p1 + … + p(m-1))` after the last login
//! before the eviction. That is the time in the table. Thus at no time has a key made more failing logins
//! than a key that is never evicted and has requests all the time.
//!
//! # Evicted or in use
//!
//! ```text
//!   in use ──evict──► evicted
//! ```
//!
//! No cache comes back. Two caches of one account must never log in at the same time, so:
//!
//! - [`Cache::evict`] decides under `Cache::locked`, where each login starts. A login is in flight
//!   before the decision, and prevents it, or it comes later and finds `is_evicted`.
//! - A caller first clones the `Arc` of the cache, and then calls [`Cache::is_evicted`], which takes the
//!   same lock. If that lock comes before the one of `evict`, `evict` sees the caller's reference and
//!   declines. Otherwise the caller sees `is_evicted`, and looks its key up again.
//!
//! `tests/models` runs every interleaving of two such callers and an eviction.
//!
//! A background login needs no reference of its own: `refresh_ahead` checks `is_evicted` under the lock.

use std::sync::Arc;

use super::{Cache, Locked};
use crate::{credential::RefreshToken, runtime::Moment};

impl Cache {
    /// The number that each authorization carries.
    pub(in crate::provider) fn account(&self) -> u32 {
        self.setup.account
    }

    /// Takes the cache out of use for ever, unless something would be lost. Returns whether it did.
    pub(in crate::provider) fn evict(self: &Arc<Self>) -> bool {
        // Before any lock or clock: most caches that stay have another owner.
        if self.has_other_owners() {
            return false;
        }
        let now = Moment::of(&*self.setup.clock);
        let mut locked = self.lock();
        let is_first = !locked.is_evicted;
        if self.has_other_owners() || !is_first || self.would_lose(&locked, now) {
            return false;
        }
        locked.is_evicted = true;
        true
    }

    /// Whether the cache was taken out of use. If not, it stays in use as long as the caller holds a
    /// reference that it had before this call.
    pub(in crate::provider) fn is_evicted(&self) -> bool {
        self.lock().is_evicted
    }

    /// Whether there is another reference than that of the provider for many accounts.
    fn has_other_owners(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    /// Whether an eviction would lose more than a credential: the table above.
    fn would_lose(&self, locked: &Locked, now: Moment) -> bool {
        let has_refresh_token = || {
            let token = locked.refresh_token.as_ref();
            token.is_some_and(|token| !token.is_expired(now) && !self.is_in_store(token))
        };
        let is_handed_over =
            self.setup.hooks.on_credential.is_some() && !locked.is_refresh_token_unstored;
        locked.flight.is_some()
            || locked.is_signed_out
            || (!is_handed_over && has_refresh_token())
            || locked.pause_at(now).is_some()
            || locked.back_off.restrains_logins(now.monotonic)
            || locked.rejections.restrain_logins(now.monotonic)
    }

    #[cfg(feature = "store")]
    fn is_in_store(&self, refresh_token: &RefreshToken) -> bool {
        let sharing = self.setup.sharing.as_deref();
        sharing.is_some_and(|it| it.is_shared(refresh_token) && it.failure().is_none())
    }

    #[cfg(not(feature = "store"))]
    fn is_in_store(&self, _refresh_token: &RefreshToken) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
