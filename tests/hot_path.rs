//! The cost of a request while the credential is fresh.

mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response};
use support::{Issuer, http_client, origins};
use tokio_test::task;
use tower::{Layer, Service};
use tower_bearer::{
    BearerAuthLayer, BoxProvider, CachedProvider, Session, StaticProvider, login_fn,
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
        assert_eq!(request.headers().len(), 5);
        ready(Ok(Response::new(())))
    }
}

/// A request with four headers and room for a fifth, so the header map does not grow.
fn requests(count: usize) -> Vec<Request<()>> {
    let request = || {
        let mut headers = HeaderMap::with_capacity(8);
        for name in ["accept", "user-agent", "x-request-id", "traceparent"] {
            headers.insert(name, HeaderValue::from_static("value"));
        }
        let mut request = support::request();
        *request.headers_mut() = headers;
        request
    };
    (0..count).map(|_| request()).collect()
}

#[tokio::test]
async fn nothing_is_allocated_while_the_credential_is_fresh() {
    const REQUESTS: usize = 100;
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
        let service = BearerAuthLayer::new(provider, origins()).layer(Inner);
        let send = |service: &mut tower_bearer::BearerAuth<Inner, BoxProvider>, request| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut response = std::pin::pin!(service.call(request));
            assert!(response.as_mut().poll(&mut cx).is_ready());
        };

        let mut long_lived = service.clone();
        // A thread's first read registers it with arc-swap. With the second request the service
        // makes its own copy.
        for request in requests(2) {
            send(&mut long_lived, request);
        }
        let batch = requests(REQUESTS);
        let allocations = allocation_counter::measure(|| {
            for request in batch {
                send(&mut long_lived, request);
            }
        });
        assert_eq!(allocations.count_total, 0, "{kind}");

        let batch = requests(REQUESTS);
        let allocations = allocation_counter::measure(|| {
            for request in batch {
                send(&mut service.clone(), request);
            }
        });
        assert_eq!(allocations.count_total, 0, "{kind}, a clone per request");
    }
    println!("figure: allocations a_request=0");
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
