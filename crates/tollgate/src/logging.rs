//! Logs to standard error, as text or JSON lines.

use crate::Failure;
use crate::config::Log;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    let mut filter = EnvFilter::try_new(&log.filter).map_err(|error| format!("log.filter: {error}"))?;
    // They would write down what they carry, keys among it.
    for quiet in ["h2=warn", "hyper=info", "hyper_util=info", "rustls=info"] {
        filter = filter.add_directive(quiet.parse()?);
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people: a file would be full of escape codes.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if log.json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    started.map_err(|error| format!("logging could not start: {error}").into())
}
