//! The issuer of tokens, and the API that checks them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time;

use crate::{
    plan::{Lifetimes, Mode, Weather},
    record::{Record, SECRET},
    wire,
};

pub(crate) const ISSUER: &str = "issuer";
pub(crate) const API: &str = "api";
pub(crate) const FOREIGN: &str = "foreign";
pub(crate) const HTTPS: u16 = 443;
/// The same host as the API, but another origin.
pub(crate) const OTHER_PORT: u16 = 8443;

/// The state of the issuer. It survives a crash, like a database. Clones share it.
#[derive(Clone)]
pub(crate) struct Ledger {
    record: Record,
    mode: Mode,
    lifetimes: Lifetimes,
    state: Arc<Mutex<State>>,
}

struct State {
    chance: fastrand::Rng,
    weather: Weather,
    /// The delay after which the API knows the state of the issuer.
    lag: Duration,
    tokens: BTreeMap<String, Token>,
    refresh_tokens: BTreeMap<String, RefreshToken>,
    /// The refresh tokens that each client sent.
    refreshes: BTreeSet<(String, String)>,
    issued: u64,
}

struct Token {
    account: String,
    family: u64,
    issued_at: Duration,
    expires_at: Option<Duration>,
    revoked_at: Option<Duration>,
}

struct RefreshToken {
    account: String,
    family: u64,
    is_spent: bool,
    is_revoked: bool,
}

