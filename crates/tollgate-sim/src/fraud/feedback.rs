//! What became of real payments, as the gateway exports it: one JSON object a line.

use super::dataset::Row;
use super::payment::Pattern;
use serde::Deserialize;
use tollgate_core::risk::FEATURE_COUNT;

/// A line of the file. Other members are left out.
#[derive(Debug, Deserialize)]
struct Line {
    features: Vec<u8>,
    label: Label,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Label {
    Fraud,
    Genuine,
}

/// Reads a feedback file; each line counts as `weight` made-up payments.
///
/// # Errors
/// One sentence with the number of the line.
pub fn read_feedback(text: &str, weight: f64) -> Result<Vec<Row>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(place, line)| {
            let line: Line =
                serde_json::from_str(line).map_err(|error| format!("line {}: {error}", place + 1))?;
            let features = line.features.try_into().map_err(|features: Vec<u8>| {
                format!("line {}: {} features instead of {FEATURE_COUNT}", place + 1, features.len())
            })?;
            let fraud = line.label == Label::Fraud;
            Ok(Row { features, fraud, weight, pattern: Pattern::Genuine })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let good =
            format!("{{\"features\":{:?},\"label\":\"fraud\",\"score\":0.25}}\n\n", [7; FEATURE_COUNT]);
        let rows = read_feedback(&good, 5.0).unwrap();
        assert!(rows.len() == 1 && rows[0].fraud && rows[0].features[3] == 7);
        assert!(
            read_feedback("{\"features\":[1],\"label\":\"fraud\"}", 5.0)
                .unwrap_err()
                .contains("line 1: 1 features")
        );
        assert!(read_feedback("{\"features\":[256],\"label\":\"fraud\"}", 5.0).is_err());
        assert!(read_feedback("{\"features\":[],\"label\":\"maybe\"}", 5.0).is_err());
    }
}
