//! Processes that share one account in Redis: real processes, and a `redis-server` that stops, is slow, or loses what
//! it had.
//!
//! `.ci/run servers` installs Redis and measures. Elsewhere the tests are shorter, and without a `redis-server` they
//! say so and do not count. What happens is ordered by what the processes say and by what the server receives. The lease
//! of a lock ends by hand.

#![cfg(unix)]

#[allow(dead_code, reason = "the store in files has more tests")]
#[path = "fleet_processes/child.rs"]
mod child;
#[allow(dead_code, reason = "the store in files has more tests")]
#[path = "fleet_processes/issuer.rs"]
mod issuer;
#[allow(dead_code, reason = "the store in files has more tests")]
#[path = "fleet_processes/parent.rs"]
mod parent;
#[allow(dead_code, reason = "the tests of other servers use the rest")]
#[path = "servers/process.rs"]
mod process;
#[allow(dead_code, reason = "the tests of the store use the rest")]
#[path = "servers/redis_server.rs"]
mod redis_server;
#[path = "fleet_processes/rounds.rs"]
mod rounds;
#[path = "support/stopped.rs"]
mod stopped;

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    env,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use redis::{Client, FromRedisValue, aio::ConnectionManagerConfig};
use tokio::runtime::{Builder, Runtime};
use tower_bearer::store::CredentialStore;

use self::{
    child::{KEY, LOGIN_TIMEOUT},
    parent::{Event, Parent, Process},
    redis_server::{COPIES_AT_ONCE, Server, is_installed, over},
    rounds::{
        CONCURRENT, EXCLUSIVE, PROCESSES, ROTATING, TASKS, log_in_once_for_each_revocation,
        publish_late, round, round_until_done, spend_each_refresh_token_once,
    },
};

const HEARS_OF_CHANGES: bool = true;

/// More than the login's timeout and what the lease has beyond it.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(2 * LOGIN_TIMEOUT.as_secs());

/// The store of a process, as `examples/redis.rs` has it, but for the timeout of a response: it is as long as the time
/// that a login has for the store.
fn open_store(url: &str) -> Arc<dyn CredentialStore> {
    let config = ConnectionManagerConfig::new().set_number_of_retries(1);
    let client = Client::open(url).unwrap();
    let store = over(client.get_connection_manager_lazy(config).unwrap());
    Arc::new(store.with_changes(move |channel| {
        let client = client.clone();
        async move {
            if let Ok(mut subscriber) = client.get_async_pubsub().await
                && subscriber.subscribe(channel).await.is_ok()
            {
                drop(subscriber.on_message().next().await);
            } else {
                pending().await
            }
        }
    }))
}

/// The Redis of one test.
struct Redis {
    server: Server,
    runtime: Runtime,
}

impl Redis {
    /// `None` if it is not installed: then these rows are not measured.
    fn start(rows: &str, settings: &[&str]) -> Option<Self> {
        if !is_installed() {
            println!("figure: {rows} not measured: redis-server is not installed");
            return None;
        }
        Some(Self {
            server: Server::start(settings),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        })
    }

    fn command<T: FromRedisValue>(&self, command: &[&str]) -> T {
        self.runtime.block_on(self.server.command(command))
    }

    /// Ends the leases of all locks.
    fn end_leases(&self) {
        self.runtime.block_on(self.server.pass(LONGER_THAN_A_LEASE));
    }

    fn signal(&self, signal: &str, pid: &str) {
        self.server.signal(signal, pid);
    }

    fn pid(&self) -> String {
        self.runtime.block_on(self.server.pid())
    }

    /// Starts it again, empty.
    fn restart(&mut self) {
        self.server.stop();
        self.server.run(&[], "Ready to accept connections").unwrap();
    }

    /// The account at its server. Its processes use this Redis.
    fn parent(&self, rules: issuer::Rules) -> Parent {
        let mut parent = Parent::new(rules);
        parent.store = format!("redis://127.0.0.1:{}/", self.server.port);
        parent
    }

    /// How many scripts it has run.
    fn scripts(&self) -> u64 {
        let statistics: String = self.command(&["INFO", "commandstats"]);
        let calls = |command: &str| {
            let line = statistics
                .lines()
                .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
        };
        calls("evalsha") + calls("eval")
    }
}

/// The name of a key of the account.
fn key(what: &str) -> String {
    format!("tower-bearer:{{{}}}:{what}", *KEY)
}

fn is_full() -> bool {
    // Only `.ci/run servers` has these.
    env::var_os("TOWER_BEARER_SERVERS").is_some()
}

