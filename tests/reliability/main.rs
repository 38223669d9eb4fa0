//! Writes `RELIABILITY.md` from the `figure:` lines of a run of the tests, and checks it.
//!
//! ```text
//! TESTS=full cargo test -- --nocapture > target/tests.log
//! cargo test --release --test rejections -- --nocapture >> target/tests.log
//! TOWER_BEARER_SERVERS=yes cargo test --test fleet_redis -- --nocapture >> target/tests.log
//! cargo test --test reliability -- target/tests.log            # writes
//! cargo test --test reliability -- --check target/tests.log    # fails if the file differs from the run
//! ```
//!
//! It reads the named logs, or standard input. A test prints one line for each row of `rows.rs`
//! that it measures:
//!
//! ```text
//! figure: F1 requests=10000 logins=1 failed=0
//! figure: F5 trap16 rounds=5 logins=1        one test for two rows
//! figure: U1-sockets requests=1000 logins=1  a second test of U1, with its name
//! figure: F17 reads=1000000 logins~=4780     varies from run to run: recorded, and not compared
//! figure: public_api not measured: it takes cargo 1.95
//! ```
//!
//! A run measures no label twice. A row without a line is `not measured`, and the check fails if the
//! file has figures for it. Only a test can report that it could not measure: then its figures in the file stay as
//! they are.

mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use rows::{Figures, SECTIONS};

type Outcome<T> = Result<T, Box<dyn Error>>;

const INTRODUCTION: &str = "\
# Reliability

What can go wrong with tokens, logins and the layer between them, and what the tests measured when it did. Each row
is a fault, a leak, a rule or a trap that some client fell into. Its tests name it: `grep -rnw F1 tests src` finds
them.

The tests print the figures, and a program writes them here. `.ci/run` fails if a figure differs from its own run.
Figures after `~` vary from run to run and are not compared. If one row has several tests, a word before the colon
names each. Times are those of a clock that is paused or moved by hand.

```text
TESTS=full cargo test -- --nocapture > target/tests.log
cargo test --release --test rejections -- --nocapture >> target/tests.log
TOWER_BEARER_SERVERS=yes cargo test --test fleet_redis -- --nocapture >> target/tests.log
cargo test --test reliability -- target/tests.log
```

## How it is tested

`cargo test` drives the layer through `tower_test::mock`, which panics if a service is called unready, and through
stand-in APIs over real sockets. Interleavings are controlled: logins wait at gates, futures are polled by hand and
dropped at each await, clocks are moved by hand or paused. Five suites search for unforeseen faults:

- `tests/models` compiles the crate's files with the primitives of `loom` and `shuttle`, and runs every interleaving
  of small programs and random schedules of larger ones.
- `tests/rejections` runs each meaning that a 401 can have through the real layer, for an hour or more of paused time.
  It also searches random histories for one in which no login is tried.
- `tests/state_machine` compares random steps with a reference model.
- `tests/simulation` simulates several services, an issuer and an API on a network that fails.
- `tests/soak.rs` sends at full load over sockets.
";

/// Written by hand: no test in CI measures these.
const HEAVIER_RUNS: &str = "
## Heavier runs

These runs are too long for CI. They were started by hand, most of them before the rules for rejections changed in
0.2.0.

