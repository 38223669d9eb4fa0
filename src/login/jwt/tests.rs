use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;

#[test]
fn a_token_is_whole_if_all_parts_can_be_read() {
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let header = encode(r#"{"alg":"ES256"}"#);
    let claims = encode(r#"{"exp":1000}"#);
    let whole = format!("{header}.{claims}.c2ln");
    assert!(is_whole(&whole));
    assert!(is_whole(&format!("{header}.a2V5.aXY.dGV4dA.dGFn")));
    assert!(is_whole(&format!("{header}..aXY.dGV4dA.dGFn")));
    assert!(is_whole(&format!("{header}==.{claims}=.c2ln")));
    // The last three are one character of the signature, its start and the dot before it.
    for length in 0..whole.len() - 2 {
        let part = &whole[..length];
        let is_cut_in_signature = part.len() > header.len() + claims.len() + 2;
        assert_eq!(
            is_whole(part),
            is_cut_in_signature && part.ends_with("c2"),
            "{part}"
        );
    }
    for other in ["", "abc", "..", "a.b.c", "eyJ.eyJ.eyJ", ".....", "a.b.c.d"] {
        assert!(!is_whole(other), "{other}");
    }
    assert!(!is_whole(&format!("{}.{claims}.c2ln", encode("[1]"))));
    assert!(!is_whole(&format!("{header}.a2V5..dGV4dA.dGFn")));
}

#[test]
fn a_header_has_an_algorithm() {
    let is_header = |json: &str| is_header(&URL_SAFE_NO_PAD.encode(json));
    assert!(is_header(r#"{"alg":"ES256"}"#));
    assert!(is_header(r#"{ "typ": "JWT", "alg": "RS256" }"#));
    for other in ["", r#"{"id":1}"#, r#"["alg"]"#, r#"{"alg":"ES2"#, "alg"] {
        assert!(!is_header(other), "{other}");
    }
}

#[test]
fn the_expiry_is_a_time() {
    let expiry = |claims: &str| expires_at(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)));
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(expiry(r#"{"exp":1000,"iat":900}"#), at(1000));
    assert_eq!(expiry(r#"{"exp":"1000"}"#), at(1000));
    for none in [r#"{"iat":900}"#, r#"{"exp":1e300}"#, r#"{"exp":-1}"#, "{"] {
        assert_eq!(expiry(none), None, "{none}");
    }
}
