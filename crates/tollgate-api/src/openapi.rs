//! The OpenAPI 3.1 document: which endpoints there are, and what all of them have in common.
//!
//! Each endpoint describes itself where it is written (`#[utoipa::path]`).

use crate::codes;
use crate::guard::consistency::{HEADER, MAY_LAG};
use crate::guard::table::{Demand, ENDPOINTS};
use crate::problem::{ProblemBody, VersionProblems};
use crate::routes::{
    analytics, api_keys, api_versions, audit, balance, banks, batch, bnpl, cancel, capture, card_sessions,
    checkout, confirmations, create, data_subjects, docs, emi, events, fraud, health, jobs, list, mandate,
    metrics, openapi, partners, passkeys, payment, payment_methods, payment_qr, processor_accounts, qr_codes,
    rate_limits, recent, refunds, routing, statistics, tokens, webhook_endpoints, webhooks,
};
use crate::versions::VersionId;
use std::fmt::Write as _;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr, Required};
use utoipa::{IntoResponses, Modify, OpenApi};

/// Everything this API can do.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "Tollgate", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    servers((url = "/", description = "This server")),
    paths(
        create::create_payment,
        batch::create_batch,
        payment::get_payment,
        payment_qr::get_payment_qr_svg,
        payment_qr::get_payment_qr_png,
        list::list_payments,
        capture::capture_payment,
        cancel::cancel_payment,
        mandate::revoke_mandate,
        recent::recent_payments,
        checkout::create_session,
        checkout::get_session,
        refunds::create_refund,
        refunds::get_refund,
        banks::list_banks,
        banks::list_wallets,
        emi::list_emi_plans,
        bnpl::bnpl_eligibility,
        qr_codes::make_qr_code,
        card_sessions::create_card_session,
        payment_methods::create_payment_method,
        payment_methods::list_payment_methods,
        payment_methods::get_payment_method,
        payment_methods::delete_payment_method,
        passkeys::passkey_options,
        passkeys::register_passkey,
        confirmations::confirmation_options,
        analytics::payment_analytics,
        audit::list_audit,
        jobs::list_jobs,
        jobs::get_job,
        jobs::cancel_job,
        jobs::list_partner_jobs,
        jobs::cancel_partner_job,
        data_subjects::export_subject,
        data_subjects::erase_subject,
        partners::create_partner,
        partners::list_partners,
        partners::get_partner,
        partners::import_partners,
        partners::export::export_partner,
        partners::profile::change_partner,
        partners::profile::get_own_partner,
        partners::profile::change_own_partner,
        processor_accounts::list_accounts,
        processor_accounts::put_account,
        processor_accounts::end_account,
        processor_accounts::list_own,
        processor_accounts::put_own,
        processor_accounts::end_own,
        partners::suspend_partner,
        partners::resume_partner,
        partners::offboard_partner,
        statistics::get_statistics,
        statistics::get_own_statistics,
        balance::get_balance,
        api_versions::get_version,
        api_versions::put_version,
        api_versions::get_usage,
        api_versions::list_versions,
        api_versions::get_report,
        tokens::create_token,
        tokens::get_jwks,
        rate_limits::get_limits,
        rate_limits::put_limits,
        rate_limits::delete_limits,
        rate_limits::get_partner_limits,
        rate_limits::put_partner_limits,
        rate_limits::delete_partner_limits,
        api_keys::create_key,
        api_keys::list_keys,
        api_keys::get_key,
        api_keys::rotate_key,
        api_keys::revoke_key,
        events::list_events,
        fraud::policy::get_policy,
        fraud::policy::put_policy,
        fraud::policy::delete_policy,
        fraud::policy::try_policy,
        fraud::lists::list_alerts,
        fraud::lists::list_reviews,
        fraud::decisions::review_payment,
        fraud::decisions::label_payment,
        fraud::feedback::feedback,
        routing::preview::preview_route,
        routing::policy::get_policy,
        routing::policy::put_policy,
        routing::policy::delete_policy,
        routing::policy::try_policy,
        routing::health::get_health,
        routing::events::list_events,
        webhook_endpoints::endpoints::create_endpoint,
        webhook_endpoints::endpoints::list_endpoints,
        webhook_endpoints::endpoints::get_endpoint,
        webhook_endpoints::endpoints::put_endpoint,
        webhook_endpoints::endpoints::delete_endpoint,
        webhook_endpoints::actions::rotate_secret,
        webhook_endpoints::actions::send_test,
        webhook_endpoints::actions::replay,
        webhook_endpoints::deliveries::list_deliveries,
        webhook_endpoints::deliveries::get_delivery,
        webhook_endpoints::deliveries::retry_delivery,
        webhooks::receive_webhook,
        webhooks::receive_own_webhook,
        health::health,
        health::health_detailed,
        health::ready,
        metrics::metrics,
        openapi::openapi,
        docs::docs,
    ),
    components(schemas(ProblemBody, payment::Expand, webhook_endpoints::deliveries::StatusParameter)),
    tags(
        (name = "Payments", description = "Taking money"),
        (name = "Checkout", description = "Payment pages hosted here"),
        (name = "Refunds", description = "Giving it back"),
        (name = "Methods", description = "How customers can pay"),
        (name = "Cards", description = "Cards in the vault, and on file"),
        (name = "Confirmations", description = "Customers agree by finger, face or PIN"),
        (name = "Fraud", description = "Risky payments"),
        (name = "Routing", description = "Which processor a payment goes to, and why"),
        (name = "Reports", description = "Where it stands"),
        (name = "Events", description = "What happened"),
        (name = "Webhooks out", description = "Being told what happened"),
        (name = "Webhooks", description = "What processors tell"),
        (name = "Platform", description = "For those who run the gateway"),
        (name = "Access", description = "Who may do what"),
        (name = "Versions", description = "How the API changes, and what your account uses of it"),
        (name = "Partners", description = "For the platform: looking after partners"),
        (name = "Operation", description = "Running the service")
    ),
    modifiers(&Common)
)]
struct Api;

