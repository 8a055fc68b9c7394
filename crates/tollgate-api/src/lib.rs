//! The HTTP interface of Tollgate: axum routes over the engine, and the server loop that carries them.
//!
//! A handler reads top to bottom: who calls, what is asked, what the engine says. What a reply looks
//! like is decided in [`views`] and [`render`], what a refusal says in [`codes`] and [`problem`].
//! No business rule lives here: limits and states are decided inside the store's commit.

pub mod auth;
pub mod auth_cache;
pub mod body;
pub mod card_port;
pub mod codes;
pub mod deadline;
pub mod docs_page;
pub mod finish;
pub mod guard;
pub mod idempotency;
pub mod load;
pub mod loops;
pub mod openapi;
pub mod partners;
pub mod passkeys;
pub mod problem;
pub mod readers;
pub mod render;
pub mod request_id;
pub mod security_headers;
pub mod server;
pub mod state;
pub mod telemetry;
pub mod tls;
pub mod tokens;
pub mod versions;

mod client;
mod compression;
mod input;
mod json;
mod pages;
mod platform;
mod qr_image;
mod query;
mod reply;
mod routes;
mod schemas;
mod validate;
mod views;

pub use client::ClientAddress;
pub use guard::limits::RateLimitOptions;
pub use guard::rate::Rate;
pub use load::{LimiterOptions, Load};
pub use loops::{LoopThreads, Loops};
pub use routes::batch::BatchOptions;
pub use routes::data_subjects::{export_page, forgotten_json};
pub use security_headers::SecurityHeaders;
pub use server::{ServerOptions, serve};
pub use state::{ApiOptions, AppState, Lifecycle};
pub use views::bus::bodies as event_bodies;
pub use views::webhook_endpoints::payloads as webhook_payloads;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use routes::{
    analytics, api_keys, api_versions, audit, balance, banks, batch, bnpl, cancel, capture, card_sessions,
    checkout, checkout_page, come_back, confirmations, create, data_subjects, demo, docs, emi, events, fraud,
    hand_over, health, jobs, list, mandate, metrics, openapi as openapi_route, partners as partner_routes,
    passkeys as passkey_routes, payment, payment_methods, payment_qr, processor_accounts, qr_codes,
    rate_limits, recent, refunds, routing, statistics, tokens as token_routes, webhook_endpoints, webhooks,
};

