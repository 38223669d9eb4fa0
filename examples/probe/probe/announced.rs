//! What the login's answer announces: lifetimes, the type of the token, the server's time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::header::DATE;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{config::Places, report::Offset, tap::Exchange};

/// A lifetime, and where the answer has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announced {
    pub(crate) lifetime: Duration,
    pub(crate) place: String,
    /// Whether it is a time by the server's clock, from which a client with another time computes
    /// another lifetime.
    pub(crate) is_by_clock: bool,
}

/// All lifetimes of the answer. The first is the one that the login of the crate reads.
pub(crate) fn lifetimes(exchange: &Exchange, places: &Places, token: &str) -> Vec<Announced> {
    let answer = json(exchange);
    let now = date(exchange).unwrap_or(exchange.wall);
    let mut found = Vec::new();
    let mut add = |lifetime: Option<Duration>, place: String, is_by_clock| {
        found.extend(lifetime.map(|lifetime| Announced {
            lifetime,
            place,
            is_by_clock,
        }));
    };
    let at = |pointer: &Option<String>| Some(answer.pointer(pointer.as_deref()?)?.clone());
    for (pointer, unit) in [(&places.lifetime, 1.0), (&places.lifetime_ms, 1e-3)] {
        let lifetime = at(pointer).as_ref().and_then(number);
        let lifetime = lifetime.and_then(|it| Duration::try_from_secs_f64(it * unit).ok());
        add(lifetime, pointer.clone().unwrap_or_default(), false);
    }
    let expiry = at(&places.expiry).as_ref().and_then(instant);
    let lifetime = expiry.and_then(|expiry| expiry.duration_since(now).ok());
    let place = places.expiry.clone().unwrap_or_default();
    add(
        lifetime,
        format!("{place}, a time by the server's clock"),
        true,
    );
    if let Some(claims) = claims(token)
        && let Some(expiry) = claims.get("exp").and_then(instant)
    {
        let issued_at = claims.get("iat").and_then(instant);
        let lifetime = expiry.duration_since(issued_at.unwrap_or(now)).ok();
        let place = match issued_at {
            Some(_) => "the JWT's exp - iat",
            None => "the JWT's exp",
        };
        add(lifetime, place.to_owned(), issued_at.is_none());
    }
    found
}

/// The `token_type` beside the token. It is printed only if it is a word.
pub(crate) fn token_type(exchange: &Exchange, places: &Places) -> Option<String> {
    let (parent, _) = places.token.rsplit_once('/')?;
    let answer = json(exchange);
    let word = answer.pointer(&format!("{parent}/token_type"))?.as_str()?;
    let is_word = word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(if is_word { word } else { "of many characters" }.to_owned())
}

pub(crate) fn is_jwt(token: &str) -> bool {
    claims(token).is_some()
}

/// How far the server's clock is ahead, by the `Date` of an answer.
pub(crate) fn offset(exchange: &Exchange) -> Option<Offset> {
    // `Date` leaves out the fraction of its second.
    let half = Duration::from_millis(500);
    Some(Offset {
        seconds: difference(date(exchange)? + half, exchange.wall),
        error: (half + exchange.round_trip / 2).as_secs_f64(),
    })
}

/// How far the issuer's clock is ahead, by the `iat` of a token that the answer has brought.
pub(crate) fn offset_of_jwt(exchange: &Exchange, token: &str) -> Option<Offset> {
    let issued_at = instant(claims(token)?.get("iat")?)?;
    let half = Duration::from_millis(500);
    Some(Offset {
        seconds: difference(issued_at + half, exchange.wall),
        error: (half + exchange.round_trip / 2).as_secs_f64(),
    })
}

fn difference(server: SystemTime, local: SystemTime) -> f64 {
    match server.duration_since(local) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    }
}

fn date(exchange: &Exchange) -> Option<SystemTime> {
    httpdate::parse_http_date(exchange.headers.get(DATE)?.to_str().ok()?).ok()
}

fn json(exchange: &Exchange) -> Value {
    serde_json::from_slice(&exchange.body).unwrap_or_default()
}

fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&claims)
        .ok()
        .filter(Value::is_object)
}

fn number(value: &Value) -> Option<f64> {
    let number = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

/// RFC 3339, an HTTP date, or Unix time in seconds or milliseconds.
fn instant(value: &Value) -> Option<SystemTime> {
    if let Some(number) = number(value) {
        let seconds = if number >= 1e11 { number / 1e3 } else { number };
        return UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?);
    }
    let text = value.as_str()?.trim();
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(date) => Some(date.into()),
        Err(_) => httpdate::parse_http_date(text).ok(),
    }
}
