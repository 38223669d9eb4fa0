//! A provider around an SDK that caches its token by itself.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use super::{
    CredentialProvider, RequestHead,
    receipt::{Reason, Rejected, Verdict},
};
use crate::{
    credential::{Authorization, Generation, Scheme, Token},
    error::{BoxError, Error},
};

/// The time after the SDK was told to forget a token, in which it is not told again. It doubles each time, unless the
/// last time was longer ago than twice the pause.
const PAUSE: Duration = Duration::from_secs(30);

const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The number of tokens that are remembered with their generations.
const REMEMBERED: usize = 4;

/// A provider around an SDK that caches and renews its token by itself.
///
/// It calls the SDK for each request, and leaves the caching to it. What it adds is the generation: the
/// same token keeps the same one, so that a rejection counts for the token that the request carried. Only
/// a token that the SDK returns again after it was told to forget it gets another one.
/// Requests call the SDK at the same time; nothing makes them wait for each other here.
///
/// For an SDK without a cache, use a [`CachedProvider`](crate::CachedProvider) with a
/// [`login_fn`](crate::login_fn): this provider makes no logins, so it has no margin, no back-off and no
/// events.
///
/// # Rejections
///
/// | rejected token | without [`forget`](Self::forget) | with it |
/// | --- | --- | --- |
/// | the current one | stays; the caller gets the rejection | the SDK forgets it; the request may be replayed |
/// | the same again, before the SDK has returned a token | the same | the request may be replayed; the SDK is not told again |
/// | the current one, in a pause after the SDK was told to forget a token | the same | stays; the caller gets the rejection |
/// | an older one | the request may be replayed with the current one | the same |
///
/// An SDK may return the same token after it was told to forget it: its own server may have a cache. Then
/// the replay carries the same token, and its response goes to the caller.
///
/// The pause protects the SDK's server: an endpoint that is forbidden rejects every token. It is 30 s, and
/// doubles up to 15 min with each token that is forgotten. It is 30 s again if none was for twice the last one.
///
/// # Examples
///
/// The closure clones the SDK's client, which shares its cache with the clone:
///
/// ```
/// # mod sdk {
/// #     #[derive(Clone)] pub struct Client;
/// #     impl Client {
/// #         pub async fn token(&self) -> Result<String, std::io::Error> { Ok("abc".to_owned()) }
/// #         pub fn forget_token(&self) {}
/// #     }
/// # }
/// use tower_bearer::{BearerAuthLayer, Origins, SdkProvider, Token};
///
/// # let client = sdk::Client;
/// let forgetting = client.clone();
/// let provider = SdkProvider::new(move || {
///     let client = client.clone();
///     async move { Ok(Token::new(client.token().await?)?) }
/// })
/// .forget(move || forgetting.forget_token()); // only if the SDK has such a call
/// let layer = BearerAuthLayer::new(provider, Origins::new("https://api.example.com")?);
/// # let http = tower::service_fn(|request: http::Request<()>| async move {
/// #     assert_eq!(request.headers()["authorization"], "Bearer abc");
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(()))
/// # });
/// # use tower::ServiceExt;
/// # let request = http::Request::get("https://api.example.com/").body(()).unwrap();
/// # tokio_test::block_on(tower::Layer::layer(&layer, http).oneshot(request)).unwrap();
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// The calls of two SDKs, neither of which can forget a token:
///
/// | SDK | its call | the token |
/// | --- | --- | --- |
/// | `google-cloud-auth` 1 | `credentials.access_token().await?` | `token.token` |
/// | `azure_core` 1 | `credential.get_token(&["https://….default"], None).await?` | `token.token.secret()` |
pub struct SdkProvider<F> {
    token: Arc<F>,
    forget: Option<Arc<dyn Fn() + Send + Sync>>,
    scheme: Scheme,
    account: u32,
    tokens: Arc<Mutex<Tokens>>,
}

impl<F, Fut> SdkProvider<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Token, BoxError>>,
{
    /// Creates a provider of the tokens that `token` returns. It is called for each request.
    ///
    /// An error reaches the caller of the request as an [`Error`] with this source. There is no pause
    /// after it.
    pub fn new(token: F) -> Self {
        Self {
            token: Arc::new(token),
            forget: None,
            scheme: Scheme::BEARER,
            account: 0,
            tokens: Arc::default(),
        }
    }
}

impl<F> SdkProvider<F> {
    /// Calls `forget` when the current token is rejected: it drops the SDK's cache. Defaults to none, and
    /// then no rejection is replayed with another token.
    ///
    /// It must not block: it runs in the request that was rejected.
    #[must_use]
    pub fn forget(self, forget: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            forget: Some(Arc::new(forget)),
            ..self
        }
    }

    /// Sets the scheme. Defaults to [`Scheme::BEARER`].
    #[must_use]
    pub fn scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// Sets the number of the account, which each authorization carries. Defaults to 0. See
    /// [`Authorization::with_account`].
    #[must_use]
    pub fn account(self, account: u32) -> Self {
        Self { account, ..self }
    }
}

impl<F, Fut> CredentialProvider for SdkProvider<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Token, BoxError>>,
{
    type Acquire = SdkAcquire<Fut>;

