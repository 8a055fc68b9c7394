//! What a merchant wants done with risky payments: thresholds, rules, lists.

use super::assessment::Score;
use super::lists::{LIST_ENTRIES_MAX, Lists};
use super::rules::{Rule, read_rules};
use crate::json::{At, PolicyError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// What is done with a score between the two thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Middle {
    /// The customer proves to be the customer by 3-D Secure.
    #[default]
    StepUp3ds,
    /// The customer proves to be the customer by a passkey.
    StepUpPasskey,
    /// A person looks at it.
    Review,
}

/// What is done with a payment that could not be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// It goes on, and its record says that it was not scored.
    #[default]
    AllowFlagged,
    /// A person looks at it.
    Review,
}

const MIDDLES: [(&str, Middle); 3] = [
    ("step_up_3ds", Middle::StepUp3ds),
    ("step_up_passkey", Middle::StepUpPasskey),
    ("review", Middle::Review),
];
const FAILURES: [(&str, OnFailure); 2] =
    [("allow_flagged", OnFailure::AllowFlagged), ("review", OnFailure::Review)];

/// What a merchant wants done with risky payments. It is stored as the JSON it was read from.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(super) step_up_above: Score,
    pub(super) block_above: Score,
    middle: Middle,
    on_failure: OnFailure,
    pub(super) rules: Vec<Rule>,
    pub(super) block: Lists,
    pub(super) allow: Lists,
    /// All members, defaults filled in.
    source: Value,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            step_up_above: Score::from_ten_thousandths(5_000),
            block_above: Score::from_ten_thousandths(8_000),
            middle: Middle::default(),
            on_failure: OnFailure::default(),
            rules: Vec::new(),
            block: Lists::default(),
            allow: Lists::default(),
            source: json!({
                "thresholds": {"step_up_above": 0.5, "block_above": 0.8},
                "middle": "step_up_3ds",
                "on_failure": "allow_flagged",
                "rules": [],
                "lists": {"block": {}, "allow": {}},
            }),
        }
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Policy {
    /// Reads a policy from its JSON text.
    ///
    /// # Errors
    /// [`PolicyError`]: where it is wrong, and how.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        let value = serde_json::from_str(text).map_err(|error| PolicyError {
            pointer: String::new(),
            message: format!("It is no JSON: {error}."),
        })?;
        Self::from_value(&value)
    }

    /// Reads a policy. Members that are absent have their defaults.
    ///
    /// # Errors
    /// [`PolicyError`]: where it is wrong, and how.
    pub fn from_value(value: &Value) -> Result<Self, PolicyError> {
        let root = At::root(value);
        let members = root.object(&["thresholds", "middle", "on_failure", "rules", "lists"])?;
        let mut policy = Self::default();
        if let Some(thresholds) = root.get("thresholds") {
            thresholds.object(&["step_up_above", "block_above"])?;
            for (name, threshold) in
                [("step_up_above", &mut policy.step_up_above), ("block_above", &mut policy.block_above)]
            {
                if let Some(number) = thresholds.get(name) {
                    *threshold = Score::from_probability(number.number_in(0.0, 1.0)?);
                }
            }
            if policy.step_up_above > policy.block_above {
                return Err(thresholds.error("`step_up_above` must not be above `block_above`."));
            }
        }
        if let Some(middle) = root.get("middle") {
            policy.middle = middle.one_of(&MIDDLES)?;
        }
        if let Some(on_failure) = root.get("on_failure") {
            policy.on_failure = on_failure.one_of(&FAILURES)?;
        }
        if let Some(rules) = root.get("rules") {
            policy.rules = read_rules(&rules)?;
        }
        if let Some(lists) = root.get("lists") {
            lists.object(&["block", "allow"])?;
            let mut left = LIST_ENTRIES_MAX;
            for (name, side) in [("block", &mut policy.block), ("allow", &mut policy.allow)] {
                if let Some(given) = lists.get(name) {
                    *side = Lists::read(&given, &mut left)?;
                }
            }
        }
        for (name, given) in members.iter().filter(|(_, given)| !given.is_null()) {
            policy.source[name] = given.clone();
        }
        let threshold = |score: Score| f64::from(score.ten_thousandths()) / 10_000.0;
        policy.source["thresholds"] = json!({
            "step_up_above": threshold(policy.step_up_above),
            "block_above": threshold(policy.block_above),
        });
        Ok(policy)
    }

    /// The policy as JSON, every member filled in but the lists' and rules' own.
    #[must_use]
    pub const fn as_value(&self) -> &Value {
        &self.source
    }

    /// What is done with a score between the thresholds.
    #[must_use]
    pub const fn middle(&self) -> Middle {
        self.middle
    }

    /// What is done with a payment that could not be scored.
    #[must_use]
    pub const fn on_failure(&self) -> OnFailure {
        self.on_failure
    }
}

impl Serialize for Policy {
    /// As an object in JSON; in other formats as the text of it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.source.serialize(serializer)
        } else {
            serializer.collect_str(&self.source)
        }
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
        } else {
            Self::from_json(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
        }
    }
}
