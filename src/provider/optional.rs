//! An optional provider: without one, requests are sent bare.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    CredentialProvider, RequestHead,
    receipt::{Reason, Receipt, Rejected, Verdict},
};
use crate::{credential::Authorization, error::Error};

/// `None` sends requests bare, for a client with an optional token.
///
/// With `None`, the layer treats each request as if its origin were foreign:
///
/// - The request gets no token, and its [`PerRequest`](crate::PerRequest) has no receipt.
/// - The caller gets a rejection unchanged; there is no replay.
/// - An authorization header set by the caller stays, even if the layer
///   [replaces](crate::BearerAuthLayer::replacing_callers_header) such headers.
///
/// The layer never calls `acquire_for` of `None`; its future returns an [`Error`].
///
/// The layer's own checks still apply. A request with two authorization headers is
/// [not sent](Error::is_many_headers), unless the layer replaces them. With
/// [strict](crate::Origins::strict) origins, a request to a
/// [foreign origin](Error::is_foreign_origin) is not sent either.
impl<P: CredentialProvider> CredentialProvider for Option<P> {
    type Acquire = AcquireIfSome<P::Acquire>;

    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
        self.as_ref()?.current_for(head)
    }

    fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        self.as_ref()
            .is_some_and(|provider| provider.is_current(held, head))
    }

    fn is_withdrawn(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        self.as_ref()
            .is_some_and(|provider| provider.is_withdrawn(held, head))
    }

    fn sends_bare(&self, head: RequestHead<'_>) -> bool {
        self.as_ref()
            .is_none_or(|provider| provider.sends_bare(head))
    }

    fn name(&self) -> Option<&str> {
        self.as_ref()?.name()
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        AcquireIfSome {
            acquire: self.as_ref().map(|provider| provider.acquire_for(head)),
        }
    }

    fn sent(&self, receipt: Receipt) {
        if let Some(provider) = self {
            provider.sent(receipt);
        }
    }

    fn accept(&self, receipt: Receipt) {
        if let Some(provider) = self {
            provider.accept(receipt);
        }
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        match self {
            Some(provider) => provider.reject(rejected),
            None => Verdict::new(Reason::Unknown),
        }
    }
}

pin_project! {
    /// The future that `Option<P>` returns from `acquire_for`: that of `P`, or an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_bearer::{Acquire, AcquireIfSome, CachedProvider, CredentialProvider, RequestHead};
    ///
    /// fn acquire(provider: &Option<CachedProvider>, head: RequestHead<'_>) -> AcquireIfSome<Acquire> {
    ///     provider.acquire_for(head)
    /// }
    /// # let request = http::Request::new(());
    /// # assert!(tokio_test::block_on(acquire(&None, RequestHead::of(&request))).is_err());
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AcquireIfSome<A> {
        #[pin]
        acquire: Option<A>,
    }
}

impl<A: Future<Output = Result<Authorization, Error>>> Future for AcquireIfSome<A> {
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().acquire.as_pin_mut() {
            Some(acquire) => acquire.poll(cx),
            None => Poll::Ready(Err(Error::no_authorization("there is no provider"))),
        }
    }
}
