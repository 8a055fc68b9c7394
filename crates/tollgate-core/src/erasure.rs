//! Forgetting a person: which payments are about one, and what of them is masked. What the books need stays: amounts,
//! times, references, states, and cards as brand, BIN, last four digits and expiry.
//!
//! A payment stays the fold of its events, because the same functions mask both sides. They do nothing to what is masked
//! already.

use crate::attempt::Attempt;
use crate::audit::key::LogKey;
use crate::checkout::{CheckoutCustomer, CheckoutSession};
use crate::event::{PaymentEvent, PaymentTerms};
use crate::failure::Failure;
use crate::id::MerchantId;
use crate::method::InstrumentSummary;
use crate::outcome::NextAction;
use crate::payment::Payment;
use crate::refund::Refund;
use crate::risk::ReviewState;
use crate::transition::PaymentStatus;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What stands where something was masked.
pub const ERASED: &str = "[erased]";

/// Shorter texts are not looked for inside others: they are in everything.
const WORD_CHARS_MIN: usize = 5;

/// Digits of a phone number that tell whose it is, with or without the country's.
const PHONE_DIGITS: usize = 10;

/// A person, by whatever identifies one to a merchant. Cannot be printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The merchant's id of its customer.
    pub user_id: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// UPI address.
    pub vpa: Option<String>,
    /// The device, as the merchant names it.
    pub device_id: Option<String>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(hidden)")
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn last_digits(text: &str) -> String {
    let digits = digits(text);
    digits.get(digits.len().saturating_sub(PHONE_DIGITS)..).unwrap_or_default().to_owned()
}

fn same_text(wanted: Option<&String>, found: Option<&String>) -> bool {
    matches!((wanted, found), (Some(wanted), Some(found)) if wanted.trim().eq_ignore_ascii_case(found.trim()))
}

fn other_text(wanted: Option<&String>, found: Option<&String>) -> bool {
    wanted.is_some() && found.is_some() && !same_text(wanted, found)
}

fn other_phone(wanted: Option<&String>, found: Option<&String>) -> bool {
    wanted.is_some() && found.is_some() && !same_phone(wanted, found)
}

fn same_phone(wanted: Option<&String>, found: Option<&String>) -> bool {
    let (Some(wanted), Some(found)) = (wanted, found) else {
        return false;
    };
    let (wanted, found) = (last_digits(wanted), last_digits(found));
    !wanted.is_empty() && wanted == found
}

impl Subject {
    /// Whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the merchant's id of its customer is all it is named by: then an index finds its payments.
    #[must_use]
    pub fn is_user_alone(&self) -> bool {
        *self == Self { user_id: self.user_id.clone(), ..Self::default() } && self.user_id.is_some()
    }

    /// What the audit log calls it, however its identifiers are written.
    #[must_use]
    pub fn name(&self, key: &LogKey, merchant_id: MerchantId) -> String {
        let plain = |text: &Option<String>| text.as_deref().map(str::trim).unwrap_or_default().to_lowercase();
        let texts = [
            "person".to_owned(),
            self.user_id.clone().unwrap_or_default(),
            plain(&self.email),
            self.phone.as_deref().map(last_digits).unwrap_or_default(),
            plain(&self.vpa),
            self.device_id.clone().unwrap_or_default(),
        ];
        key.name(merchant_id, texts.iter().map(String::as_str))
    }

    /// Whether a payment is about this person.
    #[must_use]
    pub fn is_of(&self, terms: &PaymentTerms) -> bool {
        let vpa = match &terms.instrument {
            InstrumentSummary::Upi { vpa, .. } => vpa.as_ref(),
            _ => None,
        };
        (self.user_id.is_some() && self.user_id == terms.user_id)
            || same_text(self.email.as_ref(), terms.customer_email.as_ref())
            || same_phone(self.phone.as_ref(), terms.customer_phone.as_ref())
            || same_text(self.vpa.as_ref(), vpa)
            || terms
                .risk
                .as_ref()
                .is_some_and(|risk| self.device_id.is_some() && self.device_id == risk.device_id)
    }

