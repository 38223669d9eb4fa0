//! The bytes that a token may have.

use super::*;

// S3
#[test]
fn a_token_is_b64token_or_else_visible_ascii() {
    for byte in 0..=u8::MAX {
        // Not every byte is valid UTF-8. As a char it is, with two bytes from 0x80 on.
        let text = char::from(byte).to_string();
        let is_b64 = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        assert_eq!(Token::new(text.as_str()).is_ok(), is_b64, "{byte:#x}");
        let is_visible = (0x21..=0x7e).contains(&byte);
        assert_eq!(Token::visible_ascii(text).is_ok(), is_visible, "{byte:#x}");
    }
    for (token, is_b64) in [
        ("", false),
        ("=", false),
        ("===", false),
        ("a==", true),
        ("a=b", false),
    ] {
        assert_eq!(Token::new(token).is_ok(), is_b64, "{token}");
    }
    assert!(Token::visible_ascii("").is_err());
    println!("figure: S3 bytes=256 wrong=0");
}

// L12
#[test]
fn a_token_cannot_break_a_header() {
    for token in [
        "a b",
        "a\r\nb: c",
        "a\nb",
        "a\0b",
        "a\tb",
        "a\u{7f}b",
        "é",
        " a",
        "a ",
    ] {
        assert!(Token::visible_ascii(token).is_err(), "{token:?}");
        let error = Token::new(token).unwrap_err();
        assert!(error.to_string().contains("not allowed at byte"), "{error}");
    }
    for token in ["x".repeat(1_000_000), "=".repeat(1_000_000)] {
        assert!(Token::visible_ascii(token.as_str()).is_err());
        let error = Token::new(token).unwrap_err();
        assert!(error.to_string().contains("longer than 64 KiB"), "{error}");
    }
    println!("figure: L12 S17 tokens=11 accepted=0");
}

#[test]
fn a_token_may_have_64_kib() {
    let longest = "x".repeat(LONGEST - 1) + "=";
    assert!(Token::new(longest.as_str()).is_ok());
    assert!(Token::visible_ascii(longest.as_str()).is_ok());
    assert!(Token::new(longest.clone() + "=").is_err());
    assert!(Token::visible_ascii(longest + "=").is_err());
}

// K2
#[test]
fn neither_secrets_nor_their_errors_print_them() {
    let secret = Secret::from("canary");
    let token = Token::new("canary").unwrap();
    let error = Token::new("canary canary").unwrap_err();
    let printed = format!("{secret:?} {secret:#?} {token:?} {token:#?} {error} {error:?}");
    assert!(!printed.contains("canary"), "{printed}");
    assert_eq!((secret.expose(), token.expose()), ("canary", "canary"));
}

#[test]
#[should_panic(expected = "one word")]
fn a_scheme_is_one_word() {
    let _ = Scheme::from_static("Bearer ");
}

#[test]
#[should_panic(expected = "has a name")]
fn a_scheme_is_not_empty() {
    let _ = Scheme::from_static("");
}

#[test]
fn a_scheme_from_configuration_is_checked_as_a_constant_is() {
    let configured = String::from("Token");
    let scheme = Scheme::new(&configured).unwrap();
    assert_eq!(scheme, Scheme::from_static("Token"));
    assert_eq!(Scheme::new("Bearer"), Ok(Scheme::BEARER));
    for (word, problem) in [
        ("", "has a name"),
        ("Bearer ", "one word"),
        (" Bearer", "one word"),
        ("two words", "one word"),
        ("Bearer:", "one word"),
        ("Bearer\r\nX-Header: canary", "one word"),
        ("J\u{e4}ger", "one word"),
    ] {
        let error = Scheme::new(word).unwrap_err();
        assert!(error.to_string().contains(problem), "{word:?}: {error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn the_same_word_is_kept_once() {
    let words: Vec<_> = (0..100)
        .map(|_| Scheme::new(String::from("Kept-Once")).unwrap().as_str())
        .collect();
    assert!(words.iter().all(|word| std::ptr::eq(*word, words[0])));
}
