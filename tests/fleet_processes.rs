//! Processes that share one account in a store: real processes over sockets, which are killed and stopped.
//!
//! The parent is the server. It runs this program again as the processes of the fleet. What happens is ordered by
//! what they say and by what the server receives, never by time.

#![cfg(unix)]

#[path = "fleet_processes/child.rs"]
mod child;
#[path = "support/extent.rs"]
mod extent;
#[path = "fleet_processes/issuer.rs"]
mod issuer;
#[path = "fleet_processes/parent.rs"]
mod parent;
#[path = "fleet_processes/rounds.rs"]
mod rounds;
#[path = "support/stopped.rs"]
mod stopped;

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tower_bearer::{
    Clock,
    store::{CredentialStore, FileStore},
};

use self::{
    child::{LOGIN_TIMEOUT, STEPS},
    issuer::Answer,
    parent::{Event, Parent},
    rounds::{
        CONCURRENT, EXCLUSIVE, ROTATING, log_in_once_for_each_revocation, publish_late, round,
        spend_each_refresh_token_once,
    },
};

/// Looks at the lock that are too frequent would be told before the parent has counted the previous ones.
const HEARS_OF_CHANGES: bool = false;

/// By how many seconds the store's clock is ahead.
const AHEAD: &str = "FLEET_AHEAD";

/// The store of a process.
fn open_store(folder: &str) -> Arc<dyn CredentialStore> {
    let ahead = std::env::var(AHEAD).map_or(0, |ahead| ahead.parse().unwrap());
    let clock = Ahead(Duration::from_secs(ahead));
    Arc::new(FileStore::new(folder).with_clock(clock))
}

struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now() + self.0
    }
}

fn store_folder(parent: &Parent) -> PathBuf {
    Path::new(&parent.store).to_owned()
}

fn count_of_rounds() -> u64 {
    extent::amount("FLEET_ROUNDS", "rounds", 6, 20)
}

// P1, P2
#[test]
fn eight_processes_log_in_once_for_each_revocation() {
    let mut parent = Parent::new(EXCLUSIVE);
    let [first, further] = log_in_once_for_each_revocation(&mut parent, count_of_rounds());
    println!("figure: P1-file {first}");
    println!("figure: P2-file fleet_logins-file {further}");
}

// S14
#[test]
fn eight_processes_spend_each_refresh_token_once() {
    let mut parent = Parent::new(ROTATING);
    let figures = spend_each_refresh_token_once(&mut parent, count_of_rounds());
    println!("figure: S14-file {figures}");
}

// P3
#[test]
fn the_next_process_does_not_wait_for_the_lease_of_one_that_is_killed() {
    let kills = extent::amount("FLEET_KILLS", "kills", 2, 5);
    let mut parent = Parent::new(EXCLUSIVE);
    let mut longest = Duration::ZERO;
    for kill in 1..=kills {
        let [mut holder, mut next] = [parent.start(), parent.start()];
        holder.tell("call 1");
        let unanswered = parent.until_login();
        next.tell("call 1");
        // Until its pauses are the longest ones.
        for _ in 0..6 {
            parent.until_said(&next, "waits");
        }
        let start = Instant::now();
        holder.kill();
        let mut attempts = 0;
        let login = parent.until(|event| {
            attempts += usize::from(matches!(event, Event::Said(_, said) if said == "waits"));
            // The first may have begun before the kill.
            attempts > 1 || matches!(event, Event::Login(_))
        });
        let Event::Login(grant) = login else {
            panic!("the lock of a dead process is not free")
        };
        longest = longest.max(start.elapsed());
        drop(unanswered);
        parent.answer(grant);
        assert_eq!(parent.until_said(&next, "done "), "0");
        assert_eq!(parent.issuer().logins(), kill);
        parent.issuer().revoke();
    }
    println!(
        "figure: P3-in_its_login fleet_recovery-file kills={kills} waits_for_the_lease=0 longest~={}ms",
        longest.as_millis()
    );
}

