//! The span of a login: feature `tracing`. Without the feature it is empty.

#[cfg(feature = "tracing")]
pub(in crate::provider) use self::traced::LoginSpan;
#[cfg(not(feature = "tracing"))]
pub(in crate::provider) use self::untraced::LoginSpan;

#[cfg(feature = "tracing")]
mod traced {
    use std::{
        mem,
        sync::{Arc, Mutex, PoisonError},
    };

    use tracing::{Span, field::Empty};

    use crate::{
        login::{LoginReason, Session},
        provider::observers::{
            CredentialEvent, Names,
            log::{millis, rejected, session_word},
            words::{outcome_word, reason_word},
        },
        runtime::TARGET,
    };

    /// The span of one login. Empty before the login and after it, and if no subscriber wants it.
    ///
    /// No subscriber is called under the lock, since it is user code: it holds an [`Arc`], whose clone
    /// calls nobody.
    #[derive(Debug, Default)]
    pub(in crate::provider) struct LoginSpan(Mutex<Option<Arc<Span>>>);

    impl LoginSpan {
        /// Opens the span. It is no child of the request that starts the login, since other requests
        /// wait for the login too, and it may outlive that request.
        pub(in crate::provider) fn open(
            &self,
            names: &Names,
            session: Session,
            reason: LoginReason,
        ) {
            let (provider, account) = (names.provider.as_deref(), names.account.as_deref());
            let span = tracing::info_span!(
                target: TARGET,
                parent: None,
                "login",
                provider,
                account,
                session = session_word(session),
                reason = reason_word(reason),
                rejected = rejected(reason),
                outcome = Empty,
                generation = Empty,
                duration_ms = Empty,
            );
            if !span.is_disabled() {
                span.follows_from(Span::current());
                self.replace(Some(Arc::new(span)));
            }
        }

        /// Calls `act` within the span.
        pub(in crate::provider) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
            match self.span() {
                Some(span) => span.in_scope(act),
                None => act(),
            }
        }

        /// Records the end of the login that `event` reports.
        pub(in crate::provider) fn record_end(&self, event: &CredentialEvent) {
            let Some(span) = self.span() else { return };
            let duration = match event {
                CredentialEvent::LoggedIn {
                    generation,
                    duration,
                    ..
                } => {
                    span.record("generation", generation.number().get());
                    duration
                }
                CredentialEvent::LoginFailed { duration, .. }
                | CredentialEvent::LoginDiscarded { duration, .. } => duration,
                CredentialEvent::Adopted { generation } => {
                    span.record("generation", generation.number().get());
                    span.record("outcome", outcome_word(event));
                    return;
                }
                _ => return,
            };
            span.record("outcome", outcome_word(event));
            span.record("duration_ms", millis(*duration));
        }

        /// Closes the span, even if waiters still hold the flight.
        pub(in crate::provider) fn close(&self) {
            self.replace(None);
        }

        fn span(&self) -> Option<Arc<Span>> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        }

        fn replace(&self, span: Option<Arc<Span>>) {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let replaced = mem::replace(&mut *held, span);
            drop(held);
            drop(replaced); // tells the subscriber
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn without_a_subscriber_no_span_is_opened() {
            let span = LoginSpan::default();
            span.open(&Names::default(), Session::Exclusive, LoginReason::First);
            assert!(span.span().is_none());
            assert_eq!(span.within(|| 7), 7);
            assert!(format!("{span:?}").contains("None"));
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    use crate::{
        login::{LoginReason, Session},
        provider::observers::{CredentialEvent, Names},
    };

    #[derive(Debug, Default)]
    pub(in crate::provider) struct LoginSpan(());

    impl LoginSpan {
        pub(in crate::provider) fn open(&self, _: &Names, _: Session, _: LoginReason) {}

        pub(in crate::provider) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
            act()
        }

        pub(in crate::provider) fn record_end(&self, _: &CredentialEvent) {}

        pub(in crate::provider) fn close(&self) {}
    }
}
