//! A refresh token is offered to one login at a time, and is spent once taken.

mod support;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use support::{HandClock, by_hand, receipt, without_dead_lock};
use tokio::{
    runtime::Builder,
    sync::Semaphore,
    task::yield_now,
    time::{advance, pause},
};
use tokio_test::{assert_pending, assert_ready_err, task};
use tower::{Service, service_fn};
use tower_bearer::{
    BoxError, CachedProvider, Credential, CredentialEvent, HttpLogin, Login, LoginRequest,
};
use tower_test::mock;

/// Each login takes the next step of its script, and records the token that it took.
#[derive(Clone)]
struct Scripted(Arc<State>);

struct State {
    script: Mutex<Vec<Act>>,
    taken: Mutex<Vec<Option<String>>>,
    gate: Semaphore,
    logins: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// Takes the token and returns this one.
    Rotate(Option<&'static str>),
    /// Does not take the token.
    Leave,
    TakeAndFail,
    TakeAndPanic,
    TakeAndHang,
    LeaveAndFail,
    /// Takes the token, waits at the gate, and returns this one.
    WaitAndRotate(&'static str),
    /// Waits at the gate, and takes the token that is there then.
    WaitAndTake,
}

impl Scripted {
    fn new(script: &[Act]) -> Self {
        Self(Arc::new(State {
            script: Mutex::new(script.iter().rev().copied().collect()),
            taken: Mutex::default(),
            gate: Semaphore::new(0),
            logins: AtomicUsize::default(),
        }))
    }

    fn take(&self, request: &mut LoginRequest) {
        let token = request.take_refresh_token();
        let token = token.map(|token| token.expose().to_owned());
        self.0.taken.lock().unwrap().push(token);
    }

    fn taken(&self) -> Vec<Option<String>> {
        self.0.taken.lock().unwrap().clone()
    }
}

impl Login for Scripted {
    async fn login(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        let act = self
            .0
            .script
            .lock()
            .unwrap()
            .pop()
            .expect("a scripted login is left");
        if act == Act::WaitAndTake {
            // In a separate task, which continues when the login is dropped.
            let this = self.clone();
            tokio::spawn(async move {
                this.0.gate.acquire().await.unwrap().forget();
                this.take(&mut request);
            })
            .await?;
        } else if !matches!(act, Act::Leave | Act::LeaveAndFail) {
            self.take(&mut request);
        }
        match act {
            Act::TakeAndFail | Act::LeaveAndFail => return Err("scripted".into()),
            Act::TakeAndPanic => panic!("scripted"),
            Act::TakeAndHang => std::future::pending().await,
            Act::WaitAndRotate(_) => self.0.gate.acquire().await?.forget(),
            _ => {}
        }
        let number = self.0.logins.fetch_add(1, SeqCst) + 1;
        let credential = Credential::new(format!("token-{number}"))?;
        Ok(match act {
            Act::Rotate(Some(token)) | Act::WaitAndRotate(token) => {
                credential.with_refresh_token(token)
            }
            _ => credential,
        })
    }
}

fn some(token: &str) -> Option<String> {
    Some(token.to_owned())
}

/// Rejects the current credential and acquires again, ten minutes after the last time, so no pause
/// applies. Returns whether it got a credential.
async fn next_login(provider: &CachedProvider) -> bool {
    advance(Duration::from_secs(600)).await;
    if let Some(current) = provider.current() {
        assert!(provider.reject(&by_hand(current.generation())).is_log_in());
    }
    let before = provider.snapshot().logins();
    let _put_back_where_it_fails = provider.acquire().await;
    provider.snapshot().logins() > before
}

#[tokio::test(start_paused = true)]
async fn each_login_is_offered_the_previous_refresh_token() {
    let login = Scripted::new(&[
        Act::Rotate(Some("one")),
        Act::Rotate(Some("two")),
        Act::Leave,
        Act::LeaveAndFail,
        Act::Rotate(None),
        Act::Rotate(None),
    ]);
    let provider = CachedProvider::new(login.clone());
    for _ in 0..6 {
        next_login(&provider).await;
    }
    assert_eq!(login.taken(), [None, some("one"), some("two"), None]);
}

#[tokio::test(start_paused = true)]
async fn a_starting_credential_can_have_a_refresh_token() {
    let login = Scripted::new(&[Act::Rotate(None)]);
    let stored = Credential::new("stored")
        .unwrap()
        .with_refresh_token("kept");
    let provider = CachedProvider::builder(login.clone())
        .starting_with(stored)
        .build();
    assert!(next_login(&provider).await);
    assert_eq!(login.taken(), [some("kept")]);
}

// Trap 4
#[tokio::test(start_paused = true)]
async fn a_token_rotated_while_nobody_waits_is_offered_to_the_next_login() {
    let login = Scripted::new(&[
        Act::Rotate(Some("one")),
        Act::WaitAndRotate("two"),
        Act::Rotate(None),
    ]);
    let provider = CachedProvider::new(login.clone());
    assert!(next_login(&provider).await);
    let current = provider.current().unwrap();
    assert!(provider.reject(&by_hand(current.generation())).is_log_in());
    let mut only_caller = task::spawn(provider.acquire());
    assert_pending!(only_caller.poll());
    yield_now().await;
    drop(only_caller);
    login.0.gate.add_permits(1);
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(next_login(&provider).await);
    let taken = login.taken();
    println!("figure: trap4 logins={} lost_refresh_tokens=0", taken.len());
    assert_eq!(taken, [None, some("one"), some("two")]);
}

// I2
#[tokio::test(start_paused = true)]
async fn a_taken_token_is_spent_however_the_login_ends() {
    for act in [Act::TakeAndFail, Act::TakeAndPanic, Act::TakeAndHang] {
        let login = Scripted::new(&[Act::Rotate(Some("one")), act, Act::Rotate(None)]);
        let provider = CachedProvider::new(login.clone());
        assert!(next_login(&provider).await);
        assert!(!next_login(&provider).await, "{act:?}");
        assert!(next_login(&provider).await, "{act:?}");
        assert_eq!(login.taken(), [None, some("one"), None], "{act:?}");
    }
}

// A lost login cannot take the token of the next one.
#[test]
fn a_lost_login_cannot_take_the_token_of_the_next() {
    without_dead_lock(|| {
        let login = Scripted::new(&[
            Act::Rotate(Some("one")),
            Act::WaitAndTake,
            Act::Rotate(Some("two")),
            Act::Rotate(None),
        ]);
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let (first, second) = (runtime(), runtime());
        let provider = CachedProvider::new(login.clone());
        first.block_on(async {
            pause();
            assert!(next_login(&provider).await);
            let current = provider.current().unwrap();
            assert!(provider.reject(&by_hand(current.generation())).is_log_in());
            assert_pending!(task::spawn(provider.acquire()).poll());
            yield_now().await;
        });
        second.block_on(async {
            pause();
            assert!(
                provider.acquire().await.is_ok(),
                "the rejected credential is restored"
            );
            assert_eq!(provider.snapshot().failed_logins(), 1);
            // The token that the lost login did not take is offered to this one.
            assert!(next_login(&provider).await);
        });
        login.0.gate.add_permits(1);
        first.block_on(async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        second.block_on(async { assert!(next_login(&provider).await) });
        assert_eq!(login.taken(), [None, some("one"), None, some("two")]);
    });
}

/// An HTTP login that can refresh, through `client`.
fn refreshing<S, R>(client: S) -> HttpLogin
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    R: Body<Data = Bytes, Error = io::Error> + Send + 'static,
{
    HttpLogin::new(client, "https://api.example.com/login", "{}")
        .unwrap()
        .refresh_by("https://api.example.com/refresh", |token| {
            token.expose().to_owned()
        })
        .unwrap()
}

/// A body of these bytes, after which the connection may break.
#[derive(Debug)]
struct Answer {
    bytes: Option<Bytes>,
    breaks: bool,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.bytes.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.breaks => Some(Err(io::ErrorKind::ConnectionReset.into())),
            None => None,
        })
    }
}

