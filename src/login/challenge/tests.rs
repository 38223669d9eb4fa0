use http::HeaderValue;

use super::*;

fn has_invalid_token(fields: &[&[u8]]) -> bool {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(field).unwrap());
    }
    has_parameter(&headers, "Bearer", "error", "invalid_token")
}

// U8
#[test]
fn a_bearer_challenge_with_invalid_token_is_found() {
    let fields: [&[&[u8]]; 17] = [
        &[b"Bearer error=\"invalid_token\""],
        &[b"Bearer error=invalid_token"],
        &[b"bEARER ERROR = \"invalid_token\""],
        &[b"Bearer realm=\"a, b\", error=\"invalid_token\", error_description=\"expired\""],
        &[b"Bearer realm=\"quote \\\" and, comma\",error=\"invalid_token\""],
        &[b"Bearer error=\"invalid\\_token\""],
        &[b"Basic realm=\"x\", Bearer error=\"invalid_token\""],
        &[b"Basic, Bearer error=\"invalid_token\""],
        &[b"Negotiate abc==, Bearer error=\"invalid_token\""],
        &[b"Negotiate abc/+=  , Bearer\terror=\"invalid_token\""],
        &[b"Bearer, Bearer error=\"invalid_token\""],
        &[b"Basic realm=\"x\"", b"Bearer error=\"invalid_token\""],
        &[b"\xff\xfe garbage", b"Bearer error=\"invalid_token\""],
        &[b",, ,Bearer ,error=\"invalid_token\","],
        &[b"Bearer scope=\"\xe2\x82\xac\", error=\"invalid_token\""],
        // An empty value reads as the padding of a token68: it is skipped.
        &[b"Bearer realm=, error=\"invalid_token\""],
        // The parameters before the garbage count.
        &[b"Bearer error=\"invalid_token\", @@@"],
    ];
    for field in fields {
        assert!(has_invalid_token(field), "{field:?}");
    }
}

// U8
#[test]
fn any_other_field_is_not_an_invalid_token() {
    let fields: [&[&[u8]]; 15] = [
        &[],
        &[b""],
        &[b"Bearer"],
        &[b"Bearer realm=\"x\""],
        &[b"Bearer error=\"insufficient_scope\""],
        &[b"Bearer error=\"invalid_token \""],
        &[b"Bearer error=\"INVALID_TOKEN\""],
        &[b"Bearer error=\"invalid_token"],
        &[b"Bearer errors=\"invalid_token\""],
        &[b"Bearer realm=\"error=\\\"invalid_token\\\"\""],
        &[b"Basic error=\"invalid_token\""],
        &[b"Bearer realm=\"x\", Basic error=\"invalid_token\""],
        &[b"Bearer\", error=\"invalid_token\""],
        &[b"error=\"invalid_token\""],
        &[b"\xff\xfe"],
    ];
    for field in fields {
        assert!(!has_invalid_token(field), "{field:?}");
    }
}

// U8: the time grows linearly with the length.
#[test]
fn a_field_of_any_length_is_read() {
    for unit in [
        "a,",
        "\"",
        "Bearer ",
        "a=\"",
        "\\\"",
        "=",
        "Bearer a=b,",
        ", ",
    ] {
        let mut field = unit.repeat(100_000 / unit.len());
        has_invalid_token(&[field.as_bytes()]);
        field.push_str(",Bearer error=invalid_token");
        has_invalid_token(&[field.as_bytes()]);
    }
}
