//! The timer by hand, in paused time: it is let run beside a cache that has not spawned it, since a
//! runtime of one thread gets none.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::SystemTime,
};

use tokio::{task::yield_now, time::advance};

use super::*;
use crate::{
    credential::Credential,
    error::LoginError,
    login::{Login, Session, login_fn},
    provider::cache::Setup,
    runtime::Clock,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Clocks that go on with Tokio's, the wall clock ahead of the other by what it has jumped.
#[derive(Clone)]
struct Going(Arc<State>);

struct State {
    start: (Instant, SystemTime),
    jumped: Mutex<Duration>,
    reads: AtomicUsize,
    wall_reads: AtomicUsize,
}

impl Going {
    fn new() -> Self {
        Self(Arc::new(State {
            start: (time::Instant::now().into_std(), SystemTime::now()),
            jumped: Mutex::default(),
            reads: AtomicUsize::new(0),
            wall_reads: AtomicUsize::new(0),
        }))
    }

    fn jump_wall(&self, by: Duration) {
        *self.0.jumped.lock().unwrap() += by;
    }

    /// How often both have been read since the last time.
    fn take_reads(&self) -> (usize, usize) {
        (
            self.0.reads.swap(0, SeqCst),
            self.0.wall_reads.swap(0, SeqCst),
        )
    }
}

impl Clock for Going {
    fn now(&self) -> Instant {
        self.0.reads.fetch_add(1, SeqCst);
        time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        self.0.wall_reads.fetch_add(1, SeqCst);
        let (monotonic, wall) = self.0.start;
        let gone = time::Instant::now().into_std() - monotonic;
        wall + gone + *self.0.jumped.lock().unwrap()
    }

    fn runs_by_itself(&self) -> bool {
        true
    }
}

/// A cache that holds a credential, and cannot log in.
fn cache(clock: &Going, session: Session, lifetime: Option<Duration>) -> Arc<Cache> {
    let login = login_fn(|_| async { Err("offline".into()) });
    cache_with(clock.clone(), session, lifetime, login)
}

fn cache_with(
    clock: impl Clock,
    session: Session,
    lifetime: Option<Duration>,
    login: impl Login,
) -> Arc<Cache> {
    let credential = Credential::new("abc").unwrap();
    let credential = match lifetime {
        Some(lifetime) => credential.with_lifetime(lifetime),
        None => credential,
    };
    let setup = Setup {
        session,
        clock: Box::new(clock),
        random: Box::new(|| 0.5),
        ..Setup::new(login)
    };
    Arc::new(Cache::new(setup, Some(credential)))
}

/// What [`Cache::start_expiry_timer`] does on a runtime of many threads.
fn watch(cache: &Arc<Cache>) -> (ExpiryTimer, tokio::task::JoinHandle<()>) {
    let generation = cache.generation().unwrap();
    cache.mark_fresh(generation);
    let active = Arc::new(());
    let expiry_task = ExpiryTask {
        cache: Arc::downgrade(cache),
        generation,
        active: Arc::downgrade(&active),
    };
    let task = tokio::spawn(expiry_task.run());
    let watch = ExpiryTimer {
        task: task.abort_handle(),
        active: Some(active),
    };
    (watch, task)
}

/// Lets time pass as it does, timers on its way served.
async fn pass(mut time: Duration) {
    while !time.is_zero() {
        let step = time.min(Duration::from_secs(1));
        advance(step).await;
        yield_now().await;
        time -= step;
    }
}

/// What a request does.
fn is_sent(cache: &Arc<Cache>) -> bool {
    let current = cache.current();
    cache.sent();
    current.is_some()
}

fn is_marked_fresh(cache: &Cache) -> bool {
    cache.is_marked_fresh(cache.generation().unwrap())
}

#[tokio::test(start_paused = true)]
async fn it_says_so_until_something_is_due_and_no_longer() {
    let secs = Duration::from_secs;
    for (session, due) in [
        (Session::Exclusive, secs(3590)),
        // 80 % of 3,590 s: then the background login is due.
        (Session::Concurrent, secs(2872)),
    ] {
        let clock = Going::new();
        let cache = cache(&clock, session, Some(HOUR));
        let (_watch, task) = watch(&cache);
        yield_now().await;
        pass(due - secs(1)).await;
        assert!(is_marked_fresh(&cache), "{session:?}");
        pass(secs(2)).await;
        assert!(!is_marked_fresh(&cache), "{session:?}");
        task.await.unwrap();
        assert_eq!(cache.current().is_some(), session == Session::Concurrent);
    }
}

// E6
#[tokio::test(start_paused = true)]
async fn a_suspend_is_noticed_within_half_a_minute() {
    let clock = Going::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let _watch = watch(&cache);
    yield_now().await;
    pass(Duration::from_secs(100)).await;
    clock.jump_wall(8 * HOUR);
    let mut late = Duration::ZERO;
    while cache.current().is_some() {
        pass(Duration::from_secs(1)).await;
        late += Duration::from_secs(1);
    }
    println!("figure: E6 noticed_after_seconds={}", late.as_secs());
    assert!(late <= CHECK_EVERY, "{late:?}");
}

// The same without a timer.
#[tokio::test(start_paused = true)]
async fn a_suspend_is_noticed_by_requests_within_half_a_minute() {
    let clock = Going::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    assert!(cache.current().is_some());
    clock.jump_wall(8 * HOUR);
    assert!(cache.current().is_some(), "half a minute is not over");
    advance(CHECK_EVERY).await;
    assert!(cache.current().is_none());
}

#[tokio::test(start_paused = true)]
async fn no_clock_is_read_while_it_says_so() {
    let clock = Going::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let generation = cache.generation().unwrap();
    let (_watch, task) = watch(&cache);
    yield_now().await;
    clock.take_reads();
    for _ in 0..100 {
        assert!(cache.current().is_some());
        assert!(cache.is_current(generation));
    }
    assert_eq!(clock.take_reads(), (0, 0));

    // Its runtime is gone.
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    for _ in 0..100 {
        assert!(cache.current().is_some());
    }
    assert_eq!(clock.take_reads(), (100, 1));
    for _ in 0..100 {
        assert!(cache.is_current(generation));
    }
    assert_eq!(clock.take_reads(), (100, 0));
    // And expiry is honoured all the same.
    advance(HOUR - Duration::from_secs(10)).await;
    assert!(!cache.is_current(generation));
    assert!(cache.current().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_an_expiry_no_clock_is_read_at_all() {
    let clock = Going::new();
    let cache = cache(&clock, Session::Concurrent, None);
    clock.take_reads();
    advance(1_000 * HOUR).await;
    for _ in 0..100 {
        assert!(cache.current().is_some());
    }
    assert_eq!(clock.take_reads(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_what_it_watches_and_takes_back_nothing_else() {
    let clock = Going::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let (_first_watch, watch_of_the_first) = watch(&cache);
    yield_now().await;
    let first = cache.generation().unwrap();

    let second = cache.entry(
        &Credential::new("def").unwrap().with_lifetime(2 * HOUR),
        crate::provider::cache::lifespan::Source::Caller(Moment::of(&clock)),
        Moment::of(&clock),
    );
    cache.publish(&mut cache.lock(), second, Moment::of(&clock));
    assert!(!cache.is_current(first), "I8");
    let (_second_watch, watch_of_the_second) = watch(&cache);
    pass(CHECK_EVERY).await;
    watch_of_the_first.await.unwrap();
    assert!(is_marked_fresh(&cache));

    cache.reset();
    assert_eq!(cache.fresh_mark.load(Ordering::Relaxed), 0);
    drop(cache);
    pass(CHECK_EVERY).await;
    watch_of_the_second.await.unwrap();
}

// It ends a while after it is told to. By then the word may be that of the next one, for the same
// generation.
#[tokio::test(start_paused = true)]
async fn who_is_relieved_takes_back_nothing() {
    let clock = Going::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let (first, task) = watch(&cache);
    yield_now().await;
    drop(first);
    let (_second, _) = watch(&cache);
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(is_marked_fresh(&cache));
}

/// The same clocks, read for each request.
struct ByHand(Going);

impl Clock for ByHand {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall(&self) -> SystemTime {
        self.0.wall()
    }
}

/// When logins begin, from the beginning of the credential on, and how long each takes. Requests
/// come ten times a second.
async fn attempts(clock: impl Clock, takes: Duration) -> Vec<Duration> {
    let began = Arc::new(Mutex::new(Vec::new()));
    let start = time::Instant::now();
    let login = login_fn({
        let began = Arc::clone(&began);
        move |_| {
            began.lock().unwrap().push(start.elapsed());
            async move {
                time::sleep(takes).await;
                Err("offline".into())
            }
        }
    });
    let cache = cache_with(clock, Session::Concurrent, Some(HOUR), login);
    while start.elapsed() < HOUR - Duration::from_secs(11) {
        assert!(is_sent(&cache));
        advance(Duration::from_millis(100)).await;
        for _ in 0..3 {
            yield_now().await;
        }
    }
    std::mem::take(&mut *began.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn background_logins_are_made_as_if_every_request_had_looked() {
    // Some fail at once, some take their time, some take all of it.
    for takes in [0, 3, 60] {
        let takes = Duration::from_secs(takes);
        let expected = attempts(ByHand(Going::new()), takes).await;
        let began = attempts(Going::new(), takes).await;
        assert!(began.len() > 5, "{began:?}");
        assert_eq!(began, expected, "logins of {takes:?}");
    }
}

// What fails for good is tried again after a quarter of an hour, and the credential ends before.
#[tokio::test(start_paused = true)]
async fn a_pause_that_is_longer_than_the_credential_lives_does_not_prolong_it() {
    let clock = Going::new();
    let login = login_fn(|_| async { Err(LoginError::permanent("invalid_grant").into()) });
    let cache = cache_with(clock, Session::Concurrent, Some(HOUR), login);
    let start = time::Instant::now();
    let mut last = Duration::ZERO;
    while start.elapsed() < HOUR + CHECK_EVERY {
        if is_sent(&cache) {
            last = start.elapsed();
        }
        advance(Duration::from_millis(500)).await;
        for _ in 0..3 {
            yield_now().await;
        }
    }
    assert!(cache.snapshot().failed_logins() > 0);
    assert_eq!(last, HOUR - Duration::from_millis(10_500));
}

#[tokio::test(start_paused = true)]
async fn a_background_login_costs_the_requests_beside_it_no_look() {
    let clock = Going::new();
    let login = login_fn(|_| std::future::pending());
    let cache = cache_with(clock.clone(), Session::Concurrent, Some(HOUR), login);
    advance(Duration::from_secs(3000)).await;
    assert!(is_sent(&cache));
    assert!(cache.lock().flight.is_some(), "it was due");
    let (_watch, _task) = watch(&cache);
    yield_now().await;
    clock.take_reads();
    for _ in 0..100 {
        assert!(is_sent(&cache));
    }
    assert_eq!(clock.take_reads(), (0, 0));

    // It fails: the next request has to look, and finds a pause, which is calm again.
    pass(Duration::from_secs(10)).await;
    assert!(cache.lock().flight.is_none());
    assert!(!is_marked_fresh(&cache));
    assert!(is_sent(&cache));
    assert!(cache.lock().flight.is_none(), "not yet");
    clock.take_reads();
    for _ in 0..100 {
        assert!(is_sent(&cache));
    }
    assert_eq!(clock.take_reads(), (100, 0), "no timer on one thread");
}
