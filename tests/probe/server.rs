//! A made-up login and API in memory, whose behaviour a test chooses.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{BoxError, Service};
use tower_bearer::{Clock, test_util::TestClock};

/// A part of each token that must not be printed.
pub(crate) const CANARY: &str = "canary";
pub(crate) const PASSWORD: &str = "canary-password";

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Refresh {
    Never,
    /// A second use is refused.
    Once,
    /// A second use also ends the tokens of the first.
    OnceOrEnd,
    /// Without a new refresh token.
    Often,
}

#[derive(Clone)]
pub(crate) struct Behaviour {
    pub(crate) login_revokes: bool,
    /// How long a login takes.
    pub(crate) login_takes: u64,
    pub(crate) refresh_revokes: bool,
    /// How long a revoked token lives on.
    pub(crate) lag: u64,
    pub(crate) announced: Option<u64>,
    /// What a refresh announces, if it is another lifetime.
    pub(crate) announced_by_refresh: Option<u64>,
    /// The real lifetime.
    pub(crate) lifetime: u64,
    pub(crate) refresh: Refresh,
    pub(crate) is_jwt: bool,
    pub(crate) has_one_token: bool,
    /// How far the clock is ahead, in seconds.
    pub(crate) offset: i64,
    pub(crate) expired: u16,
    pub(crate) revoked: u16,
    pub(crate) unknown: u16,
    pub(crate) bare: u16,
    pub(crate) header: HeaderName,
    pub(crate) scheme: &'static str,
    /// The login of this number, and all later ones, get this status.
    pub(crate) failing_login: Option<(usize, u16)>,
    pub(crate) failing_refresh: Option<(usize, u16)>,
    /// After so many requests with a known token, the API gets worse.
    pub(crate) failing_api: Option<(usize, u16)>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            login_revokes: false,
            login_takes: 0,
            refresh_revokes: false,
            lag: 0,
            announced: Some(3600),
            announced_by_refresh: None,
            lifetime: 3600,
            refresh: Refresh::Never,
            is_jwt: false,
            has_one_token: false,
            offset: 0,
            expired: 401,
            revoked: 401,
            unknown: 401,
            bare: 401,
            header: AUTHORIZATION,
            scheme: "Bearer",
            failing_login: None,
            failing_refresh: None,
            failing_api: None,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Server {
    behaviour: Behaviour,
    clock: TestClock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tokens: Vec<Token>,
    used: Vec<String>,
    logins: usize,
    refreshes: usize,
    calls: usize,
}

struct Token {
    text: String,
    refresh_token: String,
    issued: Instant,
    revoked: Option<Instant>,
}

impl Server {
    pub(crate) fn new(behaviour: Behaviour, clock: &TestClock) -> Self {
        Self {
            behaviour,
            clock: clock.clone(),
            state: Arc::default(),
        }
    }

