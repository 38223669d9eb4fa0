//! Reference counts that threads do not contend for.
//!
//! A reference count that two threads write costs each of them more than the rest of a request. So
//! the settings and the current authorization are behind several reference counts: a *share* each.
//! Clones of a service that are made on one thread have a share in common, and so a copy of the authorization: a
//! clone is often used for one request only. A service that sends the same generation twice in a row gets a share
//! of its own.

mod copied;

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::Request;

use self::copied::Copied;
use super::settings::Settings;
use crate::{
    credential::{Authorization, Generation},
    provider::{CredentialProvider, RequestHead},
};

/// The settings of a layer, and a copy of an authorization. Each share has a reference count of its own.
pub(crate) struct Share<P, R>(Arc<Shared<P, R>>);

struct Shared<P, R> {
    settings: Settings<P, R>,
    copy: Copied,
    clone_share: CloneShare<P, R>,
}

/// The share that the clones of a service get.
enum CloneShare<P, R> {
    /// The share of the service itself.
    Same,
    /// The share that the service had before it got its own.
    Original(Share<P, R>),
    /// The share of the current thread. The layer's own share has such a table, and the shares in it have one each: a
    /// clone is often made of a clone that another thread has made, as axum's `State` does. No deeper: a service
    /// that goes from thread to thread and is replaced by its clone would lengthen the chain each time.
    PerThread(PerThread<P, R>),
}

struct PerThread<P, R> {
    /// The thread whose share has this table; none for the layer's own.
    own: Option<usize>,
    shares: OnceLock<Box<Table<P, R>>>,
}

/// The shares of threads, by the thread's number. Each is made when its thread asks for it.
type Table<P, R> = [OnceLock<Share<P, R>>; THREADS];

/// The number of shares in a table. With more threads than this, some have a share in common.
const THREADS: usize = 16;

impl<P, R> PerThread<P, R> {
    const fn new(own: Option<usize>) -> Self {
        let shares = OnceLock::new();
        Self { own, shares }
    }

    fn share(&self, thread: usize) -> Option<&Share<P, R>> {
        self.shares.get()?[thread].get()
    }

    #[cold]
    fn make_share(&self, thread: usize, settings: &Settings<P, R>) -> &Share<P, R> {
        let shares = self
            .shares
            .get_or_init(|| Box::new([const { OnceLock::new() }; THREADS]));
        shares[thread].get_or_init(|| {
            let clone_share = match self.own {
                None => CloneShare::PerThread(Self::new(Some(thread))),
                Some(_) => CloneShare::Same,
            };
            Share::with(settings.clone(), Copied::none(), clone_share)
        })
    }
}

impl<P, R> Share<P, R> {
    /// The layer's share.
    pub(crate) fn new(settings: Settings<P, R>) -> Self {
        let per_thread = CloneShare::PerThread(PerThread::new(None));
        Self::with(settings, Copied::none(), per_thread)
    }

    fn with_copy_of(&self, authorization: &Authorization) -> Self {
        let copy = Copied::Own(authorization.copied());
        let clone_share = CloneShare::Original(self.original().clone());
        Self::with(self.0.settings.clone(), copy, clone_share)
    }

    fn with(settings: Settings<P, R>, copy: Copied, clone_share: CloneShare<P, R>) -> Self {
        Self(Arc::new(Shared {
            settings,
            copy,
            clone_share,
        }))
    }

    /// The share for a clone of the service.
    pub(crate) fn for_clone(&self) -> Self {
        let original = self.original();
        let CloneShare::PerThread(per_thread) = &original.0.clone_share else {
            return original.clone();
        };
        let thread = this_thread();
        if per_thread.own == Some(thread) {
            return original.clone();
        }
        let share = per_thread.share(thread);
        share
            .unwrap_or_else(|| per_thread.make_share(thread, &original.0.settings))
            .clone()
    }

    /// The share that the service had before it got its own.
    fn original(&self) -> &Self {
        match &self.0.clone_share {
            CloneShare::Original(original) => original,
            CloneShare::Same | CloneShare::PerThread(_) => self,
        }
    }
}

/// The number of the thread, less than [`THREADS`].
fn this_thread() -> usize {
    static THREADS_SEEN: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS_SEEN.fetch_add(1, Ordering::Relaxed) % THREADS;
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

/// The state of one service: its share, and the generation that it last sent.
pub(crate) struct PerService<P, R> {
    /// Common to the clones on a thread, unless the service has one of its own.
    pub(crate) share: Share<P, R>,
    /// The generation of the last request, unless the copy was sent.
    last: Option<Generation>,
}

impl<P, R> PerService<P, R> {
    /// A service without a copy of its own.
    pub(crate) fn new(share: Share<P, R>) -> Self {
        Self { share, last: None }
    }
}

impl<P: CredentialProvider, R> PerService<P, R> {
    /// The current authorization.
    #[inline]
    pub(crate) fn current<B>(&mut self, request: &Request<B>) -> Option<Authorization> {
        match &self.share.0.copy {
            Copied::Own(copy)
                if self
                    .share
                    .provider
                    .is_current(copy, RequestHead::of(request)) =>
            {
                // Written only if it changes: another thread's service may share the cache line.
                if self.last.is_some() {
                    self.last = None;
                }
                Some(copy.clone())
            }
            _ => self.read_in_common(RequestHead::of(request)),
        }
    }

    /// The current authorization: the clones' copy, or else from the provider.
    #[inline]
    fn read_in_common(&mut self, head: RequestHead<'_>) -> Option<Authorization> {
        let Shared { settings, copy, .. } = &*self.share.0;
        let in_common = copy.in_common(|copy| settings.provider.is_current(copy, head));
        let current = match in_common {
            Some(copy) => copy,
            None => self.read_provider(head)?,
        };
        if self.repeats_last(current.generation()) {
            self.keep_copy(&current, head);
        }
        Some(current)
    }

    /// The current authorization, from the provider.
    #[cold]
    fn read_provider(&self, head: RequestHead<'_>) -> Option<Authorization> {
        let Shared { settings, copy, .. } = &*self.share.0;
        let current = settings.provider.current_for(head)?;
        copy.keep_in_common(&current, || settings.provider.is_current(&current, head));
        Some(current)
    }

    /// Whether the last request had the same generation.
    fn repeats_last(&mut self, generation: Generation) -> bool {
        self.last.replace(generation) == Some(generation)
    }

    /// Copies an authorization that two requests in a row had: more requests may follow.
    #[cold]
    fn keep_copy(&mut self, shared: &Authorization, head: RequestHead<'_>) {
        if self.share.provider.is_current(shared, head) {
            self.share = self.share.with_copy_of(shared);
        }
    }
}

// A clone starts without a copy of its own: it may be made for one request only.
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
