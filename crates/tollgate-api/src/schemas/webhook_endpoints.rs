//! Documented shapes of bodies about webhook endpoints.

use utoipa::ToSchema;

/// Where events are to be sent.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint, example = json!({
    "url": "https://shop.example.com/hooks", "events": ["payment.*", "refund.succeeded"], "ordered": true
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EndpointSchema {
    /// Where to: `https`, a host of the public internet, no user name, no fragment.
    #[schema(max_length = 2048, pattern = r"^https?://[!-~]+$", example = "https://shop.example.com/hooks")]
    url: String,
    /// What you call it.
    #[schema(max_length = 255, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    description: Option<String>,
    /// Types of events; `payment.*` stands for a family, `*` for all. All if not given.
    #[schema(min_items = 1, max_items = 50)]
    events: Option<Vec<EventPatternSchema>>,
    /// Whether it is to get something. True if not given; on a change, this also ends a disabling.
    enabled: Option<bool>,
    /// Whether an event waits until the payment's earlier events have arrived or been given up.
    ordered: Option<bool>,
}

/// A type of event, a family of them, or `*`.
#[derive(Debug, ToSchema)]
#[schema(
    as = WebhookEventPattern,
    pattern = r"^(\*|mandate\.(\*|revoked)|refund\.(\*|created|failed|succeeded)|review\.(\*|approved|rejected)|payment\.(\*|attempt_ended|authorized|blocked|cancelled|capture_failed|capture_started|captured|completed|created|declined|expired|failed|failed_over|flagged|labelled|late_success|processing|requires_action|return_failed|return_started|returned|void_failed|void_started))$",
    example = "payment.*"
)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EventPatternSchema(String);

/// How long the old secret stays good.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookSecretRotation, example = json!({ "overlap_hours": 24 }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct RotateSchema {
    /// In hours; 24 if not given. 0: from now on only the new secret signs.
    #[schema(minimum = 0, maximum = 168)]
    overlap_hours: Option<u16>,
}

/// Which events are to be sent again.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookReplayRange, example = json!({
    "from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ReplaySchema {
    /// Those that happened at or after; at most 30 days ago.
    #[schema(format = DateTime)]
    from: String,
    /// Those that happened before; now if not given.
    #[schema(format = DateTime)]
    to: Option<String>,
}
