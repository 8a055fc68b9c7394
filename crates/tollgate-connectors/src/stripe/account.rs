//! What is configured for a Stripe account.

use serde::Deserialize;
use tollgate_core::card::Secret;

/// A Stripe account. Test and live mode differ by their keys only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeAccount {
    /// Secret key, `sk_test_…` or `sk_live_…`, or a restricted key (`rk_…`) that may write payment
    /// intents and refunds. The account must have raw card data access.
    pub secret_key: Secret,
    /// Signing secret of the webhook endpoint, `whsec_…`.
    pub webhook_secret: Secret,
    /// Where the API is; default `https://api.stripe.com`.
    #[serde(default = "default_base_url")]
    pub base_url: String,
    /// Whether the account may search; default `true`. Accounts in India may not: without it an
    /// enquiry cannot find a charge whose idempotency key Stripe has forgotten (after a day).
    #[serde(default = "yes")]
    pub search: bool,
    /// Whether Afterpay (Clearpay) is offered; default `false`. Stripe's own forms ask its customers for
    /// an address, which Tollgate's payments do not carry.
    #[serde(default)]
    pub afterpay: bool,
}

fn default_base_url() -> String {
    "https://api.stripe.com".to_owned()
}

const fn yes() -> bool {
    true
}
