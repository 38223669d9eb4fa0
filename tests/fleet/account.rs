//! An account at an API where each login, and each refresh, revokes the previous token.

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use http::HeaderValue;
use tokio::time::sleep;
use tower_bearer::{
    BoxError, Credential, Login, LoginError, LoginRequest, Session, login_fn, store::RecordKey,
};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const LOGIN_TIME: Duration = Duration::from_millis(200);

pub(crate) static KEY: LazyLock<RecordKey> =
    LazyLock::new(|| RecordKey::new("https://api.example", "importer", ""));

#[derive(Clone, Default)]
pub(crate) struct Account(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_concurrent: bool,
    is_rotating: bool,
    is_revoked: bool,
    /// The number of the live token, and of its refresh token.
    live: usize,
    passwords: usize,
    refreshes: usize,
    /// Refresh tokens that were sent again. Each of them ends the session.
    reuses: usize,
    fails_before_send: bool,
    has_no_password: bool,
    hangs: bool,
    on_login: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Account {
    /// A login revokes nothing.
    pub(crate) fn concurrent() -> Self {
        let account = Self::default();
        account.0.lock().unwrap().is_concurrent = true;
        account
    }

    /// With refresh tokens that work once.
    pub(crate) fn rotating() -> Self {
        let account = Self::default();
        account.0.lock().unwrap().is_rotating = true;
        account
    }

    pub(crate) fn login(&self) -> impl Login + use<> {
        let account = self.clone();
        let session = match account.0.lock().unwrap().is_concurrent {
            true => Session::Concurrent,
            false => Session::Exclusive,
        };
        let login = login_fn(move |request| {
            let account = account.clone();
            async move { account.log_in(request).await }
        });
        login.with_session(session)
    }

    async fn log_in(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        let before = self.0.lock().unwrap().on_login.take();
        if self.0.lock().unwrap().fails_before_send {
            return Err(LoginError::transient("no connection").into());
        }
        let refresh_token = request.take_refresh_token();
        if let Some(before) = before {
            before();
        }
        if refresh_token.is_none() && self.0.lock().unwrap().has_no_password {
            return Err(LoginError::permanent("there is no refresh token").into());
        }
        sleep(LOGIN_TIME).await;
        while self.0.lock().unwrap().hangs {
            sleep(HOUR).await;
        }
        let mut state = self.0.lock().unwrap();
        match refresh_token {
            Some(token) if token.expose() == format!("r{}", state.live) => state.refreshes += 1,
            Some(_) => {
                state.reuses += 1;
                return Err(LoginError::permanent("reuse").into());
            }
            None => state.passwords += 1,
        }
        state.live += 1;
        state.is_revoked = false;
        Ok(state.credential())
    }

    /// The sign-in of a person, by hand.
    pub(crate) fn sign_in(&self) -> Credential {
        let mut state = self.0.lock().unwrap();
        state.live += 1;
        state.credential()
    }

    pub(crate) fn accepts(&self, value: &HeaderValue) -> bool {
        let state = self.0.lock().unwrap();
        !state.is_revoked && value == format!("Bearer t{}", state.live).as_str()
    }

    pub(crate) fn revoke(&self) {
        self.0.lock().unwrap().is_revoked = true;
    }

    /// Calls this once, when a login has begun.
    pub(crate) fn on_login(&self, act: impl Fn() + Send + Sync + 'static) {
        self.0.lock().unwrap().on_login = Some(Arc::new(act));
    }

    pub(crate) fn fail_before_send(&self, fails: bool) {
        self.0.lock().unwrap().fails_before_send = fails;
    }

    pub(crate) fn forbid_password(&self, is_forbidden: bool) {
        self.0.lock().unwrap().has_no_password = is_forbidden;
    }

    /// From now on the server answers nobody.
    pub(crate) fn hang(&self) {
        self.0.lock().unwrap().hangs = true;
    }

    pub(crate) fn revive(&self) {
        self.0.lock().unwrap().hangs = false;
    }

    pub(crate) fn logins(&self) -> usize {
        self.passwords() + self.refreshes()
    }

    pub(crate) fn passwords(&self) -> usize {
        self.0.lock().unwrap().passwords
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.0.lock().unwrap().refreshes
    }

    pub(crate) fn reuses(&self) -> usize {
        self.0.lock().unwrap().reuses
    }

    pub(crate) fn live_refresh_token(&self) -> Option<String> {
        Some(format!("r{}", self.0.lock().unwrap().live))
    }
}

impl State {
    fn credential(&self) -> Credential {
        let token = format!("t{}", self.live);
        let credential = Credential::new(token).unwrap().with_lifetime(HOUR);
        match self.is_rotating {
            true => credential.with_refresh_token(format!("r{}", self.live)),
            false => credential,
        }
    }
}
