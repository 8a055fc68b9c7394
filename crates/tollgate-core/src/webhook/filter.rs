//! Which events an endpoint wants: names, and names with a wildcard at the end.

use serde::{Deserialize, Serialize};

/// Most patterns of a filter.
pub const PATTERNS_MAX: usize = 50;

/// Every type of event there is.
pub const EVENT_TYPES: [&str; 29] = [
    "mandate.revoked",
    "payment.attempt_ended",
    "payment.authorized",
    "payment.blocked",
    "payment.cancelled",
    "payment.capture_failed",
    "payment.capture_started",
    "payment.captured",
    "payment.completed",
    "payment.created",
    "payment.declined",
    "payment.expired",
    "payment.failed",
    "payment.failed_over",
    "payment.flagged",
    "payment.labelled",
    "payment.late_success",
    "payment.processing",
    "payment.requires_action",
    "payment.return_failed",
    "payment.return_started",
    "payment.returned",
    "payment.void_failed",
    "payment.void_started",
    "refund.created",
    "refund.failed",
    "refund.succeeded",
    "review.approved",
    "review.rejected",
];

/// A pattern that matches nothing there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No pattern, or too many.
    #[error("must have 1 to {PATTERNS_MAX} entries")]
    Count,
    /// A pattern no event has.
    #[error("must be the type of an event, a family such as payment.*, or *")]
    Unknown {
        /// Which, from 0.
        place: usize,
    },
}

/// Which events an endpoint wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter(Vec<String>);

impl EventFilter {
    /// Reads patterns.
    ///
    /// # Errors
    /// [`FilterError`] if one of them could never match.
    pub fn read<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        let mut read: Vec<String> = Vec::new();
        for (place, pattern) in patterns.into_iter().enumerate() {
            if place >= PATTERNS_MAX {
                return Err(FilterError::Count);
            }
            if !EVENT_TYPES.iter().any(|name| matches(pattern, name)) {
                return Err(FilterError::Unknown { place });
            }
            if read.iter().all(|known| known != pattern) {
                read.push(pattern.to_owned());
            }
        }
        if read.is_empty() { Err(FilterError::Count) } else { Ok(Self(read)) }
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.0
    }

    /// Whether a type of event is wanted.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, event_type))
    }
}

fn matches(pattern: &str, event_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        // `payment.*`, not `pay*`: a family is a whole word.
        Some(family) => family.ends_with('.') && event_type.starts_with(family),
        None => pattern == event_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_every_event_of_the_log() {
        let source = include_str!("../event.rs");
        let name = source.split("fn name(").nth(1).unwrap().split("fn started_attempt").next().unwrap();
        let mut named: Vec<&str> =
            name.split("=> \"").skip(1).filter_map(|it| it.split('"').next()).collect();
        named.sort_unstable();
        assert_eq!(named, EVENT_TYPES);
    }

    #[test]
    fn names_families_and_everything() {
        let filter = EventFilter::read(["refund.*", "payment.completed", "refund.*"]).unwrap();
        assert_eq!(filter.patterns().len(), 2);
        for (name, wanted) in [
            ("refund.created", true),
            ("payment.completed", true),
            ("payment.created", false),
            ("refund", false),
            ("webhook.test", false),
        ] {
            assert_eq!(filter.matches(name), wanted, "{name}");
        }
        assert!(EventFilter::read(["*"]).unwrap().matches("review.approved"));
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for wrong in ["", "pay*", "payment*", "payment", "order.*", ".*", "*.created", "payment.*.x", "**"] {
            assert_eq!(EventFilter::read([wrong]), Err(FilterError::Unknown { place: 0 }), "{wrong}");
        }
        assert_eq!(EventFilter::read([]), Err(FilterError::Count));
        assert_eq!(EventFilter::read(["*"; PATTERNS_MAX + 1]), Err(FilterError::Count));
    }
}
