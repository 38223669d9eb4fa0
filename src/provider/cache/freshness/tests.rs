//! The expiry timer in paused time. The tests spawn it themselves, since a cache spawns none on a
//! current-thread runtime.

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

/// Clocks that follow Tokio's clock. The wall clock can jump ahead.
#[derive(Clone)]
struct RunningClock(Arc<ClockState>);

struct ClockState {
    start: (Instant, SystemTime),
    wall_offset: Mutex<Duration>,
    reads: AtomicUsize,
    wall_reads: AtomicUsize,
}

impl RunningClock {
    fn new() -> Self {
        Self(Arc::new(ClockState {
            start: (time::Instant::now().into_std(), SystemTime::now()),
            wall_offset: Mutex::default(),
            reads: AtomicUsize::new(0),
            wall_reads: AtomicUsize::new(0),
        }))
    }

    fn jump_wall(&self, by: Duration) {
        *self.0.wall_offset.lock().unwrap() += by;
    }

    /// How often each clock was read since the last call.
    fn take_reads(&self) -> (usize, usize) {
        (
            self.0.reads.swap(0, SeqCst),
            self.0.wall_reads.swap(0, SeqCst),
        )
    }
}

impl Clock for RunningClock {
    fn now(&self) -> Instant {
        self.0.reads.fetch_add(1, SeqCst);
        time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        self.0.wall_reads.fetch_add(1, SeqCst);
        let (monotonic, wall) = self.0.start;
        let elapsed = time::Instant::now().into_std() - monotonic;
        wall + elapsed + *self.0.wall_offset.lock().unwrap()
    }

    fn runs_by_itself(&self) -> bool {
        true
    }
}

/// A cache with a credential, whose logins fail.
fn cache(clock: &RunningClock, session: Session, lifetime: Option<Duration>) -> Arc<Cache> {
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
    Arc::new(Cache::new(setup, Some(credential), None))
}

/// Does what [`Cache::start_expiry_timer`] does on a multi-threaded runtime.
fn start_timer(cache: &Arc<Cache>) -> (ExpiryTimer, tokio::task::JoinHandle<()>) {
    let generation = cache.generation().unwrap();
    cache.mark_fresh(generation);
    let active = Arc::new(());
    let expiry_task = ExpiryTask {
        cache: Arc::downgrade(cache),
        generation,
        active: Arc::downgrade(&active),
    };
    let task = tokio::spawn(expiry_task.run());
    let timer = ExpiryTimer {
        task: task.abort_handle(),
        active: Some(active),
    };
    (timer, task)
}

/// Advances time in steps of a second, so that timers fire in order.
async fn pass(mut time: Duration) {
    while !time.is_zero() {
        let step = time.min(Duration::from_secs(1));
        advance(step).await;
        yield_now().await;
        time -= step;
    }
}

/// Does what a request does.
fn is_sent(cache: &Arc<Cache>) -> bool {
    let current = cache.current();
    cache.sent();
    current.is_some()
}

