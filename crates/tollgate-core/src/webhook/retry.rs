//! When a delivery that failed is sent again.

/// The pauses after each failed attempt. With the first attempt at once, they make three days.
pub const PAUSES_MS: [u64; 9] = [
    5_000,
    5 * 60_000,
    30 * 60_000,
    2 * 3_600_000,
    5 * 3_600_000,
    10 * 3_600_000,
    14 * 3_600_000,
    20 * 3_600_000,
    24 * 3_600_000,
];

/// The longest that a receiver can ask to be left alone.
pub const RETRY_AFTER_MS_MAX: u64 = 24 * 3_600_000;

/// When to send again what has failed `failed` times; none: not any more.
///
/// A fifth of the pause is left to chance on each side, by `dice`, so that an outage's deliveries do not come
/// back as one. What the receiver asked for (`Retry-After`) can only make the pause longer.
#[must_use]
pub fn next_ms(
    pauses_ms: &[u64],
    failed: u32,
    retry_after_ms: Option<u64>,
    dice: u64,
    now_ms: u64,
) -> Option<u64> {
    let place = usize::try_from(failed.checked_sub(1)?).ok()?;
    let pause_ms = *pauses_ms.get(place)?;
    let fifth_ms = pause_ms / 5;
    let chance_ms = dice.checked_rem(fifth_ms.saturating_mul(2).saturating_add(1)).unwrap_or(0);
    let pause_ms = (pause_ms - fifth_ms).saturating_add(chance_ms);
    let asked_ms = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
    Some(now_ms.saturating_add(pause_ms.max(asked_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_days_in_all_and_then_no_more() {
        let whole_ms: u64 = PAUSES_MS.iter().sum();
        assert!((72 * 3_600_000..80 * 3_600_000).contains(&whole_ms));
        assert!(next_ms(&PAUSES_MS, 9, None, 0, 0).is_some());
        assert_eq!(next_ms(&PAUSES_MS, 10, None, 0, 0), None);
        assert_eq!(next_ms(&PAUSES_MS, 0, None, 0, 0), None);
    }

    #[test]
    fn the_receiver_can_ask_for_more_time_but_not_for_ever() {
        assert_eq!(next_ms(&PAUSES_MS, 1, Some(60_000), 0, 7), Some(60_007));
        assert_eq!(next_ms(&PAUSES_MS, 1, Some(1), 0, 0), Some(4_000));
        assert_eq!(next_ms(&PAUSES_MS, 1, Some(u64::MAX), 0, 0), Some(RETRY_AFTER_MS_MAX));
    }

    proptest! {
        #[test]
        fn chance_stays_within_a_fifth(failed in 1_u32..10, dice: u64) {
            let pause = PAUSES_MS[failed as usize - 1];
            let at = next_ms(&PAUSES_MS, failed, None, dice, 1_000).unwrap() - 1_000;
            prop_assert!(at >= pause - pause / 5 && at <= pause + pause / 5, "{at} of {pause}");
        }
    }
}
