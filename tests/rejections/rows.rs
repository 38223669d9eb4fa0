//! The scenarios and what is required of each.

use std::fmt;

use crate::{
    client::{Outcome, Report, Setup},
    world::{Kind, Millis, Request, Rival, World},
};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// One variant of a row.
pub(crate) struct Variant {
    pub(crate) row: &'static str,
    pub(crate) name: String,
    pub(crate) setup: Setup,
    pub(crate) world: World,
    calls: Vec<Calls>,
    pub(crate) resets: Vec<Millis>,
    pub(crate) bounds: Vec<Bound>,
}

impl Variant {
    /// Made when they are needed: all variants together have millions.
    pub(crate) fn requests(&self) -> Vec<Request> {
        merged(&self.calls)
    }

    /// How many requests there are.
    pub(crate) fn length(&self) -> u64 {
        let lengths = self.calls.iter().map(|it| {
            let times = it.to.saturating_sub(it.from).div_ceil(it.every);
            times * it.crowd as u64
        });
        lengths.sum()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// So many servable healthy requests may fail after `from`.
    Lost {
        from: Millis,
        at_most: usize,
    },
    /// So many for each login.
    LostPerLogin {
        at_most: usize,
    },
    /// Logins in a window, from and to.
    Logins {
        from: Millis,
        to: Millis,
        at_most: usize,
    },
    /// Logins in every window of this length that begins at `from` or later.
    LoginsInAny {
        window: Millis,
        from: Millis,
        at_most: usize,
    },
    /// No more logins than rejected requests.
    LoginsPerForbidden {
        and: usize,
    },
    /// The first request of this kind is served in time, and whatever comes later too.
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

/// What was measured for a bound, the limit, and whether a percentage of served requests.
pub(crate) struct Measured {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) bound: f64,
}

impl Measured {
    pub(crate) fn holds(&self) -> bool {
        self.value <= self.bound + 1e-9
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
            value => write!(f, "{value} {}, and not {} at most", self.what, self.bound),
        }
    }
}

impl Measured {
    fn or(self, other: Self) -> Self {
        if self.holds() { other } else { self }
    }
}

/// Requests of one kind, each `every` milliseconds from `from` on.
#[derive(Clone, Copy)]
struct Calls {
    kind: Kind,
    from: Millis,
    to: Millis,
    every: Millis,
    /// The first target; with `differs`, each request has the next one.
    target: u32,
    differs: bool,
    crowd: usize,
    by_hand: bool,
}

fn calls(kind: Kind, every: Millis) -> Calls {
    let (from, target) = match kind {
        Kind::Healthy => (0, 1_000_000),
        Kind::Forbidden => (MINUTE + 370, 2_000_017),
        Kind::Public => (210, 3_000_034),
    };
    Calls {
        kind,
        from,
        to: HOUR,
        every,
        target,
        differs: false,
        crowd: 1,
        by_hand: false,
    }
}

fn merged(all: &[Calls]) -> Vec<Request> {
    let mut requests = Vec::new();
    for it in all {
        let mut number = 0;
        let mut at = it.from;
        while at < it.to {
            let target = it.target + if it.differs { number } else { 0 };
            for _ in 0..it.crowd {
                requests.push(Request {
                    at,
                    target,
                    kind: it.kind,
                    by_hand: it.by_hand,
                });
            }
            number += 1;
            at += it.every;
        }
    }
    requests.sort_by_key(|it| it.at);
    requests
}

pub(crate) struct Rows(Vec<Variant>);

impl Rows {
    fn add(
        &mut self,
        row: &'static str,
        name: String,
        replays: bool,
        world: World,
        all: &[Calls],
        bounds: &[Bound],
    ) -> &mut Variant {
        self.0.push(Variant {
            row,
            name,
            setup: Setup {
                replays,
                ..Setup::default()
            },
            world,
            calls: all.to_vec(),
            resets: Vec::new(),
            bounds: bounds.to_vec(),
        });
        self.0.last_mut().unwrap()
    }
}

const PUBLIC: [Option<Millis>; 5] = [None, Some(500), Some(1_000), Some(5_000), Some(9_000)];

