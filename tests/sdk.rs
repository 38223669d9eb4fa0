//! A provider around an SDK that caches its token by itself.

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::Response;
use support::{by_hand, origins, request};
use tokio::{sync::Semaphore, time::advance};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{
    Authorization, BearerAuthLayer, BoxError, CredentialProvider, Error, Reason, ReplayWith,
    RequestHead, Scheme, SdkProvider, Token,
};

/// An SDK in the shape of azure_core's and google-cloud-auth's credentials.
#[derive(Clone, Default)]
struct Sdk {
    logins: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    cached: Arc<Mutex<Option<String>>>,
    is_stubborn: bool,
}

impl Sdk {
    async fn token(&self) -> Result<String, BoxError> {
        self.calls.fetch_add(1, SeqCst);
        let mut cached = self.cached.lock().unwrap();
        let log_in = || format!("token-{}", self.logins.fetch_add(1, SeqCst) + 1);
        Ok(cached.get_or_insert_with(log_in).clone())
    }

    fn forget_token(&self) {
        if !self.is_stubborn {
            *self.cached.lock().unwrap() = None;
        }
    }

    fn logins(&self) -> usize {
        self.logins.load(SeqCst)
    }
}

/// The SDK's calls as a provider, with a call to forget the token or without.
fn provider(
    sdk: &Sdk,
    can_forget: bool,
) -> impl CredentialProvider + Clone + Send + Sync + 'static {
    let (sdk, forgetting) = (sdk.clone(), sdk.clone());
    let provider = SdkProvider::new(move || {
        let sdk = sdk.clone();
        async move { Ok(Token::new(sdk.token().await?)?) }
    });
    match can_forget {
        true => provider.forget(move || forgetting.forget_token()),
        false => provider,
    }
}

async fn acquire(provider: &impl CredentialProvider) -> Result<Authorization, Error> {
    provider.acquire_for(RequestHead::of(&request())).await
}

#[tokio::test]
async fn the_same_token_keeps_its_generation() {
    let sdk = Sdk::default();
    let provider = provider(&sdk, true);
    let first = acquire(&provider).await.unwrap();
    let second = acquire(&provider.clone()).await.unwrap();
    assert_eq!(first.value(), "Bearer token-1");
    assert_eq!(first.generation(), second.generation());
    sdk.forget_token();
    let third = acquire(&provider).await.unwrap();
    assert_eq!(third.value(), "Bearer token-2");
    assert_ne!(first.generation(), third.generation());
    assert_eq!(sdk.calls.load(SeqCst), 3, "the SDK has the cache");
}

#[tokio::test]
async fn a_token_that_comes_back_has_its_generation_again() {
    let answers = Mutex::new(vec!["a", "b", "a"].into_iter());
    let provider = SdkProvider::new(move || {
        let answer = answers.lock().unwrap().next().unwrap();
        async move { Ok(Token::new(answer)?) }
    });
    let [first, second, third] = [
        acquire(&provider).await.unwrap().generation(),
        acquire(&provider).await.unwrap().generation(),
        acquire(&provider).await.unwrap().generation(),
    ];
    assert_ne!(first, second);
    assert_eq!(first, third);
}

// Its answer says nothing about what the SDK has after it forgot the token.
#[tokio::test]
async fn a_call_from_before_the_rejection_is_no_answer_to_it() {
    let gate = Arc::new(Semaphore::new(0));
    let calls = AtomicUsize::new(0);
    let provider = {
        let gate = Arc::clone(&gate);
        SdkProvider::new(move || {
            let is_slow = calls.fetch_add(1, SeqCst) == 1;
            let gate = Arc::clone(&gate);
            async move {
                if is_slow {
                    gate.acquire().await?.forget();
                }
                Ok(Token::new("abc")?)
            }
        })
        .forget(|| {})
    };
    let rejected = acquire(&provider).await.unwrap().generation();
    let mut slow = task::spawn(acquire(&provider));
    assert_pending!(slow.poll());
    assert!(provider.reject(&by_hand(rejected)).is_log_in());
    gate.add_permits(1);
    assert_eq!(slow.await.unwrap().generation(), rejected);
    let again = provider.reject(&by_hand(rejected));
    assert_eq!(again.reason(), Reason::Late);
}

#[tokio::test]
async fn a_rejection_of_the_current_token_makes_the_sdk_forget_it_once() {
    let sdk = Sdk::default();
    let provider = provider(&sdk, true);
    let rejected = acquire(&provider).await.unwrap().generation();
    let verdict = provider.reject(&by_hand(rejected));
    assert_eq!(verdict.reason(), Reason::Current);

    // The SDK has another token already, which no request has seen.
    sdk.token().await.unwrap();
    let verdict = provider.reject(&by_hand(rejected));
    assert_eq!(verdict.reason(), Reason::Late);
    assert_eq!(acquire(&provider).await.unwrap().value(), "Bearer token-2");
    assert_eq!(sdk.logins(), 2);
}

#[tokio::test]
async fn a_late_rejection_changes_nothing() {
    let sdk = Sdk::default();
    let provider = provider(&sdk, true);
    let old = acquire(&provider).await.unwrap();
    sdk.forget_token();
    let current = acquire(&provider).await.unwrap();
    let verdict = provider.reject(&by_hand(old.generation()));
    assert_eq!(verdict.reason(), Reason::Late);
    assert!(verdict.is_log_in());
    let same = acquire(&provider).await.unwrap();
    assert_eq!(same.generation(), current.generation());
    assert_eq!(sdk.logins(), 2);
}

