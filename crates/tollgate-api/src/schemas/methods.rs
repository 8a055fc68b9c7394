//! Documented shapes of questions about methods.

use super::CardChoiceSchema;
use super::{AmountSchema, CurrencySchema, NewCustomerSchema};
use utoipa::ToSchema;

/// Who would pay later, and how much.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EligibilityQuestion, example = json!({
    "amount": "1500.00", "currency": "INR", "customer": { "email": "asha@example.com", "phone": "+919876543210" }
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EligibilitySchema {
    /// How much is to be paid.
    #[schema(value_type = AmountSchema)]
    amount: AmountSchema,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: CurrencySchema,
    /// What is known of the customer: lenders want a phone number or an e-mail address.
    customer: Option<NewCustomerSchema>,
}

/// A merchant's UPI code.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewQrCode, example = json!({
    "vpa": "shop@okbank", "name": "Corner Shop", "city": "Pune", "amount": "125.50", "currency": "INR"
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct QrCodeSchema {
    /// The UPI address that is paid.
    #[schema(
        pattern = "^(?=.{4,81}$)[A-Za-z0-9._-]{1,78}@[A-Za-z][A-Za-z0-9]{1,63}$",
        example = "shop@okbank"
    )]
    vpa: String,
    /// The name that the customer sees.
    #[schema(pattern = "^[ -~]{1,25}$", example = "Corner Shop")]
    name: String,
    /// The city.
    #[schema(pattern = "^[ -~]{1,15}$", example = "Pune")]
    city: String,
    /// The postal code.
    #[schema(pattern = "^[ -~]{1,10}$", example = "411001")]
    postal_code: Option<String>,
    /// How much, at most ten digits before the point; without it the customer types the amount.
    #[schema(value_type = Option<AmountSchema>)]
    amount: Option<AmountSchema>,
    /// The currency: `INR` alone.
    #[schema(pattern = "^INR$", example = "INR")]
    currency: Option<String>,
    /// Your reference of the payment.
    #[schema(pattern = "^[A-Za-z0-9.-]{1,35}$", example = "ORD-7001")]
    reference: Option<String>,
    /// A note to the customer.
    #[schema(min_length = 1, max_length = 50, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    note: Option<String>,
    /// Your merchant category code; your account's if not given, else `0000`.
    #[schema(pattern = "^[0-9]{4}$", example = "5411")]
    merchant_category_code: Option<String>,
    /// The bill's number.
    #[schema(pattern = "^[ -~]{1,25}$")]
    bill_number: Option<String>,
    /// The terminal or counter.
    #[schema(pattern = "^[ -~]{1,25}$")]
    terminal: Option<String>,
}

/// Whose passkey is to be registered.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPasskeyOptions, example = json!({ "user_id": "u1", "name": "asha@example.com" }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PasskeyOptionsSchema {
    /// Your id of the customer.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user_id: String,
    /// What the authenticator shows as the account's name; `user_id` if not given.
    #[schema(max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: Option<String>,
}

/// A card to be saved.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCardOnFile)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PaymentMethodSchema {
    /// Your id of the customer.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user_id: String,
    /// The card, or the token of one that was just sent to the vault. Its security code is never stored.
    card: CardChoiceSchema,
    /// The holder's consent to its being saved.
    consent: ConsentSchema,
}

/// A card holder's consent.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewConsent)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ConsentSchema {
    /// When it was given; now, if not told.
    #[schema(format = DateTime)]
    given_at: Option<String>,
    /// The IP address it was given from.
    #[schema(format = "ipv4")]
    ip: Option<String>,
    /// Which text was agreed to: your name or version of it.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$",
        example = "card-terms-2026-01"
    )]
    terms: String,
}

/// A new passkey.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPasskey)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewPasskeySchema {
    /// Your id of the customer, as in the options.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user_id: String,
    /// What `navigator.credentials.create` gave, as `PublicKeyCredential.toJSON` writes it.
    #[schema(value_type = Object)]
    credential: String,
}

/// What a customer shall confirm.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewConfirmation, example = json!({ "amount": "100.00", "currency": "INR", "user_id": "u1" }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ConfirmationSchema {
    /// How much is to be paid.
    #[schema(value_type = AmountSchema)]
    amount: AmountSchema,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: CurrencySchema,
    /// Your id of the customer, who has a passkey.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user_id: String,
}
