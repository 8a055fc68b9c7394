//! The model: gradient-boosted trees over the feature bytes, read from a JSON file.
//!
//! The file is an object with these members and no others:
//!
//! | member | what it is |
//! |---|---|
//! | `format` | `"tollgate-trees"` |
//! | `version` | `1` |
//! | `name` | what assessments call the model, 1 to 64 characters |
//! | `features` | the names of all features, in the order of this program's table |
//! | `base` | log-odds before the first tree |
//! | `trees` | at most 512 trees; each a list of 1 to 511 nodes, the root first, at most 8 splits deep |
//! | `calibration` | `{"slope", "offset"}`: Platt's, `probability = 1 / (1 + exp(-(slope · log-odds + offset)))` |
//!
//! A node is `[value]` (a leaf) or `[value, feature, at_most, left, right]`: to the left goes who has a
//! byte of at most `at_most`; `left` and `right` are places further down the list. The log-odds are the
//! base and the value of one leaf of every tree. The value of an inner node is what the training data
//! said before the split was known: what changes from node to node on the way down is the part of the
//! feature that was asked (Saabas, 2014), so the parts add up to the log-odds exactly.

use super::feature::{FEATURE_COUNT, FEATURES, FeatureVector};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// What a model file's `format` says.
pub const MODEL_FORMAT: &str = "tollgate-trees";
/// The version of the format.
pub const MODEL_VERSION: u32 = 1;
/// Most trees.
pub const TREES_MAX: usize = 512;
/// Most splits from a root to a leaf.
pub const TREE_DEPTH_MAX: usize = 8;
/// Most nodes of one tree.
const NODES_MAX: usize = 511;
/// Largest value of a node, of the base and of the calibration.
const VALUE_MAX: f64 = 100.0;

/// Why a model file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model file is not usable: {0}")]
pub struct ModelError(String);

/// A model file as it is written, unchecked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// [`MODEL_FORMAT`].
    pub format: String,
    /// [`MODEL_VERSION`].
    pub version: u32,
    /// What assessments call it.
    pub name: String,
    /// Names of the features.
    pub features: Vec<String>,
    /// Log-odds before the first tree.
    pub base: f64,
    /// Trees of nodes of numbers.
    pub trees: Vec<Vec<Vec<f64>>>,
    /// From log-odds to probability.
    pub calibration: Calibration,
}

/// Platt's calibration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Factor of the log-odds, above 0.
    pub slope: f64,
    /// Added after it.
    pub offset: f64,
}

/// A node, in sixteen bytes: a payment walks through hundreds.
#[derive(Debug, Clone, Copy)]
struct Node {
    value: f64,
    /// Where its children stand in its tree. No child is a tree's first: 0 is a leaf's.
    children: [u16; 2],
    feature: u8,
    at_most: u8,
}

/// A checked model.
#[derive(Debug, Clone)]
pub struct Model {
    name: String,
    base: f64,
    nodes: Vec<Node>,
    /// How many nodes each tree has, one tree after the other.
    lengths: Vec<usize>,
    calibration: Calibration,
}

/// What a model says of a payment.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation {
    /// Log-odds of fraud before calibration.
    pub raw: f64,
    /// Probability of fraud.
    pub probability: f64,
    /// What each feature added to the calibrated log-odds.
    pub parts: [f64; FEATURE_COUNT],
}

