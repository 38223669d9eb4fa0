//! Logins, and the runtimes that run them (FAILURES.md, F9 and F10).

mod support;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake},
    thread::{self, Thread},
    time::Duration,
};

use support::{Api, HandClock, Issuer, origins, request, without_dead_lock};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{LocalSet, yield_now},
    time::Instant,
};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, BoxError, CachePolicy, CachedProvider, Credential, Error,
    Login, Recovery, login_fn,
};

fn paused_runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// A provider whose login has started on `first` and waits at the issuer's gate.
fn logging_in_on(first: &Runtime, issuer: &Issuer) -> CachedProvider {
    let provider = CachedProvider::builder(issuer.clone())
        .clock(HandClock::new())
        .build();
    first.block_on(async {
        assert_pending!(task::spawn(provider.acquire()).poll());
        yield_now().await;
        assert_eq!(issuer.started(), 1);
    });
    provider
}

/// Drives a runtime for a moment on another thread, since the caller is inside a runtime.
fn drive(runtime: &Runtime) {
    thread::scope(|scope| {
        scope.spawn(|| {
            runtime.block_on(async {
                for _ in 0..10 {
                    yield_now().await;
                }
            });
        });
    });
}

// F9, trap 7
#[test]
fn a_login_lost_with_its_runtime_is_repeated_on_another() {
    let issuer = Issuer::gated();
    let (first, second) = (paused_runtime(), paused_runtime());
    let provider = logging_in_on(&first, &issuer);
    let mut waiter = task::spawn(provider.acquire());
    second.block_on(async { assert_pending!(waiter.poll()) });
    drop(first);

    issuer.open();
    second.block_on(async {
        // Without an error in between: the waiter retries once.
        assert_eq!(waiter.await.unwrap().value(), "Bearer token-2");
        assert!(provider.current().is_some());
    });
    println!("figure: F9 hangs=0 logins={}", issuer.logins());
    assert_eq!(issuer.logins(), 2);
}

#[test]
fn a_waiter_retries_a_lost_login_once() {
    let issuer = Issuer::gated();
    let (first, second, third) = (paused_runtime(), paused_runtime(), paused_runtime());
    let provider = logging_in_on(&first, &issuer);
    let mut waiter = task::spawn(provider.acquire());
    third.block_on(async { assert_pending!(waiter.poll()) });
    drop(first);
    // Its second login runs on a runtime that is dropped too.
    second.block_on(async {
        assert_pending!(waiter.poll());
        yield_now().await;
        assert_eq!(issuer.started(), 2);
    });
    drop(second);
    third.block_on(async {
        let error = waiter.await.unwrap_err();
        assert!(error.is_login_lost(), "{error}");
        assert_eq!(error.next_attempt(), None);
    });
}

// F9b
#[test]
fn a_login_whose_runtime_is_no_longer_driven_is_lost_at_the_waiters_deadline() {
    let issuer = Issuer::gated();
    let (first, second) = (paused_runtime(), paused_runtime());
    let provider = logging_in_on(&first, &issuer);

    second.block_on(async {
        let start = Instant::now();
        let early = tokio::spawn(provider.acquire());
        tokio::time::sleep(Duration::from_secs(5)).await;
        // This waiter has not reached its own deadline when the login is found lost.
        let late = tokio::spawn(provider.acquire());
        for waiter in [early, late] {
            let error = waiter.await.unwrap().unwrap_err();
            assert!(error.is_login_lost(), "{error}");
            let elapsed = start.elapsed().as_secs_f64();
            assert!(
                (elapsed - 11.0).abs() < 0.1,
                "10 s for the login, 1 s of waiting: {elapsed}"
            );
        }

        let mut waiter = task::spawn(provider.acquire());
        assert_pending!(waiter.poll());
        yield_now().await;
        assert_eq!(issuer.started(), 2, "a second login");

        // The lost login is driven again and must not continue: its request would revoke the token
        // of the other one.
        issuer.step();
        drive(&first);
        assert_eq!(
            issuer.finished(),
            0,
            "the gate is open, and the lost login does not continue"
        );
        assert_eq!(waiter.await.unwrap().value(), "Bearer token-2");
    });
    assert_eq!(provider.current().unwrap().value(), "Bearer token-2");
    println!("figure: F9b hangs=0 logins={}", issuer.started());
    assert_eq!(issuer.started(), 2);
}

