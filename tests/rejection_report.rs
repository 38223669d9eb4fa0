//! A rejection that reaches its caller carries a report: why it was not replayed.

mod support;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use support::{HandClock, Issuer, URL, origins, request};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, CachedProvider, Clock, CredentialProvider, NotReplayed, Origins, PerRequest,
    Reason, RejectionReport, Replay, ReplayWith, StaticProvider,
};

type CopyFn = fn(&()) -> Option<()>;

const COPIED: ReplayWith<CopyFn> = ReplayWith(|()| Some(()));
const NEVER_COPIED: ReplayWith<CopyFn> = ReplayWith(|()| None);

/// Responds with this status, a header and a body.
fn answering(
    status: u16,
) -> impl Service<Request<()>, Response = Response<&'static str>, Error = Infallible, Future: Send> + Clone
{
    service_fn(move |_: Request<()>| async move {
        let response = Response::builder()
            .status(status)
            .header("x-why", "expired");
        Ok(response.body("intact").unwrap())
    })
}

/// Sends one request through the layer. Returns the report of its rejection.
async fn rejected<P, R>(layer: &BearerAuthLayer<P, R>, request: Request<()>) -> RejectionReport
where
    P: CredentialProvider,
    R: Replay<()>,
{
    let response = layer.layer(answering(401)).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(*response.body(), "intact");
    *response.extensions().get().expect("a report")
}

#[tokio::test]
async fn without_a_replay_policy_the_report_says_so_and_what_the_provider_does() {
    let clock = HandClock::new();
    let provider = CachedProvider::builder(Issuer::new())
        .clock(clock.clone())
        .build();
    let layer = BearerAuthLayer::new(provider.clone(), origins());
    let first = provider.acquire().await.unwrap().generation();
    clock.advance(Duration::from_secs(90));
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::NoPolicy);
    assert_eq!(report.generation(), Some(first));
    assert_eq!(report.age(), Some(Duration::from_secs(90)));
    assert_eq!(report.reason(), Some(Reason::Current));
    assert!(report.is_acted_upon());
    assert_eq!(report.next_login(), None);
    // Rejected again after the next login: the login did not help.
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::NoPolicy);
    assert_eq!(report.reason(), Some(Reason::LoginDidNotHelp));
    assert!(!report.is_acted_upon());
    let next_login = clock.now() + Duration::from_secs(1);
    assert_eq!(report.next_login(), Some(next_login));
}

#[tokio::test]
async fn a_body_that_was_not_kept_has_its_own_reason() {
    let layer = BearerAuthLayer::new(CachedProvider::new(Issuer::new()), origins());
    let layer = layer.replay(NEVER_COPIED);
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::BodyNotKept);
    assert!(report.is_acted_upon());
}

#[tokio::test]
async fn a_rejected_replay_and_a_pause_have_their_own_reasons() {
    let clock = HandClock::new();
    let provider = CachedProvider::builder(Issuer::new())
        .clock(clock.clone())
        .build();
    let layer = BearerAuthLayer::new(provider, origins()).replay(COPIED);
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::AlreadyReplayed);
    assert_eq!(report.reason(), Some(Reason::LoginDidNotHelp));
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::LoginHeldBack);
    let next_login = clock.now() + Duration::from_secs(1);
    assert_eq!(report.next_login(), Some(next_login));
    clock.advance(Duration::from_secs(1));
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::AlreadyReplayed);
    assert_eq!(layer.provider().snapshot().logins(), 3);
}

#[tokio::test]
async fn a_failed_login_is_reported_with_the_time_of_the_next_attempt() {
    let clock = HandClock::new();
    let issuer = Issuer::new();
    let provider = CachedProvider::builder(issuer.clone())
        .clock(clock.clone())
        .random(|| 0.5)
        .build();
    let layer = BearerAuthLayer::new(provider.clone(), origins()).replay(COPIED);
    provider.acquire().await.unwrap();
    issuer.fail("down");
    let error = layer.layer(answering(401)).oneshot(request()).await;
    assert!(error.is_err(), "the rejection was dropped before");
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::LoginFailed);
    assert_eq!(report.reason(), Some(Reason::BackingOff));
    let next_login = clock.now() + Duration::from_millis(500);
    assert_eq!(report.next_login(), Some(next_login));
    assert_eq!(provider.snapshot().next_attempt(), report.next_login());
}

#[tokio::test]
async fn a_static_token_and_the_callers_own_header_have_their_own_reasons() {
    let provider = StaticProvider::new("abc").unwrap();
    let layer = BearerAuthLayer::new(provider, Origins::any_https()).replay(COPIED);
    let report = rejected(&layer, request()).await;
    assert_eq!(report.not_replayed(), NotReplayed::NoOtherCredential);
    assert_eq!(report.reason(), Some(Reason::Fixed));

    for is_current in [true, false] {
        let provider = CachedProvider::new(Issuer::new());
        if is_current {
            provider.acquire().await.unwrap();
        }
        let layer = BearerAuthLayer::new(provider, origins()).replay(COPIED);
        let own = Request::get(URL).header(AUTHORIZATION, "Bearer own");
        let report = rejected(&layer, own.body(()).unwrap()).await;
        assert_eq!(report.not_replayed(), NotReplayed::CallersHeader);
        assert_eq!((report.generation(), report.age()), (None, None));
        assert_eq!((report.reason(), report.next_login()), (None, None));
        assert!(!report.is_acted_upon());
    }
}

// Another function also decides for a request with the caller's own header.
#[tokio::test]
async fn only_rejections_carry_a_report() {
    let provider = CachedProvider::new(Issuer::new());
    let layer = BearerAuthLayer::new(provider, origins());
    let odd = layer.clone().rejected_if(|status, _| status == 403);
    let own = || Request::get(URL).header(AUTHORIZATION, "Bearer own");
    let foreign = || Request::get("https://other.example.com/");
    let bare = || Request::get(URL).extension(PerRequest::bare());
    let judged = || Request::get(URL).extension(PerRequest::new().judged_by_caller());
    let own_judged = || own().extension(PerRequest::new().judged_by_caller());
    for (layer, status, request, expected) in [
        (&layer, 200, Request::get(URL), false),
        (&layer, 403, Request::get(URL), false),
        (&layer, 500, Request::get(URL), false),
        (&layer, 401, Request::get(URL), true),
        (&layer, 200, own(), false),
        (&layer, 401, own(), true),
        (&odd, 401, own(), false),
        (&odd, 403, own(), true),
        (&layer, 401, foreign(), false),
        (&layer, 401, bare(), false),
        (&layer, 401, judged(), false),
        (&layer, 401, own_judged(), true),
    ] {
        let described = format!("{status} {request:?}");
        let request = request.body(()).unwrap();
        let response = layer.layer(answering(status)).oneshot(request).await;
        let response = response.unwrap();
        let report = response.extensions().get::<RejectionReport>();
        assert_eq!(report.is_some(), expected, "{described}");
    }
}
