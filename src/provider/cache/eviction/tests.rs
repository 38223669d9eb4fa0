use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::Method;

use super::*;
use crate::{
    credential::Credential,
    login::{LoginRequest, Session, login_fn},
    provider::{
        CachedProvider, CredentialProvider,
        receipt::{Receipt, Rejected},
    },
    runtime::Clock,
};

fn provider() -> CachedProvider {
    CachedProvider::new(login_fn(async |_: LoginRequest| {
        Ok(Credential::new("abc")?)
    }))
}

#[tokio::test]
async fn a_reference_before_the_check_prevents_the_eviction() {
    let provider = provider();
    let caller = provider.clone();
    assert!(!caller.cache().is_evicted());
    assert!(!provider.cache().evict(), "the caller was first");
    caller.acquire().await.unwrap();
    drop(caller);
    assert!(provider.cache().evict());
}

#[tokio::test]
async fn a_check_after_the_eviction_sees_it_and_it_happens_once() {
    let provider = provider();
    assert!(provider.cache().evict());
    let caller = provider.clone();
    assert!(caller.cache().is_evicted());
    drop(caller);
    assert!(!provider.cache().evict(), "it was evicted before");
    assert!(provider.cache().is_evicted());
}

#[tokio::test]
async fn a_login_under_way_prevents_the_eviction() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let provider = CachedProvider::new(login_fn(move |_: LoginRequest| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            Ok(Credential::new("abc")?)
        }
    }));
    let mut acquire = tokio_test::task::spawn(provider.acquire());
    assert!(acquire.poll().is_pending());
    drop(acquire);
    tokio::task::yield_now().await;
    assert!(!provider.cache().evict());
    opened.add_permits(1);
    while provider.current().is_none() {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert!(provider.cache().evict());
}

/// A reader may have found the cache just before the eviction, and report a request as sent just after.
#[tokio::test(start_paused = true)]
async fn an_evicted_cache_starts_no_background_login() {
    const LIFETIME: Duration = Duration::from_secs(100);
    for is_evicted in [false, true] {
        let logins = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&logins);
        let login = login_fn(move |_: LoginRequest| {
            counted.fetch_add(1, SeqCst);
            async { Ok(Credential::new("abc")?.with_lifetime(LIFETIME)) }
        });
        let provider = CachedProvider::new(login.with_session(Session::Concurrent));
        let authorization = provider.acquire().await.unwrap();
        tokio::time::advance(LIFETIME.mul_f64(0.89)).await;
        assert!(provider.cache().current().is_some(), "it is aging");
        if is_evicted {
            assert!(provider.cache().evict());
        }
        let (generation, account) = (authorization.generation(), authorization.account());
        provider.sent(Receipt::new(generation, account, &Method::GET, "/"));
        tokio::task::yield_now().await;
        assert_eq!(logins.load(SeqCst), if is_evicted { 1 } else { 2 });
    }
}

/// A clock that looks at the cache: user code runs under no lock.
#[tokio::test]
async fn the_clock_may_use_the_provider() {
    #[derive(Clone, Default)]
    struct Looking(Arc<std::sync::OnceLock<std::sync::Weak<Cache>>>);

    impl Clock for Looking {
        fn now(&self) -> std::time::Instant {
            if let Some(cache) = self.0.get().and_then(std::sync::Weak::upgrade) {
                assert!(cache.locked.try_lock().is_ok());
            }
            std::time::Instant::now()
        }
    }

    let clock = Looking::default();
    let login = login_fn(async |_: LoginRequest| Ok(Credential::new("abc")?));
    let provider = CachedProvider::builder(login).clock(clock.clone()).build();
    clock.0.set(Arc::downgrade(provider.cache())).unwrap();
    assert!(provider.cache().evict());
}

/// Reads go on while another thread holds the lock: they would dead-lock here.
#[tokio::test]
async fn reads_take_no_lock() {
    let provider = provider();
    let authorization = provider.acquire().await.unwrap();
    let (generation, account) = (authorization.generation(), authorization.account());
    let receipt = Receipt::new(generation, account, &Method::GET, "/");
    provider.accept(receipt);
    let locked = provider.cache().lock();
    let cache = provider.cache();
    assert!(cache.current().is_some() && cache.is_current(generation));
    provider.sent(receipt);
    provider.accept(receipt);
    drop(locked);
    assert!(provider.reject(&Rejected::by_hand(receipt)).is_log_in());
}
