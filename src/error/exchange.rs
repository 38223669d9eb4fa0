//! A failed exchange with the server of a login.

use std::{fmt, time::Duration};

use http::StatusCode;

#[cfg(feature = "oauth2")]
use super::MetadataFault;
use super::{Pace, Recovery, RetryAdvice, RetryAfter};

/// A failed exchange. It holds nothing of the answer's body but a registered `error` code.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: ExchangeKind,
    pub(crate) grant: Grant,
    /// Such as `POST api.example.com/login`.
    pub(crate) endpoint: String,
    pub(crate) answer: Option<Answer>,
}

/// What the exchange was to get a credential with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    Login,
    Refresh,
    /// Nothing yet: the exchange fetches the metadata of the issuer.
    #[cfg(feature = "oauth2")]
    Discovery,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    /// No connection was made, or it closed before the request was written: the server has not seen it.
    Unsent,
    /// As `Unsent`: rustls accepted no certificate, or the server spoke no TLS.
    NoTls,
    NoAnswer,
    /// The answer ended early.
    Unread,
    TooLong,
    Compressed {
        encoding: String,
    },
    Redirected {
        to: Option<String>,
    },
    ServerFailed,
    RateLimited,
    /// The API says no.
    Refused {
        code: Option<ErrorCode>,
    },
    /// A 401 or 403 that is not the API's: of a firewall or a proxy.
    Blocked,
    NotFound,
    Locked,
    /// Any other status.
    Unexpected,
    NotJson,
    NoToken {
        field: String,
    },
    TokenType,
    Token,
    /// The metadata of the issuer names no token endpoint that may be used.
    #[cfg(feature = "oauth2")]
    Metadata(Box<MetadataFault>),
}

/// The description of an answer, without any of its body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) length: Option<usize>,
    pub(crate) retry_after: Option<RetryAfter>,
}

/// An `error` of an OAuth answer, if it is a registered word. Free text may repeat a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCode(&'static str);

impl ErrorCode {
    /// RFC 6749, sections 5.2 and 4.1.2.1, and RFC 8628, section 3.5.
    pub(crate) const REGISTERED: [&'static str; 13] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "access_denied",
        "unsupported_response_type",
        "server_error",
        "temporarily_unavailable",
        "authorization_pending",
        "slow_down",
        "expired_token",
    ];

    pub(crate) fn new(word: &str) -> Option<Self> {
        let word = Self::REGISTERED.into_iter().find(|it| *it == word)?;
        Some(Self(word))
    }

    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }

    fn pace(self) -> Pace {
        match self.0 {
            "server_error" | "temporarily_unavailable" => Pace::Transient,
            "slow_down" | "authorization_pending" => Pace::RateLimited,
            _ => Pace::Permanent,
        }
    }

    fn is_about_credentials(self) -> bool {
        [
            "invalid_grant",
            "access_denied",
            "expired_token",
            "invalid_client",
            "unauthorized_client",
        ]
        .contains(&self.0)
    }

    fn hint(self) -> Option<&'static str> {
        Some(match self.0 {
            "invalid_grant" | "access_denied" | "expired_token" => {
                "check the password, assertion or token that the login sends, then `reset()`"
            }
            "invalid_client" | "unauthorized_client" => {
                "check the client's id and secret, then `reset()`"
            }
            "invalid_scope" => "check the scope",
            "invalid_request" | "unsupported_grant_type" | "unsupported_response_type" => {
                "check the document that the login sends"
            }
            _ => return None,
        })
    }
}

