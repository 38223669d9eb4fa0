//! No secret is printed (FAILURES.md, K1 to K3, K11, R20, R21, trap 19).
//!
//! Scenarios of every kind run while all traces, metrics, formatted values and panics are captured. The
//! output is searched for the secrets in every encoding that a log may use.

mod support;

use std::{
    collections::BTreeSet,
    convert::Infallible,
    error::Error as _,
    fmt::{Debug, Display},
    fs, panic,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::Request as Incoming,
    response::{IntoResponse, Redirect, Response as Answer},
    routing::{any, post},
};
use base64::{Engine, engine::general_purpose};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use metrics_util::debugging::DebuggingRecorder;
use serde_json::json;
use support::{Capture, HttpClient, RawServer, http_client, patient, quable};
use tokio::net::TcpListener;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::{
    AnswerField, Authorization, BearerAuth, BearerAuthLayer, BoxProvider, CachePolicy,
    CachedProvider, Challenge, Clock, Credential, CredentialEvent, CredentialProvider,
    CredentialState, Error, Generation, HttpLogin, KeyedProvider, Lifetime, LoginBody, LoginError,
    LoginRequest, NoReplay, OAuth2Grant, OAuth2Issuer, Origins, PerRequest, ReadyBody, Recovery,
    RefreshFailure, RefreshToken, RejectionReport, Replay, ReplayEmpty, ReplayEmptyOr, ReplayReady,
    ReplayWith, RequestHead, Scheme, SdkProvider, Secret, SecretFile, Session, StaticProvider,
    SystemClock, Token, TokenFile, login_fn,
    presets::{Quable, Teletracker},
    store::{
        CredentialStore, FileStore, LockAttempt, MemoryStore, Record, RecordKey, RedisScript,
        RedisStore, Revision, SealedRecord, SharedAccount, Stored,
    },
    test_util::{ScriptedLogin, ScriptedProvider, TestClock},
};
use tower_http::{
    follow_redirect::FollowRedirectLayer,
    trace::{DefaultMakeSpan, DefaultOnFailure, DefaultOnRequest, DefaultOnResponse, TraceLayer},
};
use tracing::Level;

const TOKEN: &str = "canaryTOKEN.81c5f0aa~q";
const REFRESH_TOKEN: &str = "canaryREFRESH.2b77e19d~z";
const PASSWORD: &str = "canary \"PASSWORD\" \\ 4d02 ü/?";
const CLIENT_SECRET: &str = "canaryCLIENTSECRET+9e6/x=";
const SECRETS: [&str; 4] = [TOKEN, REFRESH_TOKEN, PASSWORD, CLIENT_SECRET];

/// A secret in the encodings of a log.
fn encodings(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let each = |encode: fn(&u8) -> String| bytes.iter().map(encode).collect::<String>();
    let mut encodings = vec![
        ("plain", secret.to_owned()),
        ("reversed", secret.chars().rev().collect()),
        ("hex", each(|byte| format!("{byte:02x}"))),
        ("percent", each(|byte| format!("%{byte:02x}"))),
        ("percent where it must be", {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            let encode = |byte: &u8| match is_plain(*byte) {
                true => char::from(*byte).to_string(),
                false => format!("%{byte:02x}"),
            };
            bytes.iter().map(encode).collect()
        }),
        (
            "json",
            serde_json::to_string(secret)
                .unwrap()
                .trim_matches('"')
                .to_owned(),
        ),
        ("debug", format!("{secret:?}").trim_matches('"').to_owned()),
        (
            "bytes",
            format!("{bytes:?}").trim_matches(['[', ']']).to_owned(),
        ),
        (
            "first half",
            secret.chars().take(secret.chars().count() / 2).collect(),
        ),
        (
            "second half",
            secret.chars().skip(secret.chars().count() / 2).collect(),
        ),
    ];
    // In base64 the text depends on the position of the secret: three variants, without the edges.
    for offset in 0..3 {
        for (name, engine) in [
            ("base64", general_purpose::STANDARD_NO_PAD),
            ("base64url", general_purpose::URL_SAFE_NO_PAD),
        ] {
            let encoded = engine.encode([&vec![0; offset][..], bytes].concat());
            encodings.push((
                name,
                encoded[if offset == 0 { 0 } else { 4 }..encoded.len() - 3].to_owned(),
            ));
        }
    }
    encodings
}

