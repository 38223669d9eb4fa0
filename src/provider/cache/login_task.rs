//! The Tokio task that runs one login.

use std::{future::poll_fn, mem, sync::Arc, task::Poll};

use super::{
    Cache, Entry, Setup,
    flight::{Fate, Flight},
    lifespan::Source,
};
use crate::{
    credential::{Credential, RefreshToken},
    error::{BoxError, Error},
    login::LoginRequest,
    provider::observers::CredentialEvent,
    runtime::{Moment, catch, sync::time},
};

/// The result of a successful login.
pub(super) struct Success {
    pub(super) entry: Arc<Entry>,
    pub(super) refresh_token: Option<RefreshToken>,
    pub(super) answered: Moment,
    /// `Some` if another process has made the login.
    pub(super) adoption: Option<Adoption>,
}

/// A credential, and its source.
pub(super) struct Obtained {
    pub(super) credential: Credential,
    pub(super) origin: Origin,
}

pub(super) enum Origin {
    Login {
        sent: Moment,
    },
    #[cfg_attr(
        not(feature = "store"),
        allow(dead_code, reason = "only a store has the logins of others")
    )]
    Store(Adoption),
}

/// A credential that another process has published.
pub(super) struct Adoption {
    pub(super) entry: Arc<Entry>,
    /// Whether its login came before the rejection of the previous credential, and so has caused it.
    pub(super) explains_rejection: bool,
}

/// Runs the login of one flight and completes that flight in any case, even if the login panics or the
/// runtime drops the task.
pub(super) struct LoginTask {
    pub(super) cache: Arc<Cache>,
    pub(super) flight: Arc<Flight<Arc<Entry>>>,
}

impl LoginTask {
    /// To be called where the login is started: its span follows from the current one.
    pub(super) fn new(cache: &Arc<Cache>, flight: &Arc<Flight<Arc<Entry>>>) -> Self {
        let Setup {
            observers, session, ..
        } = &cache.setup;
        let reason = flight.request().reason();
        flight.span().open(&observers.names, *session, reason);
        Self {
            cache: Arc::clone(cache),
            flight: Arc::clone(flight),
        }
    }

    pub(super) async fn run(self) {
        self.flight.record_task();
        let (cache, span) = (&self.cache, self.flight.span());
        let outcome = self.obtain().await;
        if let Some(error) = self.flight.refresh_token().refresh_failure() {
            let error = error.clone();
            let event = CredentialEvent::RefreshFailed { error };
            span.within(|| cache.setup.observers.notify(&event));
        }
        let outcome = match outcome {
            Ok(Obtained { credential, origin }) => {
                let answered = Moment::of(&*cache.setup.clock);
                let credential = self.with_unused_refresh_token(credential);
                let refresh_token = credential.refresh_token().cloned();
                let (entry, counted_from, adoption) = match origin {
                    Origin::Login { sent } => {
                        self.call_hooks(&credential);
                        let source = Source::Login { sent, answered };
                        (cache.entry(&credential, source, answered), sent, None)
                    }
                    Origin::Store(it) => (Arc::clone(&it.entry), answered, Some(it)),
                };
                Ok(Success {
                    entry,
                    refresh_token: refresh_token.map(|token| token.counted_from(counted_from)),
                    answered,
                    adoption,
                })
            }
            // A failure of the freeze, not of the server: it causes no pause.
            Err(_) if self.flight.was_frozen(|| Moment::of(&*cache.setup.clock)) => {
                Err(Error::login_lost())
            }
            Err(error) => Err(error),
        };
        let left = self.left(outcome.is_err());
        cache.complete_login(&self.flight, outcome, left);
        cache.watch_for_change();
    }

    /// Logs in, or gets the credential of another process.
    async fn obtain(&self) -> Result<Obtained, Error> {
        #[cfg(feature = "store")]
        if let Some(sharing) = &self.cache.setup.sharing {
            return self.log_in_shared(sharing).await;
        }
        self.log_in(None).await
    }

    fn call_hooks(&self, credential: &Credential) {
        let hooks = &self.cache.setup.hooks;
        match self.cache.fate(&self.flight) {
            Fate::Published => self.flight.span().within(|| hooks.credential(credential)),
            Fate::Discarded => self.report_unspent(credential.refresh_token()),
            Fate::Dropped => {}
        }
    }

