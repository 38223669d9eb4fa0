//! Where authorizations come from.

mod boxed;
mod cache;
mod cached;
mod fixed;
mod observers;
mod optional;
mod per_request;
mod policy;
mod receipt;
mod snapshot;

use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Request, Uri};

pub use self::{
    boxed::{BoxAcquire, BoxProvider},
    cached::{Acquire, CachedProvider, CachedProviderBuilder},
    fixed::StaticProvider,
    observers::CredentialEvent,
    optional::AcquireIfSome,
    per_request::PerRequest,
    policy::CachePolicy,
    receipt::{Reason, Receipt, Rejected, Verdict},
    snapshot::{CredentialState, HeldBack, Snapshot},
};
use crate::{credential::Authorization, error::Error};

/// Where the layer gets an [`Authorization`] for each request.
///
/// [`StaticProvider`] holds a token that never changes and [`CachedProvider`] logs in when it
/// must. Write your own around somebody else's cache, or to choose an account by the request.
///
/// # Examples
///
/// Many accounts, chosen by an extension of the request. Each has a number, which comes back in the
/// receipts, so that news of an answer goes to its account alone:
///
/// ```
/// use std::collections::HashMap;
/// use tower_bearer::{
///     Acquire, Authorization, CachedProvider, CredentialProvider, Login, Reason, Receipt,
///     Rejected, RequestHead, Verdict,
/// };
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Account(String);
///
/// #[derive(Default)]
/// struct Accounts {
///     numbers: HashMap<Account, u32>,
///     providers: Vec<CachedProvider>,
/// }
///
/// impl Accounts {
///     fn add(&mut self, account: Account, login: impl Login) {
///         let number = self.providers.len() as u32;
///         self.providers.push(CachedProvider::builder(login).account(number).build());
///         self.numbers.insert(account, number);
///     }
///
///     fn of(&self, head: RequestHead<'_>) -> Option<&CachedProvider> {
///         let number = self.numbers.get(head.extensions.get::<Account>()?)?;
///         self.providers.get(*number as usize)
///     }
///
///     fn that_sent(&self, receipt: Receipt) -> Option<&CachedProvider> {
///         self.providers.get(receipt.account() as usize)
///     }
/// }
///
/// impl CredentialProvider for Accounts {
///     type Acquire = <Option<CachedProvider> as CredentialProvider>::Acquire;
///
///     fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization> {
///         self.of(head)?.current_for(head)
///     }
///
///     fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
///         self.of(head).is_some_and(|provider| provider.is_current(held, head))
///     }
///
///     fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
///         self.of(head).cloned().acquire_for(head) // no such account: an error
///     }
///
///     fn sent(&self, receipt: Receipt) {
///         if let Some(provider) = self.that_sent(receipt) {
///             provider.sent(receipt);
///         }
///     }
///
///     fn accept(&self, receipt: Receipt) {
///         if let Some(provider) = self.that_sent(receipt) {
///             provider.accept(receipt);
///         }
///     }
///
///     fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
///         match self.that_sent(rejected.receipt) {
///             Some(provider) => provider.reject(rejected),
///             None => Verdict::new(Reason::Unknown),
///         }
///     }
/// }
/// # let mut accounts = Accounts::default();
/// # for name in ["a", "b"] {
/// #     let login = tower_bearer::login_fn(async |_| Ok(tower_bearer::Credential::new("abc")?));
/// #     accounts.add(Account(name.to_owned()), login);
/// # }
/// # let accounts = std::sync::Arc::new(accounts);
/// # let http = tower::service_fn(|_: http::Request<()>| async {
/// #     let response = http::Response::builder().status(401).body(());
/// #     Ok::<_, std::convert::Infallible>(response.unwrap())
/// # });
/// # use tower::{Layer, ServiceExt};
/// # use tower_bearer::{BearerAuthLayer, Origins};
/// # tokio_test::block_on(async {
/// #     let layer = BearerAuthLayer::new(std::sync::Arc::clone(&accounts), Origins::any_https());
/// #     let send = |name: &str| {
/// #         let request = http::Request::get("https://api.example.com/");
/// #         let request = request.extension(Account(name.to_owned())).body(()).unwrap();
/// #         layer.layer(http).oneshot(request)
/// #     };
/// #     send("b").await.unwrap();
/// #     assert!(send("c").await.is_err());
/// #     let rejections = |at: usize| accounts.providers[at].snapshot().rejections();
/// #     assert_eq!((rejections(0), rejections(1)), (0, 1));
/// # });
/// ```
///
/// An SDK with a cache of its own, that renews its token by itself. The same token stays the same
/// generation. (Around an SDK that has no cache, a [`CachedProvider`] with a
/// [`login_fn`](crate::login_fn) is all it takes.)
///
/// ```
/// # mod sdk {
/// #     #[derive(Clone)] pub struct Client;
/// #     impl Client {
/// #         pub async fn token(&self) -> Result<String, std::io::Error> { Ok("abc".to_owned()) }
/// #         pub fn forget_token(&self) {}
/// #     }
/// # }
/// use std::{pin::Pin, sync::{Arc, Mutex}};
/// use tower_bearer::{
///     Authorization, CredentialProvider, Error, Reason, Rejected, RequestHead, Scheme, Token,
///     Verdict,
/// };
///
/// #[derive(Clone)]
/// struct Sdk {
///     client: sdk::Client,
///     last: Arc<Mutex<Option<(String, Authorization)>>>,
/// }
///
/// impl CredentialProvider for Sdk {
///     type Acquire = Pin<Box<dyn Future<Output = Result<Authorization, Error>> + Send>>;
///
///     fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
///         None // this SDK cannot be asked without waiting
///     }
///
///     fn acquire_for(&self, _head: RequestHead<'_>) -> Self::Acquire {
///         let sdk = self.clone();
///         Box::pin(async move {
///             let token = sdk.client.token().await.map_err(Error::login_failed)?;
///             let mut last = sdk.last.lock().unwrap();
///             if let Some((known, authorization)) = &*last && *known == token {
///                 return Ok(authorization.clone());
///             }
///             let checked = Token::new(token.as_str()).map_err(Error::login_failed)?;
///             let authorization = Authorization::new(Scheme::BEARER, &checked);
///             *last = Some((token, authorization.clone()));
///             Ok(authorization)
///         })
///     }
///
///     fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
///         let last = self.last.lock().unwrap();
///         let rejected = rejected.receipt.generation();
///         if last.as_ref().is_some_and(|(_, held)| held.generation() == rejected) {
///             self.client.forget_token();
///             return Verdict::new(Reason::Current);
///         }
///         Verdict::new(Reason::Late)
///     }
/// }
/// # let provider = Sdk { client: sdk::Client, last: Arc::default() };
/// # let http = tower::service_fn(|request: http::Request<()>| async move {
/// #     assert_eq!(request.headers()["authorization"], "Bearer abc");
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(()))
/// # });
/// # use tower::ServiceExt;
/// # let layer = tower_bearer::BearerAuthLayer::new(provider, tower_bearer::Origins::any_https());
/// # tokio_test::block_on(tower::Layer::layer(&layer, http).oneshot(http::Request::new(()))).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a credential provider",
    note = "a login becomes one with `CachedProvider::new`, a token with `StaticProvider::new`"
)]
pub trait CredentialProvider {
    /// What [`acquire_for`](Self::acquire_for) returns.
    type Acquire: Future<Output = Result<Authorization, Error>>;

