//! Training: gradient boosting of small trees on histograms of the feature bytes (Friedman, 2001; Chen
//! and Guestrin, 2016), with logistic loss. No randomness and one thread: the same rows give the same model.

use super::dataset::Row;
use tollgate_core::risk::{Calibration, FEATURE_COUNT, FEATURES, MODEL_FORMAT, MODEL_VERSION, ModelFile};

/// How it is trained.
#[derive(Debug, Clone, Copy)]
pub struct Training {
    /// Trees.
    pub trees: usize,
    /// Splits from the root to a leaf.
    pub depth: usize,
    /// Part of each tree's advice that is taken.
    pub rate: f64,
    /// Added to every sum of curvatures: damps small leaves.
    pub damping: f64,
    /// Least sum of curvatures of a leaf.
    pub leaf_least: f64,
    /// Least gain of a split.
    pub gain_least: f64,
}

impl Default for Training {
    fn default() -> Self {
        Self { trees: 120, depth: 4, rate: 0.1, damping: 2.0, leaf_least: 2.0, gain_least: 1.0 }
    }
}

/// Gradient and curvature of the loss.
#[derive(Clone, Copy, Default)]
struct Slope {
    gradient: f64,
    curvature: f64,
}

impl Slope {
    fn add(&mut self, other: Self) {
        self.gradient += other.gradient;
        self.curvature += other.curvature;
    }

    fn without(self, other: Self) -> Self {
        Self { gradient: self.gradient - other.gradient, curvature: self.curvature - other.curvature }
    }

    fn score(self, damping: f64) -> f64 {
        self.gradient * self.gradient / (self.curvature + damping)
    }
}

/// Trains trees; the calibration is left at "as it is".
#[must_use]
pub fn train(rows: &[Row], training: &Training, name: &str) -> ModelFile {
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let frauds: f64 = rows.iter().filter(|row| row.fraud).map(|row| row.weight).sum();
    // Half a row of each kind more: a file without frauds still gives a number.
    let base = rounded(((frauds + 0.5) / (total - frauds + 0.5)).ln());
    let mut scores = vec![base; rows.len()];
    let mut trees = Vec::with_capacity(training.trees);
    for _ in 0..training.trees {
        let slopes: Vec<Slope> = rows.iter().zip(&scores).map(|(row, score)| slope(row, *score)).collect();
        let tree = Grower { rows, slopes: &slopes, training, nodes: Vec::new() }.grow(&mut scores);
        if tree.len() == 1 {
            break;
        }
        trees.push(tree);
    }
    ModelFile {
        format: MODEL_FORMAT.to_owned(),
        version: MODEL_VERSION,
        name: name.to_owned(),
        features: FEATURES.iter().map(|feature| feature.name.to_owned()).collect(),
        base,
        trees,
        calibration: Calibration { slope: 1.0, offset: 0.0 },
    }
}

fn slope(row: &Row, score: f64) -> Slope {
    let probability = 1.0 / (1.0 + (-score).exp());
    let label = if row.fraud { 1.0 } else { 0.0 };
    Slope {
        gradient: row.weight * (probability - label),
        curvature: row.weight * (probability * (1.0 - probability)).max(1e-9),
    }
}

/// Four decimals: small files.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// Grows one tree.
struct Grower<'a> {
    rows: &'a [Row],
    slopes: &'a [Slope],
    training: &'a Training,
    nodes: Vec<Vec<f64>>,
}

struct Cut {
    gain: f64,
    feature: usize,
    at_most: u8,
}

impl Grower<'_> {
    /// Grows it and moves the scores by it.
    fn grow(mut self, scores: &mut [f64]) -> Vec<Vec<f64>> {
        // Waiting nodes: place, depth, rows. Children come after their parents.
        let mut waiting =
            std::collections::VecDeque::from([(0, 0, (0..self.rows.len()).collect::<Vec<_>>())]);
        self.nodes.push(Vec::new());
        while let Some((place, depth, members)) = waiting.pop_front() {
            let mut sum = Slope::default();
            for member in &members {
                sum.add(self.slopes[*member]);
            }
            let value = rounded(-self.training.rate * sum.gradient / (sum.curvature + self.training.damping));
            let cut = if depth < self.training.depth { self.best_cut(&members, sum) } else { None };
            let Some(cut) = cut else {
                self.nodes[place] = vec![value];
                for member in members {
                    scores[member] += value;
                }
                continue;
            };
            let (left, right): (Vec<_>, Vec<_>) =
                members.into_iter().partition(|row| self.rows[*row].features[cut.feature] <= cut.at_most);
            let at = self.nodes.len();
            self.nodes.extend([Vec::new(), Vec::new()]);
            self.nodes[place] =
                vec![value, cut.feature as f64, f64::from(cut.at_most), at as f64, (at + 1) as f64];
            waiting.push_back((at, depth + 1, left));
            waiting.push_back((at + 1, depth + 1, right));
        }
        self.nodes
    }

    /// The cut that gains most; of equals the first.
    fn best_cut(&self, members: &[usize], sum: Slope) -> Option<Cut> {
        let mut histograms = vec![[Slope::default(); 256]; FEATURE_COUNT];
        for member in members {
            let slope = self.slopes[*member];
            for (histogram, byte) in histograms.iter_mut().zip(&self.rows[*member].features) {
                histogram[usize::from(*byte)].add(slope);
            }
        }
        let whole = sum.score(self.training.damping);
        let mut best: Option<Cut> = None;
        for (feature, histogram) in histograms.iter().enumerate() {
            let mut left = Slope::default();
            for (at_most, part) in (0..255_u8).zip(histogram) {
                left.add(*part);
                let right = sum.without(left);
                if left.curvature < self.training.leaf_least || right.curvature < self.training.leaf_least {
                    continue;
                }
                let gain = left.score(self.training.damping) + right.score(self.training.damping) - whole;
                if gain > best.as_ref().map_or(self.training.gain_least, |best| best.gain) {
                    best = Some(Cut { gain, feature, at_most });
                }
            }
        }
        best
    }
}

