//! Providers around others: boxed, and optional.

mod support;

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode};
use support::{Api, Issuer, URL, origins, request};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_bearer::{
    Authorization, BearerAuth, BearerAuthLayer, BoxProvider, CachedProvider, CredentialProvider,
    Error, PerRequest, Reason, Receipt, Rejected, ReplayWith, RequestHead, Scheme, StaticProvider,
    Token, Verdict,
};

type CopyFn = fn(&()) -> Option<()>;

/// One field for either kind of provider, as the configuration says.
struct Client<S> {
    service: BearerAuth<S, BoxProvider, ReplayWith<CopyFn>>,
}

#[tokio::test]
async fn a_static_token_and_a_login_fit_one_field() {
    let issuer = Issuer::new();
    let providers = [
        (BoxProvider::new(StaticProvider::new("fixed").unwrap()), 401),
        (BoxProvider::new(CachedProvider::new(issuer.clone())), 200),
    ];
    for (provider, expected) in providers {
        let api = Api::new();
        api.accept_login(2);
        let layer = BearerAuthLayer::new(provider, origins());
        let layer = layer.replay(ReplayWith((|(): &()| Some(())) as CopyFn));
        let client = Client {
            service: layer.layer(api.service()),
        };
        let response = client.service.oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    assert_eq!(issuer.logins(), 2, "all reports reach the inner provider");
}

#[tokio::test]
async fn a_boxed_provider_answers_like_the_inner_one() {
    let cached = CachedProvider::new(Issuer::new());
    let boxed = BoxProvider::new(cached.clone());
    let request = request();
    let head = RequestHead::of(&request);
    assert!(boxed.current_for(head).is_none());
    let held = boxed.acquire_for(head).await.unwrap();
    assert!(boxed.is_current(&held, head));
    assert_eq!(
        boxed.current_for(head).unwrap().generation(),
        cached.current().unwrap().generation()
    );
    assert!(!boxed.sends_bare(head));
    assert!(BoxProvider::new(None::<StaticProvider>).sends_bare(head));
    let verdict = boxed.reject(&support::by_hand(held.generation()));
    assert_eq!(verdict.reason(), Reason::Current);
    assert!(cached.current().is_none());
    assert_eq!(format!("{boxed:?}"), "BoxProvider { .. }");
}

/// Records each call, and answers each question with yes.
#[derive(Default)]
struct Recorder(Mutex<Vec<&'static str>>);

impl Recorder {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }
}

impl CredentialProvider for Recorder {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, _: RequestHead<'_>) -> Option<Authorization> {
        self.note("current_for");
        Some(authorization())
    }

    fn is_current(&self, _: &Authorization, _: RequestHead<'_>) -> bool {
        self.note("is_current");
        true
    }

    fn sends_bare(&self, _: RequestHead<'_>) -> bool {
        self.note("sends_bare");
        true
    }

    fn acquire_for(&self, _: RequestHead<'_>) -> Self::Acquire {
        self.note("acquire_for");
        ready(Ok(authorization()))
    }

    fn sent(&self, _: Receipt) {
        self.note("sent");
    }

    fn accept(&self, _: Receipt) {
        self.note("accept");
    }

    fn reject(&self, _: &Rejected<'_>) -> Verdict {
        self.note("reject");
        Verdict::new(Reason::LoginsDidNotHelp)
    }
}

fn authorization() -> Authorization {
    Authorization::new(Scheme::BEARER, &Token::new("abc").unwrap())
}

#[tokio::test]
async fn a_provider_around_another_forwards_each_call() {
    async fn check(recorder: &Recorder, provider: impl CredentialProvider) {
        let request = request();
        let head = RequestHead::of(&request);
        let held = provider.current_for(head).unwrap();
        let receipt = support::receipt(held.generation());
        assert!(provider.is_current(&held, head));
        assert!(provider.sends_bare(head));
        provider.acquire_for(head).await.unwrap();
        provider.sent(receipt);
        provider.accept(receipt);
        let verdict = provider.reject(&Rejected::by_hand(receipt));
        assert_eq!(verdict.reason(), Reason::LoginsDidNotHelp);
        let calls = std::mem::take(&mut *recorder.0.lock().unwrap());
        assert_eq!(
            calls,
            [
                "current_for",
                "is_current",
                "sends_bare",
                "acquire_for",
                "sent",
                "accept",
                "reject"
            ]
        );
    }
    let recorder = Arc::new(Recorder::default());
    check(&recorder, Arc::clone(&recorder)).await;
    check(&recorder, &*recorder).await;
    check(&recorder, Box::new(Arc::clone(&recorder))).await;
    check(&recorder, Some(Arc::clone(&recorder))).await;
    check(&recorder, BoxProvider::new(Arc::clone(&recorder))).await;
    check(&recorder, BoxProvider::new(Some(Arc::clone(&recorder)))).await;
}

