//! The contenders, their requests, and the measured loop.

#![allow(dead_code, unused_imports, reason = "each bench uses a part of it")]

mod report;
mod rounds;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{AUTHORIZATION, HOST},
    uri::Scheme,
};
use pin_project_lite::pin_project;
use tokio::sync::RwLock;
use tower::{Layer, Service};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxError, CachedProvider, Credential, KeyedProvider, Login,
    NoReplay, Origins, Receipt, Rejected, ReplayEmpty, Session, login_fn,
};
use tower_http::auth::AddAuthorization;

pub(crate) use self::{
    report::{PROCESSES, Report, Table, WORST, X_FLOOR},
    rounds::{median, medians},
};

pub(crate) type Body = http_body_util::Empty<bytes::Bytes>;

/// The innermost service of all contenders. It responds at once.
#[derive(Clone)]
pub(crate) struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new(())))
    }
}

/// Inserts a ready-made value and does nothing else.
#[derive(Clone)]
pub(crate) struct Floor {
    inner: Bare,
    value: HeaderValue,
}

impl Floor {
    pub(crate) fn new(token_length: usize) -> Self {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token(token_length))).unwrap();
        value.set_sensitive(true);
        Self { inner: Bare, value }
    }
}

impl<B> Service<Request<B>> for Floor {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.value.clone());
        self.inner.call(request)
    }
}

/// The minimal hand-written layer that could replace tower-bearer while nothing is due: one origin,
/// an atomic that says whether the token is current, the caller's own header, a hook for
/// rejections, its own errors, and a state for waiting. It neither renews nor replays, and its one
/// instance lives as long as the program.
#[derive(Clone)]
pub(crate) struct Minimal {
    inner: Bare,
    value: HeaderValue,
    generation: u64,
    shared: &'static MinimalShared,
}

pub(crate) struct MinimalShared {
    scheme: Scheme,
    authority: Box<str>,
    current: AtomicU64,
}

impl Minimal {
    pub(crate) fn new(token_length: usize) -> Self {
        let Floor { inner, value } = Floor::new(token_length);
        Self {
            inner,
            value,
            generation: 1,
            shared: Box::leak(Box::new(MinimalShared {
                scheme: Scheme::HTTPS,
                authority: "api.example.com".into(),
                current: AtomicU64::new(1),
            })),
        }
    }
}

impl MinimalShared {
    fn allows(&self, uri: &Uri) -> bool {
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                *authority.as_str() == *self.authority && *scheme == self.scheme
            }
            (None, Some(_)) => false,
            // It trusts the client, and reads no `Host` header.
            (_, None) => true,
        }
    }

    #[cold]
    fn reject(&self, generation: u64) {
        let (same, relaxed) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.current.compare_exchange(generation, 0, same, relaxed);
    }
}

impl<B> Service<Request<B>> for Minimal {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = MinimalFuture<Ready<Result<Response<()>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<Request<B>>::poll_ready(&mut self.inner, cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Self {
            generation, shared, ..
        } = *self;
        if shared.current.load(Ordering::Relaxed) != generation {
            return MinimalFuture::later();
        }
        let mut is_ours = shared.allows(request.uri());
        if is_ours
            && let Some(own) = request
                .headers_mut()
                .insert(AUTHORIZATION, self.value.clone())
        {
            request.headers_mut().insert(AUTHORIZATION, own);
            is_ours = false;
        }
        MinimalFuture::Called {
            response: self.inner.call(request),
            generation,
            shared: is_ours.then_some(shared),
        }
    }
}

type Later = Pin<Box<dyn Future<Output = Result<Response<()>, BoxError>> + Send>>;

pin_project! {
    #[project = MinimalProjection]
    pub(crate) enum MinimalFuture<F> {
        Called {
            #[pin]
            response: F,
            generation: u64,
            shared: Option<&'static MinimalShared>,
        },
        Later {
            later: Later,
        },
    }
}

impl<F> MinimalFuture<F> {
    #[cold]
    fn later() -> Self {
        Self::Later {
            later: Box::pin(async { Err("it would log in".into()) }),
        }
    }
}

impl<F: Future<Output = Result<Response<()>, Infallible>>> Future for MinimalFuture<F> {
    type Output = Result<Response<()>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            MinimalProjection::Called {
                response,
                generation,
                shared,
            } => {
                let answer = ready!(response.poll(cx));
                if let (Ok(response), Some(shared)) = (&answer, shared)
                    && response.status() == StatusCode::UNAUTHORIZED
                {
                    shared.reject(*generation);
                }
                Poll::Ready(answer.map_err(Into::into))
            }
            MinimalProjection::Later { later } => later.as_mut().poll(cx),
        }
    }
}

