//! Checks on the URLs that receive a secret.

mod invalid;

use std::net::{Ipv4Addr, Ipv6Addr};

use http::{
    Uri,
    uri::{Authority, Scheme},
};

pub use self::invalid::InvalidUrl;
pub(crate) use self::invalid::InvalidUrlKind;

/// Which hosts may receive a secret in plain `http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleartext {
    ToLoopback,
    ToAnybody,
}

/// Parses an absolute URL that may receive a secret: `https`, or `http` to a host that `cleartext`
/// allows.
pub(crate) fn parse(url: &str, cleartext: Cleartext) -> Result<Uri, InvalidUrl> {
    if url.contains('#') {
        return Err(InvalidUrl(InvalidUrlKind::Fragment)); // `Uri` would silently drop it
    }
    let uri: Uri = url
        .parse()
        .map_err(|_| InvalidUrl(InvalidUrlKind::NotAUri))?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(InvalidUrl(InvalidUrlKind::Relative));
    };
    check(authority)?;
    let allows_http = cleartext == Cleartext::ToAnybody || is_loopback(authority.host());
    if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && allows_http) {
        Ok(uri)
    } else if *scheme == Scheme::HTTP {
        Err(InvalidUrl(InvalidUrlKind::PlainHttp))
    } else {
        Err(InvalidUrl(InvalidUrlKind::Scheme))
    }
}

/// Rejects authorities that other parsers read differently from the `http` crate, or not at all.
pub(crate) fn check(authority: &Authority) -> Result<(), InvalidUrl> {
    if authority.as_str().contains('@') {
        return Err(InvalidUrl(InvalidUrlKind::UserInfo));
    }
    let host = authority.host();
    if host.contains('*') {
        return Err(InvalidUrl(InvalidUrlKind::Wildcard));
    }
    let is_host = match host.strip_prefix('[') {
        Some(_) => ipv6(host).is_some(), // without a zone, which is local to one machine
        None if host.contains(['[', ']']) => false,
        None => !host.is_empty() && (!ends_in_a_number(host) || host.parse::<Ipv4Addr>().is_ok()),
    };
    if !is_host {
        return Err(InvalidUrl(InvalidUrlKind::NotAUri));
    }
    match port(authority, 0) {
        Some(_) => Ok(()),
        None => Err(InvalidUrl(InvalidUrlKind::Port)),
    }
}

/// Whether the authority is only a host name, which all parsers read alike. Most requests then skip
/// [`check`].
#[inline]
pub(super) fn is_plain_name(authority: &[u8]) -> bool {
    /// Whole chunks are checked at once, without a branch for each byte. A shorter name is rare.
    const CHUNK: usize = 8;
    let is_plain = |chunk: &[u8; CHUNK]| {
        let is_letter = |byte: u8| (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_other = |byte: u8| (byte.wrapping_sub(b'-') < 13) & (byte != b'/');
        chunk
            .iter()
            .fold(true, |all, &byte| all & (is_letter(byte) | is_other(byte)))
    };
    let Some(last) = authority.last_chunk::<CHUNK>() else {
        return false;
    };
    let (chunks, _) = authority.as_chunks::<CHUNK>();
    if !(is_plain(last) && chunks.iter().all(is_plain)) {
        return false;
    }
    // A last label that begins with a digit may be the end of an address.
    let label = authority.iter().rev().take_while(|&&byte| byte != b'.');
    label.last().is_some_and(u8::is_ascii_alphabetic)
}

/// The port, or `default` if there is none. `None` if it is not digits only (the `http` crate reads
/// `+80` as 80), or if there is user information before the host.
pub(crate) fn port(authority: &Authority, default: u16) -> Option<u16> {
    let rest = authority.as_str().strip_prefix(authority.host())?;
    if rest.is_empty() {
        return Some(default);
    }
    let digits = rest.strip_prefix(':')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Whether some parsers read the host as an IPv4 address, in any of its spellings.
fn ends_in_a_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_hexadecimal = last
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    is_hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || ipv6(host).is_some_and(|address| address.is_loopback())
}

/// Whether it is plain `http` to a host other than loopback.
pub(crate) fn is_in_the_clear(url: &Uri) -> bool {
    let is_http = url.scheme() == Some(&Scheme::HTTP);
    is_http && !url.host().is_some_and(is_loopback)
}

pub(crate) fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

pub(crate) fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// The origin and the path of a URI, for an error.
#[cfg(feature = "json")]
pub(crate) fn without_query(uri: &Uri) -> String {
    format!("{}{}", origin_of(uri), shortened(uri.path()))
}

/// The host, the port and the path of a URI, for an error.
#[cfg(feature = "json")]
pub(crate) fn host_and_path(uri: &Uri, has_path: bool) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = if has_path { shortened(uri.path()) } else { "" };
    format!("{authority}{path}")
}

/// A path for an error: without parameters such as `;jsessionid=`, and not longer than a line. It ends
/// before any character that is not visible ASCII: `Uri` allows them, and a terminal obeys some.
#[cfg(feature = "json")]
pub(crate) fn shortened(path: &str) -> &str {
    const LONGEST: usize = 200;
    let is_end = |c: char| c == ';' || !c.is_ascii_graphic();
    let path = path.split(is_end).next().unwrap_or_default();
    path.get(..LONGEST).unwrap_or(path)
}

/// The origin of a URI, for an error: without the parts that may be secret.
pub(crate) fn origin_of(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("an unknown scheme");
    match uri.authority() {
        // Built from host and port: the authority may have user information too.
        Some(authority) => match authority.port() {
            Some(port) => format!("{scheme}://{}:{port}", authority.host()),
            None => format!("{scheme}://{}", authority.host()),
        },
        None => "the host that its header names".to_owned(),
    }
}
