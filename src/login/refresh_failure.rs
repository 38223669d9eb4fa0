//! The failures of a refresh that say nothing about its refresh token.

use super::exchange::Failed;
use crate::error::{ErrorCode, ExchangeKind};

/// A refresh that its server has not processed, so that the refresh token is kept.
///
/// [`HttpLogin::full_login_after`](crate::HttpLogin::full_login_after) says after which of them a full
/// login follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshFailure {
    /// Nothing was sent: name resolution, the connection or TLS failed, the connection closed before the
    /// request was written, or the client was not ready in time.
    Unreachable,
    /// The server answered 429, or asked for a pause by `Retry-After` or `slow_down`.
    RateLimited,
    /// The server answered 5xx, `server_error` or `temporarily_unavailable`.
    ServerFailed,
    /// A firewall or a proxy answered: a 403 without a JSON object.
    Blocked,
}

impl RefreshFailure {
    pub(super) fn of(failed: &Failed) -> Option<Self> {
        match &failed.kind {
            ExchangeKind::Unsent | ExchangeKind::NoTls => Some(Self::Unreachable),
            _ if failed.asks_for_pause() => Some(Self::RateLimited),
            ExchangeKind::RateLimited => Some(Self::RateLimited),
            ExchangeKind::ServerFailed => Some(Self::ServerFailed),
            // A 401 without JSON is how simple APIs refuse a refresh token.
            ExchangeKind::Blocked if failed.status() == Some(403) => Some(Self::Blocked),
            ExchangeKind::Refused { code: Some(code) } => match ErrorCode::as_str(*code) {
                "slow_down" => Some(Self::RateLimited),
                "server_error" | "temporarily_unavailable" => Some(Self::ServerFailed),
                _ => None,
            },
            _ => None,
        }
    }
}
