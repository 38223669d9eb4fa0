//! A random search for histories that the rows do not cover.

use std::collections::HashMap;

use crate::{
    client::{Report, Setup, run},
    random::Random,
    world::{Kind, Millis, Request, Rival, World},
};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const FAULTS_END: Millis = 15 * MINUTE;
const END: Millis = FAULTS_END + 9 * MINUTE;

/// The targets of one stream of requests are within one range of this length.
const STREAM: u32 = 100_000;

struct Case {
    setup: Setup,
    world: World,
    requests: Vec<Request>,
    resets: Vec<Millis>,
    /// Per stream: the longest time between two requests.
    every: HashMap<u32, Millis>,
    /// First rejections that no rule can distinguish from an ended session.
    ambiguous: usize,
    name: String,
}

fn case(seed: u64) -> Case {
    let mut random = Random(seed.wrapping_mul(7_919));
    let random = &mut random;
    let replays = random.chance(50);
    let mut setup = Setup {
        replays,
        seed,
        ..Setup::default()
    };
    if random.chance(60) {
        setup.login_takes = random.below(5_000);
    }
    if random.chance(60) {
        setup.answer_takes = random.below(800);
        setup.jitter = random.below(800);
    }
    let mut world = World {
        exclusive: random.chance(50),
        faults_end_at: Some(FAULTS_END),
        ..World::default()
    };
    if random.chance(30) {
        world.life = Some(SECOND * random.pick(&[4, 5, 10, 30, 60, 120, 240, 299, 600]));
    }
    if random.chance(15) {
        world.idle = Some(SECOND * random.pick(&[5, 20, 60, 120]));
    }
    let spans = |random: &mut Random, longest: Millis| {
        let from = random.below(FAULTS_END);
        (from, (from + 1 + random.below(longest)).min(FAULTS_END))
    };
    for _ in 0..random.below(4) {
        world.revocations.push(random.below(FAULTS_END));
    }
    world.revocations.sort_unstable();
    if random.chance(25) {
        world.outages.push(spans(random, 12 * MINUTE));
    }
    for _ in 0..random.below(3) {
        world.logins_down.push(spans(random, 10 * MINUTE));
    }
    if random.chance(20) {
        world.exclusive = true;
        let period = SECOND * random.pick(&[1, 1, 2, 5, 20, 30]);
        world.rival_phase = random.below(10 * MINUTE);
        world.rival = Some(if random.chance(50) {
            Rival::OnTimer(period)
        } else {
            Rival::WhenRejected(period)
        });
    }
    if random.chance(30) {
        world.permitted_from = Some(random.below(FAULTS_END));
    }
    let resets = if random.chance(15) {
        vec![random.below(FAULTS_END)]
    } else {
        Vec::new()
    };

    let mut case = Case {
        setup,
        world,
        requests: Vec::new(),
        resets,
        every: HashMap::new(),
        ambiguous: 0,
        name: String::new(),
    };
    let mut stream = 0;
    let mut add = |random: &mut Random, kinds: &[Kind], differs: bool| {
        let slowest = if kinds[0] == Kind::Healthy { 6 } else { 7 };
        let every = [1_000, 1_000, 2_000, 3_000, 5_000, 10_000, 30_000, 60_000]
            [random.below(slowest + 1) as usize];
        let crowd = if random.chance(15) {
            1 + random.below(12)
        } else {
            1
        };
        let wobble = random.chance(50);
        let mut at = random.below(every.max(MINUTE));
        let mut number = 0;
        stream += 1;
        case.name += &format!("{kinds:?} every {every} x{crowd} differs {differs}; ");
        case.every.insert(stream, every * 2);
        while at < END {
            let kind = kinds[random.below(kinds.len() as u64) as usize];
            for _ in 0..crowd {
                let target = stream * STREAM + if differs { number } else { 0 };
                case.requests.push(Request {
                    at,
                    target,
                    kind,
                    by_hand: false,
                });
            }
            if kind == Kind::Forbidden && (differs || kinds.len() > 1) {
                case.ambiguous += usize::from(!replays || case.setup.jitter > 0 || crowd > 1);
            }
            number += 1;
            at += if wobble {
                1 + random.below(2 * every)
            } else {
                every
            };
        }
    };
    let differs = random.chance(40);
    for _ in 0..1 + random.below(4) {
        let differs = differs && random.chance(50);
        add(random, &[Kind::Healthy], differs);
    }
    let forbidden = if random.chance(60) {
        random.pick(&[1, 1, 2, 3, 8, 20])
    } else {
        0
    };
    for _ in 0..forbidden {
        add(random, &[Kind::Forbidden], false);
    }
    if random.chance(25) {
        add(random, &[Kind::Forbidden], true);
    }
    if random.chance(25) {
        let kinds: &[Kind] = random.pick(&[
            &[Kind::Healthy, Kind::Forbidden] as &[Kind],
            &[
                Kind::Healthy,
                Kind::Forbidden,
                Kind::Forbidden,
                Kind::Forbidden,
            ],
            &[Kind::Healthy, Kind::Healthy, Kind::Healthy, Kind::Forbidden],
        ]);
        add(random, kinds, false);
    }
    for _ in 0..random.below(3) {
        add(random, &[Kind::Public], false);
    }
    case.requests.sort_by_key(|it| it.at);
    case
}

