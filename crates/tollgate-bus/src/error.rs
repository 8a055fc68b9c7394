//! Why something was not published: what passes by itself, and what somebody has to see to.

use tollgate_core::bus::Topic;

/// Something was not published, or the topics are not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The broker cannot be reached, or takes nothing more at the moment. It passes: the same call may be made again later.
    #[error("the event bus is away: {0}")]
    Away(String),
    /// The broker did not acknowledge in time. It may have the messages all the same. The same call may be made again.
    #[error("the event bus did not acknowledge in time: {0}")]
    TimedOut(String),
    /// The broker, or this crate, refuses it, and will every time until somebody changes something.
    #[error("the event bus refuses {}: {because}: {detail}", refused(topic.as_ref(), message_id.as_ref()))]
    Refused {
        /// Why.
        because: Refusal,
        /// The topic, where it is about one.
        topic: Option<Topic>,
        /// The message, where it is about one: without it the others could be published.
        message_id: Option<String>,
        /// What the broker said. It holds no secret.
        detail: String,
    },
}

/// Why something is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The message is larger than the configuration or the broker allows.
    #[error("the message is too large")]
    TooLarge,
    /// The message's attributes are out of their bounds.
    #[error("the message is invalid")]
    Invalid,
    /// The login is wrong or may not do this.
    #[error("not authorized")]
    NotAuthorized,
    /// The topic (exchange) is not there, or leads to no queue.
    #[error("the topic is missing")]
    TopicMissing,
    /// The topic is there and is not as it has to be (too few partitions, another kind of queue).
    #[error("the topic is not as it should be")]
    TopicDiffers,
    /// The bus has been closed.
    #[error("the bus is closed")]
    Closed,
    /// Anything else that a repeat would not change.
    #[error("refused")]
    Other,
}

impl BusError {
    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Away(_) | Self::TimedOut(_))
    }

    /// The message that is refused, where it is one message's own fault: the others can be published without it.
    #[must_use]
    pub fn faulty_message(&self) -> Option<&str> {
        match self {
            Self::Refused { because: Refusal::TooLarge | Refusal::Invalid, message_id, .. } => {
                message_id.as_deref()
            }
            _ => None,
        }
    }
}

fn refused(topic: Option<&Topic>, message_id: Option<&String>) -> String {
    match (topic, message_id) {
        (Some(topic), Some(id)) => format!("message {id} of {topic}"),
        (Some(topic), None) => topic.to_string(),
        (None, Some(id)) => format!("message {id}"),
        (None, None) => "it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_what_they_are_about() {
        let error = BusError::Refused {
            because: Refusal::TooLarge,
            topic: Some(Topic::FraudAlerts),
            message_id: Some("evt_1".to_owned()),
            detail: "2 bytes too many".to_owned(),
        };
        let text =
            "the event bus refuses message evt_1 of fraud_alerts: the message is too large: 2 bytes too many";
        assert_eq!(error.to_string(), text);
        assert!(!error.passes());
        assert_eq!(error.faulty_message(), Some("evt_1"));
        assert!(BusError::Away(String::new()).passes());
    }
}