fn is_marked_fresh(cache: &Cache) -> bool {
    cache.is_marked_fresh(cache.generation().unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_mark_is_set_until_something_is_due() {
    let secs = Duration::from_secs;
    for (session, due) in [
        (Session::Exclusive, secs(3590)),
        // 80 % of 3,590 s: then the background login is due.
        (Session::Concurrent, secs(2872)),
    ] {
        let clock = RunningClock::new();
        let cache = cache(&clock, session, Some(HOUR));
        let (_timer, task) = start_timer(&cache);
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
async fn the_timer_notices_a_suspend_within_half_a_minute() {
    let clock = RunningClock::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let _timer = start_timer(&cache);
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

#[tokio::test(start_paused = true)]
async fn requests_without_a_timer_notice_a_suspend_within_half_a_minute() {
    let clock = RunningClock::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    assert!(cache.current().is_some());
    clock.jump_wall(8 * HOUR);
    assert!(
        cache.current().is_some(),
        "less than half a minute has passed"
    );
    advance(CHECK_EVERY).await;
    assert!(cache.current().is_none());
}

#[tokio::test(start_paused = true)]
async fn no_clock_is_read_while_the_mark_is_set() {
    let clock = RunningClock::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let generation = cache.generation().unwrap();
    let (_timer, task) = start_timer(&cache);
    yield_now().await;
    clock.take_reads();
    for _ in 0..100 {
        assert!(cache.current().is_some());
        assert!(cache.is_current(generation));
    }
    assert_eq!(clock.take_reads(), (0, 0));

    // As if its runtime were gone.
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
    // The expiry is still honoured.
    advance(HOUR - Duration::from_secs(10)).await;
    assert!(!cache.is_current(generation));
    assert!(cache.current().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_an_expiry_no_clock_is_read_at_all() {
    let clock = RunningClock::new();
    let cache = cache(&clock, Session::Concurrent, None);
    clock.take_reads();
    advance(1_000 * HOUR).await;
    for _ in 0..100 {
        assert!(cache.current().is_some());
    }
    assert_eq!(clock.take_reads(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_timer_ends_with_its_credential_and_clears_no_other_mark() {
    let clock = RunningClock::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let (_first, first_task) = start_timer(&cache);
    yield_now().await;
    let first = cache.generation().unwrap();

    let second = cache.entry(
        &Credential::new("def").unwrap().with_lifetime(2 * HOUR),
        crate::provider::cache::lifespan::Source::Caller(Moment::of(&clock)),
        Moment::of(&clock),
    );
    cache.publish(&mut cache.lock(), second, Moment::of(&clock));
    assert!(!cache.is_current(first), "I8");
    let (_second, second_task) = start_timer(&cache);
    pass(CHECK_EVERY).await;
    first_task.await.unwrap();
    assert!(is_marked_fresh(&cache));

    cache.reset();
    assert_eq!(cache.fresh_mark.load(Ordering::Relaxed), 0);
    drop(cache);
    pass(CHECK_EVERY).await;
    second_task.await.unwrap();
}

// An aborted timer ends later. By then the mark may belong to the next timer, for the same generation.
#[tokio::test(start_paused = true)]
async fn a_replaced_timer_does_not_clear_the_mark() {
    let clock = RunningClock::new();
    let cache = cache(&clock, Session::Exclusive, Some(HOUR));
    let (first, task) = start_timer(&cache);
    yield_now().await;
    drop(first);
    let (_second, _) = start_timer(&cache);
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(is_marked_fresh(&cache));
}

/// The same clocks, but read for each request.
struct ManualClock(RunningClock);

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall(&self) -> SystemTime {
        self.0.wall()
    }
}

/// The times at which logins begin, since the start of the credential. Each login takes `takes`, and there
/// are ten requests a second.
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
async fn background_logins_begin_at_the_same_times_as_without_a_timer() {
    // Logins that fail at once, that take a while, and that time out.
    for takes in [0, 3, 60] {
        let takes = Duration::from_secs(takes);
        let expected = attempts(ManualClock(RunningClock::new()), takes).await;
        let began = attempts(RunningClock::new(), takes).await;
        assert!(began.len() > 5, "{began:?}");
        assert_eq!(began, expected, "logins of {takes:?}");
    }
}

// A permanent failure is tried again after 15 minutes, and the credential expires before that.
#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_expiry_does_not_prolong_the_credential() {
    let clock = RunningClock::new();
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
async fn requests_read_no_clock_during_a_background_login() {
    let clock = RunningClock::new();
    let login = login_fn(|_| std::future::pending());
    let cache = cache_with(clock.clone(), Session::Concurrent, Some(HOUR), login);
    advance(Duration::from_secs(3000)).await;
    assert!(is_sent(&cache));
    assert!(cache.lock().flight.is_some(), "a login was due");
    let (_timer, _task) = start_timer(&cache);
    yield_now().await;
    clock.take_reads();
    for _ in 0..100 {
        assert!(is_sent(&cache));
    }
    assert_eq!(clock.take_reads(), (0, 0));

    // The login fails. The next request reads the clocks and finds a pause, in which nothing is due.
    pass(Duration::from_secs(10)).await;
    assert!(cache.lock().flight.is_none());
    assert!(!is_marked_fresh(&cache));
    assert!(is_sent(&cache));
    assert!(cache.lock().flight.is_none(), "the pause lasts");
    clock.take_reads();
    for _ in 0..100 {
        assert!(is_sent(&cache));
    }
    assert_eq!(
        clock.take_reads(),
        (100, 0),
        "no timer on a current-thread runtime"
    );
}
