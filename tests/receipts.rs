//! What the provider learns about a request: its generation, target and account.

mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use http::{Method, Request, Response, StatusCode};
use support::{Api, Issuer, URL, origins, request};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::{
    Authorization, BearerAuthLayer, CachedProvider, CredentialProvider, Error, PerRequest, Reason,
    Receipt, Rejected, RejectionReport, Replay, ReplayWith, RequestHead, Scheme, Token, Verdict,
    test_util::ScriptedProvider,
};

fn authorization(token: &str) -> Authorization {
    Authorization::new(Scheme::BEARER, &Token::new(token).unwrap())
}

/// Records each call.
#[derive(Clone)]
struct Recorder {
    held: [Authorization; 2],
    calls: Arc<Mutex<Vec<(&'static str, Receipt)>>>,
}

impl Recorder {
    fn new(held: [Authorization; 2]) -> Self {
        Self {
            held,
            calls: Arc::default(),
        }
    }

    fn record(&self, what: &'static str, receipt: Receipt) {
        self.calls.lock().unwrap().push((what, receipt));
    }

    fn take_calls(&self) -> Vec<(&'static str, Receipt)> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl CredentialProvider for Recorder {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
        Some(self.held[0].clone())
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        self.record("acquire", head.rejected.unwrap());
        ready(Ok(self.held[1].clone()))
    }

    fn sent(&self, receipt: Receipt) {
        self.record("sent", receipt);
    }

    fn accept(&self, receipt: Receipt) {
        self.record("accept", receipt);
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        self.record("reject", rejected.receipt);
        assert_eq!(rejected.status, Some(StatusCode::UNAUTHORIZED));
        assert_eq!(rejected.headers.unwrap()["x-why"], "expired");
        Verdict::new(Reason::Current)
    }
}

#[tokio::test]
async fn a_provider_gets_the_receipt_of_each_request_and_replay() {
    let held = [authorization("first"), authorization("second")].map(|it| it.with_account(7));
    let recorder = Recorder::new(held.clone());
    let api = service_fn(|request: Request<()>| async move {
        let is_good = request.headers()["authorization"] == "Bearer second";
        let status = if is_good { 200 } else { 401 };
        let response = Response::builder()
            .status(status)
            .header("x-why", "expired");
        Ok::<_, Infallible>(response.body(()).unwrap())
    });
    let layer =
        BearerAuthLayer::new(recorder.clone(), origins()).replay(ReplayWith(|(): &()| Some(())));
    let request = Request::delete("https://api.example.com/things/1?force=1").body(());
    let response = layer.layer(api).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let [first, second] = held.map(|held| {
        let (generation, account) = (held.generation(), held.account());
        Receipt::new(generation, account, &Method::DELETE, "/things/1")
    });
    assert_eq!((first.account(), first.target()), (7, second.target()));
    assert_eq!(
        recorder.take_calls(),
        [
            ("sent", first),
            ("reject", first),
            ("acquire", first),
            ("sent", second),
            ("accept", second)
        ]
    );
}

// A request must not be sent with another account.
#[tokio::test]
async fn no_request_is_replayed_under_another_account() {
    let held = [
        authorization("mine"),
        authorization("yours").with_account(1),
    ];
    let api = Api::new();
    let recorder = Recorder::new(held);
    let answered = api.service().map_response(|mut response| {
        let why = http::HeaderValue::from_static("expired");
        response.headers_mut().insert("x-why", why);
        response
    });
    let layer = BearerAuthLayer::new(recorder, origins()).replay(ReplayWith(|(): &()| Some(())));
    let error = layer.layer(answered).oneshot(request()).await.unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(
        error.to_string().contains("belongs to another account")
            && !error.to_string().contains("no newer authorization")
    );
    assert!(error.to_string().contains("another account"), "{error}");
    assert_eq!(api.record().len(), 1);
}

#[tokio::test]
async fn a_cached_provider_names_its_account() {
    let provider = CachedProvider::builder(Issuer::new()).account(3).build();
    assert_eq!(provider.acquire().await.unwrap().account(), 3);
    let issuer = Issuer::new();
    assert_eq!(
        CachedProvider::new(issuer)
            .acquire()
            .await
            .unwrap()
            .account(),
        0
    );
}

// A service that sends more than two requests makes its own copy.
#[tokio::test]
async fn a_long_lived_service_names_its_account() {
    let provider = CachedProvider::builder(Issuer::new()).account(7).build();
    let api = Api::new();
    let mut service = BearerAuthLayer::new(provider, origins()).layer(api.service());
    for expected in [200, 200, 200, 200, 401] {
        if expected == 401 {
            api.accept_login(2);
        }
        let per_request = PerRequest::new();
        let request = Request::get(URL).extension(per_request.clone()).body(());
        let service = service.ready().await.unwrap();
        let response = service.call(request.unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
        let receipt = per_request.receipt().unwrap();
        assert_eq!(receipt.account(), 7);
        let report = response.extensions().get::<RejectionReport>();
        let reported = report.map(|report| report.generation().unwrap());
        assert_eq!(reported, (expected == 401).then_some(receipt.generation()));
    }
}

// A response that only the caller can judge counts neither as an acceptance nor as a rejection.
#[tokio::test]
async fn the_layer_reports_nothing_for_a_request_judged_by_its_caller() {
    for status in [200, 401] {
        let provider = ScriptedProvider::new(["one", "two"]).unwrap();
        let api = service_fn(move |_: Request<()>| async move {
            let response = Response::builder().status(status).body(()).unwrap();
            Ok::<_, Infallible>(response)
        });
        let layer = BearerAuthLayer::new(provider.clone(), origins())
            .replay(ReplayWith(|(): &()| Some(())));
        let service = layer.layer(api);
        let per_request = PerRequest::new().judged_by_caller();
        assert!(per_request.is_judged_by_caller());
        let marked = Request::get(URL).extension(per_request.clone()).body(());
        let response = service.clone().oneshot(marked.unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(
            (provider.accepted().len(), provider.rejected().len()),
            (0, 0)
        );
        let receipt = per_request.receipt().unwrap();
        let verdict = provider.reject(&Rejected::by_hand(receipt));
        assert_eq!(verdict.reason(), Reason::Current);
        provider.accept(receipt);
        assert_eq!(
            (provider.accepted(), provider.rejected()),
            (vec![receipt], vec![receipt])
        );
        // Otherwise the layer judges.
        let judged = Request::get(URL).extension(PerRequest::new()).body(());
        service.oneshot(judged.unwrap()).await.unwrap();
        assert_eq!(provider.accepted().len() + provider.rejected().len(), 3);
    }
}

/// Keeps a request depending on its path, and gives its body back or not.
struct ByPath;

impl Replay<&'static str> for ByPath {
    type Kept = &'static str;

    fn keep(
        &self,
        head: RequestHead<'_>,
        body: &'static str,
    ) -> (&'static str, Option<Self::Kept>) {
        assert!(!head.headers.contains_key("authorization"));
        let kept = (head.uri.path() != "/once").then_some(body);
        ("taken apart", kept)
    }

    fn again(&self, kept: Self::Kept) -> Option<&'static str> {
        (kept != "gone").then_some(kept)
    }
}

#[tokio::test]
async fn a_policy_sees_the_head_takes_the_body_and_can_decline_the_replay() {
    let send = async |path: &str, body| {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        let api = service_fn(move |request: Request<&'static str>| {
            let is_first = request.headers()["authorization"] == "Bearer token-1";
            seen.lock().unwrap().push(request.into_body());
            let status = if is_first { 401 } else { 200 };
            ready(Ok::<_, Infallible>(
                Response::builder().status(status).body("intact").unwrap(),
            ))
        });
        let provider = CachedProvider::new(Issuer::new());
        let layer = BearerAuthLayer::new(provider, origins()).replay(ByPath);
        let request = Request::post(format!("https://api.example.com{path}")).body(body);
        let response = layer.layer(api).oneshot(request.unwrap()).await.unwrap();
        assert_eq!(*response.body(), "intact");
        let sent = std::mem::take(&mut *sent.lock().unwrap());
        (response.status().as_u16(), sent)
    };
    assert_eq!(send("/", "body").await, (200, vec!["taken apart", "body"]));
    assert_eq!(send("/once", "body").await, (401, vec!["taken apart"]));
    assert_eq!(send("/", "gone").await, (401, vec!["taken apart"]));
}

