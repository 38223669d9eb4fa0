//! A session's life at Teletracker, where a refresh token works once.
//!
//! Starts a stand-in on loopback and lives a session: a login, refreshes by the hour, a refresh
//! whose answer is lost (the server has spent the token, and the client has no new one), and the
//! full login that follows within the same flight. Requests go on all the while, and none of them
//! fails. The clock of client and server is moved by hand.
//!
//! ```text
//! cargo run --example refresh_rotation
//! ```
//!
//! Exits with an error when a figure is not what it must be.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/teletracker.rs"]
mod stand_in;

use std::{process::ExitCode, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, BoxError, CachedProvider, CredentialEvent, ReplayEmpty, presets::Teletracker,
    test_util::TestClock,
};

use self::stand_in::{PASSWORD, Settings, StandIn, USER};

type ApiClient = BearerAuth<Client<HttpConnector, Full<Bytes>>, CachedProvider, ReplayEmpty>;

const REQUESTS: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let clock = TestClock::new();
    let api = StandIn::start_with(Settings {
        token_lifetime: HOUR.as_secs(),
        clock_offset: -600, // ten minutes slow, which must not matter
        clock: Box::new(clock.clone()),
        ..Settings::default()
    })
    .await;

    let http = Client::builder(TokioExecutor::new()).build_http();
    let preset = Teletracker::base_url(&api.base_url())?; // or Teletracker::new()
    let login = preset.login(http.clone(), USER, PASSWORD);
    let provider = CachedProvider::builder(login)
        .clock(clock.clone())
        .on_credential(|_| println!("  a new pair: this is the place to store its refresh token"))
        .on_event(|event| {
            if let CredentialEvent::RefreshFailed { error, .. } = event {
                println!("  {error}: a full login follows");
            }
        })
        .build();
    let client = preset.layer_with(provider).replay(ReplayEmpty).layer(http);

    let mut failed = 0;
    println!("login");
    failed += send(&api, &client).await?;
    for hour in 1..=3 {
        println!("hour {hour}: refresh");
        clock.advance(HOUR);
        failed += send(&api, &client).await?;
    }
    println!("the token is revoked: refresh");
    api.revoke_token();
    failed += send(&api, &client).await?;
    println!("hour 4: refresh, and its answer is lost");
    api.lose_next_refresh_answer();
    clock.advance(HOUR);
    failed += send(&api, &client).await?;
    println!("hour 5: refresh");
    clock.advance(HOUR);
    failed += send(&api, &client).await?;

    let counts = api.counts();
    println!(
        "refresh_rotation: logins={} refreshes={} reused_refresh_tokens={} failed={failed}",
        counts.logins, counts.refreshes, counts.reused_refresh_tokens
    );
    let is_as_it_must_be = (counts.logins, counts.refreshes) == (2, 6)
        && (counts.reused_refresh_tokens, counts.max_in_flight, failed) == (0, 1, 0);
    Ok(match is_as_it_must_be {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Sends a crowd of requests at once. Returns how many of them failed.
async fn send(api: &StandIn, client: &ApiClient) -> Result<usize, BoxError> {
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let request = Request::get(api.reports()).body(Full::default())?;
        requests.spawn(client.clone().oneshot(request));
    }
    let mut failed = 0;
    while let Some(answered) = requests.join_next().await {
        match answered? {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                eprintln!("refused: {}", response.status());
                failed += 1;
            }
            Err(error) => {
                eprintln!("no answer: {error}");
                failed += 1;
            }
        }
    }
    Ok(failed)
}
