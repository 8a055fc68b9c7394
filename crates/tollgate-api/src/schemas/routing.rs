//! Documented shapes of routing.

use super::{
    AmountSchema, BnplMethodSchema, CaptureModeSchema, CardKind, CurrencySchema, EmiKind, EmiSchema,
    MetadataSchema, MethodSchema, NetBankingMethodSchema, QrMethodSchema, UpiMethodSchema,
    WalletMethodSchema, one_of_names,
};
use serde_json::json;
use std::borrow::Cow;
use tollgate_core::card::CardBrand;
use tollgate_core::method::{MethodFamily, MethodKind};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident as $shown:literal: $description:literal = $names:expr) => {
        schema_type!($(#[$doc])* $name as $shown = one_of_names($description, $names));
    };
}

named!(
    /// [`MethodFamily`] by name.
    FamilySchema as "MethodFamily": "A method as processors tell them apart."
        = MethodFamily::ALL.map(|family| family.as_str().to_owned())
);
named!(
    /// What a rule can call a method.
    RuleMethodSchema as "RoutingRuleMethod": "A method, as payments or as processors name it." = {
        let kinds = MethodKind::ALL.iter().map(|kind| kind.as_str());
        let families = MethodFamily::ALL.iter().map(|family| family.as_str());
        let mut names: Vec<_> = kinds.chain(families).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
);
named!(
    /// [`CardBrand`] by name.
    BrandSchema as "CardBrand": "A card network." = CardBrand::ALL.map(|brand| brand.as_str().to_owned())
);
schema_type!(
    /// Processors and their weights.
    SplitSchema as "RoutingSplit" = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Processors and the weights of their shares, whole numbers; one at least is above zero."))
        .min_properties(Some(1))
        .max_properties(Some(32))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(0))
                .maximum(Some(10_000))
                .build()
                .into()
        ))))
        .examples([json!({"razorpay": 60, "payu": 40})])
        .build()
);
schema_type!(
    /// Metadata that a payment must have.
    WantedMetadataSchema as "RoutingMetadata" = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Pairs that the payment's metadata must all have."))
        .min_properties(Some(1))
        .max_properties(Some(10))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(256))
                .build()
                .into()
        ))))
        .examples([json!({"channel": "app"})])
        .build()
);

/// What decides where a payment goes.
#[derive(Debug, ToSchema)]
#[schema(as = RouteReason, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum ReasonSchema {
    /// No other processor could take it.
    OnlyOne,
    /// The payment named the processor.
    Requested,
    /// The mandate that is debited is there.
    Mandate,
    /// The account's own order.
    Order,
    /// A rule of the routing policy.
    Rule,
    /// The turn of a volume split.
    Split,
    /// The best score.
    Score,
    /// Sent there to learn how it does.
    Explored,
}

/// Why a processor was left out.
#[derive(Debug, ToSchema)]
#[schema(as = RoutePassedOverReason, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum PassedOverSchema {
    /// Its method, currency, country or amount does not fit.
    Unable,
    /// The payment's data may not go there.
    Residency,
    /// It is closed for maintenance.
    Maintenance,
    /// A rule leaves it out.
    Rule,
    /// Its circuit breaker is open.
    BreakerOpen,
    /// As much is under way there as may be, or it asked to be left alone.
    Busy,
}

/// Where a circuit breaker stands.
#[derive(Debug, ToSchema)]
#[schema(as = BreakerState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum BreakerSchema {
    /// Payments go through.
    Closed,
    /// No payment goes through.
    Open,
    /// A few go through, to see.
    HalfOpen,
}

/// Where payments go: the first rule that fits, then the strategy. Processors are named as your account may use them.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingPolicy)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PolicySchema {
    /// How processors are put in order where no rule does.
    #[schema(default = "account")]
    strategy: Option<StrategySchema>,
    /// What is how important for the score.
    weights: Option<WeightsSchema>,
    /// A latency at or below it is as good as any, in milliseconds.
    #[schema(minimum = 1.0, maximum = 4000.0, default = 200)]
    latency_target_ms: Option<f64>,
    /// The largest share of payments that may go to a processor that is not the best known, to learn of it.
    #[schema(minimum = 0.0, maximum = 0.5, default = 0.05)]
    explore: Option<f64>,
    /// Whether another processor may try what one declined softly (the issuer was not reached, say).
    #[schema(default = false)]
    retry_soft_declines: Option<bool>,
    /// Where payments' data may go: countries (ISO 3166-1), `EU` or `EEA`; empty: everywhere. Never broken.
    #[schema(value_type = Option<Vec<RegionSchema>>, max_items = 64)]
    residency: Option<Vec<RegionSchema>>,
    /// Processors there come first.
    #[schema(value_type = Option<Vec<RegionSchema>>, max_items = 64)]
    prefer_regions: Option<Vec<RegionSchema>>,
    /// Your rules; the first that fits a payment applies.
    #[schema(max_items = 100)]
    rules: Option<Vec<RuleSchema>>,
    /// When you want no new payments at a processor.
    #[schema(max_items = 100)]
    maintenance: Option<Vec<WindowSchema>>,
}

