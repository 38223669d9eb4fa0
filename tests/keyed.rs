//! Many accounts behind one provider: which account a request gets, and which one is evicted.

#[path = "support/extent.rs"]
mod extent;
mod support;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, header::AUTHORIZATION};
use support::{HandClock, Issuer, URL, origins};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::{
    Authorization, BearerAuthLayer, CachedProvider, CachedProviderBuilder, Credential,
    CredentialProvider, Error, KeyedProvider, Login, LoginError, LoginRequest, PerRequest, Reason,
    Receipt, Recovery, Rejected, RejectionReport, ReplayEmpty, RequestHead, Verdict, login_fn,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct User(usize);

/// The tokens of each user are `user-7-1`, `user-7-2`, …, and the logins are counted.
#[derive(Clone, Default)]
struct Logins(Arc<Mutex<HashMap<User, usize>>>);

impl Logins {
    fn login(&self, user: User) -> impl Login + use<> {
        let logins = self.clone();
        login_fn(move |_: LoginRequest| {
            let mut logins = logins.0.lock().unwrap();
            let number = logins.entry(user).or_default();
            *number += 1;
            ready(Credential::new(format!("user-{}-{number}", user.0)).map_err(Into::into))
        })
    }

    fn provider(&self, capacity: usize) -> KeyedProvider<User> {
        let logins = self.clone();
        KeyedProvider::builder(move |user| logins.login(*user))
            .capacity(capacity)
            .build()
    }

    fn of(&self, user: User) -> usize {
        self.0.lock().unwrap().get(&user).copied().unwrap_or(0)
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().values().sum()
    }
}

fn request(user: User) -> Request<()> {
    Request::get(URL).extension(user).body(()).unwrap()
}

/// The response carries the authorization of the request.
#[derive(Clone)]
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Response<Option<HeaderValue>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(Response::new(
            request.headers().get(AUTHORIZATION).cloned(),
        )))
    }
}

/// Whether a value is a token of this user.
fn is_of(value: &HeaderValue, user: User) -> bool {
    let value = value.to_str().unwrap();
    value.starts_with(&format!("Bearer user-{}-", user.0))
}

async fn acquire<K>(provider: &KeyedProvider<K>, key: K) -> Result<Authorization, Error>
where
    KeyedProvider<K>: CredentialProvider<Acquire = tower_bearer::KeyedAcquire>,
    K: Clone + Send + Sync + 'static,
{
    let request = Request::get(URL).extension(key).body(()).unwrap();
    provider.acquire_for(RequestHead::of(&request)).await
}

fn current<K>(provider: &KeyedProvider<K>, key: K) -> Option<Authorization>
where
    KeyedProvider<K>: CredentialProvider,
    K: Clone + Send + Sync + 'static,
{
    let request = Request::get(URL).extension(key).body(()).unwrap();
    provider.current_for(RequestHead::of(&request))
}

fn receipt(authorization: &Authorization) -> Receipt {
    let (generation, account) = (authorization.generation(), authorization.account());
    Receipt::new(generation, account, &Method::GET, "/things")
}

fn reject<K>(provider: &KeyedProvider<K>, authorization: &Authorization) -> Verdict
where
    KeyedProvider<K>: CredentialProvider,
{
    provider.reject(&Rejected::by_hand(receipt(authorization)))
}

#[tokio::test]
async fn a_request_without_a_key_fails_or_is_sent_bare_by_choice() {
    let logins = Logins::default();
    let strict = logins.provider(10);
    let layer = BearerAuthLayer::new(strict.clone(), origins());
    let error = layer.layer(Echo).oneshot(support::request()).await;
    let error = error.unwrap_err().downcast::<Error>().unwrap();
    assert_eq!(error.recovery(), Recovery::ChangeRequest);
    assert_eq!(
        format!("{error:?}"),
        "no authorization for this request: the request has no key that names its account"
    );

    let by_choice = KeyedProvider::builder({
        let logins = logins.clone();
        move |user: &User| logins.login(*user)
    })
    .bare_without_key()
    .build();
    let layer = BearerAuthLayer::new(by_choice, origins());
    let service = layer.layer(Echo);
    let response = service.clone().oneshot(support::request()).await.unwrap();
    assert_eq!(response.body(), &None);
    assert_eq!(layer.bare_requests(), 1);
    let response = service.oneshot(request(User(3))).await.unwrap();
    assert_eq!(response.body().as_ref().unwrap(), "Bearer user-3-1");
    assert_eq!(layer.bare_requests(), 1);
    assert!(strict.is_empty());
}

#[tokio::test]
async fn the_key_can_be_a_part_of_the_head() {
    let provider = KeyedProvider::builder(|tenant: &HeaderValue| {
        let token = format!("of-{}", tenant.to_str().unwrap());
        login_fn(move |_| ready(Credential::new(token.clone()).map_err(Into::into)))
    })
    .key(|head| head.headers.get("x-tenant"))
    .build();
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
    for tenant in ["acme", "umbrella", "acme"] {
        let request = Request::get(URL)
            .header("x-tenant", tenant)
            .body(())
            .unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let value = response.into_body().unwrap();
        assert_eq!(value, format!("Bearer of-{tenant}"));
    }
    assert_eq!(provider.len(), 2);
    let keys: Vec<_> = provider
        .accounts()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert!(keys.contains(&HeaderValue::from_static("acme")), "{keys:?}");
}

