//! Clocks, wakers and errors of the user may call the provider, and may be slow. No lock is held
//! while they run, and state read before is read again.

mod support;

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};

use support::{HandClock, Issuer, by_hand, without_dead_lock};
use tokio::{runtime::Builder, task::yield_now};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower_bearer::{Authorization, CachedProvider, Clock, login_fn};

/// A clock that runs a hook at its nth reading.
#[derive(Clone)]
struct HookedClock {
    clock: HandClock,
    hook: Arc<Mutex<Option<(usize, Hook)>>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl HookedClock {
    fn new() -> Self {
        Self {
            clock: HandClock::new(),
            hook: Arc::default(),
        }
    }

    /// Runs the hook at the nth reading of the monotonic clock from now on. The next one is 0.
    fn hook(&self, nth: usize, hook: impl FnOnce() + Send + 'static) {
        *self.hook.lock().unwrap() = Some((nth, Box::new(hook)));
    }

    fn has_run(&self) -> bool {
        self.hook.lock().unwrap().is_none()
    }
}

impl Clock for HookedClock {
    fn now(&self) -> Instant {
        let mut hook = self.hook.lock().unwrap();
        match hook.take() {
            Some((0, act)) => {
                drop(hook);
                act();
            }
            Some((nth, act)) => *hook = Some((nth - 1, act)),
            None => {}
        }
        self.clock.now()
    }

    fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    fn runs_by_itself(&self) -> bool {
        self.now();
        false
    }
}

fn on_a_runtime<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Runs a future to its end on another thread and runtime.
fn elsewhere<F: Future<Output = ()> + Send>(future: F) {
    thread::scope(|scope| scope.spawn(|| on_a_runtime(future)).join().unwrap());
}

/// Calls everything that takes the provider's lock.
fn use_it(provider: &CachedProvider) {
    if let Some(current) = provider.current() {
        let _ = provider.reject(&by_hand(current.generation())).is_log_in();
    }
    let _ = task::spawn(provider.acquire()).poll();
    let _ = format!("{provider:?}");
}

// Trap 12
#[test]
fn a_login_that_ended_meanwhile_is_not_repeated() {
    without_dead_lock(|| {
        let issuer = Issuer::new().with_lifetime(Duration::from_secs(3600));
        let clock = HookedClock::new();
        let builder = CachedProvider::builder(issuer.clone());
        let provider = builder.clock(clock.clone()).build();
        on_a_runtime(async {
            let other = provider.clone();
            clock.hook(0, move || {
                elsewhere(async move { assert!(other.acquire().await.is_ok()) });
            });
            assert_ready_ok!(task::spawn(provider.acquire()).poll());
        });
        assert!(clock.has_run());
        println!("figure: trap12 logins={}", issuer.logins());
        assert_eq!(issuer.logins(), 1);
    });
}

// Trap 13
#[test]
fn a_background_login_that_ended_meanwhile_is_not_repeated() {
    without_dead_lock(|| {
        let issuer = Issuer::new()
            .concurrent()
            .with_lifetime(Duration::from_secs(3600));
        let clock = HookedClock::new();
        let builder = CachedProvider::builder(issuer.clone());
        let provider = builder.clock(clock.clone()).build();
        on_a_runtime(async {
            provider.acquire().await.unwrap();
            clock.clock.advance(Duration::from_secs(3300));
            // The clock is read to check the credential, and again before a login starts.
            let other = provider.clone();
            clock.hook(1, move || {
                elsewhere(async move {
                    while other.current().unwrap().value() == "Bearer token-1" {
                        yield_now().await;
                    }
                });
            });
            assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
            yield_now().await;
            yield_now().await;
        });
        assert!(clock.has_run());
        assert_eq!(issuer.logins(), 2);
    });
}

#[test]
fn a_clock_may_call_the_provider_at_any_reading() {
    without_dead_lock(|| {
        let mut readings = 0;
        loop {
            let issuer = Issuer::new()
                .concurrent()
                .with_lifetime(Duration::from_secs(3600));
            let clock = HookedClock::new();
            let builder = CachedProvider::builder(issuer.clone());
            let provider = builder.clock(clock.clone()).build();
            let used = provider.clone();
            clock.hook(readings, move || use_it(&used));
            on_a_runtime(async {
                let _ = provider.acquire().await;
                issuer.fail("scripted");
                clock.clock.advance(Duration::from_secs(3300));
                let _ = provider.current();
                yield_now().await;
                issuer.recover();
                clock.clock.advance(Duration::from_secs(300));
                let _ = provider.acquire().await;
            });
            // A hook that did not run holds the provider, which holds the clock.
            if clock.hook.lock().unwrap().take().is_some() {
                break;
            }
            readings += 1;
        }
        println!("figure: reentrancy clock_readings={readings}");
        assert!(readings >= 8, "{readings}");
    });
}

#[test]
fn a_panicking_clock_fails_one_login_and_not_the_process() {
    without_dead_lock(|| {
        let clock = HookedClock::new();
        let builder = CachedProvider::builder(Issuer::new());
        let provider = builder.clock(clock.clone()).build();
        on_a_runtime(async {
            // The request reads the clock, and then the login's task does.
            clock.hook(1, || panic!("scripted"));
            assert!(provider.acquire().await.unwrap_err().is_login_lost());
            assert!(clock.has_run());
            assert!(provider.acquire().await.is_ok());
        });
    });
}

#[test]
fn a_waker_may_call_the_provider() {
    struct UsesIt(CachedProvider);
    impl Wake for UsesIt {
        fn wake(self: Arc<Self>) {
            use_it(&self.0);
        }
    }
    without_dead_lock(|| {
        let issuer = Issuer::gated();
        let provider = CachedProvider::new(issuer.clone());
        on_a_runtime(async {
            let waker = Waker::from(Arc::new(UsesIt(provider.clone())));
            let mut acquire = std::pin::pin!(provider.acquire());
            assert_pending!(acquire.as_mut().poll(&mut Context::from_waker(&waker)));
            issuer.open();
            // The waker rejects the first credential, and asks for a second.
            while issuer.finished() < 2 {
                yield_now().await;
            }
        });
    });
}

#[test]
fn an_observer_may_call_the_provider() {
    without_dead_lock(|| {
        let used: Arc<Mutex<Option<CachedProvider>>> = Arc::default();
        let observed = Arc::clone(&used);
        let provider = CachedProvider::builder(Issuer::new())
            .on_event(move |_| {
                let provider = observed.lock().unwrap().clone();
                let _ = provider.unwrap().snapshot();
            })
            .build();
        *used.lock().unwrap() = Some(provider.clone());
        on_a_runtime(async {
            // A login, a rejection that causes a login, and one that does not.
            for causes_login in [true, false] {
                let current = provider.acquire().await.unwrap().generation();
                let verdict = provider.reject(&by_hand(current));
                assert_eq!(verdict.is_log_in(), causes_login);
            }
        });
    });
}

#[test]
fn an_error_may_call_the_provider_when_it_is_dropped() {
    struct UsesIt(Weak<CachedProvider>);
    impl Drop for UsesIt {
        fn drop(&mut self) {
            if let Some(provider) = self.0.upgrade() {
                use_it(&provider);
            }
        }
    }
    impl fmt::Debug for UsesIt {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("UsesIt")
        }
    }
    impl fmt::Display for UsesIt {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("scripted")
        }
    }
    impl Error for UsesIt {}

    without_dead_lock(|| {
        let clock = HandClock::new();
        let provider = Arc::new_cyclic(|weak: &Weak<CachedProvider>| {
            let weak = weak.clone();
            let login = login_fn(move |_| {
                let error = UsesIt(weak.clone());
                async move { Err(error.into()) }
            });
            CachedProvider::builder(login).clock(clock.clone()).build()
        });
        on_a_runtime(async {
            for _ in 0..3 {
                drop(CachedProvider::acquire(&provider).await);
                clock.advance(Duration::from_secs(2));
            }
        });
    });
}

// A waiter that is polled late does not use an authorization that was rejected meanwhile.
#[tokio::test(start_paused = true)]
async fn a_late_poll_gets_the_credential_that_is_current_then() {
    let reject = async |provider: &CachedProvider, rejected: &Authorization| {
        // Long after the login, so the rejection is not held back.
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!(provider.reject(&by_hand(rejected.generation())).is_log_in());
    };
    let issuer = Issuer::gated();
    let provider = CachedProvider::new(issuer.clone());
    let mut late = task::spawn(provider.acquire());
    assert_pending!(late.poll());
    issuer.open();
    let first = provider.acquire().await.unwrap();
    reject(&provider, &first).await;
    let second = provider.acquire().await.unwrap();
    let Poll::Ready(Ok(got)) = late.poll() else {
        panic!("the login has ended");
    };
    assert_eq!(got.generation(), second.generation());

    // If there is no current credential any more, the waiter starts another login.
    reject(&provider, &second).await;
    let mut late = task::spawn(provider.acquire());
    assert_pending!(late.poll());
    let third = provider.acquire().await.unwrap();
    reject(&provider, &third).await;
    assert_eq!(late.await.unwrap().value(), "Bearer token-4");
    assert_eq!(issuer.logins(), 4);
}
