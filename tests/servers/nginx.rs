//! nginx in front of django-oauth-toolkit.

use std::{
    fs,
    pin::Pin,
    process::Command,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Uri, header::ACCEPT_ENCODING};
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::mpsc,
};
use tower_bearer::{HttpLogin, OAuth2Grant, OAuth2Issuer, Recovery};

use crate::{
    behaviours::{Failure, failure, hundred, revoked, token},
    client::Http,
    django::{self, SECRET},
    process::{Process, folder, free_port, installed},
    report::Report,
};

struct Server {
    url: String,
    tls_url: String,
    ca: CertificateDer<'static>,
    django: django::Server,
    _process: Process,
}

impl Server {
    fn start(django: django::Server) -> Self {
        let folder = folder("nginx");
        let ca = make_certificates(&folder);
        // Another process may take a port in between.
        let mut failed = String::new();
        for _ in 0..5 {
            let ports @ [port, tls_port, _] = [free_port(), free_port(), free_port()];
            let mut conf = include_str!("nginx.conf").replace("{UPSTREAM}", &django.url);
            for (name, port) in ["{PORT}", "{TLS_PORT}", "{CLOSED_PORT}"]
                .into_iter()
                .zip(ports)
            {
                conf = conf.replace(name, &port.to_string());
            }
            fs::write(folder.join("nginx.conf"), conf).unwrap();
            // nginx does not watch its standard input: the shell does, and ends with nginx.
            let script = "PATH=$PATH:/usr/sbin; exec 3<&0 2>&1
                nginx -p . -c nginx.conf & nginx=$!
                { read -r _ <&3; kill $nginx; } &
                wait $nginx";
            let mut shell = Command::new("sh");
            shell.args(["-c", script]);
            // It says so when it listens.
            match Process::start(shell, &folder, "event method") {
                Ok((process, _)) => {
                    return Self {
                        url: format!("http://127.0.0.1:{port}"),
                        tls_url: format!("https://127.0.0.1:{tls_port}"),
                        ca,
                        django,
                        _process: process,
                    };
                }
                Err(error) => failed = error,
            }
        }
        panic!("{failed}")
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn login(&self, http: &Http, path: &str) -> HttpLogin {
        let grant = OAuth2Grant::client_credentials();
        let login = HttpLogin::new(http.client(), &self.at(path), grant).unwrap();
        login.client_secret_basic("a:b", SECRET).unwrap()
    }

    /// The failure of a login at this path.
    async fn failure(&self, path: &str) -> Failure {
        failure(self.login(&Http::new(), path)).await
    }
}

/// Writes the server's certificate and key, and returns the certificate of their authority.
fn make_certificates(folder: &std::path::Path) -> CertificateDer<'static> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    fs::write(folder.join("certificate.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    ca.der().clone()
}

