//! Waiters on the login's own runtime, in paused time. The login's task does not run, as if it blocked
//! its thread.

use tokio::{task::yield_now, time};
use tokio_test::{assert_pending, task};

use super::{
    super::{Setup, lifespan::Source, login_task::Success},
    *,
};
use crate::{
    credential::Credential,
    login::{LoginRequest, login_fn},
    runtime::SystemClock,
};

/// A cache with a flight whose login never runs.
fn with_a_stuck_flight() -> (Arc<Cache>, Arc<Flight<Arc<Entry>>>) {
    let login = login_fn(|_| async { Ok(Credential::new("abc")?) });
    let cache = Arc::new(Cache::new(Setup::new(login), None, None));
    let timeout = cache.policy().time_to_log_in();
    let runtime = Handle::current();
    let flight = Arc::new(Flight::new(timeout, &runtime, LoginRequest::default()));
    cache.lock().flight = Some(Arc::clone(&flight));
    (cache, flight)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn waiters_on_the_logins_runtime_share_one_timer() {
    let (cache, flight) = with_a_stuck_flight();
    let mut waiters: Vec<_> = (0..100)
        .map(|_| task::spawn(Acquiring::new(&cache, Wanted::default())))
        .collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    yield_now().await;
    assert_eq!(tasks(), 1);
    let start = time::Instant::now();
    for waiter in waiters {
        assert!(waiter.await.unwrap_err().is_login_lost());
        assert_eq!(
            start.elapsed().as_secs(),
            11,
            "10 s for the login, 1 s of grace"
        );
    }
    assert!(!cache.lock().has_flight(&flight));
    assert_eq!(tasks(), 0);
}

#[test]
fn the_credential_of_a_lost_login_is_retired() {
    let (sender, retired) = std::sync::mpsc::channel();
    let mut setup = Setup::new(login_fn(|_| async { Err("unused".into()) }));
    setup.hooks.on_retired = Some(Box::new(move |it| sender.send(it).unwrap()));
    let cache = Arc::new(Cache::new(setup, None, None));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let lost = Flight::new(Duration::ZERO, runtime.handle(), LoginRequest::default());
    let (credential, now) = (Credential::new("late").unwrap(), Moment::of(&SystemClock));
    let late = Success {
        adoption: None,
        entry: cache.entry(&credential, Source::Caller(now), now),
        refresh_token: Some("r".into()),
        answered: now,
    };
    cache.complete_login(&Arc::new(lost), Ok(late), None);
    let retired = retired.try_recv().unwrap();
    assert_eq!(retired.credential().unwrap().token().expose(), "late");
    assert_eq!(retired.refresh_token().unwrap().expose(), "r");
    assert!(cache.current().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_timer_goes_on_when_the_first_waiter_is_dropped() {
    let (cache, _flight) = with_a_stuck_flight();
    let acquiring = || task::spawn(Acquiring::new(&cache, Wanted::default()));
    let (mut first, mut second) = (acquiring(), acquiring());
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(first);
    assert!(second.await.unwrap_err().is_login_lost());
}

#[tokio::test(start_paused = true)]
async fn the_timer_goes_on_after_a_sign_out() {
    let (cache, _flight) = with_a_stuck_flight();
    let acquiring = || task::spawn(Acquiring::new(&cache, Wanted::default()));
    let mut previous = acquiring();
    assert_pending!(previous.poll());
    yield_now().await;
    cache.sign_out();
    cache.reset();
    assert!(previous.await.unwrap_err().is_signed_out());
    let start = time::Instant::now();
    let next = time::timeout(Duration::from_secs(60), acquiring()).await;
    assert_eq!(
        next.unwrap().unwrap().value(),
        "Bearer abc",
        "a login of its own"
    );
    assert_eq!(start.elapsed().as_secs(), 11);
}

// I6
#[tokio::test(start_paused = true)]
async fn the_timer_ends_with_the_login() {
    let (cache, flight) = with_a_stuck_flight();
    let mut waiter = task::spawn(Acquiring::new(&cache, Wanted::default()));
    assert_pending!(waiter.poll());
    yield_now().await;
    assert_eq!(tasks(), 1);
    cache.complete_login(&flight, Err(Error::not_renewed()), None);
    assert!(waiter.is_woken());
    yield_now().await;
    assert_eq!(tasks(), 0);

    // The flight may be completed before the timer task runs.
    cache.start_overdue_timer(&flight, &Handle::current());
    yield_now().await;
    assert_eq!(tasks(), 0);
}
