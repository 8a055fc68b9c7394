//! Documented shapes that are no plain struct: enumerations of the domain, amounts, and the
//! bodies of requests, which are read by hand but documented by type.
//!
//! Nothing here is ever made; each type stands for a schema. The bounds are those of
//! [`crate::validate`].

use crate::validate::{
    DESCRIPTION_CHARS_MAX, METADATA_KEY_CHARS_MAX, METADATA_PAIRS_MAX, METADATA_VALUE_CHARS_MAX,
};
use serde_json::json;
use std::borrow::Cow;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodKind;
use tollgate_core::transition::PaymentStatus;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// Text without control characters.
pub(crate) const TEXT_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// An amount as text in a request: one digit at least is not zero. Behind the currency's last digit
/// only zeros may stand.
const AMOUNT_PATTERN: &str = r"^([1-9][0-9]{0,14}(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$";
/// Largest amount in major units: that of a currency without decimal digits.
const AMOUNT_MAJOR_MAX: f64 = 1e15;

macro_rules! schema_type {
    ($(#[$doc:meta])* $name:ident as $shown:literal = $schema:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T($schema.into())
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($shown)
            }
        }
    };
}

// Behind the macro that they use.
pub(crate) mod access;
pub(crate) mod batch;
pub(crate) mod fraud;
pub(crate) mod methods;
pub(crate) mod partners;
pub(crate) mod routing;
pub(crate) mod versions;
pub(crate) mod webhook_endpoints;

fn one_of_names(description: &str, names: impl IntoIterator<Item = String>) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(names))
        .build()
        .into()
}

schema_type!(
    /// [`PaymentStatus`] by name.
    StatusSchema as "PaymentStatus" = one_of_names(
        "Where a payment stands. `processing` means that nobody knows the outcome yet; an enquiry settles it.",
        PaymentStatus::ALL.map(|status| status.as_str().to_owned())
    )
);
schema_type!(
    /// [`MethodKind`] by name.
    MethodSchema as "PaymentMethodName" = one_of_names(
        "How the customer pays.",
        MethodKind::ALL.map(|kind| kind.as_str().to_owned())
    )
);
schema_type!(
    /// [`Currency`] by code.
    CurrencySchema as "Currency" = one_of_names(
        "An active ISO 4217 code.",
        {
            let mut codes: Vec<String> = Currency::all().map(|currency| currency.to_string()).collect();
            codes.sort();
            codes
        }
    )
);
schema_type!(
    /// An amount in a request.
    AmountSchema as "Amount" = Schema::AnyOf(AnyOfBuilder::new()
        .description(Some(
            "Decimal major units (`100.00` rupees, `100` yen), as a number or as text; read digit by digit, never \
             through a float. It must be above zero, have at most the currency's decimal digits (further zeros are \
             ignored) and be at most 1,000,000,000,000,000 minor units."
        ))
        .item(
            ObjectBuilder::new()
                .schema_type(Type::Number)
                .exclusive_minimum(Some(0.0))
                .maximum(Some(AMOUNT_MAJOR_MAX))
        )
        .item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(AMOUNT_PATTERN)))
        .examples([json!("100.00"), json!(100.0)])
        .build())
);
schema_type!(
    /// Metadata in a request or a reply.
    MetadataSchema as "Metadata" = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Your own data: at most 50 pairs of text."))
        .property_names(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(METADATA_KEY_CHARS_MAX))
                .pattern(Some(TEXT_PATTERN))
                .build()
        ))
        .max_properties(Some(METADATA_PAIRS_MAX))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .max_length(Some(METADATA_VALUE_CHARS_MAX))
                .pattern(Some(TEXT_PATTERN))
                .build()
                .into()
        ))))
        .examples([json!({ "order": "7001" })])
        .build()
);
schema_type!(
    /// A customer's network address.
    IpSchema as "IpAddress" = Schema::AnyOf(AnyOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv4))))
        .item(ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6))))
        .build())
);

