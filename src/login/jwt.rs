//! The claims of a JSON Web Token, read and not verified.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The longest claims that are read, in characters. A token of more is opaque.
const LONGEST: usize = 16 * 1024;

/// The second of three parts ([RFC 7519, section 3]), if it is base64url.
///
/// [RFC 7519, section 3]: https://www.rfc-editor.org/rfc/rfc7519#section-3
pub(super) fn claims(token: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || claims.len() > LONGEST {
        return None;
    }
    let mut decoded = Zeroizing::new(vec![0; claims.len()]);
    let length = URL_SAFE_NO_PAD.decode_slice(claims, &mut decoded).ok()?;
    decoded.truncate(length);
    Some(decoded)
}
