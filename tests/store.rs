//! Records and the store in memory.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::runtime::{Builder, Runtime};
use tokio_test::{assert_pending, assert_ready, task};
use tower_bearer::{
    BoxError, Credential,
    store::{
        CredentialStore, LockAttempt, MemoryStore, Record, RecordKey, Revision, Seal, SealedRecord,
        Stored,
    },
    test_util::{TestClock, store_conformance},
};

const LEASE: Duration = Duration::from_secs(40);

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn key(account: &str) -> RecordKey {
    RecordKey::new("https://issuer.example", account, "")
}

#[test]
fn the_store_in_memory_keeps_the_rules() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let rules = runtime().block_on(store_conformance(
        async || Arc::new(store.clone()) as Arc<dyn CredentialStore>,
        LEASE,
        async |time| clock.advance(time),
    ));
    println!("figure: store_rules-memory rules={rules} broken=0");
}

#[test]
fn a_record_that_is_published_again_does_not_live_longer() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    runtime().block_on(async {
        let LockAttempt::Acquired(lock) = store.lock(key("a"), LEASE).await.unwrap() else {
            panic!("nobody else has the lock")
        };
        let hour = Duration::from_secs(3600);
        let credential = Credential::new("abc").unwrap().with_lifetime(hour);
        let now = SystemTime::now();
        let record = Record::new(&credential, now).seal(key("a"), None).unwrap();
        store.publish(&lock, None, record).await.unwrap();
        for quarters in 1..=4 {
            clock.advance(hour / 4);
            let stored = store.read(key("a")).await.unwrap().unwrap();
            let record = stored.open(key("a"), None).unwrap();
            let left = record.credential(now).lifetime().unwrap();
            assert_eq!(left, hour - quarters * hour / 4);
            let again = record.without_refresh_token().seal(key("a"), None).unwrap();
            store
                .publish(&lock, Some(stored.revision()), again)
                .await
                .unwrap();
        }
    });
}

// P11
#[test]
fn the_age_of_a_record_is_by_the_clock_of_the_store() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    runtime().block_on(async {
        let LockAttempt::Acquired(lock) = store.lock(key("a"), LEASE).await.unwrap() else {
            panic!("nobody else has the lock")
        };
        let hour = Duration::from_secs(3600);
        let credential = Credential::new("abc").unwrap().with_lifetime(hour);
        let (now, mut lifetimes) = (SystemTime::now(), BTreeSet::new());
        let record = Record::new(&credential, now).seal(key("a"), None).unwrap();
        store.publish(&lock, None, record).await.unwrap();
        clock.advance(hour / 4);
        let stored = store.read(key("a")).await.unwrap().unwrap();
        for now in [now - 2 * hour, now - hour, now, now + hour, now + 2 * hour] {
            let record = stored.open(key("a"), None).unwrap();
            lifetimes.insert(record.credential(now).lifetime().unwrap());
        }
        assert_eq!(Vec::from_iter(lifetimes), [hour * 3 / 4]);
    });
    println!("figure: P11 wall_clocks=5 lifetimes=1");
}

#[test]
fn waiting_processes_are_told_of_changes() {
    let store = MemoryStore::new();
    runtime().block_on(async {
        let changed = || task::spawn(store.changed(key("a")).unwrap());
        let mut before = changed();
        assert_pending!(before.poll());
        let LockAttempt::Acquired(lock) = store.lock(key("a"), LEASE).await.unwrap() else {
            panic!("nobody else has the lock")
        };
        let record = SealedRecord::from_bytes(vec![1]);
        // Registered by the call, and not by its first poll.
        let mut unpolled = changed();
        store.publish(&lock, None, record).await.unwrap();
        assert_ready!(before.poll());
        assert_ready!(unpolled.poll());
        let mut removed = changed();
        assert!(store.remove(&lock).await.unwrap());
        assert_ready!(removed.poll());
        let mut unlocked = changed();
        assert_pending!(unlocked.poll());
        store.unlock(lock).await.unwrap();
        assert_ready!(unlocked.poll());
    });
}

/// Not encryption: it shows what reaches a seal.
struct Reversed(u8);

impl Seal for Reversed {
    fn seal(&self, key: RecordKey, plain: &[u8]) -> Result<Vec<u8>, BoxError> {
        let mut sealed = plain.to_vec();
        sealed.reverse();
        sealed.push(self.0);
        sealed.extend(key.as_bytes());
        Ok(sealed)
    }

    fn open(&self, key: RecordKey, sealed: &[u8]) -> Result<Vec<u8>, BoxError> {
        let sealed = sealed.strip_suffix(key.as_bytes()).ok_or("other account")?;
        let mut plain = sealed.strip_suffix(&[self.0]).ok_or("other key")?.to_vec();
        plain.reverse();
        Ok(plain)
    }
}

// P13
#[test]
fn a_record_of_another_account_or_seal_is_not_opened() {
    let credential = Credential::new("abc").unwrap();
    let record = Record::new(&credential, SystemTime::now());
    let seals: [Option<&dyn Seal>; 3] = [None, Some(&Reversed(1)), Some(&Reversed(2))];
    let keys = [
        key("a"),
        key("b"),
        RecordKey::new("https://staging.example", "a", ""),
        RecordKey::new("https://issuer.example", "a", "read"),
    ];
    let (mut opened, mut tried) = (0, 0);
    for (sealed_by, seal) in seals.iter().enumerate() {
        for sealed_for in keys {
            let sealed = record.seal(sealed_for, *seal).unwrap();
            let stored = Stored::new(Revision::new(*b"1"), sealed);
            for (opened_by, seal) in seals.iter().enumerate() {
                for key in keys {
                    tried += 1;
                    let is_right = sealed_by == opened_by && sealed_for == key;
                    let outcome = stored.open(key, *seal);
                    assert_eq!(outcome.is_ok(), is_right);
                    opened += usize::from(is_right);
                    // The bytes of a seal may begin with any version.
                    let problem = outcome.err();
                    assert!(problem.is_none_or(|it| it.is_damaged() || it.is_other_version()));
                }
            }
        }
    }
    assert_eq!((opened, tried), (12, 144));
    println!("figure: P13 openings={tried} right={opened} mix_ups=0");
}
