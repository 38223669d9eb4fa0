//! The store in Redis, at a `redis-server` that the tests start on a free port of 127.0.0.1.
//!
//! `.ci/run servers` installs it. Where it is missing, the tests say so and do not count.

#![cfg(unix)]

#[allow(dead_code, reason = "the tests of other servers use the rest")]
#[path = "servers/process.rs"]
mod process;
#[allow(dead_code, reason = "the processes of a fleet use the rest")]
#[path = "servers/redis_server.rs"]
mod redis_server;
#[path = "support/stopped.rs"]
mod stopped;

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::ConnectionManagerConfig;
use tokio::{runtime::Builder, time::timeout};
use tower_bearer::{
    store::{
        CredentialStore, Lock, LockAttempt, Publication, RecordKey, RedisStore, Revision,
        SealedRecord, StoreError,
    },
    test_util::store_conformance,
};

use redis_server::{COPIES_AT_ONCE, Server, is_installed, over, over_times};

const CANARY: &str = "canaryTOKEN.81c5f0aa~q";
const LEASE: Duration = Duration::from_secs(40);

/// Runs a test at a Redis of its own. Returns false if there is none.
fn with_redis(settings: &[&str], test: impl AsyncFnOnce(&mut Server)) -> bool {
    if !is_installed() {
        println!("skipped: redis-server is not installed; .ci/run servers installs it");
        return false;
    }
    let mut server = Server::start(settings);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(&mut server));
    true
}

fn figure(row: &str, is_measured: bool, values: String) {
    match is_measured {
        true => println!("figure: {row} {values}"),
        false => println!("figure: {row} not measured: redis-server is not installed"),
    }
}

fn key() -> RecordKey {
    RecordKey::new("https://issuer.example", "user-7", "")
}

fn name(what: &str) -> String {
    format!("tower-bearer:{{{}}}:{what}", key())
}

async fn acquire(store: &RedisStore) -> Lock {
    match store.lock(key(), LEASE).await.unwrap() {
        LockAttempt::Acquired(lock) => lock,
        other => panic!("nobody else has the lock: {other:?}"),
    }
}

/// The new revision, or `None` if the publication is refused.
async fn publish(
    store: &RedisStore,
    lock: &Lock,
    previous: Option<&Revision>,
) -> Result<Option<Revision>, StoreError> {
    let record = SealedRecord::from_bytes(CANARY.into());
    match store.publish(lock, previous, record).await? {
        Publication::Published(revision) => Ok(Some(revision)),
        _ => Ok(None),
    }
}

/// The revision that is stored. The record is the canary.
async fn read(store: &RedisStore) -> Result<Option<Revision>, StoreError> {
    let stored = store.read(key()).await?;
    Ok(stored.map(|stored| {
        assert_eq!(stored.record().expose(), CANARY.as_bytes());
        stored.revision().clone()
    }))
}

/// The text of an error of the store, which is neither about the record nor has it.
fn failed<T>(outcome: Result<T, StoreError>) -> String {
    let Err(error) = outcome else {
        panic!("it has not failed")
    };
    assert!(
        !error.is_damaged() && !error.is_other_version(),
        "{error:?}"
    );
    let text = format!("{error:?}");
    assert!(!text.contains("canary"), "{text}");
    text
}

#[test]
fn the_store_in_redis_keeps_the_rules() {
    let mut rules = 0;
    let is_measured = with_redis(&[], async |server| {
        let open = async || server.store();
        rules = store_conformance(open, LEASE, async |time| server.pass(time).await).await;
    });
    figure(
        "store_rules-redis",
        is_measured,
        format!("rules={rules} broken=0"),
    );
}

/// A client sends a script again if it has lost the reply.
#[test]
fn a_script_that_runs_twice_acts_once() {
    with_redis(&[], async |server| {
        let open = async || over_times(2, server.manager(""));
        store_conformance(open, LEASE, async |time| server.pass(time).await).await;
    });
}