fn beside(first: &[Calls], public: Option<Millis>) -> Vec<Calls> {
    let mut all = first.to_vec();
    all.extend(public.map(|every| calls(Kind::Public, every)));
    all
}

pub(crate) fn rows() -> Vec<Variant> {
    let mut rows = Rows(Vec::new());
    short_sessions(&mut rows);
    revocations(&mut rows);
    outages(&mut rows);
    forbidden(&mut rows);
    rivals(&mut rows);
    by_hand(&mut rows);
    mixed(&mut rows);
    together(&mut rows);
    rows.0
}

fn short_sessions(rows: &mut Rows) {
    for exclusive in [false, true] {
        for public in PUBLIC {
            for life in [5, 10, 30, 60, 120, 240, 299] {
                for differs in [false, true] {
                    for replays in [true, false] {
                        for every in [1_000, 2_000] {
                            let world = World {
                                exclusive,
                                life: Some(life * SECOND),
                                ..World::default()
                            };
                            let healthy = Calls {
                                differs,
                                ..calls(Kind::Healthy, every)
                            };
                            let lives = HOUR.div_ceil(life * SECOND) as usize;
                            let row = match (public, differs, replays) {
                                (Some(_), _, _) => "5",
                                (None, true, _) => "3",
                                (None, false, true) => "1",
                                (None, false, false) => "2",
                            };
                            let short = life * SECOND < 4 * every;
                            let lost = match replays {
                                true => Bound::Lost {
                                    from: 0,
                                    at_most: 0,
                                },
                                false => Bound::LostPerLogin {
                                    at_most: if short { 1 } else { 2 },
                                },
                            };
                            let at_most = lives + 3;
                            let logins = Bound::Logins {
                                from: 1,
                                to: HOUR,
                                at_most,
                            };
                            rows.add(
                                row,
                                format!("exclusive {exclusive}, life {life}, public {public:?}, differs {differs}, replay {replays}, every {every}"),
                                replays,
                                world,
                                &beside(&[healthy], public),
                                &[lost, logins],
                            );
                        }
                    }
                }
            }
            for idle in [60, 120, 240] {
                for differs in [false, true] {
                    let world = World {
                        exclusive,
                        idle: Some(idle * SECOND),
                        ..World::default()
                    };
                    let every = (idle + 1) * SECOND;
                    let healthy = Calls {
                        differs,
                        ..calls(Kind::Healthy, every)
                    };
                    let at_most = HOUR.div_ceil(every) as usize;
                    let row = if public.is_some() {
                        "5"
                    } else if differs {
                        "3"
                    } else {
                        "4"
                    };
                    rows.add(
                        row,
                        format!("exclusive {exclusive}, idle {idle}, public {public:?}, differs {differs}"),
                        true,
                        world,
                        &beside(&[healthy], public),
                        &[Bound::Lost { from: 0, at_most: 0 }, Bound::Logins { from: 1, to: HOUR, at_most }],
                    );
                }
            }
        }
    }
}

fn revocations(rows: &mut Rows) {
    for public in PUBLIC {
        for replays in [true, false] {
            for down in [1, 60, 600] {
                for seed in 0..4 {
                    let at = 10 * MINUTE;
                    let until = at + down * SECOND;
                    let world = World {
                        revocations: vec![at],
                        logins_down: vec![(at, until)],
                        ..World::default()
                    };
                    let variant = rows.add(
                        "6",
                        format!("down {down}, public {public:?}, replay {replays}, seed {seed}"),
                        replays,
                        world,
                        &beside(&[calls(Kind::Healthy, SECOND)], public),
                        &[Bound::ServedAfterLogin {
                            after: until,
                            within: 5 * SECOND,
                        }],
                    );
                    variant.setup.seed = seed;
                }
            }
        }
        for apart in [5, 30, 120, 180] {
            for (name, from, reset) in [
                ("2 s after the start", 2_000, None),
                ("at ten minutes", 10 * MINUTE, None),
                ("2 s after a reset", 302_500, Some(300_500)),
            ] {
                for differs in [false, true] {
                    let world = World {
                        revocations: (0..3).map(|it| from + it * apart * SECOND).collect(),
                        ..World::default()
                    };
                    let at_most = 3 + usize::from(reset.is_some());
                    let healthy = Calls {
                        differs,
                        ..calls(Kind::Healthy, SECOND)
                    };
                    rows.add(
                        "7",
                        format!("{apart} s apart, {name}, public {public:?}, differs {differs}"),
                        true,
                        world,
                        &beside(&[healthy], public),
                        &[
                            Bound::Lost {
                                from: 0,
                                at_most: 0,
                            },
                            Bound::Logins {
                                from: 1,
                                to: HOUR,
                                at_most,
                            },
                        ],
                    )
                    .resets
                    .extend(reset);
                }
            }
        }
    }
}

