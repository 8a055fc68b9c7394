//! Hours in which a processor is closed.

/// Milliseconds of a minute.
const MINUTE_MS: i128 = 60_000;
/// Minutes of a day.
const DAY_MIN: i128 = 1_440;
/// Minutes of a week.
const WEEK_MIN: i128 = 7 * DAY_MIN;

/// A time in which no new payment goes to a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintenance {
    /// Once, in milliseconds since the Unix epoch; the end is not part of it.
    Once {
        /// From.
        from_ms: u64,
        /// Until.
        until_ms: u64,
    },
    /// Every week.
    Weekly(Weekly),
}

/// A time of the week, as the clocks of some place have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekly {
    /// Days on which it begins: Monday is the first.
    pub days: [bool; 7],
    /// When it begins, in minutes after midnight.
    pub from_min: u16,
    /// How long it lasts, in minutes; at most a day. It may reach into the next day.
    pub minutes: u16,
    /// The place's clocks before UTC, in minutes: 330 in India.
    pub utc_offset_min: i16,
}

impl Maintenance {
    /// Whether it is on.
    #[must_use]
    pub fn holds_at(&self, now_ms: u64) -> bool {
        match self {
            Self::Once { from_ms, until_ms } => (*from_ms..*until_ms).contains(&now_ms),
            Self::Weekly(weekly) => weekly.holds_at(now_ms),
        }
    }
}

impl Weekly {
    fn holds_at(&self, now_ms: u64) -> bool {
        let local_min = i128::from(now_ms).div_euclid(MINUTE_MS) + i128::from(self.utc_offset_min);
        // 1 January 1970 was a Thursday: three days after a Monday.
        let now_min = (local_min + 3 * DAY_MIN).rem_euclid(WEEK_MIN);
        (0_i128..7).zip(self.days).any(|(day, is_on)| {
            let since_min = (now_min - day * DAY_MIN - i128::from(self.from_min)).rem_euclid(WEEK_MIN);
            is_on && since_min < i128::from(self.minutes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once() {
        let window = Maintenance::Once { from_ms: 10, until_ms: 20 };
        assert!(!window.holds_at(9) && window.holds_at(10) && window.holds_at(19) && !window.holds_at(20));
    }

    #[test]
    fn sunday_night_in_india() {
        let mut days = [false; 7];
        days[6] = true;
        let window =
            Maintenance::Weekly(Weekly { days, from_min: 23 * 60 + 30, minutes: 60, utc_offset_min: 330 });
        // 2026-11-22 is a Sunday; 23:30 in India is 18:00 UTC.
        let sunday_18_utc_ms = 1_795_370_400_000;
        assert!(!window.holds_at(sunday_18_utc_ms - 1));
        assert!(window.holds_at(sunday_18_utc_ms));
        assert!(window.holds_at(sunday_18_utc_ms + 3_599_999), "into Monday");
        assert!(!window.holds_at(sunday_18_utc_ms + 3_600_000));
        assert!(window.holds_at(sunday_18_utc_ms + 7 * 86_400_000));
        assert!(!window.holds_at(sunday_18_utc_ms + 86_400_000));
    }
}
