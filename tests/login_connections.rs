//! Logins and refreshes whose connection was closed, with hyper-util's client over real sockets.
//!
//! hyper-util sends a request again if it took the connection from its pool, and the connection closed
//! before the request was written (`retry_canceled_requests`, on by default).

mod support;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use support::{HttpClient, http_client};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream as TokioStream,
};
use tower::{BoxError, Service};
use tower_bearer::{Credential, HttpLogin, Login, LoginRequest};

/// What the server does on a connection. It then closes the connection.
#[derive(Clone, Copy)]
enum Step {
    Answer,
    /// Reads a request, and does not answer.
    Read,
    /// Waits for [`Server::close`].
    Wait,
}

/// A server on loopback with a script for each connection, in their order.
struct Server {
    address: SocketAddr,
    close: mpsc::Sender<()>,
    closed: mpsc::Receiver<()>,
    /// A connection that becomes readable when the server has closed another one.
    is_closed: TokioStream,
    thread: JoinHandle<Vec<(usize, String)>>,
}

impl Server {
    async fn start(scripts: &'static [&'static [Step]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (close, told) = mpsc::channel();
        let (confirm, closed) = mpsc::channel();
        let is_closed = TokioStream::connect(address).await.unwrap();
        let thread = thread::spawn(move || {
            let (mut news, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            for (number, script) in scripts.iter().enumerate() {
                let (mut connection, _) = listener.accept().unwrap();
                for step in *script {
                    match step {
                        Step::Wait => told.recv().unwrap(),
                        Step::Answer | Step::Read => {
                            received.push((number, read_path(&mut connection)));
                        }
                    }
                    if let Step::Answer = step {
                        connection.write_all(ANSWER).unwrap();
                    }
                }
                drop(connection);
                news.write_all(&[0]).unwrap();
                // Nobody may be left to wait for it.
                let _ = confirm.send(());
            }
            received
        });
        Self {
            address,
            close,
            closed,
            is_closed,
            thread,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Lets the server close its connection. Returns when the runtime has the news, and before it has run
    /// the client's task of that connection: the thread is blocked until both are there.
    async fn close(&self) {
        self.close.send(()).unwrap();
        self.closed.recv().unwrap();
        self.is_closed.readable().await.unwrap();
    }

    /// A login that can refresh.
    fn login<S, R>(&self, client: S) -> HttpLogin
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let refresh = |token: &tower_bearer::RefreshToken| token.expose().to_owned();
        HttpLogin::new(client, &self.at("/login"), "{}")
            .unwrap()
            .refresh_by(&self.at("/refresh"), refresh)
            .unwrap()
    }

    /// The requests, each with the number of its connection. All scripts must have ended.
    fn received(self) -> Vec<(usize, String)> {
        self.thread.join().unwrap()
    }
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"access_token\":\"a\"}";

/// Reads a request to its end, and returns its path.
fn read_path(connection: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let read = connection.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "the client has closed the connection");
        request.extend_from_slice(&chunk[..read]);
        let text = std::str::from_utf8(&request).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("content-length: "));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            return head.split(' ').nth(1).unwrap().to_owned();
        }
    }
}

async fn log_in(login: &HttpLogin) -> Result<Credential, BoxError> {
    login.login(LoginRequest::default()).await
}

/// The outcome of a refresh, and whether the refresh token is left for the next login.
async fn refresh(login: &HttpLogin) -> (Result<Credential, BoxError>, bool) {
    let mut request = LoginRequest::with_refresh_token("r1");
    let outcome = login.login(request.clone()).await;
    (outcome, request.take_refresh_token().is_some())
}

fn sent(requests: &[(usize, &str)]) -> Vec<(usize, String)> {
    let owned = requests
        .iter()
        .map(|(number, path)| (*number, (*path).to_owned()));
    owned.collect()
}

// The client finds the connection closed before it writes, and opens another one.
#[tokio::test]
async fn a_connection_that_closed_between_two_logins_is_replaced() {
    use Step::{Answer, Wait};
    let server = Server::start(&[&[Answer, Wait], &[Answer]]).await;
    let login = server.login(http_client());
    log_in(&login).await.unwrap();
    server.close().await;
    log_in(&login).await.unwrap();
    assert_eq!(server.received(), sent(&[(0, "/login"), (1, "/login")]));

    let server = Server::start(&[&[Answer, Wait], &[Answer]]).await;
    let login = server.login(http_client());
    log_in(&login).await.unwrap();
    server.close().await;
    let (outcome, _) = refresh(&login).await;
    assert!(outcome.unwrap().refresh_token().is_some(), "the old one");
    assert_eq!(server.received(), sent(&[(0, "/login"), (1, "/refresh")]));
}

