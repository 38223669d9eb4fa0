//! What a service keeps for itself, so that its requests count nothing that other threads count.
//!
//! A reference count that two threads write costs each of them more than all else on the handling of a
//! request. A service that is used for one request, as a clone often is, shares what it needs with
//! the others that were cloned on its thread; one that is used again gets its own.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::Request;

use super::settings::Settings;
use crate::{
    credential::{Authorization, Generation},
    provider::{CredentialProvider, RequestHead},
};

/// A share in the settings of a layer, and perhaps a copy of an authorization. Its clones are
/// counted apart from those of other shares.
pub(crate) struct Share<P, R>(Arc<Shared<P, R>>);

struct Shared<P, R> {
    settings: Settings<P, R>,
    copy: Option<Authorization>,
    clone_share: CloneShare<P, R>,
}

/// The share that the clones of a service get.
enum CloneShare<P, R> {
    /// The same.
    Same,
    /// The one that the service had before it got its own.
    Original(Share<P, R>),
    /// Of the layer's: one for each of so many threads.
    PerThread(Box<[OnceLock<Share<P, R>>; THREADS]>),
}

/// Threads that have a share of their own, before two have one in common.
const THREADS: usize = 16;

impl<P, R> Share<P, R> {
    /// The layer's.
    pub(crate) fn new(settings: Settings<P, R>) -> Self {
        let per_thread = Box::new([const { OnceLock::new() }; THREADS]);
        Self::with(settings, None, CloneShare::PerThread(per_thread))
    }

    fn with_copy_of(&self, authorization: &Authorization) -> Self {
        let copy = authorization.copied();
        let clone_share = CloneShare::Original(self.original().clone());
        Self::with(self.0.settings.clone(), Some(copy), clone_share)
    }

    fn with(
        settings: Settings<P, R>,
        copy: Option<Authorization>,
        clone_share: CloneShare<P, R>,
    ) -> Self {
        Self(Arc::new(Shared {
            settings,
            copy,
            clone_share,
        }))
    }

    /// The share for a clone of the service.
    fn for_clone(&self) -> Self {
        let before = self.original();
        let CloneShare::PerThread(per_thread) = &before.0.clone_share else {
            return before.clone();
        };
        let settings = &before.0.settings;
        let share = per_thread[this_thread()]
            .get_or_init(|| Self::with(settings.clone(), None, CloneShare::Same));
        share.clone()
    }

    /// The one that the service had before it got its own.
    fn original(&self) -> &Self {
        match &self.0.clone_share {
            CloneShare::Original(before) => before,
            CloneShare::Same | CloneShare::PerThread(_) => self,
        }
    }
}

/// The number of the thread, less than [`THREADS`].
fn this_thread() -> usize {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = BEGUN.fetch_add(1, Ordering::Relaxed) % THREADS;
    }
    NUMBER.with(|number| *number)
}

impl<P, R> Clone for Share<P, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P, R> Deref for Share<P, R> {
    type Target = Settings<P, R>;

    fn deref(&self) -> &Self::Target {
        &self.0.settings
    }
}

/// What one service sends its requests with.
pub(crate) struct PerService<P, R> {
    /// In common with the other clones on a thread, until there is a copy in it.
    pub(crate) share: Share<P, R>,
    /// The generation of the last request, where it did not go out with the copy.
    last: Option<Generation>,
}

impl<P, R> PerService<P, R> {
    /// Nothing yet: all is shared.
    pub(crate) fn new(share: Share<P, R>) -> Self {
        Self { share, last: None }
    }
}

impl<P: CredentialProvider, R> PerService<P, R> {
    /// The current authorization.
    #[inline]
    pub(crate) fn current<B>(&mut self, request: &Request<B>) -> Option<Authorization> {
        match &self.share.0.copy {
            Some(copy)
                if self
                    .share
                    .provider
                    .is_current(copy, RequestHead::of(request)) =>
            {
                self.last = None;
                Some(copy.clone())
            }
            _ => self.read_provider(request),
        }
    }

    /// From the provider.
    #[inline]
    fn read_provider<B>(&mut self, request: &Request<B>) -> Option<Authorization> {
        let head = RequestHead::of(request);
        let current = self.share.provider.current_for(head)?;
        if self.is_second(current.generation()) {
            self.keep_copy(&current, head);
        }
        Some(current)
    }

    /// Whether the last request had the same.
    fn is_second(&mut self, generation: Generation) -> bool {
        self.last.replace(generation) == Some(generation)
    }

    /// Two requests in a row had the same: there may be many more.
    #[cold]
    fn keep_copy(&mut self, shared: &Authorization, head: RequestHead<'_>) {
        if self.share.provider.is_current(shared, head) {
            self.share = self.share.with_copy_of(shared);
        }
    }
}

/// A clone has nothing of its own yet: it may be there for one request.
impl<P, R> Clone for PerService<P, R> {
    fn clone(&self) -> Self {
        Self::new(self.share.for_clone())
    }
}

impl<P: fmt::Debug, R: fmt::Debug> fmt::Debug for PerService<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Settings::fmt(&self.share, f)
    }
}

#[cfg(test)]
mod tests;