fn outages(rows: &mut Rows) {
    for public in PUBLIC {
        for replays in [true, false] {
            for lasts in [10, 60, 120, 300, 600] {
                for phase in [0, 1, 500, 7_300] {
                    for (extra, targets) in [(0, 1), (1, 2), (2, 10)] {
                        let (from, to) =
                            (10 * MINUTE + phase, 10 * MINUTE + phase + lasts * SECOND);
                        let world = World {
                            outages: vec![(from, to)],
                            ..World::default()
                        };
                        let mut all = Vec::new();
                        for target in 0..targets {
                            let mut healthy = calls(Kind::Healthy, SECOND * u64::from(targets));
                            healthy.target += target * 3;
                            healthy.from = u64::from(target) * SECOND;
                            all.push(healthy);
                        }
                        let within = if public.is_some() { 300 } else { 30 };
                        let row = match (public.is_some(), extra) {
                            (false, 0) => "8",
                            (true, 0) => "8b",
                            _ => "8 (several targets)",
                        };
                        let then_lost = if replays { 1 } else { 2 };
                        rows.add(
                            row,
                            format!("{lasts} s, phase {phase}, public {public:?}, replay {replays}, targets {targets}"),
                            replays,
                            world,
                            &beside(&all, public),
                            &[
                                Bound::ServedAgain {
                                    kind: Kind::Healthy,
                                    after: to,
                                    within: within * SECOND + then_lost * SECOND,
                                    then_lost: 0,
                                },
                                Bound::Logins { from: 1, to: HOUR, at_most: 45 },
                            ],
                        );
                    }
                }
            }
        }
        for replays in [true, false] {
            let forbidden = Calls {
                from: 0,
                to: 4 * HOUR,
                ..calls(Kind::Forbidden, SECOND)
            };
            for exclusive in [false, true] {
                rows.add(
                    "14",
                    format!("public {public:?}, replay {replays}, exclusive {exclusive}"),
                    replays,
                    World {
                        exclusive,
                        ..World::default()
                    },
                    &beside(&[forbidden], public),
                    &[
                        Bound::Logins {
                            from: 1,
                            to: HOUR,
                            at_most: 50,
                        },
                        Bound::LoginsInAny {
                            window: HOUR,
                            from: HOUR,
                            at_most: 15,
                        },
                    ],
                );
            }
        }
    }
}

/// The bounds of row 9.
fn as_row_9(factor: f64) -> Vec<Bound> {
    let scaled = |bound: f64| (bound * factor).floor() as usize;
    let from = MINUTE;
    vec![
        Bound::Lost {
            from: 0,
            at_most: 0,
        },
        Bound::Logins {
            from,
            to: from + 3_370,
            at_most: scaled(3.0),
        },
        Bound::Logins {
            from,
            to: from + 10 * MINUTE,
            at_most: scaled(12.0),
        },
        Bound::Logins {
            from,
            to: from + HOUR,
            at_most: scaled(25.0),
        },
    ]
}

