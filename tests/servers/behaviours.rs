//! What is tried at more than one server.

use std::{sync::mpsc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, CachedProvider, CachedProviderBuilder, CredentialEvent, Error,
    HttpLogin, Login, LoginRequest, Origins, Recovery, ReplayEmpty,
};

use crate::{
    client::{Client, Http},
    support::{HandClock, patient},
};

/// The token of a new login.
pub(crate) async fn token(login: &HttpLogin) -> String {
    let credential = login.login(LoginRequest::default()).await.unwrap();
    credential.token().expose().to_owned()
}

/// The token that a provider returns.
pub(crate) async fn acquired(provider: &CachedProvider) -> String {
    let authorization = provider.acquire().await.unwrap();
    let value = authorization.value().to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

/// The lifetime in seconds that a login returns.
pub(crate) async fn lifetime(login: &HttpLogin) -> Option<u64> {
    let credential = login.login(LoginRequest::default()).await.unwrap();
    credential.lifetime().map(|lifetime| lifetime.as_secs())
}

/// A failed login: its error, its text and the pause that follows.
pub(crate) async fn failure(login: HttpLogin) -> Failure {
    let clock = HandClock::new();
    let provider = patient(login).clock(clock).build();
    let error = provider.acquire().await.unwrap_err();
    let text = format!("{error}");
    println!("seen: {text}");
    Failure {
        is_permanent: error.login_error().is_some_and(|it| it.is_permanent()),
        code: error.login_error().and_then(|it| it.error_code()),
        status: error.login_error().and_then(|it| it.status()),
        recovery: error.recovery(),
        text,
    }
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) is_permanent: bool,
    pub(crate) code: Option<&'static str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) recovery: Recovery,
    pub(crate) text: String,
}

impl Failure {
    /// Asserts that only a change of the credentials helps, and that the text has no secret.
    #[track_caller]
    pub(crate) fn assert_wrong_secret(&self, code: Option<&str>, secret: &str) {
        assert!(self.is_permanent, "{self:?}");
        assert_eq!(self.code, code);
        assert_eq!(self.recovery, Recovery::ChangeCredentials);
        assert!(self.text.ends_with("; next attempt in 15 min"), "{self:?}");
        assert!(!self.text.contains(secret), "{self:?}");
    }
}

type Api = BearerAuth<Client, CachedProvider, ReplayEmpty>;

pub(crate) fn api(http: &Http, provider: CachedProvider, url: &str) -> Api {
    let url = Uri::try_from(url).unwrap();
    let origin = format!("{}://{}", url.scheme().unwrap(), url.authority().unwrap());
    let layer = BearerAuthLayer::new(provider, Origins::new([origin]).unwrap());
    layer.replay(ReplayEmpty).layer(http.client())
}

async fn status(api: Api, url: String) -> u16 {
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    let response = api.oneshot(request).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status.as_u16()
}

/// The statuses of requests that are made at once, if they are all the same.
pub(crate) async fn at_once(count: usize, api: &Api, url: &str) -> u16 {
    let requests = (0..count).map(|_| tokio::spawn(status(api.clone(), url.to_owned())));
    let mut statuses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        statuses.push(request.await.unwrap());
    }
    statuses.dedup();
    let [status] = statuses[..] else {
        panic!("{statuses:?}");
    };
    status
}

/// A revoked token costs one login, and its request is sent again. `logins` are the statuses of login and
/// refresh.
pub(crate) async fn revoked<Fut: Future<Output = ()>>(
    logins: &[u16],
    http: Http,
    login: HttpLogin,
    url: String,
    revoke: impl FnOnce(String) -> Fut,
) {
    let api = api(&http, patient(login).build(), &url);
    assert_eq!(at_once(1, &api, &url).await, 200);
    let revoked = acquired(api.provider()).await;
    revoke(revoked.clone()).await;
    assert_eq!(at_once(1, &api, &url).await, 200);
    assert_ne!(acquired(api.provider()).await, revoked);
    assert_eq!(at_once(1, &api, &url).await, 200);
    assert_eq!(http.logins(), logins);
    assert_eq!(
        (api.replays(), api.provider().snapshot().rejections()),
        (1, 1)
    );
}

/// A hundred requests at once make one login: without a token, and with a revoked one.
pub(crate) async fn hundred<Fut: Future<Output = ()>>(
    http: Http,
    login: HttpLogin,
    url: String,
    revoke: impl FnOnce(String) -> Fut,
) {
    let api = api(&http, patient(login).build(), &url);
    assert_eq!(at_once(100, &api, &url).await, 200);
    assert_eq!(http.logins(), [200]);
    revoke(acquired(api.provider()).await).await;
    assert_eq!(at_once(100, &api, &url).await, 200);
    assert_eq!(http.logins(), [200, 200]);
}

/// The server has ended a session, and refreshes it all the same. One refresh is lost by it, and after
/// the shortest pause a full login helps.
pub(crate) async fn ended(
    count: usize,
    http: Http,
    login: HttpLogin,
    url: String,
    end: impl Future<Output = ()>,
) {
    let clock = HandClock::new();
    let provider = patient(login).clock(clock.clone()).build();
    let api = api(&http, provider, &url);
    assert_eq!(at_once(count, &api, &url).await, 200);
    assert_eq!(http.logins(), [200]);
    end.await;
    assert_eq!(at_once(count, &api, &url).await, 401);
    assert_eq!(http.logins(), [200, 200]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(at_once(count, &api, &url).await, 200);
    assert_eq!(http.logins(), [200, 200, 200]);
}

/// A builder whose events of failed refreshes are sent to a channel.
pub(crate) fn with_failed_refreshes(
    login: HttpLogin,
) -> (CachedProviderBuilder, mpsc::Receiver<Error>) {
    let (sender, failures) = mpsc::channel();
    let builder = patient(login).on_event(move |event| {
        if let CredentialEvent::RefreshFailed { error, .. } = event {
            let _ = sender.send(error.clone());
        }
    });
    (builder, failures)
}