// P4
#[test]
fn a_late_holder_changes_nothing_once_another_has_acquired_the_lock() {
    with_redis(&[], async |server| {
        let (one, other) = (server.store(), server.store());
        for is_unlocked in [false, true] {
            let late = acquire(&one).await;
            let before = read(&one).await.unwrap();
            server.pass(LEASE).await;
            let lock = acquire(&other).await;
            let lock = if is_unlocked {
                other.unlock(lock).await.unwrap();
                None
            } else {
                Some(lock)
            };
            let refused = publish(&one, &late, before.as_ref()).await.unwrap();
            assert_eq!(refused, None);
            assert!(!one.remove(&late).await.unwrap());
            one.unlock(late).await.unwrap();
            assert_eq!(read(&one).await.unwrap(), before);
            if let Some(lock) = lock {
                let attempt = one.lock(key(), LEASE).await.unwrap();
                assert!(matches!(attempt, LockAttempt::Held));
                let new = publish(&other, &lock, before.as_ref()).await.unwrap();
                assert!(new.is_some());
                other.unlock(lock).await.unwrap();
            }
        }
    });
}

#[test]
fn an_unlocked_account_has_one_key_and_a_lock_has_its_lease() {
    with_redis(&[], async |server| {
        let store = server.store();
        let lock = acquire(&store).await;
        publish(&store, &lock, None).await.unwrap().unwrap();
        let left: u64 = server.command(&["PTTL", &name("lock")]).await;
        assert!((1..=40_000).contains(&left), "{left}");
        let forever: i64 = server.command(&["PTTL", &name("last")]).await;
        assert_eq!(forever, -1);
        store.unlock(lock).await.unwrap();
        let keys: Vec<String> = server.command(&["KEYS", "*"]).await;
        assert_eq!(keys, [name("record")]);

        // Another prefix is another store.
        let other = server.store().with_prefix("other:");
        assert!(read(&other).await.unwrap().is_none());
        let held = acquire(&other).await;
        let lock = acquire(&store).await;
        assert!(store.remove(&lock).await.unwrap());
        assert!(publish(&other, &held, None).await.unwrap().is_some());
        assert!(read(&store).await.unwrap().is_none());
    });
}

#[test]
fn a_record_of_64_kib_is_kept_and_a_longer_one_is_not_read() {
    with_redis(&[], async |server| {
        let store = server.store();
        let lock = acquire(&store).await;
        let record = |length| SealedRecord::from_bytes(vec![7; length]);
        let longest = 64 * 1024;
        store.publish(&lock, None, record(longest)).await.unwrap();
        let stored = store.read(key()).await.unwrap().unwrap();
        assert_eq!(stored.record().expose().len(), longest);
        failed(store.publish(&lock, None, record(longest + 1)).await);
        let longer = "x".repeat(longest + 1);
        let _: i64 = server
            .command(&["HSET", &name("record"), "record", &longer])
            .await;
        assert!(store.read(key()).await.unwrap_err().is_damaged());
    });
}

// P11
#[test]
fn the_age_of_a_record_is_by_the_clock_of_redis() {
    with_redis(&[], async |server| {
        let store = server.store();
        let lock = acquire(&store).await;
        let now = async || {
            let (seconds, _): (u64, u64) = server.command(&["TIME"]).await;
            seconds
        };
        let before = now().await;
        publish(&store, &lock, None).await.unwrap().unwrap();
        let at: u64 = server.command(&["HGET", &name("record"), "at"]).await;
        let after = now().await;
        assert!((before..=after).contains(&(at / 1000)), "milliseconds");
        let age = async || store.read(key()).await.unwrap().unwrap().age().unwrap();
        let hour = Duration::from_secs(3600);
        assert!(age().await < hour);
        let record = name("record");
        let later = async |milliseconds: &str| {
            let shift = ["HINCRBY", &record, "at", milliseconds];
            let _: i64 = server.command(&shift).await;
        };
        later("-3600000").await;
        assert!((hour..2 * hour).contains(&age().await));
        later("7200000").await; // the clock was set back
        assert_eq!(age().await, Duration::ZERO);
    });
}

