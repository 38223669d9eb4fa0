//! Logins over HTTPS, with the client of the guide's page and a real TLS server.
//!
//! The client trusts the platform's roots. So each test runs again in a child process, whose
//! `SSL_CERT_FILE` names a certificate authority that the child has made.

mod support;

#[path = "../src/guide/login_client.rs"]
#[allow(unreachable_pub, reason = "it is the file of the guide's page")]
mod recipe;

use std::{
    env,
    error::Error,
    fs, iter,
    net::{Ipv4Addr, TcpListener as StdListener},
    path::Path,
    process::{self, Command},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use recipe::login_client;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
use support::{HandClock, patient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::{BoxError, Service};
use tower_bearer::{
    CachedProvider, HttpLogin, Login, LoginError, LoginRequest, OAuth2Issuer, Recovery,
    RefreshToken,
};

const PASSWORD: &str = "canaryPASSWORD-5f19";
const WAITERS: usize = 100;

// ===== certificates =====

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A server's certificate for this name or address.
    fn certify(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    fn certify_loopback(&self) -> TlsAcceptor {
        self.certify("127.0.0.1", |_| {})
    }
}

/// The variable of the child process.
const IS_CHILD: &str = "HTTPS_IS_CHILD";

/// Runs the test of this name in a child process whose platform trusts only the authority.
fn trusting(name: &str, test: impl AsyncFnOnce(Authority)) {
    const ROOTS: &str = "SSL_CERT_FILE";
    if env::var_os(IS_CHILD).is_some() {
        let authority = Authority::new("trusted");
        fs::write(env::var_os(ROOTS).unwrap(), authority.0.pem()).unwrap();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        return runtime.block_on(test(authority));
    }
    let file = format!("{name}-{}.pem", process::id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let child = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(IS_CHILD, "1")
        .env(ROOTS, &file)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let _ = fs::remove_file(&file); // a child that failed early has not written it
    let output = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
    let has_passed = child.status.success() && output.contains("1 passed");
    assert!(has_passed, "{output}{errors}");
}

// ===== the server =====

/// What the server does with a connection once it has read a request, and answered it unless said. All
/// leave it open in HTTP's sense: the answer has no `connection: close`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// Serves the next request.
    Serves,
    /// Ends TLS, and closes the connection.
    CloseNotify,
    /// Closes the connection without ending TLS.
    Close,
    /// Reads the next request and then closes the connection: the request has crossed the close.
    Cross,
    /// Answers in plain text: TLS fails at the client, after the server has read the request.
    Garbles,
}

struct Server {
    url: String,
    /// Number of the connection, and path.
    received: Arc<Mutex<Vec<(usize, String)>>>,
    /// Has a message for each connection that the server has closed.
    closed: mpsc::UnboundedReceiver<()>,
}

impl Server {
    async fn start(acceptor: TlsAcceptor, answer: &'static str, then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<_>>>::default();
        let (close, closed) = mpsc::unbounded_channel();
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            for number in 0.. {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, log, close) = (acceptor.clone(), Arc::clone(&log), close.clone());
                tokio::spawn(async move {
                    // A client that does not trust the certificate ends the handshake.
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        let seen = |path| log.lock().unwrap().push((number, path));
                        serve(tls, answer, then, seen).await;
                        let _ = close.send(());
                    }
                });
            }
        });
        Self {
            url,
            received,
            closed,
        }
    }

    fn received(&self) -> Vec<(usize, String)> {
        self.received.lock().unwrap().clone()
    }

    fn login<S, R>(&self, client: S) -> HttpLogin
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        login_at(&self.url, client)
    }
}

/// A login that can refresh.
fn login_at<S, R>(url: &str, client: S) -> HttpLogin
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let refresh = |token: &RefreshToken| token.expose().to_owned();
    HttpLogin::new(client, &format!("{url}/login"), PASSWORD)
        .unwrap()
        .refresh_by(&format!("{url}/refresh"), refresh)
        .unwrap()
}

