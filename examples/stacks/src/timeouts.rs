//! What each timeout ends. A call is held for longer than its timeout, by a login or by an answer.

use std::{sync::Arc, time::Duration};

use http::Method;
use tokio::time::timeout;
use tower_bearer::{BearerAuthLayer, BoxError, CachePolicy, CachedProvider, Origins, login_fn};

use crate::{
    STACKS, TIMEOUT, calls,
    stack::{Api, Call},
};

pub const HEAD: &str = "timeout | ends a held login | ends a held answer";

/// The timeout of a login where another timeout is tried. It is longer than any call is held.
const LONGEST: Duration = Duration::from_secs(60);

type Client = fn(&str, BearerAuthLayer, Duration) -> Result<Call, BoxError>;

/// The name of a timeout, and whether it ends a call that a login holds, and one that an answer holds.
const TIMEOUTS: [(&str, Client, [bool; 2]); 8] = [
    (
        "tower's `Timeout` around the client in a recipe, inside of the layer",
        calls::tower_inside,
        [false, true],
    ),
    (
        "kube: `Config::read_timeout`",
        calls::kube_read_timeout,
        [false, true],
    ),
    (
        "jsonrpsee: `request_timeout`, 60 s by default",
        calls::jsonrpsee_request_timeout,
        [true, true],
    ),
    (
        "reqwest: `timeout` of the client",
        calls::reqwest_timeout,
        [false, true],
    ),
    (
        "progenitor: `timeout` of its reqwest client, 15 s by default",
        calls::progenitor_timeout,
        [false, true],
    ),
    (
        "OTLP over HTTP: `with_timeout` of the exporter",
        calls::otlp_timeout,
        [false, false],
    ),
    (
        "OTLP over gRPC: `with_timeout` of the exporter",
        calls::otlp_grpc_timeout,
        [false, false],
    ),
    (
        "OTLP over gRPC: `timeout` of the collector's `Endpoint`",
        calls::otlp_grpc_endpoint_timeout,
        [false, true],
    ),
];

/// Runs all timeouts, and returns the rows of the table.
pub async fn rows() -> Result<Vec<String>, BoxError> {
    let mut rows = Vec::new();
    for stack in &STACKS {
        let name = format!("{}{}", stack.package, stack.protocol);
        let run = Run::start(TIMEOUT).await?;
        let call = (stack.client)(&run.url, run.layer.clone())?;
        if run.ends(&call, [true, false]).await? != [true, false] {
            return Err(format!("{name}: `login_timeout` ends something else").into());
        }
        let run = Run::start(LONGEST).await?;
        let call = (stack.client)(&run.url, run.layer.clone())?;
        let within: Call = Arc::new(move |method| {
            let call = timeout(TIMEOUT, call(method));
            Box::pin(async { call.await? })
        });
        if run.ends(&within, [true, true]).await? != [true, true] {
            return Err(format!("{name}: `tokio::time::timeout` does not end all calls").into());
        }
    }
    rows.push(row("`login_timeout`, for all stacks", [true, false]));
    rows.push(row(
        "`tokio::time::timeout` around a call, for all stacks",
        [true, true],
    ));
    for (name, client, expected) in TIMEOUTS {
        let run = Run::start(LONGEST).await?;
        let call = client(&run.url, run.layer.clone(), TIMEOUT)?;
        rows.push(row(name, run.ends(&call, expected).await?));
    }
    Ok(rows)
}

fn row(name: &str, ends: [bool; 2]) -> String {
    let [login, answer] = ends.map(|ends| if ends { "yes" } else { "no" });
    format!("| {name} | {login} | {answer} |")
}

struct Run {
    api: Api,
    url: String,
    layer: BearerAuthLayer,
}

impl Run {
    async fn start(login_timeout: Duration) -> Result<Self, BoxError> {
        let api = Api::start(1).await?;
        let issuer = api.clone();
        let provider = CachedProvider::builder(login_fn(move |_| issuer.clone().log_in()))
            .policy(CachePolicy::default().login_timeout(login_timeout))
            .build();
        let url = format!("http://{}", api.address);
        let layer = BearerAuthLayer::new(provider, Origins::new(&url)?.strict());
        Ok(Self { api, url, layer })
    }

    /// Whether the timeout ends a call that a login holds, and one that an answer holds.
    async fn ends(&self, call: &Call, expected: [bool; 2]) -> Result<[bool; 2], BoxError> {
        let provider = self.layer.provider();
        let hold_logins = |holds| self.api.hold_logins(holds);
        let hold_answers = |holds| self.api.hold_answers(holds);

        let first = ends(call, hold_logins, expected[0]).await?;
        provider.reset();
        call(Method::POST).await?;
        // The login of a replay.
        self.api.revoke_token();
        let replay = ends(call, hold_logins, expected[0]).await?;
        if first != replay {
            return Err("the login of a replay is not as the first one".into());
        }
        provider.reset();
        call(Method::POST).await?;
        let answer = ends(call, hold_answers, expected[1]).await?;
        call(Method::POST).await?;
        Ok([first, answer])
    }
}

/// Whether the call ends while it is held. If not, it has to succeed when it is released. What is expected
/// decides only how long to wait for the end.
async fn ends(call: &Call, hold: impl Fn(bool), expected: bool) -> Result<bool, BoxError> {
    hold(true);
    let mut call = call(Method::POST);
    let limit = if expected { LONGEST / 2 } else { 3 * TIMEOUT };
    let ended = timeout(limit, &mut call).await;
    hold(false);
    match ended {
        Ok(Err(_)) => Ok(true),
        Ok(Ok(())) => Err("a call succeeded while it was held".into()),
        Err(_) => call.await.map(|()| false),
    }
}
