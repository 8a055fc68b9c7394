//! The processors there are: a new one is one line in each list here.

use crate::Connector;
use crate::ccavenue::{CcAvenue, CcAvenueAccount};
use crate::custom::{Custom, CustomAccount};
use crate::paytm::{Paytm, PaytmAccount};
use crate::payu::{PayU, PayUAccount};
use crate::phonepe::{PhonePe, PhonePeAccount};
use crate::razorpay::{Razorpay, RazorpayAccount};
use crate::stripe::{Stripe, StripeAccount};
use serde::Deserialize;

/// A configured processor account.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Account {
    /// Razorpay.
    Razorpay(RazorpayAccount),
    /// PayU (India).
    Payu(PayUAccount),
    /// CCAvenue (India).
    Ccavenue(CcAvenueAccount),
    /// A processor described in the configuration.
    Custom(CustomAccount),
    /// Stripe.
    Stripe(StripeAccount),
    /// Paytm.
    Paytm(PaytmAccount),
    /// PhonePe.
    Phonepe(PhonePeAccount),
}

/// The kinds of processors, as `type` in the configuration.
pub const KINDS: &[&str] = &["razorpay", "payu", "ccavenue", "custom", "stripe", "paytm", "phonepe"];

impl Account {
    /// The connector speaking for this account.
    #[must_use]
    pub fn connector(self) -> Box<dyn Connector> {
        match self {
            Self::Razorpay(account) => Box::new(Razorpay::new(account)),
            Self::Payu(account) => Box::new(PayU::new(account)),
            Self::Ccavenue(account) => Box::new(CcAvenue::new(account)),
            Self::Custom(account) => Box::new(Custom::new(account)),
            Self::Stripe(account) => Box::new(Stripe::new(account)),
            Self::Paytm(account) => Box::new(Paytm::new(account)),
            Self::Phonepe(account) => Box::new(PhonePe::new(account)),
        }
    }
}
