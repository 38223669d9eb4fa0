//! Users sign out and in under load: nothing of the previous one is sent or stored afterwards.
//!
//! The first test simulates days in paused time, by seeds, so that its figures are the same in each
//! run. The second one has threads, for what happens between two awaits.

#[path = "support/extent.rs"]
mod extent;

use std::{
    collections::HashSet,
    error::Error as StdError,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use http::{Request, Response, StatusCode};
use tokio::{runtime::Builder, task::JoinSet, time::sleep};
use tower::{Layer, Service, ServiceExt, limit::GlobalConcurrencyLimitLayer};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, CachedProviderBuilder, Clock, Credential, Error,
    LoginRequest, Origins, ReplayWith, Session, login_fn,
};

/// Both clocks follow Tokio's.
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0.elapsed()
    }
}

#[derive(Default)]
struct Figures {
    sign_outs: AtomicU64,
    requests: AtomicU64,
    sent: AtomicU64,
    rejected: AtomicU64,
    replays: AtomicU64,
    ended_by_sign_out: AtomicU64,
    logins: AtomicU64,
    refreshes: AtomicU64,
    handed_in: AtomicU64,
    // All of these must stay 0.
    sent_after: AtomicU64,
    stored_after: AtomicU64,
    mixed_up: AtomicU64,
    used_twice: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, SeqCst);
}

/// Users have numbers, from 1 on. The secrets of user 7 are `7.1`, `7.2` and so on.
struct World {
    random: Mutex<fastrand::Rng>,
    /// Whether two events between two awaits are never apart.
    is_simulated: bool,
    figures: Figures,
    /// The user that logins are made for.
    account: AtomicU64,
    /// Set before this user signs in.
    signs_in: AtomicU64,
    /// Set before the sign-out of this user.
    signs_out: AtomicU64,
    /// Set when the sign-out of this user has returned.
    signed_out: AtomicU64,
    /// Set when the provider has settled after the sign-out of this user.
    settled: AtomicU64,
    secrets: AtomicU64,
    spent: Mutex<HashSet<String>>,
    /// Tokens that logins brought or users handed in, and those that were retired.
    issued: Mutex<HashSet<String>>,
    retired: Mutex<HashSet<String>>,
    /// The oldest secret that the API accepts.
    accepted_from: AtomicU64,
}

fn parse(secret: &str) -> (u64, u64) {
    let (user, number) = secret.split_once('.').unwrap();
    (user.parse().unwrap(), number.parse().unwrap())
}

/// What one request was sent with: an extension of it.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<u64>>>);

impl World {
    fn new(seed: u64, is_simulated: bool) -> Arc<Self> {
        Arc::new(Self {
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            is_simulated,
            figures: Figures::default(),
            account: AtomicU64::new(1),
            signs_in: AtomicU64::new(1),
            signs_out: AtomicU64::new(0),
            signed_out: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            secrets: AtomicU64::new(0),
            spent: Mutex::default(),
            issued: Mutex::default(),
            retired: Mutex::default(),
            accepted_from: AtomicU64::new(0),
        })
    }

    fn one_in(&self, of: u64) -> bool {
        self.random.lock().unwrap().u64(0..of) == 0
    }