/// A new payment.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment, example = json!({
    "amount": 100.0, "currency": "USD", "payment_method": "credit_card"
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewPaymentSchema {
    /// How much is to be paid.
    #[schema(value_type = AmountSchema)]
    amount: AmountSchema,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: CurrencySchema,
    /// How: a method's name alone (in sandbox mode the method's test instrument is used), or an object with details.
    payment_method: PaymentMethodSchema,
    /// Take the money at once, or reserve it for a later capture.
    #[schema(default = "automatic")]
    capture_mode: Option<CaptureModeSchema>,
    /// Your account's id; no other is accepted.
    #[schema(pattern = "^mer_[0-9A-Za-z]{22}$")]
    merchant_id: Option<String>,
    /// Your id of your customer.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user_id: Option<String>,
    /// Another spelling of `user_id`; where both are given they must be equal.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    customer_id: Option<String>,
    /// Who pays.
    customer: Option<NewCustomerSchema>,
    /// What for.
    #[schema(max_length = 500, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    description: Option<String>,
    /// What the customer's statement should say.
    #[schema(pattern = "^[ -~]{1,22}$")]
    statement_descriptor: Option<String>,
    /// Where the customer's browser goes afterwards.
    #[schema(
        max_length = 2048,
        pattern = r"^https?://[A-Za-z0-9][-A-Za-z0-9._~:@!$&'()*+,;=%]*([/?#][-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%]*)?$"
    )]
    return_url: Option<String>,
    /// The one processor to use; without it your account's routing decides.
    #[schema(pattern = "^[A-Za-z0-9_-]{2,32}$", example = "razorpay")]
    processor: Option<String>,
    /// A UPI AutoPay mandate to set up with this payment; for `upi` and `qr` alone.
    mandate: Option<MandateSchema>,
    /// Your own data.
    #[schema(value_type = Option<MetadataSchema>)]
    metadata: Option<MetadataSchema>,
    /// The customer's confirmation of amount and payee: what `navigator.credentials.get` gave for the options of
    /// `POST /api/v1/confirmations`, as `PublicKeyCredential.toJSON` writes it. It needs `user_id`.
    #[schema(value_type = Option<Object>)]
    confirmation: Option<String>,
}

/// A hosted payment page to be opened.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCheckoutSession, example = json!({
    "amount": "499.00", "currency": "INR", "description": "Order 7001", "return_url": "https://shop.example/done"
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewCheckoutSchema {
    /// How much is to be paid.
    #[schema(value_type = AmountSchema)]
    amount: AmountSchema,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: CurrencySchema,
    /// The methods to offer, each once; without it all that your account's processors take for the amount.
    #[schema(value_type = Option<Vec<OfferedMethodSchema>>, max_items = 8)]
    payment_methods: Option<Vec<OfferedMethodSchema>>,
    /// Your id of your customer.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user_id: Option<String>,
    /// Another spelling of `user_id`; where both are given they must be equal.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    customer_id: Option<String>,
    /// Who pays. Some lenders must know the phone number or e-mail address.
    customer: Option<NewCustomerSchema>,
    /// What for; the customer sees it.
    #[schema(max_length = 500, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    description: Option<String>,
    /// What the customer's statement should say.
    #[schema(pattern = "^[ -~]{1,22}$")]
    statement_descriptor: Option<String>,
    /// Where the customer goes after paying; `payment_id` and `status` are added to its query.
    #[schema(
        max_length = 2048,
        pattern = r"^https?://[A-Za-z0-9][-A-Za-z0-9._~:@!$&'()*+,;=%]*([/?#][-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%]*)?$"
    )]
    return_url: Option<String>,
    /// Where the customer goes without paying.
    #[schema(
        max_length = 2048,
        pattern = r"^https?://[A-Za-z0-9][-A-Za-z0-9._~:@!$&'()*+,;=%]*([/?#][-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%]*)?$"
    )]
    cancel_url: Option<String>,
    /// A UPI AutoPay mandate to set up with the payment; the page offers UPI alone then.
    mandate: Option<MandateSchema>,
    /// Your own data; the page's payments get it too.
    #[schema(value_type = Option<MetadataSchema>)]
    metadata: Option<MetadataSchema>,
    /// How long a payment can be begun, in seconds; an hour if not given.
    #[schema(minimum = 5, maximum = 82800, example = 3600)]
    expires_in_s: Option<u32>,
}

