//! A refund.

use super::payment::FailureView;
use super::text::{At, Major, PairsView, Shown};
use crate::schemas::{CurrencySchema, MetadataSchema};
use serde::Serialize;
use tollgate_core::id::{MerchantId, PaymentId, RefundId};
use tollgate_core::refund::Refund;
use utoipa::ToSchema;

/// A refund.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub(crate) struct RefundView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^ref_[0-9A-Za-z]{22}$")]
    id: Shown<RefundId>,
    /// Always `refund`.
    #[schema(value_type = String, example = "refund")]
    object: &'static str,
    /// Where it stands: `pending`, `succeeded` or `failed`.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// How much goes back, in decimal major units.
    #[schema(value_type = String, example = "10.00")]
    amount: Major,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: &'a str,
    /// Our fee that is given back with it.
    #[schema(value_type = String, example = "0.20")]
    fee_returned: Major,
    /// The payment it belongs to.
    #[schema(value_type = String, pattern = "^pay_[0-9A-Za-z]{22}$")]
    payment_id: Shown<PaymentId>,
    /// Whose it is.
    #[schema(value_type = String, pattern = "^mer_[0-9A-Za-z]{22}$")]
    merchant_id: Shown<MerchantId>,
    /// Your reason.
    #[schema(value_type = Option<String>)]
    reason: Option<&'a str>,
    /// Your own data.
    #[schema(value_type = MetadataSchema)]
    metadata: PairsView<'a>,
    /// The processor's id of it, once told.
    #[schema(value_type = Option<String>)]
    processor_refund_id: Option<&'a str>,
    /// Why it failed.
    failure: Option<FailureView<'a>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: At,
}

impl<'a> RefundView<'a> {
    pub(crate) fn new(refund: &'a Refund) -> Self {
        let currency = refund.amount.currency;
        Self {
            id: Shown(refund.id),
            object: "refund",
            status: refund.status.as_str(),
            amount: Major::new(refund.amount.minor, currency),
            currency: refund.amount.currency.code(),
            fee_returned: Major::new(refund.fee_returned_minor, currency),
            payment_id: Shown(refund.payment_id),
            merchant_id: Shown(refund.merchant_id),
            reason: refund.reason.as_deref(),
            metadata: PairsView(&refund.metadata),
            processor_refund_id: refund.processor_refund_id.as_deref(),
            failure: refund.failure.as_ref().map(FailureView::new),
            created_at: At(refund.created_at_ms),
            updated_at: At(refund.updated_at_ms),
        }
    }
}
