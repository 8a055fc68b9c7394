//! When a merchant has payments in a currency. No index of the payments holds the currency, and one would cost every write: the
//! totals know in which hours and days there are any, so that a list of them does not look at all the others.

use crate::batch::keys;
use crate::error::StoreError;
use crate::postgres::base::split;
use crate::postgres::link::{Id, Link, Query, column};
use crate::query::PaymentFilter;
use std::ops::Range;
use tollgate_core::currency::Currency;
use tollgate_core::id::MerchantId;
use tollgate_core::totals::{PERIOD_MS, hour_of};

/// Spans that are looked at one by one; what lies before them is looked at as a whole.
const SPANS_MAX: usize = 8;

/// Hours that two spans may lie apart and still are one.
const APART_HOURS: u32 = 2;

/// How far an identifier's time and the payment's may differ.
const SLACK_MS: u64 = PERIOD_MS / 2;

/// Spans of time that hold all of a merchant's payments in a currency, newest first, none touching another. Those the filter's
/// times leave out may be left out.
pub(super) async fn of_currency(
    link: &Link,
    merchant_id: MerchantId,
    currency: Currency,
    filter: &PaymentFilter,
) -> Result<Vec<Range<u64>>, StoreError> {
    let newest = filter.before.map_or(u64::MAX, |id| id.unix_ms().saturating_add(SLACK_MS));
    let until_ms = filter.created_to_ms.unwrap_or(u64::MAX).min(newest);
    let from = keys::day_begin(hour_of(filter.created_from_ms.unwrap_or(0)));
    let to = keys::day_begin(hour_of(until_ms)).saturating_add(24);
    let (days, hours) = (keys::totals_days(merchant_id, from, to), keys::totals_hours(merchant_id, from, to));
    let mark = keys::totals_mark(merchant_id);
    let (days_from, days_to) = (split(&days.start)?.1, split(&days.end)?.1);
    let (hours_from, hours_to) = (split(&hours.start)?.1, split(&hours.end)?.1);
    let mark = split(&mark)?.1;
    let (merchant, currency) = (Id(merchant_id.to_bytes()), currency.bytes().to_vec());
    let query = Query::Fixed(include_str!("sql/totals_when.sql"));
    let row = link
        .query_opt(query, &[&merchant, &currency, &days_from, &days_to, &hours_from, &hours_to, &mark])
        .await?
        .ok_or(StoreError::Corrupt("totals"))?;
    let (places, rest) = column::<&[u8]>(&row, 0, "totals")?.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(StoreError::Corrupt("totals"));
    }
    Ok(spans(places.iter().map(|place| keys::span(u32::from_be_bytes(*place))).collect()))
}

/// Joins hours and days to spans of time.
fn spans(mut hours: Vec<Range<u32>>) -> Vec<Range<u64>> {
    hours.sort_unstable_by_key(|hours| std::cmp::Reverse((hours.end, hours.start)));
    let mut joined: Vec<Range<u32>> = Vec::new();
    for hours in hours {
        let many = joined.len() >= SPANS_MAX;
        match joined.last_mut() {
            Some(later) if many || hours.end.saturating_add(APART_HOURS) >= later.start => {
                later.start = later.start.min(hours.start);
            }
            _ => joined.push(hours),
        }
    }
    let in_ms = |hours: Range<u32>| {
        let from = u64::from(hours.start).saturating_mul(PERIOD_MS).saturating_sub(SLACK_MS);
        from..u64::from(hours.end).saturating_mul(PERIOD_MS).saturating_add(SLACK_MS)
    };
    joined.into_iter().map(in_ms).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_become_spans_newest_first() {
        assert!(spans(Vec::new()).is_empty());
        let (begin, end) = (|hour: u64| (2 * hour - 1) * SLACK_MS, |hour: u64| (2 * hour + 1) * SLACK_MS);
        // Two days side by side, an hour two hours behind them, and one far from all.
        let found = spans(vec![24..48, 48..72, 74..75, 200..201]);
        assert_eq!(found, [begin(200)..end(201), begin(24)..end(75)]);
        // An hour of a day that is there as a whole, too.
        assert_eq!(spans(vec![24..48, 30..31, 100..101]), [begin(100)..end(101), begin(24)..end(48)]);
        let many: Vec<_> = (1..100).map(|day| day * 48..day * 48 + 24).collect();
        let found = spans(many);
        assert_eq!(found.len(), SPANS_MAX);
        assert_eq!(found[7], begin(48)..end(92 * 48 + 24));
        assert!(found.is_sorted_by(|later, earlier| later.start > earlier.end));
    }
}
