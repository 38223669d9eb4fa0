//! Calls of a store and a seal, which are user code and may panic.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    error::BoxError,
    runtime::catch,
    store::{StoreError, StoreFuture},
};

/// Awaits user code that may panic.
pub(in crate::provider::cache) async fn guarded<'a, T>(
    call: impl FnOnce() -> StoreFuture<'a, T>,
) -> Result<T, StoreError> {
    let future = Guarded(catch(call));
    future.await.unwrap_or_else(|| Err(panicked()))
}

/// A future of user code. `None` if it panics; a panic of its drop is ignored.
pub(in crate::provider::cache) struct Guarded<'a, T>(
    pub(in crate::provider::cache) Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
);

impl<T> Future for Guarded<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(future) = &mut self.0 else {
            return Poll::Ready(None);
        };
        match catch(|| future.as_mut().poll(cx)) {
            Some(poll) => poll.map(Some),
            None => Poll::Ready(None),
        }
    }
}

impl<T> Drop for Guarded<'_, T> {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = catch(|| drop(future));
    }
}

pub(super) fn panicked() -> StoreError {
    StoreError::new(BoxError::from("it panicked"))
}
