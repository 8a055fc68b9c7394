//! RabbitMQ's errors as the bus's.

use crate::{BusError, Refusal};
use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use tollgate_core::bus::Topic;

/// A refusal.
pub(super) fn refused(
    because: Refusal,
    topic: Option<Topic>,
    message_id: Option<String>,
    detail: String,
) -> BusError {
    BusError::Refused { because, topic, message_id, detail }
}

/// An error of lapin. What it says of protocol errors is the broker's own text: it names exchanges and users, no password.
pub(super) fn of(error: &lapin::Error, topic: Option<Topic>) -> BusError {
    let detail = error.to_string();
    let ErrorKind::ProtocolError(protocol) = error.kind() else { return BusError::Away(detail) };
    let because = match protocol.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Refusal::TopicMissing,
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
        | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Refusal::NotAuthorized,
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => Refusal::TopicDiffers,
        AMQPErrorKind::Hard(AMQPHardError::COMMANDINVALID | AMQPHardError::NOTIMPLEMENTED) => Refusal::Other,
        _ => return BusError::Away(detail),
    };
    refused(because, topic, None, detail)
}