async fn serve(mut tls: TlsStream<TcpStream>, answer: &str, then: Then, seen: impl Fn(String)) {
    while let Some(path) = read_path(&mut tls).await {
        seen(path);
        if then == Then::Garbles {
            let _ = tls.get_mut().0.write_all(answer.as_bytes()).await;
            return;
        }
        if tls.write_all(answer.as_bytes()).await.is_err() || tls.flush().await.is_err() {
            return;
        }
        match then {
            Then::Serves => {}
            Then::CloseNotify => {
                let _ = tls.shutdown().await;
                return;
            }
            Then::Close | Then::Garbles => return,
            Then::Cross => {
                if let Some(path) = read_path(&mut tls).await {
                    seen(path);
                }
                return;
            }
        }
    }
}

/// Reads a request to its end, and returns its path. `None` if the client has closed the connection.
async fn read_path(tls: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let read = tls.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&chunk[..read]);
        let text = std::str::from_utf8(&request).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("content-length: "));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            return Some(head.split(' ').nth(1).unwrap().to_owned());
        }
    }
}

/// A token for an hour.
const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\n{\"access_token\":\"a\",\"expires_in\":3600}";

// ===== clients, requests, errors =====

/// A client of an API, as many programs build it: with a pool, and a timeout for connecting by TCP.
fn client_of_api() -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(Duration::from_secs(3)));
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(ring::default_provider())
        .unwrap()
        .https_only()
        .enable_http1()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new()).build(https)
}

/// Lets requests wait for one login. Returns how many failed.
async fn failed(provider: &CachedProvider) -> usize {
    let mut waiters: JoinSet<_> = (0..WAITERS)
        .map(|_| {
            let provider = provider.clone();
            async move { provider.acquire().await.is_err() }
        })
        .collect();
    let mut failed = 0;
    while let Some(has_failed) = waiters.join_next().await {
        failed += usize::from(has_failed.unwrap());
    }
    failed
}