/// Fits Platt's calibration (1999) to scores and labels, by Newton's method.
#[must_use]
pub fn calibrate(scores: &[(f64, bool)]) -> Calibration {
    let frauds = scores.iter().filter(|(_, fraud)| *fraud).count() as f64;
    let genuine = scores.len() as f64 - frauds;
    if frauds < 1.0 || genuine < 1.0 {
        return Calibration { slope: 1.0, offset: 0.0 };
    }
    // Platt's targets: a few frauds must not make it sure.
    let (yes, no) = ((frauds + 1.0) / (frauds + 2.0), 1.0 / (genuine + 2.0));
    let (mut slope, mut offset) = (1.0_f64, 0.0_f64);
    for _ in 0..50 {
        let (mut g1, mut g2, mut h11, mut h12, mut h22) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
        for (score, fraud) in scores {
            let probability = 1.0 / (1.0 + (-(slope * score + offset)).exp());
            let wrong = probability - if *fraud { yes } else { no };
            let curvature = probability * (1.0 - probability);
            g1 += wrong * score;
            g2 += wrong;
            h11 += curvature * score * score;
            h12 += curvature * score;
            h22 += curvature;
        }
        let determinant = h11 * h22 - h12 * h12;
        if determinant.abs() < 1e-12 {
            break;
        }
        // Steps are bounded: far from the goal Newton's method can jump past it.
        slope = (slope - ((h22 * g1 - h12 * g2) / determinant).clamp(-0.5, 0.5)).clamp(0.05, 20.0);
        offset = (offset - ((h11 * g2 - h12 * g1) / determinant).clamp(-1.0, 1.0)).clamp(-20.0, 20.0);
    }
    Calibration { slope: rounded(slope), offset: rounded(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fraud::dice::Dice;
    use crate::fraud::payment::Pattern;
    use tollgate_core::risk::Model;

    fn made(count: usize) -> Vec<Row> {
        let mut dice = Dice::new(11);
        let row = |_| {
            let mut features = [0; FEATURE_COUNT];
            features.fill_with(|| u8::try_from(dice.below(256)).unwrap());
            // Two features count, and only together.
            let risky = features[3] > 200 && features[7] <= 100;
            let fraud = dice.chance(if risky { 0.9 } else { 0.01 });
            Row { features, fraud, weight: 1.0, pattern: Pattern::Genuine }
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn finds_what_counts_and_nothing_else() {
        let rows = made(8_000);
        let training = Training { trees: 30, depth: 2, ..Training::default() };
        let file = train(&rows, &training, "test");
        assert_eq!(file, train(&rows, &training, "test"));
        let model = Model::from_file(&file).unwrap();
        let mut features = [128; FEATURE_COUNT];
        (features[3], features[7]) = (220, 50);
        let risky = model.evaluate(&features);
        features[7] = 150;
        let plain = model.evaluate(&features);
        assert!(risky.probability > 0.5 && plain.probability < 0.05, "{risky:?} {plain:?}");
        assert!(risky.parts[3] > 1.0 && risky.parts[7] > 0.3);
        assert!(
            risky.parts.iter().enumerate().all(|(place, part)| place == 3 || place == 7 || part.abs() < 0.3)
        );
    }

    #[test]
    fn calibration_makes_probabilities_true() {
        let mut dice = Dice::new(3);
        let mut scores: Vec<(f64, bool)> = Vec::new();
        for _ in 0..40_000 {
            let log_odds: f64 = dice.between(-4.0, 3.0);
            let fraud = dice.chance(1.0 / (1.0 + (-log_odds).exp()));
            // The model is twice too sure and a little too high.
            scores.push((2.0 * log_odds + 0.6, fraud));
        }
        let Calibration { slope, offset } = calibrate(&scores);
        assert!((slope - 0.5).abs() < 0.03 && (offset + 0.3).abs() < 0.06, "{slope} {offset}");
        assert_eq!(calibrate(&[(1.0, true)]), Calibration { slope: 1.0, offset: 0.0 });
    }
}