    /// Whether a payment has another e-mail address, phone number or UPI address than this person.
    #[must_use]
    pub fn is_another_than(&self, terms: &PaymentTerms) -> bool {
        let vpa = match &terms.instrument {
            InstrumentSummary::Upi { vpa, .. } => vpa.as_ref(),
            _ => None,
        };
        other_text(self.email.as_ref(), terms.customer_email.as_ref())
            || other_phone(self.phone.as_ref(), terms.customer_phone.as_ref())
            || other_text(self.vpa.as_ref(), vpa)
    }

    /// Whether a checkout session's customer has another e-mail address or phone number than this person.
    #[must_use]
    pub fn is_another_customer_than(&self, customer: &CheckoutCustomer) -> bool {
        other_text(self.email.as_ref(), customer.email.as_ref())
            || other_phone(self.phone.as_ref(), customer.phone.as_ref())
    }

    /// Whether a checkout session is about this person.
    #[must_use]
    pub fn is_of_customer(&self, customer: &CheckoutCustomer) -> bool {
        (self.user_id.is_some() && self.user_id == customer.user_id)
            || same_text(self.email.as_ref(), customer.email.as_ref())
            || same_phone(self.phone.as_ref(), customer.phone.as_ref())
    }
}

/// Why a payment's data is needed still; none: it is at rest.
#[must_use]
pub fn why_busy(payment: &Payment, now_ms: u64) -> Option<&'static str> {
    let ended = matches!(
        payment.status,
        PaymentStatus::Completed
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded
            | PaymentStatus::Declined
            | PaymentStatus::Failed
            | PaymentStatus::Cancelled
            | PaymentStatus::Expired
    );
    let mandate = payment.terms.mandate.as_ref().is_some_and(|mandate| {
        payment.captured_minor > 0 && payment.mandate_revoked_at_ms.is_none() && mandate.ends_at_ms > now_ms
    });
    if !ended || payment.open_operation.is_some() {
        Some("it has not ended")
    } else if payment.refund_pending_minor > 0 {
        Some("a refund of it is under way")
    } else if payment.late.iter().any(|late| late.left_minor > 0) {
        Some("money of it has to go back")
    } else if payment.review.as_ref().is_some_and(|review| review.state == ReviewState::Waiting) {
        Some("it waits for a review")
    } else if mandate {
        Some("its mandate is in force")
    } else {
        None
    }
}

/// The texts that tell of a person, in one payment.
pub struct Words(Vec<String>, Vec<String>);

impl Words {
    /// Those that a person is named by, and those that the payment itself has.
    #[must_use]
    pub fn of(subject: &Subject, terms: &PaymentTerms) -> Self {
        let vpa = match &terms.instrument {
            InstrumentSummary::Upi { vpa, .. } => vpa.as_ref(),
            _ => None,
        };
        let risk = terms.risk.as_ref();
        let texts = [
            subject.user_id.as_ref(),
            subject.email.as_ref(),
            subject.vpa.as_ref(),
            subject.device_id.as_ref(),
            terms.user_id.as_ref(),
            terms.customer_name.as_ref(),
            terms.customer_email.as_ref(),
            vpa,
            risk.and_then(|risk| risk.ip.as_ref()),
            risk.and_then(|risk| risk.device_id.as_ref()),
        ];
        let texts = texts.into_iter().flatten().map(|text| text.trim().to_lowercase());
        let phones = [subject.phone.as_ref(), terms.customer_phone.as_ref()];
        let phones = phones.into_iter().flatten().map(|phone| last_digits(phone));
        Self(
            texts.filter(|text| !text.is_empty()).collect(),
            phones.filter(|phone| phone.len() >= WORD_CHARS_MIN).collect(),
        )
    }

    fn tells(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        let Self(words, phones) = self;
        words.iter().any(|word| {
            lower.trim() == *word || (word.chars().count() >= WORD_CHARS_MIN && lower.contains(word.as_str()))
        }) || (!phones.is_empty() && {
            let all = digits(text);
            phones.iter().any(|phone| all.contains(phone.as_str()))
        })
    }

