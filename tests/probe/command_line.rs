//! The command line and the file.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    API,
    probe::{
        Config,
        arguments::{Asked, HELP, Limits, asked},
    },
    server::PASSWORD,
};

#[test]
fn it_refuses_to_start_without_a_test_account() {
    let asked = |line: &str| asked(line.split_whitespace().map(str::to_owned));
    let error = asked("--config probe.json").unwrap_err().to_string();
    assert!(error.contains("--test-account"), "{error}");
    let limits = Limits {
        logins: 2,
        patience: Duration::from_secs(3660),
    };
    assert_eq!(
        asked("--test-account --config p.json --patience 61m --logins 2").unwrap(),
        Asked::Config("p.json".to_owned(), limits)
    );
    let defaults = Limits {
        logins: 6,
        patience: Duration::from_secs(120),
    };
    assert_eq!(
        asked("--stand-in quable").unwrap(),
        Asked::StandIn("quable".to_owned(), defaults)
    );
    assert_eq!(asked("--help").unwrap(), Asked::Help);
    for flag in [
        "--test-account",
        "--config",
        "--logins",
        "--patience",
        "--stand-in",
    ] {
        assert!(HELP.contains(&format!("\n  {flag} ")), "{flag}");
    }
    for line in [
        "",
        "--test-account",
        "--patience 2",
        "--logins",
        "--password x",
        "--config",
    ] {
        assert!(asked(line).is_err(), "{line}");
    }
}

#[test]
fn a_secret_in_the_file_is_refused() {
    let login = |login: Value| {
        let document = json!({"api": API, "login": login}).to_string();
        Config::parse(&document, &|name| {
            (name == "SET").then(|| PASSWORD.to_owned())
        })
    };
    let url = "https://api.example.com/login";
    for (login_by, error) in [
        (
            json!({"url": url, "json": {"password": "hunter2"}}),
            "`password` looks like a secret",
        ),
        (
            json!({"url": url, "form": {"pin": 1234, "key": "$env:SET"}}),
            "`pin` looks like",
        ),
        (
            json!({"url": url, "headers": {"X-Api-Key": "abc"}}),
            "`X-Api-Key` looks like",
        ),
        (
            json!({"url": url, "json": {"user": "me"}}),
            "where is the secret?",
        ),
        (
            json!({"url": format!("{url}?key=abc"), "json": {"key": "$env:SET"}}),
            "a query may",
        ),
        (
            json!({"url": url, "json": {"password": "$env:UNSET"}}),
            "UNSET is not set",
        ),
        (
            json!({"url": url, "json": {"password": "$file:/nowhere"}}),
            "cannot read /nowhere",
        ),
        (
            json!({"url": url, "jsn": 1, "json": {"password": "$env:SET"}}),
            "no field `jsn`",
        ),
    ] {
        let refused = login(login_by).err().unwrap().to_string();
        assert!(refused.contains(error), "{refused}");
        assert!(
            !refused.contains("hunter2") && !refused.contains("1234"),
            "{refused}"
        );
    }
    assert!(login(json!({"url": url, "json": {"password": "$env:SET"}})).is_ok());
}
