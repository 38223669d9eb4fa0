//! A task that renews the credential although no request is sent.

mod support;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use support::{HandClock, Issuer, by_hand};
use tokio::{
    runtime::{Builder, Handle},
    task::yield_now,
    time::{Instant, sleep},
};
use tokio_test::task;
use tower_bearer::{
    BoxError, CachedProvider, CachedProviderBuilder, Credential, CredentialEvent, LoginError,
    LoginReason, Session, login_fn,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// When logins started, in whole seconds after the log was made.
#[derive(Clone)]
struct Log {
    start: Instant,
    logins: Arc<Mutex<Vec<u64>>>,
}

impl Log {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            logins: Arc::default(),
        }
    }

    fn logins(&self) -> Vec<u64> {
        self.logins.lock().unwrap().clone()
    }

    /// A provider of this login, with the random number 0.5.
    fn builder(
        &self,
        session: Session,
        login: impl Fn() -> Result<Credential, BoxError> + Send + Sync + 'static,
    ) -> CachedProviderBuilder {
        let log = self.clone();
        let login = login_fn(move |_| {
            let elapsed = log.start.elapsed().as_secs();
            log.logins.lock().unwrap().push(elapsed);
            let outcome = login();
            async move { outcome }
        });
        CachedProvider::builder(login.with_session(session)).random(|| 0.5)
    }
}