// L6: the server may have rotated the token, however much of the answer arrived.
#[tokio::test]
async fn a_token_is_spent_if_the_answer_breaks_off() {
    let login = refreshing(service_fn(|request: Request<Full<Bytes>>| async move {
        let breaks = request.uri().path() == "/refresh";
        let bytes = match breaks {
            true => r#"{"access_token":"canary"#,
            false => r#"{"access_token":"full"}"#,
        };
        let bytes = Some(Bytes::from_static(bytes.as_bytes()));
        Ok::<_, BoxError>(Response::new(Answer { bytes, breaks }))
    }));
    let mut request = LoginRequest::with_refresh_token("old");
    let credential = login.login(request.clone()).await.unwrap();
    assert_eq!(credential.token().expose(), "full");
    assert!(request.take_refresh_token().is_none());

    let failures = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&failures);
    let stored = Credential::new("stored").unwrap().with_refresh_token("old");
    let provider = CachedProvider::builder(login)
        .starting_with(stored.with_lifetime(Duration::ZERO))
        .on_event(move |event| {
            if let CredentialEvent::RefreshFailed { error, .. } = event {
                events.lock().unwrap().push(error.clone());
            }
        })
        .build();
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer full");
    let failures = failures.lock().unwrap();
    let [error] = &failures[..] else {
        panic!("{failures:?}");
    };
    assert_eq!(
        error.to_string(),
        "the answer to the refresh at POST api.example.com/refresh broke off: 200 OK"
    );
    assert!(!format!("{error:?}").contains("canary"));
}