#[test]
fn a_static_token_is_fixed() {
    let provider = StaticProvider::new("abc").unwrap();
    let request = request();
    let head = RequestHead::of(&request);
    let held = provider.current_for(head).unwrap();
    let verdict = provider.reject(&support::by_hand(held.generation()));
    assert_eq!(verdict.reason(), Reason::Fixed);
    assert!(!verdict.is_log_in());
    assert!(provider.is_current(&held, head), "it stays in use");
}

#[tokio::test]
async fn without_a_provider_requests_are_sent_bare() {
    let api = Api::new();
    let layer = BearerAuthLayer::new(None::<CachedProvider>, origins());
    let service = layer.layer(api.service());
    for per_request in [PerRequest::new(), PerRequest::fresh()] {
        let mut request = request();
        request.extensions_mut().insert(per_request.clone());
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(per_request.receipt(), None);
    }
    let sent: Vec<_> = api.record().into_iter().map(|(sent, _)| sent).collect();
    assert_eq!(sent, ["bare", "bare"]);
    assert_eq!(layer.bare_requests(), 2);

    let issuer = Issuer::new();
    let layer = BearerAuthLayer::new(Some(CachedProvider::new(issuer.clone())), origins());
    let service = layer.layer(api.service());
    for expected in [200, 200] {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    assert_eq!(issuer.logins(), 1);
    api.accept_login(2);
    for expected in [401, 200] {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
    }
    assert_eq!(issuer.logins(), 2, "a rejection reaches the provider");
}

#[tokio::test]
async fn without_a_provider_the_layer_still_returns_its_errors() {
    let send = async |origins, is_replacing, url: &str, own: &[&str]| {
        let layer = BearerAuthLayer::new(None::<CachedProvider>, origins);
        let layer = match is_replacing {
            true => layer.replacing_callers_header(),
            false => layer,
        };
        let request = own.iter().fold(Request::get(url), |request, own| {
            request.header("authorization", *own)
        });
        let echo = service_fn(async |request: Request<()>| {
            let sent = request.headers().get_all("authorization");
            Ok::<_, BoxError>(Response::new(sent.iter().count()))
        });
        let response = layer.layer(echo).oneshot(request.body(()).unwrap()).await;
        response.map(Response::into_body)
    };
    let is = |result: Result<usize, BoxError>, kind: fn(&Error) -> bool| {
        kind(result.unwrap_err().downcast_ref().unwrap())
    };
    assert_eq!(send(origins(), false, URL, &["own"]).await.unwrap(), 1);
    let two = send(origins(), false, URL, &["own", "two"]).await;
    assert!(is(two, Error::is_many_headers));
    let two = send(origins(), true, URL, &["own", "two"]).await;
    assert_eq!(two.unwrap(), 2, "there is no authorization to replace them");
    let foreign = "https://other.example.com/";
    assert_eq!(send(origins(), false, foreign, &[]).await.unwrap(), 0);
    let foreign = send(origins().strict(), false, foreign, &[]).await;
    assert!(is(foreign, Error::is_foreign_origin));
}

#[tokio::test]
async fn an_absent_provider_has_no_authorization_and_ignores_reports() {
    let none = None::<CachedProvider>;
    let request = request();
    let error = none.acquire_for(RequestHead::of(&request)).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("no authorization for this request")
    );
    let held = CachedProvider::new(Issuer::new()).acquire().await.unwrap();
    assert!(!none.is_current(&held, RequestHead::of(&request)));
    let receipt = support::receipt(held.generation());
    let verdict = none.reject(&Rejected::by_hand(receipt));
    assert_eq!(verdict.reason(), Reason::Unknown);
}