struct Run {
    capture: Capture,
    types: Vec<String>,
    errors: usize,
}

impl Run {
    /// Formats a value of a public type in all ways except `Display`.
    fn debug<T: Debug>(&mut self, value: &T) {
        let name = std::any::type_name::<T>();
        let name = name.split('<').next().unwrap().rsplit("::").next().unwrap();
        assert_ne!(format!("{value:?}"), "", "{name} prints nothing");
        self.types.push(name.to_owned());
        self.capture
            .say(format!("{value:?} {value:#?} {value:x?} {value:#X?}"));
    }

    fn display<T: Debug + Display>(&mut self, value: &T) {
        self.debug(value);
        self.capture.say(format!("{value} {value:#} {value:80}"));
    }

    /// An error and all of its causes.
    fn error(&mut self, error: &BoxError) {
        self.errors += 1;
        self.capture
            .say(format!("{error} {error:#} {error:?} {error:#?}"));
        let mut cause = error.source();
        while let Some(error) = cause {
            self.capture
                .say(format!("{error} {error:#} {error:?} {error:#?}"));
            cause = error.source();
        }
        if let Some(error) = error.downcast_ref::<Error>() {
            self.display(error);
            if let Some(error) = error.source().and_then(|e| e.downcast_ref::<LoginError>()) {
                self.display(error);
            }
        }
    }

    async fn send<S>(&mut self, service: S, url: &str) -> Option<StatusCode>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<()>, Error = BoxError>,
    {
        let request = Request::get(url).body(Full::default()).unwrap();
        self.capture.say(format!("{:?}", RequestHead::of(&request)));
        let mut response = pin!(service.oneshot(request));
        match response.as_mut().await {
            Ok(response) => {
                self.capture.say(format!("{response:?}"));
                Some(response.status())
            }
            Err(error) => {
                self.error(&error);
                None
            }
        }
    }
}

/// The layer with tracing around and under it, headers included, and redirects followed outside.
fn traced<P: CredentialProvider + Clone + 'static>(
    layer: &BearerAuthLayer<P>,
    http: HttpClient,
) -> impl Service<Request<Full<Bytes>>, Response = Response<()>, Error = BoxError> + use<P> {
    let trace = || {
        TraceLayer::new_for_http()
            .make_span_with(
                DefaultMakeSpan::new()
                    .level(Level::TRACE)
                    .include_headers(true),
            )
            .on_request(DefaultOnRequest::new().level(Level::TRACE))
            .on_response(
                DefaultOnResponse::new()
                    .level(Level::TRACE)
                    .include_headers(true),
            )
            .on_failure(DefaultOnFailure::new().level(Level::TRACE))
    };
    ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(drop))
        .map_err(Into::into)
        .layer(trace())
        .layer(FollowRedirectLayer::new())
        .layer(layer.clone())
        .layer(trace())
        .service(http)
}

