//! Redraws `benches/README.md` and its charts from the last run of the benches, so all figures in
//! them are measured.
//!
//! ```text
//! cargo bench && cargo bench --bench readme
//! ```

#[path = "support/mod.rs"]
mod support;

use std::{error::Error, fmt::Write as _, fs, path::Path};

use support::{Report, Table, Target, Use, WORST, X_FLOOR};

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

/// The instructions beyond the bare service.
fn instructions_of(report: &Report, row: &str, used: Use, target: Target) -> Outcome<f64> {
    let counted = Measured::of(report, &support::instructions_title(used, target))?;
    let bare = counted.cell("bare service", "instructions")?;
    Ok(counted.cell(row, "instructions")? - bare)
}

fn request_table() -> Outcome<String> {
    let (instructions, times) = (report("instructions")?, report("request_path")?);
    let mut text = String::from(
        "| a request pays, beyond the bare service | instructions | `/path` and `Host` | allocations | time, × the floor's |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    for (row, name) in CONTENDERS {
        let mut cells = [const { Vec::new() }; 4];
        for used in Use::ALL {
            for (at, target) in Target::ALL.into_iter().enumerate() {
                let count = instructions_of(&instructions, row, used, target)?;
                cells[at].push(format!("{count:.0}"));
            }
            let timed = Measured::of(&times, &format!("A request, {}", used.name()))?;
            cells[2].push(format!("{:.0}", timed.cell(row, "allocations")?));
            cells[3].push(format!("{:.1}", timed.cell(row, X_FLOOR)?));
        }
        let cells = cells.map(|cells| cells.join(" / ")).join(" | ");
        writeln!(text, "| {name} | {cells} |")?;
    }
    Ok(text)
}

fn crowd_table() -> Outcome<String> {
    let (storm, contention) = (report("storm")?, report("contention")?);
    let cold = Measured::of(&storm, "Cold start, 10000 requests at once")?;
    let revoked = Measured::of(&storm, "Revoked, 10000 requests in flight, replay")?;
    let expiry = Measured::of(&storm, "Expiry under load, counted")?;
    let latency = Measured::of(&storm, "Expiry under load, concurrent session, 2 workers")?;
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
    for (used, name) in [
        (Use::LongLived, "a service each"),
        (Use::Cloned, "a clone per request"),
    ] {
        let title = format!("2 threads, {}", used.name());
        let threads = Measured::of(&contention, &title)?;
        writeln!(
            text,
            "| two threads, {name}, × the floor's time; the worst process (by hand, minimal) | {:.2} ×; {:.2} × ({:.2} ×; {:.2} ×) |",
            threads.cell(ours, X_FLOOR)?,
            threads.cell(ours, WORST)?,
            threads.cell("by hand: minimal", X_FLOOR)?,
            threads.cell("by hand: minimal", WORST)?,
        )?;
    }
    Ok(text)
}

/// The shades of a request's kinds: of our bars, and of the others.
const KINDS: [(Use, Target, &str); 4] = [
    (Use::LongLived, Target::Absolute, "a"),
    (Use::Cloned, Target::Absolute, "b"),
    (Use::LongLived, Target::PathAndHost, "c"),
    (Use::Cloned, Target::PathAndHost, "d"),
];

const STYLE: &str = "<style>\n\
    text { font: 13px system-ui, sans-serif; fill: #24292f }\n\
    .head { font-weight: 600 }\n\
    .small { font-size: 11px } .middle { text-anchor: middle }\n\
    .a { fill: #57606a } .b { fill: #8c959f } .c { fill: #6e7781; opacity: .6 } .d { fill: #8c959f; opacity: .5 }\n\
    .ours .a { fill: #0550ae } .ours .b { fill: #218bff } .ours .c { fill: #0550ae; opacity: .6 } .ours .d { fill: #218bff; opacity: .5 }\n\
    .line { fill: none; stroke: #0969da; stroke-width: 2 } .dot { fill: #0969da } .axis { stroke: #8c959f }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3 }\n\
    .line { stroke: #4493f8 } .dot { fill: #4493f8 }\n\
    }\n\
    </style>\n";

fn svg(title: &str, width: usize, height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n{STYLE}<text class=\"head\" x=\"8\" y=\"22\">{title}</text>\n"
    )
}

