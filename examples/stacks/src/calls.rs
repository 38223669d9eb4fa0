//! One GET and one POST by each stack.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use aws_smithy_types::body::SdkBody;
use http::{Method, Request};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use jsonrpsee::{core::client::ClientT, http_client::HttpClientBuilder};
use kube::Config;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::oneshot};
use tonic::transport::Endpoint;
use tower::{Layer, ServiceExt, timeout::Timeout};
use tower_bearer::{BearerAuthLayer, BoxError};

use crate::{
    recipes,
    stack::{Call, call},
};

fn thing() -> Value {
    json!({ "name": "a thing" })
}

pub fn kube(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    kube_of(Config::new(url.parse()?), layer)
}

pub fn kube_read_timeout(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let mut config = Config::new(url.parse()?);
    config.read_timeout = Some(timeout);
    kube_of(config, layer)
}

fn kube_of(config: Config, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let client = recipes::kube::client(config, layer)?;
    Ok(call(move |method| {
        let client = client.clone();
        async move {
            let body = match method {
                Method::POST => thing().to_string().into_bytes(),
                _ => Vec::new(),
            };
            let request = Request::builder().method(method).uri("/api/v1/things");
            client.request::<Value>(request.body(body)?).await?;
            Ok(())
        }
    }))
}

pub fn octocrab(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let client = recipes::octocrab::client(url.parse()?, layer)?;
    Ok(call(move |method| {
        let client = client.clone();
        async move {
            let _: Value = match method {
                Method::POST => client.post("/things", Some(&thing())).await?,
                _ => client.get("/things", None::<&()>).await?,
            };
            Ok(())
        }
    }))
}

pub fn jsonrpsee(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    jsonrpsee_of(HttpClientBuilder::default(), url, layer)
}

pub fn jsonrpsee_request_timeout(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let builder = HttpClientBuilder::default().request_timeout(timeout);
    jsonrpsee_of(builder, url, layer)
}

fn jsonrpsee_of(
    builder: HttpClientBuilder,
    url: &str,
    layer: BearerAuthLayer,
) -> Result<Call, BoxError> {
    let client = recipes::jsonrpsee::client(builder, url.to_owned(), layer)?;
    Ok(call(move |_| {
        let client = client.clone();
        async move {
            let _: Value = client.request("things", [1]).await?;
            Ok(())
        }
    }))
}

pub fn progenitor(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    Ok(progenitor_of(recipes::progenitor::Client::new(url, layer)))
}

pub fn progenitor_timeout(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let http = reqwest::Client::builder().timeout(timeout).build()?;
    let client = recipes::progenitor::Client::new_with_client(url, http, layer);
    Ok(progenitor_of(client))
}

fn progenitor_of(client: recipes::progenitor::Client) -> Call {
    call(move |method| {
        let client = client.clone();
        async move {
            match method {
                Method::POST => {
                    let name = "a thing".to_owned();
                    let thing = recipes::progenitor::types::Thing { name };
                    client.add_thing(&thing).await?
                }
                _ => client.things().await?,
            };
            Ok(())
        }
    })
}

pub fn reqwest(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    reqwest_of(reqwest::Client::new(), url, layer)
}

pub fn reqwest_timeout(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let http = reqwest::Client::builder().timeout(timeout).build()?;
    reqwest_of(http, url, layer)
}

fn reqwest_of(http: reqwest::Client, url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let client = recipes::reqwest::client(http, layer);
    let url = format!("{url}/things");
    Ok(call(move |method| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let body = match method {
                Method::POST => thing().to_string().into(),
                _ => reqwest::Body::default(),
            };
            let request = Request::builder().method(method).uri(url).body(body)?;
            let response = client.oneshot(request).await?;
            match response.status().is_success() {
                true => Ok(()),
                false => Err(response.status().to_string().into()),
            }
        }
    }))
}

/// tower's own timeout, inside of the layer.
pub fn tower_inside(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let http = Client::builder(TokioExecutor::new()).build_http();
    let layer = layer.replay_with(|body: &String| Some(body.clone()));
    let client = layer.layer(Timeout::new(http, timeout));
    let url = format!("{url}/things");
    Ok(call(move |method| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let request = Request::builder().method(method).uri(url);
            let response = client.oneshot(request.body(thing().to_string())?).await?;
            match response.status().is_success() {
                true => Ok(()),
                false => Err(response.status().to_string().into()),
            }
        }
    }))
}

pub fn otlp(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    otlp_timeout(url, layer, Duration::from_secs(10))
}

pub fn otlp_timeout(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let http = Arc::new(recipes::otlp::client(Handle::current(), layer));
    let url = format!("{url}/v1/traces");
    Ok(export_by(move || {
        SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&url)
            .with_timeout(timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .with_shared_http_client(http.clone())
            .build()
    }))
}

pub fn otlp_grpc(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let collector = Endpoint::from_shared(url.to_owned())?;
    Ok(otlp_grpc_of(collector, layer, Duration::from_secs(10)))
}

pub fn otlp_grpc_timeout(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let collector = Endpoint::from_shared(url.to_owned())?;
    Ok(otlp_grpc_of(collector, layer, timeout))
}

pub fn otlp_grpc_endpoint_timeout(
    url: &str,
    layer: BearerAuthLayer,
    timeout: Duration,
) -> Result<Call, BoxError> {
    let collector = Endpoint::from_shared(url.to_owned())?.timeout(timeout);
    Ok(otlp_grpc_of(collector, layer, Duration::from_secs(10)))
}

fn otlp_grpc_of(collector: Endpoint, layer: BearerAuthLayer, timeout: Duration) -> Call {
    let channel = recipes::otlp_grpc::channel(collector, layer);
    export_by(move || {
        SpanExporter::builder()
            .with_tonic()
            .with_timeout(timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .with_channel(channel.clone())
            .build()
    })
}

/// Exports as the SDK does: on a thread outside of the runtime.
fn export_by(
    exporter: impl Fn() -> Result<SpanExporter, ExporterBuildError> + Send + Sync + 'static,
) -> Call {
    call(move |_| {
        let exporter = exporter();
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            let exported = exporter.map_err(BoxError::from).and_then(|exporter| {
                Ok(futures_executor::block_on(exporter.export(vec![span()]))?)
            });
            let _ = tell.send(exported);
        });
        async { told.await? }
    })
}

fn span() -> SpanData {
    SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "a thing".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: Status::Unset,
        instrumentation_scope: Default::default(),
    }
}

pub fn smithy(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let connector = recipes::smithy::connector(layer);
    let url = format!("{url}/things");
    Ok(call(move |method| {
        let (connector, url) = (connector.clone(), url.clone());
        async move {
            let mut request = HttpRequest::get(url)?;
            if method == Method::POST {
                request.set_method("POST")?;
                *request.body_mut() = SdkBody::from(thing().to_string());
            }
            let response = connector.call(request).await?;
            match response.status().is_success() {
                true => Ok(()),
                false => Err(response.status().as_u16().to_string().into()),
            }
        }
    }))
}
