//! Client stacks that the layer must fit (STACKS.md).

#[path = "recipes/axum.rs"]
mod axum_recipe;
mod support;

use std::{
    collections::HashSet,
    convert::Infallible,
    marker::PhantomData,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use axum_recipe::pass_on;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::AUTHORIZATION};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use support::{
    Api, HandClock, HttpClient, Issuer, http_client, origins, patient,
    quable::{PASSWORD, StandIn, USER},
    request,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::codegen::tokio_stream;
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::{Buffer, BufferLayer},
    limit::{ConcurrencyLimit, RateLimit, rate::Rate},
    load_shed::LoadShedLayer,
    retry::{Policy, Retry},
    service_fn,
    timeout::Timeout,
    util::{BoxCloneSyncService, BoxService},
};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, CachedProvider, Credential, Lifetime, LoginError, Origins,
    ResponseFuture, StaticProvider, login_fn, presets::Quable,
};
use tower_http::timeout::TimeoutLayer;

fn layer(issuer: &Issuer) -> BearerAuthLayer {
    BearerAuthLayer::new(patient(issuer.clone()).build(), origins())
}

/// Sends ten requests at once through each clone of a stack: all are answered, with one login.
async fn assert_serves<S>(stack: S, issuer: &Issuer)
where
    S: Service<Request<()>, Response = Response<String>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
{
    let requests: Vec<_> = (0..10)
        .map(|_| tokio::spawn(stack.clone().oneshot(request())))
        .collect();
    for response in requests {
        let response = tokio::time::timeout(Duration::from_secs(3600), response).await;
        let response = response.expect("no hang").unwrap().map_err(Into::into);
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(issuer.logins(), 1);
}

/// The layer itself, and the layers around and under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Ours,
    Buffer,
    ConcurrencyLimit,
    Timeout,
    Retry,
    RateLimit,
}

/// Retries up to three times if the server is busy.
#[derive(Clone)]
struct RetryBusy(usize);