/// The whole API.
pub fn app(state: AppState) -> Router {
    let routes = Router::new()
        .route("/api/v1/payments", post(create::create_payment).get(list::list_payments))
        .route("/api/v1/payments/batch", post(batch::create_batch))
        .route("/api/v1/payments/recent", post(recent::recent_payments))
        .route("/api/v1/payments/{id}", get(payment::get_payment))
        .route("/api/v1/payments/{id}/qr.svg", get(payment_qr::get_payment_qr_svg))
        .route("/api/v1/payments/{id}/qr.png", get(payment_qr::get_payment_qr_png))
        .route("/api/v1/payments/{id}/capture", post(capture::capture_payment))
        .route("/api/v1/payments/{id}/cancel", post(cancel::cancel_payment))
        .route("/api/v1/payments/{id}/mandate/revoke", post(mandate::revoke_mandate))
        .route("/api/v1/payments/{id}/refunds", post(refunds::create_refund))
        .route("/api/v1/payments/{id}/review", post(fraud::decisions::review_payment))
        .route("/api/v1/payments/{id}/label", post(fraud::decisions::label_payment))
        .route(
            "/api/v1/fraud/policy",
            get(fraud::policy::get_policy)
                .put(fraud::policy::put_policy)
                .delete(fraud::policy::delete_policy),
        )
        .route("/api/v1/fraud/policy/dry_run", post(fraud::policy::try_policy))
        .route("/api/v1/fraud/alerts", get(fraud::lists::list_alerts))
        .route("/api/v1/fraud/reviews", get(fraud::lists::list_reviews))
        .route("/api/v1/fraud/feedback", get(fraud::feedback::feedback))
        .route(
            "/api/v1/routing/policy",
            get(routing::policy::get_policy)
                .put(routing::policy::put_policy)
                .delete(routing::policy::delete_policy),
        )
        .route("/api/v1/routing/policy/dry_run", post(routing::policy::try_policy))
        .route("/api/v1/routing/preview", post(routing::preview::preview_route))
        .route("/api/v1/routing/health", get(routing::health::get_health))
        .route("/api/v1/routing/events", get(routing::events::list_events))
        .route("/api/v1/refunds/{id}", get(refunds::get_refund))
        .route("/api/v1/banks", get(banks::list_banks))
        .route("/api/v1/wallets", get(banks::list_wallets))
        .route("/api/v1/emi/plans", get(emi::list_emi_plans))
        .route("/api/v1/bnpl/eligibility", post(bnpl::bnpl_eligibility))
        .route("/api/v1/card_sessions", post(card_sessions::create_card_session))
        .route(
            "/api/v1/payment_methods",
            post(payment_methods::create_payment_method).get(payment_methods::list_payment_methods),
        )
        .route(
            "/api/v1/payment_methods/{id}",
            get(payment_methods::get_payment_method).delete(payment_methods::delete_payment_method),
        )
        .route("/api/v1/passkeys", post(passkey_routes::register_passkey))
        .route("/api/v1/passkeys/options", post(passkey_routes::passkey_options))
        .route("/api/v1/confirmations", post(confirmations::confirmation_options))
        .route("/api/v1/qr_codes", post(qr_codes::make_qr_code))
        .route("/api/v1/analytics/payments", get(analytics::payment_analytics))
        .route("/api/v1/audit", get(audit::list_audit))
        .route("/api/v1/jobs", get(jobs::list_jobs))
        .route("/api/v1/jobs/{id}", get(jobs::get_job))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel_job))
        .route("/api/v1/partners/{id}/export", get(partner_routes::export::export_partner))
        .route("/api/v1/partners/{id}/jobs", get(jobs::list_partner_jobs))
        .route("/api/v1/partners/{id}/jobs/{job}/cancel", post(jobs::cancel_partner_job))
        .route("/api/v1/data_subjects/export", post(data_subjects::export_subject))
        .route("/api/v1/data_subjects/erase", post(data_subjects::erase_subject))
        .route("/api/v1/partners", post(partner_routes::create_partner).get(partner_routes::list_partners))
        .route("/api/v1/partners/import", post(partner_routes::import_partners))
        .route(
            "/api/v1/partners/{id}",
            get(partner_routes::get_partner).patch(partner_routes::profile::change_partner),
        )
        .route(
            "/api/v1/partner",
            get(partner_routes::profile::get_own_partner).patch(partner_routes::profile::change_own_partner),
        )
        .route("/api/v1/partners/{id}/processors", get(processor_accounts::list_accounts))
        .route(
            "/api/v1/partners/{id}/processors/{processor}",
            put(processor_accounts::put_account).delete(processor_accounts::end_account),
        )
        .route("/api/v1/partner/statistics", get(statistics::get_own_statistics))
        .route("/api/v1/partner/processors", get(processor_accounts::list_own))
        .route(
            "/api/v1/partner/processors/{processor}",
            put(processor_accounts::put_own).delete(processor_accounts::end_own),
        )
        .route("/api/v1/partners/{id}/suspend", post(partner_routes::suspend_partner))
        .route("/api/v1/partners/{id}/resume", post(partner_routes::resume_partner))
        .route("/api/v1/partners/{id}/offboard", post(partner_routes::offboard_partner))
        .route("/api/v1/partners/{id}/statistics", get(statistics::get_statistics))
        .route("/api/v1/events", get(events::list_events))
        .route("/api/v1/checkout/sessions", post(checkout::create_session))
        .route("/api/v1/checkout/sessions/{id}", get(checkout::get_session))
        .route("/api/v1/balance", get(balance::get_balance))
        .route("/api/v1/api_keys", post(api_keys::create_key).get(api_keys::list_keys))
        .route("/api/v1/api_version", get(api_versions::get_version).put(api_versions::put_version))
        .route("/api/v1/api_version/usage", get(api_versions::get_usage))
        .route("/api/v1/api_versions", get(api_versions::list_versions))
        .route("/api/v1/platform/api_versions", get(api_versions::get_report))
        .route("/api/v1/tokens", post(token_routes::create_token))
        .route("/.well-known/jwks.json", get(token_routes::get_jwks))
        .route(
            "/api/v1/rate_limits",
            get(rate_limits::get_limits).put(rate_limits::put_limits).delete(rate_limits::delete_limits),
        )
        .route(
            "/api/v1/merchants/{id}/rate_limits",
            get(rate_limits::get_partner_limits)
                .put(rate_limits::put_partner_limits)
                .delete(rate_limits::delete_partner_limits),
        )
        .route("/api/v1/api_keys/{id}", get(api_keys::get_key))
        .route("/api/v1/api_keys/{id}/rotate", post(api_keys::rotate_key))
        .route("/api/v1/api_keys/{id}/revoke", post(api_keys::revoke_key))
        .route(
            "/api/v1/webhook_endpoints",
            post(webhook_endpoints::endpoints::create_endpoint)
                .get(webhook_endpoints::endpoints::list_endpoints),
        )
        .route(
            "/api/v1/webhook_endpoints/{id}",
            get(webhook_endpoints::endpoints::get_endpoint)
                .put(webhook_endpoints::endpoints::put_endpoint)
                .delete(webhook_endpoints::endpoints::delete_endpoint),
        )
        .route(
            "/api/v1/webhook_endpoints/{id}/rotate_secret",
            post(webhook_endpoints::actions::rotate_secret),
        )
        .route("/api/v1/webhook_endpoints/{id}/test", post(webhook_endpoints::actions::send_test))
        .route("/api/v1/webhook_endpoints/{id}/replay", post(webhook_endpoints::actions::replay))
        .route("/api/v1/webhook_deliveries", get(webhook_endpoints::deliveries::list_deliveries))
        .route("/api/v1/webhook_deliveries/{id}", get(webhook_endpoints::deliveries::get_delivery))
        .route("/api/v1/webhook_deliveries/{id}/retry", post(webhook_endpoints::deliveries::retry_delivery))
        .route("/api/v1/webhooks/{processor}", post(webhooks::receive_webhook))
        .route("/api/v1/webhooks/{processor}/{merchant}", post(webhooks::receive_own_webhook))
        .route("/health", get(health::health))
        .route("/health/detailed", get(health::health_detailed))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi_route::openapi))
        .route("/docs", get(docs::docs));
    let port = card_port::route(state.card_port());
    finished(pages(routes).merge(port), state)
}

