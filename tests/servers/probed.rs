//! `examples/probe` at these servers: what they are known to do, it finds out.

use std::{path::Path, process::Command, sync::Arc};

use http::StatusCode;
use serde_json::{Value, json};
use tower_bearer::test_util::TestClock;

use crate::{
    probe::{
        Config, Options, Report, probe,
        report::{Revokes, known},
        rust::rust,
    },
    process::{self, Process, folder, installed, source},
    support::http_client,
};

const SECRET: &str = "a b%&+:=/?";
const USER: &str = "user";
const PASSWORD: &str = "p w%&+\"\\";

fn start(mut command: Command, name: &str) -> (Process, String) {
    command
        .env("CLIENT_SECRET", SECRET)
        .env("USER_NAME", USER)
        .env("USER_PASSWORD", PASSWORD);
    let (process, line) = Process::start(command, &folder(name), "listening on ").unwrap();
    (process, line.replace("listening on ", ""))
}

fn django(installed: &Path) -> (Process, String) {
    let mut python = Command::new(installed.join("venv/bin/python"));
    let name = "probe-django";
    python.arg(source("django_project.py")).arg(
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("servers")
            .join(name),
    );
    start(python, name)
}

fn oidc_provider(installed: &Path) -> (Process, String) {
    let mut node = process::node(installed);
    node.arg(source("oidc_provider.mjs"))
        .env("TOWER_BEARER_SERVERS", installed);
    start(node, "probe-oidc-provider")
}

/// None of these servers has copies that lag behind: the waits pass at once.
async fn ask(document: Value) -> (Report, String) {
    let secret = |name: &str| match name {
        "SECRET" => Some(SECRET.to_owned()),
        "PASSWORD" => Some(PASSWORD.to_owned()),
        _ => None,
    };
    let config = Config::parse(&document.to_string(), &secret).unwrap();
    let options = Options {
        time: Arc::new(TestClock::new()),
        ..Options::default()
    };
    let report = probe(&config, http_client(), &options).await.unwrap();
    println!("seen: the probe of {}:\n{report}", config.place());
    assert_eq!(report.counts.logins, 2);
    assert!(known(&report.clock).unwrap().seconds.abs() < 60.0);
    let garbage = known(&report.garbage).unwrap();
    assert_eq!(garbage.status, StatusCode::UNAUTHORIZED);
    assert!(garbage.challenges[0].starts_with("Bearer "), "{garbage}");
    let lines = rust(&config, &report).unwrap();
    let printed = format!("{report}{lines}");
    assert!(
        !printed.contains(SECRET) && !printed.contains(PASSWORD),
        "{printed}"
    );
    (report, lines)
}

#[tokio::test]
async fn the_probe() {
    let Some(installed) = installed("the probe") else {
        return;
    };
    let (_oidc_provider, oidc) = oidc_provider(&installed);
    let (_django, django) = django(&installed);
    for (api, url) in [
        (format!("{oidc}/api"), format!("{oidc}/token")),
        (format!("{django}/o/api"), format!("{django}/o/token/")),
    ] {
        let (report, lines) = ask(json!({
            "api": api,
            "login": {
                "oauth2": "client_credentials", "url": url, "client_id": "a:b",
                "client_secret": "$env:SECRET", "scope": "read write",
            },
        }))
        .await;
        assert_eq!(known(&report.login_revokes), Some(&Revokes::No));
        assert_eq!(
            report.lifetime.unwrap_err(),
            "would take 777 s; --patience 14m"
        );
        assert_eq!(
            report.refresh_works_twice.unwrap_err(),
            "the login brings no refresh token"
        );
        assert!(lines.contains("Session::Concurrent"), "{lines}");
    }

    // django-oauth-toolkit revokes by a refresh, and not by a login.
    let (report, lines) = ask(json!({
        "api": format!("{django}/o/api"),
        "login": {
            "oauth2": "password", "url": format!("{django}/o/token/"), "client_id": "old",
            "client_secret": "$env:SECRET", "user": USER, "password": "$env:PASSWORD",
        },
    }))
    .await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::No));
    assert_eq!(known(&report.refresh_revokes), Some(&Revokes::Yes));
    assert_eq!(
        known(&report.revoked).unwrap().to_string(),
        r#"401, WWW-Authenticate: Bearer error="invalid_token""#
    );
    assert_eq!(known(&report.refresh_rotates), Some(&true));
    assert_eq!(known(&report.refresh_works_twice), Some(&false));
    assert!(lines.contains("Session::Exclusive"), "{lines}");

    // simplejwt revokes nothing, and its only announcement is in the token.
    let (report, lines) = ask(json!({
        "api": format!("{django}/jwt/api"),
        "login": {
            "url": format!("{django}/jwt/token/"),
            "json": {"username": USER, "password": "$env:PASSWORD"},
        },
        "answer": {"token": "/access", "refresh_token": "/refresh"},
        "refresh": {
            "url": format!("{django}/jwt/token/refresh/"),
            "json": {"refresh": "$refresh_token"},
        },
    }))
    .await;
    assert_eq!(known(&report.login_revokes), Some(&Revokes::No));
    assert_eq!(known(&report.announced).unwrap()[0].lifetime.as_secs(), 300);
    assert!(known(&report.clock_by_jwt).unwrap().seconds.abs() < 60.0);
    assert_eq!(known(&report.refresh_rotates), Some(&true));
    assert_eq!(known(&report.refresh_revokes), Some(&Revokes::No));
    assert_eq!(known(&report.refresh_works_twice), Some(&false));
    assert!(lines.contains("Session::Concurrent"), "{lines}");
}
