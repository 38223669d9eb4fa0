//! Instructions per request while the credential is fresh, counted by valgrind. The counts are
//! exact: other load on the machine does not change them.
//!
//! ```text
//! cargo bench --bench instructions
//! ```
//!
//! The bench fails if a request exceeds the floor by more than [`LIMITS`]: 10 % above the best
//! result so far. Without valgrind it reports that nothing was measured.

#[path = "support/mod.rs"]
mod support;

use std::{
    env,
    hint::black_box,
    process::{Command, ExitCode},
};

use http::Method;
use support::{
    Bare, ByHand, Floor, Life, Minimal, Report, Table, Target, Use, origins, ours, ours_keyed,
    ours_remembering, ours_with_replay, requests_to, send_all, tower_http,
};
use tower_bearer::{Generation, Origins, Receipt};

/// The limits of a request beyond the floor, the fingerprint of its target included: without and with
/// replay. They depend a little on the compiler.
const LIMITS: [(Use, Target, [f64; 2]); 4] = [
    (Use::LongLived, Target::Absolute, [286.0, 1_434.0]),
    (Use::Cloned, Target::Absolute, [387.0, 1_534.0]),
    (Use::LongLived, Target::PathAndHost, [390.0, 1_624.0]),
    (Use::Cloned, Target::PathAndHost, [491.0, 1_724.0]),
];

/// The limit of a receipt. Most of it is the fingerprint.
const LIMIT_OF_A_RECEIPT: f64 = 60.0;

/// The additional limit of an accepted request while rejected targets are remembered.
const LIMIT_OF_REMEMBERING: f64 = 10.0;

/// A path of 25 bytes.
const PATH: &str = "/v1/things/42/comments/17";

const TOKEN: usize = 1_024;

/// The number of requests by which two runs differ. Only the difference is counted.
const COUNTED: usize = 1_000;
const WARM_UP: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Bare,
    Floor,
    TowerHttp,
    Minimal,
    ByHand,
    Ours,
    OursWithoutExpiry,
    OursFiveOrigins,
    OursAnyHttps,
    OursRemembering,
    OursKeyed,
    OursWithReplay,
}

use Contender::{
    Bare as TheBare, Floor as TheFloor, Ours, OursAnyHttps, OursFiveOrigins, OursKeyed,
    OursRemembering, OursWithReplay, OursWithoutExpiry, TowerHttp,
};

impl Contender {
    const ALL: [Self; 12] = [
        TheBare,
        TheFloor,
        TowerHttp,
        Self::Minimal,
        Self::ByHand,
        Ours,
        OursWithoutExpiry,
        OursFiveOrigins,
        OursAnyHttps,
        OursRemembering,
        OursKeyed,
        OursWithReplay,
    ];

    fn name(self) -> &'static str {
        match self {
            TheBare => "bare service",
            TheFloor => "floor",
            TowerHttp => "tower-http, a fixed token",
            Self::Minimal => "by hand: minimal",
            Self::ByHand => "by hand: RwLock and format!",
            Ours => "tower-bearer",
            OursWithoutExpiry => "tower-bearer, no expiry",
            OursFiveOrigins => "tower-bearer, five origins",
            OursAnyHttps => "tower-bearer, any https",
            OursRemembering => "tower-bearer, 64 targets remembered",
            OursKeyed => "tower-bearer, 100 accounts",
            OursWithReplay => "tower-bearer, replay",
        }
    }

    /// Valgrind counts this function only.
    fn run(self, used: Use, target: Target, count: usize) {
        // Several threads, so that a timer replaces clock reads, as in a server.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime");
        let _entered = runtime.enter();
        let batch = requests_to(target, count);
        let ours = |life, origins| runtime.block_on(ours(TOKEN, life, origins));
        match self {
            TheBare => send_all(&mut Bare, batch, used),
            TheFloor => send_all(&mut Floor::new(TOKEN), batch, used),
            TowerHttp => send_all(&mut tower_http(TOKEN), batch, used),
            Self::Minimal => send_all(&mut Minimal::new(TOKEN), batch, used),
            Self::ByHand => send_all(&mut ByHand::new(TOKEN), batch, used),
            Ours => send_all(&mut ours(Life::Long, origins(1)), batch, used),
            OursWithoutExpiry => send_all(&mut ours(Life::Endless, origins(1)), batch, used),
            OursFiveOrigins => send_all(&mut ours(Life::Long, origins(5)), batch, used),
            OursAnyHttps => send_all(&mut ours(Life::Long, Origins::any_https()), batch, used),
            OursRemembering => {
                let mut service = runtime.block_on(ours_remembering(TOKEN, Life::Long));
                send_all(&mut service, batch, used);
            }
            OursKeyed => {
                let mut service = runtime.block_on(ours_keyed(TOKEN, Life::Long));
                send_all(&mut service, batch, used);
            }
            OursWithReplay => {
                let mut service = runtime.block_on(ours_with_replay(TOKEN, Life::Long));
                send_all(&mut service, batch, used);
            }
        }
    }

    fn instructions_per_request(self, used: Use, target: Target) -> f64 {
        instructions_each(&[self.name(), used.name(), target.name()])
    }
}