impl Policy<Request<()>, Response<String>, BoxError> for RetryBusy {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        outcome: &mut Result<Response<String>, BoxError>,
    ) -> Option<Self::Future> {
        let is_busy = matches!(outcome, Ok(answer) if answer.status() == BUSY);
        self.0 = self.0.checked_sub(1)?;
        is_busy.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

type Boxed = BoxService<Request<()>, Response<String>, BoxError>;
type BoxedClone = BoxCloneSyncService<Request<()>, Response<String>, BoxError>;

/// A partial stack. One that is not `Clone` stays so until a Buffer is added.
enum Stack {
    Clone(BoxedClone),
    Single(Boxed),
}

impl Stack {
    /// A stack that is `Clone`, with a Buffer if necessary.
    fn into_clone(self) -> BoxedClone {
        match self {
            Self::Clone(service) => service,
            Self::Single(service) => BoxCloneSyncService::new(Buffer::new(service, 1)),
        }
    }

    fn under(self, part: Part, ours: &BearerAuthLayer) -> Self {
        let long = Duration::from_secs(600);
        match (part, self) {
            (Part::Ours, stack) => {
                Self::Clone(BoxCloneSyncService::new(ours.layer(stack.into_clone())))
            }
            (Part::Retry, stack) => {
                let retry = Retry::new(RetryBusy(3), stack.into_clone());
                Self::Clone(BoxCloneSyncService::new(retry))
            }
            (Part::Buffer, Self::Clone(service)) => {
                Self::Clone(BoxCloneSyncService::new(Buffer::new(service, 1)))
            }
            (Part::Buffer, Self::Single(service)) => {
                Self::Clone(BoxCloneSyncService::new(Buffer::new(service, 1)))
            }
            (Part::ConcurrencyLimit, Self::Clone(service)) => {
                Self::Clone(BoxCloneSyncService::new(ConcurrencyLimit::new(service, 1)))
            }
            (Part::ConcurrencyLimit, Self::Single(service)) => {
                Self::Single(BoxService::new(ConcurrencyLimit::new(service, 1)))
            }
            (Part::Timeout, Self::Clone(service)) => {
                Self::Clone(BoxCloneSyncService::new(Timeout::new(service, long)))
            }
            (Part::Timeout, Self::Single(service)) => {
                Self::Single(BoxService::new(Timeout::new(service, long)))
            }
            (Part::RateLimit, Self::Clone(service)) => {
                let rate = Rate::new(50, Duration::from_secs(1));
                Self::Single(BoxService::new(RateLimit::new(service, rate)))
            }
            (Part::RateLimit, Self::Single(_)) => unreachable!("all other parts are Clone"),
        }
    }
}

/// All orders of these parts.
fn orders(parts: &[Part]) -> Vec<Vec<Part>> {
    if parts.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in parts.iter().enumerate() {
        let rest = [&parts[..at], &parts[at + 1..]].concat();
        for mut order in orders(&rest) {
            order.insert(0, *first);
            all.push(order);
        }
    }
    all
}

/// Sends a hundred requests at once through the parts in this order, innermost first, with an
/// expired token. Returns the number of 200 responses and of logins.
async fn expired_under_load(order: &[Part]) -> (usize, usize) {
    const REQUESTS: usize = 100;
    let issuer = Issuer::new()
        .with_delay(Duration::from_millis(50))
        .with_lifetime(Duration::from_secs(3600));
    let ours = layer(&issuer);
    ours.provider().acquire().await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;

    let api = Api::new();
    api.accept_login(2);
    let came = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |request: Request<()>| {
        let response = api.service().oneshot(request);
        // Every fifth request is turned away, so Retry runs too.
        let is_busy = came.fetch_add(1, SeqCst) % 5 == 4;
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let mut response = response.await?;
            if is_busy {
                assert_eq!(response.status(), StatusCode::OK);
                *response.status_mut() = BUSY;
            }
            Ok::<_, BoxError>(response)
        }
    });
    let mut stack = Stack::Clone(BoxCloneSyncService::new(service));
    for part in order {
        stack = stack.under(*part, &ours);
    }
    let stack = stack.into_clone();
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| tokio::spawn(stack.clone().oneshot(request())))
        .collect();
    let mut answered = 0;
    for response in requests {
        let response = tokio::time::timeout(Duration::from_secs(3600), response).await;
        let is_ok = |response: Result<Result<Response<_>, BoxError>, _>| {
            response.is_ok_and(|it| it.is_ok_and(|it| it.status() == StatusCode::OK))
        };
        answered += usize::from(response.is_ok_and(is_ok));
    }
    (answered, issuer.logins() - 1)
}

