//! How much the tests with seeds, cases or seconds do. By default they do a part, so that `cargo test`
//! ends soon, and say so. `TESTS=full` runs all of it, as `.ci/run` does.

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
            .unwrap_or_else(|_| panic!("{variable} is a number, and not {value}")),
    )
}

/// The number that `variable` sets; else `all` of them in a full run, and otherwise `part`.
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

/// Says it even if the test passes: the harness captures only what the macros print.
pub(crate) fn say(what: &str) {
    let _ = writeln!(stderr(), "{}: {what}", env!("CARGO_CRATE_NAME"));
}
