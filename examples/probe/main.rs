//! A probe: asks a login and an API what no documentation tells, and writes the Rust for them.
//!
//! It logs in with a test account, uses the tokens, and answers:
//!
//! - Does a login revoke the previous token?
//! - Which lifetime is real?
//! - Does a refresh token work twice?
//! - Is an expired token a 401 or a 403?
//! - Is the server's clock off?
//!
//! It says what it will do before it does it, and "not tried" where it does not know. It prints no secret.
//!
//! ```text
//! cargo run --example probe -- --help
//! cargo run --example probe -- --stand-in quable
//! cargo run --example probe -- --test-account --config probe.json
//! ```
//!
//! The second command needs no network and no account: it asks a stand-in on loopback.
//!
//! **Copy** nothing but the lines that it prints at the end.

mod probe;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../../tests/support/quable.rs"]
mod quable;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../../tests/support/teletracker.rs"]
mod teletracker;

use std::{process::ExitCode, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::TokioExecutor,
};
use serde_json::json;
use tower_bearer::{BoxError, test_util::TestClock};

use self::probe::{
    Config, Options, Plan,
    arguments::{Asked, HELP, asked},
    probe,
    rust::rust,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let mut options = Options {
        progress: |step| eprintln!("  {step}"),
        ..Options::default()
    };
    match asked(std::env::args().skip(1))? {
        Asked::Help => print!("{HELP}"),
        Asked::Config(path, limits) => {
            let config =
                std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            options.limits = limits;
            let https = HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
                .https_or_http()
                .enable_http1()
                .build();
            let http = Client::builder(TokioExecutor::new()).build(https); // follows no redirects
            ask(&config, &|name| std::env::var(name).ok(), http, &options).await?;
        }
        Asked::StandIn(name, limits) => {
            let clock = TestClock::new();
            options.limits = limits;
            options.time = Arc::new(clock.clone());
            ask_stand_in(&name, clock, &options).await?;
        }
    }
    Ok(())
}

async fn ask_stand_in(name: &str, clock: TestClock, options: &Options) -> Result<(), BoxError> {
    let config = |api: String, base_url: String, user: &str| {
        let password = "$env:PASSWORD";
        let login =
            json!({"preset": name, "base_url": base_url, "user": user, "password": password});
        json!({"api": api, "login": login}).to_string()
    };
    let http = Client::builder(TokioExecutor::new()).build_http();
    let clock = Box::new(clock);
    match name {
        "quable" => {
            use self::quable::{PASSWORD, Settings, StandIn, USER};
            let settings = Settings {
                clock,
                ..Settings::default()
            };
            let api = StandIn::start_with(settings).await;
            let config = config(api.products(1), api.base_url(), USER);
            ask(&config, &|_| Some(PASSWORD.to_owned()), http, options).await
        }
        "teletracker" => {
            use self::teletracker::{PASSWORD, Settings, StandIn, USER};
            let settings = Settings {
                clock,
                ..Settings::default()
            };
            let api = StandIn::start_with(settings).await;
            let config = config(api.reports(), api.base_url(), USER);
            ask(&config, &|_| Some(PASSWORD.to_owned()), http, options).await
        }
        _ => Err("`--stand-in` is `quable` or `teletracker`".into()),
    }
}

/// Says what comes, asks, and prints the answers.
async fn ask<C: Connect + Clone + Send + Sync + 'static>(
    config: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    http: Client<C, Full<Bytes>>,
    options: &Options,
) -> Result<(), BoxError> {
    let config = Config::parse(config, environment)?;
    let plan = Plan::new(&config, options.limits);
    println!("{}", plan.words(&config, options.limits));
    let report = probe(&config, http, options).await?;
    println!(
        "\n{report}\nThe lines for this API:\n\n{}",
        rust(&config, &report)?
    );
    Ok(())
}