// P6
#[test]
fn what_is_no_record_is_damaged_and_is_replaced() {
    let mut cases = 0;
    let is_measured = with_redis(&[], async |server| {
        let store = server.store();
        let record = name("record");
        let long = "1".repeat(16);
        let damages: [&[&str]; 12] = [
            &["SET", "text"],
            &["RPUSH", "text"],
            &["SADD", "text"],
            &["HDEL", "version"],
            &["HDEL", "revision"],
            &["HDEL", "at"],
            &["HDEL", "record"],
            &["HSET", "revision", "17"],
            &["HSET", "at", "yesterday"],
            &["HSET", "at", "nan"],
            &["HSET", "at", ""],
            &["HSET", "at", &long],
        ];
        for damage in damages {
            let lock = acquire(&store).await;
            assert!(store.remove(&lock).await.unwrap());
            let revision = publish(&store, &lock, None).await.unwrap().unwrap();
            if !damage[0].starts_with('H') {
                let _: i64 = server.command(&["DEL", &record]).await;
            }
            let command = [&damage[..1], &[&record], &damage[1..]].concat();
            let _: redis::Value = server.command(&command).await;
            let error = store.read(key()).await.unwrap_err();
            assert!(error.is_damaged(), "{damage:?}: {error:?}");
            // It counts as none, so a publication with another revision is refused.
            let refused = publish(&store, &lock, Some(&revision)).await.unwrap();
            assert_eq!(refused, None, "{damage:?}");
            let new = publish(&store, &lock, None).await.unwrap();
            assert!(new.is_some() && new != Some(revision), "{damage:?}");
            assert_eq!(read(&store).await.unwrap(), new, "{damage:?}");
            store.unlock(lock).await.unwrap();
            cases += 1;
        }
        // Other fields are not read.
        let long = "x".repeat(1024 * 1024);
        let _: i64 = server.command(&["HSET", &record, "more", &long]).await;
        assert!(read(&store).await.unwrap().is_some());
    });
    figure(
        "redis_faults-damaged",
        is_measured,
        format!("cases={cases} used=0 panics=0"),
    );
}

// P15
#[test]
fn a_record_of_another_version_is_neither_used_nor_replaced() {
    with_redis(&[], async |server| {
        let store = server.store();
        let lock = acquire(&store).await;
        let revision = publish(&store, &lock, None).await.unwrap().unwrap();
        let record = name("record");
        let _: i64 = server.command(&["HSET", &record, "version", "2"]).await;
        let before: Vec<String> = server.command(&["HGETALL", &record]).await;
        for previous in [None, Some(&revision)] {
            let error = store.read(key()).await.unwrap_err();
            assert!(error.is_other_version(), "{error:?}");
            let error = publish(&store, &lock, previous).await.unwrap_err();
            assert!(error.is_other_version(), "{error:?}");
        }
        let after: Vec<String> = server.command(&["HGETALL", &record]).await;
        assert_eq!(before, after);
    });
}

