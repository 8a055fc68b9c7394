//! Kafka's errors as the bus's.

use crate::{BusError, Refusal};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tollgate_core::bus::{Message, Topic};

/// A refusal.
pub(super) fn refused(
    because: Refusal,
    topic: Option<Topic>,
    message_id: Option<String>,
    detail: String,
) -> BusError {
    BusError::Refused { because, topic, message_id, detail }
}

/// Whether a login was refused.
pub(super) fn is_of_login(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
    )
}

/// Why a code is for good, if it is.
pub(super) fn refusal(code: Code) -> Option<Refusal> {
    Some(match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            Refusal::TooLarge
        }
        code if is_of_login(code) => Refusal::NotAuthorized,
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SecurityDisabled => Refusal::NotAuthorized,
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::UnknownTopicId => Refusal::TopicMissing,
        Code::InvalidRecord
        | Code::PolicyViolation
        | Code::UnsupportedCompressionType
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::InvalidRequiredAcks => Refusal::Other,
        _ => return None,
    })
}

fn is_of_time(code: Code) -> bool {
    matches!(
        code,
        Code::MessageTimedOut | Code::RequestTimedOut | Code::OperationTimedOut | Code::TimedOutQueue
    )
}

/// How much an error says about the cause. Purges and a producer's end are its effects.
pub(super) fn weight(error: &KafkaError) -> u8 {
    match error.rdkafka_error_code() {
        Some(Code::PurgeQueue | Code::PurgeInflight) => 1,
        Some(Code::Fatal | Code::GaplessGuarantee) => 2,
        Some(code) if refusal(code).is_some() => 4,
        _ => 3,
    }
}

/// A message's error.
pub(super) fn of_production(error: &KafkaError, message: Option<&Message>, fatal: Option<&str>) -> BusError {
    let detail = match fatal {
        Some(fatal) => format!("{error}: {fatal}"),
        None => error.to_string(),
    };
    let Some(code) = error.rdkafka_error_code() else { return BusError::Away(detail) };
    if let Some(because) = refusal(code) {
        let is_of_message = matches!(because, Refusal::TooLarge | Refusal::Other);
        let id = message.filter(|_| is_of_message).map(|message| message.id.clone());
        return refused(because, message.map(|message| message.topic), id, detail);
    }
    if is_of_time(code) { BusError::TimedOut(detail) } else { BusError::Away(detail) }
}

/// The error of one of several messages: it does not say which.
pub(super) fn without_message(error: BusError) -> BusError {
    match error {
        BusError::Refused { because, topic, detail, .. } => refused(because, topic, None, detail),
        error => error,
    }
}

/// The error of a call whose time is over, by the last trouble with brokers.
pub(super) fn of_late(code: Code, detail: String) -> BusError {
    match refusal(code) {
        Some(because) => refused(because, None, None, detail),
        None if is_of_time(code) => BusError::TimedOut(detail),
        None => BusError::Away(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code) -> BusError {
        of_production(&KafkaError::MessageProduction(code), None, None)
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in [
            Code::BrokerTransportFailure,
            Code::NotLeaderForPartition,
            Code::NotEnoughReplicas,
            Code::Fatal,
            Code::OutOfOrderSequenceNumber,
            Code::PurgeInflight,
            Code::KafkaStorageError,
        ] {
            assert!(matches!(error(code), BusError::Away(_)), "{code:?}");
        }
        assert!(matches!(error(Code::RequestTimedOut), BusError::TimedOut(_)));
        for (code, expected) in [
            (Code::MessageSizeTooLarge, Refusal::TooLarge),
            (Code::TopicAuthorizationFailed, Refusal::NotAuthorized),
            (Code::UnknownTopicOrPartition, Refusal::TopicMissing),
            (Code::InvalidRecord, Refusal::Other),
        ] {
            match error(code) {
                BusError::Refused { because, .. } => assert_eq!(because, expected),
                other => panic!("{code:?}: {other}"),
            }
        }
        assert!(!of_late(Code::Authentication, String::new()).passes());
        assert!(matches!(of_late(Code::AllBrokersDown, String::new()), BusError::Away(_)));
    }
}
