//! What their failure codes mean. A code that the configuration does not name means nothing.

use crate::answer::{self, declined};
use serde::Deserialize;
use serde_json::Value;
use tollgate_core::failure::{Failure, FailureClass, FailureCode};
use tollgate_core::outcome::Outcome;

/// What a failure proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Proof {
    Declined,
    NotTaken,
    Unknown,
}

/// The table of codes.
#[derive(Debug, Clone, Default)]
pub(super) struct Errors {
    known: Vec<(String, FailureCode, Proof)>,
    /// `"*"`: what a decline with a code that is not in the table means.
    otherwise: Option<FailureCode>,
}

impl Errors {
    /// Reads the table.
    pub(super) fn parse<'v>(
        table: impl Iterator<Item = (&'v String, &'v Value)>,
    ) -> Result<Self, (String, String)> {
        let mut errors = Self::default();
        for (theirs, meaning) in table {
            let wrong = |why: String| (theirs.clone(), why);
            let (code, proof) = entry(meaning).map_err(wrong)?;
            if theirs != "*" {
                errors.known.push((theirs.clone(), code, proof));
            } else if proof == Proof::Declined {
                errors.otherwise = Some(code);
            } else {
                return Err(wrong(
                    "\"*\" can only be a decline: what is not named proves nothing".to_owned(),
                ));
            }
        }
        Ok(errors)
    }

    fn find(&self, theirs: &str) -> Option<(FailureCode, Proof)> {
        self.known.iter().find(|(known, ..)| known == theirs).map(|(_, code, proof)| (*code, *proof))
    }

    /// A record whose status says that it was declined.
    pub(super) fn declined(&self, theirs: Option<&str>, message: &str, by_default: FailureCode) -> Outcome {
        let Some(theirs) = theirs else {
            return declined(self.otherwise.unwrap_or(by_default), message);
        };
        match (self.find(theirs), self.otherwise) {
            (Some((code, proof)), _) => outcome(code, proof, message, theirs),
            (None, Some(code)) => outcome(code, Proof::Declined, message, theirs),
            (None, None) => outcome(FailureCode::OutcomeUnknown, Proof::Unknown, message, theirs),
        }
    }

    /// A request that was answered with a status that proves that nothing was taken.
    pub(super) fn refused(&self, theirs: Option<&str>, message: &str, status: u16) -> Outcome {
        let Some(theirs) = theirs else {
            return match status {
                429 => answer::throttled(),
                _ => answer::not_taken(FailureCode::ProcessorRejected, message),
            };
        };
        match self.find(theirs) {
            Some((code, proof)) => outcome(code, proof, message, theirs),
            None => outcome(FailureCode::OutcomeUnknown, Proof::Unknown, message, theirs),
        }
    }
}

fn outcome(code: FailureCode, proof: Proof, message: &str, theirs: &str) -> Outcome {
    match proof {
        Proof::Declined => Outcome::Declined(Failure::new(code, message).with_processor_code(theirs)),
        Proof::NotTaken => Outcome::NotTaken(Failure::new(code, message).with_processor_code(theirs)),
        Proof::Unknown => {
            Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, message).with_processor_code(theirs))
        }
    }
}

/// `"insufficient_funds"`, `"unknown"` or `{ code = "…", class = "…" }`.
fn entry(meaning: &Value) -> Result<(FailureCode, Proof), String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Full {
        code: FailureCode,
        class: Proof,
    }
    let (code, proof) = match meaning {
        Value::String(text) if text == "unknown" => (FailureCode::OutcomeUnknown, Proof::Unknown),
        Value::String(_) => {
            let code = FailureCode::deserialize(meaning).map_err(|error| error.to_string())?;
            let proof = match code.class() {
                FailureClass::HardDecline | FailureClass::SoftDecline => Proof::Declined,
                FailureClass::OurFault | FailureClass::Retryable => Proof::NotTaken,
                FailureClass::Unknown => Proof::Unknown,
            };
            (code, proof)
        }
        Value::Object(_) => {
            let full = Full::deserialize(meaning).map_err(|error| error.to_string())?;
            (full.code, full.class)
        }
        _ => return Err("must be a failure code, or { code = …, class = … }".to_owned()),
    };
    let is_ours = matches!(code, FailureCode::AmountMismatch | FailureCode::NoProcessor);
    if is_ours || (code == FailureCode::OutcomeUnknown && proof != Proof::Unknown) {
        return Err(format!("`{}` is never what a processor says", code.as_str()));
    }
    Ok((code, proof))
}
