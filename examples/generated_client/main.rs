//! A client that openapi-generator has made, with a bearer token on each of its requests.
//!
//! The generated client takes a `ClientWithMiddleware`, and `BearerAuthLayer` is a middleware. The example
//! starts an API on loopback. It sends a hundred requests at once, the API revokes the token, and it
//! sends a hundred more. All of them are answered, with two logins:
//!
//! ```text
//! cargo run --example generated_client
//! ```
//!
//! **Copy** the function `configuration`. Over HTTPS, turn on a TLS feature of reqwest.
//! **Do not copy** the module `api`: it is a stand-in for the API. The modules `apis` and `models` are the
//! unchanged output of openapi-generator 7.26.0 (Apache 2.0) for `openapi.yaml`:
//!
//! ```text
//! openapi-generator-cli generate -i openapi.yaml -g rust --additional-properties=supportMiddleware=true
//! ```

#[allow(warnings, clippy::all, reason = "it is generated")]
#[rustfmt::skip]
mod apis;
#[allow(warnings, clippy::all, reason = "it is generated")]
#[rustfmt::skip]
mod models;

use tokio::{net::TcpListener, task::JoinSet};
use tower_bearer::{BearerAuthLayer, BoxError, CachedProvider, Login, Origins};

use self::{
    apis::{Error, configuration::Configuration, things_api},
    models::Thing,
};

const REQUESTS: usize = 100;

/// The configuration of the generated client. `base_url` has no path; the API's own path is added.
fn configuration(base_url: &str, login: impl Login) -> Result<Configuration, BoxError> {
    let layer = BearerAuthLayer::new(CachedProvider::new(login), Origins::new(base_url)?)
        .replay_with(reqwest::Request::try_clone);
    Ok(Configuration {
        base_path: format!("{base_url}/v1"),
        client: reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
            .with(layer)
            .build(),
        ..Configuration::default() // no token here: a header that is already set wins
    })
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let api = api::Api::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, api.router()).into_future());

    let configuration = configuration(&base_url, api.login())?;
    let mut ok = send_all(&configuration).await?;
    api.revoke();
    ok += send_all(&configuration).await?;
    let logins = api.logins();

    // The error of a failed login, in the generated client's own error.
    api.revoke();
    api.refuse_logins();
    let error = things_api::list_things(&configuration, None).await;
    let error = error.expect_err("there is no token");
    let cause = match &error {
        Error::ReqwestMiddleware(reqwest_middleware::Error::Middleware(error)) => {
            error.downcast_ref::<tower_bearer::Error>()
        }
        _ => None,
    };
    println!("{error}");
    let is_login_failed = cause.is_some_and(tower_bearer::Error::is_login_failed);

    println!(
        "generated_client: requests={} ok={ok} logins={logins}",
        2 * REQUESTS
    );
    if (ok, logins, is_login_failed) == (2 * REQUESTS, 2, true) {
        Ok(())
    } else {
        Err("a request failed, or the logins were not two, or the error was another".into())
    }
}

/// Sends a hundred requests at once, half of them with a body. Returns how many got the right answer.
async fn send_all(configuration: &Configuration) -> Result<usize, BoxError> {
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let configuration = configuration.clone();
        requests.spawn(async move {
            if number % 2 == 0 {
                let page = i32::try_from(number).expect("it is small");
                let things = things_api::list_things(&configuration, Some(page)).await;
                things.is_ok_and(|things| things == [Thing::new(format!("thing-{page}"))])
            } else {
                let thing = Thing::new(format!("new-{number}"));
                let created = things_api::create_thing(&configuration, thing.clone()).await;
                created.is_ok_and(|created| created == thing)
            }
        });
    }
    Ok(requests
        .join_all()
        .await
        .into_iter()
        .filter(|ok| *ok)
        .count())
}

/// A stand-in for the API: a login that revokes the previous token, and things for the current one.
mod api {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    };

    use axum::{
        Json, Router,
        extract::{Query, State},
        http::{HeaderMap, StatusCode, header::AUTHORIZATION},
        response::{IntoResponse, Response},
        routing::get,
    };
    use serde::Deserialize;
    use tower_bearer::{Credential, Login, login_fn};

    use crate::models::Thing;

    #[derive(Clone, Default)]
    pub(crate) struct Api(Arc<Shared>);

    #[derive(Default)]
    struct Shared {
        logins: AtomicUsize,
        is_revoked: AtomicBool,
        refuses_logins: AtomicBool,
    }

    impl Api {
        /// A login at the API. A real one sends a request, perhaps with `HttpLogin`.
        pub(crate) fn login(&self) -> impl Login + use<> {
            let api = Arc::clone(&self.0);
            login_fn(move |_| {
                let api = Arc::clone(&api);
                async move {
                    if api.refuses_logins.load(SeqCst) {
                        return Err("wrong password".into());
                    }
                    let number = api.logins.fetch_add(1, SeqCst) + 1;
                    api.is_revoked.store(false, SeqCst);
                    Ok(Credential::new(format!("token-{number}"))?)
                }
            })
        }

        pub(crate) fn logins(&self) -> usize {
            self.0.logins.load(SeqCst)
        }

        pub(crate) fn revoke(&self) {
            self.0.is_revoked.store(true, SeqCst);
        }

        pub(crate) fn refuse_logins(&self) {
            self.0.refuses_logins.store(true, SeqCst);
        }

        pub(crate) fn router(&self) -> Router {
            Router::new()
                .route("/v1/things", get(list).post(create))
                .with_state(self.clone())
        }

        fn accepts(&self, headers: &HeaderMap) -> bool {
            let current = format!("Bearer token-{}", self.logins());
            let sent = headers.get(AUTHORIZATION);
            !self.0.is_revoked.load(SeqCst) && sent.is_some_and(|sent| *sent == *current)
        }
    }

    #[derive(Deserialize)]
    struct Page {
        page: Option<usize>,
    }

    async fn list(State(api): State<Api>, page: Query<Page>, headers: HeaderMap) -> Response {
        if !api.accepts(&headers) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let page = page.page.unwrap_or_default();
        Json([Thing::new(format!("thing-{page}"))]).into_response()
    }

    async fn create(
        State(api): State<Api>,
        headers: HeaderMap,
        Json(thing): Json<Thing>,
    ) -> Response {
        if !api.accepts(&headers) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        (StatusCode::CREATED, Json(thing)).into_response()
    }
}
