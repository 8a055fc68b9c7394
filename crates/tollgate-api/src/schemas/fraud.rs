//! Documented shapes of the fraud check.

use utoipa::ToSchema;

/// What is done with a payment.
#[derive(Debug, ToSchema)]
#[schema(as = Verdict, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum VerdictSchema {
    /// It goes on.
    Allow,
    /// It goes on once the customer has proved to be the customer.
    StepUp,
    /// It goes on, and a person looks at it.
    Review,
    /// It is declined.
    Block,
}

/// What is done with risky payments: block lists first, then allow lists, then the score with the rules, then the thresholds.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FraudPolicy)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct PolicySchema {
    /// What a score leads to.
    thresholds: Option<ThresholdsSchema>,
    /// What is done with a score between the thresholds.
    #[schema(default = "step_up_3ds")]
    middle: Option<MiddleSchema>,
    /// What is done with a payment that could not be scored.
    #[schema(default = "allow_flagged")]
    on_failure: Option<OnFailureSchema>,
    /// Your rules, asked from top to bottom.
    #[schema(max_items = 100)]
    rules: Option<Vec<RuleSchema>>,
    /// Who is always declined, and who always goes on: at most 10,000 entries together.
    lists: Option<BothListsSchema>,
}

/// What a score leads to. `step_up_above` must not be above `block_above`.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FraudThresholds)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ThresholdsSchema {
    /// A higher score is stepped up or reviewed.
    #[schema(minimum = 0.0, maximum = 1.0, default = 0.5)]
    step_up_above: Option<f64>,
    /// A higher score is declined.
    #[schema(minimum = 0.0, maximum = 1.0, default = 0.8)]
    block_above: Option<f64>,
}

/// What is done with a score between the thresholds.
#[derive(Debug, ToSchema)]
#[schema(as = FraudMiddle)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum MiddleSchema {
    /// The customer proves to be the customer by 3-D Secure.
    #[schema(rename = "step_up_3ds")]
    StepUp3ds,
    /// The customer proves to be the customer by a passkey.
    #[schema(rename = "step_up_passkey")]
    StepUpPasskey,
    /// A person looks at it.
    #[schema(rename = "review")]
    Review,
}

/// What is done with a payment that could not be scored.
#[derive(Debug, ToSchema)]
#[schema(as = FraudOnFailure, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum OnFailureSchema {
    /// It goes on, and its record says that it was not scored.
    AllowFlagged,
    /// A person looks at it.
    Review,
}

/// A rule.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FraudRule)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct RuleSchema {
    /// Its name, of letters, digits, blanks, `.`, `_` and `-`; no two rules have the same.
    #[schema(pattern = "^[A-Za-z0-9 ._-]{1,64}$")]
    name: String,
    /// When it matches: `{"fact": …, "eq": …}`, or `all`, `any`, `not` of such, or `{"listed": "block"}`.
    #[schema(value_type = Object)]
    when: String,
    /// What follows: a verdict's name, or `{"add": 0.2}` for the score.
    then: ThenSchema,
}

/// What follows when a rule matches.
#[derive(Debug, ToSchema)]
#[schema(as = FraudRuleAction)]
#[serde(untagged)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum ThenSchema {
    /// At least this.
    Verdict(VerdictSchema),
    /// Another score.
    Add(AddSchema),
}

/// Another score.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FraudRuleAdd)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct AddSchema {
    /// Added to the score.
    #[schema(minimum = -1.0, maximum = 1.0)]
    add: f64,
}

/// Both sides' lists.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FraudBothLists)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct BothListsSchema {
    /// Who is always declined.
    block: Option<ListsSchema>,
    /// Who always goes on, unless also listed to be declined.
    allow: Option<ListsSchema>,
}

/// The lists of one side.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FraudLists)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ListsSchema {
    /// Cards by fingerprint.
    #[schema(value_type = Option<Vec<String>>)]
    cards: Option<Vec<String>>,
    /// UPI addresses.
    vpas: Option<Vec<String>>,
    /// E-mail addresses, or `@` and a domain.
    emails: Option<Vec<String>>,
    /// IP addresses, or networks such as `192.0.2.0/24`.
    ips: Option<Vec<String>>,
    /// Devices.
    devices: Option<Vec<String>>,
    /// Countries of cards and IP addresses (ISO 3166-1 alpha-2).
    countries: Option<Vec<String>>,
    /// First four to eight digits of cards.
    bins: Option<Vec<String>>,
}

/// A decision on a payment in review.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReview)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ReviewSchema {
    /// Whether the payment is genuine.
    decision: DecisionSchema,
    /// Why, for your own records.
    #[schema(max_length = 500, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    note: Option<String>,
}

/// Whether a payment in review is genuine.
#[derive(Debug, ToSchema)]
#[schema(as = ReviewDecision, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum DecisionSchema {
    /// It is genuine.
    Approve,
    /// It is not.
    Reject,
}

/// What a payment was.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLabel)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct LabelSchema {
    /// Whether it was fraud.
    fraud: bool,
}
