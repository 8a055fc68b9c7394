//! Fraud scoring from the other side: made-up payments with labels, training, evaluation and a bench.
//!
//! The payments are synthetic. What a model reaches on them says that the machinery works, not what it
//! would reach on a merchant's real payments.

mod bench;
mod boost;
mod csv;
mod dataset;
pub(crate) mod dice;
mod evaluate;
mod feedback;
mod generate;
mod measure;
mod payment;
pub mod picture;
mod population;
#[cfg(test)]
mod tests;

pub use bench::{BenchReport, bench};
pub use boost::{Training, calibrate, train};
pub use csv::{COLUMNS, CsvError, from_csv, to_csv};
pub use dataset::{Row, Split, rows, split};
pub use evaluate::{Evaluated, Measures, PatternRecall, RivalError, THRESHOLDS, evaluate};
pub use feedback::read_feedback;
pub use generate::{PAYMENTS_MAX, generate};
pub use measure::{
    AtThreshold, Bin, Scored, Step, auc, average_precision, brier, calibration as calibration_bins, steps,
};
pub use payment::{LabelledCard, LabelledPayment, Pattern};

use tollgate_core::risk::{Model, ModelError, ModelFile};

/// Seed of the payments the built-in model was trained on.
pub const DEFAULT_SEED: u64 = 1;
/// How many payments those were.
pub const DEFAULT_PAYMENTS: u64 = 200_000;
/// How many made-up payments a line of feedback counts as, unless told.
pub const FEEDBACK_WEIGHT: f64 = 5.0;

/// Trains on the first parts of the data and on feedback, and calibrates on the next part.
///
/// # Errors
/// [`ModelError`] if the result would not be accepted, which only data of no kind can cause.
pub fn train_model(rows: &[Row], feedback: &[Row], name: &str) -> Result<ModelFile, ModelError> {
    let split = split(rows);
    let learnt: Vec<Row> = split.train.iter().chain(feedback).copied().collect();
    let mut file = train(&learnt, &Training::default(), name);
    let model = Model::from_file(&file)?;
    let scores: Vec<Scored> =
        split.calibrate.iter().map(|row| (model.evaluate(&row.features).raw, row.fraud)).collect();
    file.calibration = calibrate(&scores);
    Model::from_file(&file)?;
    Ok(file)
}

/// A model file's text: one tree a line.
#[must_use]
pub fn model_text(file: &ModelFile) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let names: Vec<_> = file.features.iter().map(|name| quoted(name)).collect();
    let node = |numbers: &Vec<f64>| {
        let numbers: Vec<_> = numbers.iter().map(f64::to_string).collect();
        format!("[{}]", numbers.join(","))
    };
    let tree = |nodes: &Vec<Vec<f64>>| format!("[{}]", nodes.iter().map(node).collect::<Vec<_>>().join(","));
    let trees: Vec<_> = file.trees.iter().map(tree).collect();
    format!(
        "{{\"format\":{},\"version\":{},\"name\":{},\n\"features\":[{}],\n\"base\":{},\n\
         \"calibration\":{{\"slope\":{},\"offset\":{}}},\n\"trees\":[\n{}\n]}}\n",
        quoted(&file.format),
        file.version,
        quoted(&file.name),
        names.join(","),
        file.base,
        file.calibration.slope,
        file.calibration.offset,
        trees.join(",\n")
    )
}

/// The name of a model trained on so many made-up payments of a seed.
#[must_use]
pub fn synthetic_name(seed: u64, payments: u64) -> String {
    format!("synthetic-{seed}-{payments}")
}
