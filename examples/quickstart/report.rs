//! The table of the figures, their check, and a drawing of them. There is nothing to copy here.

use std::fmt::{Arguments, Write};

use http::StatusCode;

use crate::{CONNECTIONS, Phase, stand_in::Counts};

/// What became of the requests of one phase, with one client.
#[derive(Default)]
pub(crate) struct Outcome {
    requests: usize,
    failed: usize,
    pub(crate) counts: Counts,
}

impl Outcome {
    pub(crate) fn add(&mut self, (requests, failed): (usize, usize)) {
        self.requests += requests;
        self.failed += failed;
    }
}

/// One phase with both clients.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) phase: Phase,
    pub(crate) naive: Outcome,
    pub(crate) ours: Outcome,
}

impl Row {
    pub(crate) fn new(title: &'static str, phase: Phase) -> Self {
        Self {
            title,
            phase,
            naive: Outcome::default(),
            ours: Outcome::default(),
        }
    }
}

/// What the API answered to a token that may only read.
pub(crate) struct ReadOnly {
    pub(crate) get: StatusCode,
    pub(crate) post: StatusCode,
    pub(crate) logins: usize,
}

impl ReadOnly {
    fn failed(&self) -> usize {
        usize::from(self.get != StatusCode::OK) + usize::from(self.post != StatusCode::FORBIDDEN)
    }
}

/// Prints the table, and a last line for machines with the figures of tower-bearer.
pub(crate) fn print(rows: &[Row], read_only: &ReadOnly) {
    println!();
    println!(
        "{:44} {:>24} {:>26}",
        "", "------ naive client ----", "------ tower-bearer ----"
    );
    print!("    {:<31} {:>8}", "phase", "requests");
    for width in [7, 9] {
        print!(" {:>width$} {:>8} {:>7}", "logins", "rejected", "failed");
    }
    println!();
    for row in rows {
        print!("{:<35} {:>8}", row.title, row.ours.requests);
        for (outcome, width) in [(&row.naive, 7), (&row.ours, 9)] {
            let counts = outcome.counts;
            let (logins, rejected, failed) = (counts.logins, counts.rejected, outcome.failed);
            print!(" {logins:>width$} {rejected:>8} {failed:>7}");
        }
        println!();
    }
    let ReadOnly { get, post, logins } = read_only;
    let (get, post) = (get.as_u16(), post.as_u16());
    println!("(d) a read-only token: GET {get}, POST {post}, logins {logins}");
    println!();
    let sum =
        |figure: fn(&Outcome) -> usize| rows.iter().map(|row| figure(&row.ours)).sum::<usize>();
    let requests = sum(|outcome| outcome.requests);
    let failed = sum(|outcome| outcome.failed);
    println!(
        "quickstart: requests={} ok={} refused_as_expected={} failed={} logins={} max_logins_in_flight={}",
        requests + 2,
        requests - failed + usize::from(read_only.get == StatusCode::OK),
        usize::from(read_only.post == StatusCode::FORBIDDEN),
        failed + read_only.failed(),
        sum(|outcome| outcome.counts.logins) + logins,
        rows.iter()
            .map(|row| row.ours.counts.max_logins_in_flight)
            .max()
            .unwrap_or(0),
    );
}

/// Checks the figures of tower-bearer exactly, and those of the naive client where they are certain.
pub(crate) fn is_as_expected(rows: &[Row], read_only: &ReadOnly) -> bool {
    let are_rows_right = rows.iter().all(|row| {
        let (least_naive_logins, rejected) = match row.phase {
            // While the first login is running, others start.
            Phase::ColdStart => (2, 0),
            // Each rejection of the naive client makes a login. Ours has renewed the token by then.
            Phase::Expiry => (CONNECTIONS, 0),
            // Nobody can know of a revocation before a rejection.
            Phase::Revocation => (CONNECTIONS, CONNECTIONS),
        };
        let counts = row.ours.counts;
        row.naive.counts.logins >= least_naive_logins
            && (row.ours.failed, counts.rejected) == (0, rejected)
            && (counts.logins, counts.max_logins_in_flight) == (1, 1)
    });
    are_rows_right && (read_only.failed(), read_only.logins) == (0, 0)
}

/// Bars of logins on the left and of failed requests on the right, for light and dark pages.
pub(crate) fn svg(rows: &[Row]) -> String {
    const WIDTH: usize = 760;
    const TOP: usize = 80;
    const ROW: usize = 66;
    const BARS: usize = 300;
    const LEFT: usize = 8;
    const RIGHT: usize = 388;
    // One scale for all bars.
    let most = rows
        .iter()
        .map(|row| row.naive.counts.logins.max(row.naive.failed));
    let most = most.max().unwrap_or(0).max(1);
    let height = TOP + ROW * rows.len() - 16;
    let title = "Logins and failed requests under the same load";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n\
         <style>\n\
         text {{ font: 13px system-ui, sans-serif; fill: #24292f }}\n\
         .head {{ font-weight: 600 }}\n\
         .bar {{ fill: #8c959f }}\n\
         .ours {{ fill: #0969da }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3 }}\n\
         .bar {{ fill: #6e7681 }}\n\
         .ours {{ fill: #4493f8 }}\n\
         }}\n\
         </style>\n\
         <text class=\"head\" x=\"8\" y=\"22\">{title}</text>\n\
         <rect class=\"bar\" x=\"388\" y=\"13\" width=\"10\" height=\"10\" rx=\"2\"/>\n\
         <text x=\"404\" y=\"22\">naive client</text>\n\
         <rect class=\"ours\" x=\"508\" y=\"13\" width=\"10\" height=\"10\" rx=\"2\"/>\n\
         <text x=\"524\" y=\"22\">tower-bearer</text>\n"
    );
    for (name, x) in [("Logins", LEFT), ("Failed requests", RIGHT)] {
        let text = format_args!("<text class=\"head\" x=\"{x}\" y=\"54\">{name}</text>");
        line(&mut svg, text);
    }
    let figures = |row: &Row| {
        let Row { naive, ours, .. } = row;
        let logins = (naive.counts.logins, ours.counts.logins);
        [(LEFT, logins), (RIGHT, (naive.failed, ours.failed))]
    };
    for (at, row) in rows.iter().enumerate() {
        let y = TOP + ROW * at;
        line(
            &mut svg,
            format_args!("<text x=\"{LEFT}\" y=\"{y}\">{}</text>", row.title),
        );
        line(
            &mut svg,
            format_args!(
                "<text x=\"{RIGHT}\" y=\"{y}\">of {}</text>",
                row.ours.requests
            ),
        );
        for (x, (naive, ours)) in figures(row) {
            for (class, y, figure) in [("bar", y + 8, naive), ("ours", y + 26, ours)] {
                // Rounded up, so that a count of 1 is visible.
                let length = (figure * BARS).div_ceil(most);
                line(
                    &mut svg,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{length}\" height=\"12\" rx=\"2\"/>"
                    ),
                );
                line(
                    &mut svg,
                    format_args!(
                        "<text x=\"{}\" y=\"{}\">{figure}</text>",
                        x + length + 6,
                        y + 11
                    ),
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn line(svg: &mut String, text: Arguments<'_>) {
    writeln!(svg, "{text}").expect("a string takes every text");
}
