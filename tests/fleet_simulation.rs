//! Fleets of up to 1,000 instances with one store, simulated over paused time.
//!
//! ```text
//! FLEET_PAGE=write cargo test --release --test fleet_simulation     # the tables and the chart of the guide
//! ```
//!
//! Each instance has a provider and the layer, and sends a request each second on average. A request takes 20 to
//! 50 ms, a login 200 to 600 ms. A call of the store takes 2 to 4 ms, since timers count whole milliseconds. A token
//! lasts for an hour, and the API revokes it once in two hours on average. With an exclusive session, each login
//! revokes the previous token.

#[path = "fleet_simulation/api.rs"]
mod api;
#[path = "fleet_simulation/instance.rs"]
mod instance;
#[path = "fleet_simulation/network.rs"]
mod network;
#[path = "fleet_simulation/page.rs"]
mod page;
#[path = "fleet_simulation/scenario.rs"]
mod scenario;

use std::{env, time::Duration};

use tower_bearer::Session;

use self::{
    network::Abilities,
    page::{Row, SIZES},
    scenario::{CutOff, HEALED_AT, Outcome, Scenario},
};

const SESSIONS: [Session; 2] = [Session::Exclusive, Session::Concurrent];

/// A store that has failed is left alone for 30 s, and a provider in contention pauses for a minute at most.
const AFTER_THE_FAULT: Duration = Duration::from_secs(30 + 60 + 5);

fn with_hints(scenario: Scenario) -> Scenario {
    let store = Abilities {
        reports_changes: true,
        ..scenario.store
    };
    Scenario { store, ..scenario }
}

fn with_wrong_clocks(scenario: Scenario, knows_ages: bool) -> Scenario {
    let store = Abilities {
        knows_ages,
        ..scenario.store
    };
    Scenario {
        store,
        is_skewed: true,
        ..scenario
    }
}

/// Of a concurrent session long enough for the next refresh.
fn with_cut_off(scenario: Scenario, cut_off: CutOff) -> Scenario {
    let minutes = match scenario.session {
        Session::Exclusive => 60,
        _ => 90,
    };
    Scenario {
        cut_off,
        minutes,
        ..scenario
    }
}

/// A third cannot reach the store, and does not log in without it.
fn careful(scenario: Scenario) -> Scenario {
    Scenario {
        fails_without_store: true,
        ..with_cut_off(scenario, CutOff::AThird)
    }
}

#[track_caller]
fn check(outcome: &Outcome) {
    let (scenario, api) = (&outcome.scenario, &outcome.api);
    let name = format!("{scenario:?}: {api:?}");
    assert_eq!(outcome.requests.without_token, 0, "{name}");
    if scenario.session == Session::Exclusive || scenario.cut_off != CutOff::Nobody {
        assert_eq!(outcome.outdated, 0, "{name}");
    }
}

/// What holds while all instances reach the store.
#[track_caller]
fn check_calm(outcome: &Outcome) {
    check(outcome);
    let (scenario, api) = (&outcome.scenario, &outcome.api);
    let name = format!("{scenario:?}: {api:?}");
    assert!(api.revocations > 0, "{name}");
    assert_eq!(api.after_revocation, api.revocations, "{name}");
    assert_eq!(outcome.store.refused, 0, "{name}");
    assert_eq!(api.superfluous, 0, "{name}");
    // The first login, the revocations, and no more expiries than fit into the time.
    let at_most = match scenario.session {
        Session::Exclusive => u64::from(scenario.minutes) / 60,
        // Each is refreshed after seven tenths of its use at the earliest.
        _ => u64::from(scenario.minutes) * 10 / 60 / 7 + 1,
    };
    let expiries = api.logins - api.revocations - 1;
    assert!(expiries > 0 && expiries <= at_most, "{name}");
    assert!(outcome.requests.longest < Duration::from_secs(2), "{name}");
    let rejected = outcome.requests.rejected;
    match scenario.session {
        Session::Exclusive => assert_eq!(rejected, 0, "{name}"),
        // An instance that has not yet refreshed adopts the newer token, which is revoked too.
        _ => assert!(
            rejected <= api.revocations * scenario.instances as u64,
            "{name}"
        ),
    }
    let for_each = outcome.operations_per_login() / scenario.instances as f64;
    assert!(for_each < 6.0, "{for_each}, {name}");
}

/// What holds although some cannot reach the store for a while.
#[track_caller]
fn check_cut_off(outcome: &Outcome) {
    check(outcome);
    let (scenario, api) = (&outcome.scenario, &outcome.api);
    let name = format!("{scenario:?}: {api:?}");
    // Each instance that is cut off is on its own. The others are one more party.
    let alone = match scenario.cut_off {
        CutOff::Nobody => 0,
        CutOff::One => 1,
        CutOff::AThird => scenario.instances as u64 / 3,
        CutOff::All => scenario.instances as u64,
    };
    match scenario.session {
        // The pauses of contention grow to a minute.
        Session::Exclusive => assert!(api.superfluous <= (alone + 1) * 60, "{name}"),
        _ => assert!(api.superfluous <= alone, "{name}"),
    }
    let rest = outcome.started + HEALED_AT + AFTER_THE_FAULT;
    let last = [api.last_superfluous, outcome.requests.last_failure];
    let late = last.into_iter().flatten().find(|at| *at > rest);
    assert_eq!(late, None, "{name}");
}