/// An error and its sources.
fn chain(error: &(dyn Error + 'static)) -> String {
    let chain = iter::successors(Some(error), |error| (*error).source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

// ===== the tests =====

#[test]
fn each_login_over_tls_has_a_connection_of_its_own() {
    trusting(
        "each_login_over_tls_has_a_connection_of_its_own",
        async |authority| {
            let server = Server::start(authority.certify_loopback(), ANSWER, Then::Serves).await;
            let login = server.login(login_client().unwrap());
            let clock = HandClock::new();
            let provider = patient(login).clock(clock.clone()).build();
            assert_eq!(failed(&provider).await, 0);
            assert_eq!(provider.acquire().await.unwrap().value(), "Bearer a");
            clock.advance(Duration::from_secs(3600));
            assert_eq!(failed(&provider).await, 0);
            let paths = [(0, "/login".to_owned()), (1, "/login".to_owned())];
            assert_eq!(server.received(), paths, "the second had a new connection");
        },
    );
}

// A server closes an idle connection sooner or later. The second login is an hour after the first one.
#[test]
fn a_connection_that_died_in_the_hour_between_two_logins_fails_nobody() {
    let name = "a_connection_that_died_in_the_hour_between_two_logins_fails_nobody";
    trusting(name, async |authority| {
        for then in [Then::CloseNotify, Then::Close, Then::Cross] {
            let acceptor = authority.certify_loopback();
            let mut server = Server::start(acceptor, ANSWER, then).await;
            let clock = HandClock::new();
            let login = server.login(login_client().unwrap());
            let provider = patient(login).clock(clock.clone()).build();
            let first = failed(&provider).await;
            if then != Then::Cross {
                server.closed.recv().await.unwrap();
            }
            clock.advance(Duration::from_secs(3600));
            let second = failed(&provider).await;
            assert_eq!((first, second), (0, 0), "{then:?}");
            let connections: Vec<_> = server.received().iter().map(|(it, _)| *it).collect();
            assert_eq!(connections, [0, 1], "{then:?}");
        }

        // With a pool, the request is written to the connection that the server is about to close. The
        // server may have read it, so nobody may send it again: every waiter fails. The pool counts real
        // time, so here its connection was just used, as those of an API's client are.
        let server = Server::start(authority.certify_loopback(), ANSWER, Then::Cross).await;
        let clock = HandClock::new();
        let login = server.login(client_of_api());
        let provider = patient(login).clock(clock.clone()).build();
        assert_eq!(failed(&provider).await, 0);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(failed(&provider).await, WAITERS);
    });
}

#[test]
fn a_certificate_that_is_not_trusted_fails_the_login() {
    trusting(
        "a_certificate_that_is_not_trusted_fails_the_login",
        async |authority| {
            let unknown = Authority::new("unknown").certify_loopback();
            let other_name = authority.certify("other.example", |_| {});
            let expired = authority.certify("127.0.0.1", |params| {
                params.not_before = date_time_ymd(2019, 1, 1);
                params.not_after = date_time_ymd(2020, 1, 1);
            });
            for (acceptor, cause) in [
                (unknown, "invalid peer certificate: UnknownIssuer"),
                (other_name, "certificate not valid for name \"127.0.0.1\""),
                (expired, "invalid peer certificate: certificate expired"),
            ] {
                let server = Server::start(acceptor, ANSWER, Then::Serves).await;
                assert_no_tls(&server.url, cause).await;
                assert_eq!(server.received(), [], "{cause}");
            }
        },
    );
}

// A server without TLS: the port is wrong, or a proxy answers.
#[test]
fn a_port_without_tls_fails_the_login() {
    trusting("a_port_without_tls_fails_the_login", async |_| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let _ = tcp.read(&mut [0; 1024]).await;
                let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        assert_no_tls(&url, "received corrupt message").await;
    });
}

/// The login and the refresh fail with this cause. Nothing was sent, so a refresh token is kept.
async fn assert_no_tls(url: &str, cause: &str) {
    let login = login_at(url, login_client().unwrap());
    let mut request = LoginRequest::with_refresh_token("canaryREFRESH-77d0");
    let error = login.login(request.clone()).await.unwrap_err();
    let found: &LoginError = error.downcast_ref().unwrap();
    assert!(!found.is_permanent());
    assert!(request.take_refresh_token().is_some(), "{cause}");

    let host = url.strip_prefix("https://").unwrap();
    for (login, place) in [
        (login, format!("login at POST {host}/login")),
        (
            discovered(url),
            format!("discovery at GET {host}/.well-known/openid-configuration"),
        ),
    ] {
        let error = CachedProvider::new(login).acquire().await.unwrap_err();
        let text = format!(
            "the {place} got no TLS connection: \
             check the server's certificate, and the client's roots; next attempt in "
        );
        assert!(error.to_string().starts_with(&text), "{error}");
        assert!(chain(&error).contains(cause), "{}", chain(&error));
        assert!(!format!("{error:?} {}", chain(&error)).contains("canary"));
        // It is at the server or here: only a person can tell. No attempt harms the account.
        let Recovery::TryAgain { after } = error.recovery() else {
            panic!("{:?}", error.recovery());
        };
        assert!(after <= Duration::from_secs(1), "{after:?}");
    }
}

/// A login that begins with the metadata of this issuer.
fn discovered(issuer: &str) -> HttpLogin {
    let issuer = OAuth2Issuer::openid(issuer).unwrap();
    HttpLogin::discover(login_client().unwrap(), issuer, PASSWORD)
}

// The server may have used the refresh token: it must not be sent again.
#[test]
fn tls_that_fails_after_a_request_was_read_spends_the_refresh_token() {
    let name = "tls_that_fails_after_a_request_was_read_spends_the_refresh_token";
    trusting(name, async |authority| {
        let acceptor = authority.certify_loopback();
        let server = Server::start(acceptor, ANSWER, Then::Garbles).await;
        let login = server.login(login_client().unwrap());
        let mut request = LoginRequest::with_refresh_token("r1");
        let error = login.login(request.clone()).await.unwrap_err();
        assert!(
            error.to_string().ends_with("/login got no answer"),
            "{error}"
        );
        assert!(
            chain(&*error).contains("received corrupt message"),
            "{}",
            chain(&*error)
        );
        assert!(request.take_refresh_token().is_none());
        let paths = [(0, "/refresh".to_owned()), (1, "/login".to_owned())];
        assert_eq!(server.received(), paths);
    });
}

// The server's kernel accepts the connection, and nobody answers TLS. Time is paused.
#[test]
fn a_connection_that_hangs_ends_in_time_and_keeps_the_refresh_token() {
    let name = "a_connection_that_hangs_ends_in_time_and_keeps_the_refresh_token";
    trusting(name, async |_| {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::time::pause();

        let login = login_at(&url, login_client().unwrap());
        let mut request = LoginRequest::with_refresh_token("r1");
        let start = Instant::now();
        let an_hour = Duration::from_secs(3600);
        let outcome = tokio::time::timeout(an_hour, login.login(request.clone())).await;
        let error = outcome.expect("the client gives up").unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 3);
        assert!(
            error.to_string().ends_with("/refresh got no connection"),
            "{error}"
        );
        assert!(request.take_refresh_token().is_some());

        let start = Instant::now();
        let error = CachedProvider::new(login).acquire().await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 3);
        assert!(error.to_string().contains("got no connection"), "{error}");

        // The metadata of an issuer may take a quarter of the login's timeout.
        let start = Instant::now();
        let provider = CachedProvider::new(discovered(&url));
        let error = provider.acquire().await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 2, "of 2.5 s");
        assert!(error.to_string().contains("got no answer"), "{error}");

        // A timeout for TCP alone does not count, so that only that of the login is left.
        let start = Instant::now();
        let login = login_at(&url, client_of_api());
        let error = CachedProvider::new(login).acquire().await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 10);
        assert!(
            error.to_string().contains("did not end within 10 s"),
            "{error}"
        );
    });
}

