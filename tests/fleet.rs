//! Providers that share one account in a store, as several processes do.

#[path = "fleet/account.rs"]
mod account;
#[path = "fleet/races.rs"]
mod races;
#[path = "fleet/unruly.rs"]
mod unruly;
#[path = "fleet/watched.rs"]
mod watched;

use std::{
    error::Error as _,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use http::Method;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower_bearer::{
    CachedProvider, Credential, CredentialEvent, KeyedProvider, LoginError, Receipt, Rejected,
    store::{
        CredentialStore, LockAttempt, MemoryStore, Record, RecordKey, SealedRecord, SharedAccount,
        StoreError,
    },
    test_util::TestClock,
};

use self::{
    account::{Account, HOUR, KEY},
    unruly::{Mode, Unruly},
};

const BUDGET: Duration = Duration::from_millis(250);
const LEFT_ALONE: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(15);

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// A process of the fleet.
fn member(account: &Account, store: impl CredentialStore) -> CachedProvider {
    let shared = SharedAccount::new(store, *KEY);
    CachedProvider::builder(account.login())
        .shared(shared)
        .build()
}

fn reject(provider: &CachedProvider, target: &str) -> bool {
    let generation = provider.current().unwrap().generation();
    let receipt = Receipt::new(generation, 0, &Method::GET, target);
    provider.reject(&Rejected::by_hand(receipt)).is_log_in()
}

/// Sends a request with the current token. A rejection is reported, and the request sent again.
async fn call(account: &Account, provider: &CachedProvider, target: &str) -> bool {
    let authorization = provider.acquire().await.unwrap();
    let receipt = Receipt::new(authorization.generation(), 0, &Method::GET, target);
    if account.accepts(authorization.value()) {
        provider.accept(receipt);
        return true;
    }
    if !provider.reject(&Rejected::by_hand(receipt)).is_log_in() {
        return false;
    }
    let again = provider.acquire().await.unwrap();
    let is_accepted = account.accepts(again.value());
    if is_accepted {
        provider.accept(Receipt::new(again.generation(), 0, &Method::GET, target));
    }
    is_accepted
}

async fn stored_refresh_token(store: &impl CredentialStore) -> Option<String> {
    let stored = store.read(*KEY).await.unwrap()?;
    let record = stored.open(*KEY, None).unwrap();
    let credential = record.credential(SystemTime::now());
    Some(credential.refresh_token()?.expose().to_owned())
}

// P1, P2
#[test]
fn each_revocation_causes_one_login_of_the_whole_fleet() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let fleet: Vec<_> = (0..8).map(|_| member(&account, store.clone())).collect();
        for round in 1..=20 {
            let mut tasks = JoinSet::new();
            for provider in fleet.iter().flat_map(|it| vec![it.clone(); 50]) {
                let account = account.clone();
                tasks.spawn(async move { call(&account, &provider, "/data").await });
            }
            let accepted = tasks.join_all().await;
            assert!(accepted.into_iter().all(|is_accepted| is_accepted));
            assert_eq!(account.logins(), round);
            sleep(HOUR / 20).await;
            account.revoke();
        }
        let adoptions: u64 = fleet.iter().map(|it| it.snapshot().adoptions()).sum();
        assert_eq!(adoptions, 7 * 20);
    });
}

#[test]
fn a_process_that_starts_later_adopts_the_session() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        for _ in 0..3 {
            let provider = member(&account, store.clone());
            assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t1");
        }
        assert_eq!(account.logins(), 1);
    });
}

#[test]
fn a_record_that_has_expired_is_not_adopted() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        member(&account, store.clone()).acquire().await.unwrap();
        sleep(HOUR).await;
        let provider = member(&account, store);
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t2");
    });
}

// P12
#[test]
fn a_valid_credential_is_used_until_it_is_rejected() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), Unruly::default());
        let (one, other) = (
            member(&account, store.clone()),
            member(&account, store.clone()),
        );
        one.acquire().await.unwrap();
        other.acquire().await.unwrap();
        one.reset();
        assert_eq!(one.acquire().await.unwrap().value(), "Bearer t2");
        let calls = store.calls();
        for _ in 0..100 {
            assert_eq!(other.acquire().await.unwrap().value(), "Bearer t1");
        }
        assert_eq!(store.calls(), calls, "a request called the store");
        assert!(reject(&other, "/data"));
        assert_eq!(other.acquire().await.unwrap().value(), "Bearer t2");
        let extra_logins = account.logins() - 2;
        assert_eq!(extra_logins, 0);
        println!("figure: P12 requests=100 store_calls=0 extra_logins={extra_logins}");
    });
}