/// Those that reach the store go on as if nothing had happened.
#[track_caller]
fn check_careful(outcome: &Outcome) {
    let name = format!("{:?}: {:?}", outcome.scenario, outcome.api);
    assert_eq!(outcome.api.superfluous, 0, "{name}");
    assert!(outcome.failed_percent() < 34.0, "{name}");
    let rest = outcome.started + HEALED_AT + AFTER_THE_FAULT;
    assert!(
        outcome.requests.last_failure.is_none_or(|at| at <= rest),
        "{name}"
    );
}

#[test]
fn each_revocation_and_each_expiry_causes_one_login_of_the_whole_fleet() {
    for session in SESSIONS {
        let mut operations = Vec::new();
        for instances in [10, 100] {
            let calm = Scenario::calm(instances, 6, session);
            check_calm(&with_hints(calm).run());
            let outcome = calm.run();
            check_calm(&outcome);
            operations.push(outcome.operations_per_instance_hour());
            let kind = format!("{session:?}").to_lowercase();
            println!(
                "figure: fleet_growth-{kind}_{instances} revocations={} logins_per_revocation={} operations_per_instance_hour={:.1} rejected={}",
                outcome.api.revocations,
                outcome.logins_per_revocation(),
                outcome.operations_per_instance_hour(),
                outcome.requests.rejected,
            );
        }
        assert!(operations[1] < 1.5 * operations[0], "{operations:?}");
    }
}

#[test]
fn wrong_clocks_cause_no_login_if_the_store_knows_ages() {
    for session in SESSIONS {
        let calm = Scenario::calm(100, 6, session);
        check_calm(&with_wrong_clocks(calm, true).run());
        let outcome = with_wrong_clocks(calm, false).run();
        check(&outcome);
        // An instance whose clock is ahead takes a record for expired, and replaces it.
        let due = outcome.api.logins - outcome.api.superfluous;
        assert!(outcome.api.superfluous <= 2 * due, "{:?}", outcome.api);
    }
}

#[test]
fn after_a_partition_the_fleet_has_one_session_again() {
    for session in SESSIONS {
        for cut_off in [CutOff::One, CutOff::AThird, CutOff::All] {
            check_cut_off(&with_cut_off(Scenario::calm(10, 1, session), cut_off).run());
        }
        check_careful(&careful(Scenario::calm(10, 1, session)).run());
        let one = with_cut_off(Scenario::calm(100, 1, session), CutOff::One).run();
        check_cut_off(&one);
        let kind = format!("{session:?}").to_lowercase();
        println!(
            "figure: fleet_partition-{kind} instances=100 cut_off=1 superfluous_logins={} requests_without_token={}",
            one.api.superfluous, one.requests.without_token,
        );
    }
}

/// With `FLEET_PAGE=write` it writes them: 1,000 instances for days. Otherwise one line of the tables is checked.
#[test]
fn the_tables_and_the_chart_of_the_guide_are_current() {
    if env::var_os("FLEET_PAGE").is_none() {
        let outcome = Scenario::calm(10, 24, Session::Exclusive).run();
        assert!(
            page::has_calm(&outcome),
            "FLEET_PAGE=write writes it: {outcome:?}"
        );
        return;
    }
    let rows = |name, vary: &dyn Fn(Scenario) -> Scenario, check: fn(&Outcome)| -> Vec<Row> {
        let row = |session| Row {
            name,
            session,
            outcomes: SIZES
                .into_iter()
                .map(|instances| {
                    let outcome = vary(Scenario::calm(instances, 24, session)).run();
                    check(&outcome);
                    outcome
                })
                .collect(),
        };
        SESSIONS.into_iter().map(row).collect()
    };
    let calm = rows("", &|it| it, check_calm);
    let hints = rows(", changes are reported", &with_hints, check_calm);
    let mut clocks = rows(
        "clocks wrong by up to an hour; the store knows ages",
        &|it| with_wrong_clocks(it, true),
        check_calm,
    );
    clocks.extend(rows(
        "clocks wrong by up to an hour; it does not",
        &|it| with_wrong_clocks(it, false),
        check,
    ));
    let mut cut_off = Vec::new();
    for (name, who) in [
        ("one instance", CutOff::One),
        ("a third", CutOff::AThird),
        ("all", CutOff::All),
    ] {
        cut_off.extend(rows(name, &|it| with_cut_off(it, who), check_cut_off));
    }
    let careful = rows(
        "a third, which then fails its logins",
        &careful,
        check_careful,
    );
    cut_off.extend(careful);
    page::write(&calm, &hints, &clocks, &cut_off);
}
