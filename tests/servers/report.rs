//! What each server has passed, as one table.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

/// The rows of the table.
const BEHAVIOURS: [&str; 23] = [
    "discovery",
    "client secret by Basic",
    "client secret in the body",
    "scope, resource, parameters",
    "lifetime as announced",
    "password",
    "refresh token rotates",
    "spent refresh token",
    "wrong secret",
    "wrong scope",
    "previous token after a login",
    "revoked token: login, replay",
    "100 requests, one login",
    "signed client assertion",
    "token file",
    "another library's cache",
    "idle connection is closed",
    "rate limit",
    "maintenance",
    "HTML pages",
    "redirect to https",
    "gzip",
    "TLS",
];

/// Its columns.
const SERVERS: [&str; 4] = [
    "oidc-provider",
    "django-oauth-toolkit",
    "simplejwt",
    "nginx",
];

/// It has the versions and what was seen.
const GUIDE: &str = include_str!("../../src/guide/oauth2.rs");

static REPORTS: Mutex<Vec<Report>> = Mutex::new(Vec::new());

/// The behaviours of one server. A behaviour that it lacks is not in it.
pub(crate) struct Report {
    server: &'static str,
    version: String,
    outcomes: Vec<(&'static str, bool)>,
    /// The lines of Rust of each login.
    lines: Vec<(String, usize)>,
}

impl Report {
    /// A report of a server. `source` is that of its test, where `// login: SERVER: NAME` and `// end`
    /// enclose what a user writes.
    pub(crate) fn new(server: &'static str, version: impl Into<String>, source: &str) -> Self {
        let version = version.into();
        assert!(GUIDE.contains(&version), "the guide has another version");
        let logins = source.split("// login: ").skip(1);
        let logins = logins.filter_map(|part| part.strip_prefix(server)?.strip_prefix(": "));
        let lines = logins.map(|part| {
            let (name, rest) = part.split_once('\n').unwrap();
            let (login, _) = rest.split_once("// end").unwrap();
            let lines = login.lines().filter(|line| !line.trim().is_empty());
            (name.to_owned(), lines.count())
        });
        assert!(SERVERS.contains(&server));
        Self {
            server,
            version,
            outcomes: Vec::new(),
            lines: lines.collect(),
        }
    }

    /// Tries a behaviour. A panic is printed, and the next ones are tried all the same.
    pub(crate) async fn check(
        &mut self,
        behaviour: &'static str,
        act: impl Future<Output = ()> + Send + 'static,
    ) {
        assert!(BEHAVIOURS.contains(&behaviour), "{behaviour}");
        let act = timeout(Duration::from_secs(300), act);
        let has_passed = matches!(tokio::spawn(act).await, Ok(Ok(())));
        self.outcomes.push((behaviour, has_passed));
    }

    /// Prints the report, and the table if it is the last one. Fails if a behaviour has failed.
    pub(crate) fn finish(self) {
        let Self { server, .. } = self;
        let lines = self.lines.iter();
        for (name, lines) in lines {
            println!("lines: {server}: {name} {lines}");
        }
        let failed = self.outcomes.iter().filter(|(_, has_passed)| !has_passed);
        let failed: Vec<_> = failed.map(|(behaviour, _)| *behaviour).collect();
        let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push(self);
        if reports.len() == SERVERS.len() {
            print(&mut reports);
        }
        drop(reports);
        assert!(failed.is_empty(), "{server}: {failed:?}");
    }

    fn outcome(&self, behaviour: &str) -> &'static str {
        match self.outcomes.iter().find(|(it, _)| *it == behaviour) {
            Some((_, true)) => "yes",
            Some((_, false)) => "FAILED",
            None => "-",
        }
    }

    fn passed(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|(_, has_passed)| *has_passed)
            .count()
    }
}

fn print(reports: &mut [Report]) {
    reports.sort_by_key(|report| SERVERS.iter().position(|it| *it == report.server));
    let mut table = format!("{:30}", "servers:");
    for report in reports.iter() {
        table += &format!(" {:>20}", report.server);
    }
    table += &format!("\n{:30}", "");
    for report in reports.iter() {
        table += &format!(" {:>20}", report.version);
    }
    for behaviour in BEHAVIOURS {
        table += &format!("\n{behaviour:30}");
        for report in reports.iter() {
            table += &format!(" {:>20}", report.outcome(behaviour));
        }
    }
    let (mut passed, mut tried) = (0, 0);
    let mut total = String::new();
    for report in reports.iter() {
        let Report { server, .. } = report;
        total += &format!("{server} {}/{}, ", report.passed(), report.outcomes.len());
        passed += report.passed();
        tried += report.outcomes.len();
    }
    println!("{table}\nservers: {total}in all {passed}/{tried}");
}