#[test]
fn a_reset_does_not_adopt_what_it_has_dropped() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let provider = member(&account, store.clone());
        provider.acquire().await.unwrap();
        provider.reset();
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t2");
        // The same token with another revision: another process has put it back, for example.
        let LockAttempt::Acquired(lock) = store.lock(*KEY, LEASE).await.unwrap() else {
            panic!("nobody has the lock")
        };
        let stored = store.read(*KEY).await.unwrap().unwrap();
        let same = stored.record().clone();
        store
            .publish(&lock, Some(stored.revision()), same)
            .await
            .unwrap();
        store.unlock(lock).await.unwrap();
        provider.reset();
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t3");
    });
}

#[test]
fn a_rejected_token_is_not_adopted_again() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        member(&account, store.clone()).acquire().await.unwrap();
        account.revoke();
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store, *KEY))
            .starting_with(Credential::new("t1").unwrap())
            .build();
        assert!(call(&account, &provider, "/data").await);
        assert_eq!(account.logins(), 2);
    });
}

#[test]
fn a_background_login_adopts_only_what_is_fresh() {
    runtime().block_on(async {
        let account = Account::concurrent();
        let store = MemoryStore::new();
        let member = || {
            let shared = SharedAccount::new(store.clone(), *KEY);
            CachedProvider::builder(account.login())
                .shared(shared)
                .random(|| 0.5)
                .build()
        };
        let (one, other) = (member(), member());
        one.acquire().await.unwrap();
        other.acquire().await.unwrap();
        sleep(HOUR * 85 / 100).await; // both are aging
        one.acquire().await.unwrap();
        assert!(one.current().is_some());
        one.settled().await;
        assert!(other.current().is_some());
        other.settled().await;
        assert_eq!(other.current().unwrap().value(), "Bearer t2");
        assert_eq!((account.logins(), other.snapshot().adoptions()), (2, 2));
    });
}

#[test]
fn a_background_login_does_not_adopt_what_ends_sooner() {
    runtime().block_on(async {
        let (account, store) = (Account::concurrent(), MemoryStore::new());
        let provider = member(&account, store.clone());
        provider.acquire().await.unwrap();
        let LockAttempt::Acquired(lock) = store.lock(*KEY, LEASE).await.unwrap() else {
            panic!("nobody has the lock")
        };
        let lifetime = HOUR * 95 / 100;
        let short = Credential::new("short").unwrap().with_lifetime(lifetime);
        let record = Record::new(&short, SystemTime::now());
        let record = record.seal(*KEY, None).unwrap();
        let stored = store.read(*KEY).await.unwrap().unwrap();
        store
            .publish(&lock, Some(stored.revision()), record)
            .await
            .unwrap();
        store.unlock(lock).await.unwrap();
        sleep(HOUR * 91 / 100).await; // its own ages, and lasts longer
        assert_eq!(provider.current().unwrap().value(), "Bearer t1");
        provider.settled().await;
        assert_eq!(provider.current().unwrap().value(), "Bearer t2");
    });
}

// ===== the lock =====

// P3, on a store that knows only leases
#[test]
fn a_process_waits_for_the_lease_of_one_that_has_died() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let LockAttempt::Acquired(_dead) = store.lock(*KEY, LEASE).await.unwrap() else {
            panic!("nobody has the lock")
        };
        let start = Instant::now();
        member(&account, store).acquire().await.unwrap();
        let waited = start.elapsed();
        assert!(
            waited >= LEASE && waited < LEASE + Duration::from_secs(2),
            "{waited:?}"
        );
    });
}

#[test]
fn a_lock_that_others_keep_fails_the_login_or_not_as_is_set() {
    runtime().block_on(async {
        for logs_in in [false, true] {
            let (account, store) = (Account::default(), Unruly::default());
            store.set(Mode::Locked);
            let mut shared = SharedAccount::new(store.clone(), *KEY);
            if logs_in {
                shared = shared.log_in_without_lock();
            }
            let provider = CachedProvider::builder(account.login())
                .shared(shared)
                .starting_with_refresh_token("r0")
                .build();
            let start = Instant::now();
            let outcome = provider.acquire().await;
            let waited = start.elapsed();
            assert!(
                waited >= LEASE && waited < LEASE + Duration::from_secs(2),
                "{waited:?}"
            );
            // The pauses grow to half a second.
            assert!((30..100).contains(&store.calls()), "{}", store.calls());
            if logs_in {
                assert_eq!(outcome.unwrap().value(), "Bearer t1");
                assert!(store.read(*KEY).await.unwrap().is_none());
            } else {
                let error = outcome.unwrap_err();
                let source = error.source().unwrap().downcast_ref::<StoreError>();
                assert!(source.unwrap().is_locked());
                assert_eq!(
                    source.unwrap().source().unwrap().to_string(),
                    "waited for 15s"
                );
                assert_eq!(account.logins(), 0);
            }
        }
    });
}

