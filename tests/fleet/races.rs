//! What comes in between: commands during a login, late effects, and records that are gone.

use std::{
    future::{pending, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};
use tower_bearer::{
    CachedProvider, Credential, CredentialEvent, LoginError, login_fn,
    store::{CredentialStore, LockAttempt, MemoryStore, Record, SealedRecord, SharedAccount},
    test_util::TestClock,
};

use super::{
    BUDGET, LEASE, LEFT_ALONE,
    account::{Account, HOUR, KEY, LOGIN_TIME},
    call, member, reject, runtime, stored_refresh_token,
    unruly::{Mode, Unruly},
    watched::{Hint, Step, Watched, When},
};

/// Replaces the record by these bytes, or removes it.
async fn replace_record(store: &MemoryStore, bytes: Option<&[u8]>) {
    let LockAttempt::Acquired(lock) = store.lock(*KEY, LEASE).await.unwrap() else {
        panic!("nobody has the lock")
    };
    match bytes {
        Some(bytes) => {
            let stored = store.read(*KEY).await.unwrap();
            let previous = stored.as_ref().map(|it| it.revision());
            let record = SealedRecord::from_bytes(bytes.to_vec());
            store.publish(&lock, previous, record).await.unwrap();
        }
        None => assert!(store.remove(&lock).await.unwrap()),
    }
    store.unlock(lock).await.unwrap();
}

// ===== refresh tokens =====

#[test]
fn no_refresh_token_is_spent_without_the_lock() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), Unruly::default());
        store.set(Mode::Locked);
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store, *KEY).log_in_without_lock())
            .starting_with_refresh_token("r0")
            .build();
        provider.acquire().await.unwrap();
        assert_eq!((account.passwords(), account.refreshes()), (1, 0));
    });
}

// Another process may have spent it before the record was removed.
#[test]
fn a_shared_refresh_token_is_not_spent_if_the_record_is_gone_or_damaged() {
    for bytes in [None, Some(b"\x01\0\0\0damaged".as_slice())] {
        runtime().block_on(async {
            let (account, store) = (Account::rotating(), MemoryStore::new());
            let one = member(&account, store.clone());
            let other = member(&account, store.clone());
            one.acquire().await.unwrap();
            other.acquire().await.unwrap();
            other.reset();
            other.acquire().await.unwrap();
            assert_eq!(account.refreshes(), 1);
            replace_record(&store, bytes).await;
            sleep(HOUR).await;
            one.acquire().await.unwrap();
            assert_eq!((account.passwords(), account.reuses()), (2, 0), "{bytes:?}");
            assert_eq!(stored_refresh_token(&store).await.unwrap(), "r3");
        });
    }
}

#[test]
fn a_shared_refresh_token_is_the_last_resort_if_the_record_is_gone_or_damaged() {
    for bytes in [None, Some(b"\x01\0\0\0damaged".as_slice())] {
        runtime().block_on(async {
            let (account, store) = (Account::rotating(), MemoryStore::new());
            let provider = member(&account, store.clone());
            provider.acquire().await.unwrap();
            account.forbid_password(true);
            replace_record(&store, bytes).await;
            sleep(HOUR).await;
            account.fail_before_send(true);
            provider.acquire().await.unwrap_err(); // for now, and not for good
            account.fail_before_send(false);
            sleep(HOUR).await;
            provider.acquire().await.unwrap();
            assert_eq!((account.refreshes(), account.reuses()), (1, 0), "{bytes:?}");
            assert_eq!(stored_refresh_token(&store).await.unwrap(), "r2");
        });
    }
}

#[test]
fn a_refresh_token_without_a_record_waits_while_the_other_way_fails_for_now() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        member(&account, store.clone()).acquire().await.unwrap();
        let spent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&spent);
        let login = login_fn(move |mut request| {
            let counted = Arc::clone(&counted);
            async move {
                if request.take_refresh_token().is_some() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                Err(LoginError::transient("no connection"))?
            }
        });
        let provider = CachedProvider::builder(login)
            .shared(SharedAccount::new(store.clone(), *KEY))
            .build();
        provider.acquire().await.unwrap(); // adopts
        replace_record(&store, None).await;
        sleep(HOUR).await;
        provider.acquire().await.unwrap_err();
        assert_eq!(spent.load(Ordering::Relaxed), 0);
    });
}

