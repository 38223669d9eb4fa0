//! The command line.

use std::time::Duration;

use tower_bearer::BoxError;

pub(crate) const HELP: &str = r#"Asks a login and an API what no documentation tells.

  cargo run --example probe -- --test-account --config FILE
  cargo run --example probe -- --stand-in quable

  --test-account     you have an account for this that nobody else uses: logins may end its sessions
  --config FILE      the login and the API, as JSON (below)
  --logins N         the most logins, failed ones included; 6 by default
  --patience TIME    the longest wait for one question, such as 90s, 2m, 1h; 2m by default
  --stand-in NAME    asks a stand-in on loopback, `quable` or `teletracker`; its hours pass at once
  --help             prints this

A secret stands in the file as "$env:NAME" or "$file:PATH", never by itself. Examples of the file:

  {"api": "https://api.example.com/things",
   "login": {"url": "https://api.example.com/login",
             "json": {"user": "test-account", "password": "$env:API_PASSWORD"}}}

  {"api": "https://api.example.com/things",
   "login": {"oauth2": "client_credentials", "url": "https://login.example.com/token",
             "client_id": "test-client", "client_secret": "$file:/run/secrets/client", "scope": "read"}}

  {"api": "https://acme.quable.com/api/products",
   "login": {"preset": "quable", "instance": "acme", "user": "test-account", "password": "$env:PASSWORD"}}

Fields:
  api       a URL that needs the token and answers a GET with 2xx
  header    "authorization"          scheme  "Bearer"
  login     url, json or form, headers; a URL with a query as "$env:NAME"
            or oauth2 ("client_credentials", "password"), url, client_id, client_secret,
               send_client ("basic", "form"), user, password, scope, parameters
            or preset ("quable", "teletracker"), instance or base_url, user, password
  answer    JSON pointers: token "/access_token", refresh_token "/refresh_token",
            lifetime "/expires_in" (seconds), or lifetime_ms, or expiry (a time)
  refresh   url, json or form, headers, where "$refresh_token" stands for the refresh token;
            presets and OAuth 2.0 need none
"#;

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    Help,
    /// A stand-in of this name.
    StandIn(String, Limits),
    /// The API of this file.
    Config(String, Limits),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// The most logins, failed ones included.
    pub(crate) logins: usize,
    /// The longest wait for one question.
    pub(crate) patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            logins: 6,
            patience: Duration::from_secs(120),
        }
    }
}

pub(crate) fn asked(words: impl IntoIterator<Item = String>) -> Result<Asked, BoxError> {
    let mut words = words.into_iter();
    let (mut config, mut stand_in, mut has_test_account) = (None, None, false);
    let mut limits = Limits::default();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| format!("`{word}` needs a value"))
        };
        match word.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--test-account" => has_test_account = true,
            "--config" => config = Some(value()?),
            "--stand-in" => stand_in = Some(value()?),
            "--logins" => limits.logins = value()?.parse().map_err(|_| "`--logins` is a number")?,
            "--patience" => limits.patience = patience(&value()?)?,
            _ => return Err(format!("`{word}` is unknown; `--help` has the rest").into()),
        }
    }
    match (stand_in, config) {
        (Some(name), None) => Ok(Asked::StandIn(name, limits)),
        (None, Some(path)) if has_test_account => Ok(Asked::Config(path, limits)),
        (None, Some(_)) => Err(
            "a login may end the sessions of everybody who uses the account: \
            use an account that is for tests, and say so by `--test-account`"
                .into(),
        ),
        _ => Err("say `--config FILE` or `--stand-in NAME`; `--help` has the rest".into()),
    }
}

/// A time such as `90s`, `2m` or `1h`.
fn patience(text: &str) -> Result<Duration, BoxError> {
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let time = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        Some(Duration::from_secs(number.checked_mul(*seconds)?))
    });
    time.ok_or_else(|| "`--patience` is a number with s, m or h, such as 2m".into())
}
