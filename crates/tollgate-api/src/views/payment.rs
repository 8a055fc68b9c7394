//! A payment, and what can be shown with it: attempts and ledger entries.

use super::action::NextActionView;
use super::event::EventView;
use super::instrument::{InstrumentView, MandateView};
use super::refund::RefundView;
use super::risk::RiskView;
use super::routing::RoutingView;
use super::text::{At, Major, PairsView, Shown};
use crate::schemas::{CaptureModeSchema, CurrencySchema, MetadataSchema, MethodSchema, StatusSchema};
use serde::Serialize;
use tollgate_core::attempt::{Attempt, AttemptKind};
use tollgate_core::failure::Failure;
use tollgate_core::id::{AttemptId, MerchantId, PasskeyId, PaymentId, RefundId};
use tollgate_core::ledger::{Entry, Posting};
use tollgate_core::method::CaptureMode;
use tollgate_core::payment::Payment;
use utoipa::ToSchema;

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^pay_[0-9A-Za-z]{22}$")]
    id: Shown<PaymentId>,
    /// Always `payment`.
    #[schema(value_type = String, example = "payment")]
    object: &'static str,
    /// Where it stands.
    #[schema(value_type = StatusSchema)]
    status: &'static str,
    /// What is to be paid, in decimal major units.
    #[schema(value_type = String, example = "100.00")]
    amount: Major,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: &'a str,
    /// How it is paid.
    #[schema(value_type = MethodSchema)]
    payment_method: &'static str,
    /// The instrument, masked.
    payment_method_details: InstrumentView<'a>,
    /// Whether the money is taken at once or by a later capture.
    #[schema(value_type = CaptureModeSchema)]
    capture_mode: &'static str,
    /// What can be captured now.
    #[schema(value_type = String, example = "0.00")]
    amount_capturable: Major,
    /// What was captured.
    #[schema(value_type = String, example = "100.00")]
    amount_captured: Major,
    /// What was refunded.
    #[schema(value_type = String, example = "0.00")]
    amount_refunded: Major,
    /// What can be refunded now; refunds under way are taken off.
    #[schema(value_type = String, example = "100.00")]
    amount_refundable: Major,
    /// Our fee; fees given back with refunds are taken off.
    #[schema(value_type = String, example = "2.00")]
    fee: Major,
    /// Whose it is.
    #[schema(value_type = String, pattern = "^mer_[0-9A-Za-z]{22}$")]
    merchant_id: Shown<MerchantId>,
    /// Your id of your customer.
    #[schema(value_type = Option<String>)]
    user_id: Option<&'a str>,
    /// Who pays.
    customer: CustomerView<'a>,
    /// What for.
    #[schema(value_type = Option<String>)]
    description: Option<&'a str>,
    /// What the customer's statement should say.
    #[schema(value_type = Option<String>)]
    statement_descriptor: Option<&'a str>,
    /// Where the customer's browser goes afterwards.
    #[schema(value_type = Option<String>)]
    return_url: Option<&'a str>,
    /// Your own data.
    #[schema(value_type = MetadataSchema)]
    metadata: PairsView<'a>,
    /// The processor of the latest charge.
    #[schema(value_type = String, example = "razorpay")]
    processor: &'a str,
    /// The processor's id of the payment, once told.
    #[schema(value_type = Option<String>)]
    processor_payment_id: Option<&'a str>,
    /// The UPI AutoPay mandate that it set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mandate: Option<MandateView>,
    /// What you pay the card's bank for the customer's interest (no-cost EMI); parts given back with
    /// refunds are taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    emi_subvention: Option<Major>,
    /// What the customer has to do, while the status is `requires_action`.
    next_action: Option<NextActionView<'a>>,
    /// Why it was refused or failed, or why its outcome is not known.
    failure: Option<FailureView<'a>>,
    /// What the fraud check found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    risk: Option<RiskView<'a>>,
    /// Why it went where it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    routing: Option<RoutingView<'a>>,
    /// Reasons why a person looks at it, such as `outcome_unknown`.
    #[schema(value_type = Vec<String>)]
    flags: Vec<&'static str>,
    /// The passkey with which the customer confirmed amount and payee.
    #[schema(value_type = Option<String>)]
    confirmed_by: Option<Shown<PasskeyId>>,
    /// The operation under way, if any: `capture` or `cancel`.
    #[schema(value_type = Option<String>)]
    operation_in_progress: Option<&'static str>,
    /// When it lapses, while it waits for its customer or for a capture.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<At>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: At,
    /// The calls to processors, with `expand=attempts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempts: Option<Vec<AttemptView<'a>>>,
    /// The refunds, with `expand=refunds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refunds: Option<Vec<RefundView<'a>>>,
    /// What was booked, with `expand=ledger_entries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ledger_entries: Option<Vec<LedgerEntryView>>,
    /// The history, with `expand=events`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    events: Option<Vec<EventView<'a>>>,
}

