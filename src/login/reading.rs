//! Reads a credential from a login's answer.

use std::{collections::HashMap, mem, time::Duration};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::exchange::ReadAnswer;
use crate::{
    credential::{Credential, InvalidToken, RefreshToken, Scheme, Secret, Token},
    error::{LoginError, LoginErrorKind},
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
/// use tower_bearer::{JsonLogin, Lifetime};
///
/// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
/// # });
/// let login = JsonLogin::new(client, "https://api.example.com/login", r#"{"key":"secret"}"#)?
///     .lifetime(Lifetime::Fixed(Duration::from_secs(600)));
/// # let _ = tower_bearer::CachedProvider::new(login);
/// # Ok::<_, tower_bearer::InvalidUrl>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// The lifetime in the login's answer. If the answer has none, as `UntilRejected`. The default.
    #[default]
    Announced,
    /// This lifetime, whatever the answer says.
    Fixed(Duration),
    /// No expiry: the credential is used until a server rejects it.
    UntilRejected,
}

/// Where an answer has its values, as JSON pointers, and how to read them.
pub(crate) struct AnswerFormat {
    pub(crate) token_at: String,
    pub(crate) check_token: fn(Secret) -> Result<Token, InvalidToken>,
    pub(crate) lifetime_at: String,
    pub(crate) lifetime: Lifetime,
    pub(crate) refresh_token_at: Option<String>,
    pub(crate) refresh_token_lifetime: RefreshTokenLifetime,
    /// Where an answer has `false` if the login failed, whatever its status.
    pub(crate) success_at: Option<&'static str>,
    pub(crate) scheme: Scheme,
}

/// Where the lifetime of a refresh token comes from.
pub(crate) enum RefreshTokenLifetime {
    Unknown,
    /// The number of seconds at this JSON pointer.
    At(String),
    /// Computed by this function from the answer.
    #[cfg(feature = "teletracker")]
    By(fn(&RawValue) -> Option<Duration>),
}

impl Default for AnswerFormat {
    fn default() -> Self {
        Self {
            token_at: "/access_token".to_owned(),
            check_token: Token::new,
            lifetime_at: "/expires_in".to_owned(),
            lifetime: Lifetime::Announced,
            refresh_token_at: None,
            refresh_token_lifetime: RefreshTokenLifetime::Unknown,
            success_at: None,
            scheme: Scheme::BEARER,
        }
    }
}

impl AnswerFormat {
    pub(super) fn credential(&self, answer: &ReadAnswer) -> Result<Credential, LoginError> {
        let error = |kind| answer.error(kind);
        let json = parse(answer).ok_or_else(|| error(LoginErrorKind::NotJson))?;
        let success = self.success_at.and_then(|pointer| find(json, pointer));
        if success.is_some_and(|success| success.get() == "false") {
            return Err(error(LoginErrorKind::Refused { for_now: false }));
        }
        // RFC 6749, section 7.1: a client must not use a token type that it does not understand.
        // Users who set a scheme of their own say that they do.
        let kind = find(json, "/token_type").and_then(string);
        let is_understood = |kind: &Secret| kind.expose().eq_ignore_ascii_case("bearer");
        if self.scheme == Scheme::BEARER && !kind.as_ref().is_none_or(is_understood) {
            return Err(error(LoginErrorKind::TokenType));
        }
        let token = find(json, &self.token_at).and_then(string).ok_or_else(|| {
            let pointer = self.token_at.clone();
            error(LoginErrorKind::NoToken { pointer })
        })?;
        let token = (self.check_token)(token)
            .map_err(|source| error(LoginErrorKind::Token).with_source(source.into()))?;
        let mut credential = Credential::from(token).with_scheme(self.scheme);
        let lifetime = match self.lifetime {
            Lifetime::Announced => find(json, &self.lifetime_at).and_then(seconds),
            Lifetime::Fixed(lifetime) => Some(lifetime),
            Lifetime::UntilRejected => None,
        };
        if let Some(lifetime) = lifetime {
            credential = credential.with_lifetime(lifetime);
        }
        if let Some(refresh_token) = self.refresh_token(answer) {
            credential = credential.with_refresh_token(refresh_token);
        }
        Ok(credential)
    }

