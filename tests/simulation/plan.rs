//! The plan that a seed generates: the hosts, and their faults over time.

use std::time::Duration;

use fastrand::Rng;
use tower_bearer::Session;

use crate::issuer::{API, FOREIGN, ISSUER};

/// The effect of a login on previous tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Concurrent,
    /// It revokes the previous token.
    Exclusive,
    /// It returns a refresh token that works once. A second use revokes its family.
    Rotating,
}

/// The condition of the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// It delays its action, and its answer.
    Slow(Duration),
    /// It returns 500 and does nothing.
    Failing,
    /// It returns 429 and asks the client to wait for this long.
    Limiting(Duration),
    /// It acts and does not answer.
    Forgetful,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetimes {
    Endless,
    Between(Duration, Duration),
}

impl Lifetimes {
    pub(crate) fn draw(self, chance: &mut Rng) -> Option<Duration> {
        match self {
            Self::Endless => None,
            Self::Between(shortest, longest) => Some(between(chance, shortest, longest)),
        }
    }
}

/// How a login's answer states the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpiryForm {
    Lifetime,
    /// By the wall clock of the issuer, which may differ from those of the clients.
    Expiry,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplayPolicy {
    No,
    Empty,
    With,
}

/// The time scale of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) tick: Duration,
    /// The time during which faults occur.
    pub(crate) troubled: Duration,
    pub(crate) login_timeout: Duration,
    /// The longest exchange with the API.
    pub(crate) patience: Duration,
    pub(crate) longest_latency: Duration,
    pub(crate) longest_pause: Duration,
}

const BRISK: Pace = Pace {
    tick: Duration::from_millis(20),
    troubled: Duration::from_secs(6),
    login_timeout: Duration::from_millis(800),
    patience: Duration::from_millis(500),
    longest_latency: Duration::from_millis(60),
    longest_pause: Duration::from_millis(400),
};

const USUAL: Pace = Pace {
    tick: Duration::from_millis(100),
    troubled: Duration::from_secs(30),
    login_timeout: Duration::from_secs(3),
    patience: Duration::from_secs(2),
    longest_latency: Duration::from_millis(200),
    longest_pause: Duration::from_secs(2),
};

/// Long enough for rules that count in minutes.
const SLOW: Pace = Pace {
    tick: Duration::from_secs(1),
    troubled: Duration::from_secs(400),
    login_timeout: Duration::from_secs(15),
    patience: Duration::from_secs(10),
    longest_latency: Duration::from_secs(2),
    longest_pause: Duration::from_secs(15),
};

#[derive(Clone, Debug)]
pub(crate) struct ClientPlan {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) session: Session,
    pub(crate) expiry_form: ExpiryForm,
    pub(crate) replay: ReplayPolicy,
    pub(crate) workers: usize,
    /// Whether credentials survive a crash.
    pub(crate) persists: bool,
    pub(crate) clock_runs_by_itself: bool,
    /// How far the wall clock is ahead or behind.
    pub(crate) skew: i64,
}

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Partition(String, String),
    OnewayPartition(String, String),
    Repair(String, String),
    Hold(String, String),
    Release(String, String),
    Loss(f64),
    Crash(String),
    Bounce(String),
    Revoke {
        account: String,
        with_refresh_tokens: bool,
    },
    Weather(Weather),
    Lag(Duration),
    /// A jump of a host's wall clock.
    Jump(String, i64),
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
    pub(crate) mode: Mode,
    pub(crate) lifetimes: Lifetimes,
    /// Whether requests to a forbidden path are made.
    pub(crate) forbids: bool,
    pub(crate) clients: Vec<ClientPlan>,
    /// Sorted by time.
    pub(crate) faults: Vec<(Duration, Fault)>,
}

pub(crate) fn between(chance: &mut Rng, shortest: Duration, longest: Duration) -> Duration {
    let range = longest.saturating_sub(shortest);
    // Whole milliseconds, the resolution of the timers.
    let millis = range.as_millis().try_into().unwrap_or(u64::MAX);
    shortest + Duration::from_millis(chance.u64(0..=millis))
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut chance = Rng::with_seed(seed);
        let pace = match chance.u8(0..10) {
            0..3 => BRISK,
            3..7 => USUAL,
            _ => SLOW,
        };
        let modes = [Mode::Concurrent, Mode::Exclusive, Mode::Rotating];
        let mode = modes[chance.usize(0..modes.len())];
        let lifetimes = match chance.u8(0..10) {
            0 => Lifetimes::Endless,
            _ => Lifetimes::Between(pace.troubled / 10, pace.troubled / 2),
        };
        let are_rivals = mode == Mode::Exclusive && chance.u8(0..4) == 0;
        let clients: Vec<_> = (0..chance.usize(2..=3))
            .map(|number| ClientPlan::of(number, mode, are_rivals, &mut chance))
            .collect();
        let forbids = chance.u8(0..3) == 0;
        let faults = faults(pace, &clients, &mut chance);
        Self {
            seed,
            pace,
            mode,
            lifetimes,
            forbids,
            clients,
            faults,
        }
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        let servers = [ISSUER, API, FOREIGN].map(str::to_owned);
        let clients = self.clients.iter().map(|client| client.name.clone());
        servers.into_iter().chain(clients).collect()
    }
}

