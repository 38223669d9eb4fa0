//! Searches the memory for a secret after its owners are gone (FAILURES.md, K6).
#![cfg(target_os = "linux")]

mod support;

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use support::{by_hand, origins};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{
    Authorization, BearerAuthLayer, BoxError, CachedProvider, Credential, HttpLogin, Lifetime,
    Login, LoginBody, LoginRequest, OAuth2Grant, Scheme, Secret, SecretFile, Token, TokenFile,
    login_fn, presets::Quable,
};
use zeroize::Zeroize;

/// A secret that is in memory only where the test puts it. It is stored masked, and written in
/// place.
#[derive(Clone, Copy)]
struct Canary([u8; 24]);

const MASK: u8 = 0x15;
const FILLER: usize = 3_000;

/// One search at a time: allocations of another test could overwrite a leftover secret.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl Canary {
    fn new(seed: u8) -> Self {
        // Letters. Their masked form contains no character of a token.
        let byte = |at: usize| b'A' + (seed as usize * 7 + at * 11 + at * at) as u8 % 26;
        Self(std::array::from_fn(|at| byte(at) ^ MASK))
    }

    /// The secret is at the end of a long text, since allocators write into the start of freed
    /// memory.
    fn reveal(&self) -> String {
        let mut text = "x".repeat(FILLER);
        text.reserve_exact(self.0.len());
        text.extend(self.0.iter().map(|byte| char::from(byte ^ MASK)));
        text
    }
}

impl Canary {
    /// What a search finds of it in Base64, if a multiple of three bytes is before it.
    fn in_base64(&self) -> Self {
        let mut plain = self.0.map(|byte| byte ^ MASK);
        let mut encoded = [0; 32];
        BASE64_STANDARD.encode_slice(plain, &mut encoded).unwrap();
        plain.zeroize();
        let masked = Self(std::array::from_fn(|at| encoded[at] ^ MASK));
        encoded.zeroize();
        masked
    }
}

/// A search of the writable memory of this process. It allocates nothing after its start, since
/// that could overwrite freed memory.
struct Search {
    maps: Vec<u8>,
    chunk: Vec<u8>,
}

impl Search {
    fn new() -> Self {
        Self {
            maps: vec![0; 1 << 20],
            chunk: vec![0; 1 << 16],
        }
    }

    /// The number of copies of the secret.
    fn copies(&mut self, canary: &Canary) -> usize {
        let mut length = 0;
        let mut file = File::open("/proc/self/maps").unwrap();
        loop {
            match file.read(&mut self.maps[length..]).unwrap() {
                0 => break,
                read => length += read,
            }
        }
        let maps = std::str::from_utf8(&self.maps[..length]).unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let (chunk, size) = (&mut self.chunk, canary.0.len());
        let mut copies = 0;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let (mut at, end) = (address(start), address(end));
            while at < end {
                let wanted = chunk.len().min((end - at) as usize);
                let Ok(read) = memory.read_at(&mut chunk[..wanted], at) else {
                    break; // some mappings cannot be read
                };
                // Masked in place, so the buffer itself is no copy.
                chunk[..read].iter_mut().for_each(|byte| *byte ^= MASK);
                let windows = chunk[..read].windows(size);
                copies += windows.filter(|found| *found == canary.0).count();
                // Chunks overlap: a secret may cross the border of two.
                at += if at + (read as u64) < end && read > size {
                    (read - size) as u64
                } else {
                    (read as u64).max(1)
                };
            }
        }
        // If the buffer has read itself, masking has unmasked its content.
        chunk.fill(0);
        std::hint::black_box(&self.chunk);
        copies
    }
}

#[test]
fn no_secret_outlives_its_owners_in_memory() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    tokio_test::block_on(secrets());
}

