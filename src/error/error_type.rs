//! One word for each failure: the label `error.type` of a metric.

#[cfg(feature = "oauth2")]
use super::MetadataFault;
use super::{Error, Kind, LoginError, Pace};
#[cfg(feature = "json")]
use super::{Exchange, ExchangeKind};

impl Error {
    /// The word of this failure. The guide's page on metrics has them all.
    pub(crate) fn error_type(&self) -> &'static str {
        match &self.0.kind {
            Kind::LoginFailed => self
                .login_error()
                .map_or("login_failed", LoginError::error_type),
            Kind::RefreshFailed => self.refresh_error_type().unwrap_or("refresh_failed"),
            Kind::LoginTimedOut { .. } => "login_timed_out",
            Kind::LoginPanicked => "login_panicked",
            Kind::LoginLost | Kind::LoginDropped => "login_lost",
            Kind::LoginThroughItself => "login_through_itself",
            Kind::Reset => "reset",
            Kind::ShortLived { .. } => "short_lived",
            Kind::NotRenewed => "not_renewed",
            Kind::OtherAccount => "other_account",
            Kind::SignedOut => "signed_out",
            Kind::NoAuthorization => "no_authorization",
            Kind::AtCapacity { .. } => "at_capacity",
            Kind::ManyHeaders => "many_headers",
            Kind::NoRuntime => "no_runtime",
            Kind::ForeignOrigin { .. } => "foreign_origin",
        }
    }

    /// That of the exchange, if the refresh was one.
    #[cfg(feature = "json")]
    fn refresh_error_type(&self) -> Option<&'static str> {
        Some(self.login_error()?.as_exchange()?.error_type())
    }

    #[cfg(not(feature = "json"))]
    fn refresh_error_type(&self) -> Option<&'static str> {
        None
    }
}

impl LoginError {
    fn error_type(&self) -> &'static str {
        #[cfg(feature = "json")]
        if let Some(exchange) = self.as_exchange() {
            return exchange.error_type();
        }
        let advice = self.advice();
        match advice.pace {
            Pace::Permanent => "login_failed_permanently",
            _ if advice.retry_after.is_some() => "login_asked_to_wait",
            _ => "login_failed",
        }
    }
}

#[cfg(feature = "json")]
impl Exchange {
    fn error_type(&self) -> &'static str {
        match &self.kind {
            ExchangeKind::Unsent => "no_connection",
            ExchangeKind::NoTls => "no_tls",
            ExchangeKind::NoAnswer => "no_answer",
            ExchangeKind::Unread => "answer_broken_off",
            ExchangeKind::TooLong => "answer_too_long",
            ExchangeKind::Compressed { .. } => "answer_compressed",
            ExchangeKind::Redirected { .. } => "redirected",
            ExchangeKind::ServerFailed => "server_failed",
            ExchangeKind::RateLimited => "rate_limited",
            ExchangeKind::Refused { .. } => self.code().unwrap_or("refused"),
            ExchangeKind::Blocked => "refused_without_json",
            ExchangeKind::NotFound => "not_found",
            ExchangeKind::Locked => "account_locked",
            ExchangeKind::Unexpected => "unexpected_status",
            ExchangeKind::NotJson => "not_json",
            ExchangeKind::NoToken { .. } => "no_token",
            ExchangeKind::TokenType => "other_token_type",
            ExchangeKind::Token => "unusable_token",
            #[cfg(feature = "oauth2")]
            ExchangeKind::Metadata(fault) => fault.error_type(),
        }
    }
}

#[cfg(feature = "oauth2")]
impl MetadataFault {
    fn error_type(&self) -> &'static str {
        match self {
            Self::NoIssuer => "metadata_without_issuer",
            Self::OtherIssuer(_) => "metadata_of_other_issuer",
            Self::NoEndpoint => "metadata_without_endpoint",
            Self::InvalidEndpoint => "metadata_unusable_endpoint",
            Self::ForeignEndpoint { .. } => "metadata_foreign_endpoint",
        }
    }
}
