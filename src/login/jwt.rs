//! The claims of a JSON Web Token, read and not verified.

#[cfg(feature = "files")]
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::json_text::{find, number};

/// The longest claims that are read, in characters. A token of more is opaque.
const LONGEST: usize = 16 * 1024;

/// When a token was issued and when it expires, in seconds of Unix time.
pub(super) struct Times {
    #[cfg_attr(
        not(feature = "json"),
        allow(dead_code, reason = "of a login's answer")
    )]
    pub(super) issued_at: Option<f64>,
    pub(super) expires_at: f64,
}

/// The times in the second of three parts ([RFC 7519, section 3]), if that is a JSON object with an
/// expiry.
///
/// [RFC 7519, section 3]: https://www.rfc-editor.org/rfc/rfc7519#section-3
pub(super) fn times(token: &str) -> Option<Times> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || claims.len() > LONGEST {
        return None;
    }
    let claims = decoded(claims)?;
    let json: &RawValue = serde_json::from_slice(&claims).ok()?;
    let claim = |name| number(find(json, name)?).filter(|seconds| *seconds >= 0.0);
    Some(Times {
        issued_at: claim("/iat"),
        expires_at: claim("/exp")?,
    })
}

/// The expiry by the clock of the token's issuer.
#[cfg(feature = "files")]
pub(super) fn expires_at(token: &str) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(times(token)?.expires_at).ok()?;
    UNIX_EPOCH.checked_add(since)
}

/// Whether this part is a whole header ([RFC 7515, section 4.1.1]): other tokens with dots have no `alg`.
///
/// [RFC 7515, section 4.1.1]: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.1
#[cfg(feature = "files")]
pub(super) fn is_header(part: &str) -> bool {
    decoded(part).is_some_and(|json| {
        let json: Result<&RawValue, _> = serde_json::from_slice(&json);
        json.is_ok_and(|json| find(json, "/alg").is_some())
    })
}

/// Whether all parts can be read: the three of a signed token, or the five of an encrypted one.
#[cfg(feature = "files")]
pub(super) fn is_whole(token: &str) -> bool {
    let is_object = |part| {
        decoded(part).is_some_and(|json| {
            let json: Result<&RawValue, _> = serde_json::from_slice(&json);
            json.is_ok_and(|json| json.get().starts_with('{'))
        })
    };
    let is_binary = |part: &str| !part.is_empty() && decoded(part).is_some();
    match token.split('.').collect::<Vec<_>>()[..] {
        [header, claims, signature] => {
            is_object(header) && is_object(claims) && is_binary(signature)
        }
        // The encrypted key may be empty.
        [header, _, vector, text, tag] => {
            is_object(header) && [vector, text, tag].into_iter().all(is_binary)
        }
        _ => false,
    }
}

fn decoded(part: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Some issuers pad.
    let part = part.trim_end_matches('=');
    let mut decoded = Zeroizing::new(vec![0; part.len()]);
    let length = URL_SAFE_NO_PAD.decode_slice(part, &mut decoded).ok()?;
    decoded.truncate(length);
    Some(decoded)
}

#[cfg(all(test, feature = "files"))]
mod tests;
