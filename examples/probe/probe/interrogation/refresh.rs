//! The questions about refresh tokens.

use std::time::Instant;

use tower_bearer::RefreshToken;

use super::{Held, Interrogation, steps::Use};
use crate::probe::report::{Found, Revokes, seconds};

pub(super) struct OfRefresh {
    pub(super) rotates: Found<bool>,
    pub(super) revokes: Found<Revokes>,
    pub(super) works_twice: Found<bool>,
    pub(super) has_token: bool,
}

impl Interrogation<'_> {
    pub(super) async fn refreshes(&mut self, current: &mut Option<Held>) -> OfRefresh {
        let ready = match current {
            _ if !self.config.can_refresh() => Err("no refresh is configured".to_owned()),
            None => Err("no login left a token that is accepted".to_owned()),
            Some(held) => match held.credential.refresh_token().cloned() {
                Some(token) => Ok((held.clone(), token)),
                None => Err("the login brings no refresh token".to_owned()),
            },
        };
        let (mut previous, token) = match ready {
            Ok(ready) => ready,
            Err(why) => return OfRefresh::not_tried(&why),
        };
        let is_previous_accepted = self.try_token(&mut previous).await;
        let refreshed = match self.refresh(&token).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(status)) => Err(format!("the refresh was refused: {}", status.as_u16())),
            Err(why) => Err(why),
        };
        let next = match refreshed {
            Ok(next) => {
                *current = None;
                next
            }
            Err(why) => {
                return OfRefresh {
                    has_token: true,
                    ..OfRefresh::not_tried(&why)
                };
            }
        };
        let new = next.credential.refresh_token().map(RefreshToken::expose);
        let is_new = new.is_some_and(|new| new != token.expose());
        let rotates = Ok((is_new, "the answer to refresh 1".to_owned()));
        let first_use = next.issued;
        let revokes = match self.accept(next).await {
            Ok(next) => {
                let next = current.insert(next);
                match is_previous_accepted {
                    Use::Accepted => self.revokes(previous, next).await,
                    Use::Unclear(why) => Err(why),
                    Use::Refused(_) => Err("the previous token was rejected before".to_owned()),
                }
            }
            Err(why) => Err(why),
        };
        OfRefresh {
            rotates,
            revokes,
            works_twice: self.second_use(&token, first_use, current).await,
            has_token: true,
        }
    }

    /// Uses a refresh token that was used before.
    async fn second_use(
        &mut self,
        token: &RefreshToken,
        first_use: Instant,
        current: &mut Option<Held>,
    ) -> Found<bool> {
        let held = current.take();
        // Some servers allow a second use for a while.
        let later = seconds(self.options.time.now().duration_since(first_use));
        let how = format!("refresh 2 sent the refresh token of refresh 1 again, {later} later");
        match self.refresh(token).await? {
            Ok(again) => {
                *current = self.accept(again).await.ok();
                Ok((true, how))
            }
            Err(status) => {
                let mut how = format!("{how}: {}", status.as_u16());
                if let Some(mut held) = held {
                    match self.try_token(&mut held).await {
                        Use::Accepted => *current = Some(held),
                        Use::Refused(_) => how += "; that ended the token of refresh 1",
                        Use::Unclear(_) => {}
                    }
                }
                Ok((false, how))
            }
        }
    }
}

impl OfRefresh {
    pub(super) fn not_tried(why: &str) -> Self {
        Self {
            rotates: Err(why.to_owned()),
            revokes: Err(why.to_owned()),
            works_twice: Err(why.to_owned()),
            has_token: false,
        }
    }
}
