//! The flight and the life of a credential under every schedule that the checker finds. `loom`
//! tries interleavings one by one, `shuttle` picks them at random.

#![cfg(any(feature = "loom", feature = "shuttle"))]

use std::{
    env,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

#[cfg(feature = "loom")]
use loom as checker;
#[cfg(feature = "shuttle")]
use shuttle as checker;

use checker::{
    future::block_on,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use http::{Method, Request};
use tower_bearer::{
    CachedProvider, CachedProviderBuilder, Credential, CredentialProvider, CredentialState,
    Generation, KeyedProvider, Login, Receipt, Rejected, RequestHead, Session, login_fn,
    model::{self, ModelClock},
};

fn receipt(generation: Generation) -> Receipt {
    Receipt::new(generation, 0, &Method::GET, "/")
}

/// Rejects by hand. Returns whether a login may help.
fn reject(provider: &CachedProvider, generation: Generation) -> bool {
    provider
        .reject(&Rejected::by_hand(receipt(generation)))
        .is_log_in()
}

/// With two preemptions, these take most of the time of all models: `.ci/run models` does that.
#[cfg(feature = "loom")]
const LARGE: [&str; 2] = ["rejected_twice", "watch"];

/// Explores a model and prints the number of schedules, also under the label of a row if there is
/// one.
fn explore(name: &str, row: Option<&str>, model: impl Fn() + Send + Sync + 'static) {
    let schedules = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&schedules);
    let model = move || {
        counted.fetch_add(1, SeqCst);
        model::begin();
        model();
    };
    #[cfg(feature = "loom")]
    {
        let mut builder = loom::model::Builder::new();
        let is_large = LARGE.contains(&name);
        let preemptions = number("MODEL_PREEMPTIONS", if is_large { 1 } else { 2 });
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 100_000;
        builder.check(model);
        report("loom", name, row, "interleavings", schedules.load(SeqCst));
    }
    #[cfg(feature = "shuttle")]
    {
        // Half of the schedules run each thread until it is preempted, three times at most. They
        // find faults that need a long run of one thread.
        let half = number("MODEL_SCHEDULES", 100_000) / 2;
        let model = Arc::new(model);
        let again = Arc::clone(&model);
        shuttle::check_random(move || model(), half);
        shuttle::check_pct(move || again(), half, 3);
        report("shuttle", name, row, "schedules", schedules.load(SeqCst));
    }
}

fn report(checker: &str, name: &str, row: Option<&str>, what: &str, count: usize) {
    let row = row.map_or_else(String::new, |row| format!("{row}-{checker} "));
    println!("figure: {row}models-{checker}-{name} {what}~={count}");
}

fn number(name: &str, default: usize) -> usize {
    env::var(name)
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(default)
}

/// Logins: the number begun, and the most in flight at once.
#[derive(Clone, Default)]
struct Issuer {
    begun: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
}

impl Issuer {
    /// A provider whose logins yield to the scheduler.
    fn provider(&self, lifetime: Option<Duration>) -> CachedProviderBuilder {
        let issuer = self.clone();
        let login = login_fn(move |_| {
            let issuer = issuer.clone();
            async move {
                let number = issuer.begun.fetch_add(1, SeqCst) + 1;
                assert_eq!(issuer.under_way.fetch_add(1, SeqCst), 0, "I1");
                yield_now().await;
                issuer.under_way.fetch_sub(1, SeqCst);
                let credential = Credential::new(format!("token-{number}"))?;
                Ok(match lifetime {
                    Some(lifetime) => credential.with_lifetime(lifetime),
                    None => credential,
                })
            }
        });
        CachedProvider::builder(login.with_session(Session::Exclusive))
            .clock(ModelClock)
            .random(|| 0.5)
    }

    fn logins(&self) -> usize {
        self.begun.load(SeqCst)
    }
}

async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A login that is replaced before it is used.
fn unused() -> impl Login {
    login_fn(async |_| Err("unused".into()))
}

fn acquire(provider: &CachedProvider) -> Generation {
    block_on(provider.acquire()).unwrap().generation()
}

fn is_current(provider: &CachedProvider, held: &tower_bearer::Authorization) -> bool {
    let request = Request::new(());
    provider.is_current(held, RequestHead::of(&request))
}

// F14: no waiter is missed, whenever it begins to wait, and there is one login for all.
#[test]
fn one_login_serves_all_waiters() {
    explore("one_flight", Some("F14"), || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let other = provider.clone();
        let waiter = thread::spawn(move || acquire(&other));
        let acquired = acquire(&provider);
        assert_eq!(waiter.join().unwrap(), acquired);
        assert_eq!(issuer.logins(), 1);
        assert_eq!(provider.snapshot().state(), CredentialState::Fresh);
    });
}