// P10, for a disk
#[test]
fn a_process_that_publishes_on_a_slow_disk_keeps_the_others_waiting() {
    let mut parent = Parent::new(EXCLUSIVE);
    let [mut holder, mut other] = [parent.start(), parent.start()];
    holder.tell("call 1");
    let grant = parent.until_login();
    // As the holder does, for as long as the disk needs.
    let step = File::open(store_folder(&parent).join(format!("{}.lock", *child::KEY))).unwrap();
    step.lock().unwrap();
    other.tell("call 1");
    assert_eq!(parent.until_said(&other, ""), "waits");
    drop(step);
    parent.answer(grant);
    for _ in 0..2 {
        parent.until(|event| matches!(event, Event::Said(_, said) if said == "done 0"));
    }
    assert_eq!(parent.issuer().logins(), 1);
}

// P4
#[test]
fn a_process_that_was_stopped_in_its_login_publishes_nothing_after_its_lease() {
    let mut parent = Parent::new(EXCLUSIVE);
    let figures = publish_late(&mut parent, |parent| {
        // By the clock of this one, the lease is over.
        let ahead = 2 * LOGIN_TIMEOUT.as_secs();
        parent.start_with(&[], |command| {
            command.env(AHEAD, ahead.to_string());
        })
    });
    println!("figure: P4-in_its_login {figures}");
}

// ===== kills =====

/// Kills a process of its own at this event of a login, counted from its request on. Returns false if there are
/// fewer events.
fn live(parent: &mut Parent, kill_at: usize, is_available: bool) -> bool {
    let stored = parent.stored_refresh_token();
    let mut process = parent.start_with(&[], |command| {
        command.env(STEPS, "");
    });
    // The first login goes on with what the previous process has left.
    parent.issuer().revoke();
    process.tell("call 1");
    loop {
        match parent.event() {
            Event::Said(number, said) if number == process.number => match &*said {
                "done 0" => break,
                _ if said.starts_with("step") => process.tell("go on"),
                _ => panic!("{said}"),
            },
            Event::Gone(number) if number == process.number => panic!("it has failed"),
            Event::Login(grant) => {
                assert_eq!(grant.refresh_token, stored, "it goes on with what it finds");
                parent.answer(grant);
            }
            // Of a process that was killed.
            Event::Said(..) | Event::Gone(_) => {}
        }
    }
    assert!(parent.stored_refresh_token().is_some());

    parent.issuer().revoke();
    process.tell("call 1");
    let mut events = 0;
    let mut is_moment = || {
        events += 1;
        events == kill_at
    };
    // The connection of the killed process stays open, for nothing but the kill shall end its login.
    let _open = loop {
        match parent.event() {
            Event::Said(number, said) if number == process.number => {
                if said.starts_with("done ") {
                    return false;
                }
                if said.starts_with("step") {
                    if is_moment() {
                        break None;
                    }
                    process.tell("go on");
                }
            }
            Event::Gone(number) if number == process.number => panic!("it has failed"),
            Event::Said(..) | Event::Gone(_) => {}
            Event::Login(mut grant) => {
                if is_moment() {
                    break Some(grant);
                }
                if !is_available {
                    grant.answer(&Answer::unavailable());
                    continue;
                }
                let answer = parent.issuer().process(grant.refresh_token.as_deref());
                if is_moment() {
                    break Some(grant);
                }
                if is_moment() {
                    grant.answer_half(&answer);
                    break Some(grant);
                }
                grant.answer(&answer);
            }
        }
    };
    process.kill();
    let stored = parent.stored_refresh_token();
    assert!(stored.is_none_or(|token| !parent.issuer().is_spent(&token)));
    true
}

