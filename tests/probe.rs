//! `examples/probe`: its answers are right for stand-ins and for made-up servers.

mod support;
#[path = "../examples/probe/probe/mod.rs"]
mod probe;
#[path = "probe/server.rs"]
mod server;
#[path = "probe/answers.rs"]
mod answers;
#[path = "probe/bad_answers.rs"]
mod bad_answers;
#[path = "probe/command_line.rs"]
mod command_line;
#[path = "probe/kinds.rs"]
mod kinds;
/// What the probe prints for each kind of login.
#[path = "probe/lines/mod.rs"]
mod lines;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tower_bearer::{Clock, test_util::TestClock};

use self::{
    probe::{Config, Options, Plan, Report, arguments::Limits, probe, report::Found, rust::rust},
    server::{Behaviour, CANARY, PASSWORD, Server},
};

const API: &str = "https://api.example.com/things?key=none";

fn config(document: Value) -> Config {
    let secret = |name: &str| (name == "API_PASSWORD").then(|| PASSWORD.to_owned());
    Config::parse(&document.to_string(), &secret).unwrap()
}

/// A login by JSON, with a refresh.
fn usual() -> Value {
    json!({
        "api": API,
        "login": {
            "url": "https://api.example.com/login",
            "json": {"user": "test-account", "password": "$env:API_PASSWORD"},
        },
        "refresh": {
            "url": "https://api.example.com/refresh",
            "json": {"refresh_token": "$refresh_token"},
        },
    })
}

fn options(clock: &TestClock, patience: u64) -> Options {
    let limits = Limits {
        patience: Duration::from_secs(patience),
        ..Limits::default()
    };
    Options {
        limits,
        time: Arc::new(clock.clone()),
        ..Options::default()
    }
}

/// Asks a made-up server, and checks what holds for each.
async fn ask_about(document: Value, behaviour: Behaviour, patience: u64) -> (Report, String) {
    let clock = TestClock::new();
    let (config, options) = (config(document), options(&clock, patience));
    let server = Server::new(behaviour, &clock);
    let begin = clock.now();
    let report = probe(&config, server.service(), &options).await.unwrap();
    let waited = clock.now().duration_since(begin);
    let plan = Plan::new(&config, options.limits);
    assert!(
        plan.logins <= 6 && waited <= plan.wait,
        "{waited:?} {plan:?}"
    );
    assert_eq!(
        server.counts(),
        (report.counts.logins, report.counts.refreshes)
    );
    assert!(report.counts.logins <= plan.logins && report.counts.refreshes <= plan.refreshes);
    assert!(report.counts.requests <= plan.requests, "{report}");
    let lines = rust(&config, &report).unwrap();
    let printed = plan.words(&config, options.limits) + &report.to_string() + &lines;
    let is_told = [CANARY, "key=none"].iter().any(|it| printed.contains(it));
    assert!(!is_told, "{printed}");
    (report, lines)
}

async fn ask(behaviour: Behaviour) -> (Report, String) {
    ask_about(usual(), behaviour, 120).await
}

#[track_caller]
fn why<T: std::fmt::Debug>(found: &Found<T>) -> &str {
    found.as_ref().unwrap_err()
}

fn how<T>(found: &Found<T>) -> &str {
    &found.as_ref().ok().unwrap().1
}
