//! Redraws `benches/README.md` and its chart from the last run of the benches, so all figures in
//! them are measured.
//!
//! ```text
//! cargo bench && cargo bench --bench readme
//! ```

#[path = "support/mod.rs"]
mod support;

use std::{error::Error, fmt::Write as _, fs, path::Path};

use support::{Report, Table, Use};

const BEGIN: &str = "<!-- Measured: -->\n";
const END: &str = "<!-- End of measured. -->";

/// The displayed contenders: the name in the report, and the name on the page.
const CONTENDERS: [(&str, &str); 8] = [
    (
        "tower-http, a fixed token",
        "tower-http's `AddAuthorizationLayer`, a fixed token",
    ),
    ("floor", "floor: a layer that inserts a ready-made value"),
    (
        "by hand: minimal",
        "by hand, minimal: one origin, no renewal, no replay",
    ),
    ("tower-bearer", "tower-bearer"),
    ("tower-bearer, any https", "tower-bearer, any https origin"),
    (
        "tower-bearer, 100 accounts",
        "tower-bearer, 100 accounts chosen by a header",
    ),
    (
        "tower-bearer, replay",
        "tower-bearer, replay of requests without a body",
    ),
    (
        "by hand: RwLock and format!",
        "by hand: a `tokio::sync::RwLock`, and `format!` for each request",
    ),
];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn report(bench: &'static str) -> Outcome<Report> {
    Report::read(bench)
        .ok_or_else(|| format!("`cargo bench --bench {bench}` has written nothing").into())
}

/// A table of a report, and its cells.
struct Measured<'a>(&'a Table);

impl<'a> Measured<'a> {
    fn of(report: &'a Report, title: &str) -> Outcome<Self> {
        let table = report.table(title);
        Ok(Self(table.ok_or_else(|| format!("no table {title:?}"))?))
    }

    fn cell(&self, row: &str, column: &str) -> Outcome<f64> {
        let cell = self.0.cell(row, column);
        cell.ok_or_else(|| format!("no cell {row:?}, {column:?}").into())
    }
}

fn request_table() -> Outcome<String> {
    let (instructions, times) = (report("instructions")?, report("request_path")?);
    let mut text = String::from(
        "| a request pays, beyond the bare service | instructions | allocations | time, × the floor's |\n\
         | --- | ---: | ---: | ---: |\n",
    );
    for (row, name) in CONTENDERS {
        let mut cells = [const { Vec::new() }; 3];
        for used in Use::ALL {
            let title = format!("Instructions beyond the floor's, {}", used.name());
            let counted = Measured::of(&instructions, &title)?;
            let bare = counted.cell("bare service", "1024 bytes")?;
            cells[0].push(format!("{:.0}", counted.cell(row, "1024 bytes")? - bare));
            let timed = Measured::of(&times, &format!("A request, {}", used.name()))?;
            cells[1].push(format!("{:.0}", timed.cell(row, "allocations")?));
            cells[2].push(format!("{:.1}", timed.cell(row, "x floor")?));
        }
        let [instructions, allocations, times] = cells.map(|cells| cells.join(" / "));
        writeln!(
            text,
            "| {name} | {instructions} | {allocations} | {times} |"
        )?;
    }
    Ok(text)
}

