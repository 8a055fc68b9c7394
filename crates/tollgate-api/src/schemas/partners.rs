//! Documented shapes of what an account changes of itself, and of asking for a person's data.

use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What an account may change of its partner.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OwnPartnerPatch, example = json!({ "display_name": "Corner Shop", "contact_phone": null }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct OwnPatchSchema {
    /// The name customers know.
    #[schema(max_length = 100)]
    display_name: Option<String>,
    /// Whom to talk to.
    #[schema(max_length = 100)]
    contact_name: Option<String>,
    /// Their e-mail address.
    #[schema(max_length = 254)]
    contact_email: Option<String>,
    /// Their phone number.
    #[schema(pattern = r"^\+?[0-9]{6,15}$")]
    contact_phone: Option<String>,
}

/// An account of one's own at a processor.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProcessorAccountWish, example = json!({
    "credentials": {"key_id": "rzp_test_1", "key_secret": "secret", "webhook_secret": "secret"}, "overlap_hours": 24
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ProcessorAccountSchema {
    /// `sandbox` or `live`; with a key of the account its own, if given.
    #[schema(pattern = "^(sandbox|live)$")]
    mode: Option<String>,
    /// The credentials, by the names that the processor's configuration has.
    credentials: BTreeMap<String, String>,
    /// For how many hours those before prove webhooks, 24 if not given.
    #[schema(minimum = 0, maximum = 720)]
    overlap_hours: Option<u32>,
    /// Whether they are of the account that is there, renewed, or of another one. Needed where the credentials do not tell.
    same_account: Option<bool>,
}

/// A person, by at least one of these.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DataSubject, example = json!({ "user_id": "customer-17", "email": "asha@example.com" }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct SubjectSchema {
    /// Your id of your customer.
    #[schema(min_length = 1, max_length = 255)]
    user_id: Option<String>,
    /// E-mail address.
    #[schema(min_length = 1, max_length = 255)]
    email: Option<String>,
    /// Phone number.
    #[schema(min_length = 1, max_length = 255)]
    phone: Option<String>,
    /// UPI address.
    #[schema(min_length = 1, max_length = 255)]
    vpa: Option<String>,
    /// The device, as you name it.
    #[schema(min_length = 1, max_length = 255)]
    device_id: Option<String>,
    /// Where to go on, as `next` told it.
    #[schema(pattern = "^(pay|cs)_[0-9A-Za-z]{22}$")]
    before: Option<String>,
}

/// A person who is to be forgotten, by at least one of these.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DataSubjectErasure, example = json!({ "user_id": "customer-17", "email": "asha@example.com" }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EraseSchema {
    /// Your id of your customer.
    #[schema(min_length = 1, max_length = 255)]
    user_id: Option<String>,
    /// E-mail address.
    #[schema(min_length = 1, max_length = 255)]
    email: Option<String>,
    /// Phone number.
    #[schema(min_length = 1, max_length = 255)]
    phone: Option<String>,
    /// UPI address.
    #[schema(min_length = 1, max_length = 255)]
    vpa: Option<String>,
    /// The device, as you name it.
    #[schema(min_length = 1, max_length = 255)]
    device_id: Option<String>,
    /// Where to go on, as `next` told it.
    #[schema(pattern = "^(pay|cs)_[0-9A-Za-z]{22}$")]
    before: Option<String>,
    /// Whether a job does it: the reply is the job then.
    r#async: Option<bool>,
}