    /// The authorization for a request that is sent now, or `None` if it takes a wait.
    ///
    /// Called for each request to an allowed origin, also where the request turns out to bring an
    /// authorization of its own, and now and then while it waits for a slot: it should take no
    /// lock, wait for nothing and allocate nothing.
    fn current_for(&self, head: RequestHead<'_>) -> Option<Authorization>;

    /// Whether [`current_for`](Self::current_for) would return this very authorization, or one like
    /// it.
    ///
    /// A service that has sent two requests in a row with one generation keeps a copy of its own,
    /// which no other thread counts, and asks this first. False, the default, says that
    /// `current_for` is to be asked.
    fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        let _ = (held, head);
        false
    }

    /// Whether this request is sent without an authorization. Asked where
    /// [`current_for`](Self::current_for) has returned `None`. False by default.
    fn sends_bare(&self, head: RequestHead<'_>) -> bool {
        let _ = head;
        false
    }

    /// Gets an authorization, waiting if need be. Requests that wait at the same time should
    /// share one login.
    ///
    /// # Errors
    ///
    /// The future ends with an [`Error`] when no authorization can be had; it reaches the caller
    /// of the request.
    ///
    /// # Cancel safety
    ///
    /// A request that is given up drops the future. That must not end a login that others wait
    /// for.
    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire;

    /// Learns that a request is sent. Where the next login is due soon, this is when to begin it,
    /// and not in [`current_for`](Self::current_for): a request may turn out to bring an
    /// authorization of its own. Does nothing by default.
    fn sent(&self, receipt: Receipt) {
        let _ = receipt;
    }

    /// Learns that a server has accepted the credential of a request: the response was neither a
    /// rejection nor a 5xx. Called for each such response, so it should take no lock. Does nothing
    /// by default.
    ///
    /// A target that was rejected under one generation and is accepted under a newer one has been
    /// cured by the login between them.
    fn accept(&self, receipt: Receipt) {
        let _ = receipt;
    }

    /// Learns that a server has rejected the credential of a request. A provider that can replace
    /// it takes its generation out of use, if that is still current. News about any other
    /// generation is late, and changes nothing.
    ///
    /// The [verdict](Verdict::is_log_in) says whether to acquire again can yield another generation:
    /// then the layer replays the request if it can. Otherwise the rejection goes to its caller.
    #[must_use]
    fn reject(&self, rejected: &Rejected<'_>) -> Verdict;
}

/// What a provider may know of a request: everything but its body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI.
    pub uri: &'a Uri,
    /// The headers, still without the authorization.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
    /// What the request was rejected with, where it is to be replayed: another generation is
    /// needed, of the same account.
    pub rejected: Option<Receipt>,
}

impl<'a> RequestHead<'a> {
    /// The head of a request.
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

/// All methods of a provider but the one that waits, forwarded.
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

        fn sends_bare(&self, head: RequestHead<'_>) -> bool {
            let $this = self;
            $provider.sends_bare(head)
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