impl Model {
    /// The model that comes with the program.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "compiled in, and read by a test")]
    pub fn built_in() -> &'static Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        MODEL.get_or_init(|| Self::from_json(DEFAULT_MODEL).expect("the built-in model is valid"))
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        let file = serde_json::from_str(text).map_err(|error| ModelError(error.to_string()))?;
        Self::from_file(&file)
    }

    /// Checks a model file's contents.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with it.
    pub fn from_file(file: &ModelFile) -> Result<Self, ModelError> {
        check(file.format == MODEL_FORMAT, || format!("format is not {MODEL_FORMAT:?}"))?;
        check(file.version == MODEL_VERSION, || format!("version is not {MODEL_VERSION}"))?;
        check((1..=64).contains(&file.name.chars().count()), || "name has 1 to 64 characters".into())?;
        let names = FEATURES.iter().map(|feature| feature.name);
        check(names.eq(file.features.iter().map(String::as_str)), || {
            "features are not those of this program: train it again".into()
        })?;
        check(bounded(file.base), || "base is out of bounds".into())?;
        let Calibration { slope, offset } = file.calibration;
        check(bounded(slope) && slope > 0.0 && bounded(offset), || "calibration is out of bounds".into())?;
        check(file.trees.len() <= TREES_MAX, || format!("more than {TREES_MAX} trees"))?;
        let mut model = Self {
            name: file.name.clone(),
            base: file.base,
            nodes: Vec::new(),
            lengths: Vec::new(),
            calibration: file.calibration,
        };
        for (place, tree) in file.trees.iter().enumerate() {
            model.add_tree(tree).map_err(|what| ModelError(format!("tree {place}: {what}")))?;
        }
        Ok(model)
    }

    /// Its name, as assessments keep it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says of a payment.
    #[must_use]
    pub fn evaluate(&self, features: &FeatureVector) -> Evaluation {
        let mut raw = self.base;
        let mut parts = [0.0; FEATURE_COUNT];
        let mut rest = self.nodes.as_slice();
        for length in &self.lengths {
            let Some((tree, others)) = rest.split_at_checked(*length) else { break };
            rest = others;
            let [mut node, ..] = *tree else { continue };
            while node.children != [0, 0] {
                let feature = usize::from(node.feature);
                let goes_left = features.get(feature).is_some_and(|byte| *byte <= node.at_most);
                let [left, right] = node.children;
                let Some(next) = tree.get(usize::from(if goes_left { left } else { right })) else { break };
                if let Some(part) = parts.get_mut(feature) {
                    *part += (next.value - node.value) * self.calibration.slope;
                }
                node = *next;
            }
            raw += node.value;
        }
        let log_odds = self.calibration.slope * raw + self.calibration.offset;
        Evaluation { raw, probability: 1.0 / (1.0 + (-log_odds).exp()), parts }
    }

    fn add_tree(&mut self, tree: &[Vec<f64>]) -> Result<(), String> {
        if !(1..=NODES_MAX).contains(&tree.len()) {
            return Err(format!("it has 1 to {NODES_MAX} nodes"));
        }
        let mut depths = vec![None; tree.len()];
        depths[0] = Some(0);
        for (place, numbers) in tree.iter().enumerate() {
            let wrong = |what: &str| format!("node {place}: {what}");
            let depth = depths[place].ok_or_else(|| wrong("nothing leads to it"))?;
            let node = match numbers.as_slice() {
                [value] => Node { value: *value, children: [0, 0], feature: 0, at_most: 0 },
                [value, feature, at_most, left, right] => {
                    let feature =
                        whole(*feature, FEATURE_COUNT - 1).ok_or_else(|| wrong("no such feature"))?;
                    let at_most = whole(*at_most, 254).ok_or_else(|| wrong("at_most is 0 to 254"))?;
                    let mut children = [0; 2];
                    for (child, number) in children.iter_mut().zip([left, right]) {
                        let to = whole(*number, tree.len() - 1).filter(|to| *to > place);
                        let to = to.ok_or_else(|| wrong("its children are not further down"))?;
                        if depths[to].is_some() || depth == TREE_DEPTH_MAX {
                            return Err(wrong("a child with two parents, or too deep"));
                        }
                        depths[to] = Some(depth + 1);
                        *child = u16::try_from(to).map_err(|_| wrong("too many nodes"))?;
                    }
                    let byte = |number| u8::try_from(number).map_err(|_| wrong("not a byte"));
                    Node { value: *value, children, feature: byte(feature)?, at_most: byte(at_most)? }
                }
                _ => return Err(wrong("it has 1 or 5 numbers")),
            };
            if !bounded(node.value) {
                return Err(wrong("its value is out of bounds"));
            }
            self.nodes.push(node);
        }
        self.lengths.push(tree.len());
        Ok(())
    }
}

/// The file of the model that comes with the program, written by `tollgate fraud train`.
pub const DEFAULT_MODEL: &str = include_str!("default-model.json");

