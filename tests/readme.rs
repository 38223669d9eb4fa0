//! The chart of the README and its table say the same.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_chart_says_what_the_table_says() {
    let (readme, chart) = (read("README.md"), read("benches/request.svg"));
    let (_, table) = readme.split_once("| a request pays").unwrap();
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let mut bars = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].replace('`', "");
        let (long_lived, _) = cells[2].split_once(" / ").unwrap();
        let (_, bar) = chart.split_once(&format!(">{name}</text>")).unwrap();
        let label = bar.lines().nth(2).unwrap();
        assert!(
            label.contains(&format!(">{long_lived}<")),
            "{name}: {label}"
        );
        bars += 1;
    }
    assert_eq!(bars, chart.matches("<rect ").count());
}