const TOKENS: &str = r#"{"access_token":"a","refresh_token":"r"}"#;

/// A login with the paths of its requests. `answer` gets a path, and the number of requests before.
fn recorded(answer: fn(&str, usize) -> &'static str) -> (HttpLogin, Arc<Mutex<Vec<String>>>) {
    let paths = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&paths);
    let login = refreshing(service_fn(move |request: Request<Full<Bytes>>| {
        let mut seen = seen.lock().unwrap();
        let answer = answer(request.uri().path(), seen.len());
        seen.push(request.uri().path().to_owned());
        let (bytes, breaks) = (Some(Bytes::from_static(answer.as_bytes())), false);
        async move { Ok::<_, BoxError>(Response::new(Answer { bytes, breaks })) }
    }));
    (login.refresh_token_at("/refresh_token"), paths)
}

// simplejwt goes on refreshing a session that a change of the password has ended.
#[tokio::test]
async fn a_full_login_follows_a_refresh_whose_token_was_never_accepted() {
    let (login, paths) = recorded(|_path, _count| TOKENS);
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login).clock(clock.clone()).build();
    for (path, is_accepted) in [
        ("/login", true),
        ("/refresh", true),
        ("/refresh", false),
        ("/login", false),
        // The last login was a full one.
        ("/refresh", false),
        ("/login", true),
        ("/refresh", true),
    ] {
        let generation = provider.acquire().await.unwrap().generation();
        assert_eq!(paths.lock().unwrap().pop().unwrap(), path);
        if is_accepted {
            provider.accept(receipt(generation));
        }
        // Longer than any pause.
        clock.advance(Duration::from_secs(301));
        assert!(provider.reject(&by_hand(generation)).is_log_in());
    }
}

// The last login was a refresh, but it did not bring the rejected token.
#[tokio::test]
async fn a_credential_that_was_handed_in_is_refreshed_though_it_was_never_accepted() {
    let (login, paths) = recorded(|_path, _count| TOKENS);
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login)
        .starting_with_refresh_token("dff78899")
        .clock(clock.clone())
        .build();
    provider.acquire().await.unwrap();
    let credential = Credential::new("by-browser").unwrap();
    provider.set_credential(credential.with_refresh_token("by-browser"));
    let generation = provider.acquire().await.unwrap().generation();
    clock.advance(Duration::from_secs(301));
    assert!(provider.reject(&by_hand(generation)).is_log_in());
    provider.acquire().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/refresh", "/refresh"]);
}

// The password may be wrong where the refresh token is good.
#[tokio::test]
async fn a_refresh_follows_a_full_login_that_has_failed() {
    let (login, paths) = recorded(|path, count| match path == "/login" && count > 0 {
        true => r#"{"error":"invalid_grant"}"#,
        false => TOKENS,
    });
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login).clock(clock.clone()).build();
    for _ in 0..4 {
        // Where the login fails, the rejected token again.
        let generation = provider.acquire().await.unwrap().generation();
        // Longer than any pause.
        clock.advance(Duration::from_secs(3601));
        assert!(provider.reject(&by_hand(generation)).is_log_in());
    }
    assert_eq!(
        *paths.lock().unwrap(),
        ["/login", "/refresh", "/login", "/refresh"]
    );
}

// Nothing was sent. A full login would use the same client, so there is none.
#[tokio::test]
async fn a_token_is_kept_if_the_client_never_gets_ready() {
    let (client, mut handle) = mock::pair::<Request<Full<Bytes>>, Response<Answer>>();
    handle.send_error("pool closed");
    let login = refreshing(client);
    let mut request = LoginRequest::with_refresh_token("old");
    let error = assert_ready_err!(task::spawn(login.login(request.clone())).poll());
    assert_eq!(
        error.to_string(),
        "the refresh at POST api.example.com/refresh got no connection"
    );
    assert_eq!(error.source().unwrap().to_string(), "pool closed");
    assert_eq!(request.take_refresh_token().unwrap().expose(), "old");
    assert_pending!(handle.poll_request());
}

#[test]
fn a_login_request_made_for_a_test_yields_its_token_once() {
    let mut request = LoginRequest::with_refresh_token("canary");
    assert!(!format!("{request:?}").contains("canary"));
    let mut clone = request.clone();
    assert_eq!(clone.take_refresh_token().unwrap().expose(), "canary");
    assert!(request.take_refresh_token().is_none());
    assert!(LoginRequest::default().take_refresh_token().is_none());
}
