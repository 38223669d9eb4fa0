//! Valid and invalid origins, and the comparison of origins.

use http::HeaderValue;

use super::*;

#[test]
fn bytes_are_equal_if_each_is() {
    for length in 0..=40 {
        let one: Vec<u8> = (0..length).map(|it| b'a' + it % 26).collect();
        assert!(is_equal(&one, &one.clone()));
        for at in 0..one.len() {
            let mut other = one.clone();
            other[at] ^= 1;
            assert!(!is_equal(&one, &other), "{length}, {at}");
            assert!(!is_equal(&one, &one[..at]), "{length}, {at}");
            assert!(!is_equal(&one[..at], &one), "{length}, {at}");
        }
    }
}

#[track_caller]
fn error_of(origin: &str) -> String {
    Origins::new([origin]).unwrap_err().to_string()
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    for origin in [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com:8443",
        "https://web1:8443",
        "https://x:8443",
        "https://[2001:db8::1]:8443",
        "https://192.0.2.1",
    ] {
        assert!(Origins::new([origin]).is_ok(), "{origin}");
    }
    let is_invalid = |origin, reason| {
        let error = error_of(origin);
        assert!(error.contains(reason), "{origin}: {error}");
    };
    is_invalid("", "not a URL");
    is_invalid("https://", "not a URL");
    is_invalid("not a url", "not a URL");
    is_invalid("https://a\r\nb", "not a URL");
    is_invalid("/path", "scheme or host is missing");
    is_invalid("api.example.com", "scheme or host is missing");
    is_invalid("api.example.com:443", "scheme or host is missing");
    is_invalid("https://api.example.com/v1", "remove path and query");
    is_invalid("https://api.example.com/?a", "remove path and query");
    is_invalid("https://user:password@api.example.com", "user information");
    is_invalid("https://api.example.com:", "port");
    is_invalid("https://api.example.com:65536", "port");
    is_invalid("https://api.example.com:+443", "port");
    is_invalid("https://*.example.com", "name each of the hosts");
    is_invalid("https://api.example.com#a", "no fragment");
    is_invalid(" https://api.example.com", "without spaces");
    is_invalid("https://bücher.example", "xn--");
    is_invalid("http://127.1", "not a URL");
    is_invalid("https://[::1%25lo]", "not a URL");
    is_invalid("ftp://api.example.com", "neither https nor http");
    is_invalid("http://api.example.com", "use https");
}

#[test]
fn an_empty_list_is_an_error() {
    let error = Origins::new::<[&str; 0], _>([]).unwrap_err();
    assert!(error.to_string().contains("name at least one"));
}

