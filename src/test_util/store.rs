//! The rules of a credential store, as a test.

use std::{sync::Arc, time::Duration};

use crate::store::{
    CredentialStore, Lock, LockAttempt, Publication, RecordKey, Revision, SealedRecord,
};

/// Checks that a store keeps the rules of [`CredentialStore`]. Returns the number of rules.
///
/// `open` returns a store that shares its records with the others that it returns, as that of another process
/// does. `pass` lets so much time pass for the leases. Each rule has accounts of its own with random names, so
/// the store need not be empty.
///
/// # Panics
///
/// If a rule is broken, or a call fails. The message names the rule. Also outside of a Tokio runtime.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{store::MemoryStore, test_util::{TestClock, store_conformance}};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let clock = TestClock::new();
/// let store = MemoryStore::with_clock(clock.clone());
/// let lease = Duration::from_secs(40); // shorter if the clock of the store cannot be moved
/// let rules =
///     store_conformance(async || store.clone(), lease, async |time| clock.advance(time)).await;
/// assert_eq!(rules, 10);
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
pub async fn store_conformance<S: CredentialStore>(
    open: impl AsyncFn() -> S,
    lease: Duration,
    pass: impl AsyncFn(Duration),
) -> usize {
    let mut suite = Suite {
        one: Arc::new(open().await),
        other: Arc::new(open().await),
        lease,
        run: fastrand::u64(..),
        rules: 0,
        accounts: 0,
    };
    suite.records().await;
    suite.revisions().await;
    suite.removals().await;
    suite.locks(&open).await;
    suite.late_holders(&pass).await;
    suite.accounts().await;
    suite.readers().await;
    suite.rules
}

struct Suite<S> {
    one: Arc<S>,
    /// Shares the records of the first one.
    other: Arc<S>,
    lease: Duration,
    run: u64,
    rules: usize,
    accounts: usize,
}