// As a failover to a replica that lacks the last writes.
#[test]
fn an_older_record_that_comes_back_is_neither_adopted_nor_refreshed_with() {
    for has_password in [true, false] {
        runtime().block_on(async {
            let (account, store) = (Account::rotating(), MemoryStore::new());
            let provider = member(&account, store.clone());
            provider.acquire().await.unwrap();
            let older = store.read(*KEY).await.unwrap().unwrap();
            for _ in 0..3 {
                sleep(HOUR).await;
                provider.acquire().await.unwrap();
            }
            assert_eq!(account.refreshes(), 3);
            replace_record(&store, Some(older.record().expose())).await;
            account.forbid_password(!has_password);
            assert!(reject(&provider, "/data"));
            assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t5");
            let expected = if has_password { (2, 3, 0) } else { (1, 4, 0) };
            assert_eq!(
                (account.passwords(), account.refreshes(), account.reuses()),
                expected
            );
            assert_eq!(stored_refresh_token(&store).await.unwrap(), "r5");
        });
    }
}

#[test]
fn an_adoption_that_a_reset_overtakes_is_discarded() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        member(&account, store.clone()).acquire().await.unwrap();
        let provider = Arc::new(Mutex::new(None::<CachedProvider>));
        let resets = Arc::clone(&provider);
        let watched = Watched::new(&store, move |step, when| {
            let provider = match (step, when) {
                (Step::Read, When::After) => resets.lock().unwrap().take(),
                _ => None,
            };
            async move {
                if let Some(provider) = provider {
                    provider.reset();
                }
            }
        });
        let retired = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&retired);
        let one = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(watched, *KEY))
            .on_retired(move |_| *seen.lock().unwrap() += 1)
            .build();
        *provider.lock().unwrap() = Some(one.clone());
        assert_eq!(one.acquire().await.unwrap().value(), "Bearer t2");
        let snapshot = one.snapshot();
        let counts = (
            snapshot.logins(),
            snapshot.adoptions(),
            snapshot.discarded_logins(),
        );
        assert_eq!(counts, (1, 0, 1));
        assert_eq!((account.refreshes(), account.reuses()), (1, 0));
        assert_eq!(*retired.lock().unwrap(), 0, "other processes use it");
    });
}

#[test]
fn a_server_may_return_a_former_token_again() {
    runtime().block_on(async {
        let store = MemoryStore::new();
        let logins = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&logins);
        let login = login_fn(move |mut request| {
            let refresh_token = request.take_refresh_token();
            let mut seen = seen.lock().unwrap();
            seen.push(refresh_token.map(|it| it.expose().to_owned()));
            let number = seen.len();
            let credential = Credential::new(["even", "odd"][number % 2]).unwrap();
            let credential = credential.with_lifetime(HOUR);
            async move { Ok(credential.with_refresh_token(format!("r{number}"))) }
        });
        let provider = CachedProvider::builder(login)
            .shared(SharedAccount::new(store, *KEY))
            .build();
        for _ in 0..5 {
            provider.acquire().await.unwrap();
            sleep(HOUR).await;
        }
        let spent = |number: u32| Some(format!("r{number}"));
        let expected = [None, spent(1), spent(2), spent(3), spent(4)];
        assert_eq!(*logins.lock().unwrap(), expected);
    });
}

#[test]
fn a_lock_is_given_back_although_the_publication_got_no_answer() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let hanging = Watched::new(&store, |step, when| async move {
            if (step, when) == (Step::Publish, When::After) {
                pending().await
            }
        });
        let provider = member(&account, hanging);
        let start = Instant::now();
        provider.acquire().await.unwrap();
        assert!(start.elapsed() <= LOGIN_TIME + BUDGET + Duration::from_millis(2));
        sleep(Duration::from_millis(1)).await;
        let attempt = store.lock(*KEY, LEASE).await.unwrap();
        assert!(matches!(attempt, LockAttempt::Acquired(_)));
    });
}