// S14, L6
#[test]
fn no_refresh_token_is_spent_twice_across_kills() {
    let mut parent = Parent::new(ROTATING);
    let mut moments = Vec::new();
    for is_available in [true, false] {
        let mut kill_at = 1;
        while live(&mut parent, kill_at, is_available) {
            assert_eq!(parent.issuer().reuses, 0, "killed at event {kill_at}");
            kill_at += 1;
        }
        moments.push(kill_at - 1);
    }
    let issuer = parent.issuer();
    assert!(moments.iter().all(|it| *it > 10), "{moments:?}");
    assert!(issuer.refreshes > issuer.passwords);
    println!(
        "figure: S14-kills kills={} second_uses={} refreshes={} full_logins={}",
        moments.iter().sum::<usize>(),
        issuer.reuses,
        issuer.refreshes,
        issuer.passwords
    );
}

/// A process that logs in, and is not killed in it.
fn log_in(parent: &mut Parent) {
    parent.issuer().revoke();
    let mut process = parent.start();
    process.tell("call 1");
    let grant = parent.until_login();
    parent.answer(grant);
    parent.until_said(&process, "done 0");
}

/// Why this program cannot run there, if so. Commands that are missing, or may not do it, fail.
fn problem(through: &[&str]) -> Option<String> {
    let (first, rest) = through.split_first().unwrap();
    let mut command = Command::new(first);
    let output = command.args(rest).arg("true").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("{first} fails: {}", output.status)),
        Err(_) => Some(format!("{first} is missing")),
    }
}

// P7
#[test]
fn a_kill_at_each_step_of_a_publication_leaves_the_old_or_the_new_record() {
    const CALLS: [&str; 7] = [
        "openat",
        "flock",
        "chmod,fchmod",
        "write",
        "fsync",
        "rename",
        "unlink",
    ];
    if let Some(problem) = problem(&["strace", "-f", "-o", "/dev/null", "-e", "trace=none"]) {
        println!("figure: P7 not measured: {problem}");
        return;
    }
    let mut parent = Parent::new(ROTATING);
    let folder = store_folder(&parent);
    let files = ["lock", "lease", "record", "new"].map(|it| format!("{}.{it}", *child::KEY));
    let mut paths = vec![folder.display().to_string()];
    paths.extend(files.map(|file| folder.join(file).display().to_string()));

    let (mut old, mut taken_out, mut new) = (0, 0, 0);
    for calls in CALLS {
        for nth in 1.. {
            if parent.stored_refresh_token().is_none() {
                log_in(&mut parent);
            }
            parent.issuer().revoke();
            let before = parent.stored().unwrap();
            // In each thread, the nth call that names one of the files kills the process, and is not made.
            let inject = format!("inject={calls}:signal=SIGKILL:when={nth}");
            let mut through = vec!["strace", "-f", "-o", "/dev/null", "-e", &inject];
            through.extend(paths.iter().flat_map(|path| ["-P", path]));
            let mut process = parent.spawn(&through, |_| {});
            process.tell("call 1");
            let is_killed = loop {
                match parent.event() {
                    Event::Login(grant) => parent.answer(grant),
                    Event::Gone(number) if number == process.number => break true,
                    Event::Said(number, said) if number == process.number => {
                        assert!(!said.contains("failed"), "{said}");
                        if said == "done 0" {
                            break false;
                        }
                    }
                    _ => {}
                }
            };
            if !is_killed {
                break;
            }
            // A record that is half written would be an error here.
            let after = parent.stored().unwrap();
            match after.1 {
                None => {
                    assert_eq!(after.0, before.0, "{calls} {nth}");
                    taken_out += 1;
                }
                _ if after == before => old += 1,
                _ => {
                    assert_ne!(after.0, before.0, "{calls} {nth}");
                    new += 1;
                }
            }
            assert_eq!(parent.issuer().reuses, 0);
        }
    }
    // The next process removes what a kill has left.
    fs::write(&paths[4], "half").unwrap();
    log_in(&mut parent);
    assert!(!fs::exists(&paths[4]).unwrap());
    assert!(old > 0 && taken_out > 0 && new > 0);
    println!(
        "figure: P7 kills~={} half=0 old~={old} without_refresh_token~={taken_out} new~={new} \
         second_uses={}",
        old + taken_out + new,
        parent.issuer().reuses
    );
}

