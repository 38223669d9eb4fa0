//! The grammar of a field: schemes, their token68, and parameters.

use crate::credential::token::is_tchar;

/// An element of a field: a scheme begins a challenge, and the parameters after it belong to it.
pub(super) enum Element<'a> {
    Scheme(Scheme<'a>),
    Parameter(&'a [u8], Text<'a>),
}

pub(super) struct Scheme<'a> {
    pub(super) name: &'a [u8],
    pub(super) token68: Option<&'a [u8]>,
    /// Whether it begins its field, or follows a comma.
    pub(super) is_separated: bool,
}

/// A parameter's value, with its backslashes. A value without quotes has none.
pub(super) struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    pub(super) fn unescaped(&self) -> impl Iterator<Item = u8> + use<'a> {
        let mut bytes = self.0.iter().copied();
        std::iter::from_fn(move || match bytes.next() {
            Some(b'\\') => bytes.next(),
            byte => byte,
        })
    }
}

/// The elements of the unread part of a field.
pub(super) struct Elements<'a> {
    unread: &'a [u8],
    is_at_start: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let before = self.take(|byte| is_space(byte) || byte == b',');
        let is_separated = self.is_at_start || before.contains(&b',');
        self.is_at_start = false;
        let name = self.take(is_tchar);
        if name.is_empty() {
            return None;
        }
        let after_name = self.unread;
        self.take(is_space);
        if let Some(rest) = self.unread.strip_prefix(b"=") {
            self.unread = rest;
            self.take(is_space);
            return Some(Element::Parameter(name, self.text()?));
        }
        self.unread = after_name;
        Some(Element::Scheme(Scheme {
            name,
            token68: self.token68(),
            is_separated,
        }))
    }
}

impl<'a> Elements<'a> {
    pub(super) fn of(field: &'a [u8]) -> Self {
        Self {
            unread: field,
            is_at_start: true,
        }
    }

    /// Whether the last element ends here, and nothing else is attached to it.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.unread, [] | [b' ' | b'\t' | b',', ..])
    }

    fn take(&mut self, is_wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.unread.iter().position(|byte| !is_wanted(*byte));
        let (taken, rest) = self.unread.split_at(end.unwrap_or(self.unread.len()));
        self.unread = rest;
        taken
    }

    fn text(&mut self) -> Option<Text<'a>> {
        let Some(quoted) = self.unread.strip_prefix(b"\"") else {
            let token = self.take(is_tchar);
            return (!token.is_empty()).then_some(Text(token));
        };
        let mut is_escaped = false;
        let end = quoted.iter().position(|byte| {
            let is_end = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_end
        })?;
        self.unread = &quoted[end + 1..];
        Some(Text(&quoted[..end]))
    }

    /// The one word that a scheme may have instead of parameters, such as `abc==`. The challenge ends
    /// after it: else it was no such word, and stays unread.
    fn token68(&mut self) -> Option<&'a [u8]> {
        let before = self.unread;
        self.take(is_space);
        let word = self.unread;
        self.take(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        self.take(|byte| byte == b'=');
        let word = &word[..word.len() - self.unread.len()];
        self.take(is_space);
        let is_end = matches!(self.unread, [] | [b',', ..]);
        // Without a space before it, it is a syntax error.
        if !is_end || word.is_empty() || !before.first().is_some_and(|byte| is_space(*byte)) {
            self.unread = before;
            return None;
        }
        Some(word)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
