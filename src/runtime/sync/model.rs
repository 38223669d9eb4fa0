//! The primitives for a model checker. Locks, atomics and threads are the checker's, and the rest is
//! built on them. Nothing here is fast, and time passes only when a model says so.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::{Add, Deref},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant as StdInstant},
};

#[cfg(feature = "loom")]
use loom as checker;
use pin_project_lite::pin_project;
#[cfg(feature = "shuttle")]
use shuttle as checker;

pub(crate) use self::checker::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64},
};

/// `std`'s type, with a lock around whether it is set. So the model checker knows that a reader who
/// finds it set also sees the value.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    is_set: Mutex<bool>,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            is_set: Mutex::new(false),
            value: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let is_set = *self.is_set.lock().expect("no panic under it");
        is_set.then(|| self.value.get()).flatten()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut is_set = self.is_set.lock().expect("no panic under it");
        self.value.set(value)?;
        *is_set = true;
        Ok(())
    }
}

/// The part of `arc_swap`'s type that the crate uses.
pub(crate) struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

pub(crate) struct Loaded<T>(Option<Arc<T>>);

impl<T> Deref for Loaded<T> {
    type Target = Option<Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> ArcSwapOption<T> {
    pub(crate) fn empty() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn load(&self) -> Loaded<T> {
        Loaded(self.load_full())
    }

    pub(crate) fn load_full(&self) -> Option<Arc<T>> {
        self.0.lock().expect("no panic under it").clone()
    }

    pub(crate) fn swap(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
        std::mem::replace(&mut self.0.lock().expect("no panic under it"), value)
    }
}

/// Tokio's type, but only `notify_waiters`.
#[derive(Debug, Default)]
pub(crate) struct Notify(Mutex<Waiters>);

#[derive(Debug, Default)]
struct Waiters {
    calls: u64,
    wakers: Vec<Waker>,
}

impl Notify {
    pub(crate) fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        let calls = self.0.lock().expect("no panic under it").calls;
        OwnedNotified {
            notify: self,
            calls,
        }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut waiters = self.0.lock().expect("no panic under it");
        waiters.calls += 1;
        let wakers = std::mem::take(&mut waiters.wakers);
        drop(waiters);
        wakers.into_iter().for_each(Waker::wake);
    }
}

pub(crate) struct OwnedNotified {
    notify: Arc<Notify>,
    calls: u64,
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiters = self.notify.0.lock().expect("no panic under it");
        if waiters.calls != self.calls {
            return Poll::Ready(());
        }
        waiters.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

/// The runtime of a model: each task is a thread.
#[derive(Clone)]
pub struct Handle;

#[derive(PartialEq, Eq)]
pub(crate) enum RuntimeFlavor {
    MultiThread,
}

pub(crate) struct NoRuntime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeId(u64);

#[cfg(feature = "loom")]
static CALLS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

impl Handle {
    pub(crate) fn try_current() -> Result<Self, NoRuntime> {
        Ok(Self)
    }

    pub(crate) fn runtime_flavor(&self) -> RuntimeFlavor {
        RuntimeFlavor::MultiThread
    }