fn for_an_hour() -> Result<Credential, BoxError> {
    Ok(Credential::new("abc")?.with_lifetime(HOUR))
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Lets the other tasks of a current-thread runtime run, without a moment passing.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_session_is_renewed_when_the_use_of_its_credential_ends() {
    let log = Log::new();
    let provider = log.builder(Session::Exclusive, for_an_hour).build();
    tokio::spawn(provider.keep_warm());
    sleep(DAY).await;
    let expected: Vec<_> = (0..)
        .map(|at| at * 3590)
        .take_while(|at| *at < 86_400)
        .collect();
    assert_eq!(log.logins(), expected);
    assert_eq!(log.logins().len(), 25);
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_session_is_renewed_when_its_credential_ages() {
    let log = Log::new();
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reasons);
    let provider = log
        .builder(Session::Concurrent, for_an_hour)
        .on_event(move |event| {
            if let CredentialEvent::LoggedIn { reason, .. } = event {
                seen.lock().unwrap().push(*reason);
            }
        })
        .build();
    tokio::spawn(provider.keep_warm());
    for _ in 0..DAY.as_secs() / 60 {
        sleep(seconds(60)).await;
        assert!(provider.current().is_some());
    }
    // 80 % of 3590 s.
    let expected: Vec<_> = (0..)
        .map(|at| at * 2872)
        .take_while(|at| *at < 86_400)
        .collect();
    assert_eq!(log.logins(), expected);
    let reasons = reasons.lock().unwrap();
    assert_eq!(reasons[0], LoginReason::First);
    assert!(
        reasons[1..]
            .iter()
            .all(|it| *it == LoginReason::RefreshAhead)
    );
}

#[tokio::test(start_paused = true)]
async fn an_endless_credential_is_never_renewed() {
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    tokio::spawn(provider.keep_warm());
    sleep(DAY).await;
    issuer.assert_logins(1);
}

#[tokio::test(start_paused = true)]
async fn a_starting_credential_is_used_first() {
    let log = Log::new();
    let provider = log
        .builder(Session::Exclusive, for_an_hour)
        .starting_with(for_an_hour().unwrap())
        .build();
    tokio::spawn(provider.keep_warm());
    sleep(HOUR).await;
    assert_eq!(log.logins(), [3590]);
}

// A provider that has a request every second, through outages of all kinds.
#[tokio::test(start_paused = true)]
async fn it_makes_no_more_logins_than_requests_do() {
    for session in [Session::Exclusive, Session::Concurrent] {
        let provider = |log: &Log| {
            let start = log.start;
            let login = move || match start.elapsed().as_secs() {
                7_000..9_000 => Err("no network")?,
                12_000..13_000 => Err(LoginError::permanent("wrong password"))?,
                18_000..19_000 => Err(LoginError::retry_after("busy", seconds(120)))?,
                _ => for_an_hour(),
            };
            log.builder(session, login).build()
        };
        let (warm, asked) = (Log::new(), Log::new());
        let (kept, requested) = (provider(&warm), provider(&asked));
        tokio::spawn(kept.keep_warm());
        for _ in 0..24_000 {
            let _ = requested.acquire().await;
            sleep(seconds(1)).await;
        }
        let (warm, asked) = (warm.logins().len(), asked.logins().len());
        assert!(
            warm <= asked && warm * 10 >= asked * 9,
            "{session:?}: {warm}, {asked}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn it_stops_with_the_last_handle() {
    for lifetime in [None, Some(HOUR)] {
        let issuer = match lifetime {
            Some(lifetime) => Issuer::new().with_lifetime(lifetime),
            None => Issuer::new(),
        };
        let before = alive_tasks();
        let provider = CachedProvider::new(issuer);
        let keepers = [provider.keep_warm(), provider.clone().keep_warm()].map(tokio::spawn);
        sleep(seconds(100)).await;
        assert!(provider.current().is_some());
        assert_eq!(alive_tasks(), before + 2);

        let dropped_at = Instant::now();
        drop(provider);
        for keeper in keepers {
            keeper.await.unwrap();
        }
        assert_eq!(dropped_at.elapsed(), Duration::ZERO);
        assert_eq!(alive_tasks(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn it_stops_with_the_login_that_outlives_the_last_handle() {
    let issuer = Issuer::gated();
    let before = alive_tasks();
    let provider = CachedProvider::new(issuer.clone());
    let keeper = tokio::spawn(provider.keep_warm());
    settle().await;
    drop(provider);
    settle().await;
    assert!(!keeper.is_finished());
    issuer.open();
    keeper.await.unwrap();
    issuer.assert_logins(1);
    assert_eq!(alive_tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn a_failed_login_is_repeated_when_its_pause_ends() {
    let failures: [fn() -> BoxError; 3] = [
        || LoginError::retry_after("busy", seconds(120)).into(),
        || LoginError::permanent("wrong password").into(),
        || LoginError::transient("no network").into(),
    ];
    let expected: [&[u64]; 3] = [
        &[0, 120, 240, 360, 480, 600, 720, 840, 960],
        &[0, 900],
        &[0, 1, 2, 4, 8, 16, 32, 62, 92],
    ];
    for (failure, expected) in failures.into_iter().zip(expected) {
        let log = Log::new();
        let provider = log
            .builder(Session::Exclusive, move || Err(failure()))
            .build();
        tokio::spawn(provider.keep_warm());
        sleep(seconds(1000)).await;
        let logins = log.logins();
        assert_eq!(logins[..expected.len()], *expected);
    }
}

#[tokio::test(start_paused = true)]
async fn it_makes_no_login_while_signed_out() {
    let log = Log::new();
    let provider = log.builder(Session::Exclusive, for_an_hour).build();
    tokio::spawn(provider.keep_warm());
    sleep(seconds(100)).await;
    provider.sign_out();
    sleep(DAY).await;
    assert_eq!(log.logins(), [0]);

    let signed_in_at = log.start.elapsed().as_secs();
    let credential = Credential::new("by-browser").unwrap();
    provider.set_credential(credential.with_lifetime(seconds(60)));
    sleep(seconds(100)).await;
    assert_eq!(log.logins(), [0, signed_in_at + 54]);

    provider.sign_out();
    sleep(DAY).await;
    let reset_at = log.start.elapsed().as_secs();
    provider.reset();
    sleep(seconds(1)).await;
    assert_eq!(log.logins(), [0, signed_in_at + 54, reset_at]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_was_discarded_is_followed_by_another() {
    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    tokio::spawn(provider.keep_warm());
    sleep(seconds(2)).await;
    provider.reset();
    sleep(seconds(2)).await;
    issuer.open();
    settle().await;
    assert_eq!(provider.current().unwrap().value(), "Bearer token-2");
    issuer.assert_logins(2);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_credential_is_renewed_in_time() {
    let log = Log::new();
    let provider = log.builder(Session::Exclusive, for_an_hour).build();
    tokio::spawn(provider.keep_warm());
    sleep(seconds(100)).await;
    let credential = Credential::new("short").unwrap();
    provider.set_credential(credential.with_lifetime(seconds(20)));
    sleep(seconds(100)).await;
    assert_eq!(log.logins(), [0, 118]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_credential_is_replaced_at_once() {
    let log = Log::new();
    let provider = log.builder(Session::Exclusive, for_an_hour).build();
    tokio::spawn(provider.keep_warm());
    sleep(seconds(100)).await;
    let rejected = provider.current().unwrap().generation();
    assert!(provider.reject(&by_hand(rejected)).is_log_in());
    settle().await;
    assert_eq!(log.logins(), [0, 100]);

    // The login did not help, so the next rejection keeps the credential: a login would not either.
    let current = provider.current().unwrap().generation();
    assert!(!provider.reject(&by_hand(current)).is_log_in());
    sleep(seconds(1000)).await;
    assert_eq!(log.logins(), [0, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_machine_is_noticed_within_half_a_minute() {
    for session in [Session::Exclusive, Session::Concurrent] {
        let clock = HandClock::new();
        let log = Log::new();
        let provider = log
            .builder(session, for_an_hour)
            .clock(clock.clone())
            .build();
        tokio::spawn(provider.keep_warm());
        sleep(seconds(5)).await;
        // The timers and the monotonic clock stand still meanwhile.
        clock.jump_wall(HOUR);
        assert!(provider.current().is_none());
        sleep(seconds(30)).await;
        assert_eq!(log.logins(), [0, 30], "{session:?}");
        assert!(provider.current().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn it_runs_again_after_its_task_was_aborted() {
    let log = Log::new();
    let provider = log.builder(Session::Exclusive, for_an_hour).build();
    let keeper = tokio::spawn(provider.keep_warm());
    sleep(seconds(100)).await;
    keeper.abort();
    sleep(HOUR).await;
    assert_eq!(log.logins(), [0]);
    tokio::spawn(provider.keep_warm());
    settle().await;
    assert_eq!(log.logins(), [0, 3700]);
}

#[test]
fn it_runs_on_a_runtime_of_many_threads() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (logged_in, logins) = mpsc::channel();
    let provider = CachedProvider::builder(Issuer::new().with_lifetime(HOUR))
        .on_event(move |event| {
            if let CredentialEvent::LoggedIn { reason, .. } = event {
                logged_in.send(*reason).unwrap();
            }
        })
        .build();
    let keeper = runtime.spawn(provider.keep_warm());
    assert_eq!(logins.recv(), Ok(LoginReason::First));
    // This thread has no runtime.
    let expired = Credential::new("old")
        .unwrap()
        .with_lifetime(Duration::ZERO);
    provider.set_credential(expired);
    assert_eq!(logins.recv(), Ok(LoginReason::Expired));
    drop(provider);
    runtime.block_on(keeper).unwrap();
}

// It must not end as if the provider were gone.
#[test]
#[should_panic(expected = "no reactor running")]
fn it_panics_outside_a_runtime() {
    let provider = CachedProvider::new(Issuer::new());
    let _ = task::spawn(provider.keep_warm()).poll();
}

#[tokio::test(start_paused = true)]
async fn it_makes_at_most_one_login_in_a_second() {
    let log = Log::new();
    let provider = log.builder(Session::Exclusive, for_an_hour).build();
    tokio::spawn(provider.keep_warm());
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        provider.reset();
    }
    assert_eq!(log.logins(), (0..10).collect::<Vec<_>>());
}

#[test]
fn it_ends_when_the_named_runtime_is_gone() {
    let named = Builder::new_current_thread().enable_all().build().unwrap();
    let provider = CachedProvider::builder(Issuer::new())
        .runtime(named.handle().clone())
        .build();
    drop(named);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(provider.keep_warm());
    assert_eq!(provider.snapshot().failed_logins(), 1);
}

#[test]
fn it_gives_up_a_login_whose_runtime_is_not_driven() {
    let named = Builder::new_current_thread().enable_all().build().unwrap();
    let provider = CachedProvider::builder(Issuer::new())
        .runtime(named.handle().clone())
        .build();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(async {
        tokio::spawn(provider.keep_warm());
        // 10 s for each login, and 1 s of waiting.
        sleep(seconds(32)).await;
        assert_eq!(provider.snapshot().failed_logins(), 2);
        sleep(seconds(2)).await;
        assert_eq!(provider.snapshot().failed_logins(), 3);
    });
}