#[tokio::test]
async fn twice_the_bound_of_keys_in_rotation() {
    const BOUND: usize = 50;
    let logins = Logins::default();
    let provider = logins.provider(BOUND);
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
    let (mut requests, mut wrong, mut most) = (0, 0, 0);
    for _ in 0..5 {
        for user in (0..2 * BOUND).map(User) {
            // Two requests in a row: the second one needs no login.
            for _ in 0..2 {
                let response = service.clone().oneshot(request(user)).await.unwrap();
                wrong += usize::from(!is_of(&response.into_body().unwrap(), user));
                requests += 1;
                most = most.max(provider.len());
                assert!(provider.accounts().len() <= BOUND);
            }
        }
    }
    println!(
        "figure: keyed-rotation keys={} bound={BOUND} requests={requests} logins={} most_accounts={most} wrong_tokens={wrong}",
        2 * BOUND,
        logins.count(),
    );
    assert_eq!((wrong, most), (0, BOUND));
    assert_eq!(logins.count(), requests / 2, "one for each return");
}

#[tokio::test]
async fn an_account_that_was_used_lately_gets_a_second_chance() {
    let provider = Logins::default().provider(3);
    for user in 0..3 {
        acquire(&provider, User(user)).await.unwrap();
    }
    // All are new: the first one goes, and the others are marked.
    acquire(&provider, User(3)).await.unwrap();
    assert!(provider.find(&User(0)).is_none());
    assert!(current(&provider, User(1)).is_some());
    acquire(&provider, User(4)).await.unwrap();
    assert!(provider.find(&User(2)).is_none(), "it was not used");
    assert!(current(&provider, User(1)).is_some());
    // The held copy of a service counts as a use, too.
    let held = current(&provider, User(1)).unwrap();
    for user in 5..20 {
        let request = request(User(1));
        assert!(provider.is_current(&held, RequestHead::of(&request)));
        acquire(&provider, User(user)).await.unwrap();
    }
    assert!(current(&provider, User(1)).is_some());
}

#[tokio::test]
async fn a_hundred_waiters_of_each_key_share_one_login() {
    const KEYS: usize = 10;
    let issuers: Arc<[_; KEYS]> = Arc::new([(); KEYS].map(|()| Issuer::gated()));
    let provider = KeyedProvider::new({
        let issuers = Arc::clone(&issuers);
        move |user: &User| issuers[user.0].clone()
    });
    let mut waiters = Vec::new();
    for user in (0..KEYS).map(User) {
        for _ in 0..100 {
            let request = request(user);
            let mut waiter = task::spawn(provider.acquire_for(RequestHead::of(&request)));
            assert_pending!(waiter.poll());
            waiters.push((user, waiter));
        }
    }
    // In reverse order: no key waits for another one.
    for issuer in issuers.iter().rev() {
        issuer.open();
    }
    let mut generations = HashMap::new();
    for (user, waiter) in waiters {
        let generation = waiter.await.unwrap().generation();
        assert_eq!(*generations.entry(user).or_insert(generation), generation);
    }
    let logins: Vec<_> = issuers.iter().map(Issuer::logins).collect();
    println!(
        "figure: keyed-one_flight keys={KEYS} waiters={} logins={}",
        100 * KEYS,
        logins.iter().sum::<usize>()
    );
    assert_eq!(logins, [1; KEYS]);
    assert_eq!(generations.len(), KEYS);
}

#[tokio::test]
async fn each_key_has_a_back_off_and_rejections_of_its_own() {
    let issuers = Arc::new([Issuer::new(), Issuer::new()]);
    let provider = KeyedProvider::new({
        let issuers = Arc::clone(&issuers);
        move |user: &User| issuers[user.0].clone()
    });
    issuers[0].fail_with(|| LoginError::permanent("wrong password").into());
    for _ in 0..10 {
        let error = acquire(&provider, User(0)).await.unwrap_err();
        assert!(error.login_error().unwrap().is_permanent());
        assert!(acquire(&provider, User(1)).await.is_ok());
    }
    assert_eq!((issuers[0].logins(), issuers[1].logins()), (1, 1));
    // A reset of one key leaves the other as it is.
    issuers[0].recover();
    provider.for_key(&User(0)).unwrap().reset();
    let first = acquire(&provider, User(0)).await.unwrap();
    assert_eq!(issuers[0].logins(), 2);

    assert!(reject(&provider, &first).is_log_in());
    assert!(current(&provider, User(0)).is_none());
    assert!(current(&provider, User(1)).is_some());
    let rejections = |user| provider.find(&User(user)).unwrap().snapshot().rejections();
    assert_eq!((rejections(0), rejections(1)), (1, 0));
}

