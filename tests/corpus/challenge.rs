//! Which `WWW-Authenticate` fields say `invalid_token`, compared with the `http-auth` crate
//! (FAILURES.md, U8).

use http::{HeaderMap, HeaderValue, StatusCode, header::WWW_AUTHENTICATE};
use tower_bearer::rejection;

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
}

fn is_invalid_token(challenge: &http_auth::ChallengeRef<'_>) -> bool {
    challenge.scheme.eq_ignore_ascii_case("Bearer")
        && challenge.params.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("error") && value.to_unescaped() == "invalid_token"
        })
}
