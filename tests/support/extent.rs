//! The extent of tests with seeds, cases or seconds. By default they run a part, so `cargo test`
//! ends soon, and print that. `TESTS=full` runs all of it, as `.ci/run` does.

use std::{
    env,
    io::{Write, stderr},
};

pub(crate) fn is_full() -> bool {
    env::var("TESTS").is_ok_and(|extent| extent == "full")
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number, not {value}")),
    )
}

/// The number that `variable` sets. Otherwise `all` in a full run, and `part` by default.
pub(crate) fn amount(variable: &str, what: &str, part: u64, all: u64) -> u64 {
    if let Some(number) = number(variable) {
        return number;
    }
    if is_full() {
        return all;
    }
    say(&format!(
        "{part} of {all} {what}; {variable}={all} or TESTS=full for all"
    ));
    part
}

/// Prints it even if the test passes: the harness captures only the output of macros.
pub(crate) fn say(what: &str) {
    let _ = writeln!(stderr(), "{}: {what}", env!("CARGO_CRATE_NAME"));
}