schema_type!(
    /// A method that a hosted page can offer.
    OfferedMethodSchema as "OfferedMethod" = one_of_names(
        "A method of a hosted payment page.",
        crate::validate::offered().map(|family| family.as_str().to_owned())
    )
);

/// A UPI AutoPay mandate: later payments name this payment in `payment_method.upi.mandate`.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMandate)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct MandateSchema {
    /// The most one debit may take; at least this payment's amount.
    #[schema(value_type = AmountSchema)]
    max_amount: AmountSchema,
    /// How often it may be debited.
    frequency: FrequencySchema,
    /// Until when: a moment within the next thirty years.
    #[schema(format = DateTime)]
    ends_at: String,
}

/// How often a mandate may be debited.
#[derive(Debug, ToSchema)]
#[schema(as = MandateFrequency, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum FrequencySchema {
    /// Whenever you present a debit.
    AsPresented,
    /// Once a day.
    Daily,
    /// Once a week.
    Weekly,
    /// Once a month.
    Monthly,
    /// Once in three months.
    Quarterly,
    /// Once a year.
    Yearly,
}

/// When the money is taken.
#[derive(Debug, ToSchema)]
#[schema(as = CaptureMode, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum CaptureModeSchema {
    /// At once.
    Automatic,
    /// By a later capture.
    Manual,
}

/// Who pays.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCustomer)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewCustomerSchema {
    /// Another spelling of `user_id`; where both are given they must be equal.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    id: Option<String>,
    /// Full name.
    #[schema(max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: Option<String>,
    /// E-mail address.
    #[schema(max_length = 254, pattern = "^[!-?A-~]+@[!-?A-~]+$")]
    email: Option<String>,
    /// Phone number.
    #[schema(pattern = r"^\+?[0-9 ()-]{5,20}$")]
    phone: Option<String>,
    /// The customer's network address, for the fraud check, which keeps it, and the processor's risk rules.
    #[schema(value_type = Option<IpSchema>)]
    ip: Option<IpSchema>,
    /// Your name of the customer's device, the same for the same device, for the fraud check, which keeps it.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    device_id: Option<String>,
    /// The customer's browser, for the fraud check and the processor's risk rules; not stored.
    #[schema(max_length = 500, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user_agent: Option<String>,
}

/// How it is paid.
#[derive(Debug, ToSchema)]
#[schema(as = NewPaymentMethod)]
#[serde(untagged)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum PaymentMethodSchema {
    /// A method's name.
    Name(MethodSchema),
    /// A card.
    Card(CardMethodSchema),
    /// UPI.
    Upi(UpiMethodSchema),
    /// A wallet.
    Wallet(WalletMethodSchema),
    /// Net banking.
    NetBanking(NetBankingMethodSchema),
    /// A QR code.
    Qr(QrMethodSchema),
    /// Buy now, pay later.
    Bnpl(BnplMethodSchema),
    /// Instalments.
    Emi(EmiMethodSchema),
}

/// A QR code that any UPI app reads.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QrMethod)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct QrMethodSchema {
    #[schema(rename = "type", inline)]
    kind: QrKind,
}

/// The type's name.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum QrKind {
    Qr,
}

/// Instalments on a card: a plan of `GET /api/v1/emi/plans`.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmiMethod)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EmiMethodSchema {
    #[schema(rename = "type", inline)]
    kind: EmiKind,
    /// The plan.
    emi: EmiSchema,
    /// The card, of that bank.
    card: CardChoiceSchema,
}

/// The type's name.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum EmiKind {
    Emi,
}