/// An API that logs in, rejects, redirects and returns malformed answers, with secrets wherever
/// possible.
async fn api(elsewhere: String) -> String {
    let echo = |status: u16| {
        move || async move {
            let status = StatusCode::from_u16(status).unwrap();
            (
                status,
                [("x-echo", TOKEN)],
                format!("<p>{TOKEN} {PASSWORD} {REFRESH_TOKEN}</p>"),
            )
        }
    };
    let app = Router::new()
        .route("/login", post(|| async {
            Json(json!({"access_token": TOKEN, "refresh_token": REFRESH_TOKEN, "expires_in": 60}))
        }))
        .route("/login/html", post(echo(200)))
        .route("/login/refused", post(echo(401)))
        .route("/login/broken", post(echo(500)))
        .route("/login/elsewhere", post(move || async move { Redirect::temporary(&elsewhere) }))
        .route("/login/unusable", post(|| async {
            Json(json!({"access_token": format!("{TOKEN}\r\n{PASSWORD}")}))
        }))
        .route("/login/number", post(|| async { Json(json!({"access_token": [TOKEN]})) }))
        .route("/login/long", post(|| async { format!("{TOKEN}{}", " ".repeat(70_000)) }))
        .route("/things", any(|request: Incoming| async move {
            let is_good = request.headers().get(AUTHORIZATION).is_some_and(|value| {
                value.to_str().is_ok_and(|value| value == format!("Bearer {TOKEN}"))
            });
            if is_good { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
        }))
        .route("/refuse", any(|| async { StatusCode::UNAUTHORIZED }))
        .route("/redirect", any(|| async { Redirect::temporary("/things") }))
        .fallback(|| async { Answer::new(axum::body::Body::empty()).into_response() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// Returns the number of bytes sent to another host.
async fn over_sockets(run: &mut Run, http: HttpClient) -> usize {
    let b = RawServer::start().await;
    let a = api(b.url("/")).await;
    let origins = Origins::new([&a]).unwrap();
    let body = json!({"password": PASSWORD, "client_secret": CLIENT_SECRET}).to_string();

    let login = || HttpLogin::new(http.clone(), &format!("{a}/login"), body.clone()).unwrap();
    let with_line_break = format!("{PASSWORD}\n");
    run.display(
        &login()
            .basic_auth(CLIENT_SECRET, with_line_break)
            .unwrap_err(),
    );
    let key = HeaderName::from_static("x-api-key");
    let login = login()
        .header(key, HeaderValue::from_static(CLIENT_SECRET))
        .client_secret_basic(CLIENT_SECRET, PASSWORD)
        .unwrap();
    run.debug(&login);
    let events = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&events);
    let provider = patient(login)
        .on_event(move |event: &CredentialEvent| observer.lock().unwrap().push(event.clone()))
        .build();
    let layer = BearerAuthLayer::new(provider, origins.clone());
    for (path, expected) in [
        ("/things", 200),
        ("/redirect", 200),
        ("/refuse", 401),
        ("/things", 200),
    ] {
        let status = run
            .send(traced(&layer, http.clone()), &format!("{a}{path}"))
            .await;
        assert_eq!(
            status.map(|status| status.as_u16()),
            Some(expected),
            "{path}"
        );
    }
    run.debug(&layer);
    run.debug(layer.provider());
    run.debug(&layer.provider().snapshot());
    let events = std::mem::take(&mut *events.lock().unwrap());
    assert!(events.len() > 2);
    for event in &events {
        run.debug(event);
    }
    let mut service = layer.layer(http.clone());
    run.debug(&service);
    let request = Request::get(&a).body(Full::<Bytes>::default()).unwrap();
    run.debug(&Service::call(&mut service, request));
    run.debug(&layer.provider().acquire());

    for failing in [
        "html",
        "refused",
        "broken",
        "elsewhere",
        "unusable",
        "number",
        "long",
    ] {
        let url = format!("{a}/login/{failing}?secret={CLIENT_SECRET}");
        let login = HttpLogin::new(http.clone(), &url, body.clone()).unwrap();
        let layer = BearerAuthLayer::new(patient(login).build(), origins.clone());
        let status = run
            .send(traced(&layer, http.clone()), &format!("{a}/things"))
            .await;
        assert_eq!(status, None, "{failing}");
        run.debug(&layer);
    }
    let elsewhere = b.received().iter().map(String::len).sum();

    // No server listens at the login URL.
    let login = HttpLogin::new(http.clone(), "http://127.0.0.1:9/login", body).unwrap();
    let layer = BearerAuthLayer::new(patient(login).build(), origins.clone());
    assert_eq!(run.send(traced(&layer, http.clone()), &a).await, None);

    let strict = BearerAuthLayer::new(StaticProvider::new(TOKEN).unwrap(), origins.strict());
    let url = format!(
        "http://user:{CLIENT_SECRET}@{}/?{TOKEN}",
        &b.origin()["http://".len()..]
    );
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    let error = strict.layer(http).oneshot(request).await.unwrap_err();
    run.error(&error);
    elsewhere
}

async fn quable(run: &mut Run) {
    let api = quable::StandIn::start().await;
    let at = Quable::base_url(&api.base_url()).unwrap();
    run.debug(&at);
    let http = http_client();
    let login = at.login(http.clone(), quable::USER, PASSWORD, Lifetime::Announced);
    let layer = at.layer_with(patient(login).build());
    assert_eq!(
        run.send(traced(&layer, http.clone()), &api.products(1))
            .await,
        None
    );
    let layer = at
        .layer_with(StaticProvider::new(TOKEN).unwrap())
        .with_header_name(HeaderName::from_static("x-token"));
    let status = run.send(traced(&layer, http), &api.products(1)).await;
    assert_eq!(status, Some(StatusCode::UNAUTHORIZED));
    run.debug(&layer);
}

async fn failures_in_memory(run: &mut Run) {
    let panicking = login_fn(|mut request| async move {
        let taken = request.take_refresh_token();
        assert!(taken.is_none(), "scripted: {request:?} {taken:?}");
        Ok(Credential::new(TOKEN)?)
    });
    run.debug(&panicking);
    let stale = Credential::new(TOKEN)
        .unwrap()
        .with_lifetime(Duration::ZERO);
    let builder = CachedProvider::builder(panicking)
        .starting_with(stale.clone().with_refresh_token(REFRESH_TOKEN));
    run.debug(&builder);
    let observer = run.capture.clone();
    let builder = builder.on_event(move |event| observer.say(format!("{event:?}")));
    let retired = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&retired);
    let provider = builder
        .before_refresh(async |_| Ok(()))
        .on_retired(move |it| hook.lock().unwrap().push(it))
        .build();
    let error = provider.acquire().await.unwrap_err();
    assert!(error.is_login_panicked());
    run.error(&error.into());
    provider.sign_out();
    let error = provider.acquire().await.unwrap_err();
    run.error(&error.into());
    for retired in retired.lock().unwrap().iter() {
        assert!(retired.refresh_token().is_none() || retired.credential().is_some());
        run.debug(retired);
        run.debug(&retired.reason());
    }

    // A refresh with an unusable answer, and the login after it.
    let http = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let answer = json!({"token": format!("{TOKEN} x"), "refreshToken": REFRESH_TOKEN});
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer.to_string())))
    });
    let preset = Teletracker::new();
    run.debug(&preset);
    let login = preset.login(http, "user", PASSWORD);
    run.debug(&login);
    let observer = run.capture.clone();
    let provider = patient(login)
        .starting_with(stale.with_refresh_token(REFRESH_TOKEN))
        .on_event(move |event| observer.say(format!("{event:?}")))
        .build();
    let error = provider.acquire().await.unwrap_err();
    run.error(&error.into());

    // Metadata with secrets in its URLs.
    let issuer = "https://login.example.com";
    let secret = format!("https://user:{CLIENT_SECRET}@login.example.com/{TOKEN}?{TOKEN}");
    let foreign = format!("https://api.example.com/{TOKEN}?{TOKEN}");
    for (named, endpoint) in [(secret.as_str(), ""), (issuer, &secret), (issuer, &foreign)] {
        let metadata = json!({"issuer": named, "token_endpoint": endpoint}).to_string();
        let http = tower::service_fn(move |_: Request<Full<Bytes>>| {
            let metadata = Full::<Bytes>::from(metadata.clone());
            async { Ok::<_, Infallible>(Response::new(metadata)) }
        });
        let issuer = OAuth2Issuer::openid(issuer).unwrap();
        let login = HttpLogin::discover(http, issuer, PASSWORD);
        let error = patient(login).build().acquire().await.unwrap_err();
        run.error(&error.into());
    }

    let bad_token = login_fn(|_| async { Ok(Credential::new(format!("{TOKEN} {PASSWORD}"))?) });
    let error = CachedProvider::new(bad_token).acquire().await.unwrap_err();
    run.error(&error.into());
}