#[tokio::test]
async fn a_receipt_counts_for_its_own_account_only() {
    let logins = Logins::default();
    let provider = logins.provider(1);
    let first = acquire(&provider, User(1)).await.unwrap();
    let second = acquire(&provider, User(2)).await.unwrap();
    assert!(provider.find(&User(1)).is_none(), "evicted");
    assert_ne!(first.account(), second.account());
    let mut harmed = 0;

    // After the eviction, the number leads nowhere.
    assert_eq!(reject(&provider, &first).reason(), Reason::Unknown);
    harmed += usize::from(current(&provider, User(2)).is_none());
    // After the number was used again, the generation is not one of the new account's.
    let reused = first.clone().with_account(second.account());
    for _ in 0..100 {
        assert_eq!(reject(&provider, &reused).reason(), Reason::Unknown);
        provider.sent(receipt(&reused));
        provider.accept(receipt(&reused));
        harmed += usize::from(current(&provider, User(2)).is_none());
    }
    let request = request(User(2));
    let is_current = |held| provider.is_current(held, RequestHead::of(&request));
    assert!(is_current(&second) && !is_current(&first) && !is_current(&reused));
    println!("figure: keyed-receipts foreign=201 accounts_harmed={harmed}");
    assert_eq!(harmed, 0);

    // Nor does such a receipt help: the login after a rejection must still prove itself.
    let verdict_after = async |foreign: Option<&Authorization>| {
        let provider = Logins::default().provider(1);
        let rejected = acquire(&provider, User(2)).await.unwrap();
        assert!(reject(&provider, &rejected).is_log_in());
        let newer = acquire(&provider, User(2)).await.unwrap();
        if let Some(foreign) = foreign {
            provider.accept(receipt(&foreign.clone().with_account(newer.account())));
        }
        reject(&provider, &newer).reason()
    };
    assert_eq!(verdict_after(None).await, Reason::LoginDidNotHelp);
    assert_eq!(verdict_after(Some(&first)).await, Reason::LoginDidNotHelp);
}

#[tokio::test]
async fn a_replay_stays_with_its_account() {
    let logins = Logins::default();
    let provider = logins.provider(2);
    let first = acquire(&provider, User(1)).await.unwrap();
    acquire(&provider, User(2)).await.unwrap();
    assert!(reject(&provider, &first).is_log_in());
    let replay = async |user| {
        let request = request(user);
        let mut head = RequestHead::of(&request);
        head.rejected = Some(receipt(&first));
        provider.acquire_for(head).await
    };
    let newer = replay(User(1)).await.unwrap();
    assert_eq!(newer.account(), first.account());
    assert_eq!(newer.value(), "Bearer user-1-2");
    // Another key, known or not: an error, and no account is created.
    for user in [User(2), User(3)] {
        let error = replay(user).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the newer authorization belongs to another account: the request was not sent with it"
        );
    }
    assert_eq!(logins.of(User(3)), 0);
    assert_eq!(provider.len(), 2);
}

/// A server that accepts only the newest token of each user.
#[tokio::test]
async fn a_rejected_request_is_replayed_for_its_own_account() {
    let logins = Logins::default();
    let provider = logins.provider(10);
    let oldest = Arc::new(AtomicUsize::new(1));
    let server = service_fn({
        let oldest = Arc::clone(&oldest);
        move |request: Request<String>| {
            let value = request.headers()[AUTHORIZATION].clone();
            let (_, number) = value.to_str().unwrap().rsplit_once('-').unwrap();
            let is_valid = number.parse::<usize>().unwrap() >= oldest.load(SeqCst);
            let response = Response::builder().status(if is_valid { 200 } else { 401 });
            ready(Ok::<_, Infallible>(response.body(value).unwrap()))
        }
    });
    let layer = BearerAuthLayer::new(provider, origins()).replay(ReplayEmpty);
    let service = layer.layer(server);
    let send = async |user: usize| {
        let request = Request::get(URL).extension(User(user));
        let request = request.body(String::new()).unwrap();
        service.clone().oneshot(request).await.unwrap()
    };
    for user in 0..10 {
        assert_eq!(send(user).await.status(), 200);
    }
    oldest.store(2, SeqCst);
    for user in 0..10 {
        let response = send(user).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), &format!("Bearer user-{user}-2"));
        assert!(response.extensions().get::<RejectionReport>().is_none());
    }
    assert_eq!(layer.replays(), 10);
    assert_eq!(logins.count(), 20);
}

#[tokio::test]
async fn a_fresh_credential_and_a_receipt_per_request() {
    let logins = Logins::default();
    let provider = logins.provider(10);
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
    acquire(&provider, User(1)).await.unwrap();
    let per_request = PerRequest::fresh();
    let request = Request::get(URL)
        .extension(User(1))
        .extension(per_request.clone());
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(response.body().as_ref().unwrap(), "Bearer user-1-2");
    let current = current(&provider, User(1)).unwrap();
    assert_eq!(per_request.receipt().unwrap().account(), current.account());
}

