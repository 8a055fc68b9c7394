//! Volume splits: shares of payments that are exact over time.
//!
//! Each member is given its weight as credit for every payment, and who takes the payment pays the sum of all
//! weights for it. Of the members that would not get ahead of their share the one takes it that would fall a
//! whole payment behind the soonest (Tijdeman's chairman assignment, 1980): after any number of payments no
//! member is as much as one payment away from its share. Taking the richest instead, as smooth weighted round
//! robin does, leaves some further behind.
//!
//! A member that cannot take a payment neither earns nor pays: its share of that payment is divided among the
//! others, and nobody owes it anything afterwards.

use std::cmp::Ordering;

/// The credits of one split's members, in the order of their weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    credits: Vec<i64>,
}

impl Split {
    /// The member that takes the next payment. `able` says which can; none: nobody can.
    #[must_use]
    pub fn choose(&self, weights: &[u32], able: &[bool]) -> Option<usize> {
        let members = || (0..weights.len()).filter(|place| is_in(weights, able, *place));
        let sum: i64 = members().map(|place| weight(weights, place)).sum();
        let credit = |place: usize| self.credits.get(place).copied().unwrap_or(0);
        let is_due = |place: usize| credit(place).saturating_add(weight(weights, place)) > 0;
        members().min_by(|one, other| {
            // Who is not due comes last: only those that were away can leave nobody due.
            is_due(*other).cmp(&is_due(*one)).then_with(|| {
                let left = |place: usize| sum.saturating_sub(credit(place));
                sooner((left(*one), weight(weights, *one)), (left(*other), weight(weights, *other)))
            })
        })
    }

    /// Books that a member took a payment.
    pub fn took(&mut self, weights: &[u32], able: &[bool], chosen: usize) {
        self.credits.resize(weights.len(), 0);
        let mut sum = 0_i64;
        for place in 0..weights.len() {
            if is_in(weights, able, place)
                && let Some(credit) = self.credits.get_mut(place)
            {
                *credit = credit.saturating_add(weight(weights, place));
                sum = sum.saturating_add(weight(weights, place));
            }
        }
        if let Some(credit) = self.credits.get_mut(chosen) {
            *credit = credit.saturating_sub(sum);
        }
    }
}

/// Compares after how many payments two members fall a whole payment behind: credit left by weight.
fn sooner(one: (i64, i64), other: (i64, i64)) -> Ordering {
    (i128::from(one.0) * i128::from(other.1)).cmp(&(i128::from(other.0) * i128::from(one.1)))
}

fn is_in(weights: &[u32], able: &[bool], place: usize) -> bool {
    weight(weights, place) > 0 && able.get(place).copied().unwrap_or(false)
}

fn weight(weights: &[u32], place: usize) -> i64 {
    weights.get(place).copied().map_or(0, i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_after_every_round() {
        let (weights, able) = ([70, 20, 10], [true; 3]);
        let (mut split, mut took) = (Split::default(), [0_i64; 3]);
        for round in 1..=1_000_i64 {
            let chosen = split.choose(&weights, &able).unwrap();
            split.took(&weights, &able, chosen);
            took[chosen] += 1;
            for (place, weight) in weights.iter().enumerate() {
                let off = took[place] * 100 - round * i64::from(*weight);
                assert!(off.abs() <= 100, "round {round}, member {place}: {took:?}");
            }
        }
        assert_eq!(took, [700, 200, 100]);
    }

    #[test]
    fn who_is_away_is_owed_nothing() {
        let weights = [50, 50];
        let (mut split, mut took) = (Split::default(), [0; 2]);
        for able in [[true, true], [true, false], [true, true]] {
            for _ in 0..100 {
                let chosen = split.choose(&weights, &able).unwrap();
                split.took(&weights, &able, chosen);
                took[chosen] += 1;
            }
        }
        assert_eq!(took, [200, 100]);
        assert_eq!(split.choose(&weights, &[false, false]), None);
        assert_eq!(split.choose(&[0, 1], &[true, true]), Some(1), "no weight, no payment");
    }
}
