//! JSON read without a copy of the document.

#[cfg(feature = "teletracker")]
use std::time::Duration;
use std::{collections::HashMap, mem};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::credential::Secret;

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

/// A number, or a string of one.
pub(crate) fn number(value: &RawValue) -> Option<f64> {
    match value.get().as_bytes() {
        [b'"', ..] => parse_number(string(value)?.expose()),
        _ => parse_number(value.get()),
    }
}

pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let text = text.trim();
    // Rust parses words such as `inf` as numbers.
    let is_word = |c: char| c.is_ascii_alphabetic() && !c.eq_ignore_ascii_case(&'e');
    if text.contains(is_word) {
        return None;
    }
    text.parse().ok()
}

/// A lifetime as servers send it: `3600`, `3600.0`, `"3600"`. Negative values become zero, and too
/// large ones the maximum.
#[cfg(feature = "teletracker")]
pub(crate) fn seconds(value: &RawValue) -> Option<Duration> {
    let seconds = number(value)?.max(0.0);
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
