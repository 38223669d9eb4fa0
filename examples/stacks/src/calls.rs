//! One GET and one POST by each stack.

use std::{sync::Arc, time::SystemTime};

use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use aws_smithy_types::body::SdkBody;
use http::{Method, Request};
use jsonrpsee::core::client::ClientT;
use kube::Config;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::oneshot};
use tower::ServiceExt;
use tower_bearer::{BearerAuthLayer, BoxError};

use crate::{Call, recipes};

fn thing() -> Value {
    json!({ "name": "a thing" })
}

fn call<F: Future<Output = Result<(), BoxError>> + Send + 'static>(
    call: impl Fn(Method) -> F + Send + Sync + 'static,
) -> Call {
    Arc::new(move |method| Box::pin(call(method)))
}

pub fn kube(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let client = recipes::kube::client(Config::new(url.parse()?), layer)?;
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
    let client = recipes::jsonrpsee::client(url.to_owned(), layer)?;
    Ok(call(move |_| {
        let client = client.clone();
        async move {
            let _: Value = client.request("things", [1]).await?;
            Ok(())
        }
    }))
}

pub fn reqwest(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let client = recipes::reqwest::client(reqwest::Client::new(), layer);
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

pub fn otlp(url: &str, layer: BearerAuthLayer) -> Result<Call, BoxError> {
    let http = Arc::new(recipes::otlp::client(Handle::current(), layer));
    let url = format!("{url}/v1/traces");
    Ok(call(move |_| {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&url)
            .with_shared_http_client(http.clone())
            .build();
        let (tell, told) = oneshot::channel();
        // As the SDK does: on a thread outside of the runtime.
        std::thread::spawn(move || {
            let exported = exporter.map_err(BoxError::from).and_then(|exporter| {
                Ok(futures_executor::block_on(exporter.export(vec![span()]))?)
            });
            let _ = tell.send(exported);
        });
        async { told.await? }
    }))
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