    /// `None`: only the SDK knows whether its token is still current.
    fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
        None
    }

    fn acquire_for(&self, _head: RequestHead<'_>) -> Self::Acquire {
        // Before the call, so that an answer is never taken for newer than it is.
        let turn = lock(&self.tokens).turn;
        SdkAcquire {
            token: (self.token)(),
            turn,
            scheme: self.scheme,
            account: self.account,
            tokens: Arc::clone(&self.tokens),
        }
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        let (generation, now) = (rejected.receipt.generation(), now());
        let mut tokens = lock(&self.tokens);
        let verdict = tokens.reject(generation, now, self.forget.is_some());
        drop(tokens);
        if let (Reason::Current, Some(forget)) = (verdict.reason(), &self.forget) {
            forget();
        }
        verdict
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// No user code runs under this lock.
fn lock(tokens: &Mutex<Tokens>) -> MutexGuard<'_, Tokens> {
    tokens.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last tokens and their generations.
#[derive(Default)]
struct Tokens {
    /// The current one first.
    known: VecDeque<(Token, Authorization)>,
    /// Counts the changes of the current token, and the calls of `forget`. An answer to an earlier call
    /// of the SDK may be outdated.
    turn: u64,
    /// Whether the SDK was told to forget the current token, and has not answered since.
    is_forgotten: bool,
    /// When the SDK was told to forget a token, and the pause that followed.
    forgotten: Option<(Instant, Duration)>,
}

impl Tokens {
    /// The authorization for a token that the SDK was asked for at this turn.
    fn authorization(
        &mut self,
        token: Token,
        asked_at: u64,
        new: impl FnOnce(&Token) -> Authorization,
    ) -> Authorization {
        let is_same = |(known, _): &(Token, Authorization)| known.expose() == token.expose();
        let position = self.known.iter().position(is_same);
        let is_newest = asked_at == self.turn;
        if position == Some(0) {
            if is_newest && mem::take(&mut self.is_forgotten) {
                // The SDK has no other one. With a new generation, the server says what it is worth.
                self.known[0].1 = new(&token);
            }
            return self.known[0].1.clone();
        }
        let known = position.and_then(|position| self.known.remove(position));
        let known = known.unwrap_or_else(|| {
            let authorization = new(&token);
            (token, authorization)
        });
        let authorization = known.1.clone();
        if is_newest {
            self.known.push_front(known);
            self.turn += 1;
            self.is_forgotten = false;
        } else {
            // Perhaps older than the current one. If not, the next answer of the SDK says so.
            self.known.insert(1, known);
        }
        self.known.truncate(REMEMBERED);
        authorization
    }

    fn reject(&mut self, rejected: Generation, now: Instant, can_forget: bool) -> Verdict {
        let current = self.known.front().map(|(_, held)| held.generation());
        if current != Some(rejected) {
            return Verdict::new(Reason::Late);
        }
        let next_attempt = self.forgotten.map(|(at, pause)| at + pause);
        match next_attempt.filter(|at| *at > now) {
            _ if !can_forget => Verdict::new(Reason::Fixed),
            _ if self.is_forgotten => Verdict::new(Reason::Late),
            Some(at) => Verdict::new(Reason::LoginDidNotHelp).with_next_login(at),
            None => {
                self.is_forgotten = true;
                let pause = match self.forgotten {
                    Some((at, last)) if now < at + 2 * last => LONGEST_PAUSE.min(2 * last),
                    _ => PAUSE,
                };
                self.forgotten = Some((now, pause));
                self.turn += 1;
                Verdict::new(Reason::Current)
            }
        }
    }
}

impl<F> Clone for SdkProvider<F> {
    fn clone(&self) -> Self {
        Self {
            token: Arc::clone(&self.token),
            forget: self.forget.clone(),
            scheme: self.scheme,
            account: self.account,
            tokens: Arc::clone(&self.tokens),
        }
    }
}

impl<F> fmt::Debug for SdkProvider<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkProvider")
            .field("scheme", &self.scheme)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future that an [`SdkProvider`] returns from `acquire_for`: that of the SDK.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::Future;
    /// use tower_bearer::{BoxError, CredentialProvider, RequestHead, SdkAcquire, SdkProvider, Token};
    ///
    /// fn acquire<F, Fut>(provider: &SdkProvider<F>, head: RequestHead<'_>) -> SdkAcquire<Fut>
    /// where
    ///     F: Fn() -> Fut,
    ///     Fut: Future<Output = Result<Token, BoxError>>,
    /// {
    ///     provider.acquire_for(head)
    /// }
    /// # let provider = SdkProvider::new(|| async { Ok(Token::new("abc")?) });
    /// # let request = http::Request::new(());
    /// # let acquired = tokio_test::block_on(acquire(&provider, RequestHead::of(&request)));
    /// # assert_eq!(acquired.unwrap().value(), "Bearer abc");
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct SdkAcquire<Fut> {
        #[pin]
        token: Fut,
        turn: u64,
        scheme: Scheme,
        account: u32,
        tokens: Arc<Mutex<Tokens>>,
    }
}

impl<Fut: Future<Output = Result<Token, BoxError>>> Future for SdkAcquire<Fut> {
    type Output = Result<Authorization, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let token = match ready!(this.token.poll(cx)) {
            Ok(token) => token,
            Err(source) => return Poll::Ready(Err(Error::login_failed(source))),
        };
        let (scheme, account) = (*this.scheme, *this.account);
        let new = |token: &Token| Authorization::new(scheme, token).with_account(account);
        Poll::Ready(Ok(lock(this.tokens).authorization(token, *this.turn, new)))
    }
}

impl<Fut> fmt::Debug for SdkAcquire<Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkAcquire").finish_non_exhaustive()
    }
}
