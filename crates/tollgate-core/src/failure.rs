//! Why a charge, capture or refund did not succeed, in one vocabulary for all processors.

use serde::{Deserialize, Serialize};

/// The reason class of a failure. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The issuer refused without saying more.
    CardDeclined,
    /// Not enough money or credit.
    InsufficientFunds,
    /// The instrument is expired, blocked, lost or unknown.
    InstrumentInvalid,
    /// The customer failed or left the authentication.
    AuthenticationFailed,
    /// The customer cancelled or let the request lapse.
    CustomerCancelled,
    /// A limit of the instrument or account was passed.
    LimitExceeded,
    /// The processor's own risk rules refused.
    ProcessorRiskDeclined,
    /// The processor says our request or account is wrong.
    ProcessorRejected,
    /// The processor asked us to slow down.
    ProcessorRateLimited,
    /// The processor could not be reached or said it did not process the request.
    ProcessorUnavailable,
    /// The issuer or its bank could not be reached; another try may succeed.
    IssuerUnavailable,
    /// The processor reports an amount that is not the one asked for.
    AmountMismatch,
    /// The outcome is not known yet.
    OutcomeUnknown,
    /// No processor is able to take this payment.
    NoProcessor,
    /// The risk score or a rule of the merchant's refused it; nothing was sent to a processor.
    FraudDetected,
    /// The card vault could not be reached; nothing was sent to a processor.
    VaultUnavailable,
    /// The processor says the partner's own account there is wrong, or may not do this.
    AccountRejected,
}

impl FailureCode {
    /// The stable name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CardDeclined => "card_declined",
            Self::InsufficientFunds => "insufficient_funds",
            Self::InstrumentInvalid => "instrument_invalid",
            Self::AuthenticationFailed => "authentication_failed",
            Self::CustomerCancelled => "customer_cancelled",
            Self::LimitExceeded => "limit_exceeded",
            Self::ProcessorRiskDeclined => "processor_risk_declined",
            Self::ProcessorRejected => "processor_rejected",
            Self::ProcessorRateLimited => "processor_rate_limited",
            Self::ProcessorUnavailable => "processor_unavailable",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::AmountMismatch => "amount_mismatch",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::NoProcessor => "no_processor",
            Self::FraudDetected => "FRAUD_DETECTED",
            Self::VaultUnavailable => "vault_unavailable",
            Self::AccountRejected => "account_rejected",
        }
    }

    /// What may be tried after it.
    #[must_use]
    pub const fn class(self) -> FailureClass {
        match self {
            Self::InstrumentInvalid
            | Self::AuthenticationFailed
            | Self::CustomerCancelled
            | Self::FraudDetected
            | Self::AmountMismatch => FailureClass::HardDecline,
            Self::CardDeclined
            | Self::InsufficientFunds
            | Self::LimitExceeded
            | Self::ProcessorRiskDeclined
            | Self::IssuerUnavailable => FailureClass::SoftDecline,
            Self::ProcessorRejected | Self::NoProcessor | Self::VaultUnavailable | Self::AccountRejected => {
                FailureClass::OurFault
            }
            Self::ProcessorRateLimited | Self::ProcessorUnavailable => FailureClass::Retryable,
            Self::OutcomeUnknown => FailureClass::Unknown,
        }
    }
}

/// What may be tried after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The same instrument will not succeed anywhere.
    HardDecline,
    /// Another processor or a later try may succeed.
    SoftDecline,
    /// Our request or account is wrong; repeating it is useless.
    OurFault,
    /// Nothing was processed; another processor may take it.
    Retryable,
    /// Nothing may be tried before an enquiry has settled it.
    Unknown,
}

/// A failure with what the processor said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Reason class.
    pub code: FailureCode,
    /// The processor's own code, cut to 64 characters.
    pub processor_code: Option<String>,
    /// A sentence for people, cut to 200 characters. Holds no card data.
    pub message: String,
}

impl Failure {
    /// A failure without a processor's code.
    #[must_use]
    pub fn new(code: FailureCode, message: impl AsRef<str>) -> Self {
        Self { code, processor_code: None, message: cut(message.as_ref(), 200) }
    }

    /// Adds the processor's own code.
    #[must_use]
    pub fn with_processor_code(mut self, code: impl AsRef<str>) -> Self {
        self.processor_code = Some(cut(code.as_ref(), 64));
        self
    }
}

/// At most `length_max` characters, control characters removed and digit runs that could be a card
/// number masked: processors have been seen to echo what they were sent.
fn cut(text: &str, length_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(length_max));
    let mut run = 0_usize;
    for character in text.chars().filter(|character| !character.is_control()).take(length_max) {
        if character.is_ascii_digit() {
            run += 1;
        } else if !matches!(character, ' ' | '-') {
            // Cards are also written in groups: blanks and hyphens do not end a number.
            run = 0;
        }
        let masked = run > 6 && character.is_ascii_digit();
        out.push(if masked { '*' } else { character });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoed_digits_are_masked() {
        let failure = Failure::new(FailureCode::CardDeclined, "bad card 4111111111111111\n!");
        assert_eq!(failure.message, "bad card 411111**********!");
        assert_eq!(cut("card 4111-1111 1111 1111 refused", 200), "card 4111-11** **** **** refused");
        assert_eq!(cut(&"x".repeat(500), 64).len(), 64);
    }
}