/// What a function that reads an answer gets: it holds the token.
/// Errors of files, whose content is a secret each time.
async fn files(run: &mut Run) {
    let name = format!("tower-bearer-canary-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let header = general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    let long = TOKEN.repeat(64 * 1024);
    let half = format!("{header}.{TOKEN}");
    for content in [TOKEN, PASSWORD, CLIENT_SECRET, &long, &half] {
        fs::write(&path, content).unwrap();
        let token = TokenFile::new(&path);
        run.debug(&token);
        if let Err(error) = CachedProvider::new(token).acquire().await {
            run.error(&error.into());
        }
        let secret = SecretFile::new(&path);
        run.debug(&secret);
        match secret.read().await {
            Ok(secret) => run.debug(&secret),
            Err(error) => run.error(&error.into()),
        }
    }
    fs::write(&path, [TOKEN.as_bytes(), b"\xff"].concat()).unwrap();
    let error = SecretFile::new(&path).read().await.unwrap_err();
    run.error(&error.into());
    fs::remove_file(path).unwrap();
}

/// A store has the secrets in plain text, and its errors come from their bytes.
async fn stores(run: &mut Run) {
    let name = format!("tower-bearer-canary-store-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let key = RecordKey::new("https://issuer.example", "user-7", "");
    run.display(&key);
    let credential = Credential::new(TOKEN).unwrap();
    let record = Record::new(
        &credential.with_refresh_token(REFRESH_TOKEN),
        SystemTime::now(),
    );
    run.debug(&record);
    let sealed = record.seal(key, None).unwrap();
    run.debug(&sealed);
    let stores: [Box<dyn CredentialStore>; 2] = [
        Box::new(MemoryStore::new()),
        Box::new(FileStore::new(&folder)),
    ];
    for store in stores {
        let attempt = store.lock(key, Duration::from_secs(40)).await.unwrap();
        run.debug(&attempt);
        let LockAttempt::Acquired(lock) = attempt else {
            panic!("nobody else has the lock")
        };
        run.debug(&lock);
        let outcome = store.publish(&lock, None, sealed.clone()).await.unwrap();
        run.debug(&outcome);
        let stored = store.read(key).await.unwrap().unwrap();
        run.debug(&stored);
        run.debug(stored.revision());
        run.debug(&stored.open(key, None).unwrap());
    }
    run.debug(&MemoryStore::new());
    run.debug(&SharedAccount::new(MemoryStore::new(), key));
    let store = FileStore::new(&folder);
    run.debug(&store);
    let path = folder.join(format!("{key}.record"));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[1..]).unwrap();
    let damaged = store.read(key).await.unwrap_err();
    run.display(&damaged);
    run.error(&damaged.into());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    run.error(&store.read(key).await.unwrap_err().into());
    fs::remove_dir_all(folder).unwrap();
    // The argument of a script is the record, and so is the reply.
    let (sender, mut scripts) = tokio::sync::mpsc::unbounded_channel();
    let reply = sealed.expose().to_vec();
    let store = RedisStore::new(move |script: RedisScript| {
        let reply = match script.arguments().len() {
            2 => vec![b"acquired".to_vec()],
            _ => vec![reply.clone(), reply.clone()],
        };
        let _ = sender.send(script);
        async { Ok(reply) }
    });
    run.debug(&store);
    let LockAttempt::Acquired(lock) = store.lock(key, Duration::from_secs(40)).await.unwrap()
    else {
        panic!("nobody else has the lock")
    };
    run.debug(&lock);
    let unexpected = store.publish(&lock, None, sealed.clone()).await;
    run.error(&unexpected.unwrap_err().into());
    run.error(&store.read(key).await.unwrap_err().into());
    while let Ok(script) = scripts.try_recv() {
        run.debug(&script);
    }
    for length in 0..sealed.expose().len() {
        let bytes = sealed.expose()[..length].to_vec();
        let stored = Stored::new(Revision::new(*b"1"), SealedRecord::from_bytes(bytes));
        run.error(&stored.open(key, None).unwrap_err().into());
    }
}

async fn login_answer(run: &mut Run) {
    let body = format!(r#"{{"access_token":"{TOKEN}"}}"#);
    let client = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let response = Response::new(Full::<Bytes>::from(body.clone()));
        async { Ok::<_, BoxError>(response) }
    });
    let printed = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&printed);
    let login = HttpLogin::new(client, "https://api.example.com/login", "{}")
        .unwrap()
        .lifetime_by(move |answer| {
            *shared.lock().unwrap() = format!("{answer:?} {answer:#?}");
            None
        });
    let provider = CachedProvider::new(login);
    provider.acquire().await.unwrap();
    let printed = std::mem::take(&mut *printed.lock().unwrap());
    assert!(printed.starts_with("LoginAnswer"), "{printed}");
    run.types.push("LoginAnswer".to_owned());
    run.capture.say(printed);
}

