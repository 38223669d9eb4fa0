//! The Teletracker preset: logins, refreshes, and their failures.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header::AUTHORIZATION};
use http_body_util::Full;
use support::{
    HandClock, HttpClient, http_client, patient,
    teletracker::{AUTHENTICATION, PASSWORD, REFRESH_LIFETIME, Settings, StandIn, USER},
};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, CachedProvider, CachedProviderBuilder, Credential, CredentialEvent, ReplayEmpty,
    presets::Teletracker,
};

type Client = BearerAuth<HttpClient, CachedProvider, ReplayEmpty>;

const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    api: StandIn,
    clock: HandClock,
    preset: Teletracker,
}

impl Scene {
    async fn new(settings: impl FnOnce(&mut Settings)) -> Self {
        let clock = HandClock::new();
        let mut set = Settings {
            clock: Box::new(clock.clone()),
            ..Settings::default()
        };
        settings(&mut set);
        let api = StandIn::start_with(set).await;
        let preset = Teletracker::base_url(&api.base_url()).unwrap();
        Self { api, clock, preset }
    }

    fn builder(&self) -> CachedProviderBuilder {
        let login = self.preset.login(http_client(), USER, PASSWORD);
        patient(login).clock(self.clock.clone())
    }

    fn client(&self, provider: CachedProvider) -> Client {
        let layer = self.preset.layer_with(provider).replay(ReplayEmpty);
        layer.layer(http_client())
    }

    async fn status(&self, client: &Client) -> StatusCode {
        let request = Request::get(self.api.reports());
        let request = request.body(Full::<Bytes>::default()).unwrap();
        client.clone().oneshot(request).await.unwrap().status()
    }

    async fn assert_ok(&self, client: &Client) {
        assert_eq!(self.status(client).await, StatusCode::OK);
    }

    /// Full logins, successful refreshes, and all calls of the token endpoints.
    fn calls(&self) -> (usize, usize, usize) {
        let counts = self.api.counts();
        assert_eq!(counts.reused_refresh_tokens, 0, "I2");
        assert!(counts.max_in_flight <= 1, "I1");
        (
            counts.logins,
            counts.refreshes,
            counts.token_endpoint_calls(),
        )
    }
}

#[tokio::test]
async fn a_login_is_followed_by_refreshes() {
    let scene = Scene::new(|_| {}).await;
    let client = scene.client(scene.builder().build());
    for hours in 0..5 {
        scene.assert_ok(&client).await;
        scene.assert_ok(&client).await;
        assert_eq!(scene.calls(), (1, hours, 1 + hours));
        scene.clock.advance(HOUR);
    }
    assert_eq!(
        client.provider().snapshot().logins(),
        5,
        "each renewal is one flight"
    );
}

/// Logs in and refreshes with this preset, and returns the content types and the bodies that were sent.
async fn bodies_of(preset: Teletracker) -> Vec<(String, String)> {
    use http_body_util::BodyExt;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sent);
    let http = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let seen = Arc::clone(&seen);
        async move {
            let kind = request.headers()[http::header::CONTENT_TYPE].to_str();
            let kind = kind.unwrap().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            seen.lock().unwrap().push((kind, body));
            let answer = r#"{"success":true,"token":"t","refreshToken":"r&1"}"#;
            Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from(answer)))
        }
    });
    let provider = CachedProvider::new(preset.login(http, USER, "p&\"1"));
    for _ in 0..2 {
        provider.acquire().await.unwrap();
        provider.reset();
    }
    std::mem::take(&mut *sent.lock().unwrap())
}

