//! A kept head is the head that was kept.

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, Entry, SET_COOKIE};

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Mark(&'static str);

fn again(request: Request<()>) -> Request<()> {
    let (head, ()) = request.into_parts();
    KeptHead::of(&head)
        .into_request(())
        .expect("a head that `http` has read")
}

#[test]
fn a_uri_of_each_form_is_kept() {
    for uri in [
        "/",
        "/v1/things?a=b&c",
        "*",
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com?a=b",
        "HTTP://API.example.com:8080/%7Euser/?",
        "https://user:password@[2001:db8::1]:8443/a//b",
        "unix://socket/a",
        "api.example.com:443",
        "/caf\u{e9}?\u{e9}",
        "",
    ] {
        let uri = match uri {
            // `http` does not parse it, but makes it.
            "" => Uri::from_parts(uri::Parts::default()).unwrap(),
            uri => Uri::try_from(uri).unwrap(),
        };
        let request = Request::builder().uri(&uri).body(()).unwrap();
        let again = again(request);
        assert_eq!(again.uri(), &uri);
        assert_eq!(again.uri().to_string(), uri.to_string());
    }
}

#[test]
fn method_version_headers_and_extensions_are_kept() {
    let mut secret = HeaderValue::from_static("secret");
    secret.set_sensitive(true);
    let request = Request::builder()
        .method("PROPFIND")
        .version(Version::HTTP_2)
        .uri("/")
        .header("x-of-its-own", "")
        .header(SET_COOKIE, "a")
        .header(AUTHORIZATION, secret)
        .header(SET_COOKIE, "b")
        .header(COOKIE, HeaderValue::from_bytes(b"\x80\xff\t").unwrap())
        .extension(Mark("of the caller"))
        .body(())
        .unwrap();
    let (before, again) = (request.clone(), again(request));
    assert_eq!(again.method(), before.method());
    assert_eq!(again.version(), before.version());
    assert_eq!(again.headers(), before.headers());
    let in_order = |request: &Request<()>| -> Vec<_> {
        let headers = request.headers().iter();
        headers
            .map(|(name, value)| (name.clone(), value.clone(), value.is_sensitive()))
            .collect()
    };
    assert_eq!(in_order(&again), in_order(&before));
    assert_eq!(again.extensions().get(), Some(&Mark("of the caller")));
}

// A secret of an outer layer is wiped with its last owner: there must be no copy that nobody wipes.
#[test]
fn a_sensitive_value_is_shared() {
    let mut secret = HeaderValue::from_maybe_shared(Bytes::from("secret".to_owned())).unwrap();
    secret.set_sensitive(true);
    let address = secret.as_bytes().as_ptr();
    let request = Request::get("/").header("x-api-key", secret);
    let request = request.header(COOKIE, "a").body(()).unwrap();
    let (head, ()) = request.into_parts();
    let kept = KeptHead::of(&head);
    assert!(!kept.text.windows(6).any(|part| part == b"secret"));
    let again = kept.into_request(()).unwrap();
    assert_eq!(again.headers()["x-api-key"].as_bytes().as_ptr(), address);
}

#[test]
fn there_is_no_replay_of_more_headers_than_a_map_takes() {
    let mut headers = HeaderMap::new();
    let mut number = 0..;
    let mut name = || HeaderName::try_from(format!("x-{}", number.next().unwrap())).unwrap();
    let value = HeaderValue::from_static("value");
    while headers.try_append(name(), value.clone()).is_ok() {}
    // The only way to append to the last of as many as there can be.
    let last = headers.keys().last().unwrap().clone();
    headers.remove(last);
    let Ok(Entry::Vacant(last)) = headers.try_entry(name()) else {
        panic!("there is room for one");
    };
    last.insert_entry(value.clone()).append(value);

    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let (head, ()) = request.into_parts();
    assert!(KeptHead::of(&head).into_request(()).is_none());
}