/// A connection that says when its server has closed it.
#[derive(Debug)]
struct Watched {
    connection: TcpStream,
    closed: mpsc::UnboundedSender<()>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        if buffer.filled().len() == before {
            let _ = self.closed.send(());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// The pause that a transient failure asks for.
#[track_caller]
fn pause(failure: &Failure) -> Duration {
    match failure.recovery {
        Recovery::TryAgain { after } => after,
        _ => panic!("{failure:?}"),
    }
}

/// The version that Debian has.
fn version() -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", "PATH=$PATH:/usr/sbin nginx -v 2>&1"]);
    let printed = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let (_, version) = printed.trim().split_once('/').unwrap();
    version.to_owned()
}

#[tokio::test]
async fn nginx() {
    let Some(installed) = installed("nginx") else {
        return;
    };
    let django = django::Server::start(&installed, "behind-nginx");
    let server = Arc::new(Server::start(django));
    let mut report = Report::new("nginx", version(), include_str!("nginx.rs"));
    let new = || (Arc::clone(&server), Http::new());

    // The API is behind `auth_request`, which passes the challenge on with a page of HTML.
    let (it, http) = new();
    let act = async move {
        let login = it.login(&http, "/o/token/");
        let revoke = |token| it.django.revoke(token, "a:b");
        revoked(&[200, 200], http, login, it.at("/api"), revoke).await;
    };
    report.check("revoked token: login, replay", act).await;

    let (it, http) = new();
    let act = async move {
        let login = it.login(&http, "/o/token/");
        let revoke = |token| it.django.revoke(token, "a:b");
        hundred(http, login, it.at("/api"), revoke).await;
    };
    report.check("100 requests, one login", act).await;

    let (it, _) = new();
    let act = async move {
        let (closed, mut is_closed) = mpsc::unbounded_channel();
        let address = it.url.replace("http://", "");
        let connector = tower::service_fn(move |_: Uri| {
            let (closed, address) = (closed.clone(), address.clone());
            Box::pin(async move {
                let connection = TcpStream::connect(address).await?;
                Ok::<_, std::io::Error>(TokioIo::new(Watched { connection, closed }))
            })
        });
        let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
        let http = Http::over(client);
        let login = it.login(&http, "/idle/token/");
        for _ in 0..5 {
            token(&login).await;
            is_closed.recv().await.unwrap();
        }
        assert_eq!(http.logins(), [200; 5]);
    };
    report.check("idle connection is closed", act).await;

    let (it, http) = new();
    let act = async move {
        token(&it.login(&http, "/limited/token/")).await;
        let failure = it.failure("/limited/token/").await;
        assert_eq!(failure.status.unwrap(), 429);
        assert!(pause(&failure) >= Duration::from_secs(5), "{failure:?}");
        token(&it.login(&http, "/limited-for-a-minute/token/")).await;
        let failure = it.failure("/limited-for-a-minute/token/").await;
        assert_eq!(failure.status.unwrap(), 429);
        assert!(pause(&failure) >= Duration::from_secs(60), "{failure:?}");
    };
    report.check("rate limit", act).await;

    let (it, _) = new();
    let act = async move {
        let failure = it.failure("/maintenance/").await;
        assert_eq!(failure.status.unwrap(), 503);
        assert!(pause(&failure) <= Duration::from_secs(1), "{failure:?}");
        let failure = it.failure("/maintenance-for-a-minute/").await;
        assert_eq!(failure.status.unwrap(), 503);
        assert!(pause(&failure) >= Duration::from_secs(60), "{failure:?}");
    };
    report.check("maintenance", act).await;

    let (it, _) = new();
    let act = async move {
        for (path, status, text) in [
            ("/forbidden/", 403, "was refused without JSON"),
            ("/nowhere/", 404, "there is no login at"),
            ("/static/", 405, "there is no login at"),
            ("/bad-gateway/", 502, "the server of the login at"),
            ("/sorry/", 200, "is not JSON"),
        ] {
            let failure = it.failure(path).await;
            assert_eq!(failure.status.unwrap(), status);
            assert!(failure.text.contains(text), "{failure:?}");
            assert!(failure.text.contains("text/html"), "{failure:?}");
            assert!(!failure.is_permanent, "{failure:?}");
            let is_likely_to_repeat = failure.text.ends_with("; next attempt in 30 s");
            assert_eq!(is_likely_to_repeat, matches!(status, 403..=405));
        }
    };
    report.check("HTML pages", act).await;

    let (it, http) = new();
    let act = async move {
        let failure = failure(it.login(&http, "/moved/")).await;
        let to = format!("was redirected to {}/o/token/", it.tls_url);
        assert!(failure.text.contains(&to), "{failure:?}");
        assert_eq!(failure.recovery, Recovery::FixProgram);
        assert_eq!(http.logins(), [301]);
    };
    report.check("redirect to https", act).await;

    let (it, http) = new();
    let act = async move {
        let login = || it.login(&http, "/o/token/");
        token(&login()).await;
        let gzip = HeaderValue::from_static("gzip");
        let failure = failure(login().header(ACCEPT_ENCODING, gzip)).await;
        assert!(
            failure.text.contains("is compressed with gzip"),
            "{failure:?}"
        );
        assert_eq!(failure.recovery, Recovery::FixProgram);
    };
    report.check("gzip", act).await;

    let (it, http) = new();
    let act = async move {
        token(&by_issuer(&http, &it.url)).await;
        // This nginx does not tell the server that it is behind https, so the metadata name http.
        let mut roots = RootCertStore::empty();
        roots.add(it.ca.clone()).unwrap();
        let failure = failure(by_issuer(&Http::over(https(roots)), &it.tls_url)).await;
        assert_eq!(failure.recovery, Recovery::FixProgram);
        let named = it.tls_url.replace("https", "http");
        assert!(failure.text.contains(&named), "{failure:?}");
        assert!(failure.text.contains(&it.tls_url), "{failure:?}");
    };
    report.check("discovery", act).await;

    let (it, _) = new();
    let act = async move {
        let mut roots = RootCertStore::empty();
        roots.add(it.ca.clone()).unwrap();
        let (trusting, careful) = (
            Http::over(https(roots)),
            Http::over(https(RootCertStore::empty())),
        );
        let login = |http: &Http| {
            let grant = OAuth2Grant::client_credentials();
            let url = format!("{}/o/token/", it.tls_url);
            let login = HttpLogin::new(http.client(), &url, grant).unwrap();
            login.client_secret_basic("a:b", SECRET).unwrap()
        };
        let token = token(&login(&trusting)).await;
        assert_eq!(
            trusting
                .status(&format!("{}/o/api", it.tls_url), &token)
                .await,
            200
        );
        let failure = failure(login(&careful)).await;
        assert!(
            failure.text.contains("got no TLS connection"),
            "{failure:?}"
        );
    };
    report.check("TLS", act).await;

    report.finish();
}

/// A login at django-oauth-toolkit by discovery through nginx.
fn by_issuer(http: &Http, url: &str) -> HttpLogin {
    let issuer = OAuth2Issuer::openid(&format!("{url}/o")).unwrap();
    let grant = OAuth2Grant::client_credentials().client_secret_post("a:b", SECRET);
    HttpLogin::discover(http.client(), issuer, grant)
}

fn https(
    roots: RootCertStore,
) -> Client<
    hyper_rustls::HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>,
    Full<Bytes>,
> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}
