//! The server. Its logins wait until the test ends them, and its responses until the test asks for
//! them.

use std::{
    error, fmt,
    future::pending,
    panic,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::sync::oneshot;
use tower::Service;
use tower_bearer::{BoxError, Credential, Login, LoginError, LoginRequest, Session};

use crate::{
    model::Model,
    script::{Answer, Outcome},
};

/// The prefix of tokens: it must appear only in headers.
pub(crate) const SECRET: &str = "s3cret";

/// The host that may see tokens.
pub(crate) const HOST: &str = "api.example.com";

pub(crate) fn token(number: usize) -> String {
    format!("{SECRET}-{number}")
}

/// The number of a token.
pub(crate) fn number(token: &str) -> Option<usize> {
    token.strip_prefix(SECRET)?.strip_prefix('-')?.parse().ok()
}

pub(crate) fn refresh_token(number: usize) -> String {
    format!("{SECRET}-refresh-{number}")
}

/// The shared state of all doubles. It is never locked while code of the crate runs.
#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<State>>);

struct State {
    model: Model,
    login: Option<oneshot::Sender<Outcome>>,
    exchanges: Vec<Exchange>,
    are_slots_closed: bool,
    wait_for_slots: Vec<Waker>,
}

struct Exchange {
    number: usize,
    token: Option<usize>,
    status: StatusCode,
    answer: oneshot::Sender<Result<StatusCode, Broken>>,
}

/// The connection broke.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl error::Error for Broken {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn new(model: Model) -> Self {
        Self(Arc::new(Mutex::new(State {
            model,
            login: None,
            exchanges: Vec::new(),
            are_slots_closed: false,
            wait_for_slots: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn with_model<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.state().model)
    }

    /// The number of references.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Returns whether there was a login to end.
    pub(crate) fn end_login(&self, outcome: Outcome) -> bool {
        let mut state = self.state();
        // A login that timed out or was lost gets no outcome.
        let was_waiting = state
            .login
            .take()
            .is_some_and(|login| login.send(outcome).is_ok());
        if was_waiting {
            state.model.login_ended_with(outcome);
        }
        was_waiting
    }

    pub(crate) fn holds(&self, number: usize) -> bool {
        self.state().exchanges.iter().any(|it| it.number == number)
    }

    /// Answers one of the held requests, the oldest for 0. Returns what was answered.
    pub(crate) fn answer(&self, which: usize, answer: Answer) -> Option<Answered> {
        let mut state = self.state();
        if state.exchanges.is_empty() {
            return None;
        }
        let which = which % state.exchanges.len();
        let exchange = state.exchanges.remove(which);
        let status = match answer {
            Answer::Honest => Ok(exchange.status),
            Answer::Unauthorized => Ok(StatusCode::UNAUTHORIZED),
            Answer::Forbidden => Ok(StatusCode::FORBIDDEN),
            Answer::ServerError => Ok(StatusCode::INTERNAL_SERVER_ERROR),
            Answer::Broken => Err(Broken),
        };
        let answered = Answered {
            number: exchange.number,
            token: exchange.token,
            status: status.as_ref().ok().copied(),
        };
        drop(state);
        // A dropped request gets no response.
        let _ = exchange.answer.send(status);
        Some(answered)
    }

    /// Returns whether the state has changed.
    pub(crate) fn close_slots(&self, are_closed: bool) -> bool {
        let mut state = self.state();
        let has_changed = state.are_slots_closed != are_closed;
        state.are_slots_closed = are_closed;
        let waiting = std::mem::take(&mut state.wait_for_slots);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        has_changed
    }

    pub(crate) fn are_slots_closed(&self) -> bool {
        self.state().are_slots_closed
    }
}

/// The last response to a request.
#[derive(Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) number: usize,
    pub(crate) token: Option<usize>,
    /// `None` where the connection broke.
    pub(crate) status: Option<StatusCode>,
}

/// Counts a login under way, also one that is dropped.
struct InFlight {
    server: Server,
    number: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.server
            .with_model(|model| model.login_ends(self.number));
    }
}

