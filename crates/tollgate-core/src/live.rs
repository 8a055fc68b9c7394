//! How a merchant's payments do just now: counts and a histogram of fixed size, over the last five to ten minutes.

use crate::failure::FailureCode;

/// Half of the time that is looked at, in milliseconds.
pub const WINDOW_MS: u64 = 5 * 60_000;

/// Bounds of the histogram in milliseconds: each half as much again as the one before. What takes longer than the last is
/// in a bucket of its own.
const BOUNDS_MS: [u64; 30] = [
    1, 2, 3, 5, 8, 12, 18, 27, 41, 62, 93, 140, 210, 315, 473, 710, 1_065, 1_598, 2_397, 3_596, 5_394, 8_091,
    12_137, 18_206, 27_309, 40_964, 61_446, 92_169, 138_254, 207_381,
];

/// Every code that is counted, in the order of its counters.
const CODES: [FailureCode; 17] = [
    FailureCode::CardDeclined,
    FailureCode::InsufficientFunds,
    FailureCode::InstrumentInvalid,
    FailureCode::AuthenticationFailed,
    FailureCode::CustomerCancelled,
    FailureCode::LimitExceeded,
    FailureCode::ProcessorRiskDeclined,
    FailureCode::ProcessorRejected,
    FailureCode::ProcessorRateLimited,
    FailureCode::ProcessorUnavailable,
    FailureCode::IssuerUnavailable,
    FailureCode::AmountMismatch,
    FailureCode::OutcomeUnknown,
    FailureCode::NoProcessor,
    FailureCode::FraudDetected,
    FailureCode::VaultUnavailable,
    FailureCode::AccountRejected,
];

/// What is counted in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    succeeded: u32,
    failed: u32,
    took: [u32; BOUNDS_MS.len() + 1],
    codes: [u32; CODES.len()],
}

impl Window {
    const EMPTY: Self =
        Self { succeeded: 0, failed: 0, took: [0; BOUNDS_MS.len() + 1], codes: [0; CODES.len()] };
}

/// How payments do just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The window under way and the one before it.
    windows: [Window; 2],
    /// Which window is under way, counted from the Unix epoch.
    number: u64,
}

/// What is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveView {
    /// Over how long, in milliseconds.
    pub window_ms: u64,
    /// Payments that succeeded.
    pub succeeded: u64,
    /// Payments that failed.
    pub failed: u64,
    /// Half of them took at most so long from their beginning to their outcome, in milliseconds.
    pub p50_ms: Option<u64>,
    /// Nineteen of twenty took at most so long.
    pub p95_ms: Option<u64>,
    /// Why payments failed, the most frequent first.
    pub codes: Vec<(FailureCode, u64)>,
}

impl Default for Live {
    fn default() -> Self {
        Self { windows: [Window::EMPTY; 2], number: 0 }
    }
}

impl Live {
    /// Counts a payment's outcome: none if it succeeded, else why not.
    pub fn count(&mut self, failure: Option<FailureCode>, took_ms: u64, now_ms: u64) {
        self.turn(now_ms);
        let [window, _] = &mut self.windows;
        let place = BOUNDS_MS.iter().position(|bound| took_ms <= *bound).unwrap_or(BOUNDS_MS.len());
        if let Some(count) = window.took.get_mut(place) {
            *count = count.saturating_add(1);
        }
        match failure {
            None => window.succeeded = window.succeeded.saturating_add(1),
            Some(code) => {
                window.failed = window.failed.saturating_add(1);
                let place = CODES.iter().position(|known| *known == code);
                if let Some(count) = place.and_then(|place| window.codes.get_mut(place)) {
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// What is told of it at a time, with at most so many codes.
    #[must_use]
    pub fn view(&self, now_ms: u64, codes_max: usize) -> LiveView {
        let mut now = self.clone();
        now.turn(now_ms);
        let sum = |count: fn(&Window) -> u32| -> u64 {
            now.windows.iter().map(|window| u64::from(count(window))).sum()
        };
        let mut took = [0_u64; BOUNDS_MS.len() + 1];
        let mut codes: Vec<(FailureCode, u64)> = CODES.iter().map(|code| (*code, 0)).collect();
        for window in &now.windows {
            took.iter_mut().zip(window.took).for_each(|(sum, count)| *sum += u64::from(count));
            codes.iter_mut().zip(window.codes).for_each(|((_, sum), count)| *sum += u64::from(count));
        }
        codes.retain(|(_, count)| *count > 0);
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        codes.truncate(codes_max);
        LiveView {
            window_ms: WINDOW_MS + now_ms % WINDOW_MS,
            succeeded: sum(|window| window.succeeded),
            failed: sum(|window| window.failed),
            p50_ms: quantile(&took, 50),
            p95_ms: quantile(&took, 95),
            codes,
        }
    }

    /// Begins a new window when its time has come.
    fn turn(&mut self, now_ms: u64) {
        let number = now_ms / WINDOW_MS;
        // A clock that steps back goes on with the window there is.
        let passed = number.saturating_sub(self.number);
        let [under_way, before] = &mut self.windows;
        match passed {
            0 => return,
            1 => *before = *under_way,
            _ => *before = Window::EMPTY,
        }
        *under_way = Window::EMPTY;
        self.number = number;
    }
}

/// The upper bound of the bucket in which so many per cent are reached; beyond the last bound that one.
fn quantile(took: &[u64], percent: u64) -> Option<u64> {
    let all: u64 = took.iter().sum();
    let wanted = all.saturating_mul(percent).div_ceil(100);
    let mut seen = 0;
    let place = took.iter().position(|count| {
        seen += count;
        seen >= wanted && seen > 0
    })?;
    BOUNDS_MS.get(place).or(BOUNDS_MS.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_quantiles() {
        let mut live = Live::default();
        assert_eq!(live.view(0, 3).p50_ms, None);
        for took_ms in 1..=100 {
            live.count(None, took_ms, 1_000);
        }
        live.count(Some(FailureCode::InsufficientFunds), 1_000_000, 1_000);
        live.count(Some(FailureCode::CardDeclined), 5, 1_000);
        live.count(Some(FailureCode::InsufficientFunds), 5, 1_000);
        let view = live.view(1_000, 1);
        assert_eq!((view.succeeded, view.failed), (100, 3));
        assert_eq!((view.p50_ms, view.p95_ms), (Some(62), Some(140)));
        assert_eq!(view.codes, [(FailureCode::InsufficientFunds, 2)]);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut live = Live::default();
        live.count(None, 5, WINDOW_MS - 1);
        live.count(None, 5, WINDOW_MS);
        assert_eq!(live.view(WINDOW_MS, 1).succeeded, 2);
        assert_eq!(live.view(2 * WINDOW_MS, 1).succeeded, 1);
        assert_eq!(live.view(3 * WINDOW_MS, 1).succeeded, 0);
        live.count(None, 5, 0);
        assert_eq!(live.view(WINDOW_MS, 1).succeeded, 3, "a clock that steps back loses nothing");
    }

    #[test]
    fn the_bounds_grow() {
        assert!(BOUNDS_MS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