#[test]
fn a_refresh_token_without_a_record_is_not_retired() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let retired = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&retired);
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store.clone(), *KEY))
            .on_retired(move |it| {
                let token = it.refresh_token().map(|it| it.expose().to_owned());
                seen.lock().unwrap().extend(token);
            })
            .build();
        provider.acquire().await.unwrap();
        replace_record(&store, None).await;
        sleep(HOUR).await;
        provider.acquire().await.unwrap();
        assert_eq!(account.passwords(), 2);
        assert!(retired.lock().unwrap().is_empty());
    });
}

#[test]
fn the_refresh_token_that_the_program_has_set_outlives_an_adoption() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let one = member(&account, store.clone());
        let other = member(&account, store.clone());
        one.acquire().await.unwrap();
        other.acquire().await.unwrap();
        other.reset();
        other.acquire().await.unwrap();
        one.set_credential(account.sign_in());
        assert!(reject(&one, "/data"));
        assert_eq!(one.acquire().await.unwrap().value(), "Bearer t2");
        sleep(Duration::from_secs(2)).await; // the pause of this target
        assert!(reject(&one, "/data"), "the sign-in has revoked it");
        assert_eq!(one.acquire().await.unwrap().value(), "Bearer t4");
        assert_eq!((account.refreshes(), account.reuses()), (2, 0));
        assert_eq!(stored_refresh_token(&store).await.unwrap(), "r4");
    });
}

#[test]
fn the_refresh_token_of_the_record_follows_one_of_the_program_that_is_dead() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let provider = member(&account, store.clone());
        provider.acquire().await.unwrap();
        account.forbid_password(true);
        let dead = Credential::new("dead").unwrap().with_refresh_token("dead");
        provider.set_credential(dead);
        assert!(reject(&provider, "/data"));
        provider.acquire().await.unwrap(); // the login has failed, and the token is used again
        assert_eq!(account.reuses(), 1);
        provider.reset();
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t2");
        assert_eq!((account.refreshes(), account.reuses()), (1, 1));
    });
}

#[test]
fn after_a_sign_out_the_refresh_token_of_the_record_is_not_spent() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let provider = member(&account, store.clone());
        provider.acquire().await.unwrap();
        provider.sign_out();
        provider.reset();
        provider.acquire().await.unwrap();
        assert_eq!((account.passwords(), account.refreshes()), (2, 0));
    });
}

// The lease was over before the refresh token was taken out of the record: this process was stopped.
#[test]
fn a_process_that_has_lost_the_lock_waits_for_the_one_that_has_it() {
    runtime().block_on(async {
        let (account, clock) = (Account::rotating(), TestClock::new());
        let store = MemoryStore::with_clock(clock.clone());
        member(&account, store.clone()).acquire().await.unwrap();
        clock.advance(HOUR);
        let (reads, thief) = (Arc::new(AtomicUsize::new(0)), store.clone());
        let watched = Watched::new(&store, move |step, when| {
            let is_read = (step, when) == (Step::Read, When::After);
            let reads = reads.fetch_add(usize::from(is_read), Ordering::Relaxed);
            let (clock, thief) = (clock.clone(), thief.clone());
            async move {
                if !is_read || reads != 1 {
                    return;
                }
                clock.advance(2 * LEASE);
                let LockAttempt::Acquired(lock) = thief.lock(*KEY, LEASE).await.unwrap() else {
                    panic!("the lease is over")
                };
                tokio::spawn(async move {
                    sleep(LOGIN_TIME).await;
                    let stored = thief.read(*KEY).await.unwrap().unwrap();
                    let record = Record::new(&Credential::new("other").unwrap(), SystemTime::now());
                    let record = record.seal(*KEY, None).unwrap();
                    let previous = Some(stored.revision());
                    thief.publish(&lock, previous, record).await.unwrap();
                    thief.unlock(lock).await.unwrap();
                });
            }
        });
        let provider = member(&account, watched);
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer other");
        assert_eq!(account.logins(), 1, "it logged in beside the other process");
    });
}

