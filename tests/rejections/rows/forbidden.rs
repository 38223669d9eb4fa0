//! Rows 9 to 14, 17 and 18.

use super::{Calls, HOUR, MINUTE, PUBLIC, Rows, SECOND, beside, calls};
use crate::{
    bounds::Bound,
    world::{Kind, World},
};

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

pub(super) fn forbidden(rows: &mut Rows) {
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

pub(super) fn by_hand(rows: &mut Rows) {
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

pub(super) fn mixed(rows: &mut Rows) {
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