// T6
#[tokio::test(start_paused = true)]
async fn it_fits_around_and_under_other_layers_in_every_order() {
    let orders = orders(&[
        Part::Ours,
        Part::Buffer,
        Part::ConcurrencyLimit,
        Part::Timeout,
        Part::Retry,
        Part::RateLimit,
    ]);
    let different: HashSet<_> = orders.iter().collect();
    assert_eq!(different.len(), orders.len());
    let page = include_str!("../src/guide/layer_order.rs");
    assert!(page.contains(&format!("All {} orders of this layer", orders.len())));
    let mut failed = Vec::new();
    for order in &orders {
        let outcome = expired_under_load(order).await;
        if outcome != (100, 1) {
            failed.push((order, outcome));
        }
    }
    println!(
        "figure: T6 orders={} requests_each=100 logins_each=1 failed={}",
        orders.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:#?}");
}

// T6: a load shedder sheds no request that lacks a token, and one bearer layer can wrap another.
#[tokio::test(start_paused = true)]
async fn it_fits_around_and_under_a_load_shedder_and_another_bearer_layer() {
    let issuer = || Issuer::new().with_delay(Duration::from_millis(50));
    let api = Api::new();

    let i = issuer();
    let shedding = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(layer(&i));
    assert_serves(shedding.service(api.service()), &i).await;

    let i = issuer();
    let shedding = ServiceBuilder::new()
        .layer(layer(&i))
        .layer(LoadShedLayer::new());
    assert_serves(shedding.service(api.service()), &i).await;

    let i = issuer();
    let twice = ServiceBuilder::new()
        .layer(
            BearerAuthLayer::new(StaticProvider::new("outer").unwrap(), origins())
                .with_header_name(http::HeaderName::from_static("x-outer")),
        )
        .layer(layer(&i));
    assert_serves(twice.service(api.service()), &i).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_it_covers_the_login_and_one_under_it_does_not() {
    let api = Api::new();
    let second = Duration::from_secs(1);
    let slow = Issuer::new().with_delay(second * 3);
    let outside = Timeout::new(layer(&slow).layer(api.service()), second);
    let error = outside.clone().oneshot(request()).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    tokio::time::sleep(second * 2).await;
    assert!(
        outside.oneshot(request()).await.is_ok(),
        "the login continued"
    );

    let slow = Issuer::new().with_delay(second * 3);
    let inside = layer(&slow).layer(Timeout::new(api.service(), second));
    assert!(inside.oneshot(request()).await.is_ok());
}

// T7
#[tokio::test]
async fn a_boxed_clone_is_one_nameable_sync_type() {
    struct Library {
        client: BoxCloneSyncService<Request<()>, Response<String>, BoxError>,
    }
    let issuer = Issuer::new();
    let library = Library {
        client: BoxCloneSyncService::new(layer(&issuer).layer(Api::new().service())),
    };
    assert_serves(library.client, &issuer).await;
}

/// A library's client: no closure, no boxed service, no type parameter.
struct Library {
    client: BearerAuth<HttpClient>,
}

#[tokio::test]
async fn a_library_names_its_client_in_a_struct() {
    fn assert_send_sync<T: Send + Sync + Clone + std::fmt::Debug + Unpin + 'static>(_: &T) {}
    let http = http_client();
    let login = login_fn(|_| async { Ok(Credential::new("abc")?) });
    let provider = patient(login).build();
    let library = Library {
        client: BearerAuthLayer::new(provider, origins()).layer(http),
    };
    assert_send_sync(&library.client);
    let mut client = library.client;
    let future: ResponseFuture<HttpClient, CachedProvider, Full<Bytes>> =
        client.call(Request::new(Full::default()));
    // F18: no guard of a snapshot is held over an await.
    fn assert_send<T: Send + 'static>(_: &T) {}
    assert_send(&future);
    println!("figure: F18 T7 held_by=compiler");
}

// STACKS.md, lesson 13: `&Client` is a service too, and lives less than 'static.
#[tokio::test]
async fn it_wraps_a_borrowed_client() {
    let api = StandIn::start().await;
    let http = http_client();
    let quable = Quable::base_url(&api.base_url()).unwrap();
    let login = quable.login(http.clone(), USER, PASSWORD, Lifetime::Announced);
    let layer = quable.layer_with(patient(login).build());
    let mut client = layer.layer(&http);
    for page in 1..=2 {
        let request = Request::get(api.products(page))
            .body(Full::default())
            .unwrap();
        let response = client.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(api.counts().logins, 1);
}

/// A service that is neither `Send` nor `'static`, for bodies that are neither.
#[derive(Clone)]
struct Local<'a>(PhantomData<&'a Rc<()>>);

impl<'a> Service<Request<(Rc<str>, &'a str)>> for Local<'a> {
    type Response = Response<(Rc<str>, &'a str)>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<(Rc<str>, &'a str)>) -> Self::Future {
        std::future::ready(Ok(Response::new(request.into_body())))
    }
}

