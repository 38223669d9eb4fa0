//! Refresh tokens that work once: the life of a session at Teletracker.
//!
//! The example logs in and refreshes every hour. Then the answer to one refresh gets lost: the
//! server has used up the refresh token, and the client has no new one. A full login follows at
//! once, and no request fails. A hundred requests wait at each step, and one refresh serves them
//! all. The server is a stand-in on loopback:
//!
//! ```text
//! cargo run --example refresh_rotation
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** the type `ApiClient` and the function `client`, and store the refresh token in
//! `on_credential`. Leave out the clock, which lets an hour pass at once. Over HTTPS, give the login the
//! client of the guide's page on HTTPS for logins. **Do not copy** the module `api`: it is a stand-in for
//! Teletracker.

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

use self::api::{Api, PASSWORD, USER};

type ApiClient = BearerAuth<Client<HttpConnector, Full<Bytes>>, CachedProvider, ReplayEmpty>;

const REQUESTS: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);

fn client(base_url: &str, clock: &TestClock) -> Result<ApiClient, BoxError> {
    let http = Client::builder(TokioExecutor::new()).build_http();
    let teletracker = Teletracker::base_url(base_url)?; // or Teletracker::new()
    let provider = CachedProvider::builder(teletracker.login(http.clone(), USER, PASSWORD))
        .clock(clock.clone())
        .on_credential(|_| println!("  new tokens: store the refresh token here"))
        .on_event(|event| {
            if let CredentialEvent::RefreshFailed { error, .. } = event {
                println!("  {error}: a full login follows");
            }
        })
        .build();
    Ok(teletracker
        .layer_with(provider)
        .replay(ReplayEmpty) // a rejected request without a body is sent once more
        .layer(http))
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let clock = TestClock::new();
    let api = Api::start(&clock).await?;
    let client = client(&api.base_url, &clock)?;

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
    println!("hour 4: refresh, and its answer gets lost");
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
    let are_as_expected = (counts.logins, counts.refreshes) == (2, 6)
        && (counts.reused_refresh_tokens, failed) == (0, 0);
    Ok(match are_as_expected {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Sends a number of requests at once. Returns how many of them failed.
async fn send(api: &Api, client: &ApiClient) -> Result<usize, BoxError> {
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let request = Request::get(format!("{}/reports", api.base_url)).body(Full::default())?;
        requests.spawn(client.clone().oneshot(request));
    }
    let mut failed = 0;
    while let Some(answered) = requests.join_next().await {
        match answered? {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                eprintln!("status {}", response.status());
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

/// A stand-in for Teletracker: a refresh token works once, and new tokens end the previous ones.
mod api {
    use std::{
        collections::HashMap,
        io, mem,
        net::Ipv4Addr,
        pin::Pin,
        sync::{Arc, Mutex, MutexGuard},
        task::{Context, Poll},
        time::{Duration, Instant},
    };

    use axum::{
        Form, Json, Router,
        body::{Body, Bytes},
        extract::State,
        http::{HeaderMap, StatusCode},
        response::{IntoResponse, Response},
        routing::{get, post},
    };
    use http_body::Frame;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tower_bearer::{Clock, test_util::TestClock};

    pub(crate) const USER: &str = "reports@example.com";
    pub(crate) const PASSWORD: &str = "correct horse battery staple";

    /// What the server has seen.
    #[derive(Clone, Copy, Default)]
    pub(crate) struct Counts {
        pub(crate) logins: usize,
        /// Refreshes with a good refresh token, even if the answer got lost.
        pub(crate) refreshes: usize,
        /// Refreshes with a refresh token that was not the last one.
        pub(crate) reused_refresh_tokens: usize,
    }

    pub(crate) struct Api {
        pub(crate) base_url: String,
        server: Server,
    }

    #[derive(Clone)]
    struct Server {
        clock: TestClock,
        session: Arc<Mutex<Session>>,
    }

    /// The tokens are `token-1` and `refresh-1`, then `token-2` and `refresh-2`, and so on.
    #[derive(Default)]
    struct Session {
        number: usize,
        token_expires: Option<Instant>,
        loses_next_answer: bool,
        counts: Counts,
    }

    impl Api {
        pub(crate) async fn start(clock: &TestClock) -> io::Result<Self> {
            let server = Server {
                clock: clock.clone(),
                session: Arc::default(),
            };
            let app = Router::new()
                .route("/auth/login", post(log_in))
                .route("/auth/refresh", post(refresh))
                .route("/reports", get(reports))
                .with_state(server.clone());
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let base_url = format!("http://{}", listener.local_addr()?);
            tokio::spawn(async { axum::serve(listener, app).await });
            Ok(Self { base_url, server })
        }

        pub(crate) fn counts(&self) -> Counts {
            self.server.session().counts
        }

        /// Ends the token but not the refresh token.
        pub(crate) fn revoke_token(&self) {
            self.server.session().token_expires = None;
        }

        /// The next refresh uses up its refresh token, but its answer breaks off.
        pub(crate) fn lose_next_refresh_answer(&self) {
            self.server.session().loses_next_answer = true;
        }
    }

    impl Server {
        fn session(&self) -> MutexGuard<'_, Session> {
            self.session.lock().expect("no handler panics")
        }

        /// Replaces both tokens.
        fn renew(&self, session: &mut Session) -> Json<Value> {
            session.number += 1;
            session.token_expires = Some(self.clock.now() + Duration::from_secs(3600));
            Json(json!({
                "success": true,
                "token": format!("token-{}", session.number),
                "tokenLifetime": 3600,
                "refreshToken": format!("refresh-{}", session.number),
            }))
        }
    }

    type Fields = Form<HashMap<String, String>>;

    async fn log_in(State(server): State<Server>, Form(fields): Fields) -> Json<Value> {
        let field = |name| fields.get(name).map(String::as_str);
        if (field("username"), field("password")) != (Some(USER), Some(PASSWORD)) {
            return Json(json!({"success": false}));
        }
        let mut session = server.session();
        session.counts.logins += 1;
        server.renew(&mut session)
    }

    async fn refresh(State(server): State<Server>, Form(fields): Fields) -> Response {
        let mut session = server.session();
        let last = format!("refresh-{}", session.number);
        if fields.get("refresh_token") != Some(&last) {
            session.counts.reused_refresh_tokens += 1;
            return StatusCode::UNAUTHORIZED.into_response();
        }
        session.counts.refreshes += 1;
        let answer = server.renew(&mut session);
        match mem::take(&mut session.loses_next_answer) {
            true => Response::new(Body::new(BrokenOff)),
            false => answer.into_response(),
        }
    }

    /// A body that breaks off, and the connection with it.
    struct BrokenOff;

    impl http_body::Body for BrokenOff {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
        }
    }

    async fn reports(State(server): State<Server>, headers: HeaderMap) -> StatusCode {
        let session = server.session();
        let valid = format!("Bearer token-{}", session.number);
        let is_current = session
            .token_expires
            .is_some_and(|expires| server.clock.now() < expires);
        match headers.get("authentication") {
            Some(sent) if is_current && *sent == *valid => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}
