//! The URLs that a secret is sent to.

mod invalid;

use std::net::{Ipv4Addr, Ipv6Addr};

use http::{
    Request, Uri,
    uri::{Authority, Scheme},
};

pub use self::invalid::InvalidUrl;
pub(crate) use self::invalid::InvalidUrlKind;

/// Who may be sent a secret in plain `http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleartext {
    ToLoopback,
    ToAnybody,
}

/// An absolute URL that a secret may be sent to: `https`, or `http` to whom that is allowed.
pub(crate) fn parse(url: &str, cleartext: Cleartext) -> Result<Uri, InvalidUrl> {
    if url.contains('#') {
        return Err(InvalidUrl(InvalidUrlKind::Fragment)); // `Uri` would drop it
    }
    let uri: Uri = url
        .parse()
        .map_err(|_| InvalidUrl(InvalidUrlKind::NotAUri))?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(InvalidUrl(InvalidUrlKind::Relative));
    };
    check(authority)?;
    let may_be_in_the_clear = cleartext == Cleartext::ToAnybody || is_loopback(authority.host());
    if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && may_be_in_the_clear) {
        Ok(uri)
    } else if *scheme == Scheme::HTTP {
        Err(InvalidUrl(InvalidUrlKind::PlainHttp))
    } else {
        Err(InvalidUrl(InvalidUrlKind::Scheme))
    }
}

/// Refuses what other parsers read in another way than `http` does, or not at all.
pub(crate) fn check(authority: &Authority) -> Result<(), InvalidUrl> {
    if is_plain_name(authority.as_str()) {
        return Ok(());
    }
    if authority.as_str().contains('@') {
        return Err(InvalidUrl(InvalidUrlKind::UserInfo));
    }
    let host = authority.host();
    if host.contains('*') {
        return Err(InvalidUrl(InvalidUrlKind::Wildcard));
    }
    let is_host = match host.strip_prefix('[') {
        Some(_) => ipv6(host).is_some(), // a zone is none of a URL's business
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

/// Whether it is a host name alone, which everybody reads alike. It spares most requests the rest
/// of the [`check`].
fn is_plain_name(authority: &str) -> bool {
    let mut label_begins = true;
    let mut last_begins_with_a_letter = false;
    for byte in authority.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => {
                if label_begins {
                    last_begins_with_a_letter = byte.is_ascii_alphabetic();
                }
                label_begins = false;
            }
            b'.' => label_begins = true,
            _ => return false,
        }
    }
    last_begins_with_a_letter && !label_begins
}

/// The port, or `default` where there is none. `None` for what is not digits (`http` takes `+80`
/// for 80), and where user information stands before the host.
pub(crate) fn port(authority: &Authority, default: u16) -> Option<u16> {
    let rest = authority.as_str().strip_prefix(authority.host())?;
    if rest.is_empty() {
        return Some(default);
    }
    let digits = rest.strip_prefix(':')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Whether some readers take the host for an IPv4 address, in whatever spelling.
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

pub(crate) fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

pub(crate) fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Where a request goes, without what may be secret there.
pub(crate) fn display_origin<B>(request: &Request<B>) -> String {
    origin_of(request.uri())
}

/// The same, of a URI.
pub(crate) fn origin_of(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("an unknown scheme");
    match uri.authority() {
        // The port comes after the host, user information before it.
        Some(authority) => match authority.port() {
            Some(port) => format!("{scheme}://{}:{port}", authority.host()),
            None => format!("{scheme}://{}", authority.host()),
        },
        None => "the host that its header names".to_owned(),
    }
}