fn amount(part: u64, all: u64) -> u64 {
    if is_full() { all } else { part }
}

fn figure(rows: &str, values: &str) {
    match is_full() {
        true => println!("figure: {rows} {values}"),
        false => println!("figure: {rows} not measured: only .ci/run servers measures it"),
    }
}

fn tell(fleet: &mut [Process], line: &str) {
    for process in fleet {
        process.tell(line);
    }
}

// P1, P2
#[test]
fn eight_processes_log_in_once_for_each_revocation() {
    let Some(redis) = Redis::start("P1-redis P2-redis fleet_logins-redis", &[]) else {
        return;
    };
    let mut parent = redis.parent(EXCLUSIVE);
    let count = amount(2, 20);
    let [first, further] = log_in_once_for_each_revocation(&mut parent, count);
    figure("P1-redis", &first);
    figure("P2-redis fleet_logins-redis", &further);
}

// S14
#[test]
fn eight_processes_spend_each_refresh_token_once() {
    let Some(redis) = Redis::start("S14-redis", &[]) else {
        return;
    };
    let mut parent = redis.parent(ROTATING);
    let figures = spend_each_refresh_token_once(&mut parent, amount(3, 20));
    figure("S14-redis", &figures);
}

// P3
#[test]
fn the_next_process_logs_in_when_the_lease_of_one_that_is_killed_is_over() {
    let Some(redis) = Redis::start("P3-redis fleet_recovery-redis", &[]) else {
        return;
    };
    let kills = amount(1, 5);
    let mut parent = redis.parent(EXCLUSIVE);
    let mut longest = Duration::ZERO;
    for kill in 1..=kills {
        let [mut holder, mut next] = [parent.start(), parent.start()];
        holder.tell("call 1");
        let unanswered = parent.until_login();
        next.tell("call 1");
        let until_waits = |times| {
            let mut waits = 0;
            parent.until(|event| {
                assert!(!matches!(event, Event::Login(_)), "within the lease");
                waits += usize::from(matches!(event, Event::Said(_, said) if said == "waits"));
                waits == times
            });
        };
        until_waits(1);
        holder.kill();
        until_waits(3);
        let left: u64 = redis.command(&["PTTL", &key("lock")]);
        let lease = LOGIN_TIMEOUT + Duration::from_secs(5);
        assert!(Duration::from_millis(left) <= lease, "{left}");

        let start = Instant::now();
        redis.end_leases();
        let grant = parent.until_login();
        longest = longest.max(start.elapsed());
        drop(unanswered);
        parent.answer(grant);
        assert_eq!(parent.until_said(&next, "done "), "0");
        assert_eq!(parent.issuer().logins(), kill);
        parent.issuer().revoke();
    }
    figure(
        "P3-redis fleet_recovery-redis",
        &format!(
            "kills={kills} logins_within_the_lease=0 longest_after_it~={}ms",
            longest.as_millis()
        ),
    );
}

// P4
#[test]
fn a_process_that_was_stopped_in_its_login_publishes_nothing_after_its_lease() {
    let Some(redis) = Redis::start("P4-redis", &[]) else {
        return;
    };
    let mut parent = redis.parent(EXCLUSIVE);
    let figures = publish_late(&mut parent, |parent| {
        redis.end_leases();
        parent.start()
    });
    figure("P4-redis", &figures);
}

// P10
#[test]
fn requests_with_a_valid_token_run_no_script() {
    let Some(redis) = Redis::start("P10-requests", &[]) else {
        return;
    };
    let mut parent = redis.parent(EXCLUSIVE);
    let processes = amount(2, PROCESSES as u64);
    let mut fleet: Vec<_> = (0..processes).map(|_| parent.start()).collect();
    round(&parent, &mut fleet, TASKS, false);
    let before = redis.scripts();
    assert!(before > 0);
    let outcome = round(&parent, &mut fleet, TASKS, false);
    let scripts = redis.scripts() - before;
    assert_eq!((scripts, outcome.failed), (0, 0));
    let requests = fleet.len() * TASKS;
    figure(
        "P10-requests",
        &format!("requests={requests} store_calls={scripts}"),
    );
}

// ===== Redis fails =====

#[derive(Clone, Copy, PartialEq)]
enum When {
    /// Before the processes start.
    AtStart,
    BetweenLogins,
    /// One process logs in, and the others wait for it.
    InLogin,
}