#[test]
fn a_login_without_the_lock_is_published_if_the_lock_is_free_then() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), Unruly::default());
        store.set(Mode::Locked);
        let shared = SharedAccount::new(store.clone(), *KEY).log_in_without_lock();
        let provider = CachedProvider::builder(account.login())
            .shared(shared)
            .build();
        let freed = store.clone();
        account.on_login(move || freed.set(Mode::Works));
        provider.acquire().await.unwrap();
        assert!(store.read(*KEY).await.unwrap().is_some());
        let LockAttempt::Acquired(_) = store.lock(*KEY, LEASE).await.unwrap() else {
            panic!("the lock was not given back")
        };
    });
}

#[test]
fn a_waiter_wakes_up_when_the_store_says_so() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let start = Instant::now();
        let (one, other) = (member(&account, store.clone()), member(&account, store));
        let (one, other) = tokio::join!(one.acquire(), other.acquire());
        assert_eq!(one.unwrap().value(), other.unwrap().value());
        // It had asked just before, perhaps.
        assert!(start.elapsed() < account::LOGIN_TIME + Duration::from_millis(30));
    });
}

#[test]
fn a_sign_out_ends_the_wait_for_the_lock() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), Unruly::default());
        store.set(Mode::Locked);
        let provider = member(&account, store.clone());
        let waiter = tokio::spawn(provider.acquire());
        sleep(Duration::from_secs(1)).await;
        provider.sign_out();
        assert!(waiter.await.unwrap().unwrap_err().is_signed_out());
        let start = Instant::now();
        provider.settled().await;
        assert!(start.elapsed() <= Duration::from_millis(500));
        assert_eq!(account.logins(), 0);
    });
}

// ===== a store that fails =====

// P10
#[test]
fn a_store_that_fails_costs_a_login_its_budget_and_is_left_alone() {
    for mode in [Mode::Fails, Mode::Hangs, Mode::Panics, Mode::OtherVersion] {
        runtime().block_on(async {
            let (account, store) = (Account::default(), Unruly::default());
            store.set(mode);
            let events = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&events);
            let provider = CachedProvider::builder(account.login())
                .shared(SharedAccount::new(store.clone(), *KEY))
                .on_event(move |event| {
                    let word = match event {
                        CredentialEvent::StoreFailed { error, .. } => format!("failed: {error}"),
                        CredentialEvent::StoreRecovered => "recovered".to_owned(),
                        _ => return,
                    };
                    seen.lock().unwrap().push(word);
                })
                .build();
            let start = Instant::now();
            provider.acquire().await.unwrap();
            let longest = account::LOGIN_TIME + BUDGET + Duration::from_millis(2);
            assert!(
                start.elapsed() <= longest,
                "{mode:?}: {:?}",
                start.elapsed()
            );
            let calls = store.calls();
            // Left alone.
            for _ in 0..3 {
                provider.reset();
                let start = Instant::now();
                provider.acquire().await.unwrap();
                assert_eq!(start.elapsed(), account::LOGIN_TIME);
            }
            assert_eq!(store.calls(), calls);
            assert_eq!(events.lock().unwrap().len(), 1, "{mode:?}");
            // It comes back.
            store.set(Mode::Works);
            sleep(LEFT_ALONE).await;
            provider.reset();
            provider.acquire().await.unwrap();
            assert_eq!(events.lock().unwrap()[1..], ["recovered"], "{mode:?}");
            let other = member(&account, store);
            assert_eq!(other.acquire().await.unwrap().value(), "Bearer t5");
        });
    }
}

