//! Each kind of login: the presets against stand-ins, and the lines of Rust.

use std::{path::Path, sync::Mutex};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tower::ServiceExt;
use tower_bearer::{BoxError, test_util::TestClock};

use crate::{
    API, ask_about, lines, options,
    probe::{
        Config, probe,
        report::{Revokes, known},
        rust::rust,
    },
    server::{Behaviour, Refresh},
    support, why,
};

static STEPS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::test]
async fn quable_is_exclusive() {
    let clock = TestClock::new();
    let settings = support::quable::Settings {
        clock: Box::new(clock.clone()),
        ..Default::default()
    };
    let api = support::quable::StandIn::start_with(settings).await;
    let document = json!({
        "api": "https://acme.quable.com/api/products",
        "login": {
            "preset": "quable", "instance": "acme", "user": support::quable::USER,
            "password": "$env:QUABLE_PASSWORD",
        },
    });
    let secret = |_: &str| Some(support::quable::PASSWORD.to_owned());
    let config = Config::parse(&document.to_string(), &secret).unwrap();
    let mut options = options(&clock, 7200);
    options.progress = |step| STEPS.lock().unwrap().push(step.to_owned());
    let report = probe(&config, at(&api.base_url()), &options).await.unwrap();
    assert_eq!(known(&report.login_revokes), Some(&Revokes::Yes));
    let lived = known(&report.lifetime).unwrap().to_string();
    assert!(
        lived.starts_with("as the announced 3,600 s: accepted after 3,564 s"),
        "{lived}"
    );
    assert_eq!(why(&report.refresh_works_twice), "no refresh is configured");
    assert_eq!(api.counts().logins, 2);
    let printed = format!("{report}{}", STEPS.lock().unwrap().join("\n"));
    assert!(
        printed.contains("login 2") && !printed.contains("battery"),
        "{printed}"
    );
    is_checked_in("quable", &rust(&config, &report).unwrap());
}

#[tokio::test]
async fn teletracker_spends_its_refresh_tokens() {
    for rejection in [401, 403] {
        let clock = TestClock::new();
        let settings = support::teletracker::Settings {
            clock: Box::new(clock.clone()),
            rejection: rejection.try_into().unwrap(),
            clock_offset: 3600,
            ..Default::default()
        };
        let api = support::teletracker::StandIn::start_with(settings).await;
        let document = json!({
            "api": "https://api.teletracker.net/reports",
            "login": {
                "preset": "teletracker", "user": support::teletracker::USER,
                "password": "$env:TELETRACKER_PASSWORD",
            },
        });
        let secret = |_: &str| Some(support::teletracker::PASSWORD.to_owned());
        let config = Config::parse(&document.to_string(), &secret).unwrap();
        let report = probe(&config, at(&api.base_url()), &options(&clock, 7200))
            .await
            .unwrap();
        assert_eq!(known(&report.login_revokes), Some(&Revokes::Yes));
        assert_eq!(known(&report.refresh_rotates), Some(&true));
        assert_eq!(known(&report.refresh_revokes), Some(&Revokes::Yes));
        assert_eq!(known(&report.refresh_works_twice), Some(&false));
        assert_eq!(known(&report.expired).unwrap().status.as_u16(), rejection);
        assert!(
            report
                .to_string()
                .contains("they differ: 3,600 s (/tokenLifetime)"),
            "{report}"
        );
        let counts = api.counts();
        let refreshes = (
            counts.refreshes,
            counts.reused_refresh_tokens,
            counts.refused_refreshes,
        );
        assert_eq!((counts.logins, refreshes), (2, (1, 1, 0)));
        is_checked_in("teletracker", &rust(&config, &report).unwrap());
    }
}

/// A client that finds the real host at this URL.
fn at(
    base_url: &str,
) -> impl tower::Service<
    Request<Full<Bytes>>,
    Response = http::Response<hyper::body::Incoming>,
    Error = BoxError,
    Future: Send,
>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let (http, base_url) = (support::http_client(), base_url.to_owned());
    tower::service_fn(move |mut request: Request<Full<Bytes>>| {
        let http = http.clone();
        let path = request.uri().path_and_query().unwrap();
        let uri: Uri = format!("{base_url}{path}").parse().unwrap();
        *request.uri_mut() = uri;
        async move { Ok::<_, BoxError>(http.oneshot(request).await?) }
    })
}

#[tokio::test]
async fn the_lines_for_each_kind_of_login_compile() {
    let url = "https://api.example.com/login";
    let json = json!({
        "api": API,
        "header": "x-auth-token",
        "scheme": "Token",
        "login": {
            "url": url,
            "headers": {"x-api-key": "$env:API_PASSWORD"},
            "json": {"account": 4711, "credentials": {"user": "me", "password": "$env:API_PASSWORD"}},
        },
        "answer": {"lifetime_ms": "/ttl"},
    });
    let behaviour = Behaviour {
        scheme: "Token",
        header: http::HeaderName::from_static("x-auth-token"),
        revoked: 403,
        login_revokes: true,
        ..Behaviour::default()
    };
    is_checked_in("json", &ask_about(json, behaviour, 120).await.1);

    let form = json!({
        "api": API,
        "login": {"url": url, "form": {"user": "test-account", "password": "$env:API_PASSWORD"}},
        "refresh": {
            "url": "https://api.example.com/refresh",
            "form": {"grant": "refresh", "refresh_token": "$refresh_token", "password": "$env:API_PASSWORD"},
        },
    });
    let behaviour = Behaviour {
        announced: Some(60),
        lifetime: 33,
        expired: 302,
        refresh: Refresh::Often,
        ..Behaviour::default()
    };
    is_checked_in("form", &ask_about(form, behaviour, 120).await.1);

    let client = json!({
        "api": API,
        "login": {
            "oauth2": "client_credentials", "url": url, "client_id": "test-client",
            "client_secret": "$env:API_PASSWORD", "send_client": "form", "scope": "read write",
            "parameters": {"resource": "https://api.example.com"},
        },
    });
    let (report, lines) = ask_about(
        client,
        Behaviour {
            is_jwt: true,
            ..Behaviour::default()
        },
        120,
    )
    .await;
    assert_eq!(
        known(&report.token_type).unwrap().split(',').next(),
        Some("token_type Bearer; a JWT")
    );
    is_checked_in("client_credentials", &lines);

    let password = json!({
        "api": API,
        "login": {
            "oauth2": "password", "url": url, "user": "test-account", "password": "$env:API_PASSWORD",
            "client_id": "test-client",
        },
        "answer": {"expiry": "/expires_at"},
    });
    let behaviour = Behaviour {
        offset: 3600,
        login_revokes: true,
        ..Behaviour::default()
    };
    is_checked_in("password", &ask_about(password, behaviour, 120).await.1);

    let http = support::http_client();
    let made = [
        lines::quable::layer::<HttpConnector>,
        lines::teletracker::layer,
        lines::json::layer,
        lines::form::layer,
        lines::client_credentials::layer,
        lines::password::layer,
    ];
    for layer in made {
        let error = layer(http.clone()).err().unwrap(); // no secret is set
        assert_eq!(error.to_string(), "environment variable not found");
    }
}

/// Compares lines with the file that this test compiles. `UPDATE_PROBE=1` writes it.
#[track_caller]
fn is_checked_in(kind: &str, lines: &str) {
    let path = format!("tests/probe/lines/{kind}.rs");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_PROBE").is_some() {
        std::fs::write(&path, lines).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap();
    assert_eq!(file, lines, "UPDATE_PROBE=1 writes {}", path.display());
}