/// What no endpoint says of itself.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        document.info.description = Some(introduction());
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: `tg_test_…` for sandbox accounts, `tg_live_…` for real money, `tg_admin_…` for the gateway itself. \
                 Each operation's `x-permission` says what the key must be allowed to do."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
        demand_permissions(document);
    }
}

/// Says of each operation what its caller needs.
fn demand_permissions(document: &mut Document) {
    for endpoint in ENDPOINTS {
        let Demand::Needs(permission) = endpoint.demand else {
            continue;
        };
        let item = document.paths.paths.get_mut(endpoint.path);
        let operation = item.and_then(|item| match endpoint.method.as_str() {
            "GET" => item.get.as_mut(),
            "POST" => item.post.as_mut(),
            "PUT" => item.put.as_mut(),
            "PATCH" => item.patch.as_mut(),
            "DELETE" => item.delete.as_mut(),
            _ => None,
        });
        if let Some(operation) = operation {
            let extension = ExtensionsBuilder::new().add("x-permission", permission.name()).build();
            operation.extensions.get_or_insert_default().merge(extension);
            operation.parameters.get_or_insert_default().push(RefOr::T(version_header()));
            let may_lag =
                MAY_LAG.iter().any(|(method, path)| *method == endpoint.method && *path == endpoint.path);
            if may_lag {
                operation.parameters.get_or_insert_default().push(RefOr::T(consistency_header()));
            }
            for (status, refusal) in VersionProblems::responses() {
                operation.responses.responses.entry(status).or_insert(refusal);
            }
        }
    }
}

/// `Tollgate-Version`. Only the newest is documented: the document describes the shapes of that one.
fn version_header() -> Parameter {
    let newest = VersionId::NEWEST.version().date;
    ParameterBuilder::new()
        .name("Tollgate-Version")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The version of the API that this call has, instead of the one that your account is pinned to. This document \
             describes the newest; `GET /api/v1/api_versions` names the others and what they changed.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some([newest])).build()))
        .build()
}

/// `Tollgate-Consistency`.
fn consistency_header() -> Parameter {
    ParameterBuilder::new()
        .name(HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The header of the same name of the reply to a change of yours: the answer then shows that change. Without \
             it, the answer may be a fraction of a second behind where the gateway reads from replicas.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

/// The document.
#[must_use]
pub fn document() -> Document {
    Api::openapi()
}

/// What holds for every endpoint, and the table of codes.
fn introduction() -> String {
    let mut text = String::from(
        "A payment gateway: one call takes a payment, charges it once, and books it.\n\n\
         **Money** is decimal text in major units (`\"100.00\"`); requests may also send a JSON number, which is read digit by \
         digit. **Moments** are RFC 3339 in UTC. **Errors** are `application/problem+json` (RFC 9457) with a stable `code`. \
         **Every reply** carries `X-Request-Id`; a W3C `traceparent` sets it. `Server-Timing` tells what a reply's processor took, and \
         what the gateway. **Idempotency:** send `Idempotency-Key` with \
         whatever changes something. The same key with the same request gets the first reply, to the byte, with \
         `Idempotent-Replayed: true`; with another request 422; while the first is under way 409. Unknown fields and \
         parameters are refused. **Versions:** your account is pinned to the newest version at its first call; `Tollgate-Version` \
         asks for another, and every reply says which it has. This document describes the newest.\n\n\
         | code | status | meaning | what to do |\n|---|---|---|---|\n",
    );
    for code in codes::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", code.name, code.status, code.title, code.advice);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn json() -> Value {
        serde_json::to_value(document()).unwrap()
    }

    #[test]
    fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|member| references(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let json = json();
        assert!(json["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut found = Vec::new();
        references(&json, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(json.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_secured_operation_can_be_refused() {
        let json = json();
        let open = [
            "/health",
            "/health/detailed",
            "/ready",
            "/metrics",
            "/openapi.json",
            "/docs",
            "/.well-known/jwks.json",
            "/api/v1/api_versions",
        ];
        for (path, item) in json["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let secured = operation["security"].is_array();
                let is_open = open.contains(&path.as_str()) || path.starts_with("/api/v1/webhooks/");
                assert_eq!(secured, !is_open, "{method} {path}");
                if secured {
                    assert!(operation["responses"]["401"]["content"]["application/problem+json"].is_object());
                }
            }
        }
    }

    #[test]
    fn whoever_is_turned_away_for_a_while_learns_for_how_long() {
        let json = json();
        for path in ["", "/{id}/capture", "/{id}/cancel", "/{id}/refunds"] {
            let responses = &json["paths"][format!("/api/v1/payments{path}")]["post"]["responses"];
            for (status, code) in [("429", "too_many_under_way"), ("503", "processors_closed")] {
                let text = responses[status]["description"].as_str().unwrap_or_default();
                assert!(text.contains(code), "{path} {status} {text}");
                assert!(responses[status]["headers"]["Retry-After"].is_object(), "{path} {status}");
            }
        }
    }
}
