//! The guide's catalogue explains each event, error, reason, state and log line.
//!
//! The names come from the listing of the public API, the texts from the source code.

use std::{collections::BTreeSet, fs, path::Path};

const CATALOGUE: &str = include_str!("../src/guide/catalogue.rs");
const LISTING: &str = include_str!("public-api.txt");

/// The rows of the catalogue's tables.
fn rows() -> impl Iterator<Item = &'static str> {
    let lines = CATALOGUE.lines().filter_map(|it| it.strip_prefix("//! "));
    lines.filter(|line| line.starts_with('|'))
}

/// Whether a row begins with a link to this item.
fn is_explained(name: &str) -> bool {
    rows().any(|row| row.starts_with(&format!("| [`{name}`]")))
}

/// The names of the public API that begin with `before` and end with one more word.
fn listed(start: &str) -> Vec<&'static str> {
    let full = format!("tower_bearer::{start}");
    let names = LISTING.lines().filter_map(|line| {
        let (before, name) = line.split_once(&full)?;
        let is_declared = before.ends_with("pub ") || before.ends_with("pub fn ");
        let is_end = |c: char| !c.is_alphanumeric() && c != '_';
        // Fields of a variant are not names.
        let word = name.split(is_end).next()?;
        let is_field = name[word.len()..].starts_with("::");
        (is_declared && !is_field).then_some(word)
    });
    names.collect()
}

