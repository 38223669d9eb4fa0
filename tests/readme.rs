//! The pages with figures agree with each other, and the README stays short.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_chart_shows_the_figures_of_the_table() {
    let (page, chart) = (read("benches/README.md"), read("benches/request.svg"));
    let (_, table) = page.split_once("| a request pays").unwrap();
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let mut bars = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].replace('`', "");
        let (_, row) = chart.split_once(&format!(">{name}</text>")).unwrap();
        // A bar, and its label in the next line.
        let labels = row.lines().skip(3).step_by(2);
        let counts = cells[2..4].iter().flat_map(|cell| cell.split(" / "));
        for (count, label) in counts.zip(labels) {
            assert!(label.contains(&format!(">{count}<")), "{name}: {label}");
            bars += 1;
        }
    }
    assert_eq!(bars, chart.matches("<rect ").count());
}

#[test]
fn the_readme_states_the_measured_instructions() {
    let page = read("benches/README.md");
    let long_lived = |name: &str| -> u32 {
        let (_, rest) = page.split_once(&format!("| {name} | ")).unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let floor = long_lived("floor: a layer that inserts a ready-made value");
    let more = long_lived("tower-bearer") - floor;
    let stated = format!("a request pays {more} instructions more");
    assert!(read("README.md").contains(&stated), "{stated}");
}

#[test]
fn the_readme_has_at_most_150_lines() {
    assert!(read("README.md").lines().count() <= 150);
}
