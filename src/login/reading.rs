//! Reads a credential from a login's answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    exchange::{Failed, ReadAnswer},
    field::{AnswerField, Value},
    json_text::{find, number, string},
    jwt,
    status::{is_failure, parse},
};
use crate::{
    credential::{Credential, InvalidToken, RefreshToken, Scheme, Secret, Token},
    error::ExchangeKind,
};

/// Where the lifetime of a credential comes from.
///
/// # Examples
///
/// An API that announces an hour, and ends its sessions after ten minutes:
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// use std::time::Duration;
/// use tower_bearer::{HttpLogin, Lifetime};
///
/// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
/// # });
/// let login = HttpLogin::new(client, "https://api.example.com/login", r#"{"key":"secret"}"#)?
///     .lifetime(Lifetime::Fixed(Duration::from_secs(600)));
/// # let _ = tower_bearer::CachedProvider::new(login);
/// # Ok::<_, tower_bearer::InvalidUrl>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// The lifetime in the login's answer, the default. If the answer has none and the token is a JSON
    /// Web Token, the lifetime is that from its `iat`, or from now, to its `exp`. The token is not
    /// verified. If it has no `exp` either, as `UntilRejected`.
    #[default]
    Announced,
    /// This lifetime, whatever the answer says.
    Fixed(Duration),
    /// No expiry: the credential is used until a server rejects it.
    UntilRejected,
}

/// A login's answer, for a function that reads what no other setting can.
///
/// Its `Debug` hides the body, which holds the token.
#[derive(Clone, Copy)]
pub struct LoginAnswer<'a> {
    answer: &'a ReadAnswer,
    json: Option<&'a RawValue>,
}

impl<'a> LoginAnswer<'a> {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.answer.headers()
    }

    /// The string at a JSON pointer ([RFC 6901]).
    ///
    /// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
    #[must_use]
    pub fn string_at(&self, pointer: &str) -> Option<Secret> {
        string(find(self.json?, pointer)?)
    }

    /// The number at a JSON pointer. A string of a number counts.
    #[must_use]
    pub fn number_at(&self, pointer: &str) -> Option<f64> {
        number(find(self.json?, pointer)?)
    }
}