#[test]
fn a_redirect_is_not_followed() {
    const MOVED: &str = "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere?canary\r\n\
                         content-length: 0\r\n\r\n";
    trusting("a_redirect_is_not_followed", async |authority| {
        let server = Server::start(authority.certify_loopback(), MOVED, Then::Serves).await;
        let login = server.login(login_client().unwrap());
        let error = login.login(LoginRequest::default()).await.unwrap_err();
        let text = "/login was redirected to /elsewhere: 307 Temporary Redirect (0 bytes): \
                    redirects are not followed, so set this URL";
        assert!(error.to_string().ends_with(text), "{error}");
        assert_eq!(server.received(), [(0, "/login".to_owned())]);
    });
}

// `HttpLogin` refuses plain http to other hosts, and the client refuses it to all of them.
#[test]
fn nothing_is_sent_in_the_clear() {
    trusting("nothing_is_sent_in_the_clear", async |_| {
        let client = login_client().unwrap();
        let refused = HttpLogin::new(client.clone(), "http://login.example.com/", PASSWORD);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("dangerously_in_the_clear"), "{text}");

        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = CachedProvider::new(login_at(&url, client));
        let error = chain(&provider.acquire().await.unwrap_err());
        assert!(error.contains("got no connection"), "{error}");
        assert!(error.ends_with("unsupported scheme http"), "{error}");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "not even a connection");
    });
}

// Such as in an image without the package `ca-certificates`.
#[test]
fn a_platform_without_roots_is_an_error_at_the_start() {
    trusting(
        "a_platform_without_roots_is_an_error_at_the_start",
        async |_| {
            fs::write(env::var_os("SSL_CERT_FILE").unwrap(), "").unwrap();
            let text = login_client().unwrap_err().to_string();
            assert!(
                text.starts_with("no native root CA certificates found"),
                "{text}"
            );
        },
    );
}
