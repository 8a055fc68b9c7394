//! Whatever comes from outside, no reader panics or breaks a promise: each of the fuzz targets over its seeds and some thousand
//! mutations of them. `scripts/fuzz` asks the same for as long as one likes (`docs/fuzzing.md`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");

/// Mutations of a target's seeds.
const MUTATIONS: u32 = 3_000;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap() % sides.max(1)
    }

    fn byte(&mut self) -> u8 {
        // Half of them signs that mean something in most formats.
        const SIGNS: &[u8] = b"\"'{}[](),.:;=&%+-_/\\|@#? 0123456789\n\r\t\0";
        let any = u8::try_from(self.roll(256)).unwrap();
        if self.roll(2) == 0 { any } else { SIGNS[self.roll(SIGNS.len())] }
    }
}

/// Bytes like these, but not quite.
fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(5) {
        let place = dice.roll(bytes.len());
        let end = (place + dice.roll(12)).min(bytes.len());
        match dice.roll(7) {
            0 if !bytes.is_empty() => bytes[place] ^= 1 << dice.roll(8),
            1 if !bytes.is_empty() => bytes[place] = dice.byte(),
            2 => bytes.insert(place, dice.byte()),
            3 => drop(bytes.drain(place..end)),
            4 => bytes.truncate(place),
            5 => {
                let part = bytes[place..end].to_vec();
                let times = 1 + dice.roll(40);
                bytes.splice(place..place, part.repeat(times));
            }
            _ => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len());
                let to = (from + dice.roll(30)).min(other.len());
                bytes.splice(place..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = std::fs::read_dir(Path::new(FUZZ).join("seeds").join(target))
        .unwrap_or_else(|_| panic!("{target} has no seeds"))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).chain([Vec::new()]).collect()
}

#[test]
fn no_reader_panics_or_breaks_its_promises() {
    let mut broken = Vec::new();
    'targets: for (name, target) in targets::TARGETS {
        let seeds = seeds(name);
        let mut dice = Dice(0x5EED_0000_0000_0001);
        let mutations = (0..MUTATIONS).map(|_| mutated(&seeds, &mut dice));
        for input in seeds.clone().into_iter().chain(mutations) {
            let went = catch_unwind(AssertUnwindSafe(|| target(&input)));
            if went.is_err() {
                broken.push(format!("{name} with {:?}", String::from_utf8_lossy(&input)));
                continue 'targets;
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// `cargo fuzz run <target>` in `fuzz/`.
#[test]
fn every_reader_has_a_fuzz_target() {
    let manifest = std::fs::read_to_string(format!("{FUZZ}/Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        let target = std::fs::read_to_string(format!("{FUZZ}/fuzz_targets/{name}.rs")).unwrap();
        assert!(target.contains(&format!("targets::run(\"{name}\", data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
