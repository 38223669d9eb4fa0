//! Where authorizations come from.

mod cache;
mod cached;
mod fixed;
mod observers;
mod policy;
mod snapshot;

use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Request, Uri};

pub use self::{
    cached::{Acquire, CachedProvider, CachedProviderBuilder},
    fixed::StaticProvider,
    observers::Event,
    policy::CachePolicy,
    snapshot::{Snapshot, State},
};
use crate::{
    authorization::{Authorization, Generation},
    error::Error,
};

/// Where the layer gets an [`Authorization`] for each request.
///
/// [`StaticProvider`] holds a token that never changes and [`CachedProvider`] logs in when it
/// must. Write your own around somebody else's cache, or to choose an account by the request.
///
/// # Examples
///
/// Many accounts, chosen by an extension of the request:
///
/// ```
/// use std::{collections::HashMap, pin::Pin};
/// use tower_bearer::{
///     Authorization, CachedProvider, CredentialProvider, Error, Generation, RequestHead,
/// };
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Account(String);
///
/// struct Accounts(HashMap<Account, CachedProvider>);
///
/// impl Accounts {
///     fn of(&self, head: RequestHead<'_>) -> Option<&CachedProvider> {
///         self.0.get(head.extensions.get::<Account>()?)
///     }
/// }
///
/// impl CredentialProvider for Accounts {
///     type Acquire = Pin<Box<dyn Future<Output = Result<Authorization, Error>> + Send>>;
///
///     fn current(&self, head: RequestHead<'_>) -> Option<Authorization> {
///         self.of(head)?.current()
///     }
///
///     fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
///         self.of(head).is_some_and(|provider| provider.is_current(held, head))
///     }
///
///     fn acquire(&self, head: RequestHead<'_>) -> Self::Acquire {
///         match self.of(head) {
///             Some(provider) => Box::pin(provider.acquire()),
///             None => Box::pin(async { Err(Error::no_authorization("no such account")) }),
///         }
///     }
///
///     fn sent(&self, used: Generation) {
///         for provider in self.0.values() {
///             provider.sent(used);
///         }
///     }
///
///     fn reject(&self, refused: Generation) -> bool {
///         // A generation belongs to one account, and the others say that it is none of theirs.
///         self.0.values().fold(false, |any, provider| provider.reject(refused) | any)
///     }
/// }
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
///     Authorization, CredentialProvider, Error, Generation, RequestHead, Scheme, Token,
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
///     fn current(&self, _head: RequestHead<'_>) -> Option<Authorization> {
///         None // this SDK cannot be asked without waiting
///     }
///
///     fn acquire(&self, _head: RequestHead<'_>) -> Self::Acquire {
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
///     fn reject(&self, refused: Generation) -> bool {
///         let last = self.last.lock().unwrap();
///         if last.as_ref().is_some_and(|(_, held)| held.generation() == refused) {
///             self.client.forget_token();
///         }
///         true
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
    /// What [`acquire`](Self::acquire) returns.
    type Acquire: Future<Output = Result<Authorization, Error>>;

    /// The authorization for a request that is sent now, or `None` if it takes a wait.
    ///
    /// Called for each request to an allowed origin, also where the request turns out to bring an
    /// authorization of its own, and now and then while it waits for a slot: it should take no
    /// lock, wait for nothing and allocate nothing.
    fn current(&self, head: RequestHead<'_>) -> Option<Authorization>;

    /// Whether [`current`](Self::current) would return this very authorization, or one like it.
    ///
    /// A service that has sent two requests in a row with one generation keeps a copy of its own,
    /// which no other thread counts, and asks this first. False, the default, says that `current` is
    /// to be asked.
    fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
        let _ = (held, head);
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
    fn acquire(&self, head: RequestHead<'_>) -> Self::Acquire;

    /// Learns that a request goes out with this generation. Where the next login is due soon, this
    /// is when to begin it, and not in [`current`](Self::current): a request may turn out to bring
    /// an authorization of its own. Does nothing by default.
    fn sent(&self, used: Generation) {
        let _ = used;
    }

    /// Learns that a server has refused this generation, and takes it out of use if it is still
    /// current. News about any other generation is late, and changes nothing.
    ///
    /// Returns whether to acquire again can yield another generation: then a request that can be
    /// sent again is. Where it is false, the refusal goes to its caller.
    #[must_use]
    fn reject(&self, refused: Generation) -> bool;

    /// Learns that a server has accepted this generation: the answer was neither a rejection nor a
    /// 5xx. Does nothing by default.
    fn accept(&self, used: Generation) {
        let _ = used;
    }

    /// Learns that a server has accepted under `used` a request that it had refused under
    /// `refused`: another credential was what it took. Calls [`accept`](Self::accept) by default.
    fn accept_replay(&self, refused: Generation, used: Generation) {
        let _ = refused;
        self.accept(used);
    }
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
    /// The generation that the request was refused with, where it is to be sent again: another is
    /// needed.
    pub refused: Option<Generation>,
}

impl<'a> RequestHead<'a> {
    /// The head of a request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            refused: None,
        }
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),+) => {$(
        impl<P: CredentialProvider + ?Sized> CredentialProvider for $pointer {
            type Acquire = P::Acquire;

            fn current(&self, head: RequestHead<'_>) -> Option<Authorization> {
                (**self).current(head)
            }

            fn is_current(&self, held: &Authorization, head: RequestHead<'_>) -> bool {
                (**self).is_current(held, head)
            }

            fn acquire(&self, head: RequestHead<'_>) -> Self::Acquire {
                (**self).acquire(head)
            }

            fn reject(&self, refused: Generation) -> bool {
                (**self).reject(refused)
            }

            fn sent(&self, used: Generation) {
                (**self).sent(used);
            }

            fn accept(&self, used: Generation) {
                (**self).accept(used);
            }

            fn accept_replay(&self, refused: Generation, used: Generation) {
                (**self).accept_replay(refused, used);
            }
        }
    )+};
}

forward_to_pointee!(&P, Box<P>, Arc<P>);
