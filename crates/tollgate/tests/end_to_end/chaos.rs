//! Chaos end to end: processors and gateway break on a schedule made from a seed while payments run; afterwards
//! both sides' books agree. `docs/chaos.md` tells what is broken.
//!
//! The commands wait more than they work, so they may run side by side.

use std::process::Command;

/// Runs the command and returns what it printed.
fn chaos(seed: u64, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["chaos", "--seed", &seed.to_string(), "--rate", "60"])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}: {errors}\n{text}");
    text
}

/// The number before a word of the line that begins so.
fn count(text: &str, line: &str, word: &str) -> u64 {
    let found = text.lines().find(|have| have.starts_with(line)).unwrap_or_else(|| panic!("no line {line}"));
    let words: Vec<&str> = found.split([' ', ',', ':']).filter(|word| !word.is_empty()).collect();
    let place = words.iter().position(|have| *have == word);
    place.and_then(|place| words[place - 1].parse().ok()).unwrap_or(0)
}

/// A short run, in which everything is broken at least once.
fn survives(seed: u64) {
    let text = chaos(seed, &["--minutes", "0.2"]);
    assert!(text.ends_with(&format!(
        "seed {seed}: no double charge, nothing lost, nothing open, both sides' books agree\n"
    )));
    // It was really broken, and really used.
    assert!(count(&text, "payments", "completed") > 100, "hardly anything was paid");
    assert!(count(&text, "refunds", "succeeded") > 10, "hardly anything was refunded");
    assert!(count(&text, "requests", "sent") > 20, "no answer was lost");
    let struck = text.lines().find(|line| line.starts_with("faults struck")).unwrap();
    assert!(struck.split(',').count() >= 8, "{struck}");
    assert!(text.contains("killed 2 times"));
}

#[test]
fn seed_1_is_survived() {
    survives(1);
}

#[test]
fn seed_2_is_survived() {
    survives(2);
}

#[test]
fn seed_3_is_survived() {
    survives(3);
}

#[test]
fn a_random_seed_is_survived() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    survives(seed);
}

#[test]
fn a_schedule_is_its_seeds() {
    let plan = |seed| chaos(seed, &["--minutes", "0.5", "--plan"]);
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    for word in ["refuses connections", "lies:", "gateway      is killed with SIGKILL"] {
        assert!(plan(7).contains(word), "{word}");
    }
}
