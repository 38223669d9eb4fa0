//! Answers in the forms that servers send.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Full;

use crate::{AnswerField, Credential, HttpLogin, Lifetime, Login, LoginRequest};

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");

fn login(body: impl Into<Bytes>) -> HttpLogin {
    let body = body.into();
    let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
        assert_eq!(request.headers()["accept-encoding"], "identity");
        let response = Response::builder()
            .header(TOKEN_HEADER, "of-header")
            .header("x-expires", "Sat, 28 Nov 2026 18:00:00 GMT")
            .body(Full::new(body.clone()));
        async { Ok::<_, Infallible>(response.unwrap()) }
    });
    HttpLogin::new(client, "https://api.example.com/login", "{}").unwrap()
}

async fn credential(login: HttpLogin) -> Option<Credential> {
    login.login(LoginRequest::default()).await.ok()
}

async fn token(login: HttpLogin) -> Option<String> {
    Some(credential(login).await?.token().expose().to_owned())
}

#[tokio::test]
async fn the_first_place_that_has_a_value_counts() {
    let body = r#"{"a":null,"b":"of-b","c":"of-c"}"#;
    for (field, found) in [
        (AnswerField::from("/b"), Some("of-b")),
        (["/a", "/b", "/c"].into(), Some("of-b")),
        (["/nowhere", "/c"].into(), Some("of-c")),
        (["/a"].into(), None),
        (TOKEN_HEADER.into(), Some("of-header")),
        (
            [AnswerField::from("/a"), TOKEN_HEADER.into()].into(),
            Some("of-header"),
        ),
        (HeaderName::from_static("x-other").into(), None),
    ] {
        let printed = field.to_string();
        let found_token = token(login(body).token_at(field)).await;
        assert_eq!(found_token.as_deref(), found, "{printed}");
    }
    // A token in a header needs no JSON.
    assert!(
        token(login("<html>").token_at(TOKEN_HEADER))
            .await
            .is_some()
    );
}

#[tokio::test]
async fn a_token_may_bring_its_scheme_along() {
    for (sent, read) in [
        ("Bearer abc", Some("abc")),
        ("bearer  abc", Some("abc")),
        ("Bearerabc", Some("Bearerabc")),
        ("Bearer", Some("Bearer")),
        ("Bearer ", None),
        ("Token abc", None),
    ] {
        let body = format!(r#"{{"access_token":"{sent}"}}"#);
        assert_eq!(token(login(body)).await.as_deref(), read, "{sent}");
    }
}

#[tokio::test]
async fn the_type_of_a_token_stands_beside_it() {
    let body = r#"{"token_type":"mac","data":{"token":"a","token_type":"bearer"}}"#;
    assert!(token(login(body).token_at("/data/token")).await.is_some());
    let body = r#"{"token_type":"bearer","data":{"token":"a","token_type":"mac"}}"#;
    assert!(token(login(body).token_at("/data/token")).await.is_none());
}

#[tokio::test]
async fn a_lifetime_is_read_in_its_unit() {
    let body = r#"{"access_token":"a","ms":"1500","s":60,"minutes":5}"#;
    let lifetime = async |login: HttpLogin| credential(login).await.unwrap().lifetime();
    let read = lifetime(login(body).lifetime_in_milliseconds_at("/ms")).await;
    assert_eq!(read, Some(Duration::from_millis(1500)));
    let read = lifetime(login(body).lifetime_at(["/nowhere", "/s"])).await;
    assert_eq!(read, Some(Duration::from_secs(60)));
    let by_function = login(body).lifetime_by(|answer| {
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[TOKEN_HEADER], "of-header");
        assert_eq!(answer.string_at("/ms")?.expose(), "1500");
        assert!(!format!("{answer:?}").contains("minutes"));
        Some(Duration::from_secs(60) * answer.number_at("/minutes")? as u32)
    });
    assert_eq!(lifetime(by_function).await, Some(Duration::from_secs(300)));
}