| run | figures |
| --- | --- |
| two minutes of soak, 75 revocations, 350 hangs, 3,421 dropped connections: requests, failed, logins (allowed), growth | 1,761,956, 0, 427 (506), 332 KiB |
| mutants of flight, provider, replay, origin and future (of all files that send and wait): viable, caught | 363, 358 (510, 500) |
| lines, regions, functions of `src` that the tests run, doctests and models excluded | 98.8 %, 97.9 %, 99.3 % |
| tests under AddressSanitizer and LeakSanitizer (without three that search the process's memory, and two of the public API): errors, leaks | 352: 0, 0 |
| fuzz executions: origins against the `url` crate / login answers / tokens / challenges against `http-auth` | 580,813 / 182,853 / 3,547,542 / 1,661,802 |
";

/// The content of one line about a row.
enum Line {
    Measured(Vec<(String, String)>),
    /// With the reason.
    Unmeasured(String),
}

/// The lines of a run: by row, and within a row by the name after the label.
#[derive(Default)]
struct Run(BTreeMap<String, BTreeMap<String, Line>>);

impl Run {
    fn read(log: &str) -> Outcome<Self> {
        let mut run = Self::default();
        // The harness may print the name of a test before the figure.
        for line in log
            .lines()
            .filter_map(|line| Some(line.split_once("figure: ")?.1))
        {
            run.add(line)
                .map_err(|error| format!("figure: {line}\n  {error}"))?;
        }
        if run.0.is_empty() {
            return Err("no figures: run the tests with --nocapture".into());
        }
        Ok(run)
    }

    fn add(&mut self, line: &str) -> Outcome<()> {
        let (labels, content) = match line.split_once(" not measured: ") {
            Some((labels, reason)) => (labels, Err(reason)),
            None => {
                let pair = line.split(' ').position(|word| word.contains('='));
                let pair = pair.ok_or("no name=value")?;
                let at: usize = line.split(' ').take(pair).map(|word| word.len() + 1).sum();
                (line[..at].trim_end(), Ok(&line[at..]))
            }
        };
        if labels.is_empty() {
            return Err("no row".into());
        }
        for label in labels.split(' ') {
            let (row, which) = label.split_once('-').unwrap_or((label, ""));
            match rows::find(row) {
                None => return Err(format!("no row {row}: describe it in rows.rs").into()),
                Some(Figures::Struck(_)) => {
                    return Err(format!("{row} is struck, but measured").into());
                }
                Some(Figures::OfTheTests) => {}
            }
            let content = match content {
                Ok(pairs) => Line::Measured(pairs.split(' ').map(pair).collect::<Outcome<_>>()?),
                Err(reason) => Line::Unmeasured(reason.trim().to_owned()),
            };
            let lines = self.0.entry(row.to_owned()).or_default();
            match (lines.get(which), &content) {
                (Some(Line::Measured(_)), Line::Measured(_)) => {
                    return Err(format!("{label} is printed twice").into());
                }
                // Another of the logs has it.
                (Some(Line::Measured(_)), Line::Unmeasured(_)) => {}
                _ => drop(lines.insert(which.to_owned(), content)),
            }
        }
        Ok(())
    }

    /// The cell of a row.
    fn cell(&self, row: &str) -> String {
        let Some(lines) = self.0.get(row) else {
            return "not measured".to_owned();
        };
        let cells = lines.iter().map(|(which, line)| {
            let content = match line {
                Line::Unmeasured(reason) => format!("not measured: {reason}"),
                Line::Measured(pairs) => pairs
                    .iter()
                    .map(|(name, value)| format!("{} {value}", name.replace('_', " ")))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            match which.as_str() {
                "" => content,
                which => format!("{}: {content}", which.replace('_', " ")),
            }
        });
        cells.collect::<Vec<_>>().join("; ").replace('|', "\\|")
    }

    /// The names of the tests of this row that have reported that they could not measure, as cells have them.
    fn unmeasured(&self, row: &str) -> Vec<String> {
        let lines = self.0.get(row).into_iter().flatten();
        lines
            .filter(|(_, line)| matches!(line, Line::Unmeasured(_)))
            .map(|(which, _)| which.replace('_', " "))
            .collect()
    }
}

/// A name and a value. If the name ends in `~`, the value is marked as varying.
fn pair(word: &str) -> Outcome<(String, String)> {
    let (name, value) = word
        .split_once('=')
        .ok_or_else(|| format!("{word:?} is not name=value"))?;
    let (name, mark) = match name.strip_suffix('~') {
        Some(name) => (name, "~"),
        None => (name, ""),
    };
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_word) || value.is_empty() || value.contains('~') {
        return Err(format!("{word:?} is not name=value").into());
    }
    Ok((name.to_owned(), format!("{mark}{value}")))
}

/// The beginning of a row's line, which does not depend on the figures.
fn head(row: &str, what: &str) -> String {
    format!("| {row} | {what} | ")
}

fn page(run: &Run) -> Outcome<String> {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        write!(
            page,
            "\n## {}\n\n| row | what happens | figures |\n| --- | --- | --- |\n",
            section.title
        )?;
        for row in section.rows {
            let figures = match row.figures {
                Figures::Struck(reason) => format!("struck: {reason}"),
                Figures::OfTheTests => run.cell(row.name),
            };
            writeln!(page, "{}{figures} |", head(row.name, row.what))?;
        }
    }
    page.push_str(HEAVIER_RUNS);
    Ok(page)
}