    /// The refresh token, even if the rest of the answer is unusable.
    pub(super) fn refresh_token(&self, answer: &ReadAnswer) -> Option<RefreshToken> {
        let json = parse(answer)?;
        let secret = string(find(json, self.refresh_token_at.as_ref()?)?)?;
        if secret.expose().is_empty() {
            return None;
        }
        let lifetime = match &self.refresh_token_lifetime {
            RefreshTokenLifetime::Unknown => None,
            RefreshTokenLifetime::At(pointer) => find(json, pointer).and_then(seconds),
            #[cfg(feature = "teletracker")]
            RefreshTokenLifetime::By(compute) => compute(json),
        };
        let token = RefreshToken::new(secret);
        Some(match lifetime {
            Some(lifetime) => token.with_lifetime(lifetime),
            None => token,
        })
    }
}

/// The answer, if its status is a success.
pub(super) fn accepted(answer: ReadAnswer) -> Result<ReadAnswer, LoginError> {
    let kind = match answer.status() {
        status if status.is_success() => return Ok(answer),
        status if status.is_redirection() => LoginErrorKind::Redirected,
        status if status.is_server_error() => LoginErrorKind::ServerFailed,
        _ => LoginErrorKind::Refused {
            for_now: is_refused_for_now(&answer),
        },
    };
    Err(answer.error(kind))
}

/// Whether the same login may succeed later. It will not after a wrong password, or any error of
/// RFC 6749, section 5.2. It may after an answer of a gateway that has no route, or is busy.
fn is_refused_for_now(answer: &ReadAnswer) -> bool {
    let error = parse(answer).and_then(|json| string(find(json, "/error")?));
    // RFC 6749, section 4.1.2.1, which servers follow here as well; RFC 8628, section 3.5.
    let is_announced = error.is_some_and(|error| {
        ["temporarily_unavailable", "server_error", "slow_down"].contains(&error.expose())
    });
    is_announced || !matches!(answer.status().as_u16(), 400 | 401 | 403 | 422)
}

fn parse(answer: &ReadAnswer) -> Option<&RawValue> {
    serde_json::from_slice(answer.json()).ok()
}

/// The value at a JSON pointer. No other value is parsed: an invalid one does no harm, and no other
/// secret is copied.
pub(crate) fn find<'a>(json: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut steps = pointer.split('/');
    if !steps.next()?.is_empty() {
        return None;
    }
    steps.try_fold(json, |value, step| {
        let name = step.replace("~1", "/").replace("~0", "~");
        if let Ok(mut object) = serde_json::from_str::<HashMap<String, _>>(value.get()) {
            object.remove(&name)
        } else {
            let array: Vec<_> = serde_json::from_str(value.get()).ok()?;
            let position: usize = name.parse().ok()?;
            // RFC 6901, section 4: no sign and no leading zero.
            let is_canonical = position.to_string() == name;
            array.get(position).copied().filter(|_| is_canonical)
        }
    })
}

/// A JSON string, in a buffer that never grows: growing would leave a part of the secret in memory.
/// `None` for any other value, and for a character that is written as two escapes (a surrogate
/// pair).
pub(crate) fn string(value: &RawValue) -> Option<Secret> {
    let mut rest = value.get().strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let length = if rest[at + 1..].starts_with('u') {
            6
        } else {
            2
        };
        let escape = rest.get(at..at + length)?;
        text.push(serde_json::from_str(&format!("\"{escape}\"")).ok()?);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    Some(mem::take(&mut *text).into())
}

/// A lifetime as servers send it: `3600`, `3600.0`, `"3600"`. Negative values become zero, and too
/// large ones the maximum.
pub(crate) fn seconds(value: &RawValue) -> Option<Duration> {
    let text = match value.get().as_bytes() {
        [b'"', ..] => serde_json::from_str(value.get()).ok()?,
        _ => value.get().to_owned(),
    };
    let text = text.trim();
    // Rust parses words such as `inf` as numbers.
    if text.contains(|c: char| c.is_ascii_alphabetic() && !c.eq_ignore_ascii_case(&'e')) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}
