//! What `examplebank` reads from the network.
#![no_main]

#[path = "../../crates/tollgate-sim/tests/arbitrary/mod.rs"]
mod arbitrary;

use std::cell::LazyCell;
use tollgate_connectors::Connector;

thread_local! {
    static CONNECTOR: LazyCell<Box<dyn Connector>> = LazyCell::new(|| arbitrary::connector("examplebank"));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| CONNECTOR.with(|connector| arbitrary::check(connector.as_ref(), data)));