#[tokio::test]
async fn services_and_bodies_need_not_be_send_or_static() {
    let owned = String::from("borrowed");
    let mut service = layer(&Issuer::new()).layer(Local(PhantomData));
    for _ in 0..2 {
        let body: (Rc<str>, &str) = (Rc::from("rc"), &owned);
        let request = Request::get(support::URL).body(body).unwrap();
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(*response.body(), (Rc::from("rc"), "borrowed"));
    }
}

#[derive(Clone)]
struct Gateway {
    client: BearerAuth<HttpClient>,
    products: Uri,
}

async fn first_page(State(mut gateway): State<Gateway>) -> Result<Bytes, StatusCode> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = gateway.products.clone();
    let client = gateway
        .client
        .ready()
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)?;
    let response = client
        .call(request)
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)?;
    let body = response.into_body().collect().await;
    Ok(body.map_err(|_| StatusCode::BAD_GATEWAY)?.to_bytes())
}

#[tokio::test]
async fn an_axum_handler_keeps_the_client_in_its_state() {
    let api = StandIn::start().await;
    let http = http_client();
    let quable = Quable::base_url(&api.base_url()).unwrap();
    let login = quable.login(http.clone(), USER, PASSWORD, Lifetime::Announced);
    let layer = quable.layer_with(patient(login).build());
    let gateway = Gateway {
        client: layer.layer(http.clone()),
        products: api.products(1).parse().unwrap(),
    };
    let app = Router::new()
        .route("/", get(first_page))
        .with_state(gateway);
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let request = Request::get("/").body(axum::body::Body::empty()).unwrap();
            tokio::spawn(app.clone().oneshot(request))
        })
        .collect();
    for response in requests {
        assert_eq!(response.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(api.counts().logins, 1);
    assert_eq!(api.counts().ok, 20);
}

/// An API over a socket that accepts the token of one login, and the recipe of the guide's page on axum as a
/// service in front of it.
struct Front {
    good: Arc<AtomicUsize>,
    /// The authorization and the cookie of each request that reached the API, and its body.
    seen: Arc<Mutex<Vec<(String, bool, Bytes)>>>,
    issuer: Issuer,
    provider: CachedProvider,
    app: Router,
    url: String,
    servers: [JoinHandle<()>; 2],
}

async fn serve(app: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    (url, server)
}

impl Front {
    async fn start(issuer: Issuer) -> Self {
        let good = Arc::new(AtomicUsize::new(1));
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let (accepted, noted) = (Arc::clone(&good), Arc::clone(&seen));
        let api = Router::new().fallback(move |headers: HeaderMap, body: axum::body::Body| {
            let sent = headers[AUTHORIZATION].to_str().unwrap().to_owned();
            let is_good = sent == format!("Bearer token-{}", accepted.load(SeqCst));
            let noted = Arc::clone(&noted);
            async move {
                if !is_good {
                    return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")])
                        .into_response();
                }
                let body = body.collect().await.unwrap().to_bytes();
                let has_cookie = headers.contains_key("cookie");
                noted.lock().unwrap().push((sent, has_cookie, body));
                StatusCode::CREATED.into_response()
            }
        });
        let (origin, api) = serve(api).await;
        // Its time stands still: no pause ends during a test.
        let provider = patient(issuer.clone()).clock(HandClock::new()).build();
        let state = axum_recipe::Api::new(&origin, provider.clone()).unwrap();
        let app = Router::new()
            .route("/create", post(axum_recipe::create))
            .route("/streamed", post(pass_on::<axum::body::Body>))
            .fallback(pass_on::<Bytes>)
            .with_state(state);
        let (url, front) = serve(app.clone()).await;
        Self {
            good,
            seen,
            issuer,
            provider,
            app,
            url,
            servers: [api, front],
        }
    }

    /// Sends a POST to the service.
    async fn post(&self, path: &str) -> Response<hyper::body::Incoming> {
        let request = Request::post(format!("{}{path}", self.url));
        let request = request.body(Full::from("hello")).unwrap();
        http_client().oneshot(request).await.unwrap()
    }

    /// Revokes the current token. The next login's is good.
    fn revoke(&self) {
        self.good.fetch_add(1, SeqCst);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

#[tokio::test]
async fn handlers_and_a_gateway_of_axum_replay_bodies_that_are_bytes() {
    let front = Front::start(Issuer::new()).await;
    assert_eq!(front.post("/create").await.status(), StatusCode::CREATED);
    front.revoke();
    let http = http_client();
    let posts = (0..100).map(|number| {
        let path = ["create", "passed/on"][number % 2];
        let request = Request::post(format!("{}/{path}", front.url));
        let request = request.body(Full::from("hello")).unwrap();
        tokio::spawn(http.clone().oneshot(request))
    });
    let mut failed = 0;
    for post in posts.collect::<Vec<_>>() {
        failed += usize::from(post.await.unwrap().unwrap().status() != StatusCode::CREATED);
    }
    let logins = front.issuer.logins() - 1;
    println!("figure: ready-axum_service requests=100 failed={failed} logins={logins}");
    assert_eq!((failed, logins), (0, 1));
    let seen = front.seen.lock().unwrap();
    assert_eq!(seen.len(), 101);
    assert!(seen.iter().all(|(_, _, body)| body == "hello"));
}

#[tokio::test]
async fn a_gateway_of_axum_streams_and_the_request_after_a_rejected_stream_is_good() {
    let front = Front::start(Issuer::new()).await;
    assert_eq!(front.post("/streamed").await.status(), StatusCode::CREATED);
    front.revoke();
    // This body never ends.
    let body = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let http = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("{}/streamed", front.url)).body(body);
    let rejected = http.request(request.unwrap()).await.unwrap();
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(front.post("/streamed").await.status(), StatusCode::CREATED);
    assert_eq!(front.issuer.logins(), 2);
}

#[tokio::test]
async fn a_gateway_of_axum_keeps_what_is_the_users_own() {
    let front = Front::start(Issuer::new()).await;
    for is_http2 in [false, true] {
        let http = Client::builder(TokioExecutor::new())
            .http2_only(is_http2)
            .build_http::<Full<Bytes>>();
        for path in ["/streamed", "/passed/on?page=2"] {
            let request = Request::post(format!("{}{path}", front.url))
                .header(AUTHORIZATION, "Bearer of-the-user")
                .header("cookie", "session=1")
                .body(Full::from("hello"))
                .unwrap();
            let answer = http.request(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED);
            let seen = front.seen.lock().unwrap().pop().unwrap();
            let expected = ("Bearer token-1".to_owned(), false, Bytes::from("hello"));
            assert_eq!(seen, expected, "http2: {is_http2}");
        }
    }
}

#[tokio::test]
async fn an_axum_service_answers_for_its_api() {
    let front = Front::start(Issuer::new()).await;
    front.good.store(0, SeqCst);
    let rejected = front.post("/create").await;
    assert_eq!(
        rejected.status(),
        StatusCode::BAD_GATEWAY,
        "on the replay too"
    );
    assert!(!rejected.headers().contains_key("www-authenticate"));

    let failures: [fn() -> LoginError; 2] = [
        || LoginError::retry_after("offline", Duration::from_secs(7)),
        || LoginError::permanent("wrong password"),
    ];
    let statuses = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::INTERNAL_SERVER_ERROR,
    ];
    for (failure, status) in failures.into_iter().zip(statuses) {
        let front = Front::start(Issuer::new()).await;
        front.issuer.fail_with(move || failure().into());
        let failed = front.post("/create").await;
        assert_eq!(failed.status(), status);
        let pause = failed.headers().get("retry-after");
        let is_given = pause.is_some_and(|pause| pause == "8");
        assert_eq!(is_given, status == StatusCode::SERVICE_UNAVAILABLE);
        front.issuer.recover();
        front.provider.reset();
        front.good.store(2, SeqCst);
        assert_eq!(front.post("/create").await.status(), StatusCode::CREATED);
    }

    let front = Front::start(Issuer::new()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let state = axum_recipe::Api::new(&closed, front.provider.clone()).unwrap();
    let app = Router::new()
        .fallback(axum_recipe::create)
        .with_state(state);
    let unreachable = app.oneshot(Request::post("/").body(axum::body::Body::empty()).unwrap());
    assert_eq!(unreachable.await.unwrap().status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_an_axum_handler_does_not_end_the_login() {
    let minute = Duration::from_secs(60);
    let front = Front::start(Issuer::new().with_delay(minute * 30)).await;
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, minute * 10);
    let app = front.app.clone().layer(timeout);
    let request = || {
        Request::post("/create")
            .body(axum::body::Body::empty())
            .unwrap()
    };
    let given_up = app.clone().oneshot(request()).await.unwrap();
    assert_eq!(given_up.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(front.issuer.finished(), 0);

    front.provider.acquire().await.unwrap();
    // Sockets need real time.
    tokio::time::resume();
    let answered = app.oneshot(request()).await.unwrap();
    assert_eq!(answered.status(), StatusCode::CREATED);
    assert_eq!(front.issuer.logins(), 1);
}

#[tokio::test]
async fn it_wraps_a_tonic_channel_whose_uris_are_paths() {
    let app = Router::new().route(
        "/package.Service/Method",
        post(|headers: HeaderMap| async move {
            let header = headers[AUTHORIZATION].to_str().unwrap().to_owned();
            ([("seen", header), ("grpc-status", "0".to_owned())], "")
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async { axum::serve(listener, app).await });

    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let origins = Origins::new([format!("http://{address}")]).unwrap();
    let provider = patient(Issuer::new()).build();
    let channel = BearerAuthLayer::new(provider, origins).layer(endpoint.connect_lazy());
    for _ in 0..2 {
        let request = Request::post("/package.Service/Method")
            .body(tonic::body::Body::empty())
            .unwrap();
        let response = channel.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["seen"], "Bearer token-1");
    }

    fn assert_fits_generated_clients<C: tonic::client::GrpcService<tonic::body::Body>>(_: &C) {}
    assert_fits_generated_clients(&channel);
    server.abort();
}

#[tokio::test]
async fn it_wraps_a_client_with_another_body_type() {
    let client: Client<_, axum::body::Body> = Client::builder(TokioExecutor::new()).build_http();
    let service = layer(&Issuer::new()).layer(client);
    let request = Request::get("https://api.example.com/").body(axum::body::Body::empty());
    // A plain HTTP connector refuses https: the error is the connector's.
    let error = service.oneshot(request.unwrap()).await.unwrap_err();
    assert!(error.is::<hyper_util::client::legacy::Error>(), "{error}");
}

#[tokio::test]
async fn a_service_that_is_not_clone_needs_only_a_buffer() {
    struct NotClone;
    impl Service<Request<()>> for NotClone {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<String>, Infallible>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<()>) -> Self::Future {
            std::future::ready(Ok(Response::new(String::new())))
        }
    }
    let issuer = Issuer::new();
    let stack = ServiceBuilder::new()
        .layer(layer(&issuer))
        .layer(BufferLayer::new(16))
        .service(NotClone);
    assert_serves(stack, &issuer).await;
}

#[tokio::test]
async fn accessors_reach_provider_and_inner_service() {
    let provider = CachedProvider::new(Issuer::new());
    let layer = BearerAuthLayer::new(provider, origins());
    layer.provider().acquire().await.unwrap();
    let mut service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(()))
    }));
    assert!(service.provider().current().is_some());
    let _ = service.get_ref();
    let _ = service.get_mut();
    assert!(service.into_inner().oneshot(request()).await.is_ok());
}