fn check(right: bool, what: impl FnOnce() -> String) -> Result<(), ModelError> {
    if right { Ok(()) } else { Err(ModelError(what())) }
}

fn bounded(value: f64) -> bool {
    value.is_finite() && value.abs() <= VALUE_MAX
}

/// A whole number up to a maximum.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, and checked to be in range"
)]
#[expect(clippy::cast_precision_loss, reason = "maxima are small")]
fn whole(number: f64, max: usize) -> Option<usize> {
    (number.fract().abs() < f64::EPSILON && (0.0..=max as f64).contains(&number)).then_some(number as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> ModelFile {
        ModelFile {
            format: MODEL_FORMAT.into(),
            version: MODEL_VERSION,
            name: "tiny".into(),
            features: FEATURES.iter().map(|feature| feature.name.to_owned()).collect(),
            base: -2.0,
            trees: vec![vec![
                vec![0.5, 0.0, 100.0, 1.0, 2.0],
                vec![-1.0],
                vec![2.0, 24.0, 1.0, 3.0, 4.0],
                vec![3.0],
                vec![1.0],
            ]],
            calibration: Calibration { slope: 2.0, offset: 0.5 },
        }
    }

    #[test]
    fn walks_the_tree_and_accounts_for_every_step() {
        let model = Model::from_file(&file()).unwrap();
        let mut features = [0; FEATURE_COUNT];
        features[0] = 101;
        features[24] = 1;
        let evaluation = model.evaluate(&features);
        assert!((evaluation.raw - 1.0).abs() < 1e-12);
        assert!((evaluation.probability - 1.0 / (1.0 + (-2.5_f64).exp())).abs() < 1e-12);
        assert!((evaluation.parts[0] - 3.0).abs() < 1e-12 && (evaluation.parts[24] - 2.0).abs() < 1e-12);
        features[0] = 100;
        assert!((model.evaluate(&features).raw + 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_built_in_model_is_valid() {
        assert!(Model::from_json(DEFAULT_MODEL).is_ok());
        assert!(DEFAULT_MODEL.len() < 150_000);
    }

    #[test]
    fn refuses_bad_files() {
        let refused = |change: fn(&mut ModelFile)| {
            let mut file = file();
            change(&mut file);
            Model::from_file(&file).unwrap_err().to_string()
        };
        assert!(refused(|file| file.version = 2).contains("version"));
        assert!(refused(|file| file.format = "x".into()).contains("format"));
        assert!(refused(|file| file.features.swap(0, 1)).contains("features"));
        assert!(refused(|file| file.base = f64::NAN).contains("base"));
        assert!(refused(|file| file.calibration.slope = 0.0).contains("calibration"));
        assert!(refused(|file| file.trees = vec![vec![vec![0.0]]; 513]).contains("512"));
        assert!(refused(|file| file.trees[0] = vec![]).contains("tree 0"));
        assert!(refused(|file| file.trees[0][0][3] = 0.0).contains("further down"));
        assert!(refused(|file| file.trees[0][0][4] = 1.0).contains("two parents"));
        assert!(refused(|file| file.trees[0][0][1] = 32.0).contains("feature"));
        assert!(refused(|file| file.trees[0][0][2] = 255.0).contains("at_most"));
        assert!(refused(|file| file.trees[0][0][2] = 0.5).contains("at_most"));
        assert!(refused(|file| file.trees[0][1][0] = f64::INFINITY).contains("value"));
        assert!(refused(|file| file.trees[0][1] = vec![1.0, 2.0]).contains("1 or 5"));
        assert!(refused(|file| file.trees[0].push(vec![0.0])).contains("nothing leads"));
        assert!(
            refused(|file| {
                file.trees[0] = (0..10)
                    .flat_map(|level| {
                        let at = f64::from(level) * 2.0;
                        [vec![0.0, 0.0, 1.0, at + 1.0, at + 2.0], vec![0.0]]
                    })
                    .collect();
                // Every second node is a leaf, every other a split: ten splits deep.
                file.trees[0].push(vec![0.0]);
            })
            .contains("deep")
        );
        for text in ["", "{}", "[]", "null", "{\"format\":\"tollgate-trees\"}"] {
            assert!(Model::from_json(text).is_err());
        }
    }
}