fn forbidden(rows: &mut Rows) {
    for exclusive in [false, true] {
        for (latency, crowd) in [(0, 1), (400, 1), (0, 20), (400, 20)] {
            for replays in [true, false] {
                let factor = 1.0;
                let plain = latency == 0 && crowd == 1;
                let mut bounds = as_row_9(factor);
                if exclusive && !replays && !plain {
                    bounds.remove(0);
                }
                let healthy = Calls {
                    crowd,
                    ..calls(Kind::Healthy, SECOND)
                };
                for every in [1, 10, 30, 60] {
                    let forbidden = Calls {
                        crowd,
                        ..calls(Kind::Forbidden, every * SECOND)
                    };
                    let base = format!(
                        "every {every}, replay {replays}, exclusive {exclusive}, latency {latency}, crowd {crowd}"
                    );
                    let world = World {
                        exclusive,
                        ..World::default()
                    };
                    let (row9, row10) = if plain {
                        ("9", "10")
                    } else {
                        ("9 (slow or crowds)", "10 (slow or crowds)")
                    };
                    let variant = rows.add(
                        row9,
                        base.clone(),
                        replays,
                        world.clone(),
                        &[healthy, forbidden],
                        &bounds,
                    );
                    variant.setup.answer_takes = latency;
                    if plain {
                        rows.add(
                            "9b",
                            base.clone(),
                            replays,
                            World {
                                permitted_from: Some(20 * MINUTE),
                                ..world.clone()
                            },
                            &[healthy, forbidden],
                            &[Bound::ServedAgain {
                                kind: Kind::Forbidden,
                                after: 20 * MINUTE,
                                within: 5 * MINUTE + every * SECOND,
                                then_lost: 0,
                            }],
                        );
                    }
                    let differing = Calls {
                        differs: true,
                        ..forbidden
                    };
                    let served = bounds
                        .iter()
                        .copied()
                        .filter(|it| matches!(it, Bound::Lost { .. }));
                    let mut bounds: Vec<_> = served.collect();
                    let row = match (replays, every) {
                        (true, _) => {
                            let at_most = 30;
                            bounds.push(Bound::Logins {
                                from: 1,
                                to: MINUTE + HOUR,
                                at_most,
                            });
                            row10
                        }
                        (false, 1) => {
                            bounds.push(Bound::Logins {
                                from: 1,
                                to: HOUR,
                                at_most: 80,
                            });
                            "11"
                        }
                        (false, _) => {
                            bounds.push(Bound::LoginsPerForbidden { and: 0 });
                            "12"
                        }
                    };
                    let variant = rows.add(
                        row,
                        base.clone(),
                        replays,
                        world.clone(),
                        &[healthy, differing],
                        &bounds,
                    );
                    variant.setup.answer_takes = latency;
                    if !replays && every == 10 {
                        let differing = Calls {
                            every: 3 * SECOND,
                            ..differing
                        };
                        let variant = rows.add(
                            "12",
                            format!("3 s, {base}"),
                            replays,
                            world.clone(),
                            &[healthy, differing],
                            &bounds,
                        );
                        variant.setup.answer_takes = latency;
                    }
                    if plain {
                        for differs in [false, true] {
                            for healthy_differs in [false, true] {
                                for phase in [0, 300, 29_700] {
                                    let at = 20 * MINUTE + phase;
                                    let all = [
                                        Calls {
                                            differs: healthy_differs,
                                            ..healthy
                                        },
                                        Calls {
                                            differs,
                                            ..forbidden
                                        },
                                        calls(Kind::Public, SECOND),
                                    ];
                                    let within = if healthy_differs {
                                        5 * MINUTE
                                    } else {
                                        2 * MINUTE
                                    };
                                    rows.add(
                                    "13",
                                    format!("{base}, forbidden differs {differs}, healthy differs {healthy_differs}, phase {phase}"),
                                    replays,
                                    World { revocations: vec![at], ..world.clone() },
                                    &all,
                                    &[
                                        Bound::ServedAgain { kind: Kind::Healthy, after: at, within, then_lost: 0 },
                                        Bound::Lost { from: at + within, at_most: 0 },
                                    ],
                                );
                                }
                            }
                        }
                    }
                }
            }
        }
        for replays in [true, false] {
            for count in [2, 5, 20, 64, 100] {
                for every in [1, 10, 30] {
                    let mut all = vec![Calls {
                        to: 4 * HOUR,
                        ..calls(Kind::Healthy, SECOND)
                    }];
                    for number in 0..count {
                        let mut forbidden = calls(Kind::Forbidden, every * SECOND);
                        forbidden.to = 4 * HOUR;
                        forbidden.target += number as u32;
                        forbidden.from += every * SECOND * number / count;
                        all.push(forbidden);
                    }
                    let world = World {
                        exclusive,
                        ..World::default()
                    };
                    let at_most = count.min(64) as usize + 12;
                    let name =
                        format!("{count} each {every}, replay {replays}, exclusive {exclusive}");
                    let bounds = |at_most| {
                        [
                            Bound::Lost {
                                from: 0,
                                at_most: 0,
                            },
                            Bound::Logins {
                                from: MINUTE,
                                to: 11 * MINUTE,
                                at_most,
                            },
                            Bound::LoginsInAny {
                                window: HOUR,
                                from: MINUTE + HOUR,
                                at_most: 13,
                            },
                        ]
                    };
                    rows.add(
                        "9c",
                        name.clone(),
                        replays,
                        world.clone(),
                        &all,
                        &bounds(at_most),
                    );
                    rows.add("9c (aim)", name, replays, world, &all, &bounds(25));
                }
            }
        }
    }
}

