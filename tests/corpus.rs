//! Replays the checks and the corpora of the fuzzer. The targets in `fuzz` use both:
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo fuzz run origins tests/corpus/inputs/origins
//! ```

use std::{fs, path::Path};

#[path = "corpus/answer.rs"]
mod answer;
#[path = "corpus/challenge.rs"]
mod challenge;
#[path = "corpus/origins.rs"]
mod origins;
#[path = "corpus/token.rs"]
mod token;

fn replay(row: &str, name: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/inputs")
        .join(name);
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    println!("figure: {row}-corpus inputs={inputs}");
    assert!(inputs >= 10);
}

#[test]
fn origins_agree_with_another_parser() {
    replay("R14", "origins", origins::check);
}

#[test]
fn answers_agree_with_another_reader() {
    replay("L11", "answer", answer::check);
}

#[test]
fn challenges_agree_with_another_parser() {
    replay("U8", "challenge", challenge::check);
}

#[test]
fn tokens_agree_with_the_grammar() {
    replay("S3", "token", token::check);
}
