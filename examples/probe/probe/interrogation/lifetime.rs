//! The question about the real lifetime.

use std::time::Duration;

use super::{Held, Interrogation, SECOND, in_minutes, steps::Use};
use crate::probe::report::{Found, Lived, known, seconds};

impl Interrogation<'_> {
    /// Uses a token until it is rejected.
    pub(super) async fn lifetime(&mut self, current: Option<Held>) -> Found<Lived> {
        let patience = self.options.limits.patience;
        let of_login = known(&self.announced).and_then(|all| all.first());
        let of_login = of_login.map(|it| it.lifetime);
        let announced = current.as_ref().map_or(of_login, |held| held.announced);
        if let Some(announced) = announced {
            let needed = announced + slack(announced);
            if needed > patience {
                let (announced, minutes) = (seconds(announced), in_minutes(needed));
                return Err(format!("would take {announced}; --patience {minutes}"));
            }
        }
        let is_young = |held: &Held| {
            let age = self.options.time.now().duration_since(held.issued);
            held.announced
                .is_none_or(|announced| age + SECOND < announced)
        };
        let mut current = current.filter(is_young);
        if let Some(held) = &mut current
            && !matches!(self.try_token(held).await, Use::Accepted)
        {
            current = None; // it has ended unseen
        }
        let mut held = match current {
            Some(held) => held,
            None => {
                let held = self.log_in().await?;
                self.accept(held).await?
            }
        };
        let begun = self.age(&held);
        let ages: Vec<Duration> = match held.announced {
            Some(announced) if announced + slack(announced) <= patience => {
                let last = [
                    announced * 99 / 100,
                    announced + SECOND,
                    announced + slack(announced),
                ];
                let parts = (1..20).map(|part| announced * part / 20);
                parts.chain(last).collect()
            }
            _ => (1..=20).map(|part| begun + patience * part / 20).collect(),
        };
        let mut unclear = None;
        for age in ages.into_iter().filter(|age| *age > begun) {
            self.sleep(age.saturating_sub(self.age(&held))).await;
            match self.try_token(&mut held).await {
                Use::Accepted => unclear = None,
                Use::Unclear(why) => unclear = Some(why),
                Use::Refused(answered) => {
                    let rejected_at = self.age(&held);
                    let how = format!(
                        "the token of {}, {} after it",
                        held.label,
                        seconds(rejected_at)
                    );
                    self.expired = Ok((answered, how));
                    return Ok(held.lived(Some(rejected_at)));
                }
            }
        }
        let lived = held.lived(None);
        match (held.announced, unclear) {
            (_, Some(why)) => Err(why),
            (Some(announced), None) if lived.0.accepted_at > announced => Ok(lived),
            _ => Err(format!(
                "a token is still accepted {} after its login; --patience {}",
                seconds(lived.0.accepted_at),
                in_minutes(patience * 10)
            )),
        }
    }
}

impl Held {
    fn lived(&self, rejected_at: Option<Duration>) -> (Lived, String) {
        let lived = Lived {
            accepted_at: self.accepted.duration_since(self.received),
            rejected_at,
            announced: self.announced,
        };
        (
            lived,
            format!(
                "the token of {} was used again and again, which may prolong it",
                self.label
            ),
        )
    }
}

/// How long a token is used after its announced end.
fn slack(announced: Duration) -> Duration {
    (announced / 10).min(Duration::from_secs(25)) + 5 * SECOND
}