struct Fault {
    name: &'static str,
    when: When,
    settings: &'static [&'static str],
    /// What the processes say of it.
    error: &'static str,
}

impl Fault {
    fn new(name: &'static str, when: When) -> Self {
        Self {
            name,
            when,
            settings: &[],
            error: "",
        }
    }
}

/// Each process goes on by itself while Redis fails, says so, and leaves it alone for 30 s. After the repair, all of
/// them share a session again.
fn outlive(
    fault: Fault,
    fail: impl FnOnce(&mut Redis, &Parent, &mut [Process]),
    repair: impl FnOnce(&mut Redis),
) {
    let Fault { when, .. } = fault;
    let row = format!("P10-{}", fault.name);
    let Some(mut redis) = Redis::start(&row, fault.settings) else {
        return;
    };
    let processes = amount(2, PROCESSES as u64);
    let tasks = amount(5, TASKS as u64) as usize;
    let mut parent = redis.parent(CONCURRENT);
    let mut fleet = Vec::new();
    let mut fail = Some(fail);
    if when == When::AtStart {
        fail.take().unwrap()(&mut redis, &parent, &mut fleet);
    }
    fleet.extend((0..processes).map(|_| parent.start()));
    if when != When::AtStart {
        let outcome = round(&parent, &mut fleet, tasks, true);
        assert_eq!((outcome.failed, outcome.store_failures), (0, Vec::new()));
        assert_eq!(parent.issuer().logins(), 1);
        parent.issuer().revoke();
    }
    if when == When::BetweenLogins {
        fail.take().unwrap()(&mut redis, &parent, &mut fleet);
        parent.issuer().revoke();
    }

    // Each process has a login of its own.
    let before = parent.issuer().logins();
    if when != When::InLogin {
        tell(&mut fleet, "clock runs"); // or nothing would ever be too late
    }
    tell(&mut fleet, &format!("call {tasks}"));
    let outcome = round_until_done(&parent, &mut fleet, when == When::InLogin, |fleet| {
        if let Some(fail) = fail.take() {
            fail(&mut redis, &parent, fleet);
            tell(fleet, "clock runs");
        }
    });
    assert_eq!(outcome.failed, 0);
    let failures = outcome.store_failures;
    let said: BTreeSet<_> = failures.iter().map(|it| it.0).collect();
    assert_eq!(said.len(), fleet.len(), "{failures:?}");
    for (_, failure) in &failures {
        assert!(failure.contains(fault.error), "{failure}");
    }
    assert_eq!(parent.issuer().logins() - before, processes);

    // Within the pause, they do not even try. On a busy machine, the clock has run for some seconds of it.
    parent.issuer().revoke();
    tell(&mut fleet, &format!("call {tasks} after 10"));
    let outcome = round_until_done(&parent, &mut fleet, false, |_| {});
    assert_eq!((outcome.failed, outcome.store_failures), (0, Vec::new()));
    assert_eq!(outcome.recovered, BTreeSet::new());
    assert_eq!(parent.issuer().logins() - before, 2 * processes);

    tell(&mut fleet, "clock stands");
    repair(&mut redis);
    let (mut pauses, mut recovered, mut failed) = (1, BTreeSet::new(), 0);
    loop {
        parent.issuer().revoke();
        tell(&mut fleet, &format!("call {tasks} after 31"));
        let outcome = round_until_done(&parent, &mut fleet, false, |_| {});
        failed += outcome.failed;
        recovered.extend(outcome.recovered);
        if recovered.len() == fleet.len() {
            break;
        }
        // The connection manager keeps the failure of an attempt to connect until the next call.
        pauses += 1;
        assert!(pauses <= 2, "{recovered:?}");
    }
    assert_eq!(failed, 0);
    let logins = parent.issuer().logins();
    assert!(logins - before <= (2 + pauses) * processes);
    for number in 1..=2 {
        parent.issuer().revoke();
        let outcome = round(&parent, &mut fleet, tasks, true);
        assert_eq!((outcome.failed, outcome.store_failures), (0, Vec::new()));
        assert_eq!(parent.issuer().logins() - logins, number);
    }
    figure(
        &row,
        &format!(
            "processes={processes} logins_alone={} failed={failed} pauses={pauses}",
            2 * processes
        ),
    );
}

// P10
#[test]
fn redis_is_down_when_the_processes_start() {
    outlive(
        Fault::new("down_at_start", When::AtStart),
        |redis, _, _| redis.server.stop(),
        Redis::restart,
    );
}

