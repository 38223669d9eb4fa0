//! Whether an answer is a credential, or what kind of failure it is.

use http::{Uri, header::LOCATION};
use serde_json::value::RawValue;

use super::{
    exchange::{Failed, ReadAnswer},
    json_text::{find, string},
};
use crate::{
    error::{ErrorCode, ExchangeKind},
    origin::url,
};

/// The answer, if its status is a success.
///
/// | answer | failure |
/// | --- | --- |
/// | 3xx | redirected |
/// | 400, 422 | refused |
/// | 401, 403 with a JSON object | refused |
/// | 401, 403 without | blocked, by a firewall or a proxy |
/// | 404, 405, 410 | not found |
/// | 423 | locked |
/// | 429 | rate-limited |
/// | 5xx | the server failed |
/// | any other | unexpected |
pub(super) fn check(
    answer: ReadAnswer,
    refuses_with_empty_body: bool,
) -> Result<ReadAnswer, Failed> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let is_from_api = || {
        let is_object = parse(&answer).is_some_and(|json| json.get().starts_with('{'));
        is_object || (refuses_with_empty_body && answer.has_no_body())
    };
    let kind = match status.as_u16() {
        _ if status.is_redirection() => ExchangeKind::Redirected {
            to: location(&answer),
        },
        400 | 422 => return Err(answer.refused()),
        401 | 403 if is_from_api() => return Err(answer.refused()),
        401 | 403 => match answer.encoding() {
            Some(encoding) => ExchangeKind::Compressed {
                encoding: encoding.to_owned(),
            },
            None => ExchangeKind::Blocked,
        },
        404 | 405 | 410 => ExchangeKind::NotFound,
        423 => ExchangeKind::Locked,
        429 => ExchangeKind::RateLimited,
        _ if status.is_server_error() => ExchangeKind::ServerFailed,
        _ => ExchangeKind::Unexpected,
    };
    Err(answer.failed(kind))
}

impl ReadAnswer {
    /// The failure of an answer that says no.
    pub(super) fn refused(&self) -> Failed {
        let error = parse(self).and_then(|json| string(find(json, "/error")?));
        let code = error.and_then(|error| ErrorCode::new(error.expose()));
        self.failed(ExchangeKind::Refused { code })
    }

    /// The failure of an answer that is no JSON.
    pub(super) fn not_json(&self) -> Failed {
        self.failed(match self.encoding() {
            Some(encoding) => ExchangeKind::Compressed {
                encoding: encoding.to_owned(),
            },
            None => ExchangeKind::NotJson,
        })
    }
}

pub(super) fn parse(answer: &ReadAnswer) -> Option<&RawValue> {
    serde_json::from_slice(answer.json()).ok()
}

/// Whether the answer says `"success": false`.
pub(super) fn is_failure(json: &RawValue) -> bool {
    find(json, "/success").is_some_and(|success| success.get() == "false")
}

/// Whether the answer has an `error`. APIs also send `null`, `false`, `0` and `""` for none.
pub(super) fn has_error(json: &RawValue) -> bool {
    let none = ["null", "false", "0", "\"\"", "[]", "{}"];
    find(json, "/error").is_some_and(|error| !none.contains(&error.get()))
}

/// Where a redirect leads: origin and path, since a query may hold a secret.
fn location(answer: &ReadAnswer) -> Option<String> {
    let location = answer.header(&LOCATION)?;
    let uri: Uri = location.parse().ok()?;
    if uri.scheme().is_some() {
        return Some(url::without_query(&uri));
    }
    // A relative one.
    let path = location.split(['?', '#']).next()?;
    (!path.starts_with("//")).then(|| url::shortened(path).to_owned())
}

#[cfg(test)]
mod tests;