/// A line without the values that vary from run to run.
fn compared(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.strip_prefix('~') {
        Some(value) => {
            let end = value.trim_end_matches([',', ';']).len();
            format!("~{}", &value[end..])
        }
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The line of a row without the figures of these tests. Those of a test without a name are the whole cell.
fn measured(line: &str, head: &str, names: &[String]) -> String {
    let cell = line[head.len()..].trim_end_matches(" |");
    let parts = cell.split("; ").filter(|part| {
        let is = |name: &String| name.is_empty() || part.starts_with(&format!("{name}: "));
        !names.iter().any(is)
    });
    head.to_owned() + &parts.collect::<Vec<_>>().join("; ")
}

/// The lines in which the file differs from the page of this run.
fn differences(file: &str, run: &Run) -> Outcome<Vec<String>> {
    let page = page(run)?;
    let rows = SECTIONS.iter().flat_map(|section| section.rows);
    let unmeasured: Vec<_> = rows
        .map(|row| (head(row.name, row.what), run.unmeasured(row.name)))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    let lines = |text: &str| {
        let lines = text.lines().map(|line| {
            let line = compared(line);
            // The file may have figures that this run could not measure.
            let row = unmeasured.iter().find(|(head, _)| line.starts_with(head));
            row.map_or(line.clone(), |(head, names)| measured(&line, head, names))
        });
        lines.collect::<Vec<_>>()
    };
    let (file, page) = (lines(file), lines(&page));
    let (in_file, in_page): (BTreeSet<_>, BTreeSet<_>) =
        (file.iter().collect(), page.iter().collect());
    let mut differences = Vec::new();
    let only = |lines: &[String], others: &BTreeSet<&String>, sign: char| {
        let only = lines.iter().filter(|line| !others.contains(line));
        only.map(|line| format!("{sign} {line}"))
            .collect::<Vec<_>>()
    };
    differences.extend(only(&file, &in_page, '-'));
    differences.extend(only(&page, &in_file, '+'));
    if differences.is_empty() && file != page {
        differences.push("the order of the lines".to_owned());
    }
    Ok(differences)
}

fn act() -> Outcome<ExitCode> {
    let mut is_check = false;
    let mut log = String::new();
    let mut logs = 0;
    for argument in env::args().skip(1) {
        if argument == "--check" {
            is_check = true;
        } else {
            log +=
                &fs::read_to_string(&argument).map_err(|error| format!("{argument}: {error}"))?;
            log.push('\n');
            logs += 1;
        }
    }
    if logs == 0 {
        io::stdin().read_to_string(&mut log)?;
    }
    let run = Run::read(&log)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("RELIABILITY.md");
    if !is_check {
        fs::write(path, page(&run)?)?;
        println!("RELIABILITY.md equals the run");
        return Ok(ExitCode::SUCCESS);
    }
    let differences = differences(&fs::read_to_string(path)?, &run)?;
    if differences.is_empty() {
        println!("RELIABILITY.md equals the run");
        return Ok(ExitCode::SUCCESS);
    }
    println!("RELIABILITY.md (-) differs from the run (+):");
    for line in differences {
        println!("{line}");
    }
    Ok(ExitCode::FAILURE)
}

fn main() -> ExitCode {
    act().unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
