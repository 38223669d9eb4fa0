//! Rows 6 to 8b.

use super::{Calls, HOUR, MINUTE, PUBLIC, Rows, SECOND, beside, calls};
use crate::{
    bounds::Bound,
    world::{Kind, World},
};

pub(super) fn revocations(rows: &mut Rows) {
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

pub(super) fn outages(rows: &mut Rows) {
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
