//! A checkout session as its merchant reads it.

use super::payment::CustomerView;
use super::text::{At, Major, PairsView, Shown};
use crate::schemas::{CurrencySchema, MetadataSchema};
use serde::Serialize;
use tollgate_core::checkout::{CheckoutSession, CheckoutState};
use tollgate_core::id::{CheckoutId, PaymentId};
use utoipa::ToSchema;

/// A hosted payment page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CheckoutSession)]
pub(crate) struct CheckoutView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^cs_[0-9A-Za-z]{22}$")]
    id: Shown<CheckoutId>,
    /// Always `checkout_session`.
    #[schema(value_type = String, example = "checkout_session")]
    object: &'static str,
    /// The page's address, for your customer alone: whoever has it can pay and see who is paid how much.
    url: String,
    /// `open`, `processing`, `paid` or `expired`.
    #[schema(value_type = String, example = "open")]
    status: &'static str,
    /// The payment that is under way or took the money, else the last that was tried.
    #[schema(value_type = Option<String>)]
    payment_id: Option<Shown<PaymentId>>,
    /// What is to be paid, in decimal major units.
    #[schema(value_type = String)]
    amount: Major,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: String,
    /// The methods you chose to offer; empty: all that can take the amount.
    payment_methods: Vec<&'static str>,
    /// Your id of your customer.
    #[schema(value_type = Option<String>)]
    user_id: Option<&'a str>,
    /// Who pays.
    customer: CustomerView<'a>,
    /// What for.
    #[schema(value_type = Option<String>)]
    description: Option<&'a str>,
    /// Where the customer goes after paying.
    #[schema(value_type = Option<String>)]
    return_url: Option<&'a str>,
    /// Where the customer goes without paying.
    #[schema(value_type = Option<String>)]
    cancel_url: Option<&'a str>,
    /// Your own data; the page's payments have it too.
    #[schema(value_type = MetadataSchema)]
    metadata: PairsView<'a>,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
    /// From when on no payment can be begun.
    #[schema(value_type = String, format = DateTime)]
    expires_at: At,
}

impl<'a> CheckoutView<'a> {
    pub(crate) fn new(session: &'a CheckoutSession, state: &CheckoutState, public_url: &str) -> Self {
        let customer = &session.customer;
        Self {
            id: Shown(session.id),
            object: "checkout_session",
            url: format!("{public_url}/checkout/{}", session.token().expose()),
            status: state.status.as_str(),
            payment_id: state.payment_id.map(Shown),
            amount: Major::new(session.amount.minor, session.amount.currency),
            currency: session.amount.currency.to_string(),
            payment_methods: session.methods.iter().map(|family| family.as_str()).collect(),
            user_id: customer.user_id.as_deref(),
            customer: CustomerView {
                name: customer.name.as_deref(),
                email: customer.email.as_deref(),
                phone: customer.phone.as_deref(),
            },
            description: session.description.as_deref(),
            return_url: session.return_url.as_deref(),
            cancel_url: session.cancel_url.as_deref(),
            metadata: PairsView(&session.metadata),
            created_at: At(session.created_at_ms),
            expires_at: At(session.expires_at_ms),
        }
    }
}