#[tokio::test]
async fn login_and_refresh_are_a_form_by_default_and_json_if_configured() {
    let form = "application/x-www-form-urlencoded";
    let login = "username=reports%40example.com&password=p%26%221&account_id=4711";
    assert_eq!(
        bodies_of(Teletracker::new().account(4711)).await,
        [(form, login), (form, "refresh_token=r%261")].map(|(a, b)| (a.into(), b.into()))
    );
    let json = "application/json";
    let login = r#"{"username":"reports@example.com","password":"p&\"1","account_id":4711}"#;
    assert_eq!(
        bodies_of(Teletracker::new().account(4711).json()).await,
        [(json, login), (json, r#"{"refresh_token":"r&1"}"#)].map(|(a, b)| (a.into(), b.into()))
    );
}

#[tokio::test]
async fn a_session_with_json_lasts_as_one_with_forms() {
    let mut scene = Scene::new(|settings| settings.account = Some(4711)).await;
    scene.preset = scene.preset.clone().account(4711).json();
    let client = scene.client(scene.builder().build());
    for hours in 0..3 {
        scene.assert_ok(&client).await;
        assert_eq!(scene.calls(), (1, hours, 1 + hours));
        scene.clock.advance(HOUR);
    }
    let wrong = scene.preset.login(http_client(), USER, "wrong");
    let error = patient(wrong).build().acquire().await.unwrap_err();
    assert!(error.is_login_failed(), "{error}");
}

// An expired token is rejected with either status, and replaced without an error for the caller.
#[tokio::test]
async fn a_401_and_a_403_are_both_rejections() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let scene = Scene::new(|settings| settings.rejection = status).await;
        let client = scene.client(scene.builder().build());
        scene.assert_ok(&client).await;
        scene.api.revoke_token();
        scene.assert_ok(&client).await;
        assert_eq!(scene.calls(), (1, 1, 2), "{status}");
        assert_eq!(scene.api.counts().rejected, 1);
    }
}

#[tokio::test]
async fn both_documented_headers_work() {
    for header_name in [AUTHENTICATION, AUTHORIZATION] {
        let named = header_name.clone();
        let scene = Scene::new(|settings| settings.header_name = named).await;
        let login = scene.preset.login(http_client(), USER, PASSWORD);
        let layer = scene.preset.layer_with(patient(login).build());
        let layer = match header_name == AUTHENTICATION {
            true => layer,
            false => layer.with_header_name(header_name),
        };
        let client = layer.replay(ReplayEmpty).layer(http_client());
        scene.assert_ok(&client).await;
    }
}

#[tokio::test]
async fn a_session_is_bound_to_the_configured_account() {
    let scene = Scene::new(|settings| settings.account = Some(4711)).await;
    let client = scene.client(scene.builder().build());
    let request = Request::get(scene.api.reports())
        .body(Full::default())
        .unwrap();
    // The vendor returns 200 and `success: false`.
    let error = client.oneshot(request).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("the login at POST 127.0.0.1:")
            && text.contains("/auth/login was refused: 200 OK"),
        "{text}"
    );

    let login = scene
        .preset
        .clone()
        .account(4711)
        .login(http_client(), USER, PASSWORD);
    let client = scene.client(patient(login).build());
    scene.assert_ok(&client).await;
}

// Part of E4: `tokenLifetime` is used, and `tokenExpiration` is not.
#[tokio::test]
async fn a_server_clock_that_is_off_changes_nothing() {
    for clock_offset in [-864_000, -600, 0, 600, 864_000] {
        let scene = Scene::new(|settings| settings.clock_offset = clock_offset).await;
        let client = scene.client(scene.builder().build());
        scene.assert_ok(&client).await;
        scene.clock.advance(HOUR - Duration::from_secs(11));
        scene.assert_ok(&client).await;
        assert_eq!(scene.calls(), (1, 0, 1), "{clock_offset}");
        scene.clock.advance(Duration::from_secs(1));
        scene.assert_ok(&client).await;
        assert_eq!(scene.calls(), (1, 1, 2), "{clock_offset}");
        // The expiry of the refresh token does not depend on the server's clock either.
        scene
            .clock
            .advance(REFRESH_LIFETIME - Duration::from_secs(2));
        scene.assert_ok(&client).await;
        assert_eq!(scene.calls(), (1, 2, 3), "{clock_offset}");
        scene.clock.advance(REFRESH_LIFETIME);
        scene.assert_ok(&client).await;
        assert_eq!(
            scene.calls(),
            (2, 2, 4),
            "{clock_offset}: the expired token is not sent"
        );
    }
}

