//! OAuth 2.0 client credentials: a service that calls an API as itself.
//!
//! The issuer's URL is enough: its metadata names the token endpoint. A hundred requests share the first
//! login. Then the token is revoked. The rejected ones of the next hundred share the second login and are
//! sent again, and none fails. Issuer and API are stand-ins on loopback:
//!
//! ```text
//! cargo run --example client_credentials
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** the type `ApiClient` and the function `client`, with clients that speak HTTPS: the guide's page on
//! HTTPS for logins has that of the login. **Do not copy** the module `server`: it is a stand-in for issuer and
//! API.

use std::process::ExitCode;

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
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, HttpLogin, OAuth2Grant, OAuth2Issuer,
    Origins, ReplayEmpty,
};

use self::server::{CLIENT_ID, CLIENT_SECRET, SCOPE, Server};

type ApiClient = BearerAuth<Client<HttpConnector, Full<Bytes>>, CachedProvider, ReplayEmpty>;

const REQUESTS: usize = 100;

fn client(issuer: &str, api: &str) -> Result<ApiClient, BoxError> {
    // Logins are rare: a connection that was kept for the next one would be dead by then.
    let for_logins = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http::<Full<Bytes>>();
    let grant = OAuth2Grant::client_credentials()
        .scope(SCOPE)
        .client_secret_basic(CLIENT_ID, CLIENT_SECRET)?;
    let login = HttpLogin::discover(for_logins, OAuth2Issuer::openid(issuer)?, grant);
    let http = Client::builder(TokioExecutor::new()).build_http();
    Ok(
        BearerAuthLayer::new(CachedProvider::new(login), Origins::new(api)?)
            .replay(ReplayEmpty) // a rejected request without a body is sent once more
            .layer(http),
    )
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let issuer = Server::start_issuer().await?;
    let api = Server::start_api(&issuer).await?;
    let client = client(&issuer.url, &api.url)?;

    let mut failed = send(&api.url, &client).await?;
    let first = issuer.counts();
    println!("first requests: {first:?}");
    issuer.revoke_token();
    failed += send(&api.url, &client).await?;
    let both = issuer.counts();
    println!("after the token was revoked: {both:?}");

    println!(
        "client_credentials: requests={} logins={} metadata={} refused_logins={} failed={failed}",
        2 * REQUESTS,
        both.logins,
        both.metadata,
        both.refused_logins
    );
    let are_as_expected = (first.logins, first.metadata) == (1, 1)
        && (both.logins, both.metadata) == (2, 2)
        && (first.rejected, both.refused_logins, failed) == (0, 0, 0)
        && both.rejected > 0;
    Ok(match are_as_expected {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Sends a number of requests at once. Returns how many of them failed.
async fn send(api: &str, client: &ApiClient) -> Result<usize, BoxError> {
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let request = Request::get(format!("{api}/reports")).body(Full::default())?;
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

/// Stand-ins for an issuer and an API, each at an origin of its own.
mod server {
    use std::{
        collections::HashMap,
        io,
        net::Ipv4Addr,
        sync::{Arc, Mutex, MutexGuard},
    };

    use axum::{
        Form, Json, Router,
        extract::State,
        http::{HeaderMap, StatusCode},
        routing::{get, post},
    };
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    pub(crate) const CLIENT_ID: &str = "s6BhdRkqt3";
    pub(crate) const CLIENT_SECRET: &str = "7F+fp";
    pub(crate) const SCOPE: &str = "reports.read";

    /// The two in Base64, each encoded as in a form before: `s6BhdRkqt3:7F%2Bfp`.
    const AUTHORIZATION: &str = "Basic czZCaGRSa3F0Mzo3RiUyQmZw";

    const PATH: &str = "/acme";

    /// What both servers have seen.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Counts {
        pub(crate) metadata: usize,
        pub(crate) logins: usize,
        pub(crate) refused_logins: usize,
        /// Requests with a token that was not valid.
        pub(crate) rejected: usize,
    }

    pub(crate) struct Server {
        pub(crate) url: String,
        state: Shared,
    }

    type Shared = Arc<Mutex<Session>>;

    /// The tokens are `token-1`, `token-2` and so on. Only the last one is valid.
    #[derive(Default)]
    struct Session {
        issuer: String,
        is_revoked: bool,
        counts: Counts,
    }

    impl Server {
        pub(crate) async fn start_issuer() -> io::Result<Self> {
            let app = Router::new()
                .route(
                    &format!("{PATH}/.well-known/openid-configuration"),
                    get(metadata),
                )
                .route(&format!("{PATH}/oauth2/token"), post(token));
            let server = Self::start(app, Shared::default(), PATH).await?;
            lock(&server.state).issuer.clone_from(&server.url);
            Ok(server)
        }

        pub(crate) async fn start_api(issuer: &Self) -> io::Result<Self> {
            let app = Router::new().route("/reports", get(reports));
            Self::start(app, Arc::clone(&issuer.state), "").await
        }

        async fn start(app: Router<Shared>, state: Shared, path: &str) -> io::Result<Self> {
            let app = app.with_state(Arc::clone(&state));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let url = format!("http://{}{path}", listener.local_addr()?);
            tokio::spawn(async { axum::serve(listener, app).await });
            Ok(Self { url, state })
        }

        pub(crate) fn counts(&self) -> Counts {
            lock(&self.state).counts
        }

        pub(crate) fn revoke_token(&self) {
            lock(&self.state).is_revoked = true;
        }
    }

    fn lock(state: &Shared) -> MutexGuard<'_, Session> {
        state.lock().expect("no handler panics")
    }

    async fn metadata(State(state): State<Shared>) -> Json<Value> {
        let mut session = lock(&state);
        session.counts.metadata += 1;
        let issuer = &session.issuer;
        Json(json!({
            "issuer": issuer,
            "token_endpoint": format!("{issuer}/oauth2/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }))
    }

    type Fields = Form<HashMap<String, String>>;

    async fn token(
        State(state): State<Shared>,
        headers: HeaderMap,
        Form(fields): Fields,
    ) -> (StatusCode, Json<Value>) {
        let mut session = lock(&state);
        let field = |name| fields.get(name).map(String::as_str);
        let is_client = headers
            .get("authorization")
            .is_some_and(|it| it == AUTHORIZATION);
        let grant = (field("grant_type"), field("scope"));
        if !is_client || grant != (Some("client_credentials"), Some(SCOPE)) {
            session.counts.refused_logins += 1;
            return (
                StatusCode::UNAUTHORIZED,
                Json(json!({"error": "invalid_client"})),
            );
        }
        session.counts.logins += 1;
        session.is_revoked = false;
        let answer = json!({
            "access_token": format!("token-{}", session.counts.logins),
            "token_type": "Bearer",
            "expires_in": 3600,
        });
        (StatusCode::OK, Json(answer))
    }

    async fn reports(State(state): State<Shared>, headers: HeaderMap) -> StatusCode {
        let mut session = lock(&state);
        let valid = format!("Bearer token-{}", session.counts.logins);
        match headers.get("authorization") {
            Some(sent) if !session.is_revoked && *sent == *valid => StatusCode::OK,
            _ => {
                session.counts.rejected += 1;
                StatusCode::UNAUTHORIZED
            }
        }
    }
}
