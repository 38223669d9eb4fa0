//! Metrics of logins, rejections and requests, as Prometheus text: feature `metrics`.
//!
//! A service at `/metrics` on loopback serves what Prometheus would fetch. In between, a hundred requests
//! share one login, the token is revoked, the issuer is down for a while, and a link leads to another host.
//! The API is a stand-in in memory:
//!
//! ```text
//! cargo run --example metrics
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** the functions `recorder` and `client`, and the route of `serve`. **Do not copy** the module
//! `stand_in`.

use std::{net::Ipv4Addr, process::ExitCode};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{Layer, ServiceExt};
use tower_bearer::{BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Origins, ReplayWith};

use self::stand_in::{Api, Issuer};

const URL: &str = "https://api.example.com/things";

/// How to send a rejected request once more.
type Again = ReplayWith<fn(&()) -> Option<()>>;

/// To be called before a provider is built.
fn recorder() -> Result<PrometheusHandle, BoxError> {
    Ok(PrometheusBuilder::new()
        .set_buckets(&[0.1, 0.3, 1.0, 3.0, 10.0])? // seconds of a login
        .install_recorder()?)
}

fn client(issuer: &Issuer, api: &Api) -> Result<BearerAuth<Api, CachedProvider, Again>, BoxError> {
    let provider = CachedProvider::builder(issuer.clone())
        .name("orders") // the label `provider`
        .build();
    let again: fn(&()) -> Option<()> = |()| Some(());
    let layer = BearerAuthLayer::new(provider, Origins::new("https://api.example.com")?)
        .replay(ReplayWith(again));
    Ok(layer.layer(api.clone()))
}

/// Serves the text for Prometheus. Returns its URL.
async fn serve(recorder: PrometheusHandle) -> Result<String, BoxError> {
    let render = move || async move {
        recorder.run_upkeep(); // or on a timer, if nobody may fetch for long
        recorder.render()
    };
    let app = Router::new().route("/metrics", get(render));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/metrics", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(url)
}

// On one thread, so that each of the hundred requests finds the login under way.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, BoxError> {
    let url = serve(recorder()?).await?;
    let issuer = Issuer::default();
    let api = Api::of(&issuer);
    let client = client(&issuer, &api)?;

    // A hundred requests share one login.
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        requests.spawn(client.clone().oneshot(Request::get(URL).body(())?));
    }
    while let Some(response) = requests.join_next().await {
        assert!(response??.status().is_success());
    }
    // The token is revoked: the request is rejected, and sent again.
    issuer.revoke();
    let response = client.clone().oneshot(Request::get(URL).body(())?).await?;
    assert!(response.status().is_success());
    // The issuer is down when a user's session is reset.
    issuer.set_down(true);
    client.provider().reset();
    for _ in 0..2 {
        // The second request fails in the pause after the first.
        let failed = client.clone().oneshot(Request::get(URL).body(())?).await;
        assert!(failed.is_err());
    }
    // A link leads to another host.
    let elsewhere = Request::get("https://elsewhere.example.com/").body(())?;
    client.clone().oneshot(elsewhere).await?;

    let http = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = http.get(url.parse()?).await?;
    let text = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8(text.to_vec())?;
    print!("{text}");

    let expected = [
        r#"tower_bearer_logins{provider="orders",reason="first",outcome="logged_in"} 1"#,
        r#"tower_bearer_logins{provider="orders",reason="rejected",outcome="logged_in"} 1"#,
        r#"tower_bearer_logins{provider="orders",reason="first",outcome="failed",error_type="login_failed"} 1"#,
        r#"tower_bearer_login_duration_count{provider="orders",reason="first",outcome="logged_in"} 1"#,
        r#"tower_bearer_rejections{provider="orders",verdict="acted_upon",reason="current"} 1"#,
        r#"tower_bearer_credential_expiry{provider="orders"} 0"#,
        r#"tower_bearer_waits{provider="orders"} 102"#,
        r#"tower_bearer_replays{provider="orders"} 1"#,
        r#"tower_bearer_failed_requests{provider="orders",error_type="login_failed"} 2"#,
        r#"tower_bearer_bare_requests{provider="orders",reason="foreign_origin"} 1"#,
    ];
    let missing = expected
        .iter()
        .filter(|line| !text.lines().any(|it| it == **line));
    let missing: Vec<_> = missing.collect();
    println!(
        "metrics: figures={} wrong={}",
        expected.len(),
        missing.len()
    );
    for line in &missing {
        eprintln!("missing: {line}");
    }
    Ok(match missing.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Stand-ins for an issuer and an API.
mod stand_in {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        },
        task::{Context, Poll},
        time::Duration,
    };

    use http::{Request, Response, StatusCode};
    use tower::Service;
    use tower_bearer::{BoxError, Credential, Login, LoginRequest};

    /// Only its last token is valid, unless it was revoked.
    #[derive(Clone, Default)]
    pub(crate) struct Issuer(Arc<State>);

    #[derive(Default)]
    struct State {
        logins: AtomicUsize,
        is_revoked: AtomicBool,
        is_down: AtomicBool,
    }

    impl Issuer {
        pub(crate) fn revoke(&self) {
            self.0.is_revoked.store(true, SeqCst);
        }

        pub(crate) fn set_down(&self, is_down: bool) {
            self.0.is_down.store(is_down, SeqCst);
        }
    }

    impl Login for Issuer {
        async fn login(&self, _request: LoginRequest) -> Result<Credential, BoxError> {
            if self.0.is_down.load(SeqCst) {
                return Err("no connection".into());
            }
            let number = self.0.logins.fetch_add(1, SeqCst) + 1;
            self.0.is_revoked.store(false, SeqCst);
            let token = format!("token-{number}");
            Ok(Credential::new(token)?.with_lifetime(Duration::from_secs(3600)))
        }
    }

    #[derive(Clone)]
    pub(crate) struct Api(Issuer);

    impl Api {
        pub(crate) fn of(issuer: &Issuer) -> Self {
            Self(issuer.clone())
        }
    }

    impl Service<Request<()>> for Api {
        type Response = Response<()>;
        type Error = Infallible;
        type Future = Ready<Result<Response<()>, Infallible>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            let State {
                logins, is_revoked, ..
            } = &*self.0.0;
            let valid = format!("Bearer token-{}", logins.load(SeqCst));
            let sent = request.headers().get("authorization");
            let is_valid = sent.is_some_and(|sent| *sent == *valid) && !is_revoked.load(SeqCst);
            let mut response = Response::new(());
            if !is_valid {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            ready(Ok(response))
        }
    }
}