/// Keeps each body, and counts them.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Replay<()> for Counting {
    type Kept = ();

    fn keep(&self, _: RequestHead<'_>, (): ()) -> ((), Option<()>) {
        self.0.fetch_add(1, SeqCst);
        ((), Some(()))
    }

    fn again(&self, (): ()) -> Option<()> {
        Some(())
    }
}

#[tokio::test]
async fn nothing_is_kept_of_a_request_judged_by_its_caller() {
    let kept = Counting::default();
    let provider = CachedProvider::new(Issuer::new());
    let layer = BearerAuthLayer::new(provider.clone(), origins()).replay(kept.clone());
    let api = Api::new();
    api.accept_all();
    let send = async |per_request: PerRequest| {
        let request = Request::get(URL).extension(per_request).body(()).unwrap();
        layer.layer(api.service()).oneshot(request).await.unwrap();
        kept.0.swap(0, SeqCst)
    };
    // The first request of a pair waits for the login, the second does not.
    for _ in 0..2 {
        assert_eq!(send(PerRequest::new().judged_by_caller()).await, 0);
    }
    provider.reset();
    for _ in 0..2 {
        assert_eq!(send(PerRequest::new()).await, 1);
    }
}

/// Declares that it keeps nothing, and must not be called.
struct NeverAsked;

impl Replay<()> for NeverAsked {
    type Kept = ();

    const KEEPS: bool = false;

    fn keep(&self, _: RequestHead<'_>, (): ()) -> ((), Option<()>) {
        panic!("called, though it keeps nothing");
    }

    fn again(&self, (): ()) -> Option<()> {
        panic!("called, though it kept nothing");
    }
}

#[tokio::test]
async fn a_policy_that_keeps_nothing_is_never_called() {
    let api = Api::new();
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
    let service = layer.replay(NeverAsked).layer(api.service());
    // A request that waits for the login, one that does not, a rejected one, and one after a
    // rejection.
    for (accepted, expected) in [(1, 200), (1, 200), (2, 401), (2, 200)] {
        api.accept_login(accepted);
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
}

#[tokio::test]
async fn a_closure_needs_no_type_annotation() {
    let api = Api::new();
    api.accept_login(2);
    let provider = CachedProvider::new(Issuer::new());
    let layer = BearerAuthLayer::new(provider, origins()).replay_with::<(), _>(|_| Some(()));
    let response = layer.layer(api.service()).oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(layer.replays(), 1);
}
