//! The challenges of `WWW-Authenticate` fields.

mod elements;

use std::fmt;

use http::{HeaderMap, header::WWW_AUTHENTICATE};

use self::elements::{Element, Elements, Scheme, Text};

const MOST_CHALLENGES: usize = 8;
const MOST_PARAMETERS: usize = 32;
/// A claims challenge has about 1 KiB, and a Kerberos token seldom more than 12.
const MOST_BYTES: usize = 16 * 1024;

/// A challenge of a `WWW-Authenticate` field: why the server rejects a request.
///
/// It also says what is missing, such as a scope (RFC 6750, `insufficient_scope`) or a claim
/// (Microsoft's claims challenge).
///
/// # Never follow a challenge
///
/// **A challenge never chooses where to log in.** The server that answered wrote it, and that server
/// may belong to an attacker. A login at the URL in its `realm` or `authorization_uri` would send the
/// password there. A `realm` only names a part of the server that sent it ([RFC 9110, section 11.5]).
/// Keep the login's URL in your configuration.
///
/// # Examples
///
/// ```
/// use http::{HeaderMap, header::WWW_AUTHENTICATE};
/// use tower_bearer::Challenge;
///
/// let mut headers = HeaderMap::new(); // of a response
/// let field = r#"Bearer error="insufficient_scope", scope="orders:read orders:write""#;
/// headers.insert(WWW_AUTHENTICATE, field.parse()?);
///
/// let challenges = Challenge::parse(&headers);
/// let bearer = challenges.iter().find(|it| it.scheme().eq_ignore_ascii_case("Bearer"));
/// let scope = bearer.and_then(|bearer| bearer.parameter("scope"));
/// assert_eq!(scope, Some("orders:read orders:write"));
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
///
/// `Debug` prints the scheme and the names of the parameters. It prints no value: a value may repeat
/// what the client sent.
///
/// [RFC 9110, section 11.5]: https://www.rfc-editor.org/rfc/rfc9110#section-11.5
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    token68: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The challenges in all `WWW-Authenticate` fields, in their order.
    ///
    /// Each field is read up to its first syntax error ([RFC 9110, section 11.6.1]). The schemes and
    /// parameters before the error count. A missing comma between two parameters is no error.
    ///
    /// This never fails. It leaves out:
    ///
    /// - a parameter whose name the challenge already has: the first one counts, since RFC 9110 does not
    ///   say which,
    /// - a parameter whose value is not UTF-8,
    /// - a parameter before the first scheme of its field,
    /// - all challenges after the 8th,
    /// - all parameters of a challenge after its 32nd,
    /// - a field that would make the fields longer than 16 KiB (16,384 bytes) in total. A shorter field
    ///   after it still counts.
    ///
    /// [RFC 9110, section 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Vec<Self> {
        let mut challenges = Vec::new();
        let mut left = MOST_BYTES;
        for field in headers.get_all(WWW_AUTHENTICATE) {
            // Never a part of it: a value that is cut off would be another value.
            let Some(rest) = left.checked_sub(field.len()) else {
                continue;
            };
            left = rest;
            let before = challenges.len();
            let mut elements = Elements::of(field.as_bytes());
            while let Some(element) = elements.next() {
                if !elements.is_between() {
                    break; // `scope=a/b` without quotes is not the scope `a`
                }
                match element {
                    // Text that is no challenge has words without commas: none of them is a scheme.
                    Element::Scheme(scheme) if !scheme.is_separated => break,
                    Element::Scheme(_) if challenges.len() == MOST_CHALLENGES => return challenges,
                    Element::Scheme(scheme) => challenges.push(Self::new(&scheme)),
                    Element::Parameter(name, text) => {
                        if let Some(challenge) = challenges[before..].last_mut() {
                            challenge.add(name, &text);
                        }
                    }
                }
            }
        }
        challenges
    }

    fn new(scheme: &Scheme<'_>) -> Self {
        // ASCII, both of them.
        let owned = |text| String::from_utf8_lossy(text).into_owned();
        Self {
            scheme: owned(scheme.name),
            token68: scheme.token68.map(owned),
            parameters: Vec::new(),
        }
    }

    fn add(&mut self, name: &[u8], text: &Text<'_>) {
        let name = String::from_utf8_lossy(name);
        if self.parameters.len() < MOST_PARAMETERS
            && self.parameter(&name).is_none()
            && let Ok(value) = String::from_utf8(text.unescaped().collect())
        {
            self.parameters.push((name.into_owned(), value));
        }
    }

    /// The scheme as the server wrote it, such as `Bearer`. Schemes are compared without regard to
    /// case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The value of a parameter, without its quotes and escapes. Names are compared without regard to
    /// case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Names and values of the parameters, in their order. The names are as the server wrote them.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The one word that a challenge may have instead of parameters, such as the token of `Negotiate`.
    /// By the grammar, a lone parameter without a value (`realm=`) is such a word.
    #[must_use]
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters().map(|(name, _)| name).collect();
        f.debug_struct("Challenge")
            .field("scheme", &self.scheme)
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

/// Whether a challenge of the scheme has a parameter with this value. Scheme and name are compared
/// without regard to case, the value exactly.
///
/// A field is read up to its first syntax error ([RFC 9110, section 11.6.1]). The parameters before
/// the error count. There is no bound, for nothing is stored.
///
/// [RFC 9110, section 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
pub(crate) fn has_parameter(headers: &HeaderMap, scheme: &str, name: &str, value: &str) -> bool {
    headers.get_all(WWW_AUTHENTICATE).iter().any(|field| {
        let mut is_ours = false;
        Elements::of(field.as_bytes()).any(|element| match element {
            Element::Scheme(found) => {
                is_ours = found.name.eq_ignore_ascii_case(scheme.as_bytes());
                false
            }
            Element::Parameter(found, text) => {
                is_ours
                    && found.eq_ignore_ascii_case(name.as_bytes())
                    && text.unescaped().eq(value.bytes())
            }
        })
    })
}

#[cfg(test)]
mod tests;