fn public_types(run: &mut Run) {
    let token = Token::new(TOKEN).unwrap();
    run.debug(&token);
    run.debug(&Secret::from(PASSWORD));
    run.debug(&Authorization::new(Scheme::BEARER, &token));
    run.debug(&StaticProvider::new(TOKEN).unwrap());
    let sdk = SdkProvider::new(|| async { Ok(Token::new(TOKEN)?) }).forget(|| {});
    let mut acquire = pin!(sdk.acquire_for(RequestHead::of(&support::request())));
    run.debug(&*acquire);
    let acquired = tokio_test::task::spawn(acquire.as_mut()).poll();
    assert!(acquired.is_ready());
    run.debug(&sdk);
    run.debug(&Credential::from(token).with_refresh_token(REFRESH_TOKEN));
    run.debug(&CredentialState::Fresh);
    run.debug(&Recovery::FixProgram);
    run.debug(&RefreshFailure::Blocked);
    run.debug(&LoginBody::from(PASSWORD));
    let form = LoginBody::form([("password", PASSWORD)]);
    run.debug(&form.client_secret_basic("me", CLIENT_SECRET).unwrap());
    let grant = OAuth2Grant::password("me", PASSWORD)
        .client_secret_post("client", CLIENT_SECRET)
        .parameter("actor_token", TOKEN)
        .unwrap();
    run.debug(&grant);
    run.display(&grant.parameter("password", PASSWORD).unwrap_err());
    let issuer = format!("https://login.example.com/{TOKEN}");
    run.debug(&OAuth2Issuer::openid(&issuer).unwrap());
    let issuer = format!("https://user:{CLIENT_SECRET}@login.example.com/{TOKEN}?{TOKEN}");
    run.display(&OAuth2Issuer::rfc8414(&issuer).unwrap_err());
    run.display(&AnswerField::from(["/token", "/access_token"]));
    run.debug(&TestClock::new());
    run.debug(&ScriptedLogin::new());
    run.debug(&ScriptedProvider::new([TOKEN]).unwrap());
    let login_error = LoginError::permanent("scripted");
    assert_eq!(login_error.source().unwrap().to_string(), "scripted");
    run.display(&login_error);
    run.debug(&RefreshToken::new(REFRESH_TOKEN));
    run.debug(&PerRequest::fresh());
    run.debug(&NoReplay);
    run.debug(&ReplayEmpty);
    run.debug(&ReplayWith(|token: &String| Some(token.clone())));
    run.debug(&LoginRequest::with_refresh_token(REFRESH_TOKEN));
    run.debug(&LoginRequest::default().reason());
    run.display(&Token::new(format!("{TOKEN} ")).unwrap_err());
    let origin = format!("https://user:{CLIENT_SECRET}@api.example.com/{TOKEN}?{TOKEN}");
    run.display(&Origins::new([origin]).unwrap_err());
    run.debug(&support::origins());
    run.debug(&RequestHead::of(&support::request()));
    let provider = StaticProvider::new(TOKEN).unwrap();
    let authorization = provider.current_for(RequestHead::of(&support::request()));
    let rejected = support::by_hand(authorization.unwrap().generation());
    run.debug(&rejected);
    run.debug(&rejected.receipt);
    run.debug(&provider.reject(&rejected));
    run.debug(&provider.reject(&rejected).reason());
    run.debug(&Some(provider.clone()).acquire_for(RequestHead::of(&support::request())));
    run.debug(&BoxProvider::new(provider));
    // The key may be a secret too.
    let builder =
        KeyedProvider::builder(|_: &String| login_fn(async |_| Ok(Credential::new(TOKEN)?)));
    run.debug(&builder);
    let provider = builder.build();
    provider.for_key(&TOKEN.to_owned()).unwrap();
    run.debug(&provider);
    let request = support::request();
    let acquire = provider.acquire_for(RequestHead::of(&request));
    run.debug(&acquire);
    run.debug(&ReplayEmptyOr(|token: &String| Some(token.clone())));
    run.debug(&ReplayReady::new(64, axum::body::Body::new));
    let run_again = std::cell::RefCell::new(&mut *run);
    let policy = ReplayReady::new(64, |body: ReadyBody<axum::body::Body>| {
        run_again.borrow_mut().debug(&body);
        axum::body::Body::new(body)
    });
    let request = Request::new(());
    let _ = policy.keep(RequestHead::of(&request), axum::body::Body::from(TOKEN));
    let mut headers = HeaderMap::new();
    let echo = format!("Bearer realm=\"{TOKEN}\", error={TOKEN}, Negotiate {TOKEN}");
    headers.insert(WWW_AUTHENTICATE, echo.parse().unwrap());
    let challenges = Challenge::parse(&headers);
    assert_eq!(challenges[0].parameter("error"), Some(TOKEN));
    assert_eq!(challenges[1].token68(), Some(TOKEN));
    for challenge in &challenges {
        run.debug(challenge);
    }
    run.debug(&Generation::next());
    run.debug(&Scheme::BEARER);
    run.display(&Scheme::new(format!("{TOKEN} ")).unwrap_err());
    run.debug(&Session::Exclusive);
    run.debug(&Lifetime::Announced);
    run.debug(&CachePolicy::default());
    run.debug(&SystemClock);
    let _ = SystemClock.now();
    let inner =
        tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let layer = BearerAuthLayer::new(StaticProvider::new(TOKEN).unwrap(), support::origins());
    let service: BearerAuth<_, _> = layer.layer(inner);
    drop(service);
}