/// An instalment plan.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEmi)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EmiSchema {
    /// The card's bank.
    #[schema(pattern = "^[A-Za-z0-9_-]{2,32}$", example = "HDFC")]
    bank: String,
    /// Number of monthly instalments.
    #[schema(minimum = 1, maximum = 60, example = 6)]
    tenure_months: u8,
    /// Whether you bear the interest.
    #[schema(default = false)]
    no_cost: Option<bool>,
}

/// Buy now, pay later: a plan of `POST /api/v1/bnpl/eligibility`.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBnpl)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct BnplSchema {
    /// Who lends.
    #[schema(pattern = "^[A-Za-z0-9_-]{2,32}$", example = "lazypay")]
    lender: String,
    /// How the customer pays back.
    plan: BnplPlanSchema,
}

/// How the customer pays back.
#[derive(Debug, ToSchema)]
#[schema(as = BnplPlanName, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum BnplPlanSchema {
    /// All at once, some weeks later.
    PayLater,
    /// In three parts, a month apart.
    PayIn3,
}

macro_rules! method_object {
    ($(#[$doc:meta])* $name:ident as $shown:ident, $kind:ident [$($variant:ident),+], $field:ident: $details:ty) => {
        /// The type's name.
        #[derive(Debug, ToSchema)]
        #[schema(rename_all = "snake_case")]
        #[expect(dead_code, reason = "stands for a schema")]
        pub(crate) enum $kind { $($variant),+ }

        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[serde(deny_unknown_fields)]
#[schema(as = $shown)]
        #[expect(dead_code, reason = "stands for a schema")]
        pub(crate) struct $name {
            // A doc comment here would be joined to the inlined names as a second, contradicting schema.
            #[schema(rename = "type", inline)]
            kind: $kind,
            /// Its details; without them the method's test instrument is used in sandbox mode.
            $field: Option<$details>,
        }
    };
}

method_object!(
    /// A card with its details.
    CardMethodSchema as CardMethod, CardKind [Card, CreditCard, DebitCard], card: CardChoiceSchema
);
method_object!(
    /// UPI, with or without an address.
    UpiMethodSchema as UpiMethod, UpiKind [Upi], upi: UpiSchema
);
method_object!(
    /// A wallet.
    WalletMethodSchema as WalletMethod, WalletKind [Wallet], wallet: WalletSchema
);
method_object!(
    /// Buy now, pay later.
    BnplMethodSchema as BnplMethod, BnplKind [Bnpl], bnpl: BnplSchema
);
method_object!(
    /// Net banking.
    NetBankingMethodSchema as NetBankingMethod, NetBankingKind [NetBanking], net_banking: NetBankingSchema
);

/// A card as its holder typed it. Never stored, shown or logged; only the first six and last four digits are kept.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCard)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct CardSchema {
    /// The number: 12 to 19 digits with a right check digit (Luhn); single spaces or hyphens between them are ignored.
    #[schema(pattern = "^[0-9]([ -]?[0-9]){11,18}$", example = "4111111111111111")]
    number: String,
    /// The last month it is good in.
    #[schema(minimum = 1, maximum = 12, example = 12)]
    exp_month: u8,
    /// The year of that month; the month must not have passed.
    #[schema(minimum = 2000, maximum = 2099, example = 2030)]
    exp_year: u16,
    /// The security code.
    #[schema(pattern = "^[0-9]{3,4}$", example = "123")]
    cvc: Option<String>,
    /// What makes `number` a network token instead of the card's own number.
    network_token: Option<NetworkTokenSchema>,
    /// The holder's name.
    #[schema(max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: Option<String>,
}

/// A card: its number, or the token of one that is in the vault.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[schema(as = CardChoice)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum CardChoiceSchema {
    /// A card as its holder typed it.
    Clear(CardSchema),
    /// A card in the vault.
    Token(CardTokenSchema),
}

