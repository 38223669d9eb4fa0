//! No provider at all: requests go bare.

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

/// `None` sends requests bare, for a client whose token is a matter of configuration.
///
/// With `None`, a request is sent as it is, as if its origin were foreign: it gets no token, its
/// [`PerRequest`](crate::PerRequest) has no receipt, its rejection goes to the caller, and it is not
/// replayed. An authorization header that the caller has set stays, also where the layer
/// [replaces](crate::BearerAuthLayer::replacing_callers_header) it. The layer never calls
/// `acquire_for` of `None`, which ends with an [`Error`].
///
/// The layer's own errors are errors as ever: a request with two authorization headers is
/// [not sent](Error::is_many_headers) unless the layer replaces them, and where the origins are
/// [strict](crate::Origins::strict), neither is one to a [foreign origin](Error::is_foreign_origin).
impl<P: CredentialProvider> CredentialProvider for Option<P> {
    type Acquire = AcquireIfSome<P::Acquire>;

    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
        self.as_ref()?.current_for(head)
    }

    fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        self.as_ref()
            .is_some_and(|provider| provider.is_current(held, head))
    }

    fn sends_bare(&self, head: RequestHead<'_>) -> bool {
        self.as_ref()
            .is_none_or(|provider| provider.sends_bare(head))
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
    /// The wait of an `Option<P>` for an authorization: that of `P`.
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
