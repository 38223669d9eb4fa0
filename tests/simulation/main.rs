//! Complete histories, each generated from a seed. There are several services, an issuer in each of
//! its modes, and an API. The network loses, holds and delays messages, processes crash, and clocks
//! jump. I1 to I9 hold in each history (DESIGN.md, section 6), and every process recovers.
//!
//! `SIMULATION_SEED=7` prints one history, `SIMULATION_SEEDS=100000` runs that many. The default is
//! 40, or 500 with `TESTS=full`.

mod client;
mod clock;
#[path = "../support/extent.rs"]
mod extent;
mod issuer;
mod logbook;
mod login;
mod plan;
mod process;
mod published;
mod record;
mod run;
mod service;
mod wire;

use std::{
    panic,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use extent::{amount, number};
use record::{Counts, History};

/// The number of seeds of a full run, and by default.
const SEEDS: u64 = 500;
const FEW_SEEDS: u64 = 40;

/// A panic is a violation too.
fn history(seed: u64) -> Result<History, String> {
    panic::catch_unwind(|| run::run(seed)).map_err(|_| "it panicked".to_owned())
}

fn report(seed: u64, violations: &[String]) -> String {
    let first = violations
        .iter()
        .take(5)
        .map(|line| format!("\n    {line}"));
    format!(
        "\n  SIMULATION_SEED={seed}, {} violations:{}",
        violations.len(),
        first.collect::<String>()
    )
}

#[test]
fn the_invariants_hold_under_all_faults_and_every_process_recovers() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let history = run::run(seed);
        println!("{}", history.lines.join("\n"));
        assert!(
            history.violations.is_empty(),
            "{}",
            report(seed, &history.violations)
        );
        return;
    }
    let seeds = amount("SIMULATION_SEEDS", "seeds", FEW_SEEDS, SEEDS);
    let (next, found) = (
        AtomicU64::new(0),
        Mutex::new((Counts::default(), Vec::new())),
    );
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= seeds {
                        break;
                    }
                    let history = history(seed);
                    let mut found = found.lock().unwrap();
                    match history {
                        Ok(history) => {
                            found.0.add(history.counts);
                            if !history.violations.is_empty() {
                                found.1.push((seed, history.violations));
                            }
                        }
                        Err(panicked) => found.1.push((seed, vec![panicked])),
                    }
                }
            });
        }
    });
    let (counts, mut violations) = found.into_inner().unwrap();
    violations.sort();
    let counts = counts.named();
    let figures = counts
        .iter()
        .map(|(name, count)| format!(" {name}~={count}"));
    println!(
        "figure: simulation seeds={seeds}{} violations={}",
        figures.collect::<String>(),
        violations.len()
    );
    let reports = violations.iter().take(10);
    let reports = reports.map(|(seed, violations)| report(*seed, violations));
    assert!(
        violations.is_empty(),
        "{} of {seeds} histories violate a rule:{}",
        violations.len(),
        reports.collect::<String>()
    );
    // Each kind of event must occur at least once.
    if seeds >= SEEDS {
        for (name, count) in counts {
            assert!(count > 0, "no {name} in {seeds} histories");
        }
    }
}

#[test]
fn a_seed_reproduces_its_history() {
    for seed in 0..8 {
        let (one, other) = (run::run(seed), run::run(seed));
        let differs = one.lines.iter().zip(&other.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.digest(), other.digest(), "seed {seed}");
    }
    assert_ne!(run::run(0).digest(), run::run(1).digest());
}