// P10
#[test]
fn redis_is_killed_in_a_login() {
    outlive(
        Fault::new("killed", When::InLogin),
        |redis, _, _| redis.server.stop(),
        Redis::restart,
    );
}

// P10
#[test]
fn redis_is_shut_down() {
    let shut_down = |redis: &mut Redis, _: &Parent, _: &mut [Process]| {
        let command = ["SHUTDOWN", "NOSAVE"];
        // The connection ends instead of an answer.
        let _ = redis
            .runtime
            .block_on(redis.server.try_command::<()>(&command));
        redis.server.stop();
    };
    outlive(
        Fault::new("shut_down", When::BetweenLogins),
        shut_down,
        Redis::restart,
    );
}

// P10
#[test]
fn redis_is_restarted_and_has_lost_all() {
    outlive(
        Fault::new("restarted", When::BetweenLogins),
        |redis, _, _| redis.restart(),
        |_| {},
    );
}

// P10
#[test]
fn redis_answers_nothing() {
    let pid = OnceCell::new();
    outlive(
        Fault {
            error: "no answer within 250ms",
            ..Fault::new("stopped", When::BetweenLogins)
        },
        |redis, _, _| {
            let stopped = pid.get_or_init(|| redis.pid());
            redis.signal("-STOP", stopped);
        },
        |redis| redis.signal("-CONT", pid.get().unwrap()),
    );
}

// P10
#[test]
fn redis_is_loading() {
    let load = |redis: &mut Redis, _: &Parent, _: &mut [Process]| {
        let fill =
            "for n = 1, 10000 do redis.call('SET', 'filler:' .. n, string.rep('x', 1024)) end";
        let () = redis.command(&["EVAL", fill, "0"]);
        let () = redis.command(&["SAVE"]);
        redis.server.stop();
        // It loads for 100 s, and answers after each KiB.
        let slow = [
            "--key-load-delay",
            "10000",
            "--loading-process-events-interval-bytes",
            "1024",
        ];
        redis.server.run(&slow, "Server initialized").unwrap();
    };
    outlive(
        Fault {
            settings: &["--rdbcompression", "no"],
            error: "loading",
            ..Fault::new("loading", When::AtStart)
        },
        load,
        Redis::restart,
    );
}

// P10
#[test]
fn redis_wants_a_password() {
    let protect = |redis: &mut Redis, _: &Parent, _: &mut [Process]| {
        let () = redis.command(&["CONFIG", "SET", "requirepass", "secret"]);
    };
    let open = |redis: &mut Redis| {
        let _context = redis.runtime.enter();
        let mut connection = redis.server.manager(":secret@");
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("requirepass").arg("");
        let set = set.query_async::<()>(&mut connection);
        redis.runtime.block_on(set).unwrap();
    };
    outlive(
        Fault {
            error: "NOAUTH",
            ..Fault::new("no_password", When::AtStart)
        },
        protect,
        open,
    );
}

// P10
#[test]
fn after_a_failover_the_last_record_is_lost() {
    let fail_over = |redis: &mut Redis, parent: &Parent, fleet: &mut [Process]| {
        let port = redis.server.port;
        let replica_of = ["--replicaof", "127.0.0.1", &port.to_string()];
        let mut replica = Server::start(&replica_of);
        let exists = ["EXISTS", &key("record")];
        // Until it has synchronized, it is loading.
        while !matches!(redis.runtime.block_on(replica.try_command(&exists)), Ok(1)) {}
        redis
            .runtime
            .block_on(replica.command::<()>(&["REPLICAOF", "NO", "ONE"]));
        let old = parent.stored();
        // The last record.
        parent.issuer().revoke();
        assert_eq!(round(parent, fleet, 1, true).failed, 0);
        assert_ne!(parent.stored(), old);
        redis.server.stop();
        // It takes over the address.
        let set_port = ["CONFIG", "SET", "port", &port.to_string()];
        redis.runtime.block_on(replica.command::<()>(&set_port));
        replica.port = port;
        redis.server = replica;
        assert_eq!(parent.stored(), old);
    };
    let fault = Fault {
        settings: &COPIES_AT_ONCE,
        ..Fault::new("failed_over", When::BetweenLogins)
    };
    outlive(fault, fail_over, |_| {});
}

