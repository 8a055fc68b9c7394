//! Fraud risk: what is known of a payment before it is routed, and what is made of it.
//!
//! Pure: counters, rules and model are plain data here; the engine owns their state and the clock.
//! A payment's [`Signals`] become 32 bytes of features by what [`RiskState`] remembers of earlier
//! payments; a [`Model`] makes a score of them; a merchant's [`Policy`] makes a verdict of the score.

mod assess;
mod assessment;
mod clock;
mod country;
mod facts;
mod feature;
mod follow_up;
mod hash;
mod keys;
mod lists;
mod model;
mod net;
mod places;
mod plain;
mod policy;
mod rules;
mod screening;
mod shard;
mod signals;
mod sketch;
mod state;
mod table;

pub use crate::json::PolicyError;
pub use assess::{assess, unscored};
pub use assessment::{Assessment, Fallback, REASONS_MAX, Reason, Score, Verdict};
pub use country::{Country, InvalidCountry};
pub use feature::{FEATURE_COUNT, FEATURES, Feature, FeatureVector, Reading, feature_index, words};
pub use follow_up::FollowUp;
pub use keys::RiskKeys;
pub use lists::LIST_ENTRIES_MAX;
pub use model::{
    Calibration, DEFAULT_MODEL, Evaluation, MODEL_FORMAT, MODEL_VERSION, Model, ModelError, ModelFile,
    TREE_DEPTH_MAX, TREES_MAX,
};
pub use places::{BinPlaces, IpPlaces, PlacesError, RANGES_MAX};
pub use policy::{Middle, OnFailure, Policy};
pub use rules::{CONDITIONS_MAX, RULE_DEPTH_MAX, RULES_MAX};
pub use screening::{Review, ReviewState, Screening};
pub use signals::{CardSignals, Signals, fingerprint_of, fingerprint_text};
pub use state::{RiskOptions, RiskState};