// Part of F8: a login that blocks its thread cannot be stopped. Its late outcome is discarded while
// another login runs.
#[test]
fn the_late_outcome_of_a_lost_login_is_discarded() {
    without_dead_lock(|| {
        let (release, blocked) = mpsc::channel::<()>();
        let (start, has_started) = mpsc::channel();
        let blocked = Mutex::new(Some((start, blocked)));
        let issuer = Issuer::gated();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let provider = {
            let issuer = issuer.clone();
            let login = login_fn(move |request| {
                let (issuer, blocked) = (issuer.clone(), blocked.lock().unwrap().take());
                async move {
                    if let Some((start, blocked)) = blocked {
                        start.send(())?;
                        blocked.recv()?;
                        return Ok(Credential::new("late")?);
                    }
                    issuer.login(request).await
                }
            });
            let keep = Arc::clone(&kept);
            CachedProvider::builder(login)
                .on_credential(move |credential| {
                    let token = credential.token().expose().to_owned();
                    keep.lock().unwrap().push(token);
                })
                .build()
        };
        let first = {
            let provider = provider.clone();
            thread::spawn(move || paused_runtime().block_on(provider.acquire()))
        };
        has_started.recv().unwrap();
        paused_runtime().block_on(async {
            assert!(provider.acquire().await.unwrap_err().is_login_lost());
            let mut waiter = task::spawn(provider.acquire());
            assert_pending!(waiter.poll());
            release.send(()).unwrap();
            assert!(first.join().unwrap().unwrap_err().is_login_lost());
            assert!(provider.current().is_none());
            assert_pending!(waiter.poll());
            issuer.open();
            assert_eq!(waiter.await.unwrap().value(), "Bearer token-1");
        });
        assert_eq!(
            *kept.lock().unwrap(),
            ["token-1"],
            "it is not stored either"
        );
    });
}

/// A provider whose first login blocks its thread until the sender is dropped, and times out at
/// once.
fn blocking_login() -> (CachedProvider, mpsc::Sender<()>) {
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Mutex::new(Some(blocked));
    let login = login_fn(move |_| {
        let blocked = blocked.lock().unwrap().take();
        async move {
            if let Some(blocked) = blocked {
                let _ = blocked.recv();
            }
            Ok::<_, BoxError>(Credential::new("abc")?)
        }
    });
    let at_once = CachePolicy::default().login_timeout(Duration::ZERO);
    (
        CachedProvider::builder(login).policy(at_once).build(),
        release,
    )
}

fn workers(number: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(number).enable_all().build().unwrap()
}

