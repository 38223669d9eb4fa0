//! The tokens that requests may be sent with.

use super::Model;
use crate::script::Kind;

/// The state of a request, by its number.
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) is_kept: bool,
    pub(crate) started_in: usize,
    /// The number of sign-outs before it started.
    pub(crate) user: u32,
    /// The number of credentials published before it started.
    floor: usize,
    /// The credential in use when it started.
    in_use: Option<usize>,
    pub(crate) sent: Vec<Option<usize>>,
    pub(crate) is_over: bool,
    pub(crate) has_waited_for_slot: bool,
}

impl Model {
    pub(crate) fn starts(&mut self, number: usize, kind: Kind, is_kept: bool) {
        self.note_what_is_usable();
        let asked = Asked {
            kind,
            is_kept,
            started_in: self.step,
            user: self.users.current,
            floor: self.published.len(),
            in_use: self.in_use,
            sent: Vec::new(),
            is_over: false,
            has_waited_for_slot: false,
        };
        self.requests.insert(number, asked);
    }

    /// A request is sent with the token of this number.
    pub(crate) fn sends(&mut self, number: usize, token: Option<usize>) {
        let Some(asked) = self.requests.get(&number) else {
            return self.violated("an unknown request");
        };
        let mut wrong = Vec::new();
        let may_be_sent = if asked.is_kept { 2 } else { 1 };
        if asked.sent.len() >= may_be_sent || asked.is_over {
            wrong.push("I3: a request is sent too often");
        }
        let is_ours = matches!(asked.kind, Kind::Plain | Kind::Fresh);
        if is_ours != token.is_some() {
            wrong.push("I9: a token is sent where none belongs, or is missing");
        }
        if let Some(token) = token {
            match self.published.iter().position(|it| it.token == token) {
                None => wrong.push("a token that was never published"),
                Some(at) => {
                    let is_newer = at >= asked.floor;
                    let it = &self.published[at];
                    if it.user != asked.user {
                        wrong.push("sent for another user than the one at its start");
                    }
                    if it.user != self.users.current {
                        wrong.push("sent for a user who has signed out");
                    }
                    if !is_newer && at + 1 != asked.floor {
                        wrong.push("I8: older than what was published before the request started");
                    }
                    // A request that waited looks only once more if it is polled late. Within its margin,
                    // a credential serves a request whose login has failed or was lost.
                    let has_failed = self.is_pausing()
                        || self
                            .last_failure
                            .is_some_and(|step| step >= asked.started_in);
                    // A request that waited for a slot is sent with the token that it got before.
                    let has_waited = asked.has_waited_for_slot && it.usable_in >= asked.started_in;
                    let serves = has_waited || (has_failed && self.in_margin() == Some(at));
                    let is_in_use = self.usable() == Some(at) || serves;
                    if !is_in_use && self.published.len() <= asked.floor + 1 {
                        wrong.push("no longer in use when the request was polled");
                    }
                    if !is_newer && it.usable_in < asked.started_in {
                        wrong.push("expired, taken out or reset before the request started");
                    }
                    if let Some(Some(before)) = asked.sent.first() {
                        self.counts.replays += 1;
                        let place = self.published.iter().position(|it| it.token == *before);
                        if place.is_none_or(|place| place >= at) {
                            wrong.push("replayed without a newer token");
                        }
                    } else if asked.kind == Kind::Fresh && asked.in_use == Some(at) {
                        wrong.push("the request asked for a fresh one");
                    }
                }
            }
        }
        for what in wrong {
            self.violated(format!("request {number}: {what}"));
        }
        if let Some(asked) = self.requests.get_mut(&number) {
            asked.sent.push(token);
        }
    }
}

impl Asked {
    /// Whether it is under way and lacks a token, and is of the current user.
    pub(crate) fn asks_for_login(&self, user: u32) -> bool {
        self.user == user && self.lacks_token()
    }

    pub(crate) fn lacks_token(&self) -> bool {
        let is_ours = matches!(self.kind, Kind::Plain | Kind::Fresh);
        is_ours && !self.is_over && self.sent.len() < if self.is_kept { 2 } else { 1 }
    }

    pub(super) fn asks_for_fresh(&self, user: u32) -> bool {
        self.user == user && self.kind == Kind::Fresh && !self.is_over && self.sent.is_empty()
    }
}
