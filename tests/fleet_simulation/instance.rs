//! One instance: a provider, its layer, its clock, and the requests that it sends.
//!
//! It sends a request each second on average. Requests with a good token only find it accepted: they call no
//! store and change no state. So none is sent from an acceptance until something may happen: a login or a
//! revocation anywhere, the expiry, or the time of the first refresh ahead. The next request then comes a
//! random time later, as it would have: the wait for a random event does not depend on how long it has lasted.

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Empty;
use tokio::time::{self, sleep, timeout};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, Clock, Origins, ReplayEmpty, Session,
    store::{RecordKey, SharedAccount},
};

use crate::{
    api::{Api, EARLIEST_REFRESH, HOUR},
    network::{Dice, Network},
    scenario::Scenario,
};

static KEY: LazyLock<RecordKey> =
    LazyLock::new(|| RecordKey::new("https://api.example", "importer", ""));

const BETWEEN_REQUESTS: Duration = Duration::from_secs(1);

/// While a refresh ahead may come at any time. It only sets by how much that is late.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
pub(crate) struct RequestTally {
    pub(crate) simulated: u64,
    /// Requests without a token: the login has failed.
    pub(crate) without_token: u64,
    /// Requests whose caller got a rejection.
    pub(crate) rejected: u64,
    pub(crate) last_failure: Option<time::Instant>,
    pub(crate) longest: Duration,
}

/// Tokio's clock, and a wall clock that is wrong.
struct SkewedClock {
    started: time::Instant,
    wall: SystemTime,
}

impl Clock for SkewedClock {
    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        self.wall + self.started.elapsed()
    }

    fn runs_by_itself(&self) -> bool {
        true
    }
}

#[derive(Clone)]
pub(crate) struct Instance {
    number: usize,
    provider: CachedProvider,
    session: Session,
    api: Api,
    dice: Dice,
    tally: Arc<Mutex<RequestTally>>,
}

impl Instance {
    pub(crate) fn new(
        number: usize,
        api: &Api,
        network: &Network,
        dice: Dice,
        scenario: &Scenario,
        tally: &Arc<Mutex<RequestTally>>,
    ) -> Self {
        let skew = match scenario.is_skewed {
            true => (2 * HOUR).mul_f64(dice.part()),
            false => HOUR,
        };
        let clock = SkewedClock {
            started: time::Instant::now(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + skew,
        };
        let store = network.store(number, dice.clone());
        let random = dice.clone();
        let mut account = SharedAccount::new(store, *KEY);
        if scenario.fails_without_store {
            account = account.fail_without_store();
        }
        let provider = CachedProvider::builder(api.login(number, dice.clone()))
            .shared(account)
            .clock(clock)
            .random(move || random.part())
            .build();
        Self {
            number,
            provider,
            session: scenario.session,
            api: api.clone(),
            dice,
            tally: Arc::clone(tally),
        }
    }

    /// Whether it has the newest token.
    pub(crate) fn is_up_to_date(&self) -> bool {
        let current = self.provider.current();
        current.is_some_and(|it| it.value() == self.api.newest().as_str())
    }

    pub(crate) async fn run(self) {
        let (number, api, dice) = (self.number, self.api.clone(), self.dice.clone());
        let service = service_fn(move |request: Request<Empty<Bytes>>| {
            let (api, dice) = (api.clone(), dice.clone());
            async move {
                let value = &request.headers()[AUTHORIZATION];
                let mut response = Response::new(());
                *response.status_mut() = api.answer(number, value, &dice).await;
                Ok::<_, BoxError>(response)
            }
        });
        let origins = Origins::new("https://api.example").unwrap();
        let layer = BearerAuthLayer::new(self.provider.clone(), origins).replay(ReplayEmpty);
        let mut service = ServiceBuilder::new().layer(layer).service(service);
        loop {
            sleep(self.dice.next(BETWEEN_REQUESTS)).await;
            let changed = self.api.changed();
            let mut request = Request::new(Empty::new());
            *request.uri_mut() = "https://api.example/data".parse().unwrap();
            let sent = time::Instant::now();
            let response = service.ready().await.unwrap().call(request).await;
            let status = response.ok().map(|it: Response<()>| it.status());
            self.count(status, sent.elapsed());
            if status == Some(StatusCode::OK) {
                let _ = timeout(self.quiet_for(), changed).await;
            }
        }
    }

    fn count(&self, status: Option<StatusCode>, took: Duration) {
        let mut tally = self.tally.lock().unwrap();
        tally.simulated += 1;
        tally.longest = tally.longest.max(took);
        if status != Some(StatusCode::OK) {
            tally.last_failure = Some(time::Instant::now());
        }
        match status {
            None => tally.without_token += 1,
            Some(StatusCode::OK) => {}
            Some(_) => tally.rejected += 1,
        }
    }

    /// How long requests are accepted for sure and start no refresh, without a login or a revocation.
    fn quiet_for(&self) -> Duration {
        let snapshot = self.provider.snapshot();
        let (Some(age), Some(left)) = (snapshot.age(), snapshot.usable_for()) else {
            return Duration::ZERO;
        };
        if self.session == Session::Exclusive {
            return left;
        }
        let until_refresh = (age + left).mul_f64(EARLIEST_REFRESH);
        match until_refresh.saturating_sub(age) {
            Duration::ZERO => self.dice.next(BETWEEN_LOOKS).min(left),
            until_refresh => until_refresh,
        }
    }
}
