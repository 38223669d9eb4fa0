//! A sign-out drops what is held, and nothing of the previous user is sent, stored or replayed later.

mod support;

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode};
use support::{HandClock, by_hand, origins, receipt, request};
use tokio::task::yield_now;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    BearerAuthLayer, BoxProvider, CachedProvider, CachedProviderBuilder, Clock, Credential,
    CredentialEvent, CredentialProvider, CredentialState, Error, KeyedProvider, LoginError, Reason,
    Recovery, RejectionReport, ReplayWith, Retired, login_fn, test_util::ScriptedLogin,
};
use tower_test::mock;

/// What the hooks and observers got, as lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn hooks(&self, builder: CachedProviderBuilder) -> CachedProviderBuilder {
        let (stored, retired) = (self.clone(), self.clone());
        builder
            .on_credential(move |credential| {
                stored.write(format!("stored {}", credential.token().expose()));
            })
            .on_retired(move |it| retired.write(described(&it)))
    }
}

fn described(retired: &Retired) -> String {
    let token = retired.credential().map(|it| it.token().expose());
    let refresh_token = retired.refresh_token().map(|it| it.expose());
    assert!(
        retired
            .credential()
            .is_none_or(|it| it.refresh_token().is_none()),
        "it has a place of its own"
    );
    format!(
        "{:?} {} {}",
        retired.reason(),
        token.unwrap_or("-"),
        refresh_token.unwrap_or("-")
    )
}

fn layer(provider: &CachedProvider) -> BearerAuthLayer {
    BearerAuthLayer::new(provider.clone(), origins())
}

fn credential(token: &str) -> Credential {
    Credential::new(token).unwrap()
}

// I1
#[tokio::test(start_paused = true)]
async fn waiters_fail_and_the_login_under_way_stores_nothing() {
    let (login, log) = (ScriptedLogin::gated(), Log::default());
    let provider = log.hooks(CachedProvider::builder(login.clone())).build();
    let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(provider.acquire())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    let mut unpolled = task::spawn(provider.acquire());
    yield_now().await;
    provider.sign_out();
    for mut waiter in waiters {
        assert!(waiter.is_woken());
        let error = assert_ready_err!(waiter.poll());
        assert!(error.is_signed_out());
        assert_eq!(error.recovery(), Recovery::ChangeCredentials);
    }
    assert!(assert_ready_err!(unpolled.poll()).is_signed_out());
    assert!(provider.acquire().await.unwrap_err().is_signed_out());
    assert_eq!(provider.snapshot().state(), CredentialState::SignedOut);
    assert!(provider.snapshot().is_logging_in(), "it goes on");

    let mut settled = task::spawn(provider.settled());
    assert_pending!(settled.poll());
    login.open();
    settled.await;
    assert!(provider.current().is_none());
    assert_eq!(login.finished(), 1);
    assert_eq!(log.take(), ["SignedOut token-1 -"], "never stored");
    let snapshot = provider.snapshot();
    assert_eq!(snapshot.state(), CredentialState::SignedOut);
    assert_eq!((snapshot.logins(), snapshot.discarded_logins()), (0, 1));

    provider.reset();
    assert_eq!(provider.snapshot().state(), CredentialState::Empty);
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer token-2");
}