impl Exchange {
    pub(crate) fn advice(&self) -> RetryAdvice {
        let status = self.answer.as_ref().map(|answer| answer.status.as_u16());
        let retry_after = self.answer.as_ref().and_then(|answer| answer.retry_after);
        let pace = match &self.kind {
            _ if retry_after.is_some() && matches!(status, Some(429 | 503)) => Pace::Transient,
            ExchangeKind::Refused { code } => code.map_or(Pace::Permanent, ErrorCode::pace),
            ExchangeKind::Locked => Pace::Permanent,
            ExchangeKind::RateLimited => Pace::RateLimited,
            ExchangeKind::Blocked
            | ExchangeKind::NotFound
            | ExchangeKind::Redirected { .. }
            | ExchangeKind::Compressed { .. } => Pace::Slow,
            #[cfg(feature = "oauth2")]
            ExchangeKind::Metadata(_) => Pace::Slow,
            ExchangeKind::NoToken { .. } | ExchangeKind::TokenType | ExchangeKind::Token => {
                Pace::PermanentUntilWorked
            }
            // Nothing was sent, so that the next attempt locks no account.
            ExchangeKind::Unsent
            | ExchangeKind::NoTls
            | ExchangeKind::NoAnswer
            | ExchangeKind::Unread
            | ExchangeKind::TooLong
            | ExchangeKind::ServerFailed
            | ExchangeKind::Unexpected
            | ExchangeKind::NotJson => Pace::Transient,
        };
        RetryAdvice {
            pace,
            retry_after,
            is_lifted_by_pause: matches!(status, Some(400 | 401 | 403 | 422)),
        }
    }

    pub(super) fn recovery(&self, pause: Duration) -> Recovery {
        match &self.kind {
            // No password and no client is sent.
            #[cfg(feature = "oauth2")]
            _ if self.grant == Grant::Discovery && self.advice().pace == Pace::Permanent => {
                Recovery::FixProgram
            }
            #[cfg(feature = "oauth2")]
            ExchangeKind::Metadata(_) => Recovery::FixProgram,
            ExchangeKind::Redirected { .. }
            | ExchangeKind::NotFound
            | ExchangeKind::Compressed { .. }
            | ExchangeKind::TooLong
            | ExchangeKind::NoToken { .. }
            | ExchangeKind::TokenType
            | ExchangeKind::Token => Recovery::FixProgram,
            ExchangeKind::Refused { code } if !self.is_about_credentials(*code) => {
                match self.advice().pace {
                    Pace::Permanent => Recovery::FixProgram,
                    _ => Recovery::TryAgain { after: pause },
                }
            }
            _ if self.advice().pace == Pace::Permanent => Recovery::ChangeCredentials,
            _ => Recovery::TryAgain { after: pause },
        }
    }

    /// Whether a refusal is about the password or the client, and not about the login's document.
    fn is_about_credentials(&self, code: Option<ErrorCode>) -> bool {
        let status = self.answer.as_ref().map(|answer| answer.status.as_u16());
        match code {
            Some(code) => code.is_about_credentials(),
            None => !matches!(status, Some(400 | 422)),
        }
    }

    /// What is different if no password and no client was sent.
    #[cfg(feature = "oauth2")]
    fn hint_of_discovery(&self) -> Option<&'static str> {
        Some(match &self.kind {
            ExchangeKind::Metadata(fault) => fault.hint(),
            ExchangeKind::NotFound | ExchangeKind::Refused { .. } | ExchangeKind::Locked => {
                "check the issuer's URL, and try the other of `openid` and `rfc8414`"
            }
            ExchangeKind::Blocked => {
                "check the issuer's URL, and whether a firewall or a proxy answers"
            }
            ExchangeKind::Redirected { .. } => {
                "redirects are not followed, so check the issuer's URL"
            }
            _ => return None,
        })
    }

    pub(crate) fn code(&self) -> Option<&'static str> {
        match &self.kind {
            ExchangeKind::Refused { code } => code.map(ErrorCode::as_str),
            _ => None,
        }
    }

    /// What somebody has to change, if it is known.
    fn hint(&self) -> Option<&'static str> {
        #[cfg(feature = "oauth2")]
        if self.grant == Grant::Discovery
            && let Some(hint) = self.hint_of_discovery()
        {
            return Some(hint);
        }
        Some(match &self.kind {
            // The login follows, and tells whether something is to be changed.
            ExchangeKind::Refused { .. } if self.grant == Grant::Refresh => return None,
            ExchangeKind::Refused { code: Some(code) } => code.hint()?,
            ExchangeKind::Refused { code: None } => match self.answer.as_ref()?.status.as_u16() {
                400 | 422 => "check the document that the login sends",
                _ => "check the password, then `reset()`",
            },
            ExchangeKind::NoTls => "check the server's certificate, and the client's roots",
            ExchangeKind::Locked => "unlock the account, then `reset()`",
            ExchangeKind::Blocked => {
                "check the password, and whether a firewall or a proxy answers"
            }
            ExchangeKind::NotFound => "check the path of its URL",
            ExchangeKind::Redirected { .. } => "redirects are not followed, so set this URL",
            ExchangeKind::Compressed { .. } => "give the login a client that decompresses",
            ExchangeKind::NoToken { .. } => "set `token_at`, or see whether the API asks for more",
            ExchangeKind::TokenType => "use `with_scheme` to set its scheme",
            _ => return None,
        })
    }
}