// P10
#[test]
fn a_fault_of_redis_is_an_error_or_no_record() {
    let mut faults = 0;
    let is_measured = with_redis(&[], async |server| {
        let store = server.store();
        let lock = acquire(&store).await;
        let first = publish(&store, &lock, None).await.unwrap();

        // Emptied. The lock is lost too.
        let () = server.command(&["FLUSHALL"]).await;
        assert_eq!(read(&store).await.unwrap(), None);
        assert_eq!(publish(&store, &lock, first.as_ref()).await.unwrap(), None);
        assert_eq!(publish(&store, &lock, None).await.unwrap(), None);
        assert!(!store.remove(&lock).await.unwrap());
        store.unlock(lock).await.unwrap();
        let lock = acquire(&store).await;
        let second = publish(&store, &lock, None).await.unwrap();
        assert_ne!(first, second);
        faults += 1;

        // Full, without an eviction: the previous record stays.
        let () = server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
        let text = failed(publish(&store, &lock, second.as_ref()).await);
        assert!(text.contains("OOM") || text.contains("memory"), "{text}");
        assert_eq!(read(&store).await.unwrap(), second);
        store.unlock(lock).await.unwrap();
        failed(store.lock(key(), LEASE).await);
        faults += 1;

        // Full, with an eviction.
        let evict = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
        let () = server.command(&evict).await;
        assert_eq!(read(&store).await.unwrap(), None);
        let () = server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
        let lock = acquire(&store).await;
        let third = publish(&store, &lock, None).await.unwrap();
        assert!(third.is_some() && third != second);
        faults += 1;

        // A replica, as after a failover.
        let () = server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
        let text = failed(publish(&store, &lock, third.as_ref()).await);
        assert!(text.contains("read only replica"), "{text}");
        failed(store.remove(&lock).await);
        failed(store.lock(key(), LEASE).await);
        assert_eq!(read(&store).await.unwrap(), third);
        let stale = ["CONFIG", "SET", "replica-serve-stale-data", "no"];
        let () = server.command(&stale).await;
        failed(read(&store).await);
        let () = server.command(&["REPLICAOF", "NO", "ONE"]).await;
        assert_eq!(read(&store).await.unwrap(), third);
        faults += 1;

        // A password that the client does not know.
        let mut known = server.manager("");
        let mut password = async |password| {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("requirepass").arg(password);
            set.query_async::<()>(&mut known).await.unwrap();
        };
        password("secret").await;
        let strangers = ["", ":wrong@"].map(|user| over(server.manager(user)));
        for stranger in &strangers {
            failed(read(stranger).await);
            failed(stranger.lock(key(), LEASE).await);
            failed(publish(stranger, &lock, third.as_ref()).await);
        }
        assert_eq!(read(&store).await.unwrap(), third);
        // The docs of the store say so of redis-rs: the connection with the wrong password stays useless.
        password("wrong").await;
        failed(read(&strangers[1]).await);
        let new = over(server.manager(":wrong@"));
        assert_eq!(read(&new).await.unwrap(), third);
        faults += 1;

        // It goes down, and is restarted with another content: nothing.
        server.stop();
        let new = server.store();
        for store in [&store, &new] {
            failed(read(store).await);
            failed(store.lock(key(), LEASE).await);
            failed(publish(store, &lock, third.as_ref()).await);
            failed(store.remove(&lock).await);
        }
        failed(new.unlock(lock).await);
        server.run(&[], "Ready to accept connections").unwrap();
        // An attempt to connect that began before may still fail.
        let mut restarted = read(&store).await;
        for _ in 0..100 {
            if restarted.is_ok() {
                break;
            }
            restarted = read(&store).await;
        }
        assert_eq!(restarted.unwrap(), None);
        let lock = acquire(&store).await;
        let fourth = publish(&store, &lock, None).await.unwrap();
        assert!(fourth.is_some() && fourth != third);
        assert_eq!(read(&new).await.unwrap(), fourth);
        faults += 2;
    });
    figure(
        "redis_faults",
        is_measured,
        format!("faults={faults} wrong_records=0 panics=0"),
    );
}

// P10
#[test]
fn after_a_failover_a_publication_that_was_lost_is_not_built_upon() {
    with_redis(&COPIES_AT_ONCE, async |primary| {
        let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
        let (old, new) = (primary.store(), replica.store());
        let lock = acquire(&old).await;
        let first = publish(&old, &lock, None).await.unwrap();
        // Until it has synchronized, it is loading.
        while !matches!(read(&new).await, Ok(revision) if revision == first) {}
        let () = replica.command(&["REPLICAOF", "NO", "ONE"]).await;
        let second = publish(&old, &lock, first.as_ref()).await.unwrap();
        assert!(second.is_some());
        primary.stop();

        // The older record is back, and so is the lock.
        assert_eq!(read(&new).await.unwrap(), first);
        let refused = publish(&new, &lock, second.as_ref()).await.unwrap();
        assert_eq!(refused, None);
        let third = publish(&new, &lock, first.as_ref()).await.unwrap();
        assert!(third.is_some() && third != second);
        assert_eq!(read(&new).await.unwrap(), third);
    });
}