    async fn pause(&self, longest: u64) {
        let milliseconds = self.random.lock().unwrap().u64(0..longest);
        match self.is_simulated {
            true => sleep(Duration::from_millis(milliseconds)).await,
            // No test waits for the real clock.
            false => {
                for _ in 0..milliseconds / 10 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn secret(&self, user: u64) -> String {
        format!("{user}.{}", self.secrets.fetch_add(1, SeqCst) + 1)
    }

    fn credential(&self, user: u64) -> Result<Credential, BoxError> {
        let token = self.secret(user);
        self.issued.lock().unwrap().insert(token.clone());
        Ok(Credential::new(token)?.with_lifetime(Duration::from_secs(20)))
    }

    async fn log_in(self: Arc<Self>, mut request: LoginRequest) -> Result<Credential, BoxError> {
        let user = self.account.load(SeqCst);
        self.pause(300).await;
        if self.one_in(10) {
            return Err("no connection".into()); // before the refresh token is taken
        }
        if let Some(token) = request.take_refresh_token() {
            let (owner, _) = parse(token.expose());
            // Without `settled`, the account may have changed since this login began.
            if self.is_simulated && owner != user {
                count(&self.figures.mixed_up);
            }
            if self.is_simulated && owner <= self.signed_out.load(SeqCst) {
                count(&self.figures.sent_after);
            }
            if !self.spent.lock().unwrap().insert(token.expose().to_owned()) {
                count(&self.figures.used_twice);
            }
            self.pause(300).await;
            count(&self.figures.refreshes);
        }
        self.pause(300).await;
        count(&self.figures.logins);
        Ok(self.credential(user)?.with_refresh_token(self.secret(user)))
    }

    fn provider(self: &Arc<Self>, session: Session) -> CachedProviderBuilder {
        let (login, store, revoke) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        CachedProvider::builder(
            login_fn(move |request| Arc::clone(&login).log_in(request)).with_session(session),
        )
        .on_credential(move |credential| {
            let (user, _) = parse(credential.token().expose());
            let over = match store.is_simulated {
                true => &store.signed_out,
                false => &store.settled,
            };
            if user <= over.load(SeqCst) {
                count(&store.figures.stored_after);
            }
        })
        .on_retired(move |retired| {
            if let Some(credential) = retired.credential() {
                let token = credential.token().expose().to_owned();
                let is_new = revoke.retired.lock().unwrap().insert(token);
                assert!(is_new, "retired twice");
            }
        })
    }

    /// The API: it takes its time, and some tokens are revoked.
    async fn answer(self: Arc<Self>, request: Request<()>) -> Result<Response<()>, BoxError> {
        let token = request.headers()["authorization"].to_str()?;
        let (_, number) = parse(token.strip_prefix("Bearer ").unwrap());
        self.pause(200).await;
        if self.one_in(400) {
            self.accepted_from.fetch_max(number + 1, SeqCst); // revoked
        }
        let is_accepted = number >= self.accepted_from.load(SeqCst);
        let mut response = Response::new(());
        if !is_accepted {
            count(&self.figures.rejected);
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        Ok(response)
    }

    /// The request has left the layer.
    fn record(&self, request: &Request<()>) {
        let token = request.headers()["authorization"].to_str().unwrap();
        let (user, _) = parse(token.strip_prefix("Bearer ").unwrap());
        count(&self.figures.sent);
        if self.is_simulated && user <= self.signed_out.load(SeqCst) {
            count(&self.figures.sent_after);
        }
        let sent = request.extensions().get::<Sent>().unwrap();
        sent.0.lock().unwrap().push(user);
    }

    async fn send<S>(self: Arc<Self>, mut client: S, requests: u64)
    where
        S: Service<Request<()>, Response = Response<()>, Error = BoxError>,
    {
        for _ in 0..requests {
            self.pause(400).await;
            let sent = Sent::default();
            let request = Request::get("https://api.example.com/things").extension(sent.clone());
            let client = client.ready().await.unwrap();
            let signed_out = self.signed_out.load(SeqCst);
            let response = client.call(request.body(()).unwrap());
            // A request that begins after a sign-out may wait for the next user.
            let user = self.signs_in.load(SeqCst);
            let is_of_user = self.signs_out.load(SeqCst) < user;
            count(&self.figures.requests);
            if self.one_in(20) {
                continue; // dropped
            }
            if let Err(error) = response.await {
                let error = error.downcast_ref::<Error>().unwrap();
                if error.is_signed_out() || error.to_string().contains("another account") {
                    count(&self.figures.ended_by_sign_out);
                }
            }
            let sent = sent.0.lock().unwrap();
            self.figures
                .replays
                .fetch_add(u64::from(sent.len() > 1), SeqCst);
            for carried in &*sent {
                if *carried <= signed_out {
                    count(&self.figures.sent_after);
                }
                if is_of_user && *carried > user {
                    count(&self.figures.mixed_up);
                }
            }
            if sent.windows(2).any(|users| users[0] != users[1]) {
                count(&self.figures.mixed_up);
            }
        }
    }

    async fn switch_users(self: Arc<Self>, provider: CachedProvider, sign_outs: u64) {
        for user in 1..=sign_outs {
            self.pause(1500).await;
            self.signs_out.store(user, SeqCst);
            provider.sign_out();
            self.signed_out.store(user, SeqCst);
            count(&self.figures.sign_outs);
            if self.one_in(2) {
                provider.settled().await;
                self.settled.store(user, SeqCst);
                self.pause(500).await;
            }
            let next = user + 1;
            self.account.store(next, SeqCst);
            self.signs_in.store(next, SeqCst);
            match self.one_in(2) {
                true => provider.reset(),
                false => {
                    count(&self.figures.handed_in);
                    let mut credential = self.credential(next).unwrap();
                    if self.one_in(2) {
                        credential = credential.with_refresh_token(self.secret(next));
                    }
                    provider.set_credential(credential);
                }
            }
        }
    }

    async fn run(
        self: &Arc<Self>,
        provider: CachedProvider,
        tasks: u64,
        requests: u64,
        sign_outs: u64,
    ) {
        let (api, log) = (Arc::clone(self), Arc::clone(self));
        let http = tower::service_fn(move |request: Request<()>| {
            log.record(&request);
            Arc::clone(&api).answer(request)
        });
        let origins = Origins::new(["https://api.example.com"]).unwrap();
        let layer =
            BearerAuthLayer::new(provider.clone(), origins).replay(ReplayWith(|(): &()| Some(())));
        // Inside, so that requests wait with their token in hand.
        let client = layer.layer(GlobalConcurrencyLimitLayer::new(8).layer(http));
        let mut set = JoinSet::new();
        for _ in 0..tasks {
            set.spawn(Arc::clone(self).send(client.clone(), requests));
        }
        set.spawn(Arc::clone(self).switch_users(provider.clone(), sign_outs));
        while let Some(ended) = set.join_next().await {
            ended.unwrap();
        }
        provider.sign_out();
        provider.settled().await;
        let (issued, retired) = (self.issued.lock().unwrap(), self.retired.lock().unwrap());
        let kept: Vec<_> = issued.difference(&retired).collect();
        assert!(kept.is_empty(), "each one can be revoked: {kept:?}");
    }

    fn must_be_zero(&self) -> [u64; 4] {
        let Figures {
            sent_after,
            stored_after,
            mixed_up,
            used_twice,
            ..
        } = &self.figures;
        [sent_after, stored_after, mixed_up, used_twice].map(|it| it.load(SeqCst))
    }
}

// L17, I2, I8
#[test]
fn nothing_is_sent_or_stored_for_a_user_that_has_signed_out() -> Result<(), Box<dyn StdError>> {
    let seeds = extent::amount("SIGN_OUT_SEEDS", "seeds", 10, 50);
    let mut sums = [0; 9];
    for seed in 0..seeds {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let world = World::new(seed, true);
        runtime.block_on(async {
            let session = match seed % 2 {
                0 => Session::Exclusive,
                _ => Session::Concurrent,
            };
            let random = Mutex::new(fastrand::Rng::with_seed(seed));
            let provider = world
                .provider(session)
                .clock(Paused(tokio::time::Instant::now()))
                .random(move || random.lock().unwrap().f64())
                .build();
            world.run(provider, 40, 100, 20).await;
        });
        assert_eq!(world.must_be_zero(), [0; 4], "seed {seed}");
        let Figures {
            sign_outs,
            requests,
            sent,
            rejected,
            replays,
            ended_by_sign_out,
            logins,
            refreshes,
            handed_in,
            ..
        } = &world.figures;
        let figures = [
            sign_outs,
            requests,
            sent,
            rejected,
            replays,
            ended_by_sign_out,
            logins,
            refreshes,
            handed_in,
        ];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure.load(SeqCst);
        }
    }
    let [
        sign_outs,
        requests,
        sent,
        rejected,
        replays,
        ended,
        logins,
        refreshes,
        handed_in,
    ] = sums;
    assert!(sums.iter().all(|sum| *sum > 0), "{sums:?}");
    println!(
        "figure: sign_outs L17-sign_outs sign_outs={sign_outs} requests={requests} sent={sent} \
         rejected={rejected} replays={replays} ended_by_sign_out={ended} logins={logins} \
         refreshes={refreshes} handed_in={handed_in} sent_after=0 stored_after=0 mixed_up=0"
    );
    Ok(())
}

// L17, I8
#[test]
fn threads_send_and_store_nothing_for_a_user_that_has_signed_out() -> Result<(), Box<dyn StdError>>
{
    let sign_outs = extent::amount("SIGN_OUTS", "sign-outs", 200, 1_000);
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()?;
    let world = World::new(0, false);
    runtime.block_on(async {
        let provider = world.provider(Session::Exclusive).build();
        world.run(provider, 16, sign_outs, sign_outs).await;
    });
    assert_eq!(world.must_be_zero(), [0; 4]);
    println!(
        "figure: sign_outs-threads sign_outs={sign_outs} sent~={} logins~={} sent_after=0 stored_after=0 mixed_up=0",
        world.figures.sent.load(SeqCst),
        world.figures.logins.load(SeqCst),
    );
    Ok(())
}