#[tokio::test(start_paused = true)]
async fn a_login_in_the_background_is_for_the_account_that_ages() {
    const LIFETIME: Duration = Duration::from_secs(1000);
    let issuers = Arc::new([(), ()].map(|()| Issuer::new().concurrent().with_lifetime(LIFETIME)));
    let provider = KeyedProvider::new({
        let issuers = Arc::clone(&issuers);
        move |user: &User| issuers[user.0].clone()
    });
    let service = BearerAuthLayer::new(provider, origins()).layer(Echo);
    let send = async |user| service.clone().oneshot(request(User(user))).await.unwrap();
    send(0).await;
    tokio::time::advance(Duration::from_secs(600)).await;
    send(1).await;
    tokio::time::advance(Duration::from_secs(300)).await;
    for user in [0, 1] {
        // The old token serves this request.
        let response = send(user).await;
        assert_eq!(response.body().as_ref().unwrap(), "Bearer token-1");
        tokio::task::yield_now().await;
    }
    assert_eq!((issuers[0].logins(), issuers[1].logins()), (2, 1));
    let response = send(0).await;
    assert_eq!(response.body().as_ref().unwrap(), "Bearer token-2");
}

/// What an account may have that keeps it from being evicted.
struct Stays {
    clock: HandClock,
    issuer: Issuer,
    provider: KeyedProvider<User>,
}

impl Stays {
    /// One place. Only user 0 has this issuer and these settings.
    fn new(
        issuer: Issuer,
        configure: impl Fn(CachedProviderBuilder) -> CachedProviderBuilder + Send + Sync + 'static,
    ) -> Self {
        let clock = HandClock::new();
        let provider = KeyedProvider::builder({
            let issuer = issuer.clone();
            move |user: &User| match user {
                User(0) => issuer.clone(),
                _ => Issuer::new(),
            }
        })
        .capacity(1)
        .configure({
            let clock = clock.clone();
            move |user, account| {
                let account = account.clock(clock.clone()).random(|| 1.0);
                match user {
                    User(0) => configure(account),
                    _ => account,
                }
            }
        })
        .build();
        Self {
            clock,
            issuer,
            provider,
        }
    }

    /// Whether a new key finds a place.
    async fn is_evicted(&self) -> bool {
        match acquire(&self.provider, User(1)).await {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_at_capacity());
                false
            }
        }
    }

    /// That the account is evicted after this time and not sooner.
    async fn for_exactly(self, time: Duration) {
        let just_before = time - Duration::from_nanos(1);
        assert!(!self.is_evicted().await);
        self.clock.advance(just_before);
        assert!(!self.is_evicted().await, "after {just_before:?}");
        self.clock.advance(Duration::from_nanos(1));
        assert!(self.is_evicted().await, "after {time:?}");
    }
}

#[tokio::test]
async fn the_error_at_the_bound_says_so() {
    let world = Stays::new(Issuer::gated(), |account| account);
    let request = request(User(0));
    let mut waiter = task::spawn(world.provider.acquire_for(RequestHead::of(&request)));
    assert_pending!(waiter.poll());
    let error = acquire(&world.provider, User(1)).await.unwrap_err();
    assert!(error.is_at_capacity());
    assert_eq!(
        error.to_string(),
        "the provider keeps at most 1 accounts, and found none that it may evict: raise its capacity, or try again later"
    );
    assert!(matches!(error.recovery(), Recovery::TryAgain { after } if !after.is_zero()));
    assert!(
        world
            .provider
            .for_key(&User(2))
            .unwrap_err()
            .is_at_capacity()
    );
    // The login goes on without its waiter.
    drop(waiter);
    assert!(!world.is_evicted().await);
    world.issuer.open();
    tokio::task::yield_now().await;
    assert!(world.is_evicted().await);
    assert_eq!(world.provider.len(), 1);
}

#[tokio::test]
async fn an_account_whose_provider_is_held_stays() {
    let world = Stays::new(Issuer::new(), |account| account);
    let held: CachedProvider = world.provider.for_key(&User(0)).unwrap();
    assert!(!world.is_evicted().await);
    let all = world.provider.accounts();
    drop(held);
    assert!(!world.is_evicted().await);
    drop(all);
    // A future that was never polled holds it as well.
    let request = request(User(0));
    let waiter = world.provider.acquire_for(RequestHead::of(&request));
    assert!(!world.is_evicted().await);
    drop(waiter);
    assert!(world.is_evicted().await);
}

#[tokio::test]
async fn a_refresh_token_that_no_hook_has_stays() {
    let with_refresh_token = |account: CachedProviderBuilder| {
        let credential = Credential::new("abc").unwrap();
        let refresh_token = tower_bearer::RefreshToken::new("dff78899").with_lifetime(HOUR);
        account.starting_with(credential.with_refresh_token(refresh_token))
    };
    let world = Stays::new(Issuer::new(), with_refresh_token);
    acquire(&world.provider, User(0)).await.unwrap();
    world.for_exactly(HOUR).await;

    let world = Stays::new(Issuer::new(), move |account| {
        with_refresh_token(account).on_credential(|_| {})
    });
    acquire(&world.provider, User(0)).await.unwrap();
    assert!(world.is_evicted().await);
}

