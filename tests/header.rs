//! What is sent: exactly one header, to the allowed origins.

mod support;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response,
    header::{AUTHORIZATION, PROXY_AUTHORIZATION},
};
use support::{Issuer, origins};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, BoxError, CachedProvider, Credential, Error, Origins, Scheme,
    StaticProvider, Token, login_fn,
};

/// Records the requests that arrive.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Request<()>>>>);

impl Recorder {
    fn service(
        &self,
    ) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send>
    + Clone
    + use<> {
        let requests = Arc::clone(&self.0);
        tower::service_fn(move |request| {
            requests.lock().unwrap().push(request);
            async { Ok(Response::new(())) }
        })
    }

    /// The headers of the only request since the last call.
    #[track_caller]
    fn headers(&self) -> HeaderMap {
        let mut requests = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(requests.len(), 1);
        std::mem::take(requests[0].headers_mut())
    }
}

fn get(url: &str) -> Request<()> {
    Request::get(url).body(()).unwrap()
}

#[track_caller]
fn assert_one(headers: &HeaderMap, name: impl AsRef<str>, value: &str) {
    let values: Vec<_> = headers.get_all(name.as_ref()).iter().collect();
    assert_eq!(values, [value]);
    assert!(values[0].is_sensitive(), "K4");
}

// S4, K4, trap 21: the header of a request sent at once, and of one that waited.
#[tokio::test]
async fn one_sensitive_header_is_sent() {
    let recorder = Recorder::default();
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
    for kind in ["waiting", "immediate"] {
        let service = layer.layer(recorder.service());
        service.oneshot(get(support::URL)).await.unwrap();
        let headers = recorder.headers();
        assert_one(&headers, AUTHORIZATION, "Bearer token-1");
        assert!(!format!("{headers:?}").contains("token-1"), "{kind}");
        assert_eq!(headers.len(), 1, "{kind}: R12, nothing else is added");
    }
    println!("figure: S4 K4 trap21 requests=2 authorizations_each=1");
}

#[tokio::test]
async fn header_name_and_scheme_can_be_chosen() {
    let recorder = Recorder::default();
    let login = login_fn(|_| async {
        let token = Token::visible_ascii("{odd}")?;
        Ok(Credential::from(token).with_scheme(Scheme::from_static("Token")))
    });
    let service = BearerAuthLayer::new(CachedProvider::new(login), origins())
        .with_header_name(HeaderName::from_static("authentication"))
        .layer(recorder.service());
    for _ in 0..2 {
        service.clone().oneshot(get(support::URL)).await.unwrap();
        let headers = recorder.headers();
        assert_one(&headers, "authentication", "Token {odd}");
        assert!(!headers.contains_key(AUTHORIZATION));
    }

    let authorization = Authorization::from_value(HeaderValue::from_static("Custom abc"));
    let service = BearerAuthLayer::new(StaticProvider::from(authorization), origins())
        .layer(recorder.service());
    service.oneshot(get(support::URL)).await.unwrap();
    assert_one(&recorder.headers(), AUTHORIZATION, "Custom abc");
}

// K8, U16, trap 20
#[tokio::test]
async fn the_callers_own_header_is_left_alone() {
    let issuer = Issuer::new();
    let recorder = Recorder::default();
    let service = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins())
        .layer(recorder.service());
    let mut request = get(support::URL);
    // R4: a name is the same in any case.
    let name = HeaderName::from_bytes(b"aUTHORIZATION").unwrap();
    request
        .headers_mut()
        .insert(name, "Basic mine".parse().unwrap());
    service.oneshot(request).await.unwrap();
    let headers = recorder.headers();
    let values: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
    assert_eq!(values, ["Basic mine"]);
    println!(
        "figure: R4 authorizations={} logins={}",
        values.len(),
        issuer.logins()
    );
    assert_eq!(issuer.logins(), 0);
}

// K9: the layer neither appends to the headers nor picks one.
#[tokio::test]
async fn a_request_with_two_authorizations_is_not_sent() {
    let issuer = Issuer::new();
    let recorder = Recorder::default();
    let service = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins())
        .layer(recorder.service());
    for second in ["Basic mine", "Bearer canary"] {
        let mut request = get(support::URL);
        let headers = request.headers_mut();
        headers.append(AUTHORIZATION, "Basic mine".parse().unwrap());
        headers.append(AUTHORIZATION, second.parse().unwrap());
        let error = service.clone().oneshot(request).await.unwrap_err();
        let error = error.downcast_ref::<Error>().unwrap();
        assert!(error.is_many_headers());
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    assert_eq!(recorder.0.lock().unwrap().len(), 0);
    assert_eq!(issuer.logins(), 0);
}

/// A request whose header map takes no more names.
fn full() -> Request<()> {
    let mut request = get(support::URL);
    let headers = request.headers_mut();
    for number in 0.. {
        let name = HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
        if headers
            .try_insert(name, HeaderValue::from_static(""))
            .is_err()
        {
            break;
        }
    }
    assert!(headers.len() > 20_000);
    request
}