/// A card in the vault: on file (`POST /api/v1/payment_methods`), or sent there for one payment (`POST
/// /api/v1/card_sessions`).
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CardByToken)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct CardTokenSchema {
    /// Its token.
    #[schema(pattern = "^tok_[0-9A-Za-z]{22}$")]
    token: String,
    /// The security code, typed again.
    #[schema(pattern = "^[0-9]{3,4}$", example = "123")]
    cvc: Option<String>,
    /// The new cryptogram, if the card on file is a network token.
    network_token: Option<NetworkTokenSchema>,
}

/// Proof that a network token may be used once.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNetworkToken)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NetworkTokenSchema {
    /// The cryptogram, base64 as the network gave it.
    #[schema(pattern = "^[A-Za-z0-9+/=]{16,64}$")]
    cryptogram: String,
    /// Electronic commerce indicator.
    #[schema(pattern = "^[0-9]{2}$", example = "05")]
    eci: Option<String>,
}

/// How a UPI payment reaches the customer's app.
#[derive(Debug, ToSchema)]
#[schema(as = UpiFlow, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum UpiFlowSchema {
    /// A link that opens the app.
    Intent,
    /// A QR code.
    Qr,
    /// A request to the customer's address; for few merchants since 28 February 2026.
    Collect,
}

/// UPI by intent, QR or collect, or a debit on a mandate.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUpi)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct UpiSchema {
    /// The virtual payment address.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,100}@[A-Za-z][A-Za-z0-9]{1,63}$", example = "success@upi")]
    vpa: Option<String>,
    /// Default: `collect` where an address is given, else `intent`.
    flow: Option<UpiFlowSchema>,
    /// The payment whose mandate is debited; stands alone.
    #[schema(pattern = "^pay_[0-9A-Za-z]{22}$")]
    mandate: Option<String>,
}

/// A wallet.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWallet)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct WalletSchema {
    /// Who keeps it.
    #[schema(pattern = "^[A-Za-z0-9_-]{2,32}$", example = "paytm")]
    provider: String,
}

/// A bank.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNetBanking)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NetBankingSchema {
    /// The bank's code.
    #[schema(pattern = "^[A-Za-z0-9_-]{2,32}$", example = "HDFC")]
    bank: String,
}

/// How much to capture.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCapture)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct CaptureSchema {
    /// At most the authorized amount, all of it if not given; the rest is released.
    #[schema(value_type = Option<AmountSchema>)]
    amount: Option<AmountSchema>,
}

/// Nothing to say.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCancel)]
pub(crate) struct CancelSchema {}

/// How much to refund, and why.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefund)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewRefundSchema {
    /// At most what is left, all of it if not given.
    #[schema(value_type = Option<AmountSchema>)]
    amount: Option<AmountSchema>,
    /// Your reason.
    #[schema(max_length = 500, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    reason: Option<String>,
    /// Your own data.
    #[schema(value_type = Option<MetadataSchema>)]
    metadata: Option<MetadataSchema>,
}

/// Whose latest payments are wanted.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecentQuestion)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct RecentSchema {
    /// Users' ids; the reply keeps their order.
    #[schema(value_type = Vec<UserIdSchema>, min_items = 1, max_items = 1000)]
    user_ids: Vec<UserIdSchema>,
}

schema_type!(
    /// A user's id in a list.
    UserIdSchema as "UserId" = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(crate::validate::USER_ID_CHARS_MAX))
        .pattern(Some(TEXT_PATTERN))
        .build()
);

// The literal bounds above are those of `validate`: a literal is all that the derive takes.
const _: () = assert!(DESCRIPTION_CHARS_MAX == 500 && crate::validate::USER_ID_CHARS_MAX == 128);
const _: () = assert!(crate::validate::NAME_CHARS_MAX == 128 && crate::validate::EMAIL_CHARS_MAX == 254);
const _: () = assert!(crate::validate::URL_CHARS_MAX == 2_048 && crate::validate::DESCRIPTOR_CHARS_MAX == 22);
const _: () = assert!(crate::validate::RECENT_USERS_MAX == 1_000);
const _: () = assert!(crate::validate::OPEN_S_MIN == 5 && crate::validate::OPEN_S_MAX == 82_800);