#[tokio::test]
async fn a_sign_out_is_remembered() {
    let world = Stays::new(Issuer::new(), |account| account);
    acquire(&world.provider, User(0)).await.unwrap();
    world.provider.for_key(&User(0)).unwrap().sign_out();
    world.clock.advance(24 * HOUR);
    assert!(!world.is_evicted().await);
    let error = acquire(&world.provider, User(0)).await.unwrap_err();
    assert!(error.is_signed_out());
    let credential = Credential::new("abc").unwrap();
    world
        .provider
        .for_key(&User(0))
        .unwrap()
        .set_credential(credential);
    assert!(world.is_evicted().await);
}

#[tokio::test]
async fn a_key_that_is_forgotten_is_signed_out_and_logs_in_again() {
    let world = Stays::new(Issuer::new(), |account| account);
    let before = acquire(&world.provider, User(0)).await.unwrap();
    world.provider.forget(&User(0));
    assert!(current(&world.provider, User(0)).is_none());
    assert_eq!(
        reject(&world.provider, &before).reason(),
        Reason::Unknown,
        "the request is not replayed"
    );
    let after = acquire(&world.provider, User(0)).await.unwrap();
    assert_ne!(after.generation(), before.generation());

    world.provider.forget(&User(0));
    assert_eq!(world.provider.len(), 0, "its place is free");
    world.provider.forget(&User(0)); // an unknown key
}

#[tokio::test]
async fn a_key_that_is_forgotten_gets_a_login_made_anew() {
    let password = Arc::new(Mutex::new("old"));
    let current = Arc::clone(&password);
    let provider = KeyedProvider::new(move |_: &User| {
        let password = *current.lock().unwrap();
        login_fn(move |_| ready(Credential::new(password).map_err(Into::into)))
    });
    let of = async || acquire(&provider, User(0)).await.unwrap();
    assert_eq!(of().await.value(), "Bearer old");
    *password.lock().unwrap() = "new";
    let held = provider.for_key(&User(0)).unwrap();
    provider.forget(&User(0));
    assert_eq!(of().await.value(), "Bearer old", "it is held");
    drop(held);
    provider.forget(&User(0));
    assert_eq!(provider.len(), 0);
    assert_eq!(of().await.value(), "Bearer new");
    assert_eq!(provider.len(), 1);
}

/// The request has its authorization, and its account is another one when the service is ready.
#[tokio::test]
async fn a_request_that_waits_for_its_service_outlives_its_account() {
    let provider = Logins::default().provider(1);
    let (service, mut handle) = tower_test::mock::pair::<Request<()>, Response<()>>();
    let mut client = BearerAuthLayer::new(provider.clone(), origins()).layer(service);
    handle.allow(1);
    client.ready().await.unwrap();
    let mut response = task::spawn(client.call(request(User(0))));
    handle.allow(0);
    assert_pending!(response.poll());
    tokio::task::yield_now().await;
    assert_pending!(response.poll(), "the service is not ready");
    for user in [User(1), User(0)] {
        acquire(&provider, user).await.unwrap(); // evicts the other one
    }
    handle.allow(1);
    assert_pending!(response.poll());
    let (sent, _) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()[AUTHORIZATION], "Bearer user-0-1");
}

// I1
#[tokio::test]
async fn the_next_login_of_a_forgotten_key_waits_for_the_previous_one() {
    let world = Stays::new(Issuer::gated(), |account| account);
    let request = request(User(0));
    let mut previous = task::spawn(world.provider.acquire_for(RequestHead::of(&request)));
    assert_pending!(previous.poll());
    tokio::task::yield_now().await;
    world.provider.forget(&User(0));
    assert!(previous.await.unwrap_err().is_signed_out());
    let mut next = task::spawn(world.provider.acquire_for(RequestHead::of(&request)));
    assert_pending!(next.poll());
    world.issuer.open();
    assert_eq!(next.await.unwrap().value(), "Bearer token-2");
    assert_eq!(world.issuer.most_in_flight(), 1);
}

#[tokio::test]
async fn a_failed_login_is_remembered() {
    type Failure = fn() -> tower_bearer::BoxError;
    let failures: [(Failure, Duration); 4] = [
        (|| "down".into(), Duration::from_secs(357)),
        (
            || LoginError::transient("down").into(),
            Duration::from_secs(357),
        ),
        (
            || LoginError::permanent("wrong password").into(),
            135 * MINUTE,
        ),
        // The server's pause is longer than the memory of a transient failure.
        (
            || LoginError::retry_after("busy", 5 * MINUTE).into(),
            Duration::from_secs(357),
        ),
    ];
    for (failure, remembered) in failures {
        let issuer = Issuer::new();
        issuer.fail_with(failure);
        let world = Stays::new(issuer, |account| account);
        acquire(&world.provider, User(0)).await.unwrap_err();
        world.for_exactly(remembered).await;
    }
    // A login that works ends it.
    let issuer = Issuer::new();
    issuer.fail("down");
    let world = Stays::new(issuer, |account| account);
    acquire(&world.provider, User(0)).await.unwrap_err();
    world.clock.advance(MINUTE);
    world.issuer.recover();
    acquire(&world.provider, User(0)).await.unwrap();
    assert!(world.is_evicted().await);
}

