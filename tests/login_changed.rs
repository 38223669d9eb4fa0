//! A login that reports when its next credential would be another one.

mod support;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use support::{HandClock, by_hand};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{Mutex, Notify},
    task::yield_now,
    time::{Instant, sleep},
};
use tower_bearer::{
    BoxError, CachedProvider, Credential, CredentialState, KeyedProvider, Login, LoginReason,
    LoginRequest, Session,
};

/// A login whose credential changes when it is notified.
#[derive(Clone)]
struct Vault {
    told: Arc<Notify>,
    logins: Arc<AtomicUsize>,
    /// What the future holds while it lives.
    alive: Arc<()>,
    reasons: Arc<std::sync::Mutex<Vec<LoginReason>>>,
    is_down: Arc<AtomicBool>,
    tells_at_once: bool,
    session: Session,
    panics: bool,
    /// Held by a login that must not end.
    gate: Arc<Mutex<()>>,
}

impl Login for Vault {
    async fn login(&self, request: LoginRequest) -> Result<Credential, BoxError> {
        self.reasons.lock().unwrap().push(request.reason());
        let login = self.logins.fetch_add(1, SeqCst) + 1;
        let _ = self.gate.lock().await;
        if self.is_down.load(SeqCst) {
            return Err("down".into());
        }
        Ok(Credential::new(format!("token-{login}"))?)
    }

    fn session(&self) -> Session {
        self.session
    }

    fn changed(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        assert!(!self.panics, "the test wants it");
        let (told, alive) = (Arc::clone(&self.told), Arc::clone(&self.alive));
        let tells_at_once = self.tells_at_once;
        Some(Box::pin(async move {
            let _alive = alive;
            if !tells_at_once {
                told.notified().await;
            }
        }))
    }
}

impl Vault {
    fn logins(&self) -> usize {
        self.logins.load(SeqCst)
    }

    fn futures(&self) -> usize {
        // The other one is in the vault itself, and in its clones.
        Arc::strong_count(&self.alive) - 2
    }

    fn provider(&self) -> CachedProvider {
        CachedProvider::new(self.clone())
    }
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            told: Arc::default(),
            logins: Arc::default(),
            alive: Arc::default(),
            reasons: Arc::default(),
            is_down: Arc::default(),
            tells_at_once: false,
            session: Session::Concurrent,
            panics: false,
            gate: Arc::default(),
        }
    }
}

fn paused_runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

