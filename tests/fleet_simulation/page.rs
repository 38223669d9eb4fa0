//! The tables and the chart of the guide.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tower_bearer::Session;

use crate::scenario::Outcome;

/// The numbers of instances.
pub(crate) const SIZES: [usize; 3] = [10, 100, 1000];

/// One row: a name, and the outcome for each of the sizes.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) session: Session,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Row {
    fn cell(&self, of: impl Fn(&Outcome) -> String) -> String {
        let cells: Vec<_> = self.outcomes.iter().map(of).collect();
        cells.join(" / ")
    }
}

fn word(session: Session) -> &'static str {
    match session {
        Session::Exclusive => "exclusive",
        _ => "concurrent",
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}

fn spread(outcome: &Outcome) -> String {
    let spread = outcome.spread();
    spread.map_or("-".to_owned(), |(median, longest)| {
        format!("{}, {}", seconds(median), seconds(longest))
    })
}

fn calm_row(name: &str, it: &Outcome) -> String {
    let cells = [
        word(it.scenario.session).to_owned() + name,
        thousands(it.scenario.instances as u64),
        format!("{} for {}", it.api.after_revocation, it.api.revocations),
        it.api.logins.to_string(),
        thousands(it.operations_per_login().round() as u64),
        format!("{:.1}", it.operations_per_instance_hour()),
        thousands(it.store.most_in_a_second),
        spread(it),
        seconds(it.requests.longest),
        thousands(it.requests.rejected),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn tables(calm: &[Row], hints: &[Row], clocks: &[Row], cut_off: &[Row]) -> String {
    let mut page = String::from(
        "| session | instances | logins for revocations | all logins | operations per login | per instance and hour | in the busiest second | until all have the next session, s: median, longest | longest request, s | rejections that reached callers |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in calm {
        page.extend(row.outcomes.iter().map(|it| calm_row(row.name, it)));
    }
    for row in hints {
        page.extend(row.outcomes.last().map(|it| calm_row(row.name, it)));
    }
    page.push_str(
        "\nWith faults. The cells are for 10 / 100 / 1,000 instances.\n\n\
         | fault | session | superfluous logins | all logins |\n\
         | --- | --- | ---: | ---: |\n",
    );
    let faulty = |page: &mut String, row: &Row, more: String| {
        let cells = [
            row.name.to_owned(),
            word(row.session).to_owned(),
            row.cell(|it| thousands(it.api.superfluous)),
            row.cell(|it| thousands(it.api.logins)),
        ];
        writeln!(page, "| {} |{more}", cells.join(" | ")).unwrap();
    };
    for row in clocks {
        faulty(&mut page, row, String::new());
    }
    page.push_str(
        "\n| for ten minutes, the store is out of reach of | session | superfluous logins | all logins | requests that fail meanwhile |\n\
         | --- | --- | ---: | ---: | ---: |\n",
    );
    for row in cut_off {
        let failed = row.cell(|it| format!("{:.0} %", it.failed_percent()));
        faulty(&mut page, row, format!(" {failed} |"));
    }
    page
}

type Figure = fn(&Outcome) -> f64;

const COLOURS: [&str; 2] = ["#2f81f7", "#d1762b"];

/// Three curves over the number of instances, for each kind of session. The docs show it as part of their page,
/// so its text has the colour of the page's text.
fn chart(calm: &[Row]) -> String {
    const PANEL: f64 = 250.0;
    const CURVE: f64 = 80.0;
    let curves: [(&str, Figure); 3] = [
        ("logins per revocation", |it| it.logins_per_revocation()),
        ("operations per instance and hour", |it| {
            it.operations_per_instance_hour()
        }),
        ("seconds until all have the session", |it| {
            it.spread().map_or(0.0, |(median, _)| median.as_secs_f64())
        }),
    ];
    let mut svg = String::from(
        "<svg viewBox=\"0 0 750 175\" width=\"750\" style=\"max-width: 100%\" role=\"img\" \
         aria-label=\"Curves over 10, 100 and 1,000 instances: logins, store operations, time\" \
         fill=\"currentColor\" font-family=\"sans-serif\" font-size=\"12\">\n",
    );
    for (at, (title, of)) in curves.into_iter().enumerate() {
        let left = 8.0 + PANEL * at as f64;
        let (bottom, right) = (130.0, left + PANEL - 30.0);
        let x = |at: usize| left + 20.0 + (PANEL - 70.0) / 2.0 * at as f64;
        let lines = calm.iter().map(|row| row.outcomes.iter().map(of).collect());
        let lines: Vec<Vec<f64>> = lines.collect();
        let values = lines.iter().flatten();
        let most = values.copied().fold(f64::MIN_POSITIVE, f64::max);
        writeln!(
            svg,
            "<text x=\"{left}\" y=\"16\">{title}</text>\n\
             <path d=\"M{left} {bottom}H{right}\" stroke=\"currentColor\" opacity=\"0.5\"/>"
        )
        .unwrap();
        for (at, size) in SIZES.into_iter().enumerate() {
            let (x, y) = (x(at), bottom + 16.0);
            writeln!(
                svg,
                "<text x=\"{x:.0}\" y=\"{y}\" text-anchor=\"middle\">{size}</text>"
            )
            .unwrap();
        }
        for (line, values) in lines.iter().enumerate() {
            let y = |value: f64| bottom - value / most * CURVE;
            let points = values.iter().enumerate();
            let points: Vec<_> = points
                .map(|(at, value)| format!("{:.0},{:.1}", x(at), y(*value)))
                .collect();
            let colour = COLOURS[line];
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            )
            .unwrap();
            for (at, value) in values.iter().enumerate() {
                // Above the higher line, and below the other.
                let other = lines[1 - line][at];
                let is_higher = *value > other || (*value == other && line == 0);
                let dy = if is_higher { -8.0 } else { 18.0 };
                let (x, y) = (x(at), y(*value));
                writeln!(
                    svg,
                    "<circle cx=\"{x:.0}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n\
                     <text x=\"{x:.0}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.1}</text>",
                    y + dy
                )
                .unwrap();
            }
        }
    }
    for (line, session) in ["exclusive", "concurrent"].into_iter().enumerate() {
        let (x, colour) = (28 + 110 * line, COLOURS[line]);
        writeln!(
            svg,
            "<circle cx=\"{}\" cy=\"166\" r=\"4\" fill=\"{colour}\"/>\n\
             <text x=\"{x}\" y=\"170\">{session}</text>",
            x - 10
        )
        .unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide")
}

pub(crate) fn write(calm: &[Row], hints: &[Row], clocks: &[Row], cut_off: &[Row]) {
    let tables = tables(calm, hints, clocks, cut_off);
    fs::write(folder().join("fleet_growth.md"), tables).unwrap();
    fs::write(folder().join("fleet_growth.svg"), chart(calm)).unwrap();
}

/// Whether the page has the line of this outcome.
pub(crate) fn has_calm(outcome: &Outcome) -> bool {
    let page = fs::read_to_string(folder().join("fleet_growth.md")).unwrap();
    page.contains(&calm_row("", outcome))
}
