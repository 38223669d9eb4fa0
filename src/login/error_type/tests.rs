//! Each failure has its own word, and the guide's page on metrics has them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    time::Duration,
};

use http::StatusCode;

use super::error_type;
use crate::{
    credential::Token,
    error::{
        Answer, BoxError, Error, ErrorCode, Exchange, ExchangeKind, Grant, LoginError,
        MetadataFault,
    },
    login::file::{FileError, Problem},
};

const PAGE: &str = include_str!("../../guide/metrics.rs");
const CATALOGUE: &str = include_str!("../../guide/catalogue.rs");

/// The rows of the tables after a headline, as cells.
fn rows(page: &'static str, headline: &str) -> Vec<Vec<&'static str>> {
    let start = page.find(&format!("//! # {headline}\n")).unwrap();
    let lines = page[start..].lines().skip(1);
    let section = lines.take_while(|line| !line.starts_with("//! # "));
    let rows = section.filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.map(|row| row.split(" | ").collect());
    cells.skip(2).collect() // head and rule
}

/// The texts in backticks.
fn quoted(cell: &'static str) -> Vec<&'static str> {
    let mark = if cell.starts_with("``") { "``" } else { "`" };
    cell.split(mark).skip(1).step_by(2).map(str::trim).collect()
}

/// The words of the page with the texts of the catalogue.
fn explained() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = rows(PAGE, "Failures");
    let count = rows.len();
    let explained: BTreeMap<_, _> = rows
        .into_iter()
        .map(|row| (quoted(row[0])[0], quoted(row[1])))
        .collect();
    assert_eq!(explained.len(), count, "a word has two rows");
    explained
}

/// Whether a text has the form of one in the catalogue, where `…` stands for a part that differs.
fn has_form(mut text: &str, form: &str) -> bool {
    form.split('…').all(|part| {
        let part = part.trim();
        let found = text.find(part);
        found.is_some_and(|at| {
            text = &text[at + part.len()..];
            true
        })
    })
}

fn exchange(kind: ExchangeKind) -> Error {
    Error::login_failed(login_error(kind))
}

fn login_error(kind: ExchangeKind) -> LoginError {
    let answer = Answer {
        status: StatusCode::IM_A_TEAPOT,
        content_type: None,
        length: None,
        retry_after: None,
    };
    let exchange = Exchange {
        kind,
        grant: Grant::Login,
        endpoint: "POST api.example.com/login".to_owned(),
        answer: Some(answer),
    };
    LoginError::exchange(exchange, None)
}

fn of_metadata(fault: MetadataFault) -> Error {
    exchange(ExchangeKind::Metadata(Box::new(fault)))
}

fn file(problem: Problem) -> BoxError {
    let error = FileError::new(Path::new("/run/secrets/token"), problem);
    Box::new(error)
}

/// One failure of each kind.
fn failures() -> Vec<Error> {
    let text = || "a value".to_owned();
    let refused = || ExchangeKind::Refused { code: None };
    let invalid_token = Token::new("").unwrap_err();
    let delay = Duration::from_secs(1);
    vec![
        Error::login_failed("offline"),
        Error::login_failed(LoginError::permanent("wrong password")),
        Error::login_failed(LoginError::retry_after("busy", delay)),
        Error::login_timed_out(delay, Some(text())),
        Error::login_panicked(),
        Error::login_lost(),
        Error::login_dropped(),
        Error::login_through_itself(None),
        Error::reset(),
        Error::refresh_failed("the store is down".into()),
        Error::short_lived(delay),
        Error::not_renewed(),
        Error::other_account(),
        Error::signed_out(),
        Error::no_authorization("no key"),
        Error::at_capacity(7),
        Error::many_headers(),
        Error::no_runtime(),
        Error::foreign_origin(text(), text(), false),
        exchange(ExchangeKind::Unsent),
        exchange(ExchangeKind::NoTls),
        exchange(ExchangeKind::NoAnswer),
        exchange(ExchangeKind::Unread),
        exchange(ExchangeKind::TooLong),
        exchange(ExchangeKind::Compressed { encoding: text() }),
        exchange(ExchangeKind::Redirected { to: Some(text()) }),
        exchange(ExchangeKind::Redirected { to: None }),
        exchange(ExchangeKind::ServerFailed),
        exchange(ExchangeKind::RateLimited),
        exchange(refused()),
        exchange(ExchangeKind::Blocked),
        exchange(ExchangeKind::NotFound),
        exchange(ExchangeKind::Locked),
        exchange(ExchangeKind::Unexpected),
        exchange(ExchangeKind::NotJson),
        exchange(ExchangeKind::NoToken { field: text() }),
        exchange(ExchangeKind::TokenType),
        exchange(ExchangeKind::Token),
        of_metadata(MetadataFault::NoIssuer),
        of_metadata(MetadataFault::OtherIssuer(None)),
        of_metadata(MetadataFault::OtherIssuer(Some([text(), text()]))),
        of_metadata(MetadataFault::NoEndpoint),
        of_metadata(MetadataFault::InvalidEndpoint),
        of_metadata(MetadataFault::ForeignEndpoint {
            origin: text(),
            allowed: text(),
        }),
        Error::login_failed(file(Problem::Unreadable(io::Error::other("gone")))),
        Error::login_failed(file(Problem::NoFile)),
        Error::login_failed(file(Problem::Changing)),
        Error::login_failed(file(Problem::TooLong)),
        Error::login_failed(file(Problem::NotText)),
        Error::login_failed(file(Problem::Empty)),
        Error::login_failed(file(Problem::NoToken(invalid_token))),
        Error::login_failed(file(Problem::HalfOfAJwt)),
    ]
}

#[test]
fn each_failure_has_a_word_of_its_own_and_its_text_beside_it() {
    let explained = explained();
    let mut words = BTreeSet::new();
    for failure in failures() {
        let word = error_type(&failure);
        let printed = format!("{failure:?}"); // with its sources
        let forms = &explained.get(word).unwrap_or_else(|| panic!("no {word}"));
        let has_form = forms.iter().any(|form| has_form(&printed, form));
        assert!(has_form, "{word}: {printed}");
        words.insert(word);
    }
    let of_the_page: BTreeSet<_> = explained.keys().copied().collect();
    assert_eq!(words, of_the_page);
    println!("figure: metrics-error_types explained~={}", words.len());
}

#[test]
fn each_error_of_the_catalogue_has_a_word() {
    let explained = explained();
    let texts: BTreeSet<_> = explained.values().flatten().copied().collect();
    let mut count = 0;
    for (section, cell) in [
        ("Errors of the layer", 1),
        ("Errors of a login", 0),
        ("Errors of a file", 0),
    ] {
        for row in rows(CATALOGUE, section) {
            if row.last().unwrap().starts_with("A source") {
                continue; // of an error that has a row
            }
            let forms = quoted(row[cell]);
            let is_explained = forms.iter().any(|form| texts.contains(form));
            assert!(is_explained, "no word for {forms:?}");
            count += 1;
        }
    }
    assert!(count >= 44, "the catalogue has an unexpected form: {count}");
}

#[test]
fn a_refused_login_has_the_registered_error_of_its_answer() {
    let explained = explained();
    for word in ErrorCode::REGISTERED {
        let code = ErrorCode::new(word);
        let error = exchange(ExchangeKind::Refused { code });
        assert_eq!(error_type(&error), word);
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
        assert!(!explained.contains_key(word), "{word} has two meanings");
    }
}

// A login of the user's own may wrap the errors of ours.
#[test]
fn the_word_is_found_in_the_sources_of_an_error() {
    let locked = || login_error(ExchangeKind::Locked);
    let wrapped = Error::login_failed(io::Error::other(locked()));
    assert_eq!(error_type(&wrapped), "account_locked");
    let of_another_provider = Error::login_failed(locked());
    let wrapped = Error::login_failed(of_another_provider);
    assert_eq!(error_type(&wrapped), "account_locked");
    let wrapped = Error::refresh_failed(locked().into());
    assert_eq!(error_type(&wrapped), "account_locked");
    let unreadable = io::Error::other(file(Problem::Empty));
    let wrapped = Error::login_failed(LoginError::permanent(unreadable));
    assert_eq!(error_type(&wrapped), "file_empty");
}