/// A bar chart of instructions, for light and dark pages.
fn chart() -> Outcome<String> {
    const BAR: usize = 9;
    const ROW: usize = 22 + BAR * KINDS.len();
    const TOP: usize = 62;
    const WIDTH: usize = 760;
    const BARS: f64 = 600.0;
    let instructions = report("instructions")?;
    let of = |row, (used, target, _)| instructions_of(&instructions, row, used, target);
    let mut most = 1.0;
    for (row, _) in CONTENDERS {
        for kind in KINDS {
            most = f64::max(most, of(row, kind)?);
        }
    }
    let height = TOP + ROW * CONTENDERS.len() + 4;
    let title = "Instructions that a request pays beyond the bare service";
    let mut svg = svg(title, WIDTH, height);
    writeln!(
        svg,
        "<text class=\"small\" x=\"8\" y=\"42\">Bars from above: absolute URI, long-lived service and a clone per request; the same with /path and Host</text>"
    )?;
    for (at, (row, name)) in CONTENDERS.into_iter().enumerate() {
        let (y, name) = (TOP + ROW * at, name.replace('`', ""));
        let class = if name.starts_with("tower-bearer") {
            "ours"
        } else {
            "others"
        };
        writeln!(svg, "<text x=\"8\" y=\"{}\">{name}</text>", y + 10)?;
        writeln!(svg, "<g class=\"{class}\">")?;
        for (at, kind) in KINDS.into_iter().enumerate() {
            let (count, y) = (of(row, kind)?, y + 15 + BAR * at);
            let length = count / most * BARS;
            writeln!(
                svg,
                "<rect class=\"{}\" x=\"8\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\"/>",
                kind.2,
                BAR - 1
            )?;
            writeln!(
                svg,
                "<text class=\"small\" x=\"{:.1}\" y=\"{}\">{count:.0}</text>",
                length + 14.0,
                y + BAR - 1
            )?;
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// The curves of the bench `growth`: the title of a table, and its unit.
const CURVES: [(&str, &str); 6] = [
    ("accounts", "× the floor's time"),
    ("origins", "× the floor's time"),
    ("headers", "× the floor's time"),
    ("headers, replay", "× the floor's time"),
    ("services", "bytes each"),
    ("waiters", "bytes each"),
];

/// One small chart for each curve, in rows of three. The horizontal axis has one step for each row.
fn curves() -> Outcome<String> {
    const WIDTH: usize = 250;
    const HEIGHT: usize = 160;
    const IN_A_ROW: usize = 3;
    const CURVE: f64 = 80.0;
    let growth = report("growth")?;
    let rows = CURVES.len().div_ceil(IN_A_ROW);
    let mut svg = svg("How the cost grows", WIDTH * IN_A_ROW, 30 + HEIGHT * rows);
    for (at, (name, unit)) in CURVES.into_iter().enumerate() {
        let left = (8 + WIDTH * (at % IN_A_ROW)) as f64;
        let top = (30 + HEIGHT * (at / IN_A_ROW)) as f64;
        let table = Measured::of(&growth, name)?;
        let names: Vec<_> = table.0.rows.iter().map(|(row, _)| row.as_str()).collect();
        let cells: Result<Vec<_>, _> = names.iter().map(|row| table.cell(row, unit)).collect();
        let cells = cells?;
        let most = cells.iter().copied().fold(1.0, f64::max);
        let (bottom, right) = (top + 45.0 + CURVE, left + WIDTH as f64 - 30.0);
        let step = (WIDTH as f64 - 60.0) / (names.len() - 1) as f64;
        let x = |at: usize| left + 16.0 + step * at as f64;
        let y = |value: f64| bottom - value / most * CURVE;
        writeln!(
            svg,
            "<text x=\"{left}\" y=\"{}\">{name}: {unit}</text>",
            top + 16.0
        )?;
        writeln!(
            svg,
            "<line class=\"axis\" x1=\"{left}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\"/>"
        )?;
        let points = cells.iter().enumerate();
        let points: Vec<_> = points
            .map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value)))
            .collect();
        writeln!(
            svg,
            "<polyline class=\"line\" points=\"{}\"/>",
            points.join(" ")
        )?;
        for (at, (name, value)) in names.iter().zip(&cells).enumerate() {
            let (x, y) = (x(at), y(*value));
            let value = match unit {
                "bytes each" => format!("{value:.0}"),
                _ => format!("{value:.1}"),
            };
            writeln!(
                svg,
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>\n\
                 <text class=\"small middle\" x=\"{x:.1}\" y=\"{:.1}\">{value}</text>\n\
                 <text class=\"small middle\" x=\"{x:.1}\" y=\"{}\">{}</text>",
                y - 8.0,
                bottom + 15.0,
                match name.strip_suffix("000") {
                    Some(thousands) => format!("{thousands}k"),
                    None => (*name).to_owned(),
                }
            )?;
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn end_to_end_table() -> Outcome<String> {
    let report = report("end_to_end")?;
    let mut text = String::from(
        "| requests per second over loopback, × with the header set by hand | HTTP/1, 1 and 32 at once | HTTP/2, 1 and 32 at once |\n\
         | --- | ---: | ---: |\n",
    );
    for row in ["the same again", "tower-bearer", "tower-bearer, replay"] {
        let mut cells = Vec::new();
        for version in ["HTTP/1", "HTTP/2"] {
            let title = format!("Requests per second, × by hand, {version}");
            let table = Measured::of(&report, &title)?;
            let (one, many) = (
                table.cell(row, "1 at once")?,
                table.cell(row, "32 at once")?,
            );
            cells.push(format!("{one:.2}, {many:.2}"));
        }
        let name = match row {
            "the same again" => "by hand, once more: the noise",
            row => row,
        };
        writeln!(text, "| {name} | {} |", cells.join(" | "))?;
    }
    Ok(text)
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
    let tables = [request_table()?, end_to_end_table()?, crowd_table()?];
    let measured = tables.join("\n") + "\n";
    fs::write(&page, format!("{before}{BEGIN}\n{measured}{END}{after}"))?;
    fs::write(page.with_file_name("request.svg"), chart()?)?;
    fs::write(page.with_file_name("growth.svg"), curves()?)?;
    println!("benches/README.md and its charts show the last measurements");
    Ok(())
}
