//! What the probe has found out.

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode};
use tower_bearer::Challenge;

use super::announced::Announced;

/// An answer and how it was learnt, or why there is none.
pub(crate) type Found<T> = Result<(T, String), String>;

pub(crate) fn known<T>(found: &Found<T>) -> Option<&T> {
    found.as_ref().ok().map(|(answer, _)| answer)
}

/// Whether a login or a refresh revokes the previous token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Revokes {
    Yes,
    No,
    /// It brings the previous token again.
    SameToken,
}

/// The answer to a request: its status, and the challenges without what may repeat a secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) challenges: Vec<String>,
}

/// How long a token was accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lived {
    pub(crate) accepted_at: Duration,
    /// `None` if it was accepted to the end.
    pub(crate) rejected_at: Option<Duration>,
    pub(crate) announced: Option<Duration>,
}

/// How far the server's clock is ahead, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Offset {
    pub(crate) seconds: f64,
    pub(crate) error: f64,
}

/// The requests that the probe has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) logins: usize,
    pub(crate) refreshes: usize,
    pub(crate) requests: usize,
}

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) login_revokes: Found<Revokes>,
    pub(crate) announced: Found<Vec<Announced>>,
    pub(crate) lifetime: Found<Lived>,
    pub(crate) refresh_rotates: Found<bool>,
    pub(crate) refresh_revokes: Found<Revokes>,
    pub(crate) refresh_works_twice: Found<bool>,
    pub(crate) expired: Found<Answered>,
    pub(crate) revoked: Found<Answered>,
    pub(crate) garbage: Found<Answered>,
    pub(crate) no_token: Found<Answered>,
    pub(crate) clock: Found<Offset>,
    pub(crate) clock_by_jwt: Found<Offset>,
    pub(crate) token_type: Found<String>,
    /// Whether a login brings a refresh token that can be used.
    pub(crate) has_refresh_token: bool,
    pub(crate) counts: Counts,
}

/// In the order of the report.
pub(crate) const QUESTIONS: [&str; 14] = [
    "Does a login revoke the previous token?",
    "Which lifetime is announced?",
    "Which lifetime is real?",
    "Does a refresh bring a new refresh token?",
    "Does a refresh revoke the previous token?",
    "Does a refresh token work twice?",
    "What does an expired token get?",
    "What does a revoked token get?",
    "What does a garbage token get?",
    "What does a request without a token get?",
    "Is the server's clock off, by its Date?",
    "Is the issuer's clock off, by the JWT's iat?",
    "Of which type is the token?",
    "What does a wrong password get?",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn text<T>(found: &Found<T>, words: impl Fn(&T) -> String) -> Found<String> {
            let found = found.as_ref();
            found
                .map(|(answer, how)| (words(answer), how.clone()))
                .map_err(Clone::clone)
        }
        let yes_or_no = |answer: &bool| if *answer { "yes" } else { "no" }.to_owned();
        let answers = [
            text(&self.login_revokes, Revokes::to_string),
            text(&self.announced, |all| announcements(all)),
            text(&self.lifetime, Lived::to_string),
            text(&self.refresh_rotates, yes_or_no),
            text(&self.refresh_revokes, Revokes::to_string),
            text(&self.refresh_works_twice, yes_or_no),
            text(&self.expired, Answered::to_string),
            text(&self.revoked, Answered::to_string),
            text(&self.garbage, Answered::to_string),
            text(&self.no_token, Answered::to_string),
            text(&self.clock, Offset::to_string),
            text(&self.clock_by_jwt, Offset::to_string),
            self.token_type.clone(),
            Err("a wrong password may lock the account".to_owned()),
        ];
        for (question, answer) in QUESTIONS.iter().zip(answers) {
            match answer {
                Ok((answer, how)) => writeln!(f, "{question}\n    {answer}\n    [{how}]")?,
                Err(why) => writeln!(f, "{question}\n    not tried: {why}")?,
            }
        }
        let Counts {
            logins,
            refreshes,
            requests,
        } = self.counts;
        writeln!(
            f,
            "Sent: logins {logins}, refreshes {refreshes}, requests to the API {requests}"
        )
    }
}

impl fmt::Display for Revokes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::SameToken => "no: it brings the same token again",
        })
    }
}

impl Answered {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        // A code is a word or two, and repeats nothing that was sent.
        let is_code =
            |it: &str| it.len() <= 32 && it.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        let challenges = Challenge::parse(headers).into_iter().map(|challenge| {
            match challenge.parameter("error").filter(|error| is_code(error)) {
                Some(error) => format!("{} error=\"{error}\"", challenge.scheme()),
                None => format!("{} without an error", challenge.scheme()),
            }
        });
        Self {
            status,
            challenges: challenges.collect(),
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.status {
            status if status.is_success() => " (accepted)",
            status if status.is_redirection() => " (a redirect)",
            _ => "",
        };
        let challenges = match self.challenges.as_slice() {
            [] => "none".to_owned(),
            challenges => challenges.join(", "),
        };
        write!(
            f,
            "{}{kind}, WWW-Authenticate: {challenges}",
            self.status.as_u16()
        )
    }
}

fn announcements(all: &[Announced]) -> String {
    let each = all
        .iter()
        .map(|it| format!("{} ({})", seconds(it.lifetime), it.place));
    let text = each.collect::<Vec<_>>().join("; ");
    let lifetimes = || all.iter().map(|it| it.lifetime);
    match lifetimes().max().zip(lifetimes().min()) {
        None => "none".to_owned(),
        Some((most, least)) if most - least > Duration::from_secs(2) => {
            format!("they differ: {text}")
        }
        Some(_) => text,
    }
}

impl Lived {
    /// Whether the token was rejected before its announced end, or none is announced.
    pub(crate) fn is_shorter(&self) -> bool {
        let rejected_at = self.rejected_at;
        rejected_at.is_some_and(|at| self.announced.is_none_or(|announced| at < announced))
    }
}

impl fmt::Display for Lived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(announced) = self.announced {
            let verdict = match self.rejected_at {
                Some(_) if self.is_shorter() => "shorter than",
                Some(_) if self.accepted_at <= announced => "as",
                _ => "longer than",
            };
            write!(f, "{verdict} the announced {}: ", seconds(announced))?;
        }
        write!(f, "accepted after {}", seconds(self.accepted_at))?;
        match self.rejected_at {
            Some(at) => write!(f, ", rejected after {}", seconds(at)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, error } = self;
        match seconds {
            _ if seconds.abs() <= *error => write!(f, "no, within {error:.1} s"),
            0.0.. => write!(f, "yes, {seconds:.1} s ahead (± {error:.1} s)"),
            _ => write!(f, "yes, {:.1} s behind (± {error:.1} s)", -seconds),
        }
    }
}

/// With a comma from a thousand on, and with a tenth below a hundred.
pub(crate) fn seconds(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (whole @ ..100, tenth @ 1..) => format!("{whole}.{tenth} s"),
        (whole @ ..1000, _) => format!("{whole} s"),
        (whole, _) => format!("{},{:03} s", whole / 1000, whole % 1000),
    }
}
