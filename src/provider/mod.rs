//! Sources of authorizations: the provider trait, and the providers of this crate.
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | token | The secret string that a request carries. |
//! | credential | The result of a login: a token, its expiry and perhaps a refresh token. |
//! | authorization | The header value made from a token, ready to send, with its generation and account. |
//! | generation | The number of a credential, unique in the process. Generations are compared only for equality. |
//! | login | One attempt to get a credential: a password login, a refresh grant, reading a file. |
//! | flight | The one login under way, as in *single-flight*. |
//! | waiter | A request that waits for the outcome of the flight. |
//! | rejection | A response that says: the server does not accept the token. It concerns one generation. |
//! | acceptance | A response that is neither a rejection nor a 5xx. |
//! | replay | Sending a rejected request once more, with another generation. |
//! | receipt | What a request was sent with: generation, target and account. |
//! | target | Method and path of a request, without the query, as a 32-bit fingerprint. |
//! | exclusive session | Each login revokes the previous credential. |
//! | concurrent session | The credentials of several logins are valid at the same time. |
//! | origin | Scheme, host and port. |
//! | bare | Sent without an authorization. |
//! | margin | The time before the expiry in which a credential is no longer used. |
//! | fresh, aging, expired | Usable; usable, but a background login is due; no longer usable. |
//! | held back | Rejections of the current credential cause no login until a pause ends. |
//! | signed out | Without a credential, and without a login until somebody signs in. |
//! | retired | Of a credential: no longer used by the provider. It may still be valid at the server. |
//! | store | A place that several processes share, with a record and a lock for each account. |
//! | adopted | Of a credential: taken from the store, where another process has published it. |
//! | fleet | The processes that share an account by a store. |

mod boxed;
mod cache;
mod cached;
mod fixed;
mod hooks;
mod keyed;
mod observers;
mod optional;
mod per_request;
mod policy;
mod receipt;
mod sdk;
mod snapshot;

use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Request, Uri};

pub(crate) use self::per_request::LayerId;
pub use self::{
    boxed::{BoxAcquire, BoxProvider},
    cached::{Acquire, CachedProvider, CachedProviderBuilder},
    fixed::StaticProvider,
    hooks::{Retired, Retirement},
    keyed::{KeyedAcquire, KeyedProvider, KeyedProviderBuilder},
    observers::CredentialEvent,
    optional::AcquireIfSome,
    per_request::PerRequest,
    policy::CachePolicy,
    receipt::{Reason, Receipt, Rejected, Verdict},
    sdk::{SdkAcquire, SdkProvider},
    snapshot::{CredentialState, HeldBack, Snapshot},
};
use crate::{credential::Authorization, error::Error};

