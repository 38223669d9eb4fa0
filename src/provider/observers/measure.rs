//! The metrics of a provider: feature `metrics`. Without the feature, nothing is measured.
//!
//! No function may be called under a lock: a recorder is user code.

#[cfg(feature = "metrics")]
mod measured {
    use std::time::{Duration, SystemTime};

    use metrics::Label;

    use crate::{
        login::{LoginReason, error_type},
        provider::{
            observers::{
                CredentialEvent, Names, Observers,
                words::{outcome_word, reason_word, rejection_word},
            },
            receipt::Verdict,
        },
        runtime::measure::{
            ADOPTIONS, CONTENTIONS, EXPIRY, LOGIN_DURATION, LOGINS, REFRESH_FAILURES, REJECTIONS,
            WAITS, count, record, set, word,
        },
    };

    #[cfg(feature = "store")]
    use crate::runtime::measure::STORE_FAILURES;

    impl Observers {
        pub(in crate::provider) fn measure(&self, event: &CredentialEvent) {
            match event {
                CredentialEvent::LoggedIn {
                    reason, duration, ..
                } => self.measure_login(event, *reason, *duration, None),
                CredentialEvent::LoginFailed {
                    reason,
                    duration,
                    error,
                } => self.measure_login(event, *reason, *duration, Some(error_type(error))),
                CredentialEvent::LoginDiscarded {
                    reason,
                    duration,
                    error,
                } => {
                    let error = error.as_ref().map(error_type);
                    self.measure_login(event, *reason, *duration, error);
                }
                CredentialEvent::RefreshFailed { error } => {
                    let mut labels = self.labels();
                    labels.push(word("error.type", error_type(error)));
                    count(REFRESH_FAILURES, 1, labels);
                }
                CredentialEvent::Contended { .. } => count(CONTENTIONS, 1, self.labels()),
                CredentialEvent::Adopted { .. } => count(ADOPTIONS, 1, self.labels()),
                #[cfg(feature = "store")]
                CredentialEvent::StoreFailed { .. } => count(STORE_FAILURES, 1, self.labels()),
                #[cfg(feature = "store")]
                CredentialEvent::StoreRecovered => {}
                CredentialEvent::CredentialSet { .. }
                | CredentialEvent::SignedOut
                | CredentialEvent::Rejected { .. }
                | CredentialEvent::LoginHeldBack { .. } => {}
            }
        }

        fn measure_login(
            &self,
            event: &CredentialEvent,
            reason: LoginReason,
            duration: Duration,
            error: Option<&'static str>,
        ) {
            let mut labels = self.labels();
            labels.push(word("reason", reason_word(reason)));
            labels.extend(outcome_word(event).map(|it| word("outcome", it)));
            record(LOGIN_DURATION, duration.as_secs_f64(), labels.clone());
            labels.extend(error.map(|it| word("error.type", it)));
            count(LOGINS, 1, labels);
        }

        /// Measures how many requests have waited for the login that has ended.
        pub(in crate::provider) fn measure_waits(&self, waits: u64) {
            count(WAITS, waits, self.labels());
        }

        pub(in crate::provider) fn measure_rejection(&self, verdict: Verdict) {
            let mut labels = self.labels();
            let acted_upon = match verdict.is_log_in() {
                true => "acted_upon",
                false => "kept",
            };
            labels.push(word("verdict", acted_upon));
            labels.push(word("reason", rejection_word(verdict.reason())));
            count(REJECTIONS, 1, labels);
        }

        /// Measures when the current credential ends: `None` without one, `Some(None)` if it never does.
        pub(in crate::provider) fn measure_expiry(
            &self,
            ends_at: impl Fn() -> Option<Option<SystemTime>>,
        ) {
            let read = || match ends_at() {
                None => 0.0,
                Some(None) => f64::INFINITY,
                Some(Some(ends_at)) => {
                    let since_epoch = ends_at.duration_since(SystemTime::UNIX_EPOCH);
                    since_epoch.unwrap_or_default().as_secs_f64()
                }
            };
            let mut measured = None;
            loop {
                let seconds = read();
                if measured.replace(seconds) == Some(seconds) {
                    return;
                }
                set(EXPIRY, seconds, self.labels());
                // Another thread may have set a later value before: look again.
            }
        }

        /// The names of the provider. Each measurement has them.
        fn labels(&self) -> Vec<Label> {
            self.descriptions.ensure();
            let Names { provider, account } = &self.names;
            let names = [("provider", provider), ("account", account)];
            let named = names
                .into_iter()
                .filter_map(|(key, name)| Some(Label::new(key, name.clone()?)));
            named.collect()
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod unmeasured {
    use std::time::SystemTime;

    use crate::provider::{
        observers::{CredentialEvent, Observers},
        receipt::Verdict,
    };

    impl Observers {
        pub(in crate::provider) fn measure(&self, _event: &CredentialEvent) {}

        pub(in crate::provider) fn measure_waits(&self, _waits: u64) {}

        pub(in crate::provider) fn measure_rejection(&self, _verdict: Verdict) {}

        pub(in crate::provider) fn measure_expiry(
            &self,
            _ends_at: impl Fn() -> Option<Option<SystemTime>>,
        ) {
        }
    }
}