/// The code of the crate after each occurrence of `mark`, without unit tests and the guide.
fn code_after(mark: &str) -> Vec<String> {
    fn visit(folder: &Path, mark: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("src/guide") {
                visit(&path, mark, found);
            } else if path.is_file() && !path.ends_with("tests.rs") {
                let file = fs::read_to_string(&path).unwrap();
                let code = file.split("\nmod tests {").next().unwrap();
                let ends = code.match_indices(mark).map(|(at, _)| at + mark.len());
                found.extend(ends.map(|end| code[end..].to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    visit(&folder, mark, &mut found);
    found
}

/// The text between the first bracket and its closing counterpart.
fn bracketed(code: &str) -> &str {
    let start = code.find(['(', '{']).unwrap();
    let (mut depth, mut is_text) = (0, false);
    for (at, c) in code.char_indices().skip(start) {
        match c {
            '"' => is_text = !is_text,
            '(' | '{' if !is_text => depth += 1,
            ')' | '}' if !is_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[start + 1..at];
        }
    }
    panic!("an open bracket: {code}");
}

/// The string literals of some code as they are printed. Arguments become `…`.
fn texts(code: &str) -> Vec<String> {
    // After a backslash at the end of a line, the text continues at the next word.
    let mut joined = String::new();
    let lines = code.lines().map(str::trim);
    for line in lines.filter(|line| !line.starts_with("#[")) {
        match line.strip_suffix('\\') {
            Some(start) => joined.push_str(start),
            None => joined.extend([line, "\n"]),
        }
    }
    let texts = joined.split('"').skip(1).step_by(2).map(|literal| {
        let mut parts = literal.split('{');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            text + "…" + part.split_once('}').unwrap().1
        })
    });
    // Brackets and commas alone are no text.
    let texts = texts.filter(|text| text.contains(char::is_alphabetic));
    texts.map(|text| text.trim().to_owned()).collect()
}

#[test]
fn each_variant_and_each_kind_is_explained() {
    let (mut missing, mut count) = (Vec::new(), 0);
    let is_variant = |word: &&str| word.starts_with(char::is_uppercase);
    for name in [
        "CredentialEvent",
        "CredentialState",
        "NotReplayed",
        "Reason",
    ] {
        let words = listed(&format!("{name}::"));
        let names = words.into_iter().filter(is_variant);
        let names: Vec<_> = names.map(|word| format!("{name}::{word}")).collect();
        assert!(
            names.len() >= 7,
            "the listing has an unexpected form: {names:?}"
        );
        count += names.len();
        missing.extend(names.into_iter().filter(|name| !is_explained(name)));
    }
    let kinds = listed("Error::is_");
    assert!(
        kinds.len() >= 6,
        "the listing has an unexpected form: {kinds:?}"
    );
    count += kinds.len();
    let kinds = kinds.into_iter().map(|word| format!("Error::is_{word}"));
    missing.extend(kinds.filter(|kind| !is_explained(kind)));
    assert!(missing.is_empty(), "not in the catalogue: {missing:#?}");
    println!("figure: catalogue-names explained~={count}");
}

#[test]
fn each_text_of_an_error_is_explained() {
    let mut all = Vec::new();
    for implementation in code_after("fmt::Display for ") {
        all.extend(texts(bracketed(&implementation)));
    }
    for call in code_after("Error::no_authorization") {
        all.extend(texts(bracketed(&call)));
    }
    assert!(
        all.len() >= 44,
        "the source code has an unexpected form: {all:#?}"
    );
    let count = all.len();
    // A text that continues another one has no cell.
    let is_part = |text: &str| text.contains('…') && CATALOGUE.contains(text);
    let is_whole = |text: &str| CATALOGUE.contains(&format!("`{text}`"));
    let is_missing = |text: &String| !is_part(text) && !is_whole(text);
    let missing: Vec<_> = all.into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "not in the catalogue: {missing:#?}");
    println!("figure: catalogue-error_texts explained~={count}");
}

/// The names in backticks.
fn quoted(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_log_line_and_span_is_explained_with_its_level_and_fields() {
    let mut count = 0;
    for level in ["trace", "debug", "info", "warn", "error"] {
        for (mark, addition) in [("!", ""), ("_span!", " (a span)")] {
            for call in code_after(&format!("tracing::{level}{mark}")) {
                let call = bracketed(&call);
                let message = texts(call).pop().unwrap();
                let start = format!("| {level} | `{message}`{addition} | ");
                let row = rows().find_map(|row| row.strip_prefix(&start));
                let row = row.unwrap_or_else(|| panic!("not in the catalogue: {start}"));
                let call = call.replace(&format!("\"{message}\""), "");
                let arguments = call.split(',').map(str::trim);
                let (settings, fields): (Vec<_>, Vec<_>) = arguments
                    .filter(|argument| !argument.is_empty())
                    .partition(|argument| argument.split('=').next().unwrap().contains(": "));
                assert_eq!(settings[0], "target: TARGET", "{start}");
                let names = fields.iter().map(|field| field.split('=').next().unwrap());
                let names: BTreeSet<_> = names
                    .map(|name| name.trim().trim_start_matches(['?', '%']))
                    .collect();
                let explained = quoted(row.split(" | ").next().unwrap());
                assert_eq!(names, explained, "{start}");
                count += 1;
            }
        }
    }
    assert!(
        count >= 12,
        "the source code has an unexpected form: {count}"
    );
    println!("figure: catalogue-log_lines explained~={count}");
}

// The test above knows one form of a call. With another one, a target could be a private module.
#[test]
fn each_call_of_tracing_has_a_form_that_is_checked() {
    let levels = ["trace", "debug", "info", "warn", "error"];
    let forms = levels.map(|level| [format!("{level}!"), format!("{level}_span!")]);
    for call in code_after("tracing::") {
        let end = call.find(|c: char| !c.is_alphanumeric() && c != '_');
        let word = &call[..end.unwrap()];
        let is_macro = call[word.len()..].starts_with('!');
        let is_checked = forms.iter().flatten().any(|form| call.starts_with(form));
        assert!(!is_macro || is_checked, "tracing::{word}!");
        assert_ne!(word, "instrument");
    }
    for import in code_after("use tracing::") {
        let import = import.split(';').next().unwrap();
        let words = import.split(|c: char| !c.is_alphanumeric() && c != '_');
        for word in words {
            let level = word.strip_suffix("_span").unwrap_or(word);
            let is_macro = levels.contains(&level) || ["event", "span"].contains(&word);
            assert!(!is_macro && word != "instrument", "use tracing::{import}");
        }
    }
    let target = code_after("const TARGET: &str = ");
    assert_eq!(target.len(), 1);
    assert!(target[0].starts_with(r#""tower_bearer";"#));
}

#[test]
fn each_test_that_the_guide_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut missing, mut count) = (Vec::new(), 0);
    for entry in fs::read_dir(root.join("src/guide")).unwrap() {
        let page = fs::read_to_string(entry.unwrap().path()).unwrap();
        let names = page.split('`').filter_map(|it| it.split_once(".rs::"));
        for (file, test) in names.filter(|(file, _)| file.starts_with("tests/")) {
            let code = fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
            count += 1;
            if !code.contains(&format!("fn {test}(")) {
                missing.push(format!("{file}.rs::{test}"));
            }
        }
    }
    assert!(count >= 25, "the guide has an unexpected form: {count}");
    assert!(missing.is_empty(), "there is no such test: {missing:#?}");
    println!("figure: catalogue-tests_named exist~={count}");
}
