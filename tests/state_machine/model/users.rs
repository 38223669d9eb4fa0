//! Sign-outs, credentials that are handed in, and the hooks that see secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tower_bearer::{Credential, Generation, RefreshToken, Retired, Retirement};

use super::Model;
use crate::doubles::number;

/// Who uses the provider, and what the hooks must get.
#[derive(Default)]
pub(crate) struct Users {
    /// The number of sign-outs: each begins the time of the next user.
    pub(crate) current: u32,
    pub(crate) is_signed_out: bool,
    /// The command whose event must come.
    commanded: Option<Command>,
    /// The token that was given to the storing hook last.
    stored: Option<usize>,
    /// What the provider no longer uses, until the hook gets it.
    due: BTreeMap<usize, Retirement>,
    due_refresh_tokens: BTreeMap<String, Retirement>,
    /// What the hook got from the login under way, as left by it.
    unspent: Option<String>,
    retired_refresh_tokens: BTreeSet<String>,
    /// The user of each refresh token.
    refresh_tokens: BTreeMap<String, u32>,
}

enum Command {
    SignOut,
    SetCredential(HandedIn),
}

#[derive(Clone)]
pub(crate) struct HandedIn {
    pub(crate) token: usize,
    pub(crate) refresh_token: Option<String>,
    pub(crate) lifetime: Option<Duration>,
}

impl Model {
    pub(crate) fn is_for_current_user(&self, user: u32) -> bool {
        user == self.users.current && !self.users.is_signed_out
    }

    // Commands.

    pub(crate) fn will_reset(&mut self) {
        self.users.is_signed_out = false;
        self.lets_go(Retirement::Replaced);
        self.forgets_failures();
        self.logins_without_effect = 0;
        self.rejected_since_reset = false;
        if let Some(flight) = &mut self.flight {
            flight.is_stale = true;
        }
    }

    pub(crate) fn will_sign_out(&mut self) {
        self.users.commanded = Some(Command::SignOut);
    }

    pub(crate) fn will_set(&mut self, handed_in: HandedIn) {
        self.honours_from_now_on(handed_in.token, handed_in.lifetime);
        self.knows_refresh_token(handed_in.refresh_token.as_ref());
        self.users.commanded = Some(Command::SetCredential(handed_in));
    }

    pub(super) fn signed_out(&mut self) {
        let Some(Command::SignOut) = self.users.commanded.take() else {
            return self.violated("reported a sign-out that was not ordered");
        };
        self.users.current += 1;
        self.users.is_signed_out = true;
        self.lets_go(Retirement::SignedOut);
        self.forgets_failures();
        self.logins_without_effect = 0;
        self.rejected_since_reset = false;
        let held = self.refresh_token.take();
        let mut untaken = None;
        if let Some(flight) = &mut self.flight {
            (flight.is_stale, flight.is_signed_out) = (true, true);
            untaken = flight.untaken.take();
        }
        self.retires_refresh_token(held, Retirement::SignedOut);
        self.retires_refresh_token(untaken, Retirement::SignedOut);
    }

    pub(super) fn credential_set(&mut self, generation: Generation) {
        let Some(Command::SetCredential(set)) = self.users.commanded.take() else {
            return self.violated("reported a credential that was not handed in");
        };
        self.users.is_signed_out = false;
        self.forgets_failures();
        if let Some(flight) = &mut self.flight {
            flight.is_stale = true;
        }
        if set.refresh_token.is_some() {
            let previous = self.refresh_token.take();
            self.refresh_token = set.refresh_token;
            self.retires_refresh_token(previous, Retirement::Replaced);
        }
        let now = self.moment();
        self.publish(
            set.token,
            generation,
            set.lifetime,
            (now, now.0),
            false,
            Duration::ZERO,
        );
    }

    fn forgets_failures(&mut self) {
        (self.failures, self.permanent, self.next_attempt) = (0, 0, None);
    }

    /// Whether reports about this generation count: it is one of the last 64, and of this user.
    pub(crate) fn knows(&self, generation: Generation) -> bool {
        let mut last = self.published.iter().rev().take(64);
        last.any(|it| it.generation == generation && it.user == self.users.current)
    }

    pub(crate) fn knows_token(&self, token: usize) -> bool {
        let published = self.published.iter().find(|it| it.token == token);
        published.is_some_and(|it| self.knows(it.generation))
    }

    /// The refresh token that the provider has.
    pub(crate) fn held_refresh_token(&self) -> Option<String> {
        self.refresh_token.clone()
    }

    // Hooks.

    /// The credential in use, or the rejected one, is not used any more.
    pub(super) fn lets_go(&mut self, why: Retirement) {
        let rejected = self.rejected.take().map(|(at, _)| at);
        if let Some(at) = self.in_use.take().or(rejected) {
            self.retires(self.published[at].token, why);
        }
    }

