//! Which bytes are a token, compared with the grammar of RFC 6750, section 2.1.

use tower_bearer::{Authorization, Scheme, Token};

/// The token.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let padding = data.iter().rev().take_while(|byte| **byte == b'=').count();
    let word = &data[..data.len() - padding];
    let is_b64 = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    assert_eq!(
        Token::new(text).is_ok(),
        !word.is_empty() && word.iter().all(is_b64)
    );
    let is_visible = !data.is_empty() && data.iter().all(|byte| matches!(byte, 0x21..=0x7e));
    let token = Token::visible_ascii(text);
    assert_eq!(token.is_ok(), is_visible);
    if let Ok(token) = token {
        let authorization = Authorization::new(Scheme::BEARER, &token);
        assert_eq!(authorization.value(), format!("Bearer {text}").as_str());
        assert!(authorization.value().is_sensitive());
        assert!(data.len() < 8 || !format!("{token:?} {authorization:?}").contains(text));
    }
}
