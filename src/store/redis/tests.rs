use std::sync::Mutex;

use super::*;

fn key() -> RecordKey {
    RecordKey::new("https://issuer.example", "user-7", "read")
}

/// A store whose function returns this reply.
fn replying(reply: &[&str]) -> RedisStore {
    let reply: Vec<Vec<u8>> = reply.iter().map(|&it| it.into()).collect();
    RedisStore::new(move |_| {
        let reply = reply.clone();
        async { Ok(reply) }
    })
}

#[test]
fn a_reply_that_makes_no_sense_is_an_error() {
    let owner = || Lock::new(key(), Owner("owner".into()));
    let record = || SealedRecord::from_bytes(vec![1]);
    let revision = "0123456789abcdef0123456789abcdef";
    let replies: [&[&str]; 8] = [
        &[],
        &[""],
        &["OK"],
        &["stored"],
        &["stored", revision, "17"],
        &["stored", revision, "-1", "record"],
        &["stored", revision, "1e3", "record"],
        &["stored", revision, "17", "record", "more"],
    ];
    tokio_test::block_on(async {
        for reply in replies {
            let store = replying(reply);
            let lease = Duration::from_secs(40);
            let errors = [
                store.read(key()).await.unwrap_err(),
                store.lock(key(), lease).await.unwrap_err(),
                store.publish(&owner(), None, record()).await.unwrap_err(),
                store.remove(&owner()).await.unwrap_err(),
                store.unlock(owner()).await.unwrap_err(),
            ];
            for error in errors {
                assert!(
                    !error.is_damaged() && !error.is_other_version(),
                    "{reply:?}"
                );
            }
        }
        let stored = replying(&["stored", revision, "17", "record"]);
        let stored = stored.read(key()).await.unwrap().unwrap();
        assert_eq!(stored.age(), Some(Duration::from_millis(17)));
    });
}

#[test]
fn a_lock_of_another_store_or_a_long_record_is_refused_without_a_call() {
    let store = RedisStore::new(|script| async move { panic!("{script:?}") });
    tokio_test::block_on(async {
        let other = Lock::new(key(), 17_u64);
        let record = SealedRecord::from_bytes(vec![1]);
        assert!(store.publish(&other, None, record).await.is_err());
        assert!(store.remove(&other).await.is_err());
        assert!(store.unlock(other).await.is_err());
        let own = Lock::new(key(), Owner("owner".into()));
        let record = SealedRecord::from_bytes(vec![1; LONGEST + 1]);
        assert!(store.publish(&own, None, record).await.is_err());
    });
}

// The keys are those of the first version: another one must find the same record.
#[test]
fn all_keys_of_an_account_have_its_hash_tag() {
    let scripts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&scripts);
    let store = RedisStore::new(move |script| {
        seen.lock().unwrap().push(script);
        async { Err("no Redis".into()) }
    });
    let named = store.clone().with_prefix("team-a:");
    tokio_test::block_on(async {
        let lease = Duration::ZERO;
        for store in [store, named] {
            let lock = Lock::new(key(), Owner("owner".into()));
            let record = SealedRecord::from_bytes(b"canary".to_vec());
            assert!(store.read(key()).await.is_err());
            assert!(store.lock(key(), lease).await.is_err());
            assert!(store.publish(&lock, None, record).await.is_err());
            assert!(store.remove(&lock).await.is_err());
            assert!(store.unlock(lock).await.is_err());
        }
    });
    let scripts = scripts.lock().unwrap();
    let expected: [(&str, &[&str]); 5] = [
        (READ, &["record"]),
        (LOCK, &["lock", "last"]),
        (PUBLISH, &["record", "last"]),
        (REMOVE, &["record", "last"]),
        (UNLOCK, &["lock", "last"]),
    ];
    assert_eq!(scripts.len(), 10);
    for (index, script) in scripts.iter().enumerate() {
        let (text, keys) = expected[index % 5];
        let prefix = if index < 5 {
            "tower-bearer:"
        } else {
            "team-a:"
        };
        let keys = keys
            .iter()
            .map(|what| format!("{prefix}{{{}}}:{what}", key()));
        assert_eq!(script.text(), text);
        assert_eq!(script.keys(), Vec::from_iter(keys));
        assert!(!format!("{script:?}").contains("canary"));
    }
    let arguments = scripts[2].arguments();
    assert_eq!(arguments.len(), 4, "no previous revision");
    assert_eq!(arguments.last(), Some(&b"canary"[..]));
}

#[test]
fn a_lock_without_a_lease_has_the_shortest() {
    let store = RedisStore::new(|script| async move {
        assert_eq!(script.arguments().last(), Some(&b"1"[..]));
        Ok(vec![b"held".to_vec()])
    });
    let attempt = tokio_test::block_on(store.lock(key(), Duration::ZERO));
    assert!(matches!(attempt, Ok(LockAttempt::Held)));
}