#[tokio::test]
async fn an_expiry_is_read_in_each_form() {
    let expiry = UNIX_EPOCH + Duration::from_secs(1_795_888_800);
    for sent in [
        r#""2026-11-28T18:00:00Z""#,
        r#""2026-11-28T19:00:00+01:00""#,
        r#""Sat, 28 Nov 2026 18:00:00 GMT""#,
        "1795888800",
        "1795888800.0",
        r#""1795888800""#,
        "1795888800000",
    ] {
        let body = format!(r#"{{"access_token":"a","at":{sent}}}"#);
        let credential = credential(login(body).expiry_at("/at")).await.unwrap();
        assert_eq!(credential.expires_at(), Some(expiry), "{sent}");
        assert_eq!(credential.lifetime(), None);
    }
    for odd in ["null", r#""tomorrow""#, r#""""#, "{}", "1e400", "true"] {
        let body = format!(r#"{{"access_token":"a","at":{odd}}}"#);
        let credential = credential(login(body).expiry_at("/at")).await.unwrap();
        assert_eq!(credential.expires_at(), None, "{odd}");
    }
    let header = HeaderName::from_static("x-expires");
    let credential = credential(login(r#"{"access_token":"a"}"#).expiry_at(header)).await;
    assert_eq!(credential.unwrap().expires_at(), Some(expiry));
}

fn jwt(claims: &str) -> String {
    format!(
        "eyJhbGciOiJub25lIn0.{}.c2ln",
        URL_SAFE_NO_PAD.encode(claims)
    )
}

#[tokio::test]
async fn a_jwt_says_when_it_ends_where_nothing_else_does() {
    let long = format!(r#"{{"exp":600,"iat":0,"pad":"{}"}}"#, "x".repeat(16 * 1024));
    for (token, lifetime, expires_at) in [
        (jwt(r#"{"exp":1000,"iat":700}"#), Some(300), None),
        (jwt(r#"{"exp":1000}"#), None, Some(1000)),
        (jwt(r#"{"exp":1000,"iat":2000}"#), None, Some(1000)),
        (jwt(r#"{"exp":"soon"}"#), None, None),
        (jwt(r#"{"exp":-1}"#), None, None),
        (jwt(r#"{"exp":1e300}"#), None, None),
        (jwt("no json"), None, None),
        (jwt(&long), None, None),
        ("a.b".to_owned(), None, None),
        ("a.b.c.d".to_owned(), None, None),
        ("a.~.c".to_owned(), None, None),
    ] {
        let body = format!(r#"{{"access_token":"{token}"}}"#);
        let read = credential(login(body.clone())).await.unwrap();
        let seconds = |seconds| Duration::from_secs(seconds);
        assert_eq!(read.lifetime(), lifetime.map(seconds), "{token}");
        let expiry = expires_at.map(|at| UNIX_EPOCH + seconds(at));
        assert_eq!(read.expires_at(), expiry, "{token}");
        // Anything else that says so wins.
        let read = credential(login(body).lifetime(Lifetime::UntilRejected)).await;
        let read = read.unwrap();
        assert_eq!((read.lifetime(), read.expires_at()), (None, None));
    }
    let token = jwt(r#"{"exp":1000,"iat":700}"#);
    let body = format!(r#"{{"access_token":"{token}","expires_in":60}}"#);
    let read = credential(login(body)).await.unwrap();
    assert_eq!(read.lifetime(), Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_refresh_token_with_a_lifetime_of_zero_has_no_expiry() {
    for sent in ["0", "\"0\"", "-1", "0.0"] {
        let body = format!(r#"{{"access_token":"a","refresh_token":"r","for":{sent}}}"#);
        let login = login(body)
            .refresh_token_at("/refresh_token")
            .refresh_token_lifetime_at("/for");
        let credential = credential(login).await.unwrap();
        let refresh_token = credential.refresh_token().unwrap();
        assert_eq!(refresh_token.lifetime(), None, "{sent}");
        assert_eq!(refresh_token.expires_at(), None::<SystemTime>);
    }
}
