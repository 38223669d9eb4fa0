//! What the processes of a fleet do together, whatever their store is. The figures are returned.

use std::{collections::BTreeSet, ops::RangeInclusive};

use crate::{
    child::FROM_REQUEST,
    issuer::Rules,
    parent::{Event, Parent, Process},
};

pub(crate) const PROCESSES: usize = 8;
pub(crate) const TASKS: usize = 50;

pub(crate) const EXCLUSIVE: Rules = Rules {
    is_concurrent: false,
    rotates: false,
};
pub(crate) const ROTATING: Rules = Rules {
    rotates: true,
    ..EXCLUSIVE
};
pub(crate) const CONCURRENT: Rules = Rules {
    is_concurrent: true,
    ..EXCLUSIVE
};

/// What the processes of a fleet have said in a round.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) failed: usize,
    pub(crate) store_failures: Vec<(usize, String)>,
    /// The processes whose store works again.
    pub(crate) recovered: BTreeSet<usize>,
}

/// All tasks of all processes send a request. If `holds`, the server answers no login until each other process waits
/// for the lock, logs in too, or has all its answers.
pub(crate) fn round(parent: &Parent, fleet: &mut [Process], tasks: usize, holds: bool) -> Round {
    for process in &mut *fleet {
        process.tell(&format!("call {tasks}"));
    }
    round_until_done(parent, fleet, holds, |_| {})
}

/// As [`round`], after the processes were told. When the first logins are answered, something happens before.
pub(crate) fn round_until_done(
    parent: &Parent,
    fleet: &mut [Process],
    holds: bool,
    before_answers: impl FnOnce(&mut [Process]),
) -> Round {
    let mut round = Round::default();
    let (mut done, mut waiting, mut grants) = (0, BTreeSet::new(), Vec::new());
    let mut before_answers = Some(before_answers);
    while done < fleet.len() {
        match parent.event() {
            Event::Login(grant) => grants.push(grant),
            Event::Gone(number) => panic!("process {number} has failed"),
            Event::Said(number, said) => {
                if said == "waits" {
                    waiting.insert(number);
                } else if let Some(failed) = said.strip_prefix("done ") {
                    done += 1;
                    round.failed += failed.parse::<usize>().unwrap();
                } else if let Some(error) = said.strip_prefix("store failed: ") {
                    round.store_failures.push((number, error.to_owned()));
                } else if said == "store recovered" {
                    round.recovered.insert(number);
                } else if said == FROM_REQUEST {
                    panic!("process {number}: {said}");
                }
            }
        }
        if !holds || grants.len() + waiting.len() + done >= fleet.len() {
            if !grants.is_empty()
                && let Some(act) = before_answers.take()
            {
                act(fleet);
            }
            grants.drain(..).for_each(|grant| parent.answer(grant));
        }
    }
    round
}

/// Rounds with a revocation after each. In this number of the first one, so many logins are expected, and one more in
/// each further one. Returns how many requests have failed.
pub(crate) fn rounds(
    parent: &Parent,
    fleet: &mut [Process],
    tasks: usize,
    numbers: RangeInclusive<u64>,
) -> usize {
    let mut failed = 0;
    for number in numbers {
        // In every other round, the server answers at once, so that processes also come too late to wait.
        let outcome = round(parent, fleet, tasks, number % 2 == 1);
        assert_eq!(outcome.store_failures, []);
        assert_eq!(
            (parent.issuer().logins(), outcome.failed),
            (number, 0),
            "round {number}: logins in all, failed"
        );
        failed += outcome.failed;
        parent.issuer().revoke();
    }
    failed
}

/// The figures of the first round, and of the further ones.
pub(crate) fn log_in_once_for_each_revocation(parent: &mut Parent, count: u64) -> [String; 2] {
    let mut fleet: Vec<_> = (0..PROCESSES).map(|_| parent.start()).collect();
    let failed = rounds(parent, &mut fleet, TASKS, 1..=1);
    let logins = parent.issuer().logins();
    let first = format!("processes={PROCESSES} tasks={TASKS} logins={logins} failed={failed}");
    let failed = rounds(parent, &mut fleet, TASKS, 2..=count + 1);
    let logins = parent.issuer().logins() - 1;
    let further = format!(
        "processes={PROCESSES} tasks={TASKS} rounds={count} logins={logins} failed={failed}"
    );
    [first, further]
}

/// Each login but the first one is a refresh.
pub(crate) fn spend_each_refresh_token_once(parent: &mut Parent, count: u64) -> String {
    let mut fleet: Vec<_> = (0..PROCESSES).map(|_| parent.start()).collect();
    let failed = rounds(parent, &mut fleet, 5, 1..=count);
    let issuer = parent.issuer();
    assert_eq!((issuer.passwords, issuer.refreshes), (1, count - 1));
    assert_eq!(issuer.reuses, 0);
    format!(
        "processes={PROCESSES} full_logins={} refreshes={} second_uses={} failed={failed}",
        issuer.passwords, issuer.refreshes, issuer.reuses
    )
}

/// A process is stopped in its login. Its lease ends, and another process logs in.
pub(crate) fn publish_late(
    parent: &mut Parent,
    start_after_the_lease: impl FnOnce(&mut Parent) -> Process,
) -> String {
    let mut stopped = parent.start();
    stopped.tell("call 1");
    let grant = parent.until_login();
    let answer = parent.issuer().process(None);
    stopped.stop();
    grant.answer(&answer);

    let mut other = start_after_the_lease(parent);
    other.tell("call 1");
    let grant = parent.until_login();
    parent.answer(grant);
    assert_eq!(parent.until_said(&other, "done "), "0");
    let published = parent.stored();
    assert_eq!(published, Some(("t2".to_owned(), None)));

    stopped.signal("-CONT");
    let said = parent.until_said(&stopped, "");
    assert!(said.contains("refused a late publication"), "{said}");
    // Its own token is revoked. It takes over the other one without a login.
    assert_eq!(parent.until_said(&stopped, "done "), "0");
    assert_eq!(parent.stored(), published);
    assert_eq!(parent.issuer().logins(), 2);
    "stopped_processes=1 late_publications=1 refused=1 failed=0".to_owned()
}
