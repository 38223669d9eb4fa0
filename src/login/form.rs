//! Forms: `application/x-www-form-urlencoded`, as [RFC 6749, appendix B] writes them.
//!
//! [RFC 6749, appendix B]: https://www.rfc-editor.org/rfc/rfc6749#appendix-B

use crate::credential::Secret;

pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The pairs as a form, in a buffer that never grows: growing would leave a secret in memory.
pub(super) fn encode<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Secret
where
    K: AsRef<str>,
    V: AsRef<str>,
{
    let pairs: Vec<_> = pairs.into_iter().collect();
    let lengths = pairs
        .iter()
        .map(|(name, value)| 2 + longest(name.as_ref()) + longest(value.as_ref()));
    let mut form = String::with_capacity(lengths.sum());
    for (name, value) in &pairs {
        if !form.is_empty() {
            form.push('&');
        }
        push(&mut form, name.as_ref());
        form.push('=');
        push(&mut form, value.as_ref());
    }
    form.into()
}

/// Appends an encoded name or value.
pub(super) fn push(form: &mut String, text: &str) {
    form.extend(form_urlencoded::byte_serialize(text.as_bytes()));
}

/// The longest that a text may become: an escaped byte takes three.
pub(super) fn longest(text: &str) -> usize {
    3 * text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &str) -> String {
        let form = encode([("name", value)]);
        form.expose().strip_prefix("name=").unwrap().to_owned()
    }

    // RFC 6749, appendix B: a space, a percent sign, an ampersand, a plus, a pound sign, a euro sign.
    #[test]
    fn the_example_of_the_rfc_is_encoded_as_the_rfc_says() {
        assert_eq!(encoded(" %&+£€"), "+%25%26%2B%C2%A3%E2%82%AC");
    }

    // The table of the "application/x-www-form-urlencoded percent-encode set" of the URL standard.
    #[test]
    fn each_byte_is_encoded_as_its_class_demands() {
        for code in 0..=0x7f_u8 {
            let text = char::from(code).to_string();
            let expected = match code {
                b' ' => "+".to_owned(),
                b'*' | b'-' | b'.' | b'_' => text.clone(),
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => text.clone(),
                _ => format!("%{code:02X}"),
            };
            assert_eq!(encoded(&text), expected, "{code:#x}");
        }
        for (text, expected) in [
            ("ü", "%C3%BC"),
            ("€", "%E2%82%AC"),
            ("😀", "%F0%9F%98%80"),
            ("\u{80}", "%C2%80"),
            ("\r\n", "%0D%0A"),
        ] {
            assert_eq!(encoded(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_and_values_are_encoded_in_their_order() {
        let none: [(&str, &str); 0] = [];
        assert_eq!(encode(none).expose(), "");
        assert_eq!(encode([("a", ""), ("", "b")]).expose(), "a=&=b");
        let pairs = vec![("a=b".to_owned(), "c&d"), ("a=b".to_owned(), "ü")];
        assert_eq!(encode(pairs).expose(), "a%3Db=c%26d&a%3Db=%C3%BC");
    }

    #[test]
    fn a_form_never_outgrows_its_buffer() {
        let (name, value) = ("€".repeat(50), "\u{1}".repeat(100));
        let form = encode([(&name, &value), (&value, &name)]);
        let longest = 2 * (2 + longest(&name) + longest(&value));
        assert_eq!(form.expose().len(), longest - 1, "no `&` before the first");
    }
}