impl<S: CredentialStore> Suite<S> {
    fn rule(&mut self, rule: &'static str) -> &'static str {
        self.rules += 1;
        rule
    }

    fn account(&mut self) -> RecordKey {
        self.accounts += 1;
        let account = format!("{}-{}", self.run, self.accounts);
        RecordKey::new("https://conformance.invalid", &account, "")
    }

    async fn acquire(&self, store: &S, key: RecordKey, rule: &str) -> Lock {
        match store.lock(key, self.lease).await.expect(rule) {
            LockAttempt::Acquired(lock) => lock,
            LockAttempt::Held => panic!("{rule}: nobody else has the lock"),
        }
    }

    async fn is_held(&self, store: &S, key: RecordKey) -> bool {
        let attempt = store.lock(key, self.lease).await;
        matches!(attempt.expect("an attempt to lock"), LockAttempt::Held)
    }

    async fn records(&mut self) {
        let rule = self.rule("an account without a record has none");
        let key = self.account();
        assert_eq!(read(&*self.one, key).await, None, "{rule}");

        let rule = self.rule("all read what was published, byte for byte");
        for length in [0, 1, 256, 32 * 1024] {
            let key = self.account();
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let lock = self.acquire(&self.one, key, rule).await;
            let revision = publish(&*self.one, &lock, None, &bytes).await.expect(rule);
            let expected = Some((revision, bytes));
            assert!(read(&*self.one, key).await == expected, "{rule}");
            assert!(read(&*self.other, key).await == expected, "{rule}");
        }
    }

    async fn revisions(&mut self) {
        let rule = self.rule("the record must have the revision that the publisher has read");
        let key = self.account();
        let (one, other) = (&*self.one, &*self.other);
        let lock = self.acquire(one, key, rule).await;
        let unknown = Revision::new(*b"no revision of this store");
        let refused = publish(one, &lock, Some(&unknown), b"a").await;
        assert_eq!(refused, None, "{rule}");
        let first = publish(one, &lock, None, b"a").await.expect(rule);
        assert_eq!(publish(one, &lock, None, b"b").await, None, "{rule}");
        let second = publish(one, &lock, Some(&first), b"a").await.expect(rule);
        assert_ne!(first, second, "{rule}");
        let refused = publish(one, &lock, Some(&first), b"c").await;
        assert_eq!(refused, None, "{rule}");
        let expected = Some((second, b"a".to_vec()));
        assert_eq!(read(other, key).await, expected, "{rule}");
    }

    async fn removals(&mut self) {
        let rule = self.rule("after a removal there is no record, and no revision comes back");
        let key = self.account();
        let (one, other) = (&*self.one, &*self.other);
        let lock = self.acquire(one, key, rule).await;
        let removed = publish(one, &lock, None, b"a").await.expect(rule);
        assert!(one.remove(&lock).await.expect(rule), "{rule}");
        assert_eq!(read(other, key).await, None, "{rule}");
        let refused = publish(one, &lock, Some(&removed), b"b").await;
        assert_eq!(refused, None, "{rule}");
        let next = publish(one, &lock, None, b"a").await.expect(rule);
        assert_ne!(removed, next, "{rule}");
    }

    async fn locks(&mut self, open: impl AsyncFn() -> S) {
        let rule = self.rule("a lock excludes all others until it is unlocked");
        let key = self.account();
        let (one, other) = (&*self.one, &*self.other);
        for (holder, another) in [(one, other), (other, one)] {
            let lock = self.acquire(holder, key, rule).await;
            assert!(self.is_held(holder, key).await, "{rule}");
            assert!(self.is_held(another, key).await, "{rule}");
            holder.unlock(lock).await.expect(rule);
        }

        let rule = self.rule("of many that lock at once, one acquires the lock");
        let (key, lease) = (self.account(), self.lease);
        let mut attempts = Vec::new();
        for _ in 0..8 {
            let store = open().await;
            let attempt = async move { store.lock(key, lease).await };
            attempts.push(tokio::spawn(attempt));
        }
        // Kept until the end: a store may free a lock that is dropped.
        let mut locks = Vec::new();
        for attempt in attempts {
            if let LockAttempt::Acquired(lock) = attempt.await.expect(rule).expect(rule) {
                locks.push(lock);
            }
        }
        assert_eq!(locks.len(), 1, "{rule}");
    }

    async fn late_holders(&mut self, pass: impl AsyncFn(Duration)) {
        let rule = self.rule("whose lock another has acquired after the lease, changes nothing");
        let key = self.account();
        let (one, other) = (&*self.one, &*self.other);
        let late = self.acquire(one, key, rule).await;
        let before = publish(one, &late, None, b"before").await.expect(rule);
        pass(self.lease).await;
        let lock = self.acquire(other, key, rule).await;
        let refused = publish(one, &late, Some(&before), b"late").await;
        assert_eq!(refused, None, "{rule}");
        assert!(!one.remove(&late).await.expect(rule), "{rule}");
        one.unlock(late).await.expect(rule);
        assert!(self.is_held(one, key).await, "{rule}");
        let expected = Some((before.clone(), b"before".to_vec()));
        assert_eq!(read(one, key).await, expected, "{rule}");
        let new = publish(other, &lock, Some(&before), b"new").await;
        assert!(new.is_some(), "{rule}");

        let rule = self.rule("a lock that nobody else has acquired publishes after its lease");
        let key = self.account();
        let lock = self.acquire(&self.one, key, rule).await;
        pass(self.lease).await;
        let late = publish(&*self.one, &lock, None, b"late").await;
        assert!(late.is_some(), "{rule}");
    }

    async fn accounts(&mut self) {
        let rule = self.rule("two accounts share neither a lock nor a record");
        let (first, second) = (self.account(), self.account());
        let (one, other) = (&*self.one, &*self.other);
        let first_lock = self.acquire(one, first, rule).await;
        let second_lock = self.acquire(one, second, rule).await;
        let revision = publish(one, &first_lock, None, b"first").await;
        assert_eq!(read(other, second).await, None, "{rule}");
        let expected = (revision.expect(rule), b"first".to_vec());
        let revision = publish(one, &second_lock, None, b"second").await;
        assert_eq!(read(other, first).await, Some(expected), "{rule}");
        let expected = (revision.expect(rule), b"second".to_vec());
        assert_eq!(read(other, second).await, Some(expected), "{rule}");
        one.unlock(first_lock).await.expect(rule);
        assert!(self.is_held(other, second).await, "{rule}");
    }

    async fn readers(&mut self) {
        let rule = self.rule("a reader sees a record as a whole");
        let key = self.account();
        let lock = self.acquire(&self.one, key, rule).await;
        let mut revision = publish(&*self.one, &lock, None, &[0; 4096]).await;
        let other = Arc::clone(&self.other);
        let reader = tokio::spawn(async move {
            loop {
                let (_, record) = read(&*other, key).await.expect(rule);
                assert!(record.iter().all(|byte| *byte == record[0]), "{rule}");
                if record[0] == 50 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        for version in 1..=50 {
            let bytes = vec![version; 4096 + usize::from(version)];
            revision = publish(&*self.one, &lock, revision.as_ref(), &bytes).await;
            assert!(revision.is_some(), "{rule}");
        }
        reader.await.expect(rule);
    }
}

async fn read(store: &impl CredentialStore, key: RecordKey) -> Option<(Revision, Vec<u8>)> {
    let stored = store.read(key).await.expect("a read");
    stored.map(|stored| (stored.revision().clone(), stored.record().expose().to_vec()))
}

/// The new revision, or `None` if the publication is refused.
async fn publish(
    store: &impl CredentialStore,
    lock: &Lock,
    previous: Option<&Revision>,
    bytes: &[u8],
) -> Option<Revision> {
    let record = SealedRecord::from_bytes(bytes.to_vec());
    match store.publish(lock, previous, record).await {
        Ok(Publication::Published(revision)) => Some(revision),
        Ok(Publication::Refused) => None,
        Err(error) => panic!("a publication failed: {error:?}"),
    }
}