// L6
#[tokio::test]
async fn a_lost_answer_leads_to_a_full_login_in_the_same_flight() {
    let scene = Scene::new(|_| {}).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&events);
    let builder = scene
        .builder()
        .on_event(move |event| recorded.lock().unwrap().push(event.clone()));
    let client = scene.client(builder.build());
    scene.assert_ok(&client).await;
    scene.api.lose_next_refresh_answer();
    scene.clock.advance(HOUR);
    scene.assert_ok(&client).await;
    assert_eq!(scene.calls(), (2, 1, 3));
    let snapshot = client.provider().snapshot();
    println!(
        "figure: L6 flights={} token_endpoint_calls=3 reuse=0",
        snapshot.logins() + snapshot.failed_logins()
    );
    assert_eq!((snapshot.logins(), snapshot.failed_logins()), (2, 0));
    let events = std::mem::take(&mut *events.lock().unwrap());
    let [
        CredentialEvent::LoggedIn { .. },
        CredentialEvent::RefreshFailed { error, .. },
        CredentialEvent::LoggedIn { .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    let text = error.to_string();
    assert!(
        text.starts_with("the refresh at POST 127.0.0.1:")
            && text.ends_with("/auth/refresh got no answer"),
        "{text}"
    );
    // The credential of the full login is used from then on.
    scene.clock.advance(HOUR);
    scene.assert_ok(&client).await;
    assert_eq!(scene.calls(), (2, 2, 4));
}

// L7: another client has spent the refresh token, so it is unknown.
#[tokio::test]
async fn a_refused_refresh_leads_to_a_full_login_in_the_same_flight() {
    let scene = Scene::new(|_| {}).await;
    let client = scene.client(scene.builder().build());
    scene.assert_ok(&client).await;
    // Another process of the same user logs in.
    let other = scene.client(scene.builder().build());
    scene.assert_ok(&other).await;
    scene.assert_ok(&client).await;
    assert_eq!(scene.calls(), (3, 0, 4));
    let snapshot = client.provider().snapshot();
    println!(
        "figure: L7 flights={} refreshes_tried=1 failed=0",
        snapshot.logins()
    );
    assert_eq!(snapshot.logins(), 2);
}

// L6 with a slow server: half of the login's timeout is left for the full login.
#[tokio::test(start_paused = true)]
async fn a_refresh_without_an_answer_leaves_time_for_a_login() {
    let http = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        if request.uri().path() == "/auth/refresh" {
            std::future::pending::<()>().await;
        }
        let answer = r#"{"success":true,"token":"full"}"#;
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from(answer)))
    });
    let login = Teletracker::new().login(http, USER, PASSWORD);
    let stored = Credential::new("stored").unwrap().with_refresh_token("old");
    let provider = CachedProvider::builder(login)
        .starting_with(stored.with_lifetime(Duration::ZERO))
        .build();
    let started = tokio::time::Instant::now();
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer full");
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

// The hook gets the credential with which the next process starts.
#[tokio::test]
async fn a_stored_refresh_token_survives_a_restart() {
    let scene = Scene::new(|_| {}).await;
    let kept = Arc::new(Mutex::new(None));
    let keep = |kept: &Arc<Mutex<Option<Credential>>>| {
        let kept = Arc::clone(kept);
        move |credential: &Credential| *kept.lock().unwrap() = Some(credential.clone())
    };
    for restart in 0..3 {
        let stored = kept.lock().unwrap().take();
        let builder = scene.builder().on_credential(keep(&kept));
        let builder = match stored {
            Some(stored) => builder.starting_with(stored),
            None => builder,
        };
        let client = scene.client(builder.build());
        scene.clock.advance(HOUR);
        scene.api.revoke_token();
        scene.assert_ok(&client).await;
        assert_eq!(scene.calls(), (1, restart, 1 + restart));
    }
}

#[tokio::test]
async fn a_storm_of_rejections_causes_one_refresh() {
    const REQUESTS: usize = 200;
    let scene = Arc::new(Scene::new(|settings| settings.rejection = StatusCode::FORBIDDEN).await);
    let client = scene.client(scene.builder().build());
    scene.assert_ok(&client).await;
    scene.api.revoke_token();
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let (scene, client) = (Arc::clone(&scene), client.clone());
            tokio::spawn(async move { scene.status(&client).await })
        })
        .collect();
    let mut failed = 0;
    for status in requests {
        failed += usize::from(status.await.unwrap() != StatusCode::OK);
    }
    println!(
        "figure: U6 requests={REQUESTS} refreshes={} failed={failed}",
        scene.calls().1
    );
    assert_eq!((scene.calls(), failed), ((1, 1, 2), 0));
}