/// What was read to be shown with a payment.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    pub(crate) attempts: Option<Vec<Attempt>>,
    pub(crate) refunds: Option<Vec<tollgate_core::refund::Refund>>,
    pub(crate) postings: Option<Vec<Posting>>,
    pub(crate) events: Option<Vec<tollgate_core::event::EventRecord>>,
}

impl<'a> PaymentView<'a> {
    /// A payment without anything expanded.
    pub(crate) fn new(payment: &'a Payment) -> Self {
        let terms = &payment.terms;
        let major = |minor| Major::of(payment, minor);
        let fee_minor = payment.fee_minor.saturating_sub(payment.fee_returned_minor);
        Self {
            id: Shown(payment.id),
            object: "payment",
            status: payment.status.as_str(),
            amount: major(terms.amount.minor),
            currency: terms.amount.currency.code(),
            payment_method: terms.method.as_str(),
            payment_method_details: InstrumentView::new(payment),
            capture_mode: match terms.capture {
                CaptureMode::Automatic => "automatic",
                CaptureMode::Manual => "manual",
            },
            amount_capturable: major(payment.capturable_minor()),
            amount_captured: major(payment.captured_minor),
            amount_refunded: major(payment.refunded_minor),
            amount_refundable: major(payment.refundable_minor()),
            fee: major(fee_minor),
            merchant_id: Shown(payment.merchant_id),
            user_id: terms.user_id.as_deref(),
            customer: CustomerView {
                name: terms.customer_name.as_deref(),
                email: terms.customer_email.as_deref(),
                phone: terms.customer_phone.as_deref(),
            },
            description: terms.description.as_deref(),
            statement_descriptor: terms.statement_descriptor.as_deref(),
            return_url: terms.return_url.as_deref(),
            metadata: PairsView(&terms.metadata),
            processor: payment.processor.as_str(),
            processor_payment_id: payment.processor_payment_id.as_deref(),
            mandate: MandateView::new(payment),
            emi_subvention: (payment.subvention_minor > 0)
                .then(|| major(payment.subvention_minor.saturating_sub(payment.subvention_returned_minor))),
            next_action: NextActionView::new(payment),
            failure: payment.failure.as_ref().map(FailureView::new),
            risk: RiskView::new(payment),
            routing: RoutingView::new(payment),
            flags: payment.flags.iter().map(|flag| flag.as_str()).collect(),
            confirmed_by: terms.confirmed_by.map(Shown),
            operation_in_progress: payment.open_operation.as_ref().and_then(|open| match open.kind {
                AttemptKind::Charge => None,
                // As the operation is called that began it.
                AttemptKind::Void => Some("cancel"),
                kind => Some(kind.as_str()),
            }),
            expires_at: payment.expires_at_ms.map(At),
            created_at: At(payment.created_at_ms),
            updated_at: At(payment.updated_at_ms),
            attempts: None,
            refunds: None,
            ledger_entries: None,
            events: None,
        }
    }