/// Redis loses the record and the lock, and answers. So many logins follow.
fn loses_the_record(fault: &str, in_login: bool, logins: u64, lose: impl Fn(&Redis)) {
    let row = format!("P10-{fault}");
    let Some(redis) = Redis::start(&row, &[]) else {
        return;
    };
    let mut parent = redis.parent(CONCURRENT);
    let processes = amount(2, PROCESSES as u64);
    let tasks = amount(5, TASKS as u64) as usize;
    let mut fleet: Vec<_> = (0..processes).map(|_| parent.start()).collect();
    let outcome = round(&parent, &mut fleet, tasks, true);
    assert_eq!((outcome.failed, parent.issuer().logins()), (0, 1));
    parent.issuer().revoke();
    let lose = || {
        lose(&redis);
        // In a login, another process may have the lock already.
        assert_eq!(redis.command::<u64>(&["EXISTS", &key("record")]), 0);
    };
    if !in_login {
        lose();
    }
    tell(&mut fleet, &format!("call {tasks}"));
    let outcome = round_until_done(&parent, &mut fleet, true, |_| {
        if in_login {
            lose();
        }
    });
    assert_eq!((outcome.failed, parent.issuer().logins()), (0, 1 + logins));
    // A late publication is refused.
    let failures = outcome.store_failures;
    assert_eq!(failures.len() as u64, logins - 1, "{failures:?}");
    assert!(parent.stored().is_some());
    figure(
        &row,
        &format!("processes={processes} logins={logins} failed=0"),
    );
}

// P10
#[test]
fn redis_is_emptied_between_logins() {
    loses_the_record("emptied", false, 1, |redis| redis.command(&["FLUSHALL"]));
}

// P10
#[test]
fn redis_is_emptied_in_a_login() {
    loses_the_record("emptied_in_login", true, 2, |redis| {
        redis.command(&["FLUSHALL"])
    });
}

// P10
#[test]
fn redis_evicts_the_record() {
    loses_the_record("evicted", false, 1, |redis| {
        let evict = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
        let () = redis.command(&evict);
        let () = redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
        while redis.command::<u64>(&["DBSIZE"]) > 0 {}
        let () = redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    });
}

#[derive(Clone, Copy, PartialEq)]
enum Stop {
    BeforeTheLogin,
    InTheLogin,
}

// P10
#[test]
fn redis_that_is_slow_costs_a_login_its_budget_before_and_after() {
    let Some(redis) = Redis::start("P10-slow", &[]) else {
        return;
    };
    let pid = redis.pid();
    let mut parent = redis.parent(CONCURRENT);
    let mut process = parent.start();
    let mut call = |stops: Option<Stop>| {
        let stop = |process: &mut Process| {
            redis.signal("-STOP", &pid);
            process.tell("clock runs");
        };
        parent.issuer().revoke();
        if stops == Some(Stop::BeforeTheLogin) {
            stop(&mut process);
        }
        let mut before = None;
        let mut start = Instant::now();
        process.tell("call 1");
        let (mut failures, mut recovered) = (Vec::new(), false);
        loop {
            match parent.event() {
                Event::Login(grant) => {
                    if stops == Some(Stop::InTheLogin) {
                        stop(&mut process);
                    }
                    before = Some(start.elapsed());
                    start = Instant::now();
                    parent.answer(grant);
                }
                Event::Gone(_) => panic!("it has failed"),
                Event::Said(_, said) => match &*said {
                    "done 0" => break,
                    "store recovered" => recovered = true,
                    _ => failures.push(said),
                },
            }
        }
        let after = start.elapsed();
        process.tell("clock stands");
        if stops.is_some() {
            redis.signal("-CONT", &pid);
        }
        if stops == Some(Stop::InTheLogin) {
            redis.end_leases(); // it was not unlocked
        }
        (before.unwrap(), after, failures, recovered)
    };
    let is_late = |failures: &[String]| match failures {
        [failure] => failure.ends_with("no answer within 250ms"),
        _ => false,
    };
    call(None);
    let (before, _, failures, _) = call(Some(Stop::BeforeTheLogin));
    assert!(is_late(&failures), "{failures:?}");
    let (_, _, failures, recovered) = call(None);
    assert!(failures.is_empty() && recovered, "{failures:?}");
    let (_, after, failures, _) = call(Some(Stop::InTheLogin));
    assert!(is_late(&failures), "{failures:?}");
    let (_, _, failures, recovered) = call(None);
    assert!(failures.is_empty() && recovered, "{failures:?}");
    assert_eq!(parent.issuer().logins(), 5);
    figure(
        "P10-slow",
        &format!(
            "failed=0 before_the_login~={}ms after_the_login~={}ms",
            before.as_millis(),
            after.as_millis()
        ),
    );
}
