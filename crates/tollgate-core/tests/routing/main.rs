//! Routing against models, without I/O: whatever happens in whatever order, breakers recover, nothing that
//! may have taken money is tried again, splits are exact, and data stays where it has to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop where they fail")]

mod breaker;
mod budget;
mod payment;
mod residency;
mod retry;
mod split;