/// Rejected after one login and after the next: the third login is held back.
async fn held_back(run: &mut Run) {
    let login = login_fn(|_| async { Ok(Credential::new(TOKEN)?) });
    let provider = CachedProvider::new(login);
    let layer = BearerAuthLayer::new(provider.clone(), support::origins());
    let api = tower::service_fn(|_: Request<()>| async {
        let response = Response::builder().status(401).body(());
        Ok::<_, Infallible>(response.unwrap())
    });
    for _ in 0..2 {
        let response = layer.layer(api).oneshot(support::request()).await.unwrap();
        let report = response.extensions().get::<RejectionReport>().unwrap();
        run.debug(report);
        run.debug(&report.not_replayed());
    }
    run.debug(&provider.snapshot());
    run.debug(&provider.snapshot().held_back().unwrap());
    // Bare, since its origin is foreign.
    let elsewhere = format!("https://user:{CLIENT_SECRET}@other.example.com/{TOKEN}?{TOKEN}");
    let elsewhere = Request::get(elsewhere).body(()).unwrap();
    layer.layer(api).oneshot(elsewhere).await.unwrap();
}

/// A middleware that prints each request and response.
struct Print(Capture);

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Print {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: reqwest_middleware::Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        assert_eq!(request.headers()[AUTHORIZATION], format!("Bearer {TOKEN}"));
        self.0
            .say(format!("{request:?} {request:#?} {extensions:?}"));
        let response = next.run(request, extensions).await;
        self.0
            .say(format!("{response:?} {response:#?} {extensions:?}"));
        response
    }
}