/// A source of [`Authorization`]s: the layer asks it for each request.
///
/// [`StaticProvider`] holds a token that never changes. [`CachedProvider`] logs in when necessary.
/// [`KeyedProvider`] chooses the account by the request. [`SdkProvider`] wraps an SDK with its own
/// cache. Implement the trait yourself to choose between providers.
///
/// # Examples
///
/// Many accounts, chosen by an extension of the request:
///
/// ```
/// use tower_bearer::{Credential, CredentialProvider, KeyedProvider, RequestHead, login_fn};
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Account(u64);
///
/// # tokio_test::block_on(async {
/// let provider = KeyedProvider::new(|account: &Account| {
///     let token = format!("token-of-{}", account.0); // or a login with the account's password
///     login_fn(move |_| {
///         let token = token.clone();
///         async { Ok(Credential::new(token)?) }
///     })
/// });
/// let request = http::Request::get("https://api.example.com/").extension(Account(7)).body(())?;
/// let authorization = provider.acquire_for(RequestHead::of(&request)).await?;
/// assert_eq!(authorization.value(), "Bearer token-of-7");
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
///
/// A provider that chooses between two others. Each account has a number. The receipt of a request
/// carries it, so a response is reported to the right account:
///
/// ```
/// use tower_bearer::{
///     Acquire, Authorization, CachedProvider, CredentialProvider, Login, Receipt, Rejected,
///     RequestHead, Verdict,
/// };
///
/// /// One account may only read, the other one may write.
/// struct ByMethod([CachedProvider; 2]);
///
/// impl ByMethod {
///     fn new(reading: impl Login, writing: impl Login) -> Self {
///         Self([
///             CachedProvider::builder(reading).account(0).build(),
///             CachedProvider::builder(writing).account(1).build(),
///         ])
///     }
///
///     fn for_head(&self, head: RequestHead<'_>) -> &CachedProvider {
///         &self.0[usize::from(!head.method.is_safe())]
///     }
///
///     fn for_receipt(&self, receipt: Receipt) -> &CachedProvider {
///         &self.0[receipt.account() as usize]
///     }
/// }
///
/// impl CredentialProvider for ByMethod {
///     type Acquire = Acquire;
///
///     fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
///         self.for_head(head).current_for(head)
///     }
///
///     fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
///         self.for_head(head).is_current(held, head)
///     }
///
///     fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
///         self.for_head(head).acquire_for(head)
///     }
///
///     fn sent(&self, receipt: Receipt) {
///         self.for_receipt(receipt).sent(receipt);
///     }
///
///     fn accept(&self, receipt: Receipt) {
///         self.for_receipt(receipt).accept(receipt);
///     }
///
///     fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
///         self.for_receipt(rejected.receipt).reject(rejected)
///     }
/// }
/// # let login = || tower_bearer::login_fn(async |_| Ok(tower_bearer::Credential::new("abc")?));
/// # let provider = std::sync::Arc::new(ByMethod::new(login(), login()));
/// # let http = tower::service_fn(|_: http::Request<()>| async {
/// #     let response = http::Response::builder().status(401).body(());
/// #     Ok::<_, std::convert::Infallible>(response.unwrap())
/// # });
/// # use tower::{Layer, ServiceExt};
/// # use tower_bearer::{BearerAuthLayer, Origins};
/// # tokio_test::block_on(async {
/// #     let layer = BearerAuthLayer::new(std::sync::Arc::clone(&provider), Origins::any_https());
/// #     let request = http::Request::post("https://api.example.com/").body(()).unwrap();
/// #     layer.layer(http).oneshot(request).await.unwrap();
/// #     let rejections = |at: usize| provider.0[at].snapshot().rejections();
/// #     assert_eq!((rejections(0), rejections(1)), (0, 1));
/// # });
/// ```
///
/// An SDK with its own cache, which renews the token by itself, needs no code of yours besides its call:
/// see [`SdkProvider`]. (For an SDK without a cache, use a [`CachedProvider`] with a
/// [`login_fn`](crate::login_fn).)
///
/// ```
/// # mod sdk {
/// #     #[derive(Clone)] pub struct Client;
/// #     impl Client {
/// #         pub async fn token(&self) -> Result<String, std::io::Error> { Ok("abc".to_owned()) }
/// #         pub fn forget_token(&self) {}
/// #     }
/// # }
/// use tower_bearer::{CredentialProvider, SdkProvider, Token};
///
/// fn provider(client: sdk::Client) -> impl CredentialProvider {
///     let forgetting = client.clone();
///     SdkProvider::new(move || {
///         let client = client.clone();
///         async move { Ok(Token::new(client.token().await?)?) }
///     })
///     .forget(move || forgetting.forget_token())
/// }
/// # let request = http::Request::new(());
/// # let head = tower_bearer::RequestHead::of(&request);
/// # let authorization = tokio_test::block_on(provider(sdk::Client).acquire_for(head));
/// # assert_eq!(authorization.unwrap().value(), "Bearer abc");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a credential provider",
    note = "wrap a login with `CachedProvider::new`, or a token with `StaticProvider::new`"
)]
pub trait CredentialProvider {
    /// The future that [`acquire_for`](Self::acquire_for) returns.
    type Acquire: Future<Output = Result<Authorization, Error>>;

    /// Returns the authorization for a request that is sent now, or `None` if the request must wait.
    ///
    /// The layer calls this for each request to an allowed origin, even if the request turns out to
    /// carry its own authorization. It may call again while the request waits for the inner service.
    /// The call should not lock, block or allocate.
    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization>;

