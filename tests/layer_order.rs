//! What each layer does outside of `BearerAuth` and what it does inside: a test for each row of the
//! tables in `guide::layer_order`, and for two layers of ours in one stack.

mod support;

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Empty;
use support::{Api, Issuer, URL, origins, patient, request};
use tokio::time::{Instant, sleep};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    balance::p2c::Balance,
    buffer::Buffer,
    discover::ServiceList,
    hedge::{self, Hedge},
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer, RateLimit, rate::Rate},
    load::{CompleteOnResponse, PendingRequests},
    load_shed::LoadShedLayer,
    retry::{Policy, Retry},
    service_fn,
    timeout::{Timeout, error::Elapsed},
    util::{BoxCloneSyncService, BoxService},
};
use tower_bearer::{
    BearerAuthLayer, CachePolicy, CachedProvider, Credential, Error, KeyedProvider, NotReplayed,
    PerRequest, Reason, Receipt, Rejected, RejectionReport, ReplayEmpty, ReplayWith, login_fn,
};
use tower_http::{follow_redirect::FollowRedirectLayer, trace::TraceLayer};
use tower_test::mock;

const SECOND: Duration = Duration::from_secs(1);
const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

type Client = BoxCloneSyncService<Request<()>, Response<String>, BoxError>;
type Copy = ReplayWith<fn(&()) -> Option<()>>;

const REPLAYED: Copy = ReplayWith(|()| Some(()));

fn bearer(issuer: &Issuer) -> BearerAuthLayer {
    BearerAuthLayer::new(patient(issuer.clone()).build(), origins())
}

fn with_status(status: StatusCode) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response
}

/// An API that answers `after` a while.
fn answering(api: &Api, after: Duration) -> Client {
    let api = api.service::<()>();
    BoxCloneSyncService::new(service_fn(move |request| {
        let answer = api.clone().oneshot(request);
        async move {
            let answer = answer.await?;
            sleep(after).await;
            Ok(answer)
        }
    }))
}

/// The tokens that an API saw, in order.
fn tokens(api: &Api) -> Vec<String> {
    let record = api.record().into_iter();
    record.map(|(authorization, _)| authorization).collect()
}

// Outside: each hop is a request of its own. Inside: the redirect policy decides where the token goes,
// and a 401 of the other host costs a login.
#[tokio::test]
async fn follow_redirect() {
    type Hops = Arc<Mutex<Vec<(String, String)>>>;
    type Web = BoxCloneSyncService<Request<Empty<Bytes>>, Response<()>, BoxError>;

    /// One request for a page that redirects to another host, which answers with a 401. Then one more
    /// login, if the layer thinks that its token is dead. Returns the other host's header and the
    /// number of logins.
    async fn follow(is_outside: bool, header: &HeaderName) -> (String, usize) {
        let hops = Hops::default();
        let (record, name) = (Arc::clone(&hops), header.clone());
        let web = service_fn(move |request: Request<Empty<Bytes>>| {
            let host = request.uri().host().unwrap().to_owned();
            let token = request.headers().get(&name);
            let token = token.map_or("bare", |it| it.to_str().unwrap()).to_owned();
            let response = match host.as_str() {
                "api.example.com" => Response::builder()
                    .status(StatusCode::FOUND)
                    .header("location", "https://other.example.com/"),
                _ => Response::builder().status(StatusCode::UNAUTHORIZED),
            };
            record.lock().unwrap().push((host, token));
            ready(response.body(()).map_err(BoxError::from))
        });
        let issuer = Issuer::new();
        let layer = bearer(&issuer).with_header_name(header.clone());
        let redirects = FollowRedirectLayer::new();
        let stack = match is_outside {
            true => Web::new(
                ServiceBuilder::new()
                    .layer(redirects)
                    .layer(layer)
                    .service(web),
            ),
            false => Web::new(
                ServiceBuilder::new()
                    .layer(layer)
                    .layer(redirects)
                    .service(web),
            ),
        };
        for _ in 0..2 {
            let request = Request::get(URL).body(Empty::new()).unwrap();
            stack.clone().oneshot(request).await.unwrap();
        }
        let hops = hops.lock().unwrap();
        assert_eq!(hops[0], ("api.example.com".into(), "Bearer token-1".into()));
        assert_eq!(hops[1].0, "other.example.com");
        (hops[1].1.clone(), issuer.logins())
    }

    let other = HeaderName::from_static("x-session");
    for header in [&AUTHORIZATION, &other] {
        assert_eq!(follow(true, header).await, ("bare".to_owned(), 1));
    }
    assert_eq!(follow(false, &AUTHORIZATION).await, ("bare".to_owned(), 2));
    // tower-http removes `authorization`, and no other header.
    let leaked = ("Bearer token-1".to_owned(), 2);
    assert_eq!(follow(false, &other).await, leaked);
}

/// Retries busy servers and errors, and counts the retries.
#[derive(Clone)]
struct Retries {
    left: usize,
    count: Arc<AtomicUsize>,
}