#[test]
fn a_refresh_token_that_cannot_be_taken_out_of_the_record_is_not_spent() {
    for is_late in [false, true] {
        runtime().block_on(async {
            let (account, store) = (Account::rotating(), MemoryStore::new());
            member(&account, store.clone()).acquire().await.unwrap();
            sleep(HOUR).await;
            let slow = Watched::new(&store, move |step, when| async move {
                let is_slow = if is_late { When::After } else { When::Before };
                if (step, when) == (Step::Publish, is_slow) {
                    sleep(2 * BUDGET).await;
                }
            });
            let provider = member(&account, slow);
            provider.reset();
            account.revoke();
            while !call(&account, &provider, "/data").await {}
            assert_eq!((account.passwords(), account.refreshes()), (2, 0));
        });
    }
}

#[test]
fn a_refresh_token_that_was_sent_is_not_put_back() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let provider = member(&account, store.clone());
        provider.acquire().await.unwrap();
        sleep(HOUR).await;
        provider.reset();
        account.hang(); // until the timeout
        provider.acquire().await.unwrap_err();
        assert_eq!(stored_refresh_token(&store).await, None);
    });
}

#[test]
fn a_refresh_token_that_the_store_may_have_belongs_to_all() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let publications = AtomicUsize::new(0);
        let slow = Watched::new(&store, move |step, when| {
            let is_publication = (step, when) == (Step::Publish, When::After);
            let number = publications.fetch_add(usize::from(is_publication), Ordering::Relaxed);
            async move {
                // The first login, the second without its refresh token, and what that has brought.
                if is_publication && number == 2 {
                    sleep(2 * BUDGET).await;
                }
            }
        });
        let (one, other) = (member(&account, slow), member(&account, store));
        one.acquire().await.unwrap();
        sleep(HOUR).await;
        one.acquire().await.unwrap();
        other.acquire().await.unwrap();
        sleep(LEFT_ALONE).await; // and the lease is over
        other.reset();
        other.acquire().await.unwrap();
        sleep(HOUR).await;
        one.acquire().await.unwrap();
        assert_eq!((account.refreshes(), account.reuses()), (3, 0));
    });
}

#[test]
fn an_unspent_refresh_token_is_published_with_the_next_token() {
    runtime().block_on(async {
        let store = MemoryStore::new();
        let provider = CachedProvider::builder(login_fn(async |_| Ok(Credential::new("t1")?)))
            .shared(SharedAccount::new(store.clone(), *KEY))
            .starting_with_refresh_token("r0")
            .build();
        provider.acquire().await.unwrap();
        assert_eq!(stored_refresh_token(&store).await.unwrap(), "r0");
    });
}

// ===== commands =====

#[test]
fn a_login_without_the_lock_is_not_published_after_a_sign_out() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), Unruly::default());
        store.set(Mode::Locked);
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store.clone(), *KEY).log_in_without_lock())
            .build();
        let (freed, signed_out) = (store.clone(), provider.clone());
        account.on_login(move || {
            freed.set(Mode::Works);
            signed_out.sign_out();
        });
        provider.acquire().await.unwrap_err();
        provider.settled().await;
        assert_eq!(account.logins(), 1);
        assert!(store.read(*KEY).await.unwrap().is_none());
    });
}

#[test]
fn a_login_is_not_published_after_a_sign_out() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let provider = member(&account, store.clone());
        let signed_out = provider.clone();
        account.on_login(move || signed_out.sign_out());
        provider.acquire().await.unwrap_err();
        provider.settled().await;
        assert_eq!(account.logins(), 1);
        assert!(store.read(*KEY).await.unwrap().is_none());
    });
}

#[test]
fn nothing_is_retired_that_the_record_has() {
    runtime().block_on(async {
        let (account, store) = (Account::rotating(), MemoryStore::new());
        let retired = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&retired);
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store.clone(), *KEY))
            .on_retired(move |it| {
                let token = it.credential().map(|it| it.token().expose().to_owned());
                let refresh_token = it.refresh_token().map(|it| it.expose().to_owned());
                seen.lock()
                    .unwrap()
                    .extend([token, refresh_token].into_iter().flatten());
            })
            .build();
        let other = member(&account, store.clone());
        provider.acquire().await.unwrap();
        other.acquire().await.unwrap();
        provider.set_credential(Credential::new("own").unwrap().with_refresh_token("own"));
        assert_eq!(
            *retired.lock().unwrap(),
            [""; 0],
            "the other process uses them"
        );
        other.reset();
        other.acquire().await.unwrap();
        assert_eq!((account.refreshes(), account.reuses()), (1, 0));
        // After a sign-out, the program decides.
        provider.sign_out();
        assert_eq!(*retired.lock().unwrap(), ["own", "own"]);
    });
}

