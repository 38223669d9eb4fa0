//! GraphQL and JSON-RPC say in the body of a 200 that they reject the token.

#[path = "recipes/judge_body.rs"]
mod judge_body;
mod support;

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{Json, Router, routing::post};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use judge_body::{is_graphql_rejection, is_json_rpc_rejection, post_judged};
use serde_json::{Value, json};
use support::{HandClock, HttpClient, Issuer, http_client, patient};
use tokio::{net::TcpListener, sync::Barrier, task::JoinHandle};
use tower::{Layer, service_fn};
use tower_bearer::{BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Origins};

/// How the API tells that it rejects a token.
#[derive(Clone, Copy)]
struct Api {
    rejected: fn() -> (StatusCode, Value),
    is_rejection: fn(&Value) -> bool,
}

const GRAPHQL: Api = Api {
    rejected: || {
        let error = json!({ "message": "log in", "extensions": { "code": "UNAUTHENTICATED" } });
        (StatusCode::OK, json!({ "errors": [error], "data": null }))
    },
    is_rejection: is_graphql_rejection,
};

const JSON_RPC: Api = Api {
    rejected: || {
        let error = json!({ "code": -32001, "message": "log in" });
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "error": error });
        (StatusCode::OK, answer)
    },
    is_rejection: is_json_rpc_rejection,
};

/// A gateway in front of the API may answer by the status alone.
const GATEWAY: Api = Api {
    rejected: || (StatusCode::UNAUTHORIZED, Value::Null),
    is_rejection: is_graphql_rejection,
};

struct Scene {
    api: Api,
    good: Arc<AtomicUsize>,
    posts: Arc<AtomicUsize>,
    issuer: Issuer,
    provider: CachedProvider,
    client: BearerAuth<HttpClient>,
    url: String,
    server: JoinHandle<()>,
}

impl Scene {
    /// The API answers rejected requests when so many have come.
    async fn new(api: Api, gathered: usize) -> Self {
        let (good, posts) = (Arc::new(AtomicUsize::new(1)), Arc::default());
        let (accepted, counted) = (Arc::clone(&good), Arc::<AtomicUsize>::clone(&posts));
        let gathered = Arc::new(Barrier::new(gathered));
        let answer = async move |headers: HeaderMap, Json(document): Json<Value>| {
            counted.fetch_add(1, SeqCst);
            let good = format!("Bearer token-{}", accepted.load(SeqCst));
            if headers["authorization"] == *good {
                return (StatusCode::OK, Json(json!({ "data": document })));
            }
            gathered.wait().await;
            let (status, answer) = (api.rejected)();
            (status, Json(answer))
        };
        let app = Router::new().route("/", post(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        let issuer = Issuer::new();
        // Its time stands still: no pause ends during a test.
        let provider = patient(issuer.clone()).clock(HandClock::new()).build();
        let layer = BearerAuthLayer::new(provider.clone(), Origins::new(&url).unwrap());
        Self {
            api,
            good,
            posts,
            issuer,
            provider,
            client: layer.layer(http_client()),
            url,
            server,
        }
    }

    /// Posts a document. Returns whether it was answered.
    async fn post(&self) -> Result<bool, BoxError> {
        let (client, document) = (self.client.clone(), json!({ "query": "{ me }" }));
        let is_rejection = self.api.is_rejection;
        let answer = post_judged(client, &self.provider, &self.url, &document, is_rejection);
        Ok(answer.await?["data"] == document)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test]
async fn a_rejection_in_a_body_is_repeated_with_a_new_token() {
    for api in [GRAPHQL, JSON_RPC, GATEWAY] {
        let scene = Scene::new(api, 1).await;
        assert!(scene.post().await.unwrap());
        // The second login is made only if the answer with the first one's token was reported.
        for token in [2, 3] {
            scene.good.store(token, SeqCst);
            assert!(scene.post().await.unwrap());
        }
        assert_eq!((scene.issuer.logins(), scene.posts.load(SeqCst)), (3, 5));
    }
}

// The figures would differ if the layer had counted each 200 as an acceptance.
#[tokio::test]
async fn an_api_that_rejects_every_token_causes_one_login_and_not_one_a_request() {
    for api in [GRAPHQL, JSON_RPC] {
        let scene = Scene::new(api, 1).await;
        assert!(scene.post().await.unwrap());
        scene.good.store(0, SeqCst);
        for _ in 0..10 {
            assert!(!scene.post().await.unwrap());
        }
        assert_eq!((scene.issuer.logins(), scene.posts.load(SeqCst)), (2, 12));
    }
}

#[tokio::test]
async fn a_hundred_requests_that_are_rejected_in_their_bodies_share_one_login() {
    for (name, api) in [("graphql", GRAPHQL), ("json_rpc", JSON_RPC)] {
        let scene = Arc::new(Scene::new(api, 100).await);
        assert!(scene.post().await.unwrap());
        scene.good.store(2, SeqCst);
        let posts = (0..100).map(|_| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.post().await.unwrap() })
        });
        let mut failed = 0;
        for post in posts.collect::<Vec<_>>() {
            failed += usize::from(!post.await.unwrap());
        }
        let (logins, posts) = (scene.issuer.logins() - 1, scene.posts.load(SeqCst) - 1);
        println!(
            "figure: judged-{name} requests=100 sends={posts} failed={failed} logins={logins}"
        );
        assert_eq!((failed, logins, posts), (0, 1, 200));
    }
}