impl Policy<Request<()>, Response<String>, BoxError> for Retries {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        outcome: &mut Result<Response<String>, BoxError>,
    ) -> Option<Ready<()>> {
        if outcome.as_ref().is_ok_and(|it| it.status() != BUSY) {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.count.fetch_add(1, SeqCst);
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

// Outside: each attempt gets the current token, and failed logins are retried too. Inside: each
// attempt carries the token of the first.
#[tokio::test]
async fn retry() {
    let retries = |left| Retries {
        left,
        count: Arc::default(),
    };
    // The server is busy, and the token is replaced meanwhile.
    let stack = || {
        let api = Api::new();
        api.accept_all();
        let layer = bearer(&Issuer::new());
        let (provider, seen) = (layer.provider().clone(), api.service::<()>());
        let busy = service_fn(move |request: Request<()>| {
            provider.reset();
            let answer = seen.clone().oneshot(request);
            async move {
                answer
                    .await
                    .map(|_| with_status(BUSY))
                    .map_err(BoxError::from)
            }
        });
        (api, layer, busy)
    };
    let (api, layer, busy) = stack();
    let outside = Retry::new(retries(1), layer.layer(busy));
    outside.oneshot(request()).await.unwrap();
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-2"]);

    let (api, layer, busy) = stack();
    let inside = layer.layer(Retry::new(retries(1), busy));
    inside.oneshot(request()).await.unwrap();
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-1"]);

    let issuer = Issuer::new();
    issuer.fail("down");
    let client = Api::new().service::<()>().map_err(BoxError::from);
    let policy = retries(3);
    let outside = Retry::new(policy.clone(), bearer(&issuer).layer(client.clone()));
    outside.oneshot(request()).await.unwrap_err();
    assert_eq!(policy.count.load(SeqCst), 3, "sees the failed login");
    let policy = retries(3);
    let inside = bearer(&issuer).layer(Retry::new(policy.clone(), client));
    inside.oneshot(request()).await.unwrap_err();
    assert_eq!(policy.count.load(SeqCst), 0);
}

// A login takes 3 s, an exchange 600 ms, and the Timeout is of 1 s.
#[tokio::test(start_paused = true)]
async fn timeout() {
    let issuer = || Issuer::new().with_delay(3 * SECOND);
    let exchange = Duration::from_millis(600);

    // Outside, it ends the wait for the login, and the login goes on.
    let (slow, api) = (issuer(), Api::new());
    let layer = bearer(&slow);
    let outside = Timeout::new(layer.layer(answering(&api, exchange)), SECOND);
    let start = Instant::now();
    let error = outside.clone().oneshot(request()).await.unwrap_err();
    assert!(error.is::<Elapsed>());
    assert_eq!(start.elapsed(), SECOND);
    sleep(2 * SECOND).await;
    let start = Instant::now();
    outside.clone().oneshot(request()).await.unwrap();
    assert_eq!((start.elapsed(), slow.logins()), (exchange, 1));

    // A request with its replay is one call: the same Timeout bounds both exchanges and the login.
    api.accept_login(2);
    let replaying = layer.clone().replay(REPLAYED);
    let outside = Timeout::new(replaying.layer(answering(&api, exchange)), SECOND);
    let error = outside.oneshot(request()).await.unwrap_err();
    assert!(error.is::<Elapsed>());

    // Inside, it bounds each exchange: two of them and two logins take longer than a second.
    let (slow, api) = (issuer(), Api::new());
    api.accept_login(2);
    let replaying = bearer(&slow).replay(REPLAYED);
    let inside = replaying.layer(Timeout::new(answering(&api, exchange), SECOND));
    let start = Instant::now();
    let response = inside.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(start.elapsed(), 2 * (3 * SECOND + exchange));

    // There, the timeout of the login bounds the wait.
    let hanging = CachedProvider::builder(Issuer::gated())
        .policy(CachePolicy::default().login_timeout(5 * SECOND))
        .build();
    let layer = BearerAuthLayer::new(hanging, origins());
    let inside = layer.layer(Timeout::new(answering(&api, exchange), SECOND));
    let start = Instant::now();
    let error = inside.oneshot(request()).await.unwrap_err();
    assert!(error.downcast_ref::<Error>().unwrap().is_login_timed_out());
    assert_eq!(start.elapsed(), 5 * SECOND);
}

// One slot. The first request waits 3 s for its login, and the second one needs none.
#[tokio::test(start_paused = true)]
async fn concurrency_limit() {
    async fn second_after(stack: impl FnOnce(BearerAuthLayer, Client) -> Client) -> Duration {
        let layer = bearer(&Issuer::new().with_delay(3 * SECOND));
        let stack = stack(layer, answering(&Api::new(), SECOND));
        let first = tokio::spawn(stack.clone().oneshot(request()));
        tokio::task::yield_now().await;
        let start = Instant::now();
        let mut bare = request();
        bare.extensions_mut().insert(PerRequest::bare());
        stack.oneshot(bare).await.unwrap();
        let second = start.elapsed();
        first.await.unwrap().unwrap();
        second
    }
    let limit = ConcurrencyLimitLayer::new(1);
    let outside = second_after(|ours, client| {
        let stack = ServiceBuilder::new().layer(limit.clone()).layer(ours);
        Client::new(stack.service(client))
    });
    assert_eq!(
        outside.await,
        5 * SECOND,
        "the waiting request has the slot"
    );
    let inside = second_after(|ours, client| {
        let stack = ServiceBuilder::new().layer(ours).layer(limit.clone());
        Client::new(stack.service(client))
    });
    assert_eq!(inside.await, SECOND);
}

// One request per second. The first one is rejected and replayed.
#[tokio::test(start_paused = true)]
async fn rate_limit() {
    async fn answered_after(is_outside: bool) -> Duration {
        let api = Api::new();
        api.accept_login(2);
        let ours = bearer(&Issuer::new()).replay(REPLAYED);
        let client = answering(&api, Duration::ZERO);
        let rate = Rate::new(1, SECOND);
        let stack = match is_outside {
            true => Buffer::new(BoxService::new(RateLimit::new(ours.layer(client), rate)), 1),
            false => {
                let limited = Buffer::new(RateLimit::new(client, rate), 1);
                Buffer::new(BoxService::new(ours.layer(limited)), 1)
            }
        };
        let start = Instant::now();
        let response: Response<String> = stack.oneshot(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(api.record().len(), 2);
        start.elapsed()
    }
    assert_eq!(answered_after(true).await, Duration::ZERO, "counted as one");
    let inside = answered_after(false).await;
    assert_eq!(inside.as_secs(), 1, "counted as two");
}

// One request per second, and five of them wait for a login of five seconds.
#[tokio::test(start_paused = true)]
async fn rate_limit_and_a_slow_login() {
    /// The seconds after which the requests were sent.
    async fn sent_after(is_outside: bool) -> Vec<u64> {
        let start = Instant::now();
        let sent = Arc::<Mutex<Vec<_>>>::default();
        let record = Arc::clone(&sent);
        let client = service_fn(move |_: Request<()>| {
            record.lock().unwrap().push(start.elapsed().as_secs());
            ready(Ok::<_, BoxError>(with_status(StatusCode::OK)))
        });
        let ours = bearer(&Issuer::new().with_delay(5 * SECOND));
        let rate = Rate::new(1, SECOND);
        let stack = match is_outside {
            true => Client::new(Buffer::new(RateLimit::new(ours.layer(client), rate), 5)),
            false => Client::new(ours.layer(Buffer::new(RateLimit::new(client, rate), 5))),
        };
        let calls = [(); 5].map(|()| tokio::spawn(stack.clone().oneshot(request())));
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let sent = sent.lock().unwrap();
        sent.clone()
    }
    assert_eq!(sent_after(true).await, [5, 5, 5, 5, 5]);
    assert_eq!(sent_after(false).await, [5, 6, 7, 8, 9]);
}

// Twenty requests at once before there is a token, a limit of five, a login and answers of 1 s.
// Returns the number of answers, and the seconds after which the other requests failed.
#[tokio::test(start_paused = true)]
async fn load_shed() {
    async fn send_20(
        stack: impl FnOnce(BearerAuthLayer, LoadShedLayer, ConcurrencyLimitLayer, Client) -> Client,
    ) -> (usize, Vec<u64>) {
        let ours = bearer(&Issuer::new().with_delay(SECOND));
        let client = answering(&Api::new(), SECOND);
        let limit = ConcurrencyLimitLayer::new(5);
        let stack = stack(ours, LoadShedLayer::new(), limit, client);
        let start = Instant::now();
        let calls = [(); 20].map(|()| stack.clone().oneshot(request()));
        let calls = calls.map(|call| {
            tokio::spawn(async move { (call.await.is_ok(), start.elapsed().as_secs()) })
        });
        let (mut answered, mut failed_after) = (0, Vec::new());
        for call in calls {
            match call.await.unwrap() {
                (true, _) => answered += 1,
                (false, after) => failed_after.push(after),
            }
        }
        failed_after.dedup();
        (answered, failed_after)
    }
    let stack = ServiceBuilder::new;
    let queues = send_20(|ours, shed, limit, client| {
        Client::new(stack().layer(shed).layer(ours).layer(limit).service(client))
    });
    assert_eq!(queues.await, (20, vec![]));
    let bounded = send_20(|ours, shed, limit, client| {
        Client::new(stack().layer(shed).layer(limit).layer(ours).service(client))
    });
    assert_eq!(bounded.await, (5, vec![0]));
    let sheds_late = send_20(|ours, shed, limit, client| {
        Client::new(stack().layer(ours).layer(shed).layer(limit).service(client))
    });
    assert_eq!(sheds_late.await, (5, vec![1]));
}

// Outside: its worker waits for no login, and a failed login does not close it.
#[tokio::test(start_paused = true)]
async fn buffer() {
    let issuer = Issuer::gated();
    let client = answering(&Api::new(), Duration::ZERO);
    let outside = Buffer::new(bearer(&issuer).layer(client), 1);
    let waits = tokio::spawn(outside.clone().oneshot(request()));
    while issuer.started() == 0 {
        tokio::task::yield_now().await;
    }
    let mut bare = request();
    bare.extensions_mut().insert(PerRequest::bare());
    outside.clone().oneshot(bare).await.unwrap();
    assert!(!waits.is_finished());

    issuer.fail("down");
    issuer.open();
    waits.await.unwrap().unwrap_err();
    issuer.recover();
    sleep(3600 * SECOND).await;
    outside.oneshot(request()).await.unwrap();
}

/// Tokens that name the millisecond of their expiry, and an API that counts the dead ones.
struct Dated {
    start: Instant,
    lifetime: Duration,
    margin: Option<Duration>,
    sent: Arc<AtomicUsize>,
    dead: Arc<AtomicUsize>,
}

impl Dated {
    fn new(lifetime: Duration, margin: Option<Duration>) -> Self {
        Self {
            start: Instant::now(),
            lifetime,
            margin,
            sent: Arc::default(),
            dead: Arc::default(),
        }
    }

    fn bearer(&self) -> BearerAuthLayer {
        let (start, lifetime) = (self.start, self.lifetime);
        let login = login_fn(move |_| async move {
            let expiry = start.elapsed() + lifetime;
            let credential = Credential::new(expiry.as_millis().to_string())?;
            Ok(credential.with_lifetime(lifetime))
        });
        let policy = match self.margin {
            Some(margin) => CachePolicy::default().margin(margin),
            None => CachePolicy::default(),
        };
        let provider = CachedProvider::builder(login).policy(policy).build();
        BearerAuthLayer::new(provider, origins())
    }

    /// An API that takes this long for an answer.
    fn api(&self, takes: Duration) -> Client {
        let (start, sent, dead) = (self.start, Arc::clone(&self.sent), Arc::clone(&self.dead));
        Client::new(service_fn(move |request: Request<()>| {
            let token = request.headers()[AUTHORIZATION].to_str().unwrap();
            let expiry = token.strip_prefix("Bearer ").unwrap().parse().unwrap();
            let is_dead = start.elapsed().as_millis() >= expiry;
            sent.fetch_add(1, SeqCst);
            dead.fetch_add(usize::from(is_dead), SeqCst);
            async move {
                sleep(takes).await;
                Ok(with_status(StatusCode::OK))
            }
        }))
    }

    /// Sends six requests at once. Returns how many of them had a dead token.
    async fn dead_of_six(
        &self,
        stack: impl Service<Request<()>, Response = Response<String>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
    ) -> usize {
        let calls = [(); 6].map(|()| tokio::spawn(stack.clone().oneshot(request())));
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!(self.sent.load(SeqCst), 6);
        self.dead.load(SeqCst)
    }
}

// A token lives for three seconds, and the client takes one request per second.
#[tokio::test(start_paused = true)]
async fn buffer_over_a_rate_limit() {
    let dated = || Dated::new(3 * SECOND, None);
    let rate = || Rate::new(1, SECOND);

    // Requests get their token, and then queue in the Buffer.
    let it = dated();
    let limited = Buffer::new(RateLimit::new(it.api(Duration::ZERO), rate()), 6);
    assert_eq!(it.dead_of_six(it.bearer().layer(limited)).await, 3);

    // The smallest Buffer is a shorter queue.
    let it = dated();
    let limited = Buffer::new(RateLimit::new(it.api(Duration::ZERO), rate()), 1);
    assert_eq!(it.dead_of_six(it.bearer().layer(limited)).await, 2);

    // One request at a time is a shorter one still.
    let it = dated();
    let limited = Buffer::new(RateLimit::new(it.api(Duration::ZERO), rate()), 1);
    let one = ConcurrencyLimit::new(limited, 1);
    assert_eq!(it.dead_of_six(it.bearer().layer(one)).await, 1);

    // Requests queue first, and get their token when they are sent.
    let it = dated();
    let limited = RateLimit::new(it.bearer().layer(it.api(Duration::ZERO)), rate());
    assert_eq!(it.dead_of_six(Buffer::new(limited, 6)).await, 0);
}

// A token lives for three seconds. The client is not `Clone`, and one exchange at a time takes a
// second, as over one connection of HTTP/1.
#[tokio::test(start_paused = true)]
async fn buffer_over_one_connection() {
    let dated = || Dated::new(3 * SECOND, None);
    let connection = |it: &Dated| {
        let one = ConcurrencyLimit::new(it.api(SECOND), 1);
        BoxService::new(one)
    };

    let it = dated();
    let buffered = Buffer::new(connection(&it), 6);
    assert_eq!(it.dead_of_six(it.bearer().layer(buffered)).await, 3);

    // A limit over the Buffer: requests queue for it, and get their token after that.
    let it = dated();
    let limited = ConcurrencyLimit::new(Buffer::new(connection(&it), 1), 1);
    assert_eq!(it.dead_of_six(it.bearer().layer(limited)).await, 0);

    // A client that is `Clone` needs no Buffer beneath.
    let it = dated();
    let limited = ConcurrencyLimit::new(it.api(SECOND), 1);
    let outside = Buffer::new(it.bearer().layer(limited), 6);
    assert_eq!(it.dead_of_six(outside).await, 0);
}

// A token lives for twelve seconds, and the queue is five seconds long. The requests come at the end
// of the time in which the token counts as fresh.
#[tokio::test(start_paused = true)]
async fn a_margin_longer_than_the_queue() {
    for (margin, last_fresh, dead) in [(None, 10_700, 4), (Some(6 * SECOND), 5_900, 0)] {
        let it = Dated::new(12 * SECOND, margin);
        let layer = it.bearer();
        layer.provider().acquire().await.unwrap();
        sleep(Duration::from_millis(last_fresh)).await;
        let limited = RateLimit::new(it.api(Duration::ZERO), Rate::new(1, SECOND));
        let stack = layer.layer(Buffer::new(limited, 6));
        assert_eq!(it.dead_of_six(stack).await, dead, "{margin:?}");
    }
}

// Outside: one span, without a token. Inside: a span for each exchange, where the token is sensitive.
#[tokio::test]
async fn trace() {
    type Headers = Arc<Mutex<Vec<String>>>;
    let (outside, inside) = (Headers::default(), Headers::default());
    let span = |headers: &Headers| {
        let headers = Arc::clone(headers);
        move |request: &Request<Empty<Bytes>>| {
            let printed = format!("{:?}", request.headers());
            headers.lock().unwrap().push(printed);
            tracing::Span::none()
        }
    };
    let api = Api::new();
    api.accept_login(2);
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http().make_span_with(span(&outside)))
        .layer(bearer(&Issuer::new()).replay(ReplayEmpty))
        .layer(TraceLayer::new_for_http().make_span_with(span(&inside)))
        .map_response(|it: Response<String>| it.map(|_| Empty::<Bytes>::new()))
        .service(api.service());
    let request = Request::get(URL).body(Empty::<Bytes>::new()).unwrap();
    let response = stack.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(*outside.lock().unwrap(), ["{}"]);
    let sensitive = r#"{"authorization": Sensitive}"#;
    assert_eq!(*inside.lock().unwrap(), [sensitive, sensitive]);
}

// Outside: the cache sees no account, and gives one account's answer to another. Inside: it sees the
// header.
#[tokio::test]
async fn cache_of_responses() {
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    struct User(&'static str);

    /// Answers the same URI with the same `authorization` from memory.
    fn caching(client: Client) -> Client {
        let store = Arc::new(Mutex::new(HashMap::new()));
        Client::new(service_fn(move |request: Request<()>| {
            let authorization = request.headers().get(AUTHORIZATION).cloned();
            let key = (request.uri().clone(), authorization);
            let (store, client) = (Arc::clone(&store), client.clone());
            async move {
                let known = store.lock().unwrap().get(&key).cloned();
                let body: String = match known {
                    Some(body) => body,
                    None => client.oneshot(request).await?.into_body(),
                };
                store.lock().unwrap().insert(key, body.clone());
                Ok(Response::new(body))
            }
        }))
    }

    let ours = || {
        let login = |user: &User| {
            let name = user.0;
            login_fn(move |_| async move { Ok(Credential::new(name)?) })
        };
        BearerAuthLayer::new(KeyedProvider::new(login), origins())
    };
    let api = Api::new();
    api.accept_all();
    let client = answering(&api, Duration::ZERO);
    let outside = caching(Client::new(ours().layer(client.clone())));
    let inside = Client::new(ours().layer(caching(client)));
    for (stack, seen_by_bob) in [(outside, "alice"), (inside, "bob")] {
        for (user, seen) in [("alice", "alice"), ("bob", seen_by_bob)] {
            let request = Request::get(URL).extension(User(user)).body(()).unwrap();
            let answer = stack.clone().oneshot(request).await.unwrap().into_body();
            assert_eq!(answer, format!("answer to Bearer {seen}"));
        }
    }
}

/// Sends each request again, if it has no answer after 100 ms.
#[derive(Clone)]
struct Always;

impl hedge::Policy<Request<()>> for Always {
    fn clone_request(&self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &Request<()>) -> bool {
        true
    }
}

fn hedged<S>(service: S) -> Hedge<S, Always>
where
    S: Service<Request<()>, Error = BoxError> + Clone,
{
    Hedge::new_with_mock_latencies(service, Always, 1, 0.9, 3600 * SECOND, &[100; 10])
}

// Outside: a wait for a login counts as a slow answer. Inside: both copies carry one token.
#[tokio::test(start_paused = true)]
async fn hedge() {
    /// The tokens that are sent for one request. Each one `is_replaced` as soon as it is sent.
    async fn sent_for_one(
        is_outside: bool,
        login: Duration,
        answer: Duration,
        is_replaced: bool,
    ) -> Vec<String> {
        let api = Api::new();
        api.accept_all();
        let layer = bearer(&Issuer::new().with_delay(login));
        let client = answering(&api, answer);
        let provider = layer.provider().clone();
        let client = client.map_request(move |request| {
            if is_replaced {
                provider.reset();
            }
            request
        });
        match is_outside {
            true => hedged(layer.layer(client)).oneshot(request()).await,
            false => {
                let buffered = Buffer::new(hedged(client), 1);
                layer.layer(buffered).oneshot(request()).await
            }
        }
        .unwrap();
        tokens(&api)
    }
    let (at_once, soon) = (Duration::ZERO, Duration::from_millis(50));
    // A slow login and a quick answer.
    assert_eq!(sent_for_one(true, SECOND, soon, false).await.len(), 2);
    assert_eq!(sent_for_one(false, SECOND, soon, false).await.len(), 1);
    // A slow answer.
    let outside = sent_for_one(true, at_once, SECOND, true).await;
    assert_eq!(outside, ["Bearer token-1", "Bearer token-2"]);
    let inside = sent_for_one(false, at_once, SECOND, true).await;
    assert_eq!(inside, ["Bearer token-1", "Bearer token-1"]);
}

// The copies share the receipt. The first copy is answered, and its token is that of the first login.
#[tokio::test(start_paused = true)]
async fn a_hedged_request_has_the_receipt_of_the_copy_that_was_sent_last() {
    let api = Api::new();
    api.accept_all();
    let layer = bearer(&Issuer::new());
    let (provider, sends) = (layer.provider().clone(), Arc::new(AtomicUsize::new(0)));
    let client = answering(&api, SECOND).map_request(move |request| {
        // The first token is replaced as soon as it is sent.
        if sends.fetch_add(1, SeqCst) == 0 {
            provider.reset();
        }
        request
    });
    let per_request = PerRequest::new().judged_by_caller();
    let mut request = request();
    request.extensions_mut().insert(per_request.clone());
    let answer = hedged(layer.layer(client)).oneshot(request).await.unwrap();
    assert_eq!(answer.body(), "answer to Bearer token-1");
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-2"]);
    let second = layer.provider().current().unwrap();
    assert_eq!(second.value(), "Bearer token-2");
    let receipt = per_request.receipt().unwrap();
    assert_eq!(receipt.generation(), second.generation());
}

// Outside: a replay waits for the endpoint that rejected it. Inside: it may go to another one. Each
// endpoint takes one request.
#[tokio::test(start_paused = true)]
async fn balance() {
    let issuer = Issuer::new();
    let layer = bearer(&issuer).replay(REPLAYED);
    layer.provider().acquire().await.unwrap();
    for is_outside in [true, false] {
        let ends = [(); 2].map(|()| mock::pair::<Request<()>, Response<()>>());
        let [(a, mut a_handle), (b, mut b_handle)] = ends;
        a_handle.allow(1);
        b_handle.allow(1);
        let load = CompleteOnResponse::default;
        let stack = match is_outside {
            true => {
                let ends = [a, b].map(|it| PendingRequests::new(layer.layer(it), load()));
                let balance = Balance::new(ServiceList::new::<Request<()>>(ends));
                Buffer::new(BoxService::new(balance), 1)
            }
            false => {
                let ends = [a, b].map(|it| PendingRequests::new(it, load()));
                let balance = Balance::new(ServiceList::new::<Request<()>>(ends));
                Buffer::new(BoxService::new(layer.layer(Buffer::new(balance, 1))), 1)
            }
        };
        let call = tokio::spawn(tokio::time::timeout(SECOND, stack.oneshot(request())));
        let mut chosen = Vec::new();
        loop {
            let (end, (_, answer)) = tokio::select! {
                Some(it) = a_handle.next_request() => ('a', it),
                Some(it) = b_handle.next_request() => ('b', it),
                else => break,
            };
            let is_first = chosen.is_empty();
            chosen.push(end);
            let status = if is_first { 401 } else { 200 };
            answer.send_response(Response::builder().status(status).body(()).unwrap());
            if !is_first {
                break;
            }
        }
        let outcome = call.await.unwrap();
        match is_outside {
            true => {
                assert_eq!(chosen.len(), 1, "the replay waits for the same endpoint");
                assert!(outcome.is_err());
            }
            false => {
                assert_eq!(chosen.len(), 2);
                assert_ne!(chosen[0], chosen[1]);
                assert_eq!(outcome.unwrap().unwrap().status(), StatusCode::OK);
            }
        }
    }
}

// Both orders share one login over all endpoints, and use all of them.
#[tokio::test(start_paused = true)]
async fn balanced_endpoints_share_a_login() {
    for is_outside in [true, false] {
        let issuer = Issuer::new().with_delay(SECOND);
        let layer = bearer(&issuer);
        let apis = [Api::new(), Api::new()];
        let clients = apis.each_ref().map(|api| answering(api, SECOND));
        let load = CompleteOnResponse::default;
        let stack = match is_outside {
            true => {
                let ends = clients.map(|it| PendingRequests::new(layer.layer(it), load()));
                let balance = Balance::new(ServiceList::new::<Request<()>>(ends));
                Client::new(Buffer::new(BoxService::new(balance), 10))
            }
            false => {
                let ends = clients.map(|it| PendingRequests::new(it, load()));
                let balance = Balance::new(ServiceList::new::<Request<()>>(ends));
                Client::new(layer.layer(Buffer::new(BoxService::new(balance), 10)))
            }
        };
        let calls = [(); 10].map(|()| tokio::spawn(stack.clone().oneshot(request())));
        for call in calls {
            let answer = call.await.unwrap().unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
        assert_eq!(apis.map(|api| api.record().len()), [5, 5]);
        assert_eq!(issuer.logins(), 1);
    }
}

const SESSION: HeaderName = HeaderName::from_static("x-session");

/// What an API says about a request with a dead token.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    /// Only that one is dead.
    None,
    /// The first dead one of session and token.
    SessionFirst,
    /// The first dead one of token and session.
    TokenFirst,
}

/// The number of a request, for all of its sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Number(usize);

/// Two layers with different headers: the session outside, the token inside. The API wants both.
struct TwoHeaders {
    session: Issuer,
    token: Issuer,
    sends: Arc<Mutex<HashMap<Number, usize>>>,
    stack: Client,
}

impl TwoHeaders {
    /// Both layers have their first credential. An answer takes a while, and a login 3 s. `is_live`
    /// says which tokens are live: the session, the token.
    async fn new(
        is_live: impl Fn(&str, &str) -> [bool; 2] + Clone + Send + Sync + 'static,
        names: Names,
        takes: Duration,
    ) -> Self {
        let sends = Arc::<Mutex<HashMap<_, _>>>::default();
        let count = Arc::clone(&sends);
        let api = service_fn(move |request: Request<()>| {
            let of = |name| request.headers()[name].to_str().unwrap().to_owned();
            let is_live = is_live(&of(SESSION), &of(AUTHORIZATION));
            let number = *request.extensions().get::<Number>().unwrap();
            *count.lock().unwrap().entry(number).or_default() += 1;
            let (status, dead) = match (names, is_live) {
                (_, [true, true]) => (StatusCode::OK, "none"),
                (Names::None, _) => (StatusCode::UNAUTHORIZED, "one"),
                (Names::SessionFirst, [false, _]) | (_, [false, true]) => {
                    (StatusCode::UNAUTHORIZED, "session")
                }
                (_, [_, false]) => (StatusCode::UNAUTHORIZED, "token"),
            };
            let mut response = with_status(status);
            let headers = response.headers_mut();
            headers.insert("x-dead", dead.parse().unwrap());
            async move {
                sleep(takes).await;
                Ok::<_, BoxError>(response)
            }
        });
        let dead = |which: &'static str| {
            move |_: StatusCode, headers: &HeaderMap| {
                headers["x-dead"] == which || headers["x-dead"] == "one"
            }
        };
        let issuer = || Issuer::new().with_delay(3 * SECOND);
        let (session, token) = (issuer(), issuer());
        let outer = bearer(&session)
            .with_header_name(SESSION)
            .replay(REPLAYED)
            .rejected_if(dead("session"));
        let inner = bearer(&token).replay(REPLAYED).rejected_if(dead("token"));
        outer.provider().acquire().await.unwrap();
        inner.provider().acquire().await.unwrap();
        let stack = ServiceBuilder::new().layer(outer).layer(inner).service(api);
        Self {
            session,
            token,
            sends,
            stack: Client::new(stack),
        }
    }

    async fn send(&self, number: usize) -> StatusCode {
        let mut request = request();
        request.extensions_mut().insert(Number(number));
        let response = self.stack.clone().oneshot(request).await;
        response.unwrap().status()
    }

    /// The numbers of sends of the requests, without their order.
    fn sends(&self) -> Vec<usize> {
        self.sends.lock().unwrap().values().copied().collect()
    }

    /// The numbers of logins after the first one: of the session, of the token.
    fn logins(&self) -> [usize; 2] {
        [self.session.logins() - 1, self.token.logins() - 1]
    }
}

/// Which tokens are live, if some of the first ones are dead: the session, the token.
fn unless_dead(
    dead: [bool; 2],
) -> impl Fn(&str, &str) -> [bool; 2] + Clone + Send + Sync + 'static {
    let first = "Bearer token-1";
    move |session, token| [!dead[0] || session != first, !dead[1] || token != first]
}

// Each dead token costs one more send. If the API does not say which one is dead, the inner layer logs
// in first, and in vain for a dead session.
#[tokio::test(start_paused = true)]
async fn two_layers_with_different_headers() {
    use Names::{None, SessionFirst, TokenFirst};
    for (names, dead, sends, logins) in [
        (None, [false, false], 1, [0, 0]),
        (None, [false, true], 2, [0, 1]),
        (None, [true, false], 3, [1, 1]),
        (None, [true, true], 3, [1, 1]),
        (SessionFirst, [false, true], 2, [0, 1]),
        (SessionFirst, [true, false], 2, [1, 0]),
        (SessionFirst, [true, true], 3, [1, 1]),
        (TokenFirst, [false, true], 2, [0, 1]),
        (TokenFirst, [true, false], 2, [1, 0]),
        (TokenFirst, [true, true], 3, [1, 1]),
    ] {
        let it = TwoHeaders::new(unless_dead(dead), names, Duration::ZERO).await;
        assert_eq!(it.send(0).await, StatusCode::OK);
        let seen = (it.sends(), it.logins());
        assert_eq!(seen, (vec![sends], logins), "{names:?} {dead:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_at_once_with_both_tokens_dead() {
    for (names, logins) in [
        // The API accepts no token while the session is dead: the inner layer tries one more.
        (Names::None, [1, 2]),
        (Names::SessionFirst, [1, 1]),
        (Names::TokenFirst, [1, 1]),
    ] {
        let it = TwoHeaders::new(unless_dead([true, true]), names, SECOND).await;
        let it = Arc::new(it);
        let calls = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|number| {
            let it = Arc::clone(&it);
            tokio::spawn(async move { it.send(number).await })
        });
        for call in calls {
            assert_eq!(call.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(it.sends(), [3; 10], "{names:?}");
        assert_eq!(it.logins(), logins, "{names:?}");
    }
}

// A login that takes longer than the pause after a useless one: the inner layer would replay again.
#[tokio::test(start_paused = true)]
async fn two_layers_send_a_request_three_times_at_most() {
    for takes in [0, 1, 30, 600] {
        let takes = Duration::from_secs(takes);
        let it = TwoHeaders::new(|_, _| [false, false], Names::None, takes).await;
        assert_eq!(it.send(0).await, StatusCode::UNAUTHORIZED);
        assert_eq!(it.sends(), [3], "{takes:?}");
    }
    // The session's login takes so long that the token dies meanwhile.
    let is_live = |session: &str, token: &str| match (session, token) {
        ("Bearer token-1", "Bearer token-1") => [true, false],
        ("Bearer token-1", _) => [false, true],
        _ => [true, false],
    };
    let it = TwoHeaders::new(is_live, Names::TokenFirst, Duration::ZERO).await;
    assert_eq!(it.send(0).await, StatusCode::UNAUTHORIZED);
    assert_eq!((it.sends(), it.logins()), (vec![3], [1, 1]));
    assert_eq!(it.send(1).await, StatusCode::UNAUTHORIZED);
    assert_eq!(it.logins(), [1, 2], "the next request logs in");
}

// Each layer replays once at most. After an inner replay, an outer layer's replay is the last send.
#[tokio::test(start_paused = true)]
async fn three_layers_send_a_request_four_times_at_most() {
    for (dead, sends, status) in [
        (["c", "b", "a"], 4, StatusCode::OK),
        (["a", "b", "c"], 4, StatusCode::OK),
        (["b", "a", "c"], 3, StatusCode::UNAUTHORIZED),
        (["c", "a", "b"], 3, StatusCode::UNAUTHORIZED),
    ] {
        let count = AtomicUsize::new(0);
        let api = service_fn(|_: Request<()>| {
            let dead = dead.get(count.fetch_add(1, SeqCst));
            let mut response = with_status(match dead {
                Some(_) => StatusCode::UNAUTHORIZED,
                None => StatusCode::OK,
            });
            let dead = dead.unwrap_or(&"none").parse().unwrap();
            response.headers_mut().insert("x-dead", dead);
            ready(Ok::<_, BoxError>(response))
        });
        let layer = |name: &'static str| {
            bearer(&Issuer::new())
                .with_header_name(HeaderName::from_static(name))
                .replay(REPLAYED)
                .rejected_if(move |_, headers| headers["x-dead"] == name)
        };
        let stack = ServiceBuilder::new()
            .layer(layer("a"))
            .layer(layer("b"))
            .layer(layer("c"))
            .service(api);
        let response = stack.oneshot(request()).await.unwrap();
        assert_eq!(response.status(), status, "{dead:?}");
        assert_eq!(count.load(SeqCst), sends, "{dead:?}");
    }
}

// The receipt is the inner layer's, and the outer layer's provider does not know its generation.
#[tokio::test(start_paused = true)]
async fn only_the_inner_one_of_two_tokens_can_be_reported_by_hand() {
    let (session, token) = (Issuer::new(), Issuer::new());
    let outer = bearer(&session).with_header_name(SESSION);
    let inner = bearer(&token);
    let api = service_fn(|_: Request<()>| ready(Ok::<_, BoxError>(with_status(StatusCode::OK))));
    let stack = ServiceBuilder::new()
        .layer(outer.clone())
        .layer(inner.clone())
        .service(api);
    let per_request = PerRequest::new().judged_by_caller();
    let mut request = request();
    request.extensions_mut().insert(per_request.clone());
    stack.oneshot(request).await.unwrap();
    let rejected = Rejected::by_hand(per_request.receipt().unwrap());
    let verdict = outer.provider().reject(&rejected);
    assert_eq!(
        (verdict.is_log_in(), verdict.reason()),
        (false, Reason::Unknown)
    );
    let verdict = inner.provider().reject(&rejected);
    assert_eq!(
        (verdict.is_log_in(), verdict.reason()),
        (true, Reason::Current)
    );
}

// The outer layer's token is sent. To the inner one, it is the caller's.
#[tokio::test(start_paused = true)]
async fn two_layers_with_the_same_header() {
    let (outer_login, inner_login, api) = (Issuer::new(), Issuer::new(), Api::new());
    let outer = bearer(&outer_login).replay(REPLAYED);
    let inner = bearer(&inner_login).replay(REPLAYED);
    let stack = ServiceBuilder::new()
        .layer(outer.clone())
        .layer(inner.clone())
        .service(answering(&api, Duration::ZERO));
    api.accept_login(2);
    let response = stack.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(tokens(&api), ["Bearer token-1", "Bearer token-2"]);

    // No token is accepted any more.
    api.accept_login(9);
    sleep(3600 * SECOND).await;
    let per_request = PerRequest::new();
    let mut rejected = request();
    rejected.extensions_mut().insert(per_request.clone());
    let response = stack.clone().oneshot(rejected).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(api.record().len(), 2 + 2);
    let report = response.extensions().get::<RejectionReport>().unwrap();
    assert_eq!(report.not_replayed(), NotReplayed::AlreadyReplayed);
    let sent = per_request.receipt().map(Receipt::generation);
    assert_eq!(sent, report.generation(), "the outer layer's");

    assert_eq!((outer_login.logins(), outer.bare_requests()), (3, 0));
    assert_eq!((inner_login.logins(), inner.bare_requests()), (0, 4));

    // A judged request has no report of the outer layer, so that of the inner one reaches the caller.
    let mut judged = request();
    let per_request = PerRequest::new().judged_by_caller();
    judged.extensions_mut().insert(per_request.clone());
    let response = stack.clone().oneshot(judged).await.unwrap();
    let report = response.extensions().get::<RejectionReport>().unwrap();
    assert_eq!(report.not_replayed(), NotReplayed::CallersHeader);
    assert_eq!(report.generation(), None);
    assert!(per_request.receipt().is_some());

    // Nor does the inner layer add a token that it has.
    inner.provider().acquire().await.unwrap();
    let own = outer.provider().acquire().await.unwrap();
    stack.oneshot(request()).await.unwrap();
    let of_outer = tokens(&api).into_iter().nth(2 + 2 + 1).unwrap();
    assert_eq!(own.value(), of_outer.as_str());
}
