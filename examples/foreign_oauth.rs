//! Another OAuth library behind `Login`, for a grant that this crate does not have.
//!
//! A person signs in by the device grant (RFC 8628) of the crate `oauth2`. The provider keeps the
//! tokens, and refreshes them through the same library. A hundred callers wait at each step. Then the
//! server has a failure, and later it ends the session. The server is a stand-in on loopback:
//!
//! ```text
//! cargo run --example foreign_oauth
//! ```
//!
//! It exits with an error if a figure is wrong. **Copy** everything above `main`. Let `http` be the
//! client of the guide's page on HTTPS for logins, and store the refresh token in `on_credential`. **Do
//! not copy** the module `server`.

use std::io::{self, ErrorKind::NotConnected};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth2::{
    ClientId, DeviceAuthorizationUrl, EndpointNotSet as Unset, EndpointSet as Set, ErrorResponse,
    HttpRequest, HttpResponse, RequestTokenError, StandardDeviceAuthorizationResponse,
    TokenResponse, TokenUrl,
    basic::{BasicClient, BasicTokenResponse as Tokens},
};
use tokio::task::JoinSet;
use tower_bearer::{
    BoxError, CachedProvider, Credential, Login, LoginError, LoginRequest, RefreshToken,
    test_util::TestClock,
};

type Http = Client<HttpConnector, Full<Bytes>>;

/// The session of a person. Its login is the refresh: a provider cannot ask a person.
#[derive(Clone)]
struct UserSession {
    library: BasicClient<Unset, Set, Unset, Unset, Set>,
    http: Http,
}

impl UserSession {
    fn new(http: Http, issuer: &str) -> Result<Self, BoxError> {
        let device = DeviceAuthorizationUrl::new(format!("{issuer}/device"))?;
        let library = BasicClient::new(ClientId::new("reports".to_owned()))
            .set_device_authorization_url(device)
            .set_token_uri(TokenUrl::new(format!("{issuer}/token"))?);
        Ok(Self { library, http })
    }

    /// Waits until a person has signed in, or the code has expired.
    async fn sign_in(&self) -> Result<Credential, BoxError> {
        let send = |request| send(self.http.clone(), request);
        let codes = self.library.exchange_device_code();
        let codes: StandardDeviceAuthorizationResponse =
            codes.request_async(&send).await.map_err(error_of)?;
        let (url, code) = (codes.verification_uri(), codes.user_code().secret());
        println!("  open {} and enter {code}", url.as_str());
        let tokens = self.library.exchange_device_access_token(&codes);
        let tokens = tokens.request_async(&send, tokio::time::sleep, None).await;
        credential(&tokens.map_err(error_of)?, None)
    }
}

// The session is exclusive, by default: a refresh may end the previous token.
impl Login for UserSession {
    async fn login(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        let Some(token) = request.take_refresh_token() else {
            return Err(LoginError::permanent("there is no refresh token: sign in again").into());
        };
        let send = |request| send(self.http.clone(), request);
        let sent = oauth2::RefreshToken::new(token.expose().to_owned());
        let refresh = self.library.exchange_refresh_token(&sent);
        match refresh.request_async(&send).await {
            Ok(tokens) => credential(&tokens, Some(token)),
            Err(error) => {
                // If an answer is lost, the refresh token may be spent. It is not sent again.
                if matches!(&error, RequestTokenError::Request(it) if it.kind() == NotConnected) {
                    request.put_back_refresh_token(token);
                }
                Err(error_of(error))
            }
        }
    }
}

