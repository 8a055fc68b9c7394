//! Volume splits: shares of payments that are exact over time.
//!
//! Smooth weighted round robin: each member is given its weight as credit, the richest takes the payment and
//! pays the sum of all weights for it. After any number of payments no member is more than one payment away
//! from its share. A member that cannot take a payment neither earns nor pays: its share of that payment is
//! divided among the others, and nobody owes it anything afterwards.

/// The credits of one split's members, in the order of their weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    credits: Vec<i64>,
}

impl Split {
    /// The member that takes the next payment. `able` says which can; none: nobody can.
    #[must_use]
    pub fn choose(&self, weights: &[u32], able: &[bool]) -> Option<usize> {
        let members = (0..weights.len()).filter(|place| is_in(weights, able, *place));
        members.max_by_key(|place| {
            let credit = self.credits.get(*place).copied().unwrap_or(0);
            (credit.saturating_add(weight(weights, *place)), std::cmp::Reverse(*place))
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