/// The usual hand-written layer that renews a token: one lock for all, and a new header for each
/// request.
#[derive(Clone)]
pub(crate) struct ByHand {
    inner: Bare,
    token: Arc<RwLock<String>>,
}

impl ByHand {
    pub(crate) fn new(token_length: usize) -> Self {
        Self {
            inner: Bare,
            token: Arc::new(RwLock::new(token(token_length))),
        }
    }
}

impl<B: Send + 'static> Service<Request<B>> for ByHand {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (mut inner, token) = (self.inner.clone(), Arc::clone(&self.token));
        Box::pin(async move {
            let value = format!("Bearer {}", token.read().await);
            let mut value = HeaderValue::from_str(&value).unwrap();
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            inner.call(request).await
        })
    }
}

pub(crate) fn tower_http(token_length: usize) -> AddAuthorization<Bare> {
    AddAuthorization::bearer(Bare, &token(token_length))
}

/// The lifetime of tower-bearer's token.
#[derive(Clone, Copy)]
pub(crate) enum Life {
    Endless,
    Long,
}

fn login(token_length: usize, life: Life) -> impl Login {
    let login = login_fn(move |_| async move {
        let credential = Credential::new(token(token_length))?;
        Ok(match life {
            Life::Endless => credential,
            Life::Long => credential.with_lifetime(Duration::from_secs(1_000_000)),
        })
    });
    login.with_session(Session::Concurrent)
}

pub(crate) async fn provider(token_length: usize, life: Life) -> CachedProvider {
    let provider = CachedProvider::new(login(token_length, life));
    provider.acquire().await.unwrap();
    provider
}

pub(crate) async fn ours(token_length: usize, life: Life, origins: Origins) -> BearerAuth<Bare> {
    BearerAuthLayer::new(provider(token_length, life).await, origins).layer(Bare)
}

/// 100 accounts, chosen by a header of the request.
pub(crate) async fn ours_keyed(
    token_length: usize,
    life: Life,
) -> BearerAuth<Bare, KeyedProvider<HeaderValue>> {
    let others = (1..100).map(HeaderValue::from);
    let keys = others.chain([request().headers()["x-request-id"].clone()]);
    ours_for_keys(token_length, life, keys).await
}

/// Accounts that are numbered from 0, and chosen by a header of the request.
pub(crate) async fn ours_keyed_by(
    token_length: usize,
    life: Life,
    count: usize,
) -> BearerAuth<Bare, KeyedProvider<HeaderValue>> {
    ours_for_keys(token_length, life, (0..count).map(HeaderValue::from)).await
}

async fn ours_for_keys(
    token_length: usize,
    life: Life,
    keys: impl Iterator<Item = HeaderValue>,
) -> BearerAuth<Bare, KeyedProvider<HeaderValue>> {
    let accounts = KeyedProvider::builder(move |_: &HeaderValue| login(token_length, life))
        .key(|head| head.headers.get("x-request-id"))
        .capacity(10_000)
        .build();
    for key in keys {
        let account = accounts.for_key(&key).expect("it has a place");
        account.acquire().await.unwrap();
    }
    BearerAuthLayer::new(accounts, origins(1)).layer(Bare)
}

pub(crate) async fn ours_with_replay(
    token_length: usize,
    life: Life,
) -> BearerAuth<Bare, CachedProvider, ReplayEmpty> {
    let layer = BearerAuthLayer::<_, NoReplay>::new(provider(token_length, life).await, origins(1));
    layer.replay(ReplayEmpty).layer(Bare)
}

/// Makes the provider remember 64 rejected targets. All of them share the filter's bit with the
/// requests' target, so each acceptance needs a full look-up.
pub(crate) async fn remembering(provider: CachedProvider) -> CachedProvider {
    let request = request();
    let receipt = |generation, path: &str| Receipt::new(generation, 0, &Method::GET, path);
    let acquire = async || provider.acquire().await.expect("it logs in").generation();
    let healthy = receipt(acquire().await, request.uri().path());
    let paths = (0..).map(|number| format!("/forbidden/{number}"));
    let alike = paths.filter(|path| {
        let target = receipt(healthy.generation(), path).target();
        target % 64 == healthy.target() % 64
    });
    for path in alike.take(64) {
        let rejected = Rejected::by_hand(receipt(acquire().await, &path));
        let _ = provider.reject(&rejected);
    }
    provider.accept(receipt(acquire().await, request.uri().path()));
    provider
}