/// Blocks its thread, which may be a worker's, like an executor that does not know Tokio.
fn wait_for(provider: &CachedProvider) -> Result<Authorization, Error> {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    let mut acquire = pin!(provider.acquire());
    loop {
        match acquire.as_mut().poll(&mut cx) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

// The remaining workers drive the timer, whichever task started it.
#[test]
fn a_login_that_blocks_its_worker_is_lost_even_if_its_waiter_blocks_another() {
    without_dead_lock(|| {
        let runtime = workers(3);
        let (provider, _release) = blocking_login();
        let (sender, outcome) = mpsc::channel();
        runtime.spawn(async move { sender.send(wait_for(&provider)).unwrap() });
        assert!(outcome.recv().unwrap().unwrap_err().is_login_lost());
    });
}

#[test]
fn a_waiter_sees_a_lost_login_even_if_the_first_waiter_blocks_its_worker() {
    without_dead_lock(|| {
        let runtime = workers(3);
        let (provider, _release) = blocking_login();
        let (is_waiting, waits) = mpsc::channel();
        let (_free, busy) = mpsc::channel::<()>();
        let first = provider.clone();
        runtime.spawn(async move {
            let mut acquire = task::spawn(first.acquire());
            assert_pending!(acquire.poll());
            is_waiting.send(()).unwrap();
            let _ = busy.recv();
        });
        waits.recv().unwrap();
        let (sender, outcome) = mpsc::channel();
        runtime.spawn(async move { sender.send(provider.acquire().await).unwrap() });
        assert!(outcome.recv().unwrap().unwrap_err().is_login_lost());
    });
}

#[test]
fn a_login_that_blocks_one_of_two_workers_is_lost() {
    without_dead_lock(|| {
        let runtime = workers(2);
        let (provider, _release) = blocking_login();
        let waiter = provider.clone();
        let outcome = runtime.block_on(async move {
            let waiter = tokio::spawn(async move { waiter.acquire().await });
            waiter.await.unwrap()
        });
        assert!(outcome.unwrap_err().is_login_lost());
        // From another executor, inside the runtime's context.
        let _context = runtime.enter();
        assert_eq!(wait_for(&provider).unwrap().value(), "Bearer abc");
    });
}

// A waiter that started on the login's runtime has no timer. It wakes all the same.
#[test]
fn a_waiter_on_another_runtime_wakes_when_the_logins_runtime_is_dropped() {
    let issuer = Issuer::gated();
    let (first, second) = (paused_runtime(), paused_runtime());
    let provider = CachedProvider::new(issuer.clone());
    let mut waiter = task::spawn(provider.acquire());
    first.block_on(async {
        assert_pending!(waiter.poll());
        yield_now().await;
        assert_eq!(issuer.started(), 1);
    });
    second.block_on(async { assert_pending!(waiter.poll()) });
    drop(first);
    assert!(waiter.is_woken());
    issuer.open();
    second.block_on(async { assert_eq!(waiter.await.unwrap().value(), "Bearer token-2") });
}

// Its timer would be on the runtime that polled it first.
#[test]
fn a_waiter_on_another_runtime_ends_in_time_if_the_logins_runtime_is_not_driven() {
    for is_first_poll_in_a_task in [false, true] {
        let issuer = Issuer::gated();
        let (first, second) = (paused_runtime(), paused_runtime());
        let provider = CachedProvider::new(issuer.clone());
        let waiter = Arc::new(Mutex::new(task::spawn(provider.acquire())));
        let moving = Arc::clone(&waiter);
        let poll = async move {
            assert_pending!(moving.lock().unwrap().poll());
            yield_now().await;
        };
        match is_first_poll_in_a_task {
            true => first.block_on(async { tokio::spawn(poll).await.unwrap() }),
            false => first.block_on(poll),
        }
        assert_eq!(issuer.started(), 1);
        second.block_on(async {
            let start = Instant::now();
            let ended = poll_fn(|cx| {
                let mut waiter = waiter.lock().unwrap();
                waiter.enter(|_, waiter| waiter.poll(cx))
            });
            let ended = tokio::time::timeout(Duration::from_secs(60), ended);
            let error = ended.await.expect("in time").unwrap_err();
            assert!(error.is_login_lost(), "{error}");
            assert!(start.elapsed() <= Duration::from_secs(12));
        });
    }
}

// No caller has to wait until the login is found lost.
#[test]
fn impatient_callers_recover_from_a_lost_login() {
    let issuer = Issuer::gated();
    let (first, second) = (paused_runtime(), paused_runtime());
    let provider = logging_in_on(&first, &issuer);
    issuer.open();
    second.block_on(async {
        let start = Instant::now();
        let mut timeouts = 0;
        while tokio::time::timeout(Duration::from_secs(2), provider.acquire())
            .await
            .is_err()
        {
            timeouts += 1;
            assert!(timeouts < 10, "the outage never ends");
        }
        assert!(start.elapsed() <= Duration::from_secs(12));
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-2");
    });
}

// A caller that arrives after the deadline waits for nothing: it starts a login.
#[test]
fn a_caller_after_a_lost_login_starts_its_own() {
    let issuer = Issuer::gated();
    let (first, second) = (paused_runtime(), paused_runtime());
    let provider = logging_in_on(&first, &issuer);
    issuer.open();
    second.block_on(async {
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-2");
    });
}

// The same in the background: requests with an aging credential find the lost login, and none of
// them waits.
#[test]
fn a_lost_background_login_is_repeated() {
    let issuer = Issuer::gated()
        .concurrent()
        .with_lifetime(Duration::from_secs(3600));
    issuer.step();
    let (first, second) = (paused_runtime(), paused_runtime());
    let clock = HandClock::new();
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .build();
    first.block_on(async {
        provider.acquire().await.unwrap();
        clock.advance(Duration::from_secs(3300));
        assert!(provider.current().is_some());
        yield_now().await;
    });
    assert_eq!(issuer.started(), 2);
    issuer.open();
    second.block_on(async {
        tokio::time::sleep(Duration::from_secs(12)).await;
        for _ in 0..5 {
            assert!(provider.current().is_some());
            yield_now().await;
        }
        assert_eq!(issuer.started(), 3);
        assert_eq!(provider.current().unwrap().value(), "Bearer token-3");
    });
}

// A synchronous caller may be the first to find that a login is due.
#[test]
fn a_background_login_that_is_due_waits_for_a_runtime() {
    let issuer = Issuer::new()
        .concurrent()
        .with_lifetime(Duration::from_secs(3600));
    let clock = HandClock::new();
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .build();
    let runtime = paused_runtime();
    runtime.block_on(provider.acquire()).unwrap();
    clock.advance(Duration::from_secs(3300));
    for _ in 0..3 {
        assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
    }
    assert!(!provider.snapshot().is_logging_in());
    runtime.block_on(async {
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-1");
        yield_now().await;
    });
    assert_eq!(provider.current().unwrap().value(), "Bearer token-2");
    assert_eq!(issuer.logins(), 2);
}

#[test]
fn a_login_lost_before_it_began_never_runs() {
    let issuer = Issuer::new();
    let (first, second) = (paused_runtime(), paused_runtime());
    let provider = CachedProvider::new(issuer.clone());
    // Another task is first in the queue, and yields only to the main one.
    first.block_on(async { assert_pending!(task::spawn(provider.acquire()).poll()) });
    assert_eq!(
        issuer.started(),
        0,
        "the task was spawned and not yet polled"
    );
    second.block_on(async {
        assert!(provider.acquire().await.unwrap_err().is_login_lost());
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-1");
    });
    drive(&first);
    assert_eq!(issuer.logins(), 1, "it would have revoked the token in use");
    assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
}

// A late failure of a lost login has no effect either.
#[test]
fn a_lost_login_that_fails_late_causes_no_pause() {
    let issuer = Issuer::gated();
    let (first, second) = (paused_runtime(), paused_runtime());
    let provider = logging_in_on(&first, &issuer);
    second.block_on(async {
        assert!(provider.acquire().await.unwrap_err().is_login_lost());
    });
    issuer.fail("late");
    issuer.open();
    drive(&first);
    issuer.recover();
    second.block_on(async {
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-2");
    });
}

// A runtime that is shut down drops a task while it is being spawned.
#[test]
fn a_login_that_cannot_be_spawned_is_lost_without_a_deadlock() {
    without_dead_lock(|| {
        let issuer = Issuer::new();
        let provider = CachedProvider::new(issuer.clone());
        let runtime = paused_runtime();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _context = handle.enter();
        let Poll::Ready(Err(error)) = task::spawn(provider.acquire()).poll() else {
            panic!("it must not wait");
        };
        assert!(error.is_login_lost(), "{error}");
        assert_eq!(issuer.logins(), 0);
    });
}

// Trap 7: a cached credential needs no runtime.
#[test]
fn a_valid_credential_is_served_after_its_runtime_is_gone() {
    let issuer = Issuer::new();
    let runtime = paused_runtime();
    let provider = CachedProvider::new(issuer.clone());
    runtime.block_on(async { provider.acquire().await.unwrap() });
    drop(runtime);
    assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
    let mut acquire = task::spawn(provider.acquire());
    assert!(acquire.poll().is_ready());
    println!("figure: trap7 logins={}", issuer.logins());
}

#[test]
fn a_login_without_a_runtime_is_an_error_that_says_so() {
    let issuer = Issuer::new();
    let provider = CachedProvider::new(issuer.clone());
    let Poll::Ready(Err(error)) = task::spawn(provider.acquire()).poll() else {
        panic!("it must not wait");
    };
    assert!(error.to_string().contains("no Tokio runtime"), "{error}");
    assert!(error.to_string().contains("Tokio runtime"), "{error}");
    assert_eq!(issuer.logins(), 0);

    // The same while a login runs on another runtime.
    let runtime = paused_runtime();
    let elsewhere = logging_in_on(&runtime, &Issuer::gated());
    let joined = task::spawn(elsewhere.acquire()).poll();
    assert!(
        matches!(joined, Poll::Ready(Err(error)) if error.to_string().contains("no Tokio runtime"))
    );
    // The provider still works.
    assert!(paused_runtime().block_on(provider.acquire()).is_ok());
}

// F10
#[test]
fn a_provider_is_built_without_a_runtime_and_works_on_each_kind() {
    let made_without = || {
        let issuer = Issuer::new();
        let layer = BearerAuthLayer::new(CachedProvider::new(issuer), origins());
        layer.layer(Api::new().service())
    };
    let current_thread = || Builder::new_current_thread().enable_all().build().unwrap();
    let multi_thread = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();

    let service = made_without();
    let response = current_thread().block_on(service.oneshot(request()));
    assert_eq!(response.unwrap().status(), 200);

    let service = made_without();
    let response = current_thread().block_on(LocalSet::new().run_until(async {
        let local = tokio::task::spawn_local(service.oneshot(request()));
        local.await.unwrap()
    }));
    assert_eq!(response.unwrap().status(), 200);

    let service = made_without();
    let response = multi_thread.block_on(async {
        let spawned = tokio::spawn(service.oneshot(request()));
        spawned.await.unwrap()
    });
    assert_eq!(response.unwrap().status(), 200);

    // A local future that is not Send: the layer does not require it.
    let service = made_without();
    let response = current_thread().block_on(async move {
        let not_send = std::rc::Rc::new(());
        let response = service.oneshot(request()).await;
        drop(not_send);
        response
    });
    assert_eq!(response.unwrap().status(), 200);
    println!("figure: F10 kinds=4");
}

#[test]
fn waiting_on_a_runtime_without_a_time_driver_panics() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let provider = CachedProvider::new(Issuer::gated());
    let acquiring = AssertUnwindSafe(|| runtime.block_on(provider.acquire()));
    let panic = catch_unwind(acquiring).unwrap_err();
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    let message = panic
        .downcast_ref()
        .map_or(message, |it: &&str| (*it).to_owned());
    assert!(message.contains("enable_time"), "{message}");
}

// I6: the task of a login ends at its timeout, also after the provider was dropped.
#[test]
fn a_provider_dropped_during_its_login_is_freed_when_the_login_ends() {
    let issuer = Issuer::gated();
    let runtime = paused_runtime();
    let held = Arc::new(());
    runtime.block_on(async {
        let provider = {
            let (issuer, held) = (issuer.clone(), Arc::clone(&held));
            CachedProvider::new(login_fn(move |request| {
                let (issuer, held) = (issuer.clone(), Arc::clone(&held));
                async move {
                    let _held = held;
                    issuer.login(request).await
                }
            }))
        };
        assert_pending!(task::spawn(provider.acquire()).poll());
        yield_now().await;
        drop(provider);
        assert!(Arc::strong_count(&held) > 1, "the login continues");
        tokio::time::sleep(Duration::from_millis(10_001)).await;
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

/// A runtime of one worker, for logins.
fn named_runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_login_runs_on_the_named_runtime() {
    let named = named_runtime();
    let ran_on = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ran_on);
    let login = login_fn(move |_| {
        seen.lock().unwrap().push(Handle::current().id());
        async { Ok(Credential::new("abc")?) }
    });
    let provider = CachedProvider::builder(login)
        .runtime(named.handle().clone())
        .build();
    let other = Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(provider.acquire()).unwrap();
    assert_eq!(*ran_on.lock().unwrap(), [named.handle().id()]);
    drop(other);
    provider.reset();
    named.block_on(provider.acquire()).unwrap();
    assert_eq!(*ran_on.lock().unwrap(), [named.handle().id(); 2]);
}

#[test]
fn a_thread_without_a_runtime_starts_a_background_login_on_the_named_one() {
    for is_named in [true, false] {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (issuer, clock) = (Issuer::new().concurrent(), HandClock::new());
        let issuer = issuer.with_lifetime(Duration::from_secs(1000));
        let mut builder = CachedProvider::builder(issuer.clone()).clock(clock.clone());
        if is_named {
            builder = builder.runtime(runtime.handle().clone());
        }
        let provider = builder.build();
        runtime.block_on(provider.acquire()).unwrap();
        clock.advance(Duration::from_secs(950));

        assert_eq!(provider.current().unwrap().value(), "Bearer token-1");
        assert_eq!(provider.snapshot().is_logging_in(), is_named);
        drive(&runtime);
        assert_eq!(issuer.logins(), 1 + usize::from(is_named));
    }
}

#[test]
fn a_waiter_needs_a_runtime_of_its_own() {
    let named = named_runtime();
    let issuer = Issuer::new();
    let provider = CachedProvider::builder(issuer.clone())
        .runtime(named.handle().clone())
        .build();
    let outcome = assert_ready!(task::spawn(provider.acquire()).poll());
    assert_eq!(outcome.unwrap_err().recovery(), Recovery::FixProgram);
    issuer.assert_logins(0);
}

#[test]
fn a_login_on_a_named_runtime_that_is_gone_is_lost_at_once() {
    let (named, issuer) = (named_runtime(), Issuer::new());
    let provider = CachedProvider::builder(issuer.clone())
        .runtime(named.handle().clone())
        .starting_with_refresh_token("dff78899")
        .build();
    drop(named);
    paused_runtime().block_on(async {
        let start = Instant::now();
        let error = provider.acquire().await.unwrap_err();
        assert!(error.is_login_lost(), "{error}");
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
    // Not tried twice: there is no other runtime for it.
    assert_eq!(provider.snapshot().failed_logins(), 1);
    issuer.assert_logins(0);
}

#[test]
fn a_credential_that_is_set_outside_a_runtime_gets_its_timer_on_the_named_one() {
    let named = named_runtime();
    let provider = CachedProvider::builder(Issuer::new())
        .runtime(named.handle().clone())
        .build();
    let credential = Credential::new("abc").unwrap();
    provider.set_credential(credential.with_lifetime(Duration::from_secs(3600)));
    assert_eq!(named.metrics().num_alive_tasks(), 1);
}
