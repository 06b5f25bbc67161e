//! docs/ARCHITECTURE.md, held to the source: each file has its row, and each row its file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ARCHITECTURE: &str = include_str!("../../docs/ARCHITECTURE.md");
/// They stand for their folder, or beside what they test.
const WITHOUT_ROW: [&str; 4] = ["lib.rs", "mod.rs", "tests.rs", "tests"];

/// The Rust files of a folder, by their paths below `src`.
fn files(folder: &Path, below: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        if WITHOUT_ROW.contains(&name.as_str()) {
            continue;
        }
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{below}{name}/"), found);
        } else if name.ends_with(".rs") {
            found.insert(format!("{below}{name}"));
        }
    }
}

/// The files that the first column of the tables under "File by file" names.
fn rows() -> BTreeSet<String> {
    let (_, rows) = ARCHITECTURE
        .split_once("\n## File by file\n")
        .expect("the section");
    let (rows, _) = rows.split_once("\n## ").expect("another section");
    let cells = rows
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    named
        .filter(|name| name.ends_with(".rs") && !name.ends_with("mod.rs"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_file_of_the_source_has_its_row_and_every_row_its_file() {
    let mut source = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    files(&folder, "", &mut source);
    assert!(source.len() > 100, "{source:?}");
    let rows = rows();
    let without: Vec<&String> = source.difference(&rows).collect();
    assert!(
        without.is_empty(),
        "docs/ARCHITECTURE.md has no row for {without:?}"
    );
    let gone: Vec<&String> = rows.difference(&source).collect();
    assert!(
        gone.is_empty(),
        "docs/ARCHITECTURE.md has rows for files that are not there: {gone:?}"
    );
}
