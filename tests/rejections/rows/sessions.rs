//! Rows 1 to 5, and the short sessions of row 9.

use super::{Calls, HOUR, PUBLIC, Rows, SECOND, beside, calls};
use crate::{
    bounds::Bound,
    world::{Kind, World},
};

pub(super) fn short_sessions(rows: &mut Rows) {
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

/// Rows 1 and 9 combined: a forbidden endpoint beside healthy ones, with short sessions.
pub(super) fn together(rows: &mut Rows) {
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
