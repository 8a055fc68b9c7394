//! Measures a model on payments that came after those it learnt from, beside two simple rivals.

use super::boost;
use super::dataset::{Row, Split};
use super::measure::{AtThreshold, Bin, Scored, Step, auc, average_precision, brier, calibration, steps};
use super::payment::Pattern;
use std::fmt;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodKind;
use tollgate_core::money::Money;
use tollgate_core::risk::{
    Calibration, FEATURE_COUNT, FEATURES, MODEL_FORMAT, MODEL_VERSION, Model, ModelError, ModelFile, Policy,
    Score, Signals, assess,
};

/// The gateway's default thresholds.
pub const THRESHOLDS: [f64; 2] = [0.5, 0.8];

/// The rules a careful merchant might write instead of a model.
const RIVAL_RULES: &str = r#"{"rules": [
  {"name": "many cards on a device", "when": {"fact": "feature.device_instruments", "ge": 41}, "then": {"add": 0.6}},
  {"name": "many customers on an instrument", "when": {"fact": "feature.instrument_customers", "ge": 32}, "then": {"add": 0.6}},
  {"name": "fast instrument", "when": {"fact": "feature.instrument_1h", "ge": 25}, "then": {"add": 0.4}},
  {"name": "fast address", "when": {"fact": "feature.ip_5m", "ge": 41}, "then": {"add": 0.4}},
  {"name": "declined again and again", "when": {"fact": "feature.device_declines", "ge": 2}, "then": {"add": 0.4}},
  {"name": "card from elsewhere", "when": {"fact": "feature.ip_country", "eq": 3}, "then": {"add": 0.3}},
  {"name": "new device with a high amount", "when": {"all": [
     {"fact": "feature.device_age", "eq": 1}, {"fact": "feature.amount_vs_customer", "ge": 158}]}, "then": {"add": 0.4}}
]}"#;

/// A rival could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a rival of the model cannot be built: {0}")]
pub struct RivalError(String);

impl From<ModelError> for RivalError {
    fn from(error: ModelError) -> Self {
        Self(error.to_string())
    }
}

/// The measures of one way to score.
#[derive(Debug, Clone)]
pub struct Measures {
    /// Its name.
    pub name: &'static str,
    /// At each of [`THRESHOLDS`].
    pub at: [AtThreshold; 2],
    /// Area under the ROC curve.
    pub auc: f64,
    /// Area under the precision-recall curve (average precision).
    pub average_precision: f64,
    /// Brier score.
    pub brier: f64,
    /// Every threshold.
    pub steps: Vec<Step>,
    /// Probabilities against truth.
    pub bins: [Bin; 10],
}

impl Measures {
    fn of(name: &'static str, scored: &[Scored]) -> Self {
        let steps = steps(scored);
        Self {
            name,
            at: THRESHOLDS.map(|threshold| AtThreshold::of(scored, threshold)),
            auc: auc(&steps),
            average_precision: average_precision(&steps),
            brier: brier(scored),
            steps,
            bins: calibration(scored),
        }
    }
}

/// How many payments of a pattern are above each threshold.
#[derive(Debug, Clone, Copy)]
pub struct PatternRecall {
    /// The pattern.
    pub pattern: Pattern,
    /// Payments.
    pub payments: usize,
    /// Of them above each of [`THRESHOLDS`].
    pub above: [usize; 2],
}

/// A whole evaluation.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The model's name.
    pub model: String,
    /// Payments it was tested on.
    pub payments: usize,
    /// Of them fraud, by the labels.
    pub frauds: usize,
    /// The model, then the rivals.
    pub measures: [Measures; 3],
    /// By what was behind the payments.
    pub patterns: Vec<PatternRecall>,
}

