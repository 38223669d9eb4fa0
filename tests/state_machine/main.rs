//! Random steps in any order, compared with a reference. The invariants I1 to I9 hold after each
//! step.
//!
//! Clocks are moved by hand, logins and responses wait until the test ends them, and futures are
//! polled and dropped by hand, on two runtimes. A model that knows only the documentation is
//! compared with all public state. `STATE_MACHINE_CASES` sets the number of cases (200 by default,
//! 2,000 with `TESTS=full`), and `STATE_MACHINE_SEED` sets the seed.

mod counts;
mod doubles;
#[path = "../support/extent.rs"]
mod extent;
mod model;
mod script;
mod system;

use std::cell::RefCell;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use self::{
    counts::Counts,
    extent::{amount, number},
    script::{Script, Transition},
    system::System,
};

/// The number of cases of a full run, and by default.
const CASES: u32 = 2_000;
const FEW_CASES: u32 = 200;
const SEED: u64 = 1;
const TRANSITIONS: std::ops::Range<usize> = 1..400;

#[test]
fn the_invariants_hold_after_each_step() {
    let cases = amount(
        "STATE_MACHINE_CASES",
        "cases",
        FEW_CASES.into(),
        CASES.into(),
    );
    let cases = u32::try_from(cases).unwrap();
    let seed = number("STATE_MACHINE_SEED").unwrap_or(SEED);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 10_000,
        ..Config::default()
    };
    // The default generator takes half of the time in a debug build.
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes().repeat(2));
    let counts = RefCell::new(Counts::default());
    let outcome = TestRunner::new_with_rng(config, rng).run(
        &Script::sequential_strategy(TRANSITIONS),
        |(case, transitions, seen)| {
            let mut system = System::new(case);
            for transition in transitions {
                if let Some(seen) = &seen {
                    seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
                system.take(transition).map_err(TestCaseError::fail)?;
            }
            *counts.borrow_mut() += system.end().map_err(TestCaseError::fail)?;
            Ok(())
        },
    );
    match outcome {
        Ok(()) => (),
        Err(TestError::Fail(reason, (case, transitions, _))) => {
            panic!(
                "{reason}\nSTATE_MACHINE_SEED={seed}\n{case:?}{}",
                transitions
                    .iter()
                    .map(|it| format!("\n    {it:?}"))
                    .collect::<String>()
            )
        }
        Err(error) => panic!("{error}\nSTATE_MACHINE_SEED={seed}"),
    }
    let counts = counts.into_inner();
    let rarest = counts.transitions.values().min().unwrap_or(&0);
    println!(
        "figure: state_machine transitions~={} idle~={} kinds={} rarest~={rarest} cases={cases} requests~={} logins~={} rejected~={} replays~={} cancelled~={} failed_logins_seen~={} violations=0 seed~={seed}",
        counts.total(),
        counts.idle,
        counts.transitions.len(),
        counts.requests,
        counts.logins,
        counts.rejected,
        counts.replays,
        counts.cancelled,
        counts.failed,
    );
    if cases >= CASES {
        assert!(counts.total() >= 200_000, "too few: {}", counts.total());
        assert_eq!(
            counts.transitions.len(),
            Transition::KINDS,
            "a kind of transition never happened"
        );
    }
}
