//! The load generator: sends payments to a gateway over real HTTP/1.1 connections and reports what came back.
//!
//! It promises three things a measurement must have:
//!
//! * **No coordinated omission.** In the open loop a payment is due at an instant fixed by the schedule, and its latency
//!   runs from that instant whether or not a connection was free. A server that stalls cannot slow the schedule down.
//! * **Cheap.** Everything runs on one thread of its own: no lock, no timer and no task hop a payment. What it costs is
//!   measured and printed beside what the server costs.
//! * **Bounded.** Payments that find no connection wait in a queue of fixed length; the ones that find the queue full are
//!   counted as `not_sent`, loudly.
//!
//! One subject a file: what is asked for ([`LoadOptions`] in `options`, [`Mix`] and [`Instrument`] in `mix`), when payments
//! are due (`schedule`, `ticker`), where they wait (`queue`), how one travels (`payment`, `client`, `reply`, `worker`), what is
//! counted (`stats`, `process`, `ack_log`), the whole arranged (`engine`, `shared`), and what is shown (`report`, `text`, [`svg`]).
//!
//! No command line here: the `tollgate` binary parses the flags.

mod ack_log;
mod client;
mod engine;
mod mix;
mod options;
mod payment;
mod process;
mod queue;
mod reply;
mod report;
mod schedule;
mod shared;
mod stats;
pub mod svg;
mod text;
mod ticker;
mod worker;

#[cfg(test)]
mod tests;

pub use ack_log::{AckLine, parse_ack_line};
pub use engine::{Progress, run};
pub use mix::{CardDetails, Instrument, Mix, MixError};
pub use options::{ApiKey, Arrivals, LoadError, LoadOptions, Mode, SampledProcess, StopSignal};
pub use report::{Counts, LoadReport, Machine, Percentiles, ProcessUse, SUCCESS_RULE, SecondPoint};
