//! What is configured for a Razorpay account.

use serde::Deserialize;
use tollgate_core::card::Secret;

/// A Razorpay account. Test and live accounts differ by their keys only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RazorpayAccount {
    /// Key id, `rzp_test_…` or `rzp_live_…`.
    pub key_id: String,
    /// Key secret: basic authentication and the signature of synchronous replies.
    pub key_secret: Secret,
    /// Secret of the webhook, chosen in Razorpay's dashboard.
    pub webhook_secret: Secret,
    /// Where the API is; default `https://api.razorpay.com`.
    #[serde(default = "default_base_url")]
    pub base_url: String,
    /// Sent when the customer's e-mail is not known, since Razorpay insists on one; default
    /// `void@razorpay.com`, which Razorpay's own checkout uses for it.
    #[serde(default = "default_email")]
    pub default_email: String,
    /// Sent when the customer's phone number is not known; default `+919999999999`.
    #[serde(default = "default_contact")]
    pub default_contact: String,
    /// Take a signed synchronous success of an automatically captured order as captured for the
    /// order's amount, and spare the third exchange. Default `false`: Razorpay documents cases in
    /// which an automatic capture fails after the authorization, and only the payment itself tells.
    #[serde(default)]
    pub trust_signed_success: bool,
    /// Whether the account's instalment plans are arranged so that the merchant bears the interest
    /// (offers or merchant subvention in Razorpay's dashboard). Default `false`: no-cost instalments
    /// are not sent then, because the customer would be charged the interest.
    #[serde(default)]
    pub no_cost_emi: bool,
}

fn default_base_url() -> String {
    "https://api.razorpay.com".to_owned()
}

fn default_email() -> String {
    "void@razorpay.com".to_owned()
}

fn default_contact() -> String {
    "+919999999999".to_owned()
}
