//! Tokens and secrets in files that somebody else writes.

mod support;

use std::{
    convert::Infallible,
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use support::{HandClock, by_hand, origins, request};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, BoxError, CachedProvider, CachedProviderBuilder, Clock, CredentialEvent,
    CredentialState, HttpLogin, LoginBody, LoginReason, NotReplayed, OAuth2Grant, RejectionReport,
    ReplayWith, Scheme, SecretFile, Session, TokenFile,
};

const TEN_SECONDS: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

/// A folder of its own for each test, deleted at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static USED: AtomicU32 = AtomicU32::new(0);
        let number = USED.fetch_add(1, SeqCst);
        let name = format!("tower-bearer-folder-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// With the file `token`, which has this content.
    fn with(content: impl AsRef<[u8]>) -> Self {
        let folder = Self::new();
        folder.write(content);
        folder
    }

    fn token(&self) -> PathBuf {
        self.0.join("token")
    }

    /// In place.
    fn write(&self, content: impl AsRef<[u8]>) {
        fs::write(self.token(), content).unwrap();
    }

    /// By a rename, as a careful writer does.
    fn replace(&self, content: impl AsRef<[u8]>) {
        let next = self.0.join("next");
        fs::write(&next, content).unwrap();
        fs::rename(next, self.token()).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A provider whose events arrive in a channel.
struct Watched {
    provider: CachedProvider,
    events: mpsc::UnboundedReceiver<CredentialEvent>,
}

impl Watched {
    fn new(path: impl Into<PathBuf>) -> Self {
        Self::of(CachedProvider::builder(TokenFile::new(path)))
    }

    fn of(builder: CachedProviderBuilder) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let builder = builder.random(|| 0.5).on_event(move |event| {
            let _ = sender.send(event.clone());
        });
        Self {
            provider: builder.build(),
            events,
        }
    }

    /// With the first login behind it.
    async fn started(path: impl Into<PathBuf>) -> Self {
        let mut watched = Self::new(path);
        watched.provider.acquire().await.unwrap();
        watched.logged_in().await;
        watched
    }

    async fn logged_in(&mut self) -> LoginReason {
        match self.events.recv().await.unwrap() {
            CredentialEvent::LoggedIn { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// The source of the error.
    async fn failed(&mut self) -> String {
        use std::error::Error;

        match self.events.recv().await.unwrap() {
            CredentialEvent::LoginFailed { error, .. } => error.source().unwrap().to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn value(&self) -> String {
        let current = self.provider.current().expect("a token is in use");
        current.value().to_str().unwrap().to_owned()
    }
}

fn encode(part: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part)
}

fn jwt(claims: &str) -> String {
    let header = encode(r#"{"alg":"ES256","kid":"1"}"#);
    format!("{header}.{}.c2lnbmF0dXJl", encode(claims))
}

/// A token that ends so long after the start of Unix time.
fn jwt_until(at: Duration) -> String {
    jwt(&format!(r#"{{"sub":"a","exp":{}}}"#, at.as_secs()))
}

/// The clock's Unix time.
fn seconds(clock: &HandClock) -> u64 {
    let since = clock.wall().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Lets the other tasks of a current-thread runtime run, without a moment passing.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test]
async fn the_token_is_that_of_the_file_without_its_line_break() {
    for content in ["abc", "abc\n", "abc\r\n"] {
        let folder = Folder::with(content);
        let provider = CachedProvider::new(TokenFile::new(folder.token()));
        assert_eq!(provider.acquire().await.unwrap().value(), "Bearer abc");
    }
    let folder = Folder::with("{abc}\n");
    let login = TokenFile::new(folder.token())
        .any_visible_ascii()
        .with_scheme(Scheme::from_static("Token"));
    let provider = CachedProvider::new(login);
    assert_eq!(provider.acquire().await.unwrap().value(), "Token {abc}");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_noticed_after_ten_seconds_and_not_earlier() {
    let folder = Folder::with("first");
    let mut watched = Watched::started(folder.token()).await;
    for (number, token) in ["second", "third", "fourth"].into_iter().enumerate() {
        let start = Instant::now();
        match number % 2 {
            0 => folder.replace(token),
            _ => folder.write(token),
        }
        sleep(TEN_SECONDS - Duration::from_millis(10)).await;
        assert!(watched.events.is_empty());
        assert_ne!(watched.value(), format!("Bearer {token}"));
        assert_eq!(watched.logged_in().await, LoginReason::RefreshAhead);
        assert!(start.elapsed() <= TEN_SECONDS + Duration::from_millis(10));
        assert_eq!(watched.value(), format!("Bearer {token}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_provider_looks_on_and_reads_nothing_without_a_change() {
    let folder = Folder::with("first");
    let mut watched = Watched::started(folder.token()).await;
    sleep(24 * HOUR).await;
    assert_eq!(watched.provider.snapshot().logins(), 1);
    folder.replace("second");
    watched.logged_in().await;
    assert_eq!(watched.value(), "Bearer second");
}

/// A volume as Kubernetes mounts it: `token` points to `..data/token`, and `..data` to the folder of
/// one version.
#[cfg(unix)]
struct Volume(Folder);

#[cfg(unix)]
impl Volume {
    fn new(token: &str) -> Self {
        let volume = Self(Folder::new());
        volume.swap("..2026_01_01", token);
        std::os::unix::fs::symlink("..data/token", volume.0.token()).unwrap();
        volume
    }

    /// Another version, by an atomic rename of the link. The previous one is deleted.
    fn swap(&self, version: &str, token: &str) {
        let at = |name: &str| self.0.0.join(name);
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("token"), token).unwrap();
        std::os::unix::fs::symlink(version, at("..data_tmp")).unwrap();
        let previous = fs::read_link(at("..data")).ok();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        if let Some(previous) = previous {
            fs::remove_dir_all(self.0.0.join(previous)).unwrap();
        }
    }
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_swap_of_kubernetes_is_a_change() {
    let volume = Volume::new("first\n");
    let mut watched = Watched::started(volume.0.token()).await;
    for version in 1..5 {
        let token = format!("token-{version}");
        volume.swap(&format!("..2026_01_02_{version}"), &token);
        assert_eq!(watched.logged_in().await, LoginReason::RefreshAhead);
        assert_eq!(watched.value(), format!("Bearer {token}"));
    }
    sleep(HOUR).await;
    let snapshot = watched.provider.snapshot();
    assert_eq!((snapshot.logins(), snapshot.failed_logins()), (5, 0));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_file_of_the_same_length_and_time_is_a_change_if_its_inode_differs() {
    let folder = Folder::with("first");
    let mut watched = Watched::started(folder.token()).await;
    let modified = fs::metadata(folder.token()).unwrap().modified().unwrap();
    let next = folder.0.join("next");
    fs::write(&next, "other").unwrap();
    let handle = fs::File::options().write(true).open(&next).unwrap();
    handle.set_modified(modified).unwrap();
    fs::rename(next, folder.token()).unwrap();
    watched.logged_in().await;
    assert_eq!(watched.value(), "Bearer other");
}

/// The last token stays in use, the event says why, and the next good file counts.
async fn is_kept_out(content: &[u8], first: &str, text: &str) {
    let folder = Folder::with(first);
    let mut watched = Watched::started(folder.token()).await;
    folder.replace(content);
    let error = watched.failed().await;
    let start = format!("the file {} {text}", folder.token().display());
    assert!(error.starts_with(&start), "{error}");
    sleep(HOUR).await;
    assert_eq!(watched.value(), format!("Bearer {first}"));
    assert!(watched.events.is_empty(), "one report of each version");
    // Not as long as any of the others: on some kernels, the times of two writings may be equal.
    folder.write("good-again");
    assert_eq!(watched.logged_in().await, LoginReason::RefreshAhead);
    assert_eq!(watched.value(), "Bearer good-again");
}

#[tokio::test(start_paused = true)]
async fn garbage_replaces_no_token() {
    let too_long = "x".repeat(64 * 1024 + 1);
    for (content, text) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("two words", "does not hold a token"),
        ("two\nlines", "does not hold a token"),
        ("abc\n\n", "does not hold a token"),
        (&too_long, "is longer than 64 KiB"),
        ("abc\0", "does not hold a token"),
    ] {
        is_kept_out(content.as_bytes(), "first", text).await;
    }
    is_kept_out(b"\xff\xfe", "first", "is not UTF-8").await;
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_jwt_replaces_no_token() {
    let whole = jwt_until(HOUR);
    let [in_header, in_claims, after_claims] = [8, 50, whole.rfind('.').unwrap() + 1];
    assert_eq!(whole.find('.'), Some(34));
    for end in [in_header, in_claims, after_claims] {
        let first = jwt_until(2 * HOUR);
        is_kept_out(&whole.as_bytes()[..end], &first, "holds a part of").await;
    }
    // With a dot in it, it is no opaque token either.
    for end in [in_claims, after_claims] {
        is_kept_out(&whole.as_bytes()[..end], "first", "holds a part of").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_opaque_token_may_begin_as_a_jwt() {
    let folder = Folder::with(encode(r#"{"k":"abc","n":"export","id":1}"#));
    let watched = Watched::started(folder.token()).await;
    assert!(watched.value().starts_with("Bearer eyJ"));
}

// As Python's itsdangerous signs them: JSON, perhaps a time, and a signature.
#[tokio::test(start_paused = true)]
async fn an_opaque_token_may_begin_with_json_and_have_dots() {
    let payload = encode(r#"{"id":1}"#);
    for token in [format!("{payload}.ZkX2rg.c2ln"), format!("{payload}.c2ln")] {
        let folder = Folder::with(jwt_until(HOUR));
        let mut watched = Watched::started(folder.token()).await;
        folder.replace(&token);
        watched.logged_in().await;
        assert_eq!(watched.value(), format!("Bearer {token}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_opaque_token_may_follow_a_jwt() {
    let folder = Folder::with(jwt_until(HOUR));
    let mut watched = Watched::started(folder.token()).await;
    folder.replace("s.abc");
    watched.logged_in().await;
    assert_eq!(watched.value(), "Bearer s.abc");
}

#[tokio::test(start_paused = true)]
async fn a_half_written_file_counts_when_it_is_complete() {
    let folder = Folder::with(jwt_until(2 * HOUR));
    let mut watched = Watched::started(folder.token()).await;
    let whole = jwt_until(HOUR);
    let mut file = fs::File::create(folder.token()).unwrap();
    io::Write::write_all(&mut file, &whole.as_bytes()[..50]).unwrap();
    assert!(
        watched
            .failed()
            .await
            .contains("a part of a JSON Web Token")
    );
    io::Write::write_all(&mut file, &whole.as_bytes()[50..]).unwrap();
    let start = Instant::now();
    watched.logged_in().await;
    assert!(start.elapsed() <= TEN_SECONDS + Duration::from_millis(10));
    assert_eq!(watched.value(), format!("Bearer {whole}"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_deleted_and_comes_back() {
    let folder = Folder::with("first");
    let mut watched = Watched::started(folder.token()).await;
    fs::remove_file(folder.token()).unwrap();
    assert!(watched.failed().await.contains("cannot be read"));
    sleep(24 * HOUR).await;
    assert_eq!(watched.value(), "Bearer first");
    assert!(watched.events.is_empty(), "one report");
    folder.write("second");
    watched.logged_in().await;
    assert_eq!(watched.value(), "Bearer second");
    // A folder in its place.
    fs::remove_file(folder.token()).unwrap();
    fs::create_dir(folder.token()).unwrap();
    assert!(watched.failed().await.contains("is no regular file"));
    assert_eq!(watched.value(), "Bearer second");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_comes_late_ends_the_pause() {
    let folder = Folder::new();
    let mut watched = Watched::new(folder.token());
    let error = watched.provider.acquire().await.unwrap_err();
    assert!(format!("{error:?}").contains(&folder.token().display().to_string()));
    watched.failed().await;
    // The pause grows to a minute, if requests insist.
    let mut next_attempt = error.next_attempt().unwrap();
    while next_attempt < Instant::now().into_std() + 2 * TEN_SECONDS {
        sleep(Duration::from_secs(1)).await;
        let error = watched.provider.acquire().await.unwrap_err();
        next_attempt = error.next_attempt().unwrap();
    }
    while !watched.events.is_empty() {
        watched.failed().await;
    }
    folder.write("abc");
    let start = Instant::now();
    watched.logged_in().await;
    assert!(start.elapsed() <= TEN_SECONDS + Duration::from_millis(10));
    assert_eq!(watched.value(), "Bearer abc");
}

#[tokio::test(start_paused = true)]
async fn the_expiry_is_that_of_the_jwt() {
    let clock = HandClock::new();
    let now = seconds(&clock);
    let claims = format!(r#"{{"iat":{},"exp":{}}}"#, now - 1800, now + 1800);
    let folder = Folder::with(jwt(&claims));
    let builder = CachedProvider::builder(TokenFile::new(folder.token())).clock(clock.clone());
    let mut watched = Watched::of(builder);
    watched.provider.acquire().await.unwrap();
    watched.logged_in().await;
    // Half an hour is over already. `exp` has whole seconds.
    let left = watched.provider.snapshot().usable_for().unwrap();
    assert!(left > Duration::from_secs(1789), "{left:?}");
    assert!(left <= Duration::from_secs(1790), "{left:?}");
    // At the end the file is read before a request is sent, without ten seconds' delay.
    folder.replace("second");
    clock.advance(Duration::from_secs(1795));
    let start = Instant::now();
    let authorization = watched.provider.acquire().await.unwrap();
    assert_eq!(authorization.value(), "Bearer second");
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(watched.logged_in().await, LoginReason::Expired);
    assert_eq!(
        watched.provider.snapshot().usable_for(),
        None,
        "it is no JWT"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_is_used_on_if_nobody_has_replaced_it_by_its_expiry() {
    let clock = HandClock::new();
    let folder = Folder::with(jwt_until(Duration::from_secs(seconds(&clock)) + HOUR));
    let builder = CachedProvider::builder(TokenFile::new(folder.token())).clock(clock.clone());
    let watched = Watched::of(builder);
    for _ in 0..48 {
        watched.provider.acquire().await.unwrap();
        clock.advance(HOUR / 2);
    }
    let snapshot = watched.provider.snapshot();
    assert_eq!((snapshot.logins(), snapshot.failed_logins()), (2, 0));
    assert_eq!(snapshot.state(), CredentialState::Fresh);
}

/// A server that accepts one token, and counts the requests.
#[derive(Clone)]
struct Api {
    accepted: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
}

impl Api {
    fn new(accepted: &str) -> Self {
        Self {
            accepted: Arc::new(Mutex::new(format!("Bearer {accepted}"))),
            requests: Arc::default(),
        }
    }

    fn client(
        &self,
        provider: &CachedProvider,
    ) -> impl Service<Request<()>, Response = Response<()>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + use<> {
        let api = self.clone();
        let http = service_fn(move |request: Request<()>| {
            api.requests.fetch_add(1, SeqCst);
            let is_accepted = request.headers()[AUTHORIZATION] == api.accepted.lock().unwrap()[..];
            async move {
                // All requests of a crowd are under way at once.
                yield_now().await;
                let mut response = Response::new(());
                if !is_accepted {
                    *response.status_mut() = StatusCode::UNAUTHORIZED;
                }
                Ok::<_, Infallible>(response)
            }
        });
        let layer = BearerAuthLayer::new(provider.clone(), origins());
        layer.replay(ReplayWith(|(): &()| Some(()))).layer(http)
    }

    fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_reads_the_file_at_once_and_once_for_a_hundred_requests() {
    let folder = Folder::with("first");
    let mut watched = Watched::started(folder.token()).await;
    folder.replace("second");
    let api = Api::new("second");
    let client = api.client(&watched.provider);
    let start = Instant::now();
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        requests.spawn(client.clone().oneshot(request()));
    }
    while let Some(response) = requests.join_next().await {
        assert_eq!(response.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(api.requests(), 200);
    let snapshot = watched.provider.snapshot();
    assert_eq!((snapshot.logins(), snapshot.failed_logins()), (2, 0));
    while !matches!(
        watched.events.recv().await.unwrap(),
        CredentialEvent::LoggedIn {
            reason: LoginReason::Rejected(_),
            ..
        }
    ) {}
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_the_token_in_the_file_reaches_the_caller() {
    let folder = Folder::with("first");
    let watched = Watched::started(folder.token()).await;
    let api = Api::new("second");
    let client = api.client(&watched.provider);
    for number in 1..=100 {
        let response = client.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let report = response.extensions().get::<RejectionReport>().unwrap();
        // The first one is replayed, although with the same token.
        let not_replayed = match number {
            1 => NotReplayed::AlreadyReplayed,
            _ => NotReplayed::LoginHeldBack,
        };
        assert_eq!(report.not_replayed(), not_replayed);
        assert_eq!(api.requests(), 1 + number);
    }
    let snapshot = watched.provider.snapshot();
    assert_eq!((snapshot.logins(), snapshot.failed_logins()), (2, 0));
    assert_eq!(watched.value(), "Bearer first");
    // After the pause, the file is read again.
    folder.replace("second");
    sleep(Duration::from_secs(1)).await;
    let response = client.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_no_server_accepts_causes_few_readings() {
    let folder = Folder::with("first");
    let mut watched = Watched::started(folder.token()).await;
    let client = Api::new("second").client(&watched.provider);
    for _ in 0..3600 {
        client.clone().oneshot(request()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    let logins = watched.provider.snapshot().logins();
    assert!(logins < 45, "{logins}");
    // The pause is five minutes by now, and another token in the file does not wait for its end.
    while watched.events.try_recv().is_ok() {}
    folder.replace("second");
    assert_eq!(watched.logged_in().await, LoginReason::RefreshAhead);
    let response = client.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn two_providers_may_share_a_file() {
    let folder = Folder::with("first");
    let login = Arc::new(TokenFile::new(folder.token()));
    let provider = || Watched::of(CachedProvider::builder(Arc::clone(&login)));
    let mut both = [provider(), provider()];
    for watched in &mut both {
        watched.provider.acquire().await.unwrap();
        watched.logged_in().await;
        // So that the one reads a change before the other looks.
        sleep(TEN_SECONDS / 2).await;
    }
    folder.replace("second");
    for watched in &mut both {
        watched.logged_in().await;
        assert_eq!(watched.value(), "Bearer second");
    }
    // What the one has read is new for the other.
    folder.replace("third");
    for watched in &mut both {
        let rejected = watched.provider.acquire().await.unwrap();
        let verdict = watched.provider.reject(&by_hand(rejected.generation()));
        assert!(verdict.is_log_in());
        let authorization = watched.provider.acquire().await.unwrap();
        assert_eq!(authorization.value(), "Bearer third");
    }
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle() {
    let folder = Folder::with("first");
    let watched = Watched::started(folder.token()).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    settle().await;
    assert_eq!(tasks(), 1);
    let other = watched.provider.clone();
    drop(watched);
    sleep(HOUR).await;
    assert_eq!(tasks(), 1);
    drop(other);
    settle().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_sign_in() {
    let folder = Folder::with("first");
    let watched = Watched::started(folder.token()).await;
    watched.provider.sign_out();
    folder.replace("second");
    sleep(HOUR).await;
    let snapshot = watched.provider.snapshot();
    assert_eq!(snapshot.state(), CredentialState::SignedOut);
    assert_eq!(snapshot.logins(), 1);
}

/// The header `authorization` and the body of a login.
type Sent = (Option<String>, String);

/// A server of logins that keeps what arrives.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Sent>>>);

impl Server {
    fn login(&self, body: impl Into<LoginBody>) -> HttpLogin {
        let received = Arc::clone(&self.0);
        let http = service_fn(move |request: Request<Full<Bytes>>| {
            let received = Arc::clone(&received);
            async move {
                let header = request.headers().get(AUTHORIZATION);
                let header = header.map(|it| it.to_str().unwrap().to_owned());
                let body = request.into_body().collect().await?.to_bytes();
                let body = String::from_utf8(body.to_vec()).unwrap();
                let number = {
                    let mut received = received.lock().unwrap();
                    received.push((header, body));
                    received.len()
                };
                let answer = format!(r#"{{"access_token":"token-{number}"}}"#);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer)))
            }
        });
        HttpLogin::new(http, "https://login.example.com/token", body).unwrap()
    }

    fn received(&self) -> Sent {
        self.0.lock().unwrap().pop().unwrap()
    }
}

/// What a login sends for each of these contents of the file `token`.
async fn sent(contents: [&str; 2], body: impl FnOnce(SecretFile) -> LoginBody) -> [Sent; 2] {
    let (folder, server) = (Folder::new(), Server::default());
    let login = server.login(body(SecretFile::new(folder.token())));
    let provider = CachedProvider::new(login);
    let mut sent = Vec::new();
    for content in contents {
        folder.write(content);
        provider.reset();
        provider.acquire().await.unwrap();
        sent.push(server.received());
    }
    sent.try_into().unwrap()
}

#[tokio::test]
async fn each_login_reads_its_secret_anew() {
    let sent = sent(["first\n", "\"second\""], |password| {
        LoginBody::from_fn(move |_request| {
            let password = password.read();
            async move {
                let password = password.await?;
                let json = serde_json::json!({ "user": "me", "password": password.expose() });
                Ok(json.to_string())
            }
        })
    });
    let [first, second] = sent.await;
    assert_eq!(first.1, r#"{"password":"first","user":"me"}"#);
    assert_eq!(second.1, r#"{"password":"\"second\"","user":"me"}"#);
}

#[tokio::test]
async fn a_client_secret_rotates() {
    let sent = sent(["7F+fp\n", "other"], |secret| {
        LoginBody::from_fn(move |_request| {
            let secret = secret.read();
            async move {
                let grant = OAuth2Grant::client_credentials().scope("read");
                Ok(grant.client_secret_basic("s6BhdRkqt3", secret.await?)?)
            }
        })
    });
    let [first, second] = sent.await;
    let first = (first.0.as_deref(), &first.1[..]);
    let body = "grant_type=client_credentials&scope=read";
    assert_eq!(first, (Some("Basic czZCaGRSa3F0Mzo3RiUyQmZw"), body));
    assert_eq!(second.0.as_deref(), Some("Basic czZCaGRSa3F0MzpvdGhlcg=="));
}

#[tokio::test]
async fn a_projected_token_is_an_assertion() {
    let sent = sent(["first.a.b\n", "second.a.b"], |assertion| {
        let grant = OAuth2Grant::jwt_bearer(move |_request| {
            let assertion = assertion.read();
            async { Ok(assertion.await?) }
        });
        grant.into()
    });
    for (sent, token) in sent.await.into_iter().zip(["first", "second"]) {
        assert!(
            sent.1.ends_with(&format!("&assertion={token}.a.b")),
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn a_projected_token_is_exchanged() {
    let kind = "urn:ietf:params:oauth:token-type:jwt";
    let sent = sent(["first.a.b\n", "second.a.b"], |token| {
        let grant = OAuth2Grant::token_exchange(kind, move |_request| {
            let token = token.read();
            async { Ok(token.await?) }
        });
        grant.audience("payroll").into()
    });
    for (sent, token) in sent.await.into_iter().zip(["first", "second"]) {
        assert!(
            sent.1.contains(&format!("subject_token={token}.a.b&")),
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_says_where_and_why() {
    let folder = Folder::new();
    let secret = SecretFile::new(folder.token());
    let error = secret.read().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let path = folder.token().display().to_string();
    assert!(
        error
            .to_string()
            .starts_with(&format!("the file {path} cannot be read: "))
    );
    folder.write("");
    let error = secret.read().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(
        error.to_string(),
        format!("the file {path} is empty: check what writes it")
    );
    // Nothing is sent then.
    let server = Server::default();
    let login = server.login(LoginBody::from_fn(move |_| {
        let secret = secret.read();
        async { Ok(secret.await?) }
    }));
    let error = CachedProvider::new(login).acquire().await.unwrap_err();
    assert!(format!("{error:?}").contains(&path), "{error:?}");
    assert!(server.0.lock().unwrap().is_empty());
    let several = "-----BEGIN\nabc\n-----END\n";
    folder.write(several);
    let secret = SecretFile::new(Path::new(&path)).read().await.unwrap();
    assert_eq!(secret.expose(), several.trim_end());
}

#[tokio::test]
async fn the_session_is_concurrent_and_the_endpoint_is_the_path() {
    use tower_bearer::Login;

    let login = TokenFile::new("/var/run/secrets/tokens/api-token");
    assert_eq!(login.session(), Session::Concurrent);
    assert_eq!(
        login.endpoint().as_deref(),
        Some("/var/run/secrets/tokens/api-token")
    );
    assert_eq!(
        format!("{login:?}"),
        r#"TokenFile { path: "/var/run/secrets/tokens/api-token", scheme: Scheme("Bearer"), .. }"#
    );
}
