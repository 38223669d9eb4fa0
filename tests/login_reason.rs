//! A login is told why it is made, and so are the observers.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Request;
use support::{HandClock, URL, by_hand, origins};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, Credential, CredentialEvent, LoginReason, PerRequest, Session,
    login_fn,
};

type Reasons = Arc<Mutex<Vec<LoginReason>>>;

const LIFETIME: Duration = Duration::from_secs(100);

struct World {
    provider: CachedProvider,
    clock: HandClock,
    reasons: Reasons,
    observed: Reasons,
    is_offline: Arc<Mutex<bool>>,
}

impl World {
    fn new(session: Session) -> Self {
        let (reasons, observed, clock) = (Reasons::default(), Reasons::default(), HandClock::new());
        let is_offline = Arc::new(Mutex::new(false));
        let (seen, offline) = (Arc::clone(&reasons), Arc::clone(&is_offline));
        let login = login_fn(move |request| {
            seen.lock().unwrap().push(request.reason());
            let is_offline = *offline.lock().unwrap();
            async move {
                match is_offline {
                    true => Err("offline".into()),
                    false => Ok(Credential::new("abc")?.with_lifetime(LIFETIME)),
                }
            }
        });
        let events = Arc::clone(&observed);
        let provider = CachedProvider::builder(login.with_session(session))
            .clock(clock.clone())
            .random(|| 0.5)
            .on_event(move |event| {
                if let CredentialEvent::LoggedIn { reason, .. }
                | CredentialEvent::LoginFailed { reason, .. } = event
                {
                    events.lock().unwrap().push(*reason);
                }
            })
            .build();
        Self {
            provider,
            clock,
            reasons,
            observed,
            is_offline,
        }
    }

    /// The reasons of the logins since the last call.
    fn take(&self) -> Vec<LoginReason> {
        let reasons = std::mem::take(&mut *self.reasons.lock().unwrap());
        let observed = std::mem::take(&mut *self.observed.lock().unwrap());
        assert_eq!(reasons, observed);
        reasons
    }
}

#[tokio::test(start_paused = true)]
async fn each_cause_of_a_login_has_its_reason() {
    let world = World::new(Session::Exclusive);
    let provider = &world.provider;
    provider.acquire().await.unwrap();
    assert_eq!(world.take(), [LoginReason::First]);

    world.clock.advance(LIFETIME);
    provider.acquire().await.unwrap();
    assert_eq!(world.take(), [LoginReason::Expired]);

    let generation = provider.acquire().await.unwrap().generation();
    assert!(provider.reject(&by_hand(generation)).is_log_in());
    provider.acquire().await.unwrap();
    assert_eq!(world.take(), [LoginReason::Rejected(generation)]);

    provider.reset();
    provider.acquire().await.unwrap();
    assert_eq!(world.take(), [LoginReason::First]);

    world.clock.advance(LIFETIME / 2);
    provider.acquire_valid_for(LIFETIME * 3 / 4).await.unwrap();
    assert_eq!(world.take(), [LoginReason::Requested]);

    let service =
        service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(http::Response::new(())));
    let layer = BearerAuthLayer::new(provider.clone(), origins());
    let request = Request::get(URL)
        .extension(PerRequest::fresh())
        .body(())
        .unwrap();
    layer.layer(service).oneshot(request).await.unwrap();
    assert_eq!(world.take(), [LoginReason::Requested]);
}

#[tokio::test(start_paused = true)]
async fn a_background_login_has_its_reason() {
    let world = World::new(Session::Concurrent);
    world.provider.acquire().await.unwrap();
    world.clock.advance(LIFETIME * 85 / 100);
    assert!(world.provider.current().is_some());
    world.provider.settled().await;
    assert_eq!(
        world.take(),
        [LoginReason::First, LoginReason::RefreshAhead]
    );
}

#[tokio::test(start_paused = true)]
async fn the_reason_stays_while_logins_fail() {
    let world = World::new(Session::Exclusive);
    *world.is_offline.lock().unwrap() = true;
    for _ in 0..2 {
        assert!(world.provider.acquire().await.is_err());
        world.clock.advance(Duration::from_secs(60));
    }
    *world.is_offline.lock().unwrap() = false;
    world.provider.acquire().await.unwrap();
    assert_eq!(world.take(), [LoginReason::First; 3]);

    world.clock.advance(LIFETIME);
    *world.is_offline.lock().unwrap() = true;
    for _ in 0..2 {
        assert!(world.provider.acquire().await.is_err());
        world.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(world.take(), [LoginReason::Expired; 2]);
}

/// Sends a request that is rejected with this challenge, and returns the parameters `scope` that the next
/// login sees.
async fn scopes_after_rejection(challenge: &'static str) -> Vec<String> {
    let scopes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&scopes);
    let provider = CachedProvider::new(login_fn(move |request| {
        let found = request.challenges().iter();
        let found = found.filter_map(|it| it.parameter("scope").map(str::to_owned));
        seen.lock().unwrap().extend(found);
        async { Ok(Credential::new("abc")?) }
    }));
    let service = service_fn(move |_: Request<()>| {
        let response = http::Response::builder().status(401);
        let response = response.header("www-authenticate", challenge).body(());
        async { Ok::<_, std::io::Error>(response.unwrap()) }
    });
    let layer = BearerAuthLayer::new(provider.clone(), origins());
    let request = Request::get(URL).body(()).unwrap();
    layer.layer(service).oneshot(request).await.unwrap();
    assert!(
        scopes.lock().unwrap().is_empty(),
        "the first login has none"
    );
    provider.acquire().await.unwrap();
    provider.reset();
    provider.acquire().await.unwrap();
    assert_eq!(provider.snapshot().logins(), 3);
    std::mem::take(&mut *scopes.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_login_gets_the_challenges_of_its_own_rejection_only() {
    let challenge = r#"Bearer error="insufficient_scope", scope="write""#;
    assert_eq!(scopes_after_rejection(challenge).await, ["write"]);
    assert_eq!(scopes_after_rejection("Bearer").await, [""; 0]);
}
