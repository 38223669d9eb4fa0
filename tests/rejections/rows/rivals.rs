//! Rows 15 and 16.

use super::{Calls, HOUR, MINUTE, PUBLIC, Rows, SECOND, beside, calls};
use crate::{
    bounds::Bound,
    world::{Kind, Rival, World},
};

pub(super) fn rivals(rows: &mut Rows) {
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
                // If the public requests cause the logins and the rival always logs in first, no
                // request is ever accepted. That looks like a forbidden endpoint.
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
