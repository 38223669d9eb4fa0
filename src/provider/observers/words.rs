//! The words of log lines, spans and metrics.

use super::CredentialEvent;
#[cfg(feature = "metrics")]
use crate::provider::receipt::Reason;
use crate::{error::Error, login::LoginReason};

pub(super) fn reason_word(reason: LoginReason) -> &'static str {
    match reason {
        LoginReason::First => "first",
        LoginReason::Expired => "expired",
        LoginReason::RefreshAhead => "refresh_ahead",
        LoginReason::Rejected(_) => "rejected",
        LoginReason::Requested => "requested",
    }
}

/// How a login has ended; `None` for an event of another kind.
pub(super) fn outcome_word(event: &CredentialEvent) -> Option<&'static str> {
    match event {
        CredentialEvent::LoggedIn { .. } => Some("logged_in"),
        CredentialEvent::LoginFailed { error, .. } => Some(failure_word(error)),
        CredentialEvent::LoginDiscarded { .. } => Some("discarded"),
        CredentialEvent::Adopted { .. } => Some("adopted"),
        _ => None,
    }
}

fn failure_word(error: &Error) -> &'static str {
    if error.is_login_timed_out() {
        "timed_out"
    } else if error.is_login_panicked() {
        "panicked"
    } else if error.is_login_lost() {
        "lost"
    } else {
        "failed"
    }
}

#[cfg(feature = "metrics")]
pub(super) fn rejection_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Current => "current",
        Reason::Late => "late",
        Reason::LoginDidNotHelp => "login_did_not_help",
        Reason::LoginsDidNotHelp => "logins_did_not_help",
        Reason::RevokedQuickly => "revoked_quickly",
        Reason::BackingOff => "backing_off",
        Reason::Fixed => "fixed",
        Reason::Unknown => "unknown",
    }
}
