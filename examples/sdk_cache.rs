//! The token comes from another SDK, which caches it: `SdkProvider` around a credential in the shape of
//! azure_core's and google-cloud-auth's.
//!
//! A hundred requests at once, a token that expires, and a token that is revoked. The SDK knows of the
//! expiry and not of the revocation: a rejection tells it. No network is needed:
//!
//! ```text
//! cargo run --example sdk_cache
//! ```
//!
//! The example exits with an error if one of the figures is wrong.
//!
//! **Copy** the function `provider`. Leave out `forget` if your SDK has no such call, as those two have
//! none: a revoked token is then used until the SDK replaces it. **Do not copy** the module `sdk`.

use std::{convert::Infallible, process::ExitCode};

use http::{Request, Response, StatusCode};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, BoxError, CredentialProvider, Origins, ReplayWith, SdkProvider, Token,
};

use self::sdk::Credential;

const REQUESTS: usize = 100;

fn provider(credential: &Credential) -> impl CredentialProvider<Acquire: Send> + Clone + use<> {
    let (credential, forgetting) = (credential.clone(), credential.clone());
    SdkProvider::new(move || {
        let credential = credential.clone();
        async move {
            let answer = credential
                .get_token(&["https://api.example.com/.default"])
                .await?;
            Ok(Token::new(answer.token)?)
        }
    })
    .forget(move || forgetting.forget_token())
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let credential = Credential::default();
    // The API, in place of a client and a server.
    let issuer = credential.clone();
    let api = service_fn(move |request: Request<()>| {
        let is_valid = issuer.is_valid(request.headers().get("authorization"));
        let status = if is_valid {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        let mut response = Response::new(());
        *response.status_mut() = status;
        async { Ok::<_, Infallible>(response) }
    });
    let origins = Origins::new("https://api.example.com")?;
    let again: fn(&()) -> Option<()> = |()| Some(()); // how to send a rejected request once more
    let client = BearerAuthLayer::new(provider(&credential), origins)
        .replay(ReplayWith(again))
        .layer(api);

    let mut failed = send(&client).await?;
    println!("the SDK's token expires");
    credential.expire();
    failed += send(&client).await?;
    println!("the SDK's token is revoked: a rejection makes the SDK forget it");
    credential.revoke();
    failed += send(&client).await?;

    let logins = credential.logins();
    println!(
        "sdk_cache: requests={} logins={logins} failed={failed}",
        3 * REQUESTS
    );
    Ok(match (logins, failed) {
        (3, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Sends a number of requests at once. Returns how many of them failed.
async fn send<S>(client: &S) -> Result<usize, BoxError>
where
    S: Service<Request<()>, Response = Response<()>> + Clone + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send,
{
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let request = Request::get("https://api.example.com/things").body(())?;
        requests.spawn(client.clone().oneshot(request));
    }
    let mut failed = 0;
    while let Some(answered) = requests.join_next().await {
        let response = answered?.map_err(Into::into)?;
        failed += usize::from(!response.status().is_success());
    }
    Ok(failed)
}

/// A stand-in for an SDK: it logs in if its cache is empty, and no two calls log in at once.
mod sdk {
    use std::sync::{Arc, PoisonError};

    use http::HeaderValue;
    use tokio::{sync::Mutex, task};
    use tower_bearer::BoxError;

    pub(crate) struct AccessToken {
        pub(crate) token: String,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Credential {
        /// Held during a login.
        login: Arc<Mutex<()>>,
        state: Arc<std::sync::Mutex<State>>,
    }

    #[derive(Default)]
    struct State {
        logins: usize,
        cached: Option<String>,
        /// What the API accepts.
        valid: Option<String>,
    }

    impl Credential {
        pub(crate) async fn get_token(&self, _scopes: &[&str]) -> Result<AccessToken, BoxError> {
            let login = self.login.lock().await;
            if let Some(token) = self.with(|state| state.cached.clone()) {
                return Ok(AccessToken { token });
            }
            task::yield_now().await; // the login
            let token = self.with(|state| {
                state.logins += 1;
                let token = format!("token-{}", state.logins);
                (state.cached, state.valid) = (Some(token.clone()), Some(token.clone()));
                token
            });
            drop(login);
            Ok(AccessToken { token })
        }

        pub(crate) fn forget_token(&self) {
            self.with(|state| state.cached = None);
        }

        pub(crate) fn expire(&self) {
            self.with(|state| (state.cached, state.valid) = (None, None));
        }

        /// Behind the back of the SDK.
        pub(crate) fn revoke(&self) {
            self.with(|state| state.valid = None);
        }

        pub(crate) fn is_valid(&self, sent: Option<&HeaderValue>) -> bool {
            let valid = self.with(|state| state.valid.clone());
            let valid = valid.map(|token| format!("Bearer {token}"));
            sent.is_some_and(|sent| valid.is_some_and(|valid| *sent == *valid))
        }

        pub(crate) fn logins(&self) -> usize {
            self.with(|state| state.logins)
        }

        fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
            change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }
}
