//! What a service keeps for itself, so that its requests count nothing that other threads count.
//!
//! A reference count that two threads write costs each of them more than all else on the way of a
//! request. A service that is used for one request, as a clone often is, shares what it needs; one
//! that is used again gets its own.

use std::{ops::Deref, sync::Arc};

use http::Request;

use crate::{
    authorization::{Authorization, Generation},
    provider::{CredentialProvider, RequestHead},
    settings::{Exchange, Settings},
};

/// A share in the settings of a layer, and perhaps a copy of an authorization. Its clones are
/// counted apart from those of other shares.
#[derive(Debug)]
pub(crate) struct Share<P, R>(Arc<Shared<P, R>>);

#[derive(Debug)]
struct Shared<P, R> {
    settings: Arc<Settings<P, R>>,
    copy: Option<Authorization>,
}

impl<P, R> Share<P, R> {
    pub(crate) fn new(settings: Settings<P, R>) -> Self {
        Self(Arc::new(Shared {
            settings: Arc::new(settings),
            copy: None,
        }))
    }

    /// A share apart.
    fn with_copy_of(&self, authorization: &Authorization) -> Self {
        Self(Arc::new(Shared {
            settings: Arc::clone(&self.0.settings),
            copy: Some(authorization.copied()),
        }))
    }
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

/// What a request went out with, and who wants to hear of its fate.
pub(crate) struct Carried<P, R> {
    pub(crate) generation: Generation,
    pub(crate) exchange: Exchange,
    pub(crate) share: Share<P, R>,
}

/// What one service sends its requests with.
#[derive(Debug)]
pub(crate) struct Own<P, R> {
    pub(crate) share: Share<P, R>,
    /// That of the last request, where it was not the copy's.
    last: Option<Generation>,
}

impl<P, R> Own<P, R> {
    /// Nothing yet: all is shared.
    pub(crate) fn new(share: Share<P, R>) -> Self {
        Self { share, last: None }
    }
}

impl<P: CredentialProvider, R> Own<P, R> {
    /// The current authorization.
    #[inline]
    pub(crate) fn current<B>(&mut self, request: &Request<B>) -> Option<Authorization> {
        let provider = &self.share.provider;
        match &self.share.0.copy {
            Some(copy) if provider.is_current(copy, RequestHead::of(request)) => Some(copy.clone()),
            _ => self.look(RequestHead::of(request)),
        }
    }

    #[inline]
    fn look(&mut self, head: RequestHead<'_>) -> Option<Authorization> {
        let current = self.share.provider.current(head)?;
        let generation = current.generation();
        if self.last == Some(generation) {
            self.settle(&current, head);
        }
        self.last = Some(generation);
        Some(current)
    }

    /// Two requests in a row had the same: there may be many more.
    #[cold]
    fn settle(&mut self, current: &Authorization, head: RequestHead<'_>) {
        if self.share.provider.is_current(current, head) {
            self.share = self.share.with_copy_of(current);
        }
    }
}

/// A clone has nothing of its own yet: it may be there for one request.
impl<P, R> Clone for Own<P, R> {
    fn clone(&self) -> Self {
        Self::new(self.share.clone())
    }
}
