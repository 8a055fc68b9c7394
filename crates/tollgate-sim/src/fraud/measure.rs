//! Measures of a classifier, from pairs of probability and truth.

/// A payment's score and whether it was fraud.
pub type Scored = (f64, bool);

/// What a threshold does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtThreshold {
    /// The threshold; what is above counts as fraud.
    pub threshold: f64,
    /// Frauds above it.
    pub hits: usize,
    /// Genuine payments above it.
    pub false_alarms: usize,
    /// Frauds at or below it.
    pub misses: usize,
    /// Genuine payments at or below it.
    pub rest: usize,
}

impl AtThreshold {
    /// Counts what is above and below.
    #[must_use]
    pub fn of(scored: &[Scored], threshold: f64) -> Self {
        let mut counts = Self { threshold, hits: 0, false_alarms: 0, misses: 0, rest: 0 };
        for (score, fraud) in scored {
            let count = match (*score > threshold, fraud) {
                (true, true) => &mut counts.hits,
                (true, false) => &mut counts.false_alarms,
                (false, true) => &mut counts.misses,
                (false, false) => &mut counts.rest,
            };
            *count += 1;
        }
        counts
    }

    /// Part of what is above that is fraud.
    #[must_use]
    pub fn precision(&self) -> f64 {
        part(self.hits, self.false_alarms)
    }

    /// Part of the frauds that is above.
    #[must_use]
    pub fn recall(&self) -> f64 {
        part(self.hits, self.misses)
    }

    /// Part of the genuine payments that is above.
    #[must_use]
    pub fn false_positive_rate(&self) -> f64 {
        part(self.false_alarms, self.rest)
    }
}

fn part(these: usize, others: usize) -> f64 {
    if these + others == 0 { 0.0 } else { these as f64 / (these + others) as f64 }
}

/// A step of the threshold from high to low: frauds and genuine payments at or above it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Frauds so far.
    pub hits: usize,
    /// Genuine payments so far.
    pub false_alarms: usize,
}

/// The steps, one for each score that occurs; equal scores are one step. The first step is nothing.
#[must_use]
pub fn steps(scored: &[Scored]) -> Vec<Step> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut steps = vec![Step { hits: 0, false_alarms: 0 }];
    for group in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let last = steps[steps.len() - 1];
        let hits = group.iter().filter(|(_, fraud)| *fraud).count();
        steps.push(Step { hits: last.hits + hits, false_alarms: last.false_alarms + group.len() - hits });
    }
    steps
}

/// The area under the ROC curve: how often a fraud scores above a genuine payment, ties half.
#[must_use]
pub fn auc(steps: &[Step]) -> f64 {
    let Some(last) = steps.last() else { return 0.5 };
    let area: f64 = steps
        .windows(2)
        .map(|pair| {
            (pair[1].false_alarms - pair[0].false_alarms) as f64 * (pair[0].hits + pair[1].hits) as f64 / 2.0
        })
        .sum();
    let whole = last.hits as f64 * last.false_alarms as f64;
    if whole > 0.0 { area / whole } else { 0.5 }
}

/// The area under the precision-recall curve as average precision (no interpolation).
#[must_use]
pub fn average_precision(steps: &[Step]) -> f64 {
    let frauds = steps.last().map_or(0, |last| last.hits);
    let sum: f64 = steps
        .windows(2)
        .map(|pair| (pair[1].hits - pair[0].hits) as f64 * part(pair[1].hits, pair[1].false_alarms))
        .sum();
    if frauds > 0 { sum / frauds as f64 } else { 0.0 }
}

/// The mean squared distance of probability and truth.
#[must_use]
pub fn brier(scored: &[Scored]) -> f64 {
    let square = |(score, fraud): &Scored| (score - if *fraud { 1.0 } else { 0.0 }).powi(2);
    scored.iter().map(square).sum::<f64>() / scored.len().max(1) as f64
}

