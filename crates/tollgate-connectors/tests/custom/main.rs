//! Processors described in configuration alone: what they send, what they believe, and which
//! configurations are refused.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test may stop where it stands")]

mod doubt;
mod flows;
mod injection;
mod money;
mod refusals;
mod signatures;
mod support;