/// The instructions of one more iteration of a run.
fn instructions_each(run: &[&str]) -> f64 {
    let more = instructions(run, WARM_UP + COUNTED);
    let fewer = instructions(run, WARM_UP);
    (more - fewer) / COUNTED as f64
}

/// Runs this program again under valgrind.
fn instructions(run: &[&str], count: usize) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*hot_loop*")
        .arg(env::current_exe().expect("the path of this program"))
        .arg(RUN)
        .args(run)
        .arg(count.to_string())
        .output()
        .expect("valgrind is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let mut lines = text.lines();
    let collected = lines.find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.unwrap_or_else(|| panic!("{text}"));
    count.trim().parse().unwrap_or_else(|_| panic!("{text}"))
}

/// Valgrind counts this function only, like the loops of `support`.
#[inline(never)]
fn hot_loop_of_receipts(generation: Generation, count: usize) {
    for _ in 0..count {
        let (method, path) = (black_box(&Method::POST), black_box(PATH));
        black_box(Receipt::new(generation, 0, method, path));
    }
}

/// The first argument of a run under valgrind.
const RUN: &str = "--run";

/// The run of [`hot_loop_of_receipts`].
const RECEIPTS: &str = "receipts";

fn run(args: &[String]) -> Option<()> {
    if let [receipts, count] = args
        && receipts == RECEIPTS
    {
        hot_loop_of_receipts(Generation::next(), count.parse().ok()?);
        return Some(());
    }
    let [contender, used, target, count] = args else {
        return None;
    };
    let contender = Contender::ALL
        .into_iter()
        .find(|it| it.name() == contender)?;
    let used = Use::ALL.into_iter().find(|it| it.name() == used)?;
    let target = Target::ALL.into_iter().find(|it| it.name() == target)?;
    contender.run(used, target, count.parse().ok()?);
    Some(())
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == RUN) {
        run(&args[1..]).expect("the arguments of a run");
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("not measured: valgrind is not installed");
        return ExitCode::SUCCESS;
    }

    let mut report = Report::new("instructions");
    let receipt = instructions_each(&[RECEIPTS]);
    println!("a receipt: {receipt}, its limit: {LIMIT_OF_A_RECEIPT}");
    let mut is_within_limits = receipt <= LIMIT_OF_A_RECEIPT;
    for (used, target, limits) in LIMITS {
        let title = support::instructions_title(used, target);
        let mut table = Table::new(title, &["instructions"]);
        let floor = TheFloor.instructions_per_request(used, target);
        for contender in Contender::ALL {
            let beyond = contender.instructions_per_request(used, target) - floor;
            let limit = match contender {
                Ours => limits[0],
                OursRemembering => limits[0] + LIMIT_OF_REMEMBERING,
                OursWithReplay => limits[1],
                _ => f64::INFINITY,
            };
            is_within_limits &= beyond <= limit;
            table.row(contender.name(), [beyond]);
        }
        report.add(table);
        let [ours, with_replay] = limits;
        println!(
            "limits, {}, {}: {ours}, with replay {with_replay}",
            used.name(),
            target.name()
        );
    }
    report.write();
    if is_within_limits {
        ExitCode::SUCCESS
    } else {
        println!("\nA request of tower-bearer exceeds its limit.");
        ExitCode::FAILURE
    }
}