pub(crate) async fn ours_remembering(token_length: usize, life: Life) -> BearerAuth<Bare> {
    let provider = remembering(provider(token_length, life).await).await;
    BearerAuthLayer::new(provider, origins(1)).layer(Bare)
}

/// `count` origins. The last one is that of the requests.
pub(crate) fn origins(count: usize) -> Origins {
    let others = (1..count).map(|number| format!("https://api-{number}.example.com"));
    Origins::new(others.chain(["https://api.example.com".to_owned()])).unwrap()
}

pub(crate) fn token(length: usize) -> String {
    "x".repeat(length)
}

/// Where a request names its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// In its URI, as hyper-util's client and reqwest have it.
    Absolute,
    /// In a `Host` header, as HTTP/1 connections have it.
    PathAndHost,
}

impl Target {
    pub(crate) const ALL: [Self; 2] = [Self::Absolute, Self::PathAndHost];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Absolute => "absolute URI",
            Self::PathAndHost => "/path and Host",
        }
    }
}

/// A request with four headers and room for more, so the header map does not grow.
pub(crate) fn request() -> Request<Body> {
    request_to(Target::Absolute)
}

pub(crate) fn request_to(target: Target) -> Request<Body> {
    let mut headers = HeaderMap::with_capacity(8);
    for name in ["accept", "user-agent", "x-request-id", "traceparent"] {
        headers.insert(name, HeaderValue::from_static("value"));
    }
    let mut request = Request::new(Body::new());
    let uri = match target {
        Target::Absolute => "https://api.example.com/v1/things/42",
        Target::PathAndHost => {
            headers.insert(HOST, HeaderValue::from_static("api.example.com"));
            "/v1/things/42"
        }
    };
    *request.uri_mut() = uri.parse().unwrap();
    *request.headers_mut() = headers;
    request
}

pub(crate) fn requests(count: usize) -> Vec<Request<Body>> {
    requests_to(Target::Absolute, count)
}

pub(crate) fn requests_to(target: Target, count: usize) -> Vec<Request<Body>> {
    (0..count).map(|_| request_to(target)).collect()
}

/// The title of a table of the bench `instructions`.
pub(crate) fn instructions_title(used: Use, target: Target) -> String {
    let (used, target) = (used.name(), target.name());
    format!("Instructions beyond the floor's, {used}, {target}")
}

/// How a service is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// `ready().call()` on one service.
    LongLived,
    /// `clone().oneshot()`, as in handlers.
    Cloned,
}

impl Use {
    pub(crate) const ALL: [Self; 2] = [Self::LongLived, Self::Cloned];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LongLived => "long-lived",
            Self::Cloned => "cloned",
        }
    }
}

#[inline(always)]
fn send<S>(service: &mut S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<()>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let ready = service.poll_ready(&mut cx);
    assert!(matches!(ready, Poll::Ready(Ok(()))));
    let mut response = pin!(service.call(request));
    let answer = response.as_mut().poll(&mut cx);
    assert!(matches!(black_box(answer), Poll::Ready(Ok(_))));
}

/// Sends each request through the service, or through a clone of it.
pub(crate) fn send_all<S>(service: &mut S, requests: Vec<Request<Body>>, used: Use)
where
    S: Service<Request<Body>, Response = Response<()>> + Clone,
{
    match used {
        Use::LongLived => hot_loop(service, requests),
        Use::Cloned => hot_loop_of_clones(service, requests),
    }
}

/// A measured loop. Valgrind finds it by its name and counts nothing else. There are two: with clones in the same loop, a
/// contender whose clone may panic would pay for it without making one.
#[inline(never)]
fn hot_loop<S>(service: &mut S, requests: Vec<Request<Body>>)
where
    S: Service<Request<Body>, Response = Response<()>>,
{
    for request in requests {
        send(service, request);
    }
}

#[inline(never)]
fn hot_loop_of_clones<S>(service: &S, requests: Vec<Request<Body>>)
where
    S: Service<Request<Body>, Response = Response<()>> + Clone,
{
    for request in requests {
        send(&mut service.clone(), request);
    }
}