#[tokio::test]
async fn a_rejection_is_remembered() {
    let world = Stays::new(Issuer::new(), |account| account);
    let first = acquire(&world.provider, User(0)).await.unwrap();
    world.clock.advance(MINUTE);
    world.provider.accept(receipt(&first));
    assert!(reject(&world.provider, &first).is_log_in());
    let second = acquire(&world.provider, User(0)).await.unwrap();
    world.provider.accept(receipt(&second));
    world.for_exactly(10 * MINUTE).await;

    // Logins that do not help.
    let world = Stays::new(Issuer::new(), |account| account);
    for _ in 0..2 {
        let authorization = acquire(&world.provider, User(0)).await.unwrap();
        let _ = reject(&world.provider, &authorization);
    }
    world.for_exactly(HOUR).await;
}

/// Why no login helps.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Transient,
    Permanent,
    /// Logins succeed, and the server rejects each token.
    Rejected,
}

/// The logins of each key, by the hour.
async fn logins_in_trouble(
    capacity: usize,
    keys: usize,
    hours: usize,
    trouble: Trouble,
    is_asking: impl Fn(usize, usize) -> bool,
) -> (Vec<Vec<usize>>, usize) {
    let clock = HandClock::new();
    let attempts = Arc::new(Mutex::new(vec![0_usize; keys]));
    let created = Arc::new(AtomicUsize::new(0));
    let provider = KeyedProvider::builder({
        let (attempts, created) = (Arc::clone(&attempts), Arc::clone(&created));
        move |user: &User| {
            let (attempts, user) = (Arc::clone(&attempts), user.0);
            created.fetch_add(1, SeqCst);
            login_fn(move |_| {
                attempts.lock().unwrap()[user] += 1;
                ready(match trouble {
                    Trouble::Transient => Err(LoginError::transient("down").into()),
                    Trouble::Permanent => Err(LoginError::permanent("wrong password").into()),
                    Trouble::Rejected => Credential::new("abc").map_err(Into::into),
                })
            })
        }
    })
    .capacity(capacity)
    .configure({
        let clock = clock.clone();
        move |_, account| account.clock(clock.clone()).random(|| 1.0)
    })
    .build();
    let mut by_hour = vec![Vec::new(); keys];
    for hour in 0..hours {
        let before = attempts.lock().unwrap().clone();
        for step in 0..240 {
            let mut asking: Vec<_> = (0..keys).filter(|user| is_asking(*user, hour)).collect();
            if step % 2 == 1 {
                // Those without a place come first, and find pauses that have just ended.
                asking.reverse();
            }
            for user in asking {
                if let Ok(authorization) = acquire(&provider, User(user)).await {
                    let _ = reject(&provider, &authorization);
                }
            }
            clock.advance(Duration::from_secs(15));
            assert!(provider.len() <= capacity);
        }
        let after = attempts.lock().unwrap();
        for user in 0..keys {
            by_hour[user].push(after[user] - before[user]);
        }
    }
    let evictions = created.load(SeqCst) - provider.len();
    (by_hour, evictions)
}

#[tokio::test]
async fn failing_logins_are_not_more_because_of_evictions() {
    no_more_logins("failing_transient", Trouble::Transient).await;
    no_more_logins("failing_permanent", Trouble::Permanent).await;
}

#[tokio::test]
async fn unhelpful_logins_are_not_more_because_of_evictions() {
    no_more_logins("rejected", Trouble::Rejected).await;
}

