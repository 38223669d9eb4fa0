//! The requirements of a variant, and how they are measured.

use std::fmt;

use crate::{
    client::{Outcome, Report},
    world::{Kind, Millis},
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// At most so many healthy requests that could be served fail after `from`.
    Lost {
        from: Millis,
        at_most: usize,
    },
    /// At most so many fail for each login.
    LostPerLogin {
        at_most: usize,
    },
    /// At most so many logins between `from` and `to`.
    Logins {
        from: Millis,
        to: Millis,
        at_most: usize,
    },
    /// At most so many logins in every window of this length that begins at `from` or later.
    LoginsInAny {
        window: Millis,
        from: Millis,
        at_most: usize,
    },
    /// No more logins than rejected requests.
    LoginsPerForbidden {
        and: usize,
    },
    /// A request of this kind is served in time again, and so are all later ones.
    ServedAgain {
        kind: Kind,
        after: Millis,
        within: Millis,
        then_lost: usize,
    },
    /// From the first successful login after this time.
    ServedAfterLogin {
        after: Millis,
        within: Millis,
    },
    RivalSuspected(bool),
}

/// A measured value and its bound.
pub(crate) struct Measured {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) bound: f64,
}

impl Measured {
    pub(crate) fn holds(&self) -> bool {
        self.value <= self.bound + 1e-9
    }

    fn or(self, other: Self) -> Self {
        if self.holds() { other } else { self }
    }
}

impl Bound {
    pub(crate) fn measure(self, report: &Report) -> Measured {
        let logins = &report.world.logins;
        let lost =
            |it: &&Outcome| it.request.kind == Kind::Healthy && it.was_servable && !it.is_served;
        let (what, value, bound) = match self {
            Self::Lost { from, at_most } => {
                let lost = report
                    .outcomes
                    .iter()
                    .filter(|it| it.request.at >= from)
                    .filter(lost);
                ("lost", lost.count(), at_most)
            }
            Self::LostPerLogin { at_most } => {
                let lost = report.outcomes.iter().filter(lost).count();
                ("lost", lost, at_most * logins.len())
            }
            Self::Logins { from, to, at_most } => {
                let count = logins
                    .iter()
                    .filter(|&&at| (from..to).contains(&at))
                    .count();
                ("logins", count, at_most)
            }
            Self::LoginsInAny {
                window,
                from,
                at_most,
            } => {
                let late: Vec<_> = logins.iter().filter(|&&at| at >= from).collect();
                let mut first = 0;
                let most = (0..late.len()).map(|last| {
                    while *late[first] + window <= *late[last] {
                        first += 1;
                    }
                    last + 1 - first
                });
                let most = most.max();
                ("logins", most.unwrap_or(0), at_most)
            }
            Self::LoginsPerForbidden { and } => {
                let calls = report
                    .outcomes
                    .iter()
                    .filter(|it| it.request.kind == Kind::Forbidden);
                ("logins", logins.len() - 1, calls.count() + and)
            }
            Self::ServedAgain {
                kind,
                after,
                within,
                then_lost,
            } => {
                let first = report
                    .outcomes
                    .iter()
                    .filter(|it| it.request.at >= after && it.request.kind == kind && it.is_served)
                    .map(|it| it.request.at)
                    .min();
                let Some(first) = first else {
                    return Measured {
                        what: "never again",
                        value: f64::MAX,
                        bound: 0.0,
                    };
                };
                let lost = report
                    .outcomes
                    .iter()
                    .filter(|it| it.request.at >= first && it.request.kind == kind && !it.is_served)
                    .count();
                if lost > then_lost {
                    ("lost after", lost, then_lost)
                } else {
                    (
                        "seconds",
                        ((first - after) as usize).div_ceil(1000),
                        within as usize / 1000,
                    )
                }
            }
            Self::ServedAfterLogin { after, within } => {
                let login = logins
                    .iter()
                    .copied()
                    .find(|&at| at >= after)
                    .unwrap_or(after);
                let before = report.world.failed_logins.last().copied().unwrap_or(after);
                return Self::ServedAgain {
                    kind: Kind::Healthy,
                    after: login,
                    within,
                    then_lost: 0,
                }
                .measure(report)
                .or(Measured {
                    what: "seconds to login",
                    value: (login.saturating_sub(before) as f64) / 1000.0,
                    bound: 65.0,
                });
            }
            Self::RivalSuspected(expected) => (
                "rival",
                usize::from(report.rival_suspected_at.is_some() != expected),
                0,
            ),
        };
        Measured {
            what,
            value: value as f64,
            bound: bound as f64,
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            f64::MAX => f.write_str(self.what),
            value => write!(
                f,
                "{value} {}, but {} at most are allowed",
                self.what, self.bound
            ),
        }
    }
}
