//! Which challenges `WWW-Authenticate` fields have, and which fields say `invalid_token`, compared
//! with the `http-auth` crate (FAILURES.md, U8).

use http::{HeaderMap, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};
use tower_bearer::{Challenge, rejection};

/// The fields, one per line.
pub(crate) fn check(data: &[u8]) {
    let mut headers = HeaderMap::new();
    // The result of another parser, if it can parse all of the field.
    let mut expected = Some(false);
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        let challenges = value.to_str().ok().map(http_auth::parse_challenges);
        expected = match (expected, challenges) {
            (Some(so_far), Some(Ok(challenges))) => {
                check_challenges(&value, &challenges);
                Some(so_far || challenges.iter().any(is_invalid_token))
            }
            _ => None,
        };
        headers.append(WWW_AUTHENTICATE, value);
    }
    let found = rejection::invalid_token(StatusCode::UNAUTHORIZED, &headers);
    if let Some(expected) = expected {
        assert_eq!(found, expected, "{headers:?}");
    }
    assert!(!rejection::invalid_token(StatusCode::FORBIDDEN, &headers));
    assert!(rejection::unauthorized(StatusCode::UNAUTHORIZED, &headers));
    check_bounds(&headers);
}

fn is_invalid_token(challenge: &http_auth::ChallengeRef<'_>) -> bool {
    challenge.scheme.eq_ignore_ascii_case("Bearer")
        && challenge.params.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("error") && value.to_unescaped() == "invalid_token"
        })
}

/// The challenges of one field are those of the other parser, up to the documented bounds.
fn check_challenges(field: &HeaderValue, expected: &[http_auth::ChallengeRef<'_>]) {
    let mut headers = HeaderMap::new();
    headers.insert(WWW_AUTHENTICATE, field.clone());
    let challenges = Challenge::parse(&headers);
    let fits = field.len() <= 16 * 1024;
    let expected = if fits { expected } else { &[] };
    assert_eq!(challenges.len(), expected.len().min(8), "{field:?}");
    for (challenge, expected) in challenges.iter().zip(expected) {
        assert_eq!(challenge.scheme(), expected.scheme);
        assert_eq!(challenge.token68(), None);
        let mut first: Vec<(&str, String)> = Vec::new();
        for (name, value) in &expected.params {
            if !first.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)) {
                first.push((name, value.to_unescaped()));
            }
        }
        first.truncate(32);
        let found = challenge.parameters();
        let found: Vec<_> = found
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        assert_eq!(found, first, "{field:?}");
    }
}

fn check_bounds(headers: &HeaderMap) {
    let challenges = Challenge::parse(headers);
    assert!(challenges.len() <= 8, "{headers:?}");
    let mut bytes = 0;
    for challenge in &challenges {
        assert!(challenge.parameters().count() <= 32, "{headers:?}");
        bytes += challenge.scheme().len() + challenge.token68().map_or(0, str::len);
        for (name, value) in challenge.parameters() {
            assert_eq!(challenge.parameter(name), Some(value), "{headers:?}");
            bytes += name.len() + value.len();
        }
    }
    assert!(bytes <= 16 * 1024, "{headers:?}");
}