// F13: a waiter that is dropped, at any point, does not affect another one.
#[test]
fn a_dropped_waiter_does_not_affect_the_others() {
    explore("abandoned", Some("F13"), || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let other = provider.clone();
        let impatient = thread::spawn(move || {
            let mut cx = Context::from_waker(Waker::noop());
            let mut acquire = pin!(other.acquire());
            // Ready if the other thread has the credential already.
            let _ = acquire.as_mut().poll(&mut cx);
        });
        acquire(&provider);
        impatient.join().unwrap();
        assert_eq!(issuer.logins(), 1);
    });
}

// Only the first rejection of a generation counts.
#[test]
fn two_rejections_of_one_generation_cause_one_login() {
    explore("rejected_twice", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let first = acquire(&provider);
        let reject_and_acquire = move |provider: &CachedProvider| {
            assert!(
                reject(provider, first),
                "another credential can be acquired"
            );
            acquire(provider)
        };
        let other = provider.clone();
        let rejecting = thread::spawn(move || reject_and_acquire(&other));
        let acquired = reject_and_acquire(&provider);
        assert_eq!(rejecting.join().unwrap(), acquired);
        assert_ne!(acquired, first);
        assert_eq!(issuer.logins(), 2);
    });
}

// The first acceptance under a new generation reaches the rules, whichever request it belongs to.
#[test]
fn an_acceptance_under_a_new_generation_is_never_missed() {
    explore("accepted", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let first = acquire(&provider);
        // From here on acceptances are ignored, except for targets that were rejected.
        provider.accept(receipt(first));
        let other = provider.clone();
        let accepting = thread::spawn(move || {
            let current = other.current().map(|current| current.generation());
            let newer = current.filter(|current| *current != first);
            if let Some(newer) = newer {
                other.accept(receipt(newer));
            }
            newer.is_some()
        });
        assert!(reject(&provider, first));
        let second = acquire(&provider);
        let is_accepted_again = accepting.join().unwrap();
        // After an acceptance, a rejection causes a login at once. Otherwise the previous login had
        // no effect.
        assert_eq!(reject(&provider, second), is_accepted_again);
    });
}

// I8
#[test]
fn no_waiter_gets_a_generation_older_than_the_published_one() {
    explore("no_stale_publish", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let first = block_on(provider.acquire()).unwrap();
        let is_published = Arc::new(AtomicBool::new(false));
        let (other, published) = (provider.clone(), Arc::clone(&is_published));
        let renewing = thread::spawn(move || {
            assert!(reject(&other, first.generation()));
            assert!(!is_current(&other, &first));
            let second = acquire(&other);
            published.store(true, Ordering::Release);
            (first, second)
        });
        if is_published.load(Ordering::Acquire) {
            let current = provider.current().unwrap();
            assert!(is_current(&provider, &current));
        }
        let (first, second) = renewing.join().unwrap();
        assert_eq!(provider.current().unwrap().generation(), second);
        assert!(!is_current(&provider, &first));
    });
}

// A thread that has seen a newer generation never gets an older one as current, at no point of the
// replacement.
#[test]
fn generations_never_go_backwards_for_a_reader() {
    explore("no_way_back", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let first = block_on(provider.acquire()).unwrap();
        let other = provider.clone();
        let rejected = first.generation();
        let renewing = thread::spawn(move || {
            assert!(reject(&other, rejected));
            acquire(&other)
        });
        let seen = provider.current().map(|current| current.generation());
        if seen != Some(rejected) {
            assert!(!is_current(&provider, &first), "it is rejected or replaced");
        }
        renewing.join().unwrap();
    });
}

// A reset while a login is under way: its outcome is discarded.
#[test]
fn a_login_from_before_a_reset_is_never_used_after_it() {
    explore("reset", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let other = provider.clone();
        let waiting = thread::spawn(move || acquire(&other));
        let before = issuer.logins();
        provider.reset();
        let acquired = block_on(provider.acquire()).unwrap();
        let token = acquired.value().to_str().unwrap();
        let number: usize = token.rsplit('-').next().unwrap().parse().unwrap();
        assert!(number > before, "login {number} began before the reset");
        waiting.join().unwrap();
        assert!(issuer.logins() <= 2);
        assert!(is_current(&provider, &acquired));
    });
}