// The server may have acted on the request: it is never sent again.
#[tokio::test]
async fn a_request_that_was_read_is_not_sent_again() {
    use Step::{Answer, Read};
    let server = Server::start(&[&[Answer, Read]]).await;
    let login = server.login(http_client());
    log_in(&login).await.unwrap();
    let error = log_in(&login).await.unwrap_err().to_string();
    let text = format!("the login at POST {}/login got no answer", server.address);
    assert_eq!(error, text);
    assert_eq!(server.received(), sent(&[(0, "/login"), (0, "/login")]));

    // The refresh token may be spent, so a full login follows.
    let server = Server::start(&[&[Answer, Read], &[Answer]]).await;
    let login = server.login(http_client());
    log_in(&login).await.unwrap();
    let (outcome, is_left) = refresh(&login).await;
    assert!(outcome.unwrap().refresh_token().is_none());
    assert!(!is_left, "the refresh token may be spent");
    let expected = sent(&[(0, "/login"), (0, "/refresh"), (1, "/login")]);
    assert_eq!(server.received(), expected);
}

// hyper hands the request back: it was never written, so the refresh token is kept.
#[tokio::test]
async fn a_request_that_was_never_written_spends_no_refresh_token() {
    use Step::{Answer, Wait};
    let server = Server::start(&[&[Answer, Wait], &[Answer]]).await;
    let mut client = Client::builder(TokioExecutor::new());
    let client = client.retry_canceled_requests(false).build_http();
    let login = server.login::<HttpClient, _>(client);
    log_in(&login).await.unwrap();
    server.close().await;
    let (outcome, is_left) = refresh(&login).await;
    let text = format!(
        "the refresh at POST {}/refresh got no connection",
        server.address
    );
    assert_eq!(outcome.unwrap_err().to_string(), text);
    assert!(is_left, "the refresh token was not sent");
    refresh(&login).await.0.unwrap();
    assert_eq!(server.received(), sent(&[(0, "/login"), (1, "/refresh")]));
}

// hyper's error for it is that of a lost answer, so the refresh token may be spent.
#[tokio::test]
async fn a_new_connection_that_closes_at_once_counts_as_a_lost_answer() {
    let server = Server::start(&[&[], &[Step::Answer]]).await;
    let address = server.address;
    let count = Arc::new(AtomicUsize::new(0));
    let connector = tower::service_fn(move |_: Uri| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let connection = TokioStream::connect(address).await?;
            // The client gets the first connection when it is closed.
            if number == 0 {
                connection.readable().await?;
            }
            Ok::<_, io::Error>(TokioIo::new(connection))
        })
    });
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let login = server.login(client);
    let (outcome, is_left) = refresh(&login).await;
    outcome.unwrap();
    assert!(!is_left);
    assert_eq!(server.received(), sent(&[(1, "/login")]));
}

/// A connection whose network is lost once the request is written.
#[derive(Debug, Default)]
struct Severed {
    is_written: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Severed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_written {
            return Poll::Ready(Err(io::ErrorKind::HostUnreachable.into()));
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Severed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_written = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Connection for Severed {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

// Linux fails a connection so if what was sent is not confirmed: the server may have read it all the same.
#[tokio::test]
async fn a_network_that_is_lost_after_the_request_counts_as_a_lost_answer() {
    let connector = tower::service_fn(|_: Uri| {
        std::future::ready(Ok::<_, io::Error>(TokioIo::new(Severed::default())))
    });
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let login = HttpLogin::new(client, "http://127.0.0.1/login", "{}")
        .unwrap()
        .refresh_by("http://127.0.0.1/refresh", |_| "{}")
        .unwrap();
    let (outcome, is_left) = refresh(&login).await;
    let text = "the login at POST 127.0.0.1/login got no answer";
    assert_eq!(outcome.unwrap_err().to_string(), text);
    assert!(!is_left, "the refresh token may be spent");
}