impl Ledger {
    pub(crate) fn new(record: Record, mode: Mode, lifetimes: Lifetimes, seed: u64) -> Self {
        Self {
            record,
            mode,
            lifetimes,
            state: Arc::new(Mutex::new(State {
                chance: fastrand::Rng::with_seed(seed),
                weather: Weather::Fair,
                lag: Duration::ZERO,
                tokens: BTreeMap::new(),
                refresh_tokens: BTreeMap::new(),
                refreshes: BTreeSet::new(),
                issued: 0,
            })),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    pub(crate) fn set_lag(&self, lag: Duration) {
        self.state().lag = lag;
    }

    /// Whether the token is valid for the issuer itself.
    pub(crate) fn is_alive(&self, token: &str) -> bool {
        let now = self.record.now();
        self.state().tokens.get(token).is_some_and(|token| {
            token.revoked_at.is_none() && token.expires_at.is_none_or(|at| now < at)
        })
    }

    fn is_accepted(&self, token: &str) -> bool {
        let (now, state) = (self.record.now(), self.state());
        state.tokens.get(token).is_some_and(|token| {
            now >= token.issued_at + state.lag
                && token.expires_at.is_none_or(|at| now < at)
                && token.revoked_at.is_none_or(|at| now < at + state.lag)
        })
    }

    /// Revokes all tokens of an account. Returns whether there were any.
    pub(crate) fn revoke(&self, account: &str, with_refresh_tokens: bool) -> bool {
        let (now, mut state) = (self.record.now(), self.state());
        if with_refresh_tokens {
            let tokens = state.refresh_tokens.values_mut();
            for token in tokens.filter(|token| token.account == account) {
                token.is_revoked = true;
            }
        }
        state.revoke(now, |token| token.account == account)
    }

    /// Handles a login.
    pub(crate) async fn log_in(self, question: String) -> Option<String> {
        let weather = self.state().weather;
        let early = match weather {
            Weather::Slow(slowness) => self.state().chance.f64() * slowness.as_secs_f64(),
            _ => 0.0,
        };
        time::sleep(Duration::from_secs_f64(early)).await;
        match weather {
            Weather::Failing => return Some("500".to_owned()),
            Weather::Limiting(after) => return Some(format!("429\n{}", after.as_millis())),
            _ => {}
        }
        let answer = self.act(&question);
        // The login is complete by now. A client that times out here has lost the previous token.
        match weather {
            Weather::Slow(slowness) => {
                let late = self.state().chance.f64() * slowness.as_secs_f64();
                time::sleep(Duration::from_secs_f64(late)).await;
                Some(answer)
            }
            Weather::Forgetful => {
                self.record.count(|counts| counts.lost_answers += 1);
                None
            }
            _ => Some(answer),
        }
    }

    fn act(&self, question: &str) -> String {
        let now = self.record.now();
        let mut words = question.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (grant, client, account, proof) = (word(), word(), word(), word());
        let mut state = self.state();
        let family = match grant.as_str() {
            "refresh" => {
                let is_first = state.refreshes.insert((client.clone(), proof.clone()));
                match state.spend(&account, &proof, now) {
                    Some(family) => family,
                    None => {
                        drop(state);
                        if !is_first {
                            self.record
                                .violation(&client, "I2: a spent refresh token is sent again");
                        }
                        self.record
                            .write(ISSUER, format!("{client}: refresh refused"));
                        return "400".to_owned();
                    }
                }
            }
            _ => state.issued + 1,
        };
        if self.mode == Mode::Exclusive {
            state.revoke(now, |token| token.account == account);
        }
        state.issued += 1;
        let number = state.issued;
        let token = format!("token-{SECRET}-{number}");
        let lifetime = self.lifetimes.draw(&mut state.chance);
        state.tokens.insert(
            token.clone(),
            Token {
                account: account.clone(),
                family,
                issued_at: now,
                expires_at: lifetime.map(|lifetime| now + lifetime),
                revoked_at: None,
            },
        );
        let refresh_token = match self.mode {
            Mode::Rotating => {
                let refresh_token = format!("refresh-{SECRET}-{number}");
                let entry = RefreshToken {
                    account: account.clone(),
                    family,
                    is_spent: false,
                    is_revoked: false,
                };
                state.refresh_tokens.insert(refresh_token.clone(), entry);
                refresh_token
            }
            _ => String::new(),
        };
        drop(state);
        self.record
            .write(ISSUER, format!("{client}: {grant} login {number}"));
        let lifetime = lifetime.map_or(String::new(), |it| it.as_millis().to_string());
        let now = now.as_millis();
        format!("200\n{token}\n{lifetime}\n{now}\n{refresh_token}")
    }

    /// Handles a request to the API.
    pub(crate) async fn look(self, question: String) -> Option<String> {
        let mut lines = question.lines();
        let path = lines.next().unwrap_or_default();
        let token = lines.find_map(|line| line.strip_prefix("authorization: Bearer "));
        let is_accepted = token.is_some_and(|token| self.is_accepted(token));
        Some(match path {
            _ if !is_accepted => "401".to_owned(),
            "/forbidden" => {
                self.record.count(|counts| counts.forbidden += 1);
                "401".to_owned()
            }
            "/moved" => {
                self.record.count(|counts| counts.redirects += 1);
                format!("302\nhttps://{FOREIGN}/elsewhere")
            }
            "/broken" => "500".to_owned(),
            _ => "200".to_owned(),
        })
    }

    /// Handles a request to a foreign host. I9: it must carry no token.
    pub(crate) async fn overhear(self, question: String) -> Option<String> {
        self.record.count(|counts| counts.foreign_requests += 1);
        if question.contains(SECRET) || question.contains("authorization") {
            self.record
                .violation(FOREIGN, "I9: a token at a foreign origin");
        }
        // Foreign hosts return 401 too, and the layer must ignore it.
        Some("401".to_owned())
    }
}

impl State {
    fn revoke(&mut self, now: Duration, which: impl Fn(&Token) -> bool) -> bool {
        let mut any = false;
        for token in self.tokens.values_mut().filter(|token| which(token)) {
            any |= token.revoked_at.is_none();
            token.revoked_at.get_or_insert(now);
        }
        any
    }

    /// Spends a refresh token and returns its family. A second use revokes the family.
    fn spend(&mut self, account: &str, secret: &str, now: Duration) -> Option<u64> {
        let token = self.refresh_tokens.get_mut(secret)?;
        if token.account != account || token.is_revoked {
            return None;
        }
        let family = token.family;
        if std::mem::replace(&mut token.is_spent, true) {
            for token in self.refresh_tokens.values_mut() {
                token.is_revoked |= token.family == family;
            }
            self.revoke(now, |token| token.family == family);
            return None;
        }
        Some(family)
    }
}

pub(crate) async fn issuer(ledger: Ledger) -> turmoil::Result {
    wire::serve(HTTPS, move |question| ledger.clone().log_in(question)).await
}

pub(crate) async fn api(ledger: Ledger) -> turmoil::Result {
    let overhearing = ledger.clone();
    let other_port = wire::serve(OTHER_PORT, move |question| {
        overhearing.clone().overhear(question)
    });
    let own_port = wire::serve(HTTPS, move |question| ledger.clone().look(question));
    // Neither server ends.
    let (ended, _) = tokio::join!(own_port, other_port);
    ended
}

pub(crate) async fn foreign(ledger: Ledger) -> turmoil::Result {
    wire::serve(HTTPS, move |question| ledger.clone().overhear(question)).await
}