fn broken(case: &Case, report: &Report) -> Vec<String> {
    let mut broken = Vec::new();
    let mut attempts: Vec<_> = report
        .world
        .logins
        .iter()
        .chain(&report.world.failed_logins)
        .copied()
        .collect();
    attempts.sort_unstable();
    let half_login = case.setup.login_takes.div_ceil(2);
    let is_in_flight = |at: Millis, done_at: Millis| {
        let first = attempts.partition_point(|&it| it < at.saturating_sub(case.setup.login_takes));
        attempts
            .get(first)
            .is_some_and(|&it| it <= done_at + half_login)
    };

    // (a) A login is tried for each target that keeps being rejected.
    let mut rejected_since: HashMap<u32, Millis> = HashMap::new();
    let mut worst = 0;
    for it in &report.outcomes {
        let stream = it.request.target / STREAM;
        if it.is_served {
            rejected_since.remove(&stream);
            continue;
        }
        let since = *rejected_since.entry(stream).or_insert(it.done_at);
        let tried = attempts[..attempts.partition_point(|&at| at <= it.done_at)]
            .last()
            .copied()
            .unwrap_or(0);
        let reset = case
            .resets
            .iter()
            .copied()
            .filter(|&at| at <= it.done_at)
            .max()
            .unwrap_or(0);
        let waited = it.done_at - since.max(tried).max(reset).min(it.done_at);
        let slack = case.every[&stream]
            + 2 * case.setup.login_takes
            + 2 * (case.setup.answer_takes + case.setup.jitter);
        let back_off = if report.world.failed_logins.contains(&tried) {
            MINUTE
        } else {
            0
        };
        if waited > 5 * MINUTE + slack + back_off + MINUTE / 10 && waited > worst {
            worst = waited;
        }
    }
    if worst > 0 {
        broken.push(format!("a: no login for {worst} ms"));
    }

    // (b) Requests are served within five minutes after the last fault.
    let slowest = case.every.values().max().copied().unwrap_or(0);
    let from = FAULTS_END + 6 * MINUTE + slowest + 2 * case.setup.login_takes;
    let lost: Vec<_> = report
        .outcomes
        .iter()
        .filter(|it| it.request.at > from && it.request.kind == Kind::Healthy && !it.is_served)
        .filter(|it| !(case.world.exclusive && is_in_flight(it.request.at, it.done_at)))
        .collect();
    if let Some(first) = lost.first() {
        broken.push(format!(
            "b: {} lost, the first at {}",
            lost.len(),
            first.request.at
        ));
    }

    // (c) Logins are bounded.
    let needless = report.world.needless_logins.len();
    // The maximum of 20,000 seeds is 92.
    let bound = 100 + 30 * case.resets.len() + case.ambiguous;
    if needless > bound {
        broken.push(format!(
            "c: {needless} needless logins > {bound}, {} in all",
            report.world.logins.len()
        ));
    }
    broken
}

pub(crate) fn search(seeds: u64) {
    let (mut failed, mut requests, mut most) = (Vec::new(), 0, 0);
    for seed in 0..seeds {
        let case = case(seed);
        let report = run(case.setup, case.world.clone(), &case.requests, &case.resets);
        assert_eq!(report.outcomes.len(), case.requests.len(), "seed {seed}");
        requests += case.requests.len();
        if case.ambiguous == 0 {
            most = most.max(report.world.needless_logins.len());
        }
        for it in broken(&case, &report) {
            failed.push(format!(
                "seed {seed}: {it}\n  {:?}\n  {:?} {}",
                case.setup, case.world, case.name
            ));
        }
    }
    // A debug build runs too few for a figure.
    let figure = if cfg!(debug_assertions) {
        ""
    } else {
        "figure: "
    };
    println!("{figure}rejections seeds={seeds} requests={requests} needless_logins_at_most={most}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
