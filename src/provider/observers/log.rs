//! The log lines of a provider.

use std::{error::Error as _, time::Duration};

use super::{CredentialEvent, Names, words::reason_word};
use crate::{
    login::{LoginReason, Session},
    runtime::TARGET,
};

/// Logs an event.
///
/// - A warning needs attention.
/// - `INFO` has what explains the requests that follow: each login, and each sign-out.
/// - `DEBUG` has the rest. At some APIs a credential is set or rejected for each request.
///
/// Errors of this crate contain no secrets; the user's login is responsible for the text of its own
/// errors.
pub(super) fn log(names: &Names, event: &CredentialEvent) {
    let (provider, account) = (names.provider.as_deref(), names.account.as_deref());
    match event {
        CredentialEvent::LoggedIn {
            generation,
            reason,
            duration,
        } => tracing::info!(
            target: TARGET,
            provider,
            account,
            reason = reason_word(*reason),
            rejected = rejected(*reason),
            generation = generation.number().get(),
            duration_ms = millis(*duration),
            "logged in"
        ),
        CredentialEvent::LoginFailed {
            error,
            reason,
            duration,
        } => tracing::warn!(
            target: TARGET,
            provider,
            account,
            reason = reason_word(*reason),
            rejected = rejected(*reason),
            duration_ms = millis(*duration),
            %error,
            cause = error.source().map(tracing::field::display),
            "login failed"
        ),
        CredentialEvent::LoginDiscarded {
            error,
            reason,
            duration,
        } => tracing::debug!(
            target: TARGET,
            provider,
            account,
            reason = reason_word(*reason),
            rejected = rejected(*reason),
            duration_ms = millis(*duration),
            error = error.as_ref().map(tracing::field::display),
            cause = error.as_ref().and_then(|error| error.source()).map(tracing::field::display),
            "login discarded"
        ),
        CredentialEvent::Adopted { generation } => tracing::info!(
            target: TARGET,
            provider,
            account,
            generation = generation.number().get(),
            "credential adopted"
        ),
        #[cfg(feature = "store")]
        CredentialEvent::StoreFailed { error } => tracing::warn!(
            target: TARGET,
            provider,
            account,
            %error,
            cause = error.source().map(tracing::field::display),
            "store failed"
        ),
        #[cfg(feature = "store")]
        CredentialEvent::StoreRecovered => tracing::info!(
            target: TARGET,
            provider,
            account,
            "store recovered"
        ),
        CredentialEvent::RefreshFailed { error } => tracing::warn!(
            target: TARGET,
            provider,
            account,
            %error,
            cause = error.source().map(tracing::field::display),
            "refresh failed"
        ),
        CredentialEvent::CredentialSet { generation } => tracing::debug!(
            target: TARGET,
            provider,
            account,
            generation = generation.number().get(),
            "credential set"
        ),
        CredentialEvent::SignedOut => tracing::info!(
            target: TARGET,
            provider,
            account,
            "signed out"
        ),
        CredentialEvent::Rejected {
            generation,
            is_kept,
        } => tracing::debug!(
            target: TARGET,
            provider,
            account,
            generation = generation.number().get(),
            is_kept,
            "credential rejected"
        ),
        CredentialEvent::LoginHeldBack {
            generation,
            reason,
            next_login: _,
        } => tracing::warn!(
            target: TARGET,
            provider,
            account,
            generation = generation.number().get(),
            ?reason,
            "rejected, and kept: logins do not help"
        ),
        CredentialEvent::Contended { generation } => tracing::warn!(
            target: TARGET,
            provider,
            account,
            generation = generation.number().get(),
            "tokens are revoked within seconds of each login; another client may be using this account"
        ),
    }
}

pub(super) fn session_word(session: Session) -> &'static str {
    match session {
        Session::Exclusive => "exclusive",
        Session::Concurrent => "concurrent",
    }
}

/// The number of the rejected generation, if the login was made for a rejection.
pub(super) fn rejected(reason: LoginReason) -> Option<u64> {
    match reason {
        LoginReason::Rejected(generation) => Some(generation.number().get()),
        _ => None,
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
