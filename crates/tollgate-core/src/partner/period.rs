//! Days and months (UTC), as the hours that totals are counted by.

use crate::totals::{PERIOD_MS, hour_of};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Hours since the Unix epoch, from the first up to before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// The first hour.
    pub from_hour: u32,
    /// The hour after the last.
    pub to_hour: u32,
}

impl Period {
    /// The day of a time.
    #[must_use]
    pub fn day_of(at_ms: u64) -> Self {
        let from_hour = hour_of(at_ms) / 24 * 24;
        Self { from_hour, to_hour: from_hour.saturating_add(24) }
    }

    /// The calendar month of a time.
    #[must_use]
    pub fn month_of(at_ms: u64) -> Self {
        let date = i64::try_from(at_ms)
            .ok()
            .and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok())
            .map(|at| at.to_zoned(TimeZone::UTC).date());
        let hours = date.and_then(|date| {
            let next = date.last_of_month().tomorrow().ok()?;
            Some((hour_of_date(date.first_of_month())?, hour_of_date(next)?))
        });
        // Beyond the calendar's end a month is a day.
        hours.map_or_else(|| Self::day_of(at_ms), |(from_hour, to_hour)| Self { from_hour, to_hour })
    }

    /// Whether a time is in it.
    #[must_use]
    pub fn has(self, at_ms: u64) -> bool {
        (self.from_hour..self.to_hour).contains(&hour_of(at_ms))
    }
}

fn hour_of_date(date: Date) -> Option<u32> {
    let at = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u32::try_from(u64::try_from(at).ok()? / PERIOD_MS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn days_and_months_end_where_they_should() {
        let leap = Period::month_of(at("2028-02-29T23:59:59.999Z"));
        assert_eq!(leap, Period::month_of(at("2028-02-01T00:00:00Z")));
        assert_eq!(leap.to_hour - leap.from_hour, 29 * 24);
        assert!(!leap.has(at("2028-03-01T00:00:00Z")) && !leap.has(at("2028-01-31T23:59:59.999Z")));
        let december = Period::month_of(at("2026-12-31T12:00:00Z"));
        assert_eq!(december.to_hour, Period::month_of(at("2027-01-01T00:00:00Z")).from_hour);
        let day = Period::day_of(at("2026-11-21T21:00:00Z"));
        assert!(day.has(at("2026-11-21T00:00:00Z")) && day.has(at("2026-11-21T23:59:59.999Z")));
        assert!(!day.has(at("2026-11-22T00:00:00Z")));
    }
}
