use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Service, ServiceExt};
use tower_bearer::{BoxError, CachedProvider, PerRequest, Rejected};

/// Whether a GraphQL answer rejects the token. `FORBIDDEN` is about permission.
pub(crate) fn is_graphql_rejection(answer: &Value) -> bool {
    let mut errors = answer["errors"].as_array().into_iter().flatten();
    errors.any(|error| error["extensions"]["code"] == "UNAUTHENTICATED")
}

/// Whether a JSON-RPC answer rejects the token. Each API chooses a number of its own.
pub(crate) fn is_json_rpc_rejection(answer: &Value) -> bool {
    answer["error"]["code"] == -32001
}

/// Posts a document and judges the answer. A rejected document is posted once more.
pub(crate) async fn post_judged<S, B>(
    client: S,
    provider: &CachedProvider,
    url: &str,
    document: &Value,
    is_rejection: fn(&Value) -> bool,
) -> Result<Value, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>, Error = BoxError> + Clone,
    B: http_body::Body<Error: Into<BoxError>>,
{
    let mut is_first = true;
    loop {
        let per_request = PerRequest::new().judged_by_caller();
        let request = Request::post(url)
            .header("content-type", "application/json")
            .extension(per_request.clone())
            .body(Full::from(document.to_string()))?;
        let response = client.clone().oneshot(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(Into::into)?;
        let answer = serde_json::from_slice(&body.to_bytes());

        // The layer does not judge a 401 of this request either.
        let is_rejected =
            status == StatusCode::UNAUTHORIZED || answer.as_ref().is_ok_and(is_rejection);
        match per_request.receipt() {
            Some(receipt) if is_rejected => {
                let verdict = provider.reject(&Rejected::by_hand(receipt));
                if is_first && verdict.is_log_in() {
                    is_first = false;
                    continue;
                }
            }
            // A page of a proxy says nothing of the token.
            Some(receipt) if status.is_success() && answer.is_ok() => provider.accept(receipt),
            _ => {}
        }
        return Ok(answer?);
    }
}
