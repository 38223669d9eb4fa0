//! HTTP Basic authentication, in its two forms.

use std::{error, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderValue;
use zeroize::Zeroizing;

use super::form;
use crate::credential::Secret;

/// The value `Basic …` of [RFC 7617]: user and password as they are, in UTF-8.
///
/// [RFC 7617]: https://www.rfc-editor.org/rfc/rfc7617#section-2
pub(super) fn plain(user: &str, password: &Secret) -> Result<HeaderValue, InvalidBasicAuth> {
    let password = password.expose();
    check(user, password)?;
    if user.contains(':') {
        return Err(InvalidBasicAuth(InvalidBasicAuthKind::Colon));
    }
    let mut pair = buffer(user.len() + 1 + password.len());
    pair.extend([user, ":", password]);
    Ok(header(&pair))
}

/// The value `Basic …` of [RFC 6749, section 2.3.1]: id and secret are each encoded as in a form.
///
/// [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
pub(super) fn of_client(id: &str, secret: &Secret) -> Result<HeaderValue, InvalidBasicAuth> {
    let secret = secret.expose();
    check(id, secret)?;
    let mut pair = buffer(form::longest(id) + 1 + form::longest(secret));
    form::push(&mut pair, id);
    pair.push(':');
    form::push(&mut pair, secret);
    Ok(header(&pair))
}

fn check(name: &str, secret: &str) -> Result<(), InvalidBasicAuth> {
    // RFC 7617, section 2. RFC 6749, appendix A allows even less.
    let is_invalid = [name, secret]
        .iter()
        .any(|it| it.contains(|c: char| c.is_ascii_control()));
    match is_invalid {
        true => Err(InvalidBasicAuth(InvalidBasicAuthKind::ControlCharacter)),
        false => Ok(()),
    }
}

/// A buffer that is wiped, and that never grows: growing would leave a copy of the secret in memory.
fn buffer(capacity: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(capacity))
}

fn header(pair: &str) -> HeaderValue {
    const SCHEME: &[u8] = b"Basic ";
    let length = SCHEME.len() + pair.len().div_ceil(3) * 4;
    let mut value = Vec::with_capacity(length);
    value.extend_from_slice(SCHEME);
    value.resize(length, 0);
    // In place: `encode_string` would leave a copy on the stack.
    BASE64_STANDARD
        .encode_slice(pair, &mut value[SCHEME.len()..])
        .expect("base64 makes four bytes of three");
    let value = String::from_utf8(value).expect("base64 is ASCII");
    let mut value = HeaderValue::from_maybe_shared(Secret::from(value).into_bytes())
        .expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// The error for a user or a password that HTTP Basic authentication cannot carry.
///
/// It names the problem, and never repeats the user or the password.
///
/// # Examples
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// use tower_bearer::HttpLogin;
///
/// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
/// # });
/// let login = HttpLogin::new(client, "https://api.example.com/login", "{}")?;
/// let error = login.basic_auth("me", "secret\n").unwrap_err();
/// assert!(error.to_string().contains("line break"));
/// # Ok::<_, tower_bearer::InvalidUrl>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidBasicAuth(InvalidBasicAuthKind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum InvalidBasicAuthKind {
    Colon,
    ControlCharacter,
}

impl fmt::Display for InvalidBasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            InvalidBasicAuthKind::Colon => {
                "the user of Basic authentication has a colon: only `client_secret_basic` can carry it"
            }
            InvalidBasicAuthKind::ControlCharacter => {
                "Basic authentication carries no control characters: remove the line break at the end"
            }
        })
    }
}

impl error::Error for InvalidBasicAuth {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server decodes.
    fn decoded(value: Result<HeaderValue, InvalidBasicAuth>) -> Option<String> {
        let value = value.ok()?;
        assert!(value.is_sensitive());
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        Some(String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap())
    }

    // RFC 7617, sections 2 and 2.1; RFC 6749, section 2.3.1.
    #[test]
    fn the_examples_of_the_rfcs_are_encoded_as_the_rfcs_say() {
        let value = plain("Aladdin", &"open sesame".into()).unwrap();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let value = plain("test", &"123£".into()).unwrap();
        assert_eq!(value, "Basic dGVzdDoxMjPCow==");
        let value = of_client("s6BhdRkqt3", &"7Fjfp0ZBr1KtDRbnfVdmIw".into()).unwrap();
        assert_eq!(value, "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3");
    }

    #[test]
    fn a_user_is_sent_as_it_is_and_a_client_as_in_a_form() {
        for (name, secret, user, client) in [
            ("me", "", Some("me:"), Some("me:")),
            ("", "s", Some(":s"), Some(":s")),
            ("me", "a:b", Some("me:a:b"), Some("me:a%3Ab")),
            ("a:b", "s", None, Some("a%3Ab:s")),
            (
                "me",
                " %&+£€",
                Some("me: %&+£€"),
                Some("me:+%25%26%2B%C2%A3%E2%82%AC"),
            ),
            ("ü", "s", Some("ü:s"), Some("%C3%BC:s")),
            ("me", "s\n", None, None),
            ("m\u{0}e", "s", None, None),
            ("me", "\u{7f}", None, None),
        ] {
            let secret = Secret::from(secret);
            assert_eq!(decoded(plain(name, &secret)).as_deref(), user, "{name:?}");
            assert_eq!(
                decoded(of_client(name, &secret)).as_deref(),
                client,
                "{name:?}"
            );
        }
    }

    #[test]
    fn the_error_names_the_problem_and_no_secret() {
        let error = plain("canary:", &"canary".into()).unwrap_err();
        assert!(error.to_string().contains("colon"), "{error}");
        let error = of_client("canary", &"canary\n".into()).unwrap_err();
        assert!(error.to_string().contains("line break"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