// P10
#[test]
fn redis_that_is_loading_is_an_error() {
    let mut errors = 0;
    let is_measured = with_redis(&["--rdbcompression", "no"], async |server| {
        let store = server.store();
        let lock = acquire(&store).await;
        let revision = publish(&store, &lock, None).await.unwrap();
        let fill =
            "for n = 1, 10000 do redis.call('SET', 'filler:' .. n, string.rep('x', 1024)) end";
        let () = server.command(&["EVAL", fill, "0"]).await;
        let () = server.command(&["SAVE"]).await;
        server.stop();
        // It loads for 100 s, and answers after each KiB.
        let slow = [
            "--key-load-delay",
            "10000",
            "--loading-process-events-interval-bytes",
            "1024",
        ];
        server.run(&slow, "Server initialized").unwrap();
        let store = server.store();
        for text in [
            failed(read(&store).await),
            failed(store.lock(key(), LEASE).await),
            failed(publish(&store, &lock, revision.as_ref()).await),
            failed(store.remove(&lock).await),
        ] {
            assert!(text.contains("loading"), "{text}");
            errors += 1;
        }
        failed(store.unlock(lock).await);
        errors += 1;
    });
    figure(
        "redis_faults-loading",
        is_measured,
        format!("calls=5 errors={errors}"),
    );
}

// P10
#[test]
fn what_a_stopped_redis_was_sent_may_still_be_published() {
    with_redis(&[], async |server| {
        let store = server.store();
        let lock = acquire(&store).await;
        let client = server.client("");
        let mut impatient = client.get_multiplexed_async_connection().await.unwrap();
        impatient.set_response_timeout(Duration::from_millis(1));
        let impatient = over(impatient);
        // The script is known: a client that gives up does not send its text.
        let other = RecordKey::new("https://issuer.example", "user-8", "");
        let LockAttempt::Acquired(warm) = store.lock(other, LEASE).await.unwrap() else {
            panic!("nobody else has the lock")
        };
        publish(&store, &warm, None).await.unwrap().unwrap();
        let pid = server.pid().await;
        server.signal("-STOP", &pid);
        failed(publish(&impatient, &lock, None).await);
        failed(read(&impatient).await);
        server.signal("-CONT", &pid);
        // Redis answers whom it likes first.
        for _ in 0..1000 {
            if read(&store).await.unwrap().is_some() {
                return;
            }
        }
        panic!("it was not published");
    });
}

#[test]
fn an_unknown_command_does_not_print_the_record() {
    with_redis(&["--rename-command", "EVALSHA", ""], async |server| {
        // Such an error has the first arguments.
        let text: Result<(), _> = server.try_command(&["EVALSHA", CANARY]).await;
        assert!(text.unwrap_err().to_string().contains(CANARY));
        let store = server.store().with_prefix("");
        let own = RedisStore::new(|_| async { Ok(vec![b"acquired".to_vec()]) });
        let lock = acquire(&own).await;
        let text = failed(publish(&store, &lock, None).await);
        assert!(text.contains("unknown command"), "{text}");
    });
}

