//! The API: it issues tokens, revokes them, and knows whether a login had a reason.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderValue, StatusCode};
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{Instant, sleep},
};
use tower_bearer::{BoxError, Credential, Login, Session, login_fn};

use crate::network::{Dice, Network};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// How long a provider uses a token: the default margin is 10 s. The login's own time counts too.
const USED_FOR: Duration = Duration::from_secs(3600 - 10 - 1);

/// The earliest share of that time at which a concurrent session is refreshed ahead.
pub(crate) const EARLIEST_REFRESH: f64 = 0.7;

#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    session: Session,
    network: Network,
    state: Mutex<State>,
    /// After each revocation and login. It wakes in a fixed order, unlike a watch channel.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    tokens: Vec<Token>,
    revoked_at: Option<Instant>,
    spread: Option<Spread>,
    tally: ApiTally,
}

struct Token {
    issued_at: Instant,
    is_revoked: bool,
}

/// The spread of a session over the fleet, after a revocation.
struct Spread {
    revoked_at: Instant,
    token: usize,
    has_it: Vec<bool>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ApiTally {
    pub(crate) logins: u64,
    /// Logins after a revocation: the first after each.
    pub(crate) after_revocation: u64,
    /// The superfluous ones of instances that could not reach the store.
    pub(crate) of_cut_off: u64,
    /// Logins that replaced a token which was neither revoked nor due to be replaced.
    pub(crate) superfluous: u64,
    pub(crate) last_superfluous: Option<Instant>,
    /// Revocations of a live token.
    pub(crate) revocations: u64,
    /// Times from a revocation until the last instance has used the next token.
    pub(crate) spreads: Vec<Duration>,
}

impl Api {
    pub(crate) fn new(session: Session, network: Network) -> Self {
        Self(Arc::new(Shared {
            session,
            network,
            state: Mutex::default(),
            changed: Arc::default(),
        }))
    }

    /// A future that ends with the next revocation or login after this call.
    pub(crate) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.0.changed).notified_owned()
    }

    pub(crate) fn tally(&self) -> ApiTally {
        self.0.state.lock().unwrap().tally.clone()
    }

    /// The header value of the newest token.
    pub(crate) fn newest(&self) -> String {
        let state = self.0.state.lock().unwrap();
        format!("Bearer {}", state.tokens.len().wrapping_sub(1))
    }

    pub(crate) fn login(&self, instance: usize, dice: Dice) -> impl Login + use<> {
        let api = self.clone();
        let login = login_fn(move |_| {
            let (api, dice) = (api.clone(), dice.clone());
            async move {
                let half = dice.milliseconds(200..600) / 2;
                sleep(half).await;
                let credential = api.issue(instance)?;
                sleep(half).await;
                Ok::<_, BoxError>(credential)
            }
        });
        login.with_session(self.0.session)
    }

    fn issue(&self, instance: usize) -> Result<Credential, BoxError> {
        let now = Instant::now();
        let mut state = self.0.state.lock().unwrap();
        let state = &mut *state;
        state.tally.logins += 1;
        let used_for = match self.0.session {
            Session::Exclusive => USED_FOR,
            // Less some seconds: the oldest token counts of those that instances without a store have got.
            _ => USED_FOR.mul_f64(EARLIEST_REFRESH) - Duration::from_secs(30),
        };
        match state.tokens.last() {
            Some(newest) if newest.is_revoked => state.tally.after_revocation += 1,
            Some(newest) if now - newest.issued_at < used_for => {
                state.tally.superfluous += 1;
                state.tally.last_superfluous = Some(now);
                let is_cut_off = self.0.network.is_cut_off(instance);
                state.tally.of_cut_off += u64::from(is_cut_off);
            }
            _ => {}
        }
        if self.0.session == Session::Exclusive {
            state.tokens.iter_mut().for_each(|it| it.is_revoked = true);
        }
        let token = state.tokens.len();
        if let Some(revoked_at) = state.revoked_at.take() {
            state.spread = Some(Spread {
                revoked_at,
                token,
                has_it: vec![false; self.0.network.instances()],
            });
        }
        state.tokens.push(Token {
            issued_at: now,
            is_revoked: false,
        });
        self.0.changed.notify_waiters();
        Ok(Credential::new(token.to_string())?.with_lifetime(HOUR))
    }

    /// Revokes each token.
    pub(crate) fn revoke(&self) {
        let mut state = self.0.state.lock().unwrap();
        let is_live = state.tokens.last().is_some_and(|it| !it.is_revoked);
        state.tally.revocations += u64::from(is_live);
        state.revoked_at.get_or_insert_with(Instant::now);
        state.tokens.iter_mut().for_each(|it| it.is_revoked = true);
        self.0.changed.notify_waiters();
    }

    /// A request of an instance.
    pub(crate) async fn answer(
        &self,
        instance: usize,
        value: &HeaderValue,
        dice: &Dice,
    ) -> StatusCode {
        let half = dice.milliseconds(20..50) / 2;
        sleep(half).await;
        let is_accepted = self.accepts(instance, value);
        sleep(half).await;
        match is_accepted {
            true => StatusCode::OK,
            false => StatusCode::UNAUTHORIZED,
        }
    }

    fn accepts(&self, instance: usize, value: &HeaderValue) -> bool {
        let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let token: usize = token.parse().unwrap();
        let mut state = self.0.state.lock().unwrap();
        let known = &state.tokens[token];
        let is_accepted = !known.is_revoked && known.issued_at.elapsed() < HOUR;
        if is_accepted
            && let Some(spread) = &mut state.spread
            && spread.token <= token
        {
            spread.has_it[instance] = true;
            if spread.has_it.iter().all(|has_it| *has_it) {
                let took = spread.revoked_at.elapsed();
                state.tally.spreads.push(took);
                state.spread = None;
            }
        }
        is_accepted
    }
}