/// The layer as a middleware of reqwest-middleware.
async fn reqwest(run: &mut Run) {
    let server = RawServer::start().await;
    server.answer("/", "401 Unauthorized");
    let good = login_fn(|_| async { Ok(Credential::new(TOKEN)?) });
    let bad = login_fn(|_| async { Ok(Credential::new(format!("{TOKEN} {PASSWORD}"))?) });
    for provider in [CachedProvider::new(good), CachedProvider::new(bad)] {
        let layer = BearerAuthLayer::new(provider, Origins::new(server.origin()).unwrap())
            .replay_with(reqwest::Request::try_clone);
        let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
            .with(layer)
            .with(Print(run.capture.clone()))
            .build();
        let request = client.get(server.url("/"));
        run.capture.say(format!("{client:?} {request:?}"));
        match request.with_extension(PerRequest::new()).send().await {
            Ok(response) => run.capture.say(format!("{response:?}")),
            Err(error) => run.error(&error.into()),
        }
    }
    assert_eq!(server.received().len(), 2, "one was replayed");
}

#[tokio::test]
async fn no_secret_is_ever_printed() {
    let capture = Capture::default();
    tracing::subscriber::set_global_default(capture.subscriber()).unwrap();
    {
        let capture = capture.clone();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload_as_str().unwrap_or_default();
            capture.say(format!("{info} {info:?} {payload}"));
        }));
    }
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let mut run = Run {
        capture: capture.clone(),
        types: Vec::new(),
        errors: 0,
    };
    let mut elsewhere = over_sockets(&mut run, http_client()).await;
    let http2 = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    elsewhere += over_sockets(&mut run, http2).await;
    println!("figure: L9 S15 redirected_logins=2 bytes_at_other_host={elsewhere}");
    assert_eq!(elsewhere, 0, "L9");
    quable(&mut run).await;
    failures_in_memory(&mut run).await;
    public_types(&mut run);
    login_answer(&mut run).await;
    files(&mut run).await;
    stores(&mut run).await;
    held_back(&mut run).await;
    reqwest(&mut run).await;
    drop(panic::take_hook());

    // The metrics of all of them.
    let (mut names, mut labels) = (BTreeSet::new(), 0);
    for (key, _, _, _) in snapshotter.snapshot().into_vec() {
        names.insert(key.key().name().to_owned());
        labels += key.key().labels().len();
        capture.say(format!("{key:?}"));
    }
    println!("figure: K11 metrics~={} labels~={labels}", names.len());
    assert!(names.len() >= 8, "{names:?}");

    // Every public type was formatted, so a new one cannot be forgotten.
    let listing = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/public-api.txt");
    let listing = fs::read_to_string(listing).unwrap();
    let public: Vec<_> = listing
        .lines()
        .filter_map(|line| {
            line.split_once("pub struct ")
                .or(line.split_once("pub enum "))
        })
        .filter(|(before, _)| before.is_empty() || *before == "#[non_exhaustive] ")
        .map(|(_, path)| {
            path.split(['<', '(', ' '])
                .next()
                .unwrap()
                .rsplit("::")
                .next()
                .unwrap()
        })
        .collect();
    assert!(public.len() > 20, "{public:?}");
    for name in &public {
        assert!(
            run.types.iter().any(|formatted| formatted == name),
            "{name} is not formatted"
        );
    }

    let said = capture.said();
    let targets = [
        "hyper_util",
        "h2::",
        "tower_http",
        "tower_bearer",
        "Authorization",
        "scripted",
    ];
    for target in targets {
        assert!(
            said.iter().any(|line| line.contains(target)),
            "no line of {target}"
        );
    }
    // The other test proves that this search finds secrets.
    let (mut searched, mut hits) = (0, Vec::new());
    let lower: Vec<_> = said.iter().map(|line| line.to_lowercase()).collect();
    for secret in SECRETS {
        for (name, encoded) in encodings(secret) {
            assert!(encoded.len() >= 8, "{name}");
            let encoded = encoded.to_lowercase();
            searched += 1;
            hits.extend(
                lower
                    .iter()
                    .filter(|line| line.contains(&encoded))
                    .map(|line| (name, line)),
            );
        }
    }
    println!(
        "figure: K1 K2 K3 R20 R21 trap19 canaries={} encodings={} lines~={} types={} errors={} hits={}",
        SECRETS.len(),
        searched / SECRETS.len(),
        said.len(),
        public.len(),
        run.errors,
        hits.len(),
    );
    assert!(hits.is_empty(), "{hits:#?}");
}

#[test]
fn the_search_finds_a_secret_in_each_encoding() {
    let line = |secret: &str| {
        let basic = general_purpose::STANDARD.encode(format!("client:{secret}:x"));
        let json = json!({ "a": secret });
        let percent = secret
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect::<String>();
        let hex = secret
            .bytes()
            .map(|byte| format!("{byte:02X}"))
            .collect::<String>();
        [
            basic,
            json.to_string(),
            percent,
            hex,
            format!("{secret:?} {:?}", secret.as_bytes()),
        ]
    };
    for secret in SECRETS {
        for line in line(secret) {
            let line = line.to_lowercase();
            let found = encodings(secret)
                .iter()
                .any(|(_, encoded)| line.contains(&encoded.to_lowercase()));
            assert!(found, "{line}");
        }
    }
}
