use http::{Method, Request};

use super::*;
use crate::{
    credential::{Authorization, Credential},
    login::{LoginRequest, login_fn},
    provider::{
        CredentialProvider, KeyedProvider, RequestHead,
        keyed::by_number::MAX_CAPACITY,
        receipt::{Receipt, Rejected},
    },
};

fn provider(capacity: usize) -> KeyedProvider<u32> {
    KeyedProvider::builder(|_: &u32| login_fn(async |_: LoginRequest| Ok(Credential::new("abc")?)))
        .capacity(capacity)
        .build()
}

fn request(key: u32) -> Request<()> {
    Request::get("/").extension(key).body(()).unwrap()
}

async fn acquire(provider: &KeyedProvider<u32>, key: u32) -> Authorization {
    let request = request(key);
    let acquire = provider.acquire_for(RequestHead::of(&request));
    acquire.await.unwrap()
}

fn receipt(authorization: &Authorization) -> Receipt {
    let (generation, account) = (authorization.generation(), authorization.account());
    Receipt::new(generation, account, &Method::GET, "/")
}

/// Runs `between` after a reader has found the account of this key.
fn when_found<T>(
    provider: &KeyedProvider<u32>,
    key: u32,
    between: impl FnOnce(&Account<u32>) -> T,
) -> T {
    let by_key = &provider.0.accounts.by_key;
    by_key.read(&key, by_key.hash(&key), between).unwrap()
}

#[tokio::test]
async fn a_caller_that_finds_an_account_just_before_its_eviction_gets_another_one() {
    let provider = provider(1);
    let first = acquire(&provider, 1).await;
    // The account is evicted, and not yet removed.
    let held = when_found(&provider, 1, |account| {
        assert!(account.evict());
        account.hold()
    });
    assert!(held.is_none());
    assert!(provider.find(&1).is_none());
    assert!(
        !provider
            .reject(&Rejected::by_hand(receipt(&first)))
            .is_log_in()
    );
}

#[tokio::test]
async fn a_caller_that_holds_an_account_keeps_it() {
    let provider = provider(1);
    acquire(&provider, 1).await;
    let held = when_found(&provider, 1, |account| {
        let held = account.hold();
        assert!(!account.evict());
        held
    });
    assert!(provider.for_key(&2).unwrap_err().is_at_capacity());
    drop(held);
    provider.for_key(&2).unwrap();
}

#[tokio::test]
async fn a_key_returns_while_its_account_is_being_evicted() {
    let provider = provider(2);
    let first = acquire(&provider, 1).await;
    let accounts = &provider.0.accounts;
    let evicted = accounts.by_number.at(0).unwrap();
    assert!(evicted.evict());
    // Another thread of the same key comes before this one has removed the account.
    let second = acquire(&provider, 1).await;
    assert_ne!(first.account(), second.account());
    accounts.remove(0, &evicted);
    let request = request(1);
    let current = provider.current_for(RequestHead::of(&request)).unwrap();
    assert_eq!(current.generation(), second.generation());
    assert!(
        provider
            .reject(&Rejected::by_hand(receipt(&second)))
            .is_log_in()
    );
    assert_eq!(provider.accounts().len(), 1);
}

#[tokio::test]
async fn two_threads_that_create_one_key_get_one_account() {
    let provider = provider(10);
    let accounts = &provider.0.accounts;
    let mut other = None;
    let created = accounts.find_or_create(&1, |number| {
        // The other thread is faster.
        other = Some(provider.for_key(&1).unwrap());
        CachedProvider::builder(login_fn(async |_: LoginRequest| {
            Ok(Credential::new("abc")?)
        }))
        .account(number)
        .build()
    });
    let (created, other) = (created.unwrap(), other.unwrap());
    assert!(Arc::ptr_eq(created.cache(), other.cache()));
    assert_eq!(provider.len(), 1, "the other place is free again");
}

#[tokio::test]
async fn reads_take_no_lock() {
    let provider = provider(10);
    let authorization = acquire(&provider, 1).await;
    provider.accept(receipt(&authorization));
    // A read that takes this lock would dead-lock here.
    let locked = provider.0.accounts.lock();
    let request = request(1);
    let head = RequestHead::of(&request);
    assert!(provider.current_for(head).is_some());
    assert!(provider.is_current(&authorization, head));
    assert!(!provider.sends_bare(head));
    provider.sent(receipt(&authorization));
    provider.accept(receipt(&authorization));
    assert!(provider.find(&1).is_some());
    assert!(provider.for_key(&1).is_ok());
    drop(locked);
}

#[test]
fn keys_with_one_hash_are_told_apart() {
    #[derive(Clone, PartialEq, Eq)]
    struct Colliding(u32);

    impl Hash for Colliding {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            0.hash(state);
        }
    }

    let provider = KeyedProvider::builder(|_: &Colliding| {
        login_fn(async |_: LoginRequest| Ok(Credential::new("abc")?))
    })
    .capacity(20)
    .build();
    for round in 0..3 {
        for key in 0..20 {
            provider.for_key(&Colliding(key)).unwrap();
        }
        let mut keys: Vec<_> = provider.accounts().iter().map(|(key, _)| key.0).collect();
        keys.sort_unstable();
        assert_eq!(keys, (0..20).collect::<Vec<_>>(), "{round}");
    }
}

#[test]
fn a_number_is_used_again_as_late_as_possible() {
    let numbers = ByNumber::<()>::new(10_000);
    let rounds = 1 << 18;
    let first = numbers.number(7, 0);
    assert!((1..rounds).all(|round| numbers.number(7, round) != first));
    assert_eq!(numbers.number(7, rounds), first);
    let all: std::collections::HashSet<_> = (0..10_000)
        .flat_map(|index| [0, 1, rounds - 1].map(|round| (index, round)))
        .map(|(index, round)| numbers.number(index, round))
        .collect();
    assert_eq!(all.len(), 30_000);
    let one = ByNumber::<()>::new(1);
    assert_eq!(one.number(0, u32::MAX), u32::MAX);
    let most = ByNumber::<()>::new(MAX_CAPACITY);
    assert_eq!(most.number(MAX_CAPACITY - 1, 255), u32::MAX);
}