    pub(super) fn retires(&mut self, token: usize, why: Retirement) {
        self.users.due.insert(token, why);
    }

    /// Not used any more, unless the provider goes on with the same one.
    pub(super) fn retires_refresh_token(&mut self, token: Option<String>, why: Retirement) {
        if let Some(token) = token
            && self.refresh_token.as_ref() != Some(&token)
        {
            self.users.due_refresh_tokens.insert(token, why);
        }
    }

    /// A login has ended and has left the refresh token that is now held. The hook got it before,
    /// unless the login was lost: nobody knows whether it was spent.
    pub(super) fn left(&mut self, is_lost: bool) {
        let reported = self.users.unspent.take();
        if reported != self.refresh_token && !is_lost {
            self.violated("the unspent refresh token is not reported");
        }
    }

    /// A refresh token of the current user.
    pub(super) fn knows_refresh_token(&mut self, token: Option<&String>) {
        let user = self.users.current;
        if let Some(token) = token {
            self.users
                .refresh_tokens
                .entry(token.clone())
                .or_insert(user);
        }
    }

    /// I2: a login takes this one.
    pub(super) fn offers(&mut self, token: &str) {
        if self.users.retired_refresh_tokens.contains(token) {
            self.violated("I2: a retired refresh token is offered");
        }
        if self.users.refresh_tokens.get(token) != Some(&self.users.current) {
            self.violated("I2: the refresh token of another user is offered");
        }
    }

    pub(crate) fn is_stored(&mut self, credential: &Credential) {
        let token = number(credential.token().expose());
        let (expected, refresh_token) = match (&self.users.commanded, &self.brought) {
            (Some(Command::SetCredential(set)), _) => (Some(set.token), set.refresh_token.clone()),
            (_, Some(brought)) => {
                let flight = self.flight.as_ref();
                let is_published = flight.is_some_and(|flight| !flight.is_stale);
                let untaken = flight.and_then(|flight| flight.untaken.clone());
                let refresh_token = brought.refresh_token.clone().or(untaken);
                (Some(brought.token).filter(|_| is_published), refresh_token)
            }
            _ => (None, None),
        };
        if token.is_none() || token != expected {
            self.violated("a credential is stored that will not be used");
        }
        if credential.refresh_token().map(|it| it.expose()) != refresh_token.as_deref() {
            self.violated("another refresh token is stored");
        }
        self.users.stored = token;
    }

    /// A credential is now in use: it was stored before.
    pub(super) fn was_stored(&mut self, token: usize) {
        if self.users.stored.take() != Some(token) {
            self.violated("a credential in use was not stored");
        }
    }

    pub(crate) fn is_retired(&mut self, retired: &Retired) {
        if let Some(credential) = retired.credential() {
            if credential.refresh_token().is_some() {
                self.violated("a retired refresh token has two places");
            }
            let due = number(credential.token().expose()).and_then(|it| self.users.due.remove(&it));
            if due != Some(retired.reason()) {
                self.violated(format!("retired as {retired:?}, but expected {due:?}"));
            }
        }
        if let Some(refresh_token) = retired.refresh_token() {
            let token = refresh_token.expose();
            let due = self.users.due_refresh_tokens.remove(token);
            if due != Some(retired.reason()) {
                self.violated(format!(
                    "a refresh token retired as {:?}, but expected {due:?}",
                    retired.reason()
                ));
            }
            if !self.users.retired_refresh_tokens.insert(token.to_owned()) {
                self.violated("a refresh token is retired twice");
            }
        }
    }

    pub(crate) fn is_left(&mut self, refresh_token: &RefreshToken) {
        let token = refresh_token.expose();
        let is_known = self.users.refresh_tokens.get(token) == Some(&self.users.current);
        if !is_known || self.users.retired_refresh_tokens.contains(token) {
            self.violated("a refresh token is reported as unspent, and is not kept");
        }
        self.users.unspent = Some(token.to_owned());
    }

    /// At the end of each step, all hooks have run.
    pub(crate) fn hooks_have_run(&mut self) {
        if !self.users.due.is_empty() {
            self.violated(format!("never retired: {:?}", self.users.due));
        }
        if !self.users.due_refresh_tokens.is_empty() {
            let due = &self.users.due_refresh_tokens;
            self.violated(format!("refresh tokens never retired: {due:?}"));
        }
        if self.users.unspent.is_some() {
            self.violated("a refresh token is reported as unspent, and no login has ended");
        }
        if self.users.commanded.is_some() {
            self.violated("a command without its event");
        }
    }
}
