//! Whole numbers without a bound, as far as compound interest needs them: exact, never a float.

use std::cmp::Ordering;

/// A whole number of any size: 64-bit digits, the lowest first, no zeros at the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wide(Vec<u64>);

impl Wide {
    pub(crate) fn new(value: u64) -> Self {
        Self(vec![value]).trimmed()
    }

    /// `base` to the power of `exponent`.
    pub(crate) fn power(base: u64, exponent: u32) -> Self {
        (0..exponent).fold(Self::new(1), |product, _| product.times(base))
    }

    pub(crate) fn times(&self, factor: u64) -> Self {
        let mut digits = Vec::with_capacity(self.0.len() + 1);
        let mut carry = 0_u128;
        for digit in &self.0 {
            let sum = u128::from(*digit) * u128::from(factor) + carry;
            digits.push(low(sum));
            carry = sum >> 64;
        }
        digits.push(low(carry));
        Self(digits).trimmed()
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut digits = Vec::with_capacity(self.0.len().max(other.0.len()) + 1);
        let mut carry = 0_u128;
        for place in 0..self.0.len().max(other.0.len()) {
            let sum = u128::from(self.digit(place)) + u128::from(other.digit(place)) + carry;
            digits.push(low(sum));
            carry = sum >> 64;
        }
        digits.push(low(carry));
        Self(digits).trimmed()
    }

    /// The difference; zero if `other` is larger.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        if self.cmp(other) != Ordering::Greater {
            return Self::new(0);
        }
        let mut digits = Vec::with_capacity(self.0.len());
        let mut borrowed = false;
        for place in 0..self.0.len() {
            let (first, below) = self.digit(place).overflowing_sub(other.digit(place));
            let (digit, below_again) = first.overflowing_sub(u64::from(borrowed));
            borrowed = below || below_again;
            digits.push(digit);
        }
        Self(digits).trimmed()
    }

    /// `self / divisor`, rounded half up; none if the divisor is zero or the quotient above [`i64::MAX`].
    pub(crate) fn divided_half_up(&self, divisor: &Self) -> Option<i64> {
        if divisor.0.is_empty() {
            return None;
        }
        // floor((2 * self + divisor) / (2 * divisor)), found bit by bit.
        let dividend = self.times(2).plus(divisor);
        let divisor = divisor.times(2);
        if divisor.times(1 << 63).cmp(&dividend) != Ordering::Greater {
            return None;
        }
        let mut quotient = 0_u64;
        for bit in (0..63).rev() {
            let higher = quotient | 1 << bit;
            if divisor.times(higher).cmp(&dividend) != Ordering::Greater {
                quotient = higher;
            }
        }
        i64::try_from(quotient).ok()
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn digit(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or(0)
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wide(value: u128) -> Wide {
        Wide(vec![low(value), low(value >> 64)]).trimmed()
    }

    #[test]
    fn powers_and_quotients() {
        assert_eq!(Wide::power(10, 30), wide(10_u128.pow(30)));
        assert_eq!(Wide::power(3, 0), Wide::new(1));
        // 7^500 / 7^483 = 7^17.
        assert_eq!(Wide::power(7, 500).divided_half_up(&Wide::power(7, 483)), Some(7_i64.pow(17)));
        assert_eq!(Wide::new(5).divided_half_up(&Wide::new(2)), Some(3));
        assert_eq!(Wide::new(4).divided_half_up(&Wide::new(3)), Some(1));
        assert_eq!(Wide::new(1).divided_half_up(&Wide::new(0)), None);
        assert_eq!(Wide::power(2, 63).divided_half_up(&Wide::new(1)), None);
        assert_eq!(Wide::new(i64::MAX.unsigned_abs()).divided_half_up(&Wide::new(1)), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_machine(a in 0_u128..1 << 120, b in 0_u128..1 << 120, factor in 0_u64..128) {
            prop_assert_eq!(wide(a).plus(&wide(b)), wide(a + b));
            prop_assert_eq!(wide(a).minus(&wide(b)), wide(a.saturating_sub(b)));
            prop_assert_eq!(wide(a).times(factor), wide(a * u128::from(factor)));
        }

        #[test]
        fn quotients_round_half_up(a in 0_u128..1 << 90, b in 1_u128..1 << 90) {
            let expected = i64::try_from((2 * a + b) / (2 * b)).ok();
            prop_assert_eq!(wide(a).divided_half_up(&wide(b)), expected);
        }
    }
}
