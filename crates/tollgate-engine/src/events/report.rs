//! How the relay does, log by log: for health, metrics and logs.

use super::Line;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tollgate_bus::BusReport;

/// Where a log stands with this instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineState {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// This instance publishes it.
    Relaying,
    /// Another does.
    Standby,
    /// It cannot be published at the moment; it is tried again.
    Waiting,
}

impl LineState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Relaying => "relaying",
            Self::Standby => "standby",
            Self::Waiting => "waiting",
        }
    }
}

/// One log.
#[derive(Debug, Clone, Default)]
pub struct LineReport {
    /// Where it stands.
    pub state: LineState,
    /// Whether this instance has it.
    pub is_held: bool,
    /// Who has it, where another does.
    pub holder: Option<String>,
    /// The last number that was published.
    pub read: u64,
    /// Where the log ended when it was last looked.
    pub end: u64,
    /// How long ago the first event happened that is not published, in milliseconds.
    pub lag_ms: u64,
    /// Messages that the broker refused for good since the start.
    pub refused: u64,
}

impl LineReport {
    /// Events that are not published yet.
    #[must_use]
    pub const fn lag_events(&self) -> u64 {
        self.end.saturating_sub(self.read)
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub struct RelayReport {
    /// The bus.
    pub bus: BusReport,
    /// The logs.
    pub lines: Vec<(Line, LineReport)>,
}

/// The logs' reports.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<BTreeMap<Line, LineReport>>);

impl Lines {
    pub(super) fn all(&self) -> Vec<(Line, LineReport)> {
        self.0.lock().iter().map(|(line, report)| (*line, report.clone())).collect()
    }

    /// Changes a log's report, and shows it in the metrics.
    pub(super) fn set(&self, line: Line, change: impl FnOnce(&mut LineReport)) {
        let report = {
            let mut lines = self.0.lock();
            let report = lines.entry(line).or_default();
            change(report);
            report.clone()
        };
        let log = || line.name();
        // Counts and milliseconds are far below what a float holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "a count of events")]
        let float = |number: u64| number as f64;
        let is_own = report.is_held;
        metrics::gauge!("tollgate_events_held", "log" => log()).set(f64::from(u8::from(is_own)));
        // One instance tells how far behind a log is: the one that has it.
        let of_own = |number: f64| if is_own { number } else { 0.0 };
        metrics::gauge!("tollgate_events_lag", "log" => log()).set(of_own(float(report.lag_events())));
        let lag_s = float(report.lag_ms) / 1_000.0;
        metrics::gauge!("tollgate_events_lag_seconds", "log" => log()).set(of_own(lag_s));
    }
}