async fn secrets() {
    let mut search = Search::new();
    let absent = Canary::new(1);
    assert_eq!(
        search.copies(&absent),
        0,
        "the search finds no copy before there is one"
    );

    let canary = Canary::new(2);
    let secret = Secret::from(canary.reveal());
    assert!(
        search.copies(&canary) >= 1,
        "the search finds a copy that is there"
    );
    drop(secret);
    assert_eq!(search.copies(&canary), 0, "a secret");

    let canary = Canary::new(3);
    let token = Token::new(canary.reveal()).unwrap();
    let authorization = Authorization::new(Scheme::BEARER, &token);
    let value = authorization.clone().value().clone();
    drop((token, authorization));
    assert!(search.copies(&canary) >= 1, "a clone of the value is alive");
    drop(value);
    assert_eq!(search.copies(&canary), 0, "a header value");

    let canary = Canary::new(4);
    let (token, refresh_token) = (canary.reveal(), canary.reveal());
    let token = Mutex::new(Some((Secret::from(token), Secret::from(refresh_token))));
    let login = login_fn(move |_| {
        let (token, refresh_token) = token.lock().unwrap().take().unwrap();
        async move { Ok(Credential::new(token)?.with_refresh_token(refresh_token)) }
    });
    let provider = CachedProvider::new(login);
    let service = BearerAuthLayer::new(provider.clone(), origins()).layer(tower::service_fn(
        |request: Request<()>| async move {
            drop(request);
            Ok::<_, Infallible>(Response::new(()))
        },
    ));
    // The clones of the thread get a copy.
    for _ in 0..10 {
        service.clone().oneshot(support::request()).await.unwrap();
    }
    let mut settled = service.clone();
    for _ in 0..3 {
        let settled = settled.ready().await.unwrap();
        settled.call(support::request()).await.unwrap();
    }
    assert!(search.copies(&canary) >= 1, "in use");
    let _ = provider
        .reject(&by_hand(provider.current().unwrap().generation()))
        .is_log_in();
    drop((service, provider));
    let copies = search.copies(&canary);
    assert!(copies >= 1, "the service has its own copy");
    drop(settled);
    assert_eq!(search.copies(&canary), 0, "a credential");
    println!("figure: K6 owners=3 residue={}", search.copies(&canary));

    // A rotation while the provider and a service are in use.
    let (old, new) = (Canary::new(20), Canary::new(21));
    let tokens = [new, old].map(|canary| Secret::from(canary.reveal()));
    let tokens = Mutex::new(Vec::from(tokens));
    let login = login_fn(move |_| {
        let token = tokens.lock().unwrap().pop().unwrap();
        async move { Ok(Credential::new(token)?) }
    });
    let provider = CachedProvider::new(login);
    let mut service = BearerAuthLayer::new(provider.clone(), origins()).layer(tower::service_fn(
        |request: Request<()>| async move {
            drop(request);
            Ok::<_, Infallible>(Response::new(()))
        },
    ));
    for is_rotated in [false, true] {
        for _ in 0..5 {
            let service = service.ready().await.unwrap();
            service.call(support::request()).await.unwrap();
        }
        if !is_rotated {
            assert!(search.copies(&old) >= 1, "in use");
            assert!(
                provider
                    .reject(&by_hand(provider.current().unwrap().generation()))
                    .is_log_in()
            );
        }
    }
    assert!(search.copies(&new) >= 1, "in use");
    let copies = search.copies(&old);
    println!("figure: K7 rotations=1 copies_of_the_old_token={copies}");
    assert_eq!(copies, 0, "rotated");
}

/// A body of owned frames.
struct Frames(VecDeque<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

/// The document in pieces, written in place: the test keeps no copy of it.
fn frames(pieces: usize, write: impl FnOnce(&mut String)) -> Frames {
    let mut document = String::with_capacity(8 * FILLER);
    write(&mut document);
    let size = document.len().div_ceil(pieces);
    let copies = document.as_bytes().chunks(size);
    let frames = Frames(copies.map(Bytes::copy_from_slice).collect());
    document.zeroize();
    frames
}

// The login's document and its answer: in one frame and in three, with an escape in the token, and
// with a secret in an unused field.
#[test]
fn a_login_over_http_leaves_no_secret_in_memory() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let mut search = Search::new();
    let mut residues = 0;
    for (seed, pieces, escape) in [(5, 1, ""), (6, 3, ""), (7, 1, "\\/"), (8, 3, "\\u002f")] {
        let (token, password) = (Canary::new(seed), Canary::new(seed + 10));
        {
            let answer = token;
            let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
                drop(request);
                let body = frames(pieces, |document| {
                    let mut text = answer.reveal();
                    document.push_str(r#"{"refresh":""#);
                    document.push_str(&text);
                    document.push_str(r#"","oauth":{"access_token":""#);
                    document.push_str(escape);
                    document.push_str(&text);
                    document.push_str(r#""}}"#);
                    text.zeroize();
                });
                let response = Response::builder().status(201).body(body).unwrap();
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let quable = Quable::instance("acme").unwrap();
            let login = quable.login(client, "user", password.reveal(), Lifetime::Announced);
            let mut login = Box::pin(async { login.login(LoginRequest::default()).await });
            let mut cx = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(credential)) = login.as_mut().poll(&mut cx) else {
                panic!("it must respond at once");
            };
            assert!(credential.token().expose().len() > FILLER);
            assert!(search.copies(&token) >= 1, "in use");
            assert!(search.copies(&password) >= 1, "in use");
        }
        let residue = search.copies(&token) + search.copies(&password);
        assert_eq!(residue, 0, "in {pieces} pieces, with {escape:?}");
        residues += residue;
    }
    println!("figure: K6-over_http answers=4 residue={residues}");
}

// Only the document: it is written without growing, and sent without a second copy.
#[test]
fn a_login_keeps_one_copy_of_its_password() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let mut search = Search::new();
    let password = Canary::new(20);
    let client = tower::service_fn(|request: Request<Full<Bytes>>| {
        drop(request);
        std::future::ready(Err::<Response<Full<Bytes>>, BoxError>("refused".into()))
    });
    let quable = Quable::instance("acme").unwrap();
    let login = quable.login(client, "user", password.reveal(), Lifetime::Announced);
    assert_eq!(search.copies(&password), 1, "written");
    let mut attempt = Box::pin(async { login.login(LoginRequest::default()).await });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(
        attempt.as_mut().poll(&mut cx),
        Poll::Ready(Err(_))
    ));
    drop(attempt);
    assert_eq!(search.copies(&password), 1, "sent");
    drop(login);
    assert_eq!(search.copies(&password), 0, "dropped");
}