    fn mask(&self, text: &mut String) {
        if self.tells(text) {
            ERASED.clone_into(text);
        }
    }

    fn mask_some(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.mask(text);
        }
    }

    fn mask_values(&self, list: &mut [(String, String)]) {
        for (name, value) in list {
            self.mask(name);
            self.mask(value);
        }
    }

    fn mask_failure(&self, failure: &mut Failure) {
        self.mask(&mut failure.message);
        self.mask_some(&mut failure.processor_code);
    }

    /// Masks what a payment is.
    pub fn erase_terms(&self, terms: &mut PaymentTerms) {
        terms.user_id = None;
        terms.customer_name = None;
        terms.customer_email = None;
        terms.customer_phone = None;
        terms.return_url = None;
        terms.confirmed_by = None;
        self.mask_some(&mut terms.description);
        self.mask_some(&mut terms.statement_descriptor);
        self.mask_values(&mut terms.metadata);
        if let InstrumentSummary::Upi { vpa, .. } = &mut terms.instrument {
            *vpa = None;
        }
        if let Some(risk) = &mut terms.risk {
            (risk.ip, risk.device_id, risk.card_fingerprint) = (None, None, None);
        }
    }

    /// Masks a payment as it stands.
    pub fn erase_payment(&self, payment: &mut Payment) {
        self.erase_terms(Arc::make_mut(&mut payment.terms));
        if let Some(action) = &mut payment.next_action {
            erase_action(action);
        }
        if let Some(failure) = &mut payment.failure {
            self.mask_failure(failure);
        }
        if let Some(review) = &mut payment.review {
            self.mask_some(&mut review.note);
        }
    }

    /// Masks an event of it.
    pub fn erase_event(&self, event: &mut PaymentEvent) {
        match event {
            PaymentEvent::Created { terms, .. } => self.erase_terms(Arc::make_mut(terms)),
            PaymentEvent::Blocked { terms, failure, .. } => {
                self.erase_terms(Arc::make_mut(terms));
                self.mask_failure(failure);
            }
            PaymentEvent::ActionRequired { action, .. } => erase_action(action),
            PaymentEvent::Reviewed { note, .. } => self.mask_some(note),
            PaymentEvent::RefundStarted { reason, metadata, .. } => {
                self.mask_some(reason);
                self.mask_values(metadata);
            }
            PaymentEvent::FailedOver { failure, .. }
            | PaymentEvent::BecameProcessing { failure: Some(failure), .. }
            | PaymentEvent::Declined { failure, .. }
            | PaymentEvent::Failed { failure, .. }
            | PaymentEvent::CaptureFailed { failure, .. }
            | PaymentEvent::VoidFailed { failure, .. }
            | PaymentEvent::AttemptEnded { failure: Some(failure), .. }
            | PaymentEvent::RefundFailed { failure, .. }
            | PaymentEvent::ReturnFailed { failure, .. } => self.mask_failure(failure),
            PaymentEvent::BecameProcessing { failure: None, .. }
            | PaymentEvent::AttemptEnded { failure: None, .. }
            | PaymentEvent::Authorized { .. }
            | PaymentEvent::Completed { .. }
            | PaymentEvent::CaptureStarted { .. }
            | PaymentEvent::Captured { .. }
            | PaymentEvent::VoidStarted { .. }
            | PaymentEvent::Voided { .. }
            | PaymentEvent::Cancelled { .. }
            | PaymentEvent::Expired { .. }
            | PaymentEvent::RefundSucceeded { .. }
            | PaymentEvent::LateSuccess { .. }
            | PaymentEvent::ReturnStarted { .. }
            | PaymentEvent::Returned { .. }
            | PaymentEvent::Flagged { .. }
            | PaymentEvent::MandateRevoked
            | PaymentEvent::Labelled { .. } => {}
        }
    }

    /// Masks an attempt of it.
    pub fn erase_attempt(&self, attempt: &mut Attempt) {
        if let Some(failure) = &mut attempt.failure {
            self.mask_failure(failure);
        }
    }

    /// Masks a refund of it.
    pub fn erase_refund(&self, refund: &mut Refund) {
        self.mask_some(&mut refund.reason);
        self.mask_values(&mut refund.metadata);
        if let Some(failure) = &mut refund.failure {
            self.mask_failure(failure);
        }
    }
}

