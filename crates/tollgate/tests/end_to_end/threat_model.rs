//! `docs/threat-model.md` names the test that attacks each threat: every one of them must be there by that name.

use std::collections::BTreeMap;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The tests of a file.
fn tests_of(path: &str) -> Vec<String> {
    let text =
        std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|_| panic!("{path} is not there"));
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && let Some((_, rest)) = line.split_once("fn ") {
            tests.push(rest.split(['(', '<']).next().unwrap().to_owned());
            is_test = false;
        }
    }
    tests
}

/// What is quoted in a cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_threat_has_a_test_that_is_there_or_is_open() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/threat-model.md")).unwrap();
    let mut known: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut threats, mut boundaries, mut named) = (0, 0, 0);
    let mut kinds = String::new();
    for line in page.lines() {
        if line.starts_with("## ") {
            boundaries += 1;
            kinds.clear();
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [kind, threat, against, tests] = cells[..] else { continue };
        if !matches!(kind, "S" | "T" | "R" | "I" | "D" | "E") {
            continue;
        }
        // In the order of STRIDE, so that a gap is seen.
        assert!(kinds.chars().all(|earlier| "STRIDE".find(earlier) <= "STRIDE".find(kind)), "{line}");
        kinds.push_str(kind);
        threats += 1;
        let mut path = None;
        let mut own = 0;
        for name in quoted(tests) {
            if name.ends_with(".rs") {
                path = Some(name);
                continue;
            }
            let path = path.unwrap_or_else(|| panic!("{threat}: {name} stands in no file"));
            let there = known.entry(path).or_insert_with(|| tests_of(path));
            assert!(there.iter().any(|test| test == name), "{path} has no test {name}");
            own += 1;
        }
        let is_open = against.contains("open: ") || tests.starts_with("open: ");
        assert!(own > 0 || is_open, "{threat} has no test and is not said to be open");
        named += own;
    }
    assert!(boundaries >= 9 && threats > 50 && named > 80, "{boundaries} {threats} {named}");
}
