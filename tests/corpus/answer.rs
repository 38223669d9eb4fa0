//! The result of an HTTP login for a response, compared with a parser of the whole document.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use tower_bearer::{HttpLogin, Login, LoginRequest};

/// The body of the response.
pub(crate) fn check(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let client = tower::service_fn(
        move |_: Request<Full<Bytes>>| -> Ready<Result<_, Infallible>> {
            ready(Ok(Response::new(Full::new(body.clone()))))
        },
    );
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}")
        .expect("a URL")
        .token_at("/oauth/0/access_token")
        .lifetime_at("/oauth/0/expires_in");
    let mut exchange = pin!(login.login(LoginRequest::default()));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(outcome) = exchange.as_mut().poll(&mut cx) else {
        panic!("nothing to wait for");
    };
    let document = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let whole = serde_json::from_slice::<Value>(document).ok();
    let token = whole
        .as_ref()
        .and_then(|json| json.pointer("/oauth/0/access_token")?.as_str());
    match outcome {
        Ok(credential) => {
            let found = credential.token().expose();
            assert!(found.bytes().all(|byte| byte.is_ascii_graphic()));
            // If the whole document can be parsed, both parsers agree.
            let is_found = |token: &str| {
                let without_scheme = token.len().checked_sub(found.len());
                token.ends_with(found)
                    && without_scheme.is_some_and(|at| {
                        let scheme = token[..at].trim_end();
                        scheme.is_empty() || scheme.eq_ignore_ascii_case("bearer")
                    })
            };
            assert!(whole.is_none() || token.is_some_and(is_found));
            let lifetime = whole
                .as_ref()
                .and_then(|json| json.pointer("/oauth/0/expires_in"));
            if let Some(seconds) = lifetime.and_then(Value::as_u64).filter(|s| *s < 1 << 50) {
                assert_eq!(credential.lifetime().map(|l| l.as_secs()), Some(seconds));
            }
        }
        Err(error) => {
            let at = |pointer| whole.as_ref().and_then(|json| json.pointer(pointer));
            let is_bearer = match at("/oauth/0/token_type") {
                None | Some(Value::Null) => true,
                Some(kind) => kind.as_str().is_some_and(|kind| {
                    let kind = kind.to_ascii_lowercase();
                    ["bearer", "bearertoken"].contains(&kind.as_str())
                }),
            };
            let says_no = at("/success") == Some(&Value::Bool(false));
            let is_usable =
                |token: &str| is_bearer && !says_no && tower_bearer::Token::new(token).is_ok();
            assert!(
                data.len() > 64 * 1024 || !token.is_some_and(is_usable),
                "{error}"
            );
        }
    }
}