    /// Logins, failed ones included, and refreshes.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.logins, state.refreshes)
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<
        Request<Full<Bytes>>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future = impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + use<>,
    >
    + Clone
    + Send
    + Sync
    + 'static
    + use<> {
        let server = self.clone();
        tower::service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let text = String::from_utf8_lossy(&body).into_owned();
                let (status, answer) = match parts.uri.path() {
                    "/login" => server.log_in(&text),
                    "/refresh" => server.refresh(&text),
                    _ => {
                        let sent = parts.headers.get(&server.behaviour.header);
                        let status = server.call(sent.map(|it| it.to_str().unwrap()));
                        (status, json!({"things": CANARY}))
                    }
                };
                let challenge = format!(
                    "Bearer realm=\"{CANARY}\", error=\"invalid_token\", Echo error=\"{CANARY}-token-0\""
                );
                Ok(Response::builder()
                    .status(status)
                    .header("date", httpdate::fmt_http_date(server.wall()))
                    .header("location", format!("https://{CANARY}.example.com"))
                    .header("www-authenticate", challenge)
                    .body(Full::from(answer.to_string()))
                    .unwrap())
            }
        })
    }

    fn wall(&self) -> SystemTime {
        let offset = Duration::from_secs(self.behaviour.offset.unsigned_abs());
        match self.behaviour.offset {
            0.. => self.clock.wall() + offset,
            _ => self.clock.wall() - offset,
        }
    }

    fn log_in(&self, body: &str) -> (u16, Value) {
        let mut state = self.state.lock().unwrap();
        state.logins += 1;
        self.clock
            .advance(Duration::from_secs(self.behaviour.login_takes));
        assert!(body.contains(PASSWORD), "the password is sent");
        match self.behaviour.failing_login {
            Some((from, status)) if state.logins >= from => (status, json!({"error": CANARY})),
            _ => (200, self.tokens(&mut state, self.behaviour.login_revokes)),
        }
    }

    fn refresh(&self, body: &str) -> (u16, Value) {
        let mut state = self.state.lock().unwrap();
        state.refreshes += 1;
        if let Some((from, status)) = self.behaviour.failing_refresh
            && state.refreshes >= from
        {
            return (status, json!({"error": CANARY}));
        }
        let mut known = state
            .tokens
            .iter()
            .rev()
            .map(|token| token.refresh_token.clone());
        let sent = known.find(|known| body.contains(known)).unwrap();
        if state.used.contains(&sent) && self.behaviour.refresh != Refresh::Often {
            if self.behaviour.refresh == Refresh::OnceOrEnd {
                let now = self.clock.now();
                state
                    .tokens
                    .iter_mut()
                    .for_each(|token| token.revoked = Some(now));
            }
            return (
                400,
                json!({"error": "invalid_grant", "error_description": sent}),
            );
        }
        state.used.push(sent);
        (200, self.tokens(&mut state, self.behaviour.refresh_revokes))
    }

    fn tokens(&self, state: &mut State, revokes: bool) -> Value {
        let (now, number) = (self.clock.now(), state.tokens.len());
        if revokes {
            let at = now + Duration::from_secs(self.behaviour.lag);
            for token in &mut state.tokens {
                token.revoked.get_or_insert(at);
            }
        }
        let wall = self.wall().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let text = match self.behaviour {
            Behaviour {
                has_one_token: true,
                ..
            } => format!("{CANARY}-token"),
            Behaviour { is_jwt: true, .. } => {
                let lifetime = self.behaviour.announced.unwrap_or(self.behaviour.lifetime);
                let claims = json!({"iat": wall, "exp": wall + lifetime, "jti": number});
                format!(
                    "{CANARY}.{}.sig",
                    URL_SAFE_NO_PAD.encode(claims.to_string())
                )
            }
            _ => format!("{CANARY}-token-{number}"),
        };
        let refresh_token = format!("{CANARY}-refresh-{number}");
        let kind = match self.behaviour.scheme {
            "Bearer" => "Bearer".to_owned(),
            _ => text.clone(),
        };
        let mut answer = json!({"access_token": text, "token_type": kind});
        let is_refresh = state.refreshes > 0;
        let by_refresh = self.behaviour.announced_by_refresh.filter(|_| is_refresh);
        if let Some(announced) = by_refresh.or(self.behaviour.announced) {
            answer["expires_in"] = announced.into();
            answer["expires_at"] = (wall + announced).into();
            answer["ttl"] = (announced * 1000).into();
        }
        match self.behaviour.refresh {
            Refresh::Never => {}
            Refresh::Often if number > 0 => {
                answer["refresh_token"] = state.tokens[0].refresh_token.clone().into()
            }
            _ => answer["refresh_token"] = refresh_token.clone().into(),
        }
        state.tokens.push(Token {
            text,
            refresh_token,
            issued: now,
            revoked: None,
        });
        answer
    }

    fn call(&self, sent: Option<&str>) -> u16 {
        let mut state = self.state.lock().unwrap();
        let behaviour = &self.behaviour;
        let Some(sent) = sent else {
            return behaviour.bare;
        };
        let sent = sent.strip_prefix(behaviour.scheme).unwrap().trim();
        if !state.tokens.iter().any(|token| token.text == sent) {
            return behaviour.unknown;
        }
        state.calls += 1;
        if let Some((from, status)) = behaviour.failing_api
            && state.calls >= from
        {
            return status;
        }
        let now = self.clock.now();
        let token = state
            .tokens
            .iter()
            .rfind(|token| token.text == sent)
            .unwrap();
        let lifetime = Duration::from_secs(behaviour.lifetime);
        match token.revoked {
            Some(at) if at <= now => behaviour.revoked,
            _ if now >= token.issued + lifetime => behaviour.expired,
            _ => StatusCode::OK.as_u16(),
        }
    }
}

/// A service whose API never answers.
pub(crate) fn silent(
    server: &Server,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Full<Bytes>>, BoxError>> + Send + use<>,
>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let service = server.service();
    tower::service_fn(move |request: Request<Full<Bytes>>| {
        let mut service = service.clone();
        async move {
            if request.uri().path() == "/things" && !request.headers().is_empty() {
                std::future::pending::<()>().await;
            }
            Ok(service.call(request).await?)
        }
    })
}
