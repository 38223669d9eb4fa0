//! Tables, printed and written as JSON for `cargo bench --bench readme`.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// The column of multiples of the floor, and that of the worst of them.
pub(crate) const X_FLOOR: &str = "x floor";
pub(crate) const WORST: &str = "worst";

/// How many processes measure the same: where the memory of one happens to lie changes its times by 10 ns.
pub(crate) const PROCESSES: usize = 17;

/// The argument of such a process.
const ONE_OF_SEVERAL: &str = "--one-of-several";

/// The results of one bench.
pub(crate) struct Report {
    bench: &'static str,
    tables: Vec<Table>,
}

pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<String>,
    /// A cell is `None` if there is nothing to measure.
    pub(crate) rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = f64>) {
        let cells = cells.into_iter().map(Some).collect();
        self.rows.push((name.into(), cells));
    }

    /// The cell of a row and a column, if it was measured.
    pub(crate) fn cell(&self, row: &str, column: &str) -> Option<f64> {
        let at = self.columns.iter().position(|name| name == column)?;
        let (_, cells) = self.rows.iter().find(|(name, _)| name == row)?;
        *cells.get(at)?
    }

    /// The medians of tables that have the same rows as the first.
    fn median_of(first: &Self, tables: &[&Self]) -> Self {
        let sorted = |row: usize, column: usize| {
            let mut cells: Vec<_> = tables
                .iter()
                .filter_map(|it| it.rows[row].1[column])
                .collect();
            cells.sort_unstable_by(f64::total_cmp);
            cells
        };
        let mut columns = first.columns.clone();
        let floors = columns.iter().position(|it| it == X_FLOOR);
        columns.extend(floors.map(|_| WORST.to_owned()));
        let rows = first.rows.iter().enumerate().map(|(row, (name, cells))| {
            let medians = (0..cells.len()).map(|column| {
                let cells = sorted(row, column);
                cells.get(cells.len() / 2).copied()
            });
            let worst = floors.map(|column| sorted(row, column).last().copied());
            (name.clone(), medians.chain(worst).collect())
        });
        Self {
            title: first.title.clone(),
            columns,
            rows: rows.collect(),
        }
    }

    fn print(&self) {
        println!("\n{}", self.title);
        let wide = self.rows.iter().map(|(name, _)| name.len()).max();
        let wide = wide.unwrap_or_default();
        let heads = self.columns.iter().map(|column| format!("  {column:>12}"));
        println!("{:wide$}{}", "", heads.collect::<String>());
        for (name, cells) in &self.rows {
            let cells = cells.iter().zip(&self.columns).map(|(cell, column)| {
                let width = column.len().max(12);
                match cell {
                    Some(cell) => format!("  {cell:>width$.2}"),
                    None => format!("  {:>width$}", "-"),
                }
            });
            println!("{name:wide$}{}", cells.collect::<String>());
        }
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter();
        json!({
            "title": self.title,
            "columns": self.columns,
            "rows": rows.map(|(name, cells)| json!({ "name": name, "cells": cells })).collect::<Vec<_>>(),
        })
    }

    fn from_json(table: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let row = |row: &Value| {
            let cells = row["cells"].as_array()?.iter().map(Value::as_f64).collect();
            Some((text(&row["name"])?, cells))
        };
        Some(Self {
            title: text(&table["title"])?,
            columns: table["columns"]
                .as_array()?
                .iter()
                .filter_map(text)
                .collect(),
            rows: table["rows"].as_array()?.iter().filter_map(row).collect(),
        })
    }
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            tables: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, table: Table) {
        self.tables.push(table);
    }

    pub(crate) fn write(&self) {
        let path = path(self.bench);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("target is writable");
        self.tables.iter().for_each(Table::print);
        let text = serde_json::to_string_pretty(&self.to_json()).expect("finite numbers and text");
        fs::write(&path, text + "\n").expect("target is writable");
        println!("\nwritten to {}", path.display());
    }

    /// The results that a bench wrote last.
    pub(crate) fn read(bench: &'static str) -> Option<Self> {
        let text = fs::read_to_string(path(bench)).ok()?;
        Self::from_json(bench, &serde_json::from_str(&text).ok()?)
    }

    /// Measures in several processes, one after the other. The cells are medians; of each multiple of the floor,
    /// there is the worst as well.
    pub(crate) fn of_processes(bench: &'static str, measure: impl FnOnce(&mut Self)) {
        let mut report = Self::new(bench);
        if env::args().any(|it| it == ONE_OF_SEVERAL) {
            measure(&mut report);
            return println!("{}", report.to_json());
        }
        let program = env::current_exe().expect("the path of this program");
        let reports = (0..PROCESSES).map(|_| {
            let mut process = Command::new(&program);
            let output = process
                .arg(ONE_OF_SEVERAL)
                .stderr(Stdio::inherit())
                .output();
            let output = output.expect("the program starts again");
            let tables = serde_json::from_slice(&output.stdout).expect("it prints a report");
            Self::from_json(bench, &tables).expect("it prints a report")
        });
        let reports: Vec<_> = reports.collect();
        for (at, first) in reports[0].tables.iter().enumerate() {
            let tables: Vec<_> = reports.iter().map(|it| &it.tables[at]).collect();
            report.add(Table::median_of(first, &tables));
        }
        report.write();
    }

    fn to_json(&self) -> Value {
        self.tables.iter().map(Table::to_json).collect()
    }

    fn from_json(bench: &'static str, tables: &Value) -> Option<Self> {
        let tables = tables.as_array()?.iter().filter_map(Table::from_json);
        Some(Self {
            bench,
            tables: tables.collect(),
        })
    }

    pub(crate) fn table(&self, title: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.title == title)
    }
}

/// `target/bench/NAME.json`.
fn path(bench: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("it is in target");
    target.join("bench").join(bench).with_extension("json")
}
