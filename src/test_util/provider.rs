//! A scripted provider.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    credential::{Authorization, InvalidToken, Scheme, Token},
    error::Error,
    provider::{CredentialProvider, Reason, Receipt, Rejected, RequestHead, Verdict},
};

/// A [`CredentialProvider`] with a list of tokens: a rejection of the current token makes the next
/// one current. It records the receipts of accepted and rejected requests. Clones share everything.
///
/// # Examples
///
/// A client that replays a rejected request:
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use http_body_util::Empty;
/// use tower::{Layer, ServiceExt};
/// use tower_bearer::{BearerAuthLayer, Origins, ReplayEmpty, test_util::ScriptedProvider};
///
/// # tokio_test::block_on(async {
/// let api = tower::service_fn(|request: Request<Empty<&'static [u8]>>| async move {
///     let is_valid = request.headers()["authorization"] == "Bearer new";
///     let response = Response::builder().status(if is_valid { 200 } else { 401 });
///     Ok::<_, Infallible>(response.body(()).unwrap())
/// });
/// let provider = ScriptedProvider::new(["old", "new"])?;
/// let layer = BearerAuthLayer::new(provider.clone(), Origins::any_https()).replay(ReplayEmpty);
///
/// let request = Request::get("https://api.example.com/").body(Empty::default())?;
/// let response = layer.layer(api).oneshot(request).await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(provider.rejected().len(), 1);
/// assert_eq!(provider.accepted().len(), 1);
/// # Ok::<_, tower_bearer::BoxError>(()) })?;
/// # Ok::<_, tower_bearer::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScriptedProvider(Arc<Mutex<Script>>);

#[derive(Debug)]
struct Script {
    authorizations: VecDeque<Authorization>,
    rejected: Vec<Receipt>,
    accepted: Vec<Receipt>,
}

impl ScriptedProvider {
    /// A provider with these tokens, in this order.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] for a token that [`Token::new`] does not accept.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidToken> {
        let authorization = |token| Ok(Authorization::new(Scheme::BEARER, &Token::new(token)?));
        Ok(Self(Arc::new(Mutex::new(Script {
            authorizations: tokens
                .into_iter()
                .map(authorization)
                .collect::<Result<_, _>>()?,
            rejected: Vec::new(),
            accepted: Vec::new(),
        }))))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        // No change is left half-done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The receipts of the rejected requests, in order.
    #[must_use]
    pub fn rejected(&self) -> Vec<Receipt> {
        self.script().rejected.clone()
    }

    /// The receipts of the accepted requests, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<Receipt> {
        self.script().accepted.clone()
    }
}

impl CredentialProvider for ScriptedProvider {
    type Acquire = Ready<Result<Authorization, Error>>;

    fn current_for(&self, _head: RequestHead<'_>) -> Option<Authorization> {
        self.script().authorizations.front().cloned()
    }

    fn acquire_for(&self, head: RequestHead<'_>) -> Self::Acquire {
        let current = self.current_for(head);
        ready(current.ok_or_else(|| Error::login_failed("the script is at its end")))
    }

    fn reject(&self, rejected: &Rejected<'_>) -> Verdict {
        let mut script = self.script();
        script.rejected.push(rejected.receipt);
        let generation = rejected.receipt.generation();
        let is_current = script
            .authorizations
            .front()
            .is_some_and(|current| current.generation() == generation);
        if is_current {
            script.authorizations.pop_front();
        }
        Verdict::new(match (script.authorizations.is_empty(), is_current) {
            (true, _) => Reason::Fixed,
            (false, true) => Reason::Current,
            (false, false) => Reason::Late,
        })
    }

    fn accept(&self, receipt: Receipt) {
        self.script().accepted.push(receipt);
    }
}