    /// Whether [`current_for`](Self::current_for) would return `held`, or an equal authorization.
    ///
    /// After two requests in a row with one generation, a service keeps its own copy of the
    /// authorization and calls this first. After eight, so do the clones that were made on one thread, with
    /// a copy that they have in common: `held` may come from the request of another account. A copy has no
    /// reference count shared with other threads. By default this returns false, and the service calls
    /// `current_for`.
    fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        let _ = (held, head);
        false
    }

    /// Whether an authorization that a request has acquired must no longer be sent, since its user has
    /// signed out. False by default.
    ///
    /// The layer calls this if the request then had to wait for the inner service.
    fn is_withdrawn(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        let _ = (held, head);
        false
    }

    /// Whether this request is sent without an authorization. False by default.
    ///
    /// The layer calls this if [`current_for`](Self::current_for) has returned `None`.
    fn sends_bare(&self, head: RequestHead<'_>) -> bool {
        let _ = head;
        false
    }

    /// The name of the provider: the label `provider` in the
    /// [metrics of the layer](crate::guide::metrics#the-metrics). `None` by default.
    ///
    /// The layer calls this only when it measures: for a bare request, a failed one or a replay.
    fn name(&self) -> Option<&str> {
        None
    }

    /// Gets an authorization, and waits for it if necessary. Requests that wait at the same time
    /// should share one login.
    ///
    /// # Errors
    ///
    /// The future returns an [`Error`] if there is no authorization. The caller of the request gets
    /// this error.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when its request is cancelled. Dropping it must not cancel a login that
    /// other requests wait for.
    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire;

    /// Reports that a request is sent. Does nothing by default.
    ///
    /// Start a background login here and not in [`current_for`](Self::current_for), where a request
    /// may still turn out to carry its own authorization.
    fn sent(&self, receipt: Receipt) {
        let _ = receipt;
    }

    /// Reports an acceptance: the response was neither a rejection nor a 5xx. Does nothing by
    /// default.
    ///
    /// The layer calls this for each such response, so it should take no lock.
    ///
    /// A login has helped a target that was rejected under one generation and is accepted under a
    /// newer one.
    fn accept(&self, receipt: Receipt) {
        let _ = receipt;
    }

    /// Reports a rejection: the server did not accept the credential of a request.
    ///
    /// A provider that can replace the credential stops using that generation, if it is still the
    /// current one. A rejection of any other generation is late and takes nothing out of use.
    ///
    /// The [verdict](Verdict::is_log_in) says whether `acquire_for` can return another generation.
    /// If so, the layer replays the request if it can. Otherwise the caller gets the rejection.
    #[must_use]
    fn reject(&self, rejected: &Rejected<'_>) -> Verdict;
}

/// The head of a request, for a provider: everything except the body.
///
/// # Examples
///
/// In a test of a provider:
///
/// ```
/// use http::Request;
/// use tower_bearer::{CredentialProvider, RequestHead, StaticProvider};
///
/// let provider = StaticProvider::new("abc")?;
/// let request = Request::get("https://api.example.com/").body(())?;
/// let authorization = provider.current_for(RequestHead::of(&request)).expect("it never changes");
/// assert_eq!(authorization.value(), "Bearer abc");
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI.
    pub uri: &'a Uri,
    /// The headers, before the authorization is added.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
    /// The receipt of the rejected attempt, if this is a replay. The replay needs another generation
    /// of the same account.
    pub rejected: Option<Receipt>,
}

impl<'a> RequestHead<'a> {
    /// Borrows the head of a request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            rejected: None,
        }
    }
}

/// Forwards all methods of a provider except `acquire_for`.
macro_rules! forward_to {
    ($field:tt) => {
        forward_to!(@ |it| it.$field);
    };
    (@ |$this:ident| $provider:expr) => {
        fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
            let $this = self;
            $provider.current_for(head)
        }

        fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
            let $this = self;
            $provider.is_current(held, head)
        }

        fn is_withdrawn(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
            let $this = self;
            $provider.is_withdrawn(held, head)
        }

        fn sends_bare(&self, head: RequestHead<'_>) -> bool {
            let $this = self;
            $provider.sends_bare(head)
        }

        fn name(&self) -> Option<&str> {
            let $this = self;
            $provider.name()
        }

        fn sent(&self, receipt: Receipt) {
            let $this = self;
            $provider.sent(receipt);
        }

        fn accept(&self, receipt: Receipt) {
            let $this = self;
            $provider.accept(receipt);
        }

        fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
            let $this = self;
            $provider.reject(rejected)
        }
    };
}
use forward_to;

macro_rules! forward_to_pointee {
    ($($pointer:ty),+) => {$(
        impl<P: CredentialProvider + ?Sized> CredentialProvider for $pointer {
            type Acquire = P::Acquire;

            fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
                (**self).acquire_for(head)
            }

            forward_to!(@ |it| (**it));
        }
    )+};
}

forward_to_pointee!(&P, Box<P>, Arc<P>);
