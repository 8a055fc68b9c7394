//! The reader `versions`, see `targets.rs`.
#![no_main]

#[path = "../../crates/tollgate/tests/any_input/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::run("versions", data));