#[test]
fn an_error_never_repeats_the_url() {
    let error = Origins::new(["https://user:canary@api.example.com/canary?canary"]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn plain_http_is_allowed_for_loopback_only() {
    for host in [
        "127.0.0.1",
        "127.1.2.3:8080",
        "[::1]",
        "[::1]:80",
        "localhost",
        "LocalHost:1",
    ] {
        assert!(Origins::new([format!("http://{host}")]).is_ok(), "{host}");
    }
    for host in [
        "128.0.0.1",
        "10.0.0.1",
        "0.0.0.0",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "notlocalhost",
    ] {
        assert!(
            error_of(&format!("http://{host}")).contains("loopback"),
            "{host}"
        );
    }
}

#[test]
fn a_plain_http_origin_has_port_80() {
    let origins = Origins::new(["http://localhost"]).unwrap();
    let allows = |uri: &'static str| origins.allows(&Uri::from_static(uri));
    assert!(allows("http://localhost/"));
    assert!(allows("http://localhost:80/"));
    assert!(!allows("http://localhost:443/"));
    assert!(!allows("https://localhost:80/"));
    assert!(
        !allows("http://127.0.0.1/"),
        "another name is another origin"
    );
}

// R7, R14: only case, the default port and the spelling of an IPv6 address are normalized.
#[test]
fn hosts_are_compared_whole() {
    let origins = Origins::new(["https://api.example.com", "https://[2001:db8::1]:8443"]).unwrap();
    let allows = |uri: &str| origins.allows(&uri.parse().unwrap());
    for uri in [
        "https://api.example.com",
        "https://API.EXAMPLE.COM:443",
        "https://[2001:db8::1]:8443/",
        "https://[2001:DB8:0:0:0:0:0:1]:8443/",
        "https://[2001:db8::0.0.0.1]:8443/",
    ] {
        assert!(allows(uri), "{uri}");
    }
    for uri in [
        "https://api.example.com.",
        "https://api.example.com:",
        "https://api.example.com:+443",
        "https://api.example.com:00443",
        "https://api.example.com:65979", // 443 modulo 2^16
        "https://x.api.example.com",
        "https://x.api.example.com:443",
        "https://api.example.com:444",
        "https://api.example.co",
        "https://example.com",
        "https://api.example.comm",
        "https://[2001:db8::1]",
        "https://[2001:db8:0::1]:+8443",
        "https://[2001:db8::2]:8443",
        "https://user@[2001:db8:0::1]:8443",
        "https://2001:db8::1:8443",
    ] {
        // A text that is no URI cannot be in a request.
        assert!(uri.parse::<Uri>().is_err() || !allows(uri), "{uri}");
    }
    for uri in [
        "https://%61pi.example.com",
        "https://api.example.com\\@evil.net",
    ] {
        assert!(
            uri.parse::<Uri>().is_err(),
            "{uri}: the `http` crate rejects it, or we must"
        );
    }
    println!("figure: R7 R14 uris=23 wrong=0");
}

#[test]
fn any_https_allows_any_host_with_https_only() {
    let origins = Origins::any_https();
    let allows = |uri: &str| origins.allows(&uri.parse().unwrap());
    assert!(allows("https://a.example.com:1/"));
    assert!(allows("https://[::1]/"));
    assert!(allows("/relative"));
    for uri in [
        "http://localhost/",
        "ftp://a.example.com/",
        "https://u@a.example.com/",
        "https://[::1%25lo]/",
        "https://a.example.com:99999/",
        "https://a.example.com:+443/",
        "https://127.1/",
        "https://0x7f.0.0.1/",
        "https://1.2.3.4.5/",
        "https://2130706433/",
        "https://a.*.example.com/",
        "https://a[1]b/",
        "https://a[]/",
        "a:443",
    ] {
        // A text that is no URI cannot be in a request.
        assert!(uri.parse::<Uri>().is_err() || !allows(uri), "{uri}");
    }
}

// S1
#[test]
fn plain_http_to_other_hosts_needs_the_dangerous_constructor() {
    let url = "http://intranet.example:8080";
    assert!(Origins::new([url]).is_err());
    let origins = Origins::dangerously_in_the_clear([url, "https://api.example.com"]).unwrap();
    let allows = |uri: &'static str| origins.allows(&Uri::from_static(uri));
    assert!(allows("http://intranet.example:8080/"));
    assert!(allows("https://api.example.com/"));
    assert!(!allows("https://intranet.example:8080/"));
    assert!(!allows("http://api.example.com/"));
    assert!(Origins::dangerously_in_the_clear(["ftp://intranet.example"]).is_err());
    assert!(Origins::dangerously_in_the_clear::<[&str; 0], _>([]).is_err());
    println!("figure: S1 allowed_without_a_loud_name=0");
}

#[test]
fn one_string_is_one_origin() {
    let url = "https://api.example.com:8443";
    let owned = url.to_owned();
    let list = vec![owned.clone()];
    for origins in [
        Origins::new(url),
        Origins::new(&owned),
        Origins::new(owned.clone()),
        Origins::new(std::borrow::Cow::Borrowed(url)),
        Origins::new([url]),
        Origins::new([&owned]),
        Origins::new(&list),
        Origins::new(list.iter()),
        Origins::new(list.clone()),
        Origins::new(&list[..]),
        Origins::new(Some(url)),
        Origins::new(url.split(',')),
        Origins::new((0..1).map(|_| url)),
        Origins::dangerously_in_the_clear(url),
        Origins::dangerously_in_the_clear([url]),
    ] {
        let origins = origins.unwrap();
        assert!(origins.allows(&Uri::from_static("https://api.example.com:8443/")));
        assert!(!origins.allows(&Uri::from_static("https://api.example.com/")));
    }
    assert!(Origins::new("").is_err());
    assert!(Origins::new("https://a.example.com,https://b.example.com").is_err());
}

// The fast paths say what the parsers say, for each kind of host.
#[test]
fn a_host_header_is_checked_as_the_authority_of_a_uri() {
    let listed = Origins::new(["https://api.example.com", "https://[2001:db8::1]:8443"]).unwrap();
    for (origins, is_listed) in [(listed, true), (Origins::any_https(), false)] {
        for (host, is_allowed) in [
            ("api.example.com", true),
            ("API.example.com:443", true),
            ("[2001:db8:0::1]:8443", true),
            ("a-1.example.com", !is_listed),
            ("b.co", !is_listed),
            ("localhost", !is_listed),
            ("127.0.0.1", !is_listed),
            ("xn--bcher-kva.example:8443", !is_listed),
            ("api.example.com/", false),
            ("api.example.com.0x7f", false),
            ("api.example.com.1", false),
            ("api.example.com:", false),
            ("api.example.com:+443", false),
            ("api.*.example.com", false),
            ("user@api.example.com", false),
            ("api.example.com@b", false),
            ("example.c[]m", false),
            ("", false),
        ] {
            let by_header = Request::get("/").header(HOST, host).body(()).unwrap();
            assert_eq!(origins.allows_request(&by_header), is_allowed, "{host}");
            if let Ok(uri) = Uri::try_from(format!("https://{host}/")) {
                let by_uri = Request::get(uri).body(()).unwrap();
                // `Uri` ends an authority at its first slash.
                let is_allowed = is_allowed || host == "api.example.com/";
                assert_eq!(origins.allows_request(&by_uri), is_allowed, "{host}");
            }
        }
        let several = Request::get("/").header(HOST, "api.example.com");
        let same = several.header(HOST, "api.example.com").body(()).unwrap();
        assert!(origins.allows_request(&same));
        let several = Request::get("/").header(HOST, "api.example.com");
        let foreign = several.header(HOST, "127.1").body(()).unwrap();
        assert!(!origins.allows_request(&foreign));
        assert!(origins.allows_request(&Request::get("/").body(()).unwrap()));
        let connect = Request::connect("api.example.com:443").body(()).unwrap();
        assert!(!origins.allows_request(&connect));
    }
}

#[test]
fn a_host_header_is_found_among_few_and_many_headers() {
    let origins = Origins::new("https://api.example.com").unwrap();
    for others in 0..20 {
        let mut request = Request::get("/");
        for number in 0..others {
            request = request.header(format!("x-{number}"), number);
        }
        let mut request = request.body(()).unwrap();
        let mut allows = |host| {
            let host = HeaderValue::from_static(host);
            request.headers_mut().append(HOST, host);
            origins.allows_request(&request)
        };
        assert!(allows("api.example.com"), "{others}");
        assert!(!allows("api.example.net"), "{others}");
    }
}