/// A tenth of the probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Payments in it.
    pub count: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// Part of them that was fraud.
    pub observed: f64,
}

/// Probabilities against truth, by tenths.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=9")]
pub fn calibration(scored: &[Scored]) -> [Bin; 10] {
    let mut sums = [(0_usize, 0.0, 0_usize); 10];
    for (score, fraud) in scored {
        let (count, sum, frauds) = &mut sums[(score * 10.0).clamp(0.0, 9.0) as usize];
        *count += 1;
        *sum += score;
        *frauds += usize::from(*fraud);
    }
    sums.map(|(count, sum, frauds)| Bin {
        count,
        predicted: sum / count.max(1) as f64,
        observed: part(frauds, count - frauds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fraud::dice::Dice;

    #[test]
    fn a_small_example_by_hand() {
        // By hand: frauds at .9, .6, .2; genuine at .8, .6, .1, .1.
        let scored =
            [(0.9, true), (0.8, false), (0.6, true), (0.6, false), (0.2, true), (0.1, false), (0.1, false)];
        let at = AtThreshold::of(&scored, 0.5);
        assert_eq!((at.hits, at.false_alarms, at.misses, at.rest), (2, 2, 1, 2));
        let near = |value: f64, right: f64| assert!((value - right).abs() < 1e-12, "{value} {right}");
        near(at.precision(), 0.5);
        near(at.recall(), 2.0 / 3.0);
        near(at.false_positive_rate(), 0.5);
        near(AtThreshold::of(&scored, 0.6).recall(), 1.0 / 3.0);
        // .9 beats 4; .6 beats 2 and ties 1; .2 beats 2: 8.5 of 12.
        near(auc(&steps(&scored)), 8.5 / 12.0);
        // Precision where recall grows: 1/1, 2/4, 3/5.
        near(average_precision(&steps(&scored)), (1.0 + 0.5 + 0.6) / 3.0);
        near(brier(&scored), (0.01 + 0.64 + 0.16 + 0.36 + 0.64 + 0.01 + 0.01) / 7.0);
        let bins = calibration(&scored);
        assert_eq!((bins[1].count, bins[6].count, bins[9].count), (2, 2, 1));
        near(bins[6].observed, 0.5);
    }

    #[test]
    fn areas_agree_with_counting_every_pair() {
        let mut dice = Dice::new(9);
        let scored: Vec<Scored> = (0..400)
            .map(|_| {
                let fraud = dice.chance(0.2);
                ((dice.unit() * 20.0 + if fraud { 4.0 } else { 0.0 }).floor() / 30.0, fraud)
            })
            .collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (fraud, _) in scored.iter().filter(|(_, fraud)| *fraud) {
            for (genuine, _) in scored.iter().filter(|(_, fraud)| !*fraud) {
                pairs += 1.0;
                wins += if fraud > genuine { 1.0 } else { 0.0 };
                wins += if (fraud - genuine).abs() < 1e-12 { 0.5 } else { 0.0 };
            }
        }
        assert!((auc(&steps(&scored)) - wins / pairs).abs() < 1e-12);
        let mut sum = 0.0;
        let mut frauds = 0.0;
        for (score, _) in scored.iter().filter(|(_, fraud)| *fraud) {
            frauds += 1.0;
            let above: Vec<_> = scored.iter().filter(|(other, _)| other >= score).collect();
            sum += above.iter().filter(|(_, fraud)| *fraud).count() as f64 / above.len() as f64;
        }
        assert!((average_precision(&steps(&scored)) - sum / frauds).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_measure() {
        let scored: [Scored; 0] = [];
        assert!((auc(&steps(&scored)) - 0.5).abs() < 1e-12);
        assert!(average_precision(&steps(&scored)).abs() < 1e-12 && brier(&scored).abs() < 1e-12);
        assert!(AtThreshold::of(&scored, 0.5).precision().abs() < 1e-12);
    }
}
