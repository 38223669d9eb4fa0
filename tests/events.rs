//! The events of a provider and their order, and a snapshot that agrees with what requests get.

mod support;

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use support::{Capture, HandClock, Issuer, by_hand, without_dead_lock};
use tokio::runtime::Builder;
use tower_bearer::{CachePolicy, CachedProvider, Clock, CredentialEvent, CredentialState, Reason};

// A waiter of a login finds its event already reported. A request that begins while the observers run may be earlier:
// it finds the credential and does not wait.
#[test]
fn a_login_is_reported_before_its_waiters_wake_up() {
    const LOGINS: usize = 2_000;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let reported = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reported);
    let issuer = Issuer::gated();
    let provider = CachedProvider::builder(issuer.clone())
        .on_event(move |event| {
            let is_end = matches!(
                event,
                CredentialEvent::LoggedIn { .. } | CredentialEvent::LoginFailed { .. }
            );
            counted.fetch_add(usize::from(is_end), SeqCst);
        })
        .build();
    runtime.block_on(async {
        let mut late = 0;
        for login in 1..=LOGINS {
            provider.reset();
            let is_to_fail = login % 2 == 0;
            match is_to_fail {
                true => issuer.fail("scripted"),
                false => issuer.recover(),
            }
            let mut waiter = Box::pin(provider.acquire());
            let waits = poll_fn(|cx| Poll::Ready(waiter.as_mut().poll(cx).is_pending())).await;
            assert!(waits);
            issuer.step();
            let outcome = tokio::spawn(waiter).await;
            late += usize::from(reported.load(SeqCst) < login);
            assert_eq!(outcome.unwrap().is_err(), is_to_fail);
        }
        println!("figure: events logins={LOGINS} reported_late={late}");
        assert_eq!(late, 0);
    });
}

#[test]
fn a_blocking_observer_delays_waiters_until_their_deadline_at_most() {
    without_dead_lock(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(3)
            .enable_time()
            .build()
            .unwrap();
        let (release, is_released) = mpsc::channel::<()>();
        let is_released = Mutex::new(is_released);
        let provider = CachedProvider::builder(Issuer::new())
            .policy(CachePolicy::default().login_timeout(Duration::from_millis(50)))
            .on_event(move |event| {
                if matches!(event, CredentialEvent::LoggedIn { .. }) {
                    let _ = is_released.lock().unwrap().recv();
                }
            })
            .build();
        let acquired = runtime.block_on(async {
            let waiters: Vec<_> = (0..10).map(|_| tokio::spawn(provider.acquire())).collect();
            let mut acquired = Vec::new();
            for waiter in waiters {
                acquired.push(waiter.await.unwrap().unwrap());
            }
            acquired
        });
        // They have read the new credential themselves while the observer still blocks.
        for authorization in acquired {
            assert_eq!(authorization.value(), "Bearer token-1");
        }
        drop(release);
    });
}

#[tokio::test]
async fn rejections_held_back_show_in_the_snapshot_and_once_in_the_events() {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(capture.subscriber());
    let clock = HandClock::new();
    let events = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&events);
    let provider = CachedProvider::builder(Issuer::new())
        .clock(clock.clone())
        .on_event(move |event| recorded.lock().unwrap().push(event.clone()))
        .build();
    let first = provider.acquire().await.unwrap().generation();
    assert_eq!(provider.snapshot().state(), CredentialState::Fresh);
    assert!(provider.reject(&by_hand(first)).is_log_in());
    let second = provider.acquire().await.unwrap().generation();
    let began_at = clock.now();
    for _ in 0..3 {
        assert!(!provider.reject(&by_hand(second)).is_log_in());
    }
    let snapshot = provider.snapshot();
    assert_eq!(snapshot.state(), CredentialState::HeldBack);
    let held_back = snapshot.held_back().unwrap();
    let next_login = began_at + Duration::from_secs(1);
    assert_eq!(
        (held_back.rejections, held_back.since, held_back.next_login),
        (3, began_at, next_login)
    );
    // The pause is over: the next rejection causes a login.
    clock.advance(Duration::from_secs(1));
    let snapshot = provider.snapshot();
    assert_eq!(
        (snapshot.state(), snapshot.held_back()),
        (CredentialState::Fresh, None)
    );
    assert!(provider.reject(&by_hand(second)).is_log_in());
    let third = provider.acquire().await.unwrap().generation();
    assert!(!provider.reject(&by_hand(third)).is_log_in());
    let held_back = provider.snapshot().held_back().unwrap();
    assert_eq!(held_back.rejections, 1, "a new pause");
    let events = events.lock().unwrap();
    let pauses: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            CredentialEvent::LoginHeldBack {
                generation,
                reason: Reason::LoginDidNotHelp,
                next_login,
                ..
            } => Some((*generation, *next_login)),
            _ => None,
        })
        .collect();
    let later = clock.now() + Duration::from_secs(2);
    assert_eq!(pauses, [(second, next_login), (third, later)]);
    let said = capture.said();
    let warnings = said.iter().filter(|it| it.contains("logins do not help"));
    assert_eq!(warnings.count(), 2, "one for each pause: {said:?}");
}

/// A clock that is moved by hand and claims to run by itself. No timer keeps up with it.
#[derive(Clone)]
struct Ahead(HandClock);

impl Clock for Ahead {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall(&self) -> SystemTime {
        self.0.wall()
    }

    fn runs_by_itself(&self) -> bool {
        true
    }
}

// Until the timer fires, the fast path says that the credential is fresh. A blocked worker delays
// the timer. After a snapshot, the fast path agrees with it.
#[test]
fn the_snapshot_and_current_agree_about_the_expiry() {
    const HOUR: Duration = Duration::from_secs(3600);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    for by_wall in [false, true] {
        let clock = Ahead(HandClock::new());
        let provider = CachedProvider::builder(Issuer::new().with_lifetime(HOUR))
            .clock(clock.clone())
            .build();
        let acquire = provider.acquire();
        runtime.block_on(async { tokio::spawn(acquire).await.unwrap().unwrap() });
        assert_eq!(provider.snapshot().state(), CredentialState::Fresh);
        match by_wall {
            true => clock.0.jump_wall(HOUR),
            false => clock.0.advance(HOUR),
        }
        assert!(provider.current().is_some(), "the timer is late");
        let snapshot = provider.snapshot();
        assert_eq!(snapshot.state(), CredentialState::Expired);
        assert_eq!(snapshot.usable_for(), Some(Duration::ZERO));
        assert!(provider.current().is_none());
    }
}
