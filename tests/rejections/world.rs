//! An API with its issuer, in virtual time. It is passive: the caller passes the time to `answer`
//! and `log_in`, in milliseconds. Time never goes backwards.

pub(crate) type Millis = u64;
pub(crate) type Token = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Accepted with a valid token.
    Healthy,
    /// Accepted with a valid token that was issued after the permission was granted.
    Forbidden,
    /// Accepted with any token.
    Public,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) at: Millis,
    pub(crate) target: u32,
    pub(crate) kind: Kind,
    /// The caller reads the body and reports the outcome; the layer does not.
    pub(crate) by_hand: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// Whether each login revokes the previous tokens.
    pub(crate) exclusive: bool,
    /// How long a token is valid after its login.
    pub(crate) life: Option<Millis>,
    /// How long a token is valid after its last accepted use.
    pub(crate) idle: Option<Millis>,
    /// When all tokens issued so far are revoked, in order.
    pub(crate) revocations: Vec<Millis>,
    /// Everything but public endpoints is rejected. Afterwards only tokens issued since are valid.
    pub(crate) outages: Vec<(Millis, Millis)>,
    /// The issuer fails.
    pub(crate) logins_down: Vec<(Millis, Millis)>,
    pub(crate) permitted_from: Option<Millis>,
    /// From then on tokens do not expire, and no rival logs in.
    pub(crate) faults_end_at: Option<Millis>,
    pub(crate) rival: Option<Rival>,
    /// The time of the rival's first action.
    pub(crate) rival_phase: Millis,

    pub(crate) state: State,
    /// The client's successful logins.
    pub(crate) logins: Vec<Millis>,
    /// The logins that replaced a token that was valid, or that could not become valid.
    pub(crate) needless_logins: Vec<Millis>,
    pub(crate) last_token: Option<Token>,
    pub(crate) failed_logins: Vec<Millis>,
    /// When another party revoked tokens.
    pub(crate) losses: Vec<Millis>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    tokens: Vec<Issued>,
    rival_token: Option<Token>,
    advanced_to: Millis,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Rival {
    /// Sends a request every so many milliseconds, and logs in when it is rejected.
    WhenRejected(Millis),
    /// Logs in every so many milliseconds.
    OnTimer(Millis),
}

#[derive(Clone, Copy, Debug)]
struct Issued {
    at: Millis,
    used_at: Millis,
    is_revoked: bool,
}

impl World {
    pub(crate) fn log_in(&mut self, now: Millis) -> Option<Token> {
        self.advance(now);
        if self
            .logins_down
            .iter()
            .any(|&(from, to)| (from..to).contains(&now))
        {
            self.failed_logins.push(now);
            return None;
        }
        let is_loss = self
            .last_token
            .is_some_and(|token| !self.is_valid(token, now));
        let is_out = self
            .outages
            .iter()
            .any(|&(from, to)| (from..=to).contains(&now));
        if !is_loss || is_out {
            self.needless_logins.push(now);
        }
        self.logins.push(now);
        self.last_token = Some(self.state.tokens.len());
        Some(self.issue(now))
    }

    pub(crate) fn answer(&mut self, token: Token, request: &Request, now: Millis) -> bool {
        self.advance(now);
        if request.kind == Kind::Public {
            return true;
        }
        let issued = self.state.tokens[token];
        let is_valid = self.is_valid(token, now);
        let is_permitted = request.kind == Kind::Healthy
            || self.permitted_from.is_some_and(|from| issued.at >= from);
        if is_valid {
            self.state.tokens[token].used_at = now;
        }
        is_valid && is_permitted
    }

    /// Whether a token issued now would be accepted now.
    pub(crate) fn could_serve(&self, kind: Kind, now: Millis) -> bool {
        let is_out = self
            .outages
            .iter()
            .any(|&(from, to)| (from..to).contains(&now));
        match kind {
            Kind::Public => true,
            Kind::Healthy => !is_out,
            Kind::Forbidden => !is_out && self.permitted_from.is_some_and(|from| now >= from),
        }
    }

    fn is_valid(&self, token: Token, now: Millis) -> bool {
        let issued = self.state.tokens[token];
        let lived_until = now.min(self.faults_end_at.unwrap_or(now));
        !issued.is_revoked
            && self.life.is_none_or(|life| lived_until < issued.at + life)
            && self
                .idle
                .is_none_or(|idle| lived_until < issued.used_at + idle)
            && !self
                .outages
                .iter()
                .any(|&(from, to)| (from..to).contains(&now) || (now >= to && issued.at < to))
    }

    fn issue(&mut self, now: Millis) -> Token {
        if self.exclusive {
            self.revoke_all();
        }
        self.state.tokens.push(Issued {
            at: now,
            used_at: now,
            is_revoked: false,
        });
        self.state.tokens.len() - 1
    }

    fn revoke_all(&mut self) {
        for it in self
            .state
            .tokens
            .iter_mut()
            .rev()
            .take_while(|it| !it.is_revoked)
        {
            it.is_revoked = true;
        }
    }

    fn advance(&mut self, now: Millis) {
        let from = self.state.advanced_to;
        self.state.advanced_to = now.max(from);
        let mut due: Vec<(Millis, bool)> = Vec::new();
        while let Some(&at) = self.revocations.first().filter(|&&at| at <= now) {
            self.revocations.remove(0);
            due.push((at, false));
        }
        if let Some(Rival::WhenRejected(period) | Rival::OnTimer(period)) = self.rival {
            let passed = (from.max(self.rival_phase) - self.rival_phase) / period;
            let mut at = self.rival_phase + passed * period;
            while at <= now.min(self.faults_end_at.unwrap_or(now)) {
                if at > from {
                    due.push((at, true));
                }
                at += period;
            }
        }
        due.sort_unstable();
        for (at, by_rival) in due {
            if by_rival {
                // The rival's token is the last one issued, unless the client has logged in since.
                let newest = self.state.tokens.len().checked_sub(1);
                let is_ours = newest.is_none() || self.state.rival_token != newest;
                if matches!(self.rival, Some(Rival::OnTimer(_))) || is_ours {
                    self.state.rival_token = Some(self.issue(at));
                    self.losses.push(at);
                }
            } else {
                self.revoke_all();
                self.losses.push(at);
            }
        }
    }
}
