//! Where an answer has a value, and the forms in which servers send it.

use std::{fmt, time::Duration};

use http::HeaderName;
use serde_json::value::RawValue;

use super::{
    exchange::ReadAnswer,
    json_text::{find, number, string},
};
use crate::credential::Secret;

/// Where a login's answer has a value: JSON pointers ([RFC 6901]) and headers. The first of them that
/// has a value counts.
///
/// A pointer is `/data/0/token`: the `token` of the first element of `data`. A value of `null` counts
/// as missing.
///
/// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
///
/// # Examples
///
/// ```
/// use http::HeaderName;
/// use tower_bearer::AnswerField;
///
/// let one = AnswerField::from("/access_token");
/// let any_of_two = AnswerField::from(["/data/token", "/token"]);
/// let header = AnswerField::from(HeaderName::from_static("x-auth-token"));
/// let header_or_body = AnswerField::from([header, one]);
/// # let _ = (any_of_two, header_or_body);
/// ```
#[derive(Clone, Debug)]
pub struct AnswerField(Vec<Place>);

#[derive(Clone, Debug)]
enum Place {
    Pointer(String),
    Header(HeaderName),
}

impl From<&str> for AnswerField {
    fn from(pointer: &str) -> Self {
        Self::from(pointer.to_owned())
    }
}

impl From<String> for AnswerField {
    fn from(pointer: String) -> Self {
        Self(vec![Place::Pointer(pointer)])
    }
}

impl From<HeaderName> for AnswerField {
    fn from(name: HeaderName) -> Self {
        Self(vec![Place::Header(name)])
    }
}

impl<T: Into<AnswerField>, const N: usize> From<[T; N]> for AnswerField {
    fn from(fields: [T; N]) -> Self {
        Self(
            fields
                .into_iter()
                .flat_map(|field| field.into().0)
                .collect(),
        )
    }
}

impl fmt::Display for AnswerField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.iter().map(|place| match place {
            Place::Pointer(pointer) => pointer.clone(),
            Place::Header(name) => format!("the header {name}"),
        });
        f.write_str(&places.collect::<Vec<_>>().join(" or "))
    }
}

/// A value in an answer.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Json(&'a RawValue),
    Header(&'a str),
}

impl AnswerField {
    /// The first value, and where it is.
    pub(super) fn find<'a>(
        &self,
        answer: &'a ReadAnswer,
        json: Option<&'a RawValue>,
    ) -> Option<(Value<'a>, Option<&str>)> {
        self.0.iter().find_map(|place| match place {
            Place::Pointer(pointer) => {
                let value = find(json?, pointer)?;
                let is_null = value.get() == "null";
                (!is_null).then_some((Value::Json(value), Some(pointer.as_str())))
            }
            Place::Header(name) => Some((Value::Header(answer.header(name)?), None)),
        })
    }
}

impl Value<'_> {
    /// A string that is not empty.
    pub(super) fn secret(self) -> Option<Secret> {
        let secret = match self {
            Self::Json(value) => string(value)?,
            Self::Header(text) => Secret::from(text.trim()),
        };
        (!secret.expose().is_empty()).then_some(secret)
    }

    /// A number, or a string of one.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Json(value) => number(value),
            Self::Header(text) => super::json_text::parse_number(text),
        }
    }

    /// A lifetime in this unit. Below zero is zero, and too long is the longest.
    pub(super) fn lifetime(self, unit: Duration) -> Option<Duration> {
        let lifetime = self.number()?.max(0.0) * unit.as_secs_f64();
        Some(Duration::try_from_secs_f64(lifetime).unwrap_or(Duration::MAX))
    }
}