#[test]
fn a_reset_does_not_adopt_what_it_has_dropped_if_its_publication_was_late() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let slow = Watched::new(&store, |step, when| async move {
            if (step, when) == (Step::Publish, When::After) {
                sleep(2 * BUDGET).await;
            }
        });
        let provider = member(&account, slow);
        provider.acquire().await.unwrap();
        assert!(store.read(*KEY).await.unwrap().is_some());
        sleep(LEFT_ALONE).await;
        provider.reset();
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t2");
    });
}

// ===== the look in the background =====

#[test]
fn a_look_that_is_late_does_not_replace_what_is_newer() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let is_slow = Arc::new(AtomicBool::new(false));
        let slow = Arc::clone(&is_slow);
        let watched = Watched::new(&store, move |step, when| {
            let waits = (step, when) == (Step::Read, When::After) && slow.load(Ordering::Relaxed);
            async move {
                if waits {
                    sleep(BUDGET / 2).await;
                }
            }
        });
        let provider = member(&account, watched);
        provider.acquire().await.unwrap();
        assert!(reject(&provider, "/forbidden"));
        provider.acquire().await.unwrap();
        let other = member(&account, store);
        other.acquire().await.unwrap();
        other.reset();
        other.acquire().await.unwrap();
        is_slow.store(true, Ordering::Relaxed);
        assert!(
            !reject(&provider, "/forbidden"),
            "it is held back, and looks"
        );
        sleep(BUDGET / 4).await; // the read is under way
        provider.set_credential(account.sign_in());
        sleep(BUDGET).await;
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t4");
    });
}

#[test]
fn the_store_is_looked_at_once_in_a_second_and_not_while_it_is_left_alone() {
    runtime().block_on(async {
        let store = Unruly::default();
        let failing = login_fn(async |_| Err(LoginError::permanent("the wrong password"))?);
        let provider = CachedProvider::builder(failing)
            .shared(SharedAccount::new(store.clone(), *KEY))
            .build();
        provider.acquire().await.unwrap_err();
        let before = store.calls();
        for looks in [1, 2, 3, 3] {
            for _ in 0..10 {
                provider.acquire().await.unwrap_err(); // in the pause
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(store.calls(), before + looks);
            if looks == 2 {
                store.set(Mode::Fails);
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
}

#[test]
fn an_adoption_in_the_background_is_told() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let adopted = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&adopted);
        let failing = login_fn(async |_| Err(LoginError::permanent("the wrong password"))?);
        let provider = CachedProvider::builder(failing)
            .shared(SharedAccount::new(store.clone(), *KEY))
            .on_event(move |event| {
                let is_adoption = matches!(event, CredentialEvent::Adopted { .. });
                seen.fetch_add(usize::from(is_adoption), Ordering::Relaxed);
            })
            .build();
        provider.acquire().await.unwrap_err();
        member(&account, store).acquire().await.unwrap();
        provider.acquire().await.unwrap_err(); // it causes the look
        sleep(Duration::from_millis(1)).await;
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t1");
        assert_eq!(adopted.load(Ordering::Relaxed), 1);
        assert_eq!(provider.snapshot().adoptions(), 1);
    });
}

// ===== time =====

#[test]
fn another_process_that_logs_in_before_the_lock_is_acquired_makes_a_login_superfluous() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let other = member(&account, store.clone());
        let watched = Watched::new(&store, move |step, when| {
            let acts = (step, when) == (Step::Lock, When::Before);
            let other = other.clone();
            async move {
                if acts {
                    other.acquire().await.unwrap();
                }
            }
        });
        let provider = member(&account, watched);
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t1");
        assert_eq!((account.logins(), provider.snapshot().adoptions()), (1, 1));
    });
}