fn crowd_table() -> Outcome<String> {
    let (storm, contention) = (report("storm")?, report("contention")?);
    let cold = Measured::of(&storm, "Cold start, 10000 requests at once")?;
    let revoked = Measured::of(&storm, "Revoked, 10000 requests in flight, replay")?;
    let expiry = Measured::of(&storm, "Expiry under load, counted")?;
    let latency = Measured::of(&storm, "Expiry under load, concurrent session, 2 workers")?;
    let threads = Measured::of(&contention, "2 threads, long-lived")?;
    let ours = "tower-bearer";
    let mut text = String::from("| many requests at once | |\n| --- | --- |\n");
    let best = cold.cell("by hand: OnceCell", "drain")?;
    writeln!(
        text,
        "| 10,000 requests at once, no token yet: logins; last answer after (best by hand) | {:.0}; {:.1} × ({best:.1} ×) the login |",
        cold.cell(ours, "logins")?,
        cold.cell(ours, "drain")?,
    )?;
    writeln!(
        text,
        "| bytes and allocations of each waiting request, its task included | {:.0}, {:.1} |",
        cold.cell(ours, "bytes")?,
        cold.cell(ours, "allocations")?,
    )?;
    writeln!(
        text,
        "| 10,000 requests in flight when their token is revoked, replay: logins, failed | {:.0}, {:.0} |",
        revoked.cell(ours, "logins")?,
        revoked.cell(ours, "failed")?,
    )?;
    writeln!(
        text,
        "| expiry under load, concurrent session: logins, failed, waited | {:.0}, {:.0}, {:.0} |",
        expiry.cell(ours, "logins")?,
        expiry.cell(ours, "failed")?,
        expiry.cell(ours, "waited")?,
    )?;
    writeln!(
        text,
        "| 99th percentile of a request during that login, and without it | {:.0} ns, {:.0} ns |",
        latency.cell("during the background login", "p99 ns")?,
        latency.cell("quiet", "p99 ns")?,
    )?;
    writeln!(
        text,
        "| overhead with two threads, a service each (floor; by hand, minimal, with a shared count) | {:.0} ns ({:.0} ns, {:.0} ns) |",
        threads.cell(ours, "ns over bare")?,
        threads.cell("floor", "ns over bare")?,
        threads.cell("by hand: minimal", "ns over bare")?,
    )?;
    Ok(text)
}

/// A bar chart of instructions, for light and dark pages.
fn chart() -> Outcome<String> {
    const ROW: usize = 34;
    const TOP: usize = 44;
    const WIDTH: usize = 760;
    const BARS: f64 = 560.0;
    let instructions = report("instructions")?;
    let title = format!("Instructions beyond the floor's, {}", Use::LongLived.name());
    let counted = Measured::of(&instructions, &title)?;
    let bare = counted.cell("bare service", "1024 bytes")?;
    let mut bars = Vec::new();
    for (row, name) in CONTENDERS {
        bars.push((
            name.replace('`', ""),
            counted.cell(row, "1024 bytes")? - bare,
        ));
    }
    let most = bars.iter().map(|(_, count)| *count).fold(1.0, f64::max);
    let height = TOP + ROW * bars.len() + 8;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Instructions that a request pays beyond the bare service</title>\n\
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
         <text class=\"head\" x=\"8\" y=\"22\">Instructions that a request pays beyond the bare service, token of 1,024 bytes</text>\n"
    );
    for (at, (name, count)) in bars.iter().enumerate() {
        let y = TOP + ROW * at;
        let class = if name.starts_with("tower-bearer") {
            "ours"
        } else {
            "bar"
        };
        let length = count / most * BARS;
        writeln!(svg, "<text x=\"8\" y=\"{}\">{name}</text>", y + 10)?;
        writeln!(
            svg,
            "<rect class=\"{class}\" x=\"8\" y=\"{}\" width=\"{length:.1}\" height=\"10\" rx=\"2\"/>",
            y + 15
        )?;
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\">{count:.0}</text>",
            length + 16.0,
            y + 25
        )?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn main() -> Outcome<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/README.md");
    let readme = fs::read_to_string(&page)?;
    let (before, rest) = readme
        .split_once(BEGIN)
        .ok_or("benches/README.md lacks its marker")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("benches/README.md lacks its marker")?;
    let measured = format!("{}\n{}\n", request_table()?, crowd_table()?);
    fs::write(&page, format!("{before}{BEGIN}\n{measured}{END}{after}"))?;
    fs::write(page.with_file_name("request.svg"), chart()?)?;
    println!("benches/README.md and benches/request.svg show the last measurements");
    Ok(())
}
