//! The real layer and provider with a simulated API, in paused time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use http::{Response, StatusCode};
use tokio::{runtime::Builder, time};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachePolicy, CachedProvider, Clock, Credential,
    CredentialEvent, Login, LoginRequest, Origins, PerRequest, Receipt, Rejected, RejectionReport,
    Replay, RequestHead, Session,
};

use crate::{
    random::Random,
    world::{Millis, Request, Token, World},
};

/// The outcome of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) request: Request,
    pub(crate) done_at: Millis,
    pub(crate) is_served: bool,
    /// Whether a token issued at that time would have been accepted.
    pub(crate) was_servable: bool,
}

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) world: World,
    pub(crate) rival_suspected_at: Option<Millis>,
}

/// The configuration of a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) replays: bool,
    pub(crate) login_takes: Millis,
    pub(crate) answer_takes: Millis,
    /// Responses take up to this much longer, at random.
    pub(crate) jitter: Millis,
    pub(crate) seed: u64,
}

impl Setup {
    /// Whether each request ends when it is sent, so the requests can be sent one by one.
    fn is_instant(self) -> bool {
        self.login_takes == 0 && self.answer_takes == 0 && self.jitter == 0
    }
}

/// The issuer and the API.
#[derive(Clone)]
struct Server(Arc<Shared>);

struct Shared {
    setup: Setup,
    begun_at: time::Instant,
    world: Mutex<World>,
    random: Mutex<Random>,
}

impl Server {
    fn now(&self) -> Millis {
        let passed = self.0.begun_at.elapsed().as_millis();
        passed.try_into().expect("hours")
    }

    fn with_world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn random_below(&self, bound: Millis) -> Millis {
        let mut random = self.0.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.below(bound)
    }

    async fn answer(self, request: http::Request<Request>) -> Result<Response<bool>, BoxError> {
        let setup = self.0.setup;
        let takes = setup.answer_takes + self.random_below(setup.jitter + 1);
        pause(takes / 2).await;
        let authorization = request.headers()["authorization"].to_str()?;
        let (_, token) = authorization
            .split_once("token-")
            .expect("a token of this issuer");
        let token: Token = token.parse()?;
        let now = self.now();
        let is_accepted = self.with_world(|world| world.answer(token, request.body(), now));
        pause(takes.div_ceil(2)).await;
        let mut response = Response::new(is_accepted);
        if !is_accepted && !request.body().by_hand {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        Ok(response)
    }
}

impl Login for Server {
    async fn login(&self, _: LoginRequest) -> Result<Credential, BoxError> {
        pause(self.0.setup.login_takes / 2).await;
        let now = self.now();
        let token = self.with_world(|world| world.log_in(now));
        pause(self.0.setup.login_takes.div_ceil(2)).await;
        let token = token.ok_or("the login is down")?;
        Ok(Credential::new(format!("token-{token}"))?)
    }

    fn session(&self) -> Session {
        match self.with_world(|world| world.exclusive) {
            true => Session::Exclusive,
            false => Session::Concurrent,
        }
    }
}

async fn pause(millis: Millis) {
    if millis > 0 {
        time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Tokio's clock, which is paused while any task can run.
struct PausedClock {
    begun_at: time::Instant,
}

impl Clock for PausedClock {
    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.begun_at.elapsed()
    }
}

/// Keeps every request, or none.
#[derive(Clone, Copy)]
struct If(bool);

impl Replay<Request> for If {
    type Kept = Request;

    fn keep(&self, _: RequestHead<'_>, body: Request) -> (Request, Option<Self::Kept>) {
        (body, self.0.then_some(body))
    }

    fn again(&self, kept: Self::Kept) -> Option<Request> {
        Some(kept)
    }
}

/// Sends each request at its time, and resets the provider at each of the `resets`.
pub(crate) fn run(setup: Setup, world: World, requests: &[Request], resets: &[Millis]) -> Report {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let begun_at = time::Instant::now();
        let server = Server(Arc::new(Shared {
            setup,
            begun_at,
            world: Mutex::new(world),
            random: Mutex::new(Random(setup.seed)),
        }));
        let suspected_at = Arc::new(Mutex::new(None));
        let first = Arc::clone(&suspected_at);
        let (chance, observed) = (server.clone(), server.clone());
        let provider = CachedProvider::builder(server.clone())
            .policy(CachePolicy::default().login_timeout(Duration::from_secs(60)))
            .clock(PausedClock { begun_at })
            .random(move || chance.random_below(1_000) as f64 / 1_000.0)
            .on_event(move |event| {
                if matches!(event, CredentialEvent::Contended { .. }) {
                    let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(observed.now());
                }
            })
            .build();
        let api = server.clone();
        let layer =
            BearerAuthLayer::new(provider.clone(), Origins::any_https()).replay(If(setup.replays));
        let service = layer.layer(service_fn(move |request| api.clone().answer(request)));

        let mut resets = resets.iter().copied().peekable();
        let mut outcomes = Vec::new();
        let mut under_way = Vec::new();
        for &request in requests {
            while let Some(at) = resets.next_if(|at| *at <= request.at) {
                time::sleep_until(begun_at + Duration::from_millis(at)).await;
                provider.reset();
            }
            time::sleep_until(begun_at + Duration::from_millis(request.at)).await;
            let sending = send(service.clone(), server.clone(), request);
            if setup.is_instant() {
                outcomes.push(sending.await);
            } else {
                under_way.push(tokio::spawn(sending));
            }
        }
        for sending in under_way {
            outcomes.push(sending.await.expect("no panic"));
        }
        let rival_suspected_at = *suspected_at.lock().unwrap_or_else(PoisonError::into_inner);
        Report {
            outcomes,
            world: server.with_world(std::mem::take),
            rival_suspected_at,
        }
    })
}

async fn send<S>(
    service: BearerAuth<S, CachedProvider, If>,
    server: Server,
    request: Request,
) -> Outcome
where
    S: Service<http::Request<Request>, Response = Response<bool>, Error = BoxError> + Clone,
{
    let provider = service.provider().clone();
    let mut sent = http::Request::new(request);
    *sent.uri_mut() = format!("https://api.example.com/things/{}", request.target)
        .parse()
        .expect("a URI");
    let per_request = PerRequest::new().judged_by_caller();
    if request.by_hand {
        sent.extensions_mut().insert(per_request.clone());
    }
    let was_servable = server.with_world(|world| world.could_serve(request.kind, request.at));
    let response = service.oneshot(sent).await;
    let is_served = response.as_ref().is_ok_and(|response| *response.body());
    match per_request.receipt() {
        None => {}
        Some(receipt) if !is_served => reject(&provider, receipt),
        Some(receipt) => provider.accept(receipt),
    }
    if let Ok(response) = response {
        let has_report = response.extensions().get::<RejectionReport>().is_some();
        assert_eq!(has_report, response.status() == StatusCode::UNAUTHORIZED);
    }
    Outcome {
        request,
        done_at: server.now(),
        is_served,
        was_servable,
    }
}

fn reject(provider: &CachedProvider, receipt: Receipt) {
    let _ = provider.reject(&Rejected::by_hand(receipt));
}