fn rivals(rows: &mut Rows) {
    for public in PUBLIC {
        for replays in [true, false] {
            for phase in [500, 100] {
                let world = World {
                    exclusive: true,
                    rival: Some(Rival::WhenRejected(SECOND)),
                    rival_phase: phase,
                    ..World::default()
                };
                let variant = rows.add(
                    "15",
                    format!("public {public:?}, replay {replays}, phase {phase}"),
                    replays,
                    world,
                    &beside(&[calls(Kind::Healthy, SECOND)], public),
                    &[
                        Bound::Logins {
                            from: 1,
                            to: 10 * MINUTE,
                            at_most: 25,
                        },
                        Bound::Logins {
                            from: 1,
                            to: HOUR,
                            at_most: 80,
                        },
                    ],
                );
                // Where the public requests make the logins, and the rival is always first, no request
                // is ever accepted: that looks like a forbidden endpoint.
                let is_hidden =
                    !replays && phase == 500 && public.is_some_and(|every| every <= SECOND);
                if !is_hidden {
                    variant.bounds.push(Bound::RivalSuspected(true));
                }
            }
        }
        for differs in [false, true] {
            let world = World {
                exclusive: true,
                rival: Some(Rival::OnTimer(30 * SECOND)),
                rival_phase: 15_500,
                ..World::default()
            };
            rows.add(
                "16",
                format!("public {public:?}, differs {differs}"),
                true,
                world,
                &beside(
                    &[Calls {
                        differs,
                        ..calls(Kind::Healthy, SECOND)
                    }],
                    public,
                ),
                &[
                    Bound::Lost {
                        from: 0,
                        at_most: 0,
                    },
                    Bound::Logins {
                        from: 1,
                        to: HOUR,
                        at_most: 120,
                    },
                    Bound::RivalSuspected(false),
                ],
            );
        }
    }
}

fn by_hand(rows: &mut Rows) {
    for public in PUBLIC {
        let healthy = Calls {
            by_hand: true,
            ..calls(Kind::Healthy, SECOND)
        };
        rows.add(
            "17",
            format!("public {public:?}"),
            true,
            World {
                life: Some(120 * SECOND),
                ..World::default()
            },
            &beside(&[healthy], public),
            &[
                Bound::LostPerLogin { at_most: 2 },
                Bound::Logins {
                    from: 1,
                    to: HOUR,
                    at_most: 33,
                },
            ],
        );
    }
    for every in [1, 10, 60] {
        for exclusive in [false, true] {
            let forbidden = Calls {
                by_hand: true,
                ..calls(Kind::Forbidden, every * SECOND)
            };
            for healthy_by_hand in [false, true] {
                let healthy = Calls {
                    by_hand: healthy_by_hand,
                    ..calls(Kind::Healthy, SECOND)
                };
                rows.add(
                    "17b",
                    format!(
                        "every {every}, exclusive {exclusive}, healthy by hand {healthy_by_hand}"
                    ),
                    true,
                    World {
                        exclusive,
                        ..World::default()
                    },
                    &[healthy, forbidden],
                    &as_row_9(1.0),
                );
            }
        }
    }
}