// A request that began before a sign-out never gets the next user's credential, and a wait for it ends.
#[test]
fn a_waiter_never_gets_the_credential_of_the_next_user() {
    explore("sign_out", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let is_next = Arc::new(AtomicBool::new(false));
        let (other, next) = (provider.clone(), Arc::clone(&is_next));
        let waiting = thread::spawn(move || {
            let acquire = other.acquire();
            let is_of_previous = !next.load(Ordering::SeqCst);
            match block_on(acquire) {
                Ok(authorization) => {
                    let is_next_users = authorization.value() == "Bearer next-user";
                    assert!(!is_next_users || !is_of_previous);
                }
                Err(error) => assert!(error.is_signed_out()),
            }
        });
        is_next.store(true, Ordering::SeqCst);
        provider.sign_out();
        provider.set_credential(Credential::new("next-user").unwrap());
        waiting.join().unwrap();
        let current = provider.current().unwrap();
        assert_eq!(current.value(), "Bearer next-user");
        assert!(issuer.logins() <= 1);
    });
}

// A waiter does not wait for the end of the login, whenever the sign-out comes.
#[test]
fn a_sign_out_ends_a_wait_for_a_login_that_hangs() {
    explore("sign_out_hanging", None, || {
        let provider = CachedProvider::builder(login_fn(|_| std::future::pending()))
            .policy(tower_bearer::CachePolicy::default().login_timeout(Duration::from_secs(1)))
            .clock(ModelClock)
            .random(|| 0.5)
            .build();
        let other = provider.clone();
        let waiting = thread::spawn(move || block_on(other.acquire()).unwrap_err());
        provider.sign_out();
        assert!(waiting.join().unwrap().is_signed_out());
        // The login ends at its timeout.
        model::pass(Duration::from_secs(3));
    });
}

// Whenever a sign-out comes, the hooks of a login are told to undo what they stored.
#[test]
fn what_a_login_stores_is_retired_by_a_sign_out() {
    explore("retired", None, || {
        let issuer = Issuer::default();
        let (stored, retired) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (storing, retiring) = (Arc::clone(&stored), Arc::clone(&retired));
        let provider = issuer
            .provider(None)
            .on_credential(move |_| {
                storing.fetch_add(1, SeqCst);
            })
            .on_retired(move |_| {
                retiring.fetch_add(1, SeqCst);
            })
            .build();
        let other = provider.clone();
        let waiting = thread::spawn(move || drop(block_on(other.acquire())));
        provider.sign_out();
        block_on(provider.settled());
        waiting.join().unwrap();
        assert!(provider.current().is_none());
        let retired = retired.load(SeqCst);
        assert!(
            stored.load(SeqCst) <= retired,
            "stored before it is retired"
        );
        assert_eq!(issuer.logins(), retired, "each credential is retired");
    });
}

// A hanging login ends at its timeout, and every waiter ends with it or at the waiter's own
// deadline. The outcome of the login is discarded. The number of schedules is unlimited, so this is
// not for `loom`.
#[cfg(feature = "shuttle")]
#[test]
fn a_hanging_login_blocks_no_waiter() {
    explore("hanging", None, || {
        let login = login_fn(|_| std::future::pending());
        let provider = CachedProvider::builder(login)
            .policy(tower_bearer::CachePolicy::default().login_timeout(Duration::from_secs(1)))
            .clock(ModelClock)
            .random(|| 0.5)
            .build();
        let finished = Arc::new(checker::sync::atomic::AtomicUsize::new(0));
        let waiters = [0, 1].map(|_| {
            let (provider, finished) = (provider.clone(), Arc::clone(&finished));
            thread::spawn(move || {
                block_on(provider.acquire()).unwrap_err();
                finished.fetch_add(1, Ordering::SeqCst);
            })
        });
        while finished.load(Ordering::SeqCst) < waiters.len() {
            model::pass(Duration::from_secs(3));
            thread::yield_now();
        }
        waiters
            .into_iter()
            .for_each(|waiter| waiter.join().unwrap());
        // All pauses are over: the next request may log in.
        model::pass(Duration::from_secs(100));
        assert!(!provider.snapshot().is_logging_in());
    });
}

