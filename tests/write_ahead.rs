//! A store is told before a refresh token may be spent, and whether it was.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};
use tokio_test::{assert_pending, assert_ready_err, task};
use tower_bearer::{
    BoxError, CachedProvider, Credential, CredentialEvent, LoginError, LoginRequest, login_fn,
};

/// A store on a disk that may be slow or full, and the order of events.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// A provider that holds the refresh token `r1`, and whose store is slow.
    fn provider<F, Fut>(&self, log_in: F, is_full: bool) -> CachedProvider
    where
        F: Fn(LoginRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credential, BoxError>> + Send,
    {
        let (ahead, unspent, stored, events) =
            (self.clone(), self.clone(), self.clone(), self.clone());
        CachedProvider::builder(login_fn(log_in))
            .before_refresh(move |token| {
                let ahead = ahead.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if is_full {
                        return Err("the disk is full".into());
                    }
                    ahead.write(format!("may be spent: {}", token.expose()));
                    Ok(())
                }
            })
            .on_unspent(move |token| unspent.write(format!("unspent: {}", token.expose())))
            .on_credential(move |credential| {
                let token = credential.refresh_token().map(|token| token.expose());
                stored.write(format!("stored: {token:?}"));
            })
            .on_event(move |event| {
                if let CredentialEvent::RefreshFailed { error, .. } = event {
                    let source = std::error::Error::source(error).unwrap().to_string();
                    events.write(format!("refresh failed: {source}"));
                }
            })
            .starting_with_refresh_token("r1")
            .build()
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_knows_before_the_login_gets_the_refresh_token() {
    let journal = Journal::default();
    let logins = journal.clone();
    let provider = journal.provider(
        move |mut request| {
            let token = request.take_refresh_token().unwrap();
            logins.write(format!("sent: {}", token.expose()));
            async { Ok(Credential::new("b")?.with_refresh_token("r2")) }
        },
        false,
    );
    provider.acquire().await.unwrap();
    assert_eq!(
        journal.take(),
        ["may be spent: r1", "sent: r1", r#"stored: Some("r2")"#]
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_without_a_refresh_token_writes_nothing() {
    let journal = Journal::default();
    let provider = journal.provider(
        |mut request| {
            let _spent = request.take_refresh_token();
            async { Ok(Credential::new("b")?) }
        },
        false,
    );
    provider.acquire().await.unwrap();
    assert_eq!(journal.take(), ["may be spent: r1", "stored: None"]);
    provider.reset();
    provider.acquire().await.unwrap();
    assert_eq!(journal.take(), ["stored: None"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_a_failed_login_leaves_is_reported() {
    for (puts_back, reported) in [
        (None, "unspent: r1"),
        (Some("r1"), "unspent: r1"),
        (Some("r2"), "unspent: r2"),
    ] {
        let journal = Journal::default();
        let provider = journal.provider(
            move |mut request| {
                if let Some(token) = puts_back {
                    let _sent = request.take_refresh_token();
                    request.put_back_refresh_token(token.into());
                }
                async { Err("no connection".into()) }
            },
            false,
        );
        provider.acquire().await.unwrap_err();
        assert_eq!(journal.take(), ["may be spent: r1", reported]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_refresh_token_is_not_reported() {
    let journal = Journal::default();
    let provider = journal.provider(
        |mut request| {
            let _spent = request.take_refresh_token();
            async { Err(LoginError::permanent("refused").into()) }
        },
        false,
    );
    provider.acquire().await.unwrap_err();
    assert_eq!(journal.take(), ["may be spent: r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_succeeds_otherwise_stores_the_unspent_refresh_token() {
    let journal = Journal::default();
    let provider = journal.provider(|_| async { Ok(Credential::new("b")?) }, false);
    provider.acquire().await.unwrap();
    assert_eq!(
        journal.take(),
        ["may be spent: r1", r#"stored: Some("r1")"#]
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_withholds_the_refresh_token() {
    let journal = Journal::default();
    let provider = journal.provider(
        |mut request| {
            assert!(request.take_refresh_token().is_none());
            async { Ok(Credential::new("by-password")?) }
        },
        true,
    );
    let authorization = provider.acquire().await.unwrap();
    assert_eq!(authorization.value(), "Bearer by-password");
    assert_eq!(
        journal.take(),
        ["refresh failed: the disk is full", r#"stored: Some("r1")"#],
        "it stays for the next login"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_or_panics_costs_no_refresh_token() {
    for panics in [false, true] {
        let unspent = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&unspent);
        let provider =
            CachedProvider::builder(login_fn(|_| async { unreachable!("the hook comes first") }))
                .before_refresh(move |_| async move {
                    assert!(!panics, "the store panics");
                    std::future::pending().await
                })
                .on_unspent(move |token| kept.lock().unwrap().push(token.expose().to_owned()))
                .starting_with(Credential::new("a").unwrap().with_refresh_token("r1"))
                .build();
        provider.reset();
        let error = provider.acquire().await.unwrap_err();
        assert_eq!(error.is_login_panicked(), panics);
        assert_eq!(error.is_login_timed_out(), !panics);
        assert_eq!(*unspent.lock().unwrap(), ["r1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_discarded_login_reports_the_refresh_token_that_is_kept() {
    for (rotates, reported) in [(false, "unspent: r1"), (true, "unspent: r2")] {
        let journal = Journal::default();
        let provider = journal.provider(
            move |mut request| {
                let spent = rotates.then(|| request.take_refresh_token());
                async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    match spent {
                        None => Err("no connection".into()),
                        Some(_) => Ok(Credential::new("b")?.with_refresh_token("r2")),
                    }
                }
            },
            false,
        );
        let mut waiter = task::spawn(provider.acquire());
        assert_pending!(waiter.poll());
        tokio::time::sleep(Duration::from_millis(100)).await;
        provider.reset();
        provider.settled().await;
        assert_eq!(journal.take(), ["may be spent: r1", reported]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_during_the_write_keeps_the_login_from_beginning() {
    let journal = Journal::default();
    let logins = journal.clone();
    let provider = journal.provider(
        move |_| {
            logins.write("sent");
            async { Ok(Credential::new("b")?) }
        },
        false,
    );
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    tokio::time::sleep(Duration::from_millis(5)).await;
    provider.sign_out();
    provider.settled().await;
    assert!(assert_ready_err!(waiter.poll()).is_signed_out());
    assert_eq!(
        journal.take(),
        ["may be spent: r1"],
        "its end is never known"
    );
    assert_eq!(provider.snapshot().discarded_logins(), 1);
}

/// The hook of a login that has ended comes before the next login gets the same refresh token.
/// Otherwise the store would say last that a refresh token is unspent which was sent.
#[test]
fn no_report_of_an_unspent_refresh_token_comes_late() {
    for is_reset_during_it in [true, false] {
        let journal = Journal::default();
        let itself: Arc<OnceLock<CachedProvider>> = Arc::default();
        let (ahead, sent, unspent) = (journal.clone(), journal.clone(), journal.clone());
        let logins = AtomicUsize::new(0);
        let login = login_fn(move |mut request: LoginRequest| {
            let is_first = logins.fetch_add(1, SeqCst) == 0;
            let sent = sent.clone();
            async move {
                if is_first {
                    yield_now().await;
                    return Err("no connection".into());
                }
                let token = request.take_refresh_token().unwrap();
                sent.write(format!("sent: {}", token.expose()));
                std::future::pending().await
            }
        });
        let (in_observer, has_failed) = (Arc::clone(&itself), AtomicBool::new(false));
        let provider = CachedProvider::builder(login)
            .before_refresh(move |token| {
                ahead.write(format!("may be spent: {}", token.expose()));
                async { Ok(()) }
            })
            .on_unspent(move |token| unspent.write(format!("unspent: {}", token.expose())))
            .on_event(move |event| match event {
                CredentialEvent::LoginDiscarded { .. } | CredentialEvent::LoginFailed { .. } => {
                    if has_failed.swap(true, SeqCst) {
                        return; // the second login, which the end of its runtime drops
                    }
                    let provider = in_observer.get().unwrap().clone();
                    provider.reset(); // no pause
                    // Another thread logs in before this observer has returned.
                    let other = std::thread::spawn(move || {
                        current_thread().block_on(async {
                            let mut waiter = task::spawn(provider.acquire());
                            assert_pending!(waiter.poll());
                            for _ in 0..10 {
                                yield_now().await;
                            }
                        });
                    });
                    other.join().unwrap();
                }
                _ => {}
            })
            .starting_with(Credential::new("a").unwrap().with_refresh_token("r1"))
            .build();
        itself.set(provider.clone()).ok();
        current_thread().block_on(async {
            provider.reset();
            let mut waiter = task::spawn(provider.acquire());
            assert_pending!(waiter.poll());
            yield_now().await;
            if is_reset_during_it {
                provider.reset();
            }
            for _ in 0..10 {
                yield_now().await;
            }
        });
        let lines = [
            "may be spent: r1",
            "unspent: r1",
            "may be spent: r1",
            "sent: r1",
        ];
        assert_eq!(journal.take(), lines);
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}