fn mixed(rows: &mut Rows) {
    for exclusive in [false, true] {
        for replays in [true, false] {
            for every in [1, 3, 10] {
                for revoked in [false, true] {
                    for other in [true, false] {
                        let target = 2_000_017;
                        let mut all = Vec::new();
                        let from = MINUTE + 370;
                        let mut part = |kind, nth: u64, of: u64| {
                            let every = every * SECOND;
                            all.push(Calls {
                                target,
                                from: from + nth * every,
                                ..calls(kind, of * every)
                            });
                        };
                        part(Kind::Healthy, 0, 2);
                        part(Kind::Forbidden, 1, 2);
                        if other {
                            all.push(calls(Kind::Healthy, SECOND));
                        }
                        let mut bounds = match (replays, every) {
                            (true, _) => as_row_9(1.0),
                            (false, 1) => vec![
                                Bound::Lost {
                                    from: 0,
                                    at_most: 0,
                                },
                                Bound::Logins {
                                    from: 1,
                                    to: HOUR,
                                    at_most: 80,
                                },
                            ],
                            (false, _) => vec![
                                Bound::Lost {
                                    from: 0,
                                    at_most: 0,
                                },
                                Bound::LoginsPerForbidden { and: 0 },
                            ],
                        };
                        let mut world = World {
                            exclusive,
                            ..World::default()
                        };
                        let at = 20 * MINUTE;
                        if revoked {
                            world.revocations.push(at);
                            for bound in &mut bounds {
                                match bound {
                                    Bound::Logins { at_most, .. } => *at_most += 3,
                                    Bound::LoginsPerForbidden { and } => *and += 3,
                                    Bound::Lost { from, .. } => *from = at + 2 * MINUTE,
                                    _ => {}
                                }
                            }
                            bounds.push(Bound::ServedAgain {
                                kind: Kind::Healthy,
                                after: at,
                                within: 2 * MINUTE,
                                then_lost: 0,
                            });
                        }
                        let row = match (revoked, replays) {
                            (true, _) => "18b",
                            (false, true) => "18",
                            (false, false) => "18a",
                        };
                        rows.add(
                            row,
                            format!("every {every}, replay {replays}, exclusive {exclusive}, other healthy {other}, revoked {revoked}"),
                            replays,
                            world,
                            &all,
                            &bounds,
                        );
                    }
                }
            }
        }
    }
}

/// Rows 1 and 9 at once: an endpoint forbidden beside healthy ones whose sessions are short.
fn together(rows: &mut Rows) {
    for replays in [true, false] {
        for life in [5, 10, 30, 60, 120, 240] {
            for every in [1, 10, 30] {
                for differs in [false, true] {
                    for exclusive in [false, true] {
                        let healthy = Calls {
                            differs,
                            ..calls(Kind::Healthy, SECOND)
                        };
                        let forbidden = calls(Kind::Forbidden, every * SECOND);
                        let lives = HOUR.div_ceil(life * SECOND) as usize;
                        let lost = match replays {
                            true => Bound::Lost {
                                from: 0,
                                at_most: 72,
                            },
                            false => Bound::LostPerLogin { at_most: 2 },
                        };
                        rows.add(
                            "9 (short sessions)",
                            format!("life {life}, every {every}, healthy differs {differs}, replay {replays}, exclusive {exclusive}"),
                            replays,
                            World {
                                exclusive,
                                life: Some(life * SECOND),
                                ..World::default()
                            },
                            &[healthy, forbidden],
                            &[
                                lost,
                                Bound::Logins {
                                    from: 1,
                                    to: HOUR,
                                    at_most: lives + 40,
                                },
                            ],
                        );
                    }
                }
            }
        }
    }
}