// A page of a proxy between two rejections is no acceptance: else each login would seem to have helped.
#[tokio::test]
async fn a_success_without_json_is_an_error_and_no_acceptance() {
    let issuer = Issuer::new();
    let provider = patient(issuer.clone()).clock(HandClock::new()).build();
    let posts = AtomicUsize::new(0);
    let api = service_fn(|_: Request<Full<Bytes>>| {
        let answer = match posts.fetch_add(1, SeqCst) {
            0 => "{}".to_owned(),
            post if post % 2 == 0 => "<html>".to_owned(),
            _ => (GRAPHQL.rejected)().1.to_string(),
        };
        ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(
            answer,
        ))))
    });
    let client = BearerAuthLayer::new(provider.clone(), Origins::any_https()).layer(api);
    let url = "https://api.example.com/graphql";
    let document = json!({ "query": "{ me }" });
    let mut pages = 0;
    for _ in 0..10 {
        let client = client.clone();
        let answer = post_judged(client, &provider, url, &document, is_graphql_rejection).await;
        pages += usize::from(answer.is_err_and(|error| error.is::<serde_json::Error>()));
    }
    // The second document was posted twice: rejected, and answered with a page.
    assert_eq!((pages, posts.load(SeqCst)), (5, 11));
    assert_eq!(issuer.logins(), 2);
}

// Each login seems to help, since the provider is reset meanwhile.
#[tokio::test]
async fn a_document_is_posted_twice_at_most() {
    let provider = CachedProvider::new(Issuer::new());
    let (reset, posts) = (provider.clone(), AtomicUsize::new(0));
    let api = service_fn(|_: Request<Full<Bytes>>| {
        assert!(posts.fetch_add(1, SeqCst) < 2, "posted again");
        reset.reset();
        let answer = (GRAPHQL.rejected)().1.to_string();
        ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(
            answer,
        ))))
    });
    let client = BearerAuthLayer::new(provider.clone(), Origins::any_https()).layer(api);
    let url = "https://api.example.com/graphql";
    let document = json!({ "query": "{ me }" });
    let answer = post_judged(client, &provider, url, &document, is_graphql_rejection).await;
    assert!(is_graphql_rejection(&answer.unwrap()));
    assert_eq!(posts.load(SeqCst), 2);
}

#[test]
fn a_lack_of_permission_is_no_rejection() {
    let graphql = |code: &str| json!({ "errors": [{}, { "extensions": { "code": code } }] });
    assert!(is_graphql_rejection(&graphql("UNAUTHENTICATED")));
    assert!(!is_graphql_rejection(&graphql("FORBIDDEN")));
    assert!(!is_graphql_rejection(&json!({ "errors": [] })));
    assert!(!is_graphql_rejection(&json!({ "data": {} })));
    let json_rpc = |code: i32| json!({ "error": { "code": code } });
    assert!(is_json_rpc_rejection(&json_rpc(-32001)));
    assert!(!is_json_rpc_rejection(&json_rpc(-32003)));
    assert!(!is_json_rpc_rejection(&json!({ "result": 1 })));
}