async fn no_more_logins(name: &str, trouble: Trouble) {
    const KEYS: usize = 20;
    let hours = extent::amount("KEYED_HOURS", "hours", 12, 24) as usize;
    let most = |logins: &[Vec<usize>]| logins.iter().flatten().copied().max().unwrap();
    let sum = |logins: &[Vec<usize>]| logins.iter().flatten().sum::<usize>();

    // All keys ask all the time.
    let always = |_, _| true;
    let (alone, _) = logins_in_trouble(KEYS, KEYS, hours, trouble, always).await;
    let (bounded, evictions) = logins_in_trouble(KEYS / 2, KEYS, hours, trouble, always).await;
    let mut more = 0;
    for (alone, bounded) in alone.iter().zip(&bounded) {
        more += alone.iter().zip(bounded).filter(|(a, b)| b > a).count();
    }
    println!(
        "figure: keyed-{name} keys={KEYS} hours={hours} logins_without_bound={} logins={} most_per_key_and_hour_without_bound={} most_per_key_and_hour={} hours_with_more={more} evictions={evictions}",
        sum(&alone),
        sum(&bounded),
        most(&alone),
        most(&bounded),
    );
    assert_eq!(more, 0);
    assert_eq!(evictions, 0, "a key in trouble that asks keeps its place");

    // They take turns, an hour each, so that they are evicted in the hours between.
    let in_turn = |user: usize, hour: usize| user % 4 == hour % 4;
    let (turns, evictions) = logins_in_trouble(KEYS / 4, KEYS, hours, trouble, in_turn).await;
    let (mut ahead, mut total) = (0, 0);
    for user in 0..KEYS {
        // At no time more than a key that is never evicted and asks all the time.
        let Some(first_hour) = turns[user].iter().position(|logins| *logins > 0) else {
            continue; // it never found a place
        };
        let (mut with_evictions, mut without) = (0, 0);
        for (turns, alone) in turns[user][first_hour..].iter().zip(&alone[user]) {
            with_evictions += turns;
            without += alone;
            ahead += usize::from(with_evictions > without);
        }
        total += with_evictions;
    }
    println!(
        "figure: keyed-{name}_in_turn keys={KEYS} hours={hours} logins={total} most_per_key_and_hour={} hours_ahead={ahead} evictions={evictions}",
        most(&turns)
    );
    assert!(evictions > 0);
    assert_eq!(ahead, 0);
    assert!(most(&turns) <= most(&alone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_keys_under_load() {
    const KEYS: usize = 10_000;
    const TASKS: usize = 16;
    let requests = extent::amount("KEYED_REQUESTS", "requests of a task", 500, 5_000) as usize;
    for (name, capacity) in [("load", KEYS), ("load_evicting", KEYS / 2)] {
        let logins = Logins::default();
        let provider = logins.provider(capacity);
        let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
        let tasks = (0..TASKS).map(|task| {
            let (mut service, provider) = (service.clone(), provider.clone());
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(task as u64);
                let (mut mixed_up, mut beyond) = (0, 0);
                for _ in 0..requests {
                    let user = User(random.usize(..KEYS));
                    let service = service.ready().await.unwrap();
                    let response = service.call(request(user)).await.unwrap();
                    mixed_up += usize::from(!is_of(&response.into_body().unwrap(), user));
                    beyond += usize::from(provider.len() > capacity);
                }
                (mixed_up, beyond)
            })
        });
        let (mut mixed_up, mut beyond) = (0, 0);
        for task in tasks.collect::<Vec<_>>() {
            let counts = task.await.unwrap();
            mixed_up += counts.0;
            beyond += counts.1;
        }
        println!(
            "figure: keyed-{name} keys={KEYS} capacity={capacity} requests={} mixed_up={mixed_up} beyond_capacity={beyond} logins~={}",
            TASKS * requests,
            logins.count()
        );
        assert_eq!((mixed_up, beyond), (0, 0));
        if capacity == KEYS {
            let most = logins.0.lock().unwrap().values().copied().max();
            assert_eq!(most, Some(1), "nothing was evicted");
        }
    }
}

#[tokio::test]
async fn nothing_is_allocated_while_the_credentials_are_fresh() {
    const KEYS: usize = 100;
    let logins = Logins::default();
    let provider = logins.provider(1000);
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(Echo);
    for user in (0..KEYS).map(User) {
        acquire(&provider, user).await.unwrap();
    }
    let prepared = |user| {
        let mut request = request(user);
        request.headers_mut().reserve(8);
        request
    };
    let send = |mut service: tower_bearer::BearerAuth<Echo, KeyedProvider<User>>, request| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut response = std::pin::pin!(service.call(request));
        let response = response.as_mut().poll(&mut cx);
        assert!(matches!(response, std::task::Poll::Ready(Ok(_))));
    };
    // A thread's first read registers it with arc-swap.
    send(service.clone(), prepared(User(0)));
    let batch: Vec<_> = (0..KEYS).map(|user| prepared(User(user))).collect();
    let allocations = allocation_counter::measure(|| {
        for request in batch {
            send(service.clone(), request);
        }
    });
    println!(
        "figure: keyed-allocations keys={KEYS} a_request={}",
        allocations.count_total
    );
    assert_eq!(allocations.count_total, 0);
}

#[tokio::test]
async fn a_login_that_cannot_be_made_costs_no_place() {
    let provider = KeyedProvider::builder(|user: &User| {
        assert_ne!(*user, User(7), "no such user");
        Issuer::new()
    })
    .capacity(2)
    .build();
    for _ in 0..10 {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = provider.for_key(&User(7));
        }));
        assert!(caught.is_err());
        assert_eq!(provider.len(), 0);
    }
    for user in [User(1), User(2)] {
        acquire(&provider, user).await.unwrap();
    }
    assert_eq!(provider.len(), 2);
}

#[test]
fn the_settings_of_an_account_may_use_the_provider() {
    support::without_dead_lock(|| {
        let provider: Arc<std::sync::OnceLock<KeyedProvider<User>>> = Arc::default();
        let used = Arc::clone(&provider);
        let built = KeyedProvider::builder(|_: &User| Issuer::new())
            .capacity(1)
            .configure(move |user, account| {
                if let Some(provider) = used.get() {
                    let _ = (provider.len(), provider.find(user), provider.accounts());
                }
                account
            })
            .build();
        let provider = provider.get_or_init(|| built);
        for user in 0..10 {
            provider.for_key(&User(user)).unwrap();
        }
        assert_eq!(provider.len(), 1);
        assert_eq!(
            format!("{provider:?}"),
            "KeyedProvider { capacity: 1, len: 1, .. }"
        );
    });
}

#[test]
fn an_account_takes_little_memory() {
    const KEYS: usize = 10_000;
    let logins = Logins::default();
    let provider = logins.provider(KEYS);
    let allocations = allocation_counter::measure(|| {
        for user in (0..KEYS).map(User) {
            provider.for_key(&user).unwrap();
        }
    });
    let bytes = allocations.bytes_current as usize / KEYS;
    println!("figure: keyed-memory accounts={KEYS} bytes_an_account~={bytes}");
    assert!((1024..1600).contains(&bytes), "{bytes}");
}

