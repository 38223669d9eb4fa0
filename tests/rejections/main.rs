//! The scenarios of rejections. Each row of the table runs through the real layer and provider in
//! paused time, and a random search covers what the rows leave open.
//!
//! ```text
//! cargo test --release --test rejections -- --nocapture         # as `.ci/run` does; prints the table
//! REJECTIONS=all cargo test --release --test rejections         # every variant of each row
//! REJECTIONS=9c cargo test --release --test rejections          # every variant of this row
//! REJECTION_SEEDS=20000 cargo test --release --test rejections  # a longer search
//! ```
//!
//! With `--release` it runs 12 variants of each row and 2,000 seeds. Without, it runs 1 variant,
//! the shortest, and 5 seeds, also with `TESTS=full`: the optimized run is the full one.

mod bounds;
mod client;
#[allow(dead_code, reason = "the sizes differ here")]
#[path = "../support/extent.rs"]
mod extent;
mod random;
mod rows;
mod search;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

use client::Report;
use random::Random;
use rows::{Variant, rows};
use world::Kind;

/// How much is run.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    Short,
    Release,
}

impl Extent {
    fn asked_for() -> Self {
        match cfg!(debug_assertions) {
            true => Self::Short,
            false => Self::Release,
        }
    }

    /// The number of variants of each row.
    const fn variants(self) -> usize {
        match self {
            Self::Short => 1,
            Self::Release => 12,
        }
    }

    /// The number of seeds of the search, unless a variable sets it.
    const fn seeds(self) -> u64 {
        match self {
            Self::Short => 5,
            Self::Release => 2_000,
        }
    }
}

/// A row of the printed table.
#[derive(Default)]
struct Line {
    order: usize,
    variants: usize,
    least_served: f64,
    most_logins: Option<(f64, f64)>,
    failed: Vec<String>,
}

impl Line {
    fn add(&mut self, variant: &Variant, report: &Report) {
        self.variants += 1;
        for bound in &variant.bounds {
            let it = bound.measure(report);
            if !it.holds() {
                self.failed
                    .push(format!("{}: {it} ({bound:?})", variant.name));
            }
            let is_closest = |(value, bound)| it.value / it.bound > value / bound;
            if it.what == "logins" && self.most_logins.is_none_or(is_closest) {
                self.most_logins = Some((it.value, it.bound));
            }
        }
        let servable = report
            .outcomes
            .iter()
            .filter(|it| it.was_servable && it.request.kind == Kind::Healthy);
        let (mut all, mut served) = (0_u32, 0_u32);
        for it in servable {
            all += 1;
            served += u32::from(it.is_served);
        }
        if all > 0 {
            let served = 100.0 * f64::from(served) / f64::from(all);
            self.least_served = self.least_served.min(served);
        }
    }
}

impl Line {
    /// The line for RELIABILITY.md.
    fn figure(&self, row: &str) -> String {
        let (row, which) = row.split_once(' ').unwrap_or((row, ""));
        let which = which.replace(|of: char| !of.is_alphanumeric(), "_");
        let label = format!("row{row}-{}", which.trim_matches('_'));
        let (variants, served) = (self.variants, self.least_served);
        let figure = format!(
            "figure: {} variants={variants} served_at_least={served:.1}%",
            label.trim_end_matches('-')
        );
        match self.most_logins {
            Some((logins, bound)) => format!("{figure} logins={logins} bound={bound}"),
            None => figure,
        }
    }
}

/// All variants, or some of each row: the shortest one, or a fixed random choice.
fn chosen(mut variants: Vec<Variant>) -> Vec<Variant> {
    if env::var("REJECTIONS").is_ok_and(|which| which == "all") {
        return variants;
    }
    if let Ok(row) = env::var("REJECTIONS") {
        variants.retain(|it| it.row == row);
        return variants;
    }
    let extent = Extent::asked_for();
    if extent == Extent::Short {
        extent::say(
            "1 variant of each row; 2 with TESTS=full, 12 with --release, all with REJECTIONS=all",
        );
    }
    let mut random = Random(1);
    let rank = |(at, variant): (usize, &Variant)| match extent {
        Extent::Short => (variant.length(), at),
        Extent::Release => (random.next(), at),
    };
    let mut places: Vec<_> = variants.iter().enumerate().map(rank).collect();
    places.sort_unstable();
    let mut counts = BTreeMap::new();
    let kept: BTreeSet<_> = places
        .into_iter()
        .map(|(_, at)| at)
        .filter(|at| {
            let count = counts.entry(variants[*at].row).or_insert(0);
            *count += 1;
            *count <= extent.variants()
        })
        .collect();
    let mut at = 0;
    variants.retain(|_| {
        at += 1;
        kept.contains(&(at - 1))
    });
    variants
}

#[test]
fn each_row_holds() {
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    for (order, variant) in chosen(rows()).iter().enumerate() {
        let report = client::run(
            variant.setup,
            variant.world.clone(),
            &variant.requests(),
            &variant.resets,
        );
        let line = lines.entry(variant.row).or_insert(Line {
            order,
            least_served: 100.0,
            ..Line::default()
        });
        line.add(variant, &report);
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort_by_key(|(_, it)| it.order);
    println!("| row | variants | least served | logins nearest to their bound (bound) |");
    println!("| --- | ---: | ---: | ---: |");
    for (row, it) in &lines {
        let logins = it
            .most_logins
            .map_or("-".into(), |(value, bound)| format!("{value} ({bound})"));
        println!(
            "| {row} | {} | {:.1} % | {logins} |",
            it.variants, it.least_served
        );
    }
    // A debug build runs too few for a figure.
    if !cfg!(debug_assertions) && env::var_os("REJECTIONS").is_none() {
        for (row, it) in &lines {
            println!("{}", it.figure(row));
        }
    }
    let mut failed = lines
        .iter()
        .flat_map(|(row, it)| it.failed.iter().map(move |it| format!("row {row}: {it}")))
        .peekable();
    if failed.peek().is_some() {
        panic!("{}", failed.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn no_history_prevents_all_logins() {
    let most = Extent::Release.seeds();
    let seeds = extent::number("REJECTION_SEEDS").unwrap_or_else(|| {
        let seeds = Extent::asked_for().seeds();
        if seeds < most {
            extent::say(&format!(
                "{seeds} of {most} seeds; --release, or REJECTION_SEEDS={most}, for all"
            ));
        }
        seeds
    });
    search::search(seeds);
}
