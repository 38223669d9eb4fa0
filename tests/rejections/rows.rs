//! The scenarios and their bounds.

mod forbidden;
mod revocations;
mod rivals;
mod sessions;

use crate::{
    bounds::Bound,
    client::Setup,
    world::{Kind, Millis, Request, World},
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
    /// Created on demand: all variants together have millions.
    pub(crate) fn requests(&self) -> Vec<Request> {
        merged(&self.calls)
    }

    /// The number of requests.
    pub(crate) fn length(&self) -> u64 {
        let lengths = self.calls.iter().map(|it| {
            let times = it.to.saturating_sub(it.from).div_ceil(it.every);
            times * it.crowd as u64
        });
        lengths.sum()
    }
}

/// Requests of one kind, one every `every` milliseconds from `from` on.
#[derive(Clone, Copy)]
struct Calls {
    kind: Kind,
    from: Millis,
    to: Millis,
    every: Millis,
    /// The first target. With `differs`, each request has the next one.
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
    sessions::short_sessions(&mut rows);
    revocations::revocations(&mut rows);
    revocations::outages(&mut rows);
    forbidden::forbidden(&mut rows);
    rivals::rivals(&mut rows);
    forbidden::by_hand(&mut rows);
    forbidden::mixed(&mut rows);
    sessions::together(&mut rows);
    rows.0
}