impl Login for Server {
    async fn login(&self, mut request: LoginRequest) -> Result<Credential, BoxError> {
        let (sender, outcome) = oneshot::channel();
        // One login in four does not take the refresh token.
        let takes = self.with_model(|model| model.case.is_rotating && model.counts.logins % 4 != 3);
        let taken = if takes {
            request.take_refresh_token()
        } else {
            None
        };
        let number = {
            let mut state = self.state();
            state.login = Some(sender);
            let offered = taken.as_ref().map(|taken| taken.expose());
            state.model.login_begins(offered, takes)
        };
        let _in_flight = InFlight {
            server: self.clone(),
            number,
        };
        let Ok(outcome) = outcome.await else {
            return pending().await;
        };
        match outcome {
            Outcome::Success => (),
            Outcome::AnswerLost => {
                self.with_model(|model| model.login_succeeds(number));
                return Err(Broken.into());
            }
            Outcome::Unsent => {
                if let Some(taken) = taken {
                    self.with_model(|model| model.puts_back(taken.expose()));
                    request.put_back_refresh_token(taken);
                }
                return Err(Broken.into());
            }
            Outcome::Transient => return Err(LoginError::transient(Broken).into()),
            Outcome::Permanent => return Err(LoginError::permanent(Broken).into()),
            Outcome::RetryAfter(seconds) => {
                let delay = Duration::from_secs(seconds);
                return Err(LoginError::retry_after(Broken, delay).into());
            }
            // Without the message of the panic hook.
            Outcome::Panic => panic::resume_unwind(Box::new("by script")),
        }
        // A login that does without a refresh token may bring one.
        let brings = self.with_model(|model| takes || (model.case.is_rotating && number % 3 == 0));
        let next = brings.then(|| refresh_token(number));
        let lifetime = self.with_model(|model| {
            model.login_succeeds(number);
            model.login_brings(number, next.clone());
            model.lifetime()
        });
        let mut credential = Credential::new(token(number))?;
        if let Some(lifetime) = lifetime {
            credential = credential.with_lifetime(lifetime);
        }
        if let Some(next) = next {
            credential = credential.with_refresh_token(next);
        }
        Ok(credential)
    }

    fn session(&self) -> Session {
        self.with_model(|model| model.case.session)
    }
}

/// The body of a request: its number, and whether it can be copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) number: usize,
    pub(crate) is_kept: bool,
}

/// A header that the caller sets.
pub(crate) const OWN_HEADER: &str = "Basic b3duOm93bg==";

impl Service<Request<Ask>> for Server {
    type Response = Response<()>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Broken>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let mut state = self.state();
        if state.are_slots_closed {
            state.wait_for_slots.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        let asked = request.body().number;
        let mut values = request.headers().get_all(AUTHORIZATION).iter();
        let value = values
            .next()
            .map(|value| value.to_str().unwrap().to_owned());
        let mut state = self.state();
        let state = &mut *state;
        if values.next().is_some() {
            state.model.violated("two authorizations");
        }
        let is_secret = value.as_deref().is_some_and(|it| it.contains(SECRET));
        if is_secret && request.uri().host() != Some(HOST) {
            state.model.violated("I9: a foreign host sees a token");
        }
        let token = value
            .as_deref()
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(number);
        if token.is_none() && value.as_deref().is_some_and(|value| value != OWN_HEADER) {
            state.model.violated("an authorization of no login");
        }
        state.model.sends(asked, token);
        let is_honoured = token.is_none_or(|token| state.model.honours(token));
        let (answer, answered) = oneshot::channel();
        state.exchanges.push(Exchange {
            number: asked,
            token,
            status: if is_honoured {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            },
            answer,
        });
        Box::pin(async move {
            let Ok(answer) = answered.await else {
                return pending().await;
            };
            let mut response = Response::new(());
            *response.status_mut() = answer?;
            Ok(response)
        })
    }
}