/// Its refresh token is read from a store. The account comes and goes while another thread creates it.
#[tokio::test]
async fn a_refresh_token_of_an_account_that_came_and_went_is_not_spent_again() {
    type Inner = std::sync::OnceLock<KeyedProvider<User>>;
    let itself: Arc<Inner> = Arc::default();
    let stored = Arc::new(Mutex::new("r1".to_owned()));
    let spent: Arc<Mutex<Vec<String>>> = Arc::default();
    let armed = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (log, used, store) = (spent.clone(), itself.clone(), stored.clone());
    let provider = KeyedProvider::builder(move |_: &User| {
        let log = log.clone();
        login_fn(move |mut request: LoginRequest| {
            let token = request.take_refresh_token();
            let mut log = log.lock().unwrap();
            if let Some(token) = token {
                log.push(token.expose().to_owned());
            }
            let next = format!("r{}", log.len() + 1);
            ready(Ok(Credential::new("abc").unwrap().with_refresh_token(next)))
        })
    })
    .capacity(2)
    .configure(move |user, account| {
        if *user != User(7) {
            return account.on_credential(|_| {});
        }
        let refresh_token = store.lock().unwrap().clone();
        if armed.swap(false, SeqCst) {
            // What other threads do meanwhile.
            let provider = used.get().unwrap().clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    acquire(&provider, User(7)).await.unwrap();
                    tokio::task::yield_now().await;
                    provider.for_key(&User(8)).unwrap();
                    assert!(provider.find(&User(7)).is_none());
                });
            })
            .join()
            .unwrap();
        }
        let store = store.clone();
        let expired = Credential::new("old")
            .unwrap()
            .with_lifetime(Duration::ZERO);
        account
            .starting_with(expired.with_refresh_token(refresh_token))
            .on_credential(move |credential| {
                let token = credential.refresh_token().unwrap().expose();
                token.clone_into(&mut store.lock().unwrap());
            })
    })
    .build();
    itself.set(provider.clone()).ok();
    acquire(&provider, User(7)).await.unwrap();
    assert_eq!(*spent.lock().unwrap(), ["r1", "r2"]);
}

#[tokio::test]
async fn a_new_key_tries_a_part_of_the_accounts_and_the_next_one_the_others() {
    let provider = KeyedProvider::builder(|_: &User| Issuer::new())
        .capacity(2_000)
        .build();
    let held = (0..1_500).map(|user| provider.for_key(&User(user)).unwrap());
    let _held: Vec<_> = held.collect();
    for user in 1_500..2_000 {
        provider.for_key(&User(user)).unwrap();
    }
    assert!(provider.for_key(&User(2_000)).unwrap_err().is_at_capacity());
    provider.for_key(&User(2_000)).unwrap();
}

/// A service asks about the copy that it holds, whatever the key of the request is.
#[tokio::test]
async fn a_request_of_another_key_is_no_use_of_an_account() {
    let provider = Logins::default().provider(3);
    for user in 0..3 {
        acquire(&provider, User(user)).await.unwrap();
    }
    let held = current(&provider, User(1)).unwrap();
    acquire(&provider, User(3)).await.unwrap();
    assert!(
        provider.find(&User(0)).is_none(),
        "1 and 2 have lost their second chance"
    );
    let request = request(User(3));
    assert!(!provider.is_current(&held, RequestHead::of(&request)));
    acquire(&provider, User(4)).await.unwrap();
    assert!(provider.find(&User(1)).is_none());
    assert!(provider.find(&User(2)).is_some());
}

/// A reset discards a login whose answer brought a refresh token. `on_credential` does not get it.
#[tokio::test]
async fn a_refresh_token_of_a_discarded_login_stays() {
    for has_hook in [false, true] {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let opened = Arc::clone(&gate);
        let provider = KeyedProvider::builder(move |_: &User| {
            let gate = Arc::clone(&gate);
            login_fn(move |_: LoginRequest| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await?.forget();
                    Ok(Credential::new("abc")?.with_refresh_token("dff78899"))
                }
            })
        })
        .capacity(1)
        .configure(move |_, account| {
            let account = account.on_credential(|_| {});
            match has_hook {
                true => account.on_unspent(|_| {}),
                false => account,
            }
        })
        .build();
        let account = provider.for_key(&User(0)).unwrap();
        let mut waiter = task::spawn(account.acquire());
        assert_pending!(waiter.poll());
        tokio::task::yield_now().await;
        account.reset();
        drop(waiter);
        opened.add_permits(1);
        account.settled().await;
        drop(account);
        tokio::task::yield_now().await;
        let evicted = provider.for_key(&User(1)).is_ok();
        assert_eq!(evicted, has_hook, "on_unspent gets it");
        if !evicted {
            // The next login takes it, and `on_credential` gets the new one.
            opened.add_permits(1);
            acquire(&provider, User(0)).await.unwrap();
            tokio::task::yield_now().await;
            provider.for_key(&User(1)).unwrap();
        }
    }
}
