//! Tables, printed and written as JSON for `cargo bench --bench readme`.

use std::{env, fs, path::PathBuf};

use serde_json::{Value, json};

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
        table.print();
        self.tables.push(table);
    }

    pub(crate) fn write(&self) {
        let path = path(self.bench);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("target is writable");
        let tables: Vec<Value> = self.tables.iter().map(Table::to_json).collect();
        let text = serde_json::to_string_pretty(&tables).expect("finite numbers and text");
        fs::write(&path, text + "\n").expect("target is writable");
        println!("\nwritten to {}", path.display());
    }

    /// The results that a bench wrote last.
    pub(crate) fn read(bench: &'static str) -> Option<Self> {
        let text = fs::read_to_string(path(bench)).ok()?;
        let tables: Value = serde_json::from_str(&text).ok()?;
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