#[test]
fn a_login_that_must_not_do_without_the_store_fails_with_it() {
    for mode in [Mode::Fails, Mode::Hangs, Mode::Panics, Mode::OtherVersion] {
        runtime().block_on(async {
            let (account, store) = (Account::default(), Unruly::default());
            let shared = SharedAccount::new(store.clone(), *KEY).fail_without_store();
            let login = account.login();
            let provider = CachedProvider::builder(login).shared(shared).build();
            provider.acquire().await.unwrap();
            store.set(mode);
            for _ in 0..2 {
                provider.reset(); // the second time, the store is left alone
                let error = provider.acquire().await.unwrap_err();
                let source = error.source().unwrap();
                assert!(source.is::<StoreError>(), "{mode:?}: {error}");
            }
            assert_eq!(account.logins(), 1);
            store.set(Mode::Works);
            sleep(LEFT_ALONE + Duration::from_secs(60)).await;
            assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t2");
        });
    }
}

#[test]
fn each_step_of_the_store_may_fail() {
    for step in 0..5 {
        for mode in [Mode::Fails, Mode::Hangs, Mode::Panics] {
            runtime().block_on(async {
                let (account, store) = (Account::default(), Unruly::default());
                store.set_after(step, mode);
                let provider = member(&account, store.clone());
                let start = Instant::now();
                assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t1");
                let longest = account::LOGIN_TIME + BUDGET + Duration::from_millis(4);
                assert!(
                    start.elapsed() <= longest,
                    "{step} {mode:?}: {:?}",
                    start.elapsed()
                );
                assert_eq!(provider.snapshot().failed_logins(), 0);
            });
        }
    }
}

#[test]
fn a_damaged_record_is_reported_and_replaced_and_one_of_another_version_stays() {
    runtime().block_on(async {
        let newer = [2_u32.to_le_bytes().as_slice(), &[0; 90]].concat();
        for (bytes, is_replaced) in [(b"\x01\0\0\0damaged".to_vec(), true), (newer, false)] {
            let (account, store) = (Account::default(), MemoryStore::new());
            let LockAttempt::Acquired(lock) = store.lock(*KEY, LEASE).await.unwrap() else {
                panic!("nobody has the lock")
            };
            let record = SealedRecord::from_bytes(bytes.clone());
            store.publish(&lock, None, record).await.unwrap();
            store.unlock(lock).await.unwrap();
            let failures = Arc::new(Mutex::new(0));
            let seen = Arc::clone(&failures);
            let provider = CachedProvider::builder(account.login())
                .shared(SharedAccount::new(store.clone(), *KEY))
                .on_event(move |event| {
                    let is_failure = matches!(event, CredentialEvent::StoreFailed { .. });
                    *seen.lock().unwrap() += u32::from(is_failure);
                })
                .build();
            assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t1");
            assert_eq!(*failures.lock().unwrap(), 1);
            let stored = store.read(*KEY).await.unwrap().unwrap();
            assert_eq!(stored.record().expose() != bytes, is_replaced);
        }
    });
}

// P4
#[test]
fn a_publication_after_the_lease_is_refused() {
    runtime().block_on(async {
        let (account, clock) = (Account::default(), TestClock::new());
        let store = MemoryStore::with_clock(clock.clone());
        let thief = store.clone();
        // The lease is over by the store's clock: this process was stopped, and another publishes.
        account.on_login(move || {
            clock.advance(2 * LEASE);
            let thief = thief.clone();
            tokio::spawn(async move {
                let LockAttempt::Acquired(lock) = thief.lock(*KEY, LEASE).await.unwrap() else {
                    panic!("the lease is over")
                };
                let record = Record::new(&Credential::new("other").unwrap(), SystemTime::now());
                let record = record.seal(*KEY, None).unwrap();
                thief.publish(&lock, None, record).await.unwrap();
                thief.unlock(lock).await.unwrap();
            });
        });
        let failures = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&failures);
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store.clone(), *KEY))
            .on_event(move |event| {
                if let CredentialEvent::StoreFailed { error, .. } = event {
                    seen.lock()
                        .unwrap()
                        .push(error.source().unwrap().to_string());
                }
            })
            .build();
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t1");
        let text = "the lease was over, and another process has logged in";
        assert_eq!(*failures.lock().unwrap(), [text]);
        // Once its own token is rejected, it adopts the other.
        assert!(reject(&provider, "/data"));
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer other");
    });
}

// ===== refresh tokens =====

#[test]
fn a_refresh_token_is_spent_once_by_the_whole_fleet() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let fleet: Vec<_> = (0..8).map(|_| member(&account, store.clone())).collect();
        for _ in 0..20 {
            let mut tasks = JoinSet::new();
            for provider in fleet.clone() {
                let account = account.clone();
                tasks.spawn(async move { call(&account, &provider, "/data").await });
            }
            assert!(tasks.join_all().await.into_iter().all(|it| it));
            sleep(HOUR).await;
        }
        assert_eq!((account.passwords(), account.refreshes()), (1, 19));
        assert_eq!(account.reuses(), 0);
    });
}