    /// Under `loom`, each call returns another runtime. One runtime would start a timer for all
    /// waiters, which is one thread more than a model of `loom` can have.
    pub(crate) fn id(&self) -> RuntimeId {
        #[cfg(feature = "loom")]
        return RuntimeId(CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        #[cfg(not(feature = "loom"))]
        RuntimeId(0)
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let aborted: Arc<Mutex<Aborted>> = Arc::default();
        let task = Task {
            future: Some(future),
            aborted: Arc::clone(&aborted),
        };
        checker::thread::spawn(move || checker::future::block_on(task));
        JoinHandle(aborted)
    }
}

#[derive(Debug, Default)]
struct Aborted {
    is_aborted: bool,
    waker: Option<Waker>,
}

pin_project! {
    struct Task<F> {
        #[pin]
        future: Option<F>,
        aborted: Arc<Mutex<Aborted>>,
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let is_aborted = {
            let mut aborted = this.aborted.lock().expect("no panic under it");
            aborted.waker = Some(cx.waker().clone());
            aborted.is_aborted
        };
        let poll = match this.future.as_mut().as_pin_mut() {
            Some(future) if !is_aborted => future.poll(cx),
            _ => Poll::Ready(()),
        };
        if poll.is_ready() {
            this.future.set(None);
        }
        poll
    }
}

pub(crate) struct JoinHandle(Arc<Mutex<Aborted>>);

impl JoinHandle {
    pub(crate) fn abort_handle(self) -> AbortHandle {
        AbortHandle(self.0)
    }
}

#[derive(Debug)]
pub(crate) struct AbortHandle(Arc<Mutex<Aborted>>);

impl AbortHandle {
    pub(crate) fn abort(&self) {
        let mut aborted = self.0.lock().expect("no panic under it");
        aborted.is_aborted = true;
        let waker = aborted.waker.take();
        drop(aborted);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

pub(crate) mod task {
    //! A task is identified by its thread.

    pub(crate) type Id = super::checker::thread::ThreadId;

    pub(crate) fn id() -> Id {
        super::checker::thread::current().id()
    }

    pub(crate) fn try_id() -> Option<Id> {
        Some(id())
    }
}

/// The clock of the model that runs on this OS thread. The threads of a model are no OS threads, so
/// they share it.
#[derive(Default)]
struct Clock {
    elapsed: Duration,
    timers: u64,
    wakers: BTreeMap<u64, Waker>,
}

thread_local! {
    static START: StdInstant = StdInstant::now();
    static CLOCK: RefCell<Clock> = RefCell::default();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(StdInstant);

impl Instant {
    pub(crate) fn now() -> Self {
        let elapsed = CLOCK.with_borrow(|clock| clock.elapsed);
        Self(START.with(|start| *start) + elapsed)
    }

    pub(crate) fn into_std(self) -> StdInstant {
        self.0
    }

    pub(crate) fn since_the_start(self) -> Duration {
        START.with(|start| self.0.saturating_duration_since(*start))
    }

    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0 + by)
    }
}

pub(crate) mod time {
    //! Timers that follow the model's clock.

    use super::*;

    pub(crate) fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
        let timer = CLOCK.with_borrow_mut(|clock| {
            clock.timers += 1;
            clock.timers
        });
        Timeout {
            future,
            deadline,
            timer,
        }
    }

    pub(crate) fn timeout<F: Future>(timeout: Duration, future: F) -> Timeout<F> {
        timeout_at(Instant::now() + timeout, future)
    }

    pub(crate) async fn sleep(time: Duration) {
        let _ = timeout(time, std::future::pending::<()>()).await;
    }

    pub(crate) fn begin() {
        CLOCK.set(Clock::default());
    }

    pub(crate) fn pass(by: Duration) {
        let wakers = CLOCK.with_borrow_mut(|clock| {
            clock.elapsed += by;
            std::mem::take(&mut clock.wakers)
        });
        wakers.into_values().for_each(Waker::wake);
    }
}

pin_project! {
    pub(crate) struct Timeout<F> {
        #[pin]
        future: F,
        deadline: Instant,
        timer: u64,
    }

    impl<F> PinnedDrop for Timeout<F> {
        fn drop(this: Pin<&mut Self>) {
            // A waker belongs to a run of the model, and must not outlive it.
            let waker = CLOCK.with_borrow_mut(|clock| clock.wakers.remove(&this.timer));
            drop(waker);
        }
    }
}

pub(crate) struct Elapsed;

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if Instant::now() >= *this.deadline {
            return Poll::Ready(Err(Elapsed));
        }
        let waker = cx.waker().clone();
        let replaced = CLOCK.with_borrow_mut(|clock| clock.wakers.insert(*this.timer, waker));
        drop(replaced);
        Poll::Pending
    }
}
