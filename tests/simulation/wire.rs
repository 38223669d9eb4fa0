//! One exchange over a simulated connection: a request frame and a response frame.

use std::{fmt, io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time,
};
use turmoil::net::{TcpListener, TcpStream};

/// Why there is no answer. The text does not contain the request.
#[derive(Debug)]
pub(crate) enum WireError {
    Unconnected(io::ErrorKind),
    Broken(io::ErrorKind),
    TooLate,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unconnected(kind) => write!(f, "no connection: {kind}"),
            Self::Broken(kind) => write!(f, "connection broke: {kind}"),
            Self::TooLate => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for WireError {}

pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, WireError> {
    let connected = TcpStream::connect((host, port)).await;
    connected.map_err(|error| WireError::Unconnected(error.kind()))
}

pub(crate) async fn ask(mut stream: TcpStream, question: &str) -> Result<String, WireError> {
    let broken = |error: io::Error| WireError::Broken(error.kind());
    write(&mut stream, question).await.map_err(broken)?;
    read(&mut stream).await.map_err(broken)
}

pub(crate) async fn exchange(
    host: &str,
    port: u16,
    question: &str,
    patience: Duration,
) -> Result<String, WireError> {
    let asked = time::timeout(patience, async {
        ask(connect(host, port).await?, question).await
    });
    asked.await.unwrap_or(Err(WireError::TooLate))
}

async fn write(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    let length = u16::try_from(text.len()).map_err(io::Error::other)?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).await
}

async fn read(stream: &mut TcpStream) -> io::Result<String> {
    let length = stream.read_u16().await?;
    let mut text = vec![0; usize::from(length)];
    stream.read_exact(&mut text).await?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// Answers each request on a port, in a task of its own. `None` closes the connection.
pub(crate) async fn serve<A, F>(port: u16, answer: A) -> turmoil::Result
where
    A: Fn(String) -> F + Clone + 'static,
    F: Future<Output = Option<String>> + 'static,
{
    let listener = TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let answer = answer.clone();
        tokio::task::spawn_local(async move {
            // A closed client gets no answer.
            if let Ok(question) = read(&mut stream).await
                && let Some(answer) = answer(question).await
            {
                let _ = write(&mut stream, &answer).await;
            }
        });
    }
}
