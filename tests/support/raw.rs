//! An HTTP/1.1 server that records the received bytes.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Responds as configured for a path, and otherwise with 200. Dropping it stops it.
pub(crate) struct RawServer {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Vec<u8>>>,
    answers: Mutex<HashMap<String, String>>,
}

impl RawServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let task = {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&state)));
                }
            })
        };
        Self {
            address,
            state,
            task,
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// Responds on a path with this status line and these headers from now on.
    pub(crate) fn answer(&self, path: &str, head: &str) {
        let head = head.trim_end().to_owned();
        self.state
            .answers
            .lock()
            .unwrap()
            .insert(path.to_owned(), head);
    }

    pub(crate) fn redirect(&self, path: &str, status: u16, location: &str) {
        self.answer(path, &format!("{status} Redirect\r\nlocation: {location}"));
    }

    /// The requests so far, each as received, in lower case.
    pub(crate) fn received(&self) -> Vec<String> {
        let received = self.state.received.lock().unwrap();
        received
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).to_lowercase())
            .collect()
    }

    /// The number of requests, and of those with `secret` in any part.
    pub(crate) fn requests_and_leaks(&self, secret: &str) -> (usize, usize) {
        let received = self.received();
        let secret = secret.to_lowercase();
        let leaks = received.iter().filter(|request| request.contains(&secret));
        (received.len(), leaks.count())
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let Ok(length) = stream.read(&mut chunk).await else {
            return;
        };
        request.extend_from_slice(&chunk[..length]);
        if length == 0 || is_whole(&request) {
            break;
        }
    }
    if request.is_empty() {
        return;
    }
    let path = String::from_utf8_lossy(&request)
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    state.received.lock().unwrap().push(request);
    let head = state.answers.lock().unwrap().get(&path).cloned();
    let head = head.unwrap_or_else(|| "200 OK".to_owned());
    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // The bytes of a client that disconnected are recorded too.
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Whether head and body are complete, by the content length.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0_usize);
    request.len() >= end + 4 + length
}