#[tokio::test]
async fn without_a_call_to_forget_no_other_credential_comes() {
    let sdk = Sdk::default();
    let provider = provider(&sdk, false);
    let current = acquire(&provider).await.unwrap().generation();
    for _ in 0..3 {
        let verdict = provider.reject(&by_hand(current));
        assert_eq!(verdict.reason(), Reason::Fixed);
        assert!(!verdict.is_log_in());
    }
    assert_eq!(acquire(&provider).await.unwrap().generation(), current);
}

// A forbidden endpoint rejects every token: after 0, 30, 90, 210, 450, 930, 1,830 and 2,730 s one is forgotten.
#[tokio::test(start_paused = true)]
async fn the_sdk_forgets_eight_tokens_in_an_hour_at_most() {
    for is_stubborn in [false, true] {
        let sdk = Sdk {
            is_stubborn,
            ..Sdk::default()
        };
        let provider = provider(&sdk, true);
        let reject = async |seconds: u64| {
            let mut reasons = HashMap::new();
            for _ in 0..seconds {
                let current = acquire(&provider).await.unwrap().generation();
                let verdict = provider.reject(&by_hand(current));
                assert_eq!(verdict.next_login().is_some(), !verdict.is_log_in());
                *reasons.entry(verdict.reason()).or_insert(0) += 1;
                advance(Duration::from_secs(1)).await;
            }
            (reasons[&Reason::Current], reasons[&Reason::LoginDidNotHelp])
        };
        assert_eq!(reject(3600).await, (8, 3592));
        // Twice the last pause after the last one, all is as at first.
        advance(Duration::from_secs(2730 + 1800 - 3600)).await;
        assert_eq!(reject(90).await, (2, 88));
        assert_eq!(sdk.logins(), if is_stubborn { 1 } else { 11 });
    }
}

#[tokio::test]
async fn an_outdated_answer_does_not_become_the_current_token() {
    let gate = Arc::new(Semaphore::new(0));
    let answers = Arc::new(Mutex::new(vec!["old", "new", "new"]));
    let provider = {
        let (gate, answers) = (Arc::clone(&gate), Arc::clone(&answers));
        SdkProvider::new(move || {
            let answer = answers.lock().unwrap().remove(0);
            let gate = Arc::clone(&gate);
            async move {
                if answer == "old" {
                    gate.acquire().await?.forget();
                }
                Ok(Token::new(answer)?)
            }
        })
        .forget(|| {})
    };
    let mut slow = task::spawn(acquire(&provider));
    assert_pending!(slow.poll());
    let current = acquire(&provider).await.unwrap();
    gate.add_permits(1);
    let outdated = slow.await.unwrap();
    assert_eq!(outdated.value(), "Bearer old");
    let verdict = provider.reject(&by_hand(outdated.generation()));
    assert_eq!(verdict.reason(), Reason::Late);
    let same = acquire(&provider).await.unwrap();
    assert_eq!(same.generation(), current.generation());
}

#[tokio::test]
async fn requests_call_the_sdk_at_the_same_time() {
    let gates = [(); 3].map(|()| Arc::new(Semaphore::new(0)));
    let calls = AtomicUsize::new(0);
    let provider = {
        let gates = gates.clone();
        SdkProvider::new(move || {
            let gate = Arc::clone(&gates[calls.fetch_add(1, SeqCst)]);
            async move {
                gate.acquire().await?.forget();
                Ok(Token::new("abc")?)
            }
        })
    };
    let mut requests = [(); 3].map(|()| task::spawn(acquire(&provider)));
    for request in &mut requests {
        assert_pending!(request.poll());
    }
    // The last one first: nothing but the SDK makes it wait.
    for (gate, request) in gates.iter().zip(&mut requests).rev() {
        gate.add_permits(1);
        let authorization = assert_ready!(request.poll()).unwrap();
        assert_eq!(authorization.value(), "Bearer abc");
    }
}

#[tokio::test]
async fn an_error_of_the_sdk_reaches_the_caller_and_is_not_remembered() {
    let is_down = Arc::new(AtomicUsize::new(1));
    let down = Arc::clone(&is_down);
    let provider = SdkProvider::new(move || {
        let is_down = down.load(SeqCst) == 1;
        async move {
            match is_down {
                true => Err("metadata server not found".into()),
                false => Ok(Token::new("abc")?),
            }
        }
    });
    let error = acquire(&provider).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("metadata server not found"),
        "{error:?}"
    );
    assert_eq!(error.next_attempt(), None);
    is_down.store(0, SeqCst);
    assert_eq!(acquire(&provider).await.unwrap().value(), "Bearer abc");
}

#[tokio::test]
async fn scheme_and_account_are_those_of_the_provider() {
    let provider = SdkProvider::new(|| async { Ok(Token::new("abc")?) })
        .scheme(Scheme::from_static("Token"))
        .account(7);
    let authorization = acquire(&provider).await.unwrap();
    assert_eq!(authorization.value(), "Token abc");
    assert_eq!(authorization.account(), 7);
}

#[tokio::test]
async fn a_rejected_request_is_replayed_with_the_next_token() {
    for (can_forget, is_stubborn, status) in [
        (true, false, 200),
        (false, false, 401),
        // The same token again, as a metadata server with its own cache returns it.
        (true, true, 401),
    ] {
        let sdk = Sdk {
            is_stubborn,
            ..Sdk::default()
        };
        let http = service_fn(async |request: http::Request<()>| {
            let is_revoked = request.headers()["authorization"] == "Bearer token-1";
            let status = if is_revoked { 401 } else { 200 };
            Response::builder().status(status).body(())
        });
        let layer = BearerAuthLayer::new(provider(&sdk, can_forget), origins());
        let again: fn(&()) -> Option<()> = |()| Some(());
        let client = layer.replay(ReplayWith(again)).layer(http);
        let response = client.oneshot(request()).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(sdk.logins(), if status == 200 { 2 } else { 1 });
    }
}