schema_type!(
    /// A region.
    RegionSchema as "Region" = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("A country's two letters (ISO 3166-1), `EU` or `EEA`."))
        .pattern(Some("^([A-Z]{2}|EEA)$"))
        .examples([json!("IN")])
        .build()
);
schema_type!(
    /// A processor's name.
    ProcessorSchema as "ProcessorName" = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("A processor that your account may use."))
        .pattern(Some("^[a-z0-9_-]{2,32}$"))
        .examples([json!("razorpay")])
        .build()
);

/// How processors are put in order where no rule does.
#[derive(Debug, ToSchema)]
#[schema(as = RoutingStrategy, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum StrategySchema {
    /// As your account names its processors, if it names any; else by score.
    Account,
    /// By score.
    Score,
    /// As your account names its processors.
    Order,
}

/// What is how important; only the proportions count. One at least is above zero, one left out is zero.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingWeights, example = json!({"success": 0.5, "latency": 0.3, "cost": 0.2}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct WeightsSchema {
    /// Of the success rate.
    #[schema(minimum = 0.0, maximum = 1000.0)]
    success: Option<f64>,
    /// Of the time to an answer.
    #[schema(minimum = 0.0, maximum = 1000.0)]
    latency: Option<f64>,
    /// Of the fee.
    #[schema(minimum = 0.0, maximum = 1000.0)]
    cost: Option<f64>,
}

/// A rule.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingRule)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct RuleSchema {
    /// Its name, of letters, digits, blanks, `.`, `_` and `-`; no two rules have the same.
    #[schema(pattern = "^[A-Za-z0-9 ._-]{1,64}$")]
    name: String,
    /// For which payments; without it for all.
    when: Option<WhenSchema>,
    /// Which processors.
    then: ThenSchema,
}

/// Conditions, which must all hold; one with several values holds if one of them does.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingRuleWhen)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct WhenSchema {
    /// Methods.
    #[schema(value_type = Option<Vec<RuleMethodSchema>>, min_items = 1, max_items = 100)]
    methods: Option<Vec<RuleMethodSchema>>,
    /// Currencies.
    #[schema(value_type = Option<Vec<CurrencySchema>>, min_items = 1, max_items = 100)]
    currencies: Option<Vec<CurrencySchema>>,
    /// Amounts of one currency.
    amount: Option<AmountsSchema>,
    /// Wallets, banks and lenders, by their codes.
    #[schema(value_type = Option<Vec<WordSchema>>, min_items = 1, max_items = 100)]
    providers: Option<Vec<WordSchema>>,
    /// Card networks.
    #[schema(value_type = Option<Vec<WordSchema>>, min_items = 1, max_items = 100)]
    card_brands: Option<Vec<WordSchema>>,
    /// One to six digits with which card numbers begin.
    #[schema(value_type = Option<Vec<BinSchema>>, min_items = 1, max_items = 100)]
    card_bins: Option<Vec<BinSchema>>,
    /// Countries of the cards' issuers (ISO 3166-1 alpha-2), where known.
    #[schema(value_type = Option<Vec<CountrySchema>>, min_items = 1, max_items = 100)]
    card_countries: Option<Vec<CountrySchema>>,
    /// Your own data.
    #[schema(value_type = Option<WantedMetadataSchema>)]
    metadata: Option<WantedMetadataSchema>,
}

schema_type!(
    /// A text of a rule.
    WordSchema as "RoutingText" = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("Text of at most 256 bytes, compared without regard to the letters' case."))
        .min_length(Some(1))
        .max_length(Some(256))
        .build()
);
schema_type!(
    /// The first digits of card numbers.
    BinSchema as "CardNumberStart" =
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]{1,6}$")).build()
);
schema_type!(
    /// A country.
    CountrySchema as "Country" =
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Z]{2}$")).build()
);

