//! Which URIs an origin allows, compared with the `url` crate (FAILURES.md, R14).

use http::Uri;
use tower_bearer::Origins;
use url::Url;

/// The first line is an origin, the second a URI.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (origin, uri) = text.split_once('\n').unwrap_or((text, text));
    let Ok(parsed) = uri.parse::<Uri>() else {
        return;
    };
    let other = Url::parse(uri);
    if let Some(authority) = parsed.authority()
        && Origins::any_https().allows(&parsed)
    {
        // Only the rules of its registry say whether a name in xn-- form is valid.
        let is_international = authority.host().to_ascii_lowercase().contains("xn--");
        match &other {
            Ok(other) => {
                assert_eq!(other.scheme(), "https");
                assert!(other.username().is_empty() && other.password().is_none());
                let port = authority
                    .port()
                    .map_or(443, |port| port.as_str().parse().expect("digits"));
                assert_eq!(other.port_or_known_default(), Some(port));
                let host = other.host_str().expect("https has a host");
                let is_address = authority.host().starts_with('[');
                assert!(
                    is_address || is_international || host.eq_ignore_ascii_case(authority.host())
                );
            }
            Err(error) => assert!(is_international, "{error}"),
        }
    }
    let Ok(origins) = Origins::new([origin]) else {
        return;
    };
    let listed = Url::parse(origin);
    if let Ok(listed) = &listed {
        assert!(listed.username().is_empty() && listed.password().is_none());
        let is_loopback = match listed.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        assert!(listed.scheme() == "https" || (listed.scheme() == "http" && is_loopback));
    }
    if parsed.authority().is_none() || !origins.allows(&parsed) {
        return;
    }
    match (listed, other) {
        (Ok(listed), Ok(other)) => {
            assert_eq!(listed.origin(), other.origin());
            assert!(other.username().is_empty() && other.password().is_none());
        }
        // A host that the other parser rejects is allowed only if it is spelled as configured.
        _ => {
            let authority = origin
                .parse::<Uri>()
                .ok()
                .and_then(|uri| uri.authority().cloned());
            assert_eq!(authority.as_ref(), parsed.authority());
        }
    }
}