// I1
#[tokio::test(start_paused = true)]
async fn the_next_user_waits_for_the_end_of_the_previous_login() {
    let login = ScriptedLogin::gated();
    let provider = CachedProvider::new(login.clone());
    let mut previous = task::spawn(provider.acquire());
    assert_pending!(previous.poll());
    yield_now().await;
    provider.sign_out();
    provider.reset();
    let mut next = task::spawn(provider.acquire());
    assert_pending!(next.poll());
    assert!(assert_ready_err!(previous.poll()).is_signed_out());
    yield_now().await;
    assert_eq!(login.started(), 1);
    login.open();
    assert_eq!(next.await.unwrap().value(), "Bearer token-2");
    assert_eq!(login.most_in_flight(), 1);
    assert_eq!(provider.snapshot().logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_later_reset_does_not_revive_the_discarded_login() {
    let login = login_fn(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(credential("a").with_refresh_token("r"))
    });
    let log = Log::default();
    let provider = log.hooks(CachedProvider::builder(login)).build();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    provider.sign_out();
    provider.reset();
    provider.settled().await;
    assert_eq!(
        log.take(),
        ["SignedOut a r"],
        "its refresh token is not kept"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_dropped_and_retired() {
    let log = Log::default();
    let login = login_fn(|_| async { Ok(credential("a").with_refresh_token("r")) });
    let events = log.clone();
    let provider = log
        .hooks(CachedProvider::builder(login))
        .on_event(move |event| {
            if let CredentialEvent::SignedOut = event {
                events.write("signed out");
            }
        })
        .build();
    provider.acquire().await.unwrap();
    let held = provider.current().unwrap();
    provider.sign_out();
    assert_eq!(log.take(), ["stored a", "signed out", "SignedOut a r"]);
    assert!(provider.current().is_none());
    assert_eq!(provider.snapshot().generation(), None);

    let verdict = provider.reject(&by_hand(held.generation()));
    assert_eq!(verdict.reason(), Reason::Unknown);
    assert!(!verdict.is_log_in());

    provider.sign_out();
    assert_eq!(log.take(), ["signed out"], "nothing was left");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_no_login_has_taken_is_dropped_too() {
    let log = Log::default();
    let refreshed = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&refreshed);
    let login = login_fn(move |mut request| {
        let taken = Arc::clone(&taken);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let token = request.take_refresh_token();
            taken.lock().unwrap().push(token.is_some());
            Err("offline".into())
        }
    });
    let expired = credential("a").with_lifetime(Duration::ZERO);
    let provider = log
        .hooks(CachedProvider::builder(login))
        .starting_with(expired.with_refresh_token("r"))
        .build();
    tokio::time::advance(Duration::from_secs(2)).await;
    provider.reset();
    assert_eq!(log.take(), ["Replaced a -"], "the refresh token is kept");
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    provider.sign_out();
    assert_eq!(log.take(), ["SignedOut - r"]);
    provider.settled().await;
    assert_eq!(*refreshed.lock().unwrap(), [false]);
    assert_eq!(log.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_signs_out_is_told_to_undo_what_it_stored() {
    let log = Log::default();
    let itself: Arc<OnceLock<CachedProvider>> = Arc::default();
    let (stored, retired) = (log.clone(), log.clone());
    let in_hook = Arc::clone(&itself);
    let provider = CachedProvider::builder(ScriptedLogin::new())
        .on_credential(move |credential| {
            stored.write(format!("stored {}", credential.token().expose()));
            in_hook.get().unwrap().sign_out();
        })
        .on_retired(move |it| retired.write(described(&it)))
        .build();
    itself.set(provider.clone()).ok();
    assert!(provider.acquire().await.unwrap_err().is_signed_out());
    provider.settled().await;
    assert_eq!(log.take(), ["stored token-1", "SignedOut token-1 -"]);
    assert!(provider.current().is_none());
}

/// The waiter has used up its retry for a credential that expires before it is polled.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_polled_after_the_sign_out_gets_nothing() {
    let login = ScriptedLogin::gated().with_lifetime(Duration::from_secs(100));
    let clock = HandClock::new();
    let provider = CachedProvider::builder(login.clone())
        .clock(clock.clone())
        .build();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    login.step();
    provider.settled().await;
    clock.advance(Duration::from_secs(200));
    assert_pending!(waiter.poll(), "it waits for another login");
    login.step();
    provider.settled().await;
    assert!(provider.current().is_some());
    provider.sign_out();
    assert!(assert_ready_err!(waiter.poll()).is_signed_out());
}

#[tokio::test]
async fn a_rejected_request_is_not_replayed_for_the_next_user() {
    let provider = CachedProvider::new(ScriptedLogin::new());
    provider.acquire().await.unwrap();
    let layer = layer(&provider).replay(ReplayWith(|_: &()| Some(())));
    let (service, mut handle) = mock::pair();
    let mut response = task::spawn(layer.layer(service).oneshot(request()));
    assert_pending!(response.poll());
    let (sent, send_response) = handle.next_request().await.unwrap();
    assert_eq!(sent.headers()["authorization"], "Bearer token-1");

    provider.sign_out();
    provider.set_credential(credential("somebody-else"));
    send_response.send_response(unauthorized());
    let response = assert_ready_ok!(response.poll());
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let report = response.extensions().get::<RejectionReport>().unwrap();
    assert_eq!(report.reason(), Some(Reason::Unknown));
    assert_eq!(layer.replays(), 0);
    assert_eq!(provider.current().unwrap().value(), "Bearer somebody-else");
}

fn unauthorized() -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// A request that was rejected, and waits for the login before its replay.
#[tokio::test(start_paused = true)]
async fn a_replay_that_waits_is_not_sent_for_the_next_user() {
    let login = ScriptedLogin::gated();
    let provider = CachedProvider::builder(login)
        .starting_with(credential("first"))
        .build();
    let layer = layer(&provider).replay(ReplayWith(|_: &()| Some(())));
    let (service, mut handle) = mock::pair();
    let mut response = task::spawn(layer.layer(service).oneshot(request()));
    assert_pending!(response.poll());
    let (_, send_response) = handle.next_request().await.unwrap();
    send_response.send_response(unauthorized());
    assert_pending!(response.poll());
    yield_now().await;

    provider.sign_out();
    provider.set_credential(credential("somebody-else"));
    let error = assert_ready_err!(response.poll());
    assert!(error.downcast_ref::<Error>().unwrap().is_signed_out());
    assert_pending!(task::spawn(handle.next_request()).poll(), "nothing is sent");
}

/// The request has an authorization of the first user when its service is not ready yet.
async fn is_sent_after_sign_out<P: CredentialProvider>(
    layered: P,
    provider: &CachedProvider,
    next: Option<Credential>,
) {
    let layer = BearerAuthLayer::new(layered, origins());
    let (service, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut client = layer.layer(service);
    handle.allow(1);
    client.ready().await.unwrap();
    let mut response = task::spawn(client.call(request()));
    handle.allow(0);
    assert_pending!(response.poll());
    yield_now().await;
    provider.settled().await;
    assert_pending!(response.poll(), "the service is not ready");

    provider.sign_out();
    if let Some(next) = next {
        provider.set_credential(next);
    }
    handle.allow(1);
    let error = assert_ready_err!(response.poll());
    assert!(error.downcast_ref::<Error>().unwrap().is_signed_out());
    assert_pending!(task::spawn(handle.next_request()).poll(), "nothing is sent");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_service_is_not_sent_after_the_sign_out() {
    for next in [None, Some(credential("somebody-else"))] {
        let provider = CachedProvider::new(ScriptedLogin::new());
        is_sent_after_sign_out(provider.clone(), &provider, next.clone()).await;
        let provider = CachedProvider::new(ScriptedLogin::new());
        is_sent_after_sign_out(BoxProvider::new(provider.clone()), &provider, next.clone()).await;
        let provider = CachedProvider::new(ScriptedLogin::new());
        is_sent_after_sign_out(Arc::new(Some(provider.clone())), &provider, next.clone()).await;
        let accounts = KeyedProvider::builder(|_: &()| ScriptedLogin::new())
            .key(|_| Some(&()))
            .build();
        let provider = accounts.for_key(&()).unwrap();
        is_sent_after_sign_out(accounts, &provider, next).await;
    }
}

/// While logins fail, a request gets a credential within its margin, which is nobody's current one.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_in_an_outage_is_not_sent_after_the_sign_out() {
    let (login, clock) = (ScriptedLogin::new(), HandClock::new());
    login.fail("offline");
    let provider = CachedProvider::builder(login)
        .clock(clock.clone())
        .starting_with(credential("first").with_lifetime(Duration::from_secs(100)))
        .build();
    clock.advance(Duration::from_secs(95));
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer first");
    assert!(provider.current().is_none());
    is_sent_after_sign_out(provider.clone(), &provider, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_issued_again_is_not_retired() {
    let log = Log::default();
    let login = login_fn(|_| async { Ok(credential("a")) });
    let provider = log.hooks(CachedProvider::builder(login)).build();
    let generation = provider.acquire().await.unwrap().generation();
    assert!(provider.reject(&by_hand(generation)).is_log_in());
    provider.acquire().await.unwrap();
    provider.set_credential(credential("a"));
    assert_eq!(log.take(), ["stored a"; 3]);
    provider.set_credential(credential("b"));
    assert_eq!(log.take(), ["stored b", "Replaced a -"]);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_retired_without_its_refresh_token() {
    let log = Log::default();
    let login = login_fn(|mut request| async move {
        let spent = request.take_refresh_token();
        let token = if spent.is_some() { "b" } else { "a" };
        Ok(credential(token).with_refresh_token("r"))
    });
    let provider = log.hooks(CachedProvider::builder(login)).build();
    let generation = provider.acquire().await.unwrap().generation();
    assert!(provider.reject(&by_hand(generation)).is_log_in());
    assert_eq!(log.take(), ["stored a"], "a failed login would put it back");
    provider.acquire().await.unwrap();
    assert_eq!(log.take(), ["stored b", "Replaced a -"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_a_login_did_without_is_retired() {
    let log = Log::default();
    let login = login_fn(|_| async { Ok(credential("b").with_refresh_token("r2")) });
    let provider = log
        .hooks(CachedProvider::builder(login))
        .starting_with(credential("a").with_refresh_token("r1"))
        .build();
    let generation = provider.current().unwrap().generation();
    assert!(provider.reject(&by_hand(generation)).is_log_in());
    provider.acquire().await.unwrap();
    assert_eq!(log.take(), ["stored b", "Replaced a r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_handed_in_ends_the_wait_and_discards_the_login() {
    let (login, log) = (ScriptedLogin::gated(), Log::default());
    let events = log.clone();
    let provider = log
        .hooks(CachedProvider::builder(login.clone()))
        .on_event(move |event| match event {
            CredentialEvent::CredentialSet { .. } => events.write("set"),
            CredentialEvent::LoginDiscarded { .. } => events.write("discarded"),
            _ => {}
        })
        .build();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    provider.set_credential(credential("handed-in"));
    assert!(waiter.is_woken());
    assert_eq!(assert_ready_ok!(waiter.poll()).value(), "Bearer handed-in");
    login.open();
    provider.settled().await;
    assert_eq!(provider.current().unwrap().value(), "Bearer handed-in");
    assert_eq!(
        log.take(),
        ["stored handed-in", "set", "discarded", "Replaced token-1 -"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_credential_replaces_only_the_one_of_its_request() {
    let log = Log::default();
    let provider = log
        .hooks(CachedProvider::builder(ScriptedLogin::new()))
        .build();
    let first = receipt(provider.acquire().await.unwrap().generation());
    log.take();
    assert!(provider.replace_credential(first, credential("second")));
    assert_eq!(log.take(), ["stored second", "Replaced token-1 -"]);
    assert!(!provider.replace_credential(first, credential("late")));
    let second = receipt(provider.current().unwrap().generation());
    provider.sign_out();
    assert!(!provider.replace_credential(second, credential("previous-user")));
    assert!(provider.current().is_none());
    assert_eq!(log.take(), ["SignedOut second -"], "and nothing is stored");
}

/// The hook that stores runs before the credential is used, so a sign-out may come meanwhile.
#[tokio::test(start_paused = true)]
async fn a_next_credential_that_a_sign_out_overtakes_is_retired() {
    let log = Log::default();
    let itself: Arc<OnceLock<CachedProvider>> = Arc::default();
    let (retired, in_hook) = (log.clone(), Arc::clone(&itself));
    let provider = CachedProvider::builder(ScriptedLogin::new())
        .starting_with(credential("first"))
        .on_credential(move |_| in_hook.get().unwrap().sign_out())
        .on_retired(move |it| retired.write(described(&it)))
        .build();
    itself.set(provider.clone()).ok();
    let first = receipt(provider.current().unwrap().generation());
    let next = credential("next").with_refresh_token("r");
    assert!(!provider.replace_credential(first, next));
    assert_eq!(log.take(), ["SignedOut first -", "SignedOut next r"]);
    assert!(provider.acquire().await.unwrap_err().is_signed_out());
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_handed_in_keeps_the_refresh_token_or_brings_its_own() {
    let log = Log::default();
    let refreshes = log.clone();
    let login = login_fn(move |mut request| {
        let token = request.take_refresh_token();
        refreshes.write(format!("refresh {}", token.unwrap().expose()));
        async { Ok(credential("refreshed").with_refresh_token("r3")) }
    });
    let provider = log
        .hooks(CachedProvider::builder(login))
        .starting_with(credential("first").with_refresh_token("r1"))
        .build();
    provider.set_credential(credential("second"));
    assert_eq!(log.take(), ["stored second", "Replaced first -"]);
    provider.set_credential(credential("third").with_refresh_token("r2"));
    assert_eq!(log.take(), ["stored third", "Replaced second r1"]);
    provider.reset();
    provider.acquire().await.unwrap();
    assert_eq!(
        log.take(),
        ["Replaced third -", "refresh r2", "stored refreshed"]
    );
}

/// Some servers return the same refresh token each time.
#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_is_handed_in_again_is_not_retired() {
    let log = Log::default();
    let provider = log
        .hooks(CachedProvider::builder(ScriptedLogin::new()))
        .starting_with(credential("first").with_refresh_token("r"))
        .build();
    provider.set_credential(credential("second").with_refresh_token("r"));
    assert_eq!(log.take(), ["stored second", "Replaced first -"]);

    // The login under way has it too.
    provider.reset();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    provider.set_credential(credential("third").with_refresh_token("r"));
    log.take();
    provider.settled().await;
    assert_eq!(log.take(), ["Replaced token-1 -"]);
    provider.sign_out();
    assert_eq!(log.take(), ["SignedOut third r"]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_a_new_refresh_token_keeps_that_one() {
    let log = Log::default();
    let refreshes = log.clone();
    let login = login_fn(move |mut request| {
        let token = request.take_refresh_token();
        refreshes.write(format!("refresh {}", token.unwrap().expose()));
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err(LoginError::transient("offline").into())
        }
    });
    let provider = log
        .hooks(CachedProvider::builder(login))
        .starting_with(credential("first").with_refresh_token("r1"))
        .build();
    provider.reset();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    provider.set_credential(credential("second").with_refresh_token("r2"));
    provider.reset();
    log.take();
    assert!(waiter.await.is_err());
    assert_eq!(log.take(), ["refresh r2"], "for the second login");
}

#[tokio::test(start_paused = true)]
async fn a_discarded_login_that_brings_a_refresh_token_leaves_none_unseen() {
    let log = Log::default();
    let login = login_fn(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(credential("second").with_refresh_token("r2"))
    });
    let provider = log
        .hooks(CachedProvider::builder(login))
        .starting_with(credential("first").with_refresh_token("r1"))
        .build();
    provider.reset();
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    yield_now().await;
    provider.reset();
    log.take();
    provider.settled().await;
    assert_eq!(log.take(), ["Replaced second -", "Replaced - r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_handed_in_ends_a_back_off() {
    let login = ScriptedLogin::new();
    login.fail("offline");
    let provider = CachedProvider::new(login);
    assert!(provider.acquire().await.is_err());
    assert_eq!(provider.snapshot().state(), CredentialState::BackingOff);
    provider.set_credential(credential("abc"));
    assert_eq!(provider.acquire().await.unwrap().value(), "Bearer abc");
    assert!(provider.snapshot().last_error().is_none());
}

#[tokio::test(start_paused = true)]
async fn settled_ends_at_once_without_a_login() {
    let provider = CachedProvider::new(ScriptedLogin::new());
    assert!(task::spawn(provider.settled()).poll().is_ready());
    provider.acquire().await.unwrap();
    assert!(task::spawn(provider.settled()).poll().is_ready());
}

#[tokio::test(start_paused = true)]
async fn settled_waits_for_a_background_login_and_its_hooks() {
    let (login, log) = (
        ScriptedLogin::gated()
            .concurrent()
            .with_lifetime(Duration::from_secs(100)),
        Log::default(),
    );
    let clock = HandClock::new();
    let events = log.clone();
    let provider = log
        .hooks(CachedProvider::builder(login.clone()))
        .on_event(move |event| {
            if let CredentialEvent::LoggedIn { .. } = event {
                events.write("logged in");
            }
        })
        .clock(clock.clone())
        .build();
    login.step();
    provider.acquire().await.unwrap();
    log.take();
    clock.advance(Duration::from_secs(85));
    assert!(provider.current().is_some());
    let mut settled = task::spawn(provider.settled());
    assert_pending!(settled.poll());
    yield_now().await;
    assert_pending!(settled.poll());
    login.step();
    settled.await;
    assert_eq!(
        log.take(),
        ["stored token-2", "logged in", "Replaced token-1 -"]
    );
}

// I7
#[tokio::test(start_paused = true)]
async fn settled_ends_with_a_login_that_hangs() {
    let provider = CachedProvider::new(ScriptedLogin::gated());
    let mut waiter = task::spawn(provider.acquire());
    assert_pending!(waiter.poll());
    let start = tokio::time::Instant::now();
    provider.settled().await;
    assert_eq!(start.elapsed().as_secs(), 10, "the login's timeout");
    assert!(assert_ready_err!(waiter.poll()).is_login_timed_out());
}

#[tokio::test(start_paused = true)]
async fn a_layer_without_a_user_sends_nothing() {
    let provider = CachedProvider::new(ScriptedLogin::new());
    let (service, mut handle) = mock::pair::<Request<()>, Response<()>>();
    provider.sign_out();
    let error = layer(&provider)
        .layer(service)
        .oneshot(request())
        .await
        .unwrap_err();
    assert!(error.downcast_ref::<Error>().unwrap().is_signed_out());
    assert!(handle.next_request().await.is_none());
}

/// The sign-out comes after the rejection was reported, and before the replay asks for a credential.
#[tokio::test(start_paused = true)]
async fn a_replay_that_has_just_begun_is_not_sent_for_the_next_user() {
    let itself: Arc<OnceLock<CachedProvider>> = Arc::default();
    let in_observer = Arc::clone(&itself);
    let provider = CachedProvider::builder(ScriptedLogin::new())
        .starting_with(credential("first"))
        .on_event(move |event| {
            if let CredentialEvent::Rejected { .. } = event {
                let provider = in_observer.get().unwrap();
                provider.sign_out();
                provider.set_credential(credential("somebody-else"));
            }
        })
        .build();
    itself.set(provider.clone()).ok();
    let layer = layer(&provider).replay(ReplayWith(|_: &()| Some(())));
    let (service, mut handle) = mock::pair();
    let mut response = task::spawn(layer.layer(service).oneshot(request()));
    assert_pending!(response.poll());
    let (_, send_response) = handle.next_request().await.unwrap();
    send_response.send_response(unauthorized());
    let error = assert_ready_err!(response.poll());
    assert!(error.downcast_ref::<Error>().unwrap().is_signed_out());
    assert_pending!(task::spawn(handle.next_request()).poll(), "nothing is sent");
}

/// Another thread sets a credential while a request joins the login. The clock stands in for it.
#[tokio::test(start_paused = true)]
async fn a_credential_that_is_handed_in_reaches_a_request_that_is_about_to_wait() {
    /// Acts before its second reading.
    #[derive(Clone)]
    struct Acting(HandClock, Arc<Mutex<Option<(u32, CachedProvider)>>>);

    impl Clock for Acting {
        fn now(&self) -> Instant {
            let mut armed = self.1.lock().unwrap();
            let due = armed.take_if(|(readings, _)| {
                *readings += 1;
                *readings == 2
            });
            drop(armed);
            if let Some((_, provider)) = due {
                provider.set_credential(credential("handed-in"));
            }
            self.0.now()
        }
    }

    let hour = Duration::from_secs(60 * 60);
    let clock = Acting(HandClock::new(), Arc::default());
    let login = ScriptedLogin::gated().concurrent();
    let provider = CachedProvider::builder(login)
        .starting_with(credential("first").with_lifetime(hour))
        .clock(clock.clone())
        .build();
    clock.0.advance(hour * 9 / 10);
    assert!(provider.current().is_some());
    yield_now().await;
    assert!(provider.snapshot().is_logging_in());
    *clock.1.lock().unwrap() = Some((0, provider.clone()));
    let mut waiter = task::spawn(provider.acquire_valid_for(hour));
    let authorization = assert_ready_ok!(waiter.poll());
    assert_eq!(authorization.value(), "Bearer handed-in");
}

/// With the refresh token that the provider keeps, the hook could overtake `before_refresh` of a login: the
/// store would then have a refresh token that is being spent.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_handed_in_alone_is_stored_alone() {
    let log = Log::default();
    let stored = log.clone();
    let provider = CachedProvider::builder(ScriptedLogin::new())
        .starting_with_refresh_token("r1")
        .on_credential(move |credential| {
            let refresh_token = credential.refresh_token().map(|it| it.expose());
            stored.write(format!("{} {refresh_token:?}", credential.token().expose()));
        })
        .build();
    provider.set_credential(credential("first"));
    provider.set_credential(credential("second").with_refresh_token("r2"));
    assert_eq!(log.take(), ["first None", r#"second Some("r2")"#]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_a_login_returns_again_is_not_retired() {
    let log = Log::default();
    let login = login_fn(|_| async { Ok(credential("same").with_refresh_token("r")) });
    let provider = log.hooks(CachedProvider::builder(login)).build();
    let generation = provider.acquire().await.unwrap().generation();
    assert!(provider.reject(&by_hand(generation)).is_log_in());
    provider.acquire().await.unwrap();
    assert_eq!(
        log.take(),
        ["stored same", "stored same"],
        "both are in use"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_does_not_retire_the_refresh_token_in_use() {
    let log = Log::default();
    let itself: Arc<OnceLock<CachedProvider>> = Arc::default();
    let (retired, in_hook) = (log.clone(), Arc::clone(&itself));
    let provider = CachedProvider::builder(ScriptedLogin::new())
        .starting_with(credential("first").with_refresh_token("r"))
        .on_credential(move |it| {
            if it.token().expose() == "second" {
                let third = credential("third").with_refresh_token("r");
                in_hook.get().unwrap().set_credential(third);
            }
        })
        .on_retired(move |it| retired.write(described(&it)))
        .build();
    itself.set(provider.clone()).ok();
    let receipt = receipt(provider.current().unwrap().generation());
    let second = credential("second").with_refresh_token("r");
    assert!(!provider.replace_credential(receipt, second));
    assert_eq!(log.take(), ["Replaced first -", "Replaced second -"]);
}