    /// The refresh token that the login leaves if it has failed. The hook gets it before the flight is
    /// completed: then the next login may spend it.
    fn left(&self, has_failed: bool) -> Option<RefreshToken> {
        let left = self.flight.refresh_token().close();
        if has_failed && self.cache.fate(&self.flight) != Fate::Dropped {
            self.report_unspent(left.as_ref());
        }
        left
    }

    fn report_unspent(&self, refresh_token: Option<&RefreshToken>) {
        if let Some(refresh_token) = refresh_token {
            let hooks = &self.cache.setup.hooks;
            self.flight.span().within(|| hooks.unspent(refresh_token));
        }
    }

    /// Keeps the previous refresh token if the login neither used it nor returned a new one.
    fn with_unused_refresh_token(&self, credential: Credential) -> Credential {
        if credential.refresh_token().is_some() {
            return credential;
        }
        match self.flight.refresh_token().take() {
            Some(left) => credential.with_refresh_token(left),
            None => credential,
        }
    }

    /// Logs in. If there is a `barrier`, the login does not get the refresh token.
    pub(super) async fn log_in(&self, barrier: Option<BoxError>) -> Result<Obtained, Error> {
        let sent = Moment::of(&*self.cache.setup.clock);
        let timeout = self.cache.setup.policy.time_to_log_in();
        // The calls are inside the future, so that a panic in them is caught as well.
        let mut login = Box::pin(async {
            let request = match barrier {
                None => self.write_ahead().await?,
                Some(barrier) => self.barred(barrier),
            };
            self.cache.setup.login.login(request).await
        });
        let span = self.flight.span();
        let mut has_begun = false;
        let polled = poll_fn(|cx| {
            // A lost login must send nothing more. One that a sign-out overtakes need not begin.
            let has_begun = mem::replace(&mut has_begun, true);
            if let Some(error) = self.cache.obstacle(&self.flight)
                && (!has_begun || error.is_login_lost())
            {
                return Poll::Ready(Err(error));
            }
            // A login that has panicked is dropped, and shares no state with the cache.
            match catch(|| span.within(|| login.as_mut().poll(cx))) {
                Some(poll) => poll.map(|outcome| outcome.map_err(|source| self.failure(source))),
                None => Poll::Ready(Err(Error::login_panicked())),
            }
        });
        let outcome = time::timeout(timeout, polled).await;
        // The outcome is known, so a panic here is ignored.
        let _ = catch(|| span.within(|| drop(login)));
        let credential = outcome.unwrap_or_else(|_| {
            let endpoint = catch(|| self.cache.setup.login.endpoint());
            Err(Error::login_timed_out(timeout, endpoint.flatten()))
        })?;
        Ok(Obtained {
            credential,
            origin: Origin::Login { sent },
        })
    }

    /// A request without the refresh token, which stays for the next login.
    fn barred(&self, barrier: BoxError) -> LoginRequest {
        self.flight.refresh_token().report_failure(barrier);
        self.flight.request().without_refresh_token()
    }

    /// Runs the hook before a refresh token is handed to the login. If the hook fails, the login does
    /// not get it.
    async fn write_ahead(&self) -> Result<LoginRequest, BoxError> {
        let request = self.flight.request();
        let Some(hook) = &self.cache.setup.hooks.before_refresh else {
            return Ok(request.clone());
        };
        let Some(refresh_token) = self.flight.refresh_token().peek() else {
            return Ok(request.clone());
        };
        let written = hook(refresh_token).await;
        // It may have taken long.
        if let Some(error) = self.cache.obstacle(&self.flight) {
            return Err(error.into());
        }
        Ok(match written {
            Ok(()) => request.clone(),
            Err(error) => self.barred(error),
        })
    }

    fn failure(&self, source: BoxError) -> Error {
        if self.flight.has_waited_for_itself() {
            Error::login_through_itself(Some(source))
        } else {
            Error::login_failed(source)
        }
    }
}

impl Drop for LoginTask {
    /// Has an effect only if the runtime drops the task before the login has ended.
    fn drop(&mut self) {
        let left = self.left(true);
        self.cache
            .complete_login(&self.flight, Err(Error::login_dropped()), left);
    }
}