/// What customers' browsers see.
fn pages(routes: Router<AppState>) -> Router<AppState> {
    routes
        .route("/checkout/{session}", get(checkout_page::show))
        .route("/checkout/{session}/pay", post(checkout_page::pay))
        .route("/checkout/{session}/cancel", post(checkout_page::cancel))
        .route("/checkout/{session}/events", get(checkout_page::events))
        .route("/pay/{merchant}/{payment}", get(hand_over::show))
        .route("/pay/{merchant}/{payment}/{picture}", get(hand_over::picture))
        .route("/return/{processor}/{reference}", get(come_back::receive).post(come_back::receive))
        .route("/demo", get(demo::shop))
        .route("/demo/pay", post(demo::pay))
        .route("/demo/receipt", get(demo::receipt))
}

/// The routes of pages, which the API's document does not have, and their methods: they are counted too.
const PAGE_ROUTES: [(&str, &[&str]); 11] = [
    ("/checkout/{session}", &["GET"]),
    ("/checkout/{session}/pay", &["POST"]),
    ("/checkout/{session}/cancel", &["POST"]),
    ("/checkout/{session}/events", &["GET"]),
    ("/vault/cards", &["POST"]),
    ("/pay/{merchant}/{payment}", &["GET"]),
    ("/pay/{merchant}/{payment}/{picture}", &["GET"]),
    ("/return/{processor}/{reference}", &["GET", "POST"]),
    ("/demo", &["GET"]),
    ("/demo/pay", &["POST"]),
    ("/demo/receipt", &["GET"]),
];

/// Routes with what every reply has in common around them: one layer, because each costs every request.
fn finished(routes: Router<AppState>, state: AppState) -> Router {
    routes
        .method_not_allowed_fallback(finish::method_not_allowed)
        .fallback(finish::not_found)
        .layer(from_fn_with_state(state.clone(), finish::finish))
        .with_state(state)
}

#[cfg(test)]
mod tests;