/// Measures a model on the test part.
///
/// # Errors
/// [`RivalError`] if a rival cannot be built, which a test rules out.
pub fn evaluate(model: &Model, split: &Split<'_>) -> Result<Evaluated, RivalError> {
    let test = split.test;
    let scored = |score: &dyn Fn(&Row) -> f64| -> Vec<Scored> {
        test.iter().map(|row| (score(row), row.fraud)).collect()
    };
    let own = scored(&|row| model.evaluate(&row.features).probability);
    let only_amount = |row: &Row| {
        let mut features = [0; FEATURE_COUNT];
        features[0] = row.features[0];
        Row { features, ..*row }
    };
    let learnt: Vec<Row> = split.train.iter().map(only_amount).collect();
    let amounts = Model::from_file(&boost::train(&learnt, &boost::Training::default(), "amounts"))?;
    let by_amount = scored(&|row| amounts.evaluate(&only_amount(row).features).probability);
    let rules = rules_only(test)?;
    let patterns = Pattern::ALL.map(|pattern| {
        let scores: Vec<f64> =
            own.iter().zip(test).filter(|(_, row)| row.pattern == pattern).map(|(own, _)| own.0).collect();
        let above = THRESHOLDS.map(|threshold| scores.iter().filter(|score| **score > threshold).count());
        PatternRecall { pattern, payments: scores.len(), above }
    });
    Ok(Evaluated {
        model: model.name().to_owned(),
        payments: test.len(),
        frauds: test.iter().filter(|row| row.fraud).count(),
        measures: [
            Measures::of("model", &own),
            Measures::of("amount only", &by_amount),
            Measures::of("seven rules", &rules),
        ],
        patterns: patterns.to_vec(),
    })
}

/// The rivals' rules over a model that knows nothing.
fn rules_only(rows: &[Row]) -> Result<Vec<Scored>, RivalError> {
    let empty = Model::from_file(&ModelFile {
        format: MODEL_FORMAT.to_owned(),
        version: MODEL_VERSION,
        name: "nothing".to_owned(),
        features: FEATURES.iter().map(|feature| feature.name.to_owned()).collect(),
        base: -20.0,
        trees: Vec::new(),
        calibration: Calibration { slope: 1.0, offset: 0.0 },
    })?;
    let policy = Policy::from_json(RIVAL_RULES).map_err(|error| RivalError(error.to_string()))?;
    let signals = Signals::bare(0, 1, Money::new(1, Currency::INR), MethodKind::Card);
    let score = |row: &Row| {
        let score: Score = assess(&policy, &signals, &row.features, &empty).score;
        (f64::from(score.ten_thousandths()) / 10_000.0, row.fraud)
    };
    Ok(rows.iter().map(score).collect())
}

impl fmt::Display for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: f64| format!("{:.2} %", 100.0 * part);
        writeln!(
            f,
            "Model {} on {} synthetic payments it has not seen, {} of them labelled fraud ({}).\n",
            self.model,
            self.payments,
            self.frauds,
            percent(self.frauds as f64 / self.payments.max(1) as f64)
        )?;
        writeln!(f, "| | threshold | precision | recall | false positives | ROC AUC | PR AUC | Brier |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for measures in &self.measures {
            for at in &measures.at {
                writeln!(
                    f,
                    "| {} | {:.1} | {} | {} | {} | {:.4} | {:.4} | {:.5} |",
                    measures.name,
                    at.threshold,
                    // Of nothing, no part can be right.
                    if at.hits + at.false_alarms == 0 { "–".to_owned() } else { percent(at.precision()) },
                    percent(at.recall()),
                    percent(at.false_positive_rate()),
                    measures.auc,
                    measures.average_precision,
                    measures.brier
                )?;
            }
        }
        writeln!(f, "\n| what was behind the payment | payments | above 0.5 | above 0.8 |")?;
        writeln!(f, "|---|---|---|---|")?;
        for line in &self.patterns {
            let part = |count: usize| percent(count as f64 / line.payments.max(1) as f64);
            let [step_up, block] = line.above.map(part);
            writeln!(f, "| {} | {} | {step_up} | {block} |", line.pattern.as_str(), line.payments)?;
        }
        writeln!(f, "\n| probability | payments | mean probability | were fraud |")?;
        writeln!(f, "|---|---|---|---|")?;
        for (tenth, bin) in self.measures[0].bins.iter().enumerate() {
            writeln!(
                f,
                "| {:.1}–{:.1} | {} | {:.3} | {:.3} |",
                tenth as f64 / 10.0,
                (tenth + 1) as f64 / 10.0,
                bin.count,
                bin.predicted,
                bin.observed
            )?;
        }
        Ok(())
    }
}