#[test]
fn all_steps_before_a_login_share_one_budget_and_those_after_it_have_another() {
    for (step_time, is_too_slow) in [(60, false), (100, true), (200, true)] {
        runtime().block_on(async {
            let (account, store) = (Account::default(), MemoryStore::new());
            let slow = Watched::new(&store, move |_, when| async move {
                if when == When::Before {
                    sleep(Duration::from_millis(step_time)).await;
                }
            });
            let failures = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&failures);
            let provider = CachedProvider::builder(account.login())
                .shared(SharedAccount::new(slow, *KEY))
                .on_event(move |event| {
                    let is_failure = matches!(event, CredentialEvent::StoreFailed { .. });
                    seen.fetch_add(usize::from(is_failure), Ordering::Relaxed);
                })
                .build();
            let start = Instant::now();
            provider.acquire().await.unwrap();
            assert!(start.elapsed() <= LOGIN_TIME + 2 * BUDGET + Duration::from_millis(4));
            assert_eq!(failures.load(Ordering::Relaxed), usize::from(is_too_slow));
            assert_eq!(store.read(*KEY).await.unwrap().is_some(), !is_too_slow);
        });
    }
}

#[test]
fn a_published_lifetime_counts_from_the_start_of_the_login() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let clock = TestClock::new();
        let provider = CachedProvider::builder(account.login())
            .shared(SharedAccount::new(store.clone(), *KEY))
            .clock(clock.clone())
            .build();
        account.on_login(move || clock.advance(HOUR / 60));
        provider.acquire().await.unwrap();
        let stored = store.read(*KEY).await.unwrap().unwrap();
        let record = stored.open(*KEY, None).unwrap();
        let expires_at = record.expires_at().unwrap();
        let lifetime = expires_at.duration_since(record.issued_at()).unwrap();
        assert_eq!(lifetime, HOUR - HOUR / 60);
    });
}

// ===== user code =====

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("expected");
    }
}

#[test]
fn a_store_whose_futures_panic_when_they_are_dropped_fails_no_request() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let hangs = Watched::new(&store, |_, _| async {
            let _panics = PanicsOnDrop;
            pending::<()>().await;
        });
        let provider = member(&account, hangs);
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer t1");
    });
}

#[test]
fn a_hint_that_panics_fails_no_request() {
    let hints: [fn() -> Option<Hint>; 4] = [
        || panic!("expected"),
        || Some(Box::pin(async { panic!("expected") })),
        || {
            Some(Box::pin(async {
                let _panics = PanicsOnDrop;
                pending().await
            }))
        },
        || {
            let panics = PanicsOnDrop;
            Some(Box::pin(async move {
                let _panics = panics;
                pending().await
            }))
        },
    ];
    for hint in hints {
        runtime().block_on(async {
            let (account, store) = (Account::default(), MemoryStore::new());
            let LockAttempt::Acquired(lock) = store.lock(*KEY, LEASE).await.unwrap() else {
                panic!("nobody has the lock")
            };
            let watched = Watched::new(&store, |_, _| ready(())).with_hint(hint);
            let provider = member(&account, watched);
            let waiter = tokio::spawn(provider.acquire());
            sleep(Duration::from_millis(100)).await;
            store.unlock(lock).await.unwrap();
            assert_eq!(waiter.await.unwrap().unwrap().value(), "Bearer t1");
        });
    }
}

#[test]
fn a_hint_that_ends_at_once_causes_no_calls_in_a_loop() {
    runtime().block_on(async {
        let (account, store) = (Account::default(), MemoryStore::new());
        let LockAttempt::Acquired(_dead) = store.lock(*KEY, LEASE).await.unwrap() else {
            panic!("nobody has the lock")
        };
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let watched = Watched::new(&store, move |_, when| {
            let calls = counted.fetch_add(usize::from(when == When::Before), Ordering::Relaxed);
            assert!(calls < 10_000, "a loop");
            ready(())
        })
        .with_hint(|| Some(Box::pin(ready(()))));
        let start = Instant::now();
        member(&account, watched).acquire().await.unwrap();
        assert!(start.elapsed() >= LEASE);
        let calls = calls.load(Ordering::Relaxed);
        assert!(calls < 1000, "{calls} calls");
    });
}
