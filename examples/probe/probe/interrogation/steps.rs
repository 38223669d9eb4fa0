//! The steps of the questions: a login, a refresh, a use of a token.

use std::time::{Duration, Instant};

use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use tower_bearer::{Credential, Login, LoginRequest, RefreshToken};

use super::{Answered, Found, Held, Interrogation, SECOND, seconds};
use crate::probe::{
    announced,
    tap::{Exchange, Outcome},
};

/// When to look whether a token is still accepted, in seconds: servers cache, and copies lag behind.
const LOOKS: [u64; 6] = [0, 1, 3, 10, 25, 50];

pub(super) enum Use {
    Accepted,
    Refused(Answered),
    Unclear(String),
}

pub(super) enum Watched {
    /// How long after the login or the refresh.
    Rejected(Answered, Duration),
    /// How often, and for how long.
    Accepted(usize, Duration),
}

/// The status is that of a refusal.
pub(super) type Refreshed = Result<Held, StatusCode>;

impl Interrogation<'_> {
    pub(super) async fn log_in(&mut self) -> Result<Held, String> {
        if self.counts.logins == self.options.limits.logins {
            return Err(format!(
                "it needs another login; --logins {}",
                self.counts.logins + 1
            ));
        }
        self.counts.logins += 1;
        let label = format!("login {}", self.counts.logins);
        (self.options.progress)(&label);
        let login = self.login.login(LoginRequest::default());
        let outcome = self.tap.one_request(login).await;
        match outcome.result {
            Ok(credential) => self.held(credential, outcome.exchange, label),
            Err(error) => Err(chain(&*error)),
        }
    }

    pub(super) async fn refresh(&mut self, token: &RefreshToken) -> Result<Refreshed, String> {
        self.counts.refreshes += 1;
        let label = format!("refresh {}", self.counts.refreshes);
        (self.options.progress)(&label);
        let request = LoginRequest::with_refresh_token(token.clone());
        let outcome = self.tap.one_request(self.login.login(request)).await;
        match outcome {
            Outcome {
                result: Ok(credential),
                exchange,
                ..
            } => self.held(credential, exchange, label).map(Ok),
            // The login would go on with the password: to it, the refresh token is spent.
            Outcome {
                exchange: Some(Exchange { status, .. }),
                was_denied: true,
                ..
            } if status.is_client_error() || status.is_success() => Ok(Err(status)),
            Outcome {
                exchange: Some(Exchange { status, .. }),
                ..
            } => Err(format!("{label} was answered {}", status.as_u16())),
            Outcome {
                result: Err(error), ..
            } => Err(format!("{label} got no answer: {}", chain(&*error))),
        }
    }

    fn held(
        &mut self,
        credential: Credential,
        exchange: Option<Exchange>,
        label: String,
    ) -> Result<Held, String> {
        let exchange = exchange.ok_or_else(|| format!("{label} sent no request"))?;
        let places = &self.config.answer;
        let token = credential.token().expose();
        let announced = announced::lifetimes(&exchange, places, token);
        let held_announced = announced.first().map(|it| it.lifetime);
        if self.announced.is_err() {
            let how = format!("the answer to {label}");
            self.announced = Ok((announced, how.clone()));
            let kind = match announced::is_jwt(token) {
                true => "a JWT",
                false => "opaque",
            };
            let word = announced::token_type(&exchange, places);
            let word = word.map_or("no token_type".to_owned(), |word| {
                format!("token_type {word}")
            });
            let text = format!("{word}; {kind}, {} characters", token.len());
            self.token_type = Ok((text, how.clone()));
            if let Some(offset) = announced::offset(&exchange) {
                self.clock = Ok((offset, how.clone()));
            }
            if let Some(offset) = announced::offset_of_jwt(&exchange, token) {
                self.clock_by_jwt = Ok((offset, how));
            }
        }
        Ok(Held {
            announced: held_announced,
            credential,
            label,
            issued: exchange.sent,
            received: exchange.sent + exchange.round_trip,
            accepted: exchange.sent,
        })
    }

    /// Waits until a new token is accepted, which may take a moment.
    pub(super) async fn accept(&mut self, mut held: Held) -> Result<Held, String> {
        let mut outcome = self.try_token(&mut held).await;
        for wait in [SECOND, 2 * SECOND] {
            if matches!(outcome, Use::Accepted) {
                break;
            }
            self.sleep(wait).await;
            outcome = self.try_token(&mut held).await;
        }
        match outcome {
            Use::Accepted => Ok(held),
            Use::Unclear(why) => Err(why),
            Use::Refused(answered) => Err(format!(
                "the API answered {} to the new token of {}, three times in 3 s",
                answered.status.as_u16(),
                held.label
            )),
        }
    }

    /// Watches a token after a login, or until shortly before its own expiry.
    pub(super) async fn watch(
        &mut self,
        mut held: Held,
        since: Instant,
    ) -> Result<Watched, String> {
        let (mut times, mut unclear) = (0, None);
        for look in LOOKS.map(Duration::from_secs) {
            let age = since.duration_since(held.issued) + look + SECOND;
            let is_expiring = held.announced.is_some_and(|announced| age >= announced);
            if look > self.options.limits.patience / 2 || is_expiring {
                break;
            }
            let waited = self.options.time.now().duration_since(since);
            self.sleep(look.saturating_sub(waited)).await;
            match self.try_token(&mut held).await {
                Use::Accepted => times += 1,
                Use::Unclear(why) => unclear = Some(why),
                Use::Refused(answered) => {
                    let waited = self.options.time.now().duration_since(since);
                    return Ok(Watched::Rejected(answered, waited));
                }
            }
        }
        match unclear {
            Some(why) => Err(why),
            None => Ok(Watched::Accepted(
                times,
                held.accepted.duration_since(since),
            )),
        }
    }

    pub(super) async fn try_token(&mut self, held: &mut Held) -> Use {
        let sent = self.options.time.now();
        match self.call(Some(held.token())).await {
            Ok(answered) if answered.status.is_success() => {
                held.accepted = sent;
                Use::Accepted
            }
            Ok(answered) => {
                let (status, age) = (answered.status.as_u16(), seconds(self.age(held)));
                (self.options.progress)(&format!(
                    "the token of {}: {status} after {age}",
                    held.label
                ));
                Use::Refused(answered)
            }
            Err(why) => {
                (self.options.progress)(&why);
                Use::Unclear(why)
            }
        }
    }

    /// A request that no API should accept.
    pub(super) async fn bad_request(&mut self, token: Option<&str>) -> Found<Answered> {
        let answered = self.call(token).await?;
        Ok((answered, "one request before the first login".to_owned()))
    }

    /// The answer of the API, if it can be the answer to a token.
    async fn call(&mut self, token: Option<&str>) -> Result<Answered, String> {
        self.counts.requests += 1;
        let mut request = Request::get(self.config.api.clone());
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("{} {token}", self.config.scheme));
            let mut value = value.map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            request = request.header(self.config.header.clone(), value);
        }
        let request = request
            .body(Full::default())
            .map_err(|error| error.to_string())?;
        match self.tap.send(request).await {
            Ok(Exchange {
                status, headers, ..
            }) if tells_of_the_token(status) => Ok(Answered::new(status, &headers)),
            Ok(Exchange { status, .. }) => Err(format!("the API answered {}", status.as_u16())),
            Err(error) => Err(format!("the API gave no answer: {}", chain(&*error))),
        }
    }

    pub(super) fn age(&self, held: &Held) -> Duration {
        self.options.time.now().duration_since(held.issued)
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        if duration > SECOND {
            (self.options.progress)(&format!("waiting {}", seconds(duration)));
        }
        self.options.time.sleep(duration).await;
    }
}

/// Whether a status says something of the token: not a failure of the server, nor a limit.
fn tells_of_the_token(status: StatusCode) -> bool {
    let is_other = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    !is_other && !status.is_server_error() && !status.is_informational()
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let causes = causes.map(ToString::to_string);
    let texts: Vec<_> = std::iter::once(error.to_string()).chain(causes).collect();
    texts.join(": ")
}