    /// A payment with what was asked to be shown with it.
    pub(crate) fn expanded(payment: &'a Payment, with: &'a Expanded) -> Self {
        let currency = payment.terms.amount.currency;
        let attempt = |attempt| AttemptView::new(attempt, payment);
        let entries = |posting: &Posting| {
            let entry = |entry: &Entry| LedgerEntryView {
                account: entry.account.name(),
                side: match entry.side {
                    tollgate_core::ledger::Side::Debit => "debit",
                    tollgate_core::ledger::Side::Credit => "credit",
                },
                amount: Major::new(entry.amount_minor, posting.currency),
                currency: posting.currency.to_string(),
                payment_version: posting.version,
                created_at: At(posting.at_ms),
            };
            posting.entries().iter().map(entry).collect::<Vec<_>>()
        };
        Self {
            attempts: with.attempts.as_ref().map(|list| list.iter().map(attempt).collect()),
            refunds: with.refunds.as_ref().map(|list| list.iter().map(RefundView::new).collect()),
            ledger_entries: with.postings.as_ref().map(|list| list.iter().flat_map(entries).collect()),
            events: with
                .events
                .as_ref()
                .map(|list| list.iter().map(|event| EventView::new(event, Some(currency))).collect()),
            ..Self::new(payment)
        }
    }
}

/// Who pays.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Customer)]
pub(crate) struct CustomerView<'a> {
    /// Full name.
    #[schema(value_type = Option<String>)]
    pub(super) name: Option<&'a str>,
    /// E-mail address.
    #[schema(value_type = Option<String>)]
    pub(super) email: Option<&'a str>,
    /// Phone number.
    #[schema(value_type = Option<String>)]
    pub(super) phone: Option<&'a str>,
}

/// Why something did not succeed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub(crate) struct FailureView<'a> {
    /// The reason in our words, the same for every processor.
    #[schema(value_type = String, example = "insufficient_funds")]
    code: &'static str,
    /// A sentence for people.
    #[schema(value_type = String)]
    message: &'a str,
    /// The processor's own code.
    #[schema(value_type = Option<String>)]
    processor_code: Option<&'a str>,
}

impl<'a> FailureView<'a> {
    pub(crate) fn new(failure: &'a Failure) -> Self {
        Self {
            code: failure.code.as_str(),
            message: &failure.message,
            processor_code: failure.processor_code.as_deref(),
        }
    }
}

/// One call to a processor that may move money.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(crate) struct AttemptView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^att_[0-9A-Za-z]{22}$")]
    id: Shown<AttemptId>,
    /// What it asks for: `charge`, `capture`, `void`, `refund` or `return`.
    #[schema(value_type = String, example = "charge")]
    kind: &'static str,
    /// Where it stands: `open`, `succeeded`, `declined`, `not_taken`, `abandoned` or `late_success`.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// How much, in decimal major units.
    #[schema(value_type = String)]
    amount: Major,
    /// The processor asked.
    #[schema(value_type = String)]
    processor: &'a str,
    /// The reference we gave the processor.
    reference: String,
    /// The processor's id, once told.
    #[schema(value_type = Option<String>)]
    processor_id: Option<&'a str>,
    /// The refund it carries out.
    #[schema(value_type = Option<String>)]
    refund_id: Option<Shown<RefundId>>,
    /// Why it did not succeed.
    failure: Option<FailureView<'a>>,
    /// When it was made durable, which is before the call.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: At,
}

impl<'a> AttemptView<'a> {
    fn new(attempt: &'a Attempt, payment: &Payment) -> Self {
        Self {
            id: Shown(attempt.id),
            kind: attempt.kind.as_str(),
            status: attempt.status.as_str(),
            amount: Major::of(payment, attempt.amount_minor),
            processor: attempt.processor.as_str(),
            reference: attempt.id.reference(),
            processor_id: attempt.processor_id.as_deref(),
            refund_id: attempt.refund_id.map(Shown),
            failure: attempt.failure.as_ref().map(FailureView::new),
            created_at: At(attempt.created_at_ms),
            updated_at: At(attempt.updated_at_ms),
        }
    }
}

/// One line of the books.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub(crate) struct LedgerEntryView {
    /// The account, such as `merchant_payable`.
    account: String,
    /// `debit` or `credit`.
    #[schema(value_type = String)]
    side: &'static str,
    /// How much, in decimal major units.
    #[schema(value_type = String)]
    amount: Major,
    /// In which currency.
    currency: String,
    /// The payment's version that booked it: entries of one version balance.
    payment_version: u32,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
}

#[cfg(test)]
#[path = "payment_tests.rs"]
pub(crate) mod tests;