#[test]
fn forms_and_basic_keep_one_copy_of_their_secret() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let mut search = Search::new();
    let client = tower::service_fn(|request: Request<Full<Bytes>>| {
        drop(request);
        std::future::ready(Err::<Response<Full<Bytes>>, BoxError>("refused".into()))
    });
    let attempt = |login: &HttpLogin| {
        let mut attempt = Box::pin(async { login.login(LoginRequest::default()).await });
        let mut cx = Context::from_waker(Waker::noop());
        let outcome = attempt.as_mut().poll(&mut cx);
        assert!(matches!(outcome, Poll::Ready(Err(_))));
    };
    let url = "https://api.example.com/login";
    let (password, secret) = (Canary::new(21), Canary::new(22));
    let form = move || {
        let password = Secret::from(password.reveal());
        LoginBody::form([("password", password.expose())])
    };

    let login = HttpLogin::new(client, url, form()).unwrap();
    // "me:" and the filler are a multiple of three bytes.
    let login = login.client_secret_basic("me", secret.reveal()).unwrap();
    for _ in 0..2 {
        assert_eq!(search.copies(&password), 1, "in the form");
        assert_eq!(search.copies(&secret), 0, "encoded");
        assert_eq!(search.copies(&secret.in_base64()), 1, "in the header");
        attempt(&login);
    }
    drop(login);
    assert_eq!(search.copies(&password), 0, "dropped");
    assert_eq!(search.copies(&secret.in_base64()), 0, "dropped");

    let function = move |_| async move { Ok(form().basic_auth("me", secret.reveal())?) };
    let login = HttpLogin::new(client, url, LoginBody::from_fn(function)).unwrap();
    attempt(&login);
    assert_eq!(search.copies(&password), 0, "made for one login");
    assert_eq!(search.copies(&secret), 0, "encoded");
    assert_eq!(search.copies(&secret.in_base64()), 0, "made for one login");
}

#[test]
fn a_grant_keeps_one_copy_of_each_secret() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let mut search = Search::new();
    let client = tower::service_fn(|request: Request<Full<Bytes>>| {
        drop(request);
        std::future::ready(Err::<Response<Full<Bytes>>, BoxError>("refused".into()))
    });
    let attempt = |login: &HttpLogin, request: LoginRequest| {
        let mut attempt = Box::pin(async { login.login(request).await });
        let mut cx = Context::from_waker(Waker::noop());
        let outcome = attempt.as_mut().poll(&mut cx);
        assert!(matches!(outcome, Poll::Ready(Err(_))));
    };
    let url = "https://login.example.com/token";
    let (password, assertion, refresh) = (Canary::new(23), Canary::new(24), Canary::new(25));

    let grant = OAuth2Grant::password("me", password.reveal());
    let login = HttpLogin::new(client, url, grant).unwrap();
    for _ in 0..2 {
        assert_eq!(search.copies(&password), 1, "in the form");
        let request = LoginRequest::with_refresh_token(refresh.reveal());
        assert_eq!(search.copies(&refresh), 1, "in the request");
        attempt(&login, request);
        assert_eq!(search.copies(&refresh), 0, "spent");
    }
    drop(login);
    assert_eq!(search.copies(&password), 0, "dropped");

    let grant = OAuth2Grant::jwt_bearer(move |_| async move { Ok(assertion.reveal()) });
    let login = HttpLogin::new(client, url, grant).unwrap();
    attempt(&login, LoginRequest::default());
    assert_eq!(search.copies(&assertion), 0, "made for one login");
}

#[test]
fn a_file_leaves_no_secret_in_memory() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let mut search = Search::new();
    let (token, password) = (Canary::new(30), Canary::new(31));
    let file = |canary: Canary, name: &str| {
        let name = format!("tower-bearer-memory-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut content = canary.reveal();
        std::fs::write(&path, &content).unwrap();
        content.zeroize();
        path
    };
    let paths = [file(token, "token"), file(password, "password")];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let provider = CachedProvider::new(TokenFile::new(&paths[0]));
    runtime.block_on(provider.acquire()).unwrap();
    let read = runtime.block_on(SecretFile::new(&paths[1]).read()).unwrap();
    assert!(search.copies(&token) >= 1, "in use");
    assert_eq!(search.copies(&password), 1, "the buffer is wiped");
    drop((provider, read));
    // With its tasks.
    drop(runtime);
    assert_eq!(search.copies(&token), 0, "a token");
    assert_eq!(search.copies(&password), 0, "a password");
    for path in paths {
        std::fs::remove_file(path).unwrap();
    }
}