#[test]
fn after_a_crash_no_process_spends_the_refresh_token_again() {
    let (account, clock) = (Account::rotating(), TestClock::new());
    let store = MemoryStore::with_clock(clock.clone());
    runtime()
        .block_on(member(&account, store.clone()).acquire())
        .unwrap();
    clock.advance(HOUR);
    // The runtime is dropped when the server has the refresh token.
    let dying = account.clone();
    account.on_login(move || dying.hang());
    runtime().block_on(async {
        let provider = member(&account, store.clone());
        timeout(Duration::from_secs(5), provider.acquire())
            .await
            .unwrap_err();
    });
    account.revive();
    clock.advance(LEASE);
    runtime().block_on(async {
        assert_eq!(stored_refresh_token(&store).await, None);
        member(&account, store.clone()).acquire().await.unwrap();
        assert_eq!((account.passwords(), account.reuses()), (2, 0));
        assert_eq!(stored_refresh_token(&store).await.unwrap(), "r2");
    });
}

#[test]
fn a_refresh_token_that_was_not_spent_is_put_back() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let (one, other) = (
            member(&account, store.clone()),
            member(&account, store.clone()),
        );
        one.acquire().await.unwrap();
        other.acquire().await.unwrap();
        sleep(HOUR).await;
        account.fail_before_send(true);
        one.acquire().await.unwrap_err();
        assert_eq!(stored_refresh_token(&store).await.unwrap(), "r1");
        account.fail_before_send(false);
        other.acquire().await.unwrap();
        assert_eq!((account.passwords(), account.refreshes()), (1, 1));
        assert_eq!(account.reuses(), 0);
    });
}

#[test]
fn while_the_store_fails_no_shared_refresh_token_is_spent() {
    for has_password in [true, false] {
        runtime().block_on(async {
            let (account, store) = (Account::rotating(), Unruly::default());
            let provider = member(&account, store.clone());
            provider.acquire().await.unwrap();
            account.forbid_password(!has_password);
            sleep(HOUR).await;
            store.set(Mode::Fails);
            let outcome = provider.acquire().await;
            assert_eq!(account.refreshes(), 0);
            if has_password {
                outcome.unwrap();
                assert_eq!(account.passwords(), 2);
                // The new one is in no store: this process may spend it by itself.
                sleep(HOUR).await;
                provider.acquire().await.unwrap();
                assert_eq!((account.passwords(), account.refreshes()), (2, 1));
            } else {
                let error = outcome.unwrap_err();
                let source = error.source().unwrap();
                let text =
                    "the refresh token was not spent, since the store cannot tell other processes";
                assert!(source.to_string().starts_with(text), "{source}");
                assert!(source.source().unwrap().is::<StoreError>());
                // It is tried again soon, and the refresh token is still there.
                store.set(Mode::Works);
                sleep(LEFT_ALONE + Duration::from_secs(60)).await;
                provider.acquire().await.unwrap();
                assert_eq!(account.refreshes(), 1);
            }
            assert_eq!(account.reuses(), 0);
        });
    }
}

#[test]
fn the_refresh_token_of_the_store_comes_before_the_one_of_the_program() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        member(&account, store.clone()).acquire().await.unwrap();
        sleep(HOUR).await;
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store.clone(), *KEY))
            .starting_with_refresh_token("r0") // spent long ago
            .build();
        provider.acquire().await.unwrap();
        assert_eq!((account.refreshes(), account.reuses()), (1, 0));
        // The next one from the program, after a new sign-in, comes first.
        let signed_in = account.sign_in();
        provider.set_credential(signed_in);
        sleep(HOUR).await;
        provider.acquire().await.unwrap();
        assert_eq!((account.refreshes(), account.reuses()), (2, 0));
        assert_eq!(
            stored_refresh_token(&store).await,
            account.live_refresh_token()
        );
    });
}