// `HeaderMap::insert` would panic.
#[tokio::test]
async fn a_request_without_room_for_the_header_is_an_error() {
    let recorder = Recorder::default();
    let x_token = HeaderName::from_static("x-token");
    for name in [AUTHORIZATION, x_token] {
        let provider = CachedProvider::new(Issuer::new());
        let layer = BearerAuthLayer::new(provider, origins()).with_header_name(name);
        // The first request waits for a login, the second finds its credential.
        for service in [
            layer.layer(recorder.service()),
            layer.layer(recorder.service()),
        ] {
            let error = service.oneshot(full()).await.unwrap_err();
            let error = error.downcast_ref::<Error>().unwrap();
            assert!(error.to_string().contains("no authorization"), "{error}");
            let source = std::error::Error::source(error).unwrap();
            assert!(source.is::<http::header::MaxSizeReached>(), "{source}");
        }
    }
    assert_eq!(recorder.0.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_full_request_that_needs_no_header_is_sent() {
    let recorder = Recorder::default();
    let provider = CachedProvider::new(Issuer::new());
    provider.acquire().await.unwrap();
    let service = BearerAuthLayer::new(provider, origins()).layer(recorder.service());
    let mut request = full();
    request.headers_mut().remove("x-0");
    let own = HeaderValue::from_static("Basic mine");
    request.headers_mut().insert(AUTHORIZATION, own);
    service.oneshot(request).await.unwrap();
    assert_eq!(recorder.headers()[AUTHORIZATION], "Basic mine");
}

// I9; part of R2, R5, R7, R10, R13, R14: a request to a foreign origin is sent unchanged and at
// once.
#[tokio::test]
async fn a_request_to_a_foreign_origin_is_sent_bare_without_a_login() {
    let issuer = Issuer::gated();
    let recorder = Recorder::default();
    let service = BearerAuthLayer::new(CachedProvider::new(issuer.clone()), origins())
        .layer(recorder.service());
    let foreign = [
        "https://other.example.com/",
        "https://x.api.example.com/",
        "https://api.example.com.evil.net/",
        "https://api.example.com:8443/",
        "https://api.example.com:0443/",
        "https://api.example.com@evil.net/",
        "https://user@api.example.com/",
        "https://evil.net/?https://api.example.com",
        "http://api.example.com/",
        "http://api.example.com:443/",
        "ftp://api.example.com/",
        "wss://api.example.com/",
        "api.example.com:443",
    ];
    for url in foreign {
        service.clone().oneshot(get(url)).await.unwrap();
        assert!(recorder.headers().is_empty(), "{url}");
    }
    println!(
        "figure: S8 R10 R13 uris={} with_token=0 logins={}",
        foreign.len(),
        issuer.logins()
    );
    assert_eq!(issuer.logins(), 0);
}

#[tokio::test]
async fn a_request_to_an_allowed_origin_is_authorized() {
    let recorder = Recorder::default();
    let send = async |origins: Origins, url: &str| -> Result<HeaderMap, BoxError> {
        let layer = BearerAuthLayer::new(StaticProvider::new("abc")?, origins);
        layer.layer(recorder.service()).oneshot(get(url)).await?;
        Ok(recorder.headers())
    };
    let listed = Origins::new(["https://api.example.com", "http://127.0.0.1:8080"]).unwrap();
    for url in [
        "https://api.example.com/a?b",
        "https://api.example.com:443/",
        "HTTPS://API.Example.COM/",
        "http://127.0.0.1:8080/",
        "/relative",
        "*",
    ] {
        let headers = send(listed.clone(), url).await.unwrap();
        assert_one(&headers, AUTHORIZATION, "Bearer abc");
    }
    for (url, is_authorized) in [
        ("https://anywhere.example.net:8443/", true),
        ("/relative", true),
        ("http://127.0.0.1/", false),
        ("https://user:password@anywhere.example.net/", false),
    ] {
        let headers = send(Origins::any_https(), url).await.unwrap();
        assert_eq!(headers.contains_key(AUTHORIZATION), is_authorized, "{url}");
    }
}

// S2
#[tokio::test]
async fn the_rest_of_the_request_and_the_response_are_untouched() {
    let service = tower::service_fn(|request: Request<String>| async move {
        let (mut parts, body) = request.into_parts();
        parts.headers.remove(AUTHORIZATION).unwrap();
        let mut response = Response::new(format!("{parts:?} {body}"));
        response.extensions_mut().insert(7_u8);
        Ok::<_, Infallible>(response)
    });
    let request = || {
        Request::post("https://api.example.com/a?b=c")
            .version(http::Version::HTTP_2)
            .header("x-one", "1")
            .extension(42_u32)
            .body("body".to_owned())
            .unwrap()
    };
    let untouched = {
        let (parts, body) = request().into_parts();
        format!("{parts:?} {body}")
    };
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
    for _ in 0..2 {
        let response = layer.layer(service).oneshot(request()).await.unwrap();
        assert_eq!(response.extensions().get(), Some(&7_u8));
        assert_eq!(*response.body(), untouched);
    }
    println!("figure: S2 requests=2 changed=0");
}

// K12
#[tokio::test]
async fn the_uri_decides_for_connect_upgrades_and_proxies() {
    let cases = [
        // A request for the proxy has an authority and no scheme.
        (Method::CONNECT, "api.example.com:443", false),
        // WebSockets over HTTP/2 (RFC 8441), and an upgrade: treated like other requests.
        (Method::CONNECT, "https://api.example.com/chat", true),
        (Method::GET, "https://api.example.com/chat", true),
        // The absolute form, as sent to a proxy without TLS.
        (Method::GET, "http://api.example.com/", false),
    ];
    let recorder = Recorder::default();
    let layer = BearerAuthLayer::new(StaticProvider::new("abc").unwrap(), origins());
    for (method, url, is_authorized) in &cases {
        let request = Request::builder()
            .method(method)
            .uri(*url)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(())
            .unwrap();
        let service = layer.layer(recorder.service());
        service.oneshot(request).await.unwrap();
        let headers = recorder.headers();
        assert_eq!(
            headers.contains_key(AUTHORIZATION),
            *is_authorized,
            "{method} {url}"
        );
        assert!(!headers.contains_key(PROXY_AUTHORIZATION));
    }
    println!("figure: K12 requests={} wrong=0", cases.len());
}
