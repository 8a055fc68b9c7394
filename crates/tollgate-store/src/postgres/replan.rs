//! When a lane has its plans made anew.
//!
//! A plan that was made while a table was empty takes any index that begins with the merchant: they all cost nothing. It is kept for
//! as long as the session lasts, or until ANALYZE comes by, and reads all of a merchant's rows for each key. So plans are made anew
//! whenever the number of batches has doubled; and again from one on every day, because with a month begins an empty partition.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;

/// Counts a session's batches of a day.
#[derive(Debug, Default)]
pub(super) struct Replans {
    day: u64,
    batches: u64,
}

impl Replans {
    /// A batch was made durable: whether plans are to be made anew for the next.
    pub(super) fn batch(&mut self) -> bool {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.batch_of(since.as_secs() / DAY_S)
    }

    const fn batch_of(&mut self, day: u64) -> bool {
        if day != self.day {
            *self = Self { day, batches: 0 };
        }
        self.batches = self.batches.saturating_add(1);
        self.batches.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_made_anew_as_a_days_batches_double() {
        let mut replans = Replans::default();
        let mut due = |day, count| (1..=count).filter(|_| replans.batch_of(day)).count();
        assert_eq!(due(7, 1_000), 10);
        assert_eq!(due(7, 24), 1);
        assert_eq!(due(8, 3), 2, "a new day may be a new month");
    }
}