// ===== a store that cannot be written =====

/// Each of three processes goes on by itself, and says so. Returns how many have said so, and how many requests have
/// failed.
fn goes_alone(parent: &mut Parent, through: &[&str], expected: &str) -> (usize, usize) {
    let mut fleet: Vec<_> = (0..3).map(|_| parent.start_with(through, |_| {})).collect();
    let (mut events, mut failed) = (0, 0);
    for number in 1..=2 {
        let outcome = round(parent, &mut fleet, 10, false);
        assert_eq!(outcome.failed, 0);
        let failures = &outcome.store_failures;
        let said: BTreeSet<_> = failures.iter().map(|it| it.0).collect();
        assert_eq!(said.len(), fleet.len(), "{failures:?}");
        assert!(
            failures.iter().all(|it| it.1.contains(expected)),
            "{failures:?}"
        );
        assert_eq!(parent.issuer().logins(), number * fleet.len() as u64);
        events += failures.len();
        failed += outcome.failed;
        parent.issuer().revoke();
    }
    (events, failed)
}

/// A command that runs a program in a namespace of its own, after this preparation. It leaves nothing behind.
fn in_namespace(prepare: &str) -> [String; 7] {
    let script = format!(r#"{prepare} && exec "$@""#);
    [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &script,
    ]
    .map(str::to_owned)
}

fn apart(name: &str, prepare: impl FnOnce(&Parent) -> (Vec<String>, &'static str)) {
    let mut parent = Parent::new(CONCURRENT);
    let (through, expected) = prepare(&parent);
    let mut through: Vec<_> = through.iter().map(String::as_str).collect();
    if !through.is_empty() {
        through.push("sh"); // its own name, before the arguments
        if let Some(problem) = problem(&through) {
            println!("figure: P9-{name} not measured: {problem}");
            return;
        }
    }
    let (events, failed) = goes_alone(&mut parent, &through, expected);
    println!("figure: P9-{name} processes=3 rounds=2 events={events} failed={failed}");
}

// P9
#[test]
fn processes_go_on_by_themselves_with_a_full_disk() {
    apart("full", |parent| {
        let folder = store_folder(parent);
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        let folder = folder.display();
        let mount = format!("mount -t tmpfs -o size=16k,mode=0700 none {folder}");
        // It fails in the end, as it shall.
        let fill = format!("{{ cat /dev/zero > {folder}/other 2>/dev/null || true; }}");
        let through = in_namespace(&format!("{mount} && {fill}"));
        (through.to_vec(), "No space left on device")
    });
}

// P9
#[test]
fn processes_go_on_by_themselves_at_the_limit_for_files() {
    apart("limit", |_| {
        let script = r#"trap '' XFSZ && ulimit -f 0 && exec "$@""#;
        let through = ["sh", "-c", script].map(str::to_owned);
        (through.to_vec(), "File too large")
    });
}

// P9
#[test]
fn processes_go_on_by_themselves_on_a_disk_that_is_read_only() {
    apart("read_only", |parent| {
        let folder = store_folder(parent);
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        let mount = format!(
            "mount -t tmpfs -o ro,size=16k,mode=0700 none {}",
            folder.display()
        );
        (in_namespace(&mount).to_vec(), "Read-only file system")
    });
}

// P9
#[test]
fn processes_go_on_by_themselves_without_the_right_to_the_folder() {
    apart("no_right", |parent| {
        let folder = store_folder(parent);
        DirBuilder::new().mode(0o500).create(&folder).unwrap();
        let mut through = Vec::new();
        if fs::metadata(&folder).unwrap().uid() == 0 {
            // Root has all rights, except to the files of users that its namespace does not know.
            chown(&folder, Some(65_534), None).unwrap();
            through = in_namespace("true").to_vec();
        }
        (through, "Permission denied")
    });
}