#[test]
fn an_account_whose_refresh_token_is_in_the_store_may_be_evicted() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), Unruly::default());
        let (logs_in, kept) = (account.clone(), store.clone());
        let provider = KeyedProvider::builder(move |_: &u8| logs_in.login())
            .configure(move |user, builder| {
                let key = RecordKey::new("https://api.example", &user.to_string(), "");
                builder.shared(SharedAccount::new(kept.clone(), key))
            })
            .capacity(1)
            .build();
        for round in 0..2 {
            for user in 0..3 {
                let one = provider.for_key(&user).unwrap();
                one.acquire().await.unwrap();
                assert_eq!(one.snapshot().logins(), u64::from(round == 0));
            }
        }
        assert_eq!(account.logins(), 3);
        // Now the store may not have the last one.
        store.set(Mode::Fails);
        let last = provider.for_key(&2).unwrap();
        last.reset();
        last.acquire().await.unwrap();
        drop(last);
        assert!(provider.for_key(&0).unwrap_err().is_at_capacity());
    });
}

// ===== rejections =====

#[test]
fn a_process_that_may_not_log_in_adopts_what_another_has_published() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let (one, other) = (member(&account, store.clone()), member(&account, store));
        other.acquire().await.unwrap();
        assert!(reject(&other, "/forbidden"));
        other.acquire().await.unwrap();
        assert!(!reject(&other, "/forbidden"), "it is held back");
        one.acquire().await.unwrap();
        one.reset();
        one.acquire().await.unwrap();
        sleep(Duration::from_secs(1)).await; // one look in a second
        let _ = reject(&other, "/forbidden");
        sleep(Duration::from_millis(1)).await;
        let current = other.acquire().await.unwrap();
        assert_eq!(current.value(), one.acquire().await.unwrap().value());
    });
}

#[test]
fn a_process_in_a_pause_after_a_failure_adopts_what_another_has_published() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let failing = CachedProvider::builder(tower_bearer::login_fn(async |_| {
            Err(LoginError::permanent("the wrong password"))?
        }))
        .shared(SharedAccount::new(store.clone(), *KEY))
        .build();
        failing.acquire().await.unwrap_err();
        member(&account, store).acquire().await.unwrap();
        failing.acquire().await.unwrap_err(); // it causes the look
        sleep(Duration::from_millis(1)).await;
        assert_eq!(failing.acquire().await.unwrap().value(), "Bearer t1");
        assert!(failing.snapshot().last_error().is_none());
    });
}

/// Every process has an endpoint that is forbidden, so that each logs in for it once or twice.
#[test]
fn members_of_the_fleet_are_no_rivals_and_others_are() {
    for has_rival in [false, true] {
        runtime().block_on(async {
            let (account, store) = (Account::default(), MemoryStore::new());
            let fleet: Vec<_> = (0..6).map(|_| member(&account, store.clone())).collect();
            for round in 0..6 {
                for (number, provider) in fleet.iter().enumerate() {
                    assert!(call(&account, provider, "/data").await || has_rival);
                    if round == 0 && !has_rival {
                        let _ = reject(provider, &format!("/forbidden/{number}"));
                        assert!(call(&account, provider, "/data").await);
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                if has_rival {
                    account.revoke();
                }
            }
            let contentions: u64 = fleet.iter().map(|it| it.snapshot().contentions()).sum();
            assert_eq!(contentions > 0, has_rival, "{contentions}");
        });
    }
}

#[test]
fn a_fleet_that_logs_in_each_second_is_no_rival() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let (one, other) = (member(&account, store.clone()), member(&account, store));
        for _ in 0..6 {
            one.reset();
            one.acquire().await.unwrap();
            assert!(call(&account, &other, "/data").await);
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(account.logins(), 6);
        assert_eq!(other.snapshot().contentions(), 0);
    });
}

#[test]
fn only_the_process_that_replaces_a_credential_retires_it() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let retired = Arc::new(Mutex::new(Vec::new()));
        let member = |name: &'static str| {
            let seen = Arc::clone(&retired);
            CachedProvider::builder(account.login())
                .shared(SharedAccount::new(store.clone(), *KEY))
                .on_retired(move |it| {
                    let token = it.credential().map(|it| it.token().expose().to_owned());
                    let refresh_token = it.refresh_token().map(|it| it.expose().to_owned());
                    seen.lock().unwrap().push((name, token, refresh_token));
                })
                .build()
        };
        let (one, other) = (member("one"), member("other"));
        one.acquire().await.unwrap();
        other.acquire().await.unwrap();
        sleep(HOUR).await;
        one.acquire().await.unwrap();
        other.acquire().await.unwrap();
        let t1 = || Some("t1".to_owned());
        assert_eq!(*retired.lock().unwrap(), [("one", t1(), None)]);
    });
}