#[test]
fn the_documented_permissions_suffice() {
    let source = include_str!("../src/store/redis.rs");
    let (_, rules) = source
        .split_once("ACL SETUSER bearer on >PASSWORD")
        .unwrap();
    let (rules, _) = rules.split_once("```").unwrap();
    let rules: Vec<_> = rules.split_whitespace().filter(|it| *it != "///").collect();
    with_redis(&[], async |server| {
        let user = [&["ACL", "SETUSER", "bearer", "on", ">secret"], &rules[..]].concat();
        let () = server.command(&user).await;
        let store = over(server.manager("bearer:secret@"));
        // Redis keeps the scripts of other users.
        let () = server.command(&["SCRIPT", "FLUSH"]).await;
        let lock = acquire(&store).await;
        let revision = publish(&store, &lock, None).await.unwrap();
        assert_eq!(read(&store).await.unwrap(), revision);
        let denied: Vec<redis::Value> = server.command(&["ACL", "LOG"]).await;
        assert!(denied.is_empty(), "{denied:?}");
        // The message is only a hint.
        let () = server
            .command(&["ACL", "SETUSER", "bearer", "-publish"])
            .await;
        let revision = publish(&store, &lock, revision.as_ref()).await.unwrap();
        assert_eq!(read(&store).await.unwrap(), revision);
        assert!(store.remove(&lock).await.unwrap());
        store.unlock(lock).await.unwrap();
        // Each of the others is needed.
        for rule in rules.iter().filter(|rule| rule.starts_with('+')) {
            if *rule == "+publish" {
                continue;
            }
            let () = server.command(&["SCRIPT", "FLUSH"]).await;
            let without = rule.replace('+', "-");
            let () = server
                .command(&["ACL", "SETUSER", "bearer", &without])
                .await;
            let outcome = async {
                let lock = match store.lock(key(), LEASE).await? {
                    LockAttempt::Acquired(lock) => lock,
                    _ => return Err(StoreError::new("held")),
                };
                publish(&store, &lock, None).await?;
                read(&store).await?;
                store.remove(&lock).await?;
                store.unlock(lock).await
            };
            assert!(outcome.await.is_err(), "{rule}");
            let () = server.command(&["ACL", "SETUSER", "bearer", rule]).await;
            let () = server.command(&["FLUSHALL"]).await;
        }
    });
}

/// A Cluster of one node has the same rules about hash slots.
#[test]
fn all_keys_of_an_account_are_in_one_hash_slot() {
    with_redis(&["--cluster-enabled", "yes"], async |server| {
        let all = ["CLUSTER", "ADDSLOTSRANGE", "0", "16383"];
        let () = server.command(&all).await;
        while !server
            .command::<String>(&["CLUSTER", "INFO"])
            .await
            .contains("cluster_state:ok")
        {}
        let two = server
            .try_command(&["EVAL", "return 1", "2", "a", "b"])
            .await;
        let two: Result<i64, _> = two;
        assert!(two.unwrap_err().to_string().contains("slot"));
        let store = server.store();
        let lock = acquire(&store).await;
        let revision = publish(&store, &lock, None).await.unwrap();
        assert_eq!(read(&store).await.unwrap(), revision);
        assert!(store.remove(&lock).await.unwrap());
        store.unlock(lock).await.unwrap();
    });
}

/// Acts when the subscriber is there, and waits for the message.
async fn reports(
    server: &Server,
    store: &RedisStore,
    act: impl Future<Output = Result<(), StoreError>>,
) {
    let until_subscribers = async |expected| {
        let asked = ["PUBSUB", "NUMSUB", &name("changed")];
        while expected != server.command::<(String, u64)>(&asked).await.1 {}
    };
    until_subscribers(0).await; // the previous one has gone
    let changed = tokio::spawn(store.changed(key()).unwrap());
    until_subscribers(1).await;
    act.await.unwrap();
    let told = timeout(Duration::from_secs(60), changed).await;
    told.expect("no message").unwrap();
}

#[test]
fn a_message_reports_each_change() {
    with_redis(&[], async |server| {
        let client = server.client("");
        let store = server.store();
        assert!(store.changed(key()).is_none(), "it has no subscriber");
        let store = store.with_changes(move |channel| {
            let client = client.clone();
            async move {
                let mut subscriber = client.get_async_pubsub().await.unwrap();
                subscriber.subscribe(channel).await.unwrap();
                subscriber.on_message().next().await.unwrap();
            }
        });
        let lock = acquire(&store).await;
        let published = async { publish(&store, &lock, None).await.map(drop) };
        reports(server, &store, published).await;
        let removed = async { store.remove(&lock).await.map(drop) };
        reports(server, &store, removed).await;
        reports(server, &store, store.unlock(lock)).await;
    });
}

// The docs of the store name them.
#[test]
fn the_defaults_of_redis_rs_are_those_of_the_docs() {
    let defaults = format!("{:?}", ConnectionManagerConfig::new());
    for default in [
        "response_timeout: Some(500ms)",
        "connection_timeout: Some(1s)",
        "number_of_retries: 6",
    ] {
        assert!(defaults.contains(default), "{defaults}");
    }
}
