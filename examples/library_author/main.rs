//! Two libraries that hide the layer, and a user of each: `things`, a REST client in the manner of
//! generators, and `health`, a client of a tonic service.
//!
//! The users hand in a token, a login or a provider. The API revokes the token before each hundred
//! requests. No network is needed:
//!
//! ```text
//! cargo run --example library_author
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** `things.rs` if nothing of tower-bearer shall be public, and `health.rs` if your users shall
//! hand in their own providers. **Do not copy** the module `api`.

#[allow(unreachable_pub, reason = "it stands for a crate of its own")]
mod health;
#[path = "../../tests/recipes/to_status.rs"]
mod recipe;
#[allow(unreachable_pub, reason = "it stands for a crate of its own")]
mod things;

use std::{process::ExitCode, time::Duration};

use http::StatusCode;
use tokio::task::JoinSet;
use tonic::Code;

use self::api::Api;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const ALL: usize = 200;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let api = Api::start().await?;
    let things = use_things(&api).await?;
    let health = use_health(&api).await?;
    let logins = api.logins();
    println!("library_author: things={things:?} health={health:?} logins={logins}");
    let is_good = (things, health, logins) == ((1, ALL), (1, ALL, ALL), 8);
    Ok(ExitCode::from(u8::from(!is_good)))
}

/// Names nothing of tower-bearer. Returns how many requests were answered with the token, and with the
/// login.
async fn use_things(api: &Api) -> Result<(usize, usize), BoxError> {
    use self::things::{Client, Error};

    let client = Client::with_token(&api.url, &api.log_in())?;
    let by_token = client.list_things().await?;
    api.revoke();
    let Err(Error::Status(StatusCode::UNAUTHORIZED)) = client.list_things().await else {
        return Err("a token that was handed in is not renewed".into());
    };

    let issuer = api.clone();
    let client = Client::with_login(&api.url, move || {
        let token = issuer.log_in();
        async { Ok((token, Duration::from_secs(3600))) }
    })?;
    let list = async |client: Client| {
        client
            .list_things()
            .await
            .is_ok_and(|all| all[0].name == "chair")
    };
    let by_login = twice(api, || list(client.clone())).await;

    let client = Client::with_login(&api.url, || async { Err("wrong password".into()) })?;
    match client.list_things().await {
        Err(Error::NoToken(text)) if text.ends_with("wrong password") => {}
        _ => return Err("there is no token after a failed login".into()),
    }
    for (url, token) in [("no URL", "abc"), (&api.url, "a b")] {
        let Err(Error::Settings(_)) = Client::with_token(url, token) else {
            return Err("a URL or a token that cannot be used is an error".into());
        };
    }
    Ok((by_token.len(), by_login))
}

/// Names tower-bearer by the library's re-export. Returns how many calls were answered with the token,
/// with the login, and with the provider.
async fn use_health(api: &Api) -> Result<(usize, usize, usize), BoxError> {
    use self::health::{
        Health,
        tower_bearer::{CachedProvider, Credential, login_fn},
    };

    let client = Health::with_token(&api.url, &api.log_in())?;
    let by_token = usize::from(client.is_serving().await?);

    let issuer = api.clone();
    let login = login_fn(move |_| {
        let token = issuer.log_in();
        async { Ok(Credential::new(token)?) }
    });
    let check = async |client: Health| client.is_serving().await.is_ok_and(|serves| serves);
    let client = Health::with_login(&api.url, login.clone())?;
    let by_login = twice(api, || check(client.clone())).await;

    let provider = CachedProvider::new(login);
    let client = Health::with_provider(&api.url, provider.clone())?;
    let by_provider = twice(api, || check(client.clone())).await;
    provider.sign_out(); // only a user with a provider can do this
    match client.is_serving().await {
        Err(status) if status.code() == Code::Unauthenticated => {}
        _ => return Err("a call after the sign-out has no token".into()),
    }
    Ok((by_token, by_login, by_provider))
}

/// Revokes the token and sends a hundred requests at once, twice. Returns how many were answered.
async fn twice<Fut>(api: &Api, send: impl Fn() -> Fut) -> usize
where
    Fut: Future<Output = bool> + Send + 'static,
{
    let mut answered = 0;
    for _ in 0..2 {
        api.revoke();
        let requests: JoinSet<_> = (0..ALL / 2).map(|_| send()).collect();
        let all = requests.join_all().await;
        answered += all.into_iter().filter(|is_good| *is_good).count();
    }
    answered
}

/// A stand-in for the API, with REST and gRPC. It accepts the token of the last login, until that is
/// revoked.
mod api {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
    };

    use axum::{
        Json, Router,
        extract::{Request, State},
        http::StatusCode,
        middleware::{self, Next},
        response::{IntoResponse, Response},
        routing::get,
    };
    use serde_json::json;
    use tokio::net::TcpListener;
    use tonic::service::Routes;

    #[derive(Clone)]
    pub(crate) struct Api {
        pub(crate) url: String,
        logins: Arc<AtomicUsize>,
        /// The number of the login whose token is accepted, or 0.
        valid: Arc<AtomicUsize>,
    }

    impl Api {
        pub(crate) async fn start() -> io::Result<Self> {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let api = Self {
                url: format!("http://{}", listener.local_addr()?),
                logins: Arc::default(),
                valid: Arc::default(),
            };
            let (_, health) = tonic_health::server::health_reporter();
            let things = get(async || Json(json!([{ "name": "chair" }])));
            let app = Router::new()
                .route("/v1/things", things)
                .merge(Routes::new(health).into_axum_router())
                .layer(middleware::from_fn_with_state(api.clone(), guard));
            tokio::spawn(async { axum::serve(listener, app).await });
            Ok(api)
        }

        pub(crate) fn log_in(&self) -> String {
            let number = self.logins.fetch_add(1, SeqCst) + 1;
            self.valid.store(number, SeqCst);
            format!("token-{number}")
        }

        pub(crate) fn logins(&self) -> usize {
            self.logins.load(SeqCst)
        }

        pub(crate) fn revoke(&self) {
            self.valid.store(0, SeqCst);
        }
    }

    async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
        let valid = format!("Bearer token-{}", api.valid.load(SeqCst));
        match request.headers().get("authorization") {
            Some(sent) if *sent == *valid => next.run(request).await,
            _ => StatusCode::UNAUTHORIZED.into_response(),
        }
    }
}