impl Grant {
    /// The method of its request.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Login | Self::Refresh => "POST",
            #[cfg(feature = "oauth2")]
            Self::Discovery => "GET",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::Refresh => "refresh",
            #[cfg(feature = "oauth2")]
            Self::Discovery => "discovery",
        })
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            grant, endpoint, ..
        } = self;
        match &self.kind {
            ExchangeKind::Unsent => write!(f, "the {grant} at {endpoint} got no connection"),
            ExchangeKind::NoTls => write!(f, "the {grant} at {endpoint} got no TLS connection"),
            ExchangeKind::NoAnswer => write!(f, "the {grant} at {endpoint} got no answer"),
            ExchangeKind::Unread => write!(f, "the answer to the {grant} at {endpoint} broke off"),
            ExchangeKind::TooLong => {
                write!(
                    f,
                    "the answer to the {grant} at {endpoint} is longer than 64 KiB"
                )
            }
            ExchangeKind::Compressed { encoding } => {
                write!(
                    f,
                    "the answer to the {grant} at {endpoint} is compressed with {encoding}"
                )
            }
            ExchangeKind::Redirected { to: Some(to) } => {
                write!(f, "the {grant} at {endpoint} was redirected to {to}")
            }
            ExchangeKind::Redirected { to: None } => {
                write!(f, "the {grant} at {endpoint} was redirected")
            }
            ExchangeKind::ServerFailed => {
                write!(f, "the server of the {grant} at {endpoint} failed")
            }
            ExchangeKind::RateLimited => {
                write!(f, "the {grant} at {endpoint} was refused for now")
            }
            ExchangeKind::Refused { .. } | ExchangeKind::Unexpected => {
                write!(f, "the {grant} at {endpoint} was refused")
            }
            ExchangeKind::Locked => {
                write!(f, "the account of the {grant} at {endpoint} is locked")
            }
            ExchangeKind::Blocked => {
                write!(f, "the {grant} at {endpoint} was refused without JSON")
            }
            ExchangeKind::NotFound => write!(f, "there is no {grant} at {endpoint}"),
            ExchangeKind::NotJson => {
                write!(f, "the answer to the {grant} at {endpoint} is not JSON")
            }
            ExchangeKind::NoToken { field } => {
                write!(
                    f,
                    "the answer to the {grant} at {endpoint} has no token at {field}"
                )
            }
            ExchangeKind::TokenType => {
                write!(
                    f,
                    "the answer to the {grant} at {endpoint} has a token of another type than bearer"
                )
            }
            ExchangeKind::Token => {
                write!(
                    f,
                    "the answer to the {grant} at {endpoint} has an unusable token"
                )
            }
            #[cfg(feature = "oauth2")]
            ExchangeKind::Metadata(fault) => {
                write!(f, "the answer to the {grant} at {endpoint} {fault}")
            }
        }?;
        if let Some(answer) = &self.answer {
            match self.code() {
                Some(code) => write!(f, ": {} {code}", answer.status.as_u16())?,
                None => write!(f, ": {answer}")?,
            }
        }
        match self.hint() {
            Some(hint) => write!(f, ": {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        match (&self.content_type, self.length) {
            (Some(content_type), Some(length)) => write!(f, " ({content_type}, {length} bytes)"),
            (Some(content_type), None) => write!(f, " ({content_type})"),
            (None, Some(length)) => write!(f, " ({length} bytes)"),
            (None, None) => Ok(()),
        }
    }
}
