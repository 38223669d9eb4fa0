//! The cost of a request while the credential is fresh.

mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{AUTHORIZATION, HOST},
};
use support::{Issuer, http_client, origins};
use tokio_test::task;
use tower::{Layer, Service};
use tower_bearer::{
    BearerAuthLayer, BoxProvider, CachedProvider, NoReplay, Origins, ReplayWith, Session,
    StaticProvider, login_fn,
};

/// Responds at once and allocates nothing.
#[derive(Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(request.headers().contains_key(AUTHORIZATION));
        ready(Ok(Response::new(())))
    }
}

/// Where the request names its host.
#[derive(Clone, Copy, Debug)]
enum Target {
    Uri,
    Header,
}

/// Requests with headers, and room for more, so the header map does not grow.
fn requests(target: Target, count: usize) -> Vec<Request<()>> {
    let request = || {
        let mut headers = HeaderMap::with_capacity(8);
        for name in ["accept", "user-agent", "x-request-id", "traceparent"] {
            headers.insert(name, HeaderValue::from_static("value"));
        }
        let mut request = support::request();
        if let Target::Header = target {
            headers.insert(HOST, HeaderValue::from_static("api.example.com"));
            *request.uri_mut() = "/things".parse().unwrap();
        }
        *request.headers_mut() = headers;
        request
    };
    (0..count).map(|_| request()).collect()
}

fn send<S>(service: &mut S, request: Request<()>)
where
    S: Service<Request<()>>,
{
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut response = std::pin::pin!(service.call(request));
    assert!(response.as_mut().poll(&mut cx).is_ready());
}

/// The allocations of each request, for a service that lives long and for a clone per request.
fn allocations<S>(service: &S, target: Target) -> [f64; 2]
where
    S: Service<Request<()>> + Clone,
{
    const REQUESTS: usize = 100;
    let each = |mut act: Box<dyn FnMut(Request<()>) + '_>| {
        let batch = requests(target, REQUESTS);
        let counted = allocation_counter::measure(|| batch.into_iter().for_each(&mut act));
        counted.count_total as f64 / REQUESTS as f64
    };
    let mut long_lived = service.clone();
    // A thread's first read registers it with arc-swap. With the second request the service makes its
    // own copy, and the clones get one with the eighth.
    for request in requests(target, 2) {
        send(&mut long_lived, request);
    }
    for request in requests(target, 8) {
        send(&mut service.clone(), request);
    }
    [
        each(Box::new(|request| send(&mut long_lived, request))),
        each(Box::new(|request| send(&mut service.clone(), request))),
    ]
}

#[tokio::test]
async fn nothing_is_allocated_while_the_credential_is_fresh() {
    let kinds = [
        ("no expiry", Issuer::new()),
        (
            "exclusive",
            Issuer::new().with_lifetime(Duration::from_secs(3600)),
        ),
        (
            "concurrent",
            Issuer::new()
                .concurrent()
                .with_lifetime(Duration::from_secs(3600)),
        ),
    ];
    for (kind, issuer) in kinds {
        let provider = CachedProvider::new(issuer);
        provider.acquire().await.unwrap();
        // A boxed provider allocates nothing either.
        let provider = BoxProvider::new(Some(provider));
        for origins in [origins(), Origins::any_https()] {
            let layer = BearerAuthLayer::<_, NoReplay>::new(provider.clone(), origins);
            let service = layer.layer(Inner);
            for target in [Target::Uri, Target::Header] {
                assert_eq!(
                    allocations(&service, target),
                    [0.0, 0.0],
                    "{kind}, {target:?}"
                );
            }
        }
    }
    println!("figure: allocations a_request=0");
}

#[tokio::test]
async fn a_replayable_request_costs_two_allocations() {
    let provider = CachedProvider::new(Issuer::new());
    provider.acquire().await.unwrap();
    let layer = BearerAuthLayer::<_, NoReplay>::new(provider, origins());
    let service = layer.replay(ReplayWith(|(): &()| Some(()))).layer(Inner);
    for target in [Target::Uri, Target::Header] {
        // The copy of the head, and the state of the request.
        assert_eq!(allocations(&service, target), [2.0, 2.0], "{target:?}");
    }
    println!("figure: allocations-replay a_request=2");
}

/// A future without a niche.
struct Packed([u64; 4]);

impl Future for Packed {
    type Output = Result<Response<()>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        assert_eq!(self.0, [u64::MAX; 4]);
        Poll::Ready(Ok(Response::new(())))
    }
}

#[tokio::test]
async fn the_response_future_stays_small_around_a_future_without_a_niche() {
    let client = tower::service_fn(|_: Request<()>| Packed([u64::MAX; 4]));
    let provider = StaticProvider::new("abc").unwrap();
    let mut service = BearerAuthLayer::new(provider, origins()).layer(client);
    let response = Service::call(&mut service, support::request());
    assert_eq!(size_of_val(&response), size_of::<Packed>() + 40);
    assert!(response.await.is_ok());
}

// F21
#[tokio::test]
async fn the_response_future_is_little_larger_than_the_inner_one() {
    let login = login_fn(|_| async {
        let large = [0_u8; 4096];
        tokio::task::yield_now().await;
        Ok(tower_bearer::Credential::new(format!(
            "abc{}",
            large.len()
        ))?)
    })
    .with_session(Session::Concurrent);
    let client = http_client();
    let mut bare = client.clone();
    let mut service = BearerAuthLayer::new(CachedProvider::new(login), origins()).layer(client);
    let request = || Request::new(http_body_util::Full::<bytes::Bytes>::default());
    let inner = size_of_val(&Service::call(&mut bare, request()));
    let ours = size_of_val(&Service::call(&mut service, request()));
    println!("figure: F21 inner_bytes~={inner} ours_bytes~={ours}");
    assert!(ours <= inner + 32, "{ours} over {inner}");
    drop(task::spawn(service));
}