/// The HTTP client of the library, which would lose the status and the `Retry-After` of a 5xx. Its error
/// is `NotConnected` if the server has not processed the request: the refresh token is still good.
async fn send(http: Http, request: HttpRequest) -> io::Result<HttpResponse> {
    let request = request.map(|body| Full::from(Bytes::from(body)));
    let response = http.request(request).await.map_err(|error| match error {
        error if error.is_connect() => io::Error::new(NotConnected, error),
        error => io::Error::other(error),
    })?;
    let status = response.status();
    if status.is_server_error() || status == 429 {
        let after = response.headers().get("retry-after");
        let after = after.and_then(|it| it.to_str().ok()?.parse().ok());
        let text = format!("the server answered {status}");
        let error = match after.map(Duration::from_secs) {
            Some(pause) => LoginError::retry_after(text, pause),
            None => LoginError::transient(text),
        };
        return Err(io::Error::new(NotConnected, error));
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(HttpResponse::from_parts(parts, body.into()))
}

/// An answer without a refresh token leaves the previous one valid.
fn credential(tokens: &Tokens, previous: Option<RefreshToken>) -> Result<Credential, BoxError> {
    let mut credential = Credential::new(tokens.access_token().secret().as_str())?;
    if let Some(lifetime) = tokens.expires_in() {
        credential = credential.with_lifetime(lifetime);
    }
    let next = tokens.refresh_token();
    let next = next.map(|it| RefreshToken::new(it.secret().as_str()));
    if let Some(token) = next.or(previous) {
        credential = credential.with_refresh_token(token);
    }
    Ok(credential)
}

/// Keeps only the error's code. The `Debug` of the library's `Parse` prints the answer, with its tokens.
fn error_of(error: RequestTokenError<io::Error, impl ErrorResponse + 'static>) -> BoxError {
    let answer = match error {
        RequestTokenError::Request(error) => return error.into(),
        RequestTokenError::ServerResponse(answer) => serde_json::to_value(answer),
        _ => return LoginError::transient("the answer is not one of OAuth").into(),
    };
    let text = match answer.unwrap_or_default()["error"].as_str() {
        Some("invalid_grant" | "access_denied" | "expired_token") => "sign in again",
        Some("invalid_client" | "unauthorized_client") => "the server does not know this client",
        _ => "the server refuses the request",
    };
    LoginError::permanent(text).into()
}

const WAITERS: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (issuer, server) = server::start().await?;
    let http = Client::builder(TokioExecutor::new()).build_http();
    let session = UserSession::new(http, &issuer)?;
    let clock = TestClock::new();
    let provider = CachedProvider::builder(session.clone())
        .clock(clock.clone())
        .starting_with(session.sign_in().await?)
        .on_credential(|_| println!("  new tokens: store the refresh token here"))
        .build();

    println!("hour 1: refresh");
    clock.advance(HOUR);
    let (mut failed, _) = wait_for_token(&provider).await;
    println!("hour 2: the server is down, and answers a minute later");
    server.lock().expect("no handler panics").is_down = true;
    clock.advance(HOUR);
    let (down, text) = wait_for_token(&provider).await;
    let mut is_clear = text.contains("the server answered 503") && !text.contains("secret");
    clock.advance(Duration::from_secs(60));
    failed += wait_for_token(&provider).await.0;
    println!("hour 3: the session has ended");
    server.lock().expect("no handler panics").valid = 0;
    clock.advance(HOUR);
    let (ended, text) = wait_for_token(&provider).await;
    is_clear &= text.contains("sign in again") && !text.contains("secret");
    provider.set_credential(session.sign_in().await?);
    failed += wait_for_token(&provider).await.0;

    let server = server.lock().expect("no handler panics");
    let counts = (server.sign_ins, server.refreshes, failed, down, ended);
    println!("foreign_oauth: (sign-ins, refreshes, failed, while down, when ended) = {counts:?}");
    let is_right = is_clear && counts == (2, 2, 0, WAITERS, WAITERS);
    is_right.then_some(()).ok_or("a figure is wrong".into())
}

/// Returns how many callers got no token, and all that the error of one can print.
async fn wait_for_token(provider: &CachedProvider) -> (usize, String) {
    let waiters: JoinSet<_> = (0..WAITERS).map(|_| provider.acquire()).collect();
    let errors = waiters.join_all().await.into_iter().filter_map(Result::err);
    let texts: Vec<_> = errors.map(|error| format!("{error:?}")).collect();
    let text = texts.first().cloned().unwrap_or_default();
    println!("  {} of {WAITERS} failed {text}", texts.len());
    (texts.len(), text)
}

/// A stand-in: a person who has signed in at the second poll, and refresh tokens that work once.
mod server {
    use std::{collections::HashMap, io, mem, sync::Arc, sync::Mutex};

    use axum::{Form, Json, Router, extract::State, http::StatusCode, routing::post};
    use serde_json::{Value, json};

    #[derive(Default)]
    pub(crate) struct Server {
        pub(crate) sign_ins: usize,
        pub(crate) refreshes: usize,
        pub(crate) is_down: bool,
        /// The number of the valid tokens, or 0.
        pub(crate) valid: usize,
        asked: bool,
    }

    pub(crate) async fn start() -> io::Result<(String, Arc<Mutex<Server>>)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let codes = json!({"device_code": "secret", "user_code": "WDJB-MJHT", "interval": 0,
            "verification_uri": format!("{issuer}/device"), "expires_in": 1800});
        let server = Arc::<Mutex<Server>>::default();
        let app = Router::new()
            .route("/device", post(async || Json(codes)))
            .route("/token", post(token))
            .with_state(Arc::clone(&server));
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok((issuer, server))
    }

    async fn token(
        State(server): State<Arc<Mutex<Server>>>,
        Form(fields): Form<HashMap<String, String>>,
    ) -> (StatusCode, Json<Value>) {
        let mut server = server.lock().expect("no handler panics");
        let refused = |error| {
            let answer = json!({"error": error, "error_description": "secret"});
            (StatusCode::BAD_REQUEST, Json(answer))
        };
        if mem::take(&mut server.is_down) {
            return (StatusCode::SERVICE_UNAVAILABLE, Json(json!("secret")));
        }
        match fields.get("refresh_token") {
            Some(sent) if *sent == format!("secret-{}", server.valid) => server.refreshes += 1,
            Some(_) => return refused("invalid_grant"),
            None if !mem::replace(&mut server.asked, true) => {
                return refused("authorization_pending");
            }
            None => server.sign_ins += 1,
        }
        server.valid = server.sign_ins + server.refreshes;
        let token = format!("secret-{}", server.valid);
        let tokens = json!({"access_token": token, "refresh_token": token,
            "expires_in": 3600, "token_type": "Bearer"});
        (StatusCode::OK, Json(tokens))
    }
}