impl ClientPlan {
    fn of(number: usize, mode: Mode, are_rivals: bool, chance: &mut Rng) -> Self {
        let is_rival = are_rivals && number < 2;
        Self {
            name: format!("client-{number}"),
            account: match is_rival {
                true => "shared".to_owned(),
                false => format!("account-{number}"),
            },
            session: match mode {
                Mode::Exclusive => Session::Exclusive,
                Mode::Rotating if chance.bool() => Session::Exclusive,
                _ => Session::Concurrent,
            },
            expiry_form: match chance.u8(0..10) {
                0 => ExpiryForm::Nothing,
                1 | 2 => ExpiryForm::Expiry,
                _ => ExpiryForm::Lifetime,
            },
            replay: match chance.u8(0..5) {
                0 => ReplayPolicy::No,
                1 | 2 => ReplayPolicy::Empty,
                _ => ReplayPolicy::With,
            },
            workers: chance.usize(1..=4),
            persists: chance.bool(),
            clock_runs_by_itself: chance.bool(),
            skew: match chance.bool() {
                true => chance.i64(-3_600_000..3_600_000),
                false => 0,
            },
        }
    }
}

/// Each fault lasts for a while. A link has one fault at a time.
fn faults(pace: Pace, clients: &[ClientPlan], chance: &mut Rng) -> Vec<(Duration, Fault)> {
    let mut faults = Vec::new();
    let mut busy_until: std::collections::BTreeMap<String, Duration> = Default::default();
    let share = |part: f64| pace.troubled.mul_f64(part);
    let (mut at, mut revocations) = (share(0.05), 0);
    loop {
        at += between(chance, Duration::ZERO, share(0.12));
        if at >= share(0.95) {
            break;
        }
        let until = (at + between(chance, pace.tick, share(0.15))).min(pace.troubled);
        let client = &clients[chance.usize(0..clients.len())];
        let name = client.name.clone();
        let server = if chance.bool() { ISSUER } else { API }.to_owned();
        let mut free = |what: &str| {
            let last = busy_until.get(what).copied().unwrap_or_default();
            let is_free = last < at;
            if is_free {
                busy_until.insert(what.to_owned(), until);
            }
            is_free
        };
        let link = format!("{name} {server}");
        let (begin, end) = match chance.u8(0..14) {
            0 if free(&link) => (
                Fault::Partition(name.clone(), server.clone()),
                Some(Fault::Repair(name, server)),
            ),
            // The login is complete, and its answer is lost.
            1 if free(&link) => (
                Fault::OnewayPartition(server.clone(), name.clone()),
                Some(Fault::Repair(name, server)),
            ),
            2 if free(&link) => (
                Fault::Hold(name.clone(), server.clone()),
                Some(Fault::Release(name, server)),
            ),
            3 if free("loss") => (
                Fault::Loss(0.02 + 0.2 * chance.f64()),
                Some(Fault::Loss(0.0)),
            ),
            4 if free(&name) => (Fault::Crash(name.clone()), Some(Fault::Bounce(name))),
            5 if free(&server) => (Fault::Crash(server.clone()), Some(Fault::Bounce(server))),
            // After three revocations in a row, logins are held back for a minute, which is long
            // here.
            6 | 7 if revocations < 2 || pace.troubled > BRISK.troubled => {
                revocations += 1;
                let revoke = Fault::Revoke {
                    account: client.account.clone(),
                    with_refresh_tokens: chance.bool(),
                };
                (revoke, None)
            }
            8 if free("weather") => (
                Fault::Weather(Weather::Slow(pace.login_timeout.mul_f64(chance.f64()))),
                Some(Fault::Weather(Weather::Fair)),
            ),
            9 if free("weather") => (
                Fault::Weather(Weather::Failing),
                Some(Fault::Weather(Weather::Fair)),
            ),
            10 if free("weather") => (
                Fault::Weather(Weather::Limiting(between(chance, pace.tick, share(0.1)))),
                Some(Fault::Weather(Weather::Fair)),
            ),
            11 if free("weather") => (
                Fault::Weather(Weather::Forgetful),
                Some(Fault::Weather(Weather::Fair)),
            ),
            12 if free("lag") => (
                Fault::Lag(between(chance, pace.tick, pace.patience)),
                Some(Fault::Lag(Duration::ZERO)),
            ),
            13 => {
                let millis = i64::try_from(pace.troubled.as_millis()).unwrap();
                (Fault::Jump(name, chance.i64(-millis..millis)), None)
            }
            _ => continue,
        };
        faults.push((at, begin));
        faults.extend(end.map(|end| (until, end)));
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}
