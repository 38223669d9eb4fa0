//! The questions, in an order that needs few logins.

mod lifetime;
mod refresh;
mod steps;

use std::time::{Duration, Instant};

use tower_bearer::{BoxError, Credential, HttpLogin, Origins};

use self::{
    refresh::OfRefresh,
    steps::{Use, Watched},
};
use super::{
    Config, Options, Report,
    announced::Announced,
    report::{Answered, Counts, Found, Offset, Revokes, seconds},
    tap::Tap,
};

/// A token that is accepted for so long after a login was not revoked by it: copies of a server lag
/// behind for less.
const LONG_ENOUGH: Duration = Duration::from_secs(5);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// The longest wait to tell a revoked token from an expired one.
const LONGEST_CHECK: Duration = Duration::from_secs(90);
/// The longest wait for whether a token is revoked.
pub(crate) const LONGEST_WATCH: Duration = Duration::from_secs(50 + 90);

pub(crate) struct Interrogation<'a> {
    config: &'a Config,
    options: &'a Options,
    tap: Tap,
    login: HttpLogin,
    counts: Counts,
    announced: Found<Vec<Announced>>,
    token_type: Found<String>,
    clock: Found<Offset>,
    clock_by_jwt: Found<Offset>,
    revoked: Found<Answered>,
    expired: Found<Answered>,
}

/// A credential, and what is known of it.
#[derive(Clone)]
struct Held {
    credential: Credential,
    /// Such as `login 1`.
    label: String,
    /// The server has made it between these two.
    issued: Instant,
    received: Instant,
    /// The last time that the API accepted it.
    accepted: Instant,
    announced: Option<Duration>,
}

impl<'a> Interrogation<'a> {
    pub(crate) fn new(
        config: &'a Config,
        options: &'a Options,
        tap: Tap,
    ) -> Result<Self, BoxError> {
        Origins::new([config.origin()?.as_str()])?; // no token in the clear
        let unknown = str::to_owned;
        Ok(Self {
            login: config.login(tap.clone())?,
            config,
            options,
            tap,
            counts: Counts::default(),
            announced: Err(unknown("no login succeeded")),
            token_type: Err(unknown("no login succeeded")),
            clock: Err(unknown("no answer of the login had a Date")),
            clock_by_jwt: Err(unknown("no login brought a JWT with an iat")),
            revoked: Err(unknown("no login and no refresh revoked a token")),
            expired: Err(unknown("no token was seen to expire")),
        })
    }

    pub(crate) async fn run(mut self) -> Report {
        let no_token = self.bad_request(None).await;
        let garbage = self.bad_request(Some("garbage-token")).await;
        let first = self.log_in().await;
        let first = match (blindness(&no_token, &garbage), first) {
            (Some(why), Ok(_)) => Err(why),
            (_, Ok(held)) => self.accept(held).await,
            (_, Err(why)) => Err(why),
        };
        let (login_revokes, of_refresh, lifetime) = match first {
            Ok(first) => {
                let mut current = Some(first.clone());
                let login_revokes = self.login_revokes(first, &mut current).await;
                let of_refresh = self.refreshes(&mut current).await;
                (login_revokes, of_refresh, self.lifetime(current).await)
            }
            Err(why) => {
                let of_refresh = OfRefresh::not_tried(&why);
                (Err(why.clone()), of_refresh, Err(why))
            }
        };
        if self.expired.is_err()
            && let Err(why) = &lifetime
        {
            self.expired = Err(why.clone());
        }
        Report {
            login_revokes,
            announced: self.announced,
            lifetime,
            refresh_rotates: of_refresh.rotates,
            refresh_revokes: of_refresh.revokes,
            refresh_works_twice: of_refresh.works_twice,
            expired: self.expired,
            revoked: self.revoked,
            garbage,
            no_token,
            clock: self.clock,
            clock_by_jwt: self.clock_by_jwt,
            token_type: self.token_type,
            has_refresh_token: of_refresh.has_token,
            counts: self.counts,
        }
    }

    async fn login_revokes(&mut self, first: Held, current: &mut Option<Held>) -> Found<Revokes> {
        let second = self.log_in().await?;
        *current = None; // it may be revoked by now
        let second = self.accept(second).await?;
        let second = current.insert(second);
        self.revokes(first, second).await
    }

    /// Whether the next token has revoked the previous one.
    async fn revokes(&mut self, previous: Held, next: &mut Held) -> Found<Revokes> {
        let (before, after) = (previous.label.clone(), next.label.clone());
        if previous.token() == next.token() {
            return Ok((
                Revokes::SameToken,
                format!("{before} and {after} brought one token"),
            ));
        }
        match self.watch(previous.clone(), next.received).await? {
            Watched::Rejected(answered, waited) => {
                // Both may have expired: the next one then dies as much later as it is younger.
                let check = next.received.duration_since(previous.issued) + SECOND;
                if check > LONGEST_CHECK.min(self.options.limits.patience / 2) {
                    let (takes, patience) = (seconds(check), in_minutes(check * 2));
                    return Err(format!(
                        "the token of {before} was rejected, and to tell that from its expiry takes \
                         {takes}; --patience {patience}"
                    ));
                }
                self.sleep(check).await;
                match self.try_token(next).await {
                    Use::Accepted => {}
                    Use::Refused(_) => {
                        return Err(format!(
                            "the tokens of {before} and {after} were both rejected"
                        ));
                    }
                    Use::Unclear(why) => return Err(why),
                }
                let (waited, check) = (seconds(waited), seconds(check));
                let how = format!(
                    "the token of {before} was accepted before {after}, and rejected {waited} after \
                     it; that of {after} was accepted {check} later"
                );
                self.revoked = Ok((answered, how.clone()));
                Ok((Revokes::Yes, how))
            }
            Watched::Accepted(times, lasted) if lasted >= LONG_ENOUGH => {
                let lasted = seconds(lasted);
                let how = format!(
                    "after {after} the token of {before} was accepted {times} times, the last time \
                     {lasted} later"
                );
                Ok((Revokes::No, how))
            }
            Watched::Accepted(_, lasted) => {
                let why = match previous.announced {
                    Some(announced) if announced < 2 * LONG_ENOUGH => "it expires too soon",
                    _ => "--patience 20s",
                };
                let lasted = seconds(lasted);
                Err(format!(
                    "the token of {before} was accepted for {lasted} after {after}, but a server may \
                     be late; {why}"
                ))
            }
        }
    }
}

impl Held {
    fn token(&self) -> &str {
        self.credential.token().expose()
    }
}

/// Why no answer of the API tells whether a token is accepted.
fn blindness(no_token: &Found<Answered>, garbage: &Found<Answered>) -> Option<String> {
    for (answered, what) in [
        (no_token, "without a token"),
        (garbage, "with a garbage token"),
    ] {
        if let Ok((Answered { status, .. }, _)) = answered
            && status.is_success()
        {
            let status = status.as_u16();
            return Some(format!(
                "the API answers {status} {what}: name a URL that needs one"
            ));
        }
    }
    match (no_token, garbage) {
        (Err(why), Err(_)) => Some(why.clone()),
        _ => None,
    }
}

/// As `--patience` takes it.
fn in_minutes(duration: Duration) -> String {
    format!("{}m", duration.as_secs_f64().div_euclid(60.0) + 1.0)
}
