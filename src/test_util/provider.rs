//! A provider that follows a script.

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

/// A [`CredentialProvider`] with one authorization after the other: a rejection of the current one
/// makes the next one current. It writes down what it is told. Clones share all of it.
#[derive(Clone, Debug)]
pub struct ScriptedProvider(Arc<Mutex<Script>>);

#[derive(Debug)]
struct Script {
    authorizations: VecDeque<Authorization>,
    rejected: Vec<Receipt>,
    accepted: Vec<Receipt>,
}

impl ScriptedProvider {
    /// A provider of these tokens, in this order.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`], as [`Token::new`] has it.
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
        // Each change is whole before it can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests that were rejected, in order.
    #[must_use]
    pub fn rejected(&self) -> Vec<Receipt> {
        self.script().rejected.clone()
    }

    /// The requests that were accepted, in order.
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
