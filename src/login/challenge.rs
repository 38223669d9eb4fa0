//! The parameters of a `WWW-Authenticate` field.

use http::{HeaderMap, header::WWW_AUTHENTICATE};

use crate::credential::token::is_tchar;

/// Whether a challenge of the scheme has a parameter with this value. Scheme and name are compared
/// without regard to case, the value exactly.
///
/// A field is read up to its first syntax error ([RFC 9110, section 11.6.1]). The parameters before
/// the error count.
///
/// [RFC 9110, section 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
pub(crate) fn has_parameter(headers: &HeaderMap, scheme: &str, name: &str, value: &str) -> bool {
    headers.get_all(WWW_AUTHENTICATE).iter().any(|field| {
        let mut is_ours = false;
        Elements(field.as_bytes()).any(|element| match element {
            Element::Scheme(found) => {
                is_ours = found.eq_ignore_ascii_case(scheme.as_bytes());
                false
            }
            Element::Parameter(found, text) => {
                is_ours && found.eq_ignore_ascii_case(name.as_bytes()) && text.is(value)
            }
        })
    })
}

/// An element of a field: a scheme begins a challenge, and the parameters after it belong to it.
enum Element<'a> {
    Scheme(&'a [u8]),
    Parameter(&'a [u8], Text<'a>),
}

/// A parameter's value.
enum Text<'a> {
    Token(&'a [u8]),
    /// The text between the quotes, with its backslashes.
    Quoted(&'a [u8]),
}

impl Text<'_> {
    fn is(&self, value: &str) -> bool {
        match self {
            Self::Token(token) => *token == value.as_bytes(),
            Self::Quoted(quoted) => {
                let mut bytes = quoted.iter();
                let unescaped = std::iter::from_fn(|| match bytes.next() {
                    Some(b'\\') => bytes.next(),
                    other => other,
                });
                unescaped.eq(value.as_bytes())
            }
        }
    }
}

/// The elements of the unread part of a field.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.skip(|byte| is_space(byte) || byte == b',');
        let name = self.take(is_tchar);
        if name.is_empty() {
            return None;
        }
        let after_name = self.0;
        self.skip(is_space);
        if let Some(rest) = self.0.strip_prefix(b"=") {
            self.0 = rest;
            self.skip(is_space);
            return Some(Element::Parameter(name, self.text()?));
        }
        self.0 = after_name;
        self.skip_token68();
        Some(Element::Scheme(name))
    }
}

impl<'a> Elements<'a> {
    fn take(&mut self, is_wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !is_wanted(*byte));
        let (taken, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }

    fn skip(&mut self, is_unwanted: impl Fn(u8) -> bool) {
        self.take(is_unwanted);
    }

    fn text(&mut self) -> Option<Text<'a>> {
        let Some(quoted) = self.0.strip_prefix(b"\"") else {
            let token = self.take(is_tchar);
            return (!token.is_empty()).then_some(Text::Token(token));
        };
        let mut is_escaped = false;
        let end = quoted.iter().position(|byte| {
            let is_end = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_end
        })?;
        self.0 = &quoted[end + 1..];
        Some(Text::Quoted(&quoted[..end]))
    }

    /// Skips the one word that a scheme may have instead of parameters, such as `abc==`. The
    /// challenge ends after it.
    fn skip_token68(&mut self) {
        let before = self.0;
        self.skip(is_space);
        self.skip(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        self.skip(|byte| byte == b'=');
        self.skip(is_space);
        if !matches!(self.0, [] | [b',', ..]) {
            self.0 = before;
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests;