impl std::fmt::Debug for LoginAnswer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginAnswer")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// A lifetime that the user's function reads from an answer.
type LifetimeFn = dyn Fn(LoginAnswer<'_>) -> Option<Duration> + Send + Sync;

/// Where an answer has its values, and how to read them.
pub(crate) struct AnswerFormat {
    pub(crate) token_at: AnswerField,
    pub(crate) check_token: fn(Secret) -> Result<Token, InvalidToken>,
    pub(crate) lifetime: Lifetime,
    pub(crate) lifetime_at: LifetimeField,
    pub(crate) refresh_token_at: Option<AnswerField>,
    pub(crate) refresh_token_lifetime: RefreshTokenLifetime,
    pub(crate) scheme: Scheme,
    /// Whether the API answers a wrong password with an empty body.
    pub(crate) refuses_with_empty_body: bool,
}

pub(crate) enum LifetimeField {
    /// `/expires_in`, which may be missing.
    Usual,
    In {
        field: AnswerField,
        unit: Duration,
    },
    Expiry(AnswerField),
    Function(Box<LifetimeFn>),
}

/// Where the lifetime of a refresh token comes from.
pub(crate) enum RefreshTokenLifetime {
    Unknown,
    /// A number of seconds.
    At(AnswerField),
    /// Computed by this function from the answer.
    #[cfg(feature = "teletracker")]
    By(fn(&RawValue) -> Option<Duration>),
}

impl Default for AnswerFormat {
    fn default() -> Self {
        Self {
            token_at: "/access_token".into(),
            check_token: Token::new,
            lifetime: Lifetime::Announced,
            lifetime_at: LifetimeField::Usual,
            refresh_token_at: None,
            refresh_token_lifetime: RefreshTokenLifetime::Unknown,
            scheme: Scheme::BEARER,
            refuses_with_empty_body: false,
        }
    }
}

/// The end of a credential, as an answer has it.
enum End {
    After(Duration),
    At(SystemTime),
}

impl AnswerFormat {
    pub(super) fn credential(&self, answer: &ReadAnswer) -> Result<Credential, Failed> {
        let json = parse(answer);
        if json.is_some_and(is_failure) {
            return Err(answer.refused());
        }
        let token = self.token(answer, json).map_err(|kind| match json {
            // A usable token counts, whatever `error` says beside it.
            Some(json) if super::status::has_error(json) => answer.refused(),
            Some(_) => answer.failed(kind),
            None => answer.not_json(),
        })?;
        let token = (self.check_token)(token)
            .map_err(|source| answer.failed(ExchangeKind::Token).with_source(source))?;
        let end = match self.lifetime {
            Lifetime::Announced => {
                let announced = self.announced(answer, json);
                announced.or_else(|| jwt_end(token.expose()))
            }
            Lifetime::Fixed(lifetime) => Some(End::After(lifetime)),
            Lifetime::UntilRejected => None,
        };
        let credential = Credential::from(token).with_scheme(self.scheme);
        let credential = match end {
            Some(End::After(lifetime)) => credential.with_lifetime(lifetime),
            Some(End::At(expires_at)) => credential.with_expires_at(expires_at),
            None => credential,
        };
        Ok(match self.refresh_token(answer) {
            Some(refresh_token) => credential.with_refresh_token(refresh_token),
            None => credential,
        })
    }

    /// Whether the user has said where the lifetime is, and the credential has none.
    #[cfg(feature = "tracing")]
    pub(super) fn misses_lifetime(&self, credential: &Credential) -> bool {
        self.lifetime == Lifetime::Announced
            && !matches!(self.lifetime_at, LifetimeField::Usual)
            && (credential.lifetime(), credential.expires_at()) == (None, None)
    }

    fn token(&self, answer: &ReadAnswer, json: Option<&RawValue>) -> Result<Secret, ExchangeKind> {
        let (value, pointer) = self
            .token_at
            .find(answer, json)
            .ok_or_else(|| self.no_token())?;
        // RFC 6749, section 7.1: a token of an unknown type must not be used. A scheme that the user
        // has set says how to use it.
        let kind_at = pointer.and_then(|pointer| pointer.rsplit_once('/'));
        let kind = kind_at.and_then(|(parent, _)| find(json?, &format!("{parent}/token_type")));
        let is_bearer = |kind: &RawValue| {
            let kind = string(kind);
            kind.is_some_and(|kind| {
                ["bearer", "bearertoken"]
                    .iter()
                    .any(|bearer| kind.expose().eq_ignore_ascii_case(bearer))
            })
        };
        let is_usable = kind.is_none_or(|kind| kind.get() == "null" || is_bearer(kind));
        if self.scheme == Scheme::BEARER && !is_usable {
            return Err(ExchangeKind::TokenType);
        }
        let token = value.secret().ok_or_else(|| self.no_token())?;
        // Some servers send the whole header value.
        let (scheme, text) = (self.scheme.as_str(), token.expose());
        let prefix = text.get(..scheme.len());
        let rest = prefix.filter(|prefix| prefix.eq_ignore_ascii_case(scheme));
        let rest = rest.and_then(|_| text[scheme.len()..].strip_prefix(' '));
        match rest.map(str::trim_start).filter(|rest| !rest.is_empty()) {
            Some(rest) => Ok(Secret::from(rest)),
            None => Ok(token),
        }
    }

    fn no_token(&self) -> ExchangeKind {
        ExchangeKind::NoToken {
            field: self.token_at.to_string(),
        }
    }

    fn announced(&self, answer: &ReadAnswer, json: Option<&RawValue>) -> Option<End> {
        let second = Duration::from_secs(1);
        let lifetime = match &self.lifetime_at {
            LifetimeField::Usual => Value::Json(find(json?, "/expires_in")?).lifetime(second),
            LifetimeField::In { field, unit } => field.find(answer, json)?.0.lifetime(*unit),
            LifetimeField::Expiry(field) => {
                return expiry(field.find(answer, json)?.0).map(End::At);
            }
            LifetimeField::Function(read) => read(LoginAnswer { answer, json }),
        };
        lifetime.map(End::After)
    }

    /// The refresh token, whatever else is missing in the answer.
    pub(super) fn refresh_token(&self, answer: &ReadAnswer) -> Option<RefreshToken> {
        let json = parse(answer);
        let field = self.refresh_token_at.as_ref()?;
        let secret = field.find(answer, json)?.0.secret()?;
        let lifetime = match &self.refresh_token_lifetime {
            RefreshTokenLifetime::Unknown => None,
            RefreshTokenLifetime::At(field) => field
                .find(answer, json)
                .and_then(|(value, _)| value.lifetime(Duration::from_secs(1)))
                // Keycloak sends 0 for a token without an expiry.
                .filter(|lifetime| !lifetime.is_zero()),
            #[cfg(feature = "teletracker")]
            RefreshTokenLifetime::By(compute) => json.and_then(compute),
        };
        let token = RefreshToken::new(secret);
        Some(match lifetime {
            Some(lifetime) => token.with_lifetime(lifetime),
            None => token,
        })
    }
}

/// An expiry as RFC 3339, as an HTTP date, or as Unix time in seconds or milliseconds.
fn expiry(value: Value<'_>) -> Option<SystemTime> {
    /// In seconds this is the year 5138, and in milliseconds 1973.
    const MILLISECONDS_FROM: f64 = 1e11;
    if let Some(number) = value.number() {
        let seconds = match number {
            MILLISECONDS_FROM.. => number / 1e3,
            _ => number,
        };
        let since = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
        return UNIX_EPOCH.checked_add(since);
    }
    let text = value.secret()?;
    let text = text.expose().trim();
    match OffsetDateTime::parse(text, &Rfc3339) {
        // Go's zero time, of the year 1, is no expiry.
        Ok(date) => {
            let seconds = u64::try_from(date.unix_timestamp()).ok()?;
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
        }
        Err(_) => httpdate::parse_http_date(text).ok(),
    }
}

/// The end of a token that is a JWT. It is not verified: only its issuer can tell whether it is true.
fn jwt_end(token: &str) -> Option<End> {
    let jwt::Times {
        issued_at,
        expires_at,
    } = jwt::times(token)?;
    match issued_at.filter(|issued_at| *issued_at < expires_at) {
        // The difference does not depend on the server's clock agreeing with ours.
        Some(issued_at) => Duration::try_from_secs_f64(expires_at - issued_at)
            .ok()
            .map(End::After),
        None => {
            let since = Duration::try_from_secs_f64(expires_at).ok()?;
            UNIX_EPOCH.checked_add(since).map(End::At)
        }
    }
}

#[cfg(test)]
mod tests;