fn value(provider: &CachedProvider) -> Option<String> {
    let current = provider.current()?;
    Some(current.value().to_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_change_causes_a_login_in_the_background() {
    let vault = Vault::default();
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    for login in 2..5 {
        vault.told.notify_one();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(value(&provider), Some(format!("Bearer token-{login}")));
    }
    assert_eq!(vault.logins(), 4);
    let reasons = vault.reasons.lock().unwrap();
    assert_eq!(reasons[0], LoginReason::First);
    assert!(
        reasons[1..]
            .iter()
            .all(|it| *it == LoginReason::RefreshAhead)
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_happens_without_a_change() {
    let vault = Vault::default();
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!((vault.logins(), vault.futures()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_ends_at_once_causes_one_login_in_a_second() {
    let vault = Vault {
        tells_at_once: true,
        ..Vault::default()
    };
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    sleep(Duration::from_millis(60_500)).await;
    assert_eq!(vault.logins(), 61);
}

#[tokio::test(start_paused = true)]
async fn a_change_counts_during_the_pause_after_a_failure() {
    let vault = Vault::default();
    vault.is_down.store(true, SeqCst);
    let provider = vault.provider();
    let start = Instant::now();
    let mut error = provider.acquire().await.unwrap_err();
    while error.next_attempt().unwrap() < Instant::now().into_std() + Duration::from_secs(10) {
        sleep(Duration::from_secs(10)).await;
        error = provider.acquire().await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(3600));
    }
    vault.is_down.store(false, SeqCst);
    vault.told.notify_one();
    sleep(Duration::from_secs(2)).await;
    assert!(value(&provider).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_credential_and_the_next_change_counts() {
    let vault = Vault::default();
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    vault.is_down.store(true, SeqCst);
    vault.told.notify_one();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(vault.logins(), 2);
    assert_eq!(value(&provider).as_deref(), Some("Bearer token-1"));
    vault.is_down.store(false, SeqCst);
    vault.told.notify_one();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(value(&provider).as_deref(), Some("Bearer token-3"));
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_login_causes_no_second_one_at_the_same_time() {
    let vault = Vault::default();
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    let gate = vault.gate.lock().await;
    provider.reset();
    let waiter = tokio::spawn(provider.acquire());
    settle().await;
    vault.told.notify_one();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(vault.logins(), 2);
    drop(gate);
    waiter.await.unwrap().unwrap();
    assert_eq!(vault.logins(), 2);
    // The login may have begun too early for the change.
    sleep(Duration::from_secs(60)).await;
    assert_eq!((vault.logins(), vault.futures()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_within_a_second_after_a_login_is_not_lost_by_another_login() {
    let vault = Vault::default();
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    let gate = vault.gate.lock().await;
    provider.reset();
    let waiter = tokio::spawn(provider.acquire());
    settle().await;
    vault.told.notify_one();
    settle().await;
    drop(gate);
    waiter.await.unwrap().unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!((vault.logins(), vault.futures()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_begins_after_a_change_needs_no_other_one() {
    let vault = Vault::default();
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    vault.told.notify_one();
    settle().await; // the task waits for the end of the second
    provider.reset();
    provider.acquire().await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!((vault.logins(), vault.futures()), (2, 1));
}

#[test]
fn a_change_is_not_lost_with_its_login() {
    let vault = Vault::default();
    let provider = vault.provider();
    let (first, second) = (paused_runtime(), paused_runtime());
    let gate = first.block_on(async {
        provider.acquire().await.unwrap();
        let gate = Arc::clone(&vault.gate).lock_owned().await;
        vault.told.notify_one();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(vault.logins(), 2);
        gate
    });
    // Nobody drives the first runtime any more, so that the login is found lost.
    second.block_on(provider.settled());
    assert_eq!(value(&provider).as_deref(), Some("Bearer token-1"));
    drop((first, gate));
    second.block_on(async {
        for login in 3..5 {
            sleep(Duration::from_secs(2)).await;
            assert_eq!(value(&provider), Some(format!("Bearer token-{login}")));
            vault.told.notify_one();
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_clock_starts_no_second_login_in_an_exclusive_session() {
    for (session, logins) in [(Session::Exclusive, 2), (Session::Concurrent, 3)] {
        let vault = Vault {
            session,
            ..Vault::default()
        };
        let clock = HandClock::new();
        let builder = CachedProvider::builder(vault.clone()).clock(clock.clone());
        let provider = builder.build();
        provider.acquire().await.unwrap();
        let _gate = vault.gate.lock().await;
        vault.told.notify_one();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(vault.logins(), 2);
        clock.jump_wall(Duration::from_secs(3600));
        provider.reset();
        let waiter = tokio::spawn(provider.acquire());
        settle().await;
        assert_eq!(vault.logins(), logins, "{session:?}");
        waiter.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_sign_in() {
    let vault = Vault::default();
    let provider = vault.provider();
    provider.acquire().await.unwrap();
    provider.sign_out();
    vault.told.notify_one();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(vault.logins(), 1);
    assert_eq!(provider.snapshot().state(), CredentialState::SignedOut);
    // After the next login, changes count again.
    provider.reset();
    provider.acquire().await.unwrap();
    vault.told.notify_one();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(value(&provider).as_deref(), Some("Bearer token-3"));
}

#[tokio::test(start_paused = true)]
async fn a_change_after_a_rejection_is_a_login_for_it() {
    let vault = Vault::default();
    let provider = vault.provider();
    let rejected = provider.acquire().await.unwrap().generation();
    assert!(provider.reject(&by_hand(rejected)).is_log_in());
    vault.told.notify_one();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(value(&provider).as_deref(), Some("Bearer token-2"));
    let reasons = vault.reasons.lock().unwrap();
    assert_eq!(reasons[1], LoginReason::Rejected(rejected));
}

#[tokio::test(start_paused = true)]
async fn there_is_one_task() {
    let vault = Vault::default();
    let provider = vault.provider();
    for _ in 0..5 {
        provider.reset();
        provider.acquire().await.unwrap();
        settle().await;
        assert_eq!(vault.futures(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_evicted_account_is_left_alone() {
    let vault = Vault::default();
    let login = vault.clone();
    let provider = KeyedProvider::builder(move |_: &u32| login.clone())
        .capacity(1)
        .build();
    provider.for_key(&1).unwrap().acquire().await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    provider.for_key(&2).unwrap();
    assert!(provider.find(&1).is_none());
    vault.told.notify_one();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(vault.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle() {
    let vault = Vault::default();
    let provider = vault.provider();
    let other = provider.clone();
    provider.acquire().await.unwrap();
    settle().await;
    drop(provider);
    settle().await;
    assert_eq!(vault.futures(), 1);
    let tasks = || Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 1);
    drop(other);
    settle().await;
    assert_eq!(tasks(), 0);
    assert_eq!(Arc::strong_count(&vault.alive), 1, "nobody has the future");
}

#[test]
fn after_the_end_of_its_runtime_the_next_login_starts_the_task_again() {
    let vault = Vault::default();
    let provider = vault.provider();
    paused_runtime().block_on(provider.acquire()).unwrap();
    assert_eq!(vault.futures(), 0);
    provider.reset();
    paused_runtime().block_on(async {
        provider.acquire().await.unwrap();
        assert_eq!(vault.logins(), 2);
        vault.told.notify_one();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(vault.logins(), 3);
    });
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_it_harms_no_login() {
    let vault = Vault {
        panics: true,
        ..Vault::default()
    };
    let provider = vault.provider();
    assert!(provider.acquire().await.is_ok());
    provider.reset();
    assert!(provider.acquire().await.is_ok());
}
