//! Logs to standard error, as text or JSON lines. Whatever is written passes [`tollgate_core::scrub`] first: card numbers and keys
//! are masked wherever they stand in it, panics and their texts as well.

use crate::Failure;
use crate::config::Log;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use tollgate_core::scrub::{scrubbed, scrubbed_json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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
        .with_ansi(io::stderr().is_terminal())
        .with_writer(Masked { json: log.json, to: io::stderr });
    let started = if log.json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    started.map_err(|error| format!("logging could not start: {error}").into())
}

/// Has panics written where logs go, without what must not be there. Call it first of all.
pub(crate) fn catch_panics() {
    std::panic::set_hook(Box::new(write_panic));
}

fn write_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no text");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    // Empty unless RUST_BACKTRACE is set.
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => format!("\n{backtrace}"),
        _ => String::new(),
    };
    if tracing::dispatcher::has_been_set() {
        tracing::error!(location, "panicked: {text}{backtrace}");
    } else {
        complain(&format!("tollgate: panicked at {location}: {text}{backtrace}"));
    }
}

/// Tells a person at the terminal.
pub(crate) fn complain(text: &str) {
    // Nobody is left to be told that standard error is gone.
    let _ = writeln!(io::stderr(), "{}", scrubbed(text));
}

/// Makes writers of masked text.
struct Masked<M> {
    json: bool,
    to: M,
}

impl<'a, M: Fn() -> W, W: Write> MakeWriter<'a> for Masked<M> {
    type Writer = MaskedWriter<W>;

    fn make_writer(&'a self) -> Self::Writer {
        MaskedWriter { json: self.json, to: (self.to)() }
    }
}

/// Masks what is written. A whole event comes in one piece, so nothing can hide between two.
struct MaskedWriter<W> {
    json: bool,
    to: W,
}

impl<W: Write> Write for MaskedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let shown: Cow<'_, str> = if self.json { scrubbed_json(&text) } else { scrubbed(&text) };
        // One call: lines of several threads do not mix.
        self.to.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// What the lines of an action are, as text or JSON.
    fn logged(json: bool, action: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<Vec<u8>>>);
        impl Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let kept = Kept::default();
        let to = kept.clone();
        let builder = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(Masked { json, to: move || to.clone() });
        let dispatch: tracing::Dispatch =
            if json { builder.json().finish().into() } else { builder.finish().into() };
        tracing::dispatcher::with_default(&dispatch, action);
        String::from_utf8(kept.0.lock().clone()).unwrap()
    }

    #[test]
    fn neither_messages_nor_fields_nor_spans_nor_error_chains_show_numbers_and_keys() {
        let number = "4111111111111111";
        let key = "tg_test_0351N51F8JSuTOVx7u8qUI_abcdefghijklmnopqrstuvwxyzABCDEF";
        let inner = io::Error::other(format!("declined {number}"));
        let outer = io::Error::other(inner);
        for json in [false, true] {
            let log = logged(json, || {
                let _span = tracing::info_span!("call", authorization = format!("Bearer {key}")).entered();
                tracing::info!(
                    path = format!("/v1/{number}"),
                    count = 4_111_111_111_111_111_u64,
                    "to {number}"
                );
                tracing::warn!(error = %outer, debug = ?outer, at_ms = 1_763_760_000_000_u64, "key {key}");
                tracing::error!(text = "4111 1111 1111 1111", "-----BEGIN PRIVATE KEY-----\nMC4CAQAw");
            });
            // More of them than a timestamp's fraction has digits.
            for secret in ["1111111", "1111 1111", "abcdefghij", "MC4C"] {
                assert!(!log.contains(secret), "{log}");
            }
            assert!(log.contains("1763760000000") && log.contains("tg_test_***"), "{log}");
            if json {
                assert_eq!(log.lines().count(), 3);
                for line in log.lines() {
                    serde_json::from_str::<serde_json::Value>(line).unwrap();
                }
            }
        }
    }
}