/// Amounts of one currency, in decimal major units as text.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingAmounts, example = json!({"currency": "INR", "at_least": "1000.00"}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct AmountsSchema {
    /// Of which currency.
    #[schema(value_type = CurrencySchema)]
    currency: CurrencySchema,
    /// The least; from zero if not given.
    #[schema(pattern = r"^([1-9][0-9]{0,14}(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$")]
    at_least: Option<String>,
    /// The most; without an end if not given.
    #[schema(pattern = r"^([1-9][0-9]{0,14}(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$")]
    at_most: Option<String>,
}

/// Which processors.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[schema(as = RoutingRuleThen)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum ThenSchema {
    /// No others.
    Only(OnlySchema),
    /// These first.
    Prefer(PreferSchema),
    /// These last.
    Avoid(AvoidSchema),
    /// Shared out.
    Split(SplitThenSchema),
}

macro_rules! then_list {
    ($(#[$doc:meta])* $name:ident as $shown:ident, $field:ident) => {
        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(as = $shown)]
        #[expect(dead_code, reason = "stands for a schema")]
        pub(crate) struct $name {
            /// Each once.
            #[schema(value_type = Vec<ProcessorSchema>, min_items = 1, max_items = 32)]
            $field: Vec<ProcessorSchema>,
        }
    };
}

then_list!(
    /// These processors and no others, not even in failover.
    OnlySchema as RoutingOnly, only
);
then_list!(
    /// These first, in this order.
    PreferSchema as RoutingPrefer, prefer
);
then_list!(
    /// These last.
    AvoidSchema as RoutingAvoid, avoid
);

/// The first try is shared out by weight, exactly.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingSplitThen)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct SplitThenSchema {
    /// Processors and weights.
    #[schema(value_type = SplitSchema)]
    split: SplitSchema,
}

/// When you want no new payments at a processor. `from` is before `until`.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingWindow)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct WindowSchema {
    /// Which.
    #[schema(value_type = ProcessorSchema)]
    processor: ProcessorSchema,
    /// The first moment.
    #[schema(format = DateTime)]
    from: String,
    /// The moment when it is over.
    #[schema(format = DateTime)]
    until: String,
}

/// A payment that is only asked about.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRoutePreview, example = json!({
    "amount": "100.00", "currency": "INR", "payment_method": {"type": "card", "card": {"bin": "411111"}}
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PreviewSchema {
    /// How much would be paid.
    #[schema(value_type = AmountSchema)]
    amount: AmountSchema,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: CurrencySchema,
    /// How: a method's name alone (the method's test instrument is supposed), or an object with details. No card number.
    payment_method: PreviewMethodSchema,
    /// Take the money at once, or reserve it for a later capture.
    #[schema(default = "automatic")]
    capture_mode: Option<CaptureModeSchema>,
    /// Whether a UPI AutoPay mandate would be set up with it.
    #[schema(default = false)]
    sets_up_mandate: Option<bool>,
    /// The country of the card's issuer.
    #[schema(pattern = "^[A-Z]{2}$")]
    card_country: Option<String>,
    /// Your own data, as rules ask for it.
    #[schema(value_type = Option<MetadataSchema>)]
    metadata: Option<MetadataSchema>,
    /// A policy to try; without it yours is used.
    policy: Option<PolicySchema>,
}

/// How it would be paid.
#[derive(Debug, ToSchema)]
#[schema(as = PreviewMethod)]
#[serde(untagged)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum PreviewMethodSchema {
    /// A method's name.
    Name(MethodSchema),
    /// A card.
    Card(PreviewCardMethodSchema),
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
    Emi(PreviewEmiMethodSchema),
}

/// A card that is only asked about.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewCardMethod)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PreviewCardMethodSchema {
    #[schema(rename = "type", inline)]
    kind: CardKind,
    /// What is known of it; without it the test card is supposed.
    card: Option<PreviewCardSchema>,
}

/// Instalments that are only asked about.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewEmiMethod)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PreviewEmiMethodSchema {
    #[schema(rename = "type", inline)]
    kind: EmiKind,
    /// The plan.
    emi: EmiSchema,
    /// What is known of the card.
    card: PreviewCardSchema,
}

/// What routing looks at in a card: never its number.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewCard)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PreviewCardSchema {
    /// First six digits.
    #[schema(pattern = "^[0-9]{6}$", example = "411111")]
    bin: Option<String>,
    /// Network; without it the one that the first digits tell.
    #[schema(value_type = Option<BrandSchema>)]
    brand: Option<BrandSchema>,
}