// The timer of the first generation fires while that generation is being replaced.
#[test]
fn the_timer_never_expires_another_generation() {
    explore("watch", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(Some(Duration::from_secs(100))).build();
        let first = block_on(provider.acquire()).unwrap();
        model::pass(Duration::from_secs(100));
        let _ = reject(&provider, first.generation());
        let second = block_on(provider.acquire()).unwrap();
        assert_ne!(second.generation(), first.generation());
        assert!(!is_current(&provider, &first));
        assert!(is_current(&provider, &second));
        assert_eq!(issuer.logins(), 2);
    });
}

// The task that keeps a provider warm shares its logins with the requests, and ends with the last handle, whenever that
// goes.
#[test]
fn keeping_warm_logs_in_once_and_ends_with_the_last_handle() {
    explore("keep_warm", None, || {
        let issuer = Issuer::default();
        let provider = issuer.provider(None).build();
        let keep_warm = provider.keep_warm();
        let keeping = thread::spawn(move || block_on(keep_warm));
        acquire(&provider);
        assert_eq!(issuer.logins(), 1);
        drop(provider);
        keeping.join().unwrap();
    });
}

/// A login whose next credential is another one after [`tell`](Self::tell).
#[cfg(feature = "shuttle")]
#[derive(Clone, Default)]
struct Vault {
    version: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    /// Whether the change has not been taken yet, and who waits for it.
    told: Arc<checker::sync::Mutex<(bool, Vec<Waker>)>>,
}

#[cfg(feature = "shuttle")]
impl Vault {
    fn tell(&self) {
        self.version.store(1, SeqCst);
        let mut told = self.told.lock().unwrap();
        told.0 = true;
        let wakers = std::mem::take(&mut told.1);
        drop(told);
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(feature = "shuttle")]
impl Login for Vault {
    async fn login(
        &self,
        _: tower_bearer::LoginRequest,
    ) -> Result<Credential, tower_bearer::BoxError> {
        assert_eq!(self.under_way.fetch_add(1, SeqCst), 0, "I1");
        let version = self.version.load(SeqCst);
        yield_now().await;
        self.under_way.fetch_sub(1, SeqCst);
        Ok(Credential::new(format!("version-{version}"))?)
    }

    fn changed(&self) -> Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> {
        let told = Arc::clone(&self.told);
        Some(Box::pin(poll_fn(move |cx| {
            let mut told = told.lock().unwrap();
            if std::mem::take(&mut told.0) {
                return Poll::Ready(());
            }
            told.1.push(cx.waker().clone());
            Poll::Pending
        })))
    }
}

// A change is reported once, while other logins come and go: the provider gets the new credential. How often time
// must pass is unlimited, so this is not for `loom`.
#[cfg(feature = "shuttle")]
#[test]
fn a_reported_change_is_never_lost() {
    explore("renewal", None, || {
        let vault = Vault::default();
        let provider = CachedProvider::builder(vault.clone())
            .clock(ModelClock)
            .random(|| 0.5)
            .build();
        acquire(&provider);
        let telling = thread::spawn(move || vault.tell());
        for _ in 0..2 {
            provider.reset();
            acquire(&provider);
        }
        telling.join().unwrap();
        while provider.current().unwrap().value() != "Bearer version-1" {
            model::pass(Duration::from_secs(1));
            thread::yield_now();
        }
    });
}

// An account is evicted for another key while two requests of it come: never two logins at once.
#[test]
fn an_eviction_never_causes_a_second_login_beside_the_first() {
    explore("eviction", None, || {
        let issuers = [Issuer::default(), Issuer::default()];
        let first = issuers[0].clone();
        // `configure` sets the login, since an `Issuer` makes builders.
        let provider = KeyedProvider::builder(|_: &usize| unused()).capacity(1);
        let provider = provider
            .configure(move |key, _| issuers[*key].provider(None))
            .build();
        drop(provider.for_key(&0));
        let acquire = |provider: &KeyedProvider<usize>| {
            let account = provider.for_key(&0).ok()?;
            Some(block_on(account.acquire()).unwrap())
        };
        let other = provider.clone();
        let acquiring = thread::spawn(move || acquire(&other));
        let evicts = provider.for_key(&1).is_ok();
        let acquired = acquire(&provider);
        let other = acquiring.join().unwrap();
        assert_eq!(provider.len(), 1);
        // Without an eviction in between, both share one login.
        let is_shared = match (&acquired, &other) {
            (Some(one), Some(other)) => one.generation() == other.generation(),
            _ => true,
        };
        assert!(is_shared || evicts);
        assert!(first.logins() <= 2);
    });
}