/// A page or form may have anything in it, and is of no use any more.
fn erase_action(action: &mut NextAction) {
    if !matches!(action, NextAction::UpiCollect) {
        *action = NextAction::Redirect { url: "about:blank".to_owned() };
    }
}

/// Masks a checkout session, and ends it: nobody can pay it any more. What has ended already keeps its time.
pub fn erase_checkout(session: &mut CheckoutSession, now_ms: u64) {
    // Not at this moment: a payment that began before it may come to be committed after it, and clocks differ.
    if session.expires_at_ms > now_ms {
        session.expires_at_ms = session.created_at_ms;
    }
    session.statement_descriptor = None;
    session.customer = CheckoutCustomer::default();
    session.description = session.description.take().map(|_| ERASED.to_owned());
    (session.return_url, session.cancel_url) = (None, None);
    session.metadata.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn people_are_known_by_what_identifies_them() {
        let customer = CheckoutCustomer {
            user_id: some("u1"),
            name: some("Asha Rao"),
            email: some("Asha@Example.com"),
            phone: some("+91 98765 43210"),
        };
        let is = |subject: Subject| subject.is_of_customer(&customer);
        assert!(is(Subject { user_id: some("u1"), ..Subject::default() }));
        assert!(is(Subject { email: some(" asha@example.com"), ..Subject::default() }));
        assert!(is(Subject { phone: some("9876543210"), ..Subject::default() }));
        assert!(!is(Subject { phone: some("9876543211"), ..Subject::default() }));
        assert!(!is(Subject { phone: some(""), ..Subject::default() }));
        assert!(!is(Subject { user_id: some("U1"), ..Subject::default() }));
        assert!(!is(Subject::default()) && Subject::default().is_empty());
        let another = |subject: Subject| subject.is_another_customer_than(&customer);
        assert!(another(Subject { email: some("ben@example.com"), ..Subject::default() }));
        assert!(another(Subject { phone: some("9876543211"), ..Subject::default() }));
        assert!(!another(Subject {
            email: some(" ASHA@example.com"),
            phone: some("9876543210"),
            vpa: some("ben@upi"),
            ..Subject::default()
        }));
        assert!(Subject { user_id: some("u"), ..Subject::default() }.is_user_alone());
        assert!(!Subject { user_id: some("u"), email: some("e"), ..Subject::default() }.is_user_alone());
        assert!(!format!("{:?}", Subject { email: some("asha@x.y"), ..Subject::default() }).contains("asha"));
    }

    #[test]
    fn a_person_has_one_name_however_it_is_written() {
        let (key, mer) = (LogKey::new([3; 32]), MerchantId::from_u128(1));
        let one =
            Subject { email: some("Asha@Example.com"), phone: some("+91 98765 43210"), ..Subject::default() };
        let same =
            Subject { email: some(" asha@example.com"), phone: some("9876543210"), ..Subject::default() };
        assert_eq!(one.name(&key, mer), same.name(&key, mer));
        let swapped = Subject { vpa: one.email.clone(), phone: one.phone.clone(), ..Subject::default() };
        assert_ne!(one.name(&key, mer), swapped.name(&key, mer));
    }

    #[test]
    fn texts_that_tell_of_a_person_are_masked_and_others_stay() {
        let words = Words(vec!["asha rao".to_owned(), "u1".to_owned()], vec!["9876543210".to_owned()]);
        for (before, after) in [
            ("Order 17", "Order 17"),
            ("For ASHA RAO, with thanks", ERASED),
            ("call 98765-43210", ERASED),
            ("u1", ERASED),
            ("bu1k", "bu1k"),
            (ERASED, ERASED),
        ] {
            let mut text = before.to_owned();
            words.mask(&mut text);
            assert_eq!(text, after);
        }
    }
}
